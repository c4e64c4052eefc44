"""What a function registered with snapshot_restore_py, run around its snapshot: before a template
parks and in each of its children. With SnapStart and no template, in one environment after the
other at its start, where the host cannot see how long the second half takes."""

import os
import sys

_RESTORE_SECONDS = 10


def _run(hooks):
    for func, args, kwargs in hooks:
        func(*args, **kwargs)


def before():
    module = sys.modules.get("snapshot_restore_py")
    if module is not None:
        _run(reversed(list(module.get_before_snapshot())))


def after():
    module = sys.modules.get("snapshot_restore_py")
    if module is not None:
        _run(list(module.get_after_restore()))


def after_within_time(report):
    """`report` is called, in another thread, when they take too long; then the process ends."""
    module = sys.modules.get("snapshot_restore_py")
    if module is None or not module.get_after_restore():
        return
    import threading

    def too_long():
        report()
        os._exit(65)

    timer = threading.Timer(_RESTORE_SECONDS, too_long)
    timer.daemon = True
    timer.start()
    try:
        after()
    finally:
        timer.cancel()
