"""Packages that are installed, as if they were not."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

import pytest


@contextlib.contextmanager
def absent(*packages: str) -> Iterator[None]:
    """Let neither `import` nor `find_spec` find these packages, in this process."""
    with pytest.MonkeyPatch.context() as patch:
        for package in packages:
            patch.setitem(sys.modules, package, None)
        yield
