"""The command line: the only reader of arguments and the environment."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import click

from escalometer import __version__, layout
from escalometer.commands import (
    ask_shard,
    compare,
    data,
    demo,
    domains,
    evaluate,
    gate,
    history,
    import_decisions,
    init,
    ledger,
    models,
    policy,
    power,
    profile,
    serve,
    store,
    train,
)
from escalometer.commands._options import CALLED_IN, outcomes, read_limits, utc_time
from escalometer.errors import EscalometerError, Interrupted, UsageError
from escalometer.runtime import extras, stage_report, warm_process

#: The stages: what the keys of a cell are, and what `run` takes after them.
STAGES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "ingest": (("domain",), ("root",)),
    "validate": (("tables",), ("params", "root")),
    "sample": (("domain",), ("params", "root")),
    "design": (("model",), ("params", "workspace")),
    "query": (("model",), ("params", "workspace")),
    "analyze": (("model",), ("params", "root")),
    "report": ((), ("params", "root")),
    "track": (("model",), ("params", "root", "tracking")),
    "targets": (("adapter",), ("params", "workspace")),
    "train": (("adapter",), ("params", "workspace", "tracking")),
    "seal": (("adapter",), ("root",)),
    "probe": (("adapter",), ("params", "workspace")),
}

#: What stages import while they run, beside their own modules; a warm process imports it before.
IMPORTS = {
    "query": ("aiohttp", "escalometer.dialogue.providers.openai.provider"),
    "analyze": ("matplotlib.figure", "matplotlib.backends.backend_svg"),
    "report": ("matplotlib.figure", "matplotlib.backends.backend_svg", "jinja2"),
    "track": ("escalometer.tracking._library",),
}


def workspace() -> Any:
    """Return where things are on this machine, as the environment says."""
    from escalometer.config import Workspace, store_place

    root = Path.cwd()
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Workspace(
        root=root,
        cache=Path(os.environ.get("ESCALOMETER_CACHE") or caches / "escalometer"),
        store=store_place(os.environ.get("ESCALOMETER_STORE") or str(layout.store_file(root))),
        secrets=os.environ,
        # Stages of one run share a budget; without a name, those that one process started.
        run=os.environ.get("ESCALOMETER_RUN") or f"process-{os.getppid()}-{date.today()}",
        retry=frozenset(outcomes(os.environ.get("ESCALOMETER_RETRY", ""))),
        retry_before=utc_time(os.environ.get("ESCALOMETER_RETRY_BEFORE", "")),
        tracking=os.environ.get("MLFLOW_TRACKING_URI"),
        limits=read_limits(os.environ),
    )


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done · 1 gate failed · 2 gate inconclusive · 3 wrong usage or "
    "configuration · 4 bad data · 5 model unavailable · 6 budget reached · 70 internal error of "
    "gate · 130 interrupted.",
)
@click.version_option(__version__, prog_name="escalometer")
@click.pass_context
def cli(context: click.Context) -> None:
    """Measure where a language model implements decisions and where it escalates to a person.

    Start with `escalometer demo`, then `escalometer profile smollm2-135m-escalates`. Run the
    commands in a project or a folder below it: params.yaml has the settings of a run, models/ the
    project's model cards. `escalometer init` creates a project. profile, compare, gate and report
    also take a file of decisions, in any folder.
    """
    context.obj = workspace
    context.meta[CALLED_IN] = Path.cwd()
    if root := layout.find_root(Path.cwd()):
        os.chdir(root)


_COMMANDS = (
    ask_shard.ask_shard,
    compare.compare,
    data.data,
    demo.demo,
    domains.domains,
    evaluate.evaluate,
    gate.gate,
    history.history,
    import_decisions.import_file,
    init.init,
    ledger.ledger,
    models.models,
    policy.policy,
    power.power,
    profile.profile,
    profile.report,
    serve.serve,
    store.store,
    train.train,
)
for _commands in _COMMANDS:
    cli.add_command(_commands)


@cli.command()
@click.argument("name", type=click.Choice(STAGES))
@click.option(
    "--cell",
    default="",
    metavar="KEYS",
    help="Cell of the stage: MODEL,DOMAIN, or an adapter's name.",
)
def stage(name: str, cell: str) -> None:
    """Run one stage of the pipeline, as dvc.yaml does. `dvc repro` runs all of them."""
    import importlib

    from escalometer.runtime.interruption import end_with_parent

    end_with_parent()  # before the imports: the parent may be killed meanwhile
    if folder := os.environ.get(stage_report.VARIABLE):
        stage_report.observe(Path(folder))
    from escalometer.config import load_params
    from escalometer.operations.project import check_code

    params, place = load_params(), workspace()
    check_code(place.root)
    keys = cell.split(",") if cell else []
    wanted, takes = STAGES[name]
    if len(keys) != len(wanted):
        needs = ",".join(wanted) or "nothing"
        raise UsageError(f"stage {name} takes {needs} as --cell, found {cell!r}")
    given = {
        "params": params,
        "root": place.root,
        "workspace": place,
        "tracking": place.tracking,
    }
    module = importlib.import_module(f"escalometer.stages.{name}")
    module.run(*keys, *(given[what] for what in takes))


def _modules(arguments: Sequence[str]) -> list[str]:
    """Return the modules that a stage needs; of no arguments, those of every evaluation."""
    if not arguments:  # pandas: pyarrow imports it when it makes an array of anything
        stages = ("ingest", "validate", "sample", "query")
        libraries = ("pandas", "pyarrow.dataset", "pyarrow.pandas_compat")
        return [*libraries, *(f"escalometer.stages.{name}" for name in stages)]
    name = "query" if arguments[0] == ask_shard.ask_shard.name else arguments[1]
    if name not in STAGES:
        return []
    from escalometer.cases.domains import shipped

    # What learns conditions takes a second to import; shipped domains have conditions of their own.
    learns = name == "sample" and arguments[-1] not in shipped()
    trees = ("sklearn.model_selection", "sklearn.tree") if learns else ()
    return [f"escalometer.stages.{name}", *IMPORTS.get(name, ()), *trees]


def _command(arguments: Sequence[str]) -> str:
    """Return the command, and that of a group or the stage, without its options."""
    names = [argument for argument in arguments if not argument.startswith("-")]
    command = cli.commands.get(names[0]) if names else None
    n_names = 2 if isinstance(command, click.Group) or command is stage else 1
    return " ".join(["escalometer", *names[:n_names]])


def main() -> None:
    """Run the command line; print errors as one message and exit with their code."""
    arguments = sys.argv[1:]
    if arguments[:1] == [warm_process.COMMAND]:
        forked = warm_process.serve(Path(arguments[1]), _modules)
        if forked is None:
            return
        sys.argv[1:] = forked  # this process is a stage now
    if cache := os.environ.get("ESCALOMETER_CACHE"):  # the home may be read-only
        os.environ.setdefault("MPLCONFIGDIR", str(Path(cache) / "matplotlib"))
    try:
        with extras.named(f"`{_command(sys.argv[1:])}`"):
            code = cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("interrupted; every answer received so far is kept", err=True)
        code = Interrupted.exit_code
    except click.ClickException as error:
        error.show()
        code = UsageError.exit_code
    except EscalometerError as error:
        from escalometer.documents.wording import visible

        # A message may hold what stands in somebody's file, terminal escapes and all.
        click.echo(f"error: {visible(error)}", err=True)
        code = error.exit_code
        if folder := os.environ.get(stage_report.VARIABLE):
            stage_report.keep_error(Path(folder), error)
    except KeyboardInterrupt:
        click.echo(
            "interrupted; every answer received so far is kept: run the same command to resume",
            err=True,
        )
        code = Interrupted.exit_code
    sys.exit(code if isinstance(code, int) else 0)
