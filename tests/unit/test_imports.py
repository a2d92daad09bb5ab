"""Imports of commands and stages that ask no model: each of these takes a second or more."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from escalometer.schema import CONDITIONS, DECISIONS, RECORDED, write_table
from tests.conftest import ROOT
from tests.unit.report_pages import CONDITION, PROVENANCE, SUITE, dialogue

#: Packages of other stages, and pandas, which Arrow imports for conversions that are not needed.
HEAVY = (
    *("dvc", "great_expectations", "mlflow", "pandas", "prefect", "scipy", "torch", "transformers"),
)

_LOAD = """
from pathlib import Path
from escalometer.config import load_params
params = load_params().model_copy(update={"models": ("m",), "domains": ("movielens",)})
"""
_SOURCES = _LOAD + "from escalometer.operations import recorded_sources\n"
_STAGES = _LOAD + "from escalometer.stages import analyze, report\n"

#: What Python runs in a project, and the modules that it must not import.
CASES: dict[str, tuple[str, tuple[str, ...]]] = {
    "--help": (
        "import sys\nsys.argv = ['escalometer', '--help']\n"
        "from escalometer.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n",
        (*HEAVY, "numpy", "pyarrow", "duckdb", "matplotlib"),
    ),
    "profile of a source": (
        _SOURCES + "recorded_sources.profile('m', 'theirs', params)",
        (*HEAVY, "jinja2"),
    ),
    "gate on a source": (
        _LOAD + "from escalometer.operations import gate\ngate.run('m', params, source='theirs')",
        tuple(package for package in HEAVY if package != "pandas"),  # Arrow imports that
    ),
    "report of a source": (_SOURCES + "recorded_sources.report('theirs', params)", HEAVY),
    "stage analyze": (_STAGES + "analyze.run('m', params)", (*HEAVY, "jinja2")),
    "stage report": (_STAGES + "analyze.run('m', params); report.run(params)", HEAVY),
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with decisions of one model, also as a source, and what the report reads."""
    root = tmp_path_factory.mktemp("project")
    shutil.copy(ROOT / "params.yaml", root)
    shutil.copytree(ROOT / "sql", root / "sql")
    rows = [
        dialogue(
            model="m",
            scenario_id=f"s{i}",
            label=int(i % 4 == 1),
            prediction=i % 2,
            escalate=int(i % 3 == 0),
        )
        for i in range(24)
    ]
    data = root / "data"
    write_table(rows, DECISIONS, data / "decisions" / "m" / "movielens.parquet")
    recorded = [{name: row.get(name) for name in RECORDED.names} for row in rows]
    write_table(recorded, RECORDED, data / "recorded" / "theirs" / "decisions.parquet")
    write_table([CONDITION], CONDITIONS, data / "scenarios" / "movielens" / "conditions.parquet")
    about = {
        "source": "theirs",
        "file": "d.csv",
        "sha256": "0",
        "imported": "today",
        "n_rows": 24,
        "models": {"m": 24},
        "domains": {"movielens": 24},
        "unknown_columns": [],
        "warnings": [],
        "model_warnings": {},
        "n_expectations": 1,
    }
    documents = {
        "recorded/theirs/about.json": about,
        "raw/movielens/provenance.json": PROVENANCE,
        **{
            f"validation/{stage}.json": {"validated": stage, "tables": [SUITE]}
            for stage in ("raw", "scenarios", "decisions")
        },
    }
    for name, document in documents.items():
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_text(json.dumps(document), encoding="utf-8")
    return root


@pytest.mark.parametrize("name", CASES)
def test_nothing_heavy_is_imported(name: str, project: Path) -> None:
    code, forbidden = CASES[name]
    code += f"\nimport sys\nprint('imported:', [m for m in {forbidden!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().endswith("imported: []"), done.stdout[-500:]
