package tidegate;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

class PaneTest {
    private static final long START = 1_700_000_100_000L;
    private static final Sample SAMPLE = new Sample();

    @Test
    void theFoldAgreesWithPythonToTheLastBit() {
        List<Reading> readings = new ArrayList<>();
        for (int i = 0; i < 400; i++) {
            double value = (i * 7919 % 1009) / 1009.0 * new double[] {1.0, 1e3, 1e6}[i % 3];
            readings.add(SAMPLE.at(START + i * i % 29989).value(value).reading());
        }
        Collections.shuffle(readings, new Random(1));
        Pane pane = Pane.fold(readings, START, START + 30_000);
        // Computed by the same updates in Python, printed with float.hex(). The values are such that a fused multiply-add
        // in any of the three sums would show.
        assertEquals(400, pane.n);
        assertEquals(0x1.402707fa8f712p+17, pane.mean);
        assertEquals(0x1.d8e12ab8f35eep+44, pane.m2);
        assertEquals(0x1.865a3c21187e9p+3, pane.tMean);
        assertEquals(0x1.fe54f07bf8739p+14, pane.tM2);
        assertEquals(-0x1.575f5ac53a836p+22, pane.tC);
    }

    @Test
    void theColumnsAreWhatTheirNamesSay() {
        Pane pane = fold(3.0, 3.0, 3.0, -1.0, 7.0, 7.0);
        assertEquals(6, pane.n);
        assertEquals(22.0 / 6, pane.mean, 1e-12);
        assertEquals(45.33333333333333, pane.m2, 1e-12);
        assertEquals(-1.0, pane.lo);
        assertEquals(7.0, pane.hi);
        assertEquals(3.0, pane.first);
        assertEquals(7.0, pane.last);
        assertEquals(START, pane.firstTs);
        assertEquals(START + 5000, pane.lastTs);
        assertEquals(3, pane.run);
        assertEquals(8.0, pane.step);
    }

    @Test
    void theSlopeOfALineComesOutOfTheSums() {
        Pane pane = fold(10.0, 12.0, 14.0, 16.0);
        assertEquals(2.0, pane.tC / pane.tM2, 1e-12, "units per second");
    }

    @Test
    void valuesThatAreBadOrNotFiniteAreCountedAndNotFolded() {
        Pane pane = fold(
                SAMPLE.at(START).value(5), SAMPLE.at(START + 1).quality("BAD").value(900),
                SAMPLE.at(START + 2).value(Double.NaN), SAMPLE.at(START + 3).value(Double.POSITIVE_INFINITY),
                SAMPLE.at(START + 4).quality("UNCERTAIN").value(6));
        assertEquals(3, pane.bad);
        assertEquals(2, pane.n);
        assertEquals(5.5, pane.mean);
        assertEquals(6.0, pane.hi);
        assertEquals(1.0, pane.step);
        assertEquals(0, pane.duplicates);
    }

    @Test
    void aPaneOfBadValuesOnlyIsZeroThroughout() {
        Pane pane = fold(SAMPLE.at(START + 2).quality("BAD").value(900));
        assertEquals(1, pane.bad);
        assertEquals(0, pane.n + pane.run);
        assertEquals(0.0, pane.mean + pane.lo + pane.hi + pane.first + pane.last + pane.step);
        assertEquals(START, pane.firstTs);
        assertEquals(START, pane.lastTs);
    }

    @Test
    void readingsSentTwiceCountOnce() {
        Sample first = SAMPLE.at(START).value(5);
        Pane pane = fold(first, SAMPLE.at(START + 9).value(7), first.gatewaySeq(8), first.gatewaySeq(9));
        assertEquals(2, pane.n);
        assertEquals(2, pane.duplicates);
    }

    @Test
    void aClampedReadingSentTwiceCountsOnceThoughItsTimesDiffer() {
        Sample clamped = SAMPLE.value(5).deviceTs(START + 9_000_000);
        Pane pane = fold(
                clamped.at(START).deviceTs(START + 9_000_000), SAMPLE.at(START + 1).value(6),
                clamped.at(START + 2).deviceTs(START + 9_000_000));
        assertEquals(2, pane.n);
        assertEquals(1, pane.duplicates);
    }

    @Test
    void equalReadingsOfOneMessageAllCount() {
        Sample sample = SAMPLE.at(START).value(5);
        assertEquals(3, fold(sample, sample.repeat(1), sample.repeat(2)).n);
    }

    @Test
    void bothZerosAreLeftAsTheyCome() {
        Pane pane = fold(-0.0, 0.0);
        assertEquals(Double.doubleToRawLongBits(-0.0), Double.doubleToRawLongBits(pane.lo));
        assertEquals(Double.doubleToRawLongBits(-0.0), Double.doubleToRawLongBits(pane.hi));
        assertEquals(2, pane.run);
    }

    private static Pane fold(double... values) {
        Sample[] samples = new Sample[values.length];
        Arrays.setAll(samples, i -> SAMPLE.at(START + 1000L * i).value(values[i]));
        return fold(samples);
    }

    private static Pane fold(Sample... samples) {
        return Pane.fold(Stream.of(samples).map(Sample::reading).toList(), START, START + 30_000);
    }
}
