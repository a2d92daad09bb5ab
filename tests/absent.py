"""Packages that are installed, as if they were not."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Collection, Iterator

import pytest

from escalometer.runtime import extras

#: Packages of all extras, and what they bring that the core could be tempted to import.
OUTSIDE = (
    *(package for packages in extras.PACKAGES.values() for package in packages),
    *("scipy", "seaborn", "statsmodels", "relplot", "tokenizers", "httpx", "pydantic_settings"),
)

_START = """
import sys
from importlib.machinery import PathFinder

class Rest(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.partition(".")[0] not in {packages!r}:
            return super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Rest
"""
_COMMANDS = "from escalometer.__main__ import main\nmain()"
_SCRIPT = """
import runpy
sys.argv = sys.argv[1:]
sys.path.insert(0, "")
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@contextlib.contextmanager
def absent(*packages: str) -> Iterator[None]:
    """Let neither `import` nor `find_spec` find these packages, in this process."""
    with pytest.MonkeyPatch.context() as patch:
        for package in packages:
            patch.setitem(sys.modules, package, None)
        yield


def command_without(packages: Collection[str], script: str = "") -> list[str]:
    """Return what starts the command line, or a script, in a process without these packages."""
    code = _START.format(packages=sorted(packages)) + (_SCRIPT if script else _COMMANDS)
    return [sys.executable, "-c", code, *([script] if script else [])]
