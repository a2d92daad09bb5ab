"""escalometer: where does a language model act, and where does it escalate to a person?

The functions of `escalometer.api` are here too: ``escalometer.profile("decisions.csv")``.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

#: Their types are in `__init__.pyi`: no stage depends on them, and a type checker sees them.
__all__ = [
    "ArrowTable",
    "Decisions",
    "__version__",
    "compare",
    "disagreements",
    "gate",
    "junit",
    "models",
    "optimal_threshold",
    "parameters",
    "power",
    "profile",
    "read",
    "report",
    "summary",
]


def __getattr__(name: str) -> Any:
    """Return a function of the Python interface, imported when it is first used."""
    if name.startswith("_") or name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("escalometer.api"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
