"""A module run as a process that ends with its parent: `python -m flows._child MODULE ARG…`."""

from __future__ import annotations

import runpy
import sys

from escalometer.runtime.interruption import end_with_parent

if __name__ == "__main__":
    end_with_parent()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
