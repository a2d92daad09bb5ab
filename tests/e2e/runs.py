"""Programs that end-to-end tests run in a project, and what other programs read there."""

from __future__ import annotations

import sqlite3
import subprocess
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.command_line import environment

STORE = Path(".escalometer") / "completions.sqlite"


def run(
    root: Path, *command: str, code: int = 0, **changes: str
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end in a project, and check its exit code.

    Parameters
    ----------
    root : Path
        The project.
    *command : str
        The program and its arguments.
    code : int
        What it must exit with.
    **changes : str
        Variables of the environment.
    """
    done = subprocess.run(
        command,
        cwd=root,
        env=environment(**changes),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def n_stored(root: Path) -> int:
    """Return how many answers the project's completion store holds."""
    if not (root / STORE).exists():
        return 0
    with sqlite3.connect(root / STORE, timeout=30) as store:
        found = store.execute("select count(*) from sqlite_master where name = 'completions'")
        if found.fetchone() == (0,):
            return 0
        (count,) = store.execute("select count(*) from completions").fetchone()
    return int(count)


def enlarge(root: Path, n_per_condition: int) -> None:
    """Leave one domain, with so many scenarios that there is time to stop in between."""
    path = root / "params.yaml"
    params = yaml.safe_load(path.read_text("utf-8"))
    params["domains"] = ["hmda_mortgages"]
    params["sample"]["n_per_condition"] = n_per_condition
    params["query"]["max_tokens"] = 40
    path.write_text(yaml.safe_dump(params, sort_keys=False), "utf-8")


@dataclass(frozen=True)
class Evaluated:
    """A project in which `escalometer evaluate tiny` has run, and what that said."""

    root: Path
    done: subprocess.CompletedProcess[str]
