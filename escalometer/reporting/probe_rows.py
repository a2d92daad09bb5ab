"""What a report says of an adapter: probes.json as rows for people, on a terminal or a page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from escalometer.documents.wording import DASH, count, ratio, share, with_span

#: What each probe is called, by what its actions are scored against where that varies.
PROBE_WORDS = {
    ("trained_domains", "signal"): "trained domains",
    ("held_out_domain", "signal"): "held-out domain",
    ("untrained_ratios", "signal"): "ratios never trained",
    ("untrained_wordings", "signal"): "wordings never trained",
    ("untrained_percentages", "signal"): "percentages never trained",
    ("no_signal", "domain"): "signal removed",
    ("wrong_signal", "signal"): "wrong signal: follows it",
    ("wrong_signal", "domain"): "wrong signal: follows domain",
    ("other_percentage", "signal"): "another percentage nearby",
    ("ties", "signal"): "ties, one point beside them",
}

#: What each kind of mistake is called.
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
    "trained_domains": "the study's ratios and wordings, scenarios that training did not see",
    "held_out_domain": "the same on a domain that training never saw",
    "untrained_ratios": "on the held-out domain, as all below: R = 3, 6, 15, 30",
    "untrained_wordings": "the cost stated in euros, hours of work and penalty points",
    "untrained_percentages": "the signal states 54, 64, 69, 74, 81 or 89 %",
    "no_signal": "no accuracy to read: scored by that of the condition",
    "wrong_signal": "the signal is off by 20 points or more and asks for the other action: what is "
    "right by the signal is wrong by the domain's own accuracy, and the other way round",
    "other_percentage": "the scenario ends with a percentage of another matter",
    "ties": "R × (100 − p) is exactly 100, so implementing is right, or p is one point beside it",
}


def words_of(mistake: str, probe: str) -> str:
    """Return what a kind of mistake is called; without a signal there is nothing to misread."""
    if (mistake, probe) == ("misread_percentage", "no_signal"):
        return "invented percentage"
    return MISTAKE_WORDS[mistake]


def probe_rows(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the table of probes: one row a probe and what it is scored against.

    Parameters
    ----------
    document : mapping
        probes.json.

    Returns
    -------
    list of dict
        The entries of ``probes`` with a ``label``, what the probe is (``explained``) and the tuned
        model's most frequent mistake in words (``worst``; empty where the row above says it).
    """
    rows = []
    for entry in document["probes"]:
        key = (entry["probe"], entry["scored_against"])
        is_repeated = key == ("wrong_signal", "domain")
        rows.append(
            {
                **entry,
                "label": PROBE_WORDS[key],
                "explained": "" if is_repeated else EXPLAINED[entry["probe"]],
                "worst": "" if is_repeated else _worst(entry),
            }
        )
    return rows


def _worst(entry: Mapping[str, Any]) -> str:
    mistakes = entry["tuned"]["mistakes"]
    if not mistakes:
        return DASH
    kind = max(mistakes, key=mistakes.get)  # the first of those that are as frequent
    return f"{words_of(kind, entry['probe'])} ({count(mistakes[kind])})"


