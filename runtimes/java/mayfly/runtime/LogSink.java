package mayfly.runtime;

import com.amazonaws.services.lambda.runtime.LambdaLogger;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Instant;

/**
 * Log records of LambdaLogger, framed so that a message of several lines stays one record:
 *
 * <pre>
 *   offset size  (big-endian)
 *   0      4     0xA55A0003 (text)
 *   4      4     length of the message
 *   8      8     microseconds since the epoch
 *   16     …     message
 * </pre>
 *
 * Without a descriptor for frames, messages go to standard output as they are.
 */
public final class LogSink implements LambdaLogger {
    private static final int TEXT = 0xA55A0003;
    public static final LogSink LOGGER = new LogSink();
    private OutputStream frames;

    private LogSink() {}

    /** Once the environment is that of the function. */
    static void open() {
        String number = System.getenv("_LAMBDA_TELEMETRY_LOG_FD");
        if (number != null)
            LOGGER.frames = new FileOutputStream(Internals.descriptor(Integer.parseInt(number)));
    }

    @Override
    public void log(String message) {
        log(String.valueOf(message).getBytes(StandardCharsets.UTF_8));
    }

    @Override
    public synchronized void log(byte[] message) {
        try {
            if (frames == null) {
                System.out.write(message);
                System.out.flush();
                return;
            }
            Instant now = Instant.now();
            ByteBuffer record = ByteBuffer.allocate(16 + message.length);
            record.putInt(TEXT).putInt(message.length);
            record.putLong(now.getEpochSecond() * 1_000_000L + now.getNano() / 1000).put(message);
            frames.write(record.array());
        } catch (IOException gone) {
            // Nobody keeps logs any more.
        }
    }
}
