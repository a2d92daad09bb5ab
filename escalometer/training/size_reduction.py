"""Reduction of a trained adapter's size: truncated SVD to a lower rank, and a shorter data type."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from escalometer import layout
from escalometer.runtime.files import read_json, write_json

_A, _B = ".lora_A.weight", ".lora_B.weight"
DATA_TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def reduce_size(folder: Path, rank: int | None, data_type: str) -> None:
    """Reduce an adapter's files in place to `rank` and `data_type`.

    The product of each pair of LoRA matrices is replaced by its best approximation of that rank in
    the Frobenius norm, as two matrices of the same norm, which loses least to rounding. LoRA's
    scale goes into the matrices, so ``lora_alpha`` equals the rank. Files that have the rank and
    data type as trained are left unchanged.

    Parameters
    ----------
    folder : Path
        Folder of an adapter as peft saves it: configuration and safetensors.
    rank : int or None
        Rank to keep, at most that of the adapter; None keeps it.
    data_type : {"float32", "bfloat16"}
        Data type of the stored weights.

    Raises
    ------
    ValueError
        If `rank` is larger than the adapter's.

    References
    ----------
    Eckart and Young (1936), "The approximation of one matrix by another of lower rank".
    """
    config = read_json(folder / layout.ADAPTER_CONFIG)
    weights = load_file(folder / layout.ADAPTER_WEIGHTS)
    trained_rank = int(config["r"])
    if rank is not None and rank > trained_rank:
        raise ValueError(f"rank {rank} is larger than the adapter's rank {trained_rank}")
    if rank in (None, trained_rank) and data_type == "float32":
        return
    rank = rank or trained_rank
    scale = config["lora_alpha"] / trained_rank
    for name in [name.removesuffix(_A) for name in weights if name.endswith(_A)]:
        a, b = truncated(weights[name + _A], weights[name + _B], scale, rank)
        weights[name + _A], weights[name + _B] = a, b
    write_json({**config, "r": rank, "lora_alpha": rank}, folder / layout.ADAPTER_CONFIG)
    stored = {name: x.to(DATA_TYPES[data_type]).contiguous() for name, x in weights.items()}
    save_file(stored, folder / layout.ADAPTER_WEIGHTS, metadata={"format": "pt"})


def truncated(
    a: torch.Tensor, b: torch.Tensor, scale: float, rank: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return matrices A and B of lower rank whose product approximates ``scale * b @ a``.

    Parameters
    ----------
    a, b : Tensor
        LoRA matrices of shapes (r, n_in) and (n_out, r).
    scale : float
        Factor of their product.
    rank : int
        Rank of the result, from 1 to r.
    """
    left, upper = torch.linalg.qr(b.double() * scale)
    right, lower = torch.linalg.qr(a.double().T)
    u, s, vt = torch.linalg.svd(upper @ lower.T)
    root = s[:rank].sqrt()
    new_b = left @ (u[:, :rank] * root)
    new_a = (root[:, None] * vt[:rank]) @ right.T
    return new_a.to(a.dtype), new_b.to(b.dtype)
