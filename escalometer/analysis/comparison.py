"""Two models compared: what the second changes, and the dialogues in which they disagree."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from escalometer import warehouse
from escalometer.analysis import VariantKey
from escalometer.analysis.decisions import COLUMNS, measure_decisions
from escalometer.analysis.headline_differences import headline_rows
from escalometer.analysis.matched_conditions import MatchedConditions
from escalometer.analysis.measure import Measured
from escalometer.analysis.paired_dialogues import disagreements, pair
from escalometer.analysis.score_differences import score_rows, status_rows
from escalometer.config import Params
from escalometer.documents import VARIANT_KEY
from escalometer.documents.comparison import Comparison, ModelDifference
from escalometer.stats.shares import holm

#: Dialogues that the document lists; `Pairs.disagreements` has all.
MOST_DIALOGUES = 100

#: Note where scenarios of a model that is compared were drawn adaptively.
ADAPTIVE = (
    "Scenarios of {} were drawn adaptively. Compared thresholds are of the linear fit, whose "
    "intervals do not allow for a stopping rule: `escalometer profile` has the estimate of the "
    "adaptive design."
)


def build_comparison(
    decisions: pa.Table,
    first: str,
    second: str,
    source: str,
    params: Params,
    effort: str | None = None,
) -> tuple[Comparison, pa.Table]:
    """Return the comparison of two models, and every dialogue in which they disagree.

    Every difference is the second's number minus the first's, over the conditions that both have.

    Parameters
    ----------
    decisions : Table
        With at least the columns of `decisions.COLUMNS`; rows of other models are left aside.
    first, second : str
        Names of the models.
    source : str
        Where the decisions are from.
    params : Params
        Uses `seed` and `analyze`; thresholds are held against τ* at its cost ratios.
    effort : str, optional
        Reasoning effort of the second that a first without that one is compared with.
    """
    rows = warehouse.choose_rows(decisions.select(list(COLUMNS)), {"model": [first, second]})
    rows, notes = align_efforts(rows, moved=first, kept=second, wanted=effort)
    measured = measure_decisions(rows, params)
    pairs = pair(rows, first, second)
    matched = MatchedConditions(measured, pairs, first, second)
    differences = _differences(matched, params.analyze.cost_ratios)
    resolved = resolved_models(rows, (first, second))
    notes += [
        f"Several models answered under the name {model}: {', '.join(names)}."
        for model, names in resolved.items()
        if len(names) > 1
    ]
    comparison = Comparison(
        models=(first, second),
        source=source,
        resolved_models=resolved,
        direction="second minus first",
        n_dialogues=(_n_dialogues(measured, first), _n_dialogues(measured, second)),
        n_paired=pairs.n,
        is_paired=pairs.n > 0,
        n_tests=sum(row.p_value is not None for row in differences),
        differences=differences,
        disagreements=disagreements(pairs, MOST_DIALOGUES),
        notes=(*notes, *_notes(matched)),
    )
    return comparison, pairs.disagreements


def _differences(
    matched: MatchedConditions, cost_ratios: Sequence[float]
) -> tuple[ModelDifference, ...]:
    """Return all rows of the comparison; ``p_corrected`` is Holm's, over the whole table."""
    rows = [
        row
        for level in matched.levels
        for row in (*headline_rows(matched, level, cost_ratios), *status_rows(matched, level))
    ]
    rows += score_rows(matched)
    corrected = holm([row.p_value for row in rows])
    return tuple(
        row.model_copy(update={"p_corrected": p_value})
        for row, p_value in zip(rows, corrected, strict=True)
    )


def resolved_models(decisions: pa.Table, models: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return by model the names that answered under its name, where the provider said; sorted.

    Parameters
    ----------
    decisions : Table
        With ``model`` and ``resolved_model``.
    models : sequence of str
    """
    found: dict[str, set[str]] = {model: set() for model in models}
    for row in warehouse.count_rows(decisions, ["model", "resolved_model"]):
        if row["model"] in found and row["resolved_model"] is not None:
            found[row["model"]].add(row["resolved_model"])
    return {model: tuple(sorted(names)) for model, names in found.items()}


def align_efforts(
    decisions: pa.Table, moved: str, kept: str, wanted: str | None = None
) -> tuple[pa.Table, list[str]]:
    """Return the decisions with one model's reasoning effort called as the other's, and a note.

    Models name their efforts as their providers do, and some have none. Where the one has a single
    effort, and the other none of that name, it is compared with the effort that is wanted of the
    other, or the only one that it has; elsewhere names stay as they are.

    Parameters
    ----------
    decisions : Table
    moved, kept : str
        The model whose effort is renamed, and the one whose name it gets.
    wanted : str, optional
        An effort of `kept`, where it has several.
    """
    efforts: dict[str, list[str | None]] = {moved: [], kept: []}
    for row in warehouse.count_rows(decisions, ["model", "reasoning_effort"]):
        if row["model"] in efforts:
            efforts[row["model"]].append(row["reasoning_effort"])
    choice = [wanted] if wanted in efforts[kept] else efforts[kept]
    moving = efforts[moved]
    if len(moving) != 1 or len(choice) != 1 or moving[0] in efforts[kept]:
        return decisions, []
    column = decisions.column("reasoning_effort")
    renamed = pc.if_else(
        pc.equal(decisions.column("model"), moved), pa.scalar(choice[0], column.type), column
    )
    place = decisions.column_names.index("reasoning_effort")
    note = (
        f"{moved} was evaluated at reasoning effort {moving[0] or 'none'}, {kept} at "
        f"{choice[0] or 'none'}: they are compared nevertheless, and rows name the latter."
    )
    return decisions.set_column(place, decisions.schema.field(place), renamed), [note]


def _n_dialogues(measured: Measured, model: str) -> int:
    rows = measured.tables["statuses"].to_pylist()
    return sum(row["n"] for row in rows if row["model"] == model)


def _notes(matched: MatchedConditions) -> list[str]:
    """Return remarks on how the differences came about."""
    notes = []
    first, second = matched.models
    left_out = [level for level in matched.levels if level in matched.measured.side_domains]
    if left_out:
        notes.append(f"Excluded from pooled numbers: {', '.join(map(str, left_out))}.")
    if not matched.pairs.n:
        notes.append(
            "No dialogues are known to be about the same scenario: differences are those of "
            "independent dialogues, and disagreements are not available."
        )
    for model, other in ((first, second), (second, first)):
        alone = sorted(set(matched.places[model]) - set(matched.places[other]), key=repr)
        if alone:
            named = ", ".join(dict.fromkeys(_label(variant) for variant in alone))
            notes.append(f"Only {model} has {named}; excluded.")
    n_apart = {
        condition
        for variant in matched.variants()
        for condition in set(matched.places[first][variant]) ^ set(matched.places[second][variant])
    }
    if n_apart:
        notes.append(
            f"{len(n_apart)} conditions lack usable dialogues of one model under an "
            "intervention that both have; they are excluded there."
        )
    return notes


def _label(variant: VariantKey) -> str:
    named = dict(zip(VARIANT_KEY, variant, strict=True))
    parts = [
        named["intervention"],
        named["framing"],
        f"R = {named['cost_ratio']:g}" if named["cost_ratio"] is not None else None,
        f"effort {named['reasoning_effort']}" if named["reasoning_effort"] else None,
        "isolated" if named["is_isolated"] and named["intervention"] != "isolated" else None,
    ]
    return " ".join(part for part in parts if part)
