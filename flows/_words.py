"""Lines of a flow for people: on standard error, and in the logs of its run in Prefect."""

from __future__ import annotations

import logging
import sys

from prefect import get_run_logger
from prefect.exceptions import MissingContextError


def say(text: str, level: int = logging.INFO) -> None:
    """Print a line for the user on standard error; standard output is for results."""
    print(text, file=sys.stderr, flush=True)
    log(text, level)


def log(text: str, level: int = logging.INFO) -> None:
    """Add a line to the logs of this run in Prefect, if there is one."""
    try:
        get_run_logger().log(level, "%s", text)
    except MissingContextError:
        return
