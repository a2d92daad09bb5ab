"""How fast two-turn dialogues with a server are held, the durable store included.

    .venv/bin/python benchmarks/remote_dialogues.py
    .venv/bin/python benchmarks/remote_dialogues.py --peer-python PEER/bin/python

The server is a separate process on this machine that answers after 100 ms. With --peer-python (a
Python that has inspect_ai and openai installed) inspect_ai holds the same dialogues with the same
server in the same run, with its default log.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from escalometer.config import ModelCard, Workspace
from escalometer.dialogue.elicitation.engine import Engine
from escalometer.dialogue.elicitation.rows import Answering
from escalometer.dialogue.elicitation.store import open_store
from escalometer.dialogue.providers import connect

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks._dialogues import dialogues  # noqa: E402
from tests.integration._server import in_process  # noqa: E402

PEER = """
import json, os, sys, tempfile, time
url, n, in_flight, log = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
os.environ["OPENAI_API_KEY"] = "none"
os.environ["INSPECT_LOG_DIR"] = log
pairs = [json.loads(line) for line in open(sys.argv[5])]
from inspect_ai import Task, eval
from inspect_ai.dataset import Sample
from inspect_ai.model import ChatMessageUser, get_model
from inspect_ai.solver import solver

@solver
def two_turns():
    async def solve(state, generate):
        state = await generate(state)
        state.messages.append(ChatMessageUser(content=state.metadata["second"]))
        return await generate(state)
    return solve

samples = [Sample(input=a, metadata={"second": b}) for a, b in pairs]
model = get_model("openai-api/local/m", base_url=url, api_key="none", responses_api=False)
began = time.monotonic()
(log,) = eval(Task(dataset=samples, solver=two_turns()), model=model, max_connections=in_flight,
              max_samples=in_flight, max_tokens=64, temperature=0, display="none", log_dir=log)
assert log.status == "success", log.error
assert len(log.samples) == n
print(time.monotonic() - began)
"""


def ours(url: str, n: int, in_flight: int, folder: Path) -> tuple[float, float]:
    """Return seconds, and seconds of processor time, that `n` dialogues took."""
    card = ModelCard.model_validate(
        {
            "id": "m",
            "title": "m",
            "provider": "openai",
            "licence": "none",
            "context": 8192,
            "endpoint": {"base_url": url, "model": "m", "max_in_flight": in_flight},
        }
    )
    provider = connect(card, Workspace(folder, folder, folder / "store.sqlite"))
    store = open_store(folder / "store.sqlite")
    engine = Engine(provider, store, Answering(64, False, "last"))
    used = resource.getrusage(resource.RUSAGE_SELF)
    began = time.monotonic()
    rows = engine.hold(engine.plan(dialogues(n)), lambda *_: None)
    took = time.monotonic() - began
    now = resource.getrusage(resource.RUSAGE_SELF)
    if len(store) != 2 * n or {row["status"] for row in rows} != {"ok"}:
        sys.exit(f"{len(store)} answers kept; statuses: { ({row['status'] for row in rows}) }")
    store.close()
    return took, now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime


def main() -> None:
    """Run both sides and print their times."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--dialogues", type=int, default=2000)
    parser.add_argument("--in-flight", type=int, default=100)
    parser.add_argument("--latency", type=float, default=0.1)
    parser.add_argument("--peer-python")
    given = parser.parse_args()
    ideal = 2 * given.dialogues * given.latency / given.in_flight
    n = given.dialogues
    with in_process(latency=given.latency) as server, tempfile.TemporaryDirectory() as where:
        print(f"{n} two-turn dialogues, {given.in_flight} in flight, {given.latency:g} s an answer")
        print(f"ideal          {ideal:6.2f} s")
        took, cpu = ours(server.url, n, given.in_flight, Path(where))
        print(f"escalometer    {took:6.2f} s  {took / ideal:5.2f} × the ideal, {cpu:.2f} s of CPU")
        if given.peer_python:
            pairs = Path(where) / "pairs.jsonl"
            from escalometer.dialogue.protocol import first_turn, second_turn

            with pairs.open("w") as file:
                for d in dialogues(n):
                    turns = (
                        first_turn(d.protocol, d.task, d.scenario, d.signal),
                        second_turn(d.protocol, d.task),
                    )
                    file.write(json.dumps(turns) + "\n")
            command = [given.peer_python, "-c", PEER, server.url, str(n), str(given.in_flight)]
            done = subprocess.run(  # noqa: S603 - asked for on the command line
                [*command, str(Path(where) / "log"), str(pairs)],
                capture_output=True,
                text=True,
                check=False,
                env={**os.environ, "PYTHONWARNINGS": "ignore"},
            )
            if done.returncode:
                sys.exit(done.stderr[-2000:])
            peer = float(done.stdout.split()[-1])
            print(f"inspect_ai     {peer:6.2f} s  {peer / took:5.2f} × escalometer's time")


if __name__ == "__main__":
    main()
