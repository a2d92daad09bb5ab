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
    "escalometer/config/__init__.py",
    "escalometer/config/_cards.py",
    "escalometer/config/_params.py",
    "escalometer/config/_reading.py",
    "escalometer/config/_section.py",
    "escalometer/config/_store.py",
    "escalometer/errors.py",
    "escalometer/layout.py",
    "escalometer/resources.py",
    "escalometer/runtime",
}
#: Defaults of a training make no difference where nothing is trained.
RECIPES = {"escalometer/config/_training.py"}
#: Examples of adapters are validated by the same stage as other tables, which they do not concern.
EXAMPLES = {"escalometer/dialogue", "escalometer/stats", "escalometer/training"}
#: What makes no difference to single stages. How a training is recorded makes none to what is
#: learned, and it takes too long to do it again for that.
NEUTRAL_TO = {
    "validate_raw": RECIPES | EXAMPLES,
    "validate_scenarios": RECIPES | EXAMPLES,
    "validate_decisions": RECIPES | EXAMPLES,
    "targets": set(),
    "validate_targets": set(),
    "train": {"escalometer/tracking"},
    "probe": set(),
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
    "targets": "targets",
    "validate_targets": "validate",
    "train": "train",
    "seal": "seal",
    "probe": "probe",
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


def definitions() -> dict[str, dict[str, list[str]]]:
    """The definition of each stage in dvc.yaml, those for each adapter included."""
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text("utf-8"))["stages"]
    return {name: stage.get("do", stage) for name, stage in stages.items()}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_what_it_imports(stage):
    definition = definitions()
    assert set(definition) == set(STAGES)
    covered = [*definition[stage]["deps"], *NEUTRAL, *NEUTRAL_TO.get(stage, RECIPES)]
    missing = sorted(
        file
        for file in closure(PACKAGE / "stages" / f"{STAGES[stage]}.py")
        if not any(file == dep or file.startswith(f"{dep}/") for dep in covered)
    )
    assert missing == []


def test_every_dep_that_is_ours_exists():
    for stage in definitions().values():
        for dep in stage["deps"]:
            if not dep.startswith(("data/", "models/adapters/")) and "${" not in dep:
                assert (ROOT / dep).exists(), dep
