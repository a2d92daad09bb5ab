"""The same escalation curve, threshold and escalation accuracy in plain pandas and numpy."""

from __future__ import annotations

import glob
import json
import resource
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

GRAIN = [
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
]
ARM = [name for name in GRAIN if name not in ("domain", "condition", "signal_accuracy")]


def main(files: str) -> None:
    """Print how long it took, with the thresholds of each model's baseline."""
    began = time.perf_counter()
    columns = [name for name in GRAIN if name != "model"]
    parts = []
    for path in sorted(glob.glob(files)):  # noqa: PTH207 - a pattern of absolute paths
        part = pd.read_parquet(
            path, columns=[*columns, "label", "prediction", "escalate", "status"]
        )
        part["model"] = Path(path).parent.name.removeprefix("model=")
        parts.append(part)
    rows = pd.concat(parts, ignore_index=True)
    rows = rows[rows["status"].isin(["ok", "forced"])]
    rows["n_correct"] = rows["prediction"] == rows["label"]
    rows["n_escalated"] = rows["escalate"] == 1
    curve = rows.groupby(GRAIN, dropna=False, observed=True).agg(
        n=("label", "size"), n_correct=("n_correct", "sum"), n_escalated=("n_escalated", "sum")
    ).reset_index()  # fmt: skip
    curve["accuracy"] = curve["n_correct"] / curve["n"]
    curve["rate"] = curve["n_escalated"] / curve["n"]
    main_domains = curve[(curve["domain"] != "moral_machine") & curve["has_signal"]]
    thresholds = {}
    for arm, points in main_domains.groupby(ARM, dropna=False):
        slope, intercept = np.polyfit(points["accuracy"], points["rate"], 1)
        thresholds[arm] = (0.5 - intercept) / slope
    ratio = curve["cost_ratio"].fillna(4.0)
    for name in ("signal_accuracy", "accuracy"):
        escalate = ratio * (1 - curve[name]) > 1
        curve["n_optimal"] = np.where(
            escalate, curve["n_escalated"], curve["n"] - curve["n_escalated"]
        )
        sums = curve.groupby(ARM, dropna=False)[["n", "n_optimal"]].sum()
        _ = sums["n_optimal"] / sums["n"]
    found = [value for arm, value in sorted(thresholds.items(), key=str) if arm[1] == "baseline"]
    took = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(json.dumps({"same_s": took, "peak_gb": peak, "thresholds": found}))


if __name__ == "__main__":
    main(sys.argv[1])
