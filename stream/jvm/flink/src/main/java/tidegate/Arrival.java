package tidegate;

import java.nio.ByteBuffer;
import org.apache.flink.table.data.StringData;

/**
 * A reading as it arrives.
 *
 * @param bytes see {@link Packed}
 */
record Arrival(StringData deviceId, byte[] bytes) {
    /** A time this far ahead of both the gateway's receipt and Kafka's is not believed. */
    static final long AHEAD_MS = 60_000;

    /** 1 January of the year 1: what lies before is no time anybody measured, and could not be counted in panes safely. */
    private static final long EARLIEST_MS = -62_135_596_800_000L;

    /** What the contract promises: metric, kind, gateway's id, epoch and number, value, time, quality, part, repeat, … */
    private static final int NEEDED = bits(
            Columns.METRIC, Columns.KIND, Columns.GATEWAY_ID, Columns.GATEWAY_EPOCH, Columns.VALUE, Columns.TS, Columns.QUALITY,
            Columns.GATEWAY_SEQ, Columns.PART, Columns.REPEAT, Columns.RECEIVED_TS, Columns.KAFKA_TS);

    private static int bits(int... columns) {
        int bits = 0;
        for (int column : columns) {
            bits |= 1 << column;
        }
        return bits;
    }

    /** Whether something is missing that the contract promises, or the time is none. */
    boolean isInvalid() {
        return (Packed.getInt(bytes, Packed.NULLS) & NEEDED) != 0 || ts() < EARLIEST_MS;
    }

    boolean isMarker() {
        return Packed.has(bytes, Packed.MARKER);
    }

    /** Whether its time is ahead of Kafka's, where its clock is not moved to. */
    boolean isAhead() {
        return Packed.has(bytes, Packed.AHEAD);
    }

    boolean isFuture() {
        return ts() > Math.min(fromEnd(Packed.RECEIVED_TS), fromEnd(Packed.KAFKA_TS)) + AHEAD_MS;
    }

    /**
     * What the clock of this row's time source may be set to: min(ts, received_ts + 1 min, Kafka's time), of which the
     * second is no news for a row that is not {@link #isFuture}.
     */
    long clockMs() {
        return Math.min(ts(), fromEnd(Packed.KAFKA_TS));
    }

    Source source() {
        return Packed.isNull(bytes, Columns.DEVICE_TS) ? Source.GATEWAY : Source.DEVICE;
    }

    StringData metric() {
        return Packed.text(bytes, Packed.METRIC);
    }

    StringData site() {
        return Packed.text(bytes, Packed.SITE);
    }

    long ts() {
        return Packed.getLong(bytes, Packed.TS);
    }

    private long fromEnd(int distance) {
        return Packed.getLong(bytes, bytes.length - distance);
    }

    /** What readings that come the same way have in common with it, in the array itself. */
    ByteBuffer origin() {
        return Packed.origin(bytes);
    }

    /** What has to be kept of it: a reading of this origin. */
    Reading reading(Origin origin) {
        long deviceTs = Packed.getLong(bytes, Packed.DEVICE_TS);
        boolean timed = !Packed.isNull(bytes, Columns.DEVICE_TS);
        boolean compared = timed && !Packed.has(bytes, Packed.UNSYNCED);
        boolean numbered = !Packed.isNull(bytes, Columns.DEVICE_SEQ);
        int part = Packed.getInt(bytes, Packed.PART);
        int repeat = Packed.getInt(bytes, Packed.REPEAT);
        int flags = (Packed.has(bytes, Packed.BAD) ? Reading.BAD : 0)
                | (isAhead() ? Reading.AHEAD : 0)
                | (timed ? Reading.TIMED : 0)
                | (timed && deviceTs == ts() ? Reading.AS_SENT : 0)
                | (compared ? Reading.COMPARED : 0)
                | (numbered ? Reading.NUMBERED : 0)
                | (part != 0 || repeat != 0 ? Reading.PLACED : 0);
        return new Reading(
                origin, (byte) flags, ts(), Packed.getDouble(bytes, Packed.VALUE), deviceTs,
                compared ? fromEnd(Packed.RECEIVED_TS) - deviceTs : 0,
                numbered ? (Long) Packed.getLong(bytes, Packed.DEVICE_SEQ) : null,
                Packed.getLong(bytes, Packed.GATEWAY_SEQ), part, repeat);
    }

    /** Tells the whole reading, field by field in the contract's order, and then its place in Kafka. */
    void tell(MessagePack out) {
        out.array(Columns.FIELDS).text(deviceId);
        for (int text : new int[] {Packed.METRIC, Packed.SITE, Packed.KIND, Packed.UNIT, Packed.GATEWAY_ID}) {
            out.text(Packed.text(bytes, text));
        }
        number(out, Columns.GATEWAY_EPOCH, Packed.GATEWAY_EPOCH);
        if (isThere(out, Columns.VALUE)) {
            out.real(Packed.getDouble(bytes, Packed.VALUE));
        }
        number(out, Columns.TS, Packed.TS);
        number(out, Columns.DEVICE_TS, Packed.DEVICE_TS);
        out.text(Packed.text(bytes, Packed.DEVICE_BOOT));
        number(out, Columns.DEVICE_SEQ, Packed.DEVICE_SEQ);
        out.text(Packed.text(bytes, Packed.QUALITY));
        number(out, Columns.GATEWAY_SEQ, Packed.GATEWAY_SEQ);
        small(out, Columns.PART, Packed.PART);
        small(out, Columns.REPEAT, Packed.REPEAT);
        number(out, Columns.RECEIVED_TS, bytes.length - Packed.RECEIVED_TS);
        out.text(Packed.text(bytes, Packed.CLOCK));
        if (isThere(out, Columns.REPLAYED)) {
            out.truth(Packed.has(bytes, Packed.REPLAYED));
        }
        small(out, Columns.KAFKA_PARTITION, bytes.length - Packed.KAFKA_PARTITION);
        number(out, Columns.KAFKA_OFFSET, bytes.length - Packed.KAFKA_OFFSET);
    }

    /** Whether a field has a value; tells that it has none. */
    private boolean isThere(MessagePack out, int column) {
        boolean there = !Packed.isNull(bytes, column);
        if (!there) {
            out.nothing();
        }
        return there;
    }

    private void number(MessagePack out, int column, int at) {
        if (isThere(out, column)) {
            out.number(Packed.getLong(bytes, at));
        }
    }

    private void small(MessagePack out, int column, int at) {
        if (isThere(out, column)) {
            out.number(Packed.getInt(bytes, at));
        }
    }
}
