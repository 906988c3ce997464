package tidegate;

import org.apache.flink.table.data.StringData;

/** One metric of one device, at hand: how long its panes are and whose clocks it goes by. */
final class Metric implements Comparable<Metric> {
    final StringData name;
    private final long sizeMs;
    /** As state has it; null while nothing came of it. */
    MetricTime time;

    Metric(StringData name, long sizeMs, MetricTime time) {
        this.name = name;
        this.sizeMs = sizeMs;
        this.time = time;
    }

    /** When the pane that holds {@code tsMs} ends, which is not part of it; panes begin at whole multiples of their size. */
    long endMs(long tsMs) {
        return startMs(tsMs) + sizeMs;
    }

    /** When that pane begins. */
    long startMs(long tsMs) {
        return Math.floorDiv(tsMs, sizeMs) * sizeMs;
    }

    /** By name, which is what tells metrics of a device apart. */
    @Override
    public int compareTo(Metric other) {
        return name.compareTo(other.name);
    }
}
