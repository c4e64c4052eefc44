"""Hooks of functions that are started from a snapshot: what to do before the snapshot is taken,
and in every environment made of it. Both register calls serve as decorators. A package of the same
name in the function comes first."""

_before = []
_after = []


def register_before_snapshot(func, *args, **kwargs):
    """Runs last registered first."""
    _before.append((func, args, kwargs))
    return func


def register_after_restore(func, *args, **kwargs):
    """Runs first registered first."""
    _after.append((func, args, kwargs))
    return func


def get_before_snapshot():
    return _before


def get_after_restore():
    return _after
