"""Releases in MLflow's registry: versions, aliases, promotion by the gate, MLflow away."""

from __future__ import annotations

import json
import shutil
import subprocess
from datetime import date
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import mlflow
import pytest
import yaml
from mlflow.exceptions import MlflowException

from escalometer import errors, layout, tracking
from escalometer.config import Workspace, load_params
from escalometer.operations import registry, watch
from escalometer.runtime.files import digest, read_json
from tests.absent import command_without
from tests.command_line import environment, run
from tests.releases import DOMAINS, release, store
from tests.tracked import evaluate, logged, project

pytestmark = pytest.mark.slow

NAME = "decision-maker"
RELEASES: dict[str, dict[str, Any]] = {
    "used": {}, "good": {"resolved_model": "good-2026-11-01"}, "bold": {"threshold": 0.45},
    "small": {"n": 8},
}  # fmt: skip
#: An address at which nothing listens.
AWAY = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with four evaluated releases, versions 1 to 4 in MLflow."""
    root = project(tmp_path_factory.mktemp("registry") / "project")
    for name, about in RELEASES.items():
        evaluate(root, name, **about)
        logged(root, name)
    return root


@pytest.fixture
def place(evaluated: Path, tmp_path: Path) -> Path:
    """A copy of it for one test."""
    return shutil.copytree(evaluated, tmp_path / "project")


def client(root: Path) -> mlflow.MlflowClient:
    mlflow.set_tracking_uri(tracking.default_uri(root))
    return mlflow.MlflowClient()


def aliases(root: Path) -> dict[str, int]:
    found = client(root).get_registered_model(NAME).aliases
    return {alias: int(version) for alias, version in found.items()}


def gate(root: Path, *arguments: str, **changes: str) -> tuple[int, dict[str, Any], str]:
    done = run(root, "gate", *arguments, "--promote", "--json", **changes)
    return done.returncode, json.loads(done.stdout) if done.stdout else {}, done.stderr


def test_every_evaluated_release_is_a_version_and_the_newest_a_candidate(evaluated: Path) -> None:
    assert aliases(evaluated) == {"candidate": 4}
    versions = client(evaluated).search_model_versions(f"name = '{NAME}'")
    assert {int(one.version): one.tags["model"] for one in versions} == dict(enumerate(RELEASES, 1))
    tags = client(evaluated).get_model_version(NAME, "2").tags
    assert tags["domains"] == ",".join(DOMAINS) and tags["resolved_models"] == "good-2026-11-01"
    assert {"mix.conditions", "mix.prompts", "git_commit", "evaluation_sha256"} <= set(tags)
    for domain in DOMAINS:
        path = layout.decisions_file("good", domain, evaluated)
        assert tags[f"decisions.{domain}"] == digest(path)
    record = read_json(layout.tracking_file("good", evaluated))
    assert (record["registered_model"], record["version"]) == (NAME, 2)


def test_a_release_is_a_logged_model_with_metrics_of_each_data_set(evaluated: Path) -> None:
    version = client(evaluated).get_model_version(NAME, "2")
    model = client(evaluated).get_logged_model(version.source.rpartition("/")[2])
    assert (model.name, model.model_type, model.source_run_id) == (
        "good", "local-model", version.run_id,
    )  # fmt: skip
    assert model.tags["mlflow.model.isExternal"] == "true" and str(model.status) == "READY"
    assert {"model": "good", "provider": "local", "resolved_models": "good-2026-11-01"}.items() <= (
        model.params.items()
    )
    assert model.params["prompts"] == version.tags["mix.prompts"]
    profile = read_json(layout.profile_file("good", evaluated))
    found = {(one.key, one.dataset_name): one for one in model.metrics}
    threshold = found["headline.implicit_threshold", None]
    assert threshold.value == profile["implicit_threshold"]["linear"]["estimate"]
    assert threshold.run_id == version.run_id
    assert ("headline.regret", None) in found and ("cost_usd", None) in found
    for one in profile["domains"]:
        table = f"{one['domain']}-decisions"
        metric = found["headline.escalation_rate", table]
        assert metric.value == pytest.approx(one["escalation_rate"])
        path = layout.decisions_file("good", one["domain"], evaluated)
        assert digest(path).startswith(metric.dataset_digest)
        inputs = client(evaluated).get_run(metric.run_id).inputs.dataset_inputs
        assert (table, metric.dataset_digest) in {
            (given.dataset.name, given.dataset.digest) for given in inputs
        }
    outputs = client(evaluated).get_run(version.run_id).outputs.model_outputs
    assert [output.model_id for output in outputs] == [model.model_id]


def test_metrics_of_one_domain_are_of_its_data_set(tmp_path: Path) -> None:
    root = project(tmp_path / "project", domains=("movielens",))
    endpoint = {"base_url": "http://127.0.0.1:9/v1", "model": "gpt-x", "key_env": "THE_KEY"}
    price = {"input_usd_per_million": 1.0, "output_usd_per_million": 2.0}
    card = {"provider": "openai", "endpoint": endpoint, "price": price}
    evaluate(root, "gpt-6.1", card, n=20, domains=("movielens",))
    logged(root, "gpt-6.1")
    [model] = client(root).search_logged_models(["1"])
    assert (model.name, model.model_type) == ("gpt-6-1", "hosted-model")
    assert model.params["endpoint.model"] == "gpt-x" and model.params["model"] == "gpt-6.1"
    assert model.params["price.input_usd_per_million"] == "1.0"
    assert "THE_KEY" not in str(model.params)
    assert {one.dataset_name for one in model.metrics} == {"movielens-decisions"}
    assert len({one.key for one in model.metrics}) == len(model.metrics) >= 8


def test_a_tuned_model_names_the_version_that_has_its_adapter(tmp_path: Path) -> None:
    root = project(tmp_path / "project", domains=("movielens",))
    with tracking._store.connected(root, None) as (found, _):
        found.create_registered_model("careful")
        for sha in ("0" * 64, "1" * 64):
            found.create_model_version("careful", "s3://x", tags={"adapter_sha256": sha})
    for name, sha in (("a", "1" * 64), ("b", "2" * 64)):
        card = {"adapter": "careful", "adapter_sha256": sha}
        evaluate(root, name, card, n=8, domains=("movielens",))
        logged(root, name)
    known, unknown = (client(root).get_model_version(NAME, number).tags for number in "12")
    assert known["adapter_version"] == "models:/careful/2"
    assert unknown["adapter"] == "careful" and "adapter_version" not in unknown
    kinds = {model.model_type for model in client(root).search_logged_models(["1"])}
    assert kinds == {"tuned-model"}
    assert not list((root / "mlruns").rglob("*.safetensors"))


def test_an_evaluation_that_is_logged_again_gets_no_second_version(place: Path) -> None:
    for name in ("small", "used"):
        logged(place, name)
    assert len(client(place).search_model_versions(f"name = '{NAME}'")) == 4
    assert len(client(place).search_logged_models(["1"])) == 4
    assert aliases(place) == {"candidate": 4}
    store(release("used", seed=5), place)
    logged(place, "used")
    assert aliases(place) == {"candidate": 5}
    assert client(place).get_model_version(NAME, "5").tags["model"] == "used"


@pytest.mark.parametrize(
    "step",
    [
        "finalize_logged_model", "log_outputs", "log_batch", "get_registered_model",
        "create_model_version", "set_registered_model_alias",
    ],
)  # fmt: skip
def test_a_killed_stage_is_repeated_without_a_trace(
    place: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    store(release("used", seed=6), place)

    def killed(*_args: object, **_named: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(mlflow.MlflowClient, step, killed)
        with pytest.raises(KeyboardInterrupt):
            logged(place, "used")
    mlflow.end_run()
    logged(place, "used")
    assert len(client(place).search_model_versions(f"name = '{NAME}'")) == 5
    models = client(place).search_logged_models(["1"])
    assert len(models) == 5 and {str(model.status) for model in models} == {"READY"}
    assert aliases(place) == {"candidate": 5}


def test_the_first_release_that_passes_is_in_use(place: Path) -> None:
    code, made, said = gate(place, "used")
    assert (code, said) == (0, "")
    assert made["promotion"] == {
        "registered_model": NAME, "status": "promoted", "version": 1, "model": "used",
        "before_version": None, "before_model": None,
        "text": f"promoted: in-use → version 1 of {NAME} (used).",
    }  # fmt: skip
    assert aliases(place) == {"in-use": 1, "candidate": 4}
    assert registry.in_use(place) == "used"


def test_a_pass_replaces_the_release_in_use_and_is_recorded(place: Path) -> None:
    gate(place, "used")
    client(place).set_registered_model_alias(NAME, "candidate", "2")
    done = run(place, "gate", "good", "--against", "in-use", "--promote")
    assert done.returncode == 0, done.stderr
    text = " ".join(done.stdout.split())
    assert "Gate for good, compared with used: PASS" in text
    assert f"promoted: in-use → version 2 of {NAME} (good). It replaces version 1" in text
    assert f"The release in use is used: version 1 of {NAME} (used) in MLflow." in text
    assert aliases(place) == {"in-use": 2}
    version = client(place).get_model_version(NAME, "2")
    tags = version.tags
    assert (tags["verdict"], tags["judged_against"]) == ("pass", "used")
    folder = Path(mlflow.artifacts.download_artifacts(run_id=version.run_id, artifact_path="."))
    kept = folder / tags["verdict_file"]
    assert digest(kept) == tags["verdict_sha256"]
    assert read_json(kept)["judged_at"] == tags["judged_at"]
    again = registry.in_use(place)
    code, made, _ = gate(place, "good", "--against", "in-use")
    assert code == 0 and registry.in_use(place) == again == "good"
    assert made["promotion"]["status"] == "unchanged" and made["against"] is None
    assert any("is the release in use itself" in note for note in made["notes"])


@pytest.mark.parametrize(("model", "code"), [("bold", 1), ("small", 2)])
def test_no_other_verdict_moves_the_alias(place: Path, model: str, code: int) -> None:
    gate(place, "used")
    before = aliases(place)
    found, made, said = gate(place, model, "--against", "in-use")
    assert (found, made["promotion"]["status"], said) == (code, "not_passed", "")
    assert made["promotion"]["text"].startswith("nothing was promoted")
    assert aliases(place) == before
    version = client(place).get_model_version(NAME, str(list(RELEASES).index(model) + 1))
    assert version.tags["verdict"] == made["verdict"] != "pass"


def test_a_release_promoted_meanwhile_is_a_conflict(place: Path) -> None:
    gate(place, "used")
    client(place).set_registered_model_alias(NAME, "in-use", "3")
    code, made, said = gate(place, "good", "--against", "used")
    assert code == errors.UsageError.exit_code == 3
    assert made["verdict"] == "pass" and made["promotion"]["status"] == "refused"
    assert f"the release in use is version 3 of {NAME} (bold)" in said
    assert "nothing was promoted" in said and aliases(place)["in-use"] == 3
    markdown = run(place, "gate", "good", "--against", "used", "--promote", "--markdown")
    assert markdown.returncode == 3 and "✅ pass" in markdown.stdout.splitlines()[0]
    assert "**Promotion**: the release in use is version 3" in markdown.stdout


def test_decisions_that_mlflow_does_not_have_are_not_promoted(place: Path, tmp_path: Path) -> None:
    store(release("good", seed=7), place)
    junit = tmp_path / "gate.xml"
    code, made, said = gate(place, "good", "--junit", str(junit))
    assert code == errors.DataError.exit_code == 4
    assert made["verdict"] == "pass" and "Run `escalometer evaluate good`" in said
    assert ET.parse(junit).getroot().get("errors") == "0"  # noqa: S314
    (place / "mlflow.db").unlink()
    assert gate(place, "good")[0] == 4 and not (place / "mlflow.db").exists()
    assert registry.in_use(place) is None


def test_a_verdict_survives_an_mlflow_that_is_away(place: Path) -> None:
    code, made, said = gate(place, "good", "--against", "used", **AWAY)
    assert code == errors.ProviderError.exit_code == 5
    assert made["verdict"] == "pass" and made["promotion"]["status"] == "refused"
    assert "MLflow at http://127.0.0.1:9" in said and "nothing was promoted" in said
    code, made, said = gate(place, "bold", "--against", "used", **AWAY)
    assert (code, made["verdict"]) == (1, "fail")
    assert "warning: the verdict is not recorded: MLflow at" in said
    done = run(place, "gate", "good", "--against", "in-use", **AWAY)
    assert done.returncode == 5 and done.stdout == ""


@pytest.mark.parametrize(
    ("step", "words", "is_moved"),
    [
        ("log_text", "nothing was promoted", False),
        ("set_model_version_tag", "nothing was promoted", False),
        ("set_registered_model_alias", "MLflow did not confirm the promotion", False),
        ("delete_registered_model_alias", "", True),
    ],
)
def test_an_mlflow_that_fails_in_the_middle_promotes_nothing_unsaid(
    place: Path, monkeypatch: pytest.MonkeyPatch, step: str, words: str, is_moved: bool
) -> None:
    def away(*_args: object, **_named: object) -> None:
        raise MlflowException("connection lost")

    client(place).set_registered_model_alias(NAME, "candidate", "2")
    with monkeypatch.context() as patch:
        patch.setattr(mlflow.MlflowClient, step, away)
        code, made, said = gate(place, "good")
    assert made["verdict"] == "pass" and (code, words in said) == (0 if is_moved else 5, True)
    assert ("in-use" in aliases(place)) is is_moved
    if is_moved:
        assert "It is still a candidate: MLflow at" in made["promotion"]["text"]
    assert gate(place, "good")[0] == 0  # the same command completes it
    assert aliases(place) == {"in-use": 2}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["decisions.parquet"], "MLflow has no releases of a file"),
        (["good", "--source", "theirs"], "MLflow has no releases of the source theirs"),
    ],
)
def test_only_evaluated_releases_are_promoted(place: Path, arguments: list[str], said: str) -> None:
    code, made, error = gate(place, *arguments)
    assert (code, made) == (3, {})
    assert said in error


@pytest.mark.parametrize("option", [["--promote"], ["--against", "in-use"]])
def test_without_mlflow_the_extra_is_named(place: Path, option: list[str]) -> None:
    command = [*command_without(["mlflow"]), "gate", "good", *option]
    done = subprocess.run(
        command, cwd=place, env=environment(), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (3, "")
    assert "needs the package mlflow" in done.stderr and "escalometer[pipeline]" in done.stderr


def test_the_release_in_use_may_be_named_by_its_alias(place: Path) -> None:
    done = run(place, "gate", "good", "--against", "in-use", "--json")
    made = json.loads(done.stdout)
    assert done.returncode == 0 and made["against"] is None
    assert any("No release is in use" in note for note in made["notes"])
    assert not any("No release in use was named" in note for note in made["notes"])
    gate(place, "used")
    params = yaml.safe_load((place / "params.yaml").read_text("utf-8"))
    params["gate"]["against"] = "in-use"
    (place / "params.yaml").write_text(yaml.safe_dump(params), "utf-8")
    made = json.loads(run(place, "gate", "good", "--json").stdout)
    assert made["against"] == made["params"]["against"] == "used" and made["n_paired"] == 4000
    client(place).create_model_version(NAME, "s3://elsewhere")
    client(place).set_registered_model_alias(NAME, "in-use", "5")
    done = run(place, "gate", "good")
    assert done.returncode == 4 and "which is no evaluated release" in done.stderr


def test_another_registered_model_has_other_releases(place: Path) -> None:
    gate(place, "used")
    params = yaml.safe_load((place / "params.yaml").read_text("utf-8"))
    params["track"]["registered_model"] = "claims desk"
    (place / "params.yaml").write_text(yaml.safe_dump(params), "utf-8")
    assert gate(place, "good")[0] == 4
    logged(place, "good")
    assert gate(place, "good")[0] == 0
    assert registry.in_use(place, registered_model="claims desk") == "good"
    assert registry.in_use(place) == "used"


def test_watch_names_the_release_in_use(place: Path) -> None:
    params = yaml.safe_load((place / "params.yaml").read_text("utf-8"))
    params["gate"]["against"] = "in-use"
    (place / "params.yaml").write_text(yaml.safe_dump(params), "utf-8")
    card = place / "models" / "good.yaml"
    card.write_text(f"{card.read_text('utf-8')}retires: 2026-12-01\n", "utf-8")

    def noticed() -> list[str]:
        where = Workspace(place, place / "cache", place / "store.sqlite", {}, "run")
        found = watch.look(load_params(place / "params.yaml"), where, date(2026, 11, 29))
        return [notice["text"] for notice in found.notices]

    assert noticed() == []
    gate(place, "good", "--against", "used")
    assert len(noticed()) == 1 and "good (the release in use) retires" in noticed()[0]


def test_the_history_says_which_release_is_in_use(place: Path) -> None:
    gate(place, "used")
    found = json.loads(run(place, "history", "used", "--json").stdout)["entries"]
    assert [(one["alias"], one["registered_model"], one["version"]) for one in found] == [
        ("in-use", NAME, 1)
    ]
    assert "used [in-use]" in run(place, "history", "used").stdout
    assert "small [candidate]" in run(place, "history", "small").stdout
    assert "good [" not in run(place, "history", "good").stdout
