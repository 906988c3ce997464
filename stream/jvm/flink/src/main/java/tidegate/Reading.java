package tidegate;

import java.util.Comparator;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;

/**
 * A reading in an open pane. Text stays in Flink's form, which compares by UTF-8 bytes: the order Python's strings have.
 *
 * @param bad a value that is counted and not folded: of BAD quality, or not finite
 * @param deviceTs null when the device sent no time
 */
record Reading(
        StringData metric,
        StringData site,
        StringData unit,
        long ts,
        double value,
        boolean bad,
        Long deviceTs,
        StringData deviceBoot,
        Long deviceSeq,
        int repeat,
        StringData gatewayId,
        long gatewayEpoch,
        long gatewaySeq,
        int part) {

    private static final Comparator<StringData> TEXT = Comparator.nullsFirst(Comparator.naturalOrder());
    private static final Comparator<Long> NUMBER = Comparator.nullsFirst(Comparator.naturalOrder());

    /** The order in which a pane is folded, nulls first. Both zeros are one value here, and NaN comes last. */
    static final Comparator<Reading> ORDER = Comparator.comparingLong(Reading::ts)
            .thenComparing(Reading::deviceBoot, TEXT)
            .thenComparing(Reading::deviceSeq, NUMBER)
            .thenComparingDouble(Reading::oneZero)
            .thenComparingInt(Reading::repeat)
            .thenComparing(Reading::gatewayId, TEXT)
            .thenComparingLong(Reading::gatewayEpoch)
            .thenComparingLong(Reading::gatewaySeq)
            .thenComparingInt(Reading::part);

    /** What makes two readings of one device and metric the same reading, sent twice. */
    Object key() {
        return deviceTs == null
                ? new GatewayKey(gatewayId, gatewayEpoch, gatewaySeq, part)
                : new DeviceKey(deviceTs, deviceBoot, deviceSeq, oneZero(), repeat);
    }

    private record GatewayKey(StringData gatewayId, long gatewayEpoch, long gatewaySeq, int part) {}

    private record DeviceKey(long deviceTs, StringData deviceBoot, Long deviceSeq, double value, int repeat) {}

    /** The value with -0.0 made 0.0, as Python's comparisons see it. */
    private double oneZero() {
        return value + 0.0;
    }

    /** As a row of {@link Columns#KEPT}. */
    RowData kept() {
        return GenericRowData.of(
                metric, site, unit, ts, value, bad, deviceTs, deviceBoot, deviceSeq, repeat, gatewayId, gatewayEpoch,
                gatewaySeq, part);
    }

    /** From a row of {@link Columns#KEPT}. */
    static Reading of(RowData kept) {
        return new Reading(
                kept.getString(0), text(kept, 1), text(kept, 2), kept.getLong(3), kept.getDouble(4), kept.getBoolean(5),
                number(kept, 6), text(kept, 7), number(kept, 8), kept.getInt(9), kept.getString(10), kept.getLong(11),
                kept.getLong(12), kept.getInt(13));
    }

    private static StringData text(RowData row, int column) {
        return row.isNullAt(column) ? null : row.getString(column);
    }

    private static Long number(RowData row, int column) {
        return row.isNullAt(column) ? null : row.getLong(column);
    }
}
