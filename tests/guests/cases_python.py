"""Python guest functions and what must come of them (contract: the public Python runtime interface
client). The form of a case is that of cases_node.py."""

from lean_driver import ERROR, RESPONSE


def error(kind, message=None, request_id="req-1", trace=None):
    def check(shape):
        return (
            sorted(shape) == ["errorMessage", "errorType", "requestId", "stackTrace"]
            and shape["errorType"] == kind
            and shape["requestId"] == request_id
            and (message is None or message in shape["errorMessage"])
            and (trace is None or any(trace in line for line in shape["stackTrace"]))
        )

    return check


def fn(body, expected, event=b"{}", imports="", **more):
    text = imports + "\ndef handler(event, context):\n    " + body.replace("\n", "\n    ") + "\n"
    return dict(files={"app.py": text}, steps=[(event, RESPONSE, expected)], **more)


def bad(body, expected, event=b"{}", imports="", **more):
    case = fn(body, None, event, imports, **more)
    case["steps"] = [(event, ERROR, expected)]
    return case


def init_error(files, handler, kind, message=None, trace=None):
    return dict(files=files, handler=handler, init=error(kind, message, "", trace), exit=1)


NEW = {"AWS_EXECUTION_ENV": "AWS_Lambda_python3.12"}
OLD = {"AWS_EXECUTION_ENV": "AWS_Lambda_python3.11"}

