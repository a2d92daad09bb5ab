"""`escalometer ask-shard`: a worker's part of a run, which the run itself starts."""

from __future__ import annotations

import json
import sys

import click

from escalometer.commands import Place


@click.command("ask-shard", hidden=True)
@click.pass_obj
def ask_shard(workspace: Place) -> None:
    """Ask the dialogues of a shard, given as a line of JSON; print the counts as JSON.

    It ends once its standard input does.
    """
    from escalometer.dialogue.shards import ask, shard_of
    from escalometer.runtime.interruption import end_with_input

    shard = shard_of(sys.stdin.readline())
    end_with_input()
    click.echo(json.dumps(ask(shard, workspace())))
