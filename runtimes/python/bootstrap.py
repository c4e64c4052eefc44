"""Entry point of the Python runtime inside the jail.

Speaks the lean protocol (mayfly_channel.py) on descriptor 3. Semantics follow the public Python
runtime interface client. The interpreter is started with -S, so that the packages of the host stay
out; sys.path is laid out here: function, layers, standard library, SDK.

MAYFLY_TEMPLATE makes it a template of which environments are forked (mayfly_template.py): of kind
"function" with the handler loaded, or "generic", which loads it in each child.
"""

import os
import sys
import time


_HERE = os.path.dirname(os.path.abspath(__file__))
_SDK = [os.path.join(_HERE, "site-packages"), os.path.join(_HERE, "packages")]
_TEMPLATE = os.environ.pop("MAYFLY_TEMPLATE", "")  # not for the function


def _python_path():
    return [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p]


_LIBRARY = [p for p in sys.path if p and p != _HERE and p not in _python_path()]
# What the runtime itself needs is never a module of the function.
sys.path[:] = [_HERE] + _LIBRARY

import importlib  # noqa: E402
import json  # noqa: E402
import logging  # noqa: E402

import mayfly_log as log  # noqa: E402
import mayfly_context as contexts  # noqa: E402
from mayfly_channel import Channel, ERROR, INIT_ERROR, READY, RESPONSE  # noqa: E402

_SEVERAL = int(os.environ.get("AWS_LAMBDA_MAX_CONCURRENCY") or 0)
_SNAP_START = os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start"

if _TEMPLATE:
    import mayfly_rehearsal as rehearsal  # noqa: E402
    import mayfly_template  # noqa: E402
if _TEMPLATE or _SNAP_START:
    import mayfly_hooks as hooks  # noqa: E402


def _lay_out_path():
    task = os.environ.get("LAMBDA_TASK_ROOT") or os.getcwd()
    version = "python%d.%d" % sys.version_info[:2]
    layers = ["/opt/python/lib/%s/site-packages" % version, "/opt/python"]
    sys.path[:] = [task] + layers + _python_path() + _LIBRARY + _SDK


_STACKS_SIGNAL = 50
_TRACE = "_X_AMZN_TRACE_ID"


class Fault(Exception):
    """An error found by the runtime itself, with the type it is reported under."""

    def __init__(self, kind, message, trace=None):
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.trace = trace


def _load(handler):
    if "." not in handler:
        raise Fault(
            "Runtime.MalformedHandlerName",
            "Bad handler '%s': not enough values to unpack (expected 2, got 1)" % handler,
        )
    module_name, function_name = handler.rsplit(".", 1)
    if module_name.split(".")[0] in sys.builtin_module_names:
        raise Fault(
            "Runtime.BuiltInModuleConflict",
            "Cannot use built-in module %s as a handler module" % module_name,
        )
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        raise Fault(
            "Runtime.ImportModuleError",
            "Unable to import module '%s': %s" % (module_name, error),
        )
    except SyntaxError as error:
        raise Fault(
            "Runtime.UserCodeSyntaxError",
            "Syntax error in module '%s': %s" % (module_name, error),
            ['  File "%s" Line %s\n    %s' % (error.filename, error.lineno, error.text)],
        )
    try:
        return getattr(module, function_name)
    except AttributeError:
        raise Fault(
            "Runtime.HandlerNotFound",
            "Handler '%s' missing on module '%s'" % (function_name, module_name),
        )


def _shape(message, kind, trace, request_id=""):
    return {
        "errorMessage": message or "",
        "errorType": kind or "",
        "requestId": request_id,
        "stackTrace": trace or [],
    }


def _trace_of(error):
    """Stack lines of the function's own frames: those of this file are left out."""
    import traceback

    frames = traceback.extract_tb(error.__traceback__)
    first = next((i for i, f in enumerate(frames) if f.filename != __file__), 0)
    return traceback.format_list([(f.filename, f.lineno, f.name, f.line) for f in frames[first:]])


def _shape_of(error, request_id=""):
    if isinstance(error, Fault):
        return _shape(error.message, error.kind, error.trace, request_id)
    return _shape(str(error), type(error).__name__, _trace_of(error), request_id)


# The cloud's marshaller writes a Decimal with the digits it has, which the json module cannot do: a
# stand-in no function can guess is put there first.
_DECIMAL = "decimal-%s-" % os.urandom(12).hex()
_decimals = []


