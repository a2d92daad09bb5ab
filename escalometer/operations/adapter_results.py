"""Results of an adapter's probes: their record in MLflow, their place in the report."""

from __future__ import annotations

from pathlib import Path

from escalometer import layout, tracking
from escalometer.documents import Probes
from escalometer.documents.document import read_document

#: Numbers of a probe that MLflow keeps as metrics.
_NUMBERS = ("estimate", "low", "high", "n_right", "n_unparsed", "n_forced")


def track(name: str, root: Path = Path(), uri: str | None = None) -> str:
    """Log the probes of an adapter with the run that trained it, once, and return the run's id.

    Parameters
    ----------
    name : str
        The adapter.
    root : Path
        The project.
    uri : str, optional
        MLflow's tracking address; a SQLite file in the project by default.

    Raises
    ------
    DataError
        If there are no probes of it.
    ProviderError
        If MLflow refuses or cannot be reached.
    """
    path = layout.probes_file(name, root)
    metrics = flat_probes(read_document(Probes, path))
    files = sorted(file for file in path.parent.iterdir() if file.is_file())
    adapter = layout.adapter_folder(name, root)
    return tracking.track_probes(name, metrics, files, adapter, root, uri)


def flat_probes(probes: Probes) -> dict[str, float]:
    """Return the numbers of probes by one name each: ``held_out_domain.signal.tuned.estimate``."""
    flat: dict[str, float] = {}
    for probe in probes.probes:
        stem = f"{probe.probe}.{probe.scored_against}"
        flat[f"{stem}.n"] = probe.n
        for role, score in (("base", probe.base), ("tuned", probe.tuned)):
            numbers = {key: getattr(score, key) for key in _NUMBERS}
            flat |= {
                f"{stem}.{role}.{key}": float(x) for key, x in numbers.items() if x is not None
            }
            for mistake, n in score.mistakes.items():
                flat[f"{stem}.{role}.mistakes.{mistake}"] = float(n)
    return flat


def is_report_behind(root: Path = Path()) -> bool:
    """Return whether there are probes that are newer than the report.

    DVC cannot say so: a stage cannot depend on a folder that is only there where adapters are.
    """
    page = layout.report_file(root)
    found = layout.all_probes_files(root)
    if not found or not page.exists():
        return False
    return max(path.stat().st_mtime_ns for path in found) > page.stat().st_mtime_ns
