"""Releases in MLflow's registry: the one in use, and its replacement by a verdict that passes."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath

from escalometer import layout, tracking
from escalometer.config import IN_USE, TrackParams
from escalometer.documents import Promotion, Verdict
from escalometer.errors import EscalometerError, UsageError
from escalometer.layout import PIPELINE

#: The registered model of params.yaml as it ships.
REGISTERED_MODEL = TrackParams().registered_model

_SHA256 = "sha256:"


def in_use(
    root: Path = Path(), uri: str | None = None, registered_model: str = REGISTERED_MODEL
) -> str | None:
    """Return the model of the release in use, None where there is none yet.

    Parameters
    ----------
    root : Path
        The project; holds MLflow's store where `uri` is None.
    uri : str, optional
        MLflow's tracking address.
    registered_model : str
        The registered model whose versions are releases: `track.registered_model`.

    Raises
    ------
    DataError
        If the alias points to a version that is no evaluated release.
    ProviderError
        If MLflow refuses or cannot be reached.
    """
    found = tracking.in_use(registered_model, root, uri)
    return None if found is None else found.model


def resolved(
    model: str,
    against: str | None,
    root: Path = Path(),
    uri: str | None = None,
    registered_model: str = REGISTERED_MODEL,
) -> tuple[str | None, str | None]:
    """Return the release to compare with, and a note on where its name is from.

    A name other than ``in-use`` is returned without a note, and MLflow is not asked. Nothing is to
    be compared with where no release is in use, or `model` itself is.

    Parameters
    ----------
    model : str
        The release that is judged.
    against : str or None
        As in `gate.against`.
    root, uri, registered_model : Path, str, str
        As of `in_use`, as are the errors.
    """
    if against != IN_USE:
        return against, None
    found = tracking.in_use(registered_model, root, uri)
    if found is None:
        return None, (
            f"No release is in use: {registered_model} in MLflow at "
            f"{uri or tracking.default_uri(root)} has no alias {IN_USE}. Nothing is compared."
        )
    if found.model == model:
        return None, f"{model} is the release in use itself ({found}). Nothing is compared."
    return found.model, f"The release in use is {found.model}: {found} in MLflow."


def promote(
    verdict: Verdict,
    root: Path = Path(),
    uri: str | None = None,
    registered_model: str = REGISTERED_MODEL,
) -> Promotion:
    """Record a verdict in MLflow, put its release in use if it passes, and return what was done.

    The alias is moved to the version of exactly those decisions that were judged.

    Parameters
    ----------
    verdict : Verdict
        On decisions of the pipeline, as `escalometer.operations.gate.run` returns it.
    root, uri, registered_model : Path, str, str
        As of `in_use`.

    Raises
    ------
    UsageError
        If the decisions are not the pipeline's, or if the verdict passes and another release is in
        use than it was compared with.
    DataError
        If the evaluation that was judged is not in MLflow.
    ProviderError
        If MLflow refuses or cannot be reached.
    """
    judged = tracking.Judged(
        model=verdict.model,
        evaluation=tracking.evaluation_digest(verdict.model, _decisions(verdict)),
        against=verdict.against,
        outcome=verdict.verdict,
        judged_at=verdict.judged_at or "",
        document=json.dumps(verdict.as_json(), allow_nan=False, indent=2),
    )
    moved = tracking.promote(judged, registered_model, root, uri)
    release, before = moved.release, moved.before
    was = f" It replaces {before}." if before is not None else ""
    left = f" It is still a {tracking.CANDIDATE}: {moved.problem}." if moved.problem else ""
    if moved.is_moved:
        status, text = "promoted", f"promoted: {IN_USE} → {release}.{was}{left}"
    elif verdict.verdict == "pass":
        status, text = "unchanged", f"nothing was promoted: {release} is in use already.{left}"
    else:
        status = "not_passed"
        text = f"nothing was promoted: the verdict is {verdict.verdict}. {release} has it as a tag."
    return Promotion.model_validate(
        {
            "registered_model": registered_model,
            "status": status,
            "version": release.version,
            "model": verdict.model,
            "before_version": None if before is None else before.version,
            "before_model": None if before is None else before.model,
            "text": text,
        }
    )


def refused(verdict: Verdict, registered_model: str, error: EscalometerError) -> Promotion:
    """Return what is said of a promotion that ended with an error."""
    return Promotion(
        registered_model=registered_model,
        status="refused",
        version=None,
        model=verdict.model,
        before_version=None,
        before_model=None,
        text=str(error),
    )


def _decisions(verdict: Verdict) -> dict[str, str]:
    """Return the sha256 of the decisions that were judged, by domain."""
    if verdict.source != PIPELINE:
        raise UsageError(
            f"decisions of {verdict.source} cannot be promoted: MLflow has the releases that "
            "`escalometer evaluate` evaluated"
        )
    found = {}
    for path, digest in verdict.files.items():
        domain = PurePosixPath(path).stem
        if layout.decisions_file(verdict.model, domain).as_posix() == path:
            found[domain] = digest.removeprefix(_SHA256)
    return found
