"""`escalometer serve`: Prefect's server, a worker and the deployments, on this machine."""

from __future__ import annotations

import click

from escalometer.commands import Place
from escalometer.commands._flows import run_flow
from escalometer.runtime.extras import need

_PORT = click.IntRange(min=1, max=65535)


@click.command()
@click.option("--port", type=_PORT, default=4200, show_default=True, help="Port of Prefect.")
@click.option(
    "--mlflow-port",
    type=click.IntRange(min=0, max=65535),
    default=5000,
    show_default=True,
    help="Port of MLflow; 0 for no MLflow.",
)
@click.pass_obj
def serve(workspace: Place, port: int, mlflow_port: int) -> None:
    """Run the deployments of prefect.yaml on this machine, until Ctrl-C.

    Starts Prefect's server with its pages, a worker that runs what is scheduled or requested,
    and MLflow's pages. All of them listen on 127.0.0.1 alone. A second call says where the first
    one serves. After Ctrl-C, a kill or a restart of the machine the same command goes on: runs
    that were interrupted are started anew, and of missed schedules the last one is made up for.

    \b
    ESCALOMETER_NOTIFY_URL in the environment: where notices are posted, e.g. a webhook of Slack.

    \b
    Example:
      escalometer serve
    """  # noqa: D301 (\b is click's mark for lines to keep)
    from escalometer.config import check_project

    need("pipeline", "`escalometer serve`")
    check_project()
    arguments = [str(port), str(mlflow_port)]
    run_flow("serve", arguments, workspace().secrets, "what the runs did so far")