def _json_default(value):
    import decimal

    if not isinstance(value, decimal.Decimal):
        raise TypeError("Object of type %s is not JSON serializable" % type(value).__name__)
    if value.is_nan():
        return float("nan")
    _decimals.append(str(value))
    return "%s%d" % (_DECIMAL, len(_decimals) - 1)


def _encoder():
    # Up to python3.11 answers are ASCII with \u escapes.
    generation = os.environ.get("AWS_EXECUTION_ENV", "").rpartition("python3.")[2]
    ascii_only = generation.isdigit() and int(generation) < 12
    whole = json.JSONEncoder(ensure_ascii=ascii_only, default=_json_default)
    return _prepared(whole) or whole.encode


def _prepared(encoder):
    """What encoder.encode() makes anew for each value, made once; None for an interpreter whose
    json is made in another way."""
    try:
        from json import encoder as parts

        texts = parts.c_encode_basestring
        if encoder.ensure_ascii:
            texts = parts.c_encode_basestring_ascii
        marks = {}  # of what encloses the value under way
        chunks = parts.c_make_encoder(
            marks,
            encoder.default,
            texts,
            None,
            encoder.key_separator,
            encoder.item_separator,
            False,
            False,
            True,
        )

        def encode(value):
            try:
                return "".join(chunks(value, 0))
            finally:
                marks.clear()

        probe = {"a": [1, 2.5, None, "\u00e9", float("inf")], "b": {}}
        return encode if encode(probe) == encoder.encode(probe) else None
    except Exception:  # pylint: disable=broad-except
        return None


_encode = _encoder()


def _marshal(value):
    if isinstance(value, bytes):
        return value, "application/unknown"
    try:
        text = _encode(value)
        if _decimals:
            for index, digits in enumerate(_decimals):
                text = text.replace('"%s%d"' % (_DECIMAL, index), digits)
            _decimals.clear()
        return text.encode("utf-8"), ""
    except Exception as error:
        _decimals.clear()
        raise Fault("Runtime.MarshalError", "Unable to marshal response: %s" % error)


def _dumps(shape):
    return json.dumps(shape, ensure_ascii=False).encode("utf-8", "replace")


class _NoBuffer:
    """What print() writes is seen at once."""

    def __init__(self, stream):
        self.stream = stream

    def __getattr__(self, name):
        return getattr(self.stream, name)

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        return None

    def write(self, text):
        count = self.stream.write(text)
        self.stream.flush()
        return count

    def writelines(self, lines):
        self.stream.writelines(lines)
        self.stream.flush()


_scan = json.JSONDecoder().scan_once


def _unmarshal(payload):
    # JSON in UTF-8 without space around it, as nearly all is.
    try:
        text = payload.decode()
        value, end = _scan(text, 0)
        if end == len(text):
            return value
    except Exception:  # pylint: disable=broad-except
        pass  # said below
    try:
        return json.loads(payload)
    except Exception as error:
        raise Fault("Runtime.UnmarshalError", "Unable to unmarshal input: %s" % error)


class _Trace:
    """The variable _X_AMZN_TRACE_ID, which names the trace of the event under way.

    The C library never gives back a value that setenv(3) has set, so a function that is called
    often would grow by each of its trace headers. os.environ gets each header; what goes past it
    (the environment of a process that the function starts) gets those that somebody samples.
    """

    def __init__(self, environ):
        self._environ = environ
        self._values = getattr(environ, "_data", None)
        self._name = _TRACE.encode()
        self._set = True  # the process's own environment may hold it

    def set(self, trace):
        if self._values is None or self._set or "Sampled=1" in trace:
            self._set = "Sampled=1" in trace
            if trace:
                self._environ[_TRACE] = trace
            else:
                self._environ.pop(_TRACE, None)
        elif trace:
            self._values[self._name] = trace.encode("utf-8", "surrogateescape")
        else:
            self._values.pop(self._name, None)


def _serve(channel, handler, sink):
    contexts.read_variables()
    set_trace = _Trace(os.environ).set
    while True:
        deadline, (request_id, arn, trace, client, identity, tenant), payload = channel.receive()
        log.set_request(request_id, tenant)
        set_trace(trace)
        try:
            context = contexts.make(
                request_id, client, identity, deadline, arn, tenant, Fault
            )
            body, content_type = _marshal(handler(_unmarshal(payload), context))
        except Exception as error:  # pylint: disable=broad-except
            shape = _shape_of(error, request_id)
            sink.error(shape)
            channel.send(ERROR, shape["errorType"], _dumps(shape))
            continue
        channel.send(RESPONSE, content_type, body)


