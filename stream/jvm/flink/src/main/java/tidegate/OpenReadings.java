package tidegate;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
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
    /** Whose reading came last. */
    private int newest;

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

    /** The origin of an arrival if an open reading has it, or null. */
    Origin origin(Arrival arrival) {
        ByteBuffer bytes = arrival.origin();
        // A device tells one metric after the other, or all by turns: a look costs less than a hash.
        for (int tried = 0; tried < Math.min(2, origins.size()); tried++) {
            Origin next = origins.get((newest + tried) % origins.size());
            if (next.is(bytes)) {
                newest = next.index;
                return next;
            }
        }
        Origin found = known.get(bytes);
        newest = found == null ? newest : found.index;
        return found;
    }

    /** @param origin of {@link #origin} */
    void add(Arrival arrival, Origin origin) throws Exception {
        byte[] fresh = origin == null ? Packed.bytes(arrival.origin()) : null;
        state.add(entry(arrival.reading(origin == null ? know(fresh) : origin), fresh));
    }

    /** Keeps these, of all there are, and no others. */
    void keep(List<Reading> readings) throws Exception {
        forget();
        List<byte[]> entries = new ArrayList<>();
        for (Reading reading : readings) {
            byte[] bytes = reading.origin().bytes();
            Origin before = known.get(ByteBuffer.wrap(bytes));
            entries.add(entry(reading.of(before == null ? know(bytes) : before), before == null ? bytes : null));
        }
        state.clear();
        state.addAll(entries);
    }

    private void forget() {
        known.clear();
        origins.clear();
        newest = 0;
    }

    private Origin know(byte[] bytes) {
        Origin origin = new Origin(bytes, origins.size());
        origins.add(origin);
        known.put(ByteBuffer.wrap(bytes), origin);
        return origin;
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
