"""Prefect flows: order, retries, schedules and history. dvc.yaml defines the stages."""

import sys

from escalometer.errors import MissingExtra
from escalometer.runtime.ending import leave_with
from escalometer.runtime.extras import need

try:  # before the imports of `python flows/evaluate.py` fail
    need("pipeline", "a flow")
except MissingExtra as error:
    print(f"error: {error}", file=sys.stderr)
    leave_with(lambda: MissingExtra.exit_code)
