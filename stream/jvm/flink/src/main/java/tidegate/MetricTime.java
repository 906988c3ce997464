package tidegate;

/**
 * State of one metric of one device: whose clocks its readings carry. Its time is the slowest of those clocks, and never
 * goes back: when a second source joins that lags behind, the panes already closed stay closed.
 */
public class MetricTime {
    /** An or of {@link Source#bit}s; changes once or twice in a metric's life. */
    public Integer sources;
    /** The metric's time when its newest source joined. */
    public Long reachedMs;

    /** The time of this metric: panes that ended a lateness before it are closed. */
    long now(Clocks clocks) {
        return Math.max(reachedMs, clocks.slowest(sources));
    }

    /** The same metric with {@code source} among its sources; {@code metric} itself if it is already, null if unknown. */
    static MetricTime joined(MetricTime metric, Source source, Clocks clocks) {
        if (metric != null && metric.has(source)) {
            return metric;
        }
        MetricTime joined = new MetricTime();
        joined.sources = source.bit | (metric == null ? 0 : metric.sources);
        joined.reachedMs = metric == null ? Long.MIN_VALUE : metric.now(clocks);
        return joined;
    }

    boolean has(Source source) {
        return (sources & source.bit) != 0;
    }

    /** The clock that holds this metric's open panes back: the slowest it goes by. */
    Source slowest(Clocks clocks) {
        boolean both = sources == (Source.DEVICE.bit | Source.GATEWAY.bit);
        boolean device = both ? clocks.now(Source.DEVICE) <= clocks.now(Source.GATEWAY) : sources == Source.DEVICE.bit;
        return device ? Source.DEVICE : Source.GATEWAY;
    }
}
