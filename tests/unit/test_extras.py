"""The extras of pyproject.toml and the packages that messages name them for."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import packages_distributions

import pytest

from escalometer.errors import MissingExtra
from escalometer.runtime import extras
from tests.absent import absent
from tests.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
CORE_LOCK = (ROOT / "requirements-core.lock").read_text("utf-8")


def name_of(requirement: str) -> str:
    return re.split(r"[\[<>=!~ ;]", requirement)[0].lower().replace("_", "-").replace(".", "-")


@pytest.mark.parametrize("extra", sorted(extras.PACKAGES))
def test_every_requirement_of_an_extra_has_its_package_and_the_reverse(extra):
    required = {name_of(r) for r in PROJECT["optional-dependencies"][extra]} - {"escalometer"}
    providers = packages_distributions()
    provided = {
        package: {name_of(name) for name in providers[package]} & required
        for package in extras.PACKAGES[extra]
        if package in providers
    }
    assert not [package for package, names in provided.items() if not names]
    if len(provided) == len(extras.PACKAGES[extra]):  # all are installed here
        assert set().union(*provided.values()) == required


def test_extras_bring_each_other_as_the_messages_say():
    optional = PROJECT["optional-dependencies"]
    brought = {
        extra: tuple(
            r.partition("[")[2].rstrip("]") for r in optional[extra] if "escalometer[" in r
        )
        for extra in extras.PACKAGES
    }
    assert {extra: names for extra, names in brought.items() if names} == extras.BRINGS
    assert optional["all"] == ["escalometer[train,inspect,dask,postgresql,s3,warehouse]"]


def test_the_core_has_no_package_of_an_extra():
    core = {name_of(requirement) for requirement in PROJECT["dependencies"]}
    locked = {name_of(line) for line in CORE_LOCK.splitlines() if line[:1].isalnum()}
    assert core <= locked
    assert not {"pandas", "scipy", "torch", "requests", "ruamel-yaml", "scikit-learn"} & locked
    versions = dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", CORE_LOCK, re.MULTILINE))
    everything = (ROOT / "requirements.lock").read_text("utf-8")
    assert all(f"{name}=={version}" in everything for name, version in versions.items())


def test_the_first_missing_package_and_the_extra_asked_for_are_named():
    extras.need("pipeline", "a command")
    with (
        absent("dvc"),
        pytest.raises(
            MissingExtra,
            match=r"^a command needs the package dvc, which is not installed\. "
            r"Install the extra 'train': pip install 'escalometer\[train\]'$",
        ),
    ):
        extras.need("train", "a command")
