"""The only door to MLflow: a record of runs, and the state of releases.

An evaluation is logged whole when it is over (`log`), with a version of a registered model for its
release. `promote` moves the alias of the release in use, `in_use` returns the version that it
points to. A training is a `TrainingRun`: opened before the first step, resumed after a crash,
finished with its adapter as a registered model's version, which `fetch_adapter` brings back.
`track_probes` adds the results of its probes later. `evaluations` reads evaluations for
`escalometer history`; `mix_tags` is what it compares them by. The pipeline reads nothing of this.
"""

from escalometer.tracking._aliases import ReleaseVersion, in_use
from escalometer.tracking._headline import headline_numbers
from escalometer.tracking._history import TrackedRun, evaluations
from escalometer.tracking._mix import mix_tags
from escalometer.tracking._promotion import Judged, Moved, promote
from escalometer.tracking._records import RunRecord, log
from escalometer.tracking._registry import fetch_adapter, track_probes
from escalometer.tracking._releases import CANDIDATE, Release, evaluation_digest
from escalometer.tracking._store import EXPERIMENT, default_uri, prepare_store
from escalometer.tracking._training import TrainingRun

__all__ = [
    "CANDIDATE",
    "EXPERIMENT",
    "Judged",
    "Moved",
    "Release",
    "ReleaseVersion",
    "RunRecord",
    "TrackedRun",
    "TrainingRun",
    "default_uri",
    "evaluation_digest",
    "evaluations",
    "fetch_adapter",
    "headline_numbers",
    "in_use",
    "log",
    "mix_tags",
    "prepare_store",
    "promote",
    "track_probes",
]
