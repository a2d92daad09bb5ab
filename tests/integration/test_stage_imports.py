"""Imports of the stages before a profile: what one stage needs, no other pays for."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests import command_line
from tests.integration._remote import KEY, ask_remote
from tests.integration._server import running

pytestmark = pytest.mark.timeout(300)

LIBRARIES = (
    "dvc",
    "great_expectations",
    "matplotlib",
    "mlflow",
    "prefect",
    "torch",
    "transformers",
)
#: Stages in their order, with what each of them may import of these.
STAGES = (
    ("ingest", ("hmda_mortgages",), ()),
    ("validate", ("raw",), ()),
    ("sample", ("hmda_mortgages",), ()),
    ("validate", ("scenarios",), ()),
    ("design", ("remote",), ()),
    ("query", ("remote",), ()),
    ("validate", ("decisions",), ()),
    ("analyze", ("remote",), ("matplotlib",)),
    ("report", (), ("matplotlib",)),
    ("track", ("remote",), ("matplotlib", "mlflow")),
)

CODE = """
import sys
from escalometer.cli import cli
cli.main({arguments!r}, standalone_mode=False)
print([name for name in {libraries!r} if name in sys.modules])
"""


@pytest.fixture
def ready(project: Path) -> Iterator[Path]:
    """A project about one model behind a server, and one domain."""
    with running(key=KEY) as server:
        ask_remote(project, server.url)
        yield project


def test_each_stage_imports_what_it_needs_alone(ready: Path) -> None:
    for name, keys, may in STAGES:
        cell = ["--cell", ",".join(keys)] if keys else []
        code = CODE.format(arguments=["stage", name, *cell], libraries=LIBRARIES)
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=ready,
            env=command_line.environment(THE_KEY=KEY),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        imported = set(yaml.safe_load(done.stdout.splitlines()[-1]))
        assert imported <= set(may), (name, keys)
