"""Parts that tests share: a small real model, a project to run in, the data beside the project."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from escalometer.config import Workspace
from tests.postgresql_server import Server, serving

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and enable_thinking %}<think>{% endif %}{% endif %}"
)


def pytest_configure() -> None:
    """Heed Ctrl-C where a shell's background job ignores it: what tests start inherits that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)  # of xdist
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With `--dist loadfile`, run all of tests/e2e in one worker, as if it were one file.

    Fixtures of a session exist once a worker, and end-to-end tests share an evaluated project.
    """
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return "tests/e2e" if file.startswith("tests/e2e/") else file

    return ByFile(config, log)


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real llama with random weights and a byte-level tokenizer, in the hub's layout."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tiny")
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = ["<|im_start|>", "<|im_end|>"]
    vocabulary = {token: i for i, token in enumerate([*special, *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|im_end|>",
        additional_special_tokens=special,
    )
    fast.chat_template = CHAT_TEMPLATE
    fast.save_pretrained(folder)
    torch.manual_seed(7)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
        initializer_range=0.6,  # large, so that greedy choices are far from ties
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture
def tiny_adapter(tiny_weights: Path, tmp_path: Path) -> Path:
    """A LoRA adapter of the tiny model, random and strong, in models/adapters/careful."""
    return random_adapter(tiny_weights, tmp_path / "models" / "adapters" / "careful")


def random_adapter(tiny_weights: Path, folder: Path) -> Path:
    """Write a LoRA adapter of the tiny model, random and strong, into `folder`; return that."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(11)
    model = AutoModelForCausalLM.from_pretrained(tiny_weights, dtype=torch.float32)
    config = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM")
    tuned = get_peft_model(model, config)
    for name, weight in tuned.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.3)
    tuned.save_pretrained(folder)
    return folder


def tiny_card(weights: Path) -> dict[str, object]:
    """The content of a model card for `tiny_weights`."""
    return {
        "id": "tiny",
        "title": "Tiny random llama",
        "provider": "local",
        "licence": "Apache-2.0",
        "source": {"kind": "folder", "path": str(weights)},
        "context": 4096,
        "price": {"input_usd_per_million": 1.0, "output_usd_per_million": 2.0},
    }


def workspace(folder: Path, **secrets: str) -> Workspace:
    """A workspace with all its parts in `folder`."""
    return Workspace(folder, folder, folder / "completions.sqlite", secrets)


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory, tiny_weights: Path) -> Path:
    """A project as a fresh clone has it, to copy or to read: no test changes it."""
    return clean_clone(tmp_path_factory.mktemp("clone") / "project", tiny_weights)


@pytest.fixture
def project(tmp_path: Path, clone: Path) -> Path:
    """A copy of `clone` for one test."""
    return shutil.copytree(clone, tmp_path / "project")


def clean_clone(root: Path, tiny_weights: Path) -> Path:
    """Make a project at `root`, as a fresh clone has it, with the tiny model for a default."""
    root.mkdir()
    for name in ("sql", "expectations", "flows", "domains", "prompts"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    if (ROOT / "examples").exists():
        shutil.copytree(ROOT / "examples", root / "examples")
    # DVC's deps are files of the package: the clone has them too.
    shutil.copytree(
        ROOT / "escalometer", root / "escalometer", ignore=shutil.ignore_patterns("__pycache__")
    )
    (root / ".dvc").mkdir()
    for name in (".dvc/config", "dvc.yaml", ".gitignore"):
        shutil.copy(ROOT / name, root / name)
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["models"] = ["tiny"]
    params["domains"] = ["movielens", "hmda_mortgages"]
    params["sample"]["n_per_condition"] = 1
    params["query"]["interventions"] = ["baseline", "no_signal", "cost_framing"]
    params["query"]["max_tokens"] = 6
    params["gate"]["intervention"] = "baseline"
    params["analyze"]["n_bootstrap"] = 100
    params["track"]["n_traces"] = 1
    probes = params["train"]["probes"]
    params["train"]["probes"] = {**dict.fromkeys(probes, 2), "small": []}
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")
    (root / "models").mkdir()
    # It learns little and soon: byte by byte, texts are long.
    recipe = {"rank": 4, "alpha": 8, "n_branches": 4, "batch_size": 4, "max_length": 4000}
    card = {**tiny_card(tiny_weights), "training": recipe}
    (root / "models" / "tiny.yaml").write_text(yaml.safe_dump(card), "utf-8")
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-C", str(root)]
    subprocess.run([*git, "init", "-q", "--template="], check=True)
    subprocess.run([*git, "add", "-A"], check=True)
    subprocess.run([*git, "commit", "-qm", "A project"], check=True)
    subprocess.run([*git, "repack", "-adq"], check=True)  # few files, so that copies are quick
    return root


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """A PostgreSQL server; each test has a schema of its own in it."""
    with serving() as server:
        yield server


@pytest.fixture
def recorded() -> Path:
    """The folder of recorded decisions of real models, where it stands beside the project."""
    folder = SHARED / "recorded"
    if not folder.exists():
        pytest.skip(
            "../shared/recorded is not there: recorded decisions are not part of this project"
        )
    return folder


def read_json(path: Path) -> dict[str, object]:
    """The JSON document at `path`, strictly: NaN and infinities are refused."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{path} holds {constant}")

    document: dict[str, object] = json.loads(path.read_text("utf-8"), parse_constant=refuse)
    return document
