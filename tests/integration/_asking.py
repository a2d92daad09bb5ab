"""Requests to a provider whose model is behind the test server, and a client that waits little."""

from __future__ import annotations

import asyncio
from pathlib import Path

from escalometer.config import ModelCard, Workspace
from escalometer.dialogue.providers import RemoteProvider, Request
from escalometer.dialogue.remote.patience import Patience

KEY = "sk-sentinel-4f1e8b2a77c09d"
HASTY = Patience(first_s=0.02, growth=2, most_s=0.1, away_s=2.0, absent_s=0.5, longest_s=5.0)
PROMPT = "Case {i}. End with exactly 'PREDICTION: 1' (yes) or 'PREDICTION: 0' (no)."


def card(url: str, thinking=None, **endpoint) -> ModelCard:
    return ModelCard.model_validate(
        {
            "id": "fake",
            "title": "Fake",
            "provider": "openai",
            "licence": "none",
            "context": 8192,
            "endpoint": {"base_url": url, "model": "fake-1"} | endpoint,
            "thinking": thinking,
        }
    )


def place(**secrets: str) -> Workspace:
    here = Path("nowhere")
    return Workspace(here, here, here, secrets)


def request(i: int = 0, **options) -> Request:
    return Request((("user", PROMPT.format(i=i)),), "PREDICTION:", 64, **options)


def ask(provider: RemoteProvider, requests: list[Request]) -> list:
    """Ask as the engine does: the limiter around each answer."""

    async def one(asked: Request):
        await provider.limiter.acquire(asked.max_tokens)
        try:
            return await provider.answer(asked)
        finally:
            provider.limiter.release()

    async def main():
        async with provider.session():
            return await asyncio.gather(*(one(asked) for asked in requests))

    found = asyncio.run(main())
    assert provider.limiter.n_in_flight == 0
    return found
