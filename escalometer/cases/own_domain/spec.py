"""The content of `domains/<name>.yaml`: a domain made of a user's table."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from escalometer.cases.task import DECISION_MARKER, PREDICTION_MARKER
from escalometer.config import Section, validated
from escalometer.errors import UsageError
from escalometer.runtime.object_storage import Location, location

Kind = Literal["number", "boolean", "category", "words"]

SIGNAL = "A decision tree on past cases finds: where {phrase}, {percent}% {outcome}."

#: Longest name that is made of a phrase.
MAX_NAME = 50

_HINT = (
    "A text must be quoted, or indented below a `>`, if it contains ': ' or ' #', begins with {, "
    "[, *, & or @, or contains braces or commas within {…}"
)


def _words(text: str) -> str:
    """Return a text of the user's on one line; a prompt's markers may not be part of it."""
    text = " ".join(text.split())
    if not text:
        raise ValueError("a text is missing")
    return _no_marker(text)


def _no_marker(text: str) -> str:
    for marker in (PREDICTION_MARKER, DECISION_MARKER):
        if marker.lower() in text.lower():
            raise ValueError(f"{marker!r} is reserved for the model's answer: use another wording")
    return text


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _table(value: Any) -> Any:
    """Return the path or the address of the table."""
    try:
        return location(value) if isinstance(value, str) else value
    except UsageError as error:
        raise ValueError(str(error)) from error


Words = Annotated[str, AfterValidator(_words)]
Names = Annotated[tuple[str, ...], BeforeValidator(_listed)]


class Outcome(Section):
    """The meaning of one value of the label column."""

    means: Words
    signal: Words | None = None

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"means": value} if isinstance(value, str) else value


class Label(Section):
    """The column that holds the person's decision."""

    column: str
    outcomes: dict[str, Outcome] = Field(min_length=2, max_length=26)
    leave_out: Names = ()

    @model_validator(mode="before")
    @classmethod
    def _is_mapping(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            raise ValueError(
                "it needs the column and the meaning of its values, e.g. "
                "{column: refunded, outcomes: {0: not refunded, 1: refunded}}"
            )
        return value

    @field_validator("outcomes", mode="before")
    @classmethod
    def _is_values(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            raise ValueError(
                "each value in the file with its meaning, e.g. {0: not refunded, 1: refunded}"
            )
        return value

    @field_validator("outcomes")
    @classmethod
    def _differ(cls, outcomes: dict[str, Outcome]) -> dict[str, Outcome]:
        means = [outcome.means for outcome in outcomes.values()]
        duplicates = sorted({meaning for meaning in means if means.count(meaning) > 1})
        if duplicates:
            raise ValueError(f"two outcomes have the same meaning: {', '.join(duplicates)}")
        return outcomes


#: The placeholders of each phrase, and the kinds of feature that it is for.
PHRASES: dict[str, tuple[frozenset[str], tuple[Kind, ...]]] = {
    "at_least": (frozenset({"value"}), ("number",)),
    "below": (frozenset({"value"}), ("number",)),
    "between": (frozenset({"low", "high"}), ("number",)),
    "is": (frozenset({"value"}), ("category",)),
    "is_not": (frozenset({"value"}), ("category",)),
    "has": (frozenset({"value"}), ("words",)),
    "has_not": (frozenset({"value"}), ("words",)),
    "yes": (frozenset(), ("boolean",)),
    "no": (frozenset(), ("boolean",)),
}


class Feature(Section):
    """A column that conditions can be learned from, and its wording in a signal."""

    name: Words | None = None
    kind: Kind | None = None
    at_least: Words | None = None
    below: Words | None = None
    between: Words | None = None
    is_: Words | None = Field(None, alias="is")
    is_not: Words | None = None
    has: Words | None = None
    has_not: Words | None = None
    yes: Words | None = None
    no: Words | None = None
    step: float | None = Field(None, gt=0)
    decimals: int | None = Field(None, ge=0, le=6)
    values: dict[str, Words] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        if value is None or value == "":
            return {}
        return {"name": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _placeholders(self) -> Feature:
        for key, (wanted, _) in PHRASES.items():
            phrase = self.phrase(key)
            # {value:,} writes a number with commas between thousands.
            placeholders = set(re.findall(r"\{([^{}:]*)(?::,)?\}", phrase or ""))
            braces = re.sub(r"\{[^{}]*\}", "", phrase or "")
            if phrase and (placeholders != wanted or "{" in braces or "}" in braces):
                listed = " and ".join(f"{{{name}}}" for name in sorted(wanted, reverse=True))
                raise ValueError(
                    f"`{key}` must contain {listed} and no other braces (found {phrase!r})"
                    if wanted
                    else f"`{key}` must not contain braces (found {phrase!r})"
                )
        return self

    def phrase(self, key: str) -> str | None:
        """Return the file's text under `key`, a key of `PHRASES`."""
        phrase: str | None = getattr(self, "is_" if key == "is" else key)
        return phrase


class Condition(Section):
    """A subgroup as an SQL expression over the columns, and its wording in a signal."""

    where: Words
    phrase: Words
    name: str | None = Field(None, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")

    @property
    def label(self) -> str:
        """The condition's name, or one made of its phrase."""
        slug = re.sub(r"[^a-z0-9]+", "_", self.phrase.lower()).strip("_")
        if len(slug) > MAX_NAME:
            slug = slug[: MAX_NAME + 1].rpartition("_")[0]
        return self.name or slug or "condition"


class Spec(Section):
    """One file of `domains/`."""

    file: Annotated[Location, BeforeValidator(_table)]
    decider: Words
    label: Label
    scenario: Annotated[str, AfterValidator(_no_marker)]
    title: Words | None = None
    question: Words | None = None
    features: dict[str, Feature] | None = None
    conditions: tuple[Condition, ...] = ()
    signal: Words = SIGNAL
    group: str | None = None
    id: str | None = None
    private: Names = ()
    missing: Names = ()
    decimal: Literal[".", ","] = "."
    source: Words | None = None
    licence: Words | None = None
    citation: Words | None = None
    decisions_of: Words | None = None

    @field_validator("features", mode="before")
    @classmethod
    def _features_by_column(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = [value]
        if not isinstance(value, list):
            return value
        by_column: dict[str, Any] = {}
        for item in value:
            # `- months: {…}` is an item of one key; people write both.
            by_column |= item if isinstance(item, dict) else {str(item): {}}
        return by_column

    @field_validator("conditions", mode="before")
    @classmethod
    def _conditions_listed(cls, value: Any) -> Any:
        if isinstance(value, dict) and not {"where", "phrase"} & set(value):
            return [
                {"name": name, **item} if isinstance(item, dict) else item
                for name, item in value.items()
            ]
        return [value] if isinstance(value, dict) else value

    @field_validator("conditions")
    @classmethod
    def _distinct(cls, conditions: tuple[Condition, ...]) -> tuple[Condition, ...]:
        names = [condition.label for condition in conditions]
        duplicates = sorted({name for name in names if names.count(name) > 1})
        if duplicates:
            raise ValueError(
                f"two conditions have the name {', '.join(duplicates)}: give each a `name`"
            )
        return conditions

    @field_validator("scenario")
    @classmethod
    def _states_columns(cls, scenario: str) -> str:
        scenario = scenario.strip()
        if not any(column for _, column in parts(scenario)):
            raise ValueError(
                "it contains no column: put column names in braces, e.g. 'Ticket about "
                "{topic}.' (text after ' #' is a comment in YAML: quote it)"
            )
        return scenario

    @field_validator("signal")
    @classmethod
    def _signal_slots(cls, signal: str) -> str:
        slots = [column for _, column in parts(signal) if column]
        if sorted(slots) != ["outcome", "percent", "phrase"]:
            raise ValueError("it must contain {phrase}, {percent} and {outcome}, each once")
        return signal

    @field_validator("group", "id")
    @classmethod
    def _none_if_empty(cls, text: str | None) -> str | None:
        return text or None


def parts(template: str) -> list[tuple[str, str | None]]:
    """Return the template as literal texts, each with the column that follows it (None: none).

    ``{{`` and ``}}`` stand for braces. Only a column's name is allowed between braces.
    """
    pieces: list[tuple[str, str | None]] = []
    literal = ""
    for piece in re.findall(r"\{\{|\}\}|\{[^{}]*\}|[{}]|[^{}]+", template):
        if piece in ("{{", "}}"):
            literal += piece[0]
        elif piece in ("{", "}"):
            raise ValueError(f"unbalanced brace after {literal[-30:]!r}")
        elif piece.startswith("{"):
            pieces.append((literal, piece[1:-1].strip()))
            literal = ""
        else:
            literal += piece
    return [*pieces, (literal, None)]


_TWICE = " is duplicate"


class _Texts(yaml.BaseLoader):
    """A loader that reads every value as text: `no` is not a boolean, `1.0` not a number."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuse a duplicate key: YAML would silently drop the first."""
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r}{_TWICE}", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_spec(path: Path) -> Spec:
    """Return the content of the file.

    Raises
    ------
    UsageError
        If it is absent, not YAML, or has an invalid key or value; the message names it, and what is
        valid there.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8-sig"), Loader=_Texts)  # noqa: S506 (texts)
    except FileNotFoundError as error:
        raise UsageError(f"{path} does not exist") from error
    except IsADirectoryError as error:
        raise UsageError(f"{path} is a folder; name the YAML file") from error
    except (UnicodeDecodeError, yaml.reader.ReaderError) as error:
        raise UsageError(f"{path} is not UTF-8 text: {error}; is it the YAML file?") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        fault = getattr(error, "problem", None) or str(error)
        hint = "" if fault.endswith(_TWICE) else f". {_HINT}"
        raise UsageError(f"{path}{where}: not valid YAML: {fault}{hint}") from error
    if not isinstance(content, dict):
        raise UsageError(
            f"{path} must have the keys file, decider, label and scenario (found "
            f"{'nothing' if not content else 'a ' + type(content).__name__}). "
            "docs/tutorials/own-decisions.md has an example"
        )
    return validated(path, Spec, content)
