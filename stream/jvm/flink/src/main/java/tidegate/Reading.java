package tidegate;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import java.util.Comparator;
import org.apache.flink.table.data.StringData;

/**
 * A reading in an open pane, in the bytes that state keeps of it: one array instead of a row of objects, since a device at
 * 10 Hz has hundreds of them open. Text stays as UTF-8, which compares as Python's strings do.
 *
 * <p>The bytes are state: fields may be added behind the texts, and nothing else may change.
 */
final class Reading {
    private static final VarHandle LONGS = MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.BIG_ENDIAN);
    private static final VarHandle INTS = MethodHandles.byteArrayViewVarHandle(int[].class, ByteOrder.BIG_ENDIAN);

    private static final int TS = 0;
    private static final int VALUE = 8;
    private static final int DEVICE_TS = 16;
    private static final int DEVICE_SEQ = 24;
    private static final int GATEWAY_EPOCH = 32;
    private static final int GATEWAY_SEQ = 40;
    private static final int PART = 48;
    private static final int REPEAT = 52;
    private static final int FLAGS = 56;
    /** Each text: its length as an int, -1 for null, and its bytes. */
    private static final int TEXTS = 57;
    private static final int METRIC = 0;
    private static final int SITE = 1;
    private static final int UNIT = 2;
    private static final int DEVICE_BOOT = 3;
    private static final int GATEWAY_ID = 4;
    private static final byte BAD = 1;
    private static final byte TIMED = 2;
    private static final byte NUMBERED = 4;

    private static final Comparator<StringData> TEXT = Comparator.nullsFirst(Comparator.naturalOrder());
    private static final Comparator<Long> NUMBER = Comparator.nullsFirst(Comparator.naturalOrder());

    /** The order in which a pane is folded, nulls first. Both zeros are one value here, and NaN comes last. */
    static final Comparator<Reading> ORDER = Comparator.comparingLong(Reading::ts)
            .thenComparing(Reading::deviceBoot, TEXT)
            .thenComparing(Reading::deviceSeq, NUMBER)
            .thenComparingDouble(Reading::oneZero)
            .thenComparingInt(Reading::repeat)
            .thenComparing(Reading::gatewayId, TEXT)
            .thenComparingLong(Reading::gatewayEpoch)
            .thenComparingLong(Reading::gatewaySeq)
            .thenComparingInt(Reading::part);

    private final byte[] bytes;

    /** @param bytes what {@link #bytes} gave */
    Reading(byte[] bytes) {
        this.bytes = bytes;
    }

    /** What has to be kept of a row; nothing of it is shared with the row's memory, which Flink may use again. */
    static Reading of(Arrival row) {
        byte[][] texts = {
            utf8(row.metric()), utf8(row.site()), utf8(row.unit()), utf8(row.deviceBoot()), utf8(row.gatewayId())
        };
        int size = TEXTS;
        for (byte[] text : texts) {
            size += Integer.BYTES + (text == null ? 0 : text.length);
        }
        byte[] bytes = new byte[size];
        LONGS.set(bytes, TS, row.ts());
        LONGS.set(bytes, VALUE, Double.doubleToRawLongBits(row.value()));
        LONGS.set(bytes, GATEWAY_EPOCH, row.gatewayEpoch());
        LONGS.set(bytes, GATEWAY_SEQ, row.gatewaySeq());
        INTS.set(bytes, PART, row.part());
        INTS.set(bytes, REPEAT, row.repeat());
        byte flags = row.isBad() ? BAD : 0;
        if (row.isTimed()) {
            flags |= TIMED;
            LONGS.set(bytes, DEVICE_TS, row.deviceTs());
        }
        if (row.isNumbered()) {
            flags |= NUMBERED;
            LONGS.set(bytes, DEVICE_SEQ, row.deviceSeq());
        }
        bytes[FLAGS] = flags;
        writeTexts(bytes, texts);
        return new Reading(bytes);
    }

    private static void writeTexts(byte[] bytes, byte[][] texts) {
        int at = TEXTS;
        for (byte[] text : texts) {
            INTS.set(bytes, at, text == null ? -1 : text.length);
            at += Integer.BYTES;
            if (text != null) {
                System.arraycopy(text, 0, bytes, at, text.length);
                at += text.length;
            }
        }
    }

    private static byte[] utf8(StringData text) {
        return text == null ? null : text.toBytes();
    }

    /** What state keeps; not to be changed. */
    byte[] bytes() {
        return bytes;
    }

    long ts() {
        return (long) LONGS.get(bytes, TS);
    }

    double value() {
        return Double.longBitsToDouble((long) LONGS.get(bytes, VALUE));
    }

    /** Whether the value is counted and not folded: of BAD quality, or not finite. */
    boolean isBad() {
        return (bytes[FLAGS] & BAD) != 0;
    }

    /** Whether it has a time of the device's own, and that is the event time: then equal keys have equal times. */
    boolean isTimedAsSent() {
        return (bytes[FLAGS] & TIMED) != 0 && (long) LONGS.get(bytes, DEVICE_TS) == ts();
    }

    StringData metric() {
        return text(METRIC);
    }

    StringData site() {
        return text(SITE);
    }

    StringData unit() {
        return text(UNIT);
    }

    private Long deviceSeq() {
        return (bytes[FLAGS] & NUMBERED) == 0 ? null : (Long) (long) LONGS.get(bytes, DEVICE_SEQ);
    }

    private StringData deviceBoot() {
        return text(DEVICE_BOOT);
    }

    private StringData gatewayId() {
        return text(GATEWAY_ID);
    }

    private long gatewayEpoch() {
        return (long) LONGS.get(bytes, GATEWAY_EPOCH);
    }

    private long gatewaySeq() {
        return (long) LONGS.get(bytes, GATEWAY_SEQ);
    }

    private int part() {
        return (int) INTS.get(bytes, PART);
    }

    private int repeat() {
        return (int) INTS.get(bytes, REPEAT);
    }

    private StringData text(int index) {
        int at = TEXTS;
        for (int before = 0; before < index; before++) {
            at += Integer.BYTES + Math.max(0, (int) INTS.get(bytes, at));
        }
        int length = (int) INTS.get(bytes, at);
        return length < 0 ? null : StringData.fromBytes(bytes, at + Integer.BYTES, length);
    }

    /** What makes two readings of one device and metric the same reading, sent twice. */
    Object key() {
        return (bytes[FLAGS] & TIMED) == 0
                ? new GatewayKey(gatewayId(), gatewayEpoch(), gatewaySeq(), part())
                : new DeviceKey((long) LONGS.get(bytes, DEVICE_TS), deviceBoot(), deviceSeq(), oneZero(), repeat());
    }

    private record GatewayKey(StringData gatewayId, long gatewayEpoch, long gatewaySeq, int part) {}

    private record DeviceKey(long deviceTs, StringData deviceBoot, Long deviceSeq, double value, int repeat) {}

    /** The value with -0.0 made 0.0, as Python's comparisons see it. */
    private double oneZero() {
        return value() + 0.0;
    }
}
