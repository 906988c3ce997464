package tidegate;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/** What the pane operator tells, read as Python reads it: lists, texts, Longs, Doubles, Booleans and nulls. */
final class Told {
    private Told() {}

    static List<List<?>> of(byte[] told) {
        ByteBuffer in = ByteBuffer.wrap(told);
        List<List<?>> found = new ArrayList<>();
        ((List<?>) next(in)).forEach(each -> found.add((List<?>) each));
        if (in.hasRemaining()) {
            throw new IllegalArgumentException(in.remaining() + " bytes behind the end");
        }
        return found;
    }

    private static Object next(ByteBuffer in) {
        int format = Byte.toUnsignedInt(in.get());
        return switch (format) {
            case 0xc0 -> null;
            case 0xc2 -> false;
            case 0xc3 -> true;
            case 0xcb -> in.getDouble();
            case 0xd3 -> in.getLong();
            case 0xdb -> text(in, in.getInt());
            case 0xdc -> list(in, in.getShort());
            default -> small(format);
        };
    }

    private static Long small(int format) {
        if (format > 0x7f) {
            throw new IllegalArgumentException("format " + format);
        }
        return (long) format;
    }

    private static String text(ByteBuffer in, int length) {
        byte[] utf8 = new byte[length];
        in.get(utf8);
        return new String(utf8, StandardCharsets.UTF_8);
    }

    private static List<Object> list(ByteBuffer in, int length) {
        List<Object> found = new ArrayList<>();
        for (int i = 0; i < length; i++) {
            found.add(next(in));
        }
        return found;
    }
}
