"""README and documentation: every command that can run is run in a fresh project."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.documentation import commands, pages
from tools.check_pages import faults

#: Pages whose commands need the models of the demo, in the order in which a person reads them.
PAGES = [page for page in pages() if any(not command.reason for command in commands(page))]

#: Smaller runs of the same commands: fewer scenarios, and answers of few tokens.
_SMALLER = {"n_per_condition: 35": "n_per_condition: 2 ", "n_conditions: 6": "n_conditions: 3"}


@pytest.mark.long
@pytest.mark.timeout(900)
def test_commands_of_readme_and_documentation_run(tmp_path: Path) -> None:
    root = tmp_path / "project"
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    for name in filter(None, tracked):
        if (ROOT / name).is_file() and not name.startswith(("tests/", "benchmarks/")):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, root / name)
    params = (root / "params.yaml").read_text("utf-8")
    for old, new in _SMALLER.items():
        assert old in params
        params = params.replace(old, new)
    (root / "params.yaml").write_text(params, "utf-8")
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "A project"]):
        subprocess.run([*git, *arguments], cwd=root, check=True)
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(root),
    }
    failed = []
    for page in PAGES:  # README evaluates both models; each page starts with those parameters
        subprocess.run([*git, "checkout", "-q", "params.yaml"], cwd=root, check=True)
        for command in commands(page):
            if command.reason:
                continue
            done = subprocess.run(
                command.words,
                cwd=root,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            # 1 and 2 are verdicts: the models are asked too little here to pass.
            allowed = (0, 1, 2) if command.words[1:2] == ["gate"] else (0,)
            if done.returncode not in allowed:
                failed.append(f"{command.page}: {command.words}: {done.stderr[-800:]}")
    assert not failed, "\n".join(failed)


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_every_link_exists(tmp_path: Path) -> None:
    built = tmp_path / "html"
    build = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html"]
    done = subprocess.run(
        [*build, str(ROOT / "docs"), str(built)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert list(faults(built)) == []
    assert (built / "searchindex.js").exists()  # a script: search works from a file


def test_a_broken_link_and_a_loaded_address_are_found(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(
        '<a href="gone.html">x</a><a href="#no">y</a><script src="https://x.example/a.js"></script>'
    )
    assert len(list(faults(tmp_path))) == 3
