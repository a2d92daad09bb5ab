"""Cells side by side: how long they take beside the time that their server takes.

    python -m benchmarks.parallel_cells                      # 4 cells of 30 s each: 5 minutes
    python -m benchmarks.parallel_cells --runners processes  # one of: one, processes, dask

Models of a server on loopback, each with few requests under way and a fixed time for each answer,
are evaluated in a project of the example. The ideal time of a cell is that of its answers; of
several at once it is that of one.
"""

from __future__ import annotations

import argparse
import re
import shutil
import tempfile
from pathlib import Path

import yaml

from benchmarks.campaign import command
from tests.integration._remote import KEY, card
from tests.integration._server import in_process

LATENCY_S, IN_FLIGHT, N_SAMPLES = 1.0, 16, 48
ARGUMENTS = {
    "one": ("--workers", "1"),
    "processes": (),
    "dask": ("--runner", "dask", "--workers", "4"),
}


def made(folder: Path, url: str, names: list[str]) -> Path:
    """Return a project with these models."""
    root = folder / "project"
    command(folder, "init", str(root), "--example")
    for name in names:
        one = card(url, key_env="THE_KEY", model="fake-1", max_in_flight=IN_FLIGHT)
        content = {**one.model_dump(mode="json", exclude_none=True), "id": name}
        content["endpoint"]["body"] = {"user": name}
        (root / "models" / f"{name}.yaml").write_text(yaml.safe_dump(content), "utf-8")
    return root


def asked(root: Path, names: list[str], *arguments: str) -> tuple[float, int]:
    """Evaluate the models; return the seconds of asking, and the number of dialogues."""
    options = ("--samples", str(N_SAMPLES), "--timings", *arguments)
    said = command(root, "evaluate", *names, *options)
    found = re.search(r"cells side by side\s+([\d.]+)", said)
    n = re.search(r"support_tickets\.parquet: (\d+) dialogues", said)
    if not (found and n):
        raise SystemExit(said[-3000:])
    return float(found[1]), int(n[1])


def main() -> None:
    """Print a table of seconds and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=4)
    parser.add_argument("--runners", default=",".join(ARGUMENTS))
    given = parser.parse_args()
    names = [f"m{i}" for i in range(given.cells)]
    print(f"{given.cells} cells, {IN_FLIGHT} requests under way in each, {LATENCY_S:g} s an answer")
    print("| runner | asking, s | ideal, s | ratio |\n|---|---|---|---|")
    for runner in given.runners.split(","):
        with (
            tempfile.TemporaryDirectory() as folder,
            in_process(latency=LATENCY_S, key=KEY) as server,
        ):
            root = made(Path(folder), server.url, names)
            seconds, n = asked(root, names, *ARGUMENTS[runner])
            ideal = 2 * n / IN_FLIGHT * LATENCY_S * (given.cells if runner == "one" else 1)
            print(f"| {runner} | {seconds:.1f} | {ideal:.1f} | {seconds / ideal:.2f} |", flush=True)
            shutil.rmtree(root)


if __name__ == "__main__":
    main()
