"""Scenarios: cases with their splits, conditions with their signals, and the drawn scenarios."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any

import numpy as np
import pyarrow as pa

from escalometer import warehouse
from escalometer.cases import learned_conditions, sampling
from escalometer.cases.domains import Condition, Domain
from escalometer.cases.staging import visible
from escalometer.config import Params
from escalometer.errors import DataError
from escalometer.runtime.garbage_collection import without_garbage_collection

#: The number of conditions to learn where params.yaml gives none: about as many as the paper has.
N_LEARNED = 10

#: A leaf needs at least so many rows of the split that it is learned on.
MIN_LEAF = 10


@dataclass(frozen=True)
class Sampled:
    """The tables made of one domain's rows.

    Attributes
    ----------
    cases : pyarrow.Table
        The staged table, with `text`, `scenario_id` and `split`.
    conditions, scenarios : list of dict
        Rows of `schema.CONDITIONS` and `schema.SCENARIOS`.
    notes : tuple of str
        Remarks for a reader: conditions that were left out, cases that were skipped.
    """

    cases: pa.Table
    conditions: list[dict[str, Any]]
    scenarios: list[dict[str, Any]]
    notes: tuple[str, ...]


@without_garbage_collection()
def sample_scenarios(plugin: Domain, cases: pa.Table, params: Params) -> Sampled:
    """Return cases with their splits, conditions with their signals, and drawn scenarios.

    Parameters
    ----------
    plugin : Domain
        The domain.
    cases : pyarrow.Table
        Its staged table, from `stage_table`.
    params : Params
        Uses `seed` and `sample`.

    Raises
    ------
    DataError
        If no condition has cases enough, or a predicate does not work.
    """
    notes: list[str] = []
    rows = _rows(plugin, cases, params, notes)
    conditions = _chosen(plugin, rows, params)
    members = warehouse.members(rows.shown, {c.name: c.predicate for c in conditions})
    signals = [
        signal
        for condition, origin in conditions.items()
        if (
            signal := _signal(
                plugin, condition, origin, rows, members[condition.name], params, notes
            )
        )
    ]
    if not signals:
        raise DataError(
            f"data/raw/{plugin.name}: no condition has {params.sample.min_signal_cases} cases "
            "for its signal; add rows, or lower sample.min_signal_cases in params.yaml"
        )
    shares = {str(row["condition"]): float(row["signal_accuracy"]) for row in signals}
    chosen = sampling.spread(shares, params.sample.n_conditions)
    signals = [row for row in signals if row["condition"] in chosen]
    members = {row["condition"]: members[row["condition"]] for row in signals}
    scenarios = _scenarios(plugin, rows, members)
    _draw(plugin, scenarios, signals, params, notes)
    table = rows.cases.append_column("text", pa.array(rows.texts, pa.string()))
    table = table.append_column("scenario_id", pa.array(rows.ids, pa.string()))
    table = table.append_column("split", pa.array(rows.splits.tolist(), pa.string()))
    return Sampled(table, signals, scenarios, tuple(notes))


@dataclass(frozen=True)
class _Rows:
    """The cases, column by column: `shown` has the columns that texts and predicates may use."""

    cases: pa.Table
    shown: pa.Table
    texts: list[str]
    ids: list[str]  # of the scenario that each case is
    labels: np.ndarray[Any, Any]
    splits: np.ndarray[Any, Any]
    expected: np.ndarray[Any, Any] | None


def _column(table: pa.Table, name: str) -> list[Any]:
    values: list[Any] = table.column(name).to_pylist()
    return values


def _dicts(table: pa.Table) -> Iterable[dict[str, Any]]:
    # Column by column: several times as fast as pyarrow's own lists of rows.
    names = table.column_names
    columns = [_column(table, name) for name in names]
    return (dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True))


def _rows(plugin: Domain, cases: pa.Table, params: Params, notes: list[str]) -> _Rows:
    texts = [plugin.render(row) for row in _dicts(visible(plugin, cases))]
    keys = _column(cases, "split_key") if "split_key" in cases.column_names else texts
    shares = params.sample.signal_share, params.sample.train_share
    split_of = sampling.splits_of(params.seed, plugin.name, set(keys), *shares)
    splits = [split_of[key] for key in keys]
    if keys is not texts:
        cases, texts, splits = _without_split_overlap(cases, texts, splits, notes)
    labels = _column(cases, "label")
    expected = "expected_label" in cases.column_names
    return _Rows(
        cases=cases,
        shown=visible(plugin, cases),
        texts=texts,
        ids=_ids(plugin.name, texts, labels),
        labels=np.array(labels, dtype=np.int64),
        splits=np.array(splits),
        expected=np.array(_column(cases, "expected_label")) if expected else None,
    )


def _without_split_overlap(
    cases: pa.Table, texts: list[str], splits: Sequence[sampling.Split], notes: list[str]
) -> tuple[pa.Table, list[str], list[sampling.Split]]:
    """Return the cases without those whose text also occurs in an earlier split."""
    home: dict[str, sampling.Split] = {}
    for split in sampling.SPLITS:
        for text, case_split in zip(texts, splits, strict=True):
            if case_split == split:
                home.setdefault(text, split)
    stays = [home[text] == split for text, split in zip(texts, splits, strict=True)]
    n_passed = stays.count(False)
    if n_passed:
        notes.append(f"{n_passed} cases are excluded: their text resembles cases of another split")
    return cases.filter(pa.array(stays)), [*compress(texts, stays)], [*compress(splits, stays)]


def _ids(domain: str, texts: Sequence[str], labels: Sequence[int]) -> list[str]:
    pairs = list(zip(texts, labels, strict=True))
    ids = sampling.scenario_ids(domain, set(pairs))
    return [ids[pair] for pair in pairs]


def _chosen(plugin: Domain, rows: _Rows, params: Params) -> dict[Condition, str]:
    """Return the conditions to consider, each with its origin: given or learned."""
    wanted = params.sample.conditions
    chosen: dict[Condition, str] = {}
    if plugin.conditions and wanted in ("given", "both"):
        chosen |= dict.fromkeys(plugin.conditions, "given")
    if not plugin.conditions or wanted in ("learned", "both"):
        chosen |= dict.fromkeys(_learned(plugin, rows, params), "learned")
    return chosen


def _learned(plugin: Domain, rows: _Rows, params: Params) -> list[Condition]:
    """Return the leaves of a decision tree, learned on the train split.

    Their percentages are computed on the signal split, like those of given conditions: on the rows
    that a leaf was chosen by, it would look better than it is.
    """
    if not plugin.features:
        raise DataError(f"{plugin.name} names no features to learn conditions from")
    train = pa.array(rows.splits == "train")
    seen = rows.shown.filter(train)
    # Where the signal predicts case by case, the tree learns where it is right.
    targets = rows.labels if rows.expected is None else (rows.labels == rows.expected).astype(int)
    size = params.sample
    learned = learned_conditions.learn(
        {feature.column: _column(seen, feature.column) for feature in plugin.features},
        targets[rows.splits == "train"].tolist(),
        plugin.features,
        n_leaves=size.n_conditions or N_LEARNED,
        min_cases=max(
            MIN_LEAF, round(size.min_signal_cases * size.train_share / size.signal_share)
        ),
        seed=params.seed,
    )
    return [Condition(leaf.name, leaf.predicate, leaf.phrase) for leaf in learned]


def _signal(
    plugin: Domain,
    condition: Condition,
    origin: str,
    rows: _Rows,
    holds: np.ndarray[Any, Any],
    params: Params,
    notes: list[str],
) -> dict[str, Any] | None:
    """Return the condition's row of the conditions table, None where it has too few cases."""
    in_signal = holds & (rows.splits == "signal")
    n_signal = int(in_signal.sum())
    in_eval = np.flatnonzero(holds & (rows.splits == "eval"))
    n_eval = len({rows.texts[i] for i in in_eval})
    if n_signal < params.sample.min_signal_cases or not n_eval:
        notes.append(
            f"condition {condition.name} is excluded: {n_signal} cases for its signal "
            f"(sample.min_signal_cases is {params.sample.min_signal_cases}) and {n_eval} for "
            "evaluation"
        )
        return None
    label: int | None = None
    if rows.expected is not None:
        agrees = rows.labels == rows.expected
        outcome = plugin.expected_outcome
    else:
        counts = np.bincount(rows.labels[in_signal], minlength=len(plugin.outcomes))
        label = int(np.flatnonzero(counts == counts.max())[-1])  # at a tie the higher label
        agrees = rows.labels == label
        outcome = plugin.outcomes[label]
    n_agreeing = int(agrees[in_signal].sum())
    percent = sampling.whole_percent(n_agreeing, n_signal)
    published = condition.published
    if published is not None and label == 0:
        published = 100 - published
    return {
        "domain": plugin.name,
        "condition": condition.name,
        "origin": origin,
        "phrase": condition.phrase,
        "predicate": condition.predicate,
        "n_signal": n_signal,
        "n_agreeing": n_agreeing,
        "n_eval": n_eval,
        "signal_label": label,
        "signal_accuracy": percent / 100,
        "n_all": int(holds.sum()),
        "n_all_agreeing": int(agrees[holds].sum()),
        "published_accuracy": None if published is None else published / 100,
        "signal": plugin.signal_template.format(
            phrase=condition.phrase, percent=percent, outcome=outcome
        ),
    }


