package tidegate;

import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;

/** Rows of {@link Columns#OUTPUT}. */
final class Output {
    private static final StringData PANE = StringData.fromString("PANE");
    private static final StringData MARKER = StringData.fromString("MARKER");
    private static final StringData NO_METRIC = StringData.fromString("");

    private Output() {}

    static RowData pane(StringData metric, Pane pane) {
        return GenericRowData.of(
                PANE, metric, pane.site, pane.unit, pane.startMs, pane.endMs, pane.n, pane.mean, pane.m2, pane.lo, pane.hi,
                pane.first, pane.last, pane.firstTs, pane.lastTs, pane.tMean, pane.tM2, pane.tC, pane.run, pane.step,
                pane.bad, pane.duplicates, null);
    }

    /** That a quiet device's panes are all given out that end by {@code uptoMs}. */
    static RowData quiet(Arrival marker, long uptoMs) {
        return GenericRowData.of(
                MARKER, NO_METRIC, marker.site(), null, 0L, uptoMs, 0L, 0.0, 0.0, 0.0, 0.0,
                0.0, 0.0, 0L, 0L, 0.0, 0.0, 0.0, 0L, 0.0, 0L, 0L, null);
    }

    /** A reading that went into no pane, as it came. */
    static RowData turnedAway(String kind, Arrival arrival) {
        return GenericRowData.of(
                StringData.fromString(kind), arrival.metric(), arrival.site(), arrival.unit(), 0L, 0L, 0L, 0.0, 0.0, 0.0, 0.0,
                0.0, 0.0, 0L, 0L, 0.0, 0.0, 0.0, 0L, 0.0, 0L, 0L, arrival.original());
    }
}
