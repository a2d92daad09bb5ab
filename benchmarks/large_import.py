"""Import of recorded decisions: seconds and peak memory by the number of rows.

    python -m benchmarks.large_import                     # 10^5, 10^6 and 5 x 10^6 rows: 3 minutes
    python -m benchmarks.large_import --large             # 5 x 10^7 as well: 8 GB of disk
    python -m benchmarks.large_import --project OTHER     # another checkout, before a change

Files have the required columns and a scenario_id, as Parquet and CSV, in a temporary folder. Each
import is a process; peak memory is its largest resident set. The exponent is that of seconds over
rows: 1 where twice the rows take twice the time.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[1]
SIZES = (100_000, 1_000_000, 5_000_000)
LARGE = 50_000_000
_PART = 500_000


def parts(n_rows: int) -> Iterator[pa.Table]:
    """Yield generated dialogues: two models, three domains, six conditions, one a scenario."""
    for start in range(0, n_rows, _PART):
        place = np.arange(start, min(start + _PART, n_rows))
        draws = np.random.default_rng(start)
        n, condition = len(place), place % 6
        yield pa.table(
            {
                "model": np.array(["model-a", "model-b"])[place % 2],
                "domain": np.array(["tickets", "claims", "loans"])[place // 2 % 3],
                "condition": np.char.add("condition ", condition.astype(str)),
                "signal_accuracy": np.array([0.55, 0.6, 0.7, 0.8, 0.9, 0.95])[condition],
                "has_signal": draws.random(n) < 0.9,
                "label": draws.integers(0, 2, n),
                "prediction": draws.integers(0, 2, n),
                "escalate": draws.integers(0, 2, n),
                "scenario_id": np.char.add("s", place.astype(str)),
            }
        )


def write(n_rows: int, path: Path) -> None:
    """Write generated dialogues to a Parquet or CSV file."""
    writer: pq.ParquetWriter | pa_csv.CSVWriter | None = None
    for part in parts(n_rows):
        if writer is None:
            kind = pq.ParquetWriter if path.suffix == ".parquet" else pa_csv.CSVWriter
            writer = kind(path, part.schema)
        writer.write(part)
    if writer is not None:
        writer.close()


def imported(project: Path, file: Path, folder: Path) -> tuple[float, float, float]:
    """Import a file in a process; return its seconds, processor seconds and peak GiB."""
    environment = {**os.environ, "PYTHONPATH": str(project)}
    command = [sys.executable, "-m", "escalometer", "import", str(file), "--as", file.suffix[1:]]
    began = time.monotonic()
    process = subprocess.Popen(  # noqa: S603
        [*command, "--replace"], cwd=folder, env=environment, stdout=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"the import of {file} failed: exit code {process.returncode}")
    return seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 2**20


def main() -> None:
    """Print a table of all sizes and formats."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--large", action="store_true", help="also 5 x 10^7 rows")
    parser.add_argument("--project", type=Path, default=ROOT, help="the checkout to measure")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="rows")
    parser.add_argument("--formats", nargs="+", default=["parquet", "csv"])
    arguments = parser.parse_args()
    sizes = [*arguments.sizes, *([LARGE] if arguments.large else [])]
    print("format        rows   seconds  processor  peak GiB  exponent")
    with tempfile.TemporaryDirectory(prefix="escalometer-") as name:
        folder = Path(name)
        for needed in ("expectations", "models", "params.yaml"):
            source = arguments.project / needed
            (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / needed)
        for ending in arguments.formats:
            before: tuple[int, float] | None = None
            for n_rows in sizes:
                file = folder / f"decisions.{ending}"
                write(n_rows, file)
                seconds, processor, peak = imported(arguments.project.resolve(), file, folder)
                exponent = ""
                if before is not None:
                    exponent = f"{np.log(seconds / before[1]) / np.log(n_rows / before[0]):8.2f}"
                print(
                    f"{ending:7} {n_rows:10,} {seconds:9.1f} {processor:10.1f} {peak:9.2f}  "
                    f"{exponent}",
                    flush=True,
                )
                before = (n_rows, seconds)


if __name__ == "__main__":
    main()
