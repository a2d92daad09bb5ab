"""Evaluated releases in MLflow: a logged model each, and a version of one registered model."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from escalometer.config import IN_USE

#: The alias of the newest evaluated release that is not in use.
CANDIDATE = "candidate"

#: Tags: of what belongs to an evaluation its digest; of a registered model that it is of releases.
EVALUATION, RELEASES = "evaluation_sha256", "escalometer.releases"

#: What MLflow refuses in the name of a logged model.
_REFUSED = re.compile(r"[/:.%\"']")


@dataclass(frozen=True)
class Release:
    """A model as it was evaluated.

    Attributes
    ----------
    registered_model : str
        The registered model whose versions are releases.
    model : str
        The card's id.
    kind : str
        MLflow's type of the model: ``hosted-model``, ``local-model`` or ``tuned-model``.
    decisions : mapping of str to str
        sha256 of its decisions, by domain.
    parameters : mapping of str to Any
        What the model is: provider, name there, weights, price, prompts.
    adapter : tuple of str, optional
        Name and sha256 of the adapter of a tuned model.
    """

    registered_model: str
    model: str
    kind: str
    decisions: Mapping[str, str]
    parameters: Mapping[str, Any]
    adapter: tuple[str, str] | None = None

    @property
    def evaluation(self) -> str:
        """The digest of its evaluation."""
        return evaluation_digest(self.model, self.decisions)


def evaluation_digest(model: str, decisions: Mapping[str, str]) -> str:
    """Return the digest that identifies an evaluation: of the model and its decisions by domain."""
    lines = [model, *(f"{domain} {digest}" for domain, digest in sorted(decisions.items()))]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def version_of(client: Any, registered_model: str, evaluation: str) -> Any:
    """Return the version of an evaluation, None if it has none."""
    same = f"name = '{registered_model}' and tags.{EVALUATION} = '{evaluation}'"
    return next(iter(client.search_model_versions(same, max_results=1)), None)


def logged_model(client: Any, experiment_id: str, run_id: str, release: Release) -> str:
    """Return the id of the logged model of a release, an output of the run that evaluated it.

    Its weights stay where they are, so it is an external model of MLflow. One that a killed stage
    left is used again.

    Parameters
    ----------
    client : MlflowClient
    experiment_id, run_id : str
        Of the evaluation.
    release : Release
    """
    import mlflow
    from mlflow.entities import LoggedModelOutput, LoggedModelStatus

    model_id = None
    same = f"tags.{EVALUATION} = '{release.evaluation}'"
    for found in client.search_logged_models([experiment_id], same):
        if found.status == LoggedModelStatus.READY:
            model_id = found.model_id
        else:
            client.delete_logged_model(found.model_id)
    if model_id is None:
        model_id = mlflow.create_external_model(
            name=_REFUSED.sub("-", release.model),
            source_run_id=run_id,
            tags={"model": release.model, EVALUATION: release.evaluation},
            params={key: str(value)[:500] for key, value in release.parameters.items()},
            model_type=release.kind,
            experiment_id=experiment_id,
        ).model_id
    client.log_outputs(run_id, [LoggedModelOutput(model_id, step=0)])
    return str(model_id)


def register(
    client: Any, release: Release, version: Any, run_id: str, model_id: str, tags: Mapping[str, str]
) -> int:
    """Return the number of a release's version, with the alias `candidate` where it is the newest.

    Parameters
    ----------
    client : MlflowClient
    release : Release
    version : ModelVersion, optional
        Its version, where it has one.
    run_id, model_id : str
        The run and the logged model of the evaluation, for a new version.
    tags : mapping of str to str
        Of the run, for a new version.
    """
    name = release.registered_model
    registered = _registered_model(client, name)
    newest = max((int(one.version) for one in registered.latest_versions), default=0)
    if version is None:
        version = client.create_model_version(
            name,
            f"models:/{model_id}",
            run_id,
            {**tags, **_tags(client, release)},
            model_id=model_id,
        )
        newest = int(version.version)
    number = int(version.version)
    aliases = {alias: int(one) for alias, one in registered.aliases.items()}
    if number == newest and number not in (aliases.get(IN_USE), aliases.get(CANDIDATE)):
        client.set_registered_model_alias(name, CANDIDATE, str(number))
    return number


def _tags(client: Any, release: Release) -> dict[str, str]:
    tags = {f"decisions.{domain}": digest for domain, digest in release.decisions.items()}
    tags |= {"model": release.model, EVALUATION: release.evaluation}
    if release.adapter is not None:
        name, digest = release.adapter
        same = f"name = '{name}' and tags.adapter_sha256 = '{digest}'"
        tags |= {"adapter": name, "adapter_sha256": digest}
        # Its weights are registered by the training, unless that was on another machine.
        for found in client.search_model_versions(same, max_results=1):
            tags["adapter_version"] = f"models:/{name}/{found.version}"
    return tags


def _registered_model(client: Any, name: str) -> Any:
    """Return the registered model of that name, made where there is none."""
    from mlflow.exceptions import MlflowException

    tags = {RELEASES: "true"}
    try:
        registered = client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        try:
            return client.create_registered_model(name, tags, "Releases that were evaluated.")
        except MlflowException as race:  # another stage has made it meanwhile
            if race.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            registered = client.get_registered_model(name)
    if RELEASES not in registered.tags:
        client.set_registered_model_tag(name, *next(iter(tags.items())))
    return registered
