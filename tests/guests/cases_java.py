"""Java guest functions (java/Functions.java) and what must come of them under our Runtime API. The
form of a case is that of cases_node.py; the class files are made once."""

from lean_driver import ERROR, RESPONSE


def error(kind, message=None, trace=None):
    def check(shape):
        return (
            shape["errorType"] == kind
            and (message is None or message in shape["errorMessage"])
            and isinstance(shape["stackTrace"], list)
            and (trace is None or any(trace in line for line in shape["stackTrace"]))
        )

    return check


def fn(handler, expected, event=b"{}", **more):
    return dict(files={}, handler=handler, steps=[(event, RESPONSE, expected)], **more)


def init_error(handler, kind, message):
    return dict(files={}, handler=handler, init=error(kind, message), exit=1)


F = "t.Functions"
CASES = {
    "beans": fn(
        f"{F}$Pojo",
        {"count": 2, "eventSourceArn": "a", "full": True, "kind": "LARGE", "numbers": [1.0, 2.5]},
        b'{"Records":[{"eventSourceARN":"a","count":2,"numbers":[1,2.5],"kind":"LARGE",'
        b'"unknown":{}}]}',
    ),
    "type from a superclass": dict(
        files={},
        handler=f"{F}$Inherited::handleRequest",
        steps=[(b'{"a":1}', RESPONSE, [2, 1, "req-1"]), (b'{"a":2}', RESPONSE, [3, 2, "req-2"])],
    ),
    "streams": fn(f"{F}$Streams", b"<anything>", b"anything"),
    "string": fn(f"{F}::text", "\u00fc\u00e9", '"\u00fc"'.encode()),
    "record": fn(
        f"{F}::records",
        {"same": {"x": 1, "y": 2.5, "at": "2020-01-02T03:04:05Z"}, "sum": 3},
        b'{"x":1,"y":2.5,"at":"2020-01-02T03:04:05Z"}',
    ),
    "no event": fn(f"{F}::nothing", None),
    "environment": fn(
        f"{F}::environment", ["v\u00fc", False, "v\u00fc\n", ":UTC"], env={"A": "v\u00fc"}
    ),
    "tenant": fn(f"{F}::tenant", ["blue 1"], tenant="blue 1"),
    "no tenant": fn(f"{F}::tenant", [None]),
    "context": fn(
        f"{F}::described",
        [
            "f",
            "$LATEST",
            128,
            "/aws/lambda/f",
            "arn:aws:lambda:us-east-1:000000000000:function:f",
            {"k": "1"},
            "i",
            True,
            "Root=1",
        ],
        client='{"custom":{"k":"1"}}',
        identity='{"cognitoIdentityId":"i"}',
        trace="Root=1",
    ),
    "throws": dict(
        files={},
        handler=f"{F}::fails",
        steps=[
            (
                b'{"x":1}',
                ERROR,
                lambda s: error(
                    "java.lang.IllegalStateException", "bad", "t.Functions.fails(Functions.java:"
                )(s)
                and s["cause"]["errorMessage"] == "why",
            ),
            (b"{}", RESPONSE, 1),
        ],
        logs=[
            r"^bad: java.lang.IllegalStateException\njava.lang.IllegalStateException: bad\n\tat "
        ],
    ),
    "event that is no JSON": dict(
        files={},
        handler=f"{F}::fails",
        steps=[(b"{", ERROR, error("java.lang.IllegalArgumentException", "Invalid JSON"))],
    ),
    "no such class": init_error(
        "t.Nowhere", "java.lang.ClassNotFoundException", "Class not found: t.Nowhere"
    ),
    "no such method": init_error(
        f"{F}::nowhere",
        "java.lang.NoSuchMethodException",
        "No public method named nowhere on class t.Functions",
    ),
    "constructor throws": init_error(
        f"{F}$Broken::run", "java.lang.IllegalArgumentException", "early"
    ),
    "logs": fn(f"{F}::logs", None, logs=["^two\nlines$"], log_count=1, output="raw\n"),
    "exit in the handler": dict(
        files={}, handler=f"{F}::exits", steps=[(b"{}", None, None)], exit=4
    ),
    "large event and answer": fn(
        f"{F}::twice",
        "x" * 4_000_000,
        b'{"s":"' + b"x" * 2_000_000 + b'"}',
        env={"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512"},
    ),
}

# Of a booted JVM that never becomes an environment.
UNSPECIALISED = {
    "a message that is none": dict(files={}, handler="bad message", init=None, exit=1),
    "its host has gone": dict(files={}, handler="", init=None, exit=0),
}
