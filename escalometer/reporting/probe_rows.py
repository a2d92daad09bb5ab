"""An adapter beside its base model: rows and sentences for a terminal or a page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from escalometer.documents import Probes
from escalometer.documents.interval import SimpleInterval
from escalometer.documents.probes import GridCell, Probe, ProbeScore
from escalometer.documents.wording import DASH, count, ratio, share, with_span

#: Names of the probes, by the accuracy that their actions are scored against.
PROBE_WORDS = {
    ("trained_domains", "signal"): "trained domains",
    ("held_out_domain", "signal"): "held-out domain",
    ("untrained_ratios", "signal"): "untrained cost ratios",
    ("untrained_wordings", "signal"): "untrained wordings",
    ("untrained_percentages", "signal"): "untrained percentages",
    ("no_signal", "domain"): "signal removed",
    ("wrong_signal", "signal"): "wrong signal: by signal",
    ("wrong_signal", "domain"): "wrong signal: by domain",
    ("other_percentage", "signal"): "unrelated percentage",
    ("ties", "signal"): "ties, and one point off",
}

#: Names of the kinds of mistakes.
MISTAKE_WORDS = {
    "no_chain": "no arithmetic",
    "misread_percentage": "misread percentage",
    "wrong_error_rate": "wrong error rate",
    "misread_ratio": "misread cost ratio",
    "wrong_product": "wrong product",
    "wrong_comparison": "wrong comparison",
    "decision_against_conclusion": "decision against its conclusion",
}

#: A page's explanation of each probe.
EXPLAINED = {
    "trained_domains": "the study's ratios and wordings, on scenarios that training did not use",
    "held_out_domain": "the same on a domain that training did not use",
    "untrained_ratios": "on the held-out domain, as all below: R = 3, 6, 15, 30",
    "untrained_wordings": "the cost stated in euros, hours of work or penalty points",
    "untrained_percentages": "the signal states 54, 64, 69, 74, 81 or 89%",
    "no_signal": "no accuracy is stated: scored by that of the condition",
    "wrong_signal": "the signal is off by at least 20 points and implies the other action: the "
    "action that is optimal by the signal is not optimal by the domain's "
    "accuracy, and vice versa",
    "other_percentage": "the scenario ends with a percentage about something else",
    "ties": "R × (100 − p) is exactly 100, where implementing is optimal, or p is one point off",
}


def words_of(mistake: str, probe: str) -> str:
    """Return the name of a kind of mistake; without a signal there is nothing to misread."""
    if (mistake, probe) == ("misread_percentage", "no_signal"):
        return "invented percentage"
    return MISTAKE_WORDS[mistake]


@dataclass(frozen=True)
class ProbeRow:
    """A row of the table of probes.

    Attributes
    ----------
    probe : Probe
        Its numbers.
    label, explained : str
        Its name, and what it asks; the latter is empty where the row above has it.
    worst : str
        The tuned model's most frequent mistake; empty where the row above has it.
    """

    probe: Probe
    label: str
    explained: str
    worst: str


def probe_rows(probes: Probes) -> list[ProbeRow]:
    """Return the table of probes: one row a probe and what it is scored against."""
    rows = []
    for probe in probes.probes:
        key = (probe.probe, probe.scored_against)
        is_repeated = key == ("wrong_signal", "domain")
        rows.append(
            ProbeRow(
                probe,
                PROBE_WORDS[key],
                "" if is_repeated else EXPLAINED[probe.probe],
                "" if is_repeated else _worst(probe),
            )
        )
    return rows


def _worst(probe: Probe) -> str:
    mistakes = probe.tuned.mistakes
    if not mistakes:
        return DASH
    kind = max(mistakes, key=lambda kind: mistakes[kind])  # the first of those that are as frequent
    return f"{words_of(kind, probe.probe)} ({count(mistakes[kind])})"


@dataclass(frozen=True)
class MistakeRow:
    """Mistakes in one probe.

    Attributes
    ----------
    label : str
        Name of the probe.
    n : int
        Dialogues of each model.
    base, tuned : dict of str to int
        How often each kind occurs: a count for every key of `MISTAKE_WORDS`.
    """

    label: str
    n: int
    base: dict[str, int]
    tuned: dict[str, int]


def mistake_rows(probes: Probes) -> list[MistakeRow]:
    """Return how often each kind of mistake occurs: one row a probe."""
    return [
        MistakeRow(
            PROBE_WORDS[probe.probe, probe.scored_against].split(":")[0],
            probe.n,
            _every_kind(probe.base),
            _every_kind(probe.tuned),
        )
        for probe in probes.probes
        if (probe.probe, probe.scored_against) != ("wrong_signal", "domain")
    ]


def _every_kind(score: ProbeScore) -> dict[str, int]:
    return {kind: score.mistakes.get(kind, 0) for kind in MISTAKE_WORDS}


@dataclass(frozen=True)
class GridRow:
    """A margin of the grid.

    Attributes
    ----------
    by, name : str
        The key (domain, condition, cost ratio or wording) and its value.
    n : int
        Dialogues of each model.
    always_escalate : float
        Escalation accuracy of escalating in every dialogue, in [0, 1].
    base, tuned : SimpleInterval
        Escalation accuracy of both models.
    """

    by: str
    name: str
    n: int
    always_escalate: float
    base: SimpleInterval
    tuned: SimpleInterval


#: The margins in the order of the page.
_MARGINS = ("domain", "condition", "cost ratio", "wording")


def grid_rows(probes: Probes) -> list[GridRow]:
    """Return the margins of the grid: by domain, condition, ratio and wording, both models."""
    margins = [
        cell for cell in probes.grid if cell.domain is None or cell.cost_ratio is None
    ]  # others are cells of few dialogues: see grid.parquet
    of_tuned = {_place(cell): cell for cell in margins if cell.model_role == "tuned"}
    of_base = [cell for cell in margins if cell.model_role == "base"]
    of_base.sort(key=lambda cell: (_MARGINS.index(_margin(cell)[0]), _place(cell)))
    return [
        GridRow(
            *_margin(cell),
            cell.n,
            cell.always_escalate,
            base=_accuracy(cell),
            tuned=_accuracy(of_tuned[_place(cell)]),
        )
        for cell in of_base
    ]


def _place(cell: GridCell) -> tuple[str, str, float, str]:
    """Return the values of a cell's keys, pooled ones empty."""
    return cell.domain or "", cell.condition or "", cell.cost_ratio or 0.0, cell.framing or ""


