package tidegate;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import org.apache.flink.avro.shaded.org.apache.avro.Schema;
import org.apache.flink.avro.shaded.org.apache.avro.generic.GenericData;
import org.apache.flink.avro.shaded.org.apache.avro.generic.GenericDatumReader;
import org.apache.flink.avro.shaded.org.apache.avro.io.ResolvingDecoder;
import org.apache.flink.avro.shaded.org.apache.avro.util.Utf8;
import org.apache.flink.formats.avro.AvroToRowDataConverters;
import org.apache.flink.formats.avro.AvroToRowDataConverters.AvroToRowDataConverter;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.types.logical.LogicalType;
import org.apache.flink.table.types.logical.LogicalTypeRoot;
import org.apache.flink.table.types.logical.RowType;

/**
 * Avro records read straight into rows. Avro's reader would make a record of objects first, and Flink's converter a row of
 * that, with each text decoded and encoded on the way; for a reading, that is most of what decoding costs. Columns of
 * other types than a reading's go that way still.
 */
final class RowReader extends GenericDatumReader<GenericRowData> {
    private final Column[] columns;
    private final int width;

    /** Reads one column's value; {@code in} stands before it. */
    private interface Column {
        Object read(ResolvingDecoder in) throws IOException;
    }

    /**
     * @param expected the contract projected to {@code columns}: a column for each field, in order
     * @param width of the rows, with columns behind that are left null
     */
    RowReader(Schema writer, Schema expected, RowType columns, int width, GenericData data) {
        super(writer, expected, data);
        this.width = width;
        this.columns = new Column[columns.getFieldCount()];
        for (int i = 0; i < this.columns.length; i++) {
            this.columns[i] = column(expected.getFields().get(i).schema(), columns.getTypeAt(i));
        }
    }

    @Override
    protected Object readRecord(Object old, Schema schema, ResolvingDecoder in) throws IOException {
        if (schema != getExpected()) {
            return super.readRecord(old, schema, in);
        }
        GenericRowData row = new GenericRowData(width);
        for (Schema.Field field : in.readFieldOrder()) {
            row.setField(field.pos(), columns[field.pos()].read(in));
        }
        return row;
    }

    private Column column(Schema schema, LogicalType type) {
        if (schema.isUnion()) {
            return union(schema.getTypes(), type);
        }
        return switch (schema.getType()) {
            case STRING -> in -> text(in.readString(null));
            case ENUM -> symbols(schema);
            case LONG -> type.is(LogicalTypeRoot.BIGINT) ? ResolvingDecoder::readLong : converted(schema, type);
            case INT -> type.is(LogicalTypeRoot.INTEGER) ? ResolvingDecoder::readInt : converted(schema, type);
            case DOUBLE -> ResolvingDecoder::readDouble;
            case BOOLEAN -> ResolvingDecoder::readBoolean;
            case NULL -> RowReader::nothing;
            default -> converted(schema, type);
        };
    }

    private Column union(List<Schema> branches, LogicalType type) {
        Column[] each = branches.stream().map(branch -> column(branch, type)).toArray(Column[]::new);
        return in -> each[in.readIndex()].read(in);
    }

    private static Object nothing(ResolvingDecoder in) throws IOException {
        in.readNull();
        return null;
    }

    private static Column symbols(Schema schema) {
        StringData[] symbols =
                schema.getEnumSymbols().stream().map(StringData::fromString).toArray(StringData[]::new);
        return in -> symbols[in.readEnum()];
    }

    /** Bytes that are no UTF-8 must not come through as they are: Python's decoder of them would end the worker. */
    private static StringData text(Utf8 read) {
        return isAscii(read)
                ? StringData.fromBytes(read.getBytes(), 0, read.getByteLength())
                : StringData.fromString(new String(read.getBytes(), 0, read.getByteLength(), StandardCharsets.UTF_8));
    }

    static boolean isAscii(Utf8 read) {
        byte[] bytes = read.getBytes();
        for (int i = 0; i < read.getByteLength(); i++) {
            if (bytes[i] < 0) {
                return false;
            }
        }
        return true;
    }

    /** Any other type as Flink has it: its converter takes a record, so the value is put into one of one field. */
    private Column converted(Schema schema, LogicalType type) {
        Schema single = Schema.createRecord("Single", null, null, false, List.of(new Schema.Field("only", schema)));
        AvroToRowDataConverter toRow = AvroToRowDataConverters.createRowConverter(RowType.of(type));
        return in -> {
            GenericData.Record record = new GenericData.Record(single);
            record.put(0, read(null, schema, in));
            return ((GenericRowData) toRow.convert(record)).getField(0);
        };
    }
}
