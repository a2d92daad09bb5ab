"""Imports of the benchmarks, which no other test runs, exist."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from pathlib import Path

import pytest

from tests.conftest import ROOT


def missing_imports(source: str) -> list[str]:
    """Return the names that a program imports from the package and that do not exist."""
    missing: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith(
            "escalometer"
        ):
            continue
        module = importlib.import_module(node.module)
        submodules = {found.name for found in pkgutil.iter_modules(getattr(module, "__path__", []))}
        missing += [
            f"{node.module}.{alias.name}"
            for alias in node.names
            if not hasattr(module, alias.name) and alias.name not in submodules
        ]
    return missing


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda p: p.stem)
def test_imports_of_a_benchmark_exist(path: Path) -> None:
    assert missing_imports(path.read_text("utf-8")) == []


def test_a_removed_name_is_reported() -> None:
    gone = "def run():\n    from escalometer.analysis.profile import assemble, build_profile\n"
    assert missing_imports(gone) == ["escalometer.analysis.profile.assemble"]
