"""The wording of a user's conditions: features' phrases, and column names in SQL."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from itertools import pairwise

from escalometer.cases.features import Feature
from escalometer.cases.own_domain.columns import Column, Problem
from escalometer.cases.own_domain.spec import PHRASES, Kind
from escalometer.cases.own_domain.spec import Feature as StatedFeature

#: The approximate number of thresholds in a number's usual range, where no step is given.
N_STEPS = 20

_COUNTER = re.compile(r"(^|[^a-z])(id|no|nr|nummer|number|key|index|row)$", re.IGNORECASE)
_TOKEN = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|[^\W\d]\w*|\s+|.", re.DOTALL)
_KEYWORDS = frozenset(
    re.findall(
        r"\w+",
        "and or not in is null like ilike between case when then else end true false cast as",
    )
)


def feature(column: Column, stated: StatedFeature, texts: Sequence[str]) -> Feature | Problem:
    """Return the feature of a column, or the problem with it.

    Parameters
    ----------
    column : Column
        The inferred column.
    stated : Feature
        The YAML file's entry for it.
    texts : sequence of str
        The column's values in the file.
    """
    kind = _kind(column, stated)
    if isinstance(kind, Problem):
        return kind
    usable = [key for key, (_, kinds) in PHRASES.items() if kind in kinds]
    wrong = [key for key in PHRASES if stated.phrase(key) and key not in usable]
    if wrong:
        return Problem(
            f"Feature {column.name!r} contains {_HOLDS[kind]}, for which `{wrong[0]}` is not "
            "allowed.",
            f"Allowed are {', '.join(f'`{key}`' for key in usable)}; `kind` declares another kind.",
        )
    noun = (stated.name or as_words(column.name)).replace("{", "{{").replace("}", "}}")
    yes, no, between = _phrases(kind, noun, stated)
    step = stated.step or (_step(column, texts) if kind == "number" else 1.0)
    return Feature(column.staged, kind, yes, no, between, step)


_HOLDS = {
    "number": "numbers",
    "boolean": "yes or no",
    "category": "a few different values",
    "words": "free text",
}


def _kind(column: Column, stated: StatedFeature) -> Kind | Problem:
    if column.kind == "date":
        return Problem(
            f"Feature {column.name!r} contains dates; conditions are not learned from dates.",
            "Add a column with the relevant number, e.g. days since the order, or remove the "
            "feature.",
        )
    if column.kind != "text":
        return column.kind
    if stated.kind == "words":
        return "words"
    return Problem(
        f"Feature {column.name!r} contains text with few repeated values.",
        "Declare `kind: words` to search for single words in it, or remove the feature.",
    )


def as_words(name: str) -> str:
    """Return a column's name as words: ``"months_left"`` and ``"monthsLeft"`` alike."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])", " ", name.replace("_", " "))
    return words.lower() if words.count(" ") > name.replace("_", " ").count(" ") else words


def _phrases(kind: Kind, noun: str, stated: StatedFeature) -> tuple[str, str, str]:
    """Return the phrases for yes, no and between: those of the file, else plain ones."""
    if kind == "number":
        bound_wording = stated.at_least or stated.below
        between = "" if bound_wording else f"{noun} is {{low}} to under {{high}}"
        return (
            stated.at_least or f"{noun} is {{value}} or more",
            stated.below or f"{noun} is under {{value}}",
            stated.between or between,
        )
    if kind == "category":
        yes = stated.is_ or f"{noun} is {{value}}"
        last = " is {value}" if " is {value}" in yes else " is "
        negated = yes.replace(last, last.replace(" is ", " is not "), 1)
        no = stated.is_not or (negated if negated != yes else f"{noun} is not {{value}}")
        return yes, no, ""
    if kind == "words":
        return (
            stated.has or f"{noun} has the word '{{value}}'",
            stated.has_not or f"{noun} does not have the word '{{value}}'",
            "",
        )
    plain = noun.replace("{{", "{").replace("}}", "}")
    return stated.yes or f"{plain} is yes", stated.no or f"{plain} is no", ""


def _step(column: Column, texts: Sequence[str]) -> float:
    """Return a round step (1, 2 or 5 times a power of ten) for the middle of the numbers."""
    values = sorted(v for v in column.parse(texts) if v is not None)
    smallest = 10.0**-column.decimals
    if not values:
        return smallest
    low, high = values[len(values) // 20], values[-1 - len(values) // 20]
    rough = max((high - low) / N_STEPS, smallest)
    power = 10.0 ** math.floor(math.log10(rough))
    step = max(power * m for m in (1, 2, 5) if power * m <= rough * (1 + 1e-9))
    return float(f"{max(step, smallest):.6g}")


def is_counter(column: Column, texts: Sequence[str]) -> bool:
    """Return true if a column only numbers the rows."""
    values = [v for v in column.parse(texts) if v is not None]
    if column.kind != "number" or column.decimals or len(values) < 2:
        return False
    if len(set(values)) < len(values):
        return False
    return bool(_COUNTER.search(column.name)) or all(a < b for a, b in pairwise(values))


def condition_columns(
    sql: str, names: Sequence[str], staged: Callable[[str], str]
) -> tuple[str, list[str]]:
    """Return an SQL expression in the staged table's names, and the columns that it mentions.

    Parameters
    ----------
    sql : str
        The expression, in the file's names, ignoring case; names that are no plain words are in
        double quotes.
    names : sequence of str
        The file's columns.
    staged : callable
        Gives the staged name of a column.
    """
    name_of = {name.casefold(): name for name in names if name}
    tokens = _TOKEN.findall(sql)
    pieces: list[str] = []
    mentioned: list[str] = []
    for place, token in enumerate(tokens):
        is_quoted = token.startswith('"')
        bare = token[1:-1].replace('""', '"') if is_quoted else token
        is_name = is_quoted or bool(re.match(r"[^\W\d]", token))
        following = next((t for t in tokens[place + 1 :] if t.strip()), "")
        is_word = not is_quoted and (bare.casefold() in _KEYWORDS or following == "(")
        if is_name and not is_word and bare.casefold() in name_of:
            name = name_of[bare.casefold()]
            mentioned.append(name)
            token = '"' + staged(name).replace('"', '""') + '"'
        pieces.append(token)
    return "".join(pieces), list(dict.fromkeys(mentioned))
