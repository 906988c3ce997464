package tidegate;

import org.apache.flink.table.types.logical.RowType;
import org.apache.flink.table.types.logical.utils.LogicalTypeParser;

/** The columns of {@link Panes}: what it takes and what it gives. Positions are the order of the names. */
final class Columns {
    /** A row of the readings topic, as the job's table declares it, with where and when Kafka stored it. */
    static final String ROW = "ROW<"
            + Columns.READING
            + ", kts TIMESTAMP_LTZ(3), kafka_partition INT, kafka_offset BIGINT>";

    /** The same as {@link Panes} takes it: what {@link PackedReader} and {@link Place} made of its record. */
    static final String INPUT = "ROW<device_id STRING, packed BYTES>";

    /** The fields of the Avro contract {@code Reading}, in its order. Times are milliseconds since 1970. */
    static final String READING = "device_id STRING, metric STRING, site STRING, kind STRING, unit STRING,"
            + " gateway_id STRING, gateway_epoch BIGINT, `value` DOUBLE, ts BIGINT, device_ts BIGINT, device_boot STRING,"
            + " device_seq BIGINT, quality STRING, gateway_seq BIGINT, part INT, `repeat` INT, received_ts BIGINT,"
            + " clock STRING, replayed BOOLEAN";

    /** What comes out, behind the device_id that Flink puts first. */
    static final String OUTPUT = "ROW<kind STRING, metric STRING, site STRING, unit STRING, pane_start BIGINT, pane_end BIGINT,"
            + " n BIGINT, mean DOUBLE, m2 DOUBLE, lo DOUBLE, hi DOUBLE, first_value DOUBLE, last_value DOUBLE,"
            + " first_ts BIGINT, last_ts BIGINT, t_mean DOUBLE, t_m2 DOUBLE, t_c DOUBLE, `run` BIGINT, step DOUBLE,"
            + " bad BIGINT, duplicates BIGINT,"
            + " reading ROW<" + READING + ", kafka_partition INT, kafka_offset BIGINT>>";

    /** {@link #READING} as a type. */
    static RowType reading() {
        return (RowType) LogicalTypeParser.parse("ROW<" + READING + ">", Columns.class.getClassLoader());
    }

    private Columns() {}
}
