"""Size reduction of an adapter: exact where the rank suffices, best approximation elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from escalometer import layout
from escalometer.config import Recipe
from escalometer.runtime.files import read_json, write_json
from escalometer.training.size_reduction import reduce_size

_NAMES = ("base_model.model.layers.0.q_proj", "base_model.model.layers.1.up_proj")


def _adapter(folder: Path, true_rank: int, rank: int = 8, alpha: int = 16) -> Path:
    """An adapter of `rank` whose products have rank `true_rank`."""
    folder.mkdir()
    random = torch.Generator().manual_seed(3)
    weights = {}
    for name in _NAMES:
        a = torch.randn((true_rank, 24), generator=random)
        b = torch.randn((40, true_rank), generator=random)
        mix = torch.randn((rank, true_rank), generator=random)
        weights[f"{name}.lora_A.weight"] = mix @ a
        weights[f"{name}.lora_B.weight"] = b @ torch.linalg.pinv(mix)
    save_file(weights, folder / layout.ADAPTER_WEIGHTS)
    write_json({"r": rank, "lora_alpha": alpha}, folder / layout.ADAPTER_CONFIG)
    return folder


def _products(folder: Path) -> list[torch.Tensor]:
    """What the adapter adds to each weight, in float64."""
    config: Any = read_json(folder / layout.ADAPTER_CONFIG)
    weights = load_file(folder / layout.ADAPTER_WEIGHTS)
    scale = config["lora_alpha"] / config["r"]
    return [
        scale * weights[f"{n}.lora_B.weight"].double() @ weights[f"{n}.lora_A.weight"].double()
        for n in _NAMES
    ]


def test_a_sufficient_rank_changes_no_product(tmp_path: Path) -> None:
    folder = _adapter(tmp_path / "a", true_rank=3)
    before = _products(folder)
    reduce_size(folder, 3, "float32")
    for old, new in zip(before, _products(folder), strict=True):
        torch.testing.assert_close(new, old, rtol=1e-4, atol=1e-4)
    config = read_json(folder / layout.ADAPTER_CONFIG)
    assert (config["r"], config["lora_alpha"]) == (3, 3)


@pytest.mark.parametrize("rank", [1, 4, 7])
def test_a_lower_rank_leaves_the_smallest_singular_values_out(tmp_path: Path, rank: int) -> None:
    folder = _adapter(tmp_path / "a", true_rank=8)
    before = _products(folder)
    reduce_size(folder, rank, "float32")
    for old, new in zip(before, _products(folder), strict=True):
        omitted = torch.linalg.svdvals(old)[rank:]
        assert float((old - new).norm()) == pytest.approx(float(omitted.norm()), rel=1e-3)
        assert int(torch.linalg.matrix_rank(new, rtol=1e-5)) == rank


def test_bfloat16_halves_the_file(tmp_path: Path) -> None:
    folder = _adapter(tmp_path / "a", true_rank=8)
    before = (folder / layout.ADAPTER_WEIGHTS).stat().st_size
    old = _products(folder)
    reduce_size(folder, None, "bfloat16")
    assert (folder / layout.ADAPTER_WEIGHTS).stat().st_size < 0.6 * before
    for one, other in zip(old, _products(folder), strict=True):
        assert float((one - other).norm() / one.norm()) < 0.01


def test_the_same_adapter_is_reduced_to_the_same_bytes(tmp_path: Path) -> None:
    folders = [_adapter(tmp_path / name, true_rank=8) for name in "ab"]
    for folder in folders:
        reduce_size(folder, 4, "bfloat16")
    one, other = ((folder / layout.ADAPTER_WEIGHTS).read_bytes() for folder in folders)
    assert one == other


def test_a_rank_above_the_trained_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="rank 9 is larger than the adapter's rank 8"):
        reduce_size(_adapter(tmp_path / "a", true_rank=8), 9, "float32")
    with pytest.raises(ValueError, match=r"stored_rank \(9\) must be at most rank \(8\)"):
        Recipe(rank=8, stored_rank=9)
