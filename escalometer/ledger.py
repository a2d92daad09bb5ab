"""The ledger: what a policy decided in service, with propensities, and the labels that came later.

One SQLite file that many processes write. Rows are added and never changed. The module needs the
standard library alone, and can be copied into a service together with `escalometer.policy`.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import math
import secrets
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, Protocol

#: What a decision can be.
ACT, ESCALATE = "act", "escalate"

#: Seconds that a writer waits for another one.
_PATIENCE_S = 60
#: How far a clock may be ahead.
_MOST_AHEAD = timedelta(days=1)
_OWN_ACTIONS = ("implement", "escalate")

_STATEMENTS = (
    """
    create table if not exists about (name text primary key, value text not null)
    """,
    """
    create table if not exists decisions (
        seq integer primary key, case_id text not null, policy text not null, time text not null,
        model text not null, resolved_model text, domain text not null, condition text not null,
        signal_accuracy real, has_signal integer, confidence real, own_action text,
        prediction integer, decision text not null check (decision in ('act', 'escalate')),
        reason text not null, propensity real not null check (propensity between 0 and 1),
        is_audited integer not null check (is_audited in (0, 1)), unique (case_id, policy)
    )
    """,
    """
    create table if not exists outcomes (
        seq integer primary key, case_id text not null unique, label integer not null,
        time text not null, source text
    )
    """,
    *(
        f"""
        create trigger if not exists {table}_{word} before {word} on {table}
        begin select raise(abort, 'rows of the ledger are never changed'); end
        """
        for table in ("decisions", "outcomes")
        for word in ("update", "delete")
    ),
)

_DECISIONS = """
    select
        case_id, policy, time, model, domain, condition, decision, reason, propensity, is_audited,
        prediction, resolved_model, signal_accuracy, has_signal, confidence, own_action
    from decisions
"""
_ALL_DECISIONS = _DECISIONS + "order by seq"
_DECISION = _DECISIONS + "where case_id = ? and policy = ?"
_ADD_DECISION = """
    insert into decisions (
        case_id, policy, time, model, domain, condition, decision, reason, propensity, is_audited,
        prediction, resolved_model, signal_accuracy, has_signal, confidence, own_action
    ) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_ADD_OUTCOME = """
    insert or ignore into outcomes (case_id, label, time, source) values (?, ?, ?, ?)
"""
_OUTCOMES = "select case_id, label, time, source from outcomes order by seq"


class LedgerError(ValueError):
    """Rows that the ledger refuses, by their places: nothing of them was written.

    Attributes
    ----------
    problems : list of tuple of (int, str)
        Place of a row in what was given, from 0, and what is wrong with it.
    """

    def __init__(self, problems: Sequence[tuple[int, str]]) -> None:
        self.problems = list(problems)
        super().__init__("; ".join(words for _, words in self.problems))


class DecidedCase(NamedTuple):
    """A row of the ledger: one decision of a policy on one case.

    Attributes
    ----------
    case_id : str
        Name of the case, unique for each policy.
    policy : str
        Digest of the policy.
    time : str
        When it was decided: ISO 8601 in UTC.
    model, domain, condition : str
    decision : {"act", "escalate"}
    reason : str
    propensity : float
        Probability with which the case goes to a person: 1 if escalated, else the audit rate.
    is_audited : bool
        True for a case on which the policy acts and that goes to a person all the same.
    prediction : int, optional
        Of the model; an acted case needs one.
    resolved_model, signal_accuracy, has_signal, confidence, own_action : optional
    """

    case_id: str
    policy: str
    time: str
    model: str
    domain: str
    condition: str
    decision: str
    reason: str
    propensity: float
    is_audited: bool
    prediction: int | None = None
    resolved_model: str | None = None
    signal_accuracy: float | None = None
    has_signal: bool | None = None
    confidence: float | None = None
    own_action: str | None = None

    @property
    def needs_person(self) -> bool:
        """True if a person is asked: the case is escalated or audited."""
        return self.decision == ESCALATE or self.is_audited


class Outcome(NamedTuple):
    """The label that a person gave a case, and when."""

    case_id: str
    label: int
    time: str
    source: str | None = None


class _Policy(Protocol):
    """The part of `escalometer.policy.Policy` that the ledger uses."""

    content: Mapping[str, Any]
    audit_rate: float


class _Decision(Protocol):
    """The part of `escalometer.policy.Decision` that the ledger uses."""

    @property
    def action(self) -> str: ...
    @property
    def reason(self) -> str: ...


