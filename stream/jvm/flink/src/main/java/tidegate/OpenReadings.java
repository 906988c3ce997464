package tidegate;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import org.apache.flink.table.api.dataview.ListView;

/**
 * The readings of a device's open panes, in order of arrival. State has an entry for each, which tells by how much it differs
 * from the one before it of its {@link Origin}: some 17 bytes of the 150 that it came with. One that is the first of its
 * origin brings that along.
 */
final class OpenReadings {
    /** Its origin is new, and stands in the entry. Beside the flags of {@link Reading}. */
    private static final byte FRESH = 64;

    private static final int MOST_BYTES = 1 + 8 * Numbers.MOST + Double.BYTES;

    private final ListView<byte[]> state;
    private final Map<ByteBuffer, Origin> known = new HashMap<>();
    private final List<Origin> origins = new ArrayList<>();

    OpenReadings(ListView<byte[]> state) {
        this.state = state;
    }

    /** All of them, as state has them. */
    List<Reading> all() throws Exception {
        forget();
        List<Reading> readings = new ArrayList<>();
        for (byte[] entry : state.get()) {
            readings.add(read(ByteBuffer.wrap(entry)));
        }
        return readings;
    }

    void add(Arrival arrival) throws Exception {
        state.add(entry(arrival.origin(), arrival::reading));
    }

    /** Keeps these, of all there are, and no others. */
    void keep(List<Reading> readings) throws Exception {
        forget();
        List<byte[]> entries = new ArrayList<>();
        for (Reading reading : readings) {
            entries.add(entry(ByteBuffer.wrap(reading.origin().bytes()), reading::of));
        }
        state.clear();
        state.addAll(entries);
    }

    private void forget() {
        known.clear();
        origins.clear();
    }

    private Origin know(byte[] bytes) {
        Origin origin = new Origin(bytes, origins.size());
        origins.add(origin);
        known.put(ByteBuffer.wrap(bytes), origin);
        return origin;
    }

    /** @param reading the reading, of its origin as it is known here */
    private byte[] entry(ByteBuffer origin, Function<Origin, Reading> reading) {
        Origin before = known.get(origin);
        byte[] fresh = before == null ? Packed.bytes(origin) : null;
        return entry(reading.apply(before == null ? know(fresh) : before), fresh);
    }

    /** @param fresh the bytes of the reading's origin if no entry has told them yet, else null */
    private static byte[] entry(Reading reading, byte[] fresh) {
        ByteBuffer out = ByteBuffer.allocate(MOST_BYTES + (fresh == null ? 0 : fresh.length));
        out.put((byte) (reading.flags() | (fresh == null ? 0 : FRESH)));
        if (fresh == null) {
            Numbers.put(out, reading.origin().index);
        } else {
            Numbers.put(out, fresh.length);
            out.put(fresh);
        }
        reading.origin().write(out, reading);
        return Packed.bytes(out.flip());
    }

    private Reading read(ByteBuffer in) {
        byte flags = in.get();
        int number = (int) Numbers.get(in);
        if ((flags & FRESH) == 0) {
            return origins.get(number).read(in, flags);
        }
        byte[] bytes = new byte[number];
        in.get(bytes);
        return know(bytes).read(in, (byte) (flags & ~FRESH));
    }
}
