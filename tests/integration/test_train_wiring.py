"""`escalometer train`: what it refuses, what it writes, which stages DVC makes of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from escalometer.commands import _flows
from escalometer.config import load_card, load_params
from escalometer.dialogue.providers.local.adapters import digest
from escalometer.documents.probes import Probe, Probes, ProbeScore
from escalometer.errors import ProviderError, UsageError
from escalometer.layout import adapter_files, probes_file
from escalometer.operations import adapter_results
from escalometer.pipeline import FINE_TUNING, bring_up_to_date, stage_addresses
from escalometer.runtime.files import digest_of_files
from escalometer.training import adapters
from tests import command_line
from tests.command_line import BIN
from tests.conftest import ROOT, tiny_card
from tests.unit.grown_probes import grown_probes


def run(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return command_line.run(root, "train", *arguments)


def edit(root: Path, **train: object) -> None:
    path = root / "params.yaml"
    params = yaml.safe_load(path.read_text("utf-8"))
    params["train"].update(train)
    path.write_text(yaml.safe_dump(params, sort_keys=False), "utf-8")


def with_cards(project: Path, tiny_weights: Path) -> Path:
    """Add a remote model, a tuned one, and one with a dot in its name to a project."""
    remote = {
        "id": "remote",
        "title": "Remote",
        "provider": "openai",
        "licence": "theirs",
        "endpoint": {"base_url": "http://127.0.0.1:9/v1", "model": "m"},
        "context": 100,
    }
    basis = tiny_card(tiny_weights)
    for card in (remote, {**basis, "id": "done", "adapter": "other"}, {**basis, "id": "tiny2.5"}):
        (project / "models" / f"{card['id']}.yaml").write_text(yaml.safe_dump(card), "utf-8")
    return project


def in_place_of_the_flow(project: Path, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `train` run other code than that of flows/finetune.py."""
    folder = project / "other_flows"
    folder.mkdir()
    (folder / "finetune.py").write_text(code, "utf-8")
    monkeypatch.setattr(_flows, "folder_path", lambda _: folder)


@pytest.fixture
def more_cards(project, tiny_weights) -> Path:
    return with_cards(project, tiny_weights)


@pytest.fixture(scope="module")
def untouched(tmp_path_factory, clone, tiny_weights) -> Path:
    """Such a project for commands that must change nothing."""
    root = shutil.copytree(clone, tmp_path_factory.mktemp("untouched") / "project")
    return with_cards(root, tiny_weights)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nope"], "unknown model 'nope'"),
        (["remote"], "only weights on this machine can be fine-tuned"),
        (["done"], "has an adapter already (other): fine-tune its base"),
        (["tiny", "--name", "tiny"], "is the base model itself"),
        (["tiny", "--name", "remote"], "is the card of another model: choose another"),
        (["tiny", "--name", "done"], "is the card of another model: choose another"),
        (["tiny", "--name", "a.b"], "train.adapters.a.b"),
        (["tiny", "--name", "../a"], "train.adapters"),
        (["tiny", "--holdout", "movielense"], "Did you mean 'movielens'?"),
        (["tiny", "--holdout", "lending_club"], "add it to `domains` to hold it out"),
        (["tiny", "--domains", "lending_club"], "add it to `domains` to train on it"),
        (["tiny", "--domains", "movielens"], "is held out and cannot be trained on"),
        (
            ["tiny", "--cost-ratios", "4,6"],
            "6 is reserved for probes and cannot be trained on (reserved: 3, 6, 15, 30)",
        ),
        (["tiny", "--cost-ratios", "1"], "numbers above 1, found 1"),
        (["tiny", "--cost-ratios", "four"], "numbers above 1"),
        (["tiny", "--framings", "euros"], "'euros' is reserved for probes"),
        (["tiny", "--framings", "dolars"], "Did you mean 'dollars'?"),
        (["tiny", "--examples", "7"], "--examples"),
        (["tiny", "--method", "rl"], "--method"),
        ([], "MODEL"),
    ],
)
def test_wrong_usage_is_known_before_anything_begins(untouched, arguments, said):
    before = {
        path: path.read_bytes()
        for path in (untouched / "params.yaml", *(untouched / "models").iterdir())
    }
    done = run(untouched, *arguments)
    assert done.returncode == 3, done.stderr
    assert said in done.stderr
    assert done.stdout == ""
    assert set((untouched / "models").iterdir()) < set(before)
    assert all(path.read_bytes() == content for path, content in before.items())
    assert not (untouched / ".escalometer").exists()


