"""Elicitation: the engine that runs dialogues, and the store that keeps the answers."""
