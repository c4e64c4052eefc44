"""Warm calls over connections, size of the event, and number of functions: one line of JSON per
point, and pictures in build/bench/."""
import json
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import harness  # noqa: E402
import load  # noqa: E402
import picture  # noqa: E402

CONNECTIONS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
SIZES = (100, 1_000, 10_000, 100_000, 1_000_000)
FUNCTIONS = (1, 3, 10, 30, 100)
MANY = 1_000  # with --full: far more than there is memory for environments
SHOWN = (("cpu_us", "processor time per call, us"), ("p50_us", "median latency, us"))


def point(curve, name, x, result):
    row = {"bench": "warm-curve", "curve": curve, "contender": name, "x": x,
           **{key: round(value, 1) for key, value in result.items()}}
    print(json.dumps(row), flush=True)
    return row


def draw(curve, x_label, rows):
    folder = harness.ROOT / "build/bench"
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for key, y_label in SHOWN:
        series = {}
        for row in rows:
            series.setdefault(row["contender"], []).append((row["x"], max(row[key], 0.1)))
        path = folder / f"warm-{curve}-{key.removesuffix('_us')}.svg"
        path.write_text(picture.curve(f"Warm calls: {curve}", x_label, y_label, series),
                        encoding="utf-8")
        written.append(str(path.relative_to(harness.ROOT)))
    return written


def over_connections(contenders, folder, seconds):
    script = load.write_script(folder, "small", load.body_of(0))
    rows = []
    for count in CONNECTIONS:
        for name, (url, pid) in contenders.items():
            load.one_round(url, pid, count, 1, script)
            rows.append(point("connections", name, count,
                              load.quiet_round(url, pid, count, seconds, script)))
    return draw("connections", "connections", rows)


def over_sizes(contenders, folder, seconds):
    rows = []
    for size in SIZES:
        script = load.write_script(folder, f"size-{size}", load.body_of(size))
        for name, (url, pid) in contenders.items():
            load.one_round(url, pid, 4, 1, script)
            rows.append(point("sizes", name, size,
                              load.quiet_round(url, pid, 4, seconds, script)))
    return draw("sizes", "bytes of the event", rows)


def over_functions(server, make, folder, seconds, full):
    """Requests go round the functions. Beyond what the machine has room for, environments end and
    start again: the curve shows where."""
    rows, made = [], 0
    for count in FUNCTIONS + ((MANY,) if full else ()):
        while made < count:
            make(f"many-{made}")
            made += 1
        paths = [f"{harness.API}/many-{i}/invocations" for i in range(count)]
        script = load.write_script(folder, f"functions-{count}", load.body_of(0), paths)
        load.one_round(server.url, server.pid, 4, 1 + count // 10, script)
        rows.append(point("functions", "python", count,
                          load.one_round(server.url, server.pid, 4, seconds, script)))
    return draw("functions", "functions called in turn", rows)


def measure(server, contenders, make, seconds, full):
    with tempfile.TemporaryDirectory(prefix="mayfly-bench-") as folder:
        return (over_connections(contenders, folder, seconds) +
                over_sizes(contenders, folder, seconds) +
                over_functions(server, make, folder, seconds, full))
