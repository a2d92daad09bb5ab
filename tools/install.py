"""Set up .venv: the locked dependencies, torch and this project, installed by uv.

`make setup` runs this file with the person's Python, before anything is installed, so it uses the
standard library only. `--check` repeats the import check of an existing .venv.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
BEGUN = ".begun"  # in VENV: this script made the folder, and may remove it
TORCH = "torch==2.13.0"
OLDEST, NEWEST = (3, 11), (3, 14)
NEEDED_GB = 4  # 2.6 GB in .venv, and what is downloaded before it is unpacked

#: Imports that prove a working set-up; torch fails here where a shared library is missing.
CHECK = "import torch, transformers, peft, trl, duckdb, mlflow, prefect, dvc.repo, escalometer.cli"

#: pip's options, as `pip config list` and the environment name them, and uv's variables for them.
OPTIONS = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "trusted-host": "UV_INSECURE_HOST",
    "timeout": "UV_HTTP_TIMEOUT",
    "default-timeout": "UV_HTTP_TIMEOUT",
    "cert": "SSL_CERT_FILE",
    "proxy": "ALL_PROXY",
    "no-index": "UV_NO_INDEX",
}

#: Causes in uv's and pip's output, each with a one-line explanation; the first that occurs counts.
CAUSES = (
    (
        r"hash mismatch|Hash mismatch|DO NOT MATCH THE HASHES",
        "a downloaded file does not have the hash in the lock file ({detail}). The index or a "
        "mirror serves an altered file: check pip's index settings (`pip config list`)",
    ),
    (
        r"No space left on device|os error 28|Errno 28|Disk quota exceeded",
        "the disk is full: free {needed} GB, or set TMPDIR and ESCALOMETER_CACHE to a larger disk",
    ),
    (
        r"Permission denied|Read-only file system|os error 13|os error 30",
        "a folder cannot be written ({detail}). Set ESCALOMETER_CACHE to a writable folder, and "
        "check that the project's folder is writable",
    ),
    (
        r"error sending request|Failed to fetch|failed to lookup|dns error|timed out|"
        r"Connection refused|ConnectTimeout|Max retries|NewConnectionError|No route to host|"
        r"Could not find a version.*from versions: none|Network connectivity is disabled",
        "the package index does not answer. Check the network, the proxy and pip's index settings "
        "(`pip config list`)",
    ),
    (
        r"no wheels with a matching|No matching distribution|no usable wheels|has no version",
        "a package has no build for this Python and machine ({detail}). Try another Python: "
        "`make PYTHON=python3.12 setup`",
    ),
)


class SetupError(Exception):
    """A failure of the set-up; its message is one line that says what to do."""


def check_python(version: tuple[int, int] = sys.version_info[:2]) -> None:
    """Raise where this Python is too old or too new for the lock."""
    if not OLDEST <= version <= NEWEST:
        raise SetupError(
            "Python {}.{} to {}.{} is needed and this is {}.{}: install one and run "
            "`make PYTHON=python3.12 setup`".format(*OLDEST, *NEWEST, *version)
        )


def check_disk(folder: Path = ROOT, needed_gb: float = NEEDED_GB) -> None:
    """Raise where the disk of `folder` has less than `needed_gb` free."""
    free_gb = shutil.disk_usage(folder).free / 1e9
    if free_gb < needed_gb:
        raise SetupError(
            f"set-up needs {needed_gb:g} GB and the disk of {folder} has {free_gb:.1f} GB free: "
            "free some, or clone the project to a larger disk"
        )


def check_venv(venv: Path = VENV) -> None:
    """Raise where `venv` has contents that this script did not put there: they are kept."""
    if venv.is_symlink() or not venv.exists() or (venv / BEGUN).exists():
        return
    if not venv.is_dir() or any(venv.iterdir()):
        raise SetupError(
            f"{venv} exists and was not made by this set-up: move or remove it, then run "
            "`make setup`"
        )


def pip_options(listing: str, environment: dict[str, str]) -> dict[str, str]:
    """Return pip's options by name; the environment takes precedence over files.

    Parameters
    ----------
    listing : str
        Output of `pip config list`: one ``section.name='value'`` per line.
    environment : dict of str to str
        Environment variables; pip reads ``PIP_FIND_LINKS`` as ``find-links``.
    """
    options = {}
    for line in listing.splitlines():
        found = re.fullmatch(r"(global|install)\.([a-z-]+)=(['\"])(.*)\3", line.strip())
        if found:
            options[found[2]] = found[4].replace("\\n", " ")
    for name in OPTIONS:
        value = environment.get("PIP_" + name.upper().replace("-", "_"))
        if value:
            options[name] = value
    return options


def uv_environment(options: dict[str, str], environment: dict[str, str]) -> dict[str, str]:
    """Return the environment of uv: pip's indexes carried over, caches in ESCALOMETER_CACHE.

    Variables that are set already keep their values.

    Parameters
    ----------
    options : dict of str to str
        From `pip_options`.
    environment : dict of str to str
        Environment variables of this process.
    """
    mine = {
        "UV_INDEX_STRATEGY": "unsafe-best-match",  # as pip: the best version of all indexes
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_NO_CONFIG": "1",
        "UV_HTTP_RETRIES": "2",
    }
    for name, variable in OPTIONS.items():
        if options.get(name):
            values = options[name].split()
            # uv separates links by commas, indexes and hosts by spaces.
            mine[variable] = ("," if name == "find-links" else " ").join(values)
    if mine.get("UV_NO_INDEX", "").lower() in {"0", "false", "no", "off", "n", "f"}:
        del mine["UV_NO_INDEX"]
    cache = environment.get("ESCALOMETER_CACHE")
    if cache:
        mine |= {"UV_CACHE_DIR": str(Path(cache) / "uv"), "PIP_CACHE_DIR": str(Path(cache) / "pip")}
    elif not _is_writable(Path(environment.get("HOME") or "~").expanduser()):
        mine |= {"UV_NO_CACHE": "1", "PIP_NO_CACHE_DIR": "1"}
    return {**mine, **environment}


def explain(output: str) -> str:
    """Return one line about a failed installation, without credentials of an address."""
    output = re.sub(r"(://)[^/@\s]+@", r"\1…@", output)
    for pattern, words in CAUSES:
        found = re.search(pattern, output)
        if found:
            line = next((x for x in output.splitlines() if re.search(pattern, x)), "")
            detail = re.sub(r"^[\s×├╰─▶error:cause]*[:▶]\s*", "", line).strip()[:160]
            return words.format(detail=detail or found[0], needed=NEEDED_GB)
    last = [line.strip() for line in output.splitlines() if line.strip()][-1:]
    return f"the installation failed ({last[0][:300] if last else 'no message'})"


def run(command: list[str], environment: dict[str, str]) -> None:
    """Run a command; raise `SetupError` with its cause where it fails."""
    done = subprocess.run(
        command,
        env=environment,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        cwd=ROOT,
    )
    if done.returncode:
        raise SetupError(explain(done.stdout))


def succeeds(command: list[str], environment: dict[str, str]) -> bool:
    """Run a command that has an alternative; return False if it fails, except on a full disk."""
    try:
        run(command, environment)
    except SetupError as error:
        if "disk" in str(error):
            raise
        return False
    return True


def install_locked(command: list[str], environment: dict[str, str]) -> None:
    """Install the lock from the main index; from all indexes and links where that fails.

    uv takes a version from the first index that has it, whatever the hash; a further index may
    serve another build of the same version.
    """
    further = {"UV_INDEX", "UV_FIND_LINKS"} & environment.keys()
    if further:
        narrow = {k: v for k, v in environment.items() if k not in further}
        if succeeds(command, narrow):
            return
    run(command, environment)


def install_torch(uv: list[str], environment: dict[str, str]) -> None:
    """Install torch: from configured links, from PyTorch's index, or from the package index.

    uv chooses the build by the machine's GPU and driver. Where PyTorch's index does not answer,
    the package index provides torch; its Linux build is for CUDA and brings CUDA's libraries.
    """
    if environment.get("UV_FIND_LINKS") and succeeds([*uv, "--no-index", TORCH], environment):
        return
    backend = f"--torch-backend={environment.get('UV_TORCH_BACKEND', 'auto')}"
    if not environment.get("UV_NO_INDEX") and succeeds([*uv, backend, TORCH], environment):
        return
    if sys.platform == "linux":
        step("torch: PyTorch's index does not answer; the package index has the CUDA build (5 GB)")
        check_disk(needed_gb=12)
    run([*uv, TORCH], environment)


def check_imports(environment: dict[str, str]) -> None:
    """Raise where torch, transformers or the command cannot be imported in .venv."""
    for command in ([str(PYTHON), "-c", CHECK], [str(VENV / "bin" / "escalometer"), "--version"]):
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, cwd=ROOT
        )
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise SetupError(
                f"the installed packages do not work: {last}. Run `rm -rf .venv && make setup`; if "
                "torch is named, choose its build first: `export UV_TORCH_BACKEND=cpu`"
            )


def step(text: str) -> None:
    """Print one step with the time."""
    print(f"  {text}", file=sys.stderr, flush=True)


def install() -> None:
    """Run the whole set-up; what was begun is removed if it fails."""
    check_python()
    is_new = not (VENV / ".installed").exists()  # make writes it when all is done
    if is_new:
        check_venv()
        check_disk()
    n_packages = sum(line[:1].isalnum() for line in open(ROOT / "requirements.lock"))  # noqa: SIM115, PTH123
    print(
        f"Setting up {VENV}: {n_packages} locked packages by uv, then torch for this machine's CPU "
        "or GPU; 2.6 GB, about a minute",
        file=sys.stderr,
        flush=True,
    )
    try:
        _install(is_new)
    except BaseException:
        if is_new and not VENV.is_symlink():
            shutil.rmtree(VENV, ignore_errors=True)
        raise


def _install(is_new: bool) -> None:
    began = time.monotonic()
    if is_new:
        if VENV.exists() and not VENV.is_symlink():
            shutil.rmtree(VENV)  # of a set-up that was killed
        VENV.mkdir(exist_ok=True)
        (VENV / BEGUN).touch()
        made = subprocess.run(
            [sys.executable, "-m", "venv", str(VENV)], capture_output=True, text=True, check=False
        )
        if made.returncode:
            if "ensurepip" in made.stdout + made.stderr:
                raise SetupError(
                    "this Python cannot make environments: install venv (Debian, Ubuntu: "
                    "`sudo apt install python3-venv`), or use another: `make PYTHON=python3.12 "
                    "setup`"
                )
            raise SetupError(explain(made.stdout + made.stderr))
    pip = [str(PYTHON), "-m", "pip"]
    listing = subprocess.run([*pip, "config", "list"], capture_output=True, text=True, check=False)
    environment = uv_environment(
        pip_options(listing.stdout, dict(os.environ)), {**os.environ, "VIRTUAL_ENV": str(VENV)}
    )
    quiet = ["--quiet", "--no-input", "--disable-pip-version-check", "--retries", "2"]
    lock = ["--no-deps", "--require-hashes", "-r"]
    run([*pip, "install", *quiet, *lock, "requirements-uv.lock"], environment)
    uv = [str(VENV / "bin" / "uv"), "pip", "install", "--quiet", "--python", str(PYTHON)]
    step(f"packages ({time.monotonic() - began:.0f} s)")
    install_locked([*uv, *lock, "requirements.lock"], environment)
    step(f"torch ({time.monotonic() - began:.0f} s)")
    install_torch(uv, environment)
    step(f"escalometer and the import check ({time.monotonic() - began:.0f} s)")
    # Without isolation the build uses the locked hatchling; with it, uv fetches an unlocked one.
    run([*uv, "--no-deps", "--no-build-isolation", "--editable", "."], environment)
    check_imports(environment)
    step(f"done in {time.monotonic() - began:.0f} s")


def _is_writable(folder: Path) -> bool:
    return os.access(folder, os.W_OK)


def main() -> int:
    """Run the set-up and return its exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if "--check" in sys.argv:
            check_imports(dict(os.environ))
        else:
            install()
    except SetupError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; run `make setup` to start again", file=sys.stderr)
        return 130
    except OSError as error:
        print(f"error: {explain(str(error))}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
