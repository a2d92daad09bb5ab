"""The domains that a project has: those that ship with it, and those that its users describe."""

from __future__ import annotations

from pathlib import Path

from escalometer.cases.domains import Domain, load_shipped, shipped
from escalometer.cases.own_domain import build, stored_table
from escalometer.cases.own_domain.spec import read_spec
from escalometer.config import Origin, yaml_names
from escalometer.errors import UsageError, unknown_name
from escalometer.layout import DOMAINS_FOLDER, own_domain_file
from escalometer.resources import is_clone
from escalometer.runtime.object_storage import S3Address


def names(root: Path = Path()) -> list[str]:
    """Return the domains that exist: shipped ones and the user's, alphabetically."""
    return sorted({*shipped(), *yaml_names(root / DOMAINS_FOLDER)})


def origin(name: str, root: Path = Path()) -> Origin:
    """Return where a domain is from."""
    if not own_domain_file(name, root).exists():
        return "built in"
    return "own, in place of a built-in one" if name in shipped() else "own"


def load(name: str, root: Path = Path()) -> Domain:
    """Return the domain `name`.

    Parameters
    ----------
    name : str
        The stem of a file in `escalometer.cases.domains` or in the project's folder `domains`.
    root : Path, default the working folder
        The project.

    Raises
    ------
    UsageError
        If there is no such domain, or its YAML file is not as it must be.
    """
    yaml_file = own_domain_file(name, root)
    if yaml_file.exists():
        if name in shipped() and is_clone():  # its suites and statements are in the same folders
            raise UsageError(
                f"{yaml_file}: {name} is the name of a domain that ships with the project; "
                "rename the file"
            )
        return build.load(yaml_file)
    if name not in names(root):
        raise unknown_name("domain", name, names(root))
    return load_shipped(name)


def refresh(name: str, root: Path = Path()) -> None:
    """Copy the table of a user's domain again, if it is on object storage.

    Raises
    ------
    UsageError
        If the YAML file is wrong, or the table cannot be read.
    Outage
        If the storage cannot be reached.
    """
    yaml_file = own_domain_file(name, root)
    if yaml_file.exists():
        address = read_spec(yaml_file).file
        if isinstance(address, S3Address):
            stored_table.fetch(yaml_file, address)


def is_main(name: str, root: Path = Path()) -> bool:
    """Return whether numbers that pool domains contain this one; a user's domains are all main.

    A user's table is not read for it: that takes seconds.
    """
    is_own = name not in shipped() or own_domain_file(name, root).exists()
    return is_own or load_shipped(name).is_main
