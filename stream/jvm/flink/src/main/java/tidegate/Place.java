package tidegate;

import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.data.TimestampData;
import org.apache.flink.table.functions.ScalarFunction;

/**
 * Completes what the format's {@code packed} column has of a reading: when and where Kafka has stored it, which the format
 * is not told. The array is the reading's own, so it is filled in and not copied.
 */
public class Place extends ScalarFunction {
    private static final long serialVersionUID = 1L;

    /**
     * @param packed of {@link PackedReader}, not yet seen by anyone else
     * @param kafkaTime Kafka's append time; a reading without it is invalid
     */
    public byte[] eval(
            byte[] packed,
            @DataTypeHint(value = "TIMESTAMP_LTZ(3)", bridgedTo = TimestampData.class) TimestampData kafkaTime,
            Integer kafkaPartition,
            Long kafkaOffset) {
        int end = packed.length;
        int nulls = Packed.getInt(packed, Packed.NULLS);
        if (kafkaTime == null) {
            nulls |= 1 << Columns.KAFKA_TS;
        } else {
            long storedMs = kafkaTime.getMillisecond();
            Packed.setLong(packed, end - Packed.KAFKA_TS, storedMs);
            if (Packed.getLong(packed, Packed.TS) > storedMs) {
                packed[Packed.FLAGS] |= Packed.AHEAD;
            }
        }
        if (kafkaPartition == null) {
            nulls |= 1 << Columns.KAFKA_PARTITION;
        } else {
            Packed.setInt(packed, end - Packed.KAFKA_PARTITION, kafkaPartition);
        }
        if (kafkaOffset == null) {
            nulls |= 1 << Columns.KAFKA_OFFSET;
        } else {
            Packed.setLong(packed, end - Packed.KAFKA_OFFSET, kafkaOffset);
        }
        Packed.setInt(packed, Packed.NULLS, nulls);
        return packed;
    }
}
