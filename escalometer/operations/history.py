"""Evaluations of a model or a family over time, from MLflow, and what changed between them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

from escalometer import tracking
from escalometer.documents.history import History, HistoryEntry
from escalometer.documents.interval import SimpleInterval
from escalometer.errors import DataError
from escalometer.tracking import TrackedRun

#: Tags of a run that begin so are its mix.
_MIX = "mix."
#: Settings of params.yaml that change numbers; those of asking and of the gate do not.
_SETTINGS = ("seed", "sample.", "query.", "analyze.")
#: Characters that end the name of a family: claude-haiku-4-5 is of the family claude-haiku.
_SEPARATORS = "-._:/@ "
_COST = "realized_cost."


def run(name: str, root: Path = Path(), uri: str | None = None) -> History:
    """Return the document of ``escalometer history NAME --json``.

    Parameters
    ----------
    name : str
        A model; or a family: the models whose names begin so, up to a separator.
    root : Path
        The project.
    uri : str, optional
        MLflow's tracking address; the project's own by default.

    Raises
    ------
    DataError
        If no evaluation of it was logged.
    ProviderError
        If MLflow cannot be reached.
    """
    logged = tracking.evaluations(root, uri)
    models = members(name, {one.model for one in logged})
    if not models:
        known = ", ".join(sorted({one.model for one in logged})) or "none"
        raise DataError(
            f"MLflow at {uri or tracking.default_uri(root)} has no evaluation of {name}, nor of a "
            f"model whose name begins with {name}-. Evaluated models: {known}. Run `escalometer "
            f"evaluate {name}`"
        )
    chosen = [one for one in logged if one.model in models]
    entries: list[HistoryEntry] = []
    for one in chosen:
        entries.append(_entry(one, entries[-1] if entries else None))
    warnings = [
        text for before, after in itertools.pairwise(entries) if (text := _warning(before, after))
    ]
    return History(
        name=name,
        models=tuple(sorted(models)),
        entries=tuple(entries),
        warnings=tuple(warnings),
    )


def members(name: str, models: set[str]) -> set[str]:
    """Return the model of that name, or else the models of the family of that name."""
    if name in models:
        return {name}
    stem = name.rstrip(_SEPARATORS)
    return {
        model
        for model in models
        if stem and model.startswith(stem) and model[len(stem) : len(stem) + 1] in set(_SEPARATORS)
    }


def _entry(run: TrackedRun, before: HistoryEntry | None) -> HistoryEntry:
    metrics, tags = run.metrics, run.tags
    mix = _mix(run)
    earlier = mix if before is None else before.mix
    # Runs before 2026-11-29 have no headline numbers: those of the baseline, if there was one.
    prefix = "headline." if "headline.variant" in tags else ""
    fit = f"{prefix}implicit_threshold"
    n = metrics.get("n_decisions")
    return HistoryEntry(
        run_id=run.run_id,
        logged_at=run.logged_at.isoformat(timespec="seconds"),
        model=run.model,
        resolved_models=tags.get("resolved_models") or None,
        n_decisions=None if n is None else round(n),
        variant=tags.get("headline.variant") or ("baseline" if fit in metrics else None),
        threshold=SimpleInterval(
            estimate=metrics.get(fit),
            low=metrics.get(f"{fit}_low"),
            high=metrics.get(f"{fit}_high"),
        ),
        predictive_accuracy=metrics.get(f"{prefix}predictive_accuracy"),
        escalation_rate=metrics.get("headline.escalation_rate"),
        realized_cost={
            name.removeprefix(_COST): value
            for name, value in sorted(metrics.items())
            if name.startswith(_COST)
        },
        cost_usd=metrics.get("cost_usd"),
        git_commit=tags.get("git_commit"),
        alias=run.alias,
        registered_model=None if run.release is None else run.release.registered_model,
        version=None if run.release is None else run.release.version,
        mix=mix,
        changes=tuple(k for k in mix if k in earlier and mix[k] != earlier[k]),
        unknown=tuple(sorted(set(mix) ^ set(earlier))),
    )


def _mix(run: TrackedRun) -> dict[str, str]:
    """Return what a run's numbers depend on besides the model."""
    tags = {k.removeprefix(_MIX): v for k, v in run.tags.items() if k.startswith(_MIX)}
    settings = {k: v for k, v in run.parameters.items() if k.startswith(_SETTINGS)}
    return {"domains": run.tags.get("domains", ""), **_sorted(tags), **_sorted(settings)}


def _sorted(values: Mapping[str, str]) -> dict[str, str]:
    return dict(sorted(values.items()))


def _warning(before: HistoryEntry, after: HistoryEntry) -> str | None:
    """Return what changed in the mix between two evaluations, None where nothing did."""
    if not after.changes and not after.unknown:
        return None
    parts = []
    if after.changes:
        changed = [_change(name, before.mix[name], after.mix[name]) for name in after.changes]
        parts.append(f"changed besides the model: {'; '.join(changed)}")
    if after.unknown:
        parts.append(f"not logged for both: {_listed(after.unknown)}")
    return (
        f"{before.logged_at[:16]} {before.model} → {after.logged_at[:16]} {after.model}: "
        f"{'; '.join(parts)}. The difference of their numbers may come from this and not from the "
        "model."
    )


def _change(name: str, before: str, after: str) -> str:
    return f"{name} ({before or 'none'} → {after or 'none'})"


def _listed(names: Sequence[str], most: int = 6) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
