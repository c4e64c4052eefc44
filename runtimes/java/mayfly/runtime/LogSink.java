package mayfly.runtime;

import com.amazonaws.services.lambda.runtime.LambdaLogger;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Log records of LambdaLogger, framed so that a message of several lines stays one record:
 *
 * <pre>
 *   offset size  (big-endian)
 *   0      4     0xA55A0003 (text) or 0xA55A0002 (JSON)
 *   4      4     length of the message
 *   8      8     microseconds since the epoch
 *   16     …     message
 * </pre>
 *
 * Without a descriptor for frames, messages go to standard output as they are. With JSON logs each
 * message is a record that names the event of its thread.
 */
public final class LogSink implements LambdaLogger {
    private static final int TEXT = 0xA55A0003;
    private static final int RECORD = 0xA55A0002;
    private static final DateTimeFormatter TIME =
            DateTimeFormatter.ofPattern("yyyy-MM-dd'T'HH:mm:ss.SSS'Z'").withZone(ZoneOffset.UTC);
    public static final LogSink LOGGER = new LogSink();
    private OutputStream frames;
    private boolean json;
    // Of what a thread serves; threads of the function's own inherit it.
    private final InheritableThreadLocal<Channel.Event> current = new InheritableThreadLocal<>();

    private LogSink() {}

    /** Once the environment is that of the function. */
    static void open() {
        String number = System.getenv("_LAMBDA_TELEMETRY_LOG_FD");
        if (number != null)
            LOGGER.frames = new FileOutputStream(Internals.descriptor(Integer.parseInt(number)));
        LOGGER.json = "JSON".equalsIgnoreCase(System.getenv("AWS_LAMBDA_LOG_FORMAT"));
    }

    void begin(Channel.Event event) {
        if (json)
            current.set(event);
    }

    private byte[] record(byte[] message) {
        Map<String, Object> fields = new LinkedHashMap<>();
        fields.put("timestamp", TIME.format(Instant.now()));
        fields.put("message", new String(message, StandardCharsets.UTF_8));
        Channel.Event event = current.get();
        if (event != null) {
            fields.put("AWSRequestId", event.requestId);
            if (!event.tenant.isEmpty())
                fields.put("tenantId", event.tenant);
        }
        StringBuilder text = new StringBuilder();
        Json.write(text, fields);
        return text.toString().getBytes(StandardCharsets.UTF_8);
    }

    @Override
    public void log(String message) {
        log(String.valueOf(message).getBytes(StandardCharsets.UTF_8));
    }

    @Override
    public void log(byte[] message) {
        write(json ? record(message) : message);
    }

    private synchronized void write(byte[] message) {
        try {
            if (frames == null) {
                System.out.write(message);
                System.out.flush();
                return;
            }
            Instant now = Instant.now();
            ByteBuffer record = ByteBuffer.allocate(16 + message.length);
            record.putInt(json ? RECORD : TEXT).putInt(message.length);
            record.putLong(now.getEpochSecond() * 1_000_000L + now.getNano() / 1000).put(message);
            frames.write(record.array());
        } catch (IOException gone) {
            // Nobody keeps logs any more.
        }
    }
}
