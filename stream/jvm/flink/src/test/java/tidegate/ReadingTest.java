package tidegate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import org.apache.flink.table.data.RowData;
import org.junit.jupiter.api.Test;

class ReadingTest {
    private final Sample sample = new Sample();

    @Test
    void nullsComeFirst() {
        assertTrue(Reading.ORDER.compare(sample.reading(), sample.boot("b").reading()) < 0);
        assertTrue(Reading.ORDER.compare(sample.reading(), sample.deviceSeq(Long.MIN_VALUE).reading()) < 0);
    }

    @Test
    void theValueCountsBeforeTheGatewaysNumbers() {
        Reading small = sample.value(1).gatewaySeq(9).reading();
        assertTrue(Reading.ORDER.compare(small, sample.value(2).gatewaySeq(1).reading()) < 0);
    }

    @Test
    void textIsOrderedAsPythonOrdersIt() {
        // U+FFFF before U+1F600, where Java's own String order has them the other way round
        Reading basic = sample.boot("\uffff").reading();
        assertTrue(Reading.ORDER.compare(basic, sample.boot("\ud83d\ude00").reading()) < 0);
    }

    @Test
    void bothZerosAreOneKeyAndSoAreAllNaNs() {
        assertEquals(sample.value(0.0).reading().key(), sample.value(-0.0).reading().key());
        assertEquals(sample.value(Double.NaN).reading().key(), sample.value(Double.NaN).reading().key());
        assertEquals(0, Reading.ORDER.compare(sample.value(0.0).reading(), sample.value(-0.0).reading()));
    }

    @Test
    void withADeviceTimeTheGatewaysNumbersAreNotPartOfTheKey() {
        assertEquals(sample.reading().key(), sample.gatewaySeq(77).reading().key());
        assertNotEquals(sample.reading().key(), sample.boot("b").reading().key());
        assertNotEquals(sample.reading().key(), sample.repeat(1).reading().key());
        assertNotEquals(sample.reading().key(), sample.value(2).reading().key());
    }

    @Test
    void withoutADeviceTimeTheGatewaysNumbersAreTheKey() {
        Sample untimed = sample.untimed();
        assertNotEquals(untimed.reading().key(), untimed.gatewaySeq(77).reading().key());
        assertEquals(untimed.reading().key(), untimed.value(5).reading().key());
    }

    @Test
    void onlyATimeOfTheDevicesOwnThatWasNotChangedTellsReadingsApart() {
        assertTrue(sample.at(5).reading().isTimedAsSent());
        assertFalse(sample.at(5).untimed().reading().isTimedAsSent());
        assertFalse(sample.at(5).deviceTs(6).reading().isTimedAsSent());
    }

    @Test
    void aPackedRowIsACopyOfTheOneFlinkReusesTheMemoryOf() throws IOException {
        RowData row = Rows.throughBytes(Rows.ROW, sample.boot("a longer text than seven bytes").row());
        Rows.Reused reused = Rows.reused(row);
        Reading reading = Rows.reading(reused.row());
        reused.overwrite();
        assertEquals("a longer text than seven bytes", reading.origin().boot().toString());
        assertEquals("temperature", reading.metric().toString());
    }
}
