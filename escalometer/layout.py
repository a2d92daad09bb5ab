"""Paths: where a project keeps each of its files, relative to its root.

Nothing else in the package spells a path under data/, models/ or the other folders of a project.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

#: The source of decisions that the pipeline made; every other source was imported.
PIPELINE = "pipeline"

#: The source of decisions that policies made in service.
LEDGER = "ledger"

PARAMS_FILE = Path("params.yaml")
PIPELINE_FILE = Path("dvc.yaml")
RECORD_FILE = Path("escalometer.json")

#: What dvc.yaml of a project has, and no other dvc.yaml.
_STAGE_COMMAND = "escalometer stage"

CARDS_FOLDER = Path("models")
SUITES_FOLDER = Path("expectations")
DOMAINS_FOLDER = Path("domains")
PROMPTS_FOLDER = Path("prompts")
DATA_FOLDER = Path("data")

#: What an adapter's folder holds. The record says what it was trained on, and how.
ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
ADAPTER_RECORD = "training.json"


def find_root(folder: Path) -> Path | None:
    """Return the project of a folder: itself or the nearest above it, None if there is none.

    A project has params.yaml, and a dvc.yaml whose stages are escalometer's.
    """
    for root in (folder, *folder.parents):
        pipeline = root / PIPELINE_FILE
        if (root / PARAMS_FILE).is_file() and pipeline.is_file():
            with contextlib.suppress(OSError, UnicodeDecodeError):
                if _STAGE_COMMAND in pipeline.read_text(encoding="utf-8"):
                    return root
    return None


def store_file(root: Path = Path()) -> Path:
    """Return the completion store's place, unless the environment names another."""
    return root / ".escalometer" / "completions.sqlite"


def canary_file(model: str, root: Path = Path()) -> Path:
    """Return the record of a model's canary: its panel, its baseline and its looks."""
    return root / ".escalometer" / "canary" / f"{model}.json"


def ledger_file(root: Path = Path()) -> Path:
    """Return the ledger's place: what policies decided in service."""
    return root / ".escalometer" / "ledger.sqlite"


def server_log(model: str, root: Path = Path()) -> Path:
    """Return the output of the server that a run has started for a model."""
    return root / ".escalometer" / "servers" / f"{model}.log"


def prefect_folder(root: Path = Path()) -> Path:
    """Return where the Prefect server of a run keeps its history."""
    return root / ".escalometer" / "prefect"


def run_lock(root: Path = Path()) -> Path:
    """Return the lock of the run that writes the outputs of a project, or of a run's folder."""
    return root / ".escalometer" / "run.lock"


def runs_folder(root: Path = Path()) -> Path:
    """Return the folder of runs whose parameters are not those of params.yaml."""
    return root / ".escalometer" / "runs"


def releases_file(root: Path = Path()) -> Path:
    """Return the record of new releases and of what became of them."""
    return root / ".escalometer" / "releases.json"


def serve_lock(root: Path = Path()) -> Path:
    """Return the lock of the process that serves a project."""
    return root / ".escalometer" / "serve.lock"


def kept_plots_template(version: str, root: Path = Path()) -> Path:
    """Return where the page around DVC's plots is kept, by what determines its bytes."""
    return root / ".escalometer" / "plots_template" / f"{version}.html"


def mlflow_file(root: Path = Path()) -> Path:
    """Return the SQLite file of the local MLflow store."""
    return root / "mlflow.db"


def mlflow_artifacts(root: Path = Path()) -> Path:
    """Return the folder of the local MLflow store's artifacts."""
    return root / "mlruns"


def cards_folder(root: Path = Path()) -> Path:
    """Return the folder of model cards."""
    return root / CARDS_FOLDER


def card_file(model: str, root: Path = Path()) -> Path:
    """Return the card of a model."""
    return root / CARDS_FOLDER / f"{model}.yaml"


def adapter_folder(adapter: str, root: Path = Path()) -> Path:
    """Return the folder of an adapter's files."""
    return root / CARDS_FOLDER / "adapters" / adapter


def adapter_files(folder: Path) -> list[Path]:
    """Return the files of an adapter that determine its answers: scaling and weights."""
    return [folder / ADAPTER_CONFIG, folder / ADAPTER_WEIGHTS]


def own_domain_file(domain: str, root: Path = Path()) -> Path:
    """Return the YAML file of a domain that is not shipped."""
    return root / DOMAINS_FOLDER / f"{domain}.yaml"


def raw_folder(domain: str, root: Path = Path()) -> Path:
    """Return the folder of a domain's raw files."""
    return root / DATA_FOLDER / "raw" / domain


def provenance_file(domain: str, root: Path = Path()) -> Path:
    """Return the record of where a domain's raw files come from."""
    return raw_folder(domain, root) / "provenance.json"


def downloads_folder(domain: str, root: Path = Path()) -> Path:
    """Return the folder of a domain's downloads, which DVC tracks by their addresses."""
    return root / DATA_FOLDER / "downloads" / domain


def fetched_file(domain: str, root: Path = Path()) -> Path:
    """Return the record of which releases were downloaded, by the content's digest."""
    return downloads_folder(domain, root) / "fetched.json"


def scenarios_folder(domain: str, root: Path = Path()) -> Path:
    """Return the folder of a domain's scenarios."""
    return root / DATA_FOLDER / "scenarios" / domain


def cases_file(domain: str, root: Path = Path()) -> Path:
    """Return the domain's staged table, one case a row."""
    return scenarios_folder(domain, root) / "table.parquet"


