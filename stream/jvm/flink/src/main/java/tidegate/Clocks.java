package tidegate;

/**
 * State of one device: how far its two clocks have come, and which time each is waited for to reach.
 *
 * <p>Null stands for a clock never heard of, or for nothing to wait for. (Flink wants public fields and a class of its own
 * here, and nullable ones keep an empty state empty.)
 */
public class Clocks {
    public Long deviceMs;
    public Long gatewayMs;
    /** The earliest end of a pane held back by the device's clock; it closes when the lateness has passed as well. */
    public Long deviceEndMs;
    public Long gatewayEndMs;

    Clocks copy() {
        Clocks copy = new Clocks();
        copy.deviceMs = deviceMs;
        copy.gatewayMs = gatewayMs;
        copy.deviceEndMs = deviceEndMs;
        copy.gatewayEndMs = gatewayEndMs;
        return copy;
    }

    /** The clock of {@code source}, or {@link Long#MIN_VALUE} when nothing came from it yet. */
    long now(Source source) {
        Long clock = source == Source.DEVICE ? deviceMs : gatewayMs;
        return clock == null ? Long.MIN_VALUE : clock;
    }

    /** The slowest clock of a set of sources (an or of {@link Source#bit}s); of none, {@link Long#MIN_VALUE}. */
    long slowest(int sources) {
        long device = (sources & Source.DEVICE.bit) != 0 ? now(Source.DEVICE) : Long.MAX_VALUE;
        long gateway = (sources & Source.GATEWAY.bit) != 0 ? now(Source.GATEWAY) : Long.MAX_VALUE;
        return sources == 0 ? Long.MIN_VALUE : Math.min(device, gateway);
    }

    /** The slowest clock that was ever heard of. */
    long slowest() {
        return deviceMs == null ? gatewayMs : gatewayMs == null ? deviceMs : Math.min(deviceMs, gatewayMs);
    }

    /** Moves a clock forward; it never goes back. */
    void advance(Source source, long toMs) {
        if (toMs <= now(source)) {
            return;
        }
        if (source == Source.DEVICE) {
            deviceMs = toMs;
        } else {
            gatewayMs = toMs;
        }
    }

    /** Notes that a pane ending at {@code endMs} waits for {@code source}. */
    void waitFor(Source source, long endMs) {
        if (source == Source.DEVICE) {
            deviceEndMs = deviceEndMs == null ? endMs : Math.min(deviceEndMs, endMs);
        } else {
            gatewayEndMs = gatewayEndMs == null ? endMs : Math.min(gatewayEndMs, endMs);
        }
    }

    /** Whether {@code source} has come to where a pane that waits for it may close. */
    boolean isDue(Source source, long latenessMs) {
        Long endMs = source == Source.DEVICE ? deviceEndMs : gatewayEndMs;
        return endMs != null && now(source) >= endMs + latenessMs;
    }

    /** Forgets what is waited for, before all open panes are looked at anew. */
    void waitForNothing() {
        deviceEndMs = null;
        gatewayEndMs = null;
    }
}
