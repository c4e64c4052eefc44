package mayfly.runtime;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * The C library's environment, which child processes and native code see: its `environ` is pointed
 * to an array of our own. A JVM cannot call setenv before JDK 22, so the variable is looked for: it
 * holds the address of the array that the kernel placed behind the arguments. check() proves it.
 */
final class NativeEnvironment {
    private static final int START_OF_STACK = 28; // a field of /proc/self/stat, counted from 1
    private static final String CHECK = "MAYFLY_CHECK";
    private final List<Long> places = new ArrayList<>();

    NativeEnvironment() throws IOException {
        String[] fields = text("/proc/self/stat").split("\\) ")[1].split(" ");
        long stack = Long.parseLong(fields[START_OF_STACK - 3]);
        if (stack == 0)
            throw new IOException("/proc does not tell where the stack begins");
        long arguments = Internals.word(stack);
        find(stack + 8 * (arguments + 2));
        if (places.isEmpty())
            throw new IOException("the C library's environment was not found");
    }

    private static String text(String path) throws IOException {
        return new String(Files.readAllBytes(Path.of(path)), StandardCharsets.UTF_8);
    }

    /** In the data of the program and of the C library, and in what follows without a name. */
    private void find(long array) throws IOException {
        long behind = 0;
        for (String line : text("/proc/self/maps").split("\n")) {
            String[] parts = line.split(" +", 6);
            String name = parts.length > 5 ? parts[5] : "";
            String file = name.substring(name.lastIndexOf('/') + 1);
            int dash = parts[0].indexOf('-');
            long from = Long.parseUnsignedLong(parts[0].substring(0, dash), 16);
            long to = Long.parseUnsignedLong(parts[0].substring(dash + 1), 16);
            boolean ours = file.equals("java") || file.startsWith("libc.")
                    || file.startsWith("libc-") || file.startsWith("ld-")
                    || name.isEmpty() && from == behind;
            if (!ours || !parts[1].startsWith("rw-p"))
                continue;
            behind = to;
            for (long at = from; at < to; at += 8) {
                if (Internals.word(at) == array)
                    places.add(at);
            }
        }
    }

    /** `block` from `begin` on: KEY=value, each ended by a zero byte. */
    void replace(byte[] block, int begin) {
        List<Integer> starts = new ArrayList<>();
        int start = begin;
        for (int at = begin; at < block.length; at++) {
            if (block[at] == 0) {
                starts.add(start - begin);
                start = at + 1;
            }
        }
        long texts = Internals.copy(block, begin, block.length - begin);
        ByteBuffer array =
                ByteBuffer.allocate(8 * (starts.size() + 1)).order(ByteOrder.nativeOrder());
        for (int offset : starts) array.putLong(texts + offset);
        long address = Internals.copy(array.array(), 0, array.capacity());
        for (long place : places) Internals.setWord(place, address);
    }

    /** A child process must see what was put there. */
    void check() throws IOException, InterruptedException {
        String value = Long.toString(System.nanoTime());
        replace((CHECK + "=" + value + "\0").getBytes(StandardCharsets.UTF_8), 0);
        Process child = new ProcessBuilder("/bin/sh", "-c", "echo $" + CHECK).start();
        child.getOutputStream().close();
        try (InputStream output = child.getInputStream()) {
            String seen = new String(output.readAllBytes(), StandardCharsets.UTF_8).trim();
            child.waitFor();
            if (!seen.equals(value))
                throw new IOException("a child process sees another environment: " + seen);
        }
    }
}
