"""Is forking this process safe? What a fork would lose (threads, timers) or share between all its
children (open files, sockets, shared memory) must not be there."""

import os
import stat
import threading

import _signal


def _threads():
    try:
        tasks = os.listdir("/proc/self/task")
    except OSError:
        tasks = threading.enumerate()
    if len(tasks) <= 1:
        return ""
    return "%d threads run: %s" % (len(tasks), ", ".join(_thread_names(tasks)[:4]))


def _thread_names(tasks):
    known = {getattr(t, "native_id", None): t.name for t in threading.enumerate()}
    names = []
    for task in sorted(tasks, key=str):
        if str(task) == str(os.getpid()):
            continue
        name = known.get(int(task)) if str(task).isdigit() else None
        if name is None:
            try:
                with open("/proc/self/task/%s/comm" % task) as file:
                    name = file.read().strip()
            except OSError:
                name = str(task)
        names.append(name)
    return names


def _children():
    try:
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return ""
    if found is None:
        return "a child process runs"
    return "child process %d was not waited for" % found.si_pid


def _timers():
    for which, name in (
        (_signal.ITIMER_REAL, "alarm"),
        (_signal.ITIMER_VIRTUAL, "virtual"),
        (_signal.ITIMER_PROF, "profiling"),
    ):
        if _signal.getitimer(which)[0] > 0:
            return "a timer is pending: %s" % name
    try:
        with open("/proc/self/timers") as file:
            return "a timer is pending" if file.read(1) else ""
    except OSError:
        return ""  # kernels without checkpoint support do not tell


def descriptors():
    try:
        listed = [int(name) for name in os.listdir("/proc/self/fd")]
    except OSError:
        listed = range(min(os.sysconf("SC_OPEN_MAX"), 65536))
    return [descriptor for descriptor in sorted(listed) if _is_open(descriptor)]


def _is_open(descriptor):
    try:
        os.fstat(descriptor)
    except OSError:
        return False  # that of the listing itself
    return True


def target_of(descriptor):
    try:
        return os.readlink("/proc/self/fd/%d" % descriptor)
    except OSError:
        return "?"


def flags_of(descriptor):
    """The flags it was opened with; `import fcntl` could find a module of the function."""
    with open("/proc/self/fdinfo/%d" % descriptor) as file:
        for line in file:
            if line.startswith("flags:"):
                return int(line.split()[1], 8)
    raise OSError("no flags")


def _open_descriptors(keeps):
    for descriptor in descriptors():
        if descriptor in keeps:
            continue
        status = os.fstat(descriptor)
        try:
            mode = flags_of(descriptor) & os.O_ACCMODE
        except OSError:
            mode = None  # taken for writable
        target = target_of(descriptor)
        if stat.S_ISSOCK(status.st_mode):
            return "a socket is open (descriptor %d)" % descriptor
        if stat.S_ISFIFO(status.st_mode):
            return "a pipe is open (descriptor %d)" % descriptor
        if stat.S_ISCHR(status.st_mode):
            continue  # /dev/null, /dev/urandom: no place in it to share
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
            return "%s is open (descriptor %d)" % (target, descriptor)
        if mode != os.O_RDONLY:
            return "a file is open for writing: %s" % target
        if target == "/tmp" or target.startswith("/tmp/"):
            return "a file below /tmp is open: %s" % target
        if not _reopens(target, status):
            return "an open file cannot be opened again: %s" % target
    return ""


def _reopens(target, status):
    try:
        now = os.stat(target)
    except OSError:
        return False
    return (now.st_dev, now.st_ino) == (status.st_dev, status.st_ino) and os.access(target, os.R_OK)


def _shared_memory():
    try:
        with open("/proc/self/maps") as file:
            for line in file:
                parts = line.split(None, 5)
                if parts[1][1] == "w" and parts[1][3] == "s":
                    return "memory is shared: %s" % (parts[5].strip() if len(parts) > 5 else "")
    except OSError:
        pass
    return ""


def why_not(keeps):
    """Empty when this process may be forked; `keeps` are the descriptors it began with."""
    for check in (_threads, _children, _timers, lambda: _open_descriptors(keeps), _shared_memory):
        reason = check()
        if reason:
            return reason
    return ""
