package tidegate;

import java.nio.ByteBuffer;

/** Whole numbers in as few bytes as they need: zigzag, then seven bits a byte, as in Avro's specification ("Binary encoding"). */
final class Numbers {
    /** The most bytes that one takes. */
    static final int MOST = 10;

    private Numbers() {}

    static void put(ByteBuffer out, long number) {
        long rest = number << 1 ^ number >> 63;
        while ((rest & ~0x7FL) != 0) {
            out.put((byte) (rest | 0x80));
            rest >>>= 7;
        }
        out.put((byte) rest);
    }

    static long get(ByteBuffer in) {
        long found = 0;
        int shift = 0;
        byte next;
        do {
            next = in.get();
            found |= (next & 0x7FL) << shift;
            shift += 7;
        } while (next < 0);
        return found >>> 1 ^ -(found & 1);
    }
}
