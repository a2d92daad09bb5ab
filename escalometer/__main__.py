"""`python -m escalometer` is the `escalometer` command."""

from escalometer.cli import main

main()
