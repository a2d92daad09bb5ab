"""Processor time, wall time and peak memory of the report on a large import, by rows.

    python -m benchmarks.large_report                                # 1,000,000 decisions
    python -m benchmarks.large_report --decisions 100000 1000000 5000000
    python -m benchmarks.large_report --project OTHER                # another checkout

Decisions of 13 models under 250 conditions of five domains are generated, with and without signal,
and imported into a fresh clone. Then `report` runs twice and `profile` once, each as a process of
its own with all that it starts.
"""

from __future__ import annotations

import argparse
import math
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks._used import Used

ROOT = Path(__file__).resolve().parents[1]
N_MODELS, N_CONDITIONS = 13, 250
DOMAINS = ("hotel_bookings", "lending_club", "wikipedia_toxicity", "movielens", "hmda_mortgages")
SEED = 20
#: Seconds between two looks at the memory of all processes together.
LOOK_S = 0.1


def generate(n_decisions: int, file: Path) -> None:
    """Write decisions of models with different thresholds, each scenario asked of all of them."""
    rng = np.random.default_rng(SEED)
    n_asked = max(n_decisions // (N_MODELS * N_CONDITIONS * 2), 1)  # with and without signal
    shape = (N_MODELS, N_CONDITIONS, n_asked, 2)
    model, condition, scenario, side = (part.ravel() for part in np.indices(shape))
    domain = condition % len(DOMAINS)
    accuracy = np.round(rng.uniform(0.5, 0.98, N_CONDITIONS), 2)
    label = rng.integers(0, 2, (N_CONDITIONS, n_asked))[condition, scenario]
    has_signal = side == 0
    p_right = np.where(has_signal, accuracy[condition], 0.5 + 0.6 * (accuracy[condition] - 0.5))
    is_right = rng.random(len(label)) < p_right
    threshold, slope = 0.6 + 0.02 * model, -1.5 - 0.05 * model
    believed = np.where(has_signal, accuracy[condition], 0.72)
    p_escalate = np.clip(0.5 + slope * (believed - threshold), 0.02, 0.98)

    def names(pattern: str, values: np.ndarray, n: int) -> pa.DictionaryArray:
        return pa.DictionaryArray.from_arrays(
            pa.array(values, pa.int32()), [pattern.format(i) for i in range(n)]
        )

    number = condition * n_asked + scenario
    table = pa.table(
        {
            "model": names("model-{:02}", model, N_MODELS),
            "domain": pa.DictionaryArray.from_arrays(pa.array(domain, pa.int32()), list(DOMAINS)),
            "condition": names("condition_{:03}", condition, N_CONDITIONS),
            "scenario_id": names("s{}", number, N_CONDITIONS * n_asked),
            "signal_accuracy": accuracy[condition],
            "has_signal": has_signal,
            "label": label.astype(np.int8),
            "prediction": np.where(is_right, label, 1 - label).astype(np.int8),
            "escalate": (rng.random(len(label)) < p_escalate).astype(np.int8),
        }
    )
    for name in ("model", "domain", "condition", "scenario_id"):
        place = table.schema.get_field_index(name)
        table = table.set_column(place, name, table.column(name).cast(pa.string()))
    pq.write_table(table, file)


def resident(process: int) -> int:
    """Return the memory of a process and of all that it started, shared pages counted once each."""
    found, waiting = 0, [process]
    while waiting:
        folder = Path("/proc") / str(waiting.pop())
        try:
            for task in (folder / "task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
            fields = (folder / "statm").read_text().split()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended meanwhile
        found += (int(fields[1]) - int(fields[2])) * resource.getpagesize()
    return found


def run(project: Path, *arguments: str) -> Used:
    """Run `escalometer ARGUMENTS` in a project, and return what all its processes used."""
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    with (project / "log.txt").open("ab") as log:
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "escalometer", *arguments],
            cwd=project,
            env={**os.environ, "PYTHONPATH": str(project)},
            stdout=log,
            stderr=log,
        )
        peak = 0
        ended = threading.Event()

        def watch() -> None:
            nonlocal peak
            while not ended.wait(LOOK_S):
                peak = max(peak, resident(process.pid))

        watcher = threading.Thread(target=watch)
        watcher.start()
        process.wait()
        ended.set()
        watcher.join()
    if process.returncode:
        text = (project / "log.txt").read_text("utf-8")
        raise SystemExit(f"escalometer {' '.join(arguments)} failed:\n{text[-4000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Used(used, time.monotonic() - began, peak, "all processes")


def main() -> None:
    """Print what each of the commands used for each number of decisions."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--decisions", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--project", type=Path, default=ROOT, help="a checkout; this one")
    options = parser.parse_args()
    seconds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "project"
        subprocess.run(  # noqa: S603
            ["git", "clone", "-q", str(options.project), str(project)],  # noqa: S607
            check=True,
        )
        for n in options.decisions:
            file, source = Path(folder) / "decisions.parquet", f"generated-{n}"
            generate(n, file)
            timed = (
                ("import", "import", str(file), "--as", source),
                ("report, first", "report", "--source", source),
                ("report, second", "report", "--source", source),
                ("profile, kept", "profile", "model-03", "--source", source),
                # One ratio or domain less than the report: nothing is kept of it.
                (
                    "profile, 4 domains",
                    *("profile", "model-03", "--source", source, "--domains"),
                    ",".join(DOMAINS[:4]),
                ),
            )
            for name, *arguments in timed:
                used = run(project, *arguments)
                seconds.setdefault(name, []).append(used.wall_s)
                print(f"{n:>9,} decisions, {name:<20}{used}", flush=True)
    if len(options.decisions) > 1:
        least, most = options.decisions[0], options.decisions[-1]
        for name, found in seconds.items():
            exponent = math.log(found[-1] / found[0]) / math.log(most / least)
            print(f"{name}: seconds grow as rows ** {exponent:.2f}")


if __name__ == "__main__":
    main()
