"""Node.js guest functions and what must come of them (contract: the public runtime interface
client, versions 3 and 4). A step is (event bytes, kind, expected); expected is a value, or a
function of the parsed answer that says whether it is right."""

from lean_driver import ERROR, INIT_ERROR, RESPONSE

JS = "exports.handler = "
CONTEXT_KEYS = [
    "callbackWaitsForEmptyEventLoop",
    "succeed",
    "fail",
    "done",
    "functionVersion",
    "functionName",
    "memoryLimitInMB",
    "logGroupName",
    "logStreamName",
    "clientContext",
    "identity",
    "invokedFunctionArn",
    "awsRequestId",
    "tenantId",
    "getRemainingTimeInMillis",
]


def error(kind, message=None, trace=True):
    def check(shape):
        return (
            shape["errorType"] == kind
            and (message is None or message in shape["errorMessage"])
            and isinstance(shape["trace"], list)
            and (not trace or len(shape["trace"]) > 0)
        )

    return check


def ok(body, expected, event=b"{}", **more):
    return dict(files={"index.js": JS + body}, steps=[(event, RESPONSE, expected)], **more)


def init_error(files, handler, kind, message=None, code=129):
    return dict(files=files, handler=handler, init=error(kind, message), exit=code)


CASES = {
    # ---- loading
    "async": ok("async (e) => ({ got: e.a })", {"got": 1}, b'{"a":1}'),
    "nested directory": dict(
        files={"src/app/main.js": JS + "async () => 1"},
        handler="src/app/main.handler",
        steps=[(b"{}", RESPONSE, 1)],
    ),
    "nested export": dict(
        files={"index.js": "exports.a = { b: { h: async () => 'deep' } }"},
        handler="index.a.b.h",
        steps=[(b"{}", RESPONSE, "deep")],
    ),
    "default export of a bundle": dict(
        files={"index.mjs": "export default { handler: async () => 7 }"},
        steps=[(b"{}", RESPONSE, 7)],
    ),
    "mjs": dict(
        files={"index.mjs": "export const handler = async () => import.meta.url.slice(-9)"},
        steps=[(b"{}", RESPONSE, "index.mjs")],
    ),
    "cjs": dict(files={"index.cjs": JS + "async () => 'cjs'"}, steps=[(b"{}", RESPONSE, "cjs")]),
    "type module": dict(
        files={
            "package.json": '{"type":"module"}',
            "index.js": "const v = await Promise.resolve(5); export const handler = async () => v",
        },
        steps=[(b"{}", RESPONSE, 5)],
    ),
    "nearest package.json decides": dict(
        files={
            "package.json": '{"type":"module"}',
            "cjs/package.json": "{}",
            "cjs/a.js": JS + "async () => typeof require",
        },
        handler="cjs/a.handler",
        steps=[(b"{}", RESPONSE, "function")],
    ),
    "extensionless": dict(
        files={"index": JS + "async () => 'bare'"}, steps=[(b"{}", RESPONSE, "bare")]
    ),
    "missing module": init_error(
        {"x.js": ""}, "index.handler", "Runtime.ImportModuleError", "Cannot find module 'index'"
    ),
    "missing dependency": init_error(
        {"index.js": "require('nowhere')"}, "index.handler", "Runtime.ImportModuleError", "nowhere"
    ),
    "no such export": init_error(
        {"index.js": "exports.other = 1"},
        "index.handler",
        "Runtime.HandlerNotFound",
        "index.handler is undefined or not exported",
    ),
    "not a function": init_error(
        {"index.js": "exports.handler = 1"},
        "index.handler",
        "Runtime.HandlerNotFound",
        "index.handler is not a function",
    ),
    "bad handler": init_error(
        {"index.js": ""}, "index", "Runtime.MalformedHandlerName", "Bad handler"
    ),
    "handler with dots": init_error(
        {"index.js": ""},
        "../index.handler",
        "Runtime.MalformedHandlerName",
        "is not a valid handler name",
    ),
    "syntax error": init_error(
        {"index.js": "exports.handler = ("},
        "index.handler",
        "Runtime.UserCodeSyntaxError",
        "SyntaxError",
    ),
    "throws while loading": init_error(
        {"index.js": "throw new RangeError('early')"}, "index.handler", "RangeError", "early"
    ),
    "rejection while loading": init_error(
        {"index.js": "Promise.reject(new Error('lost')); exports.handler = async () => 1"},
        "index.handler",
        "Runtime.UnhandledPromiseRejection",
        "Error: lost",
        code=128,
    ),
    "top-level await that never ends": dict(
        files={"index.mjs": "await new Promise(() => {}); export const handler = 1"},
        init=None,
        exit=13,
    ),
    "exit while loading": dict(files={"index.js": "process.exit(3)"}, init=None, exit=3),
    # ---- answering
    "undefined is null": ok("async () => undefined", None),
    "a function is null": ok("async () => () => 1", None),
    "unicode": ok(
        "async (e) => e.s + '\u00e9\U0001f600'", "\u00fc\u00e9\U0001f600", '{"s":"\u00fc"}'.encode()
    ),
    "plain event": ok("async (e) => e", "text", b'"text"'),
    "callback": ok("(e, c, cb) => cb(null, 'called')", "called"),
    "callback waits for the event loop": ok(
        "(e, c, cb) => { global.n = 0; setTimeout(() => { global.n = 1 }, 30);"
        " cb(null, { get n() { return global.n } }) }",
        {"n": 1},
    ),
    "callback does not wait when told": ok(
        "(e, c, cb) => { c.callbackWaitsForEmptyEventLoop = false; global.n = 0;"
        " setTimeout(() => { global.n = 1 }, 30); cb(null, { get n() { return global.n } }) }",
        {"n": 0},
    ),
    "callback after a timer": ok("(e, c, cb) => { setTimeout(() => cb(null, 2), 5) }", 2),
    "first call counts": ok(
        "(e, c, cb) => { c.callbackWaitsForEmptyEventLoop = false;"
        " cb(null, 1); cb(null, 2); c.succeed(3) }",
        1,
    ),
    "succeed": ok("(e, c) => c.succeed({ a: 1 })", {"a": 1}),
    "done": ok("(e, c) => c.done(null, 'd')", "d"),
    "never called back": ok("() => {}", None),
    "thenable": ok("() => ({ then(r) { r('t') } })", "t"),
    "context": ok("async (e, c) => Object.keys(c)", CONTEXT_KEYS),
    "context values": ok(
        "async (e, c) => [c.functionName, c.functionVersion, c.memoryLimitInMB, c.logGroupName,"
        " c.logStreamName, c.awsRequestId, c.invokedFunctionArn, c.clientContext, c.identity,"
        " c.getRemainingTimeInMillis() > 1e6, process.env._X_AMZN_TRACE_ID]",
        [
            "f",
            "$LATEST",
            "128",
            "/aws/lambda/f",
            "stream",
            "req-1",
            "arn:aws:lambda:us-east-1:000000000000:function:f",
            {"custom": 1},
            {"cognitoIdentityId": "i"},
            True,
            "Root=1",
        ],
        client='{"custom":1}',
        identity='{"cognitoIdentityId":"i"}',
        trace="Root=1",
    ),
    "events one after the other": dict(
        files={"index.js": "let n = 0;\n" + JS + "async (e, c) => [++n, c.awsRequestId]"},
        steps=[
            (b"{}", RESPONSE, [1, "req-1"]),
            (b"{}", RESPONSE, [2, "req-2"]),
            (b"{}", RESPONSE, [3, "req-3"]),
        ],
    ),
    "timers go on with the next event": dict(
        files={
            "index.js": "let n = 0; setInterval(() => n++, 1);\n"
            + JS
            + "async () => { const b = n; await new Promise(r => setTimeout(r, 20)); return n > b }"
        },
        steps=[(b"{}", RESPONSE, True), (b"{}", RESPONSE, True)],
    ),
    "hidden environment": ok(
        "async () => ['_LAMBDA_TELEMETRY_LOG_FD', 'PATH'].map(k => k in process.env)", [False, True]
    ),
    # ---- errors
    "throws": dict(
        files={"index.js": JS + "async (e) => { if (e.x) throw new TypeError('bad'); return 1 }"},
        steps=[(b'{"x":1}', ERROR, error("TypeError", "bad")), (b"{}", RESPONSE, 1)],
        logs=[
            r"^\d{4}-\d\d-\d\dT[\d:.]+Z\treq-1\tERROR\tInvoke Error \t"
            r"\{\"errorType\":\"TypeError\",\"errorMessage\":\"bad\",\"stack\":\["
        ],
    ),
    "plain handler throws": dict(
        files={"index.js": JS + "() => { throw new Error('sync') }"},
        steps=[(b"{}", ERROR, error("Error", "sync"))],
    ),
    "throws a string": dict(
        files={"index.js": JS + "async () => { throw 'text' }"},
        steps=[(b"{}", ERROR, {"errorType": "string", "errorMessage": "text", "trace": []})],
    ),
    "fail without a reason": dict(
        files={"index.js": JS + "(e, c) => c.fail()"},
        steps=[(b"{}", ERROR, {"errorType": "string", "errorMessage": "handled", "trace": []})],
    ),
    "callback with an error": dict(
        files={"index.js": JS + "(e, c, cb) => cb(new Error('cb'))"},
        steps=[(b"{}", ERROR, error("Error", "cb"))],
    ),
    "named error": dict(
        files={
            "index.js": "class Mine extends Error { name = 'Mine' }\n"
            + JS
            + "async () => { throw new Mine('m') }"
        },
        steps=[(b"{}", ERROR, error("Mine", "m"))],
    ),
    "tenant": ok(
        "async (e, c) => { console.log('w'); return c.tenantId }",
        "blue 1",
        tenant="blue 1",
        env={"AWS_LAMBDA_LOG_FORMAT": "JSON"},
        json_logs=[{"message": "w", "tenantId": "blue 1"}],
    ),
    "no tenant": ok(
        "async (e, c) => { console.log('w'); return [c.tenantId === undefined] }",
        [True],
        env={"AWS_LAMBDA_LOG_FORMAT": "JSON"},
        json_logs=[lambda record: "tenantId" not in record],
    ),
    "answer that is no JSON": dict(
        files={"index.js": JS + "async () => { const a = {}; a.a = a; return a }"},
        steps=[(b"{}", ERROR, error("Error", "Unable to stringify response body"))],
    ),
    "BigInt": dict(
        files={"index.js": JS + "async () => 1n"},
        steps=[(b"{}", ERROR, error("Error", "Unable to stringify response body"))],
    ),
    "event that is no JSON": dict(
        files={"index.js": JS + "async () => 1"}, steps=[(b"{", ERROR, error("SyntaxError"))]
    ),
    "client context that is no JSON": dict(
        files={"index.js": JS + "async () => 1"},
        client="{",
        steps=[(b"{}", ERROR, error("Error", "Cannot parse ClientContext as json"))],
    ),
    "promise that never settles": dict(
        files={"index.js": JS + "async () => { await new Promise(() => {}) }"},
        steps=[(b"{}", ERROR, error("Runtime.NodeJsExit"))],
    ),
    "uncaught exception": dict(
        files={
            "index.js": JS + "async () => { setTimeout(() => { throw new Error('late') }, 1);"
            " await new Promise(r => setTimeout(r, 500)) }"
        },
        steps=[(b"{}", ERROR, error("Error", "late"))],
        exit=129,
        logs=[r"\tERROR\tUncaught Exception \t\{\"errorType\":\"Error\""],
    ),
    "unhandled rejection": dict(
        files={
            "index.js": JS + "async () => { Promise.reject(new Error('lost'));"
            " await new Promise(r => setTimeout(r, 500)) }"
        },
        steps=[(b"{}", ERROR, error("Runtime.UnhandledPromiseRejection", "Error: lost"))],
        exit=128,
        logs=[r"\tERROR\tUnhandled Promise Rejection \t"],
    ),
    "exit in the handler": dict(
        files={"index.js": JS + "async () => process.exit(4)"}, steps=[(b"{}", None, None)], exit=4
    ),
    # ---- nodejs24.x
    "promises only": ok(
        "async (e, c) => Object.keys(c)",
        CONTEXT_KEYS[4:],
        env={"AWS_EXECUTION_ENV": "AWS_Lambda_nodejs24.x"},
    ),
    "callbacks are refused from nodejs24.x on": dict(
        files={"index.js": JS + "(e, c, cb) => cb(null, 1)"},
        env={"AWS_EXECUTION_ENV": "AWS_Lambda_nodejs24.x"},
        init=error("Runtime.CallbackHandlerDeprecated"),
        exit=129,
    ),
    # ---- streaming, collected
    "stream": dict(
        files={
            "index.js": JS + "awslambda.streamifyResponse(async (e, s) => {"
            " s.setContentType('text/plain'); s.write('a'); s.write('b'); s.end('c') })"
        },
        steps=[(b"{}", RESPONSE, b"abc")],
        label="text/plain",
    ),
    "stream with a prelude": dict(
        files={
            "index.js": JS + "awslambda.streamifyResponse(async (e, s) => {"
            " s = awslambda.HttpResponseStream.from(s, { statusCode: 201 });"
            " s.write('body'); s.end() })"
        },
        steps=[(b"{}", RESPONSE, b'{"statusCode":201}' + bytes(8) + b"body")],
        label="application/vnd.awslambda.http-integration-response",
    ),
    "stream left open": dict(
        files={"index.js": JS + "awslambda.streamifyResponse(async (e, s) => { s.write('a') })"},
        steps=[(b"{}", ERROR, error("Error", "Response stream is not finished."))],
    ),
    "stream that fails": dict(
        files={
            "index.js": JS + "awslambda.streamifyResponse(async (e, s) => {"
            " s.write('a'); throw new Error('mid') })"
        },
        steps=[(b"{}", ERROR, error("Error", "mid")), (b"{}", ERROR, error("Error", "mid"))],
    ),
    "pipeline into the stream": dict(
        files={
            "index.js": "const { pipeline } = require('stream/promises');"
            " const { Readable } = require('stream');\n"
            + JS
            + "awslambda.streamifyResponse(async (e, s) => {"
            " await pipeline(Readable.from(['x', 'y']), s) })"
        },
        steps=[(b"{}", RESPONSE, b"xy")],
    ),
    "stream larger than the credit": dict(
        files={
            "index.js": "const { once } = require('events');\n"
            + JS
            + "awslambda.streamifyResponse(async (e, s) => {"
            " for (let i = 0; i < 20; i++) {"
            " if (!s.write(Buffer.alloc(100000, 97 + i))) await once(s, 'drain') }"
            " s.end() })"
        },
        steps=[(b"{}", RESPONSE, b"".join(bytes([97 + i]) * 100_000 for i in range(20)))] * 2,
    ),
    "stream ended after the handler": dict(
        files={
            "index.js": JS + "awslambda.streamifyResponse(async (e, s) => {"
            " setTimeout(() => s.end('late'), 50) })"
        },
        steps=[(b"{}", RESPONSE, b"late")],
    ),
    "stream of values": dict(
        files={
            "index.js": JS + "awslambda.streamifyResponse(async (e, s) => {"
            " s.write({ a: 1 }); s.write([2]); s.write('x'); s.end() })"
        },
        steps=[(b"{}", RESPONSE, b'{"a":1}[2]x')],
    ),
    "content type too late": dict(
        files={
            "index.js": JS + "awslambda.streamifyResponse(async (e, s) => {"
            " s.write('a'); s.setContentType('b/c') })"
        },
        steps=[(b"{}", ERROR, error("Runtime.InvalidStreamingOperation", "too late"))],
    ),
    "high water mark": dict(
        files={
            "index.js": JS + "awslambda.streamifyResponse(async (e, s) => {"
            " s.end(String(s.writableHighWaterMark)) }, { highWaterMark: 7 })"
        },
        steps=[(b"{}", RESPONSE, b"7")],
    ),
    "handler that streams and is not async": dict(
        files={"index.js": JS + "awslambda.streamifyResponse((e, s) => { s.write('a') })"},
        steps=[(b"{}", ERROR, lambda shape: "non-async" in shape["errorMessage"])],
    ),
    "stream destroyed": dict(
        files={
            "index.js": JS + "awslambda.streamifyResponse(async (e, s) => {"
            " s.write('a'); s.destroy(e.why && new RangeError(e.why)) })"
        },
        steps=[
            (b"{}", ERROR, error("Error", "Response stream is not finished.")),
            (b'{"why":"gone"}', ERROR, error("RangeError", "gone")),
        ],
    ),
    "streams wait for the event loop unless told otherwise": dict(
        files={
            "index.js": JS + "awslambda.streamifyResponse(async (e, s, c) => {"
            " c.callbackWaitsForEmptyEventLoop = e.wait;"
            " setTimeout(() => console.log('later'), 100);"
            " s.end(String(e.wait)) })"
        },
        steps=[
            (b'{"wait":true}', RESPONSE, b"true"),
            (b'{"wait":false}', RESPONSE, b"false"),
        ],
        log_count=1,
    ),
    "streams of earlier calls are nobody's": dict(
        files={
            "index.js": "let old;\n" + JS + "awslambda.streamifyResponse(async (e, s) => {"
            " if (e.first) { old = s; s.write('a'); throw new Error('e') }"
            " old.write('x'); s.end('b') })"
        },
        steps=[(b'{"first":1}', ERROR, error("Error", "e")), (b"{}", RESPONSE, b"b")],
    ),
    # ---- logs
    "text log": ok(
        "async () => { console.log('a %s', 'b'); console.warn('two\\nlines');"
        " console.debug({ a: 1 });"
        " console.error(new Error('e').message) }",
        None,
        logs=[
            r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\treq-1\tINFO\ta b\n$",
            r"\tWARN\ttwo\nlines\n$",
            r"\tDEBUG\t\{ a: 1 \}\n$",
            r"\tERROR\te\n$",
        ],
        frames=[0xA55A000F, 0xA55A0013, 0xA55A000B, 0xA55A0017],
    ),
    "log while loading": dict(
        files={"index.js": "console.log('early');\n" + JS + "async () => 1"},
        steps=[(b"{}", RESPONSE, 1)],
        logs=[r"\tundefined\tINFO\tearly\n$"],
    ),
    "log level": ok(
        "async () => { console.info('no'); console.warn('yes'); console.fatal('f') }",
        None,
        env={"AWS_LAMBDA_LOG_LEVEL": "WARN"},
        logs=[r"\tWARN\tyes\n$", r"\tFATAL\tf\n$"],
        log_count=2,
    ),
    "json log": ok(
        "async () => { console.log({ a: 1 }); console.log('x', 1);"
        " console.error(new TypeError('t'))}",
        None,
        env={"AWS_LAMBDA_LOG_FORMAT": "JSON"},
        json_logs=[
            dict(level="INFO", requestId="req-1", message={"a": 1}),
            dict(level="INFO", requestId="req-1", message="x 1"),
            lambda r: r["message"]["errorType"] == "TypeError"
            and r["level"] == "ERROR"
            and r["message"]["errorMessage"] == "t"
            and len(r["message"]["stackTrace"]) > 1,
        ],
        frames=[0xA55A000E, 0xA55A000E, 0xA55A0016],
    ),
    "raw output": ok(
        "async () => { process.stdout.write('raw'); process.stderr.write('err') }",
        None,
        output="rawerr",
    ),
    "log without frames": ok(
        "async () => { console.log('one\\ntwo') }",
        None,
        framed=False,
        output_match=r"\treq-1\tINFO\tone\rtwo\n$",
    ),
    # The listing itself takes the first free number: 3 when neither 3 nor 4 was inherited.
    "children inherit no channel": ok(
        "async () => require('child_process').execSync('ls /proc/self/fd')"
        ".toString().split('\\n').includes('4')",
        False,
    ),
    # ---- sizes
    "large event and answer": ok(
        "async (e) => e.s + e.s", "x" * 4_000_000, b'{"s":"' + b"x" * 2_000_000 + b'"}'
    ),
}
