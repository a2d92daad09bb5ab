"""params.yaml and models/*.yaml as frozen objects that refuse unknown keys."""

from escalometer.config._cards import (
    Endpoint,
    FolderSource,
    HubSource,
    ModelCard,
    Price,
    Thinking,
    WheelSource,
)
from escalometer.config._params import (
    AnalyzeParams,
    GateParams,
    MinEffectParams,
    Params,
    SampleParams,
)
from escalometer.config._reading import (
    Workspace,
    edit_card,
    edit_params,
    load_card,
    load_params,
    model_names,
    validated,
)
from escalometer.config._section import NAME_PATTERN, Name, Section
from escalometer.config._training import AdapterParams, ProbeParams, Recipe, TrainParams

__all__ = [
    "NAME_PATTERN",
    "AdapterParams",
    "AnalyzeParams",
    "Endpoint",
    "FolderSource",
    "GateParams",
    "HubSource",
    "MinEffectParams",
    "ModelCard",
    "Name",
    "Params",
    "Price",
    "ProbeParams",
    "Recipe",
    "SampleParams",
    "Section",
    "Thinking",
    "TrainParams",
    "WheelSource",
    "Workspace",
    "edit_card",
    "edit_params",
    "load_card",
    "load_params",
    "model_names",
    "validated",
]
