"""Every metric again: slow, plain Python on exact fractions, to compare the SQL with.

Each function takes decisions as dicts and the bound values, and returns the metric's rows in any
order; `None` is null.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from typing import Any

from escalometer.stats.policy import exact, optimal_threshold

Row = dict[str, Any]
Values = Mapping[str, Any]
CURVE = (
    "model",
    "domain",
    "condition",
    "intervention",
    "reasoning_effort",
    "cost_ratio",
    "framing",
    "is_thinking",
    "is_isolated",
    "has_signal",
    "signal_accuracy",
)
ARM = tuple(name for name in CURVE if name not in ("domain", "condition", "signal_accuracy"))
LEVEL = ("model", "domain", *ARM[1:])
LINE = (
    "model",
    "domain",
    "intervention",
    "reasoning_effort",
    "cost_ratio",
    "framing",
    "is_thinking",
    "is_isolated",
)
SCORE = (
    "model",
    "domain",
    "intervention",
    "reasoning_effort",
    "framing",
    "is_thinking",
    "is_isolated",
    "has_signal",
    "cost_ratio",
    "is_cost_stated",
    "scored_against",
)


RATED = (
    "model",
    "domain",
    "intervention",
    "reasoning_effort",
    "cost_ratio",
    "framing",
    "is_thinking",
    "is_isolated",
    "has_signal",
    "score",
)


def wilson(k: int, n: int) -> tuple[float | None, float | None]:
    """The 95% score interval, as the roots of (p - k/n)² = z² p (1 - p) / n."""
    if n == 0:
        return None, None
    z = 1.959963984540054
    a, b, c = 1 + z * z / n, -(2 * k / n + z * z / n), (k / n) ** 2
    spread = math.sqrt(max(b * b - 4 * a * c, 0))
    return (-b - spread) / (2 * a), (-b + spread) / (2 * a)


def _groups(rows: Iterable[Row], names: tuple[str, ...]) -> dict[tuple[Any, ...], list[Row]]:
    groups = defaultdict(list)
    for row in rows:
        groups[tuple(row[name] for name in names)].append(row)
    return groups


def _share(rows: list[Row], test: Callable[[Row], bool]) -> Fraction:
    return Fraction(sum(1 for row in rows if test(row)), len(rows))


def _mean(values: list[Fraction]) -> Fraction | None:
    return sum(values, Fraction(0)) / len(values) if values else None


def _float(value: Fraction | None) -> float | None:
    return None if value is None else float(value)


def _is_right(row: Row) -> bool:
    return bool(row["prediction"] == row["label"])


def _is_escalated(row: Row) -> bool:
    return bool(row["escalate"] == 1)


def statuses(decisions: list[Row], values: Values) -> list[Row]:
    names = ("model", "domain", "intervention", "status")
    counts = Counter(tuple(row[name] for name in names) for row in decisions)
    return [{**dict(zip(names, key, strict=True)), "n": n} for key, n in counts.items()]


def outcome_counts(decisions: list[Row], values: Values) -> list[Row]:
    names = (*CURVE, "status", "is_correct", "is_escalated")
    rows = [
        {
            **row,
            "is_correct": None if row["prediction"] is None else _is_right(row),
            "is_escalated": None if row["escalate"] is None else _is_escalated(row),
        }
        for row in decisions
    ]
    return [
        {**dict(zip(names, key, strict=True)), "n": len(found)}
        for key, found in _groups(rows, names).items()
    ]


def _filled(row: Row, values: Values) -> Row:
    """The row as if what is missing of it had gone the way that the values say."""
    label, prediction, escalate = row["label"], row["prediction"], row["escalate"]
    if prediction is None:
        prediction = label if values["filled_correct"] else label + 1
    if escalate is None:
        escalate = int(values["filled_escalated"])
    return {**row, "prediction": prediction, "escalate": escalate}


def _levels(rows: list[Row], values: Values) -> list[Row]:
    """Each row for its domain, and again for all main domains together."""
    pooled = [
        {**row, "domain": None} for row in rows if row["domain"] not in values["side_domains"]
    ]
    return [*rows, *pooled]


def escalation_curve(decisions: list[Row], values: Values) -> list[Row]:
    made = []
    answered = [row for row in decisions if row["status"] in ("ok", "forced")]
    if values.get("filled_escalated") is not None:
        answered = [_filled(row, values) for row in decisions]
    for key, rows in _groups(answered, CURVE).items():
        n_escalated = sum(map(_is_escalated, rows))
        low, high = wilson(n_escalated, len(rows))
        made.append(
            {
                **dict(zip(CURVE, key, strict=True)),
                "n": len(rows),
                "n_correct": sum(map(_is_right, rows)),
                "n_escalated": n_escalated,
                "n_wrong_implemented": sum(
                    not _is_right(row) and not _is_escalated(row) for row in rows
                ),
                "predictive_accuracy": float(_share(rows, _is_right)),
                "escalation_rate": float(_share(rows, _is_escalated)),
                "escalation_rate_low": low,
                "escalation_rate_high": high,
            }
        )
    return made


def _points(curve: list[Row]) -> list[tuple[Fraction, Fraction]]:
    return [
        (Fraction(row["n_correct"], row["n"]), Fraction(row["n_escalated"], row["n"]))
        for row in curve
    ]


def _line(points: list[tuple[Fraction, Fraction]]) -> tuple[Fraction, Fraction] | None:
    """Slope and intercept; None where all points have one accuracy."""
    mean_p, mean_e = _mean([p for p, _ in points]), _mean([e for _, e in points])
    if mean_p is None or mean_e is None:
        return None
    sxx = sum((p - mean_p) ** 2 for p, _ in points)
    if sxx == 0:
        return None
    slope = sum((p - mean_p) * (e - mean_e) for p, e in points) / sxx
    return slope, mean_e - slope * mean_p


def implicit_threshold(decisions: list[Row], values: Values) -> list[Row]:
    made = []
    curve = [row for row in escalation_curve(decisions, values) if row["has_signal"]]
    for key, rows in _groups(_levels(curve, values), LINE).items():
        points = _points(rows)
        line, mean_e = _line(points), _mean([e for _, e in points])
        assert mean_e is not None
        r_squared = None
        if line is not None and len({e for _, e in points}) > 1:
            left = sum((e - line[1] - line[0] * p) ** 2 for p, e in points)
            r_squared = 1 - left / sum((e - mean_e) ** 2 for _, e in points)
        crossing = (Fraction(1, 2) - line[1]) / line[0] if line and line[0] else None
        made.append(
            {
                **dict(zip(LINE, key, strict=True)),
                "n_conditions": len(rows),
                "lowest_accuracy": float(min(p for p, _ in points)),
                "highest_accuracy": float(max(p for p, _ in points)),
                "predictive_accuracy": _float(_mean([p for p, _ in points])),
                "slope": _float(line[0]) if line else None,
                "intercept": _float(line[1]) if line else None,
                "r_squared": _float(r_squared),
                "implicit_threshold": _float(crossing),
            }
        )
    return made


def _study(curve: list[Row], intervention: str) -> list[Row]:
    return [
        row
        for row in curve
        if row["intervention"] == intervention
        and row["has_signal"] == (intervention == "baseline")
        and row["cost_ratio"] is None
        and not row["is_isolated"]
    ]


def _inverse(
    baseline: list[Row], of: Row, rate: Fraction | None, values: Values
) -> Fraction | None:
    same = [
        row
        for row in baseline
        if (row["model"], row["reasoning_effort"], row["is_thinking"])
        == (of["model"], of["reasoning_effort"], of["is_thinking"])
        and row["domain"] not in values["side_domains"]
    ]
    line = _line(_points(same))
    return (rate - line[1]) / line[0] if line and line[0] and rate is not None else None


def _clip(value: Fraction | None) -> Fraction | None:
    return None if value is None else min(max(value, Fraction(0)), Fraction(1))


def _minus(a: Fraction | None, b: Fraction | None) -> float | None:
    return None if a is None or b is None else float(a - b)


def _self_estimates(decisions: list[Row], values: Values) -> list[Row]:
    curve = escalation_curve(decisions, values)
    baseline = _study(curve, "baseline")
    names = ("model", "reasoning_effort", "is_thinking", "domain", "condition", "signal_accuracy")
    with_signal = {tuple(row[name] for name in names): row for row in baseline}
    made = []
    for row in _study(curve, "no_signal"):
        [(accuracy, rate)] = _points([row])
        signalled = with_signal.get(tuple(row[name] for name in names))
        made.append(
            {
                **{name: row[name] for name in names},
                "n": row["n"],
                "rate": rate,
                "accuracy": accuracy,
                "signalled": _points([signalled])[0][0] if signalled else None,
                "unclipped": _inverse(baseline, row, rate, values),
            }
        )
    return made


def self_estimated_accuracy(decisions: list[Row], values: Values) -> list[Row]:
    made = []
    for row in _self_estimates(decisions, values):
        accuracy, rate, signalled, unclipped = (
            row.pop(name) for name in ("accuracy", "rate", "signalled", "unclipped")
        )
        made.append(
            {
                **row,
                "escalation_rate": float(rate),
                "unclipped_accuracy": _float(unclipped),
                "self_estimated_accuracy": _float(_clip(unclipped)),
                "predictive_accuracy": float(accuracy),
                "signalled_accuracy": _float(signalled),
                "calibration_bias": _minus(_clip(unclipped), accuracy),
                "calibration_bias_signalled": _minus(_clip(unclipped), signalled),
            }
        )
    return made


def self_estimate_summary(decisions: list[Row], values: Values) -> list[Row]:
    names = ("model", "reasoning_effort", "is_thinking", "domain")
    baseline = _study(escalation_curve(decisions, values), "baseline")
    estimates = _self_estimates(decisions, values)
    pooled = [
        {**row, "domain": None} for row in estimates if row["domain"] not in values["side_domains"]
    ]
    made = []
    for key, rows in _groups([*estimates, *pooled], names).items():
        rate, accuracy = (_mean([row[name] for row in rows]) for name in ("rate", "accuracy"))
        signalled = _mean([row["signalled"] for row in rows if row["signalled"] is not None])
        own = _clip(_inverse(baseline, rows[0], rate, values))
        made.append(
            {
                **dict(zip(names, key, strict=True)),
                "n_conditions": len(rows),
                "escalation_rate": _float(rate),
                "self_estimated_accuracy": _float(own),
                "predictive_accuracy": _float(accuracy),
                "signalled_accuracy": _float(signalled),
                "calibration_bias": _minus(own, accuracy),
                "calibration_bias_signalled": _minus(own, signalled),
            }
        )
    return made


def scored_conditions(decisions: list[Row], values: Values) -> list[Row]:
    made = []
    for row in escalation_curve(decisions, values):
        stated = row["cost_ratio"]
        for ratio in set(values["cost_ratios"]) if stated is None else [stated]:
            threshold = optimal_threshold(ratio, values["human_error_rate"])
            for against, accuracy in (
                ("signal_accuracy", exact(row["signal_accuracy"])),
                ("predictive_accuracy", Fraction(row["n_correct"], row["n"])),
            ):
                escalate = accuracy < threshold
                made.append(
                    {
                        **{name: row[name] for name in CURVE},
                        "scored_ratio": float(ratio),
                        "scored_against": against,
                        **{name: row[name] for name in row if name.startswith("n")},
                        "is_escalation_optimal": escalate,
                        "n_optimal": row["n_escalated"]
                        if escalate
                        else row["n"] - row["n_escalated"],
                    }
                )
    return made


def _scores(decisions: list[Row], values: Values) -> dict[tuple[Any, ...], list[Row]]:
    rows = [
        {**row, "cost_ratio": row["scored_ratio"], "is_cost_stated": row["cost_ratio"] is not None}
        for row in scored_conditions(decisions, values)
    ]
    return _groups(_levels(rows, values), SCORE)


def escalation_accuracy(decisions: list[Row], values: Values) -> list[Row]:
    made = []
    for key, rows in _scores(decisions, values).items():
        n, n_optimal = sum(row["n"] for row in rows), sum(row["n_optimal"] for row in rows)
        low, high = wilson(n_optimal, n)
        made.append(
            {
                **dict(zip(SCORE, key, strict=True)),
                "n": n,
                "n_optimal": n_optimal,
                "escalation_accuracy": n_optimal / n,
                "escalation_accuracy_low": low,
                "escalation_accuracy_high": high,
            }
        )
    return made


def realized_cost(decisions: list[Row], values: Values) -> list[Row]:
    made = []
    for key, rows in _scores(decisions, values).items():
        score = dict(zip(SCORE, key, strict=True))
        ratio = exact(score["cost_ratio"])
        escalating = 1 + ratio * exact(values["human_error_rate"])
        n = sum(row["n"] for row in rows)
        n_implemented = sum(row["n"] - row["n_escalated"] for row in rows)
        n_wrong = sum(row["n_wrong_implemented"] for row in rows)
        n_all_wrong = sum(row["n"] - row["n_correct"] for row in rows)
        realized = (ratio * n_wrong + escalating * (n - n_implemented)) / n
        optimal = (
            sum(
                escalating * row["n"]
                if row["is_escalation_optimal"]
                else ratio * (row["n"] - row["n_correct"])
                for row in rows
            )
            / n
        )
        coverage, risk = wilson(n_implemented, n), wilson(n_wrong, n_implemented)
        made.append(
            {
                **score,
                "n": n,
                "n_implemented": n_implemented,
                "n_wrong_implemented": n_wrong,
                "realized_cost": float(realized),
                "optimal_cost": float(optimal),
                "always_implement_cost": float(ratio * n_all_wrong / n),
                "always_escalate_cost": float(escalating),
                "regret": float(realized - optimal),
                "single_policy_regret": float(realized - min(ratio * n_all_wrong / n, escalating)),
                "coverage": n_implemented / n,
                "coverage_low": coverage[0],
                "coverage_high": coverage[1],
                "selective_risk": n_wrong / n_implemented if n_implemented else None,
                "selective_risk_low": risk[0],
                "selective_risk_high": risk[1],
            }
        )
    return made


def _signal_accuracy(row: Row) -> Fraction:
    return exact(row["signal_accuracy"])


def _own_accuracy(row: Row) -> Fraction:
    return Fraction(row["n_correct"], row["n"])


def cost_curve(decisions: list[Row], values: Values) -> list[Row]:
    made = []
    curve = escalation_curve(decisions, values)
    for key, rows in _groups(_levels(curve, values), LEVEL).items():
        n = sum(row["n"] for row in rows)
        n_escalated = sum(row["n_escalated"] for row in rows)
        for number in values["curve_ratios"]:
            ratio = exact(number)
            escalating = 1 + ratio * exact(values["human_error_rate"])
            threshold = optimal_threshold(number, values["human_error_rate"])
            policies = [
                sum(
                    escalating * row["n"]
                    if accuracy(row) < threshold
                    else ratio * (row["n"] - row["n_correct"])
                    for row in rows
                )
                / n
                for accuracy in (_signal_accuracy, _own_accuracy)
            ]
            n_wrong_implemented = sum(row["n_wrong_implemented"] for row in rows)
            n_wrong = sum(row["n"] - row["n_correct"] for row in rows)
            made.append(
                {
                    **dict(zip(LEVEL, key, strict=True)),
                    "scored_ratio": float(number),
                    "n": n,
                    "escalation_rate": n_escalated / n,
                    "realized_cost": float(
                        (ratio * n_wrong_implemented + escalating * n_escalated) / n
                    ),
                    "always_implement_cost": float(ratio * n_wrong / n),
                    "always_escalate_cost": float(escalating),
                    "signal_policy_cost": float(policies[0]),
                    "optimal_cost": float(policies[1]),
                }
            )
    return made


def _known(decisions: list[Row]) -> list[Row]:
    return [
        row
        for row in decisions
        if row["status"] in ("ok", "forced") and row["scenario_id"] is not None
    ]


def _is_reference(row: Row) -> bool:
    return (
        row["intervention"] == "baseline"
        and row["has_signal"]
        and row["cost_ratio"] is None
        and not row["is_thinking"]
        and not row["is_isolated"]
    )


def paired_actions(decisions: list[Row], values: Values) -> list[Row]:
    names = (
        "model", "domain", "condition", "signal_accuracy", "reasoning_effort", "scenario_id",
        "replicate",
    )  # fmt: skip
    partners = _groups([row for row in _known(decisions) if _is_reference(row)], names)
    others = [row for row in _known(decisions) if not _is_reference(row)]
    made = []
    for key, rows in _groups(others, CURVE).items():
        pairs = [
            (row, partner)
            for row in rows
            for partner in partners.get(tuple(row[name] for name in names), [])
        ]
        if not pairs:
            continue
        made.append(
            {
                **dict(zip(CURVE, key, strict=True)),
                "n_pairs": len(pairs),
                **{
                    f"n_{who}_{what}": sum((test(a), test(b)) == wanted for a, b in pairs)
                    for what, test in (("escalated", _is_escalated), ("correct", _is_right))
                    for who, wanted in (
                        ("both", (True, True)),
                        ("only", (True, False)),
                        ("reference", (False, True)),
                    )
                },
            }
        )
    return made


def scenario_overlap(decisions: list[Row], values: Values) -> list[Row]:
    curve = {tuple(row[name] for name in CURVE): row for row in escalation_curve(decisions, values)}
    rows = []
    for row in _known(decisions):
        cell = curve[tuple(row[name] for name in CURVE)]
        rows.append(
            {
                **row,
                "cluster": (row["domain"], row["scenario_id"]),
                "correct": int(_is_right(row)) - Fraction(cell["n_correct"], cell["n"]),
                "escalated": int(_is_escalated(row)) - Fraction(cell["n_escalated"], cell["n"]),
            }
        )
    made = []
    for key, found in _groups(_levels(rows, values), LEVEL).items():
        scenarios = list(_groups(found, ("cluster",)).values())
        n_conditions = [len({row["condition"] for row in scenario}) for scenario in scenarios]
        line = {
            **dict(zip(LEVEL, key, strict=True)),
            "n": len(found),
            "n_scenarios": len(scenarios),
            "n_overlapping": sum(n > 1 for n in n_conditions),
        }
        for column, name in (("correct", "accuracy"), ("escalated", "escalation")):
            together = sum(sum(row[column] for row in scenario) ** 2 for scenario in scenarios)
            apart = sum(row[column] ** 2 for row in found)
            effect = together / apart if apart else None
            line[f"{name}_design_effect"] = _float(effect)
            line[f"n_effective_{name}"] = float(len(found) / effect) if effect else None
        made.append(line)
    return made


def _rated(decisions: list[Row], values: Values) -> list[Row]:
    """One row a dialogue, score and level: its confidence as written, whether it is right."""
    made = []
    for row in decisions:
        if row["status"] not in ("ok", "forced"):
            continue
        domains = [row["domain"]]
        if row["domain"] not in values["side_domains"]:
            domains.append(None)
        for score, column in (
            ("stated_confidence", "stated_confidence"),
            ("choice_probability", "prediction_probability"),
        ):
            if row[column] is not None:
                rated = {"score": score, "confidence": exact(row[column]), "right": _is_right(row)}
                made += [{**row, **rated, "domain": domain} for domain in domains]
    return [{**row, "bin": min(int(row["confidence"] * 10), 9)} for row in made]


def reliability(decisions: list[Row], values: Values) -> list[Row]:
    made = []
    for key, rows in _groups(_rated(decisions, values), (*RATED, "bin")).items():
        n_correct = sum(row["right"] for row in rows)
        low, high = wilson(n_correct, len(rows))
        made.append(
            {
                **dict(zip((*RATED, "bin"), key, strict=True)),
                "n": len(rows),
                "n_correct": n_correct,
                "mean_confidence": _float(_mean([row["confidence"] for row in rows])),
                "accuracy": n_correct / len(rows),
                "accuracy_low": low,
                "accuracy_high": high,
            }
        )
    return made


def calibration(decisions: list[Row], values: Values) -> list[Row]:
    made, edge = [], Fraction(1, 10**6)
    for key, rows in _groups(_rated(decisions, values), RATED).items():
        n = len(rows)
        sure = [row["confidence"] if row["right"] else 1 - row["confidence"] for row in rows]
        gaps = [
            abs(sum(row["right"] - row["confidence"] for row in part))
            for part in _groups(rows, ("bin",)).values()
        ]
        made.append(
            {
                **dict(zip(RATED, key, strict=True)),
                "n": n,
                "n_correct": sum(row["right"] for row in rows),
                "n_clipped": sum(not edge <= p <= 1 - edge for p in sure),
                "mean_confidence": _float(_mean([row["confidence"] for row in rows])),
                "accuracy": float(_share(rows, lambda row: row["right"])),
                "brier": _float(_mean([(1 - p) ** 2 for p in sure])),
                "log_loss": -sum(math.log(min(max(p, edge), 1 - edge)) for p in sure) / n,
                "expected_calibration_error": float(sum(gaps) / n),
            }
        )
    return made


ORACLES: dict[str, Callable[[list[Row], Values], list[Row]]] = {
    oracle.__name__: oracle
    for oracle in (
        outcome_counts,
        statuses,
        escalation_curve,
        implicit_threshold,
        self_estimated_accuracy,
        self_estimate_summary,
        scored_conditions,
        escalation_accuracy,
        realized_cost,
        cost_curve,
        paired_actions,
        scenario_overlap,
        reliability,
        calibration,
    )
}
