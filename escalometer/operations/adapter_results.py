"""What comes after the probes of an adapter: their record in MLflow, their place in the report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from escalometer import layout, tracking
from escalometer.runtime.files import read_json

#: Of what a probe found, the numbers that MLflow keeps as metrics.
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
    metrics = flat_probes(read_json(path))
    files = sorted(file for file in path.parent.iterdir() if file.is_file())
    adapter = layout.adapter_folder(name, root)
    return tracking.track_probes(name, metrics, files, adapter, root, uri)


def flat_probes(probes: Mapping[str, Any]) -> dict[str, float]:
    """Return what probes.json says as flat metrics: ``held_out_domain.signal.tuned.estimate``."""
    flat: dict[str, float] = {}
    for entry in probes["probes"]:
        stem = f"{entry['probe']}.{entry['scored_against']}"
        flat[f"{stem}.n"] = entry["n"]
        both = {role: found for role, found in entry.items() if isinstance(found, Mapping)}
        for role, found in both.items():
            numbers = {key: found[key] for key in _NUMBERS if found.get(key) is not None}
            flat |= {f"{stem}.{role}.{key}": float(x) for key, x in numbers.items()}
            for mistake, n in found["mistakes"].items():
                flat[f"{stem}.{role}.mistakes.{mistake}"] = float(n)
    return flat


def is_report_behind(root: Path = Path()) -> bool:
    """Return whether probes have come since the report was written.

    DVC cannot say so: a stage cannot depend on a folder that is only there where adapters are.
    """
    page = layout.report_file(root)
    found = layout.all_probes_files(root)
    if not found or not page.exists():
        return False
    return max(path.stat().st_mtime_ns for path in found) > page.stat().st_mtime_ns
