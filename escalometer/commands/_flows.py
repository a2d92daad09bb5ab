"""Run a flow of flows/ as a separate process, if there is anything for it to do."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from escalometer.commands._options import spell_limits
from escalometer.errors import Interrupted
from escalometer.resources import folder_path

if TYPE_CHECKING:
    from escalometer.config import Params, Workspace


def run_evaluation(
    params: Params,
    place: Workspace,
    retry: str | None = None,
    dry_run: bool = False,
    timings: bool = False,
    retry_before: str | None = None,
) -> None:
    """Bring the evaluation of params.yaml up to date by its flow, once its models are checked.

    Parameters
    ----------
    params : Params
        As params.yaml has them.
    place : Workspace
        The project; its limits hold for the stages of this run.
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
    from escalometer.operations import evaluation, project

    project.prepare(params.models, place.root)
    plan, due = evaluation.planned(bool(retry), dry_run)
    if dry_run or (due and evaluation.may_ask(due)):
        evaluation.check_models(params, place)
        evaluation.check_context(params, place)
    if due:
        again = {"ESCALOMETER_RETRY": retry} if retry else {}
        again |= {"ESCALOMETER_RETRY_BEFORE": retry_before} if retry_before else {}
        wanted = {"--ask-again": retry, "--dry-run": dry_run, "--timings": timings}
        flags = [flag for flag, is_wanted in wanted.items() if is_wanted]
        flags.append(f"--checked={','.join(plan.addresses)}")
        kept = "every answer received so far"
        limits = spell_limits(place.limits)
        run_flow("evaluate", flags, {**place.secrets, **again, **limits}, kept)
        return
    click.echo(f"all {len(plan.addresses)} stages are current: nothing to run", err=True)
    for line in evaluation.cost_lines(params, place) if dry_run else ():
        click.echo(line, err=True)


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
            **environment,
            "ESCALOMETER_RUN": uuid.uuid4().hex,
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
