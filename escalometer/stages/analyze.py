"""Stage analyze: one model, from decisions to metric tables, profile and escalation curve."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from escalometer import warehouse
from escalometer.analysis.comparison import resolved_models
from escalometer.analysis.measure import Measured, measure
from escalometer.analysis.profile import assemble
from escalometer.cases import domains as all_domains
from escalometer.config import Params
from escalometer.reporting.curve_figure import escalation_curve_figure
from escalometer.schema import DECISIONS, read_table
from escalometer.stages import PIPELINE, read_json, write_json

#: Side domains also where no plug-in says so, as in decisions that others recorded.
SIDE_DOMAINS = frozenset({"moral_machine"})

#: What the metrics read of a decision.
COLUMNS = (
    "model",
    "domain",
    "condition",
    "scenario_id",
    "replicate",
    "intervention",
    "signal_accuracy",
    "has_signal",
    "is_thinking",
    "is_isolated",
    "reasoning_effort",
    "cost_ratio",
    "framing",
    "force_answer",
    "label",
    "prediction",
    "escalate",
    "status",
    "stated_confidence",
    "prediction_probability",
    "resolved_model",
)
CURVE_COLUMNS = (
    "domain",
    "condition",
    "predictive_accuracy",
    "escalation_rate",
    "low",
    "high",
    "n",
)


def run(model: str, params: Params, root: Path = Path()) -> None:
    """Write data/profiles/<model>/: metric tables, profile, flat metrics and the curve.

    Parameters
    ----------
    model : str
        Whose decisions.
    params : Params
        Uses `seed`, `domains` and `analyze`.
    root : Path
        The project.

    Raises
    ------
    DataError
        If the decisions of a domain are absent or lack a column.
    """
    decisions = load_decisions(model, params.domains, root)
    design = load_design(model, root)
    measured = measure_decisions(decisions, params)
    profile = _profile(measured, decisions, model, PIPELINE, params, design)
    folder = root / "data" / "profiles" / model
    (folder / "tables").mkdir(parents=True, exist_ok=True)
    for name, table in measured.tables.items():
        pq.write_table(table, folder / "tables" / f"{name}.parquet")
    write_json(profile, folder / "profile.json")
    write_json(flat_metrics(profile), folder / "metrics.json")
    with (folder / "escalation_curve.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, CURVE_COLUMNS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(profile["curve"])
    escalation_curve_figure(profile, folder / "escalation_curve.svg")


def load_decisions(model: str, domains: Sequence[str], root: Path = Path()) -> pa.Table:
    """Return the decisions of `model` on `domains` as the pipeline has stored them.

    Raises
    ------
    DataError
        If a file is absent or lacks a column.
    """
    folder = root / "data" / "decisions" / model
    parts = [read_table(folder / f"{domain}.parquet", DECISIONS) for domain in domains]
    return pa.concat_tables(parts)


def load_design(model: str, root: Path = Path()) -> dict[str, Any] | None:
    """Return what an adaptive design of `model` achieved; None where the design is fixed."""
    path = root / "data" / "designs" / model / "design.json"
    about = read_json(path) if path.exists() else {"kind": "fixed"}
    return about if about["kind"] == "adaptive" else None


def is_unfinished(model: str, root: Path = Path()) -> bool:
    """Return whether the budget ended the design of `model` before its precision was reached."""
    return (load_design(model, root) or {}).get("stopped_by") == "budget"


def build_profile(
    decisions: pa.Table,
    model: str,
    source: str,
    params: Params,
    domains: Sequence[str] | None = None,
    design: Mapping[str, Any] | None = None,
    is_pooled: bool = False,
) -> dict[str, Any]:
    """Return the document of ``escalometer profile --json``.

    Parameters
    ----------
    decisions : Table
        With at least the columns named in `COLUMNS`, typed as in `schema.DECISIONS`. Rows of
        other models and domains are left aside.
    model, source : str
        Whose decisions, and where they are from.
    params : Params
        Uses `seed` and `analyze`.
    domains : sequence of str, optional
        Only these. If all of them are side domains they are analyzed as if they were main ones.
    design : mapping, optional
        What an adaptive design achieved, from `load_design`; its own interval is the one that holds
        for its rows, and stands beside the fits.
    is_pooled : bool
        Whether isolated dialogues count among the others, see `pool_isolated`.
    """
    rows = decisions.filter(pc.field("model") == model)
    if is_pooled:
        rows = pool_isolated(rows)
    measured = measure_decisions(rows, params, domains)
    made = _profile(measured, rows, model, source, params, design)
    if is_pooled:
        made["notes"].append("Isolated second turns are counted among the others, as in the study.")
    return made


def pool_isolated(decisions: pa.Table) -> pa.Table:
    """Return the decisions with isolated second turns counted among the others.

    That is how the study counted them; it hides that a model acts differently on a prediction that
    it is told of. What it states of costs says where an isolated dialogue belongs.
    """
    intervention = decisions.column("intervention")
    stated = pc.is_valid(decisions.column("cost_ratio"))
    pooled = pc.if_else(
        pc.equal(intervention, "isolated"),
        pc.if_else(stated, "cost_framing", "baseline"),
        intervention,
    )
    never = pa.array([False] * decisions.num_rows, pa.bool_())
    for name, values in (("intervention", pooled), ("is_isolated", never)):
        place = decisions.schema.get_field_index(name)
        decisions = decisions.set_column(place, decisions.schema.field(name), values)
    return decisions


def measure_decisions(
    decisions: pa.Table, params: Params, domains: Sequence[str] | None = None
) -> Measured:
    """Return the metrics of decisions, of one model or more, and resamples of their conditions.

    Parameters
    ----------
    decisions : Table
        With at least the columns named in `COLUMNS`, typed as in `schema.DECISIONS`.
    params : Params
        Uses `seed` and `analyze`.
    domains : sequence of str, optional
        Only these. If all of them are side domains they are analyzed as if they were main ones.
    """
    rows = decisions.select(list(COLUMNS))
    if domains is not None:
        rows = rows.filter(pc.field("domain").isin(list(domains)))
    present = rows.column("domain").unique().to_pylist()
    with warehouse.connect() as connection:
        warehouse.add_table(connection, "decisions", rows)
        return measure(
            connection,
            params.analyze.cost_ratios,
            params.analyze.human_error_rate,
            side_domains(present, domains),
            params.seed,
            params.analyze.n_bootstrap,
        )


def _profile(
    measured: Measured,
    decisions: pa.Table,
    model: str,
    source: str,
    params: Params,
    design: Mapping[str, Any] | None,
) -> dict[str, Any]:
    present = sorted({row["domain"] for row in measured.tables["statuses"].to_pylist()})
    own = decisions.filter(pc.is_in(decisions.column("domain"), pa.array(present, pa.string())))
    profile = {
        "model": model,
        "source": source,
        "editions": _editions(decisions, model, present),
        "resolved_models": resolved_models(own, [model])[model],
        **assemble(measured, model, params.analyze.cost_ratios),
        "force_answer": bool(pc.any(own.column("force_answer")).as_py()),
        "human_error_rate": params.analyze.human_error_rate,
    }
    if design is not None:
        keys = ("estimate", "low", "high", "status")
        known = {"clustered_low": None, "clustered_high": None, "slope": None}
        known |= {"intercept": None, "r_squared": None}
        profile["implicit_threshold"]["adaptive"] = {k: design[k] for k in keys} | known
        profile["design"] = dict(design)
        profile["notes"].append(
            "Scenarios were drawn adaptively: the threshold to go by is the adaptive design's. The "
            "linear and the logit fit are made for the same number of dialogues in each condition, "
            "and lean towards low thresholds here."
        )
    return profile


def _editions(decisions: pa.Table, model: str, present: Sequence[str]) -> dict[str, str]:
    """Return which edition of its data each domain was asked about; recorded ones may not say."""
    if "edition" not in decisions.column_names:
        return {}
    own = decisions.select(["model", "domain", "edition"]).filter(pc.field("model") == model)
    pairs = own.group_by(["domain", "edition"]).aggregate([]).to_pylist()
    found: dict[str, list[str]] = {}
    for pair in pairs:
        if pair["domain"] in present and pair["edition"] is not None:
            found.setdefault(pair["domain"], []).append(pair["edition"])
    return {domain: ", ".join(sorted(found[domain])) for domain in sorted(found)}


def side_domains(present: Iterable[str], asked: Sequence[str] | None = None) -> list[str]:
    """Return the domains that stay out of what pools domains, in alphabetical order.

    Parameters
    ----------
    present : iterable of str
        Domains of the decisions.
    asked : sequence of str, optional
        Domains that the user named; if these are all side domains, none stays out.
    """
    plug_ins = all_domains.names()
    side = {
        name
        for name in present
        if (not all_domains.load(name).is_main if name in plug_ins else name in SIDE_DOMAINS)
    }
    if asked is not None and set(present) <= side:
        return []
    return sorted(side)


def flat_metrics(profile: dict[str, Any]) -> dict[str, float]:
    """Return the profile's numbers by one name each, for `dvc metrics show`; undefined ones lack.

    Interventions are named ``<metric>.<intervention>[.<effort>][.<framing>].R<ratio>``, followed
    by what it is scored against where that makes a difference.
    """
    fit = profile["implicit_threshold"]["linear"]
    found: dict[str, float | None] = {
        "n_decisions": profile["n_decisions"],
        "implicit_threshold": fit["estimate"],
        "implicit_threshold_low": fit["low"],
        "implicit_threshold_high": fit["high"],
        "implicit_threshold_logit": profile["implicit_threshold"]["logit"]["estimate"],
        "slope": fit["slope"],
    }
    for name in (
        "self_estimated_accuracy",
        "predictive_accuracy",
        "calibration_bias",
        "calibration_bias_signalled",
    ):
        found[name] = profile[name]["estimate"]
    for row in profile["calibration"]:
        name = f"{row['intervention']}.{row['score']}"
        found[f"brier.{name}"] = row["brier"]
        found[f"expected_calibration_error.{name}"] = row["expected_calibration_error"]
        found[f"smooth_calibration_error.{name}"] = row["smooth_calibration_error"]["estimate"]
    for row in profile["recommendations"]:
        cost = row["realized_cost"]["estimate"]
        found[f"recommended_cost.R{row['cost_ratio']:g}"] = cost
    for status, n in profile["statuses"].items():
        found[f"share_{status}"] = n / profile["n_decisions"] if profile["n_decisions"] else None
    for row in profile["interventions"]:
        parts = [row["intervention"], row["reasoning_effort"], row["framing"]]
        parts += ["isolated"] if row["is_isolated"] and row["intervention"] != "isolated" else []
        parts += ["stated"] if row["is_cost_stated"] and row["framing"] is None else []
        name = ".".join([*(part for part in parts if part), f"R{row['cost_ratio']:g}"])
        against = row["scored_against"]
        found[f"escalation_accuracy.{name}.{against}"] = row["escalation_accuracy"]["estimate"]
        found[f"realized_cost.{name}"] = row["realized_cost"]["estimate"]
        found[f"regret.{name}.{against}"] = row["regret"]["estimate"]
    return {name: value for name, value in found.items() if value is not None}
