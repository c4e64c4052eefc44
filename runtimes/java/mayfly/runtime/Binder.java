package mayfly.runtime;

import java.lang.reflect.Array;
import java.lang.reflect.Constructor;
import java.lang.reflect.Executable;
import java.lang.reflect.Field;
import java.lang.reflect.GenericArrayType;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.RecordComponent;
import java.lang.reflect.Type;
import java.lang.reflect.TypeVariable;
import java.lang.reflect.WildcardType;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Collection;
import java.util.Date;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * Plain trees (see Json) → objects of the function's types. Properties are matched without regard
 * to case, since events write Records, eventSourceARN and the like; unknown ones are left out.
 */
final class Binder {
    private Binder() {}

    static Object bind(Object value, Type type, Map<TypeVariable<?>, Type> names)
            throws ReflectiveOperationException {
        if (type instanceof TypeVariable) {
            Type known = names.get(type);
            return bind(value, known == null ? Object.class : known, names);
        }
        if (type instanceof WildcardType) {
            return bind(value, ((WildcardType) type).getUpperBounds()[0], names);
        }
        if (type instanceof GenericArrayType) {
            Class<?> item = rawClass(((GenericArrayType) type).getGenericComponentType(), names);
            return bindArray(value, item, names);
        }
        if (type instanceof ParameterizedType) {
            return bindGeneric(value, (ParameterizedType) type, names);
        }
        return bindClass(value, (Class<?>) type, type, names);
    }

    static Class<?> rawClass(Type type, Map<TypeVariable<?>, Type> names) {
        if (type instanceof Class)
            return (Class<?>) type;
        if (type instanceof ParameterizedType) {
            return (Class<?>) ((ParameterizedType) type).getRawType();
        }
        if (type instanceof TypeVariable && names.get(type) != null) {
            return rawClass(names.get(type), names);
        }
        return Object.class;
    }

    private static Object bindGeneric(Object value, ParameterizedType type,
            Map<TypeVariable<?>, Type> names) throws ReflectiveOperationException {
        Class<?> raw = (Class<?>) type.getRawType();
        Map<TypeVariable<?>, Type> inner = new LinkedHashMap<>(names);
        for (int i = 0; i < raw.getTypeParameters().length; i++) {
            Type argument = type.getActualTypeArguments()[i];
            boolean known = argument instanceof TypeVariable && names.containsKey(argument);
            inner.put(raw.getTypeParameters()[i], known ? names.get(argument) : argument);
        }
        return bindClass(value, raw, type, inner);
    }

    private static Type argument(Type type, int index) {
        if (!(type instanceof ParameterizedType))
            return Object.class;
        Type[] arguments = ((ParameterizedType) type).getActualTypeArguments();
        return index < arguments.length ? arguments[index] : Object.class;
    }

    private static Object bindClass(Object value, Class<?> raw, Type type,
            Map<TypeVariable<?>, Type> names) throws ReflectiveOperationException {
        if (raw == Optional.class)
            return Optional.ofNullable(bind(value, argument(type, 0), names));
        if (value == null) {
            if (raw.isPrimitive())
                return bindScalar(raw == boolean.class ? false : (Object) 0, raw);
            return null;
        }
        if (raw == Object.class)
            return value;
        if (raw.isArray())
            return bindArray(value, raw.getComponentType(), names);
        if (Map.class.isAssignableFrom(raw) && value instanceof Map) {
            return bindMap((Map<?, ?>) value, raw, type, names);
        }
        if (Collection.class.isAssignableFrom(raw) && value instanceof List) {
            Collection<Object> out = newCollection(raw);
            for (Object item : (List<?>) value) out.add(bind(item, argument(type, 0), names));
            return out;
        }
        if (value instanceof Map) return bindObject((Map<?, ?>) value, raw, names);
        if (value instanceof List)
            throw mismatch(value, raw);
        return bindScalar(value, raw);
    }

    private static IllegalArgumentException mismatch(Object value, Class<?> raw) {
        String what = value instanceof Map ? "object" : value instanceof List ? "array" : "value";
        return new IllegalArgumentException(
                "Cannot make a " + raw.getName() + " of a JSON " + what);
    }

    private static Object bindArray(Object value, Class<?> item, Map<TypeVariable<?>, Type> names)
            throws ReflectiveOperationException {
        if (item == byte.class && value instanceof String) {
            return Base64.getDecoder().decode((String) value);
        }
        if (!(value instanceof List))
            throw mismatch(value, item.arrayType());
        List<?> items = (List<?>) value;
        Object out = Array.newInstance(item, items.size());
        for (int i = 0; i < items.size(); i++) Array.set(out, i, bind(items.get(i), item, names));
        return out;
    }

    private static Object bindMap(Map<?, ?> value, Class<?> raw, Type type,
            Map<TypeVariable<?>, Type> names) throws ReflectiveOperationException {
        @SuppressWarnings("unchecked")
        Map<Object, Object> out = raw.isInterface() || Modifier.isAbstract(raw.getModifiers())
                ? (SortedMap.class.isAssignableFrom(raw) ? new TreeMap<>() : new LinkedHashMap<>())
                : (Map<Object, Object>) raw.getDeclaredConstructor().newInstance();
        for (Map.Entry<?, ?> entry : value.entrySet()) {
            Object key = bind(entry.getKey(), argument(type, 0), names);
            out.put(key, bind(entry.getValue(), argument(type, 1), names));
        }
        return out;
    }

