"""Reading params.yaml and cards, with messages for their errors; the workspace's paths."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from escalometer import resources
from escalometer.config._cards import ModelCard
from escalometer.config._params import AskParams, Params
from escalometer.config._store import DatabaseAddress
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
    store : Path or DatabaseAddress
        The completion store: a file, or a database of PostgreSQL.
    secrets : mapping of str to str
        The environment, for the keys that cards name; shown nowhere.
    run : str
        The id that all stages of one run share, so that their costs count together.
    retry : frozenset of str
        Outcomes whose kept answers are asked for again.
    retry_before : str or None
        Time, ISO 8601 in UTC, from which on kept answers are not asked for again.
    tracking : str or None
        MLflow's address; None for the project's own store.
    limits : mapping of str to Any
        Values of `ask` that hold for this run in place of those in params.yaml.
    """

    root: Path
    cache: Path
    store: Path | DatabaseAddress
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    run: str = ""
    retry: frozenset[str] = frozenset()
    retry_before: str | None = None
    tracking: str | None = None
    limits: Mapping[str, Any] = field(default_factory=dict)

    def with_limits(self, limits: Mapping[str, Any]) -> Workspace:
        """Return the workspace with further limits of this run, by key of `ask`."""
        return replace(self, limits={**self.limits, **limits})

    def asking(self, params: Params) -> AskParams:
        """Return the limits of requests in this run: its own, for the rest those of `params`.

        Raises
        ------
        UsageError
            If a value is not allowed.
        """
        if not self.limits:
            return params.ask
        limits = {**params.ask.model_dump(), **self.limits}
        return validated(Path("limits of this run"), AskParams, limits)


#: Where a card or a domain is from.
Origin: TypeAlias = Literal["built in", "own", "own, in place of a built-in one"]

Model = TypeVar("Model", bound=BaseModel)


def _read_yaml(path: Path, file: Traversable | None = None) -> Any:
    """Return the content of `file`, called `path` in messages."""
    try:
        return yaml.safe_load((file or path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageError(
            f"no project in {Path.cwd()} or above it: `escalometer init` creates one; profile, "
            "compare, gate and report also take a file of decisions"
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


def check_project(path: Path = PARAMS_FILE) -> None:
    """Refuse to go on outside of a project, for commands that write into one.

    Raises
    ------
    UsageError
        As `load_params`, for a file that is absent.
    """
    if not path.exists():
        _read_yaml(path)


def default_params() -> Params:
    """Return the built-in params.yaml."""
    path = Path(PARAMS_FILE.name)
    return validated(path, Params, _read_yaml(path, resources.resource(path.name)))


def params_or_defaults(path: Path = PARAMS_FILE) -> Params:
    """Return params.yaml; outside of a project the built-in one.

    Raises
    ------
    UsageError
        As `load_params`, but for a file that is absent.
    """
    return load_params(path) if path.exists() else default_params()


def model_names(folder: Path = CARDS_FOLDER) -> list[str]:
    """Return the ids of the model cards, built-in ones and the project's, alphabetically."""
    built_in = resources.files(resources.resource("models"), ".yaml")
    return sorted({*map(resources.stem, built_in), *yaml_names(folder)})


def yaml_names(folder: Path) -> list[str]:
    """Return the stems of the YAML files in a folder of the project, alphabetically.

    Raises
    ------
    UsageError
        If a file is named .yml, so that it would be overlooked beside, or instead of, a .yaml file.
    """
    for file in sorted(folder.glob("*.yml")):
        twin = file.with_suffix(".yaml")
        if twin.exists():
            raise UsageError(f"{twin} and {file} have the same name: remove one of them")
        raise UsageError(f"{file} would not be read: rename it to {twin.name}")
    return sorted(file.stem for file in folder.glob("*.yaml"))


def card_origin(model: str, folder: Path = CARDS_FOLDER) -> Origin:
    """Return where the card of `model` is from; a copy of a built-in card is a built-in one."""
    file, built_in = folder / f"{model}.yaml", resources.resource("models", f"{model}.yaml")
    if not built_in.is_file():
        return "own"
    if not file.exists() or file.read_bytes() == built_in.read_bytes():
        return "built in"
    return "own, in place of a built-in one"


def load_card(model: str, folder: Path = CARDS_FOLDER) -> ModelCard:
    """Return the card of `model`: the project's own, or else the built-in one.

    Raises
    ------
    UsageError
        If there is no such card, or it has a key or value that it may not have.
    """
    if model not in model_names(folder):
        raise unknown_name("model", model, model_names(folder))
    path = folder / f"{model}.yaml"
    file = path if path.exists() else resources.resource("models", path.name)
    card = validated(path, ModelCard, _read_yaml(path, file))
    if card.id != model:
        raise UsageError(f"{path}: id is {card.id!r}, but the file is named {model!r}")
    return card


def differing(params: Params, changes: Mapping[tuple[str, ...], Any]) -> dict[tuple[str, ...], Any]:
    """Return those of `changes`, as `edit_params` takes them, that are not in `params` already."""
    content = params.model_dump(mode="json")

    def value(keys: tuple[str, ...]) -> Any:
        found: Any = content
        for key in keys:
            found = found[key]
        return found

    return {keys: new for keys, new in changes.items() if value(keys) != new}


def with_changes(params: Params, changes: Mapping[tuple[str, ...], Any]) -> Params:
    """Return parameters with changes, as `edit_params` takes them; no file is written.

    Raises
    ------
    UsageError
        If a new value is not allowed.
    """
    content = params.model_dump(mode="json")
    for keys, value in changes.items():
        section = content
        for key in keys[:-1]:
            section = section[key]
        section[keys[-1]] = list(value) if isinstance(value, tuple) else value
    return validated(PARAMS_FILE, Params, content)


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
    adopt_card(model, folder)
    return _edit(folder / f"{model}.yaml", ModelCard, {(key,): x for key, x in changes.items()})


def adopt_card(model: str, folder: Path = CARDS_FOLDER) -> None:
    """Copy a built-in card into the project, unless the project has one of that name.

    The stages of a model depend on its card, so it must be among the project's files.
    """
    path = folder / f"{model}.yaml"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial:
            partial.write_bytes(resources.resource("models", path.name).read_bytes())


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
