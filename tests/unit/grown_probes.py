"""A probes.json for tests of what is made of one, from dialogues counted by the statements."""

from __future__ import annotations

from typing import Any

from escalometer.training.probe_results import build_probes, measure
from tests.sql._probed import probed

ABOUT = {
    "adapter": "careful",
    "base": "smollm2-135m-instruct",
    "holdout": "movielens",
    "domains": ["lending_club", "hotel_bookings"],
    "method": "sft",
    "targets": "chain",
    "base_max_tokens": 16,
    "tuned_max_tokens": 128,
}

#: How many dialogues of 20 the tuned model gets wrong, and how.
WRONG: dict[str, tuple[int, str | None]] = {
    "trained_domains": (0, None),
    "held_out_domain": (1, "wrong_product"),
    "untrained_ratios": (2, "misread_ratio"),
    "untrained_wordings": (3, "decision_against_conclusion"),
    "untrained_percentages": (1, "wrong_comparison"),
    "no_signal": (6, "misread_percentage"),
    "wrong_signal": (2, "misread_percentage"),
    "other_percentage": (2, "misread_percentage"),
    "ties": (2, "wrong_comparison"),
}


def grown_probes(**changes: Any) -> dict[str, Any]:
    """The document of an adapter that learned the rule, beside a base that always implements."""
    rows = []
    for probe, (n_wrong, mistake) in WRONG.items():
        plain = probe in ("trained_domains", "held_out_domain", "untrained_ratios")
        for i in range(20):
            percent = 90 if i % 3 == 0 else 60  # R = 4: a third implements
            told = {
                "probe": probe,
                "domain": "lending_club" if probe == "trained_domains" else "movielens",
                "is_plain": plain,
                "has_signal": probe != "no_signal",
                "percent": percent,
                "domain_percent": 150 - percent if probe == "wrong_signal" else percent,
                "scenario_id": f"s{i % 4}",
                "prompt": f"{probe} {i % 4}",
                "label": i % 2,
            }
            best = int(percent == 60)
            base = {"model_role": "base", "prediction": 1, "escalate": 0, "status": "forced"}
            rows.append({**told, **base, "mistake": "no_chain"})
            is_wrong = i < n_wrong
            rows.append(
                {
                    **told,
                    "prediction": i % 2,
                    "escalate": 1 - best if is_wrong else best,
                    "mistake": mistake if is_wrong else None,
                }
            )
    return build_probes(measure(probed(rows)), {**ABOUT, **changes}).as_json()
