"""Settings of an analysis."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from escalometer.config import Params, default_params, load_params, validated


def parameters(
    file: Path | str | None = None,
    *,
    seed: int | None = None,
    gate: Mapping[str, Any] | None = None,
    **analyze: Any,
) -> Params:
    """Return the settings of an analysis: those of params.yaml, or the built-in ones, with changes.

    Parameters
    ----------
    file : path, optional
        A params.yaml; the built-in one by default.
    seed : int, optional
        Seed of the resamples, at least 0.
    gate : mapping, optional
        Limits of the gate, as under `gate` in params.yaml: ``{"max_regret": 0.1}``.
    **analyze
        As under `analyze` there: `cost_ratios` (each above 1), `human_error_rate` (in [0, 1)),
        `n_bootstrap` (at least 100).

    Raises
    ------
    UsageError
        If there is no such file, or a name or value is not allowed.
    """
    params = default_params() if file is None else load_params(Path(file))
    content = params.model_dump()
    content["seed"] = params.seed if seed is None else seed
    content["analyze"] |= analyze
    content["gate"] |= dict(gate or {})
    return validated(Path("parameters" if file is None else file), Params, content)
