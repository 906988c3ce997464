package tidegate;

import java.util.ArrayList;
import java.util.List;
import org.apache.flink.table.api.dataview.ListView;
import org.apache.flink.table.api.dataview.MapView;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.util.Collector;

/** The pane operator with the state of one device, without a cluster. */
final class Device {
    private final String panes;
    private final int latenessMs;
    private final List<RowData> output = new ArrayList<>();
    private Panes operator;
    private MapView<String, Clocks> clocks = new MapView<>();
    private MapView<String, MetricTime> metrics = new MapView<>();
    private ListView<byte[]> open = new Counted();
    private int looks;

    Device(String panes, int latenessMs) {
        this.panes = panes;
        this.latenessMs = latenessMs;
        start();
    }

    private void start() {
        operator = new Panes();
        operator.setCollector(new Collector<>() {
            @Override
            public void collect(RowData row) {
                output.add(row);
            }

            @Override
            public void close() {
                // nothing is held
            }
        });
    }

    /** Gives in one row and takes out what it led to. */
    List<RowData> rows(RowData row) throws Exception {
        output.clear();
        Arrival arrival = Rows.arrival(row);
        operator.eval(clocks, metrics, open, GenericRowData.of(arrival.deviceId(), arrival.bytes()), panes, latenessMs);
        return List.copyOf(output);
    }

    /** The same as text. */
    List<String> accept(RowData row) throws Exception {
        return rows(row).stream().map(Device::text).toList();
    }

    List<String> accept(Sample sample) throws Exception {
        return accept(sample.row());
    }

    int openReadings() {
        return open.getList().size();
    }

    /** How often all open readings were read. */
    int looks() {
        return looks;
    }

    private final class Counted extends ListView<byte[]> {
        @Override
        public Iterable<byte[]> get() {
            looks++;
            return getList();
        }
    }

    /** Goes on with a copy of the state, as after a restart. */
    void restart() throws Exception {
        start();
        MapView<String, Clocks> oldClocks = clocks;
        clocks = new MapView<>();
        for (var entry : oldClocks.getMap().entrySet()) {
            clocks.put(entry.getKey(), entry.getValue().copy());
        }
        metrics = copy(metrics);
        open = copy(open);
    }

    private static MapView<String, MetricTime> copy(MapView<String, MetricTime> metrics) throws Exception {
        MapView<String, MetricTime> copy = new MapView<>();
        for (var entry : metrics.getMap().entrySet()) {
            MetricTime time = new MetricTime();
            time.sources = entry.getValue().sources;
            time.reachedMs = entry.getValue().reachedMs;
            copy.put(entry.getKey(), time);
        }
        return copy;
    }

    private ListView<byte[]> copy(ListView<byte[]> open) {
        ListView<byte[]> copy = new Counted();
        copy.setList(new ArrayList<>(open.getList().stream().map(byte[]::clone).toList()));
        return copy;
    }

    /** A row of the output: {@code PANE metric start end n mean bad duplicates} {@code LATE metric value ts} or {@code MARKER end}. */
    static String text(RowData row) {
        String kind = row.getString(0).toString();
        String metric = row.isNullAt(1) ? "null" : row.getString(1).toString();
        if (kind.equals("PANE")) {
            return "PANE " + metric + " " + row.getLong(4) + " " + row.getLong(5) + " n=" + row.getLong(6) + " mean="
                    + row.getDouble(7) + " bad=" + row.getLong(20) + " duplicates=" + row.getLong(21);
        }
        if (kind.equals("MARKER")) {
            return "MARKER " + row.getLong(5);
        }
        RowData reading = row.getRow(22, 21);
        String value = reading.isNullAt(7) ? "null" : "" + reading.getDouble(7);
        return kind + " " + metric + " " + value + " " + (reading.isNullAt(8) ? "null" : "" + reading.getLong(8));
    }
}
