package tidegate;

import org.apache.flink.table.types.logical.RowType;
import org.apache.flink.table.types.logical.utils.LogicalTypeParser;

/** The columns of a reading. Positions are the order of the names. */
final class Columns {
    /** The fields of the Avro contract {@code Reading}, in its order. Times are milliseconds since 1970. */
    static final String READING = "device_id STRING, metric STRING, site STRING, kind STRING, unit STRING,"
            + " gateway_id STRING, gateway_epoch BIGINT, `value` DOUBLE, ts BIGINT, device_ts BIGINT, device_boot STRING,"
            + " device_seq BIGINT, quality STRING, gateway_seq BIGINT, part INT, `repeat` INT, received_ts BIGINT,"
            + " clock STRING, replayed BOOLEAN";

    // Where each of them stands; FIELDS of them, and behind them what Kafka adds.
    static final int DEVICE = 0;
    static final int METRIC = 1;
    static final int SITE = 2;
    static final int KIND = 3;
    static final int UNIT = 4;
    static final int GATEWAY_ID = 5;
    static final int GATEWAY_EPOCH = 6;
    static final int VALUE = 7;
    static final int TS = 8;
    static final int DEVICE_TS = 9;
    static final int DEVICE_BOOT = 10;
    static final int DEVICE_SEQ = 11;
    static final int QUALITY = 12;
    static final int GATEWAY_SEQ = 13;
    static final int PART = 14;
    static final int REPEAT = 15;
    static final int RECEIVED_TS = 16;
    static final int CLOCK = 17;
    static final int REPLAYED = 18;
    static final int FIELDS = 19;
    static final int KAFKA_TS = 19;
    static final int KAFKA_PARTITION = 20;
    static final int KAFKA_OFFSET = 21;

    /** {@link #READING} as a type. */
    static RowType reading() {
        return (RowType) LogicalTypeParser.parse("ROW<" + READING + ">", Columns.class.getClassLoader());
    }

    private Columns() {}
}
