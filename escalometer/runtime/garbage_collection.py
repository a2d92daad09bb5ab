"""Garbage collection, where it looks at much and finds nothing."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Leave garbage alone: rows in hundreds of thousands, in no cycle, are looked at in vain.

    At 100,000 requests that takes a third of the time. It is on afterwards if it was before.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
