"""The command `escalometer`, and `python -m escalometer`.

A stage goes to the warm process of its run, where there is one, before anything else is imported.
"""

import sys

from escalometer.runtime.warm_client import delegate


def main() -> None:
    """Run the command line."""
    arguments = sys.argv[1:]
    code = delegate(arguments) if arguments[:1] == ["stage"] else None
    if code is not None:
        sys.exit(code)
    from escalometer.cli import main as run

    run()


if __name__ == "__main__":
    main()
