"""The function of python_fork_test.py: each check looks at one behaviour of a process and tells
what it saw. Started or forked, the same must come of it; most have an expected value.

It runs inside the guest, so it imports nothing of the tests."""

import os
import random
import sys
import threading

CHECKS, DISTINCT, ENDS = {}, {}, {}
NONE_EXPECTED = object()

own_random = random.Random()
seeded_random = random.Random(7)
BORN = {"pid": os.getpid(), "cwd": os.getcwd(), "path": list(sys.path), "argv": list(sys.argv)}
opened = open(os.path.abspath(__file__), "rb", 0)  # without a buffer: what is read moves the place
opened.read(10)
lock = threading.Lock()
local = threading.local()
local.value = "init"


def check(expected=NONE_EXPECTED):
    def add(function):
        CHECKS[function.__name__] = (function, expected)
        return function

    return add


def distinct(function):
    DISTINCT[function.__name__] = function
    return function


def ends(code, output=None):
    def add(function):
        ENDS[function.__name__] = (function, code, output)
        return function

    return add


# ---- the process


@check(1)
def threads_of_the_process():
    return len(os.listdir("/proc/self/task"))


@check([True, True, True])
def standard_descriptors():
    return [os.get_inheritable(fd) for fd in range(3)]


@check([False, False])
def runtime_descriptors_are_not_inherited():
    return [os.get_inheritable(fd) for fd in (3, 4)]


# The listing itself takes 3.
@check(["0", "1", "2", "3"])
def descriptors_of_children():
    listed = os.popen("ls /proc/self/fd").read().split()
    return [fd for fd in listed if int(fd) < 6]


@check([])
def no_other_descriptors():
    open_ones = []
    for fd in range(5, 32):
        try:
            target = os.readlink("/proc/self/fd/%d" % fd)
        except OSError:
            continue
        if not target.startswith(("/proc", "pipe:", "/dev")) and not target.endswith(".py"):
            open_ones.append(target)
    return open_ones


@check()
def working_directory():
    return [os.getcwd() == BORN["cwd"], os.getcwd() == os.environ["LAMBDA_TASK_ROOT"]]


@check()
def environment():
    return {key: value for key, value in sorted(os.environ.items()) if key != "MODE"}


@check()
def environment_of_children():
    out = os.popen("env").read().split("\n")
    return sorted(line for line in out if not line.startswith(("_=", "MODE=", "PWD=", "SHLVL=")))


@check()
def search_path():
    return [sys.path == BORN["path"], sys.path]


@check()
def arguments_and_flags():
    return [sys.argv, list(sys.flags), sys.executable, sys.dont_write_bytecode]


@check()
def encodings():
    return [sys.getfilesystemencoding(), sys.stdout.encoding, sys.getdefaultencoding(),
            sys.stdout.errors, sys.stdin.encoding]


@check()
def locale_settings():
    import locale

    return [locale.setlocale(locale.LC_ALL), locale.getpreferredencoding(False)]


@check()
def limits():
    import resource

    return [resource.getrlimit(n) for n in (resource.RLIMIT_NOFILE, resource.RLIMIT_STACK)]


@check()
def mask_of_new_files():
    now = os.umask(0o22)
    os.umask(now)
    return now


@check("")
def standard_input_is_empty():
    return sys.stdin.read()


@check("__main__")
def main_module():
    return sys.modules["__main__"].__name__


@check(["<module>", "main", "_serve", "handler", "stack_of_the_handler"])
def stack_of_the_handler():
    names, frame = [], sys._getframe()
    while frame:
        names.append(frame.f_code.co_name)
        frame = frame.f_back
    return names[::-1]


@check()
def depth_of_recursion():
    def down(n):
        try:
            return down(n + 1)
        except RecursionError:
            return n

    return [down(0), sys.getrecursionlimit()]


@check("caught")
def error_of_recursion():
    def down():
        return down()

    try:
        down()
    except RecursionError:
        return "caught"


@check([True, "ok"])
def deep_stack_in_a_thread():
    threading.stack_size(64 << 20)
    sys.setrecursionlimit(20000)
    out = []

    def down(n):
        return n and down(n - 1)

    thread = threading.Thread(target=lambda: (down(8000), out.append("ok")))
    thread.start()
    thread.join()
    return [not thread.is_alive()] + out


# ---- memory


@check([True, 0])
def collector_runs():
    import gc
    import weakref

    class Knot:
        pass

    knot = Knot()
    knot.self = knot
    gone = weakref.ref(knot)
    del knot
    gc.collect()
    return [gone() is None, len(gc.garbage)]


@check()
def collector_settings():
    import gc

    return [gc.isenabled(), gc.get_threshold(), gc.get_debug()]


@check(1600000)
def collector_under_load():
    total = 0
    for _ in range(20):
        knots = []
        for n in range(4000):
            knot = {"n": [n] * 20}
            knot["self"] = knot
            knots.append(knot)
        total += sum(len(k["n"]) for k in knots)
    return total


@check([314572800, 255])
def large_memory():
    block = bytearray(300 << 20)
    for place in range(0, len(block), 4096):
        block[place] = 255
    return [len(block), block[-4096]]


