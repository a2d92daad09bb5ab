"""How long hotel_bookings, whole, takes from its raw file to scenarios, and to be validated.

The commands of the pipeline run in a temporary project, each in a separate process, start-up and
imports included: ingest and sample (raw file to scenarios), and Great Expectations on the raw rows.

    python benchmarks/bookings_to_scenarios.py                   # the file in data/raw
    python benchmarks/bookings_to_scenarios.py --file hotels.csv

Run it in the project's folder; `escalometer data fetch hotel_bookings` brings the file.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

DOMAIN = "hotel_bookings"
STEPS = {
    "ingest": ("ingest", "--cell", DOMAIN),
    "sample": ("sample", "--cell", DOMAIN),
    "validate raw rows": ("validate", "--cell", "raw"),
}
#: Those that the raw file takes to become scenarios.
TO_SCENARIOS = ("ingest", "sample")


def project(root: Path, file: Path) -> None:
    """Make a project of one domain in `root`, with the files of this one."""
    for name in ("sql", "expectations", "models"):
        shutil.copytree(name, root / name)
    text = Path("params.yaml").read_text(encoding="utf-8")
    text = re.sub(r"^domains:.*$", f"domains: [{DOMAIN}]", text, flags=re.MULTILINE)
    (root / "params.yaml").write_text(text, encoding="utf-8")
    raw = root / "data" / "raw" / DOMAIN
    raw.mkdir(parents=True)
    shutil.copy(file, raw)


def processor_time() -> float:
    """Return the processor seconds of all processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(root: Path) -> dict[str, tuple[float, float]]:
    """Return the seconds of each step, and those of processor time."""
    taken = {}
    environment = dict(os.environ, PYTHONPATH=str(Path.cwd()))
    for name, arguments in STEPS.items():
        command = [sys.executable, "-m", "escalometer", "stage", *arguments]
        start, used = time.perf_counter(), processor_time()
        subprocess.run(command, check=True, cwd=root, env=environment)  # noqa: S603
        taken[name] = (time.perf_counter() - start, processor_time() - used)
    taken["raw file to scenarios"] = tuple(
        sum(taken[name][place] for name in TO_SCENARIOS) for place in (0, 1)
    )
    return taken


def main() -> None:
    """Measure some times over and print the least and the most of each step."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--file", type=Path)
    parser.add_argument("--times", type=int, default=5)
    asked = parser.parse_args()
    there = sorted((Path("data") / "raw" / DOMAIN).glob("hotel*"))
    if asked.file is None and not there:
        sys.exit(f"no file: run `escalometer data fetch {DOMAIN}`, or name one with --file")
    with tempfile.TemporaryDirectory(prefix="bookings-") as temporary:
        project(Path(temporary), asked.file or there[0])
        runs = [measure(Path(temporary)) for _ in range(asked.times)]
    print(f"{os.cpu_count()} processors, load average {os.getloadavg()[0]:.1f}")
    print(
        f"{'seconds, of ' + str(asked.times) + ' runs':<24}   least    most  processor time, least"
    )
    for name in runs[0]:
        seconds, processor = zip(*(run[name] for run in runs), strict=True)
        print(f"{name:<24}{min(seconds):8.1f}{max(seconds):8.1f}{min(processor):8.1f}")


if __name__ == "__main__":
    main()
