"""Reading params.yaml and cards, with messages for their errors; the workspace's paths."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from escalometer.config._cards import ModelCard
from escalometer.config._params import Params
from escalometer.errors import UsageError, unknown_name
from escalometer.layout import CARDS_FOLDER, PARAMS_FILE
from escalometer.runtime.files import replacing


@dataclass(frozen=True)
class Workspace:
    """The paths and secrets of this machine.

    Attributes
    ----------
    root : Path
        The project.
    cache : Path
        Downloads that are fetched once: weights.
    store : Path
        The completion store.
    secrets : mapping of str to str
        The environment, for the keys that cards name; shown nowhere.
    run : str
        The id that all stages of one run share, so that their costs count together.
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
            f"{path} does not exist in {Path.cwd()}: run the command in the project's root"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not valid YAML: {error}") from error


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the section class in a field's type, by itself, or in a mapping, a list or a union."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    sections = (_model_in(part) for part in get_args(annotation))
    return next((kind for kind in sections if kind is not None), None)


def _holds_several(annotation: Any) -> bool:
    several = (dict, list, tuple)
    return any(get_origin(part) in several for part in (annotation, *get_args(annotation)))


def _fields_at(kind: type[BaseModel], location: tuple[Any, ...]) -> list[str]:
    """Return the keys that are valid beside the one at `location`."""
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
            allowed = _fields_at(kind, location)
            near = difflib.get_close_matches(str(location[-1]), allowed, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            beside = f" Keys there: {', '.join(allowed)}." if allowed else ""
            lines.append(f"{path}: unknown key {key!r}.{hint}{beside}")
        elif item["type"] == "missing":
            lines.append(f"{path}: the key {key!r} is missing")
        else:
            reason = item["msg"].removeprefix("Value error, ")
            found = f" (found {item['input']!r})" if not isinstance(item["input"], dict) else ""
            lines.append(f"{path}: {key}: {reason}{found}")
    return "\n".join(lines)


def validated(path: Path, kind: type[Model], content: Any) -> Model:
    """Return a file's content as an object of `kind`.

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
        raise UsageError(f"{path}: id is {card.id!r}, but the file is named {model!r}")
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
    return _edit(path, Params, changes)


def edit_card(model: str, changes: dict[str, Any], folder: Path = CARDS_FOLDER) -> ModelCard:
    """Write `changes` into the card of `model`, keeping its comments, and return the new card.

    Raises
    ------
    UsageError
        If there is no such card, or a new value is not allowed; the file is then left as it was.
    """
    load_card(model, folder)
    return _edit(folder / f"{model}.yaml", ModelCard, {(key,): x for key, x in changes.items()})


def _edit(path: Path, kind: type[Model], changes: dict[tuple[str, ...], Any]) -> Model:
    import io

    from ruamel.yaml import YAML

    editor = YAML()
    editor.preserve_quotes = True
    editor.width = 100
    editor.representer.add_representer(
        type(None),
        lambda representer, _: representer.represent_scalar("tag:yaml.org,2002:null", "null"),
    )
    content = editor.load(path.read_text(encoding="utf-8"))
    for keys, value in changes.items():
        section = content
        for key in keys[:-1]:
            section = section.setdefault(key, {})
        if not section and hasattr(section, "fa"):
            section.fa.set_block_style()  # or all that comes into {} stands on one line
        current = section.get(keys[-1])
        if isinstance(value, list | tuple) and hasattr(current, "fa"):
            if not current:
                current.fa.set_flow_style()  # or, emptied again, it is not valid YAML
            current[:] = list(value)  # in place, so that it stays in [flow, style]
        else:
            section[keys[-1]] = list(value) if isinstance(value, tuple) else value
    buffer = io.StringIO()
    editor.dump(content, buffer)
    with replacing(path) as partial:
        partial.write_text(buffer.getvalue(), encoding="utf-8")
        try:
            return _build(partial, kind)
        except UsageError as error:
            raise UsageError(str(error).replace(str(partial), str(path))) from error
