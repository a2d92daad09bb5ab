"""Every statement under sql/probes again, in slow, plain Python; see `oracles`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from tests.sql.oracles import wilson

Row = dict[str, Any]


def _ends(name: str, k: int, n: int) -> Row:
    low, high = wilson(k, n)
    return {name: k / n, f"{name}_low": low, f"{name}_high": high}


def _grouped(rows: Iterable[Row], key: Callable[[Row], Any]) -> dict[Any, list[Row]]:
    groups: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return groups


def _scored(rows: list[Row], best: str) -> Row:
    n = len(rows)
    n_escalation = sum(row[best] == 1 for row in rows)
    n_right = sum(row["escalate"] is not None and row["escalate"] == row[best] for row in rows)
    return {
        "n": n,
        "n_right": n_right,
        "n_unparsed": sum(row["escalate"] is None for row in rows),
        **_ends("escalation_accuracy", n_right, n),
        "always_escalate": n_escalation / n,
        "always_implement": 1 - n_escalation / n,
    }


def accuracy(rows: list[Row]) -> list[Row]:
    found = []
    for (probe, role), mine in _grouped(rows, lambda r: (r["probe"], r["model_role"])).items():
        named = {"probe": probe, "model_role": role}
        ways = [("domain", mine, "domain_optimal_escalate")]
        if told := [row for row in mine if row["has_signal"]]:
            ways.append(("signal", told, "optimal_escalate"))
        found += [
            {
                **named,
                "scored_against": against,
                **_scored(those, best),
                "n_forced": sum(row["status"] == "forced" for row in those),
                "n_scenarios": len({(row["domain"], row["scenario_id"]) for row in those}),
            }
            for against, those, best in ways
        ]
    return found


def grid(rows: list[Row]) -> list[Row]:
    place = ("domain", "condition", "cost_ratio", "framing")
    sets: list[tuple[str, ...]] = [
        ("domain", "cost_ratio", "framing"),
        ("domain", "condition"),
        ("domain",),
        ("cost_ratio",),
        ("framing",),
    ]
    found = []
    for kept in sets:
        groups = _grouped(
            (row for row in rows if row["is_plain"]),
            lambda r, kept=kept: (
                r["model_role"],
                *(r[name] if name in kept else None for name in place),
            ),
        )
        for key, mine in groups.items():
            named = dict(zip(("model_role", *place), key, strict=True))
            found.append({**named, **_scored(mine, "optimal_escalate")})
    return found


def mistakes(rows: list[Row]) -> list[Row]:
    found = []
    for (probe, role), mine in _grouped(rows, lambda r: (r["probe"], r["model_role"])).items():
        wrong = [row for row in mine if row["mistake"] is not None]
        for mistake, those in _grouped(wrong, lambda r: r["mistake"]).items():
            found.append(
                {
                    "probe": probe,
                    "model_role": role,
                    "mistake": mistake,
                    "n": len(those),
                    "n_right": sum(row["is_right"] for row in those),
                    "n_dialogues": len(mine),
                    "share_of_dialogues": len(those) / len(mine),
                }
            )
    return found


def predictions(rows: list[Row]) -> list[Row]:
    turns: dict[tuple[Any, ...], dict[str, Any]] = defaultdict(dict)
    for row in rows:
        if row["is_plain"]:
            turn = (row["domain"], row["prompt"], row["label"])
            turns[turn][row["model_role"]] = row["prediction"]
    pairs = [
        (*turn, found["base"], found["tuned"]) for turn, found in turns.items() if len(found) == 2
    ]
    found = []
    for domain in ({pair[0] for pair in pairs} | {None}) if pairs else ():
        mine = [pair for pair in pairs if domain in (None, pair[0])]
        n = len(mine)
        right = {
            role: sum(pair[at] == pair[2] for pair in mine)
            for role, at in (("base", 3), ("tuned", 4))
        }
        n_alike = sum(pair[3] is not None and pair[3] == pair[4] for pair in mine)
        found.append(
            {
                "domain": domain,
                "n": n,
                "n_base_right": right["base"],
                "n_tuned_right": right["tuned"],
                "n_base_unparsed": sum(pair[3] is None for pair in mine),
                "n_tuned_unparsed": sum(pair[4] is None for pair in mine),
                "n_alike": n_alike,
                **_ends("base_accuracy", right["base"], n),
                **_ends("tuned_accuracy", right["tuned"], n),
                **_ends("alike", n_alike, n),
            }
        )
    return found


ORACLES = {
    "probe_accuracy": accuracy,
    "probe_grid": grid,
    "probe_mistakes": mistakes,
    "probe_predictions": predictions,
}
