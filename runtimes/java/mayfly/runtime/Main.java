package mayfly.runtime;

import java.io.EOFException;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Entry point of the Java runtime: loads the handler, then serves events. MAYFLY_TEMPLATE=generic
 * makes it a template; the argument "warm" ends it after a warm-up, for the archive of classes.
 */
public final class Main {
    private Main() {}

    public static void main(String[] arguments) throws Throwable {
        if (arguments.length == 1 && arguments[0].equals("warm")) {
            Internals.environment();
            new Channel(3);
            LogSink.open();
            Warm.run();
            return;
        }
        Channel channel = new Channel(3);
        if ("generic".equals(System.getenv("MAYFLY_TEMPLATE")))
            Template.park(channel);
        LogSink.open();
        Handler handler = null;
        try {
            String task = System.getenv().getOrDefault("LAMBDA_TASK_ROOT", "/var/task");
            handler = Handler.load(System.getenv().getOrDefault("_HANDLER", ""),
                    Handler.loaderOf(task, "/opt/java/lib"));
        } catch (Throwable error) {
            LogSink.LOGGER.log(textOf(error));
            channel.send(Channel.INIT_ERROR, "Runtime." + error.getClass().getSimpleName(),
                    shape(error));
            System.exit(1);
        }
        int restored = Hooks.wanted() ? Hooks.run(channel) : 0;
        try {
            String most = System.getenv("AWS_LAMBDA_MAX_CONCURRENCY");
            channel.several = most != null;
            channel.sendReady(restored);
            if (channel.several)
                startThreads(channel, handler, Integer.parseInt(most) - 1);
            while (true) serve(channel, handler);
        } catch (EOFException gone) {
            System.exit(0);
        }
    }

    /** Several events at one time, as on Lambda Managed Instances: a thread for each. */
    private static void startThreads(Channel channel, Handler handler, int count) {
        ClassLoader loader = Thread.currentThread().getContextClassLoader();
        for (int number = 1; number <= count; number++) {
            Thread thread = new Thread(() -> {
                try {
                    while (true) serve(channel, handler);
                } catch (IOException gone) {
                    System.exit(gone instanceof EOFException ? 0 : 1);
                }
            }, "lambda-" + number);
            thread.setContextClassLoader(loader);
            thread.setDaemon(true);
            try {
                thread.start();
            } catch (OutOfMemoryError full) {
                LogSink.LOGGER.log(number + " threads serve events, more cannot be started.");
                return;
            }
        }
    }

    // A property is the whole process's: with several events at one time it names no trace.
    private static void setTrace(String trace) {
        if (trace.isEmpty())
            System.clearProperty("com.amazonaws.xray.traceHeader");
        else
            System.setProperty("com.amazonaws.xray.traceHeader", trace);
    }

    private static void serve(Channel channel, Handler handler) throws IOException {
        Channel.Event event = channel.receive();
        LogSink.LOGGER.begin(event);
        if (!channel.several)
            setTrace(event.trace);
        byte[] answer;
        try {
            answer = handler.call(event.payload, new InvocationContext(event));
        } catch (Throwable error) {
            LogSink.LOGGER.log(textOf(error));
            channel.send(Channel.ERROR, "Function." + error.getClass().getSimpleName(),
                    shape(error), event.sequence);
            // After an error of the machine itself the process is not fit for another event.
            if (error instanceof VirtualMachineError)
                System.exit(1);
            return;
        }
        channel.send(Channel.RESPONSE, "", answer, event.sequence);
    }

    static String textOf(Throwable error) {
        StringWriter text = new StringWriter();
        text.write(error.getMessage() + ": " + error.getClass().getName() + "\n");
        error.printStackTrace(new PrintWriter(text, true));
        return text.toString();
    }

    static byte[] shape(Throwable error) {
        StringBuilder text = new StringBuilder();
        Json.write(text, tree(error, 0));
        return text.toString().getBytes(StandardCharsets.UTF_8);
    }

    private static Map<String, Object> tree(Throwable error, int depth) {
        Map<String, Object> out = new LinkedHashMap<>();
        out.put("errorMessage", error.getMessage());
        out.put("errorType", error.getClass().getName());
        List<Object> trace = new ArrayList<>();
        for (StackTraceElement frame : error.getStackTrace()) {
            boolean ours = frame.getClassName().startsWith("mayfly.runtime.");
            boolean call = frame.getClassName().contains("reflect.");
            if (!ours && !call)
                trace.add(frame.toString());
        }
        out.put("stackTrace", trace);
        if (error.getCause() != null && depth < 16)
            out.put("cause", tree(error.getCause(), depth + 1));
        return out;
    }
}
