package tidegate;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.apache.flink.table.data.StringData;

/**
 * The readings of one metric in one pane, folded one by one in {@link Reading#ORDER} into mean, spread and slope by
 * Welford's updates (Technometrics 4(3), 1962). Python folds the same way, and the two must agree to the last bit: the
 * order of the operations is part of the contract.
 */
final class Pane {
    final StringData metric;
    final long startMs;
    final long endMs;
    StringData site;
    StringData unit;
    long n;
    double mean;
    double m2;
    double lo;
    double hi;
    double first;
    double last;
    long firstTs;
    long lastTs;
    double tMean;
    double tM2;
    double tC;
    long run;
    double step;
    long bad;
    long duplicates;
    /** The least by which a gateway's clock was ahead of the time that the device gave a reading; null if none can be compared. */
    Long lagMs;

    private long currentRun;

    private Pane(StringData metric, long startMs, long endMs) {
        this.metric = metric;
        this.startMs = startMs;
        this.endMs = endMs;
        this.firstTs = startMs;
        this.lastTs = startMs;
    }

    /** Folds readings that came in any order, some of them twice. Site and unit are those of the last one. */
    static Pane fold(List<Reading> readings, long startMs, long endMs) {
        Pane pane = new Pane(readings.get(0).metric(), startMs, endMs);
        Reading last = cameInOrder(readings) ? pane.foldAsTheyCame(readings) : pane.foldInOrder(readings);
        pane.site = last.origin().site();
        pane.unit = last.origin().unit();
        return pane;
    }

    /** A pane of no metric: that there are none by then. */
    static Pane none(StringData site, long endMs) {
        Pane pane = new Pane(StringData.fromString(""), 0, endMs);
        pane.site = site;
        return pane;
    }

    /** Whether each is newer than the one before by the device's own time: then there is nothing to sort or to drop. */
    private static boolean cameInOrder(List<Reading> readings) {
        long before = Long.MIN_VALUE;
        for (Reading reading : readings) {
            if (reading.ts() <= before || !reading.isTimedAsSent()) {
                return false;
            }
            before = reading.ts();
        }
        return true;
    }

    private Reading foldAsTheyCame(List<Reading> readings) {
        readings.forEach(this::take);
        return readings.get(readings.size() - 1);
    }

    private Reading foldInOrder(List<Reading> readings) {
        List<Reading> ordered = new ArrayList<>(readings);
        ordered.sort(Reading.ORDER);
        // A set and not a look at the neighbour: sent again, a clamped reading has another ts.
        Set<Object> seen = new HashSet<>();
        Reading last = null;
        for (Reading reading : ordered) {
            if (seen.add(reading.key())) {
                take(reading);
                last = reading;
            } else {
                duplicates++;
            }
        }
        return last;
    }

    private void take(Reading reading) {
        if (reading.isCompared() && (lagMs == null || reading.lagMs() < lagMs)) {
            lagMs = reading.lagMs();
        }
        if (reading.isBad()) {
            bad++;
        } else {
            add(reading.ts(), reading.value());
        }
    }

    private void add(long ts, double x) {
        if (n == 0) {
            lo = x;
            hi = x;
            first = x;
            firstTs = ts;
        } else {
            step = Math.max(step, Math.abs(x - last));
        }
        currentRun = n > 0 && x == last ? currentRun + 1 : 1;
        run = Math.max(run, currentRun);
        if (x < lo) {
            lo = x;
        }
        if (x > hi) {
            hi = x;
        }
        last = x;
        lastTs = ts;
        welford((ts - startMs) / 1000.0, x);
    }

    /** @param t seconds since the pane's start */
    private void welford(double t, double x) {
        n += 1;
        double dx = x - mean;
        double dt = t - tMean;
        mean += dx / n;
        tMean += dt / n;
        m2 += dx * (x - mean);
        tM2 += dt * (t - tMean);
        tC += dt * (x - mean);
    }
}