@check(True)
def memory_map():
    import mmap

    with mmap.mmap(-1, 1 << 20) as area:
        area[:4] = b"abcd"
        return area[:4] == b"abcd"


@check([0, True, "rb"])
def file_opened_in_the_init():
    opened.seek(0)
    with open(os.path.abspath(__file__), "rb") as again:
        same = opened.read() == again.read()
    return [os.lseek(opened.fileno(), 0, os.SEEK_SET), same, opened.mode]


@check("ction of python_fo")
def place_in_a_file():
    return opened.read(18).decode()


@check("ction of python_fo")
def place_in_a_file_after_another_child():
    return opened.read(18).decode()


# ---- threads and processes


@check([["main", True], 10])
def threads():
    out = []
    pool = [threading.Thread(target=out.append, args=(n,)) for n in range(10)]
    for thread in pool:
        thread.start()
    for thread in pool:
        thread.join()
    main = threading.main_thread()
    return [[threading.current_thread() is main and "main", main.is_alive()], len(out)]


@check([True, True, "MainThread", 1])
def state_of_threading():
    main = threading.main_thread()
    return [main.ident == threading.get_ident(), main.native_id == threading.get_native_id(),
            main.name, threading.active_count()]


@check([True, "init"])
def locks_and_locals():
    return [lock.acquire(timeout=1) and (lock.release() or True), local.value]


@check(285)
def thread_pool():
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as pool:
        return sum(pool.map(lambda n: n * n, range(10)))


@check([0, "out", 3])
def subprocesses():
    import subprocess

    done = subprocess.run(["sh", "-c", "printf out"], capture_output=True, text=True)
    return [done.returncode, done.stdout, subprocess.call(["sh", "-c", "exit 3"])]


@check([[7, True], "no child"])
def plain_fork():
    pid = os.fork()
    if pid == 0:
        os._exit(7)
    done, status = os.waitpid(pid, 0)
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return [[status >> 8, done == pid], "no child"]


def _square(connection, n):
    connection.send(n * n)
    connection.close()


def _multiprocess(method):
    import multiprocessing

    context = multiprocessing.get_context(method)
    ours, theirs = context.Pipe()
    process = context.Process(target=_square, args=(theirs, 9))
    process.start()
    out = ours.recv()
    process.join()
    return [out, process.exitcode]


@check([81, 0])
def multiprocessing_by_fork():
    return _multiprocess("fork")


@check([81, 0])
def multiprocessing_by_spawn():
    return _multiprocess("spawn")


@check([5, "shared"])
def shared_memory_made_by_the_handler():
    import multiprocessing

    value = multiprocessing.Value("i", 2)
    context = multiprocessing.get_context("fork")

    def add():
        with value.get_lock():
            value.value += 3

    process = context.Process(target=add)
    process.start()
    process.join()
    return [value.value, "shared"]


# ---- signals and time


@check([["alarm"], True])
def alarms():
    import signal
    import time

    seen = []
    before = signal.signal(signal.SIGALRM, lambda *_: seen.append("alarm"))
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    time.sleep(0.05)
    signal.signal(signal.SIGALRM, before)
    return [seen, before == signal.SIG_DFL]


@check()
def signal_handlers():
    import signal

    out = []
    for number in range(1, 32):
        handler = signal.getsignal(number)
        out.append(getattr(handler, "__name__", str(handler)))
    return [out, sorted(signal.pthread_sigmask(signal.SIG_BLOCK, []))]


@check("KeyboardInterrupt")
def interrupt():
    import signal
    import time

    try:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(1)
    except KeyboardInterrupt:
        return "KeyboardInterrupt"


@check([True, True, True])
def clocks():
    import time

    first = [time.time(), time.monotonic(), time.process_time()]
    sum(range(200000))
    return [now > then for now, then in zip(
        [time.time(), time.monotonic(), time.process_time()], first)]


@check()
def time_zone():
    import time

    return [time.tzname, time.timezone, os.environ.get("TZ"), time.localtime(0).tm_hour]


@check([[0, 1, 2], "late", "timeout", 5])
def event_loop():
    import asyncio

    async def main():
        async def slow(n):
            await asyncio.sleep(0.001 * n)
            return n

        got = await asyncio.gather(*(slow(n) for n in range(3)))
        loop = asyncio.get_running_loop()
        late = loop.create_future()
        loop.call_later(0.001, late.set_result, "late")
        try:
            await asyncio.wait_for(asyncio.Event().wait(), 0.01)
        except asyncio.TimeoutError:
            timeout = "timeout"
        in_thread = await loop.run_in_executor(None, lambda: 5)
        return [list(got), await late, timeout, in_thread]

    return asyncio.run(main())


@check([0, "from a child\n"])
def event_loop_with_a_process():
    import asyncio

    async def main():
        process = await asyncio.create_subprocess_exec(
            "echo", "from a child", stdout=asyncio.subprocess.PIPE)
        out, _ = await process.communicate()
        return [process.returncode, out.decode()]

    return asyncio.run(main())