def _rehearse():
    """Events of the runtime's own before any of the function's: mayfly_rehearsal.py."""
    before = os.environ.get(_TRACE)
    rehearsal.events(lambda channel, handler: _serve(channel, handler, None))
    log.set_request("", None)
    if before is None:
        del os.environ[_TRACE]
    else:
        os.environ[_TRACE] = before


def _report(channel, sink, error, code):
    """An init that failed: ends the process."""
    shape = _shape_of(error)
    sink.error(shape)
    channel.send(INIT_ERROR, shape["errorType"], _dumps(shape))
    sys.exit(code)


def _hooks(channel, sink, run, kind, code):
    """What the function registered to be run before a snapshot or after it."""
    try:
        run()
    except Exception as error:  # pylint: disable=broad-except
        _report(channel, sink, Fault(kind, str(error), _trace_of(error)), code)


def _too_long(channel):
    message = "The hooks after the restore took longer than 10 seconds"
    kind = "Runtime.AfterRestoreTimeout"
    channel.send(INIT_ERROR, kind, _dumps(_shape(message, kind, [])))


def _enter_child():
    """A child of a generic template gets the environment and the modules of its function."""
    global _encode
    _lay_out_path()
    _encode = _encoder()


def _work(channel, guard=None):
    """What one of several processes does."""
    sink = log.setup(guard)
    try:
        handler = _load(os.environ.get("_HANDLER", ""))
    except Exception as error:  # pylint: disable=broad-except
        _report(channel, sink, error, 1)
    channel.send(READY)
    _serve(channel, handler, sink)


def _tell_stacks():
    """At this signal (src/sandbox/evidence.h) the stacks of all threads go to standard error, by a
    handler in C: in a busy loop, too."""
    try:
        import faulthandler

        faulthandler.register(_STACKS_SIGNAL, file=2, all_threads=True)
    except (ImportError, AttributeError, OSError, ValueError, RuntimeError):
        pass  # an interpreter without it: what is seen from outside must do


def main():
    # What `site` would have defined for everyday scripts.
    import _sitebuiltins
    import builtins

    builtins.exit = _sitebuiltins.Quitter("exit", "Ctrl-D (i.e. EOF)")
    builtins.quit = _sitebuiltins.Quitter("quit", "Ctrl-D (i.e. EOF)")
    _tell_stacks()
    sys.stdout = _NoBuffer(sys.stdout)
    sys.stderr = _NoBuffer(sys.stderr)
    if _SEVERAL:
        import mayfly_workers

        _lay_out_path()
        workers = mayfly_workers.Workers(_SEVERAL, Channel, (READY, INIT_ERROR, ERROR))
        workers.run(lambda channel: _work(channel, workers.logging))
    channel = Channel(3)
    # A child keeps the template object: freeing it would write to memory that it shares.
    template = None
    if _TEMPLATE == "generic":
        sys.path[:] = _LIBRARY + _SDK
        template = mayfly_template.Template(_TEMPLATE, channel)
        template.park(_rehearse, _enter_child)
    else:
        _lay_out_path()
        if _TEMPLATE:
            template = mayfly_template.Template(_TEMPLATE, channel)
    sink = log.setup()
    restored = None
    try:
        handler = _load(os.environ.get("_HANDLER", ""))
    except Exception as error:  # pylint: disable=broad-except
        _report(channel, sink, error, 1)
    if _TEMPLATE == "function":
        _hooks(channel, sink, hooks.before, "Runtime.BeforeSnapshotError", 64)
        template.park(_rehearse)
        _hooks(channel, sink, hooks.after, "Runtime.AfterRestoreError", 65)
    elif os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start":
        _hooks(channel, sink, hooks.before, "Runtime.BeforeSnapshotError", 64)
        restore = lambda: hooks.after_within_time(lambda: _too_long(channel))  # noqa: E731
        begun = time.monotonic()
        _hooks(channel, sink, restore, "Runtime.AfterRestoreError", 65)
        restored = time.monotonic() - begun
    channel.ready(restored)
    _serve(channel, handler, sink)


if __name__ == "__main__":
    main()