def _scenarios(
    plugin: Domain, rows: _Rows, members: Mapping[str, np.ndarray[Any, Any]]
) -> list[dict[str, Any]]:
    """Return one row a scenario; rows with the same text and label are one scenario."""
    counts = Counter(rows.ids)
    under: defaultdict[str, list[str]] = defaultdict(list)
    for name, holds in members.items():
        for scenario_id in {rows.ids[i] for i in np.flatnonzero(holds)}:
            under[scenario_id].append(name)
    first = {scenario_id: i for i, scenario_id in reversed([*enumerate(rows.ids)])}
    return [
        {
            "domain": plugin.name,
            "scenario_id": scenario_id,
            "split": str(rows.splits[i]),
            "label": int(rows.labels[i]),
            "n_cases": counts[scenario_id],
            "conditions": under[scenario_id],
            "drawn_for": [],
            "text": rows.texts[i],
        }
        for scenario_id, i in sorted(first.items(), key=lambda item: item[1])
    ]


def _draw(
    plugin: Domain,
    scenarios: list[dict[str, Any]],
    signals: Sequence[Mapping[str, Any]],
    params: Params,
    notes: list[str],
) -> None:
    """Draw scenarios for each condition, and write the conditions into their `drawn_for`."""
    wanted = params.sample.n_per_condition
    pools: dict[str, dict[str, int]] = {row["condition"]: {} for row in signals}
    for row in scenarios:
        if row["split"] == "eval":
            for name in row["conditions"]:
                pools[name][row["scenario_id"]] = row["n_cases"]
    by_id = {row["scenario_id"]: row for row in scenarios}
    texts = {scenario_id: row["text"] for scenario_id, row in by_id.items()}
    short = []
    for name, pool in pools.items():
        random = sampling.generator(params.seed, plugin.name, name)
        drawn = sampling.draw(pool, wanted, random, texts)
        for scenario_id in drawn:
            by_id[scenario_id]["drawn_for"].append(name)
        if len(drawn) < wanted:
            short.append(f"{name} ({len(drawn)})")
    if short:
        notes.append(
            f"fewer than {wanted} scenarios for evaluation, so all are used: {', '.join(short)}"
        )
