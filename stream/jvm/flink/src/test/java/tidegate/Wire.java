package tidegate;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.util.Random;
import org.apache.flink.avro.shaded.org.apache.avro.Schema;
import org.apache.flink.avro.shaded.org.apache.avro.generic.GenericData;
import org.apache.flink.avro.shaded.org.apache.avro.generic.GenericDatumWriter;
import org.apache.flink.avro.shaded.org.apache.avro.generic.GenericRecord;
import org.apache.flink.avro.shaded.org.apache.avro.generic.GenericRecordBuilder;
import org.apache.flink.avro.shaded.org.apache.avro.io.BinaryEncoder;
import org.apache.flink.avro.shaded.org.apache.avro.io.EncoderFactory;

/** Records in the Confluent wire format. */
final class Wire {
    static final Schema READING = new Schema.Parser().parse(ContractFile.reading());

    private Wire() {}

    static byte[] encode(int id, GenericRecord record) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        out.write(0);
        out.writeBytes(ByteBuffer.allocate(4).putInt(id).array());
        BinaryEncoder encoder = EncoderFactory.get().directBinaryEncoder(out, null);
        try {
            new GenericDatumWriter<GenericRecord>(record.getSchema()).write(record, encoder);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return out.toByteArray();
    }

    /** A reading of device {@code s.d<n>}, valued {@code n}. */
    static GenericRecord reading(int n) {
        return reading(READING, n, new Random(n));
    }

    static GenericRecord reading(Schema schema, int n, Random random) {
        return new GenericRecordBuilder(schema)
                .set("device_id", "s.d" + n)
                .set("metric", "temp\u00e9rature")
                .set("site", "s")
                .set("kind", new GenericData.EnumSymbol(schema.getField("kind").schema(), "READING"))
                .set("unit", random.nextBoolean() ? "C" : null)
                .set("gateway_id", "g")
                .set("gateway_epoch", random.nextLong())
                .set("value", (double) n)
                .set("ts", 1_700_000_000_000L + n)
                .set("device_ts", random.nextBoolean() ? 1_700_000_000_000L + n : null)
                .set("device_boot", null)
                .set("device_seq", random.nextBoolean() ? random.nextLong() : null)
                .set("quality", new GenericData.EnumSymbol(schema.getField("quality").schema(), "BAD"))
                .set("gateway_seq", random.nextLong())
                .set("part", random.nextInt())
                .set("repeat", 0)
                .set("received_ts", 1_700_000_000_000L + n)
                .set("clock", new GenericData.EnumSymbol(schema.getField("clock").schema(), "SYNCED"))
                .set("replayed", random.nextBoolean())
                .build();
    }
}
