"""The only door to DVC: the order of stages, bringing them up to date, tracking downloads."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from escalometer.errors import DataError, EscalometerError, ProviderError, UsageError
from escalometer.runtime import git


class StageFailed(EscalometerError):
    """A failed stage; its command has printed the reason. Carries its exit code on."""

    def __init__(self, address: str, exit_code: int) -> None:
        super().__init__(f"stage {address} stopped")
        self.address = address
        # A shell reports a child that died of a signal as 128 + its number, as we do.
        self.exit_code = 128 - exit_code if exit_code < 0 else exit_code


#: Stages that make and judge adapters: `dvc repro` and flows/finetune.py run them, evaluations not.
FINE_TUNING = ("targets", "validate_targets", "train", "seal", "probe")


def stage_addresses(root: Path = Path(), of: Collection[str] | None = None) -> list[str]:
    """Return the addresses of dvc.yaml's stages (``"ingest@movielens"``), each after its inputs.

    Parameters
    ----------
    root : Path
        The project.
    of : collection of str, optional
        Only these stages, and those that they need.

    Raises
    ------
    UsageError
        If dvc.yaml or params.yaml cannot be read, or has no stage of `of`.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo(str(root)) as repo:
            return _ordered(repo.index.graph, of)
    except DvcException as error:
        raise UsageError(f"DVC cannot read the pipeline: {error}") from error


def _ordered(graph: Any, of: Collection[str] | None = None) -> list[str]:
    """Return the addresses in DVC's graph, whose edges point from a stage to what it needs."""
    import networkx

    names = {stage: _short(stage) for stage in graph}
    position = {name: i for i, name in enumerate(names.values())}
    if of is not None:
        wanted = {stage for stage, name in names.items() if name in of}
        if len(wanted) < len(set(of)):
            raise UsageError(f"dvc.yaml lacks one of the stages {', '.join(of)}")
        needed = {dependency for s in wanted for dependency in networkx.descendants(graph, s)}
        graph = graph.subgraph(wanted | needed)
    order = networkx.lexicographical_topological_sort(
        graph.reverse(), key=lambda stage: position[names[stage]]
    )
    # Tracked downloads are in the graph too, and have nothing to run.
    return [names[stage] for stage in order if stage.cmd]


def set_up(root: Path, cache: Path | None = None) -> None:
    """Create DVC's folder in a project that has none: no analytics, no search for updates.

    Parameters
    ----------
    root : Path
        The project.
    cache : Path, optional
        The cache of another project, to be shared; the new one is not part of a git repository
        then.

    Raises
    ------
    UsageError
        If DVC cannot create it.
    """
    import logging

    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    if (root / ".dvc").exists():
        return
    logging.getLogger("dvc").setLevel(logging.WARNING)
    repository = git.repository(root) if cache is None else None
    is_below = repository is not None and repository.resolve() != root.resolve()
    try:
        with (
            Repo.init(str(root), no_scm=repository is None, subdir=is_below) as repo,
            repo.config.edit("repo") as settings,
        ):
            settings["core"] |= {"analytics": False, "check_update": False}
            # Relative to .dvc; written by the report's stage, so that plots open offline.
            settings["plots"] = {"html_template": "../data/report/plots_template.html"}
            if cache is not None:
                settings["cache"] = {"dir": str(cache.resolve())}
    except DvcException as error:
        raise UsageError(f"DVC cannot be set up in {root.resolve()}: {error}") from error


#: Brings one stage up to date and returns whether it had to run. If its command fails, it raises
#: `StageFailed`, and can be called again.
Bring = Callable[[], bool]


