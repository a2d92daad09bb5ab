"""`escalometer train`: fine-tune a model to escalate by the rule."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from escalometer import layout
from escalometer.commands import Place
from escalometer.commands._flows import only_run, run_flow, set_params
from escalometer.commands._options import names, ratios
from escalometer.errors import UsageError, unknown_name
from escalometer.runtime.extras import need

if TYPE_CHECKING:
    from escalometer.config import AdapterParams, Params


@click.command()
@click.argument("model")
@click.option(
    "--holdout",
    default="movielens",
    show_default=True,
    metavar="DOMAIN",
    help="Domain excluded from training, used for probes.",
)
@click.option("--name", metavar="NAME", help="Name of the tuned model; MODEL-escalates by default.")
@click.option(
    "--domains",
    callback=names,
    metavar="D,..",
    help="Domains to train on; all of params.yaml except the held-out one by default.",
)
@click.option(
    "--method",
    type=click.Choice(["sft", "dpo"]),
    default="sft",
    show_default=True,
    help="Supervised fine-tuning (sft) or direct preference optimization (dpo).",
)
@click.option(
    "--targets",
    type=click.Choice(["chain", "label"]),
    default="chain",
    show_default=True,
    help="Train on the reasoning with the decision (chain), or on the decision alone (label: a "
    "negative control).",
)
@click.option(
    "--signals",
    type=click.Choice(["any", "stated", "none"]),
    default="any",
    show_default=True,
    help="Percentages in signals: from 50 to 99 (any), the conditions' own (stated), or none.",
)
@click.option(
    "--cost-ratios",
    callback=ratios,
    metavar="R,..",
    help="Cost ratios to train on; the paper's six and others from 2 to 60 by default.",
)
@click.option(
    "--framings",
    callback=names,
    metavar="W,..",
    help="Wordings of the cost to train on; all by default.",
)
@click.option(
    "--examples",
    type=click.IntRange(min=8),
    metavar="N",
    help="Number of examples; `n_examples` of the model's card by default.",
)
@click.option(
    "--drills",
    type=click.FloatRange(min=0, max=1, max_open=True),
    metavar="SHARE",
    help="Share of examples that contain the arithmetic only; `drill_share` of the card by "
    "default.",
)
@click.option(
    "--first-answers",
    type=click.Choice(["own", "brief"]),
    default="own",
    show_default=True,
    help="First turns of the examples: as the model writes them, cut to one sentence (own), or "
    "the marker only (brief), which needs less training.",
)
@click.option(
    "--separate",
    is_flag=True,
    help="Train on each example separately; slower than sharing prefixes.",
)
@click.option(
    "--seeds",
    type=click.IntRange(min=1, max=20),
    default=1,
    show_default=True,
    metavar="N",
    help="Train N adapters that differ in their seed alone, NAME, NAME-seed2, …, and print how far "
    "their probes are apart.",
)
@click.option(
    "--probes",
    type=click.Choice(["small", "full", "none"]),
    help="Dialogues for testing the adapter: those of params.yaml (full), an eighth of three "
    "probes (small), or none. The previous choice by default, full at first.",
)
@click.pass_obj
def train(
    workspace: Place,
    model: str,
    holdout: str,
    name: str | None,
    domains: list[str] | None,
    method: str,
    targets: str,
    signals: str,
    cost_ratios: list[float] | None,
    framings: list[str] | None,
    examples: int | None,
    drills: float | None,
    first_answers: str,
    separate: bool,
    seeds: int,
    probes: str | None,
) -> None:
    """Fine-tune MODEL to escalate by the cost ratio, and print its probes before and after.

    MODEL is the card of a local model. Training uses LoRA on scenarios that no evaluation draws:
    the model learns to extract the accuracy from the signal, compute the expected cost of
    implementing, and decide. Then base and tuned model answer probes that training did not use:
    the held-out domain, other cost ratios, wordings and percentages, and signals that are removed
    or wrong.

    Options are written to params.yaml (train.adapters.NAME). The estimated duration and memory are
    printed first. Training resumes after an interruption or a kill. The result is
    models/NAME.yaml with the adapter in models/adapters/NAME, and a version of the registered
    model NAME in MLflow.

    \b
    Example:
      escalometer train smollm2-135m-instruct --holdout movielens
      escalometer evaluate smollm2-135m-instruct-escalates
      escalometer compare smollm2-135m-instruct smollm2-135m-instruct-escalates
    """  # noqa: D301 (\b is click's mark for lines to keep)
    from escalometer.config import load_params, with_changes

    need("train", "`escalometer train`")
    from escalometer.training import adapters

    place = workspace()
    params = load_params()
    adapters.check_base(model, place.root)
    settings: dict[str, Any] = {"method": method, "targets": targets, "signals": signals}
    name = name or _default_name(model, settings)
    adapters.check_name(name, model, place.root)
    trained = [name, *(f"{name}-seed{number}" for number in range(2, seeds + 1))]
    for other in trained[1:]:
        adapters.check_name(other, model, place.root)
    known = params.train.adapters.get(name)
    # Spelled out: an adapter stays the same when other domains are evaluated later.
    chosen = domains or _usual_domains(params, holdout, known)
    _check_domains(params, holdout, chosen)
    _check_framings(framings)
    _check_ratios(cost_ratios)
    settings |= {"cost_ratios": cost_ratios, "framings": framings, "n_examples": examples}
    settings |= {"drill_share": drills, "first_answers": first_answers}
    entry = {
        "model": model,
        "holdout": holdout,
        "domains": list(dict.fromkeys(chosen)),
        **{key: value for key, value in settings.items() if value != _default(key)},
        **({"shares_prefixes": False} if separate else {}),
    }
    changes: dict[tuple[str, ...], Any] = {}
    for number, each in enumerate(trained):
        given = {**entry, **({"seed": params.seed + number} if number else {})}
        before = params.train.adapters.get(each)
        if before is None or before != type(before).model_validate(given):
            changes[("train", "adapters", each)] = given
    if probes in ("small", "full"):
        changes |= _probes(params, trained, probes == "small")
    with_changes(params, changes)  # an error is known before anything begins
    is_probed = probes != "none"
    with only_run(place.root):
        if changes:
            set_params(changes)
        for number, each in enumerate(trained, start=1):
            if seeds > 1:
                click.echo(f"training seed {number} of {seeds}: {each}", err=True)
            card = adapters.write_card(each, model, place.root)
            arguments = [each, *([] if is_probed else ["--no-probes"]), "--locked"]
            run_flow("finetune", arguments, place.secrets, kept="what was trained and answered")
            _print(each, model, card, place.root, is_probed, is_last=each == trained[-1])
    if seeds > 1 and is_probed:
        _print_spread(trained, place.root)


def _default(key: str) -> Any:
    from escalometer.config import AdapterParams

    return AdapterParams.model_fields[key].default


def _default_name(model: str, settings: dict[str, Any]) -> str:
    """Return the model's name with the settings that are not default."""
    special = [value for key, value in settings.items() if value != _default(key)]
    words = [f"{value}-signals" if value in ("stated", "none") else value for value in special]
    return "-".join([model.replace(".", "-"), "escalates", *words])


