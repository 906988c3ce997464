package tidegate;

import java.util.HashMap;
import java.util.Map;
import org.apache.flink.table.api.dataview.MapView;
import org.apache.flink.table.data.StringData;

/**
 * What state says of metrics' times, at hand. It changes once or twice in a metric's life and is asked for with every
 * reading, where state would have its key made into a String and its value into an object each time.
 *
 * <p>Whoever asks is the only one who writes it, key by key, so what is at hand is never behind the state.
 */
final class MetricTimes {
    private static final int MOST_DEVICES = 200_000;

    private final Map<StringData, Map<StringData, MetricTime>> known = new HashMap<>();

    /**
     * The time of the row's metric, with the row's source among its sources.
     *
     * @param name the metric's
     * @param state its device's
     */
    MetricTime of(Arrival row, StringData name, Clocks clocks, MapView<String, MetricTime> state) throws Exception {
        Map<StringData, MetricTime> metrics = known.get(row.deviceId());
        MetricTime metric = metrics == null ? null : metrics.get(name);
        if (metric != null && metric.has(row.source())) {
            return metric;
        }
        MetricTime before = state.get(name.toString());
        MetricTime joined = MetricTime.joined(before, row.source(), clocks);
        if (joined != before) {
            state.put(name.toString(), joined);
        }
        remember(row.deviceId(), name, joined);
        return joined;
    }

    private void remember(StringData device, StringData name, MetricTime metric) {
        if (known.size() >= MOST_DEVICES) {
            known.clear();
        }
        known.computeIfAbsent(copy(device), copied -> new HashMap<>()).put(copy(name), metric);
    }

    /** Flink may use the row's memory again. */
    private static StringData copy(StringData text) {
        return StringData.fromBytes(text.toBytes());
    }
}
