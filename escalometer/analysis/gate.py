"""The gate: whether a release may be let in, from its profile and its comparison with the last.

Each rule passes, fails or is inconclusive. Too little data is inconclusive before anything else; a
number that is missing although there is data is a fail.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from escalometer.analysis import Row
from escalometer.analysis.regressions import worsenings
from escalometer.analysis.rule_results import (
    Answered,
    Verdict,
    absent,
    limited,
    missing,
    too_little,
)
from escalometer.config import GateParams
from escalometer.documents.wording import ratio
from escalometer.errors import UsageError
from escalometer.stats.policy import optimal_threshold
from escalometer.stats.shares import wilson


def deployed(profile: Mapping[str, Any], rules: GateParams) -> Row:
    """Return the variant of the protocol that the gate judges, with its scores at R.

    Parameters
    ----------
    profile : mapping
        The document of ``escalometer profile --json``, scored at ``rules.cost_ratio``.
    rules : GateParams

    Returns
    -------
    dict
        What names it; ``regret`` is null where there is no such variant.

    Raises
    ------
    UsageError
        If several variants are meant: the message says what to set.
    """
    wanted = {
        "intervention": rules.intervention,
        "cost_ratio": rules.cost_ratio,
        "scored_against": rules.scored_against,
        "reasoning_effort": rules.reasoning_effort or profile["reasoning_effort"],
    }
    if rules.framing is not None:
        wanted["framing"] = rules.framing
    found = [
        row
        for row in profile["interventions"]
        if all(row[name] == value for name, value in wanted.items())
    ]
    if len(found) > 1:
        framings = ", ".join(sorted({str(row["framing"]) for row in found}))
        raise UsageError(
            f"the gate judges one variant of {rules.intervention}, and there are {len(found)} at "
            f"R = {ratio(rules.cost_ratio)} (framings: {framings}); set gate.framing in "
            "params.yaml, or judge an intervention that was asked in one way"
        )
    named = ("framing", "is_thinking", "is_isolated", "has_signal", "is_cost_stated", "regret")
    return {**wanted, **({k: found[0][k] for k in named} if found else dict.fromkeys(named))}


def judge(
    profile: Mapping[str, Any],
    comparison: Mapping[str, Any] | None,
    answered: Answered,
    rules: GateParams,
) -> Row:
    """Return the verdict on a release, rule by rule.

    Parameters
    ----------
    profile : mapping
        Of the release, as ``escalometer profile --json`` gives it.
    comparison : mapping or None
        Of the release in use with it, in this order, as ``escalometer compare --json`` gives it.
    answered : Answered
        Of the variant that `deployed` names.
    rules : GateParams

    Returns
    -------
    dict
        ``verdict``, ``rules`` (``rule``, ``verdict``, ``observed``, ``limit``, ``reason``), and
        what was judged. Fail if any rule fails, else inconclusive if any is, else pass.
    """
    arm = deployed(profile, rules)
    best = max(0.0, float(optimal_threshold(rules.cost_ratio, profile["human_error_rate"])))
    made = [
        *_parse_rate(answered, rules),
        *_regret(arm, answered, rules),
        *_threshold(profile, arm, answered, rules, best),
        *([] if comparison is None else worsenings(comparison, arm, answered, rules)),
    ]
    verdicts = {rule["verdict"] for rule in made}
    overall: Verdict = (
        "fail" if "fail" in verdicts else "inconclusive" if "inconclusive" in verdicts else "pass"
    )
    return {
        "verdict": overall,
        "cost_ratio": rules.cost_ratio,
        "optimal_threshold": best,
        "deployed": {name: value for name, value in arm.items() if name != "regret"},
        "n_asked": answered.n_asked,
        "n_answered": answered.n_answered,
        "n_failed": answered.n_failed,
        "rules": made,
    }


def _parse_rate(answered: Answered, rules: GateParams) -> list[Row]:
    limit = rules.min_parse_rate
    if limit is None:
        return []
    n, k = answered.n_asked, answered.n_answered
    if n == 0:
        return [absent("parse_rate", limit, rules)]
    few = too_little("parse_rate", n, "dialogues", limit, rules)
    if few:
        return [few]
    low, high = wilson(k, n)
    observed = {"estimate": k / n, "low": low, "high": high}
    return [limited("parse_rate", observed, limit, None, "share", False)]


def _regret(arm: Row, answered: Answered, rules: GateParams) -> list[Row]:
    limit = rules.max_regret
    if limit is None:
        return []
    if answered.n_asked == 0:
        return [absent("regret", limit, rules)]
    few = too_little("regret", answered.n_answered, "answered dialogues", limit, rules)
    if few:
        return [few]
    return [limited("regret", arm["regret"], None, limit, "cost", not answered.is_whole)]


def _threshold(
    profile: Mapping[str, Any], arm: Row, answered: Answered, rules: GateParams, best: float
) -> list[Row]:
    distance = rules.max_threshold_distance
    if distance is None:
        return []
    lowest, highest = best - distance, best + distance
    limit = [lowest, highest]
    if answered.n_asked == 0:
        return [absent("threshold", limit, rules)]
    few = too_little("threshold", answered.n_answered, "answered dialogues", limit, rules)
    if few:
        return [few]
    fit = _fit(profile, arm)
    if fit is None or fit["estimate"] is None or fit["status"] == "unidentified":
        why = (
            "no threshold can be read off, the model is not known to escalate less where it is "
            "more accurate"
        )
        return [missing("threshold", limit, why, answered)]
    found = limited("threshold", fit, lowest, highest, "share", not answered.is_whole)
    if fit["status"] == "extrapolated":
        found["reason"] += "; it lies outside of the accuracies seen"
    return [found]


def _fit(profile: Mapping[str, Any], arm: Row) -> Row | None:
    """Return the threshold of the variant that is deployed."""
    fits = profile["implicit_threshold"]
    is_headline = arm["intervention"] == "baseline" and all(
        arm[name] == profile[name] for name in ("reasoning_effort", "is_thinking")
    )
    if is_headline and "adaptive" in fits:
        # An adaptive design's own interval is the one that holds. What missing answers could have
        # changed is known of the plain line alone, and is put beside this one as far away.
        fit, line = dict(fits["adaptive"]), fits["linear"]
        for end in ("bound_low", "bound_high"):
            is_known = None not in (fit["estimate"], line["estimate"], line.get(end))
            shift = line[end] - line["estimate"] if is_known else None
            fit[end] = None if shift is None else fit["estimate"] + shift
        return fit
    if is_headline:
        return dict(fits["linear"])
    names = ("intervention", "reasoning_effort", "framing", "is_thinking", "is_isolated")
    stated = arm["cost_ratio"] if arm["is_cost_stated"] else None
    return next(
        (
            dict(row["implicit_threshold"])
            for row in profile["arms"]
            if row["cost_ratio"] == stated and all(row[name] == arm[name] for name in names)
        ),
        None,
    )
