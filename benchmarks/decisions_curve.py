"""Time, memory and disk of decisions from 10^5 to 10^8: import, profile, and counts in a database.

    python -m benchmarks.decisions_curve                          # 10^5, 10^6, 10^7
    python -m benchmarks.decisions_curve --decisions 100000000    # 10^8, 10 GB of disk
    python -m benchmarks.decisions_curve --project OTHER          # another checkout, before

Decisions of 4 models under 50 conditions of 5 domains and 6 variants of the protocol are generated
by DuckDB, each scenario under two conditions and asked of all models; a tenth of them state a
confidence. Each command is a process of its own. Disk is the most that its folders have at a time,
the file that it reads left out. The exponent is that over rows, of the last two sizes; 10^9 rows
are extrapolated by what each further row adds there.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import duckdb

from benchmarks.large_report import resident

ROOT = Path(__file__).resolve().parents[1]
SIZES = (100_000, 1_000_000, 10_000_000)
#: 4 models, 5 domains of 10 conditions, 6 variants.
N_CELLS = 4 * 5 * 10 * 6
#: Seconds between two looks at memory and disk.
LOOK_S = 0.2

_GENERATE = """
with numbers as (
    select range as i, (range % $n_cells)::int as cell, range // $n_cells as s
    from range($n_rows)
),
parts as (
    select
        i, s, cell % 4 as m, (cell // 4) % 5 as d, (cell // 20) % 10 as c, cell // 200 as a,
        (hash(i, 1) % 1000000) / 1e6 as first_draw,
        (hash(i, 2) % 1000000) / 1e6 as second_draw,
        (hash(s * 5 + c // 2, d) % 2)::tinyint as label
    from numbers
)
select
    'model-' || m as model,
    ['claims', 'loans', 'tickets', 'bookings', 'comments'][d + 1] as domain,
    'condition_' || c as condition,
    's' || (s * 5 + c // 2) as scenario_id,
    ['baseline', 'no_signal', 'cost_framing', 'cost_framing', 'isolated', 'thinking'][a + 1]
        as intervention,
    (0.5 + 0.05 * c)::double as signal_accuracy,
    a <> 1 as has_signal,
    a = 5 as is_thinking,
    a = 4 as is_isolated,
    case a when 2 then 4.0 when 3 then 20.0 end::double as cost_ratio,
    case a when 2 then 'ratio' when 3 then 'words' end as framing,
    label,
    case when first_draw < 0.5 + 0.05 * c then label else 1 - label end::tinyint as prediction,
    (second_draw < 0.7 - 0.05 * c + 0.02 * m)::tinyint as escalate,
    'ok' as status,
    case when hash(i, 5) % 10 = 0 then round(0.5 + 0.5 * first_draw, 2) end as stated_confidence,
    'Case ' || (s * 5 + c // 2) || ': amount ' || (hash(s, d) % 90000) as prompt,
    'I predict ' || label || ', case file ' || to_hex(hash(i, 4)) as prediction_text
from parts
"""


@dataclass(frozen=True)
class Measurement:
    """Time, memory and disk of a command, for a number of decisions."""

    command: str
    n_decisions: int
    wall_s: float
    processor_s: float
    peak_bytes: int
    disk_bytes: int


def generate(n_rows: int, file: Path, database: Path) -> None:
    """Write decisions to a Parquet file, and to the table `decisions` of a database file."""
    settings = {"threads": 2, "memory_limit": "2GB", "temp_directory": str(file.parent / "spilled")}
    with duckdb.connect(str(database), config=settings) as connection:
        values = {"n_rows": n_rows, "n_cells": N_CELLS}
        connection.execute(f"copy ({_GENERATE}) to '{file}' (format parquet)", values)
        columns = "* exclude (prompt, prediction_text)"
        connection.execute(f"create table decisions as select {columns} from '{file}'")  # noqa: S608


def used_disk(folders: Sequence[Path]) -> int:
    """Return the bytes of all files in folders, as far as the disk holds them."""
    found = 0
    for folder in folders:
        for place, _, names in os.walk(folder):
            for name in names:
                try:
                    found += (Path(place) / name).stat().st_blocks * 512
                except FileNotFoundError:
                    continue  # it was removed meanwhile
    return found


def run(project: Path, temporary: Path, n_decisions: int, *arguments: str) -> Measurement:
    """Run `escalometer ARGUMENTS` in a project, and return what all its processes used."""
    folders = (temporary, project / "data" / "recorded")
    before = used_disk(folders)
    with (project / "log.txt").open("ab") as log:
        began = time.monotonic()
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "escalometer", *arguments],
            cwd=project,
            env={**os.environ, "PYTHONPATH": str(project), "TMPDIR": str(temporary)},
            stdout=log,
            stderr=log,
        )
        peaks = [0, before]
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(LOOK_S):
                peaks[0] = max(peaks[0], resident(process.pid))
                peaks[1] = max(peaks[1], used_disk(folders))

        watcher = threading.Thread(target=watch)
        watcher.start()
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        ended.set()
        watcher.join()
    if process.returncode:
        text = (project / "log.txt").read_text("utf-8")
        raise SystemExit(f"escalometer {' '.join(arguments)} failed:\n{text[-4000:]}")
    return Measurement(
        arguments[0],
        n_decisions,
        seconds,
        used.ru_utime + used.ru_stime,
        max(peaks[0], used.ru_maxrss * 1024),
        peaks[1] - before,
    )


def measure(n_decisions: int, project: Path, folder: Path, wanted: Sequence[str]) -> None:
    """Print what each command uses for so many decisions."""
    file, database = folder / "decisions.parquet", folder / "decisions.duckdb"
    temporary = folder / "temporary"
    temporary.mkdir(exist_ok=True)
    database.unlink(missing_ok=True)
    generate(n_decisions, file, database)
    source = f"generated-{n_decisions}"
    commands = {
        "import": ("import", str(file), "--as", source),
        "profile": ("profile", "model-1", "--source", source, "--json"),
        "database": (
            *("profile", f"duckdb://{database}", "--table", "decisions", "--model", "model-1"),
            "--json",
        ),
    }
    for name in wanted:
        found = run(project, temporary, n_decisions, *commands[name])
        MEASURED.setdefault(name, []).append(found)
        print(
            f"{name:9} {n_decisions:12,} {found.wall_s:9.1f} {found.processor_s:9.1f} "
            f"{found.peak_bytes / 2**30:9.2f} {found.disk_bytes / 2**30:9.2f} "
            f"{file.stat().st_size / 2**30:9.3f}",
            flush=True,
        )


MEASURED: dict[str, list[Measurement]] = {}


def main() -> None:
    """Print a table of all sizes and commands, their exponents, and what 10^9 rows would take."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--decisions", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--commands", nargs="+", default=["import", "profile", "database"])
    parser.add_argument("--project", type=Path, default=ROOT, help="the checkout to measure")
    parser.add_argument("--json", type=Path, help="a file for the measurements")
    options = parser.parse_args()
    print("command      decisions    wall s  processor  peak GiB  disk GiB  file GiB")
    with tempfile.TemporaryDirectory(prefix="escalometer-curve-") as name:
        folder, project = Path(name), Path(name) / "project"
        subprocess.run(  # noqa: S603
            ["git", "clone", "-q", str(options.project.resolve()), str(project)],  # noqa: S607
            check=True,
        )
        for n_decisions in options.decisions:
            measure(n_decisions, project, folder, options.commands)
            for path in (project / "data" / "recorded").glob("*/*.parquet"):
                path.unlink()  # the next size needs the room
    for name, found in MEASURED.items():
        if len(found) < 2:
            continue
        rows = [one.n_decisions for one in found][-2:]
        for key in ("wall_s", "processor_s", "peak_bytes", "disk_bytes"):
            least, most = (max(getattr(one, key), 1e-9) for one in found[-2:])
            exponent = math.log(most / least) / math.log(rows[1] / rows[0])
            # What each further row adds: start-up costs the same at every size.
            billion = most + (most - least) / (rows[1] - rows[0]) * (1e9 - rows[1])
            shown = f"{billion:,.0f} s" if key.endswith("_s") else f"{billion / 2**30:,.1f} GiB"
            print(f"{name}: {key} grow as rows ** {exponent:.2f}; at 10^9 rows {shown}")
    if options.json:
        listed = [asdict(one) for found in MEASURED.values() for one in found]
        options.json.write_text(json.dumps(listed, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
