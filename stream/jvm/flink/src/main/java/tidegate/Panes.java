package tidegate;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.flink.table.annotation.ArgumentHint;
import org.apache.flink.table.annotation.ArgumentTrait;
import org.apache.flink.table.annotation.DataTypeHint;
import org.apache.flink.table.annotation.StateHint;
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.table.api.dataview.ListView;
import org.apache.flink.table.api.dataview.MapView;
import org.apache.flink.table.catalog.DataTypeFactory;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.functions.ProcessTableFunction;
import org.apache.flink.table.types.inference.CallContext;
import org.apache.flink.table.types.inference.StateTypeStrategy;
import org.apache.flink.table.types.inference.TypeInference;

/**
 * Readings in, panes by metric out, closed by each device's own time.
 *
 * <p>Flink calls {@link #eval} once per reading, with the state of that reading's device. Readings wait in a list until
 * their pane closes; then they are put in order, the ones sent twice are dropped, and the rest is folded into one pane; panes
 * that close at once go out in one row.
 * Nothing here looks at a wall clock or a watermark: the same readings per device, in the same order, give the same rows.
 *
 * <ul>
 *   <li>A device has two clocks, for readings with a time of its own and for those timed by its gateway. A clock stands at
 *       the newest time seen, never beyond what the gateway and Kafka saw (see {@link Arrival#clockMs}).
 *   <li>A pane closes when the clock of its metric has passed its end and the lateness. What comes for it later goes out at
 *       once as LATE.
 *   <li>A MARKER moves a clock, and goes on as one, behind the panes that it closes: up to its pane_end the device has said
 *       what it had to say.
 *   <li>A reading too far in the future goes out as FUTURE, one with something missing as INVALID; neither moves a clock.
 * </ul>
 */
@DataTypeHint(value = Columns.OUTPUT, bridgedTo = RowData.class)
public class Panes extends ProcessTableFunction<RowData> {
    private static final long serialVersionUID = 1L;
    private static final int PANES_ARGUMENT = 1;
    private static final int LATENESS_ARGUMENT = 2;

    private transient String parsed;
    private transient PaneSizes sizes;
    private transient AtHand atHand;

    /** One open pane of one metric; in the order in which closed panes are given out. */
    private record Open(long endMs, Metric metric) implements Comparable<Open> {
        private static final Comparator<Open> ORDER =
                Comparator.comparingLong(Open::endMs).thenComparing(Open::metric);

        @Override
        public int compareTo(Open other) {
            return ORDER.compare(this, other);
        }
    }

    /** What the annotations say, but for the state; and the call's constants are checked when a query is planned. */
    @Override
    public TypeInference getTypeInference(DataTypeFactory types) {
        TypeInference extracted = super.getTypeInference(types);
        return TypeInference.newBuilder()
                .staticArguments(extracted.getStaticArguments().orElseThrow())
                .stateTypeStrategies(states(extracted.getStateTypeStrategies()))
                .outputTypeStrategy(call -> {
                    check(call);
                    return extracted.getOutputTypeStrategy().inferType(call);
                })
                .build();
    }

    /**
     * State is kept for ever: otherwise a job-wide {@code table.exec.state.ttl} would drop open readings, and without one
     * Flink 2.3.0 still stamps and checks every entry against a limit of 292 million years.
     */
    private static LinkedHashMap<String, StateTypeStrategy> states(Map<String, StateTypeStrategy> extracted) {
        LinkedHashMap<String, StateTypeStrategy> states = new LinkedHashMap<>();
        extracted.forEach((name, type) -> states.put(name, StateTypeStrategy.of(type, Duration.ZERO)));
        return states;
    }

    private static void check(CallContext call) {
        PaneSizes.parse(call.getArgumentValue(PANES_ARGUMENT, String.class).orElse(null));
        int latenessMs = call.getArgumentValue(LATENESS_ARGUMENT, Integer.class).orElse(-1);
        if (latenessMs < 0) {
            throw new ValidationException(
                    "Argument 'latenessMs' of tidegate.Panes must be a plain number of milliseconds, 0 or more, such as 5000");
        }
    }

