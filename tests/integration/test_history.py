"""`escalometer history` on a real MLflow: what is logged, compared, warned of and drawn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pyarrow as pa
import pytest
import yaml

from escalometer import errors, layout, schema, tracking
from escalometer.config import AnalyzeParams, Params
from escalometer.operations import history as operation
from escalometer.operations.history import members
from escalometer.reporting.history_text import history_text
from escalometer.runtime.files import read_json
from escalometer.stages import analyze, track
from escalometer.tracking import RunRecord, mix_tags
from tests.command_line import run
from tests.releases import release, store
from tests.sql._tables import TEXTS

pytestmark = pytest.mark.slow

MIX = {"mix.conditions": "16 (aa)", "mix.prompts": "4 (bb)", "mix.editions": "movielens=small"}


def _log(root: Path, model: str, uri: str | None = None, **about: Any) -> None:
    tags = {"model": model, "domains": "movielens", "git_commit": "c", **MIX}
    tags |= {"headline.variant": "baseline", **about.get("tags", {})}
    metrics = {
        "n_decisions": 400.0, "headline.implicit_threshold": 0.7,
        "headline.implicit_threshold_low": 0.65, "headline.implicit_threshold_high": 0.76,
        "headline.predictive_accuracy": 0.74, "headline.escalation_rate": 0.31, "cost_usd": 1.25,
        "realized_cost.baseline.R4": 0.8,
    }  # fmt: skip
    parameters = {"seed": "1", "query.n_replicates": "1", "track.x": "9", "gate.cost_ratio": "4"}
    parameters |= about.get("parameters", {})
    child = RunRecord(f"{model} · movielens", {}, {}, {"model": model, "domain": "movielens"})
    tracking.log(RunRecord(model, parameters, metrics, tags, children=[child]), root, uri)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose MLflow has six evaluations and a nested run for each."""
    root = tmp_path_factory.mktemp("project")
    (root / "params.yaml").write_text("seed: 1\n", "utf-8")
    _log(root, "haiku-4")
    _log(root, "haiku-4", parameters={"gate.cost_ratio": "9"})
    _log(root, "haiku-5", tags={"resolved_models": "haiku-5-2026"})
    _log(root, "haiku-5", tags={"mix.conditions": "12 (cc)"}, parameters={"seed": "2"})
    _log(root, "haiku-5", tags={"headline.variant": "<b>", "domains": "movielens,hotels"})
    _log(root, "other|one")
    return root


def test_the_history_has_every_evaluation_and_no_nested_run(project: Path) -> None:
    done = run(project, "history", "haiku-4", "--json")
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert [entry["model"] for entry in made["entries"]] == ["haiku-4", "haiku-4"]
    first = made["entries"][0]
    assert first["threshold"] == {"estimate": 0.7, "low": 0.65, "high": 0.76}
    assert (first["n_decisions"], first["escalation_rate"], first["cost_usd"]) == (400, 0.31, 1.25)
    assert first["realized_cost"] == {"baseline.R4": 0.8}
    assert made["warnings"] == []  # the gate's settings change no number
    assert first["mix"]["conditions"] == "16 (aa)" and "track.x" not in first["mix"]


def test_a_family_has_all_of_its_models_and_warns_of_the_mix(project: Path) -> None:
    made = operation.run("haiku", project)
    assert made.models == ("haiku-4", "haiku-5") and len(made.entries) == 5
    assert [entry.changes for entry in made.entries[:3]] == [(), (), ()]
    assert made.entries[3].changes == ("conditions", "seed")
    assert len(made.warnings) == 2
    assert "conditions (16 (aa) → 12 (cc)); seed (1 → 2)" in made.warnings[0]
    assert "may come from this and not from the model" in made.warnings[0]
    assert "domains (movielens → movielens,hotels)" in made.warnings[1]
    text = " ".join(history_text(made).split())
    assert "History of haiku: 5 evaluations" in text and "70.0% [65.0, 76.0]" in text
    assert text.count("Warning: ") == 2


def test_a_family_ends_at_a_separator() -> None:
    known = {"qwen3.5-9b", "qwen3.5-9b-openrouter", "qwen3.55"}
    assert members("qwen3.5-9b", known) == {"qwen3.5-9b"}  # a model's name is no family's
    assert members("qwen3.5", known) == {"qwen3.5-9b", "qwen3.5-9b-openrouter"}
    assert members("qwen3.5-", known) == {"qwen3.5-9b", "qwen3.5-9b-openrouter"}
    assert members("qwen", known) == members("-", known) == set()


def test_the_picture_is_drawn_and_reproducible(project: Path, tmp_path: Path) -> None:
    files = [tmp_path / "a.svg", tmp_path / "b.svg"]
    for file in files:
        assert run(project, "history", "haiku", "--out", str(file)).returncode == 0
    assert files[0].read_bytes() == files[1].read_bytes()
    shown = " ".join(ET.parse(files[0]).getroot().itertext())  # noqa: S314
    assert "haiku-5" in shown and "something besides the model changed" in shown
    png = tmp_path / "a.png"
    assert run(project, "history", "other|one", "--out", str(png)).returncode == 0
    assert png.read_bytes().startswith(b"\x89PNG")
    done = run(project, "history", "haiku", "--out", str(tmp_path / "a.pdf"))
    assert done.returncode == errors.UsageError.exit_code