def _margin(cell: GridCell) -> tuple[str, str]:
    """Return the key that a cell is a margin of, and the key's value."""
    if cell.condition is not None:
        return "condition", f"{cell.domain}: {cell.condition}"
    if cell.domain is not None:
        return "domain", cell.domain
    if cell.cost_ratio is not None:
        return "cost ratio", f"R = {ratio(cell.cost_ratio)}"
    return "wording", cell.framing or ""


def _accuracy(cell: GridCell) -> SimpleInterval:
    return SimpleInterval(
        estimate=cell.escalation_accuracy,
        low=cell.escalation_accuracy_low,
        high=cell.escalation_accuracy_high,
    )


@dataclass(frozen=True)
class PublishedRow:
    """A fine-tuned model, all numbers as text.

    Attributes
    ----------
    model : str
        Its name.
    overall, held_out : str
        Escalation accuracy over all cells, and on the held-out domain.
    no_signal : str, optional
        The same without a signal; published for no single model.
    is_ours : bool
        True for the adapter, False for the published ones.
    """

    model: str
    overall: str
    held_out: str
    no_signal: str | None = None
    is_ours: bool = False


def published_rows(probes: Probes) -> list[PublishedRow]:
    """Return the published fine-tuned models, and this one below them."""
    rows = [
        PublishedRow(row.model, row.said or share(row.overall), share(row.held_out))
        for row in probes.published.rows
    ]
    by_key = {(probe.probe, probe.scored_against): probe for probe in probes.probes}
    trained = by_key.get(("trained_domains", "signal"))
    held_out = by_key.get(("held_out_domain", "signal"))
    no_signal = by_key.get(("no_signal", "domain"))
    rule_probes = [probe for probe in (trained, held_out) if probe is not None]
    n = sum(probe.n for probe in rule_probes)
    ours = PublishedRow(
        model=probes.adapter,
        overall=share(sum(probe.tuned.n_right for probe in rule_probes) / n if n else None),
        held_out=with_span(held_out.tuned) if held_out else DASH,
        no_signal=with_span(no_signal.tuned) if no_signal else DASH,
        is_ours=True,
    )
    return [*rows, ours]


