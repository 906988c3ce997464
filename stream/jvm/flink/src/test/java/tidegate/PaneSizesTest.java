package tidegate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.apache.flink.table.api.ValidationException;
import org.apache.flink.table.data.StringData;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.NullSource;

class PaneSizesTest {
    private static final StringData TEMPERATURE = StringData.fromString("temperature");
    private static final StringData OTHER = StringData.fromString("other");

    @Test
    void aMetricHasItsOwnSizeAndTheRestTheStars() {
        PaneSizes sizes = PaneSizes.parse(" temperature=900000, *=300000");
        assertEquals(900_000, sizes.sizeMs(TEMPERATURE));
        assertEquals(300_000, sizes.sizeMs(OTHER));
    }

    @Test
    void aPaneHoldsItsStartAndNotItsEnd() {
        Metric metric = new Metric(OTHER, 1000, null);
        assertEquals(1000, metric.startMs(1000));
        assertEquals(1000, metric.startMs(1999));
        assertEquals(2000, metric.endMs(1000));
        assertEquals(2000, metric.startMs(2000));
    }

    @Test
    void panesBefore1970BeginAtWholeMultiplesToo() {
        Metric metric = new Metric(OTHER, 1000, null);
        assertEquals(-1000, metric.startMs(-1));
        assertEquals(0, metric.endMs(-1));
    }

    @ParameterizedTest
    @NullSource
    @CsvSource(
            quoteCharacter = '"',
            value = {
                "\"\"", "temperature", "\"a=1000\"", "\"a=1000,*=\"", "\"a=0,*=1000\"", "\"a=-5,*=1000\"", "\"=5,*=1000\"",
                "\"a=1000,a=2000,*=1000\"", "\"*=1000,\"", "\"*=30s\"", "\"*=9999999999999999999\""
            })
    void whatIsNoListOfSizesIsRefusedWithAnExample(String text) {
        String message = assertThrows(ValidationException.class, () -> PaneSizes.parse(text)).getMessage();
        assertTrue(message.contains("An example: temperature=900000,*=300000"), message);
    }
}
