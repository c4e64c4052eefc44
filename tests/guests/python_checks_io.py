"""More of python_checks.py: network, library, what is printed and logged, identifiers, ends."""

import atexit
import multiprocessing
import os
import sys
import tempfile
import threading
import uuid

from python_checks import check, distinct, ends, own_random, seeded_random



uuid.uuid1()  # draws the clock sequence that later ones go on with


def atexit_of_the_init():
    print("atexit of the init")


# ---- network


def _serve_once(answer):
    import http.server

    class Answers(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(201)
            self.end_headers()
            self.wfile.write(answer + body)

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.handle_request, daemon=True).start()
    return server


@check([201, "got body"])
def http_client_and_server():
    import http.client

    server = _serve_once(b"got ")
    client = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    client.request("POST", "/", b"body")
    answer = client.getresponse()
    out = [answer.status, answer.read().decode()]
    server.server_close()
    return out


@check("got x")
def url_open():
    import urllib.request

    server = _serve_once(b"got ")
    url = "http://127.0.0.1:%d/" % server.server_port
    with urllib.request.urlopen(url, data=b"x", timeout=10) as answer:
        return answer.read().decode()


@check([b"ping".hex(), "refused"])
def sockets():
    import socket

    server = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(server.getsockname(), timeout=5)
    peer, _ = server.accept()
    client.sendall(b"ping")
    got = peer.recv(10)
    address = server.getsockname()
    for one in (server, client, peer):
        one.close()
    try:
        socket.create_connection(address, timeout=5)
    except ConnectionRefusedError:
        return [got.hex(), "refused"]


@check("127.0.0.1")
def names_of_hosts():
    import socket

    return socket.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)[0][4][0]


@check([True, True])
def tls_contexts():
    import ssl

    context = ssl.create_default_context()
    return [context.check_hostname, len(ssl.RAND_bytes(16)) == 16]


@check(b"through".hex())
def event_loop_streams():
    import asyncio

    async def main():
        async def echo(reader, writer):
            writer.write(await reader.readexactly(7))
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()[:2]
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(b"through")
        got = await reader.read()
        writer.close()
        server.close()
        return got.hex()

    return asyncio.run(main())


# ---- the library


@check(["written", True, True])
def temporary_files():
    with tempfile.NamedTemporaryFile("w+", suffix=".t") as file:
        file.write("written")
        file.seek(0)
        name, text = file.name, file.read()
        there = os.path.exists(name)
    return [text, there, not os.path.exists(name)]


@check([0.32383276483316237, 42])
def seeded_generator_goes_on():
    return [seeded_random.random(), 42]


@check([0.6394267984578837, 65])
def seed_given_by_the_handler():
    import random

    random.seed(42)
    return [random.random(), random.Random(5).randrange(128)]


@check("ba78b155af9c778d4d2e10c96c6fc41e35a0f42a78a28570d8307e84cb4250ce")
def digests():
    import hashlib

    return hashlib.sha256(b"mayfly").hexdigest()


@check([1, 2])
def database():
    import sqlite3

    with sqlite3.connect(":memory:") as base:
        base.execute("create table t(a, b)")
        base.execute("insert into t values (1, 2)")
        return list(base.execute("select * from t").fetchone())


@check(["c", 3.0, "2020-01-02T03:04:05"])
def everyday_library():
    import collections
    import datetime
    import math

    day = datetime.datetime(2020, 1, 2, 3, 4, 5)
    return [collections.Counter("abcc").most_common(1)[0][0], math.sqrt(9), day.isoformat()]


@check(["abc" * 1000, True])
def compression():
    import zlib

    text = ("abc" * 1000).encode()
    packed = zlib.compress(text)
    return [zlib.decompress(packed).decode(), len(packed) < 100]


@check(["late", True])
def module_loaded_late():
    import late_module

    return [late_module.VALUE, "late_module" in sys.modules]


@check("No module named 'nowhere'")
def module_that_is_not_there():
    try:
        import nowhere  # noqa: F401
    except ImportError as error:
        return str(error)


@check()
def names_of_modules_of_the_runtime():
    for name in ("mayfly_template", "mayfly_log", "bootstrap"):
        try:
            __import__(name)
        except ImportError:
            continue
        return "found %s" % name if name == "bootstrap" else None