def test_no_domain_is_left_to_train_on(project):
    path = project / "params.yaml"
    params = yaml.safe_load(path.read_text("utf-8"))
    path.write_text(yaml.safe_dump({**params, "domains": ["movielens"]}), "utf-8")
    done = run(project, "tiny")
    assert done.returncode == 3
    assert "names no other domain to train on" in done.stderr


def test_the_command_writes_an_entry_and_a_card_and_keeps_comments(more_cards, monkeypatch):
    text = (ROOT / "params.yaml").read_text("utf-8")
    domains = "domains: [movielens, hmda_mortgages]"
    text = text.replace("domains: [movielens]", domains)
    (more_cards / "params.yaml").write_text(text, "utf-8")
    in_place_of_the_flow(more_cards, "raise SystemExit(4)\n", monkeypatch)
    done = run(
        more_cards,
        "tiny2.5",
        *("--method", "dpo", "--signals", "stated", "--cost-ratios", "4,10", "--separate"),
        *("--probes", "small", "--drills", "0.25"),
    )
    assert done.returncode == 4, done.stderr  # that of the flow
    name = "tiny2-5-escalates-dpo-stated-signals"
    params = load_params(more_cards / "params.yaml")
    entry = params.train.adapters[name]
    assert entry.model_dump(exclude_defaults=True) == {
        "model": "tiny2.5",
        "domains": ("hmda_mortgages",),
        "method": "dpo",
        "signals": "stated",
        "cost_ratios": (4.0, 10.0),
        "drill_share": 0.25,
        "shares_prefixes": False,
    }
    probes = params.train.probes
    assert (probes.small, probes.of("another")) == ((name,), probes)
    few = {key: n for key, n in probes.of(name).model_dump(exclude={"small"}).items() if n}
    assert few == {
        "held_out_domain": 36,
        "untrained_ratios": 20,
        "untrained_wordings": 18,
        "n_scenarios": 1,
    }
    text = (more_cards / "params.yaml").read_text("utf-8")
    assert "# adapters of `escalometer train`, by name" in text
    card = load_card(name, more_cards / "models")
    base = load_card("tiny2.5", more_cards / "models")
    assert (card.adapter, card.adapter_sha256) == (name, None)
    assert (card.source, card.price, card.context) == (base.source, base.price, base.context)
    assert (card.counts_marker, card.answer_tokens) == ("first", adapters.ANSWER_TOKENS)
    # The same again changes nothing; what a person changed in the card stays.
    path = more_cards / "models" / f"{name}.yaml"
    path.write_text(path.read_text("utf-8") + "# mine\n", "utf-8")
    before = (text, path.read_text("utf-8"))
    run(
        more_cards,
        "tiny2.5",
        *("--method", "dpo", "--signals", "stated", "--cost-ratios", "4,10", "--separate"),
        *("--probes", "small", "--drills", "0.25"),
    )
    assert ((more_cards / "params.yaml").read_text("utf-8"), path.read_text("utf-8")) == before
    # Without the option they stay as they are; `full` puts them back.
    again = ("--name", name, "--method", "dpo", "--signals", "stated", "--cost-ratios", "4,10")
    again = (*again, "--drills", "0.25")
    run(more_cards, "tiny2.5", *again, "--separate")
    assert (more_cards / "params.yaml").read_text("utf-8") == text
    done = run(more_cards, "tiny2.5", *again, "--separate", "--probes", "full")
    assert done.returncode == 4, done.stderr
    assert load_params(more_cards / "params.yaml").train.probes.small == ()