def test_without_a_record_it_says_what_to_do(project: Path, tmp_path: Path) -> None:
    done = run(project, "history", "nobody")
    assert done.returncode == errors.DataError.exit_code == 4
    assert "Evaluated models: haiku-4, haiku-5, other|one" in done.stderr
    assert "Run `escalometer evaluate nobody`" in done.stderr
    (tmp_path / "params.yaml").write_text("seed: 1\n", "utf-8")
    assert run(tmp_path, "history", "nobody").returncode == 4
    assert not (tmp_path / "mlflow.db").exists()  # reading creates nothing


def test_another_mlflow_is_read(project: Path, tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'shared.db'}"
    _log(tmp_path, "elsewhere", uri)
    done = run(project, "history", "elsewhere", "--json", MLFLOW_TRACKING_URI=uri)
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["entries"]) == 1


def test_entries_that_were_logged_before_state_what_is_unknown(tmp_path: Path) -> None:
    _log(tmp_path, "m")
    old = {"model": "m", "domains": "movielens"}
    tracking.log(RunRecord("m", {"seed": "1"}, {"implicit_threshold": 0.5}, old), tmp_path)
    made = operation.run("m", tmp_path)
    assert made.entries[1].variant == "baseline" and made.entries[1].threshold.estimate == 0.5
    assert "conditions" in made.entries[1].unknown
    assert "not logged for both: conditions, editions" in made.warnings[0]


def _rows(rows: list[dict[str, Any]], **changes: Any) -> pa.Table:
    texts = dict.fromkeys(TEXTS)
    texts |= {"prompt": "A case.\n\nA signal.\n\nTASK: Predict.", "decision_prompt": "TASK: Act."}
    return pa.Table.from_pylist([{**texts, **row, **changes} for row in rows], schema.DECISIONS)


def test_the_mix_depends_on_what_was_asked_and_not_on_answers() -> None:
    rows = release("m", n=5)
    tags = mix_tags([_rows(rows)])
    assert tags["mix.conditions"].startswith("16 (") and tags["mix.interventions"] == "baseline"
    assert mix_tags([_rows(release("other", n=5, threshold=0.2)[::-1])]) == tags
    for changes, name in (
        ({"edition": "2"}, "editions"),
        ({"scenario_id": "x"}, "scenarios"),
        ({"signal_accuracy": 0.5}, "conditions"),
        ({"prompt": "A case.\n\nA signal.\n\nTASK: Guess."}, "prompts"),
        ({"decision_prompt": "TASK: Decide."}, "prompts"),
        ({"replicate": 1}, None),
    ):
        changed = mix_tags([_rows(rows, **changes)])
        found = [key for key in tags if tags[key] != changed[key]]
        assert found == ([] if name is None else [f"mix.{name}"]), changes


def test_the_mix_of_a_decision_model_does_not_depend_on_its_predictions() -> None:
    rows = release("m", n=5)
    restated = "A case.\n\nA signal.\n\nThe prediction is: {}.\n\nTASK: Act."
    tags = [mix_tags([_rows(rows, decision_prompt=restated.format(x))]) for x in ("dry", "rain")]
    assert tags[0] == tags[1] == mix_tags([_rows(rows)])


def test_an_evaluation_is_logged_with_its_mix_and_headline_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store(release("m", n=20, domains=("movielens",), resolved_model="m-1"), tmp_path)
    (tmp_path / "models").mkdir()
    card = {"id": "m", "title": "m", "provider": "local", "licence": "x", "context": 1}
    (tmp_path / "models" / "m.yaml").write_text(yaml.safe_dump(card), "utf-8")
    params = Params(
        seed=1, models=("m",), domains=("movielens",), analyze=AnalyzeParams(n_bootstrap=100)
    )
    analyze.run("m", params, tmp_path)
    for path in (
        layout.provenance_file("movielens", tmp_path),
        layout.report_file(tmp_path),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}", "utf-8")
    some = layout.decisions_file("m", "movielens", tmp_path).read_bytes()
    for path in (
        layout.scenarios_file("movielens", tmp_path),
        layout.conditions_file("movielens", tmp_path),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(some)
    track.run("m", params, tmp_path)
    [entry] = operation.run("m", tmp_path).entries
    profile = read_json(layout.profile_file("m", tmp_path))
    fit = profile["implicit_threshold"]["linear"]
    assert (entry.threshold.estimate, entry.threshold.low) == (fit["estimate"], fit["low"])
    assert entry.predictive_accuracy == pytest.approx(profile["predictive_accuracy"]["estimate"])
    assert entry.escalation_rate == pytest.approx(profile["domains"][0]["escalation_rate"])
    assert entry.resolved_models == "m-1" and entry.variant == "baseline"
    assert {"domains", "editions", "conditions", "scenarios", "prompts", "seed"} <= set(entry.mix)
    track.run("m", params, tmp_path)
    assert operation.run("m", tmp_path).warnings == ()
