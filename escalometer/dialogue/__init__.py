"""Dialogues: from a scenario to an answer, through the two-turn protocol."""
