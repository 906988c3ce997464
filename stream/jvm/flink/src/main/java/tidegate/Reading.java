package tidegate;

import java.util.Comparator;
import org.apache.flink.table.data.StringData;

/** A reading in an open pane, over what state keeps of it. Text stays UTF-8, which compares as Python's strings do. */
final class Reading {
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

    private final byte[] bytes;

    /** @param bytes of {@link Packed#kept} */
    Reading(byte[] bytes) {
        this.bytes = bytes;
    }

    /** What state keeps; not to be changed. */
    byte[] bytes() {
        return bytes;
    }

    long ts() {
        return Packed.getLong(bytes, Packed.TS);
    }

    double value() {
        return Packed.getDouble(bytes, Packed.VALUE);
    }

    /** Whether the value is counted and not folded: of BAD quality, or not finite. */
    boolean isBad() {
        return Packed.has(bytes, Packed.BAD);
    }

    /** Whether it has a time of the device's own, and that is the event time: then equal keys have equal times. */
    boolean isTimedAsSent() {
        return isTimed() && Packed.getLong(bytes, Packed.DEVICE_TS) == ts();
    }

    /** Whether its time is ahead of Kafka's, and so not where its clock stands. */
    boolean isAhead() {
        return Packed.has(bytes, Packed.AHEAD);
    }

    /** Whose clock its time is from. */
    Source source() {
        return isTimed() ? Source.DEVICE : Source.GATEWAY;
    }

    private boolean isTimed() {
        return !Packed.isNull(bytes, Columns.DEVICE_TS);
    }

    StringData metric() {
        return Packed.text(bytes, Packed.METRIC);
    }

    StringData site() {
        return Packed.text(bytes, Packed.SITE);
    }

    StringData unit() {
        return Packed.text(bytes, Packed.UNIT);
    }

    private Long deviceSeq() {
        return Packed.isNull(bytes, Columns.DEVICE_SEQ) ? null : (Long) Packed.getLong(bytes, Packed.DEVICE_SEQ);
    }

    private StringData deviceBoot() {
        return Packed.text(bytes, Packed.DEVICE_BOOT);
    }

    private StringData gatewayId() {
        return Packed.text(bytes, Packed.GATEWAY_ID);
    }

    private long gatewayEpoch() {
        return Packed.getLong(bytes, Packed.GATEWAY_EPOCH);
    }

    private long gatewaySeq() {
        return Packed.getLong(bytes, Packed.GATEWAY_SEQ);
    }

    private int part() {
        return Packed.getInt(bytes, Packed.PART);
    }

    private int repeat() {
        return Packed.getInt(bytes, Packed.REPEAT);
    }

    /** What makes two readings of one device and metric the same reading, sent twice. */
    Object key() {
        return isTimed()
                ? new DeviceKey(Packed.getLong(bytes, Packed.DEVICE_TS), deviceBoot(), deviceSeq(), oneZero(), repeat())
                : new GatewayKey(gatewayId(), gatewayEpoch(), gatewaySeq(), part());
    }

    private record GatewayKey(StringData gatewayId, long gatewayEpoch, long gatewaySeq, int part) {}

    private record DeviceKey(long deviceTs, StringData deviceBoot, Long deviceSeq, double value, int repeat) {}

    /** The value with -0.0 made 0.0, as Python's comparisons see it. */
    private double oneZero() {
        return value() + 0.0;
    }
}
