package tidegate;

import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;

/** One input row as it arrives, by the positions of {@link Columns#INPUT}. */
record Arrival(RowData row) {
    /** A time this far ahead of both the gateway's receipt and Kafka's is not believed. */
    static final long AHEAD_MS = 60_000;

    /** 1 January of the year 1: what lies before is no time anybody measured, and could not be counted in panes safely. */
    private static final long EARLIEST_MS = -62_135_596_800_000L;

    private static final StringData MARKER = StringData.fromString("MARKER");
    private static final StringData BAD = StringData.fromString("BAD");

    private static final int DEVICE_ID = 0;
    private static final int METRIC = 1;
    private static final int SITE = 2;
    private static final int KIND = 3;
    private static final int UNIT = 4;
    private static final int GATEWAY_ID = 5;
    private static final int GATEWAY_EPOCH = 6;
    private static final int VALUE = 7;
    private static final int TS = 8;
    private static final int DEVICE_TS = 9;
    private static final int DEVICE_BOOT = 10;
    private static final int DEVICE_SEQ = 11;
    private static final int QUALITY = 12;
    private static final int GATEWAY_SEQ = 13;
    private static final int PART = 14;
    private static final int REPEAT = 15;
    private static final int RECEIVED_TS = 16;
    private static final int READING_FIELDS = 19;
    private static final int KTS = 19;
    private static final int KAFKA_PARTITION = 20;
    private static final int KAFKA_OFFSET = 21;
    private static final int[] NEEDED = {
        METRIC, KIND, GATEWAY_ID, GATEWAY_EPOCH, VALUE, TS, QUALITY, GATEWAY_SEQ, PART, REPEAT, RECEIVED_TS, KTS
    };

    /** Whether something is missing that the contract promises, or the time is none. */
    boolean isInvalid() {
        for (int column : NEEDED) {
            if (row.isNullAt(column)) {
                return true;
            }
        }
        return ts() < EARLIEST_MS;
    }

    boolean isMarker() {
        return row.getString(KIND).equals(MARKER);
    }

    boolean isFuture() {
        return ts() > Math.min(received(), kafkaTime()) + AHEAD_MS;
    }

    /**
     * What the clock of this row's time source may be set to: min(ts, received_ts + 1 min, Kafka's time), of which the
     * second is no news for a row that is not {@link #isFuture}.
     */
    long clockMs() {
        return Math.min(ts(), kafkaTime());
    }

    Source source() {
        return isTimed() ? Source.DEVICE : Source.GATEWAY;
    }

    StringData deviceId() {
        return row.getString(DEVICE_ID);
    }

    StringData metric() {
        return text(METRIC);
    }

    StringData site() {
        return text(SITE);
    }

    StringData unit() {
        return text(UNIT);
    }

    long ts() {
        return row.getLong(TS);
    }

    private long received() {
        return row.getLong(RECEIVED_TS);
    }

    private long kafkaTime() {
        return row.getTimestamp(KTS, 3).getMillisecond();
    }

    double value() {
        return row.getDouble(VALUE);
    }

    /** Whether the value is counted and not folded. */
    boolean isBad() {
        return row.getString(QUALITY).equals(BAD) || !Double.isFinite(value());
    }

    /** Whether there is a {@link #deviceTs}. */
    boolean isTimed() {
        return !row.isNullAt(DEVICE_TS);
    }

    long deviceTs() {
        return row.getLong(DEVICE_TS);
    }

    /** Whether there is a {@link #deviceSeq}. */
    boolean isNumbered() {
        return !row.isNullAt(DEVICE_SEQ);
    }

    long deviceSeq() {
        return row.getLong(DEVICE_SEQ);
    }

    StringData deviceBoot() {
        return text(DEVICE_BOOT);
    }

    StringData gatewayId() {
        return text(GATEWAY_ID);
    }

    long gatewayEpoch() {
        return row.getLong(GATEWAY_EPOCH);
    }

    long gatewaySeq() {
        return row.getLong(GATEWAY_SEQ);
    }

    int part() {
        return row.getInt(PART);
    }

    int repeat() {
        return row.getInt(REPEAT);
    }

    /** The whole reading with its place in Kafka, for the topic of late readings. */
    RowData original() {
        GenericRowData original = new GenericRowData(READING_FIELDS + 2);
        for (int i = 0; i < READING_FIELDS; i++) {
            original.setField(i, field(i));
        }
        original.setField(READING_FIELDS, row.isNullAt(KAFKA_PARTITION) ? null : row.getInt(KAFKA_PARTITION));
        original.setField(READING_FIELDS + 1, number(KAFKA_OFFSET));
        return original;
    }

    private Object field(int column) {
        if (row.isNullAt(column)) {
            return null;
        }
        return switch (column) {
            case VALUE -> row.getDouble(column);
            case GATEWAY_EPOCH, TS, DEVICE_TS, DEVICE_SEQ, GATEWAY_SEQ, RECEIVED_TS -> row.getLong(column);
            case PART, REPEAT -> row.getInt(column);
            case READING_FIELDS - 1 -> row.getBoolean(column);
            default -> row.getString(column);
        };
    }

    private Long number(int column) {
        return row.isNullAt(column) ? null : row.getLong(column);
    }

    private StringData text(int column) {
        return row.isNullAt(column) ? null : row.getString(column);
    }
}
