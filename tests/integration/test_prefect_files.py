"""prefect.yaml and the base job templates, as Prefect reads them."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT

pytestmark = pytest.mark.slow

TEMPLATES = sorted((ROOT / "examples" / "prefect").glob("*.json"))
DEPLOYMENTS = yaml.safe_load((ROOT / "prefect.yaml").read_text("utf-8"))["deployments"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    from flows._server import served

    with served(tmp_path_factory.mktemp("prefect")) as url:
        yield url


def create(name: str, template: dict) -> dict:
    """Create a work pool, which the server refuses if its template is wrong."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate

    with get_client(sync_client=True) as client:
        made = client.create_work_pool(
            WorkPoolCreate(name=name, type=name, base_job_template=template)
        )
    return made.base_job_template


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_a_base_job_template_makes_a_work_pool(server: str, path: Path):
    from jsonschema import Draft202012Validator

    template = json.loads(path.read_text("utf-8"))
    Draft202012Validator.check_schema(template["variables"])
    defaults = {
        name: one["default"]
        for name, one in template["variables"]["properties"].items()
        if "default" in one
    }
    Draft202012Validator(template["variables"]).validate(defaults)
    assert create(path.stem, template) == template


def test_a_template_with_an_unknown_variable_is_refused(server: str):
    from prefect.exceptions import PrefectHTTPStatusError

    template = json.loads(TEMPLATES[0].read_text("utf-8"))
    template["job_configuration"]["image"] = "{{ picture }}"
    with pytest.raises(PrefectHTTPStatusError, match="picture"):
        create("wrong", template)


@pytest.mark.parametrize("content", DEPLOYMENTS, ids=lambda one: one["entrypoint"])
def test_a_deployment_names_a_flow_and_its_parameters(content: dict):
    from prefect.cli.deploy._models import DeploymentConfig
    from prefect.flows import load_flow_from_entrypoint

    assert DeploymentConfig.model_validate(content).name == content["name"]
    flow = load_flow_from_entrypoint(content["entrypoint"], use_placeholder_flow=False)
    assert set(content.get("parameters", {})) <= set(inspect.signature(flow.fn).parameters)
    for trigger in content.get("triggers", []):
        assert set(trigger["parameters"]) <= set(inspect.signature(flow.fn).parameters)


def test_every_flow_has_a_deployment():
    flows = {path.stem for path in (ROOT / "flows").glob("[a-z]*.py")} - {"serve"}
    assert {one["entrypoint"].split(".")[1] for one in DEPLOYMENTS} == flows
