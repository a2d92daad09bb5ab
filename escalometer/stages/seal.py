"""Stage seal: the digest of a tuned model's adapter, written into its card."""

from __future__ import annotations

import sys
from pathlib import Path

from escalometer.training import adapters


def run(name: str, root: Path = Path()) -> None:
    """Write the digest of the adapter `name` into its card.

    Parameters
    ----------
    name : str
        The adapter; its card has the same name.
    root : Path
        The project.

    Raises
    ------
    UsageError
        If it has no card.
    ProviderError
        If it is not there, or not whole.
    """
    sha256 = adapters.seal(name, root)
    print(f"models/{name}.yaml: the adapter's sha256 is {sha256}", file=sys.stderr)
