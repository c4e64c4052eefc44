package mayfly.runtime;

import java.io.EOFException;
import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/** The lean protocol on descriptor 3 (byte table: src/guest/lambda/lean.h). */
final class Channel {
    static final int READY = 1;
    static final int INIT_ERROR = 2;
    static final int RESPONSE = 4;
    static final int ERROR = 5;
    static final int PARKED = 6;
    private static final int INVOKE = 3;
    private static final int HEAD = 12;
    private static final int INVOKE_HEAD = 24;
    // What one read takes: above it the JVM allocates a buffer of its own for each.
    private static final int ONE_READ = 8192;
    private final FileInputStream input;
    private final FileOutputStream output;
    /** Several events at one time, each taken by a thread of its own. */
    boolean several;
    private byte[] buffer = new byte[ONE_READ];

    /** One event, as the host sent it. Texts that are not there are empty. */
    static final class Event {
        int sequence;
        long deadline;
        String requestId;
        String arn;
        String trace;
        String clientContext;
        String identity;
        String tenant;
        byte[] payload;
    }

    Channel(int descriptor) {
        FileDescriptor both = Internals.descriptor(descriptor);
        input = new FileInputStream(both);
        output = new FileOutputStream(both);
    }

    private int read(int have, int limit) throws IOException {
        int got = input.read(buffer, have, limit - have);
        if (got <= 0)
            throw new EOFException("the host has gone");
        return have + got;
    }

    /** One thread at a time takes the next event. */
    synchronized Event receive() throws IOException {
        int have = 0;
        // No byte beyond the event: what follows is another thread's.
        while (have < HEAD) have = read(have, several ? HEAD : ONE_READ);
        ByteBuffer frame = ByteBuffer.wrap(buffer).order(ByteOrder.LITTLE_ENDIAN);
        int end = HEAD + frame.getInt(0);
        if (frame.get(4) != INVOKE)
            throw new IOException("unexpected frame of type " + frame.get(4) + " from the host");
        if (end > buffer.length) {
            buffer = Arrays.copyOf(buffer, end);
            frame = ByteBuffer.wrap(buffer).order(ByteOrder.LITTLE_ENDIAN);
        }
        while (have < end) have = read(have, end);
        Event event = parse(frame, end);
        event.sequence = frame.getInt(8);
        if (buffer.length > ONE_READ)
            buffer = new byte[ONE_READ];
        return event;
    }

    private Event parse(ByteBuffer frame, int end) {
        Event event = new Event();
        event.deadline = frame.getLong(HEAD);
        int at = HEAD + INVOKE_HEAD;
        int id = frame.getShort(HEAD + 8) & 0xffff;
        int arn = frame.getShort(HEAD + 10) & 0xffff;
        int trace = frame.getShort(HEAD + 12) & 0xffff;
        int tenant = (frame.getShort(HEAD + 14) & 0xffff) >> 1;
        int client = frame.getInt(HEAD + 16);
        int identity = frame.getInt(HEAD + 20);
        event.requestId = text(at, id);
        event.arn = text(at += id, arn);
        event.trace = text(at += arn, trace);
        event.clientContext = text(at += trace, client);
        event.identity = text(at += client, identity);
        event.tenant = text(at += identity, tenant);
        event.payload = Arrays.copyOfRange(buffer, at + tenant, end);
        return event;
    }

    private String text(int at, int length) {
        return new String(buffer, at, length, StandardCharsets.UTF_8);
    }

    /** `restored`: microseconds that hooks after a restore took, of a guest not restored; or 0. */
    void sendReady(int restored) throws IOException {
        ByteBuffer frame = ByteBuffer.allocate(HEAD).order(ByteOrder.LITTLE_ENDIAN);
        frame.putInt(0).putInt(READY | restored << 8).putInt(0);
        synchronized (output) {
            output.write(frame.array());
        }
    }

    /** Of no event: a label and a body, in one write. */
    void send(int type, String label, byte[] body) throws IOException {
        send(type, label, body, 0);
    }

    void send(int type, String label, byte[] body, int sequence) throws IOException {
        byte[] name = label.getBytes(StandardCharsets.UTF_8);
        int length = 2 + name.length + body.length;
        ByteBuffer frame = ByteBuffer.allocate(HEAD + length).order(ByteOrder.LITTLE_ENDIAN);
        frame.putInt(length).putInt(type);
        frame.putInt(sequence);
        frame.putShort((short) name.length).put(name).put(body);
        synchronized (output) {
            output.write(frame.array());
        }
    }
}
