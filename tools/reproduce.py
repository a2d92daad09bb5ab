"""Run the paper's full design for its models whose keys are in the environment: `make reproduce`.

    python tools/reproduce.py                        # forecast of the cost only
    python tools/reproduce.py --max-cost 20          # forecast, then the run, within the cap
    python tools/reproduce.py --max-cost 20 gpt-5-mini

Models without a key, without a price or behind a server of one's own are left out unless they are
named; so are domains without data. The design is written to params.yaml: `git checkout params.yaml`
restores the file. Exit codes are those of `escalometer evaluate`; 3 if there is nothing to run.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from escalometer import layout
from escalometer.cases import catalog, provenance, raw_files
from escalometer.config import differing, edit_params, load_card, load_params
from escalometer.errors import EscalometerError, UsageError

MODELS = (
    "claude-opus-4-7",
    "claude-sonnet-4-6",
    "gemma-3-12b-it",
    "gemma-3-4b-it",
    "gpt-5-mini",
    "gpt-5-nano",
    "llama-3.3-70b-instruct",
    "llama-4-maverick",
    "mistral-small-24b-instruct",
    "mixtral-8x7b-instruct",
    "qwen3.5-397b-a17b",
    "qwen3.5-4b",
    "qwen3.5-9b",
)
DOMAINS = ("hotel_bookings", "lending_club", "moral_machine", "movielens", "wikipedia_toxicity")
_RATIOS = [2, 4, 8, 10, 20, 50]
#: The design in params.yaml; models and domains aside.
DESIGN: dict[tuple[str, ...], Any] = {
    ("sample", "n_per_condition"): 250,
    ("sample", "precision"): None,
    ("sample", "n_conditions"): None,
    ("sample", "conditions"): "given",
    ("sample", "order"): "published",
    ("query", "interventions"): ["baseline", "no_signal", "cost_framing"],
    ("query", "cost_ratios"): _RATIOS,
    ("query", "framings"): ["ratio", "dollars", "words", "plain"],
    ("query", "max_tokens"): 256,
    ("query", "force_answer"): False,
    ("query", "n_replicates"): 1,
    ("analyze", "cost_ratios"): _RATIOS,
}


def missing_of_model(model: str, environment: Mapping[str, str]) -> str | None:
    """Return what keeps a model from being asked within a cap; None if nothing does."""
    card = load_card(model)
    if card.endpoint is None or card.endpoint.key_env is None:
        return "it needs a server or weights on this machine: name it to include it"
    if not environment.get(card.endpoint.key_env):
        return f"{card.endpoint.key_env} is not set"
    if card.price is None:
        return "its card has no price, so that no cap limits it"
    return None


def missing_of_domain(domain: str) -> str | None:
    """Return how to get the data of a domain; None if they are present or embedded."""
    plugin = catalog.load(domain)
    if any(edition.bring for edition in plugin.editions):
        return None
    if raw_files.present(plugin, layout.raw_folder(domain)) is not None:
        return None
    return f"no data: {provenance.how_to_get(plugin)}"


def kept(names: Sequence[str], missing: Mapping[str, str | None]) -> list[str]:
    """Return the names that lack nothing, and print what the others lack."""
    for name in names:
        if reason := missing[name]:
            print(f"left out: {name}: {reason}", file=sys.stderr)
    return [name for name in names if not missing[name]]


def reproduce(named: Sequence[str], max_cost: float | None) -> int:
    """Print the forecast, run the design if there is a cap, and return the exit code."""
    models = list(named) or kept(MODELS, {m: missing_of_model(m, os.environ) for m in MODELS})
    domains = kept(DOMAINS, {domain: missing_of_domain(domain) for domain in DOMAINS})
    if not models:
        raise UsageError("no model of the paper can be asked: set a key, or name models")
    if changes := differing(load_params(), DESIGN):
        edit_params(changes)
        changed = ", ".join(".".join(keys) for keys in changes)
        print(f"params.yaml: set {changed}", file=sys.stderr)
    program = str(Path(sys.executable).parent / "escalometer")
    evaluate = [program, "evaluate", *models, "--domains", ",".join(domains)]
    code = subprocess.run([*evaluate, "--dry-run"], check=False).returncode
    if code:
        return code
    if max_cost is None:
        raise UsageError(
            "no request was sent: the run needs a cap in US dollars, e.g. `make reproduce "
            "MAX_COST=20`. At the cap it stops with exit code 6 and keeps its work"
        )
    return subprocess.run([*evaluate, "--max-cost", f"{max_cost:g}"], check=False).returncode


def main() -> int:
    """Return the exit code (docs/reference/exit-codes.md)."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("models", nargs="*", metavar="MODEL", help="models in place of the paper's")
    parser.add_argument("--max-cost", type=float, metavar="USD", help="cap over all models")
    given = parser.parse_args()
    try:
        return reproduce(given.models, given.max_cost)
    except EscalometerError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