CASES = {
    # ---- loading
    "plain": fn("return {'got': event['a']}", {"got": 1}, b'{"a":1}'),
    "nested directory": dict(
        files={"src/app/main.py": "def h(e, c): return __name__"},
        handler="src/app/main.h",
        steps=[(b"{}", RESPONSE, "src.app.main")],
    ),
    "dotted module": dict(
        files={"pkg/__init__.py": "", "pkg/m.py": "def h(e, c): return 2"},
        handler="pkg.m.h",
        steps=[(b"{}", RESPONSE, 2)],
    ),
    "function's modules first": dict(
        files={
            "app.py": "import boto3\ndef handler(e, c): return boto3.mine",
            "boto3.py": "mine = 1",
        },
        steps=[(b"{}", RESPONSE, 1)],
    ),
    "search path": fn(
        "return [p for p in sys.path if p.startswith('/opt')]",
        lambda v: len(v) == 2
        and v[0].startswith("/opt/python/lib/python3.")
        and v[1] == "/opt/python",
        imports="import sys",
    ),
    "no packages of the host": fn(
        "return any('dist-packages' in p for p in sys.path)", False, imports="import sys"
    ),
    "missing module": init_error(
        {"x.py": ""},
        "app.handler",
        "Runtime.ImportModuleError",
        "Unable to import module 'app': No module named 'app'",
    ),
    "missing dependency": init_error(
        {"app.py": "import nowhere"},
        "app.handler",
        "Runtime.ImportModuleError",
        "No module named 'nowhere'",
    ),
    "no such function": init_error(
        {"app.py": ""},
        "app.handler",
        "Runtime.HandlerNotFound",
        "Handler 'handler' missing on module 'app'",
    ),
    "bad handler": init_error(
        {"app.py": ""}, "app", "Runtime.MalformedHandlerName", "Bad handler 'app'"
    ),
    "built-in module": init_error(
        {"app.py": ""},
        "sys.exit",
        "Runtime.BuiltInModuleConflict",
        "Cannot use built-in module sys as a handler module",
    ),
    "syntax error": init_error(
        {"app.py": "def handler(:\n"},
        "app.handler",
        "Runtime.UserCodeSyntaxError",
        "Syntax error in module 'app'",
        'app.py" Line 1',
    ),
    "throws while loading": init_error(
        {"app.py": "raise KeyError('early')"}, "app.handler", "KeyError", "early", "app.py"
    ),
    "exit while loading": dict(files={"app.py": "import sys; sys.exit(3)"}, init=None, exit=3),
    # ---- answering
    "none": fn("pass", None),
    "bytes": fn("return b'\\x00raw'", b"\x00raw", label="application/unknown"),
    "unicode up to 3.11": fn("return event", b'"\\u00fc"', '"\u00fc"'.encode(), env=OLD),
    "unicode from 3.12 on": fn("return event", '"\u00fc"'.encode(), '"\u00fc"'.encode(), env=NEW),
    "decimal": fn(
        "return [D('1.10'), D('3'), {'d': D('1E+3')}]",
        b'[1.10, 3, {"d": 1E+3}]',
        imports="from decimal import Decimal as D",
    ),
    "context": fn(
        "return sorted(k for k in vars(context) if k[0] != '_')",
        [
            "aws_request_id",
            "client_context",
            "function_name",
            "function_version",
            "identity",
            "invoked_function_arn",
            "log_group_name",
            "log_stream_name",
            "memory_limit_in_mb",
            "tenant_id",
        ],
    ),
    "context values": fn(
        "return [context.function_name, context.function_version, context.memory_limit_in_mb,"
        " context.log_group_name, context.log_stream_name, context.aws_request_id,"
        " context.client_context.custom, context.client_context.client.app_title,"
        " context.identity.cognito_identity_id, context.get_remaining_time_in_millis() > 10**6,"
        " os.environ['_X_AMZN_TRACE_ID']]",
        [
            "f",
            "$LATEST",
            "128",
            "/aws/lambda/f",
            "stream",
            "req-1",
            {"k": 1},
            "t",
            "i",
            True,
            "Root=1",
        ],
        imports="import os",
        client='{"custom":{"k":1},"client":{"app_title":"t"}}',
        identity='{"cognitoIdentityId":"i"}',
        trace="Root=1",
    ),
    "tenant": fn(
        "logging.getLogger().warning('w')\n"
        "return [context.tenant_id, 'tenant_id=blue 1' in repr(context)]",
        ["blue 1", True],
        imports="import logging",
        tenant="blue 1",
        env={"AWS_LAMBDA_LOG_FORMAT": "JSON"},
        json_logs=[{"message": "w", "tenantId": "blue 1"}],
    ),
    "no tenant": fn(
        "logging.getLogger().warning('w')\nreturn context.tenant_id",
        None,
        imports="import logging",
        env={"AWS_LAMBDA_LOG_FORMAT": "JSON"},
        json_logs=[lambda record: "tenantId" not in record],
    ),
    "no identity": fn(
        "return [context.client_context, context.identity.cognito_identity_id]", [None, None]
    ),
    "past deadline": fn("return context.get_remaining_time_in_millis()", 0, deadline_ms=1000),
    "events one after the other": dict(
        files={
            "app.py": "n = 0\ndef handler(e, c):\n  global n\n  n += 1\n"
            "  return [n, c.aws_request_id]"
        },
        steps=[(b"{}", RESPONSE, [1, "req-1"]), (b"{}", RESPONSE, [2, "req-2"])],
    ),
    # ---- errors
    "raises": dict(
        files={"app.py": "def handler(e, c):\n  if e: raise ValueError('bad')\n  return 1\n"},
        steps=[
            (b'{"x":1}', ERROR, error("ValueError", "bad", trace="app.py")),
            (b"{}", RESPONSE, 1),
        ],
        logs=[
            "^\\[ERROR\\] ValueError: bad\nTraceback \\(most recent call last\\):\n"
            '\u00a0\u00a0File ".*app.py", line 2, in handler\n'
            "\u00a0\u00a0\u00a0\u00a0if e: raise ValueError\\('bad'\\)$"
        ],
        frames=[0xA55A0017],
    ),
    "answer that is no JSON": bad(
        "return object()", error("Runtime.MarshalError", "Unable to marshal response: ")
    ),
    "event that is no JSON": bad(
        "return 1", error("Runtime.UnmarshalError", "Unable to unmarshal input: "), b"{"
    ),
    "client context that is no JSON": bad(
        "return 1", error("Runtime.LambdaContextUnmarshalError", "Client Context"), client="{"
    ),
    "exit in the handler": dict(
        files={"app.py": "import sys\ndef handler(e, c): sys.exit(4)"},
        steps=[(b"{}", None, None)],
        exit=4,
    ),
    "exit() is there": dict(
        files={"app.py": "def handler(e, c): exit(5)"}, steps=[(b"{}", None, None)], exit=5
    ),
    # ---- logs
    "text log": fn(
        "logging.warning('two\\nlines'); logging.getLogger('x').error('e')",
        None,
        imports="import logging",
        logs=[
            r"^\[WARNING\]\t\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\treq-1\ttwo\nlines\n$",
            r"^\[ERROR\]\t.*\treq-1\te\n$",
        ],
        frames=[0xA55A0003, 0xA55A0003],
    ),
    "info is off until asked for": fn(
        "logging.info('no'); logging.getLogger().setLevel('INFO'); logging.info('yes')",
        None,
        imports="import logging",
        logs=[r"^\[INFO\]\t.*\tyes\n$"],
        log_count=1,
    ),
    "log level": fn(
        "logging.debug('d')",
        None,
        imports="import logging",
        env={"AWS_LAMBDA_LOG_LEVEL": "TRACE"},
        logs=[r"^\[DEBUG\]\t.*\td\n$"],
        frames=[0xA55A000B],
    ),
    "json log": fn(
        "logging.warning('w', extra={'k': 1})\n"
        "try:\n  1 / 0\nexcept ZeroDivisionError:\n  logging.exception('boom')",
        None,
        imports="import logging",
        env={"AWS_LAMBDA_LOG_FORMAT": "JSON"},
        json_logs=[
            dict(level="WARNING", message="w", logger="root", requestId="req-1", k=1),
            lambda r: r["errorType"] == "ZeroDivisionError"
            and r["level"] == "ERROR"
            and len(r["stackTrace"]) == 1
            and ":handler:" in r["location"],
        ],
        frames=[0xA55A0012, 0xA55A0016],
    ),
    "json error": bad(
        "raise ValueError('bad')",
        error("ValueError", "bad"),
        env={"AWS_LAMBDA_LOG_FORMAT": "JSON"},
        json_logs=[
            dict(level="ERROR", errorMessage="bad", errorType="ValueError", requestId="req-1")
        ],
    ),
    "print": fn("print('one'); print('two')", None, output="one\ntwo\n"),
    "log without frames": fn(
        "logging.warning('w')",
        None,
        imports="import logging",
        framed=False,
        output_match=r"^\[WARNING\]\t.*\treq-1\tw\n$",
    ),
    # The listing itself takes the first free number: 3 when neither 3 nor 4 was inherited.
    "children inherit no channel": fn(
        "return '4' in os.popen('ls /proc/self/fd').read().split()", False, imports="import os"
    ),
    # ---- sizes
    "large event and answer": fn(
        "return event['s'] + event['s']", "x" * 4_000_000, b'{"s":"' + b"x" * 2_000_000 + b'"}'
    ),
}
