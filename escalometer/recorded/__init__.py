"""Decisions that others recorded: reading them, completing them, and whether texts belong together.

Nothing here guesses: a value that does not fit is named with its row, and what is derived is said.
"""