def _usual_domains(params: Params, holdout: str, known: AdapterParams | None) -> list[str]:
    """Return the domains to train on where none were named: those of last time, or all others."""
    if known and known.domains and known.holdout == holdout:
        return list(known.domains)
    return [domain for domain in params.domains if domain != holdout]


def _check_domains(params: Params, holdout: str, chosen: list[str]) -> None:
    """Refuse domains that do not exist, that the pipeline does not draw, or of which none is left.

    A domain that is not in params.yaml is not added: evaluations would ask every model about it.
    """
    from escalometer.cases import catalog

    for domain in (holdout, *chosen):
        catalog.load(domain)
        if domain not in params.domains:
            use = "hold it out" if domain == holdout else "train on it"
            raise UsageError(
                f"{domain} is not among the domains of params.yaml "
                f"({', '.join(params.domains)}): add it to `domains` to {use}"
            )
    if holdout in chosen:
        raise UsageError(
            f"{holdout} is held out and cannot be trained on: hold out another domain "
            "(--holdout), or remove it from --domains"
        )
    if not chosen:
        raise UsageError(
            f"{holdout} is held out and params.yaml names no other domain to train on: add one "
            "to `domains`, or hold out another (--holdout)"
        )


def _check_framings(framings: list[str] | None) -> None:
    """Refuse wordings that do not exist, and those that only probes use."""
    from escalometer.dialogue.protocol import FRAMINGS, MORE_FRAMINGS, PROBE_FRAMINGS

    trained = {**FRAMINGS, **MORE_FRAMINGS}
    for framing in framings or ():
        if framing in PROBE_FRAMINGS:
            raise UsageError(
                f"the wording {framing!r} is reserved for probes and cannot be trained on. "
                f"Wordings for training: {', '.join(sorted(trained))}"
            )
        if framing not in trained:
            raise unknown_name("wording", framing, trained)


