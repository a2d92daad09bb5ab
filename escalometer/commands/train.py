"""`escalometer train`: teach a model to escalate by the rule."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from escalometer import layout
from escalometer.commands import Place
from escalometer.commands._flows import run_flow
from escalometer.commands._options import names, ratios
from escalometer.errors import UsageError, unknown_name

if TYPE_CHECKING:
    from escalometer.config import AdapterParams, Params


@click.command()
@click.argument("model")
@click.option(
    "--holdout",
    default="movielens",
    show_default=True,
    metavar="DOMAIN",
    help="A domain that training never sees.",
)
@click.option("--name", metavar="NAME", help="The tuned model's; MODEL-escalates by default.")
@click.option(
    "--domains",
    callback=names,
    metavar="D,..",
    help="To train on; all of params.yaml but the holdout by default.",
)
@click.option(
    "--method",
    type=click.Choice(["sft", "dpo"]),
    default="sft",
    show_default=True,
    help="Supervised fine-tuning, or direct preference optimization.",
)
@click.option(
    "--targets",
    type=click.Choice(["chain", "label"]),
    default="chain",
    show_default=True,
    help="Learn the reasoning with the decision, or the decision alone (a negative control).",
)
@click.option(
    "--signals",
    type=click.Choice(["any", "stated", "none"]),
    default="any",
    show_default=True,
    help="Percentages from 50 to 99, the conditions' own only, or none.",
)
@click.option(
    "--cost-ratios",
    callback=ratios,
    metavar="R,..",
    help="To train on; the paper's six and others from 2 to 60 by default.",
)
@click.option(
    "--framings", callback=names, metavar="W,..", help="Wordings of the cost; all by default."
)
@click.option(
    "--examples",
    type=click.IntRange(min=8),
    metavar="N",
    help="How many; as the model's card says by default.",
)
@click.option(
    "--drills",
    type=click.FloatRange(min=0, max=1, max_open=True),
    metavar="SHARE",
    help="Of the examples, that ask for the arithmetic alone; as the model's card says by default.",
)
@click.option(
    "--first-answers",
    type=click.Choice(["own", "brief"]),
    default="own",
    show_default=True,
    help="Turn 1 as the model writes it, to a sentence; or its choice alone, which less training "
    "keeps apart from turn 2.",
)
@click.option(
    "--separate",
    is_flag=True,
    help="Each example by itself: slower than those of one beginning together.",
)
@click.option(
    "--probes",
    type=click.Choice(["small", "full", "none"]),
    help="Questions that it is evaluated by: those of params.yaml, a few of them, or none. As "
    "last time by default, and full at first.",
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
    probes: str | None,
) -> None:
    """Fine-tune MODEL to escalate where the cost ratio says so, and print what it changed.

    MODEL is a local model's card in models/. It learns to read the accuracy off the signal, to
    compute what implementing would cost, and to decide, by LoRA on scenarios that no evaluation
    draws. Then base and tuned model are asked what training never showed: the held-out domain,
    other ratios, other wordings, other percentages, signals that are absent, wrong or in doubt.

    What is given here is written into params.yaml (train.adapters.NAME), so that `dvc repro` gives
    the same; what is left out has its default. Before the first step it says what the training
    takes. If it is interrupted or killed, the same command goes on where it was. The tuned model is
    one like any other: models/NAME.yaml, with the adapter in models/adapters/NAME, a version of the
    registered model NAME in MLflow.

    \b
    Example:
      escalometer train smollm2-135m-instruct --holdout movielens
      escalometer evaluate smollm2-135m-instruct-escalates
      escalometer compare smollm2-135m-instruct smollm2-135m-instruct-escalates
    """  # noqa: D301 (\b is click's mark for lines to keep)
    from escalometer.config import edit_params, load_params
    from escalometer.training import adapters

    place = workspace()
    params = load_params()
    adapters.check_base(model, place.root)
    settings: dict[str, Any] = {"method": method, "targets": targets, "signals": signals}
    name = name or _default_name(model, settings)
    adapters.check_name(name, model, place.root)
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
    if known is None or known != type(known).model_validate(entry):
        changes[("train", "adapters", name)] = entry
    if probes in ("small", "full"):
        changes |= _probes(params, name, probes == "small")
    if changes:
        edit_params(changes)
        said = ", ".join(".".join(keys) for keys in changes)
        click.echo(f"params.yaml: set {said}", err=True)
    card = adapters.write_card(name, model, place.root)
    arguments = [name, *(["--no-probes"] if probes == "none" else [])]
    run_flow("finetune", arguments, place.secrets, kept="what was learned and answered")
    _print(name, model, card, place.root, is_probed=probes != "none")


def _default(key: str) -> Any:
    from escalometer.config import AdapterParams

    return AdapterParams.model_fields[key].default


def _default_name(model: str, settings: dict[str, Any]) -> str:
    """Return the model's name with what the training makes of it."""
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
                f"{domain} is not among the domains of params.yaml ({', '.join(params.domains)}): "
                f"add it to `domains` there to {use}"
            )
    if holdout in chosen:
        raise UsageError(
            f"{holdout} is held out, so it cannot be trained on: hold out another one (--holdout), "
            "or leave it out of --domains"
        )
    if not chosen:
        raise UsageError(
            f"{holdout} is held out and params.yaml names no other domain to train on: add one to "
            "`domains` there, or hold out another (--holdout)"
        )


def _check_framings(framings: list[str] | None) -> None:
    """Refuse wordings that do not exist, and those that only probes use."""
    from escalometer.dialogue.protocol import FRAMINGS, MORE_FRAMINGS, PROBE_FRAMINGS

    trained = {**FRAMINGS, **MORE_FRAMINGS}
    for framing in framings or ():
        if framing in PROBE_FRAMINGS:
            raise UsageError(
                f"the wording {framing!r} is never trained on: probes ask by it whether the rule "
                f"was learned. To train on there are: {', '.join(sorted(trained))}"
            )
        if framing not in trained:
            raise unknown_name("wording", framing, trained)


def _check_ratios(cost_ratios: list[float] | None) -> None:
    """Refuse cost ratios that are none, and those that only probes use."""
    from escalometer.training.held_out import UNTRAINED_RATIOS

    for ratio in cost_ratios or ():
        if not ratio > 1:
            raise UsageError(
                f"--cost-ratios takes numbers above 1, not {ratio:g}: otherwise being wrong costs "
                "no more than asking"
            )
        if ratio in UNTRAINED_RATIOS:
            kept = ", ".join(map(str, UNTRAINED_RATIOS))
            raise UsageError(
                f"the cost ratio {ratio:g} is never trained on: probes ask at {kept} whether the "
                "rule was learned. Choose others"
            )


def _probes(params: Params, name: str, is_small: bool) -> dict[tuple[str, ...], Any]:
    """Return what has to change in params.yaml for small, or usual, probes of an adapter."""
    small = list(params.train.probes.small)
    if (name in small) == is_small:
        return {}
    small = [*small, name] if is_small else [other for other in small if other != name]
    return {("train", "probes", "small"): small}


def _print(name: str, model: str, card: Path, root: Path, is_probed: bool) -> None:
    """Print base against tuned, and where everything is."""
    from escalometer.operations.adapter_results import is_report_behind
    from escalometer.runtime.files import read_json

    if is_probed:
        from escalometer.reporting.probe_text import print_probes

        print_probes(read_json(layout.probes_file(name, root)), sys.stdout)
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
    click.echo(f"Next:    escalometer evaluate {model} {name}")
