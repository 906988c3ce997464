package tidegate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.stream.Collectors;
import org.apache.flink.avro.shaded.org.apache.avro.Schema;
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.table.factories.DeserializationFormatFactory;
import org.apache.flink.table.factories.FactoryUtil;
import org.junit.jupiter.api.Test;

class TolerantAvroFormatFactoryTest {
    private static final String URL = "http://127.0.0.1:8080/apis/ccompat/v7";

    @Test
    void flinkFindsTheFormatByItsName() {
        assertInstanceOf(
                TolerantAvroFormatFactory.class,
                FactoryUtil.discoverFactory(getClass().getClassLoader(), DeserializationFormatFactory.class, "tidegate-avro"));
    }

    @Test
    void thePaneOperatorsColumnsAreTheContracts() {
        List<String> contract = Wire.READING.getFields().stream().map(Schema.Field::name).collect(Collectors.toList());
        assertEquals(contract, OpenDecoder.columns(Columns.READING).getFieldNames());
        OpenDecoder.plan(URL, ContractFile.reading(), Columns.READING);
    }

    @Test
    void aColumnTheContractLacksIsNamedWithWhatThereIs() {
        assertRefused("humidity DOUBLE", "no field for the column 'humidity'. It has: device_id, metric");
    }

    @Test
    void aColumnOfAnotherTypeIsRefusedWhenPlanned() {
        assertRefused("`value` STRING", "The column 'value' is STRING, but the contract has: \"double\"");
        assertRefused("part BIGINT", "The column 'part' is BIGINT");
    }

    @Test
    void aColumnThatCannotBeNullIsRefused() {
        assertRefused("device_id STRING NOT NULL", "must not be NOT NULL");
    }

    @Test
    void timesMayBeReadAsNumbersOrTimestamps() {
        OpenDecoder.plan(URL, ContractFile.reading(), "ts BIGINT, device_ts TIMESTAMP(3)");
    }

    @Test
    void wrongOptionsAreRefusedWhenPlanned() {
        assertRefused("localhost:8080", ContractFile.reading(), "device_id STRING", "Option 'url' is not a registry's address");
        assertRefused("http:// /", ContractFile.reading(), "device_id STRING", "Option 'url' is not a registry's address");
        assertRefused(URL, "{", "device_id STRING", "Option 'schema' is not an Avro schema");
        assertRefused(URL, "\"string\"", "device_id STRING", "Option 'schema' is not an Avro record");
    }

    private static void assertRefused(String columns, String why) {
        assertRefused(URL, ContractFile.reading(), columns, why);
    }

    private static void assertRefused(String url, String contract, String columns, String why) {
        String message = assertThrows(ValidationException.class, () -> OpenDecoder.plan(url, contract, columns)).getMessage();
        assertTrue(message.contains(why), message);
    }
}