class Ledger:
    """A ledger in a file, which is made where it does not exist.

    Parameters
    ----------
    path : str or Path
        The SQLite file; on a local disk, since several processes share it (WAL).
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._writing() as connection:
            for statement in _STATEMENTS:
                connection.execute(statement)
            new = ("audit_key", secrets.token_hex(32))
            connection.execute("insert or ignore into about values (?, ?)", new)
            found = connection.execute("select value from about where name = 'audit_key'")
            self._key = bytes.fromhex(found.fetchone()[0])

    def draw(self, policy: str, case_id: str) -> float:
        """Return a number in [0, 1) that is random to who lacks the file, the same for each retry.

        Parameters
        ----------
        policy : str
            Digest of the policy.
        case_id : str
        """
        text = f"{policy}\0{case_id}".encode()
        number = hmac.new(self._key, text, hashlib.sha256).digest()
        return (int.from_bytes(number[:7], "big") >> 3) / 2**53

    def record(
        self,
        policy: _Policy,
        decision: _Decision,
        *,
        case_id: str,
        model: str,
        domain: str,
        condition: str,
        prediction: int | None = None,
        now: datetime | None = None,
        **about: Any,
    ) -> DecidedCase:
        """Return the row of a decision once it is on the disk, with the draw of the audit.

        Parameters
        ----------
        policy : Policy
            The policy that decided; its `audit_rate` is the probability of an audit.
        decision : Decision
            What it decided.
        case_id, model, domain, condition : str
        prediction : int, optional
            Of the model; an acted case needs one.
        now : datetime with a time zone, optional
            The clock's by default.
        **about
            Further columns: resolved_model, signal_accuracy, has_signal, confidence, own_action.

        Returns
        -------
        DecidedCase
            Ask a person if its `needs_person` is true. For a case that the ledger has already, the
            row that is there: a retry is not audited anew.

        Raises
        ------
        LedgerError
            If the row is not valid, or the ledger has another decision on this case.
        """
        digest = str(policy.content["digest"])
        is_acted = decision.action == ACT
        rate = policy.audit_rate if is_acted else 1.0
        row = DecidedCase(
            case_id=case_id, policy=digest, time=in_utc(now or datetime.now(UTC)), model=model,
            domain=domain, condition=condition, decision=decision.action, reason=decision.reason,
            propensity=rate, is_audited=is_acted and self.draw(digest, case_id) < rate,
            prediction=prediction, **about,
        )  # fmt: skip
        self.add([row], ignores_time=now is None)
        with self._reading() as connection:
            return next(_decided(connection, _DECISION, (case_id, digest)))

    def add(self, rows: Iterable[DecidedCase], ignores_time: bool = False) -> int:
        """Return how many decisions are new, once all of them are on the disk.

        Rows may come in any order of their times. One that is there already is left out.

        Parameters
        ----------
        rows : iterable of DecidedCase
        ignores_time : bool
            True if a row that differs in its time alone is the same.

        Raises
        ------
        LedgerError
            If a row is not valid, or differs from what the ledger has on the same case and policy.
        """
        given = list(rows)
        problems = [(i, words) for i, row in enumerate(given) if (words := _problem(row))]
        if problems:
            raise LedgerError(problems)
        with self._writing() as connection:
            n_before = connection.total_changes
            for i, row in enumerate(given):
                there = next(_decided(connection, _DECISION, (row.case_id, row.policy)), None)
                if there is None:
                    connection.execute(_ADD_DECISION, row)
                    continue
                names = _differing(there, row, {"time"} if ignores_time else set())
                if names:
                    words = "is in the ledger with another"
                    problems.append((i, f"case {row.case_id!r} {words} {', '.join(names)}"))
            if problems:
                raise LedgerError(problems)
            return connection.total_changes - n_before

    def join(self, rows: Iterable[Outcome]) -> int:
        """Return how many outcomes are new, once all of them are on the disk.

        Raises
        ------
        LedgerError
            If a case was never decided, its outcome is earlier than its decision, a row is not
            valid, or the ledger has another outcome of the case.
        """
        given = list(rows)
        problems: list[tuple[int, str]] = []
        with self._writing() as connection:
            n_before = connection.total_changes
            for i, row in enumerate(given):
                words = _outcome_problem(connection, row)
                if words:
                    problems.append((i, words))
                    continue
                connection.execute(_ADD_OUTCOME, row)
            if problems:
                raise LedgerError(problems)
            return connection.total_changes - n_before

    def decisions(self) -> Iterator[DecidedCase]:
        """Yield decisions, in the order in which they were added."""
        with self._reading() as connection:
            yield from _decided(connection, _ALL_DECISIONS)

    def outcomes(self) -> Iterator[Outcome]:
        """Yield outcomes, in the order in which they were joined."""
        with self._reading() as connection:
            for row in connection.execute(_OUTCOMES):
                yield Outcome(*row)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self.path, timeout=_PATIENCE_S, isolation_level=None)
        try:
            yield connection
        finally:
            connection.close()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection inside of one transaction, which is undone if the block raises."""
        with self._reading() as connection:
            connection.execute("pragma journal_mode = wal")
            connection.execute("pragma synchronous = full")  # on the disk before the caller acts
            connection.execute("begin immediate")
            try:
                yield connection
            except BaseException:
                connection.execute("rollback")
                raise
            connection.execute("commit")


