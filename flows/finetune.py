"""Fine-tune one adapter of params.yaml: every stage that it needs, in order, one task each.

Run it as `python flows/finetune.py NAME`, or with flags as `escalometer train`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from escalometer.runtime.ending import end_at_once, leave_with

if __name__ == "__main__":  # before what is imported registers handlers
    end_at_once()

from escalometer import layout
from escalometer.cli import workspace
from escalometer.config import Params, load_card, load_params
from escalometer.errors import UsageError, unknown_name
from escalometer.operations import adapter_results
from escalometer.pipeline import stage_addresses
from flows._artifacts import show_links
from flows._notices import notifying
from flows._place import HELD, placed
from flows._runs import run_id
from flows._stages import RETRY_DELAYS_S, bring_all, flow, run_served, settle
from flows._words import say

USAGE = "python flows/finetune.py NAME [--no-probes]: NAME is an entry of train.adapters"


def planned(name: str, is_probed: bool) -> list[str]:
    """Return the stages that train the adapter `name`, and probe it, each after its inputs."""
    return stage_addresses(of=[f"probe@{name}" if is_probed else f"seal@{name}"])


def can_report(params: Params, root: Path = Path()) -> bool:
    """Return true if all queries of params.yaml are answered, which the report needs too."""
    needed = [layout.profile_file(model, root) for model in params.models]
    needed += [
        layout.decisions_file(model, domain, root)
        for model in params.models
        for domain in params.domains
    ]
    return all(path.exists() for path in needed)


@flow(name="finetune", flow_run_name="{name}")
def finetune(name: str, is_probed: bool = True, retry_delays_s: list[float] | None = None) -> int:
    """Train the adapter `name`, probe it beside its base, and return the number of task runs.

    Parameters
    ----------
    name : str
        An entry of train.adapters in params.yaml, which has a card.
    is_probed : bool
        Whether the two are asked the probes, and the report shows them.
    retry_delays_s : list of float, optional
        Pauses in seconds before a stage that failed in an outage is tried again.
    """
    delays_s = RETRY_DELAYS_S if retry_delays_s is None else retry_delays_s
    with notifying(name), placed({}, run=run_id()) as (params, place):
        check(name, params)
        addresses = planned(name, is_probed)
        reports = is_probed and can_report(params)
        n = bring_all(addresses, retry_delays_s=delays_s)
        if is_probed:
            adapter_results.track(name, uri=place.tracking)
        if reports:
            is_behind = adapter_results.is_report_behind()
            n += bring_all(["report"], lambda _: is_behind)
            show_links([], place.root)
        elif is_probed:
            say("no report yet: `escalometer evaluate` writes one, with these probes")
        settle(n)
        return n


def check(name: str, params: Params) -> None:
    """Refuse a name that is no adapter of the parameters, or whose models have no card."""
    if name not in params.train.adapters:
        raise unknown_name("adapter", name, params.train.adapters)
    load_card(params.train.adapters[name].model)
    load_card(name)


def main() -> int:
    """Run the flow on its own server and return its exit code (docs/reference/exit-codes.md)."""
    flags = {word for word in sys.argv[1:] if word.startswith("-")}
    arguments = [word for word in sys.argv[1:] if word not in flags]
    if "--locked" in flags:  # of `escalometer train`, which holds the lock
        HELD.add(workspace().root.resolve())

    def check_arguments() -> None:
        if len(arguments) != 1:
            raise UsageError(f"one name is needed: {USAGE}")
        check(arguments[0], load_params())

    return run_served(
        check_arguments, lambda: finetune(arguments[0], "--no-probes" not in flags, [])
    )


if __name__ == "__main__":
    leave_with(main, waits_for_threads=False)
