"""Answers of a batch, written by greedy decoding."""

from __future__ import annotations

import torch

from escalometer.dialogue.providers.local.decoding import Batch, Decoder
from escalometer.dialogue.providers.local.jobs import Job

#: Share of a batch's rows that leave it together, where steps stay on the device.
_SHARE_ENDED = 0.25


def write(
    decoder: Decoder, batch: Batch, logits: torch.Tensor, jobs: list[Job], ends: set[int]
) -> None:
    """Write each job's answer until it ends, and set the row that a later turn continues.

    Parameters
    ----------
    decoder : Decoder
        The model.
    batch : Batch
        Its rows have read the jobs' prompts.
    logits : tensor of shape (rows, vocabulary)
        Of the first tokens.
    jobs : list of Job
        By row.
    ends : set of int
        Tokens that end a turn.
    """
    if decoder.check_every > 1:
        _on_device(decoder, batch, logits, jobs, ends)
    else:
        _from_host(decoder, batch, logits, jobs, ends)


def _from_host(
    decoder: Decoder, batch: Batch, logits: torch.Tensor, jobs: list[Job], ends: set[int]
) -> None:
    """Write answers token by token, each chosen and checked here."""
    live = list(jobs)
    while live:
        chosen = logits.argmax(-1).tolist()
        # From the last to the first: the row that replaces an ended one was checked already.
        for row in reversed(range(len(live))):
            if live[row].answer.add(chosen[row], chosen[row] in ends):
                live[row].cached = decoder.leave(batch, row)
                live[row], chosen[row] = live[-1], chosen[-1]
                live.pop()
                chosen.pop()
        if live:
            logits = decoder.step(batch, chosen)


def _on_device(
    decoder: Decoder, batch: Batch, logits: torch.Tensor, jobs: list[Job], ends: set[int]
) -> None:
    """Write answers in several steps at a time, and check them in between.

    Rows that have ended are part of the steps until a quarter of the rows have: what they write
    then is ignored.
    """
    live, tokens = list(jobs), logits.argmax(-1)
    while live:
        n_left = max(
            job.answer.budget - len(job.answer.tokens) for job in live if job.answer.finish is None
        )
        n_steps = min(decoder.check_every, n_left)
        written, tokens = decoder.steps(batch, tokens, n_steps, n_left)
        for row, job in enumerate(live):
            if job.answer.finish is None:
                batch.tokens[row] += written[row]
                job.answer.extend(written[row], ends)
        n_open = sum(job.answer.finish is None for job in live)
        if n_open > (1 - _SHARE_ENDED) * len(live):
            continue
        places = list(range(len(live)))
        for row in reversed(range(len(live))):
            if live[row].answer.finish is not None:
                live[row].cached = decoder.leave(batch, row)
                live[row], places[row] = live[-1], places[-1]
                live.pop()
                places.pop()
        tokens = tokens[places]
    decoder.end_steps()
