package tidegate;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.Random;
import org.apache.flink.avro.shaded.org.apache.avro.Schema;
import org.apache.flink.avro.shaded.org.apache.avro.generic.GenericData;
import org.apache.flink.avro.shaded.org.apache.avro.generic.GenericRecord;
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.TimestampData;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** A reading read straight into one array against the same one read as columns and packed by {@link Pack}. */
class PackedReaderTest {
    private static final int ID = 7;
    private static final int OTHER = 8;
    private static final RowData.FieldGetter[] FIELDS = OpenDecoder.getters(OpenDecoder.columns(OpenDecoder.ALL_COLUMNS));
    private static final String[] TEXTS = {"", "plant", "m\u00b3/h", "\ud83d\udd25 hot", "x".repeat(300)};
    private static final double[] VALUES = {0.0, -0.0, 1.5, Double.NaN, Double.POSITIVE_INFINITY};

    private FakeRegistry registry;
    private OpenDecoder columns;
    private OpenDecoder packed;

    @BeforeEach
    void start() throws Exception {
        registry = new FakeRegistry().up();
        registry.schemas.put(ID, ContractFile.reading());
        columns = OpenDecoder.of(registry.url(), OpenDecoder.ALL_COLUMNS);
        packed = OpenDecoder.packed(registry.url(), "device_id STRING");
    }

    @AfterEach
    void stop() {
        registry.close();
    }

    @Test
    void readingsAreWhatTheirColumnsMakeOfThem() throws Exception {
        Random random = new Random(1);
        for (int n = 0; n < 3000; n++) {
            assertSame(Wire.encode(ID, varied(n, random)), random);
        }
    }

    @Test
    void anOlderProducersReadingsHaveTheContractsDefaults() throws Exception {
        OtherWriter older = new OtherWriter(new OtherWriter(Wire.READING).without("device_boot"));
        registry.schemas.put(OTHER, older.schema().toString());
        Random random = new Random(2);
        for (int n = 0; n < 100; n++) {
            assertSame(Wire.encode(OTHER, older.reading(n)), random);
            assertSame(Wire.encode(ID, varied(n, random)), random);
        }
    }

    @Test
    void aBadRecordLeavesNothingBehindForTheNext() throws Exception {
        Random random = new Random(3);
        for (int n = 0; n < 300; n++) {
            byte[] whole = Wire.encode(ID, varied(n, random));
            RowData bad = packed.read(Arrays.copyOf(whole, 5 + random.nextInt(whole.length - 5)));
            assertTrue(bad.isNullAt(0) && bad.isNullAt(1), "no device, no reading");
            assertTrue(packed.reason(bad).contains("schema 7"), packed.reason(bad));
            assertSame(Wire.encode(ID, varied(n + 1, random)), random);
        }
    }

    @Test
    void textThatIsNoUtf8IsMendedInBothForms() throws Exception {
        byte[] message = Wire.encode(ID, Wire.reading(1));
        for (int i = 5; i < message.length; i++) {
            if (message[i] == (byte) 0xc3) {
                message[i] = (byte) 0xff;
                assertSame(message, new Random(4));
                return;
            }
        }
        throw new AssertionError("the reading has no letter of two bytes");
    }

    @Test
    void rowsOutliveTheReader() throws Exception {
        RowData first = packed.read(Wire.encode(ID, Wire.reading(1)));
        byte[] before = first.getBinary(1).clone();
        packed.read(Wire.encode(ID, Wire.reading(2222)));
        assertEquals("s.d1", first.getString(0).toString());
        assertArrayEquals(before, first.getBinary(1));
    }

    @Test
    void otherColumnsBesideAreRefusedWhenPlanned() {
        ValidationException refused = assertThrows(
                ValidationException.class, () -> OpenDecoder.packed(registry.url(), "device_id STRING, `value` DOUBLE"));
        assertTrue(refused.getMessage().contains("device_id, value"), refused.getMessage());
    }

    @Test
    void theDeviceNeedNotBeAsked() throws Exception {
        OpenDecoder alone = OpenDecoder.packed(registry.url(), "");
        byte[] message = Wire.encode(ID, Wire.reading(5));
        assertArrayEquals(packed.read(message).getBinary(1), alone.read(message).getBinary(0));
    }

    private void assertSame(byte[] message, Random random) throws Exception {
        TimestampData kafkaTime = random.nextInt(9) == 0 ? null : TimestampData.fromEpochMillis(1_700_000_000_500L);
        Integer partition = random.nextInt(9) == 0 ? null : (Integer) random.nextInt(100);
        Long offset = random.nextInt(9) == 0 ? null : (Long) random.nextLong();
        RowData read = columns.read(message);
        GenericRowData row = new GenericRowData(FIELDS.length + 3);
        for (int i = 0; i < FIELDS.length; i++) {
            row.setField(i, FIELDS[i].getFieldOrNull(read));
        }
        row.setField(FIELDS.length, kafkaTime);
        row.setField(FIELDS.length + 1, partition);
        row.setField(FIELDS.length + 2, offset);
        Arrival expected = Rows.arrival(row);
        RowData ours = packed.read(message);
        assertEquals(expected.deviceId(), ours.getString(0));
        assertArrayEquals(expected.bytes(), new Place().eval(ours.getBinary(1), kafkaTime, partition, offset));
        assertTrue(ours.isNullAt(2) && ours.isNullAt(3));
    }

    private static GenericRecord varied(int n, Random random) {
        GenericRecord reading = Wire.reading(n);
        reading.put("metric", TEXTS[random.nextInt(TEXTS.length)]);
        reading.put("site", TEXTS[random.nextInt(TEXTS.length)]);
        reading.put("device_boot", random.nextBoolean() ? TEXTS[random.nextInt(TEXTS.length)] : null);
        reading.put("gateway_id", TEXTS[random.nextInt(TEXTS.length)]);
        reading.put("value", VALUES[random.nextInt(VALUES.length)]);
        reading.put("ts", 1_700_000_000_000L + random.nextInt(1000));
        reading.put("kind", symbol("kind", random));
        reading.put("quality", symbol("quality", random));
        reading.put("clock", symbol("clock", random));
        return reading;
    }

    private static GenericData.EnumSymbol symbol(String field, Random random) {
        Schema schema = Wire.READING.getField(field).schema();
        return new GenericData.EnumSymbol(schema, schema.getEnumSymbols().get(random.nextInt(schema.getEnumSymbols().size())));
    }
}
