package tidegate;

import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Assertions;

/** A call running in a thread of its own. */
final class InThread<T> {
    private static final long MOST_SECONDS = 20;

    private final FutureTask<T> task;
    private final Thread thread;

    private InThread(Callable<T> call) {
        task = new FutureTask<>(call);
        thread = new Thread(task, "test");
        thread.setDaemon(true);
        thread.start();
    }

    static <T> InThread<T> run(Callable<T> call) {
        return new InThread<>(call);
    }

    /** Returns once the call sleeps between two tries. */
    void awaitSleeping() {
        long giveUp = System.nanoTime() + TimeUnit.SECONDS.toNanos(MOST_SECONDS);
        while (thread.getState() != Thread.State.TIMED_WAITING) {
            Assertions.assertTrue(System.nanoTime() < giveUp && !task.isDone(), "the call does not wait");
            Thread.onSpinWait();
        }
    }

    void interrupt() {
        thread.interrupt();
    }

    T result() throws Exception {
        return task.get(MOST_SECONDS, TimeUnit.SECONDS);
    }

    Throwable failure() {
        return Assertions.assertThrows(ExecutionException.class, this::result).getCause();
    }
}
