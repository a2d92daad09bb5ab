"""Executions of one training learn the same: precision, checkpointing, packing, processes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from escalometer.config import Recipe
from escalometer.stages import targets
from escalometer.training import trainer
from escalometer.training.execution import Execution
from tests.conftest import ROOT, read_json
from tests.integration._training_process import RECIPE, fit, trees
from tests.integration.test_train import project

Log = list[dict[str, float]]
Weights = dict[str, torch.Tensor]


def trained(
    weights: Path, folder: Path, execution: Execution, **recipe: Any
) -> tuple[Log, Weights]:
    log = fit(weights, folder, execution, **recipe)
    return log, load_file(folder / "adapter" / "adapter_model.safetensors")


@pytest.fixture(scope="module")
def plain(tiny_weights, tmp_path_factory) -> tuple[Log, Weights]:
    """The training in float32, one tree at a time, in one process."""
    return trained(tiny_weights, tmp_path_factory.mktemp("plain"), Execution())


def assert_same(
    found: tuple[Log, Weights], expected: tuple[Log, Weights], tolerance: float
) -> None:
    assert len(found[0]) == len(expected[0]) == 4
    for step, reference in zip(found[0], expected[0], strict=True):
        assert step["loss"] == pytest.approx(reference["loss"], rel=tolerance)
        assert step["grad_norm"] == pytest.approx(reference["grad_norm"], rel=10 * tolerance)
    assert found[1].keys() == expected[1].keys()
    for name, weight in expected[1].items():
        assert found[1][name].dtype == torch.float32
        difference = (found[1][name] - weight).norm() / weight.norm()
        assert difference < 30 * tolerance, name


@pytest.mark.parametrize(
    "execution",
    [
        Execution(trees_at_a_time=4),
        Execution(trees_at_a_time=2, gradient_checkpointing=True),
    ],
)
def test_packing_and_checkpointing_learn_the_same(tiny_weights, plain, execution, tmp_path):
    assert_same(trained(tiny_weights, tmp_path, execution), plain, 1e-5)


def test_checkpointing_alone_changes_no_digit(tiny_weights, plain, tmp_path):
    log, weights = trained(tiny_weights, tmp_path, Execution(gradient_checkpointing=True))
    assert [step["loss"] for step in log] == [step["loss"] for step in plain[0]]
    assert all(torch.equal(weights[name], plain[1][name]) for name in weights)


@pytest.mark.parametrize("trees_at_a_time", [1, 4])
def test_bfloat16_learns_the_same_within_its_precision(
    tiny_weights, plain, trees_at_a_time, tmp_path
):
    # A tree has logits of some tens here: 8 bits of mantissa leave about 1% of a loss of 10.
    found = trained(tiny_weights, tmp_path, Execution("bfloat16", trees_at_a_time=trees_at_a_time))
    assert_same(found, plain, 0.02)


def test_only_loras_weights_and_the_optimizers_state_are_in_float32(tiny_weights, tmp_path):
    made = trainer.make(
        AutoModelForCausalLM.from_pretrained(tiny_weights, dtype=torch.float32),
        AutoTokenizer.from_pretrained(tiny_weights),
        trees(4),
        Recipe(**RECIPE, n_layers=1),
        5,
        tmp_path,
        Execution("bfloat16", gradient_checkpointing=True),
    )
    made.train()
    assert made.model.is_gradient_checkpointing
    of = dict(made.model.named_parameters())
    assert {p.dtype for name, p in of.items() if "lora_" in name} == {torch.float32}
    assert {p.dtype for name, p in of.items() if "lora_" not in name} == {torch.bfloat16}
    assert {name.split(".layers.")[1][0] for name, p in of.items() if p.requires_grad} == {"1"}
    state = [x for one in made.optimizer.state.values() for x in one.values()]
    assert state
    assert {x.dtype for x in state} == {torch.float32}
    # Nothing is computed backwards below the layers that learn.
    embedded = made.model.get_input_embeddings()(torch.tensor([[1, 2]]))
    assert not embedded.requires_grad


def launch(folder: Path, config: dict[str, Any], *arguments: str) -> None:
    """Train in two processes, as `accelerate launch` starts them, over gloo."""
    file = folder / "accelerate.yaml"
    file.write_text(yaml.safe_dump({**config, "use_cpu": True}), encoding="utf-8")
    program = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(file)]
    rest = ["--main_process_port", "0", "-m", "tests.integration._training_process", *arguments]
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "ACCELERATE_USE_CPU": "true",
    }
    done = subprocess.run(
        [*program, *rest], env=environment, cwd=ROOT, timeout=250, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-4000:]


def launched(
    folder: Path, weights: Path, config: dict[str, Any], **settings: Any
) -> tuple[Log, Weights]:
    """Return the log and the adapter of a training in two processes."""
    launch(folder, config, str(weights), str(folder), json.dumps(settings))
    log: Log = json.loads((folder / "log.json").read_text(encoding="utf-8"))
    return log, load_file(folder / "adapter" / "adapter_model.safetensors")


def fsdp2() -> dict[str, Any]:
    text = (ROOT / "examples" / "accelerate" / "fsdp2.yaml").read_text(encoding="utf-8")
    config: dict[str, Any] = yaml.safe_load(text)
    return config


REPLICATED = {
    "compute_environment": "LOCAL_MACHINE",
    "distributed_type": "MULTI_GPU",  # of CPUs, by `use_cpu`: MULTI_CPU would want MPI
    "num_machines": 1,
    "num_processes": 2,
    "mixed_precision": "no",
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "settings"),
    [
        (fsdp2(), {"n_shards": 2}),
        (fsdp2(), {"n_shards": 2, "trees_at_a_time": 2, "gradient_checkpointing": True}),
        (REPLICATED, {}),
    ],
    ids=["fsdp2", "fsdp2-packed-checkpointed", "replicated"],
)
def test_two_processes_learn_what_one_learns(config, settings, tiny_weights, plain, tmp_path):
    found = launched(tmp_path, tiny_weights, config, n_processes=2, **settings)
    assert_same(found, plain, 1e-5)


@pytest.mark.slow
def test_two_processes_with_parts_of_the_model_in_bfloat16(tiny_weights, plain, tmp_path):
    settings = {"n_processes": 2, "n_shards": 2, "precision": "bfloat16"}
    assert_same(launched(tmp_path, tiny_weights, fsdp2(), **settings), plain, 0.02)


@pytest.mark.slow
def test_parts_of_the_model_resume_from_their_checkpoint(tiny_weights, tmp_path):
    folders = {name: tmp_path / name for name in ("whole", "killed")}
    adapters = {}
    for name, folder in folders.items():
        folder.mkdir()
        settings = {"n_processes": 2, "n_shards": 2, "n_trees": 48}  # 12 steps, saved after 10
        log, adapters[name] = launched(folder, tiny_weights, fsdp2(), **settings)
        assert len(log) == 12
        if name == "killed":
            shutil.rmtree(folder / "adapter")
            shutil.rmtree(folder / "checkpoints" / "checkpoint-12")
            log, adapters[name] = launched(folder, tiny_weights, fsdp2(), **settings)
            assert len(log) == 2
    for key, weight in adapters["whole"].items():
        torch.testing.assert_close(adapters["killed"][key], weight, rtol=1e-5, atol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("config", [fsdp2(), REPLICATED], ids=["fsdp2", "replicated"])
def test_the_stage_trains_in_two_processes_and_the_first_writes(config, tiny_weights, tmp_path):
    params, place = project(tmp_path, tiny_weights, n_examples=32)
    targets.run("keel", params, place)
    launch(tmp_path, config, "stage", str(tmp_path))
    record = read_json(tmp_path / "models" / "adapters" / "keel" / "training.json")
    assert record["execution"] == {
        "precision": "float32",
        "gradient_checkpointing": False,
        "trees_at_a_time": 1,
        "n_processes": 2,
        "n_shards": 2 if config is not REPLICATED else 1,
    }
    assert record["n_steps"] > 0
    assert not list((tmp_path / "training").glob("*"))
