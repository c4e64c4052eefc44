package mayfly.runtime;

import java.lang.reflect.Array;
import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.RecordComponent;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Date;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;

/** Objects of the function's types → plain trees (see Json): getters, public fields, records. */
final class Unbinder {
    private static final int DEPTH = 256;

    private Unbinder() {}

    static Object unbind(Object value, int depth) throws ReflectiveOperationException {
        if (depth > DEPTH)
            throw new IllegalStateException("The answer refers to itself or is too deep");
        if (value == null || value instanceof Boolean || value instanceof Number
                || value instanceof String) {
            return value;
        }
        if (value instanceof Enum)
            return ((Enum<?>) value).name();
        if (value instanceof Optional)
            return unbind(((Optional<?>) value).orElse(null), depth + 1);
        if (value instanceof Date)
            return ((Date) value).getTime();
        if (value instanceof byte[])
            return Base64.getEncoder().encodeToString((byte[]) value);
        if (value instanceof ByteBuffer)
            return unbind(bytesOf((ByteBuffer) value), depth + 1);
        if (value instanceof Map) {
            Map<String, Object> out = new LinkedHashMap<>();
            for (Map.Entry<?, ?> entry : ((Map<?, ?>) value).entrySet()) {
                out.put(String.valueOf(entry.getKey()), unbind(entry.getValue(), depth + 1));
            }
            return out;
        }
        List<Object> items = new ArrayList<>();
        if (value instanceof Iterable) {
            for (Object item : (Iterable<?>) value) items.add(unbind(item, depth + 1));
            return items;
        }
        Class<?> raw = value.getClass();
        if (raw.isArray()) {
            for (int i = 0; i < Array.getLength(value); i++)
                items.add(unbind(Array.get(value, i), depth + 1));
            return items;
        }
        if (raw.getName().startsWith("java.") || raw.getName().startsWith("org.joda.time."))
            return value.toString();
        return raw.isRecord() ? unbindRecord(value, raw, depth) : unbindObject(value, raw, depth);
    }

    private static byte[] bytesOf(ByteBuffer buffer) {
        byte[] bytes = new byte[buffer.remaining()];
        buffer.duplicate().get(bytes);
        return bytes;
    }

    private static Object unbindRecord(Object value, Class<?> raw, int depth)
            throws ReflectiveOperationException {
        Map<String, Object> out = new LinkedHashMap<>();
        for (RecordComponent part : raw.getRecordComponents()) {
            Method accessor = part.getAccessor();
            accessor.setAccessible(true);
            out.put(part.getName(), unbind(accessor.invoke(value), depth + 1));
        }
        return out;
    }

    private static Object unbindObject(Object value, Class<?> raw, int depth)
            throws ReflectiveOperationException {
        // Sorted: the order in which reflection lists methods is not told.
        Map<String, Object> out = new TreeMap<>();
        for (Method method : raw.getMethods()) {
            String key = propertyOf(method);
            if (key == null)
                continue;
            method.setAccessible(true);
            out.put(key, unbind(method.invoke(value), depth + 1));
        }
        for (Field field : raw.getFields()) {
            if (Modifier.isStatic(field.getModifiers()) || out.containsKey(field.getName()))
                continue;
            field.setAccessible(true);
            out.put(field.getName(), unbind(field.get(value), depth + 1));
        }
        return out;
    }

    private static String propertyOf(Method method) {
        String name = method.getName();
        boolean getter =
                name.startsWith("get") && name.length() > 3 && method.getReturnType() != void.class;
        boolean asks = name.startsWith("is") && name.length() > 2
                && (method.getReturnType() == boolean.class
                        || method.getReturnType() == Boolean.class);
        if (method.getParameterCount() != 0 || Modifier.isStatic(method.getModifiers())
                || method.isBridge()
                || method.getDeclaringClass() == Object.class || !(getter || asks)) {
            return null;
        }
        String rest = name.substring(getter ? 3 : 2);
        int upper = 0;
        while (upper < rest.length() && Character.isUpperCase(rest.charAt(upper))) upper++;
        return rest.substring(0, upper).toLowerCase() + rest.substring(upper);
    }
}
