"""logging → log records, framed so that a message of several lines stays one record.

offset size  (big-endian)
0      4     0xA55A0003 text or 0xA55A0002 JSON, with the level's bits set in the last byte
4      4     length of the message
8      8     microseconds since the epoch
16     …     message, UTF-8
"""

import json
import logging
import os
import struct
import sys
import time

_FRAME = struct.Struct(">IIQ")
_TEXT = 0xA55A0003
_JSON = 0xA55A0002
_BITS = {0: 0, 10: 0x08, 20: 0x0C, 30: 0x10, 40: 0x14, 50: 0x18}
_INDENT = "\u00a0"

_request_id = ""
_tenant_id = None


def set_request(request_id, tenant_id):
    global _request_id, _tenant_id
    _request_id = request_id
    _tenant_id = tenant_id


def _level_bits(levelno):
    return _BITS[min(50, max(0, levelno)) // 10 * 10]


class Sink:
    """Owns the descriptor for frames; without one, records go to standard output."""

    def __init__(self, descriptor, as_json, guard=None):
        self._descriptor = descriptor
        self._json = as_json
        self._guard = guard  # where several processes write: records are written one by one

    def log(self, message, kind=_TEXT):
        if self._descriptor is None:
            sys.stdout.write(message)
            return
        data = message.encode("utf-8", "replace")
        data = _FRAME.pack(kind, len(data), time.time_ns() // 1000) + data
        if self._guard is None:
            self._write(data)
            return
        with self._guard:
            self._write(data)

    def _write(self, data):
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._descriptor, view) :]
            except (BrokenPipeError, OSError):
                return  # nobody keeps logs any more

    def error(self, shape):
        bits = _level_bits(logging.ERROR)
        if self._json:
            stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            record = {"timestamp": stamp, "level": "ERROR"}
            record.update(shape)
            if _tenant_id is not None:
                record["tenantId"] = _tenant_id
            self.log(json.dumps(record, ensure_ascii=False) + "\n", _JSON | bits)
            return
        head = "[ERROR]"
        if shape["errorType"]:
            head += " " + shape["errorType"]
        if shape["errorMessage"]:
            head += (": " if shape["errorType"] else " ") + shape["errorMessage"]
        lines = [head, "Traceback (most recent call last):"]
        for element in shape["stackTrace"]:
            for line in element.splitlines() or [""]:
                text = line.lstrip(" ")
                lines.append(_INDENT * (len(line) - len(text)) + text)
        if self._descriptor is None:
            self.log("\r".join(lines) + "\n")
        else:
            self.log("\n".join(lines), _TEXT | bits)


class _Handler(logging.Handler):
    def __init__(self, sink, leveled):
        logging.Handler.__init__(self)
        self.log_sink = sink
        self._leveled = leveled

    def emit(self, record):
        try:
            text = self.format(record)
        except Exception:  # pylint: disable=broad-except
            self.handleError(record)
            return
        kind = getattr(record, "_frame_kind", _TEXT)
        # Plain text without a level asked for: the cloud's runtime tells no level either.
        self.log_sink.log(text, kind | _level_bits(record.levelno) if self._leveled else kind)


class _AddRequest(logging.Filter):
    def filter(self, record):
        record.aws_request_id = _request_id
        return True


# Members that logging itself puts on a record; everything else came from `extra`.
_OWN = set(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "aws_request_id",
    "_frame_kind",
    "taskName",
}


class _JsonFormatter(logging.Formatter):
    def format(self, record):
        record._frame_kind = _JSON
        out = {
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": logging.getLevelName(min(50, max(0, record.levelno)) // 10 * 10),
            "message": record.getMessage(),
            "logger": record.name,
        }
        if record.exc_info and record.exc_info[0]:
            import traceback

            out["stackTrace"] = traceback.format_tb(record.exc_info[2])
            out["errorType"] = record.exc_info[0].__name__
            out["errorMessage"] = str(record.exc_info[1])
            out["location"] = "%s:%s:%s" % (record.pathname, record.funcName, record.lineno)
        out["requestId"] = record.aws_request_id
        if _tenant_id is not None:
            out["tenantId"] = _tenant_id
        for key, value in vars(record).items():
            if key not in _OWN and key not in out:
                out[key] = value
        return json.dumps(out, ensure_ascii=False, default=str) + "\n"


def setup(guard=None):
    as_json = os.environ.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON"
    level = os.environ.get("AWS_LAMBDA_LOG_LEVEL", "").upper()
    level = "DEBUG" if level == "TRACE" else level
    descriptor = os.environ.pop("_LAMBDA_TELEMETRY_LOG_FD", None)
    if descriptor:
        os.set_inheritable(int(descriptor), False)  # not for what the function starts
    sink = Sink(int(descriptor) if descriptor else None, as_json, guard)
    logging.Formatter.converter = time.gmtime
    handler = _Handler(sink, as_json or level != "")
    if as_json:
        handler.setFormatter(_JsonFormatter())
    else:
        handler.setFormatter(
            logging.Formatter(
                "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s\n",
                "%Y-%m-%dT%H:%M:%S",
            )
        )
    handler.addFilter(_AddRequest())
    root = logging.getLogger()
    if level in ("DEBUG", "INFO", "WARN", "WARNING", "ERROR", "FATAL", "CRITICAL"):
        root.setLevel(level)
    root.addHandler(handler)
    return sink
