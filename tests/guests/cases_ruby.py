"""Ruby guest functions and what must come of them (contract: the public Ruby runtime interface
client). The form of a case is that of cases_node.py."""

from lean_driver import ERROR, RESPONSE


def error(kind, message=None):
    def check(shape):
        return (
            sorted(shape) == ["errorMessage", "errorType", "stackTrace"]
            and shape["errorType"] == kind
            and (message is None or message in shape["errorMessage"])
        )

    return check


def fn(body, expected, event=b"{}", before="", **more):
    text = before + "\ndef handler(event:, context:)\n  " + body + "\nend\n"
    return dict(files={"app.rb": text}, steps=[(event, RESPONSE, expected)], **more)


def bad(body, expected, event=b"{}", **more):
    case = fn(body, None, event, **more)
    case["steps"] = [(event, ERROR, expected)]
    return case


CASES = {
    "plain": fn("{ got: event['a'] }", {"got": 1}, b'{"a":1}'),
    "method of a class": dict(
        files={
            "src/app.rb": "module M\n class H\n  def self.run(event:, context:)\n   'in'\n  end\n"
            " end\nend"
        },
        handler="src/app.M::H.run",
        steps=[(b"{}", RESPONSE, "in")],
    ),
    "function's files are found": dict(
        files={"app.rb": "require 'lib/x'\ndef handler(event:, context:) = X", "lib/x.rb": "X = 3"},
        steps=[(b"{}", RESPONSE, 3)],
    ),
    "stringio": fn(
        "StringIO.new('raw')", b"raw", before="require 'stringio'", label="application/unknown"
    ),
    "unicode": fn("event", "\u00fc", '"\u00fc"'.encode()),
    "tenant": fn("[context.tenant_id]", ["blue 1"], tenant="blue 1"),
    "no tenant": fn("[context.tenant_id]", [None]),
    "context": fn(
        "[context.function_name, context.aws_request_id, context.memory_limit_in_mb,"
        " context.client_context, context.get_remaining_time_in_millis > 1000,"
        " ENV['_X_AMZN_TRACE_ID']]",
        ["f", "req-1", "128", {"custom": 1}, True, "Root=1"],
        client='{"custom":1}',
        trace="Root=1",
    ),
    "events one after the other": dict(
        files={
            "app.rb": "$n = 0\ndef handler(event:, context:) = [$n += 1, context.aws_request_id]"
        },
        steps=[(b"{}", RESPONSE, [1, "req-1"]), (b"{}", RESPONSE, [2, "req-2"])],
    ),
    "raises": bad(
        "raise ArgumentError, 'bad'",
        error("Function<ArgumentError>", "bad"),
        logs=[r"Error raised from handler method\n\{\n  \"errorMessage\": \"bad\""],
    ),
    "event that is no JSON": bad("1", error("Function<JSON::ParserError>"), b"{"),
    "missing file": dict(files={"x.rb": ""}, init=error("Init<LoadError>", "app"), exit=1),
    "syntax error": dict(files={"app.rb": "def ("}, init=error("Init<SyntaxError>"), exit=1),
    "raises while loading": dict(
        files={"app.rb": "raise KeyError, 'early'"}, init=error("Init<KeyError>", "early"), exit=1
    ),
    "bad handler": dict(
        files={"app.rb": ""}, handler="app", init=error("Init<ArgumentError>"), exit=1
    ),
    "exit in the handler": dict(
        files={"app.rb": "def handler(event:, context:) = exit(4)"},
        steps=[(b"{}", None, None)],
        exit=4,
    ),
    "logger": fn(
        'Logger.new($stdout).info("two\\nlines"); nil',
        None,
        before="require 'logger'",
        logs=[r"^I, \[\d{4}-.*\]  INFO req-1 -- : two\nlines\n$"],
    ),
    "puts is one record": fn(
        "puts \"a\\nb\"; $stdout.print 'raw'; nil",
        None,
        logs=["^a\nb\n$"],
        log_count=1,
        output="raw",
    ),
    # The listing itself takes the first free number: 3 when neither 3 nor 4 was inherited.
    "children inherit no channel": fn("`ls /proc/self/fd`.split.include?('4')", False),
    "large event and answer": fn(
        "event['s'] + event['s']", "x" * 4_000_000, b'{"s":"' + b"x" * 2_000_000 + b'"}'
    ),
}
