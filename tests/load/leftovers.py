"""What a server may leave behind: processes, descriptors, mounts, control groups, memory."""
import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench"))
import harness  # noqa: E402

# Caches of the allocator and of SQLite may grow up to their bound; a leak goes on growing.
# The launcher keeps a user namespace for each jail there has been at one time.
SLACK = {"megabytes of the server": 40, "megabytes of the launcher": 4,
         "mounts of the launcher": 0, "processes": 2, "descriptors of the launcher": 64,
         "control groups": 24, "descriptors of the server": 12}


def launcher_of(server):
    for pid in harness.process_tree(server.pid):
        try:
            if pathlib.Path(f"/proc/{pid}/comm").read_text().strip().startswith("mayfly-launch"):
                return pid
        except OSError:
            continue
    sys.exit("the launcher is not found")


def settled(read, wanted, seconds=20):
    """The value when it has come down to `wanted`, else the last one."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        value = read()
        if value <= wanted:
            return value
        time.sleep(0.2)
    return read()


def readings(server, launcher):
    def descriptors(pid):
        return lambda: len(os.listdir(f"/proc/{pid}/fd"))

    def memory(pid):
        def read():
            for line in open(f"/proc/{pid}/smaps_rollup", encoding="utf-8"):
                if line.startswith("Pss:"):
                    return int(line.split()[1]) // 1024
            return 0
        return read

    def groups():
        name = f"mayfly-{launcher}."
        return sum(name in path and path.count("/") > 0 for path, _, _ in os.walk("/sys/fs/cgroup"))

    return {
        "processes": lambda: len(harness.process_tree(server.pid)) - 1,
        "descriptors of the server": descriptors(server.pid),
        "descriptors of the launcher": descriptors(launcher),
        "mounts of the launcher": lambda: len(open(f"/proc/{launcher}/mounts").readlines()),
        "control groups": groups,
        "environments": lambda: int(server.metric("mayfly_environments")),
        "megabytes of the server": memory(server.pid),
        "megabytes of the launcher": memory(launcher),
    }


def left_over(before, read, slack=None, seconds=20):
    """Prints each reading; answers how many have not come down again."""
    failed = 0
    for name, take in read.items():
        most = before[name] + (slack or SLACK).get(name, 0)
        after = settled(take, most, seconds)
        failed += after > most
        print(f"{'ok  ' if after <= most else 'LEFT'} {name}: {before[name]} before, {after} after")
    return failed