def conditions_file(domain: str, root: Path = Path()) -> Path:
    """Return the table of a domain's conditions."""
    return scenarios_folder(domain, root) / "conditions.parquet"


def scenarios_file(domain: str, root: Path = Path()) -> Path:
    """Return the table of a domain's scenarios."""
    return scenarios_folder(domain, root) / "scenarios.parquet"


def domain_file(domain: str, root: Path = Path()) -> Path:
    """Return the record of what later stages need to know of a domain."""
    return scenarios_folder(domain, root) / "domain.json"


def validation_file(tables: str, root: Path = Path()) -> Path:
    """Return the results of validating some tables: raw, scenarios, decisions, targets:NAME."""
    return root / DATA_FOLDER / "validation" / f"{tables.replace(':', '-')}.json"


def design_table(model: str, domain: str, root: Path = Path()) -> Path:
    """Return the table of the scenarios that a model is asked about."""
    return root / DATA_FOLDER / "designs" / model / f"{domain}.parquet"


def design_file(model: str, root: Path = Path()) -> Path:
    """Return the record of what a model's design achieved."""
    return root / DATA_FOLDER / "designs" / model / "design.json"


def decisions_file(model: str, domain: str, root: Path = Path()) -> Path:
    """Return the table of a model's decisions on a domain."""
    return root / DATA_FOLDER / "decisions" / model / f"{domain}.parquet"


def asked_prompt_file(model: str, root: Path = Path()) -> Path:
    """Return the record of the system prompt that a model was asked with."""
    return root / DATA_FOLDER / "decisions" / model / "deployer_prompt.json"


def profile_folder(model: str, root: Path = Path()) -> Path:
    """Return the folder of a model's profile."""
    return root / DATA_FOLDER / "profiles" / model


def profile_file(model: str, root: Path = Path()) -> Path:
    """Return a model's profile."""
    return profile_folder(model, root) / "profile.json"


def metric_tables_folder(model: str, root: Path = Path()) -> Path:
    """Return the folder of a model's metric tables."""
    return profile_folder(model, root) / "tables"


def metrics_file(model: str, root: Path = Path()) -> Path:
    """Return a model's metrics by one name each, which MLflow logs."""
    return profile_folder(model, root) / "metrics.json"


def domain_metrics_file(model: str, root: Path = Path()) -> Path:
    """Return a model's metrics on each domain by itself."""
    return profile_folder(model, root) / "domain_metrics.json"


def headline_file(model: str, root: Path = Path()) -> Path:
    """Return a model's headline numbers, which DVC shows and compares."""
    return profile_folder(model, root) / "headline.json"


def curve_table(model: str, root: Path = Path()) -> Path:
    """Return the points of a model's escalation curve."""
    return profile_folder(model, root) / "escalation_curve.csv"


def cost_curve_table(model: str, root: Path = Path()) -> Path:
    """Return a model's costs against the cost ratio, which DVC plots."""
    return profile_folder(model, root) / "cost_curve.csv"


def reliability_table(model: str, root: Path = Path()) -> Path:
    """Return the bins of a model's reliability diagram, which DVC plots."""
    return profile_folder(model, root) / "reliability.csv"


def curve_figure(model: str, root: Path = Path()) -> Path:
    """Return the figure of a model's escalation curve."""
    return profile_folder(model, root) / "escalation_curve.svg"


def report_folder(root: Path = Path()) -> Path:
    """Return the folder of the report."""
    return root / DATA_FOLDER / "report"


def report_file(root: Path = Path()) -> Path:
    """Return the report's page."""
    return report_folder(root) / "index.html"


def tracking_file(model: str, root: Path = Path()) -> Path:
    """Return the record of which MLflow run an evaluation is."""
    return root / DATA_FOLDER / "tracking" / f"{model}.json"


def targets_folder(adapter: str, root: Path = Path()) -> Path:
    """Return the folder of an adapter's training data."""
    return root / DATA_FOLDER / "targets" / adapter


def examples_file(adapter: str, root: Path = Path()) -> Path:
    """Return the table of the examples that an adapter is trained on."""
    return targets_folder(adapter, root) / "examples.parquet"


def probes_folder(adapter: str, root: Path = Path()) -> Path:
    """Return the folder of an adapter's evaluation beside its base model."""
    return root / DATA_FOLDER / "probes" / adapter


def probes_file(adapter: str, root: Path = Path()) -> Path:
    """Return the document of an adapter's evaluation beside its base model."""
    return probes_folder(adapter, root) / "probes.json"


def all_probes_files(root: Path = Path()) -> list[Path]:
    """Return the probes of every adapter that was evaluated, in the order of their names."""
    return sorted((root / DATA_FOLDER / "probes").glob("*/probes.json"))


def sources_folder(root: Path = Path()) -> Path:
    """Return the folder of imported sources of decisions."""
    return root / DATA_FOLDER / "recorded"


def source_folder(source: str, root: Path = Path()) -> Path:
    """Return the folder of an imported source."""
    return sources_folder(root) / source


def source_file(source: str, root: Path = Path()) -> Path:
    """Return the record of an imported source: its file, digest, rows and warnings."""
    return source_folder(source, root) / "about.json"


def kept_profiles_folder(source: str, root: Path = Path()) -> Path:
    """Return the folder of profiles and figures of an imported source that are kept."""
    return source_folder(source, root) / "profiles"


def source_decisions_file(source: str, root: Path = Path()) -> Path:
    """Return the decisions of an imported source."""
    return source_folder(source, root) / "decisions.parquet"
