"""Rate of differences found between identical releases, and for interventions without effect.

    python -m benchmarks.null_calibration [--studies 100] [--processes 2] [--effect 0.05]
        [--only "40 x 60"]

Two releases follow one law. `compare` and `gate` get their decisions as a user's, and so does the
profile of one model with an intervention that changes nothing. Printed by setting: the share of
studies with any difference below 0.05 after correction (promised: at most 5%), the share of all
single tests below 0.05 (promised: 5%), the least and the greatest share by metric, and what `gate`
said. With --effect the second release escalates so much more often: the shares are then powers.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from escalometer import schema
from escalometer.analysis.comparison import build_comparison
from escalometer.analysis.decisions import COLUMNS
from escalometer.analysis.profile import build_profile
from escalometer.analysis.verdict import build_verdict
from escalometer.config import AnalyzeParams, GateParams, Params
from escalometer.config import MinEffectParams as Floors

DOMAINS = ("hmda_mortgages", "movielens")
N_BOOTSTRAP = 400
#: Tests below this count.
ALPHA = 0.05
#: Share of dialogues in which a release's outcome does not follow from the scenario.
OWN_SHARE = 0.5


@dataclass(frozen=True)
class Setting:
    """Two releases: conditions, dialogues in each, and what else they have."""

    n_conditions: int
    n_dialogues: int
    is_paired: bool = True
    unanswered: float = 0.0

    @property
    def name(self) -> str:
        """The setting in words."""
        missing = f", {self.unanswered:.0%} unanswered" if self.unanswered else ""
        paired = "paired" if self.is_paired else "not paired"
        return f"{self.n_conditions} x {self.n_dialogues}, {paired}{missing}"


SETTINGS = (
    Setting(10, 25),
    Setting(10, 250),
    Setting(40, 60),
    Setting(40, 60, is_paired=False),
    Setting(40, 60, unanswered=0.03),
    Setting(40, 250),
    Setting(250, 25),
)


def decisions(
    rng: np.random.Generator,
    setting: Setting,
    model: str,
    uniform: np.ndarray[Any, Any],
    intervention: str = "baseline",
    effect: float = 0.0,
) -> pa.Table:
    """Return a release's decisions under an intervention, whose outcomes follow `uniform`.

    Parameters
    ----------
    rng : Generator
    setting : Setting
    model : str
    uniform : ndarray, shape (n_conditions, n_dialogues, 2)
        How hard a case is to predict, and to escalate: releases of one law share it.
    intervention : str
        ``no_signal`` has no signal.
    effect : float
        Added to the escalation rates.
    """
    c, n = setting.n_conditions, setting.n_dialogues
    accuracy = np.linspace(0.5, 0.97, c)
    has_signal = intervention != "no_signal"
    rate = np.clip(1.4 - 1.3 * accuracy + effect, 0.02, 0.98) if has_signal else np.full(c, 0.35)
    own = rng.random((c, n, 1)) < OWN_SHARE
    drawn = np.where(own, rng.random((c, n, 2)), uniform)
    right = (drawn[..., 0] < accuracy[:, None]).ravel()
    escalated = (drawn[..., 1] < rate[:, None]).ravel()
    missing = rng.random(c * n) < setting.unanswered
    condition = np.repeat(np.arange(c), n)
    owner = "" if setting.is_paired else model
    values: dict[str, Any] = {
        "model": [model] * (c * n),
        "domain": [DOMAINS[i % 2] for i in condition],
        "condition": [f"c{i}" for i in condition],
        "signal_accuracy": np.round(accuracy, 2)[condition],
        "scenario_id": [f"{owner}{i}-{k}" for i in range(c) for k in range(n)],
        "intervention": [intervention] * (c * n),
        "has_signal": np.full(c * n, has_signal),
        "label": np.ones(c * n, dtype=np.int8),
        "prediction": pa.array(right.astype(np.int8), mask=missing),
        "escalate": pa.array(escalated.astype(np.int8), mask=missing),
        "status": np.where(missing, "unparsed", "ok"),
        "replicate": np.zeros(c * n, dtype=np.int32),
    }
    flags = ("is_thinking", "is_isolated", "force_answer")
    values |= {name: np.zeros(c * n, dtype=bool) for name in flags}
    fields = [schema.DECISIONS.field(name).with_nullable(True) for name in COLUMNS]
    return pa.table(
        {
            field.name: (
                pa.nulls(c * n, field.type)
                if field.name not in values
                else pa.array(values[field.name]).cast(field.type)
                if not isinstance(values[field.name], pa.Array)
                else values[field.name].cast(field.type)
            )
            for field in fields
        },
        schema=pa.schema(fields),
    )


#: One study: p-values with their metric and whether they are corrected, and what the gate said.
Study = tuple[list[tuple[str, float, float | None]], str, bool]


def study(seed: int, setting: Setting, effect: float) -> Study:
    """Return the p-values of a comparison and of a profile's interventions, and the verdict.

    The last value is true if any difference between interventions is below 0.05 when corrected.
    """
    rng = np.random.default_rng([seed, setting.n_conditions, setting.n_dialogues])
    shape = (setting.n_conditions, setting.n_dialogues, 2)
    cases, unsignalled = rng.random(shape), rng.random(shape)
    old, new = (
        pa.concat_tables(
            [
                decisions(rng, setting, model, cases, "baseline", shift),
                decisions(rng, setting, model, unsignalled, "no_signal"),
            ]
        )
        for model, shift in (("old", 0.0), ("new", effect))
    )
    params = Params(
        seed=1,
        models=("old", "new"),
        domains=DOMAINS,
        analyze=AnalyzeParams(n_bootstrap=N_BOOTSTRAP),
    )
    both = pa.concat_tables([old, new])
    comparison, _ = build_comparison(both, "old", "new", "here", params)
    found = [
        (
            f"{row.metric}{' by ' + row.scored_against if row.scored_against else ''}",
            row.p_value,
            row.p_corrected,
        )
        for row in comparison.differences
        if row.p_value is not None
    ]
    floors = dict.fromkeys(Floors.model_fields, 0.0)
    rules = GateParams(against="old", min_effect=Floors(**floors))
    verdict = build_verdict(both, "new", "here", params, rules)
    failed = [r.rule for r in verdict.rules if r.verdict == "fail" and "no_worse" in r.rule]
    same = decisions(rng, setting, "old", cases, "self_check", effect)
    profile = build_profile(pa.concat_tables([old, same]), "old", "here", params)
    found += [
        (f"intervention by {row.scored_against}", row.p_value, None)
        for row in profile.differences
        if row.p_value is not None and row.has_signal
    ]
    is_changed = any(
        row.p_corrected is not None and row.p_corrected < ALPHA
        for row in profile.differences
        if row.has_signal
    )
    return found, "fail" if failed else "", is_changed


@dataclass(frozen=True)
class Rates:
    """Results of a setting's studies; all are shares in [0, 1].

    Attributes
    ----------
    any_difference, any_intervention : float
        Of studies with a corrected difference between the releases, or between interventions.
    gate_failed : float
        Of studies in which a rule against worsening failed.
    by_metric : dict of str to float
        Of single tests below 0.05.
    """

    any_difference: float
    any_intervention: float
    gate_failed: float
    by_metric: dict[str, float]


def rates(setting: Setting, n_studies: int, effect: float = 0.0) -> Rates:
    """Return how often tests and gate find a difference."""
    tests: dict[str, list[bool]] = defaultdict(list)
    n_any = n_changed = n_failed = 0
    for seed in range(n_studies):
        found, gate, is_changed = study(seed, setting, effect)
        n_any += any(corrected is not None and corrected < ALPHA for _, _, corrected in found)
        n_changed += is_changed
        n_failed += gate == "fail"
        for name, p_value, _ in found:
            tests[name].append(p_value < ALPHA)
    return Rates(
        n_any / n_studies,
        n_changed / n_studies,
        n_failed / n_studies,
        {name: float(np.mean(below)) for name, below in sorted(tests.items())},
    )


def main() -> None:
    """Print the shares of every setting."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=100)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--effect", type=float, default=0.0, help="added to escalation rates")
    parser.add_argument("--only", default="", help="settings whose name begins so: '40 x 60'")
    options = parser.parse_args()
    settings = [setting for setting in SETTINGS if setting.name.startswith(options.only)]
    print(f"{options.studies} studies of each setting, effect {options.effect}")
    with ProcessPoolExecutor(options.processes) as pool:
        run = partial(rates, n_studies=options.studies, effect=options.effect)
        for setting, found in zip(settings, pool.map(run, settings), strict=True):
            print(
                f"\n{setting.name}\n  any corrected difference {found.any_difference:.1%}, between "
                f"interventions {found.any_intervention:.1%}, gate failed {found.gate_failed:.1%}"
            )
            for name, share in found.by_metric.items():
                print(f"    {name:<46}{share:7.1%}", flush=True)


if __name__ == "__main__":
    main()
