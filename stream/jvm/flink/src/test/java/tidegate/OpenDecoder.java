package tidegate;

import java.io.IOException;
import java.util.List;
import org.apache.flink.api.common.serialization.DeserializationSchema;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.metrics.Counter;
import org.apache.flink.metrics.MetricGroup;
import org.apache.flink.metrics.SimpleCounter;
import org.apache.flink.metrics.groups.UnregisteredMetricsGroup;
import org.apache.flink.table.connector.Projection;
import org.apache.flink.table.connector.format.ProjectableDecodingFormat;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.runtime.connector.source.ScanRuntimeProviderContext;
import org.apache.flink.table.types.DataType;
import org.apache.flink.table.types.logical.RowType;
import org.apache.flink.table.types.logical.utils.LogicalTypeParser;
import org.apache.flink.table.types.utils.TypeConversions;
import org.apache.flink.util.InstantiationUtil;
import org.apache.flink.util.SimpleUserCodeClassLoader;
import org.apache.flink.util.UserCodeClassLoader;

/** A decoder as a job has it: planned by the factory, shipped as bytes, opened. Both metadata columns come last. */
final class OpenDecoder {
    static final String ALL_COLUMNS = Columns.READING;

    private final DeserializationSchema<RowData> schema;
    private final SimpleCounter counter = new SimpleCounter();

    private OpenDecoder(DeserializationSchema<RowData> schema) throws Exception {
        ClassLoader loader = getClass().getClassLoader();
        this.schema = InstantiationUtil.deserializeObject(InstantiationUtil.serializeObject(schema), loader);
        this.schema.open(new DeserializationSchema.InitializationContext() {
            @Override
            public MetricGroup getMetricGroup() {
                return new OneCounter(counter);
            }

            @Override
            public UserCodeClassLoader getUserCodeClassLoader() {
                return SimpleUserCodeClassLoader.create(loader);
            }
        });
    }

    /** The metrics of a task, of which only {@code numUndecodable} is kept. */
    private static final class OneCounter extends UnregisteredMetricsGroup {
        private final SimpleCounter counter;

        OneCounter(SimpleCounter counter) {
            this.counter = counter;
        }

        @Override
        public Counter counter(String name) {
            return name.equals("numUndecodable") ? counter : super.counter(name);
        }
    }

    static OpenDecoder of(String url, String columns) throws Exception {
        return new OpenDecoder(plan(url, ContractFile.reading(), columns));
    }

    /** One that gives the device and the whole reading as one array, with both metadata columns behind. */
    static OpenDecoder packed(String url, String columns) throws Exception {
        return new OpenDecoder(plan(url, ContractFile.reading(), columns, List.of("packed", "undecodable", "reason")));
    }

    static DeserializationSchema<RowData> plan(String url, String contract, String columns) {
        return plan(url, contract, columns, List.of("undecodable", "reason"));
    }

    private static DeserializationSchema<RowData> plan(String url, String contract, String columns, List<String> metadata) {
        Configuration options = new Configuration();
        options.setString("url", url);
        options.setString("schema", contract);
        ProjectableDecodingFormat<DeserializationSchema<RowData>> format =
                (ProjectableDecodingFormat<DeserializationSchema<RowData>>)
                        new TolerantAvroFormatFactory().createDecodingFormat(null, options);
        format.applyReadableMetadata(metadata);
        DataType type = TypeConversions.fromLogicalToDataType(columns(columns));
        return format.createRuntimeDecoder(
                ScanRuntimeProviderContext.INSTANCE, type, Projection.all(type).toNestedIndexes());
    }

    static RowType columns(String columns) {
        return (RowType) LogicalTypeParser.parse("ROW<" + columns + ">", OpenDecoder.class.getClassLoader());
    }

    static RowData.FieldGetter[] getters(RowType columns) {
        RowData.FieldGetter[] getters = new RowData.FieldGetter[columns.getFieldCount()];
        for (int i = 0; i < getters.length; i++) {
            getters[i] = RowData.createFieldGetter(columns.getTypeAt(i), i);
        }
        return getters;
    }

    RowData read(byte[] message) throws IOException {
        return schema.deserialize(message);
    }

    long undecodable() {
        return counter.getCount();
    }

    byte[] bytes(RowData row) {
        return row.getBinary(row.getArity() - 2);
    }

    String reason(RowData row) {
        int column = row.getArity() - 1;
        return row.isNullAt(column) ? null : row.getString(column).toString();
    }
}
