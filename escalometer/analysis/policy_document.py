"""A policy as the typed document: from decisions and a verdict to what is exported."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

import numpy as np
import pyarrow as pa

from escalometer import __version__
from escalometer.analysis import ANSWERED, Row
from escalometer.analysis.autonomy import autonomy_rows
from escalometer.analysis.decisions import side_domains
from escalometer.analysis.policy_choice import Choice, Limits, choose
from escalometer.analysis.policy_dialogues import Dialogues
from escalometer.analysis.policy_results import held_out
from escalometer.documents import VARIANT_KEY, Variant, Verdict
from escalometer.documents.policy import (
    AccuracySteps,
    PolicyCondition,
    PolicyDigests,
    PolicyDocument,
    PolicyParts,
    PolicyRequirements,
    PolicyRule,
    PolicyScore,
    PolicyVerdict,
    WholeRatio,
)
from escalometer.errors import DataError, UsageError
from escalometer.policy import FORMAT, VERSION, digest, prompts_digest
from escalometer.stats.policy import optimal_threshold

#: Columns that a policy is made from.
COLUMNS = (
    *("model", "domain", "edition", "condition", "scenario_id", "replicate", *VARIANT_KEY),
    *("label", "prediction", "escalate", "status", "stated_confidence", "prediction_probability"),
    *("resolved_model", "prompt", "decision_prompt"),
)

_SCORES: tuple[PolicyScore, ...] = ("stated_confidence", "prediction_probability")
_PARAGRAPH = "\n\n"


@dataclass(frozen=True)
class Export:
    """The settings of an export: cost ratio, human error, limits, parts of the scenarios.

    Attributes
    ----------
    cost_ratio, human_error_rate : float
        R and h.
    limits : Limits
    seed : int
        Of the parts of the scenarios.
    created_at, expires_at : datetime
        With a time zone.
    audit_rate : float
        Share of acted cases that a person judges, too.
    """

    cost_ratio: float
    human_error_rate: float
    limits: Limits
    seed: int
    created_at: datetime
    expires_at: datetime
    audit_rate: float = 0.0


def build_policy(decisions: pa.Table, verdict: Verdict, export: Export) -> PolicyDocument:
    """Return the policy of a model in the protocol variant that a verdict is about.

    Parameters
    ----------
    decisions : Table
        Of the model, with `COLUMNS`.
    verdict : Verdict
        On the same decisions at the same cost ratio.
    export : Export

    Raises
    ------
    UsageError
        If no dialogue is of that variant, or several variants are.
    DataError
        If no dialogue of it has an answer.
    """
    asked, variant = _of_variant(decisions, verdict)
    rows = [row for row in asked if row["status"] in ANSWERED]
    if not rows:
        raise DataError(
            f"{verdict.model} has no answered dialogue of {variant.intervention}: a policy needs "
            "predictions and actions"
        )
    optimal = optimal_threshold(export.cost_ratio, export.human_error_rate)
    dialogues = _dialogues(rows)
    fit, chosen_on, report = dialogues.parts(export.seed)
    found = choose(
        fit, chosen_on, optimal, export.cost_ratio, export.human_error_rate, export.limits,
        export.seed,
    )  # fmt: skip
    results = held_out(
        report, found.fitted.acts(found.rule, report), export.cost_ratio, export.human_error_rate
    )
    document = PolicyDocument(
        format=FORMAT,
        format_version=VERSION,
        escalometer=__version__,
        model=verdict.model,
        resolved_models=tuple(verdict.resolved_models.get(verdict.model, ())),
        source=verdict.source,
        variant=variant,
        cost_ratio=export.cost_ratio,
        human_error_rate=export.human_error_rate,
        optimal_threshold=_whole(optimal),
        rule=_rule(found),
        requirements=PolicyRequirements(
            max_wrong_rate=export.limits.max_wrong_rate,
            max_escalations_share=export.limits.max_escalations_share,
            confidence=export.limits.confidence,
            n_candidates=found.n_candidates,
            n_qualified=found.n_qualified,
            p_value=found.p_value,
            is_met=found.is_met,
        ),
        n=len(rows),
        n_missing=len(asked) - len(rows),
        parts=PolicyParts(n_fit=len(fit), n_choose=len(chosen_on), n_report=len(report)),
        conditions=_conditions(dialogues, found, optimal, export.seed),
        held_out=results,
        digests=PolicyDigests(
            decisions=dict(verdict.files or {}), prompts=_prompts(asked), data=_data(asked)
        ),
        gate=PolicyVerdict(
            verdict=verdict.verdict,
            against=verdict.against,
            rules={rule.rule: rule.verdict for rule in verdict.rules},
        ),
        audit_rate=export.audit_rate,
        created_at=export.created_at.isoformat(timespec="seconds"),
        expires_at=export.expires_at.isoformat(timespec="seconds"),
        notes=_notes(rows, found, export),
        digest="",
    )
    return document.model_copy(update={"digest": digest(document.as_json())})


def prompts_of(decisions: pa.Table, verdict: Verdict) -> str | None:
    """Return the digest of the tasks in the prompts that a verdict is about; None without prompts.

    Parameters and errors as of `build_policy`.
    """
    return _prompts(_of_variant(decisions, verdict)[0])


def _of_variant(decisions: pa.Table, verdict: Verdict) -> tuple[list[Row], Variant]:
    """Return the dialogues of what the gate judged, over the main domains."""
    deployed = verdict.deployed
    properties = ("framing", "is_thinking", "is_isolated", "has_signal")
    wanted = {name: getattr(deployed, name) for name in properties}
    wanted = {name: value for name, value in wanted.items() if value is not None}
    wanted |= {
        "intervention": deployed.intervention, "reasoning_effort": deployed.reasoning_effort
    }  # fmt: skip
    rows: list[Row] = decisions.select(list(COLUMNS)).to_pylist()
    present = {row["domain"] for row in rows}
    sides = set(side_domains(present, sorted(present)))
    rows = [
        row
        for row in rows
        if row["domain"] not in sides
        and row["cost_ratio"] in (None, verdict.cost_ratio)
        and all(row[name] == value for name, value in wanted.items())
    ]
    variants = {tuple(row[name] for name in VARIANT_KEY) for row in rows}
    if len(variants) != 1:
        what = "no dialogue" if not variants else f"{len(variants)} variants"
        stated = sorted(
            {
                f"R = {row['cost_ratio']:g}"
                for row in decisions.select(["intervention", "cost_ratio"]).to_pylist()
                if row["intervention"] == deployed.intervention and row["cost_ratio"] is not None
            }
        )
        known = f" Prompts of it state {', '.join(stated)}." if stated else ""
        raise UsageError(
            f"{verdict.model} has {what} of {deployed.intervention} at R = "
            f"{verdict.cost_ratio:g}.{known} Name another --cost-ratio or --intervention."
        )
    return rows, Variant(**dict(zip(VARIANT_KEY, variants.pop(), strict=True)))


def _dialogues(rows: list[Row]) -> Dialogues:
    scores: dict[PolicyScore, list[float | None]] = {
        name: [row[name] for row in rows] for name in _SCORES
    }
    return Dialogues(
        condition=[(row["domain"], row["condition"]) for row in rows],
        # Unknown scenarios are each of their own.
        scenario=[
            f"row {i}" if row["scenario_id"] is None else f"{row['domain']}:{row['scenario_id']}"
            for i, row in enumerate(rows)
        ],
        right=np.array([row["prediction"] == row["label"] for row in rows], dtype=bool),
        own=np.array([row["escalate"] == 0 for row in rows], dtype=bool),
        scores={
            name: values for name, values in scores.items() if any(v is not None for v in values)
        },
    )


def _rule(found: Choice) -> PolicyRule:
    rule = found.rule
    steps = found.fitted.steps.get(rule.score) if rule.score is not None else None
    return PolicyRule(
        decides=rule.decides,
        score=rule.score,
        threshold=None if rule.threshold is None else _whole(rule.threshold),
        steps=None if steps is None else AccuracySteps(starts=steps.starts, counts=steps.counts),
        reason=found.reason,
    )


def _conditions(
    dialogues: Dialogues, found: Choice, optimal: Fraction, seed: int
) -> tuple[PolicyCondition, ...]:
    """Return the evidence of each condition: each of its scenarios counts once."""
    scenario = [f"{s} {c}" for s, c in zip(dialogues.scenario, dialogues.condition, strict=True)]
    once = Dialogues(dialogues.condition, scenario, dialogues.right, dialogues.own)
    counts = once.one_per_scenario(seed).counts()
    names = sorted(counts)
    rows = autonomy_rows(names, [counts[name] for name in names], optimal)
    return tuple(
        PolicyCondition(**dict(row), fitted=found.fitted.counts.get(name, (0, 0)))
        for name, row in zip(names, rows, strict=True)
    )


def _prompts(rows: list[Row]) -> str | None:
    """Return the digest of the tasks: the last paragraph of each prompt; None without prompts."""
    texts = [row["prompt"] for row in rows] + [row["decision_prompt"] for row in rows]
    wordings = {text.rpartition(_PARAGRAPH)[2] for text in texts if text}
    return prompts_digest(wordings) if wordings else None


def _data(rows: list[Row]) -> str:
    """Return the digest of what the dialogues are about, in any order."""
    names = ("domain", "edition", "condition", "scenario_id", "label")
    lines = sorted(repr(tuple(row[name] for name in names)) for row in rows)
    return f"sha256:{hashlib.sha256(chr(10).join(lines).encode()).hexdigest()}"


def _notes(rows: list[Row], found: Choice, export: Export) -> tuple[str, ...]:
    notes = []
    if any(row["scenario_id"] is None for row in rows):
        notes.append(
            "Scenarios are not recorded: dialogues are taken as independent, so that intervals and "
            "confidence are too good where a scenario is in several dialogues."
        )
    if export.limits.exist:
        notes.append(
            "The limits hold with the stated confidence if scenarios and conditions arrive in the "
            "proportions of the evaluation."
        )
    if not found.is_met:
        notes.append(
            f"The limits are not met: {found.reason}. The policy escalates every decision, which "
            "exceeds the capacity for escalations."
        )
    elif found.rule.decides == "always_escalate":
        notes.append(f"The policy escalates every decision: {found.reason}.")
    return tuple(notes)


def _whole(value: Fraction) -> WholeRatio:
    return WholeRatio(numerator=value.numerator, denominator=value.denominator)
