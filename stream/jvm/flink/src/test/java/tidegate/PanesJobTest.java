package tidegate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
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
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.table.api.bridge.java.StreamTableEnvironment;
import org.apache.flink.table.api.internal.TableEnvironmentInternal;
import org.apache.flink.table.data.conversion.DataStructureConverter;
import org.apache.flink.table.data.conversion.DataStructureConverters;
import org.apache.flink.table.runtime.typeutils.ExternalTypeInfo;
import org.apache.flink.table.types.DataType;
import org.apache.flink.table.types.inference.StateTypeStrategy;
import org.apache.flink.table.types.utils.TypeConversions;
import org.apache.flink.types.Row;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The operator in Flink's planner and runtime, called by SQL as the job calls it. */
class PanesJobTest {
    private static final int DEVICES = 4;
    private static final int ROWS_EACH = 1000;
    private static final String CALL = "SELECT * FROM panes(`in` => TABLE packed PARTITION BY device_id, panes => '%s', "
            + "latenessMs => %s, uid => 'panes')";
    private static final DataType ROW = TypeConversions.fromLogicalToDataType(Rows.type(Rows.ROW));
    private static final String PANES = "a=5000,slow=60000,*=10000";

    @TempDir
    Path checkpoints;

    @ParameterizedTest
    @ValueSource(strings = {"hashmap", "rocksdb"})
    void aJobThatFailsHalfWayGivesEachRowOnce(String backend) throws Exception {
        FailOnce.failed.set(false);
        StreamExecutionEnvironment env = cluster(backend);
        StreamTableEnvironment tables = StreamTableEnvironment.create(env);
        Map<String, List<String>> seen = new TreeMap<>();
        tables.executeSql(planned(env, tables, PANES, "5000")).collect().forEachRemaining(
                row -> Told.of(row.getFieldAs("told")).forEach(told ->
                        seen.computeIfAbsent(row.getFieldAs("device_id"), device -> new ArrayList<>()).add(Device.text(told))));
        assertTrue(FailOnce.failed.get(), "the job did not fail, so nothing was tried");
        assertEquals(expected(), seen);
    }

    @Test
    void wrongConstantsAreRefusedWhenThePlanIsMade() {
        assertRefused("temperature=1000", "5000", "a size for '*', all other metrics, is missing");
        assertRefused(PANES, "-1", "Argument 'latenessMs' of tidegate.Panes must be a plain number");
    }

    @Test
    void aJobWideStateTtlDoesNotReachTheOpenReadings() {
        states().forEach((state, type) -> assertEquals(Optional.of(Duration.ZERO), type.getTimeToLive(null), state));
    }

    private Map<String, StateTypeStrategy> states() {
        TableEnvironmentInternal tables = (TableEnvironmentInternal) StreamTableEnvironment.create(cluster("hashmap"));
        return new Panes().getTypeInference(tables.getCatalogManager().getDataTypeFactory()).getStateTypeStrategies();
    }

    private void assertRefused(String panes, String latenessMs, String why) {
        StreamExecutionEnvironment env = cluster("hashmap");
        StreamTableEnvironment tables = StreamTableEnvironment.create(env);
        String query = planned(env, tables, panes, latenessMs);
        Throwable failure = assertThrows(ValidationException.class, () -> tables.sqlQuery(query));
        String messages = "";
        for (; failure != null; failure = failure.getCause()) {
            messages += failure.getMessage() + "\n";
        }
        assertTrue(messages.contains(why), messages);
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

    /** Registers the function and its input, and gives the query. */
    private static String planned(StreamExecutionEnvironment env, StreamTableEnvironment tables, String panes, String latenessMs) {
        DataStream<Row> readings = env.fromSource(source(), WatermarkStrategy.noWatermarks(), "traffic")
                .setParallelism(1)
                .map(new FailOnce())
                .returns(ExternalTypeInfo.<Row>of(ROW))
                .setParallelism(1);
        tables.createTemporaryView("readings", tables.fromDataStream(readings));
        tables.createTemporarySystemFunction("panes", Panes.class);
        tables.createTemporarySystemFunction("pack", Pack.class);
        List<String> columns = Rows.type(Rows.ROW).getFieldNames();
        String packed = columns.stream().skip(1).map(name -> "`" + name + "`").collect(Collectors.joining(", "));
        tables.createTemporaryView(
                "packed", tables.sqlQuery("SELECT device_id, pack(" + packed + ") AS packed FROM readings"));
        return String.format(CALL, panes, latenessMs);
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
            return (Row) toRow.toExternal(traffic.get(device).get((int) (n / DEVICES)).row("s.d" + device));
        }
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
        for (List<Sample> samples : traffic()) {
            Model model = new Model(Map.of("a", 5000L, "slow", 60_000L, "*", 10_000L), 5000);
            List<String> rows = new ArrayList<>();
            samples.subList(0, ROWS_EACH).forEach(sample -> rows.addAll(model.accept(sample)));
            expected.put("s.d" + expected.size(), rows);
        }
        return expected;
    }
}
