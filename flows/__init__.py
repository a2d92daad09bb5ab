"""Prefect flows: order, retries, schedules and history. What a stage does stands in dvc.yaml."""
