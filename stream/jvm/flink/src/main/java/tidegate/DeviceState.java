package tidegate;

import java.util.List;

/** The state of one device, as a checkpoint has it. */
interface DeviceState {
    /** Its clocks, or null for a device never seen. */
    Clocks clocks() throws Exception;

    void keepClocks(Clocks clocks) throws Exception;

    /** The time of a metric, or null for one never seen. */
    MetricTime metric(String name) throws Exception;

    void keepMetric(String name, MetricTime time) throws Exception;

    /** Its open readings, see {@link OpenReadings}. */
    Iterable<byte[]> open() throws Exception;

    void addOpen(byte[] readings) throws Exception;

    void clearOpen() throws Exception;
}
