package tidegate;

import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.data.TimestampData;

/** An input row to vary: every method gives a changed copy. Received when it was measured unless said otherwise. */
record Sample(
        String metric, String kind, double value, long ts, Long deviceTs, String boot, Long deviceSeq, String quality,
        long gatewaySeq, int repeat, long receivedTs, long kafkaTs) {

    Sample() {
        this("temperature", "READING", 1.0, 0, 0L, null, null, "GOOD", 1, 0, 0, 0);
    }

    Sample metric(String metric) {
        return new Sample(metric, kind, value, ts, deviceTs, boot, deviceSeq, quality, gatewaySeq, repeat, receivedTs, kafkaTs);
    }

    Sample marker() {
        return new Sample("", "MARKER", 0.0, ts, deviceTs, boot, deviceSeq, quality, gatewaySeq, repeat, receivedTs, kafkaTs);
    }

    Sample value(double value) {
        return new Sample(metric, kind, value, ts, deviceTs, boot, deviceSeq, quality, gatewaySeq, repeat, receivedTs, kafkaTs);
    }

    /** Measured, received and stored at {@code ts}; by the device's clock if this one is. */
    Sample at(long ts) {
        Long deviceTs = this.deviceTs == null ? null : (Long) ts;
        return new Sample(metric, kind, value, ts, deviceTs, boot, deviceSeq, quality, gatewaySeq, repeat, ts, ts);
    }

    /** Without a time of the device's own. */
    Sample untimed() {
        return new Sample(metric, kind, value, ts, null, boot, deviceSeq, quality, gatewaySeq, repeat, receivedTs, kafkaTs);
    }

    Sample deviceTs(long deviceTs) {
        return new Sample(metric, kind, value, ts, deviceTs, boot, deviceSeq, quality, gatewaySeq, repeat, receivedTs, kafkaTs);
    }

    Sample boot(String boot) {
        return new Sample(metric, kind, value, ts, deviceTs, boot, deviceSeq, quality, gatewaySeq, repeat, receivedTs, kafkaTs);
    }

    Sample deviceSeq(long deviceSeq) {
        return new Sample(metric, kind, value, ts, deviceTs, boot, deviceSeq, quality, gatewaySeq, repeat, receivedTs, kafkaTs);
    }

    Sample quality(String quality) {
        return new Sample(metric, kind, value, ts, deviceTs, boot, deviceSeq, quality, gatewaySeq, repeat, receivedTs, kafkaTs);
    }

    Sample gatewaySeq(long gatewaySeq) {
        return new Sample(metric, kind, value, ts, deviceTs, boot, deviceSeq, quality, gatewaySeq, repeat, receivedTs, kafkaTs);
    }

    Sample repeat(int repeat) {
        return new Sample(metric, kind, value, ts, deviceTs, boot, deviceSeq, quality, gatewaySeq, repeat, receivedTs, kafkaTs);
    }

    Sample received(long receivedTs) {
        return new Sample(metric, kind, value, ts, deviceTs, boot, deviceSeq, quality, gatewaySeq, repeat, receivedTs, kafkaTs);
    }

    Sample stored(long kafkaTs) {
        return new Sample(metric, kind, value, ts, deviceTs, boot, deviceSeq, quality, gatewaySeq, repeat, receivedTs, kafkaTs);
    }

    Reading reading() {
        return Rows.reading(row());
    }

    /** As a row of {@link Rows#ROW}, of device {@code s.d}. */
    GenericRowData row() {
        return row("s.d");
    }

    GenericRowData row(String device) {
        return GenericRowData.of(
                text(device), text(metric), text("s"), text(kind), text("C"), text("g"), 7L, value, ts, deviceTs, text(boot),
                deviceSeq, text(quality), gatewaySeq, 0, repeat, receivedTs, text("SYNCED"), false,
                TimestampData.fromEpochMillis(kafkaTs), 3, gatewaySeq);
    }

    /** The row with one column null. */
    RowData without(int column) {
        GenericRowData row = row();
        row.setField(column, null);
        return row;
    }

    private static StringData text(String text) {
        return StringData.fromString(text);
    }
}
