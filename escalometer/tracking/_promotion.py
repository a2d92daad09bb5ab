"""Verdicts on releases: recorded on the version judged, which one that passes puts in use."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from escalometer.config import IN_USE
from escalometer.errors import DataError, ProviderError, UsageError
from escalometer.layout import mlflow_file
from escalometer.tracking._aliases import ReleaseVersion, pointed_to
from escalometer.tracking._releases import CANDIDATE, version_of
from escalometer.tracking._store import connected, default_uri

#: Hexadecimal digits of a verdict's digest in the name of its file.
_DIGITS = 16


@dataclass(frozen=True)
class Judged:
    """A verdict on an evaluation.

    Attributes
    ----------
    model : str
        The release that was judged.
    evaluation : str
        As `evaluation_digest` returns it.
    against : str or None
        The release in use that it was compared with.
    outcome : str
        ``pass``, ``fail`` or ``inconclusive``.
    judged_at : str
        ISO 8601.
    document : str
        The verdict as JSON.
    """

    model: str
    evaluation: str
    against: str | None
    outcome: str
    judged_at: str
    document: str


@dataclass(frozen=True)
class Moved:
    """The result of recording a verdict.

    Attributes
    ----------
    release : ReleaseVersion
        The release that was judged.
    before : ReleaseVersion or None
        The release in use before.
    is_moved : bool
        Whether the alias of the release in use was moved.
    problem : str
        Why the release is a candidate still; empty where it is not.
    """

    release: ReleaseVersion
    before: ReleaseVersion | None
    is_moved: bool
    problem: str = ""


def promote(judged: Judged, registered_model: str, root: Path, uri: str | None = None) -> Moved:
    """Record a verdict on the version of its evaluation, and put that in use if it passes.

    Parameters
    ----------
    judged : Judged
        The verdict.
    registered_model, root, uri : str, Path, str
        As of `in_use`.

    Raises
    ------
    DataError
        If the evaluation has no version.
    UsageError
        If the verdict passes, but the release in use is another one than it was compared with.
    ProviderError
        If MLflow refuses or cannot be reached.
    """
    untracked = DataError(
        f"MLflow at {uri or default_uri(root)}: {registered_model} has no version of the "
        f"decisions of {judged.model} that were judged, so nothing was promoted. Run `escalometer "
        f"evaluate {judged.model}`"
    )
    if uri is None and not mlflow_file(root).exists():
        raise untracked
    ending = "nothing was promoted"
    try:
        with connected(root, uri, is_patient=False) as (client, _):
            version = version_of(client, registered_model, judged.evaluation)
            if version is None:
                raise untracked
            release = ReleaseVersion(registered_model, int(version.version), judged.model)
            _record(client, release, version.run_id, judged)
            before = pointed_to(client, registered_model, IN_USE)
            is_moved = _is_to_move(release, before, judged)
            if is_moved:
                # An answer may be lost after MLflow has done what it was told to.
                ending = (
                    f"MLflow did not confirm the promotion: `escalometer history {judged.model}`"
                )
                client.set_registered_model_alias(registered_model, IN_USE, str(release.version))
    except ProviderError as error:
        raise ProviderError(f"{error}; {ending}") from error
    problem = _end_candidacy(release, root, uri) if judged.outcome == "pass" else ""
    return Moved(release, before, is_moved, problem)


def _record(client: Any, release: ReleaseVersion, run_id: str, judged: Judged) -> None:
    """Log the verdict as a file of the run, and what it is as tags of the version."""
    digest = hashlib.sha256(judged.document.encode()).hexdigest()
    file = f"verdicts/{digest[:_DIGITS]}.json"
    try:
        client.log_text(run_id, judged.document, file)
    except OSError as error:
        raise ProviderError(f"MLflow's file {file} of run {run_id}: {error}") from error
    tags = {
        "verdict": judged.outcome,
        "verdict_sha256": digest,
        "verdict_file": file,
        "judged_at": judged.judged_at,
        "judged_against": judged.against or "",
    }
    for key, value in tags.items():
        client.set_model_version_tag(release.registered_model, str(release.version), key, value)


def _is_to_move(release: ReleaseVersion, before: ReleaseVersion | None, judged: Judged) -> bool:
    """Return whether a release is put in use: it passes, compared with what it replaces."""
    if judged.outcome != "pass" or (before is not None and before.version == release.version):
        return False
    if before is not None and judged.against not in (None, before.model):
        raise UsageError(
            f"the release in use is {before}, but {judged.model} was compared with "
            f"{judged.against}, so nothing was promoted. Run the gate again with --against {IN_USE}"
        )
    return True


def _end_candidacy(release: ReleaseVersion, root: Path, uri: str | None) -> str:
    """Remove the alias `candidate` of a release that is in use; return what went wrong, if so."""
    try:
        with connected(root, uri, is_patient=False) as (client, _):
            candidate = pointed_to(client, release.registered_model, CANDIDATE)
            if candidate is not None and candidate.version == release.version:
                client.delete_registered_model_alias(release.registered_model, CANDIDATE)
    except ProviderError as error:
        return str(error)
    return ""
