package mayfly.runtime;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** JSON text ↔ Map, List, String, Boolean, Number and null. */
final class Json {
    private static final int DEPTH = 512;
    private final String text;
    private int at;
    private int depth;

    private Json(String text) {
        this.text = text;
    }

    static Object parse(String text) {
        Json reader = new Json(text);
        Object value = reader.value();
        reader.space();
        if (reader.at < text.length())
            throw reader.wrong("text behind the value");
        return value;
    }

    private IllegalArgumentException wrong(String what) {
        return new IllegalArgumentException("Invalid JSON at character " + at + ": " + what);
    }

    private void space() {
        while (at < text.length() && " \t\r\n".indexOf(text.charAt(at)) >= 0) at++;
    }

    private char next() {
        space();
        if (at >= text.length())
            throw wrong("unexpected end");
        return text.charAt(at);
    }

    private void take(String word) {
        if (!text.startsWith(word, at))
            throw wrong("'" + word + "' expected");
        at += word.length();
    }

    private Object value() {
        switch (next()) {
            case '{':
                return object();
            case '[':
                return array();
            case '"':
                return string();
            case 't':
                take("true");
                return true;
            case 'f':
                take("false");
                return false;
            case 'n':
                take("null");
                return null;
            default:
                return number();
        }
    }

    private Map<String, Object> object() {
        if (++depth > DEPTH)
            throw wrong("too deep");
        Map<String, Object> out = new LinkedHashMap<>();
        at++;
        if (next() == '}') {
            at++;
        } else {
            while (true) {
                if (next() != '"')
                    throw wrong("a key expected");
                String key = string();
                next();
                take(":");
                out.put(key, value());
                if (next() == '}')
                    break;
                take(",");
            }
            at++;
        }
        depth--;
        return out;
    }

    private List<Object> array() {
        if (++depth > DEPTH)
            throw wrong("too deep");
        List<Object> out = new ArrayList<>();
        at++;
        if (next() == ']') {
            at++;
        } else {
            while (true) {
                out.add(value());
                if (next() == ']')
                    break;
                take(",");
            }
            at++;
        }
        depth--;
        return out;
    }

    private String string() {
        StringBuilder out = new StringBuilder();
        at++;
        while (true) {
            if (at >= text.length())
                throw wrong("unexpected end");
            char c = text.charAt(at++);
            if (c == '"')
                return out.toString();
            if (c < 0x20)
                throw wrong("control character in a string");
            out.append(c == '\\' ? escape() : c);
        }
    }

    private char escape() {
        if (at >= text.length())
            throw wrong("unexpected end");
        char c = text.charAt(at++);
        int simple = "\"\\/bfnrt".indexOf(c);
        if (simple >= 0)
            return "\"\\/\b\f\n\r\t".charAt(simple);
        if (c != 'u' || at + 4 > text.length())
            throw wrong("unknown escape");
        int code = 0;
        for (int i = 0; i < 4; i++) {
            int digit = Character.digit(text.charAt(at++), 16);
            if (digit < 0)
                throw wrong("unknown escape");
            code = code * 16 + digit;
        }
        return (char) code;
    }

    private Number number() {
        int start = at;
        while (at < text.length() && "+-.eE0123456789".indexOf(text.charAt(at)) >= 0) at++;
        int end = at;
        boolean whole = true;
        at = start;
        if (peek(end) == '-')
            at++;
        int first = at;
        skipDigits(end);
        boolean good = at > first && (text.charAt(first) != '0' || at == first + 1);
        if (good && peek(end) == '.') {
            whole = false;
            at++;
            good = skipDigits(end);
        }
        if (good && (peek(end) == 'e' || peek(end) == 'E')) {
            whole = false;
            at++;
            if (peek(end) == '+' || peek(end) == '-')
                at++;
            good = skipDigits(end);
        }
        if (!good || at != end) {
            at = end;
            throw wrong("a value expected");
        }
        String digits = text.substring(start, end);
        if (!whole)
            return Double.valueOf(digits);
        if (end - start < 10)
            return Integer.parseInt(digits);
        BigInteger large = new BigInteger(digits);
        if (large.bitLength() < 32)
            return large.intValue();
        return large.bitLength() < 64 ? (Number) large.longValue() : large;
    }

    private char peek(int end) {
        return at < end ? text.charAt(at) : 0;
    }

    private boolean skipDigits(int end) {
        int start = at;
        while (at < end && text.charAt(at) >= '0' && text.charAt(at) <= '9') at++;
        return at > start;
    }

    static void write(StringBuilder out, Object value) {
        if (value == null || value instanceof Boolean) {
            out.append(value);
        } else if (value instanceof Number) {
            writeNumber(out, (Number) value);
        } else if (value instanceof Map) {
            writeMap(out, (Map<?, ?>) value);
        } else if (value instanceof List) {
            String comma = "[";
            for (Object item : (List<?>) value) {
                out.append(comma);
                write(out, item);
                comma = ",";
            }
            out.append(((List<?>) value).isEmpty() ? "[]" : "]");
        } else {
            writeString(out, value.toString());
        }
    }

    private static void writeNumber(StringBuilder out, Number value) {
        double number = value.doubleValue();
        boolean finite = !Double.isNaN(number) && !Double.isInfinite(number);
        if (value instanceof BigDecimal || value instanceof BigInteger || finite) {
            out.append(value);
        } else {
            writeString(out, value.toString());
        }
    }

    private static void writeMap(StringBuilder out, Map<?, ?> map) {
        String comma = "{";
        for (Map.Entry<?, ?> entry : map.entrySet()) {
            out.append(comma);
            writeString(out, String.valueOf(entry.getKey()));
            out.append(':');
            write(out, entry.getValue());
            comma = ",";
        }
        out.append(map.isEmpty() ? "{}" : "}");
    }

    private static void writeString(StringBuilder out, String text) {
        out.append('"');
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if (c == '"' || c == '\\') {
                out.append('\\').append(c);
            } else if (c < 0x20) {
                out.append(String.format("\\u%04x", (int) c));
            } else {
                out.append(c);
            }
        }
        out.append('"');
    }
}