def first_outdated(
    choose: Callable[[list[str]], Sequence[str]], root: Path = Path()
) -> tuple[Sequence[str], str | None]:
    """Return chosen stages, and the first of them that would run.

    Parameters
    ----------
    choose : callable
        Takes the addresses of all stages, as `stage_addresses` returns them; returns some of them.
    root : Path
        The project.

    Returns
    -------
    sequence of str
        What `choose` returned.
    str or None
        The first stage among them that would run; None if the outputs of all are current.

    Raises
    ------
    UsageError
        If dvc.yaml or params.yaml cannot be read.
    ProviderError
        If another DVC command is running.
    DataError
        If DVC cannot read an input.
    """
    chosen: Sequence[str] = ()
    found: list[str] = []
    is_first = True

    def visit(stage: Any, upstream: Any = None, **_: Any) -> None:
        nonlocal chosen, is_first
        if is_first:
            is_first, chosen = False, choose(_ordered(stage.repo.index.graph))
        address = _short(stage)
        if not found and address in chosen and stage.changed(False, upstream):
            found.append(address)

    _visit_stages(root, visit)
    return chosen, found[0] if found else None


def bring_up_to_date(
    addresses: Sequence[str],
    root: Path = Path(),
    is_forced: Callable[[str], bool] = lambda _: False,
    around: Callable[[str, Bring], bool] = lambda _, bring: bring(),
) -> list[str]:
    """Run each stage whose output is not current, as `dvc repro` does, and return those that ran.

    The pipeline's files are read once. dvc.lock is written whenever that takes less than a fiftieth
    of the time since it was last written, and at the end, also of a run that fails. Of a killed run
    it may lack the last stages; DVC then restores their outputs from its run cache.

    Parameters
    ----------
    addresses : sequence of str
        From `stage_addresses`; other stages that they need must be current.
    root : Path
        The project.
    is_forced : callable
        Takes an address; returns whether to run the stage even if its output is current.
    around : callable
        Takes an address and a function that brings this stage up to date; must call that and return
        its result.

    Raises
    ------
    StageFailed
        If a stage's command failed, with the command's exit code.
    UsageError
        If dvc.yaml or params.yaml cannot be read.
    ProviderError
        If a stage is locked by another process.
    DataError
        If DVC cannot read an input.
    EscalometerError
        As `around` raises it.
    """
    from dvc.stage.exceptions import StageCmdFailedError

    left, ran = set(addresses), []
    lock = _Lock()

    def visit(stage: Any, force: bool = False, **options: Any) -> Any:
        address = _short(stage)
        if address not in left:
            return None
        left.remove(address)

        def bring() -> bool:
            try:
                if not stage.reproduce(force=force or is_forced(address), **options):
                    return False
            except StageCmdFailedError as error:
                code = re.search(r"exited with (-?\d+)$", str(error))
                raise StageFailed(address, int(code[1]) if code else 1) from error
            lock.add(stage)
            ran.append(address)
            return True

        try:
            return stage if around(address, bring) else None
        except BaseException:
            left.clear()
            raise
        finally:
            if not left:
                lock.write()

    _visit_stages(root, visit)
    return ran


#: dvc.lock is written after so many times the time that it takes.
_SPARING = 50


class _Lock:
    """Stages that ran and are not in dvc.lock yet, which DVC reads and writes as a whole."""

    def __init__(self) -> None:
        self._stages: list[Any] = []
        self._written_at = time.monotonic()
        self._takes_s = 0.1  # about what a dozen stages take

    def add(self, stage: Any) -> None:
        self._stages.append(stage)
        if time.monotonic() - self._written_at >= _SPARING * self._takes_s:
            self.write()

    def write(self) -> None:
        if self._stages:
            began = time.monotonic()
            self._stages[0].dvcfile.dump_stages(self._stages, update_pipeline=False)
            self._stages = []
            self._written_at = time.monotonic()
            self._takes_s = self._written_at - began


def _short(stage: Any) -> str:
    return str(stage.addressing).rpartition(":")[2]


