"""`escalometer store`: missing answers, drift of models, and transfer between stores."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from escalometer.commands import Place
from escalometer.commands._options import CallersPath, callers_path
from escalometer.errors import ProviderError


@click.group()
def store() -> None:
    """Explain missing answers, detect drift of models, and move answers between stores."""


@store.command("explain")
@click.argument("model")
@click.argument("domain")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def store_explain(workspace: Place, model: str, domain: str, as_json: bool) -> None:
    """Explain which part of the key differs for requests of MODEL on DOMAIN that are not stored.

    A key contains everything that determines an answer: provider, address, model, revision,
    messages, all parameters, replicate. Each missing request is compared with the most similar
    stored one.
    """
    from escalometer.config import load_params
    from escalometer.operations import store as stage_store

    found = stage_store.explain(model, domain, load_params(), workspace())
    if as_json:
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    click.echo(
        f"{model} on {domain}: {found['n_requests']} requests, {found['n_stored']} answers are in "
        f"{found['store']}, {found['n_missing']} are known to be missing"
    )
    if found["n_explained"]:
        click.echo(f"compared with the nearest stored request ({found['n_explained']} requests):")
    for reason in found["reasons"]:
        click.echo(f"  {reason['n']} × {reason['why']}")


@store.command("canary")
@click.argument("model")
@click.option(
    "--n",
    type=click.IntRange(min=1),
    help="Prompts of a new panel; canary.n_prompts in params.yaml by default.",
)
@click.option("--again", is_flag=True, help="Look although there was a look today, or drift.")
@click.option("--restart", is_flag=True, help="Begin a new panel with a new baseline.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
def store_canary(
    workspace: Place, model: str, n: int | None, again: bool, restart: bool, as_json: bool
) -> None:
    """Ask MODEL a fixed panel of stored prompts again, and test for drift.

    A hosted model can change under the same name. The first call measures the model's own noise:
    it asks every prompt of the panel several times. Each later call, at most one a day, asks every
    prompt once. Drift is reported when the evidence of all looks reaches its limit; the
    probability of a false alarm is at most canary.alpha (5%) in a year of daily looks. Answers are
    paid for, and none is written to the completion store.

    Drift is no failure: the exit code is 0, and the model should be evaluated again. Exit code 5
    if the model cannot be asked, or answers fewer than half of the prompts.

    \b
    Example:
      escalometer store canary gpt-5-mini
    """  # noqa: D301 (\b is click's mark for lines to keep)
    from escalometer.config import load_params
    from escalometer.operations import canary
    from escalometer.reporting.canary_text import canary_lines

    now = datetime.now(UTC)
    found = canary.look(model, load_params(), workspace(), now, restart, again=again, n_prompts=n)
    if as_json:
        click.echo(json.dumps(found.as_json(), indent=2, ensure_ascii=False))
    else:
        for line in canary_lines(found):
            click.echo(line)
    if found.status == "not enough answers":
        raise ProviderError(
            f"{model} answered {found.n_answered} of {found.n_prompts} prompts: the look does not "
            "count. Run the same command later."
        )


#: Conflicts that are printed; --json has all.
_N_SHOWN = 20
_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


@store.command("merge")
@click.argument("stores", nargs=-1, required=True, metavar="STORE...")
@_JSON
@click.pass_context
def store_merge(context: click.Context, stores: tuple[str, ...], as_json: bool) -> None:
    """Add the answers of other stores to the project's store.

    Each STORE is a file or the address of a PostgreSQL database; its answers are not changed. The
    project's store is .escalometer/completions.sqlite, or the one that ESCALOMETER_STORE names.

    Where both have different answers to a request, the project's answer stays and the conflict is
    listed. An answer that was requested again elsewhere takes the place of the one that it
    replaced there. The command may be repeated.

    \b
    Example:
      escalometer store merge ../other/.escalometer/completions.sqlite
    """  # noqa: D301 (\b is click's mark for lines to keep)
    from escalometer.config import store_place
    from escalometer.operations import store as operation

    place = context.obj()
    given = [store_place(name) for name in stores]
    sources = [callers_path(one, context) if isinstance(one, Path) else one for one in given]
    done = operation.merge(sources, place)
    if as_json:
        merged = [{"from": name, **transferred.as_json()} for name, transferred in done]
        found = {"store": str(place.store), "merged": merged}
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    for name, transferred in done:
        _print_transferred(name, transferred, place.store)


@store.command("export")
@click.argument("file", type=CallersPath(dir_okay=False), metavar="FILE.parquet")
@click.pass_obj
def store_export(workspace: Place, file: Path) -> None:
    """Write all answers of the project's store to one Parquet file.

    The file has the superseded answers and the batches, too. `store import` reads it.
    """
    from escalometer.operations import store as operation

    place = workspace()
    n = operation.export(file, place)
    click.echo(
        f"{file}: {n['completion']:,} answers, {n['superseded']:,} superseded answers and "
        f"{n['batch']:,} batches of {place.store}"
    )


@store.command("import")
@click.argument("file", type=CallersPath(dir_okay=False), metavar="FILE.parquet")
@_JSON
@click.pass_obj
def store_import(workspace: Place, file: Path, as_json: bool) -> None:
    """Add the answers of a file of `store export` to the project's store.

    Conflicts are treated as by `store merge`. The command may be repeated.
    """
    from escalometer.operations import store as operation

    place = workspace()
    done = operation.import_answers(file, place)
    if as_json:
        found = {"store": str(place.store), "from": str(file), **done.as_json()}
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    _print_transferred(str(file), done, place.store)


def _print_transferred(name: str, done: Any, store: object) -> None:
    click.echo(
        f"{name}: {done.n_read:,} answers, {done.n_added:,} of them new in {store}; "
        f"{done.n_replaced:,} replaced an earlier answer; {done.n_superseded:,} superseded answers "
        f"and {done.n_batches:,} batches new; {len(done.conflicts):,} conflicts"
    )
    for conflict in done.conflicts[:_N_SHOWN]:
        click.echo(
            f"  {conflict.key[:16]} ({conflict.model}): {_short(conflict.stored)} stays, "
            f"{_short(conflict.other)} was not added"
        )
    if len(done.conflicts) > _N_SHOWN:
        click.echo(f"  and {len(done.conflicts) - _N_SHOWN:,} more: --json lists all")


def _short(text: str) -> str:
    return json.dumps(text if len(text) <= 60 else f"…{text[-59:]}", ensure_ascii=False)
