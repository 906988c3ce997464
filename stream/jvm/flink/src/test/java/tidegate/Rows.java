package tidegate;

import java.io.IOException;
import java.util.Arrays;
import org.apache.flink.core.memory.DataInputDeserializer;
import org.apache.flink.core.memory.DataOutputSerializer;
import org.apache.flink.core.memory.MemorySegmentFactory;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.binary.BinaryRowData;
import org.apache.flink.table.runtime.typeutils.RowDataSerializer;
import org.apache.flink.table.types.logical.RowType;
import org.apache.flink.table.types.logical.utils.LogicalTypeParser;

/** Rows as Flink hands them on: through its serializer. */
final class Rows {
    private Rows() {}

    static RowType type(String columns) {
        return (RowType) LogicalTypeParser.parse(columns, Rows.class.getClassLoader());
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
        BinaryRowData binary = new RowDataSerializer(type(Columns.INPUT)).toBinaryRow(input);
        byte[] memory = Arrays.copyOf(binary.getSegments()[0].getArray(), binary.getSizeInBytes());
        BinaryRowData row = new BinaryRowData(binary.getArity());
        row.pointTo(MemorySegmentFactory.wrap(memory), 0, memory.length);
        return new Reused(row, memory);
    }
}
