package tidegate;

import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.data.TimestampData;
import org.apache.flink.table.functions.ScalarFunction;

/** A row as {@link Panes} takes it, column by column: what {@link PackedReader} and {@link Place} are held against. */
public class Pack extends ScalarFunction {
    private static final long serialVersionUID = 1L;
    private static final StringData MARKER = StringData.fromString("MARKER");
    private static final StringData UNSYNCED = StringData.fromString("UNSYNCED");
    private static final StringData BAD = StringData.fromString("BAD");

    /** The columns of {@link Rows#ROW} in their order, without the first. */
    public byte[] eval(
            @DataTypeHint(value = "STRING", bridgedTo = StringData.class) StringData metric,
            @DataTypeHint(value = "STRING", bridgedTo = StringData.class) StringData site,
            @DataTypeHint(value = "STRING", bridgedTo = StringData.class) StringData kind,
            @DataTypeHint(value = "STRING", bridgedTo = StringData.class) StringData unit,
            @DataTypeHint(value = "STRING", bridgedTo = StringData.class) StringData gatewayId,
            Long gatewayEpoch,
            Double value,
            Long ts,
            Long deviceTs,
            @DataTypeHint(value = "STRING", bridgedTo = StringData.class) StringData deviceBoot,
            Long deviceSeq,
            @DataTypeHint(value = "STRING", bridgedTo = StringData.class) StringData quality,
            Long gatewaySeq,
            Integer part,
            Integer repeat,
            Long receivedTs,
            @DataTypeHint(value = "STRING", bridgedTo = StringData.class) StringData clock,
            Boolean replayed,
            @DataTypeHint(value = "TIMESTAMP_LTZ(3)", bridgedTo = TimestampData.class) TimestampData kafkaTime,
            Integer kafkaPartition,
            Long kafkaOffset) {
        byte[] bytes = with(metric, site, unit, deviceBoot, gatewayId, kind, quality, clock);
        int end = bytes.length;
        Packed.setInt(bytes, Packed.NULLS, nulls(
                metric, site, kind, unit, gatewayId, gatewayEpoch, value, ts, deviceTs, deviceBoot, deviceSeq, quality,
                gatewaySeq, part, repeat, receivedTs, clock, replayed, kafkaTime, kafkaPartition, kafkaOffset));
        Packed.setLong(bytes, Packed.TS, zeroed(ts));
        Packed.setLong(bytes, Packed.VALUE, value == null ? 0 : Double.doubleToRawLongBits(value));
        Packed.setLong(bytes, Packed.DEVICE_TS, zeroed(deviceTs));
        Packed.setLong(bytes, Packed.DEVICE_SEQ, zeroed(deviceSeq));
        Packed.setLong(bytes, Packed.GATEWAY_EPOCH, zeroed(gatewayEpoch));
        Packed.setLong(bytes, Packed.GATEWAY_SEQ, zeroed(gatewaySeq));
        Packed.setInt(bytes, Packed.PART, part == null ? 0 : part);
        Packed.setInt(bytes, Packed.REPEAT, repeat == null ? 0 : repeat);
        bytes[Packed.FLAGS] = flags(kind, quality, value, clock, replayed, isAhead(ts, kafkaTime));
        Packed.setLong(bytes, end - Packed.RECEIVED_TS, zeroed(receivedTs));
        Packed.setLong(bytes, end - Packed.KAFKA_TS, kafkaTime == null ? 0 : kafkaTime.getMillisecond());
        Packed.setLong(bytes, end - Packed.KAFKA_OFFSET, zeroed(kafkaOffset));
        Packed.setInt(bytes, end - Packed.KAFKA_PARTITION, kafkaPartition == null ? 0 : kafkaPartition);
        return bytes;
    }

    private static byte[] with(StringData... texts) {
        int size = 0;
        for (StringData text : texts) {
            size += text == null ? 0 : text.toBytes().length;
        }
        byte[] bytes = Packed.ofSize(size);
        int at = Packed.TEXTS;
        for (StringData text : texts) {
            at = text == null ? Packed.putNull(bytes, at) : Packed.putText(bytes, at, text.toBytes(), text.toBytes().length);
        }
        return bytes;
    }

    /** Bit n is column n of {@link Rows#ROW}; the first, the device, is never null. */
    private static int nulls(Object... columns) {
        int nulls = 0;
        for (int i = 0; i < columns.length; i++) {
            if (columns[i] == null) {
                nulls |= 1 << i + 1;
            }
        }
        return nulls;
    }

    private static boolean isAhead(Long ts, TimestampData kafkaTime) {
        return ts != null && kafkaTime != null && ts > kafkaTime.getMillisecond();
    }

    private static byte flags(
            StringData kind, StringData quality, Double value, StringData clock, Boolean replayed, boolean ahead) {
        boolean bad = BAD.equals(quality) || value != null && !Double.isFinite(value);
        return (byte) ((bad ? Packed.BAD : 0)
                | (MARKER.equals(kind) ? Packed.MARKER : 0)
                | (Boolean.TRUE.equals(replayed) ? Packed.REPLAYED : 0)
                | (UNSYNCED.equals(clock) ? Packed.UNSYNCED : 0)
                | (ahead ? Packed.AHEAD : 0));
    }

    private static long zeroed(Long number) {
        return number == null ? 0 : number;
    }
}
