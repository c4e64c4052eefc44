package mayfly.runtime;

import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Map;

/**
 * A booted JVM without a function, which becomes an environment of one: a JVM has threads and
 * cannot be forked. Descriptors 1 to 4 are those of the environment from the start. Descriptor 5 is
 * a SOCK_SEQPACKET socket; its one message, once /var/task and /opt are in place:
 *
 * <pre>
 *   offset size  (little-endian)
 *   0      4     2
 *   4      4     length of the environment block
 *   8      …     environment block: KEY=value, each ended by a zero byte
 * </pre>
 *
 * The answer is a zero byte, or 1 for a message that is none of these.
 */
final class Template {
    private static final int SPECIALISE = 2;
    private static final int MESSAGE_MAX = 256 * 1024;

    private Template() {}

    /** Returns when this process has become an environment; ends it when the host has gone. */
    static void park(Channel channel) throws IOException {
        Map<String, String> shown;
        NativeEnvironment environment;
        try {
            shown = Internals.environment();
            environment = new NativeEnvironment();
            environment.check();
            Warm.run();
        } catch (Throwable unfit) {
            channel.send(Channel.PARKED, "the JVM cannot be specialised: " + unfit, new byte[0]);
            Runtime.getRuntime().halt(0);
            return;
        }
        FileDescriptor socket = Internals.descriptor(5);
        FileInputStream input = new FileInputStream(socket);
        byte[] message = new byte[MESSAGE_MAX];
        System.gc();
        channel.send(Channel.PARKED, "", new byte[0]);
        int size = input.read(message);
        if (size <= 0)
            Runtime.getRuntime().halt(0);
        boolean good = take(shown, environment, Arrays.copyOf(message, size));
        new FileOutputStream(socket).write(good ? 0 : 1);
        input.close();
        if (!good)
            Runtime.getRuntime().halt(1);
    }

    private static boolean take(
            Map<String, String> shown, NativeEnvironment environment, byte[] message) {
        ByteBuffer head = ByteBuffer.wrap(message).order(ByteOrder.LITTLE_ENDIAN);
        if (message.length < 8 || head.getInt(0) != SPECIALISE
                || head.getInt(4) != message.length - 8)
            return false;
        environment.replace(message, 8);
        shown.clear();
        int begin = 8;
        for (int end = begin; end < message.length; end++) {
            if (message[end] != 0)
                continue;
            String line = new String(message, begin, end - begin, StandardCharsets.UTF_8);
            int equals = line.indexOf('=');
            if (equals > 0)
                shown.put(line.substring(0, equals), line.substring(equals + 1));
            begin = end + 1;
        }
        return true;
    }
}
