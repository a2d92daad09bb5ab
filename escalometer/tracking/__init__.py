"""The only door to MLflow: a record of runs, never read back by the pipeline.

An evaluation is logged whole when it is over (`log`). A training is a `TrainingRun`: opened before
the first step, resumed after a crash, finished with its adapter as a registered model's version,
which `fetch_adapter` brings back. `track_probes` adds the results of its probes later.
"""

from escalometer.tracking._records import RunRecord, log
from escalometer.tracking._registry import fetch_adapter, track_probes
from escalometer.tracking._store import EXPERIMENT, default_uri
from escalometer.tracking._training import TrainingRun

__all__ = [
    "EXPERIMENT",
    "RunRecord",
    "TrainingRun",
    "default_uri",
    "fetch_adapter",
    "log",
    "track_probes",
]
