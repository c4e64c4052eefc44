"""Cases of python_fork_test.py about libraries: what a child makes anew of theirs."""

import os

from python_fork_cases import case, world_of
from run import expect


def _has(world, name):
    out = world.answer("start", {})
    return None if out else f"no {name} here"


BOTO = """try:
    import boto3
    client = boto3.client('s3', region_name='us-east-1')
    client.list_buckets  # the signer has resolved its credentials
    unused = boto3.Session(region_name='us-east-1')
    mine = boto3.client('s3', 'us-east-1', aws_access_key_id='OWN', aws_secret_access_key='s')
except ImportError:
    boto3 = None
def keys(of):
    found = of._request_signer._credentials
    return [found.access_key, found.secret_key, found.token]
def handler(e, c):
    if not boto3: return None
    return keys(client) + keys(unused.client('s3')) + keys(mine)[:1]
"""


@case
def credentials_of_the_sdk(start):
    old = {"AWS_ACCESS_KEY_ID": "OLD", "AWS_SECRET_ACCESS_KEY": "o", "AWS_SESSION_TOKEN": "t"}
    new = {"AWS_ACCESS_KEY_ID": "NEW", "AWS_SECRET_ACCESS_KEY": "n", "AWS_SESSION_TOKEN": "u"}
    world = world_of(start, BOTO, extra=old)
    if reason := _has(world, "boto3"):
        return reason
    for mode in ("start", "function", "generic"):
        got = world.answer(mode, {}, new)
        expect(got == ["NEW", "n", "u"] * 2 + ["OWN"], f"{mode}: {got}")


SEEDED = """import random
random.seed(3)
one, two, three = random.Random(), random.Random(4), random.Random(5)
two.seed(); three.setstate(random.Random(6).getstate())
def handler(event, context): return [r.random() for r in (one, two, random, three)]
"""


@case
def generators_that_the_init_seeded(start):
    world = world_of(start, SEEDED)
    answers = [world.answer(mode, {}) for mode in ("start", "function", "generic") * 2]
    for index, wanted in enumerate((6, 6, 1, 1)):
        expect(len({a[index] for a in answers}) == wanted, f"{index}: {answers}")


NUMPY = """try:
    import numpy
    generator, seeded = numpy.random.default_rng(), numpy.random.default_rng(5)
except ImportError:
    numpy = None
def handler(e, c):
    if not numpy: return None
    import os
    square = numpy.ones((700, 700))
    square @ square  # OpenBLAS starts its threads with the first work for several, if not before
    return [numpy.random.rand(), generator.random(), seeded.random(),
            len(os.listdir('/proc/self/task')), os.environ.get('OPENBLAS_NUM_THREADS')]
"""


@case
def generators_of_numpy(start):
    extra = {"PYTHONPATH": os.environ.get("MAYFLY_TEST_PACKAGES", "")}
    world = world_of(start, NUMPY, extra=extra)
    if reason := _has(world, "numpy"):
        return reason
    answers = [world.answer(mode, {}) for mode in ("start", "function", "generic") * 2]
    for index in (0, 1):
        expect(len({a[index] for a in answers}) == 6, f"repeated: {answers}")
    expect(len({a[2] for a in answers}) == 1, f"seeded ones differ: {answers}")
    expect({a[4] for a in answers} == {None}, f"{answers}")
    fixed = world_of(start, NUMPY.replace("    generator", "    numpy.random.seed(3); generator"),
                     extra=extra)
    answers = [fixed.answer(mode, {}) for mode in ("start", "function", "generic")]
    expect(len({a[0] for a in answers}) == 1, f"seeded ones differ: {answers}")
    big = world_of(start, NUMPY, extra=dict(extra, AWS_LAMBDA_FUNCTION_MEMORY_SIZE="10240"))
    threads = [big.answer(mode, {})[3] for mode in ("start", "function", "generic")]
    expect(len(set(threads)) == 1, f"threads {threads}")


REPLACED = """import os
calls, plain = [], os.write
def write(*given):
    calls.append(1)
    return plain(*given)
os.write = write
def handler(event, context): return len(calls)
"""


@case
def what_the_init_replaced_is_not_rehearsed(start):
    world = world_of(start, REPLACED)
    counts = {mode: world.answer(mode, {}) for mode in ("start", "function")}
    expect(counts["function"] <= counts["start"] + 1, f"{counts}")  # one says that it has parked


REHEARSED = """import os, subprocess, threading
at_init = [threading.current_thread()]
def handler(event, context):
    of_programs = subprocess.run(["env", "-0"], stdout=subprocess.PIPE).stdout
    names = {line.partition(b"=")[0].decode() for line in of_programs.split(b"\\0") if line}
    return [sorted(names - {"_"}) == sorted(os.environ), sorted(os.environ),
            threading.current_thread() is at_init[0], threading.enumerate() == [at_init[0]],
            [name for name in os.environ if "REHEARSAL" in name]]
"""


@case
def nothing_is_left_of_what_was_rehearsed(start):
    world = world_of(start, REHEARSED)
    seen = [world.answer(mode, {}) for mode in ("start", "function", "generic")]
    expect(seen[0][0] and seen[0] == seen[1] == seen[2], f"{seen}")


@case
def another_allocator(start):
    world = world_of(start, "def handler(e, c): return e\n", extra={"PYTHONMALLOC": "malloc"})
    answers = [world.answer(mode, {"a": [1]}) for mode in ("start", "function", "generic")]
    expect(answers == [{"a": [1]}] * 3, f"{answers}")
