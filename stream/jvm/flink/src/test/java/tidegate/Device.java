package tidegate;

import java.util.ArrayList;
import java.util.List;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;

/** What the pane operator does with one device, without a cluster. */
final class Device {
    private static final StringData ID = StringData.fromString("s.d");
    private final PaneSizes sizes;
    private final int latenessMs;
    private KeptState state = new KeptState();
    private DevicePanes panes;

    Device(String panes, int latenessMs) throws Exception {
        this.sizes = PaneSizes.parse(panes);
        this.latenessMs = latenessMs;
        start();
    }

    private void start() throws Exception {
        panes = new DevicePanes(ID, sizes, latenessMs, state);
    }

    /** Gives in one row and takes out what it led to; each row's by itself. */
    List<List<List<?>>> rows(RowData row) throws Exception {
        List<byte[]> output = new ArrayList<>();
        Arrival arrival = Rows.arrival(row);
        if (arrival.isInvalid()) {
            output.add(Output.turnedAway("INVALID", arrival));
        } else if (!arrival.isFuture()) {
            panes.take(arrival, output::add);
        } else if (!arrival.isMarker()) {
            output.add(Output.turnedAway("FUTURE", arrival));
        }
        return output.stream().map(Told::of).toList();
    }

    /** The same as text. */
    List<String> accept(RowData row) throws Exception {
        return rows(row).stream().flatMap(List::stream).map(Device::text).toList();
    }

    List<String> accept(Sample sample) throws Exception {
        return accept(sample.row());
    }

    int openReadings() throws Exception {
        panes.write();
        return new OpenReadings(state.copy()).all().size();
    }

    /** How often all open readings were read. */
    int looks() {
        return state.looks();
    }

    /** Writes its state, as before a checkpoint, and gives a copy. */
    KeptState checkpoint() throws Exception {
        if (panes.isChanged) {
            panes.write();
        }
        return state.copy();
    }

    /** Goes on with a state, as after a failure. */
    void restore(KeptState checkpoint) throws Exception {
        state = checkpoint;
        start();
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
