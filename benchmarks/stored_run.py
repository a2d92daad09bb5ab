"""How long a run takes that the completion store has all answers of, and how much memory.

    .venv/bin/python benchmarks/stored_run.py                  # 100,000 completions

A child process plans the run (every request, every key, every look-up) and makes the rows; its own
peak memory is what is printed, beside that of a process that only imports what it imports.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from escalometer.config import ModelCard, Workspace
from escalometer.dialogue.elicitation.engine import Engine
from escalometer.dialogue.elicitation.keys import request_key
from escalometer.dialogue.elicitation.rows import Answering
from escalometer.dialogue.elicitation.store import CompletionStore, Entry, open_store
from escalometer.dialogue.providers import Completion, connect

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._dialogues import dialogues

ANSWER = "The signal says that such bookings are kept more often than not. " * 3
MODEL = {
    "id": "m",
    "title": "m",
    "provider": "openai",
    "licence": "none",
    "context": 8192,
    "endpoint": {"base_url": "http://127.0.0.1:9/v1", "model": "m"},
}


def engine_at(store: CompletionStore, path: Path) -> Engine:
    """Return an engine whose model cannot be reached."""
    folder = path.parent
    provider = connect(ModelCard.model_validate(MODEL), Workspace(folder, folder, path))
    return Engine(provider, store, Answering(256, False, "last"))


def fill(path: Path, n: int) -> None:
    """Write both answers of `n` dialogues."""
    store = open_store(path)
    engine = engine_at(store, path)
    for _ in range(2):  # first turns; then the second ones, which are known by now
        work = engine.plan(dialogues(n, length=3)).missing()
        entries = [
            Entry(
                request_key(engine.identity, request, engine.parameters(request)),
                engine.identity,
                request,
                engine.parameters(request),
                Completion(f"{ANSWER}{request.marker} 1", "stop", 300, 60, 1.5),
            )
            for request in work.values()
        ]
        store.put_all(entries)
    store.close()


def child(path: Path, n: int) -> None:
    """Plan and hold a run that is in the store; print seconds and bytes."""
    store = open_store(path)
    asked = dialogues(n, length=3)
    began = time.monotonic()
    store.close()
    store = open_store(path)
    engine = engine_at(store, path)
    plan = engine.plan(asked)
    planned = time.monotonic()
    rows = engine.hold(plan, lambda *_: None)
    done = time.monotonic()
    if plan.missing() or len(rows) != n:
        sys.exit("not all was in the store")
    print(
        planned - began, done - planned, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    )


def main() -> None:
    """Fill a store and measure a run on it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--completions", type=int, default=100_000)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    n = given.completions // 2
    if given.child:
        child(given.child, n)
        return
    with tempfile.TemporaryDirectory() as where:
        path = Path(where) / "completions.sqlite"
        fill(path, n)
        size = path.stat().st_size / 1e6
        command = [sys.executable, __file__, "--completions", str(2 * n), "--child", str(path)]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603
        planned, rows, memory = (float(number) for number in said.split())
        print(f"{2 * n:,} completions, {size:.0f} MB of store")
        print(f"opening and planning  {planned:6.2f} s")
        print(f"rows of the table     {rows:6.2f} s")
        print(f"peak memory           {memory / 1e6:6.0f} MB")


if __name__ == "__main__":
    main()
