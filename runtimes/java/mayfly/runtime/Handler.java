package mayfly.runtime;

import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import com.amazonaws.services.lambda.runtime.RequestStreamHandler;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.Type;
import java.lang.reflect.TypeVariable;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** A handler string ("package.Class" or "package.Class::method") made callable: bytes to bytes. */
final class Handler {
    private final Object target;
    private final Method method;
    private final boolean direct;
    private final Type input; // null: the method takes no event
    private final Map<TypeVariable<?>, Type> names = new LinkedHashMap<>();

    private Handler(Object target, Method method, Type input) {
        this.target = target;
        this.method = method;
        this.input = input;
        Class<?>[] types = method.getParameterTypes();
        direct = target instanceof RequestHandler && method.getName().equals("handleRequest")
                && types.length == 2 && types[1] == Context.class && isAlone(method);
    }

    /**
     * Classes of the function: its directory, the jars of its lib/, those of the layers. The
     * runtime's own come first, as in the cloud; they hold the interfaces of aws-lambda-java-core.
     */
    static ClassLoader loaderOf(String task, String layers) throws IOException {
        List<URL> urls = new ArrayList<>();
        urls.add(new File(task + "/").toURI().toURL());
        for (String folder : new String[] {task + "/lib", layers}) {
            String[] names = new File(folder).list();
            if (names == null)
                continue;
            Arrays.sort(names);
            for (String name : names) {
                if (name.endsWith(".jar") || name.endsWith(".JAR"))
                    urls.add(new File(folder, name).toURI().toURL());
            }
        }
        ClassLoader loader =
                new URLClassLoader(urls.toArray(new URL[0]), Handler.class.getClassLoader());
        Thread.currentThread().setContextClassLoader(loader);
        return loader;
    }

    static Handler load(String name, ClassLoader loader) throws Throwable {
        int colons = name.indexOf("::");
        String className = colons < 0 ? name : name.substring(0, colons);
        Class<?> type;
        try {
            type = Class.forName(className, true, loader);
        } catch (ClassNotFoundException none) {
            throw new ClassNotFoundException("Class not found: " + className);
        }
        Method method = find(type, colons < 0 ? "handleRequest" : name.substring(colons + 2));
        Object target = null;
        if (!Modifier.isStatic(method.getModifiers())) {
            var constructor = type.getDeclaredConstructor();
            constructor.setAccessible(true);
            try {
                target = constructor.newInstance();
            } catch (InvocationTargetException thrown) {
                throw thrown.getCause();
            }
        }
        method.setAccessible(true);
        return new Handler(target, method, inputOf(type, method));
    }

    /** Of several methods of the name: no bridges, those with a Context, then more parameters. */
    private static Method find(Class<?> type, String name) throws NoSuchMethodException {
        Method best = null;
        for (Method candidate : type.getMethods()) {
            if (!candidate.getName().equals(name) || candidate.isBridge())
                continue;
            if (best == null || rank(candidate) > rank(best))
                best = candidate;
        }
        if (best != null)
            return best;
        throw new NoSuchMethodException(
                "No public method named " + name + " on class " + type.getName());
    }

    /** No overload, so that the interface's method leads to this one. */
    private static boolean isAlone(Method method) {
        int same = 0;
        for (Method candidate : method.getDeclaringClass().getMethods()) {
            if (candidate.getName().equals(method.getName()) && !candidate.isBridge())
                same++;
        }
        return same == 1;
    }

    private static int rank(Method method) {
        Class<?>[] types = method.getParameterTypes();
        boolean context = types.length > 0 && types[types.length - 1] == Context.class;
        // A default method of an interface is only what is left without an override.
        return (context ? 10 : 0) + types.length
                - (Modifier.isAbstract(method.getModifiers()) ? 100 : 0);
    }

    private static boolean takesStreams(Method method) {
        Class<?>[] types = method.getParameterTypes();
        return types.length >= 2 && types[0] == InputStream.class && types[1] == OutputStream.class;
    }

    private static Type inputOf(Class<?> type, Method method) {
        if (method.getParameterCount() == 0 || takesStreams(method))
            return null;
        if (method.getParameterTypes()[0] == Context.class)
            return null;
        Type declared = method.getGenericParameterTypes()[0];
        if (!(declared instanceof TypeVariable) && declared != Object.class)
            return declared;
        Type bound = boundInput(type);
        return bound == null ? declared : bound;
    }

    /** The I of RequestHandler<I, O>, where a class of the hierarchy names it. */
    private static Type boundInput(Class<?> type) {
        for (Class<?> at = type; at != null && at != Object.class; at = at.getSuperclass()) {
            for (Type face : at.getGenericInterfaces()) {
                if (face instanceof ParameterizedType
                        && ((ParameterizedType) face).getRawType() == RequestHandler.class) {
                    return ((ParameterizedType) face).getActualTypeArguments()[0];
                }
            }
            Type above = at.getGenericSuperclass();
            if (above instanceof ParameterizedType && RequestHandler.class.isAssignableFrom(at)) {
                return ((ParameterizedType) above).getActualTypeArguments()[0];
            }
        }
        return null;
    }

    /** By the interface where that is the method: the first call by reflection takes long. */
    @SuppressWarnings("unchecked")
    private Object invoke(Object[] arguments) throws ReflectiveOperationException {
        if (direct)
            return ((RequestHandler<Object, Object>) target)
                    .handleRequest(arguments[0], (Context) arguments[1]);
        return method.invoke(target, arguments);
    }

    byte[] call(byte[] event, Context context) throws Throwable {
        Class<?>[] types = method.getParameterTypes();
        Object[] arguments = new Object[types.length];
        ByteArrayOutputStream output = new ByteArrayOutputStream();
        boolean streams = takesStreams(method);
        for (int i = 0; i < types.length; i++) {
            if (types[i] == Context.class) {
                arguments[i] = context;
            } else if (streams && i < 2) {
                arguments[i] = i == 0 ? new ByteArrayInputStream(event) : output;
            } else if (i == 0 && types[0] == InputStream.class) {
                arguments[i] = new ByteArrayInputStream(event);
            } else if (i == 0) {
                arguments[i] = Binder.bind(
                        Json.parse(new String(event, StandardCharsets.UTF_8)), input, names);
            }
        }
        Object answer;
        try {
            answer = invoke(arguments);
        } catch (InvocationTargetException thrown) {
            throw thrown.getCause();
        }
        if (streams
                || target instanceof RequestStreamHandler && method.getReturnType() == void.class) {
            return output.toByteArray();
        }
        StringBuilder text = new StringBuilder();
        Json.write(text, Unbinder.unbind(answer, 0));
        return text.toString().getBytes(StandardCharsets.UTF_8);
    }
}
