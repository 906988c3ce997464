package tidegate;

import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
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

    StringData unit() {
        return Packed.text(bytes, Packed.UNIT);
    }

    long ts() {
        return Packed.getLong(bytes, Packed.TS);
    }

    private long fromEnd(int distance) {
        return Packed.getLong(bytes, bytes.length - distance);
    }

    /** What has to be kept of it. */
    Reading reading() {
        return new Reading(Packed.kept(bytes));
    }

    /** The whole reading with its place in Kafka, for the topic of late readings: {@link Columns#OUTPUT} has it last. */
    RowData original() {
        return GenericRowData.of(
                deviceId, metric(), site(), Packed.text(bytes, Packed.KIND), unit(), Packed.text(bytes, Packed.GATEWAY_ID),
                number(Columns.GATEWAY_EPOCH, Packed.GATEWAY_EPOCH),
                Packed.isNull(bytes, Columns.VALUE) ? null : Packed.getDouble(bytes, Packed.VALUE),
                number(Columns.TS, Packed.TS), number(Columns.DEVICE_TS, Packed.DEVICE_TS), Packed.text(bytes, Packed.DEVICE_BOOT),
                number(Columns.DEVICE_SEQ, Packed.DEVICE_SEQ), Packed.text(bytes, Packed.QUALITY),
                number(Columns.GATEWAY_SEQ, Packed.GATEWAY_SEQ), small(Columns.PART, Packed.PART), small(Columns.REPEAT, Packed.REPEAT),
                number(Columns.RECEIVED_TS, bytes.length - Packed.RECEIVED_TS), Packed.text(bytes, Packed.CLOCK),
                Packed.isNull(bytes, Columns.REPLAYED) ? null : Packed.has(bytes, Packed.REPLAYED),
                small(Columns.KAFKA_PARTITION, bytes.length - Packed.KAFKA_PARTITION),
                number(Columns.KAFKA_OFFSET, bytes.length - Packed.KAFKA_OFFSET));
    }

    private Long number(int column, int at) {
        return Packed.isNull(bytes, column) ? null : (Long) Packed.getLong(bytes, at);
    }

    private Integer small(int column, int at) {
        return Packed.isNull(bytes, column) ? null : (Integer) Packed.getInt(bytes, at);
    }
}
