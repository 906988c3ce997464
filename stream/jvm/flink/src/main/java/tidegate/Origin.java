package tidegate;

import java.nio.ByteBuffer;
import java.util.Arrays;
import org.apache.flink.table.data.StringData;

/**
 * Where readings come from, as far as the readings of one device differ in it: metric, site, unit, boot of the device, and
 * gateway with its epoch. Knows the numbers of its newest reading, from which the next one's differ little.
 */
final class Origin {
    private final byte[] bytes;
    /** Where it stands among its device's. */
    final int index;

    /** The metric, once {@link DevicePanes} has found it. */
    Metric metric;

    private long ts;
    private long seq;
    private long gatewaySeq;
    private long lagMs;

    /** @param bytes of {@link Packed#origin} */
    Origin(byte[] bytes, int index) {
        this.bytes = bytes;
        this.index = index;
    }

    byte[] bytes() {
        return bytes;
    }

    /** Whether these are its bytes. */
    boolean is(ByteBuffer other) {
        int from = other.arrayOffset() + other.position();
        return Arrays.equals(bytes, 0, bytes.length, other.array(), from, from + other.remaining());
    }

    /** The name of the metric. */
    StringData name() {
        return text(Packed.METRIC);
    }

    StringData site() {
        return text(Packed.SITE);
    }

    StringData unit() {
        return text(Packed.UNIT);
    }

    StringData boot() {
        return text(Packed.DEVICE_BOOT);
    }

    StringData gatewayId() {
        return text(Packed.GATEWAY_ID);
    }

    long gatewayEpoch() {
        return ByteBuffer.wrap(bytes).getLong();
    }

    private StringData text(int index) {
        return Packed.textFrom(bytes, Long.BYTES, index);
    }

    /** Writes a reading of this origin, and makes it the newest. */
    void write(ByteBuffer out, Reading reading) {
        Numbers.put(out, reading.ts() - ts);
        if (reading.isTimed() && !reading.isTimedAsSent()) {
            Numbers.put(out, reading.deviceTs() - reading.ts());
        }
        if (reading.isCompared()) {
            Numbers.put(out, reading.lagMs() - lagMs);
        }
        if (reading.deviceSeq() != null) {
            Numbers.put(out, reading.deviceSeq() - seq);
        }
        Numbers.put(out, reading.gatewaySeq() - gatewaySeq);
        if (reading.isPlaced()) {
            Numbers.put(out, reading.part());
            Numbers.put(out, reading.repeat());
        }
        out.putDouble(reading.value());
        remember(reading);
    }

    /** Reads what {@link #write} wrote, and makes it the newest. */
    Reading read(ByteBuffer in, byte flags) {
        long ts = this.ts + Numbers.get(in);
        boolean timed = (flags & Reading.TIMED) != 0;
        boolean asSent = (flags & Reading.AS_SENT) != 0;
        long deviceTs = !timed ? 0 : asSent ? ts : ts + Numbers.get(in);
        long lagMs = (flags & Reading.COMPARED) != 0 ? this.lagMs + Numbers.get(in) : 0;
        Long deviceSeq = (flags & Reading.NUMBERED) != 0 ? (Long) (seq + Numbers.get(in)) : null;
        long gatewaySeq = this.gatewaySeq + Numbers.get(in);
        boolean placed = (flags & Reading.PLACED) != 0;
        int part = placed ? (int) Numbers.get(in) : 0;
        int repeat = placed ? (int) Numbers.get(in) : 0;
        Reading reading =
                new Reading(this, flags, ts, in.getDouble(), deviceTs, lagMs, deviceSeq, gatewaySeq, part, repeat);
        remember(reading);
        return reading;
    }

    private void remember(Reading newest) {
        ts = newest.ts();
        gatewaySeq = newest.gatewaySeq();
        if (newest.isCompared()) {
            lagMs = newest.lagMs();
        }
        if (newest.deviceSeq() != null) {
            seq = newest.deviceSeq();
        }
    }
}
