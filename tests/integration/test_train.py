"""From scenarios to an adapter with a real (tiny) model: data, its suite, training, resuming."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from transformers import AutoTokenizer

from escalometer.config import Params, Workspace, load_params
from escalometer.errors import DataError, ProviderError, UsageError
from escalometer.schema import EXAMPLES, SCENARIOS, read_table
from escalometer.stages import targets, train, validate
from escalometer.training.held_out import UNTRAINED_PERCENTS, UNTRAINED_RATIOS
from escalometer.training.prefix_trees import IGNORED, encode
from tests.conftest import ROOT, read_json, tiny_card, workspace
from tests.integration._harbour import write_domain

RECIPE = {
    "rank": 4,
    "alpha": 8,
    "dropout": 0.1,
    "learning_rate": 0.01,
    "n_examples": 96,
    "n_branches": 4,
    "batch_size": 4,
    "max_length": 2000,
    "drill_share": 0.5,
}


def project(root: Path, weights: Path, **adapter: object) -> tuple[Params, Workspace]:
    """A project with an adapter `keel` to train: of `north`, with `south` held out."""
    for domain in ("north", "south"):
        write_domain(root, domain)
    shutil.copytree(ROOT / "expectations", root / "expectations")
    (root / "models").mkdir()
    card = {**tiny_card(weights), "training": RECIPE}
    (root / "models" / "tiny.yaml").write_text(yaml.safe_dump(card), "utf-8")
    params = {
        "seed": 5,
        "models": ["tiny"],
        "domains": ["north", "south"],
        "train": {"adapters": {"keel": {"model": "tiny", "holdout": "south", **adapter}}},
    }
    (root / "params.yaml").write_text(yaml.safe_dump(params), "utf-8")
    return load_params(root / "params.yaml"), workspace(root)


def examples(place: Workspace) -> list[dict]:
    path = place.root / "data" / "targets" / "keel" / "examples.parquet"
    return read_table(path, EXAMPLES).to_pylist()


def test_examples_come_from_the_train_split_alone_and_pass_their_suite(
    tmp_path, tiny_weights, monkeypatch, capsys
):
    params, place = project(tmp_path, tiny_weights)
    targets.run("keel", params, place)
    rows = examples(place)
    kinds = Counter(row["kind"] for row in rows)
    assert kinds == {"decide": 48, "drill": 48, "predict": 12}
    scenarios = read_table(
        tmp_path / "data" / "scenarios" / "north" / "scenarios.parquet", SCENARIOS
    ).to_pylist()
    trained = {row["scenario_id"] for row in rows if row["scenario_id"]}
    assert trained
    # By scenario: no text of the eval or the signal split stands in any conversation.
    assert trained <= {row["scenario_id"] for row in scenarios if row["split"] == "train"}
    said = " ".join(m["content"] for row in rows for m in row["messages"])
    for row in scenarios:
        if row["split"] != "train":
            assert row["text"] not in said
    assert {row["domain"] for row in rows} == {"north", None}
    assert not {row["percent"] for row in rows} & set(UNTRAINED_PERCENTS)
    assert not {row["cost_ratio"] for row in rows} & set(UNTRAINED_RATIOS)
    # Turn 2 follows the model's own first answer, which is an example as well.
    own = {row["tree"]: row["target"] for row in rows if row["kind"] == "predict"}
    for row in rows:
        if row["kind"] == "decide":
            assert row["messages"][1] == {"role": "assistant", "content": own[row["tree"]]}
    monkeypatch.chdir(tmp_path)
    validate.run("targets:keel", params)
    document = read_json(tmp_path / "data" / "validation" / "targets-keel.json")
    assert document["tables"][0]["success"] is True
    # A second run asks nothing, and comes to the same examples.
    targets.run("keel", params, place)
    assert examples(place) == rows
    said = capsys.readouterr().err
    assert "12/12 answers (12 without a call)" in said


@pytest.mark.parametrize(
    ("column", "change", "message"),
    [
        ("target", lambda t: t.replace("= ", "= 1", 1), "arithmetic must be right"),
        ("target", lambda t: t[:-1] + ("0" if t[-1] == "1" else "1"), "decide as the rule says"),
        ("target", lambda t: t + " or so", "end with its marker"),
        ("escalate", lambda e: 1 - e, "escalate must be what the target decides"),
        ("split", lambda _: "eval", "from the train split"),
        ("scenario_id", lambda _: "north1", "never one to evaluate on"),
        ("cost_ratio", lambda _: 6.0, "must not be trained on"),
    ],
)
def test_examples_that_are_wrong_are_refused(
    column, change, message, tmp_path, tiny_weights, monkeypatch, good_examples
):
    params, _ = project(tmp_path, tiny_weights)
    rows = [dict(row) for row in good_examples]
    broken = next(row for row in rows if row["kind"] == "decide")
    broken[column] = change(broken[column])
    path = tmp_path / "data" / "targets" / "keel" / "examples.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows, EXAMPLES), path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=message):
        validate.run("targets:keel", params)
    assert not (tmp_path / "data" / "validation" / "targets-keel.json").exists()


@pytest.fixture(scope="module")
def good_examples(tiny_weights, tmp_path_factory) -> list[dict]:
    root = tmp_path_factory.mktemp("good")
    params, place = project(root, tiny_weights)
    targets.run("keel", params, place)
    return examples(place)


@pytest.mark.parametrize(
    ("adapter", "check"),
    [
        ({"targets": "label"}, lambda r: r["target"] in ("DECISION: 0", "DECISION: 1")),
        ({"signals": "none"}, lambda r: "% sailed" not in r["messages"][0]["content"]),
        ({"signals": "stated"}, lambda r: r["percent"] in (55, 75, 95)),
        ({"cost_ratios": [4, 10]}, lambda r: r["cost_ratio"] in (4, 10)),
        ({"framings": ["words"]}, lambda r: r["framing"] == "words"),
        ({"method": "dpo"}, lambda r: r["rejected"][-1] != r["target"][-1]),
    ],
)
def test_options_change_what_is_taught(adapter, check, tmp_path, tiny_weights, monkeypatch):
    params, place = project(tmp_path, tiny_weights, n_examples=16, **adapter)
    targets.run("keel", params, place)
    decisions = [row for row in examples(place) if row["kind"] == "decide"]
    assert decisions
    assert all(check(row) for row in decisions)
    if adapter.keys() & {"targets", "method"} or adapter == {"signals": "none"}:
        monkeypatch.chdir(tmp_path)  # their suite is the same; a quarter of a minute each
        validate.run("targets:keel", params)


PROGRAM = """
from escalometer.config import load_params
from escalometer.stages import train
from tests.conftest import workspace
from pathlib import Path
train.run("keel", load_params(), workspace(Path.cwd()))
"""


def start(root: Path) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-c", PROGRAM], cwd=root, env=environment)


@pytest.mark.slow
def test_a_killed_training_goes_on_and_comes_to_the_same_adapter(
    tmp_path, tiny_weights, good_examples
):
    made = {}
    for name in ("whole", "killed"):
        root = tmp_path / name
        project(root, tiny_weights)
        path = root / "data" / "targets" / "keel" / "examples.parquet"
        path.parent.mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(good_examples, EXAMPLES), path)
        if name == "killed":
            process = start(root)
            deadline = time.monotonic() + 120
            while not list(root.glob("training/keel-*/checkpoints/*/trainer_state.json")):
                assert process.poll() is None, "it ended before it could be killed"
                assert time.monotonic() < deadline
                time.sleep(0.005)
            process.send_signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
            assert not (root / "models" / "adapters" / "keel").exists()
        assert start(root).wait() == 0
        made[name] = root / "models" / "adapters" / "keel"
    records = {name: json.loads((made[name] / "training.json").read_text()) for name in made}
    assert records["whole"]["n_steps"] == 24
    assert records["killed"]["loss"] == records["whole"]["loss"]
    weights = {name: (made[name] / "adapter_model.safetensors").read_bytes() for name in made}
    assert weights["killed"] == weights["whole"]
    # One run in MLflow, with a curve of all steps, each once.
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'killed' / 'mlflow.db'}")
    run_id = records["killed"]["mlflow"]["run_id"]
    steps = [metric.step for metric in client.get_metric_history(run_id, "loss")]
    assert sorted(steps) == list(range(1, 25))
    assert not list((tmp_path / "killed").glob("training/*"))  # its checkpoints are not needed


@pytest.mark.slow
@pytest.mark.parametrize("adapter", [{"method": "dpo"}, {"shares_prefixes": False}])
def test_pairs_and_separate_examples_train_an_adapter_too(
    adapter, tmp_path, tiny_weights, monkeypatch
):
    params, place = project(tmp_path, tiny_weights, n_examples=16, **adapter)
    targets.run("keel", params, place)
    train.run("keel", params, place)
    folder = tmp_path / "models" / "adapters" / "keel"
    assert (folder / "adapter_model.safetensors").exists()
    assert read_json(folder / "training.json")["n_steps"] > 0


def test_what_memory_cannot_hold_is_not_begun(tmp_path, tiny_weights, good_examples, monkeypatch):
    params, place = project(tmp_path, tiny_weights)
    path = tmp_path / "data" / "targets" / "keel" / "examples.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(good_examples, EXAMPLES), path)
    monkeypatch.setattr("escalometer.dialogue.providers.local.loading.free_bytes", lambda _: 1000)
    with pytest.raises(ProviderError, match="lower n_branches, rank or n_layers"):
        train.run("keel", params, place)


def test_an_adapter_that_params_do_not_name_is_an_error(tmp_path, tiny_weights):
    params, place = project(tmp_path, tiny_weights)
    with pytest.raises(UsageError, match="keel"):
        targets.run("kiel", params, place)


def test_brief_first_answers_pass_the_suite_and_drills_learn_their_first_marker(
    tmp_path, tiny_weights, monkeypatch
):
    params, place = project(tmp_path, tiny_weights, first_answers="brief")
    targets.run("keel", params, place)
    rows = examples(place)
    assert {row["kind"] for row in rows} == {"decide", "drill_both", "predict"}
    assert all(
        re.fullmatch(r"PREDICTION: \w", row["target"]) for row in rows if row["kind"] == "predict"
    )
    monkeypatch.chdir(tmp_path)
    validate.run("targets:keel", params)  # raises if a row is not as the suite says
    tokenizer = AutoTokenizer.from_pretrained(tiny_weights)
    row = next(row for row in rows if row["kind"] == "drill_both")
    encoded = encode(row, tokenizer)
    learned = tokenizer.decode([label for label in encoded.labels if label != IGNORED])
    assert learned == f"PREDICTION:{row['target']}<|im_end|>"
