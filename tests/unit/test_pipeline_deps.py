"""Each stage of dvc.yaml depends on the code it imports: what is not a dep goes stale unseen."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT

PACKAGE = ROOT / "escalometer"
#: What changes no output: how errors read, progress looks, settings are checked, runs end.
NEUTRAL = {
    "escalometer/__init__.py",
    "escalometer/errors.py",
    "escalometer/progress.py",
    "escalometer/config/__init__.py",
    "escalometer/config/_cards.py",
    "escalometer/config/_params.py",
    "escalometer/config/_reading.py",
    "escalometer/lifeline.py",
    "escalometer/memory.py",
}
STAGES = {
    "ingest": "ingest",
    "validate_raw": "validate",
    "validate_scenarios": "validate",
    "validate_decisions": "validate",
    "sample": "sample",
    "design": "design",
    "query": "query",
    "analyze": "analyze",
    "report": "report",
    "track": "track",
}


def imported(path: Path) -> set[Path]:
    """The package's files that `path` imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if (
            isinstance(node, ast.ImportFrom)
            and node.module
            and node.module.startswith("escalometer")
        ):
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name.startswith("escalometer")]
        else:
            continue
        for name in names:
            base = ROOT / name.replace(".", "/")
            found |= {p for p in (base.with_suffix(".py"), base / "__init__.py") if p.exists()}
    return found


def closure(path: Path) -> set[str]:
    """All the package's files that running `path` may execute, itself included."""
    seen, new = set(), {path}
    while new:
        seen |= new
        new = {dep for p in new for dep in imported(p)} - seen
    return {str(p.relative_to(ROOT)) for p in seen}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_what_it_imports(stage):
    definition = yaml.safe_load((ROOT / "dvc.yaml").read_text("utf-8"))["stages"]
    assert set(definition) == set(STAGES)
    deps = definition[stage]["deps"]
    missing = sorted(
        file
        for file in closure(PACKAGE / "stages" / f"{STAGES[stage]}.py") - NEUTRAL
        if not any(file == dep or file.startswith(f"{dep}/") for dep in deps)
    )
    assert missing == []


def test_every_dep_that_is_ours_exists():
    definition = yaml.safe_load((ROOT / "dvc.yaml").read_text("utf-8"))["stages"]
    for stage in definition.values():
        for dep in stage["deps"]:
            if not dep.startswith("data/") and "${" not in dep:
                assert (ROOT / dep).exists(), dep
