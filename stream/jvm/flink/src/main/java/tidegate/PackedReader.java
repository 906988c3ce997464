package tidegate;

import java.io.IOException;
import java.util.List;
import org.apache.flink.avro.shaded.org.apache.avro.Schema;
import org.apache.flink.avro.shaded.org.apache.avro.generic.GenericData;
import org.apache.flink.avro.shaded.org.apache.avro.generic.GenericDatumReader;
import org.apache.flink.avro.shaded.org.apache.avro.io.ResolvingDecoder;
import org.apache.flink.avro.shaded.org.apache.avro.util.Utf8;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.StringData;

/**
 * Readings read straight into the array that {@link Panes} takes, see {@link Packed}. As columns they would be objects each,
 * copied and checked for null one by one, and made into that array again: that cost more than the panes.
 */
final class PackedReader extends GenericDatumReader<GenericRowData> {
    /** The texts behind the device's, in the order of {@link Packed}. */
    private static final int[] TEXTS = {
        Columns.METRIC, Columns.SITE, Columns.UNIT, Columns.DEVICE_BOOT, Columns.GATEWAY_ID, Columns.KIND, Columns.QUALITY,
        Columns.CLOCK
    };

    private static final Utf8 MARKER = new Utf8("MARKER");
    private static final Utf8 BAD = new Utf8("BAD");
    private static final Utf8 UNSYNCED = new Utf8("UNSYNCED");

    private final Field[] fields = new Field[Columns.FIELDS];
    private final int width;
    private final int deviceAt;
    private final int packedAt;

    // Of the record that is being read.
    private final long[] numbers = new long[Columns.FIELDS];
    private final Utf8[] texts = new Utf8[Columns.FIELDS];
    private final Utf8[] own = new Utf8[Columns.FIELDS];
    private int nulls;

    /** Reads one field into its place; {@code in} stands before it. */
    private interface Field {
        void read(ResolvingDecoder in) throws IOException;
    }

    /**
     * @param expected the contract projected to {@link Columns#READING}
     * @param width of the rows
     * @param deviceAt where the device's name goes in a row, or -1
     * @param packedAt where the array goes
     */
    PackedReader(Schema writer, Schema expected, int width, int deviceAt, int packedAt, GenericData data) {
        super(writer, expected, data);
        this.width = width;
        this.deviceAt = deviceAt;
        this.packedAt = packedAt;
        for (int i = 0; i < Columns.FIELDS; i++) {
            own[i] = new Utf8();
            fields[i] = field(i, expected.getFields().get(i).schema());
        }
    }

    private Field field(int at, Schema schema) {
        return switch (schema.getType()) {
            case UNION -> union(schema.getTypes().stream().map(branch -> field(at, branch)).toArray(Field[]::new));
            case STRING -> in -> texts[at] = sound(own[at] = in.readString(own[at]));
            case ENUM -> symbols(at, schema.getEnumSymbols().stream().map(Utf8::new).toArray(Utf8[]::new));
            case LONG -> in -> numbers[at] = in.readLong();
            case INT -> in -> numbers[at] = in.readInt();
            case DOUBLE -> in -> numbers[at] = Double.doubleToRawLongBits(in.readDouble());
            case BOOLEAN -> in -> numbers[at] = in.readBoolean() ? 1 : 0;
            case NULL -> in -> {
                in.readNull();
                texts[at] = null;
                numbers[at] = 0;
                nulls |= 1 << at;
            };
            default -> throw new IllegalArgumentException("no field of a reading: " + schema);
        };
    }

    private static Field union(Field[] branches) {
        return in -> branches[in.readIndex()].read(in);
    }

    private Field symbols(int at, Utf8[] symbols) {
        return in -> texts[at] = symbols[in.readEnum()];
    }

    /** Bytes that are no UTF-8 must not come through as they are, see {@link RowReader}. */
    private static Utf8 sound(Utf8 read) {
        return RowReader.isAscii(read) ? read : new Utf8(read.toString());
    }

    @Override
    protected Object readRecord(Object old, Schema schema, ResolvingDecoder in) throws IOException {
        if (schema != getExpected()) {
            return super.readRecord(old, schema, in);
        }
        nulls = 0;
        for (Schema.Field field : in.readFieldOrder()) {
            fields[field.pos()].read(in);
        }
        GenericRowData row = new GenericRowData(width);
        if (deviceAt >= 0) {
            Utf8 device = texts[Columns.DEVICE];
            // The record's own bytes are read over by the next one.
            row.setField(deviceAt, StringData.fromBytes(device.getBytes().clone(), 0, device.getByteLength()));
        }
        row.setField(packedAt, packed());
        return row;
    }

    private byte[] packed() {
        int size = 0;
        for (int text : TEXTS) {
            size += texts[text] == null ? 0 : texts[text].getByteLength();
        }
        byte[] bytes = Packed.ofSize(size);
        int at = Packed.TEXTS;
        for (int text : TEXTS) {
            Utf8 read = texts[text];
            at = read == null ? Packed.putNull(bytes, at) : Packed.putText(bytes, at, read.getBytes(), read.getByteLength());
        }
        Packed.setInt(bytes, Packed.NULLS, nulls);
        Packed.setLong(bytes, Packed.TS, numbers[Columns.TS]);
        Packed.setLong(bytes, Packed.VALUE, numbers[Columns.VALUE]);
        Packed.setLong(bytes, Packed.DEVICE_TS, numbers[Columns.DEVICE_TS]);
        Packed.setLong(bytes, Packed.DEVICE_SEQ, numbers[Columns.DEVICE_SEQ]);
        Packed.setLong(bytes, Packed.GATEWAY_EPOCH, numbers[Columns.GATEWAY_EPOCH]);
        Packed.setLong(bytes, Packed.GATEWAY_SEQ, numbers[Columns.GATEWAY_SEQ]);
        Packed.setInt(bytes, Packed.PART, (int) numbers[Columns.PART]);
        Packed.setInt(bytes, Packed.REPEAT, (int) numbers[Columns.REPEAT]);
        Packed.setLong(bytes, bytes.length - Packed.RECEIVED_TS, numbers[Columns.RECEIVED_TS]);
        bytes[Packed.FLAGS] = flags();
        return bytes;
    }

    private byte flags() {
        boolean bad = BAD.equals(texts[Columns.QUALITY]) || !Double.isFinite(Double.longBitsToDouble(numbers[Columns.VALUE]));
        return (byte) ((bad ? Packed.BAD : 0)
                | (MARKER.equals(texts[Columns.KIND]) ? Packed.MARKER : 0)
                | (UNSYNCED.equals(texts[Columns.CLOCK]) ? Packed.UNSYNCED : 0)
                | (numbers[Columns.REPLAYED] == 1 ? Packed.REPLAYED : 0));
    }
}
