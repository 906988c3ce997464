package tidegate;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import org.apache.flink.table.data.StringData;

/**
 * A reading as one array: what {@link PackedReader} makes of a record and {@link Place} completes at the source, and what goes
 * over the wire to the pane operator.
 *
 * <p>Big-endian numbers at fixed places, then texts (the length as an int, -1 for null, and UTF-8). From {@link #ORIGIN} to the
 * end of the gateway's name it is an {@link Origin}, of which state is made: that part may not change.
 */
final class Packed {
    private static final VarHandle LONGS = MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.BIG_ENDIAN);
    private static final VarHandle INTS = MethodHandles.byteArrayViewVarHandle(int[].class, ByteOrder.BIG_ENDIAN);

    /** A bit for each column of {@link Columns#READING} and each that Kafka adds: it is null. */
    static final int NULLS = 0;
    static final int TS = 4;
    static final int VALUE = 12;
    static final int DEVICE_TS = 20;
    static final int DEVICE_SEQ = 28;
    static final int GATEWAY_SEQ = 36;
    static final int PART = 44;
    static final int REPEAT = 48;
    /** Of {@link #BAD}, {@link #MARKER}, {@link #REPLAYED}, {@link #AHEAD} and {@link #UNSYNCED}. */
    static final int FLAGS = 52;
    static final int ORIGIN = 53;
    static final int GATEWAY_EPOCH = ORIGIN;
    static final int TEXTS = 61;

    static final byte BAD = 1;
    static final byte MARKER = 2;
    static final byte REPLAYED = 4;
    /** The event time is ahead of Kafka's, so the clock was not moved to it. */
    static final byte AHEAD = 8;
    /** Its gateway did not know what time it was. */
    static final byte UNSYNCED = 16;

    // The texts, in their order. The first five are of the origin.
    static final int METRIC = 0;
    static final int SITE = 1;
    static final int UNIT = 2;
    static final int DEVICE_BOOT = 3;
    static final int GATEWAY_ID = 4;
    private static final int ORIGIN_TEXTS = 5;
    static final int KIND = 5;
    static final int QUALITY = 6;
    static final int CLOCK = 7;
    private static final int ALL_TEXTS = 8;

    // Counted from the end of an array that still has it.
    static final int RECEIVED_TS = 28;
    static final int KAFKA_TS = 20;
    static final int KAFKA_OFFSET = 12;
    static final int KAFKA_PARTITION = 4;

    private Packed() {}

    /** An array for texts of these lengths together, with room for all else. */
    static byte[] ofSize(int textBytes) {
        return new byte[TEXTS + ALL_TEXTS * Integer.BYTES + textBytes + RECEIVED_TS];
    }

    /** Puts a text where the one before it ends, the first at {@link #TEXTS}; returns where this one ends. */
    static int putText(byte[] bytes, int at, byte[] text, int length) {
        setInt(bytes, at, length);
        System.arraycopy(text, 0, bytes, at + Integer.BYTES, length);
        return at + Integer.BYTES + length;
    }

    /** The same for a text that is null. */
    static int putNull(byte[] bytes, int at) {
        setInt(bytes, at, -1);
        return at + Integer.BYTES;
    }

    /** The part that its {@link Origin} is, in the array itself. */
    static ByteBuffer origin(byte[] bytes) {
        return ByteBuffer.wrap(bytes, ORIGIN, textAt(bytes, TEXTS, ORIGIN_TEXTS) - ORIGIN);
    }

    /** A copy of what is left in a buffer. */
    static byte[] bytes(ByteBuffer buffer) {
        int from = buffer.arrayOffset() + buffer.position();
        return Arrays.copyOfRange(buffer.array(), from, from + buffer.remaining());
    }

    static StringData text(byte[] bytes, int index) {
        return textFrom(bytes, TEXTS, index);
    }

    /** A text of an array whose first text stands at {@code first}. */
    static StringData textFrom(byte[] bytes, int first, int index) {
        int at = textAt(bytes, first, index);
        int length = getInt(bytes, at);
        return length < 0 ? null : StringData.fromBytes(bytes, at + Integer.BYTES, length);
    }

    private static int textAt(byte[] bytes, int first, int index) {
        int at = first;
        for (int before = 0; before < index; before++) {
            at += Integer.BYTES + Math.max(0, getInt(bytes, at));
        }
        return at;
    }

    static boolean isNull(byte[] bytes, int column) {
        return (getInt(bytes, NULLS) & 1 << column) != 0;
    }

    static boolean has(byte[] bytes, byte flag) {
        return (bytes[FLAGS] & flag) != 0;
    }

    static long getLong(byte[] bytes, int at) {
        return (long) LONGS.get(bytes, at);
    }

    static double getDouble(byte[] bytes, int at) {
        return Double.longBitsToDouble(getLong(bytes, at));
    }

    static int getInt(byte[] bytes, int at) {
        return (int) INTS.get(bytes, at);
    }

    static void setLong(byte[] bytes, int at, long value) {
        LONGS.set(bytes, at, value);
    }

    static void setInt(byte[] bytes, int at, int value) {
        INTS.set(bytes, at, value);
    }
}
