"""What a forked child must not have in common with its template and its siblings: random states,
identifiers, file positions, credentials, what was remembered of the host."""

import gc
import logging
import os
import stat
import sys
import threading
import time

import mayfly_quiet as quiet

_PROCESSOR_MB = 1769  # a function has one processor per so much memory
_BLAS_VARIABLES = ("OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "OMP_NUM_THREADS")
# What `import random` and `import ctypes` would load: not touched when the function has a module of
# one of these names.
_RANDOM_LOADS = {"random", "warnings", "math", "operator", "itertools", "bisect", "hashlib"}
_RANDOM_LOADS |= {"_collections_abc", "collections", "statistics", "numbers", "fractions"}


def _module_names(folders):
    """Top-level modules that lie in these folders, as far as their entries tell."""
    names = set()
    for folder in folders:
        try:
            entries = os.listdir(folder)
        except OSError:
            continue
        names.update(entry.split(".", 1)[0] for entry in entries)
    return names


def _users_folders():
    """sys.path up to the standard library: the function, its layers, PYTHONPATH."""
    library = os.path.dirname(os.__file__)
    out = []
    for folder in sys.path:
        if folder == library or folder.endswith(".zip"):
            break
        out.append(folder)
    return out


class _Part:
    """One kind of what each child renews: prepare() finds it in the template."""

    def __init__(self):
        self._renewed = []

    def is_needed(self):
        return bool(self._renewed)


class _Chance(_Part):
    """Which random.Random objects were seeded by chance: these need a new seed in every child,
    while those that the function seeded itself go on as they are. The methods stay replaced: to
    put the others back would cost each child more than calling them does."""

    def __init__(self):
        import random
        import weakref

        chance = self._objects = weakref.WeakSet()
        plain_seed, plain_setstate = random.Random.seed, random.Random.setstate

        def seed(self, a=None, version=2):
            plain_seed(self, a, version)
            (chance.discard if a is not None else chance.add)(self)

        def setstate(self, state):
            plain_setstate(self, state)
            chance.discard(self)

        random.Random.seed, random.Random.setstate = seed, setstate
        random.seed, random.setstate = random._inst.seed, random._inst.setstate
        chance.add(random._inst)
        _Part.__init__(self)
        self._module, self._kept = random._inst, None
        self._plain_seed = plain_seed

    def prepare(self):
        # The module itself reseeds its own one at a fork, whoever seeded it.
        if self._module not in self._objects:
            self._kept = self._module.getstate()
        self._renewed = [one for one in self._objects if one is not self._module]

    def is_needed(self):
        return self._kept is not None or bool(self._renewed)

    def rehearse(self):
        if self._kept is None:
            self._plain_seed(self._module)  # as the module itself does at a fork

    def renew(self):
        for generator in self._renewed:
            generator.seed()
        if self._kept is not None:
            self._module.setstate(self._kept)


def _blas_libraries():
    """The OpenBLAS libraries that are loaded: numpy and scipy bring one each."""
    found = set()
    try:
        with open("/proc/self/maps") as file:
            for line in file:
                path = line.split(None, 5)[5:]
                if path and "openblas" in os.path.basename(path[0]):
                    found.add(path[0].strip())
    except OSError:
        pass
    return sorted(found)


class _Blas(_Part):
    """OpenBLAS starts its threads as it is loaded, and a template must have one. So it is told to
    use one for the time of the init, and then to use as many as it would have had, but to end them:
    with the first work for several it starts them again. A child whose OpenBLAS cannot end them
    gives it its threads itself, and shares a processor with them from the beginning: idle ones
    spin."""

    def __init__(self):
        _Part.__init__(self)
        self._ours = not any(name in os.environ for name in _BLAS_VARIABLES)
        if self._ours:
            # Below os.environ: the function's code does not see it.
            os.putenv(_BLAS_VARIABLES[0], "1")

    def prepare(self):
        if not self._ours:
            return
        if _BLAS_VARIABLES[0] not in os.environ:
            os.unsetenv(_BLAS_VARIABLES[0])  # what is loaded later may have its threads
        for path in _blas_libraries():
            import ctypes

            library = ctypes.CDLL(path)
            for name in ("openblas%s64_", "openblas%s", "scipy_openblas%s64_", "scipy_openblas%s"):
                grow = getattr(library, name % "_set_num_threads", None)
                count = getattr(library, name % "_get_num_procs", None)
                if grow is not None and count is not None:
                    self._prepare(grow, count(), getattr(library, "blas_thread_shutdown_", None))
                    break

    def _prepare(self, grow, processors, end_threads):
        # More than the function's share of processors would slow it down.
        memory = os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "")
        share = -(-int(memory) // _PROCESSOR_MB) if memory.isdigit() else 1
        threads = min(processors, len(os.sched_getaffinity(0)), share)
        if threads > 1 and end_threads is None:
            self._renewed.append((grow, threads))
        elif threads > 1:
            grow(threads)
            end_threads()
            for _ in range(100):
                if len(os.listdir("/proc/self/task")) == 1:
                    break
                time.sleep(0.001)  # the kernel takes a moment to forget them

    def renew(self):
        for grow, threads in self._renewed:
            grow(threads)


class _Numpy(_Part):
    """numpy's generators: one that the function seeded goes on as it is."""

    @staticmethod
    def _by_chance(bits):
        sequence = getattr(bits, "_seed_seq", None)
        entropy = getattr(sequence, "entropy", None)
        # A seed of one's own is a small number; the system's entropy has 128 bits.
        return isinstance(entropy, int) and entropy.bit_length() > 96

    def prepare(self, objects):
        module = sys.modules.get("numpy.random")
        base = getattr(module, "BitGenerator", None)
        if base is None:
            return
        found = {id(o): o for o in objects if isinstance(o, base)}
        legacy = module.mtrand._rand._bit_generator
        found[id(legacy)] = legacy
        self._renewed = [bits for bits in found.values() if self._by_chance(bits)]
        self.renew()  # the first time loads what the next ones only use

    def renew(self):
        for bits in self._renewed:
            fresh = type(bits)()
            bits.state = fresh.state


class _Credentials(_Part):
    """Clients of botocore hold the keys that stood in the environment when they were made: they get
    those of the child. Keys from elsewhere are left alone."""

    _VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    _FIELDS = ("access_key", "secret_key", "token")

    def prepare(self, objects):
        module = sys.modules.get("botocore.credentials")
        base = getattr(module, "Credentials", None)
        if base is None:
            return
        ours = os.environ.get(self._VARIABLES[0])
        self._renewed = [
            o for o in objects if isinstance(o, base) and ours and o.access_key == ours
        ]

    def renew(self):
        if self._VARIABLES[0] not in os.environ:
            return
        values = [os.environ.get(name) for name in self._VARIABLES]
        for held in self._renewed:
            for field, value in zip(self._FIELDS, values):
                setattr(held, field, value)


class _Loops(_Part):
    """Event loops of asyncio that the init made and that wait for nothing: each child gives them an
    epoll and a pair of sockets of its own, under the same numbers."""

    def __init__(self):
        _Part.__init__(self)
        self.descriptors = set()

    def prepare(self, objects):
        module = sys.modules.get("asyncio.selector_events")
        base = getattr(module, "BaseSelectorEventLoop", None)
        if base is None:
            return
        for loop in objects:
            if isinstance(loop, base) and not loop.is_closed() and self._is_idle(loop):
                self._renewed.append(loop)
                self.descriptors.update(
                    (loop._selector.fileno(), loop._ssock.fileno(), loop._csock.fileno())
                )

    @staticmethod
    def _is_idle(loop):
        try:
            waits = loop._ready or loop._scheduled or len(loop._selector.get_map()) != 1
            return not waits and not loop.is_running() and loop._selector._selector is not None
        except AttributeError:
            return False  # of another make

    def renew(self):
        import select
        import socket

        for loop in self._renewed:
            selector, ours = loop._selector._selector, loop._ssock.fileno()
            fresh = select.epoll()
            os.dup2(fresh.fileno(), selector.fileno(), False)
            fresh.close()
            for old, new in zip((loop._ssock, loop._csock), socket.socketpair()):
                new.setblocking(False)
                os.dup2(new.fileno(), old.fileno(), False)
                new.close()
            selector.register(ours, select.EPOLLIN)


class _Files(_Part):
    """Files open for reading: a fork shares the position in them, so each child opens its own."""

    def prepare(self, keeps):
        for descriptor in quiet.descriptors():
            if descriptor in keeps:
                continue
            mode = os.fstat(descriptor).st_mode
            if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
                flags, target = quiet.flags_of(descriptor), quiet.target_of(descriptor)
                place = os.lseek(descriptor, 0, os.SEEK_CUR)
                self._renewed.append((descriptor, target, flags, place))

    def renew(self):
        for descriptor, target, flags, place in self._renewed:
            inherited = os.get_inheritable(descriptor)
            fresh = os.open(target, flags & ~os.O_CREAT & ~os.O_TRUNC)
            os.lseek(fresh, place, os.SEEK_SET)
            os.dup2(fresh, descriptor, inherited)
            os.close(fresh)


def _refresh_always():
    """What the standard library keeps of the process, and cannot know to be another one's."""
    main = threading.main_thread()
    if hasattr(main, "_set_native_id"):
        main._set_native_id()
    if hasattr(logging, "_startTime"):
        logging._startTime = time.time_ns() if sys.version_info >= (3, 13) else time.time()
    process = sys.modules.get("multiprocessing.process")
    if process is not None:
        process.current_process().authkey = os.urandom(32)


def _forget():
    """Values that the standard library remembered of the template, which no child shall have."""
    modules = sys.modules
    tempfile = modules.get("tempfile")
    if tempfile is not None:
        tempfile._name_sequence = None  # it would notice another pid, but a child may have the same
    uuid = modules.get("uuid")
    if uuid is not None:
        uuid._node = None
        for name in ("_last_timestamp", "_last_timestamp_v6", "_last_timestamp_v7"):
            if hasattr(uuid, name):
                setattr(uuid, name, None)
        # The C library goes on with the clock sequence that it drew before the fork.
        if hasattr(uuid, "_generate_time_safe"):
            uuid._generate_time_safe = None
    platform = modules.get("platform")
    if hasattr(platform, "_uname_cache"):
        platform._uname_cache = None
        getattr(platform, "_platform_cache", {}).clear()


class _Loaded:
    """What a generic template loads beforehand, and whether that is what its child would load."""

    _LIBRARY = (
        "base64 collections.abc concurrent.futures copy csv dataclasses datetime decimal "
        "email.utils enum functools gzip hashlib hmac http.client io itertools math "
        "operator os.path pathlib queue random re secrets shutil socket ssl string "
        "subprocess tempfile threading traceback typing urllib.parse urllib.request uuid "
        "xml.etree.ElementTree zlib"
    ).split()
    _SDK = ("boto3", "boto3.session", "botocore.client", "botocore.session")

    def __init__(self):
        import importlib

        self._ordinary = {name.partition(".")[0] for name in sys.modules}
        for name in self._LIBRARY + list(self._SDK):
            try:
                importlib.import_module(name)
            except Exception:  # pylint: disable=broad-except
                pass  # not every machine has the SDK, or one for this interpreter
        library = os.path.dirname(os.__file__)
        self._library, self._sdk = set(), set()
        for name, module in list(sys.modules.items()):
            top = name.partition(".")[0]
            if top in self._ordinary:
                continue
            origin = getattr(module, "__file__", None)
            sdk = origin and "site-packages" in origin and not origin.startswith(library)
            (self._sdk if sdk else self._library).add(top)
        self._library -= self._sdk

    def conflicts(self):
        """True when the function has a module of its own in place of one that is loaded, other than
        of the SDK: that is loaded anew from where the function has it."""
        first = os.environ.get("PYTHONPATH", "")
        if first and _module_names(first.split(os.pathsep)) & (self._ordinary | self._library):
            return True
        names = _module_names(_users_folders())
        if names & self._library:
            return True
        if names & self._sdk:
            for name in list(sys.modules):
                if name.partition(".")[0] in self._sdk:
                    del sys.modules[name]
        return False


class Renewal:
    """Made before the function's code runs; prepare() in the template, renew() in each child."""

    def __init__(self, kind):
        self._needed, self._loaded, self._chance = [], None, None
        self._held, self._files, self._loops = [_Numpy(), _Credentials()], _Files(), _Loops()
        if kind == "generic":
            self._loaded = _Loaded()
            return
        self._blas = _Blas()
        if not _RANDOM_LOADS & _module_names(_users_folders()):
            self._chance = _Chance()

    def spared(self):
        """Descriptors of the function that are made anew in each child."""
        if not self._loaded:
            self._loops.prepare(gc.get_objects())
        return self._loops.descriptors

    def prepare(self, keeps):
        _forget()
        if self._loaded:
            return
        objects = gc.get_objects()
        for part in self._held:
            part.prepare(objects)
        self._files.prepare(keeps)
        parts = [self._files, self._loops, self._blas] + [self._chance] * bool(self._chance)
        for part in parts[2:]:
            part.prepare()
        self._needed = [part for part in parts + self._held if part.is_needed()]

    def conflicts(self):
        return self._loaded.conflicts()

    def renew(self):
        for part in self._needed:
            part.renew()
        _refresh_always()

    def rehearse(self, rounds):
        """In the template: what nearly every child does."""
        for _ in range(rounds):
            _refresh_always()
            if self._chance:
                self._chance.rehearse()