#: The probes that are the study's own grid.
_GRID = {"held_out_domain": "held-out domain", "trained_domains": "trained ones"}


def sentences(probes: Probes) -> list[str]:
    """Return the remarks beside the table: blind rules, turn 1, how answers were read."""
    remarks = []
    by_name = {probe.probe: probe for probe in probes.probes if probe.scored_against == "signal"}
    blind = [
        f"on the {words} in {share(by_name[name].always_escalate)} and "
        f"{share(by_name[name].always_implement)}"
        for name, words in _GRID.items()
        if name in by_name
    ]
    if blind:
        remarks.append(
            "Optimal actions of the two fixed policies, always escalating and always "
            f"implementing: {', '.join(blind)}."
        )
    remarks += turn_one_sentences(probes)
    if probes.probes:
        about = _between(probe.n_scenarios for probe in probes.probes)
        remarks.append(
            f"The dialogues of a probe are about {about} scenarios. Intervals treat them as "
            "independent, so they are too narrow where errors depend on the scenario."
        )
    asked = _once(probes.probes)
    base, tuned = [probe.base for probe in asked], [probe.tuned for probe in asked]
    closed, unread = (
        [count(sum(getattr(score, name) for score in scores)) for scores in (base, tuned)]
        for name in ("n_forced", "n_unparsed")
    )
    remarks.append(
        f"Of {count(sum(probe.n for probe in asked))} dialogues with each model, {closed[0]} "
        f"of the base model (budget: {probes.base_max_tokens} tokens per answer) and "
        f"{closed[1]} of the tuned model ({probes.tuned_max_tokens} tokens) are forced; "
        f"{unread[0]} and {unread[1]} have no readable action and count as not optimal."
    )
    return remarks


def turn_one_sentences(probes: Probes) -> list[str]:
    """Return the accuracy of turn 1 before and after: all domains, and the held-out one."""
    remarks = []
    for row in probes.predictions:
        if row.domain not in (None, probes.holdout):
            continue
        where = "First turn" if row.domain is None else f"First turn on {row.domain}"
        base = SimpleInterval(
            estimate=row.base_accuracy, low=row.base_accuracy_low, high=row.base_accuracy_high
        )
        tuned = SimpleInterval(
            estimate=row.tuned_accuracy, low=row.tuned_accuracy_low, high=row.tuned_accuracy_high
        )
        alike = SimpleInterval(estimate=row.alike, low=row.alike_low, high=row.alike_high)
        remarks.append(
            f"{where}: accuracy {with_span(base)} before and {with_span(tuned)} after training; "
            f"the same prediction in {with_span(alike)} of {count(row.n)}."
        )
    return remarks[::-1]  # all domains first


def _between(numbers: Iterable[int]) -> str:
    low, high = min(found := [*numbers]), max(found)
    return count(low) if low == high else f"{count(low)} to {count(high)}"


def _once(probes: Sequence[Probe]) -> list[Probe]:
    """Return one entry a probe: those that are scored twice hold the same dialogues."""
    return [*{probe.probe: probe for probe in probes}.values()]
