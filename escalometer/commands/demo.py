"""`escalometer demo`: a base model and its tuned version, evaluated, compared and judged."""

from __future__ import annotations

import sys
from typing import Any

import click

from escalometer import layout
from escalometer.commands import Place
from escalometer.commands._flows import run_evaluation
from escalometer.runtime.extras import need

_BASE, _TUNED = "smollm2-135m-instruct", "smollm2-135m-escalates"

#: Parameters of the demo. The adapter was not trained on this domain (models/README.md).
SETTINGS: dict[tuple[str, ...], Any] = {
    ("models",): [_BASE, _TUNED],
    ("domains",): ["movielens"],
    ("sample", "n_per_condition"): 35,
    ("sample", "precision"): None,
    ("sample", "n_conditions"): 6,
    ("query", "interventions"): ["cost_framing"],
    ("query", "cost_ratios"): [4],
    ("query", "framings"): ["ratio"],
    ("query", "max_tokens"): 16,
    ("query", "force_answer"): True,
    ("query", "n_replicates"): 1,
    ("analyze", "cost_ratios"): [4],
    ("gate", "intervention"): "cost_framing",
    ("gate", "cost_ratio"): 4,
}

_NEXT = (
    f"escalometer profile {_TUNED}            all numbers: --full",
    "escalometer evaluate MODEL --interventions baseline,no_signal,cost_framing",
    "escalometer domains check examples/support_tickets/support_tickets.yaml",
)


@click.command()
@click.pass_obj
def demo(workspace: Place) -> None:
    """Evaluate a small model and its tuned version, compare them, and gate both.

    Both models run on this machine: no account, no key, no GPU. The base model is
    SmolLM2-135M-Instruct; the tuned one adds the LoRA adapter in
    models/adapters/smollm2-135m-escalates. Both decide the same movie ratings, a domain that the
    adapter was not trained on, with the cost ratio R = 4 in the prompt. The run takes about five
    minutes on two recent cores (fifteen on cores without AVX-512) and prints about ten lines; a
    second run requests no answer again.

    The settings of the demo are written to params.yaml, which ships with them.
    """
    from escalometer.documents import Profile
    from escalometer.documents.document import read_document
    from escalometer.operations import compare, gate
    from escalometer.reporting.demo_text import Side, print_demo

    need("local", "`escalometer demo`")
    place = workspace()
    params = run_evaluation(SETTINGS, place)
    sides = [
        Side(
            name,
            read_document(Profile, layout.profile_file(model)),
            gate.run(model, params, place.root),
        )
        for name, model in (("base", _BASE), ("tuned", _TUNED))
    ]
    comparison = compare.run(_BASE, _TUNED, params, place.root)
    print_demo(sides, comparison, layout.report_file().resolve(), _NEXT, sys.stdout)
