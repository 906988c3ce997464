package tidegate;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/** What one device might send on a bad day, in order of arrival. The same seed gives the same rows. */
final class Traffic {
    private static final String[] METRICS = {"a", "b", "slow", "mixed"};
    private static final Sample SAMPLE = new Sample();

    private final Random random;
    private final List<Sample> sent = new ArrayList<>();
    private long now = 1_700_000_000_000L;
    private long offlineMs;
    private long gatewaySeq;

    private Traffic(long seed) {
        random = new Random(seed);
    }

    static List<Sample> of(long seed, int rows) {
        Traffic traffic = new Traffic(seed);
        while (traffic.sent.size() < rows) {
            traffic.next();
        }
        return traffic.sent;
    }

    private void next() {
        now += random.nextInt(700);
        if (random.nextInt(300) == 0) {
            offlineMs = random.nextInt(3) * 3_600_000L;
        }
        switch (random.nextInt(20)) {
            case 0 -> sendAgain();
            case 1 -> send(reading(now - random.nextInt(200_000)));
            case 2 -> send(reading(now + 60_001 + random.nextInt(1_000_000)));
            case 3 -> send(reading(now + random.nextInt(60_000)));
            case 4 -> send(reading(now).marker());
            case 5 -> send(reading(now).deviceTs(now + 9_000_000));
            default -> send(reading(now - random.nextInt(6_000)));
        }
    }

    private Sample reading(long ts) {
        String metric = METRICS[random.nextInt(METRICS.length)];
        Sample sample = SAMPLE.metric(metric).value(random.nextInt(4)).repeat(random.nextInt(2)).at(ts);
        boolean untimed = metric.equals("b") || metric.equals("mixed") && random.nextInt(4) == 0;
        sample = untimed ? sample.untimed() : random.nextBoolean() ? sample.boot("x" + random.nextInt(2)).deviceSeq(ts) : sample;
        sample = random.nextInt(15) == 0 ? sample.quality("BAD") : sample;
        return random.nextInt(40) == 0 ? sample.value(Double.NaN) : sample;
    }

    private void send(Sample sample) {
        long received = now - random.nextInt(2) * random.nextInt(20_000);
        sent.add(sample.gatewaySeq(gatewaySeq++).received(received).stored(now + offlineMs));
    }

    private void sendAgain() {
        if (!sent.isEmpty()) {
            Sample again = sent.get(sent.size() - 1 - random.nextInt(Math.min(20, sent.size())));
            sent.add(random.nextBoolean() ? again : again.gatewaySeq(gatewaySeq++).received(now).stored(now + offlineMs));
        }
    }
}
