"""Aliases of the registered model of releases: which is in use, and which is a candidate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from escalometer.config import IN_USE
from escalometer.errors import DataError
from escalometer.layout import mlflow_file
from escalometer.tracking._releases import CANDIDATE, EVALUATION, RELEASES
from escalometer.tracking._store import connected, default_uri


@dataclass(frozen=True)
class ReleaseVersion:
    """A version of the registered model: an evaluated release.

    Attributes
    ----------
    registered_model : str
    version : int
    model : str
        The card's id.
    """

    registered_model: str
    version: int
    model: str

    def __str__(self) -> str:
        return f"version {self.version} of {self.registered_model} ({self.model})"


def in_use(registered_model: str, root: Path, uri: str | None = None) -> ReleaseVersion | None:
    """Return the release in use, None where there is none yet.

    Parameters
    ----------
    registered_model : str
        The registered model whose versions are releases.
    root : Path
        The project; holds the store where `uri` is None.
    uri : str, optional
        MLflow's tracking address.

    Raises
    ------
    DataError
        If the alias points to a version that is no evaluated release.
    ProviderError
        If MLflow refuses or cannot be reached.
    """
    if uri is None and not mlflow_file(root).exists():
        return None
    with connected(root, uri, is_patient=False) as (client, _):
        found = pointed_to(client, registered_model, IN_USE)
    if found is not None and not found.model:
        raise DataError(
            f"MLflow at {uri or default_uri(root)}: the alias {IN_USE} points to version "
            f"{found.version} of {registered_model}, which is no evaluated release. Set the alias "
            "to another version, or name the release in use (--against)"
        )
    return found


def aliased(client: Any) -> dict[str, tuple[str, ReleaseVersion]]:
    """Return the alias and the version of releases in use and candidates, by evaluation."""
    found: dict[str, tuple[str, ReleaseVersion]] = {}
    for registered in client.search_registered_models(f"tags.`{RELEASES}` = 'true'"):
        for alias in (CANDIDATE, IN_USE):  # the latter says more
            if alias in registered.aliases:
                number = str(registered.aliases[alias])
                version = client.get_model_version(registered.name, number)
                if EVALUATION in version.tags:
                    release = _release(registered.name, version)
                    found[version.tags[EVALUATION]] = (alias, release)
    return found


def _release(registered_model: str, version: Any) -> ReleaseVersion:
    return ReleaseVersion(registered_model, int(version.version), version.tags.get("model", ""))


def pointed_to(client: Any, registered_model: str, alias: str) -> ReleaseVersion | None:
    """Return the version that an alias points to, None where there is none."""
    from mlflow.exceptions import MlflowException

    try:
        aliases: Mapping[str, Any] = client.get_registered_model(registered_model).aliases
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None
    if alias not in aliases:
        return None
    version = client.get_model_version(registered_model, str(aliases[alias]))
    return _release(registered_model, version)
