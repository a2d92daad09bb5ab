"""A policy as an MLflow model: logged with its file, registered, and served.

MLflow runs this file when it loads the model ("models from code"): nothing is pickled.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow.models
import mlflow.pyfunc

from escalometer.policy import Policy, load

#: Name of the policy among the model's artifacts.
ARTIFACT = "policy"

#: Columns of a request, as `Policy.decide` names them.
COLUMNS = (
    *("condition", "confidence", "own_action", "model", "domain", "version", "prompt_digest"),
)


class PolicyModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """A policy that decides one row at a time."""

    policy: Policy

    def load_context(self, context: Any) -> None:
        """Read the policy; a file that was changed after its export is refused."""
        self.policy = load(context.artifacts[ARTIFACT])

    def predict(
        self,
        context: Any,  # noqa: ARG002
        model_input: Any,
        params: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> list[dict[str, str]]:
        """Return action and reason of each row.

        Parameters
        ----------
        context : PythonModelContext
            Unused.
        model_input : DataFrame
            Columns of `COLUMNS`; those that are absent, and nulls, are not given.
        params : dict, optional
            Unused.
        """
        rows = model_input.to_dict("records")
        return [self.policy.decide(**_given(row))._asdict() for row in rows]


def log_policy(path: str | Path, registered_model: str | None = None) -> Any:
    """Log the policy in a file as a model of the active run, and return MLflow's record of it.

    Parameters
    ----------
    path : str or Path
        The policy.
    registered_model : str, optional
        Also register it as a version of this model.

    Raises
    ------
    escalometer.policy.PolicyError
        If the file is no policy, or was changed after its export.
    """
    policy = load(path)
    return mlflow.pyfunc.log_model(
        name="policy",
        python_model=str(Path(__file__)),
        artifacts={ARTIFACT: str(path)},
        registered_model_name=registered_model,
        pip_requirements=["escalometer", f"mlflow=={mlflow.__version__}"],
        metadata={"digest": policy.content["digest"], "expires_at": policy.expires_at},
    )


def _given(row: dict[str, Any]) -> dict[str, Any]:
    """Return what a row says: pandas writes NaN where a record has no value."""
    return {
        name: row[name]
        for name in COLUMNS
        if name in row and row[name] is not None and row[name] == row[name]
    }


mlflow.models.set_model(PolicyModel())