def test_other_domains_to_evaluate_do_not_change_what_is_trained_on(project, monkeypatch):
    in_place_of_the_flow(project, "", monkeypatch)
    run(project, "tiny", "--probes", "none")
    path = project / "params.yaml"
    params = yaml.safe_load(path.read_text("utf-8"))
    more = {**params, "domains": ["lending_club", *params["domains"]]}
    path.write_text(yaml.safe_dump(more), "utf-8")
    before = path.read_bytes()
    done = run(project, "tiny", "--probes", "none")
    assert done.returncode == 0, done.stderr
    assert path.read_bytes() == before
    path.write_text(yaml.safe_dump({**params, "domains": ["movielens"]}), "utf-8")
    done = run(project, "tiny", "--probes", "none")
    assert done.returncode == 3
    assert "hmda_mortgages is not among the domains of params.yaml (movielens)" in done.stderr


def test_dvc_has_stages_for_each_adapter_and_evaluations_leave_them_out(project):
    none = stage_addresses(project)
    assert not {name(address) for address in none} & set(FINE_TUNING)
    edit(
        project,
        adapters={
            "first": {"model": "tiny", "holdout": "movielens"},
            "second": {"model": "tiny", "method": "dpo"},
        },
    )
    # As the command has it: the tuned model is asked, too.
    params = yaml.safe_load((project / "params.yaml").read_text("utf-8"))
    params["models"] = ["tiny", "first"]
    (project / "params.yaml").write_text(yaml.safe_dump(params), "utf-8")
    found = [address.rpartition(":")[2] for address in stage_addresses(project)]
    assert {a for a in found if name(a) in FINE_TUNING} == {
        f"{stage}@{adapter}" for stage in FINE_TUNING for adapter in ("first", "second")
    }
    # The card says which adapter it means, so what is asked comes after it is trained.
    assert found.index("seal@first") < found.index("query@first")
    needed = [a.rpartition(":")[2] for a in stage_addresses(project, of=["probe@first"])]
    assert needed[-6:] == [
        "validate_scenarios",
        "targets@first",
        "validate_targets@first",
        "train@first",
        "seal@first",
        "probe@first",
    ]
    assert {name(address) for address in needed[:-6]} == {"ingest", "validate_raw", "sample"}
    with pytest.raises(UsageError, match="lacks one of the stages probe@third"):
        stage_addresses(project, of=["probe@third"])
    listed = subprocess.run(
        [BIN / "dvc", "stage", "list", "--name-only"],
        cwd=project,
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(listed.stdout.split()) == set(found)


def name(address: str) -> str:
    return address.rpartition(":")[2].partition("@")[0]


@pytest.fixture
def trained(project, tiny_adapter, monkeypatch) -> Path:
    """A project whose adapter `careful` was trained, as far as DVC knows, but not sealed."""
    edit(project, adapters={"careful": {"model": "tiny", "domains": ["hmda_mortgages"]}})
    adapters.write_card("careful", "tiny", project)
    shutil.copytree(tiny_adapter, project / "models" / "adapters" / "careful")
    monkeypatch.chdir(project)
    monkeypatch.setenv("PATH", f"{BIN}{os.pathsep}{os.environ['PATH']}")
    return project


def test_another_adapter_makes_the_tuned_models_card_another_one(trained):
    assert bring_up_to_date(["seal@careful"])
    card = load_card("careful")
    folder = Path("models") / "adapters" / "careful"
    assert card.adapter_sha256 == digest_of_files(adapter_files(folder))
    text = Path("models/careful.yaml").read_text("utf-8")
    assert text.startswith("# Tuned: tiny with")
    assert not bring_up_to_date(["seal@careful"])
    about = json.loads((folder / "adapter_config.json").read_text("utf-8"))
    (folder / "adapter_config.json").write_text(json.dumps({**about, "lora_alpha": 16}), "utf-8")
    with pytest.raises(ProviderError, match="is not the one that models/careful"):
        digest(card, Path(), "sha256:…")
    assert bring_up_to_date(["seal@careful"])
    trained = digest_of_files(adapter_files(folder))
    assert load_card("careful").adapter_sha256 == trained != card.adapter_sha256
    with_digest = digest(load_card("careful"), Path(), "sha256:…")
    assert with_digest == f"careful@sha256:{digest_of_files(adapter_files(folder))}"
    # A price that a person puts in stays, and the stage with it.
    changed = Path("models/careful.yaml").read_text("utf-8").replace("2.0", "3.0")
    Path("models/careful.yaml").write_text(changed, "utf-8")
    bring_up_to_date(["seal@careful"])
    assert Path("models/careful.yaml").read_text("utf-8") == changed
    ignored = subprocess.run(
        ["git", "check-ignore", "models/adapters/careful", "models/careful.yaml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ignored.stdout.split() == ["models/adapters/careful"]


def test_a_card_of_something_else_is_not_sealed(trained):
    with pytest.raises(UsageError, match="is not a card of the adapter 'tiny'"):
        adapters.seal("tiny")
    shutil.rmtree(Path("models/adapters/careful"))
    with pytest.raises(ProviderError, match="lacks adapter_config"):
        adapters.seal("careful")


def test_a_report_is_behind_once_probes_have_come(tmp_path):
    page = tmp_path / "data" / "report" / "index.html"
    page.parent.mkdir(parents=True)
    page.write_text("")
    assert not adapter_results.is_report_behind(tmp_path)
    probes = probes_file("careful", tmp_path)
    probes.parent.mkdir(parents=True)
    probes.write_text("{}")
    later = page.stat().st_mtime_ns + 10**9
    os.utime(probes, ns=(later, later))
    assert adapter_results.is_report_behind(tmp_path)
    os.utime(page, ns=(later, later + 1))
    assert not adapter_results.is_report_behind(tmp_path)


def test_there_is_a_report_once_everything_was_asked(tmp_path):
    from flows.finetune import can_report

    params = load_params(ROOT / "params.yaml")
    model, other = params.models
    models = (model, other)
    profiles = [tmp_path / "data" / "profiles" / name / "profile.json" for name in models]
    decisions = [
        tmp_path / "data" / "decisions" / name / f"{domain}.parquet"
        for name in models
        for domain in params.domains
    ]
    for path in (*profiles, *decisions):
        assert not can_report(params, tmp_path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert can_report(params, tmp_path)


def test_numbers_of_probes_are_flat_in_mlflow():
    tuned = ProbeScore(
        estimate=0.97, low=0.9, high=None, n_right=97, n_unparsed=0, n_forced=1,
        mistakes={"wrong_product": 2},
    )  # fmt: skip
    base = ProbeScore(
        estimate=None, low=None, high=None, n_right=0, n_unparsed=100, n_forced=0, mistakes={}
    )
    ties = Probe(
        probe="ties", scored_against="signal", n=100, n_scenarios=50, always_escalate=0.63,
        always_implement=0.37, base=base, tuned=tuned,
    )  # fmt: skip
    probes = Probes.model_validate({**grown_probes(), "probes": (ties,)})
    assert adapter_results.flat_probes(probes) == {
        "ties.signal.n": 100,
        "ties.signal.base.n_right": 0.0,
        "ties.signal.base.n_unparsed": 100.0,
        "ties.signal.base.n_forced": 0.0,
        "ties.signal.tuned.estimate": 0.97,
        "ties.signal.tuned.low": 0.9,
        "ties.signal.tuned.n_right": 97.0,
        "ties.signal.tuned.n_unparsed": 0.0,
        "ties.signal.tuned.n_forced": 1.0,
        "ties.signal.tuned.mistakes.wrong_product": 2.0,
    }
