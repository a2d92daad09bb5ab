"""A model behind the test server: its card, its key, and what another program reads of a store."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import yaml

from escalometer.config import ModelCard, Price

PRICE = Price(input_usd_per_million=1.0, output_usd_per_million=10.0)
KEY = "sk-sentinel-0123456789abcdef"


def card(url: str, **endpoint) -> ModelCard:
    """Return the card of a model that the server at `url` has."""
    content = {
        "id": "remote",
        "title": "Remote",
        "provider": "openai",
        "licence": "none",
        "context": 8192,
        "endpoint": {"base_url": url, "model": "fake", **endpoint},
        "price": PRICE.model_dump(mode="json"),
    }
    return ModelCard.model_validate(content)


def ask_remote(project: Path, url: str) -> None:
    """Let a project ask the model of the server at `url`, with `KEY`, about one domain."""
    content = card(url, key_env="THE_KEY").model_dump(mode="json", exclude_none=True)
    (project / "models" / "remote.yaml").write_text(yaml.safe_dump(content), "utf-8")
    path = project / "params.yaml"
    params = yaml.safe_load(path.read_text("utf-8"))
    params |= {"models": ["remote"], "domains": ["hmda_mortgages"]}
    path.write_text(yaml.safe_dump(params), "utf-8")


def stored_keys(path: Path) -> set[str]:
    """Return the keys of the answers in a store's file, as another program reads it."""
    if not path.exists():
        return set()
    with sqlite3.connect(path, timeout=30) as store:
        if not store.execute("select 1 from sqlite_master where name = 'completions'").fetchall():
            return set()
        return {key for (key,) in store.execute("select key from completions")}
