package tidegate;

import java.io.IOException;
import java.util.Arrays;
import org.apache.flink.core.memory.DataInputDeserializer;
import org.apache.flink.core.memory.DataOutputSerializer;
import org.apache.flink.core.memory.MemorySegmentFactory;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.data.binary.BinaryRowData;
import org.apache.flink.table.runtime.typeutils.RowDataSerializer;
import org.apache.flink.table.types.logical.RowType;
import org.apache.flink.table.types.logical.utils.LogicalTypeParser;

/** Rows as Flink hands them on: through its serializer. */
final class Rows {
    /** A row of the readings topic with where and when Kafka stored it. */
    static final String ROW = "ROW<" + Columns.READING + ", kts TIMESTAMP_LTZ(3), kafka_partition INT, kafka_offset BIGINT>";

    private Rows() {}

    static RowType type(String columns) {
        return (RowType) LogicalTypeParser.parse(columns, Rows.class.getClassLoader());
    }

    /** What the pane operator gets for a row of {@link Rows#ROW}. */
    static Arrival arrival(RowData row) {
        StringData[] t = new StringData[18];
        for (int column : new int[] {0, 1, 2, 3, 4, 5, 10, 12, 17}) {
            t[column] = row.isNullAt(column) ? null : row.getString(column);
        }
        byte[] packed = new Pack().eval(
                t[1], t[2], t[3], t[4], t[5], number(row, 6), row.isNullAt(7) ? null : row.getDouble(7), number(row, 8),
                number(row, 9), t[10], number(row, 11), t[12], number(row, 13), small(row, 14), small(row, 15),
                number(row, 16), t[17], row.isNullAt(18) ? null : row.getBoolean(18),
                row.isNullAt(19) ? null : row.getTimestamp(19, 3), small(row, 20), number(row, 21));
        return new Arrival(t[0], packed);
    }

    static Reading reading(RowData row) {
        Arrival arrival = arrival(row);
        return arrival.reading(new Origin(Packed.bytes(arrival.origin()), 0));
    }

    private static Long number(RowData row, int column) {
        return row.isNullAt(column) ? null : row.getLong(column);
    }

    private static Integer small(RowData row, int column) {
        return row.isNullAt(column) ? null : row.getInt(column);
    }

    static RowData throughBytes(String columns, RowData row) throws IOException {
        RowDataSerializer serializer = new RowDataSerializer(type(columns));
        DataOutputSerializer out = new DataOutputSerializer(256);
        serializer.serialize(row, out);
        return serializer.deserialize(new DataInputDeserializer(out.getCopyOfBuffer()));
    }

    /** A row in memory that will be used again. */
    record Reused(RowData row, byte[] memory) {
        void overwrite() {
            Arrays.fill(memory, (byte) 'x');
        }
    }

    static Reused reused(RowData input) {
        BinaryRowData binary = new RowDataSerializer(type(ROW)).toBinaryRow(input);
        byte[] memory = Arrays.copyOf(binary.getSegments()[0].getArray(), binary.getSizeInBytes());
        BinaryRowData row = new BinaryRowData(binary.getArity());
        row.pointTo(MemorySegmentFactory.wrap(memory), 0, memory.length);
        return new Reused(row, memory);
    }
}
