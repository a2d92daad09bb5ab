"""Policies inside other tools, one file each: MLflow, LiteLLM, LangChain.

An adapter hands what the tool knows of a case to `escalometer.policy`, and the decision back. It
imports nothing else of escalometer, and its tool alone.
"""
