package tidegate;

import java.nio.ByteBuffer;
import java.util.Arrays;
import org.apache.flink.table.data.StringData;

/** What Python reads in one go: a MessagePack message (its specification, "Formats"), written front to back. */
final class MessagePack {
    private static final int NIL = 0xc0;
    private static final int FALSE = 0xc2;
    private static final int FLOAT64 = 0xcb;
    private static final int INT64 = 0xd3;
    private static final int STR32 = 0xdb;
    private static final int ARRAY16 = 0xdc;
    private static final int SMALL = 128;

    private ByteBuffer out = ByteBuffer.allocate(512);

    byte[] bytes() {
        return Arrays.copyOf(out.array(), out.position());
    }

    /** An array of so many of what follows. */
    MessagePack array(int length) {
        room(3).put((byte) ARRAY16).putShort((short) length);
        return this;
    }

    MessagePack nothing() {
        room(1).put((byte) NIL);
        return this;
    }

    MessagePack truth(boolean value) {
        room(1).put((byte) (value ? FALSE + 1 : FALSE));
        return this;
    }

    MessagePack number(long value) {
        if (0 <= value && value < SMALL) {
            room(1).put((byte) value);
        } else {
            room(1 + Long.BYTES).put((byte) INT64).putLong(value);
        }
        return this;
    }

    MessagePack real(double value) {
        room(1 + Double.BYTES).put((byte) FLOAT64).putDouble(value);
        return this;
    }

    /** A text, or nil for null. */
    MessagePack text(StringData text) {
        return text == null ? nothing() : text(text.toBytes());
    }

    MessagePack text(byte[] utf8) {
        room(1 + Integer.BYTES + utf8.length).put((byte) STR32).putInt(utf8.length).put(utf8);
        return this;
    }

    private ByteBuffer room(int bytes) {
        if (out.remaining() < bytes) {
            out = ByteBuffer.allocate(2 * (out.capacity() + bytes)).put(out.flip());
        }
        return out;
    }
}
