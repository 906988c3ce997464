package tidegate;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

/**
 * The pane operator's contract for one device, written the slow way round: it keeps everything, moves every metric's time
 * after every row, and looks at every pane each time. Answers are in the text form of {@link Device}.
 */
final class Model {
    private final Map<String, Long> sizes;
    private final long latenessMs;
    private final Map<String, Long> clocks = new HashMap<>();
    private final Map<String, Set<String>> sourcesOf = new TreeMap<>();
    private final Map<String, Long> timeOf = new HashMap<>();
    private final List<Sample> open = new ArrayList<>();

    Model(Map<String, Long> sizes, long latenessMs) {
        this.sizes = sizes;
        this.latenessMs = latenessMs;
    }

    List<String> accept(Sample sample) {
        List<String> rows = new ArrayList<>();
        boolean marker = sample.kind().equals("MARKER");
        if (sample.ts() > Math.min(sample.receivedTs(), sample.kafkaTs()) + 60_000) {
            return marker ? rows : List.of("FUTURE " + tail(sample));
        }
        String source = sample.deviceTs() == null ? "gateway" : "device";
        clocks.merge(source, Math.min(sample.ts(), Math.min(sample.receivedTs() + 60_000, sample.kafkaTs())), Math::max);
        if (!marker) {
            sourcesOf.computeIfAbsent(sample.metric(), metric -> new TreeSet<>()).add(source);
        }
        moveTimes();
        if (!marker && isClosed(sample)) {
            rows.add("LATE " + tail(sample));
        } else if (!marker) {
            open.add(sample);
        }
        rows.addAll(close());
        if (marker) {
            rows.add("MARKER " + (clocks.values().stream().mapToLong(clock -> clock).min().orElseThrow() - latenessMs));
        }
        return rows;
    }

    private static String tail(Sample sample) {
        return sample.metric() + " " + sample.value() + " " + sample.ts();
    }

    private void moveTimes() {
        sourcesOf.forEach((metric, sources) -> {
            long slowest = sources.stream().mapToLong(clocks::get).min().orElseThrow();
            timeOf.merge(metric, slowest, Math::max);
        });
    }

    private boolean isClosed(Sample sample) {
        return timeOf.getOrDefault(sample.metric(), Long.MIN_VALUE) >= end(sample) + latenessMs;
    }

    private long size(Sample sample) {
        return sizes.getOrDefault(sample.metric(), sizes.get("*"));
    }

    private long end(Sample sample) {
        return Math.floorDiv(sample.ts(), size(sample)) * size(sample) + size(sample);
    }

    private List<String> close() {
        Map<Long, Map<String, List<Sample>>> closed = new TreeMap<>();
        for (Sample sample : List.copyOf(open)) {
            if (isClosed(sample)) {
                open.remove(sample);
                closed.computeIfAbsent(end(sample), end -> new TreeMap<>())
                        .computeIfAbsent(sample.metric(), metric -> new ArrayList<>())
                        .add(sample);
            }
        }
        List<String> rows = new ArrayList<>();
        closed.forEach((end, metrics) -> metrics.forEach((metric, samples) -> rows.add(fold(metric, end, samples))));
        return rows;
    }

    private String fold(String metric, long end, List<Sample> samples) {
        samples.sort(Comparator.comparingLong(Sample::ts)
                .thenComparing(sample -> sample.boot() == null ? "" : sample.boot())
                .thenComparing(sample -> sample.deviceSeq() == null ? Long.MIN_VALUE : sample.deviceSeq())
                .thenComparingDouble(Sample::value)
                .thenComparingInt(Sample::repeat)
                .thenComparingLong(Sample::gatewaySeq));
        Set<String> keys = new HashSet<>();
        long n = 0;
        long bad = 0;
        double mean = 0;
        for (Sample sample : samples) {
            if (!keys.add(key(sample))) {
                continue;
            }
            if (sample.quality().equals("BAD") || Double.isNaN(sample.value())) {
                bad++;
            } else {
                n++;
                mean += (sample.value() - mean) / n;
            }
        }
        return "PANE " + metric + " " + (end - size(samples.get(0))) + " " + end + " n=" + n + " mean=" + mean + " bad=" + bad
                + " duplicates=" + (samples.size() - keys.size());
    }

    private static String key(Sample sample) {
        return sample.deviceTs() == null
                ? "gateway " + sample.gatewaySeq()
                : sample.deviceTs() + " " + sample.boot() + " " + sample.deviceSeq() + " " + sample.value() + " " + sample.repeat();
    }

    int openReadings() {
        return open.size();
    }
}
