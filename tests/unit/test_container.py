"""The Dockerfile and the examples of CI jobs: lint, schemas, and versions that agree."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT

BIN = Path(sys.executable).parent
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")


def lint(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(BIN / command[0]), *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_hadolint_finds_nothing():
    done = lint("hadolint", "Dockerfile")
    assert done.returncode == 0, done.stdout


def test_hadolint_finds_a_fault(tmp_path):
    fault = tmp_path / "Dockerfile"
    fault.write_text("FROM python:latest\nRUN cd /x && sudo apt-get install git\n", "utf-8")
    assert lint("hadolint", str(fault)).returncode == 1


@pytest.mark.parametrize(
    ("file", "arguments"),
    [
        ("github-gate.yml", ("--builtin-schema", "vendor.github-workflows")),
        (
            "gitlab-gate.yml",
            ("--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci"),
        ),
    ],
)
def test_examples_of_ci_jobs_satisfy_their_schemas(file, arguments, tmp_path):
    path = ROOT / "examples" / "ci" / file
    done = lint("check-jsonschema", *arguments, str(path))
    assert done.returncode == 0, done.stdout
    fault = tmp_path / file
    fault.write_text(path.read_text("utf-8").replace("timeout", "time-out"), "utf-8")
    assert lint("check-jsonschema", *arguments, str(fault)).returncode == 1


def test_examples_of_ci_jobs_promote_only_where_they_are_told_to():
    github = yaml.safe_load((ROOT / "examples" / "ci" / "github-gate.yml").read_text("utf-8"))
    inputs = github[True]["workflow_dispatch"]["inputs"]  # YAML 1.1 reads the key `on` as true
    assert inputs["promote"] == {**inputs["promote"], "type": "boolean", "default": False}
    promoting = [step for step in github["jobs"]["gate"]["steps"] if "PROMOTE" in str(step)]
    assert [step["if"] for step in promoting] == ["github.event_name == 'workflow_dispatch'"]
    gitlab = yaml.safe_load((ROOT / "examples" / "ci" / "gitlab-gate.yml").read_text("utf-8"))
    assert gitlab["escalation-gate"]["variables"]["PROMOTE"] == "false"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, "gate decisions.parquet --cost-ratio 4 --junit gate.xml --markdown"),
        ({"MODEL": "m"}, "gate m --against in-use --junit gate.xml --markdown"),
        (
            {"MODEL": "m", "PROMOTE": "true"},
            "gate m --against in-use --promote --junit gate.xml --markdown",
        ),
    ],
)
def test_the_job_of_gitlab_runs_the_gate_and_keeps_its_exit_code(tmp_path, settings, expected):
    gitlab = yaml.safe_load((ROOT / "examples" / "ci" / "gitlab-gate.yml").read_text("utf-8"))
    [script] = gitlab["escalation-gate"]["script"]
    for name in ("pip", "dvc", "escalometer"):
        program = tmp_path / name
        program.write_text(f'#!/bin/sh\necho "$@"\n{"exit 2" if name == "escalometer" else ""}\n')
        program.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "PROMOTE": "false", **settings}
    done = subprocess.run(
        ["bash", "-eo", "pipefail", "-c", script], cwd=tmp_path, env=environment, check=False
    )
    assert done.returncode == 2
    assert (tmp_path / "gate.md").read_text().strip() == expected


def test_the_image_has_the_torch_of_the_clone():
    [pin] = re.findall(r"^ARG TORCH=(\S+)$", DOCKERFILE, re.MULTILINE)
    assert f'TORCH = "{pin}"' in (ROOT / "tools" / "install.py").read_text("utf-8")


def test_the_build_sees_all_that_the_wheel_holds():
    """Files that .dockerignore hides would silently be missing in the image's wheel."""
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"][
        "targets"
    ]["wheel"]
    needed = {*wheel["only-include"], *wheel["force-include"], "README.md", "LICENSE"}
    ignored = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    kept = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    assert {name for name in needed if name not in kept} == set()