def _check_ratios(cost_ratios: list[float] | None) -> None:
    """Refuse cost ratios that are none, and those that only probes use."""
    from escalometer.training.held_out import UNTRAINED_RATIOS

    for ratio in cost_ratios or ():
        if not ratio > 1:
            raise UsageError(
                f"--cost-ratios takes numbers above 1, found {ratio:g}: at 1 or below, a wrong "
                "action costs no more than an escalation"
            )
        if ratio in UNTRAINED_RATIOS:
            kept = ", ".join(map(str, UNTRAINED_RATIOS))
            raise UsageError(
                f"the cost ratio {ratio:g} is reserved for probes and cannot be trained on "
                f"(reserved: {kept})"
            )


def _probes(params: Params, names: list[str], is_small: bool) -> dict[tuple[str, ...], Any]:
    """Return the changes of params.yaml for small, or usual, probes of adapters."""
    before = list(params.train.probes.small)
    small = [other for other in before if other not in names]
    small += names if is_small else []
    return {} if set(small) == set(before) else {("train", "probes", "small"): small}


def _print_spread(names: list[str], root: Path) -> None:
    """Print how far the probes of adapters with different seeds are apart."""
    from escalometer.documents import Probes
    from escalometer.documents.document import read_document
    from escalometer.reporting.seed_spread import seed_spreads, spread_parts
    from escalometer.reporting.terminal import write

    probes = [read_document(Probes, layout.probes_file(name, root)) for name in names]
    click.echo()
    for spread in seed_spreads(probes):
        write(spread_parts(spread), sys.stdout)


def _print(
    name: str, model: str, card: Path, root: Path, is_probed: bool, is_last: bool = True
) -> None:
    """Print base against tuned, and where everything is."""
    from escalometer.operations.adapter_results import is_report_behind

    if is_probed:
        from escalometer.documents import Probes
        from escalometer.documents.document import read_document
        from escalometer.reporting.probe_text import print_probes

        print_probes(read_document(Probes, layout.probes_file(name, root)), sys.stdout)
        click.echo()
    paths = {
        "Adapter": layout.adapter_folder(name, root),
        "Card": card,
        "Probes": layout.probes_file(name, root).parent if is_probed else None,
        "Report": None if is_report_behind(root) else layout.report_file(root),
    }
    for what, path in paths.items():
        if path is not None and path.exists():
            click.echo(f"{what + ':':<9}{path.resolve()}")
    if is_last:
        click.echo(f"Next:    escalometer evaluate {model} {name}")
