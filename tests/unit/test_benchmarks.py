"""Benchmarks are run by hand, so a name that they import may vanish unnoticed: it is looked up."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from pathlib import Path

import pytest

from tests.conftest import ROOT


def missing_imports(source: str) -> list[str]:
    """The names that a program imports from the package, anywhere in it, and that are not there."""
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
def test_what_a_benchmark_imports_exists(path: Path) -> None:
    assert missing_imports(path.read_text("utf-8")) == []


def test_a_name_that_is_gone_is_found() -> None:
    gone = "def run():\n    from escalometer.analysis.profile import assemble, build_profile\n"
    assert missing_imports(gone) == ["escalometer.analysis.profile.assemble"]
