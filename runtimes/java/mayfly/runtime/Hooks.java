package mayfly.runtime;

import java.io.IOException;
import org.crac.Core;

/**
 * SnapStart: tells the function's resources of a snapshot. A JVM has threads and is not forked, so
 * each environment runs both halves in its own init, and tells the host how long the second one
 * took.
 */
final class Hooks {
    private static final long RESTORE_MILLIS = 10_000;

    private Hooks() {}

    static boolean wanted() {
        return "snap-start".equals(System.getenv("AWS_LAMBDA_INITIALIZATION_TYPE"));
    }

    /** Answers how many microseconds the second half took, at least one. */
    static int run(Channel channel) throws IOException {
        try {
            Core.getGlobalContext().beforeCheckpoint(null);
        } catch (Throwable error) {
            fail(channel, "Runtime.BeforeSnapshotError", error, 64);
        }
        Thread watch = new Thread(() -> watch(channel), "restore-watch");
        watch.setDaemon(true);
        watch.start();
        long begun = System.nanoTime();
        try {
            Core.getGlobalContext().afterRestore(null);
        } catch (Throwable error) {
            fail(channel, "Runtime.AfterRestoreError", error, 65);
        }
        watch.interrupt();
        return (int) Math.min(Math.max((System.nanoTime() - begun) / 1000, 1), 0xFFFFFF);
    }

    private static void fail(Channel channel, String type, Throwable error, int code)
            throws IOException {
        LogSink.LOGGER.log(Main.textOf(error));
        Throwable[] thrown = error.getSuppressed();
        channel.send(Channel.INIT_ERROR, type, Main.shape(thrown.length > 0 ? thrown[0] : error));
        System.exit(code);
    }

    private static void watch(Channel channel) {
        try {
            Thread.sleep(RESTORE_MILLIS);
        } catch (InterruptedException done) {
            return;
        }
        try {
            channel.send(Channel.INIT_ERROR, "Runtime.AfterRestoreTimeout",
                    Main.shape(new IllegalStateException(
                            "the hooks after the restore took longer than 10 seconds")));
        } catch (IOException gone) {
            // The host has gone, and so does this process.
        }
        Runtime.getRuntime().halt(65);
    }
}
