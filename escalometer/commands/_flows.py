"""Run a flow of flows/ as a separate process, if there is anything for it to do."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from escalometer.commands._options import outcomes, spell_limits
from escalometer.errors import Interrupted
from escalometer.resources import folder_path

if TYPE_CHECKING:
    from escalometer.config import Params, Workspace


def run_evaluation(
    changes: Mapping[tuple[str, ...], Any],
    place: Workspace,
    parameters: Mapping[str, Any] | None = None,
    retry: str | None = None,
    dry_run: bool = False,
    timings: bool = False,
    retry_before: str | None = None,
) -> Params:
    """Bring an evaluation up to date by its flow, and return the parameters that it had.

    Changes are written to params.yaml. Where another run of the project is under way, the models
    are asked beside it, by a flow in a folder of its own, and the project's run follows that one.

    Parameters
    ----------
    changes : mapping
        Parameters by key path.
    place : Workspace
        The project; its limits hold for the stages of this run.
    parameters : mapping, optional
        Of the flow, as its run in Prefect has them; they say the same as `changes`. Without them
        the run waits for another one to end.
    retry : str, optional
        Statuses whose dialogues are requested again, separated by commas.
    dry_run : bool
        Whether to end before the first request, with the forecast cost.
    timings : bool
        Whether to print where the time went.
    retry_before : str, optional
        Time from which on stored answers are not requested again.

    Raises
    ------
    UsageError
        If a key is not in the environment.
    ProviderError
        If a model cannot be asked.
    Interrupted
        If the flow was interrupted.
    SystemExit
        If the flow failed: it has said why.
    """
    from escalometer.config import differing, load_params, with_changes
    from escalometer.operations import project

    with_changes(load_params(), changes)  # an error is known before anything begins
    given = {name: value for name, value in (parameters or {}).items() if value is not None}
    given |= {"dry_run": True} if dry_run else {}
    given |= {"retry": outcomes(retry)} if retry else {}
    given |= {"retry_before": retry_before} if retry_before else {}
    environment = {**place.secrets, **({"ESCALOMETER_RETRY": retry} if retry else {})}
    environment |= {"ESCALOMETER_RETRY_BEFORE": retry_before} if retry_before else {}
    environment |= {**spell_limits(place.limits), "ESCALOMETER_RUN": uuid.uuid4().hex}

    def flags() -> list[str]:
        return [f"--parameters={json.dumps(given)}", *(["--timings"] if timings else [])]

    def beside(who: str) -> None:
        if parameters is None or not differing(load_params(), changes):
            say_waiting(who)
            return
        click.echo(
            f"another run of this project is under way ({who}): the models are asked beside it; "
            "params.yaml and the results in data/ follow once it has ended",
            err=True,
        )
        run_flow("evaluate", flags(), environment, _KEPT)
        for name in ("ESCALOMETER_RETRY", "ESCALOMETER_RETRY_BEFORE"):  # done
            environment.pop(name, None)
            given.pop(name.partition("_")[2].lower(), None)

    with only_run(place.root, beside):
        params = load_params()
        if changes := differing(params, changes):
            params = set_params(changes)
        project.prepare(params.models, place.root)
        _run_here(params, place, flags(), environment, dry_run)
        return params


_KEPT = "every answer received so far"


def _run_here(
    params: Params,
    place: Workspace,
    flags: Sequence[str],
    environment: Mapping[str, str],
    dry_run: bool,
) -> None:
    """Run the evaluation of params.yaml in the project, unless all is current."""
    from escalometer.operations import evaluation
    from escalometer.operations.cells import check_runner

    asks_again = "ESCALOMETER_RETRY" in environment
    plan, due = evaluation.planned(asks_again, dry_run)
    if dry_run or (due and evaluation.may_ask(due)):
        evaluation.check_models(params, place)
        evaluation.check_context(params, place)
        check_runner(place.asking(params))
    if due:
        known = f"--checked={','.join(plan.addresses)}"
        run_flow("evaluate", [*flags, known], environment, _KEPT)
        return
    click.echo(f"all {len(plan.addresses)} stages are current: nothing to run", err=True)
    if dry_run:
        for line in evaluation.cost_lines(params, place, evaluation.forecasts(params, place)):
            click.echo(line, err=True)


def set_params(changes: Mapping[tuple[str, ...], Any]) -> Params:
    """Write changes into params.yaml, say which, and return the new parameters."""
    from escalometer.config import edit_params

    params = edit_params(dict(changes))
    changed = ", ".join(".".join(keys) for keys in changes)
    click.echo(f"params.yaml: set {changed}", err=True)
    return params


def say_waiting(who: str) -> None:
    """Say that another run has to end first."""
    click.echo(f"waiting for another run of this project ({who}) to end …", err=True)


@contextlib.contextmanager
def only_run(root: Path, on_wait: Callable[[str], object] = say_waiting) -> Iterator[None]:
    """Be the only run that writes a project's outputs, for the block.

    Parameters
    ----------
    root : Path
        The project.
    on_wait : callable
        Takes the run that has to end first, as text.
    """
    from escalometer.layout import run_lock
    from escalometer.runtime.locks import locked

    with locked(run_lock(root), on_wait):
        yield


def run_flow(
    name: str, arguments: Sequence[str], environment: Mapping[str, str], kept: str
) -> None:
    """Run flows/<name>.py to its end, and carry its exit code on.

    Parameters
    ----------
    name : str
        Which flow.
    arguments : sequence of str
        Parameters for it; one that ends it with this process is added.
    environment : mapping of str to str
        Its environment; the stages that it runs are one run there.
    kept : str
        What an interruption does not lose, for the message: ``"what was answered"``.

    Raises
    ------
    Interrupted
        If the flow was interrupted.
    SystemExit
        If the flow failed: it has said why.
    """
    flows = folder_path("flows")
    modules = [str(flows.parent), *filter(None, [environment.get("PYTHONPATH")])]
    # DVC starts stages as `escalometer stage`: that of this environment, activated or not.
    programs = [str(Path(sys.executable).parent), *filter(None, [environment.get("PATH")])]
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, str(flows / f"{name}.py"), *arguments, "--end-with-parent"],
        env={
            "ESCALOMETER_RUN": uuid.uuid4().hex,
            **environment,
            "PYTHONPATH": os.pathsep.join(modules),
            "PATH": os.pathsep.join(programs),
        },
        process_group=0,  # so that an interruption reaches it and its stages once, from here
    )
    while True:
        try:
            code = process.wait()
            break
        except KeyboardInterrupt:  # let it save its work and end
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGINT)
    if code == Interrupted.exit_code:
        raise Interrupted(f"interrupted; {kept} is kept: run the same command to resume")
    if code:  # a shell reports a child that died of a signal as 128 + its number
        raise SystemExit(128 - code if code < 0 else code)
