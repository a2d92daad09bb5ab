"""The work of a worker: asking the dialogues of a shard, in a separate process.

A worker on another machine has this package, and neither the project nor its flows.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from escalometer.errors import EscalometerError
from escalometer.runtime import stage_report


class ShardStopped(EscalometerError):
    """A shard that was not asked to its end. Carries its exit code on, also between processes."""

    def __init__(self, message: str, exit_code: int, is_passing: bool) -> None:
        super().__init__(message, exit_code, is_passing)
        self.exit_code, self.is_passing = exit_code, is_passing

    def __str__(self) -> str:
        return str(self.args[0])


def ask_shard(name: str, shard: str) -> dict[str, int]:
    """Ask a shard of dialogues and return the counts of its answers.

    It runs in a process of its own, which handles signals, and ends with this one.

    Parameters
    ----------
    name : str
        Of the shard.
    shard : str
        As JSON.

    Raises
    ------
    ShardStopped
        If it was not asked to its end.
    """
    with tempfile.TemporaryDirectory(prefix="escalometer-") as name_of_folder:
        folder = Path(name_of_folder)
        errors = folder / "errors.txt"
        with errors.open("w", encoding="utf-8") as stderr:
            # -P: the same package as this one, whatever the folder of the worker holds.
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "escalometer", "ask-shard"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                env={**os.environ, stage_report.VARIABLE: name_of_folder},
            )
            # Its input stays open until it has ended: by the end of it, it learns of ours.
            with process:
                assert process.stdin is not None and process.stdout is not None  # noqa: S101
                with contextlib.suppress(BrokenPipeError):
                    process.stdin.write(shard + "\n")
                    process.stdin.flush()
                counts = process.stdout.read()
                code = process.wait()
                with contextlib.suppress(BrokenPipeError):
                    process.stdin.close()
        why = stage_report.read_error(folder)
        lines = errors.read_text("utf-8").strip().splitlines()
    if code == 0:
        found: dict[str, int] = json.loads(counts)
        return found
    reason = why.message if why else lines[-1] if lines else "its process was killed"
    raise ShardStopped(
        f"{name}: {reason}", 128 - code if code < 0 else code, why is not None and why.is_passing
    )


def is_passing(_task: Any, _run: Any, state: Any) -> bool:
    """Return whether a shard that stopped may succeed later: a condition of Prefect's retries."""
    return getattr(state.result(raise_on_failure=False), "is_passing", False) is True
