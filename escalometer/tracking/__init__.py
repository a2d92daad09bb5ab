"""The only door to MLflow: a record of runs, never read back by the pipeline.

An evaluation is logged whole when it is over (`log`). A training is a `TrainingRun`: opened before
the first step, resumed after a crash, finished with its adapter as a registered model's version,
which `fetch_adapter` brings back. `track_probes` adds the results of its probes later.
`evaluations` reads evaluations for `escalometer history`; `mix_tags` is what it compares them by.
"""

from escalometer.tracking._headline import headline_numbers
from escalometer.tracking._history import TrackedRun, evaluations
from escalometer.tracking._mix import mix_tags
from escalometer.tracking._records import RunRecord, log
from escalometer.tracking._registry import fetch_adapter, track_probes
from escalometer.tracking._store import EXPERIMENT, default_uri, prepare_store
from escalometer.tracking._training import TrainingRun

__all__ = [
    "EXPERIMENT",
    "RunRecord",
    "TrackedRun",
    "TrainingRun",
    "default_uri",
    "evaluations",
    "fetch_adapter",
    "headline_numbers",
    "log",
    "mix_tags",
    "prepare_store",
    "track_probes",
]
