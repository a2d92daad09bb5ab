"""Policies: a file that decides whether a prediction is implemented or escalated.

The file is written by `escalometer policy export`; this module reads it and decides. It needs the
standard library alone, and no other module of escalometer: it can be copied into a service.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

#: Name and newest version of the format that this module reads.
FORMAT, VERSION = "escalometer policy", 1

#: What a decision can be.
ACT, ESCALATE = "act", "escalate"

#: By the name in the file: whether the model's own action decides, whether the external threshold
#: does, and whether one of them is enough to act.
_PARTS = {
    "own": (True, False, False),
    "external": (False, True, False),
    "own_and_external": (True, True, False),
    "own_or_external": (True, True, True),
    "always_escalate": (False, False, False),
}
#: The score that is the accuracy of the condition, as it was measured.
_BY_CONDITION = "condition_accuracy"
_SCORES = ("stated_confidence", "prediction_probability", _BY_CONDITION)
#: Actions of a model: words, or the digit after its marker.
_OWN = {"act": True, "implement": True, "escalate": False}
_DAY = 86_400
_MOST_BYTES = 64 * 2**20


class PolicyError(ValueError):
    """A file that is no policy, was changed after its export, or is of a newer format."""


class Decision(NamedTuple):
    """A decision and its reason.

    Attributes
    ----------
    action : str
        ``"act"`` (implement the prediction) or ``"escalate"`` (to the person).
    reason : str
        The reason in words.
    """

    action: str
    reason: str


def digest(content: Mapping[str, Any]) -> str:
    """Return the digest of a policy: sha256 of its canonical JSON without the key ``digest``.

    Canonical: keys sorted, no spaces, UTF-8. It shows changes of the file; it is no signature of a
    person, since anybody can compute it.
    """
    kept = {name: value for name, value in content.items() if name != "digest"}
    text = json.dumps(
        kept, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def prompts_digest(wordings: Iterable[str]) -> str:
    """Return the digest of the tasks in prompts, each once, in any order.

    Parameters
    ----------
    wordings : iterable of str
        The last paragraph of each prompt of the protocol: the task, without the scenario.
    """
    text = "\n".join(sorted(set(wordings)))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def load(path: str | Path) -> Policy:
    """Return the policy in a file.

    Raises
    ------
    PolicyError
        If it is no policy, its digest does not match, or its format is newer than this module.
    OSError
        If the file cannot be read.
    """
    file = Path(path)
    data = file.read_bytes()
    try:
        if len(data) > _MOST_BYTES:
            raise PolicyError(f"{len(data):,} bytes are too many for a policy")
        return Policy(_parsed(data))
    except PolicyError as error:
        raise PolicyError(f"{file}: {error}") from error


def loads(text: str | bytes) -> Policy:
    """Return the policy in a JSON text; errors as of `load`."""
    return Policy(_parsed(text.encode() if isinstance(text, str) else text))


class Policy:
    """A policy, ready to decide.

    Parameters
    ----------
    content : mapping
        The JSON document, as `escalometer policy export` writes it.

    Raises
    ------
    PolicyError
        As of `load`.
    """

    def __init__(self, content: Mapping[str, Any]) -> None:
        _check_origin(content)
        self.content = content
        try:
            self._prepare(content)
        except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
            raise PolicyError(f"its content is not that of a policy: {error!r}") from error

    def _prepare(self, content: Mapping[str, Any]) -> None:
        rule = content["rule"]
        self.decides: str = rule["decides"]
        self.score: str | None = rule["score"]
        self._asks_own, asks_external, self._is_either = _PARTS[self.decides]
        self._by_condition = asks_external and self.score == _BY_CONDITION
        self._by_score = asks_external and not self._by_condition
        if asks_external and self.score not in _SCORES:
            raise ValueError(f"unknown score {self.score!r}")
        least = _ratio(rule["threshold"]) if asks_external else (0, 1)
        self._starts: list[float] = []
        self._steps: list[tuple[bool, str]] = []
        if self._by_score:
            self._starts = [_real(start) for start in rule["steps"]["starts"]]
            counts = [_counts(pair) for pair in rule["steps"]["counts"]]
            if len(counts) != len(self._starts) + 1 or self._starts != sorted(self._starts):
                raise ValueError("steps must be in order, with one more count than starts")
            self._steps = [_compared(k, n, least, "the recalibrated accuracy") for k, n in counts]
        self._always = "the policy escalates every decision: " + _text(rule["reason"])
        self.conditions: dict[tuple[str, str], tuple[bool, str]] = {}
        self._named: dict[str, set[tuple[str, str]]] = {}
        for row in content["conditions"]:
            domain, name = key = _text(row["domain"]), _text(row["condition"])
            if key in self.conditions:
                raise ValueError(f"condition {domain}/{name} is there twice")
            what = f"the accuracy of {domain}/{name}"
            self.conditions[key] = _compared(*_counts(row["fitted"], least_n=0), least, what)
            for text in (name, f"{domain}/{name}"):
                self._named.setdefault(text, set()).add(key)
        resolved = [_text(name) for name in content["resolved_models"]]
        self.versions = frozenset(resolved)
        self.models = frozenset([_text(content["model"]), *resolved])
        prompts = content["digests"]["prompts"]
        self.prompts = None if prompts is None else _text(prompts)
        #: Share of the cases on which it acts that a person judges, too: `escalometer.ledger`.
        self.audit_rate = _real(content.get("audit_rate", 0.0))
        if not 0 <= self.audit_rate < 1:
            raise ValueError("audit_rate must be in [0, 1)")
        self.expires_at: str = _text(content["expires_at"])
        self._expires = _moment(datetime.fromisoformat(self.expires_at))
        # With a clock that is a day behind the export, expiry cannot be judged.
        created = datetime.fromisoformat(_text(content["created_at"]))
        self._earliest = _moment(created) - _DAY
        if not self._earliest < self._expires:
            raise ValueError("created_at and expires_at must be moments with time zones, in order")

    def decide(
        self,
        condition: Any = None,
        confidence: Any = None,
        own_action: Any = None,
        model: Any = None,
        *,
        domain: Any = None,
        version: Any = None,
        prompt_digest: Any = None,
        now: Any = None,
    ) -> Decision:
        """Return act or escalate, and the reason; raises nothing, whatever is passed.

        Parameters
        ----------
        condition : str
            The condition of the case: its name, or ``domain/name`` where several domains have it.
        confidence : float, optional
            The score that the policy reads (`score`), in [0, 1].
        own_action : {"act", "implement", "escalate", 0, 1}, optional
            The model's own action; the digits are those after its marker: 1 escalates.
        model : str
            The model that predicted: the policy's, or a name that answered under it.
        domain : str, optional
            The domain of the condition.
        version : str, optional
            The version of the model that answered, where the provider says so.
        prompt_digest : str, optional
            `prompts_digest` of the prompts in use.
        now : datetime with a time zone or float, optional
            The moment of the decision, a number in seconds since 1970; the clock's by default.

        Returns
        -------
        Decision
            Escalate where anything is unknown, missing or not valid.
        """
        problem = self._origin_problem(model, version, prompt_digest, now)
        if problem is not None:
            return Decision(ESCALATE, problem)
        keys = self._keys(condition, domain)
        row = self.conditions.get(next(iter(keys))) if len(keys) == 1 else None
        if row is None:
            return Decision(ESCALATE, _SEVERAL if len(keys) > 1 else _UNKNOWN)
        if confidence is not None:
            if type(confidence) is not float and issubclass(type(confidence), float):
                confidence = float.__float__(confidence)  # numpy's, without its own comparisons
            if not (type(confidence) in (float, int) and 0 <= confidence <= 1):
                return Decision(ESCALATE, "the confidence is no number from 0 to 1")
        own: bool | None = None
        if own_action is not None or self._asks_own:
            own = _own(own_action)
            if own is None:
                return Decision(ESCALATE, "the model's own action is missing or unknown")
        return self._by_rule(own, confidence, row)

    def _by_rule(self, own: bool | None, confidence: Any, row: tuple[bool, str]) -> Decision:
        """Return the decision on valid values."""
        if self._by_score:
            if confidence is None:
                return Decision(ESCALATE, f"the {self.score} is missing")
            is_acting, reason = self._steps[bisect_right(self._starts, confidence)]
        elif self._by_condition:
            is_acting, reason = row
        elif self._asks_own:
            return _OWN_ALONE[bool(own)]
        else:
            return Decision(ESCALATE, self._always)
        if not self._asks_own:
            return Decision(ACT if is_acting else ESCALATE, reason)
        chosen = own or is_acting if self._is_either else own and is_acting
        words = f"{reason}; the model's own action is to {'implement' if own else 'escalate'}"
        return Decision(ACT if chosen else ESCALATE, words)

    def _origin_problem(self, model: Any, version: Any, prompts: Any, now: Any) -> str | None:
        """Return the reason that the policy does not hold for a model, prompt or moment."""
        if type(model) is not str or model not in self.models:
            return f"the policy is for {self.content['model']}, not for this model"
        if version is not None and (type(version) is not str or version not in self.versions):
            return "the policy does not know this version of the model"
        if prompts is not None and (type(prompts) is not str or prompts != self.prompts):
            return "the policy does not know these prompts"
        moment = time.time() if now is None else _moment(now)
        if not moment < self._expires:  # also where it is not a number
            return f"the policy expired at {self.expires_at}, or the moment is not valid"
        if moment < self._earliest:
            return "the clock is before the export of the policy"
        return None

    def _keys(self, condition: Any, domain: Any) -> Collection[tuple[str, str]]:
        """Return the conditions that may be meant."""
        if type(condition) is not str:
            return ()
        if domain is None:
            return self._named.get(condition, ())
        return ((domain, condition),) if type(domain) is str else ()


_UNKNOWN = "the condition is missing, or the policy has no evidence of it"
_SEVERAL = "several domains have this condition: name it as domain/condition"
_OWN_ALONE = {
    True: Decision(ACT, "the model's own action is to implement"),
    False: Decision(ESCALATE, "the model's own action is to escalate"),
}


def _parsed(data: bytes) -> Mapping[str, Any]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise PolicyError("a key is there twice")
        return found

    def refused(name: str) -> Any:
        raise PolicyError(f"{name} is no number of JSON")

    try:
        content = json.loads(data, object_pairs_hook=once, parse_constant=refused)
    except (ValueError, RecursionError) as error:
        raise PolicyError(f"it is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise PolicyError("it is not a JSON object")
    return content


def _check_origin(content: Mapping[str, Any]) -> None:
    """Refuse another format, a newer version, and a digest that does not match."""
    if content.get("format") != FORMAT:
        raise PolicyError(f"it is no policy: its format is not {FORMAT!r}")
    version = content.get("format_version")
    if type(version) is not int or version < 1:
        raise PolicyError("its format_version is no number from 1 on")
    if version > VERSION:
        raise PolicyError(
            f"its format has version {version}, and this escalometer reads {VERSION}: update it"
        )
    try:
        expected = digest(content)
    except (TypeError, ValueError, RecursionError) as error:
        raise PolicyError(f"it has no digest: {error}") from error
    if content.get("digest") != expected:
        raise PolicyError(
            "its digest does not match its content: the file was changed after its export; "
            "export it again"
        )


def _compared(k: int, n: int, least: tuple[int, int], what: str) -> tuple[bool, str]:
    """Return whether k of n reaches a threshold, in whole numbers, and that in words."""
    numerator, denominator = least
    if n == 0:
        return False, f"{what} is unknown: no dialogue"
    is_reached = k * denominator >= n * numerator
    sign = "at least" if is_reached else "below"
    words = f"{what}, {k} of {n}, is {sign} the threshold {numerator}/{denominator}"
    return is_reached, f"{words} ({100 * numerator / denominator:.1f}%)"


def _own(action: Any) -> bool | None:
    """Return whether the model implements, None where its action is no action."""
    if type(action) is str:
        return _OWN.get(action)
    return action == 0 if type(action) is int and action in (0, 1) else None


def _moment(now: Any) -> float:
    """Return seconds since 1970, NaN for what is no moment."""
    if type(now) is datetime and now.tzinfo is not None:
        try:
            return now.timestamp()
        except (ValueError, OverflowError):
            return math.nan
    return float(now) if type(now) in (int, float) and abs(now) < 1e18 else math.nan


def _ratio(pair: Mapping[str, Any]) -> tuple[int, int]:
    numerator, denominator = pair["numerator"], pair["denominator"]
    if type(numerator) is not int or type(denominator) is not int or denominator < 1:
        raise ValueError("a threshold needs two whole numbers")
    return numerator, denominator


def _counts(pair: Any, least_n: int = 1) -> tuple[int, int]:
    k, n = pair
    if type(k) is not int or type(n) is not int or not 0 <= k <= n or n < least_n:
        raise ValueError(f"counts must be k of n, found {pair!r}")
    return k, n


def _real(value: Any) -> float:
    if type(value) not in (float, int) or not math.isfinite(value):
        raise ValueError(f"{value!r} is no number")
    return float(value)


def _text(value: Any) -> str:
    if type(value) is not str:
        raise TypeError(f"{value!r} is no text")
    return value
