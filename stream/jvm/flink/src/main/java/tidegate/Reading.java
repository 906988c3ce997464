package tidegate;

import java.util.Comparator;
import org.apache.flink.table.data.StringData;

/**
 * A reading in an open pane. Text stays UTF-8, which compares as Python's strings do.
 *
 * @param flags the or of what is said of it below
 * @param deviceTs the time its device gave it, or 0
 * @param lagMs by how much its gateway's clock was ahead of that; 0 if the two cannot be compared
 * @param deviceSeq the number its device gave it, or null
 */
record Reading(
        Origin origin, byte flags, long ts, double value, long deviceTs, long lagMs, Long deviceSeq, long gatewaySeq, int part,
        int repeat) {
    /** Counted and not folded: of BAD quality, or not finite. */
    static final byte BAD = 1;
    /** The event time is ahead of Kafka's, and so not where its clock stands. */
    static final byte AHEAD = 2;
    /** It has a time of the device's own. */
    static final byte TIMED = 4;
    /** And that is the event time. */
    static final byte AS_SENT = 8;
    /** It has a number of the device's own. */
    static final byte NUMBERED = 16;
    /** It is not the only one of its message, or of its key. */
    static final byte PLACED = 32;

    /** Its device's time can be held against its gateway's, which knew the time. */
    static final byte COMPARED = (byte) 128;

    private static final Comparator<StringData> TEXT = Comparator.nullsFirst(Comparator.naturalOrder());
    private static final Comparator<Long> NUMBER = Comparator.nullsFirst(Comparator.naturalOrder());

    /** The order in which a pane is folded, nulls first. Both zeros are one value here, and NaN comes last. */
    static final Comparator<Reading> ORDER = Comparator.comparingLong(Reading::ts)
            .thenComparing(reading -> reading.origin.boot(), TEXT)
            .thenComparing(Reading::deviceSeq, NUMBER)
            .thenComparingDouble(Reading::oneZero)
            .thenComparingInt(Reading::repeat)
            .thenComparing(reading -> reading.origin.gatewayId(), TEXT)
            .thenComparingLong(reading -> reading.origin.gatewayEpoch())
            .thenComparingLong(Reading::gatewaySeq)
            .thenComparingInt(Reading::part);

    /** The same, of an equal origin. */
    Reading of(Origin equal) {
        return new Reading(equal, flags, ts, value, deviceTs, lagMs, deviceSeq, gatewaySeq, part, repeat);
    }

    boolean isBad() {
        return has(BAD);
    }

    boolean isAhead() {
        return has(AHEAD);
    }

    boolean isTimed() {
        return has(TIMED);
    }

    /** Whether its time is the device's own: then equal keys have equal times. */
    boolean isTimedAsSent() {
        return has(AS_SENT);
    }

    boolean isCompared() {
        return has(COMPARED);
    }

    boolean isPlaced() {
        return has(PLACED);
    }

    private boolean has(byte flag) {
        return (flags & flag) != 0;
    }

    /** Whose clock its time is from. */
    Source source() {
        return isTimed() ? Source.DEVICE : Source.GATEWAY;
    }

    StringData metric() {
        return origin.name();
    }

    /** What makes two readings of one device and metric the same reading, sent twice. */
    Object key() {
        return isTimed()
                ? new DeviceKey(deviceTs, origin.boot(), deviceSeq, oneZero(), repeat)
                : new GatewayKey(origin.gatewayId(), origin.gatewayEpoch(), gatewaySeq, part);
    }

    private record GatewayKey(StringData gatewayId, long gatewayEpoch, long gatewaySeq, int part) {}

    private record DeviceKey(long deviceTs, StringData deviceBoot, Long deviceSeq, double value, int repeat) {}

    /** The value with -0.0 made 0.0, as Python's comparisons see it. */
    private double oneZero() {
        return value + 0.0;
    }
}
