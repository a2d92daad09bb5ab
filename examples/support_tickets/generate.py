"""Writes support_tickets_generated.csv: made-up tickets, decided by a made-up support lead.

Nothing here was recorded of anybody. The lead follows habits with some noise, so that there is
something to learn that is never quite certain. The same seed gives the same bytes everywhere.

    python examples/support_tickets/generate.py
"""

from __future__ import annotations

import csv
import random
import sys
from pathlib import Path

SEED, N_TICKETS, N_CUSTOMERS = 20260408, 600, 420
OUT = Path(__file__).with_name("support_tickets_generated.csv")

COLUMNS = (
    "ticket_id",
    "customer_id",
    "customer_gender",
    "topic",
    "months_customer",
    "hours_waited",
    "order_value",
    "earlier_refunds",
    "photo_attached",
    "refunded",
    "decision",
)


def _chance_of_refund(ticket: dict[str, object]) -> float:
    """Return how likely the lead refunds a ticket."""
    topic, hours = ticket["topic"], int(str(ticket["hours_waited"]))
    if topic == "a change of mind":
        return 0.52 if float(str(ticket["order_value"])) < 40 else 0.06
    if topic == "a late delivery":
        chance = 0.9 if hours >= 48 else 0.66 if hours >= 24 else 0.3
    else:
        chance = 0.96 if ticket["photo_attached"] == "yes" else 0.58
    return chance - 0.25 if int(str(ticket["earlier_refunds"])) >= 2 else chance


def tickets(seed: int = SEED) -> list[dict[str, object]]:
    """Return the rows, one a ticket."""
    # random() alone: what else `random` offers may give other numbers in another Python.
    draw = random.Random(seed).random  # noqa: S311 (no secret)
    rows: list[dict[str, object]] = []
    for number in range(N_TICKETS):
        topics = ("a late delivery", "a damaged item", "a wrong item", "a change of mind")
        ticket: dict[str, object] = {
            "ticket_id": f"T{10_000 + number}",
            "customer_id": f"C{1 + int(draw() * N_CUSTOMERS):03d}",
            "customer_gender": ("f", "m", "x")[min(2, int(draw() * 2.05))],
            "topic": topics[int(draw() * 4)],
            "months_customer": int(draw() ** 2 * 72),
            "hours_waited": int(draw() * 96),
            "order_value": f"{5 + 295 * draw() ** 2:.2f}",
            "earlier_refunds": int(draw() ** 2 * 4),
            "photo_attached": "yes" if draw() < 0.55 else "no",
        }
        is_refunded = draw() < _chance_of_refund(ticket)
        is_replaced = draw() < (0.8 if "item" in str(ticket["topic"]) else 0.1)
        ticket["refunded"] = "yes" if is_refunded else "no"
        ticket["decision"] = "refund" if is_refunded else "replace" if is_replaced else "decline"
        rows.append(ticket)
    return rows


def main(path: Path = OUT) -> None:
    """Write the CSV file."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(tickets())


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:2]))
