package tidegate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.apache.flink.table.data.RowData;
import org.junit.jupiter.api.Test;

class OpenReadingsTest {
    private static final int UNIT = 4;
    private static final long START = 1_700_000_000_000L;
    private static final long[] EXTREMES = {Long.MIN_VALUE, Long.MIN_VALUE + 1, -1, 0, 1, 63, 64, Long.MAX_VALUE - 1, Long.MAX_VALUE};
    private static final Sample SAMPLE = new Sample();
    private final KeptState state = new KeptState();
    private final OpenReadings open;

    OpenReadingsTest() throws Exception {
        open = new OpenReadings(state);
    }

    @Test
    void whatIsKeptIsWhatCame() throws Exception {
        for (long seed = 0; seed < 30; seed++) {
            Random random = new Random(seed);
            List<String> came = new ArrayList<>();
            state.clearOpen();
            OpenReadings now = new OpenReadings(state);
            for (Sample sample : Traffic.of(seed, 300)) {
                add(now, sample.row());
                came.add(told(sample.reading()));
                if (random.nextInt(40) == 0) {
                    now = restarted(now);
                }
            }
            assertEquals(came, told(now.all()), "seed " + seed);
        }
    }

    @Test
    void numbersMayBeAsLargeAsTheyLike() throws Exception {
        List<String> came = new ArrayList<>();
        for (long a : EXTREMES) {
            for (long b : EXTREMES) {
                Sample sample = SAMPLE.at(a).deviceTs(b).deviceSeq(a).gatewaySeq(b).received(a).repeat((int) b);
                add(open, sample.row());
                came.add(told(sample.reading()));
            }
        }
        assertEquals(came, told(restarted(open).all()));
    }

    @Test
    void someGoAndTheOthersStayAsTheyAre() throws Exception {
        for (int i = 0; i < 60; i++) {
            add(open, SAMPLE.metric("m" + i % 3).boot(i < 20 ? null : "b").at(START + i).row());
        }
        List<Reading> odd = new ArrayList<>(open.all());
        odd.removeIf(reading -> reading.ts() % 2 == 0 || reading.metric().toString().equals("m0"));
        List<String> kept = told(odd);
        open.keep(odd);
        add(open, SAMPLE.metric("m0").at(START + 99).row());
        kept.add(told(SAMPLE.metric("m0").at(START + 99).reading()));
        assertEquals(kept, told(open.all()));
        assertEquals(kept, told(restarted(open).all()));
    }

    @Test
    void whatMayBeNullMayBeNull() throws Exception {
        RowData without = SAMPLE.without(UNIT);
        add(open, without);
        Reading kept = open.all().get(0);
        assertNull(kept.origin().unit());
        assertNull(kept.deviceSeq());
        assertEquals("s", kept.origin().site().toString());
    }

    @Test
    void aReadingLikeTheOneBeforeItTakesFewBytes() throws Exception {
        for (int i = 0; i < 300; i++) {
            long ts = START + 100L * i;
            add(open, SAMPLE.at(ts).deviceSeq(i).gatewaySeq(1000L * i).received(ts + 50).row());
            open.write();
        }
        int bytes = state.open.stream().skip(1).mapToInt(entry -> entry.length).max().orElseThrow();
        assertTrue(bytes <= 17, () -> bytes + " bytes");
    }

    private static void add(OpenReadings open, RowData row) throws Exception {
        Arrival arrival = Rows.arrival(row);
        open.add(arrival, open.origin(arrival));
    }

    /** What a later one finds of it. */
    private OpenReadings restarted(OpenReadings before) throws Exception {
        before.write();
        return new OpenReadings(state);
    }

    private static List<String> told(List<Reading> readings) {
        return new ArrayList<>(readings.stream().map(OpenReadingsTest::told).toList());
    }

    private static String told(Reading reading) {
        Origin of = reading.origin();
        return String.join(
                " ", reading.of(null).toString(), "" + of.name(), "" + of.site(), "" + of.unit(), "" + of.boot(),
                "" + of.gatewayId(), "" + of.gatewayEpoch());
    }
}
