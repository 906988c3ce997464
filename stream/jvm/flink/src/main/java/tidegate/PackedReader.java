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
    // Fields of Columns.READING.
    private static final int DEVICE = 0;
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
    private static final int CLOCK = 17;
    private static final int REPLAYED = 18;
    private static final int FIELDS = 19;
    /** The texts behind the device's, in the order of {@link Packed}. */
    private static final int[] TEXTS = {METRIC, SITE, UNIT, DEVICE_BOOT, GATEWAY_ID, KIND, QUALITY, CLOCK};

    private static final Utf8 MARKER = new Utf8("MARKER");
    private static final Utf8 BAD = new Utf8("BAD");

    private final Field[] fields = new Field[FIELDS];
    private final int width;
    private final int deviceAt;
    private final int packedAt;

    // Of the record that is being read.
    private final long[] numbers = new long[FIELDS];
    private final Utf8[] texts = new Utf8[FIELDS];
    private final Utf8[] own = new Utf8[FIELDS];
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
        for (int i = 0; i < FIELDS; i++) {
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
            Utf8 device = texts[DEVICE];
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
        Packed.setLong(bytes, Packed.TS, numbers[TS]);
        Packed.setLong(bytes, Packed.VALUE, numbers[VALUE]);
        Packed.setLong(bytes, Packed.DEVICE_TS, numbers[DEVICE_TS]);
        Packed.setLong(bytes, Packed.DEVICE_SEQ, numbers[DEVICE_SEQ]);
        Packed.setLong(bytes, Packed.GATEWAY_EPOCH, numbers[GATEWAY_EPOCH]);
        Packed.setLong(bytes, Packed.GATEWAY_SEQ, numbers[GATEWAY_SEQ]);
        Packed.setInt(bytes, Packed.PART, (int) numbers[PART]);
        Packed.setInt(bytes, Packed.REPEAT, (int) numbers[REPEAT]);
        Packed.setLong(bytes, bytes.length - Packed.RECEIVED_TS, numbers[RECEIVED_TS]);
        bytes[Packed.FLAGS] = flags();
        return bytes;
    }

    private byte flags() {
        boolean bad = BAD.equals(texts[QUALITY]) || !Double.isFinite(Double.longBitsToDouble(numbers[VALUE]));
        return (byte) ((bad ? Packed.BAD : 0)
                | (MARKER.equals(texts[KIND]) ? Packed.MARKER : 0)
                | (numbers[REPLAYED] == 1 ? Packed.REPLAYED : 0));
    }
}
