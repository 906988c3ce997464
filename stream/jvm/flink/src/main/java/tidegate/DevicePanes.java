package tidegate;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Consumer;
import org.apache.flink.table.data.StringData;

/**
 * The open panes of one device: readings in, and out come panes by metric, closed by the device's own time.
 *
 * <p>Readings wait until their pane closes; then they are put in order, the ones sent twice are dropped, and the rest is
 * folded into one pane; panes that close at once go out in one row. Nothing here looks at a wall clock or a watermark: the
 * same readings in the same order give the same rows, however often the state has been written and read between them.
 *
 * <ul>
 *   <li>A device has two clocks, for readings with a time of its own and for those timed by its gateway. A clock stands at
 *       the newest time seen, never beyond what the gateway and Kafka saw (see {@link Arrival#clockMs}).
 *   <li>A pane closes when the clock of its metric has passed its end and the lateness. What comes for it later goes out at
 *       once as LATE.
 *   <li>A MARKER moves a clock, and goes on as one, behind the panes that it closes: up to its pane_end the device has said
 *       what it had to say.
 * </ul>
 */
final class DevicePanes {
    /** Where its rows go among those of other devices. */
    final String bucket;
    /** Whether there is something that {@link #write} has not written. */
    boolean isChanged;

    private final StringData id;
    private final PaneSizes sizes;
    private final long latenessMs;
    private final DeviceState state;
    private final Clocks clocks;
    private final OpenReadings open;
    private final Map<StringData, Metric> metrics = new HashMap<>();

    /** One open pane of one metric; in the order in which closed panes are given out. */
    private record Open(long endMs, Metric metric) implements Comparable<Open> {
        private static final Comparator<Open> ORDER =
                Comparator.comparingLong(Open::endMs).thenComparing(Open::metric);

        @Override
        public int compareTo(Open other) {
            return ORDER.compare(this, other);
        }
    }

    DevicePanes(StringData id, PaneSizes sizes, long latenessMs, DeviceState state) throws Exception {
        this.bucket = Bucket.of(id);
        this.id = id;
        this.sizes = sizes;
        this.latenessMs = latenessMs;
        this.state = state;
        Clocks kept = state.clocks();
        this.clocks = kept == null ? new Clocks() : kept.copy();
        this.open = new OpenReadings(state);
    }

    /** Takes a reading or marker that is neither invalid nor of the future. */
    void take(Arrival arrival, Consumer<byte[]> out) throws Exception {
        isChanged = true;
        Source source = arrival.source();
        clocks.advance(source, arrival.clockMs());
        if (!arrival.isMarker()) {
            place(arrival, out);
        }
        if (clocks.isDue(source, latenessMs)) {
            close(out);
        }
        if (arrival.isMarker()) {
            out.accept(Output.quiet(arrival, clocks.slowest() - latenessMs));
        }
    }

    /** Writes what is at hand to the state, which is behind it until then. */
    void write() throws Exception {
        // State in the heap keeps the object itself, and a checkpoint writes it while this one goes on.
        state.keepClocks(clocks.copy());
        open.write();
        isChanged = false;
    }

    /** Puts a reading with the open ones, or gives it out as late. */
    private void place(Arrival arrival, Consumer<byte[]> out) throws Exception {
        Origin origin = open.origin(arrival);
        Metric metric = origin == null ? metric(arrival.metric()) : metric(origin);
        join(metric, arrival.source());
        long endMs = metric.endMs(arrival.ts());
        if (endMs + latenessMs <= metric.time.now(clocks)) {
            out.accept(Output.turnedAway("LATE", arrival));
        } else {
            open.add(arrival, origin);
            clocks.waitFor(metric.time.slowest(clocks), endMs);
        }
    }

    /** Looks at all open panes: gives out those that are due, and notes what the others wait for. */
    private void close(Consumer<byte[]> out) throws Exception {
        Map<Open, List<Reading>> due = new HashMap<>();
        List<Reading> rest = new ArrayList<>();
        clocks.waitForNothing();
        for (Reading reading : open.all()) {
            Metric metric = metric(reading.origin());
            long endMs = metric.endMs(reading.ts());
            if (endMs + latenessMs <= metric.time.now(clocks)) {
                due.computeIfAbsent(new Open(endMs, metric), pane -> new ArrayList<>()).add(reading);
            } else {
                rest.add(reading);
                clocks.waitFor(metric.time.slowest(clocks), endMs);
            }
        }
        if (due.isEmpty()) {
            return;
        }
        open.keep(rest);
        List<Pane> closed = new ArrayList<>(due.size());
        new TreeMap<>(due).forEach((pane, readings) ->
                closed.add(Pane.fold(readings, pane.metric().startMs(pane.endMs() - 1), pane.endMs())));
        Output.panes(id, closed).forEach(out);
    }

    /** The metric of an origin, which is asked for with each of its readings and found by name once. */
    private Metric metric(Origin origin) throws Exception {
        if (origin.metric == null) {
            origin.metric = metric(origin.name());
        }
        return origin.metric;
    }

    private Metric metric(StringData name) throws Exception {
        Metric metric = metrics.get(name);
        if (metric == null) {
            // Flink may use the row's memory again.
            StringData own = StringData.fromBytes(name.toBytes());
            metric = new Metric(own, sizes.sizeMs(own), state.metric(own.toString()));
            metrics.put(own, metric);
        }
        return metric;
    }

    /** Has {@code source} among the sources of a metric. */
    private void join(Metric metric, Source source) throws Exception {
        MetricTime joined = MetricTime.joined(metric.time, source, clocks);
        if (joined != metric.time) {
            state.keepMetric(metric.name.toString(), joined);
            metric.time = joined;
        }
    }
}
