"""The self-check of a gate: how often its verdict differs between two parts of the same dialogues.

docs/decisions/0034-power-and-self-check.md has the reasons.
"""

from __future__ import annotations

from collections import Counter
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa

from escalometer import stats, warehouse
from escalometer.analysis.verdict import build_verdict
from escalometer.config import GateParams, Params
from escalometer.documents import Verdict
from escalometer.documents.interval import SimpleInterval
from escalometer.documents.verdict import RuleFlips, SelfCheck
from escalometer.errors import DataError, ProviderError
from escalometer.runtime.progress import progress
from escalometer.stats.shares import wilson

#: Random splits.
N_SPLITS = 40
#: At most so many resamples for a verdict on a part: verdicts need fewer than reports.
_MOST_BOOTSTRAP = 400

_NO_VERDICT = "no verdict"
_Side = np.ndarray[tuple[int], np.dtype[np.int64]]


class _Rows(NamedTuple):
    """The part that each dialogue belongs to, by row."""

    model: list[str]
    unit: list[tuple[object, ...]]
    stratum: list[tuple[object, ...]]
    replicate: list[int]


def self_check(
    decisions: pa.Table, verdict: Verdict, params: Params, n_splits: int = N_SPLITS
) -> SelfCheck:
    """Return how often the verdict differs between two random parts of the model's dialogues.

    Parameters
    ----------
    decisions : Table
        Those that the verdict rests on.
    verdict : Verdict
        Names the model, the release in use and the rules.
    params : Params
        Uses `seed` and `analyze`.
    n_splits : int
        At least 1.

    Notes
    -----
    Where dialogues are repeated (`replicate`), each part has other replicates of all scenarios;
    elsewhere each has half of the scenarios of every condition, with all their dialogues, and so
    has the release in use. `min_dialogues` is reduced in proportion.
    """
    rows = _rows(decisions)
    n_replicates = len(
        {r for r, m in zip(rows.replicate, rows.model, strict=True) if m == verdict.model}
    )
    method: Literal["replicates", "halves"] = "replicates" if n_replicates > 1 else "halves"
    part = (n_replicates // 2) / n_replicates if n_replicates > 1 else 0.5
    rules = verdict.params.model_copy(
        update={"min_dialogues": max(1, round(part * verdict.params.min_dialogues))}
    )
    n_bootstrap = min(_MOST_BOOTSTRAP, params.analyze.n_bootstrap)
    analyze = params.analyze.model_copy(update={"n_bootstrap": n_bootstrap})
    params = params.model_copy(update={"analyze": analyze})
    pairs: list[tuple[Verdict | None, Verdict | None]] = []
    alarms: list[bool] = []
    with progress(f"self-check of {verdict.model}", n_splits, "splits") as meter:
        for number in range(n_splits):
            rng = stats.generator(params.seed, ("self-check", number))
            sides = (
                _replicate_sides(rng, decisions, rows, verdict.model, n_replicates)
                if method == "replicates"
                else _halves(rng, decisions, rows)
            )
            first, second = (_judged(side, verdict, params, rules) for side in sides)
            pairs.append((first, second))
            alarms += _alarm(sides, verdict, params, rules)
            meter.advance()
    return _summary(pairs, alarms, method, part, rules, n_bootstrap)


def _rows(decisions: pa.Table) -> _Rows:
    names = ("model", "domain", "condition", "scenario_id", "replicate")
    columns = {name: decisions.column(name).to_pylist() for name in names}
    unit: list[tuple[object, ...]] = [
        # Where it is unknown what a dialogue is about, each is by itself.
        (domain, scenario) if scenario is not None else (domain, None, place)
        for place, (domain, scenario) in enumerate(
            zip(columns["domain"], columns["scenario_id"], strict=True)
        )
    ]
    stratum: list[tuple[object, ...]] = list(
        zip(columns["domain"], columns["condition"], strict=True)
    )
    replicates = [replicate or 0 for replicate in columns["replicate"]]
    return _Rows(columns["model"], unit, stratum, replicates)


def _halves(rng: np.random.Generator, decisions: pa.Table, rows: _Rows) -> list[pa.Table]:
    """Return two halves of the scenarios of every condition, with all their dialogues."""
    strata: dict[tuple[object, ...], dict[tuple[object, ...], None]] = {}
    known: set[tuple[object, ...]] = set()
    for unit, stratum in zip(rows.unit, rows.stratum, strict=True):
        if unit not in known:
            known.add(unit)
            strata.setdefault(stratum, {})[unit] = None
    second: dict[tuple[object, ...], int] = {}
    for units in strata.values():
        order, start = rng.permutation(len(units)), int(rng.integers(2))
        listed = list(units)
        second |= {listed[i]: (place + start) % 2 for place, i in enumerate(order)}
    side = np.array([second[unit] for unit in rows.unit])
    return [decisions.take(pa.array(np.flatnonzero(side == i))) for i in (0, 1)]


def _replicate_sides(
    rng: np.random.Generator, decisions: pa.Table, rows: _Rows, model: str, n_replicates: int
) -> list[pa.Table]:
    """Return two tables with different replicates of the model's dialogues, numbered from 0."""
    n_each = n_replicates // 2
    of_model = np.array([name == model for name in rows.model])
    values = sorted({r for r, is_its in zip(rows.replicate, of_model, strict=True) if is_its})
    place_of = {value: i for i, value in enumerate(values)}
    orders: dict[tuple[object, ...], _Side] = {}
    place = np.array(rows.replicate)
    for i in np.flatnonzero(of_model):
        unit = rows.unit[i] if rows.unit[i][1] is not None else rows.stratum[i]
        order = orders.setdefault(unit, rng.permutation(n_replicates))
        place[i] = order[place_of[rows.replicate[i]]]
    sides = []
    for low in (0, n_each):
        mine = of_model & (place >= low) & (place < low + n_each)
        kept = np.flatnonzero(mine | (~of_model & (place < n_each)))
        renumbered = np.where(of_model, place - low, place)[kept]
        field = decisions.schema.field("replicate")
        sides.append(
            decisions.take(pa.array(kept)).set_column(
                decisions.schema.get_field_index("replicate"),
                field,
                pa.array(renumbered).cast(field.type),
            )
        )
    return sides


def _judged(
    decisions: pa.Table, verdict: Verdict, params: Params, rules: GateParams
) -> Verdict | None:
    """Return the verdict on a part; None where it has nothing to judge."""
    try:
        return build_verdict(decisions, verdict.model, verdict.source, params, rules)
    except (DataError, ProviderError):
        return None


def _alarm(
    sides: list[pa.Table], verdict: Verdict, params: Params, rules: GateParams
) -> list[bool]:
    """Return whether a comparison of the second part with the first fails; empty without one."""
    label = f"{verdict.model} (other part)"
    first, second = (warehouse.choose_rows(side, {"model": [verdict.model]}) for side in sides)
    place = first.schema.get_field_index("model")
    renamed = pa.array([label] * first.num_rows, first.schema.field("model").type)
    first = first.set_column(place, first.schema.field("model"), renamed)
    changed = rules.model_copy(update={"against": label})
    found = _judged(pa.concat_tables([first, second]), verdict, params, changed)
    compared = [] if found is None else [r for r in found.rules if r.rule.startswith("no_worse_")]
    return [any(rule.verdict == "fail" for rule in compared)] if compared else []


def _summary(
    pairs: list[tuple[Verdict | None, Verdict | None]],
    alarms: list[bool],
    method: Literal["replicates", "halves"],
    part: float,
    rules: GateParams,
    n_bootstrap: int,
) -> SelfCheck:
    outcomes = [[_NO_VERDICT if v is None else v.verdict for v in pair] for pair in pairs]
    sizes = [v.n_asked for pair in pairs for v in pair if v is not None]
    by_rule: dict[str, list[bool]] = {}
    for first, second in pairs:
        if first is None or second is None:
            continue
        for one, other in zip(first.rules, second.rules, strict=True):
            by_rule.setdefault(one.rule, []).append(one.verdict != other.verdict)
    return SelfCheck(
        method=method,
        part=part,
        n_splits=len(pairs),
        n_dialogues=round(sum(sizes) / len(sizes)) if sizes else 0,
        min_dialogues=rules.min_dialogues,
        n_bootstrap=n_bootstrap,
        flips=_share(sum(a != b for a, b in outcomes), len(outcomes)),
        outcomes=dict(sorted(Counter(x for pair in outcomes for x in pair).items())),
        false_failures=_share(sum(alarms), len(alarms)) if alarms else None,
        rules=tuple(
            RuleFlips(rule=name, flips=sum(flips) / len(flips)) for name, flips in by_rule.items()
        ),
    )


def _share(k: int, n: int) -> SimpleInterval:
    low, high = wilson(k, n)
    return SimpleInterval(estimate=k / n, low=low, high=high)
