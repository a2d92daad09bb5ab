"""Asking models: the engine that runs dialogues and the store that keeps what was answered."""
