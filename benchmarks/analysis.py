"""The analysis: metric tables and resamples, time against rows, and pandas beside it.

    python -m benchmarks.analysis [--rows 100000,1000000,10000000,50000000] [--decisions FILE]

Every figure is a separate process, so that its peak of memory is its own; data is generated
once, as partitioned Parquet. DuckDB has two threads and 3 GB, and a folder to spill to.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb
import pyarrow as pa

from benchmarks._decisions import generate
from escalometer import warehouse
from escalometer.analysis.measure import CURVE_RATIOS, measure
from escalometer.analysis.profile import profile_of
from escalometer.config import Params

VALUES = {
    "cost_ratios": [4.0],
    "curve_ratios": list(CURVE_RATIOS),
    "human_error_rate": 0.0,
    "side_domains": ["moral_machine"],
}
#: What the pandas script computes as well.
SAME = ("outcome_counts", "escalation_curve", "implicit_threshold", "scored_conditions")
SAME = (*SAME, "escalation_accuracy")
PANDAS = Path(__file__).with_name("_analysis_pandas.py")


def _connect(files: str, spill: str) -> duckdb.DuckDBPyConnection:
    connection = warehouse.connect(2)
    connection.execute("set memory_limit = '3GB'")
    connection.execute(f"set temp_directory = '{spill}'")
    warehouse.view_decisions(connection, files)
    return connection


def _metrics(files: str, spill: str) -> dict[str, float]:
    began = time.perf_counter()
    with _connect(files, spill) as connection:
        warehouse.run_metrics(connection, VALUES)
        all_s = time.perf_counter() - began
    return {"all_s": all_s, "peak_gb": _peak_gb()}


def _same(files: str, spill: str) -> dict[str, float]:
    began = time.perf_counter()
    with _connect(files, spill) as connection:
        tables = warehouse.run_metrics(connection, VALUES, only=SAME)
    took = time.perf_counter() - began
    lines = tables["implicit_threshold"].to_pylist()
    thresholds = [
        row["implicit_threshold"]
        for row in lines
        if row["domain"] is None and row["intervention"] == "baseline"
    ]
    return {"same_s": took, "peak_gb": _peak_gb(), "thresholds": thresholds}  # type: ignore[dict-item]


def _recorded(file: str, _: str) -> dict[str, float]:
    """Time the metric tables of a file of decisions, then everything with 2,000 resamples."""
    found: dict[str, float] = {}
    with warehouse.connect(2) as connection:
        warehouse.view_decisions(connection, file)
        table: pa.Table = connection.table("decisions").to_arrow_table()
        connection.execute("drop view decisions")
        warehouse.add_table(connection, "decisions", table)
        found["n_rows"] = table.num_rows
        for attempt in ("first_s", "metrics_s"):
            began = time.perf_counter()
            warehouse.run_metrics(connection, VALUES)
            found[attempt] = time.perf_counter() - began
        began = time.perf_counter()
        measured = measure(connection, [4.0], 0.0, ["moral_machine"], 1, 2000)
        models = sorted({row["model"] for row in measured.curve})
        params = Params(seed=1, models=tuple(models), domains=("any",))
        for model in models:
            profile_of(measured, table, model, "generated", params, None)
        found["resampled_s"] = time.perf_counter() - began
    return found | {"n_models": len(models), "peak_gb": _peak_gb()}


def _peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def _apart(part: str, files: str, spill: str) -> dict[str, float]:
    """Run one of the measurements in a separate process."""
    command = [sys.executable, "-m", "benchmarks.analysis", "--part", part, files, spill]
    if part == "pandas":
        command = [sys.executable, str(PANDAS), files]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", default="100000,1000000,10000000,50000000")
    parser.add_argument("--decisions", help="recorded decisions with the columns that are analyzed")
    parser.add_argument("--part", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        part, files, spill = options.part
        print(
            json.dumps(
                {"metrics": _metrics, "same": _same, "recorded": _recorded}[part](files, spill)
            )
        )
        return
    with tempfile.TemporaryDirectory() as folder:
        spill = str(Path(folder) / "spill")
        file = options.decisions or generate(118_304, Path(folder) / "small", has_scenarios=True)
        found = _apart("recorded", file, spill)
        print(
            f"{found['n_rows']:,.0f} decisions of {found['n_models']} models: all metric tables "
            f"{found['metrics_s']:.2f} s ({found['first_s']:.2f} s the first time), profiles with "
            f"2,000 resamples of each kind {found['resampled_s']:.2f} s"
        )
        print("\nrows         all metrics   peak     with scenarios   peak     per million rows")
        for n_rows in (int(n) for n in options.rows.split(",")):
            line = [f"{n_rows:>11,}"]
            for has_scenarios in (False, True):
                data = Path(folder) / f"{n_rows}-{has_scenarios}"
                files = generate(n_rows, data, has_scenarios)
                took = _apart("metrics", files, spill)
                line.append(f"{took['all_s']:8.2f} s  {took['peak_gb']:5.2f} GB")
            line.append(f"{1e6 * took['all_s'] / n_rows:8.2f} s")
            print("  ".join(line), flush=True)
            if n_rows == 10_000_000:
                ours, theirs = _apart("same", files, spill), _apart("pandas", files, spill)
                pairs = zip(ours["thresholds"], theirs["thresholds"], strict=True)  # type: ignore[call-overload]
                assert all(abs(a - b) < 1e-9 for a, b in pairs), (ours, theirs)  # noqa: S101
                print(
                    f"             curve, threshold and accuracy alone: {ours['same_s']:.2f} s, "
                    f"{ours['peak_gb']:.2f} GB; pandas {theirs['same_s']:.2f} s, "
                    f"{theirs['peak_gb']:.2f} GB: {theirs['same_s'] / ours['same_s']:.1f} x",
                    flush=True,
                )


if __name__ == "__main__":
    main()