def _visit_stages(root: Path, visit: Callable[..., Any]) -> None:
    """Call `visit` for each stage in the order of `dvc repro`, in its place, under DVC's lock."""
    import logging

    from dvc.exceptions import DvcException, ReproductionError
    from dvc.lock import LockError
    from dvc.repo import Repo

    logging.getLogger("dvc").setLevel(logging.WARNING)  # the flow says what runs
    address = "pipeline"

    def repro(stage: Any, **options: Any) -> Any:
        nonlocal address
        address = _short(stage)
        return visit(stage, **options)

    try:
        with Repo(str(root)) as repo:
            repo.reproduce(repro_fn=repro)
    except ReproductionError as error:
        cause = error.__cause__
        if isinstance(cause, EscalometerError):
            raise cause from cause.__cause__
        if isinstance(cause, LockError):
            raise ProviderError(f"stage {address} is running in another process") from error
        raise DataError(f"stage {address}: {cause or error}") from error
    except LockError as error:
        raise ProviderError(f"another DVC command is running in this project: {error}") from error
    except DvcException as error:
        raise UsageError(f"DVC cannot read the pipeline: {error}") from error


def track_download(url: str, path: Path, root: Path = Path()) -> Path:
    """Record a downloaded file as ``dvc import-url`` would, and return the ``.dvc`` file.

    DVC asks the server for the file's ETag (or what else tells its versions apart) and size, and
    puts the file that is there into its cache; the bytes are not downloaded again. The ``.dvc``
    file goes into git; ``dvc status``, ``push``, ``pull`` and ``update`` know the file by it.

    Parameters
    ----------
    url : str
        Where the file is from: http or https, without a user's name or a key.
    path : Path
        The file, whole and verified, in the project.
    root : Path
        The project.

    Returns
    -------
    Path
        `path` with ``.dvc`` appended.

    Raises
    ------
    UsageError
        If `root` is not a DVC project in git, `path` is not in it, or the address holds a secret,
        which would end up in git.
    DataError
        If there is no such file, the server has one of another size by now, or DVC cannot take it.
    ProviderError
        If the server does not answer, or another DVC command is running.
    """
    import logging

    from dvc.dependency.base import DependencyDoesNotExistError
    from dvc.exceptions import DvcException
    from dvc.lock import LockError
    from dvc.repo import Repo
    from dvc.scm import SCMError

    from escalometer.cases.downloads.published import holds_secret, spell_url

    if not (root / ".dvc").is_dir():
        raise UsageError(
            f"{root.resolve()} is not a DVC project, so {path} cannot be tracked: "
            "`escalometer init` creates one"
        )
    if not path.resolve().is_relative_to(root.resolve()):
        raise UsageError(
            f"{path} is outside of the project ({root.resolve()}): DVC cannot track it"
        )
    if holds_secret(url):
        raise UsageError(
            f"{spell_url(url)} contains a user name or a key, which would be stored in git"
        )
    if not path.is_file():
        raise DataError(f"{path} does not exist: download it first")
    logging.getLogger("dvc").setLevel(logging.WARNING)
    record = path.with_name(path.name + ".dvc")
    before = record.read_bytes() if record.exists() else None
    is_recorded = False
    try:
        with Repo(str(root)) as repo:
            # As `dvc import-url --no-exec --force` and `dvc commit --force` on the command line:
            # the one writes down where the file is from, the other takes the file as it is.
            repo.imp_url(url, out=str(path), no_exec=True, force=True)
            (stage,) = repo.commit(str(record), force=True)
            served, tracked = stage.deps[0].meta.size, stage.outs[0].meta.size
        if served is not None and served != tracked:
            raise DataError(
                f"{spell_url(url)} has {served:,} bytes, {path} has {tracked:,}: the published "
                "file has changed. Remove the local file and download it again."
            )
        is_recorded = True
    except LockError as error:
        raise ProviderError(f"another DVC command is running in this project: {error}") from error
    except (DependencyDoesNotExistError, FileNotFoundError, TimeoutError) as error:
        raise ProviderError(
            f"{path} was downloaded but could not be tracked by DVC: {spell_url(url)} does not "
            "answer. Run the command again; the file is not downloaded again."
        ) from error
    except SCMError as error:
        raise UsageError(f"{root.resolve()} is not in git: run `git init` there") from error
    except DvcException as error:
        raise DataError(f"DVC cannot record {path}: {error}") from error
    finally:
        if not is_recorded:  # or a record without digests would claim that nothing is there
            if before is None:
                record.unlink(missing_ok=True)
            else:
                record.write_bytes(before)
    return record
