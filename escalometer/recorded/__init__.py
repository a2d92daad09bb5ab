"""Decisions recorded by others: reading, completion, and the match of answers to prompts.

No value is guessed: one that does not fit is named with its row, and warnings name what is derived.
"""
