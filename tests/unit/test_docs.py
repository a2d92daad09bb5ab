"""Commands of README and documentation: every command and option exists."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from escalometer.cli import cli
from tests.conftest import ROOT
from tests.documentation import Command, commands, pages

ALL = [command for page in pages() for command in commands(page)]
OURS = [command for command in ALL if command.words[0] == "escalometer"]


def test_there_are_commands_to_check() -> None:
    assert len(OURS) >= 20
    assert {command.page for command in OURS} >= {"README.md", "docs/tutorials/first-profile.md"}


@pytest.mark.parametrize("command", OURS, ids=lambda command: " ".join(command.words)[:60])
def test_command_and_options_exist(command: Command) -> None:
    words, group = command.words[1:], cli
    context = click.Context(cli, info_name="escalometer")
    while isinstance(group, click.Group):
        found = group.get_command(context, words[0])
        assert found is not None, f"{command.page}: no command {words[0]}"
        group, words = found, words[1:]
    group.make_context(command.words[1], list(words), parent=context)  # parses, does not run


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_every_make_target_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))
    named = set(re.findall(r"`make ([a-z-]+)", page.read_text("utf-8")))
    assert named <= targets


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 130
