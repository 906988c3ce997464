package tidegate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.stream.Collectors;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.RichMapFunction;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.api.connector.source.util.ratelimit.RateLimiterStrategy;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.datagen.source.DataGeneratorSource;
import org.apache.flink.streaming.api.datastream.DataStream;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.table.api.Table;
import org.apache.flink.table.api.bridge.java.StreamTableEnvironment;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.data.conversion.DataStructureConverter;
import org.apache.flink.table.data.conversion.DataStructureConverters;
import org.apache.flink.table.runtime.typeutils.ExternalTypeInfo;
import org.apache.flink.table.types.DataType;
import org.apache.flink.table.types.utils.TypeConversions;
import org.apache.flink.types.Row;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The operator in Flink's runtime, behind a table as in the job. */
class PanesJobTest {
    private static final int DEVICES = 5;
    private static final int ROWS_EACH = 1000;
    private static final DataType ROW = TypeConversions.fromLogicalToDataType(Rows.type(Rows.ROW));
    private static final String PANES = "a=5000,slow=60000,*=10000";

    @TempDir
    Path checkpoints;

    @ParameterizedTest
    @CsvSource({"hashmap,1000,1000000", "rocksdb,1000,1000000", "hashmap,1,1000000", "rocksdb,1000,7", "rocksdb,1,7"})
    void aJobThatFailsHalfWayGivesEachRowOnce(String backend, int mostDevices, int mostUnwritten) throws Exception {
        FailOnce.failed.set(false);
        StreamExecutionEnvironment env = cluster(backend);
        StreamTableEnvironment tables = StreamTableEnvironment.create(env);
        Map<String, List<String>> seen = new TreeMap<>();
        Panes operator = new Panes(PANES, 5000, mostDevices, mostUnwritten);
        Panes.of(tables, planned(env, tables), operator, "panes")
                .executeAndCollect()
                .forEachRemaining(row -> note(seen, row.getFieldAs("bucket"), row.getFieldAs("told")));
        assertTrue(FailOnce.failed.get(), "the job did not fail, so nothing was tried");
        assertEquals(Collections.nCopies(ROWS_EACH, "no reading"), seen.remove(""));
        assertEquals(expected(), seen);
    }

    /** Notes what is told of a device, whose bucket it must be; what is of none comes as it went. */
    private static void note(Map<String, List<String>> seen, String bucket, byte[] told) {
        if (bucket.isEmpty()) {
            seen.computeIfAbsent("", none -> new ArrayList<>()).add(new String(told, StandardCharsets.UTF_8));
            return;
        }
        for (List<?> each : Told.of(told)) {
            String device = (String) (each.get(0).equals("PANE") ? each.get(1) : ((List<?>) each.get(2)).get(0));
            assertEquals(Bucket.of(StringData.fromString(device)), bucket);
            seen.computeIfAbsent(device, first -> new ArrayList<>()).add(Device.text(each));
        }
    }

    /** By `printf NAME | md5sum`: another bucket, and the state of its devices would not be found. */
    @ParameterizedTest
    @CsvSource({"s.d,73", "süd.pumpe-7,e9"})
    void aBucketIsTheFirstByteOfTheNamesMd5(String device, String bucket) {
        assertEquals(bucket, Bucket.of(StringData.fromString(device)));
    }

    private StreamExecutionEnvironment cluster(String backend) {
        Configuration configuration = new Configuration();
        configuration.setString("state.backend.type", backend);
        configuration.setString("execution.checkpointing.interval", "50 ms");
        configuration.setString("execution.checkpointing.dir", checkpoints.toUri().toString());
        configuration.setString("restart-strategy.type", "fixed-delay");
        configuration.setString("restart-strategy.fixed-delay.attempts", "1");
        configuration.setString("restart-strategy.fixed-delay.delay", "0 s");
        configuration.setString("rest.port", "0");
        return StreamExecutionEnvironment.getExecutionEnvironment(configuration).setParallelism(2);
    }

    /** What goes into the operator: the traffic, among it what is no reading. */
    private static Table planned(StreamExecutionEnvironment env, StreamTableEnvironment tables) {
        DataStream<Row> readings = env.fromSource(source(), WatermarkStrategy.noWatermarks(), "traffic")
                .setParallelism(1)
                .map(new FailOnce())
                .returns(ExternalTypeInfo.<Row>of(ROW))
                .setParallelism(1);
        tables.createTemporaryView("readings", tables.fromDataStream(readings));
        tables.createTemporarySystemFunction("pack", Pack.class);
        List<String> columns = Rows.type(Rows.ROW).getFieldNames();
        String packed = columns.stream().skip(1).map(name -> "`" + name + "`").collect(Collectors.joining(", "));
        return tables.sqlQuery("SELECT NULLIF(device_id, 's.none'), CASE WHEN device_id = 's.none' THEN"
                + " ENCODE('no reading', 'UTF-8') ELSE pack(" + packed + ") END FROM readings");
    }

    private static DataGeneratorSource<Long> source() {
        long rows = (long) DEVICES * ROWS_EACH;
        return new DataGeneratorSource<>(row -> row, rows, RateLimiterStrategy.perCheckpoint(ROWS_EACH), Types.LONG);
    }

    /** The n-th row of the traffic; fails once, some rows behind a checkpoint in the middle. */
    private static final class FailOnce extends RichMapFunction<Long, Row> {
        private static final long serialVersionUID = 1L;
        private static final AtomicBoolean failed = new AtomicBoolean();
        private transient List<List<Sample>> traffic;
        private transient DataStructureConverter<Object, Object> toRow;

        @Override
        public Row map(Long n) {
            if (traffic == null) {
                traffic = traffic();
                toRow = DataStructureConverters.getConverter(ROW);
                toRow.open(getClass().getClassLoader());
            }
            if (n == DEVICES * ROWS_EACH / 2 + 137 && failed.compareAndSet(false, true)) {
                throw new IllegalStateException("the failure of the test");
            }
            int device = (int) (n % DEVICES);
            return (Row) toRow.toExternal(traffic.get(device).get((int) (n / DEVICES)).row(name(device)));
        }
    }

    private static String name(int device) {
        return device < DEVICES - 1 ? "s.d" + device : "s.none";
    }

    private static List<List<Sample>> traffic() {
        List<List<Sample>> traffic = new ArrayList<>();
        for (int device = 0; device < DEVICES; device++) {
            traffic.add(Traffic.of(device, ROWS_EACH));
        }
        return traffic;
    }

    private static Map<String, List<String>> expected() {
        Map<String, List<String>> expected = new TreeMap<>();
        for (List<Sample> samples : traffic().subList(0, DEVICES - 1)) {
            Model model = new Model(Map.of("a", 5000L, "slow", 60_000L, "*", 10_000L), 5000);
            List<String> rows = new ArrayList<>();
            samples.subList(0, ROWS_EACH).forEach(sample -> rows.addAll(model.accept(sample)));
            expected.put("s.d" + expected.size(), rows);
        }
        return expected;
    }
}
