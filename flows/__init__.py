"""Prefect flows: order, retries, schedules and history. dvc.yaml defines the stages."""

import os
import sys

from escalometer.errors import MissingExtra
from escalometer.runtime.ending import leave_with
from escalometer.runtime.extras import need

try:  # before the imports of `python flows/evaluate.py` fail
    need("pipeline", "a flow")
except MissingExtra as error:
    print(f"error: {error}", file=sys.stderr)
    leave_with(lambda: MissingExtra.exit_code)

# Prefect reads these when it is imported. Its console is silent, as flows print their own lines;
# the logs of a run have them too, for Prefect's pages. No analytics are sent.
os.environ.setdefault("PREFECT_LOGGING_LEVEL", "INFO")
os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
os.environ.setdefault("PREFECT_LOGGING_SERVER_LEVEL", "CRITICAL")
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("DO_NOT_TRACK", "1")