def in_utc(moment: datetime) -> str:
    """Return a moment as the ledger writes it: ISO 8601 in UTC, with microseconds.

    Raises
    ------
    LedgerError
        If it has no time zone.
    """
    if moment.tzinfo is None:
        raise LedgerError([(0, f"the time {moment} has no time zone")])
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def _decided(
    connection: sqlite3.Connection, statement: str, values: Sequence[str] = ()
) -> Iterator[DecidedCase]:
    for row in connection.execute(statement, values):
        found = DecidedCase(*row)
        signal = None if found.has_signal is None else bool(found.has_signal)
        yield found._replace(is_audited=bool(found.is_audited), has_signal=signal)


def _differing(there: DecidedCase, row: DecidedCase, ignored: set[str]) -> list[str]:
    found, given = there._asdict(), row._asdict()
    return [name for name in found if name not in ignored and found[name] != given[name]]


def _problem(row: DecidedCase) -> str | None:
    """Return what is wrong with a decision, None if nothing is."""
    for name in ("case_id", "policy", "model", "domain", "condition"):
        if type(getattr(row, name)) is not str or not getattr(row, name):
            return f"{name} must be a text, found {getattr(row, name)!r}"
    what = f"case {row.case_id!r}"
    if row.decision not in (ACT, ESCALATE):
        return f"{what}: decision must be act or escalate, found {row.decision!r}"
    for name in ("propensity", "confidence", "signal_accuracy"):
        value = getattr(row, name)
        if value is None and name != "propensity":
            continue
        if type(value) not in (int, float) or not (math.isfinite(value) and 0 <= value <= 1):
            return f"{what}: {name} must be in [0, 1], found {value!r}"
    if row.decision == ESCALATE and (row.propensity != 1 or row.is_audited):
        return f"{what} is escalated: its propensity is 1, and it is not audited"
    if row.decision == ACT and row.prediction is None:
        return f"{what} is acted on without a prediction"
    if row.is_audited and row.propensity == 0:
        return f"{what} is audited, with propensity 0"
    if row.decision == ACT and row.propensity == 1 and not row.is_audited:
        return f"{what} is not audited, with propensity 1"
    if row.prediction is not None and (type(row.prediction) is not int or row.prediction < 0):
        return f"{what}: prediction must be a whole number from 0 on, found {row.prediction!r}"
    if row.own_action not in (None, *_OWN_ACTIONS):
        return f"{what}: own_action must be implement or escalate, found {row.own_action!r}"
    return _time_problem(what, row.time)


def _time_problem(what: str, time: str) -> str | None:
    try:
        moment = datetime.fromisoformat(time)
        if in_utc(moment) != time:
            return f"{what}: time must be in UTC with microseconds, found {time!r}"
    except (TypeError, ValueError):
        return f"{what}: time must be ISO 8601 with a time zone, found {time!r}"
    if moment > datetime.now(UTC) + _MOST_AHEAD:
        return f"{what}: its time is in the future: {time}"
    return None


def _outcome_problem(connection: sqlite3.Connection, row: Outcome) -> str | None:
    what = f"case {row.case_id!r}"
    if type(row.label) is not int or row.label < 0:
        return f"{what}: label must be a whole number from 0 on, found {row.label!r}"
    if problem := _time_problem(what, row.time):
        return problem
    found = connection.execute("select min(time) from decisions where case_id = ?", (row.case_id,))
    (decided,) = found.fetchone()
    if decided is None:
        return f"{what} was decided by nobody: add its decision first"
    if row.time < decided:
        return f"{what}: its outcome is earlier than its decision, at {decided}"
    there = connection.execute("select label from outcomes where case_id = ?", (row.case_id,))
    known = there.fetchone()
    if known is not None and known[0] != row.label:
        return f"{what} has the label {known[0]} already, found {row.label}"
    return None
