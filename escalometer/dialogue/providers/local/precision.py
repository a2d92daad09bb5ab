"""The precision of a local model: known before torch is imported where there is no GPU."""

from __future__ import annotations

from pathlib import Path

from escalometer.config import ModelCard

_DEVICES = Path("/dev")
#: Files of the drivers that torch's CUDA and ROCm builds use: NVIDIA, NVIDIA's boards, WSL, AMD.
_DRIVERS = ("nvidiactl", "nvidia[0-9]*", "nvhost-gpu", "nvgpu", "dxg", "kfd")


def resolved(card: ModelCard) -> str:
    """Return the data type of the card's model on this machine, as it is part of keys.

    With `auto` it is bfloat16 on a GPU that computes in it, float32 elsewhere. torch, which takes
    seconds to import, is asked only if the machine has the driver of a GPU.
    """
    if card.precision != "auto":
        return card.precision
    if not has_driver():
        return "float32"
    import torch

    is_native = torch.cuda.is_available() and torch.cuda.is_bf16_supported(
        including_emulation=False
    )
    return "bfloat16" if is_native else "float32"


def has_driver() -> bool:
    """Return true if the machine has the driver of a GPU that torch could use as `cuda`."""
    return any(next(_DEVICES.glob(pattern), None) is not None for pattern in _DRIVERS)
