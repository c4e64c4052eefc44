package t;

import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import com.amazonaws.services.lambda.runtime.RequestStreamHandler;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.math.BigDecimal;
import java.time.Instant;
import java.util.List;
import java.util.Map;

/** Guest functions of cases_java.py. */
public class Functions {
    public static class Item {
        private String eventSourceArn;
        private int count;
        public List<Double> numbers;
        public Kind kind;

        public String getEventSourceArn() {
            return eventSourceArn;
        }

        public void setEventSourceArn(String value) {
            eventSourceArn = value;
        }

        public int getCount() {
            return count;
        }

        public void setCount(int value) {
            count = value;
        }

        public boolean isFull() {
            return count > 1;
        }
    }

    public enum Kind { SMALL, LARGE }

    public static class Event {
        private List<Item> records;

        public List<Item> getRecords() {
            return records;
        }

        public void setRecords(List<Item> value) {
            records = value;
        }
    }

    public record Point(int x, BigDecimal y, Instant at) {}

    public static class Pojo implements RequestHandler<Event, Item> {
        @Override
        public Item handleRequest(Event event, Context context) {
            return event.getRecords().get(0);
        }
    }

    public abstract static class Base<T> implements RequestHandler<T, Object> {}

    public static class Inherited extends Base<Map<String, Integer>> {
        private int calls;

        @Override
        public Object handleRequest(Map<String, Integer> event, Context context) {
            return List.of(event.get("a") + 1, ++calls, context.getAwsRequestId());
        }
    }

    public static class Streams implements RequestStreamHandler {
        @Override
        public void handleRequest(InputStream in, OutputStream out, Context context)
                throws IOException {
            out.write('<');
            in.transferTo(out);
            out.write('>');
        }
    }

    public String text(String event) {
        return event + "\u00e9";
    }

    public static Object records(Point point) {
        return Map.of("same", point, "sum", point.x() + point.y().intValue());
    }

    public Object tenant(Object event, Context c) {
        return java.util.Arrays.asList(c.getTenantId());
    }

    public Object described(Object event, Context c) {
        return List.of(c.getFunctionName(), c.getFunctionVersion(), c.getMemoryLimitInMB(),
                c.getLogGroupName(), c.getInvokedFunctionArn(), c.getClientContext().getCustom(),
                c.getIdentity().getIdentityId(), c.getRemainingTimeInMillis() > 1000,
                System.getProperty("com.amazonaws.xray.traceHeader"));
    }

    public void nothing() {}

    public Object fails(Map<String, Object> event) {
        if (event.isEmpty())
            return 1;
        throw new IllegalStateException("bad", new RuntimeException("why"));
    }

    public Object logs(Object event, Context context) {
        context.getLogger().log("two\nlines");
        System.out.println("raw");
        return null;
    }

    public Object exits(Object event) {
        System.exit(4);
        return null;
    }

    public Object twice(Map<String, String> event) {
        return event.get("s") + event.get("s");
    }

    public static class Broken {
        public Broken() {
            throw new IllegalArgumentException("early");
        }

        public Object run() {
            return null;
        }
    }

    public static Object environment() throws IOException {
        Process child = new ProcessBuilder("/bin/sh", "-c", "echo $A$MAYFLY_TEMPLATE").start();
        String out = new String(child.getInputStream().readAllBytes());
        return List.of(System.getenv("A"), System.getenv().containsKey("MAYFLY_TEMPLATE"), out,
                System.getenv().get("TZ"));
    }
}
