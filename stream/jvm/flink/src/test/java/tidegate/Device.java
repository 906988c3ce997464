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

    /** Gives in one row and takes out what it led to; each row's by itself. */
    List<List<List<?>>> rows(RowData row) throws Exception {
        output.clear();
        Arrival arrival = Rows.arrival(row);
        operator.eval(clocks, metrics, open, GenericRowData.of(arrival.deviceId(), arrival.bytes()), panes, latenessMs);
        return output.stream().map(each -> Told.of(each.getBinary(0))).toList();
    }

    /** The same as text. */
    List<String> accept(RowData row) throws Exception {
        return rows(row).stream().flatMap(List::stream).map(Device::text).toList();
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

    /** What is told: {@code PANE metric start end n mean bad duplicates} {@code LATE metric value ts} or {@code MARKER end}. */
    static String text(List<?> told) {
        if (told.get(0).equals("READING")) {
            List<?> reading = (List<?>) told.get(2);
            return told.get(1) + " " + reading.get(1) + " " + reading.get(7) + " " + reading.get(8);
        }
        List<?> pane = (List<?>) told.get(5);
        if (told.get(2).equals("")) {
            return "MARKER " + pane.get(1);
        }
        return "PANE " + told.get(2) + " " + pane.get(0) + " " + pane.get(1) + " n=" + pane.get(2) + " mean=" + pane.get(3)
                + " bad=" + pane.get(16) + " duplicates=" + pane.get(17);
    }
}
