"""Policies for tests: made from generated decisions, or changed and signed again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from escalometer.analysis.policy_choice import Limits
from escalometer.analysis.policy_document import Export, build_policy
from escalometer.analysis.verdict import build_verdict
from escalometer.config import GateParams, default_params
from escalometer.documents import PolicyDocument
from escalometer.policy import Policy, digest
from tests.releases import release
from tests.sql._tables import TEXTS

NOW = datetime(2026, 12, 1, tzinfo=UTC)


def scored_rows(
    model: str = "m", n: int = 100, seed: int = 0, informative: bool = True, **about: Any
) -> list[dict[str, Any]]:
    """Return decisions with a stated confidence that predicts what is right, or does not."""
    rows = release(model, n=n, seed=seed, domains=("movielens",), **about)
    draw = np.random.default_rng(seed)
    for row in rows:
        is_right = row["prediction"] == row["label"]
        skill = 0.6 if is_right and informative else 0.3
        row["stated_confidence"] = round(float(np.clip(draw.normal(skill, 0.12), 0, 1)), 2)
        row |= {name: "Task.\n\nPREDICTION" if "prompt" in name else None for name in TEXTS}
        row["edition"] = "e1"
    return rows


def exported(
    rows: list[dict[str, Any]],
    ratio: float = 4,
    limits: Limits | None = None,
    h: float = 0.0,
    seed: int = 1,
    days: int = 90,
) -> PolicyDocument:
    """Return the policy of generated decisions."""
    import pyarrow as pa

    from escalometer import schema

    fields = [field.with_nullable(True) for field in schema.DECISIONS]
    table = pa.Table.from_pylist(rows, schema=pa.schema(fields))
    params = default_params()
    analyze = params.analyze.model_copy(update={"n_bootstrap": 100, "human_error_rate": h})
    params = params.model_copy(update={"analyze": analyze})
    rules = GateParams(cost_ratio=ratio, intervention="baseline")
    verdict = build_verdict(table, rows[0]["model"], "test", params, rules)
    export = Export(ratio, h, limits or Limits(), seed, NOW, NOW + timedelta(days=days))
    return build_policy(table, verdict, export)


def signed(content: dict[str, Any], **changes: Any) -> Policy:
    """Return the policy of changed content, with the digest that it has then."""
    changed = {**content, **changes}
    return Policy({**changed, "digest": digest(changed)})


def by_hand(
    decides: str = "external",
    score: str | None = "stated_confidence",
    threshold: tuple[int, int] = (3, 4),
    starts: tuple[float, ...] = (0.5, 0.8),
    counts: tuple[tuple[int, int], ...] = ((1, 4), (3, 4), (9, 10)),
    **changes: Any,
) -> Policy:
    """Return a policy with the keys that deciding needs."""
    has_steps = score in ("stated_confidence", "prediction_probability")
    content: dict[str, Any] = {
        "format": "escalometer policy",
        "format_version": 1,
        "model": "m",
        "resolved_models": ["m-2026"],
        "rule": {
            "decides": decides,
            "score": score,
            "threshold": dict(zip(("numerator", "denominator"), threshold, strict=True)),
            "steps": {"starts": list(starts), "counts": [list(c) for c in counts]}
            if has_steps
            else None,
            "reason": "a test",
        },
        "conditions": [
            {"domain": "d", "condition": "tied", "fitted": [75, 100]},
            {"domain": "d", "condition": "below", "fitted": [74, 100]},
            {"domain": "d", "condition": "unfitted", "fitted": [0, 0]},
            {"domain": "d", "condition": "twice", "fitted": [1, 1]},
            {"domain": "e", "condition": "twice", "fitted": [0, 1]},
        ],
        "digests": {"decisions": {}, "prompts": "sha256:p", "data": "sha256:d"},
        "created_at": "2026-12-01T00:00:00+00:00",
        "expires_at": "2027-01-01T00:00:00+00:00",
        "note": "ü",
    }
    return signed({**content, **changes})
