"""`escalometer ask-shard`: a worker's part of a run, which the run itself starts."""

from __future__ import annotations

import json
import sys

import click

from escalometer.commands import Place


@click.command("ask-shard", hidden=True)
@click.pass_obj
def ask_shard(workspace: Place) -> None:
    """Ask the dialogues of a shard, given as JSON on standard input; print the counts as JSON."""
    from escalometer.runtime.interruption import end_with_parent

    end_with_parent()
    from escalometer.dialogue.shards import ask, shard_of

    print(json.dumps(ask(shard_of(sys.stdin.read()), workspace())))
