package tidegate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;

/** The operator against {@link Model}, row by row, over random traffic. */
class PanesModelTest {
    private static final String PANES = "a=5000,slow=60000,*=10000";
    private static final Map<String, Long> SIZES = Map.of("a", 5000L, "slow", 60_000L, "*", 10_000L);
    private static final int LATENESS_MS = 5000;
    private static final Sample SAMPLE = new Sample();

    @Test
    void everyRowLeadsToWhatTheModelSays() throws Exception {
        Map<String, Integer> kinds = new TreeMap<>();
        for (long seed = 0; seed < 80; seed++) {
            Device device = new Device(PANES, LATENESS_MS);
            Model model = new Model(SIZES, LATENESS_MS);
            int row = 0;
            for (Sample sample : Traffic.of(seed, 400)) {
                List<String> expected = model.accept(sample);
                assertEquals(expected, device.accept(sample), "seed " + seed + ", row " + row++ + ", " + sample);
                expected.forEach(line -> kinds.merge(line.substring(0, line.indexOf(' ')), 1, Integer::sum));
            }
            assertEquals(model.openReadings(), device.openReadings());
        }
        assertTrue(kinds.get("PANE") > 2000 && kinds.get("LATE") > 400 && kinds.get("FUTURE") > 400, kinds::toString);
    }

    @Test
    void aFailureAtAnyRowTakesItBackToTheCheckpointAndNoFurther() throws Exception {
        for (long seed = 0; seed < 50; seed++) {
            Random random = new Random(seed);
            List<Sample> traffic = Traffic.of(seed, 300);
            List<List<String>> expected = expected(traffic);
            Device device = new Device(PANES, LATENESS_MS);
            KeptState checkpoint = device.checkpoint();
            int failures = 0;
            for (int row = 0, from = 0; row < traffic.size(); row++) {
                if (random.nextInt(10) == 0) {
                    checkpoint = device.checkpoint();
                    from = row;
                }
                if (failures < 20 && random.nextInt(15) == 0) {
                    failures++;
                    device.restore(checkpoint.copy());
                    row = from;
                }
                assertEquals(expected.get(row), device.accept(traffic.get(row)), "seed " + seed + ", row " + row);
            }
        }
    }

    private static List<List<String>> expected(List<Sample> traffic) {
        Model model = new Model(SIZES, LATENESS_MS);
        return traffic.stream().map(model::accept).toList();
    }

    @Test
    void anyOrderWithinTheLatenessGivesTheSamePanes() throws Exception {
        List<Sample> readings = new ArrayList<>();
        for (int i = 0; i < 2000; i++) {
            readings.add(SAMPLE.metric("m" + i % 3).value(Math.sin(i)).at(1_700_000_000_000L + 137L * i));
        }
        List<String> inOrder = panes(readings);
        for (long seed = 0; seed < 20; seed++) {
            assertEquals(inOrder, panes(shuffled(readings, LATENESS_MS, new Random(seed))), "seed " + seed);
        }
    }

    /** Each reading at most {@code mostMs} behind the newest before it. */
    private static List<Sample> shuffled(List<Sample> readings, int mostMs, Random random) {
        Map<Long, List<Sample>> byDelivery = new TreeMap<>();
        for (Sample sample : readings) {
            byDelivery.computeIfAbsent(sample.ts() + random.nextInt(mostMs), at -> new ArrayList<>()).add(sample);
        }
        List<Sample> all = new ArrayList<>();
        byDelivery.values().forEach(all::addAll);
        return all;
    }

    private static List<String> panes(List<Sample> readings) throws Exception {
        Device device = new Device(PANES, LATENESS_MS);
        List<String> rows = new ArrayList<>();
        for (Sample sample : readings) {
            rows.addAll(device.accept(sample));
        }
        rows.addAll(device.accept(SAMPLE.at(1_800_000_000_000L).marker()));
        assertEquals(0, device.openReadings());
        Collections.sort(rows);
        return rows;
    }
}
