package tidegate;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.flink.table.api.dataview.ListView;
import org.apache.flink.table.api.dataview.MapView;
import org.apache.flink.table.data.StringData;

/**
 * What state says of devices, at hand: their clocks, whose clocks each metric goes by, and the origins of the open readings.
 * They are asked for with every reading, where state would have a key and an object made each time, and be written each time.
 *
 * <p>Whoever asks is the only one who writes it, so what is at hand is never behind the state. The clocks' state may be
 * behind: it is written when they move by what is not kept among the open readings, which tell the rest.
 */
final class AtHand {
    private static final int MOST_DEVICES = 200_000;
    /** The key of the one entry that a device's clocks are; a plain value would be written with every reading. */
    private static final String ONLY = "";

    private final Map<StringData, Known> known = new HashMap<>();

    /** What is known of one device. */
    static final class Known {
        final Clocks clocks;
        final OpenReadings open;
        private final Map<StringData, Metric> metrics = new HashMap<>();
        private final MapView<String, Clocks> clockState;
        private final MapView<String, MetricTime> metricState;
        private final PaneSizes sizes;

        private Known(
                Clocks clocks,
                OpenReadings open,
                MapView<String, Clocks> clockState,
                MapView<String, MetricTime> metricState,
                PaneSizes sizes) {
            this.clocks = clocks;
            this.open = open;
            this.clockState = clockState;
            this.metricState = metricState;
            this.sizes = sizes;
        }

        /** Writes the clocks down: they have moved by something that no open reading tells. */
        void keepClocks() throws Exception {
            // State in the heap keeps the object itself, and a checkpoint writes it while this one goes on.
            clockState.put(ONLY, clocks.copy());
        }

        /** The metric of an origin, which is asked for with each of its readings and found by name once. */
        Metric metric(Origin origin) throws Exception {
            if (origin.metric == null) {
                origin.metric = metric(origin.name());
            }
            return origin.metric;
        }

        Metric metric(StringData name) throws Exception {
            Metric metric = metrics.get(name);
            if (metric == null) {
                StringData own = copy(name);
                metric = new Metric(own, sizes.sizeMs(own), metricState.get(own.toString()));
                metrics.put(own, metric);
            }
            return metric;
        }

        /** Has {@code source} among the sources of a metric. */
        void join(Metric metric, Source source) throws Exception {
            MetricTime joined = MetricTime.joined(metric.time, source, clocks);
            if (joined != metric.time) {
                metricState.put(metric.name.toString(), joined);
                metric.time = joined;
            }
        }
    }

    /** The device whose state these views are. */
    Known device(
            StringData id,
            MapView<String, Clocks> clockState,
            MapView<String, MetricTime> metricState,
            ListView<byte[]> open,
            PaneSizes sizes)
            throws Exception {
        Known found = known.get(id);
        if (found == null) {
            if (known.size() >= MOST_DEVICES) {
                known.clear();
            }
            Clocks kept = clockState.get(ONLY);
            Clocks clocks = kept == null ? new Clocks() : kept.copy();
            found = new Known(clocks, new OpenReadings(open), clockState, metricState, sizes);
            recall(found);
            known.put(copy(id), found);
        }
        return found;
    }

    /** Moves the clocks to where the open readings have moved them, and notes which panes wait. */
    private static void recall(Known device) throws Exception {
        List<Reading> readings = device.open.all();
        for (Reading reading : readings) {
            if (!reading.isAhead()) {
                device.clocks.advance(reading.source(), reading.ts());
            }
        }
        for (Reading reading : readings) {
            Metric metric = device.metric(reading.origin());
            device.clocks.waitFor(metric.time.slowest(device.clocks), metric.endMs(reading.ts()));
        }
    }

    /** Flink may use the row's memory again. */
    private static StringData copy(StringData text) {
        return StringData.fromBytes(text.toBytes());
    }
}
