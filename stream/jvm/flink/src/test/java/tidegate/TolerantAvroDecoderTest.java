package tidegate;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.util.Arrays;
import java.util.Random;
import org.apache.flink.avro.shaded.org.apache.avro.Schema;
import org.apache.flink.formats.avro.AvroRowDataDeserializationSchema;
import org.apache.flink.formats.avro.AvroToRowDataConverters;
import org.apache.flink.formats.avro.registry.confluent.ConfluentRegistryAvroDeserializationSchema;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.types.logical.RowType;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class TolerantAvroDecoderTest {
    private static final int ID = 7;
    private FakeRegistry registry;
    private OpenDecoder decoder;

    @BeforeEach
    void start() throws Exception {
        registry = new FakeRegistry().up();
        registry.schemas.put(ID, ContractFile.reading());
        decoder = OpenDecoder.of(registry.url(), OpenDecoder.ALL_COLUMNS);
    }

    @AfterEach
    void stop() {
        registry.close();
    }

    @Test
    void goodRecordsAreReadAsTheStockFormatReadsThem() throws Exception {
        RowType columns = OpenDecoder.columns(OpenDecoder.ALL_COLUMNS);
        Schema reader = Contract.project(ContractFile.reading(), columns);
        AvroRowDataDeserializationSchema stock = new AvroRowDataDeserializationSchema(
                ConfluentRegistryAvroDeserializationSchema.forGeneric(reader, registry.url()),
                AvroToRowDataConverters.createRowConverter(columns), null);
        stock.open(null);
        RowData.FieldGetter[] fields = OpenDecoder.getters(columns);
        for (int n = 0; n < 1000; n++) {
            byte[] message = Wire.encode(ID, Wire.reading(n));
            RowData ours = decoder.read(message);
            RowData theirs = stock.deserialize(message);
            for (int i = 0; i < fields.length; i++) {
                assertEquals(fields[i].getFieldOrNull(theirs), fields[i].getFieldOrNull(ours));
            }
            assertTrue(ours.isNullAt(fields.length) && ours.isNullAt(fields.length + 1));
        }
        assertEquals(0, decoder.undecodable());
    }

    @Test
    void afterATruncatedRecordTheGoodOnesAreGood() throws Exception {
        byte[] message = Wire.encode(ID, Wire.reading(1));
        assertUndecodable(Arrays.copyOf(message, message.length - 3), "not a record of schema 7: it is cut off");
        for (int n = 0; n < 1000; n++) {
            assertEquals(n, decoder.read(Wire.encode(ID, Wire.reading(n))).getDouble(7));
        }
        assertEquals(1, decoder.undecodable());
        assertEquals(1, registry.requests.get(), "a bad record is not the registry's concern");
    }

    @Test
    void bytesBehindARecordMakeItUndecodableAndDoNotReachTheNext() throws Exception {
        byte[] message = Wire.encode(ID, Wire.reading(1));
        assertUndecodable(Arrays.copyOf(message, message.length + 2), "2 bytes behind the end");
        assertEquals(5.0, decoder.read(Wire.encode(ID, Wire.reading(5))).getDouble(7));
    }

    @Test
    void tombstonesEmptyValuesAndForeignFramingAreUndecodable() throws Exception {
        RowData tombstone = decoder.read(null);
        assertEquals("tombstone (a null value)", decoder.reason(tombstone));
        assertArrayEquals(new byte[0], decoder.bytes(tombstone));
        assertUndecodable(new byte[0], "empty value");
        assertUndecodable(new byte[] {0, 0, 0}, "cut off");
        assertUndecodable("{\"value\": 1}".getBytes(), "the first byte is 123");
        assertEquals(0, registry.requests.get());
    }

    @Test
    void aLengthBeyondTheRecordIsNotBelieved() throws Exception {
        // The first field's length as Avro writes it: 1 500 000 000. Avro's own decoder would ask for that much memory.
        byte[] message = {0, 0, 0, 0, ID, (byte) 0x80, (byte) 0xbc, (byte) 0xc1, (byte) 0x96, 0x0b, 1, 2, 3};
        assertUndecodable(message, "a length of 1500000000 with 3 bytes left");
    }

    @Test
    void aNegativeLengthOfAColumnNobodyReadsLeadsNowhere() throws Exception {
        OpenDecoder some = OpenDecoder.of(registry.url(), "`value` DOUBLE");
        // device_id is skipped; its length is -1, which would step back over itself
        byte[] message = Wire.encode(ID, Wire.reading(1));
        message[5] = 1;
        RowData row = some.read(message);
        assertTrue(some.reason(row).contains("a length of -1"), some.reason(row));
    }

    @Test
    void noChangeOfAnyByteStopsTheJob() throws Exception {
        Random random = new Random(4);
        byte[] good = Wire.encode(ID, Wire.reading(3));
        for (int i = 0; i < 20_000; i++) {
            byte[] message = Arrays.copyOf(good, random.nextInt(good.length + 20));
            for (int change = random.nextInt(3); change > 0 && message.length > 5; change--) {
                message[5 + random.nextInt(message.length - 5)] = (byte) random.nextInt();
            }
            RowData row = decoder.read(message);
            assertEquals(row.isNullAt(0), decoder.reason(row) != null);
        }
        assertEquals(3.0, decoder.read(good).getDouble(7));
    }

    @Test
    void anUnknownSchemaIdIsUndecodableUntilTheRegistryHasIt() throws Exception {
        byte[] message = Wire.encode(9, Wire.reading(1));
        assertUndecodable(message, "the registry has no schema 9");
        registry.schemas.put(9, ContractFile.reading());
        long giveUp = System.nanoTime() + 10_000_000_000L;
        while (decoder.read(message).isNullAt(0)) {
            assertTrue(System.nanoTime() < giveUp, "still unknown after 10 s");
            Thread.onSpinWait();
        }
        assertEquals(2, registry.requests.get(), "a flood of unknown ids must not become a flood of requests");
    }

    @Test
    void aSchemaThatIsNotAvroIsUndecodable() throws Exception {
        registry.schemas.put(9, "syntax = \"proto3\";");
        assertUndecodable(Wire.encode(9, Wire.reading(1)), "schema 9 is not plain Avro");
    }

    @Test
    void aRegistryInTroubleIsAskedAgainAndNothingBecomesUndecodable() throws Exception {
        registry.troubles.add(new FakeRegistry.Trouble(500, "{\"error_code\":50001,\"message\":\"store\"}"));
        registry.troubles.add(new FakeRegistry.Trouble(404, "<html>no such page, a wrong path or proxy</html>"));
        registry.troubles.add(new FakeRegistry.Trouble(401, "{\"error_code\":401,\"message\":\"who are you\"}"));
        assertEquals(1.0, decoder.read(Wire.encode(ID, Wire.reading(1))).getDouble(7));
        assertEquals(4, registry.requests.get());
        assertEquals(0, decoder.undecodable());
    }

    @Test
    void aRegistryThatIsDownIsWaitedFor() throws Exception {
        try (FakeRegistry late = new FakeRegistry()) {
            late.schemas.put(ID, ContractFile.reading());
            OpenDecoder waiting = OpenDecoder.of(late.url(), OpenDecoder.ALL_COLUMNS);
            InThread<RowData> read = InThread.run(() -> waiting.read(Wire.encode(ID, Wire.reading(1))));
            read.awaitSleeping();
            late.up();
            assertEquals(1.0, read.result().getDouble(7));
            assertEquals(0, waiting.undecodable());
        }
    }

    @Test
    void aCancelledJobDoesNotWaitForTheRegistry() throws Exception {
        try (FakeRegistry never = new FakeRegistry()) {
            OpenDecoder waiting = OpenDecoder.of(never.url(), OpenDecoder.ALL_COLUMNS);
            InThread<RowData> read = InThread.run(() -> waiting.read(Wire.encode(ID, Wire.reading(1))));
            read.awaitSleeping();
            read.interrupt();
            Throwable failure = read.failure();
            assertTrue(failure instanceof IOException && failure.getMessage().contains("Interrupted"), failure::toString);
        }
    }

    @Test
    void columnsAreTakenByNameInAnyOrder() throws Exception {
        OpenDecoder some = OpenDecoder.of(registry.url(), "`value` DOUBLE, kind STRING, device_id STRING, device_ts BIGINT");
        RowData row = some.read(Wire.encode(ID, Wire.reading(2)));
        assertEquals(2.0, row.getDouble(0));
        assertEquals("READING", row.getString(1).toString());
        assertEquals("s.d2", row.getString(2).toString());
        assertUndecodable(some, new byte[] {1}, "the first byte is 1");
    }

    @Test
    void writersOlderAndNewerThanTheContractAreRead() throws Exception {
        String older = without(ContractFile.reading(), "device_seq");
        String newer = ContractFile.reading().replaceFirst("\"fields\": \\[",
                "\"fields\": [{\"name\":\"tags\",\"type\":{\"type\":\"map\",\"values\":\"string\"},\"default\":{}},");
        for (String writer : new String[] {older, newer}) {
            registry.schemas.put(8, writer);
            OpenDecoder fresh = OpenDecoder.of(registry.url(), OpenDecoder.ALL_COLUMNS);
            Schema schema = new Schema.Parser().parse(writer);
            RowData row = fresh.read(Wire.encode(8, new OtherWriter(schema).reading(4)));
            assertEquals(4.0, row.getDouble(7), writer);
        }
    }

    private static String without(String contract, String field) {
        return new OtherWriter(new Schema.Parser().parse(contract)).without(field).toString();
    }

    private void assertUndecodable(byte[] message, String reason) throws IOException {
        assertUndecodable(decoder, message, reason);
    }

    private static void assertUndecodable(OpenDecoder decoder, byte[] message, String reason) throws IOException {
        RowData row = decoder.read(message);
        assertNotNull(decoder.reason(row));
        assertTrue(decoder.reason(row).contains(reason), decoder.reason(row));
        assertArrayEquals(message, decoder.bytes(row));
        assertTrue(row.isNullAt(0));
        assertFalse(row.isNullAt(row.getArity() - 1));
        assertNull(row.isNullAt(1) ? null : "a column has a value");
    }
}
