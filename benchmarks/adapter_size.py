"""Size of a stored adapter against its accuracy: one training, reduced to several ranks.

    python benchmarks/adapter_size.py NAME [--ranks 16,8,4,2,1] [--types float32,bfloat16]

NAME is an adapter that `escalometer train` made with `stored_rank: null` and `stored_type: float32`
in its base's card. Run it from the project's root. Each size is probed on the held-out domain and
at cost ratios that were not trained; printed are bytes and accuracy with its 95% Wilson interval.
The project is not changed: each size is written to a temporary folder. Answers go into the
project's completion store, so that a second run is quick.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from escalometer import layout
from escalometer.cli import workspace
from escalometer.config import Params, Workspace, load_params
from escalometer.dialogue.asking import asking_store
from escalometer.runtime.interruption import Interruption
from escalometer.stats.shares import wilson
from escalometer.training.probe_dialogues import (
    adapter_cards,
    answer_probes,
    dialogue_of,
    plan_probes,
    probed_row,
)
from escalometer.training.size_reduction import reduce_size

#: The probes of the curve; the others are left out.
PROBES = ("held_out_domain", "untrained_ratios")


def accuracy(name: str, params: Params, place: Workspace) -> dict[str, tuple[int, int]]:
    """Return the number of optimal actions and of dialogues by probe, for an adapter in `place`."""
    _, (_, card) = adapter_cards(name, params, place.root)
    asked, tasks = plan_probes(name, params, place.root)
    dialogues = [dialogue_of(one, tasks[one.domain]) for one in asked]
    with asking_store(place, card.id) as store:
        answered = answer_probes(card, dialogues, params, place, store, Interruption())
    rows = [probed_row("tuned", name, *pair) for pair in zip(asked, answered, strict=True)]
    return {
        probe: (sum(bool(row["is_right"]) for row in of_probe), len(of_probe))
        for probe in PROBES
        if (of_probe := [row for row in rows if row["probe"] == probe])
    }


def main() -> None:
    """Print the curve, one row per size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("--ranks", default="16,8,6,4,3,2,1")
    parser.add_argument("--types", default="bfloat16")
    arguments = parser.parse_args()
    params, place = load_params(), workspace()
    probes = {probe: size if probe in PROBES else 0 for probe, size in params.train.probes}
    sizes = params.train.probes.model_copy(
        update={key: x for key, x in probes.items() if isinstance(x, int)}
        | {"n_scenarios": 4, "small": ()}
    )
    params = params.model_copy(update={"train": params.train.model_copy(update={"probes": sizes})})
    source = layout.adapter_folder(arguments.name, place.root)
    print("| rank | data type | bytes | " + " | ".join(PROBES) + " |")
    for rank in map(int, arguments.ranks.split(",")):
        for data_type in arguments.types.split(","):
            with tempfile.TemporaryDirectory() as folder:
                root = Path(folder)
                for entry in place.root.iterdir():
                    if entry.name != layout.cards_folder().name:
                        (root / entry.name).symlink_to(entry.resolve())
                shutil.copytree(
                    layout.cards_folder(place.root),
                    layout.cards_folder(root),
                    ignore=shutil.ignore_patterns("adapters"),
                )
                card = layout.cards_folder(root) / f"{arguments.name}.yaml"
                lines = card.read_text(encoding="utf-8").splitlines(keepends=True)
                card.write_text("".join(x for x in lines if "adapter_sha256:" not in x))
                reduced = layout.adapter_folder(arguments.name, root)
                shutil.copytree(source, reduced)
                reduce_size(reduced, rank, data_type)
                n_bytes = (reduced / layout.ADAPTER_WEIGHTS).stat().st_size
                cells = []
                for n_right, n in accuracy(
                    arguments.name, params, replace(place, root=root)
                ).values():
                    low, high = wilson(n_right, n)
                    cells.append(f"{100 * n_right / n:.1f}% [{100 * low:.1f}, {100 * high:.1f}]")
                print(f"| {rank} | {data_type} | {n_bytes:,} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
