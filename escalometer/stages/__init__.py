"""Stages: one file, one `run(...)`, one CLI command and one DVC stage each.

A stage reads what earlier ones wrote, calls the core, and writes its outputs whole or not at all.
"""
