"""A campaign that the store has all answers of: time, peak memory and disk from store to report.

    python -m benchmarks.campaign                             # 4.9 million decisions: an hour
    python -m benchmarks.campaign --models 3 --domains 1      # 190,000 decisions

Models are asked on generated domains, each with 26 variants of the dialogue (baseline, no_signal,
and the stated cost in 4 wordings at 6 ratios) of 400 scenarios under each of 6 conditions. The
store is filled with generated answers first; the evaluation then asks nothing. `--timings` of the
command says what each stage took, the largest of its processes counts as its memory.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from escalometer.config import Workspace, load_card, load_params
from escalometer.dialogue.asking import open_engine
from escalometer.dialogue.cell import plan
from escalometer.dialogue.elicitation.keys import request_key
from escalometer.dialogue.elicitation.store import Entry, open_store
from escalometer.dialogue.providers import Completion, Request
from tests.integration._remote import KEY, card
from tests.integration._server import in_process

ROOT = Path(__file__).resolve().parents[1]
N_SAMPLES, N_ROWS = 400, 16_000
ANSWER = "The signal says that such customers are refunded more often than not. " * 3


def command(project: Path, *arguments: str) -> str:
    """Run `escalometer ARGUMENTS` in a project; return what it said on standard error."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "THE_KEY": KEY}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "escalometer", *arguments],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"escalometer {' '.join(arguments)}:\n{done.stderr[-4000:]}")
    return done.stderr


def prepare(project: Path, url: str, n_models: int, n_domains: int) -> tuple[list[str], list[str]]:
    """Make a project with cards and domains, and return their names."""
    command(project.parent, "init", str(project), "--example")
    models = [f"m{i}" for i in range(n_models)]
    for i, name in enumerate(models):
        content = card(url, key_env="THE_KEY").model_dump(mode="json", exclude_none=True)
        content["endpoint"]["body"] = {"seed": i}
        (project / "models" / f"{name}.yaml").write_text(
            yaml.safe_dump(content | {"id": name}), "utf-8"
        )
    domains = project / "domains"
    described = (domains / "support_tickets.yaml").read_text("utf-8")
    file = str(yaml.safe_load(described)["file"])
    header, *rows = (domains / file).read_text("utf-8").splitlines()
    value = header.split(",").index("order_value")
    names = []
    for i in range(n_domains):
        lines = [header]
        for n in range(N_ROWS):
            fields = rows[n % len(rows)].split(",")
            fields[0], fields[1] = f"T{i}-{n}", f"C{i}-{n}"
            fields[value] = f"{float(fields[value]) + n // len(rows) * 0.07 + i * 0.01:.2f}"
            lines.append(",".join(fields))
        name = f"tickets_{i}"
        (domains / f"{name}.csv").write_text("\n".join(lines) + "\n", "utf-8")
        (domains / f"{name}.yaml").write_text(described.replace(file, f"{name}.csv"), "utf-8")
        names.append(name)
    return models, names


def answer(key: str, request: Request) -> Completion:
    """Return an answer that depends on the key alone."""
    number = int(hashlib.sha256(key.encode()).hexdigest()[:8], 16) / 16**8
    choice = request.choices[min(len(request.choices) - 1, int(number * len(request.choices)))]
    return Completion(f"{ANSWER}{request.marker} {choice}", "stop", 300, 60, 1.5)


def fill(project: Path, models: list[str], domains: list[str]) -> int:
    """Store the answers of all cells; return their number."""
    before = Path.cwd()
    os.chdir(project)
    try:
        params = load_params()
        place = Workspace(
            project,
            project / "cache",
            project / ".escalometer" / "completions.sqlite",
            {"THE_KEY": KEY},
        )
        store = open_store(place.store)
        for domain in domains:
            dialogues = plan(domain, params, project)
            for model in models:
                engine = open_engine(load_card(model), params, place, store)
                for _ in range(2):  # first turns; then second ones, which are known by now
                    entries = []
                    for request in engine.plan(dialogues).missing().values():
                        parameters = engine.parameters(request)
                        key = request_key(engine.identity, request, parameters)
                        entries.append(
                            Entry(key, engine.identity, request, parameters, answer(key, request))
                        )
                    store.put_all(entries)
        n = len(store)
        store.close()
    finally:
        os.chdir(before)
    return n


def gigabytes(folder: Path) -> float:
    """Return the size of a folder's files, each counted once."""
    sizes = {}
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            stat = path.stat()
            sizes[stat.st_ino] = stat.st_size
    return sum(sizes.values()) / 1e9


def main() -> None:
    """Print what each stage used."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--models", type=int, default=13)
    parser.add_argument("--domains", type=int, default=6)
    parser.add_argument("--runner", default="processes")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, in_process(key=KEY) as server:
        project = Path(folder) / "project"
        models, domains = prepare(project, server.url, given.models, given.domains)
        arguments = ["evaluate", *models, "--domains", ",".join(domains)]
        arguments += ["--samples", str(N_SAMPLES), "--interventions"]
        arguments += ["baseline,no_signal,cost_framing", "--cost-ratios", "2,4,8,10,20,50"]
        params = yaml.safe_load((project / "params.yaml").read_text("utf-8"))
        params["query"] |= {"framings": ["ratio", "dollars", "words", "plain"]}
        params["query"] |= {"force_answer": False}
        params["sample"] |= {"n_conditions": 6}
        (project / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), "utf-8")
        command(project, *arguments, "--dry-run")
        began = time.monotonic()
        n = fill(project, models, domains)
        print(f"{n:,} answers stored in {time.monotonic() - began:.0f} s", flush=True)
        began = time.monotonic()
        said = command(project, *arguments, "--timings", "--runner", given.runner)
        print(f"evaluation: {time.monotonic() - began:.0f} s; asked: {server.state()['n_asked']}")
        rows = [line for line in said.splitlines() if ".parquet: " in line]
        total = sum(int(line.split(": ")[1].split()[0]) for line in rows)
        print(f"{total:,} decisions in {len(rows)} cells")
        print(said[said.rindex("Timings") if "Timings" in said else 0 :])
        for name in (".escalometer", "data", ".dvc", "mlflow.db"):
            path = project / name
            size = gigabytes(path) if path.is_dir() else path.stat().st_size / 1e9
            print(f"disk, {name}: {size:.2f} GB")


if __name__ == "__main__":
    main()