    /**
     * Takes one reading or marker.
     *
     * @param clocks state: the device's clocks, under one key
     * @param metrics state: whose clocks each metric goes by
     * @param open state: the readings whose panes are open, in order of arrival
     * @param panes pane sizes, see {@link PaneSizes}
     * @param latenessMs how long a pane stays open beyond its end, on the clock of its metric
     */
    public void eval(
            @StateHint MapView<String, Clocks> clocks,
            @StateHint MapView<String, MetricTime> metrics,
            @StateHint(type = @DataTypeHint("ARRAY<BYTES>")) ListView<byte[]> open,
            @ArgumentHint(
                            value = ArgumentTrait.SET_SEMANTIC_TABLE,
                            type = @DataTypeHint(value = Columns.INPUT, bridgedTo = RowData.class))
                    RowData in,
            String panes,
            Integer latenessMs)
            throws Exception {
        parse(panes);
        Arrival arrival = new Arrival(in.getString(0), in.getBinary(1));
        if (arrival.isInvalid()) {
            collect(Output.turnedAway("INVALID", arrival));
        } else if (!arrival.isFuture()) {
            accept(arrival, atHand.device(arrival.deviceId(), clocks, metrics, open, sizes), latenessMs);
        } else if (!arrival.isMarker()) {
            collect(Output.turnedAway("FUTURE", arrival));
        }
    }

    private void accept(Arrival arrival, AtHand.Known device, int latenessMs) throws Exception {
        Clocks clocks = device.clocks;
        Source source = arrival.source();
        clocks.advance(source, arrival.clockMs());
        boolean told = !arrival.isMarker() && take(arrival, device, latenessMs) && !arrival.isAhead();
        boolean closed = clocks.isDue(source, latenessMs) && close(arrival.deviceId(), device, latenessMs);
        if (closed || !told) {
            device.keepClocks();
        }
        if (arrival.isMarker()) {
            collect(Output.quiet(arrival, clocks.slowest() - latenessMs));
        }
    }

    private void parse(String panes) {
        if (!panes.equals(parsed)) {
            sizes = PaneSizes.parse(panes);
            atHand = new AtHand();
            parsed = panes;
        }
    }

    /** Puts a reading with the open ones, or gives it out as late; returns whether it is with the open ones. */
    private boolean take(Arrival arrival, AtHand.Known device, long latenessMs) throws Exception {
        Origin origin = device.open.origin(arrival);
        Metric metric = origin == null ? device.metric(arrival.metric()) : device.metric(origin);
        device.join(metric, arrival.source());
        long endMs = metric.endMs(arrival.ts());
        if (endMs + latenessMs <= metric.time.now(device.clocks)) {
            collect(Output.turnedAway("LATE", arrival));
            return false;
        }
        device.open.add(arrival, origin);
        device.clocks.waitFor(metric.time.slowest(device.clocks), endMs);
        return true;
    }

    /**
     * Looks at all open panes: gives out those that are due, and notes what the others wait for. Returns whether any was due.
     */
    private boolean close(StringData id, AtHand.Known device, long latenessMs) throws Exception {
        Clocks clocks = device.clocks;
        Map<Open, List<Reading>> due = new HashMap<>();
        List<Reading> rest = new ArrayList<>();
        clocks.waitForNothing();
        for (Reading reading : device.open.all()) {
            Metric metric = device.metric(reading.origin());
            long endMs = metric.endMs(reading.ts());
            if (endMs + latenessMs <= metric.time.now(clocks)) {
                due.computeIfAbsent(new Open(endMs, metric), pane -> new ArrayList<>()).add(reading);
            } else {
                rest.add(reading);
                clocks.waitFor(metric.time.slowest(clocks), endMs);
            }
        }
        if (due.isEmpty()) {
            return false;
        }
        device.open.keep(rest);
        List<Pane> closed = new ArrayList<>(due.size());
        new TreeMap<>(due).forEach((pane, readings) ->
                closed.add(Pane.fold(readings, pane.metric().startMs(pane.endMs() - 1), pane.endMs())));
        Output.panes(id, closed).forEach(this::collect);
        return true;
    }
}
