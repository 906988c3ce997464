package tidegate;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.apache.flink.table.data.StringData;

/**
 * What {@link Panes} tells, as `stream/jobs/told.py` reads it.
 *
 * <p>A row costs Python about as much as what it makes of a pane, so panes that close together are told together.
 */
final class Output {
    private static final byte[] PANE = utf8("PANE");
    private static final byte[] READING = utf8("READING");
    private static final byte[] NOTHING = {};
    private static final int MOST_PANES = 1000;

    private Output() {}

    /** Panes of a device, in this order. */
    static List<byte[]> panes(StringData device, List<Pane> panes) {
        List<byte[]> rows = new ArrayList<>();
        for (int from = 0; from < panes.size(); from += MOST_PANES) {
            rows.add(row(device, panes.subList(from, Math.min(from + MOST_PANES, panes.size()))));
        }
        return rows;
    }

    private static byte[] row(StringData device, List<Pane> panes) {
        MessagePack out = new MessagePack().array(panes.size());
        panes.forEach(pane -> tell(out, device, pane));
        return out.bytes();
    }

    private static void tell(MessagePack out, StringData device, Pane pane) {
        out.array(6).text(PANE).text(device).text(pane.metric).text(orEmpty(pane.site)).text(pane.unit);
        out.array(19).number(pane.startMs).number(pane.endMs).number(pane.n);
        for (double real : new double[] {pane.mean, pane.m2, pane.lo, pane.hi, pane.first, pane.last}) {
            out.real(real);
        }
        out.number(pane.firstTs).number(pane.lastTs).real(pane.tMean).real(pane.tM2).real(pane.tC);
        out.number(pane.run).real(pane.step).number(pane.bad).number(pane.duplicates);
        if (pane.lagMs == null) {
            out.nothing();
        } else {
            out.number(pane.lagMs);
        }
    }

    /** That a quiet device's panes are all given out that end by {@code uptoMs}: a pane of no metric. */
    static byte[] quiet(Arrival marker, long uptoMs) {
        return row(marker.deviceId(), List.of(Pane.none(marker.site(), uptoMs)));
    }

    /** A reading that went into no pane, whole, and why. */
    static byte[] turnedAway(String why, Arrival arrival) {
        MessagePack out = new MessagePack().array(1);
        out.array(5).text(READING).text(utf8(why));
        arrival.tell(out);
        return out.bytes();
    }

    private static byte[] orEmpty(StringData text) {
        return text == null ? NOTHING : text.toBytes();
    }

    private static byte[] utf8(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }
}