def mistake_rows(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return how often each kind of mistake occurs: one row a probe with ``base`` and ``tuned``.

    Each of the two holds a count for every key of `MISTAKE_WORDS`.
    """
    return [
        {
            "label": PROBE_WORDS[entry["probe"], entry["scored_against"]].split(":")[0],
            "n": entry["n"],
            **{
                role: {kind: entry[role]["mistakes"].get(kind, 0) for kind in MISTAKE_WORDS}
                for role in ("base", "tuned")
            },
        }
        for entry in document["probes"]
        if (entry["probe"], entry["scored_against"]) != ("wrong_signal", "domain")
    ]


def grid_rows(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the margins of the grid: by domain, condition, ratio and wording, both models."""
    pairs: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in document["grid"]:
        if row["domain"] is not None and row["cost_ratio"] is not None:
            continue  # a cell of few dialogues: see grid.parquet
        place = tuple(row[name] for name in ("domain", "condition", "cost_ratio", "framing"))
        pairs.setdefault(place, {"n": row["n"], "always_escalate": row["always_escalate"]})[
            row["model_role"]
        ] = {
            "estimate": row["escalation_accuracy"],
            "low": row["escalation_accuracy_low"],
            "high": row["escalation_accuracy_high"],
        }
    named = [{**_named(*place), **row} for place, row in pairs.items()]
    order = ("domain", "condition", "cost ratio", "wording")
    return sorted(named, key=lambda row: (order.index(row["by"]), *row["sorts"]))


def _named(
    domain: str | None, condition: str | None, cost_ratio: float | None, framing: str | None
) -> dict[str, Any]:
    if condition is not None:
        return {"by": "condition", "name": f"{domain}: {condition}", "sorts": (domain, condition)}
    if domain is not None:
        return {"by": "domain", "name": domain, "sorts": (domain,)}
    if cost_ratio is not None:
        return {"by": "cost ratio", "name": f"R = {ratio(cost_ratio)}", "sorts": (cost_ratio,)}
    return {"by": "wording", "name": framing, "sorts": (framing,)}


def published_rows(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the published fine-tuned models, and this one below them, all numbers as text."""
    published = document["published"]
    rows = [
        {
            "model": row["model"],
            "overall": row["said"] or share(row["overall"]),
            "held_out": share(row["held_out"]),
            "no_signal": None,  # published for no single model
            "is_ours": False,
        }
        for row in published["rows"]
    ]
    entries = {(e["probe"], e["scored_against"]): e for e in document["probes"]}
    grid = [entries.get((name, "signal")) for name in ("trained_domains", "held_out_domain")]
    both = [entry for entry in grid if entry is not None]
    n = sum(entry["n"] for entry in both)
    held_out, no_signal = grid[1], entries.get(("no_signal", "domain"))
    rows.append(
        {
            "model": document["adapter"],
            "overall": share(sum(e["tuned"]["n_right"] for e in both) / n if n else None),
            "held_out": with_span(held_out["tuned"]) if held_out else DASH,
            "no_signal": with_span(no_signal["tuned"]) if no_signal else DASH,
            "is_ours": True,
        }
    )
    return rows


#: The probes that are the study's own grid.
_GRID = {"held_out_domain": "held-out domain", "trained_domains": "trained ones"}


def sentences(document: Mapping[str, Any]) -> list[str]:
    """Return what has to be said beside the table: blind rules, turn 1, how answers were read."""
    entries = document["probes"]
    said = []
    named = {e["probe"]: e for e in entries if e["scored_against"] == "signal"}
    blind = [
        f"on the {words} in {share(named[probe]['always_escalate'])} and "
        f"{share(named[probe]['always_implement'])}"
        for probe, words in _GRID.items()
        if probe in named
    ]
    if blind:
        told = ", ".join(blind)
        said.append(f"Always escalating and always implementing would be right {told}.")
    said += turn_one_sentences(document)
    if entries:
        about = _between(entry["n_scenarios"] for entry in entries)
        said.append(
            f"A probe's dialogues are about {about} scenarios; "
            "intervals take each by itself, and are too narrow where errors go with scenarios."
        )
    n = sum(e["n"] for e in _once(entries))
    closed, unread = (
        {role: count(sum(e[role][of] for e in _once(entries))) for role in ("base", "tuned")}
        for of in ("n_forced", "n_unparsed")
    )
    said.append(
        f"Of {count(n)} dialogues with each model, the base's answers had to be closed with the "
        f"marker in {closed['base']} (its budget: {document['base_max_tokens']} tokens an answer) "
        f"and the tuned model's in {closed['tuned']} ({document['tuned_max_tokens']} tokens); no "
        f"action could be read in {unread['base']} and {unread['tuned']}, which count as not right."
    )
    return said


def turn_one_sentences(document: Mapping[str, Any]) -> list[str]:
    """Return whether turn 1 still predicts as well as before: all domains, and the held-out one."""
    said = []
    for row in document["predictions"]:
        if row["domain"] not in (None, document["holdout"]):
            continue
        where = "Turn 1" if row["domain"] is None else f"On {row['domain']} alone turn 1"
        base, tuned, alike = (
            with_span({e: row[f"{name}{end}"] for e, end in _ENDS})
            for name in ("base_accuracy", "tuned_accuracy", "alike")
        )
        said.append(
            f"{where} matches the label in {base} before and {tuned} after; both predict alike in "
            f"{alike} of {count(row['n'])} first turns."
        )
    return said[::-1]  # all domains first


_ENDS = (("estimate", ""), ("low", "_low"), ("high", "_high"))


def _between(numbers: Iterable[int]) -> str:
    low, high = min(found := [*numbers]), max(found)
    return count(low) if low == high else f"{count(low)} to {count(high)}"


def _once(entries: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return one entry a probe: those that are scored twice hold the same dialogues."""
    return [*{entry["probe"]: entry for entry in entries}.values()]
