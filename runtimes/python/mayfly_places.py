"""Where a child's new objects will lie.

A heap that has grown has free places in every page, and what is put into one of them costs a child
its own copy of the page. So a template fills them before it parks, and its children begin pages of
their own, one after the other.
"""

import os
import sys

# The interpreter's small objects (Objects/obmalloc.c): pools of places of one size.
_POOL = 16384 if sys.version_info >= (3, 10) else 4096
_POOL_HEAD = 48
_BYTES_HEAD = 33
_BATCH = 32
_MAKERS = [(16, object), (32, complex)]
_MAKERS += [(size, lambda length=size - _BYTES_HEAD: bytes(length)) for size in range(48, 513, 16)]
# Larger ones are the C library's, which looks for the smallest place that is large enough.
_LARGE = (32768, 8192, 4096, 2048, 1024, 768, 640, 576, 544, 528)
_ROW = 3
_MOST = 8 * 1024 * 1024  # bytes, of a heap that is not as described


def _beginning(batch, size):
    """The index of the first of three that lie at the beginning of a pool, one after the other."""
    at = [id(one) for one in batch]  # these numbers take places themselves, until this returns
    for i in range(_BATCH - 2):
        if at[i] % _POOL == _POOL_HEAD and at[i + 1 : i + 3] == [at[i] + size, at[i] + 2 * size]:
            return i
    return None


def _fill_pools(kept, left):
    """Until a pool is begun: then no other has a place left."""
    for size, make in _MAKERS:
        first = None
        while first is None and left > 0:
            batch = [make() for _ in range(_BATCH)]
            first = _beginning(batch, size)
            kept += batch if first is None else batch[: first + 1]
            left -= _BATCH * max(size, 256)  # some 30 ms at most


def _fill_heap(kept, left):
    """Until some lie side by side: in one large place."""
    for size in _LARGE:
        row, before = 0, 0
        while row < _ROW and left > 0:
            kept.append(bytes(size - _BYTES_HEAD))
            row = row + 1 if 0 < id(kept[-1]) - before < size + 32 else 0
            before = id(kept[-1])
            left -= size


def fill(kept):
    """What takes the places is put into the list."""
    if not os.environ.get("PYTHONMALLOC") and not sys.flags.dev_mode:  # with another allocator
        _fill_pools(kept, _MOST)
        _fill_heap(kept, _MOST)
