"""The record of a model's canary: its panel, its baseline and its looks, as one JSON file."""

from __future__ import annotations

import json
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from escalometer.errors import DataError, UsageError
from escalometer.runtime.files import write_json

#: The form of the file. A file of a newer form is refused, not overwritten.
FORMAT = 1

#: Code of a prompt without an answer. A prompt's choices are coded from 0, and what states no
#: choice (refused, unparsed, truncated) as one more of them.
NO_ANSWER = -1

Mode = Literal["choices", "probabilities"]


class _Part(BaseModel):
    """A part of the record: frozen, without unknown keys, NaN or infinities."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Look(_Part):
    """One answer to each prompt.

    Attributes
    ----------
    at : str
        When, ISO 8601, UTC.
    choices : tuple of int or None
        Code of each prompt's choice, in mode ``choices``.
    tokens : tuple of (dict of str to float or None) or None
        Log-probabilities by token or choice, in mode ``probabilities``.
    p_value : float or None
        Of a look after the baseline.
    resolved_models, fingerprints : tuple of str
        What the provider said that answered.
    """

    at: str
    choices: tuple[int, ...] | None = None
    tokens: tuple[dict[str, float] | None, ...] | None = None
    p_value: float | None = None
    resolved_models: tuple[str, ...] = ()
    fingerprints: tuple[str, ...] = ()

    @property
    def day(self) -> date:
        """The day in UTC."""
        return datetime.fromisoformat(self.at).date()

    @property
    def n_answered(self) -> int:
        """The number of prompts with an answer."""
        if self.choices is not None:
            return sum(code != NO_ANSWER for code in self.choices)
        return sum(found is not None for found in self.tokens or ())


class CanaryState(_Part):
    """All that is known of a model's canary.

    Attributes
    ----------
    identity : dict
        Of the model that is asked.
    requests : tuple of dict
        The panel, as `keys.request_parts` has it: it stays the same while the store grows.
    stored : Look
        What the store had for the panel when it was begun.
    n_baseline, baseline_days, alpha : int, int, float
        Settings of the panel.
    baseline, looks : tuple of Look
        The first answers, and those of the looks after them.
    drift_since : str or None
        Once drift was reported: the day at which it most likely began.
    drift_at : str or None
        Time of the look that reported it.
    """

    format: int = FORMAT
    model: str
    mode: Mode
    identity: dict[str, str]
    requests: tuple[dict[str, Any], ...]
    stored: Look
    n_baseline: int
    baseline_days: int
    alpha: float
    baseline: tuple[Look, ...] = ()
    looks: tuple[Look, ...] = ()
    drift_since: str | None = None
    drift_at: str | None = None

    @property
    def is_measured(self) -> bool:
        """True if the baseline is complete."""
        return len(self.baseline) >= self.n_baseline

    @property
    def last(self) -> Look | None:
        """The last look, of the baseline or after it."""
        return (*self.baseline, *self.looks)[-1] if self.baseline else None

    def n_due(self, today: date, again: bool) -> int:
        """Return the number of the baseline's answers per prompt to ask for today."""
        a_day = -(-self.n_baseline // self.baseline_days)
        n_today = 0 if again else sum(look.day >= today for look in self.baseline)
        return max(0, min(self.n_baseline - len(self.baseline), a_day - n_today))


def read_state(path: Path) -> CanaryState | None:
    """Return the record at `path`, None where there is none.

    Raises
    ------
    UsageError
        If the file is of a newer version.
    DataError
        If it is damaged.
    """
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        form = content.get("format") if isinstance(content, dict) else None
        if isinstance(form, int) and form > FORMAT:
            raise UsageError(
                f"{path} was written by a newer version of escalometer (format {form}, known are "
                f"those up to {FORMAT}): update escalometer, or begin anew with --restart"
            )
        return CanaryState.model_validate(content)
    except (ValueError, ValidationError) as error:
        first = str(error).splitlines()[0]
        raise DataError(
            f"{path} is not a canary's record: {first}. Begin a new baseline with --restart."
        ) from error


def write_state(state: CanaryState, path: Path) -> None:
    """Write the record at `path`, whole or not at all."""
    write_json(state.model_dump(mode="json"), path)