    @SuppressWarnings("unchecked")
    private static Collection<Object> newCollection(Class<?> raw)
            throws ReflectiveOperationException {
        if (!raw.isInterface() && !Modifier.isAbstract(raw.getModifiers())) {
            return (Collection<Object>) raw.getDeclaredConstructor().newInstance();
        }
        return Set.class.isAssignableFrom(raw) ? new LinkedHashSet<>() : new ArrayList<>();
    }

    @SuppressWarnings({"unchecked", "rawtypes"})
    private static Object bindScalar(Object value, Class<?> raw)
            throws ReflectiveOperationException {
        if (raw == String.class || raw == CharSequence.class)
            return value.toString();
        if (raw == boolean.class || raw == Boolean.class) {
            return value instanceof Boolean ? value : Boolean.valueOf(value.toString());
        }
        if (raw.isEnum())
            return Enum.valueOf((Class) raw, value.toString());
        if (raw == char.class || raw == Character.class) {
            return value instanceof Number ? (char) ((Number) value).intValue()
                                           : value.toString().charAt(0);
        }
        boolean numeric = raw.isPrimitive() || Number.class.isAssignableFrom(raw);
        if (numeric)
            return bindNumber(new BigDecimal(value.toString()), value, raw);
        if (raw == Date.class) {
            boolean millis = value instanceof Number;
            return millis ? new Date(((Number) value).longValue())
                          : Date.from(Instant.parse(value.toString()));
        }
        if (raw == ByteBuffer.class)
            return ByteBuffer.wrap(Base64.getDecoder().decode(value.toString()));
        return bindByName(value, raw);
    }

    private static Object bindNumber(BigDecimal number, Object value, Class<?> raw) {
        if (raw == int.class || raw == Integer.class)
            return number.intValue();
        if (raw == long.class || raw == Long.class)
            return number.longValue();
        if (raw == double.class || raw == Double.class)
            return number.doubleValue();
        if (raw == float.class || raw == Float.class)
            return number.floatValue();
        if (raw == short.class || raw == Short.class)
            return number.shortValue();
        if (raw == byte.class || raw == Byte.class)
            return number.byteValue();
        if (raw == BigInteger.class)
            return number.toBigInteger();
        return raw == BigDecimal.class ? number : value;
    }

    /** java.time, Joda time, UUID, URI…: a static parse or fromString, else a constructor. */
    private static Object bindByName(Object value, Class<?> raw)
            throws ReflectiveOperationException {
        for (String name : new String[] {"parse", "fromString", "valueOf"}) {
            for (Class<?> parameter : new Class<?>[] {String.class, CharSequence.class}) {
                try {
                    Method method = raw.getMethod(name, parameter);
                    if (Modifier.isStatic(method.getModifiers()))
                        return method.invoke(null, value.toString());
                } catch (NoSuchMethodException none) {
                    continue;
                }
            }
        }
        try {
            return raw.getConstructor(String.class).newInstance(value.toString());
        } catch (NoSuchMethodException none) {
            throw mismatch(value, raw);
        }
    }

    private static Object bindObject(Map<?, ?> values, Class<?> raw,
            Map<TypeVariable<?>, Type> names) throws ReflectiveOperationException {
        Map<String, Object> byName = new LinkedHashMap<>();
        values.forEach((key, value) -> byName.put(key.toString().toLowerCase(), value));
        if (raw.isRecord())
            return bindRecord(byName, raw, names);
        if (raw.isInterface() || Modifier.isAbstract(raw.getModifiers()))
            throw mismatch(values, raw);
        Constructor<?> constructor = raw.getDeclaredConstructor();
        constructor.setAccessible(true);
        Object out = constructor.newInstance();
        for (Method method : raw.getMethods()) {
            String name = method.getName();
            if (!name.startsWith("set") || name.length() < 4 || method.getParameterCount() != 1)
                continue;
            String key = name.substring(3).toLowerCase();
            if (!byName.containsKey(key) || method.isBridge())
                continue;
            method.setAccessible(true);
            method.invoke(
                    out, bind(byName.remove(key), method.getGenericParameterTypes()[0], names));
        }
        for (Field field : raw.getFields()) {
            String key = field.getName().toLowerCase();
            int modifiers = field.getModifiers();
            if (!byName.containsKey(key) || Modifier.isStatic(modifiers)
                    || Modifier.isFinal(modifiers))
                continue;
            field.setAccessible(true);
            field.set(out, bind(byName.remove(key), field.getGenericType(), names));
        }
        return out;
    }

    private static Object bindRecord(Map<String, Object> byName, Class<?> raw,
            Map<TypeVariable<?>, Type> names) throws ReflectiveOperationException {
        RecordComponent[] parts = raw.getRecordComponents();
        Class<?>[] types = new Class<?>[parts.length];
        Object[] arguments = new Object[parts.length];
        for (int i = 0; i < parts.length; i++) {
            types[i] = parts[i].getType();
            arguments[i] = bind(
                    byName.get(parts[i].getName().toLowerCase()), parts[i].getGenericType(), names);
        }
        Constructor<?> constructor = raw.getDeclaredConstructor(types);
        ((Executable) constructor).setAccessible(true);
        return constructor.newInstance(arguments);
    }
}
