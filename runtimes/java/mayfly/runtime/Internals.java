package mayfly.runtime;

import java.io.FileDescriptor;
import java.lang.reflect.Field;
import java.util.Collections;
import java.util.Map;
import sun.misc.Unsafe;

/**
 * What the JDK keeps to itself. By Unsafe, as to open its packages, on the command line or in the
 * manifest, makes each start slower by a tenth. The compiler's warnings of it cannot be suppressed.
 */
@SuppressWarnings("removal")
final class Internals {
    private static final Unsafe UNSAFE = unsafe();

    private Internals() {}

    private static Unsafe unsafe() {
        try {
            Field only = Unsafe.class.getDeclaredField("theUnsafe");
            only.setAccessible(true);
            return (Unsafe) only.get(null);
        } catch (ReflectiveOperationException missing) {
            throw new IllegalStateException(missing);
        }
    }

    /** A descriptor by number: opening /proc/self/fd is refused to the uid of a jail. */
    static FileDescriptor descriptor(int number) {
        try {
            Field field = FileDescriptor.class.getDeclaredField("fd");
            FileDescriptor out = new FileDescriptor();
            UNSAFE.putInt(out, UNSAFE.objectFieldOffset(field), number);
            return out;
        } catch (NoSuchFieldException other) {
            throw new IllegalStateException(other);
        }
    }

    /**
     * The map behind System.getenv(), which can be written to. For child processes and native
     * code there is NativeEnvironment.
     */
    @SuppressWarnings("unchecked")
    static Map<String, String> environment() {
        Map<String, String> shown = System.getenv();
        try {
            Field behind = Collections.unmodifiableMap(shown).getClass().getDeclaredField("m");
            return (Map<String, String>) UNSAFE.getObject(shown, UNSAFE.objectFieldOffset(behind));
        } catch (NoSuchFieldException other) {
            throw new IllegalStateException(other);
        }
    }

    static long word(long address) {
        return UNSAFE.getLong(address);
    }

    static void setWord(long address, long value) {
        UNSAFE.putLong(address, value);
    }

    /** To memory that is never freed; returns its address. */
    static long copy(byte[] bytes, int begin, int length) {
        long address = UNSAFE.allocateMemory(Math.max(length, 8));
        for (int i = 0; i < length; i++) UNSAFE.putByte(address + i, bytes[begin + i]);
        return address;
    }
}
