package tidegate;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** The state of a device in memory, as a checkpoint would have it. */
final class KeptState implements DeviceState {
    final List<byte[]> open = new ArrayList<>();
    private final Map<String, MetricTime> metrics = new HashMap<>();
    private Clocks clocks;
    private int looks;

    @Override
    public Clocks clocks() {
        return clocks;
    }

    @Override
    public void keepClocks(Clocks kept) {
        clocks = kept;
    }

    @Override
    public MetricTime metric(String name) {
        return metrics.get(name);
    }

    @Override
    public void keepMetric(String name, MetricTime time) {
        metrics.put(name, time);
    }

    @Override
    public Iterable<byte[]> open() {
        looks++;
        return open;
    }

    @Override
    public void addOpen(byte[] readings) {
        open.add(readings);
    }

    @Override
    public void clearOpen() {
        open.clear();
    }

    /** How often the open readings were read. */
    int looks() {
        return looks;
    }

    /** The same, and nothing shared that could change. */
    KeptState copy() {
        KeptState copy = new KeptState();
        open.forEach(each -> copy.open.add(each.clone()));
        metrics.forEach((name, time) -> {
            MetricTime same = new MetricTime();
            same.sources = time.sources;
            same.reachedMs = time.reachedMs;
            copy.metrics.put(name, same);
        });
        copy.clocks = clocks == null ? null : clocks.copy();
        return copy;
    }
}
