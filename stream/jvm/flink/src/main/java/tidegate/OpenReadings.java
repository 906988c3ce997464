package tidegate;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * The readings of a device's open panes, in order of arrival. Each tells by how much it differs from the one before it of its
 * {@link Origin}: some 17 bytes of the 150 that it came with. One that is the first of its origin brings that along.
 *
 * <p>State has them in as many pieces as there were checkpoints; those of after the last one are at hand.
 */
final class OpenReadings {
    /** Its origin is new, and stands with it. Beside the flags of {@link Reading}. */
    private static final byte FRESH = 64;

    private static final int MOST_BYTES = 1 + 8 * Numbers.MOST + Double.BYTES;
    private static final ByteBuffer NONE = ByteBuffer.allocate(0);

    private final DeviceState state;
    private final Map<ByteBuffer, Origin> known = new HashMap<>();
    private final List<Origin> origins = new ArrayList<>();
    /** Whose reading came last. */
    private int newest;
    /** What state does not have yet, behind what it has. */
    private ByteBuffer unwritten = NONE;
    private boolean isStored;

    /** Those that state has. */
    OpenReadings(DeviceState state) throws Exception {
        this.state = state;
        isStored = !all().isEmpty();
    }

    /** All of them. */
    List<Reading> all() throws Exception {
        forget();
        List<Reading> readings = new ArrayList<>();
        for (byte[] written : state.open()) {
            read(ByteBuffer.wrap(written), readings);
        }
        read(unwritten.duplicate().flip(), readings);
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
    void add(Arrival arrival, Origin origin) {
        byte[] fresh = origin == null ? Packed.bytes(arrival.origin()) : null;
        put(arrival.reading(origin == null ? know(fresh) : origin), fresh);
    }

    /** Keeps these, of all there are, and no others. */
    void keep(List<Reading> readings) throws Exception {
        forget();
        unwritten = NONE;
        if (isStored) {
            state.clearOpen();
            isStored = false;
        }
        for (Reading reading : readings) {
            byte[] bytes = reading.origin().bytes();
            Origin before = known.get(ByteBuffer.wrap(bytes));
            put(reading.of(before == null ? know(bytes) : before), before == null ? bytes : null);
        }
    }

    /** Writes what state does not have. */
    void write() throws Exception {
        if (unwritten.position() > 0) {
            state.addOpen(Packed.bytes(unwritten.flip()));
            unwritten = NONE;
            isStored = true;
        }
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

    /** @param fresh the bytes of the reading's origin if none before has told them, else null */
    private void put(Reading reading, byte[] fresh) {
        ByteBuffer out = room(MOST_BYTES + (fresh == null ? 0 : fresh.length));
        out.put((byte) (reading.flags() | (fresh == null ? 0 : FRESH)));
        if (fresh == null) {
            Numbers.put(out, reading.origin().index);
        } else {
            Numbers.put(out, fresh.length);
            out.put(fresh);
        }
        reading.origin().write(out, reading);
    }

    private ByteBuffer room(int bytes) {
        if (unwritten.remaining() < bytes) {
            unwritten = ByteBuffer.allocate(2 * unwritten.position() + bytes).put(unwritten.flip());
        }
        return unwritten;
    }

    private void read(ByteBuffer in, List<Reading> readings) {
        while (in.hasRemaining()) {
            readings.add(read(in));
        }
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
