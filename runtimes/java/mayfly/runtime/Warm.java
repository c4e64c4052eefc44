package mayfly.runtime;

import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;

/**
 * Takes the way of an event with functions of its own: before a class archive is written, so that
 * it holds what will be loaded, and before a template parks, so that it has been loaded.
 */
final class Warm {
    // The compiler takes a method after 200 calls.
    private static final int ROUNDS = 250;
    private static final String EVENT = "{\"message\":\"h\\u00e9llo\",\"list\":[1,2.5,-3e2],"
            + "\"other\":[true,null],\"map\":{\"a\":\"b\"},\"count\":7}";

    private Warm() {}

    /** What a function takes and returns as a bean. */
    public static final class Bean {
        private String message;
        private int count;
        public List<Double> list;

        public String getMessage() {
            return message;
        }

        public void setMessage(String value) {
            message = value;
        }

        public int getCount() {
            return count;
        }

        public void setCount(int value) {
            count = value;
        }
    }

    /** An event as a map. */
    public static final class Maps
            implements RequestHandler<Map<String, Object>, Map<String, Object>> {
        @Override
        public Map<String, Object> handleRequest(Map<String, Object> event, Context context) {
            context.getRemainingTimeInMillis();
            return event;
        }
    }

    /** An event as a bean, and a failure. */
    public static final class Beans {
        public Bean same(Bean bean, Context context) {
            return bean;
        }

        public Object fails(Object event) {
            throw new IllegalStateException("warm");
        }
    }

    static void run() throws Throwable {
        // Needs nothing but the JDK, so that a loader apart from ours can define it.
        URL jar = Warm.class.getProtectionDomain().getCodeSource().getLocation();
        try (URLClassLoader apart =
                        new URLClassLoader(new URL[] {jar}, ClassLoader.getPlatformClassLoader())) {
            Class.forName("mayfly.runtime.Warm$Bean", true, apart);
        }
        ClassLoader loader = Handler.loaderOf(System.getProperty("java.home"), "/nonexistent");
        try {
            loader.loadClass("mayfly.Nowhere");
        } catch (ClassNotFoundException wanted) {
            // It has looked into a directory and into jars.
        }
        Channel.Event event = new Channel.Event();
        event.requestId = event.arn = event.trace = "";
        event.clientContext = event.identity = event.tenant = "";
        event.payload = EVENT.getBytes(StandardCharsets.UTF_8);
        Handler[] handlers = {Handler.load("mayfly.runtime.Warm$Maps", loader),
                Handler.load("mayfly.runtime.Warm$Beans::same", loader),
                Handler.load("mayfly.runtime.Warm$Beans::fails", loader)};
        InvocationContext context = new InvocationContext(event);
        for (int i = 0; i < ROUNDS; i++) {
            handlers[0].call(event.payload, context);
            handlers[1].call(event.payload, context);
        }
        try {
            handlers[2].call(event.payload, context);
        } catch (IllegalStateException wanted) {
            Main.shape(wanted);
            Main.textOf(wanted);
        }
    }
}
