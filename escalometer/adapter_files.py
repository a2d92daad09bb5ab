"""What an adapter's folder holds, and the digest that stands for it."""

from __future__ import annotations

import hashlib
from pathlib import Path

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
#: What was trained, on what, and how: of adapters of our own.
RECORD = "training.json"


def sha256(folder: Path) -> str:
    """Return the digest of an adapter: of its weights and how they are scaled.

    Raises
    ------
    FileNotFoundError
        If one of the two files is not there.
    """
    both = hashlib.sha256()
    for name in (CONFIG, WEIGHTS):
        both.update(hashlib.sha256((folder / name).read_bytes()).digest())
    return both.hexdigest()
