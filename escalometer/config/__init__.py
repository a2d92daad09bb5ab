"""params.yaml and models/*.yaml as frozen objects that refuse what they do not know."""

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
    NAME_PATTERN,
    AnalyzeParams,
    GateParams,
    MinEffectParams,
    Name,
    Params,
    SampleParams,
    Section,
)
from escalometer.config._reading import (
    CARDS_FOLDER,
    Workspace,
    edit_params,
    load_card,
    load_params,
    model_names,
    validated,
)

__all__ = [
    "CARDS_FOLDER",
    "NAME_PATTERN",
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
    "SampleParams",
    "Section",
    "Thinking",
    "WheelSource",
    "Workspace",
    "edit_params",
    "load_card",
    "load_params",
    "model_names",
    "validated",
]
