"""Prefect flows: order, retries, schedules and history. dvc.yaml defines the stages."""
