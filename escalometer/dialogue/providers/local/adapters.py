"""The user's LoRA adapters, merged into the weights of a loaded model."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from escalometer.config import ModelCard
from escalometer.dialogue.weights.adapters import check_base, digest, folder, mapping, restore
from escalometer.errors import ProviderError
from escalometer.layout import ADAPTER_CONFIG, ADAPTER_WEIGHTS

__all__ = ["digest", "folder", "merge"]


def merge(model: Any, card: ModelCard, root: Path) -> Any:
    """Return the model with the card's adapter added to its weights.

    Parameters
    ----------
    model : PreTrainedModel
        In float32; it is changed.
    card : ModelCard
        Names the adapter.
    root : Path
        The project.

    Raises
    ------
    ProviderError
        If the adapter is absent, broken, no LoRA, or made for another model.
    """
    from peft import LoraConfig, PeftModel
    from peft.utils import get_peft_model_state_dict
    from safetensors import SafetensorError, safe_open

    path = folder(card, root)
    what = f"{card.id}: the adapter {card.adapter!r} in {path}"
    stored_config = mapping(path / ADAPTER_CONFIG, what)
    try:
        config = LoraConfig.from_pretrained(str(path))
    except (ValueError, TypeError, KeyError) as error:
        raise ProviderError(
            f"{what} has a broken {ADAPTER_CONFIG}: {error}; {restore(path)}"
        ) from error
    if stored_config.get("peft_type") != "LORA":
        raise ProviderError(
            f"{what} is {stored_config.get('peft_type')!r}; only LORA can be merged"
        )
    check_base(card, str(config.base_model_name_or_path or ""), what)
    config.base_model_name_or_path = ""  # else peft queries the hub
    try:
        with safe_open(path / ADAPTER_WEIGHTS, framework="pt") as file:
            shapes = {name: list(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ProviderError(
            f"{what} has a broken {ADAPTER_WEIGHTS} ({error}); {restore(path)}"
        ) from error
    mismatch = f"{what} was made for another model than {card.hub_id or card.id}"
    try:
        with warnings.catch_warnings():  # a deprecated name that peft still uses
            warnings.simplefilter("ignore", FutureWarning)
            wrapped = PeftModel(model, config)
    except (ValueError, KeyError) as error:  # none of its target modules is there
        raise ProviderError(f"{mismatch}: {error}") from error
    expected = {name: list(x.shape) for name, x in get_peft_model_state_dict(wrapped).items()}
    if odd := sorted(
        name for name in {*shapes, *expected} if shapes.get(name) != expected.get(name)
    ):
        name = odd[0]
        raise ProviderError(
            f"{mismatch}: {len(odd)} of its tensors do not fit, such as {name}, which is "
            f"{shapes.get(name, 'absent')} there and {expected.get(name, 'absent')} here"
        )
    wrapped.load_adapter(str(path), adapter_name="default", is_trainable=False)
    return wrapped.merge_and_unload(safe_merge=True).eval()
