"""Writes per second and the time of planning, of a completion store in SQLite and in PostgreSQL.

    .venv/bin/python benchmarks/shared_store.py                         # 1,000,000 answers
    .venv/bin/python benchmarks/shared_store.py --completions 100000

Writes: one process and four, one answer per transaction (the slowest case) and 100 answers per
transaction (what the writing thread does while answers arrive fast). Each is durable before the
next begins. Planning: as of `stored_run.py`, in a process that opens the store anew.

The server is the one of Debian's package, started on loopback for the benchmark, with fsync on; its
data are in the folder of temporary files, as SQLite's file is.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from dataclasses import replace
from multiprocessing.synchronize import Barrier
from pathlib import Path

from escalometer.config import DatabaseAddress, store_place
from escalometer.dialogue.elicitation.keys import request_key
from escalometer.dialogue.elicitation.store import CompletionStore, Entry, open_store
from escalometer.dialogue.providers import Completion, Request

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._dialogues import dialogues
from benchmarks.stored_run import ANSWER, engine_at
from tests.postgresql_server import serving

Place = Path | DatabaseAddress
SPAWN = multiprocessing.get_context("spawn")
IDENTITY = {"provider": "openai", "model": "m", "base_url": "http://h/v1"}
ASKED = Request((("user", "A booking of two adults for three nights. " * 20),), "PREDICTION:", 16)
COMPLETION = Completion(ANSWER, "stop", 300, 60, 1.5)


def entries(part: int, n: int) -> list[Entry]:
    """Return `n` answers that no other part has."""
    made = []
    for i in range(n):
        asked = replace(ASKED, messages=(("user", f"{part}.{i}: {ASKED.messages[0][1]}"),))
        made.append(Entry(request_key(IDENTITY, asked), IDENTITY, asked, {}, COMPLETION, "r", 0.1))
    return made


def write(place: Place, part: int, n: int, at_once: int, barrier: Barrier) -> None:
    """Write answers, `at_once` of them per transaction, once all processes are ready."""
    store, made = open_store(place), entries(part, n)
    barrier.wait()
    for start in range(0, n, at_once):
        store.put_all(made[start : start + at_once])
    barrier.wait()
    store.close()


def rate(place: Place, n_writers: int, n: int, at_once: int) -> float:
    """Return the answers per second of all writers together."""
    barrier = SPAWN.Barrier(n_writers + 1)
    first = n_writers * 1000 + at_once  # keys of this measurement alone
    writers = [
        SPAWN.Process(target=write, args=(place, first + 100_000 * part, n, at_once, barrier))
        for part in range(n_writers)
    ]
    for writer in writers:
        writer.start()
    barrier.wait()
    began = time.monotonic()
    barrier.wait()
    seconds = time.monotonic() - began
    for writer in writers:
        writer.join()
    return n_writers * n / seconds


def fill(store: CompletionStore, n: int, folder: Path) -> None:
    """Write both answers of `n` dialogues."""
    engine = engine_at(store, folder / "none")
    asked = dialogues(n, length=3)
    for _ in range(2):  # first turns; then the second ones, which are known by now
        work = list(engine.plan(asked).missing().values())
        for start in range(0, len(work), 5000):
            store.put_all(
                [
                    Entry(
                        request_key(engine.identity, request, engine.parameters(request)),
                        engine.identity,
                        request,
                        engine.parameters(request),
                        Completion(f"{ANSWER}{request.marker} 1", "stop", 300, 60, 1.5),
                        "run",
                        0.001,
                    )
                    for request in work[start : start + 5000]
                ]
            )


def plan(
    place: Place, n: int, folder: Path, said: multiprocessing.Queue[tuple[float, ...]]
) -> None:
    """Plan a run whose answers are stored; send seconds, and the peak of memory in bytes."""
    asked = dialogues(n, length=3)
    began = time.monotonic()
    store = open_store(place)
    planned = engine_at(store, folder / "none").plan(asked)
    seconds = time.monotonic() - began
    if planned.missing():
        sys.exit("not all answers were in the store")
    began = time.monotonic()
    n_spent, _ = store.spent("run")
    spent_s = time.monotonic() - began
    if n_spent != 2 * n:
        sys.exit("the costs are incomplete")
    store.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    said.put((seconds, spent_s, float(peak)))


def measure(name: str, place: Place, planned: Place, n: int, n_writes: int, folder: Path) -> None:
    """Print all figures of one engine."""
    open_store(place).close()
    for at_once in (1, 100):
        for n_writers in (1, 4):
            n_each = n_writes * (1 if at_once == 1 else 10) // n_writers
            found = rate(place, n_writers, n_each, at_once)
            what = f"{n_writers} writers, {at_once} answers per transaction"
            print(f"{name:10}  {what:40} {found:9,.0f} answers/s", flush=True)
    began = time.monotonic()
    store = open_store(planned)
    fill(store, n // 2, folder)
    store.close()
    print(f"{name:10}  {f'filling with {n:,} answers':40} {time.monotonic() - began:9.1f} s")
    said: multiprocessing.Queue[tuple[float, ...]] = SPAWN.Queue()
    child = SPAWN.Process(target=plan, args=(planned, n // 2, folder, said))
    child.start()
    child.join()
    seconds, spent_s, peak = said.get(timeout=10)
    print(f"{name:10}  {f'opening and planning {n:,} answers':40} {seconds:9.1f} s")
    print(f"{name:10}  {'cost of a run that has all of them':40} {spent_s:9.3f} s")
    print(f"{name:10}  {'peak memory of planning':40} {peak / 1e9:9.2f} GB", flush=True)


def main() -> None:
    """Measure both engines."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--completions", type=int, default=1_000_000)
    parser.add_argument("--writes", type=int, default=2_000)
    parser.add_argument("--engine", choices=("sqlite", "postgresql"), action="append")
    given = parser.parse_args()
    engines = given.engine or ["sqlite", "postgresql"]
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as where:
        folder = Path(where)
        if "sqlite" in engines:
            places = (folder / "writes.sqlite", folder / "planned.sqlite")
            measure("SQLite", *places, given.completions, given.writes, folder)
        if "postgresql" in engines:
            with serving() as server:
                for schema in ("writes", "planned"):
                    server.execute(f"create schema {schema}")
                writes, planned = (
                    store_place(server.address(schema=schema)) for schema in ("writes", "planned")
                )
                measure("PostgreSQL", writes, planned, given.completions, given.writes, folder)


if __name__ == "__main__":
    main()
