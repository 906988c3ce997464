package tidegate;

import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.flink.api.common.serialization.DeserializationSchema;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.avro.shaded.org.apache.avro.Schema;
import org.apache.flink.avro.shaded.org.apache.avro.generic.GenericData;
import org.apache.flink.avro.shaded.org.apache.avro.generic.GenericDatumReader;
import org.apache.flink.metrics.Counter;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.types.logical.RowType;

/**
 * Bytes in, a row out, always: what cannot be decoded becomes a row of nulls with the bytes and the reason in its
 * metadata columns. See {@link TolerantAvroFormatFactory}.
 */
final class TolerantAvroDecoder implements DeserializationSchema<RowData> {
    private static final long serialVersionUID = 1L;
    /** A zero byte and the schema's id as four bytes, the most significant first. */
    private static final int HEADER = 5;

    /** What a metadata column shows: of a bad record the bytes or the reason, of a good one the reading as one array. */
    enum Metadata { UNDECODABLE, REASON, PACKED }

    private final String readerSchema;
    private final String url;
    private final HashMap<String, String> properties;
    private final RowType columns;
    private final Metadata[] metadata;
    private final TypeInformation<RowData> produced;

    private transient Schema expected;
    private transient Registry registry;
    private transient BoundedDecoder bytes;
    private transient Map<Integer, GenericDatumReader<GenericRowData>> readers;
    private transient Counter numUndecodable;

    /**
     * @param reader the contract projected to {@code columns}, or to {@link Columns#READING} with the metadata PACKED: then
     *     {@code columns} is the device, or nothing
     * @param properties the registry client's settings, or null
     * @param metadata the metadata columns behind the others, in order
     */
    TolerantAvroDecoder(
            Schema reader,
            String url,
            Map<String, String> properties,
            RowType columns,
            List<Metadata> metadata,
            TypeInformation<RowData> produced) {
        this.readerSchema = reader.toString();
        this.url = url;
        this.properties = properties == null ? null : new HashMap<>(properties);
        this.columns = columns;
        this.metadata = metadata.toArray(new Metadata[0]);
        this.produced = produced;
    }

    @Override
    public void open(InitializationContext context) {
        expected = new Schema.Parser().parse(readerSchema);
        registry = new Registry(url, properties);
        bytes = new BoundedDecoder();
        readers = new HashMap<>();
        numUndecodable = context.getMetricGroup().counter("numUndecodable");
    }

    @Override
    public RowData deserialize(byte[] message) throws IOException {
        try {
            return decode(message);
        } catch (Undecodable e) {
            numUndecodable.inc();
            return bad(message, e.getMessage());
        }
    }

    private GenericRowData decode(byte[] message) throws IOException, Undecodable {
        int id = schemaId(message);
        GenericDatumReader<GenericRowData> reader = reader(id);
        bytes.start(message, HEADER);
        int left;
        GenericRowData row;
        try {
            row = reader.read(null, bytes);
            left = bytes.left();
        } catch (IOException | RuntimeException e) {
            // Avro says "not such a record" by half a dozen exceptions of its own and Java's. Neither decoder nor reader
            // remember where they stopped: both begin anew with each record.
            throw new Undecodable("not a record of schema " + id + ": " + reason(e));
        }
        if (left > 0) {
            throw new Undecodable(left + " bytes behind the end of a record of schema " + id);
        }
        return row;
    }

    /** Avro leaves the message of most ends of input empty. */
    private static String reason(Exception e) {
        return e instanceof EOFException && e.getMessage() == null ? "it is cut off" : e.toString();
    }

    private static int schemaId(byte[] message) throws Undecodable {
        if (message == null) {
            throw new Undecodable("tombstone (a null value)");
        }
        if (message.length == 0) {
            throw new Undecodable("empty value");
        }
        if (message[0] != 0) {
            throw new Undecodable("the first byte is " + (message[0] & 0xff) + ", not the 0 of the Confluent wire format");
        }
        if (message.length < HEADER) {
            throw new Undecodable("only " + message.length + " bytes, the schema id is cut off");
        }
        return ByteBuffer.wrap(message).getInt(1);
    }

    private GenericDatumReader<GenericRowData> reader(int id) throws IOException, Undecodable {
        GenericDatumReader<GenericRowData> known = readers.get(id);
        if (known != null) {
            return known;
        }
        GenericData data = new GenericData(Thread.currentThread().getContextClassLoader());
        Schema writer = registry.schema(id);
        int packed = Arrays.asList(metadata).indexOf(Metadata.PACKED);
        GenericDatumReader<GenericRowData> fresh = packed < 0
                ? new RowReader(writer, expected, columns, width(), data)
                : new PackedReader(
                        writer, expected, width(), columns.getFieldCount() - 1, columns.getFieldCount() + packed, data);
        readers.put(id, fresh);
        return fresh;
    }

    private int width() {
        return columns.getFieldCount() + metadata.length;
    }

    private RowData bad(byte[] message, String reason) {
        GenericRowData row = new GenericRowData(width());
        for (int i = 0; i < metadata.length; i++) {
            Object shown = switch (metadata[i]) {
                case UNDECODABLE -> message == null ? new byte[0] : message;
                case REASON -> StringData.fromString(reason);
                case PACKED -> null;
            };
            row.setField(columns.getFieldCount() + i, shown);
        }
        return row;
    }

    @Override
    public boolean isEndOfStream(RowData row) {
        return false;
    }

    @Override
    public TypeInformation<RowData> getProducedType() {
        return produced;
    }
}