@check(["warned"])
def warnings_once():
    import warnings

    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("default")
        warnings.warn("warned")
    return [str(w.message) for w in seen]


@check([True, True])
def context_variables():
    import contextvars

    variable = contextvars.ContextVar("v", default=1)
    token = variable.set(2)
    out = variable.get() == 2
    variable.reset(token)
    return [out, variable.get() == 1]


# ---- what is printed and logged


@check(None)
def prints():
    print("to output")
    print("to error", file=sys.stderr)
    sys.stdout.write("in parts ")
    sys.stdout.buffer.write(b"as bytes\n")
    sys.stdout.buffer.flush()
    os.system("echo from a child")


@check(None)
def logs():
    import logging

    logging.warning("two\nlines")
    logging.getLogger("named").error("with %s", "arguments")
    logging.getLogger().setLevel("DEBUG")
    logging.debug("fine")
    try:
        1 / 0
    except ZeroDivisionError:
        logging.exception("failed")


@check()
def state_of_logging():
    import logging

    root = logging.getLogger()
    return [logging.getLevelName(root.level), [type(h).__name__ for h in root.handlers],
            len(root.filters)]


@check([True])
def time_since_the_start():
    import logging

    return [0 <= logging.makeLogRecord({}).relativeCreated < 60000]


# ---- errors


@check()
def raises():
    raise ValueError("bad")


@check()
def raises_with_a_cause():
    try:
        {}["missing"]
    except KeyError as error:
        raise RuntimeError("outer") from error


@check()
def answer_that_is_no_json():
    return object()


@check()
def error_of_a_thread():
    thread = threading.Thread(target=lambda: 1 / 0, name="worker")
    thread.start()
    thread.join()
    return "goes on"


# ---- what must differ between any two environments


@distinct
def random_of_the_module():
    import random

    return random.random()


@distinct
def random_object_of_the_init():
    return own_random.random()


@distinct
def system_random():
    import random

    return random.SystemRandom().random()


@distinct
def uuid_by_time():
    return str(uuid.uuid1())


@distinct
def uuid_by_chance():
    return str(uuid.uuid4())


@distinct
def secret_token():
    import secrets

    return secrets.token_hex(16)


@distinct
def temporary_name():
    return os.path.basename(tempfile.mktemp())


@distinct
def key_between_processes():
    return multiprocessing.current_process().authkey.hex()


@distinct
def tls_random():
    import ssl

    return ssl.RAND_bytes(16).hex()


# ---- ends: exit code and output


@ends(3, "atexit of the init\n")
def exit_by_exception():
    sys.exit(3)


@ends(1, "a reason\natexit of the init\n")
def exit_with_a_text():
    sys.exit("a reason")


@ends(4, "")
def exit_at_once():
    os._exit(4)


@ends(5, "atexit of the init\n")
def exit_of_the_console():
    exit(5)


@ends(0, "atexit of the handler\natexit of the init\n")
def exit_runs_what_was_registered():
    atexit.register(print, "atexit of the handler")
    sys.exit()


@ends(0, "unflushed")
def exit_flushes():
    sys.__stdout__.write("unflushed")
    atexit.unregister(atexit_of_the_init)
    sys.exit(0)


@ends(-15)
def end_by_termination():
    import signal

    os.kill(os.getpid(), signal.SIGTERM)


@ends(-9)
def end_by_killing():
    os.kill(os.getpid(), 9)


@ends(-6)
def end_by_abort():
    os.abort()


@ends(6, "handler of SIGUSR1\n")
def end_in_a_signal_handler():
    import signal

    def leave(*_):
        print("handler of SIGUSR1")
        os._exit(6)

    signal.signal(signal.SIGUSR1, leave)
    os.kill(os.getpid(), signal.SIGUSR1)


@ends(-13, "")
def end_by_a_broken_pipe():
    import signal

    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    reader, writer = os.pipe()
    os.close(reader)
    os.write(writer, b"x")


@ends(7)
def exit_with_a_daemon_thread():
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    sys.exit(7)


@ends(8, "the thread ended\n")
def exit_waits_for_a_thread():
    import time

    def work():
        time.sleep(0.05)
        print("the thread ended")

    threading.Thread(target=work).start()
    atexit.unregister(atexit_of_the_init)
    sys.exit(8)
