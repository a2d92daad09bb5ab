"""Dialogues that a policy is made from, in three parts of their scenarios.

Steps and condition counts are fitted to the first part, the rule is chosen and the limits are
tested on the second, and the third is for the report.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from escalometer.documents.policy import PolicyScore

Flags: TypeAlias = NDArray[np.bool_]
Places: TypeAlias = NDArray[np.intp]

#: Parts in which scenarios are, and the tenths of all hashes that each takes.
FIT, CHOOSE, REPORT = 0, 1, 2
_TENTHS = (FIT,) * 3 + (CHOOSE,) * 4 + (REPORT,) * 3


@dataclass(frozen=True)
class Dialogues:
    """Answered dialogues of one model in one protocol variant.

    Attributes
    ----------
    condition : list of (str, str)
        Domain and condition.
    scenario : list of str
        A name for the scenario; all dialogues about it are in one part, and are one cluster.
    right, own : ndarray of bool, shape (n,)
        Whether the prediction is right; whether the model implements it.
    scores : dict of str to list
        By score, its values; None where a dialogue has none.
    """

    condition: list[tuple[str, str]]
    scenario: list[str]
    right: Flags
    own: Flags
    scores: dict[PolicyScore, list[float | None]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.scenario)

    def take(self, places: Sequence[int] | Places) -> Dialogues:
        """Return some of them, in this order."""
        return Dialogues(
            [self.condition[i] for i in places],
            [self.scenario[i] for i in places],
            self.right[places],
            self.own[places],
            {name: [values[i] for i in places] for name, values in self.scores.items()},
        )

    def parts(self, seed: int) -> tuple[Dialogues, Dialogues, Dialogues]:
        """Return the dialogues to fit, to choose and to report on."""
        part = np.array([_part(seed, name) for name in self.scenario], dtype=int)
        fit, choose, report = (self.take(np.flatnonzero(part == p)) for p in (FIT, CHOOSE, REPORT))
        return fit, choose, report

    def one_per_scenario(self, seed: int) -> Dialogues:
        """Return one dialogue per scenario, chosen by a hash: they are independent."""
        chosen: dict[str, tuple[bytes, int]] = {}
        for i, name in enumerate(self.scenario):
            # Dialogues of one scenario and condition: the first counts.
            key = hashlib.sha256(f"{seed}:{name}:{self.condition[i]}".encode()).digest()
            if name not in chosen or key < chosen[name][0]:
                chosen[name] = (key, i)
        return self.take([i for _, i in chosen.values()])

    def counts(self) -> dict[tuple[str, str], tuple[int, int]]:
        """Return right predictions and dialogues by condition."""
        found: dict[tuple[str, str], tuple[int, int]] = {}
        for name, is_right in zip(self.condition, self.right.tolist(), strict=True):
            k, n = found.get(name, (0, 0))
            found[name] = (k + is_right, n + 1)
        return found


def _part(seed: int, scenario: str) -> int:
    found = hashlib.sha256(f"policy:{seed}:{scenario}".encode()).digest()
    return _TENTHS[int.from_bytes(found[:8], "big") % len(_TENTHS)]
