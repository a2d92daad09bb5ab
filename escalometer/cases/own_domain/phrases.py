"""How the signals of a domain of one's own speak: features' phrases, and columns in SQL."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from itertools import pairwise

from escalometer.cases.learned_conditions import Feature
from escalometer.cases.own_domain.columns import Column, Problem
from escalometer.cases.own_domain.spec import PHRASES, Kind
from escalometer.cases.own_domain.spec import Feature as Said

#: About how many thresholds a number's usual range is cut into, where no step is given.
N_STEPS = 20

_COUNTER = re.compile(r"(^|[^a-z])(id|no|nr|nummer|number|key|index|row)$", re.IGNORECASE)
_TOKEN = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|[^\W\d]\w*|\s+|.", re.DOTALL)
_KEYWORDS = frozenset(
    re.findall(
        r"\w+",
        "and or not in is null like ilike between case when then else end true false cast as",
    )
)


def feature(column: Column, said: Said, texts: Sequence[str]) -> Feature | Problem:
    """Return the feature of a column, or what is wrong with it.

    Parameters
    ----------
    column : Column
        What the column holds.
    said : Feature
        What the YAML file says of it.
    texts : sequence of str
        The column's values in the file.
    """
    kind = _kind(column, said)
    if isinstance(kind, Problem):
        return kind
    usable = [key for key, (_, kinds) in PHRASES.items() if kind in kinds]
    wrong = [key for key in PHRASES if said.phrase(key) and key not in usable]
    if wrong:
        return Problem(
            f"Feature {column.name!r} holds {_HOLDS[kind]}, for which there is no `{wrong[0]}`.",
            f"It takes {', '.join(f'`{key}`' for key in usable)}; `kind` says that it holds "
            "something else.",
        )
    noun = (said.name or spelt(column.name)).replace("{", "{{").replace("}", "}}")
    yes, no, between = _phrases(kind, noun, said)
    step = said.step or (_step(column, texts) if kind == "number" else 1.0)
    return Feature(column.staged, kind, yes, no, between, step)


_HOLDS = {
    "number": "numbers",
    "boolean": "yes or no",
    "category": "a few different values",
    "words": "free text",
}


def _kind(column: Column, said: Said) -> Kind | Problem:
    if column.kind == "date":
        return Problem(
            f"Feature {column.name!r} holds dates, of which no condition is learned.",
            "Put what matters about them into a column of its own, such as days since the order, "
            "or leave the feature out.",
        )
    if column.kind != "text":
        return column.kind
    if said.kind == "words":
        return "words"
    return Problem(
        f"Feature {column.name!r} holds text in which hardly a value comes twice.",
        "Say `kind: words` to look for single words in it, or leave the feature out.",
    )


def spelt(name: str) -> str:
    """Return a column's name as words: ``"months_left"`` and ``"monthsLeft"`` alike."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])", " ", name.replace("_", " "))
    return words.lower() if words.count(" ") > name.replace("_", " ").count(" ") else words


def _phrases(kind: Kind, noun: str, said: Said) -> tuple[str, str, str]:
    """Return the phrases for yes, no and between: those of the file, else plain ones."""
    if kind == "number":
        own = said.at_least or said.below
        between = "" if own else f"{noun} is {{low}} to under {{high}}"
        return (
            said.at_least or f"{noun} is {{value}} or more",
            said.below or f"{noun} is under {{value}}",
            said.between or between,
        )
    if kind == "category":
        yes = said.is_ or f"{noun} is {{value}}"
        last = " is {value}" if " is {value}" in yes else " is "
        other = yes.replace(last, last.replace(" is ", " is not "), 1)
        no = said.is_not or (other if other != yes else f"{noun} is not {{value}}")
        return yes, no, ""
    if kind == "words":
        return (
            said.has or f"{noun} has the word '{{value}}'",
            said.has_not or f"{noun} does not have the word '{{value}}'",
            "",
        )
    plain = noun.replace("{{", "{").replace("}}", "}")
    return said.yes or f"{plain} is yes", said.no or f"{plain} is no", ""


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
    """Return whether a column only numbers the rows."""
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
        The expression, in the file's names; case does not matter, and names that are no plain
        words stand in double quotes.
    names : sequence of str
        The file's columns.
    staged : callable
        Gives the staged name of a column.
    """
    known = {name.casefold(): name for name in names if name}
    tokens = _TOKEN.findall(sql)
    made: list[str] = []
    found: list[str] = []
    for place, token in enumerate(tokens):
        is_quoted = token.startswith('"')
        bare = token[1:-1].replace('""', '"') if is_quoted else token
        is_name = is_quoted or bool(re.match(r"[^\W\d]", token))
        following = next((t for t in tokens[place + 1 :] if t.strip()), "")
        is_word = not is_quoted and (bare.casefold() in _KEYWORDS or following == "(")
        if is_name and not is_word and bare.casefold() in known:
            name = known[bare.casefold()]
            found.append(name)
            token = '"' + staged(name).replace('"', '""') + '"'
        made.append(token)
    return "".join(made), list(dict.fromkeys(found))
