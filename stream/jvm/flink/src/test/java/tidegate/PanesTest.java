package tidegate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.List;
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;
import org.junit.jupiter.api.Test;

/** What a reader of {@link Panes} wants to see in numbers: panes of 10 s, of 60 s for metric "slow", lateness 5 s. */
class PanesTest {
    private static final Sample SAMPLE = new Sample();
    private final Device device;

    PanesTest() throws Exception {
        device = new Device("slow=60000,*=10000", 5000);
    }

    @Test
    void aPaneClosesWhenTheDevicesOwnTimeHasPassedItAndTheLateness() throws Exception {
        assertNothing(SAMPLE.at(1000).value(4));
        assertNothing(SAMPLE.at(9999).value(6));
        assertNothing(SAMPLE.at(14_999));
        assertEquals(List.of("PANE temperature 0 10000 n=2 mean=5.0 bad=0 duplicates=0"), device.accept(SAMPLE.at(15_000)));
    }

    @Test
    void aReadingOfAClosedPaneIsLateAndOneOfAnOpenPaneIsNot() throws Exception {
        device.accept(SAMPLE.at(1000));
        device.accept(SAMPLE.at(25_000));
        assertEquals(List.of("LATE temperature 2.0 19999"), device.accept(SAMPLE.at(19_999).value(2)));
        assertNothing(SAMPLE.at(20_000));
    }

    @Test
    void theFirstReadingMayBeAsOldAsItLikes() throws Exception {
        assertNothing(SAMPLE.at(1000).received(9_000_000_000L).stored(9_000_000_000L));
        assertNothing(SAMPLE.at(-86_400_000L * 365).metric("other").untimed());
    }

    @Test
    void aMetricNeverSeenBeforeIsLateBehindItsDevicesClock() throws Exception {
        device.accept(SAMPLE.at(100_000));
        assertEquals(List.of("LATE other 1.0 1000"), device.accept(SAMPLE.metric("other").at(1000)));
    }

    @Test
    void panesOfSeveralMetricsComeByEndThenMetric() throws Exception {
        device.accept(SAMPLE.metric("b").at(11_000));
        device.accept(SAMPLE.metric("slow").at(11_000));
        device.accept(SAMPLE.metric("a").at(12_000));
        device.accept(SAMPLE.metric("b").at(9000));
        List<String> rows = device.accept(SAMPLE.metric("z").at(70_000));
        assertEquals(
                List.of("PANE b 0 10000", "PANE a 10000 20000", "PANE b 10000 20000", "PANE slow 0 60000"),
                rows.stream().map(row -> row.substring(0, row.indexOf(" n="))).toList());
        assertEquals(1, device.openReadings(), "z waits, the closed ones are gone");
    }

    @Test
    void aMarkerClosesPanesAndIsInNone() throws Exception {
        device.accept(SAMPLE.at(1000));
        assertEquals(
                List.of("PANE temperature 0 10000 n=1 mean=1.0 bad=0 duplicates=0", "MARKER 10000"),
                device.accept(SAMPLE.at(15_000).marker()));
        assertEquals(0, device.openReadings());
        assertEquals(List.of("MARKER 94000"), device.accept(SAMPLE.at(99_000).marker()));
    }

    @Test
    void aMarkerThatComesBehindIsNoNews() throws Exception {
        device.accept(SAMPLE.at(50_000));
        assertEquals(List.of("MARKER 45000"), device.accept(SAMPLE.at(20_000).marker()));
    }

    @Test
    void theDevicesClockAndItsGatewaysCloseEachTheirOwn() throws Exception {
        device.accept(SAMPLE.metric("timed").at(1000));
        device.accept(SAMPLE.metric("untimed").untimed().at(1000));
        assertEquals(List.of("PANE untimed 0 10000 n=1 mean=1.0 bad=0 duplicates=0", "MARKER -4000"),
                device.accept(SAMPLE.untimed().at(15_000).marker()));
        assertEquals(List.of("PANE timed 0 10000 n=1 mean=1.0 bad=0 duplicates=0", "MARKER 10000"),
                device.accept(SAMPLE.at(15_000).marker()));
    }

    @Test
    void aMetricTimedByBothWaitsForBoth() throws Exception {
        device.accept(SAMPLE.at(1000));
        device.accept(SAMPLE.untimed().at(2000));
        assertEquals(List.of("MARKER -3000"), device.accept(SAMPLE.at(60_000).marker()));
        assertNothing(SAMPLE.untimed().at(14_999));
        assertEquals(List.of("PANE temperature 0 10000 n=2 mean=1.0 bad=0 duplicates=0"),
                device.accept(SAMPLE.untimed().at(15_000)));
    }

    @Test
    void aSecondSourceThatLagsDoesNotOpenClosedPanesAgain() throws Exception {
        device.accept(SAMPLE.at(1000));
        device.accept(SAMPLE.at(40_000));
        assertEquals(List.of("LATE temperature 1.0 12000"), device.accept(SAMPLE.untimed().at(12_000)));
        assertNothing(SAMPLE.untimed().at(36_000));
    }

    @Test
    void openReadingsAreLookedAtWhenAPaneMayCloseAndNotWithEveryReading() throws Exception {
        for (int i = 0; i < 6000; i++) {
            device.accept(SAMPLE.metric("m" + i % 2).at(100L * i));
        }
        assertEquals(1 + 59, device.looks(), "at its start, and once for each end of panes in 10 minutes");
    }

    @Test
    void aSourceThatLagsIsWaitedForWithoutLooking() throws Exception {
        device.accept(SAMPLE.untimed().at(0));
        for (int i = 0; i < 6000; i++) {
            device.accept(SAMPLE.at(100L * i));
        }
        assertEquals(6000 + 1, device.openReadings());
        assertTrue(device.looks() <= 1 + 1, () -> device.looks() + " looks, one of them at its start");
    }

