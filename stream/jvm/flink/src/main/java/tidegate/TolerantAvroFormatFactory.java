package tidegate;

import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import org.apache.flink.api.common.serialization.DeserializationSchema;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ReadableConfig;
import org.apache.flink.formats.avro.registry.confluent.AvroConfluentFormatOptions;
import org.apache.flink.formats.avro.registry.confluent.RegistryAvroFormatFactory;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.table.connector.ChangelogMode;
import org.apache.flink.table.connector.Projection;
import org.apache.flink.table.connector.format.DecodingFormat;
import org.apache.flink.table.connector.format.ProjectableDecodingFormat;
import org.apache.flink.table.connector.source.DynamicTableSource;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.factories.DeserializationFormatFactory;
import org.apache.flink.table.factories.DynamicTableFactory;
import org.apache.flink.table.factories.FactoryUtil;
import org.apache.flink.table.types.DataType;
import org.apache.flink.table.types.logical.RowType;
import org.apache.flink.table.types.utils.DataTypeUtils;

/**
 * The format {@code tidegate-avro}: Avro in the Confluent wire format, as Flink's {@code avro-confluent} reads it, except
 * that a record nobody can decode does not stop the job. It comes out as a row of nulls, with its bytes in the metadata
 * column {@code value.undecodable} and why in {@code value.reason}; both are null on a good row. Of a contract that is a
 * reading's, {@code value.packed} has all of it but its place in Kafka as one array, see {@link Packed}.
 *
 * <p>It is put together from the same parts as the stock format (registry client, Avro's reader, Flink's converter) rather
 * than around it: the stock decoder reads ahead, so bytes behind one record would be taken for the start of the next.
 */
public final class TolerantAvroFormatFactory implements DeserializationFormatFactory {
    private static final ConfigOption<String> URL = AvroConfluentFormatOptions.URL;
    private static final ConfigOption<String> SCHEMA = AvroConfluentFormatOptions.SCHEMA;

    @Override
    public String factoryIdentifier() {
        return "tidegate-avro";
    }

    @Override
    public Set<ConfigOption<?>> requiredOptions() {
        return Set.of(URL, SCHEMA);
    }

    /** The stock format's TLS and login options. */
    @Override
    public Set<ConfigOption<?>> optionalOptions() {
        Set<ConfigOption<?>> options = new HashSet<>(new RegistryAvroFormatFactory().optionalOptions());
        options.remove(SCHEMA);
        options.remove(AvroConfluentFormatOptions.SUBJECT);
        return options;
    }

    @Override
    public DecodingFormat<DeserializationSchema<RowData>> createDecodingFormat(
            DynamicTableFactory.Context context, ReadableConfig options) {
        FactoryUtil.validateFactoryOptions(this, options);
        checkUrl(options.get(URL));
        return new Decoding(
                options.get(URL), options.get(SCHEMA), RegistryAvroFormatFactory.buildOptionalPropertiesMap(options));
    }

    /** Refused when planned, since a registry that cannot be reached is waited for. */
    private static void checkUrl(String url) {
        if (!url.matches("https?://[^/\\s]\\S*")) {
            throw new ValidationException(
                    "Option 'url' is not a registry's address such as http://host:8080/apis/ccompat/v7: " + url);
        }
    }

    /** What the planner talks to: which metadata columns there are, and a decoder for the columns a query reads. */
    private static final class Decoding implements ProjectableDecodingFormat<DeserializationSchema<RowData>> {
        private final String url;
        private final String contract;
        private final Map<String, String> properties;
        private List<String> metadataKeys = List.of();

        Decoding(String url, String contract, Map<String, String> properties) {
            this.url = url;
            this.contract = contract;
            this.properties = properties;
        }

        @Override
        public Map<String, DataType> listReadableMetadata() {
            Map<String, DataType> metadata = new LinkedHashMap<>();
            metadata.put("undecodable", DataTypes.BYTES());
            metadata.put("reason", DataTypes.STRING());
            metadata.put("packed", DataTypes.BYTES());
            return metadata;
        }

        @Override
        public void applyReadableMetadata(List<String> keys) {
            metadataKeys = List.copyOf(keys);
        }

        @Override
        public DeserializationSchema<RowData> createRuntimeDecoder(
                DynamicTableSource.Context context, DataType physical, int[][] projections) {
            DataType columns = Projection.of(projections).project(physical);
            RowType rowType = (RowType) columns.getLogicalType();
            List<DataTypes.Field> added = metadataKeys.stream()
                    .map(key -> DataTypes.FIELD(key, listReadableMetadata().get(key)))
                    .toList();
            List<TolerantAvroDecoder.Metadata> shown = metadataKeys.stream()
                    .map(key -> TolerantAvroDecoder.Metadata.valueOf(key.toUpperCase(Locale.ROOT)))
                    .toList();
            boolean packed = shown.contains(TolerantAvroDecoder.Metadata.PACKED);
            RowType read = packed ? readInOne(rowType) : rowType;
            return new TolerantAvroDecoder(
                    Contract.project(contract, read), url, properties, rowType, shown,
                    context.createTypeInformation(DataTypeUtils.appendRowFields(columns, added)));
        }

        /** What is read for the column {@code packed}: all of a reading. */
        private static RowType readInOne(RowType columns) {
            if (!List.of("device_id").containsAll(columns.getFieldNames())) {
                throw new ValidationException("The column 'packed' stands for a whole reading; of the others only 'device_id' goes "
                        + "with it, not: " + String.join(", ", columns.getFieldNames()));
            }
            return Columns.reading();
        }

        @Override
        public ChangelogMode getChangelogMode() {
            return ChangelogMode.insertOnly();
        }
    }
}
