"""Fixtures of end-to-end tests: one evaluated project, and one Prefect server.

All of tests/e2e runs in one worker (see `pytest_xdist_make_scheduler` in tests/conftest.py), so
that each of these is made once.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.runs import Evaluated, run


@pytest.fixture(scope="session")
def evaluated(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Evaluated:
    """A project after `escalometer evaluate tiny`, with a Prefect server of its own.

    Tests read it; one that changes something does so in a copy.
    """
    root = shutil.copytree(clone, tmp_path_factory.mktemp("evaluated") / "project")
    return Evaluated(root, run(root, "escalometer", "evaluate", "tiny", "--timings"))


@pytest.fixture(scope="package")  # it works a little while it waits: end it with these tests
def prefect_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The API of a Prefect server, for flows whose own server is not what is tested."""
    from flows._server import served

    with served(tmp_path_factory.mktemp("prefect")) as url:
        yield url
