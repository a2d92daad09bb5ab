"""Profiles of many models of a source: those that are kept, the others by several processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import NamedTuple

from escalometer import layout
from escalometer.analysis.profile import build_profile_of_file
from escalometer.documents import Profile
from escalometer.operations.kept_profiles import Asked, Keeper
from escalometer.reporting.page import model_figures
from escalometer.runtime.interruption import end_with_parent
from escalometer.runtime.progress import progress


class Drawn(NamedTuple):
    """A profile and its figures, as `reporting.page.model_figures` gives them."""

    profile: Profile
    figures: dict[str, str]


def profile_of(asked: Asked, keeper: Keeper | None, root: Path = Path()) -> Profile:
    """Return a profile that is kept, or compute and keep it; without a keeper, compute it."""
    if keeper is None:
        return computed(asked, root)
    kept = keeper.read(asked)
    if kept is None:
        kept = computed(asked, root)
        keeper.write(asked, kept)
    return kept


def drawn_profiles(
    asked: Sequence[Asked],
    keeper: Keeper | None,
    root: Path = Path(),
    n_processes: int | None = None,
) -> list[Drawn]:
    """Return several profiles with their figures, in this order; what is computed is kept.

    Parameters
    ----------
    asked : sequence of Asked
        Of one source, at least one.
    keeper : Keeper or None
        None where nothing is kept.
    root : Path
        The project.
    n_processes : int, optional
        At most so many at a time; as many as there are processors by default.
    """
    found: dict[int, Drawn] = {}
    kept = [None if keeper is None else keeper.read(one) for one in asked]
    with progress(f"profiles of {asked[0].source}", len(asked), "models") as meter:
        for i, one in enumerate(asked):
            profile = kept[i]
            figures = None if keeper is None else keeper.read_figures(one)
            if profile is not None and figures is not None:
                found[i] = Drawn(profile, figures)
                meter.advance(free=True)
        missing = {i: kept[i] for i in range(len(asked)) if i not in found}
        for i, drawn in _computed(asked, missing, root, n_processes or n_processors()):
            if keeper is not None:
                keeper.write(asked[i], *drawn)
            found[i] = drawn
            meter.advance()
    return [found[i] for i in range(len(asked))]


def computed(asked: Asked, root: Path) -> Profile:
    """Return the profile of a model of a source from its decisions; no other model's are loaded."""
    return build_profile_of_file(
        asked.file or layout.source_decisions_file(asked.source, root),
        asked.model,
        asked.source,
        asked.params,
        asked.domains,
        asked.is_pooled,
    )


def n_processors() -> int:
    """Return the number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _drawn(asked: Asked, kept: Profile | None, root: Path) -> Drawn:
    profile = computed(asked, root) if kept is None else kept
    return Drawn(profile, model_figures(profile, asked.params.analyze.headline_ratio))


def _computed(
    asked: Sequence[Asked], missing: Mapping[int, Profile | None], root: Path, n_processes: int
) -> Iterator[tuple[int, Drawn]]:
    """Yield the missing ones as they are done, by several processes where these can be started."""
    done: set[int] = set()
    if min(n_processes, len(missing)) > 1:
        try:
            for i, drawn in _in_processes(asked, missing, root, min(n_processes, len(missing))):
                done.add(i)
                yield i, drawn
        except (BrokenProcessPool, OSError):
            pass  # no memory for a further process, or one was killed: the rest is computed here
    for i, kept in missing.items():
        if i not in done:
            yield i, _drawn(asked[i], kept, root)


def _in_processes(
    asked: Sequence[Asked], missing: Mapping[int, Profile | None], root: Path, n_processes: int
) -> Iterator[tuple[int, Drawn]]:
    # Not by fork: this process has threads, of DuckDB and numpy.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(n_processes, mp_context=context, initializer=_begin)
    try:
        places = {pool.submit(_drawn, asked[i], kept, root): i for i, kept in missing.items()}
        for future in as_completed(places):
            yield places[future], future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _begin() -> None:
    """Leave Ctrl-C to the parent process, and end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()
