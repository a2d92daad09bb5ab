"""Models on this machine's GPUs, behind a vLLM server that is started here or given; an extra."""

from escalometer.dialogue.providers.vllm.provider import check, connect

__all__ = ["check", "connect"]
