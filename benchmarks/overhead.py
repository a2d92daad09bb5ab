"""Overhead of an evaluation: processor time, wall time and peak memory besides asking.

    python -m benchmarks.overhead                       # 1 model x 2 domains: about 3 minutes
    python -m benchmarks.overhead --cells 15x7          # the price of a further cell
    python -m benchmarks.overhead --project OTHER       # another checkout, before or after a change

A hosted model of a server on loopback, which answers at once, is evaluated in a fresh clone: a
first run, a second one that has nothing to do, a dry run, one in which a parameter of the analysis
changed. Processor time is that of all processes of the command together. `--timings` prints where
it went.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from benchmarks._used import Used
from tests.integration._remote import KEY, card
from tests.integration._server import in_process

ROOT = Path(__file__).resolve().parents[1]
#: Without a download; further domains are copies of the example.
EMBEDDED = ("hmda_mortgages", "movielens")
EXAMPLE = Path("examples") / "support_tickets"
INTERVENTIONS = "baseline,no_signal"
N_SAMPLES = 20  # of 6 conditions x 2 interventions: 240 dialogues a domain


def run(project: Path, *arguments: str) -> Used:
    """Run `escalometer ARGUMENTS` in a project, and return what all its processes used."""
    environment = {**os.environ, "PYTHONPATH": str(project), "THE_KEY": KEY}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    for name in ("PREFECT_API_URL", "PYTHONDONTWRITEBYTECODE"):  # as a person's shell has it
        environment.pop(name, None)
    began = time.monotonic()
    with (project / "log.txt").open("ab") as log:
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "escalometer", *arguments],
            cwd=project,
            env=environment,
            stdout=log,
            stderr=log,
        )
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        text = (project / "log.txt").read_text("utf-8")
        raise SystemExit(f"escalometer {' '.join(arguments)} failed:\n{text[-4000:]}")
    wall_s = time.monotonic() - began
    processor_s = usage.ru_utime + usage.ru_stime
    return Used(processor_s, wall_s, usage.ru_maxrss * 1024, "one process")


def prepare(project: Path, url: str, n_models: int, n_domains: int) -> tuple[list[str], list[str]]:
    """Write cards and domains into a clone, and return their names."""
    models = [f"remote-{i}" for i in range(n_models)]
    for name in models:
        content = card(url, key_env="THE_KEY").model_dump(mode="json", exclude_unset=True)
        content |= {"id": name}
        (project / "models" / f"{name}.yaml").write_text(yaml.safe_dump(content), "utf-8")
    domains = list(EMBEDDED[:n_domains])
    for i in range(n_domains - len(domains)):
        name = f"tickets_{i}"
        shutil.copy(project / EXAMPLE / "support_tickets_generated.csv", project / "domains")
        shutil.copy(
            project / EXAMPLE / "support_tickets.yaml", project / "domains" / f"{name}.yaml"
        )
        domains.append(name)
    return models, domains


def main() -> None:
    """Print what each of the commands used."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", default="1x2", help="models x domains")
    parser.add_argument("--project", type=Path, default=ROOT, help="a checkout; this one")
    parser.add_argument("--timings", action="store_true", help="print where the time went")
    options = parser.parse_args()
    n_models, n_domains = map(int, options.cells.split("x"))
    with tempfile.TemporaryDirectory() as folder, in_process(key=KEY) as server:
        project = Path(folder) / "project"
        subprocess.run(  # noqa: S603
            ["git", "clone", "-q", str(options.project), str(project)],  # noqa: S607
            check=True,
        )
        models, domains = prepare(project, server.url, n_models, n_domains)
        command = ["evaluate", *models, "--domains", ",".join(domains), "--max-cost", "100"]
        command += ["--interventions", INTERVENTIONS, "--samples", str(N_SAMPLES)]
        extra = ["--timings"] if options.timings else []
        cells = f"{n_models} x {n_domains} cells"
        print(f"{cells}, first run     {run(project, *command, *extra)}", flush=True)
        if options.timings:
            print((project / "log.txt").read_text("utf-8").rpartition("Timings")[2], flush=True)
        print(f"{cells}, second run    {run(project, *command)}", flush=True)
        print(f"{cells}, dry run       {run(project, *command, '--dry-run')}", flush=True)
        changed = [*command, "--cost-ratios", "2,4,8"]
        print(f"{cells}, other ratios  {run(project, *changed)}", flush=True)


if __name__ == "__main__":
    main()