    @Test
    void aTimeFarAheadIsTurnedAwayAndClosesNothing() throws Exception {
        device.accept(SAMPLE.at(1000));
        Sample ahead = SAMPLE.at(70_000).received(9_999);
        assertEquals(List.of("FUTURE temperature 1.0 70000"), device.accept(ahead));
        assertEquals(List.of("FUTURE temperature 1.0 70000"), device.accept(SAMPLE.at(70_000).stored(9_999)));
        assertNothing(ahead.marker());
        assertNothing(SAMPLE.at(2000));
        assertNothing(SAMPLE.at(70_001).received(10_001).stored(14_999), "a minute ahead is believed, the clock is not");
        assertEquals(3, device.openReadings());
        assertEquals(1, device.accept(SAMPLE.at(70_001).received(10_001).stored(15_000)).size());
    }

    @Test
    void whatLacksAFieldIsTurnedAwayWhole() throws Exception {
        int[] needed = {1, 3, 5, 6, 7, 8, 12, 13, 14, 15, 16, 19};
        for (int column : needed) {
            List<String> rows = device.accept(SAMPLE.at(1000).without(column));
            assertEquals(1, rows.size());
            assertTrue(rows.get(0).startsWith("INVALID "), rows.get(0));
        }
        assertEquals(List.of("INVALID temperature 1.0 " + Long.MIN_VALUE), device.accept(SAMPLE.at(Long.MIN_VALUE)));
        assertEquals(0, device.openReadings());
    }

    @Test
    void whatMayBeNullMayBeNull() throws Exception {
        int[] optional = {2, 4, 9, 10, 11, 17, 18, 20, 21};
        for (int column : optional) {
            assertEquals(List.of(), device.accept(SAMPLE.at(20_000).without(column)));
            assertEquals(1, device.accept(SAMPLE.at(1_000_000).received(0).without(column)).size());
        }
    }

    @Test
    void extremeTimesStopNothing() throws Exception {
        long[] extremes = {Long.MIN_VALUE, Long.MIN_VALUE + 1, -62_135_596_800_000L, -1, 0, Long.MAX_VALUE - 1, Long.MAX_VALUE};
        for (long ts : extremes) {
            for (long received : extremes) {
                device.accept(SAMPLE.at(ts).received(received).stored(5000));
            }
        }
        assertTrue(device.accept(SAMPLE.at(15_000)).size() > 0);
    }

    @Test
    void aLateReadingComesOutWhole() throws Exception {
        device.accept(SAMPLE.at(100_000));
        GenericRowData in = SAMPLE.at(1000).value(3).deviceSeq(8).gatewaySeq(42).row();
        List<?> told = device.rows(in).get(0).get(0);
        assertEquals(List.of("READING", "LATE"), told.subList(0, 2));
        List<?> reading = (List<?>) told.get(2);
        for (int column = 0; column < 19; column++) {
            assertEquals(String.valueOf(in.getField(column)), String.valueOf(reading.get(column)));
        }
        assertEquals(List.of(3L, 42L), told.subList(3, 5), "the Kafka partition and offset");
    }

    @Test
    void aPaneIsToldWhole() throws Exception {
        device.accept(SAMPLE.at(1000).value(4).received(1250));
        device.accept(SAMPLE.at(2000).value(7).received(2150));
        device.accept(SAMPLE.at(3000).value(7).received(3950));
        List<Object> pane = Arrays.asList(
                0L, 10_000L, 3L, 6.0, 6.0, 4.0, 7.0, 4.0, 7.0, 1000L, 3000L, 2.0, 2.0, 3.0, 2L, 3.0, 0L, 0L, 150L);
        assertEquals(List.of("PANE", "s.d", "temperature", "s", "C", pane), device.rows(SAMPLE.at(15_000).row()).get(0).get(0));
    }

    @Test
    void panesThatCloseTogetherAreOneRowUpToAThousand() throws Exception {
        for (int i = 0; i < 2500; i++) {
            device.accept(SAMPLE.metric("m" + i).at(1000));
        }
        List<List<List<?>>> rows = device.rows(SAMPLE.at(15_000).row());
        assertEquals(List.of(1000, 1000, 500), rows.stream().map(List::size).toList());
        assertEquals(2500, rows.stream().flatMap(List::stream).map(pane -> pane.get(2)).distinct().count());
    }

    @Test
    void aPaneWithoutTheDevicesTimesHasNoLag() throws Exception {
        device.accept(SAMPLE.at(1000).untimed());
        assertNull(lag(SAMPLE.at(15_000).untimed().row()));
    }

    @Test
    void aGatewayThatDoesNotKnowTheTimeSaysNothingOfADevicesClock() throws Exception {
        GenericRowData unsynced = SAMPLE.at(1000).received(9_000_000).row();
        unsynced.setField(17, StringData.fromString("UNSYNCED"));
        device.accept(unsynced);
        assertNull(lag(SAMPLE.at(15_000).row()));
    }

    /** The lag in the pane that a row closes. */
    private Object lag(RowData row) throws Exception {
        return ((List<?>) device.rows(row).get(0).get(0).get(5)).get(18);
    }

    @Test
    void wrongConstantsAreRefused() {
        assertThrows(ValidationException.class, () -> new Panes("temperature=1000", 0, 1, 1));
        assertThrows(ValidationException.class, () -> new Panes("*=1000", -1, 1, 1));
    }

    private void assertNothing(Sample sample) throws Exception {
        assertNothing(sample, "no row");
    }

    private void assertNothing(Sample sample, String why) throws Exception {
        assertEquals(List.of(), device.accept(sample), why);
    }
}
