"""Write docs/documents.md and docs/schemas/ from the models in escalometer/documents/.

With ``--check`` nothing is written, and the exit code is 1 if one of the files is stale.
"""

from __future__ import annotations

import inspect
import json
import sys
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

from escalometer.config import Section
from escalometer.documents import (
    CanaryLook,
    Comparison,
    Document,
    History,
    HumanErrorRate,
    LedgerSummary,
    PolicyDocument,
    Probes,
    Profile,
    SampleSizes,
    Verdict,
    interval,
    variant,
)
from escalometer.documents.recommendation import Candidate

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"

INTRODUCTION = """\
# JSON documents

The commands print these documents with `--json`; `data/profiles/<model>/profile.json` and
`data/probes/<adapter>/probes.json` are stored ones. This page and the JSON Schemas in
`docs/schemas/` are generated from the models in `escalometer/documents/` (`make docs`): change
a description there, not here.

A key whose value can be missing is null then; no key is left out. Shares, rates and accuracies are
in [0, 1]. Costs are per dialogue, in units of one escalation. Keys that begin with `n_`, and `n`,
are counts.
"""


class Page(NamedTuple):
    """One of the documents: its heading, the name of its schema and its model."""

    heading: str
    name: str
    model: type[Document]


PAGES = (
    Page("`escalometer profile MODEL --json`", "profile", Profile),
    Page("`escalometer compare FIRST SECOND --json`", "comparison", Comparison),
    Page("`escalometer gate MODEL --json`", "verdict", Verdict),
    Page("`escalometer power --json`", "sample_sizes", SampleSizes),
    Page("`escalometer history MODEL --json`", "history", History),
    Page("`escalometer store canary MODEL --json`", "canary", CanaryLook),
    Page("`escalometer policy export MODEL`", "policy", PolicyDocument),
    Page("`escalometer ledger show --json`", "ledger", LedgerSummary),
    Page("`escalometer data human-error DOMAIN --json`", "human_error", HumanErrorRate),
    Page("`probes.json`", "probes", Probes),
)

#: Models that several documents share, by the heading of their section. The table of a model that
#: is derived from one of them names it in place of its keys.
SHARED: dict[str, tuple[type[Document], ...]] = {
    "Numbers with intervals": (
        interval.Interval,
        interval.BoundedInterval,
        interval.SelfEstimate,
        interval.Fit,
        interval.BoundedFit,
        interval.StudyLine,
        interval.SimpleInterval,
    ),
    "Keys of rows": (variant.Condition, variant.Variant, variant.ScoredVariant),
}

#: Bases whose keys are not repeated.
_BASES: tuple[type[Document], ...] = (
    *(model for models in SHARED.values() for model in models),
    Candidate,
)

_NAMES = {float: "number", int: "integer", str: "string", bool: "boolean", type(None): "null"}


def schema_of(page: Page) -> str:
    """Return the JSON Schema of a document as it is written."""
    content = page.model.model_json_schema(mode="serialization")
    content = {"$schema": "https://json-schema.org/draft/2020-12/schema", **content}
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def reference() -> str:
    """Return docs/documents.md."""
    parts = [INTRODUCTION]
    written: list[type[Document]] = []
    for heading, models in SHARED.items():
        parts += [f"## {heading}\n", *(_section(model) for model in models)]
        written += models
    for page in PAGES:
        schema = f"JSON Schema: [schemas/{page.name}.schema.json](schemas/{page.name}.schema.json)."
        parts.append(f"## {page.heading}\n\n{_prose(page.model)}\n\n{schema}\n")
        parts.append(_table(page.model))
        for model in _parts_of(page.model):
            if model not in written:
                written.append(model)
                parts.append(_section(model))
    return "\n".join(parts)


def _parts_of(model: type[Document]) -> Iterator[type[Document]]:
    """Yield the models that a model refers to, each after the one that refers to it first."""
    seen = [model]
    for one in seen:
        for field in one.model_fields.values():
            for part in _models(field.annotation):
                if part not in seen:
                    seen.append(part)
                    yield part


def _models(annotation: Any) -> Iterator[type[Document]]:
    if inspect.isclass(annotation) and issubclass(annotation, Document):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _models(argument)


def _section(model: type[Document]) -> str:
    return f"### {model.__name__}\n\n{_prose(model)}\n\n{_table(model)}"


def _prose(model: type[Document]) -> str:
    """Return the docstring of a model, one line a paragraph."""
    paragraphs = inspect.cleandoc(model.__doc__ or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def _table(model: type[Document]) -> str:
    """Return the table of a model's keys, which names bases in place of their keys."""
    bases = [base for base in model.__mro__[1:] if base in _BASES]
    nearest = [base for base in bases if not any(issubclass(b, base) for b in bases if b != base)]
    inherited = {
        name
        for base in nearest
        for name, field in base.model_fields.items()
        if model.model_fields[name].description == field.description
    }
    lines = []
    if nearest:
        names = " and ".join(_link(base) for base in reversed(nearest))
        lines.append(f"The keys of {names}, and:\n")
    lines += ["| key | type | meaning |", "|---|---|---|"]
    for name, field in model.model_fields.items():
        if name not in inherited:
            meaning = (field.description or "").replace("|", "\\|")
            lines.append(f"| `{name}` | {_type(field.annotation)} | {meaning} |")
    return "\n".join(lines) + "\n"


def _type(annotation: Any) -> str:
    """Return a type in the words of JSON, with links to the tables of models."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation in _NAMES:
        return _NAMES[annotation]
    if origin is typing.Annotated:
        return _type(arguments[0])
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_type(argument) for argument in arguments)
    if origin is tuple:
        if arguments[-1] is Ellipsis:
            return f"array of {_type(arguments[0])}"
        return f"array [{', '.join(_type(argument) for argument in arguments)}]"
    if origin is dict:
        return f"object of {_type(arguments[1])}"
    if issubclass(annotation, Document):
        return _link(annotation)
    if issubclass(annotation, Section):
        return "object"
    raise TypeError(f"no words for the type {annotation}")


def _link(model: type[Document]) -> str:
    return f"[{model.__name__}](#{model.__name__.lower()})"


def files() -> dict[Path, str]:
    """Return the generated files with their content."""
    schemas = {DOCS / "schemas" / f"{page.name}.schema.json": schema_of(page) for page in PAGES}
    return {DOCS / "documents.md": reference(), **schemas}


def stale() -> list[Path]:
    """Return the generated files that are absent or do not say what the models say."""
    return [
        path
        for path, content in files().items()
        if not path.exists() or path.read_text(encoding="utf-8") != content
    ]


def main(arguments: list[str]) -> int:
    """Write the files, or check them, and return the exit code."""
    if arguments == ["--check"]:
        found = stale()
        for path in found:
            print(f"{path.relative_to(ROOT)} is stale: run `make docs`", file=sys.stderr)
        return 1 if found else 0
    for path, content in files().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
