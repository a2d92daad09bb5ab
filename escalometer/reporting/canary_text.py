"""A look of a canary as text."""

from __future__ import annotations

from escalometer.documents import CanaryLook
from escalometer.documents.wording import count, p_value, share, visible

#: The command that asks all dialogues of a model again, and resumes if it was interrupted.
RETRY = "escalometer evaluate {model} --retry all --retry-before {time}"

_COMPARED = {"choices": "choices", "probabilities": "likeliest tokens"}


def canary_lines(look: CanaryLook) -> list[str]:
    """Return the lines that `escalometer store canary` prints.

    Parameters
    ----------
    look : CanaryLook
        The result of one look.
    """
    lines = [f"{look.model}: {_headline(look)}"]
    if look.n_flips is not None:
        lines.append(f"  {_flips(look)}")
    if look.n_looks:
        p = "" if look.p_value is None else f"; p-value of this look {p_value(look.p_value)}"
        lines.append(
            f"  evidence of drift {look.evidence:.3g}, reported from {look.evidence_limit:g}{p}"
        )
    lines += [f"  {notice.kind}: {visible(notice.text)}" for notice in look.notices]
    if look.n_requests:
        lines.append(f"  {count(look.n_requests)} requests, ${look.cost_usd:.4f}")
    if look.status == "drift":
        lines += [
            "  The gate's verdicts are of the model before. Evaluate it again, then begin a new "
            "baseline:",
            f"    {RETRY.format(model=look.model, time=look.drift_at)}",
            f"    escalometer store canary {look.model} --restart",
        ]
    return lines


def _headline(look: CanaryLook) -> str:
    day = look.looked_at[:10]
    is_measured = look.n_baseline >= look.n_baseline_planned
    if look.status == "drift":
        return f"drift since {look.drift_since} (look {look.n_looks}, {day})"
    if look.status == "not enough answers":
        hint = (
            ". If its endpoint returns no log-probabilities, remove has_logprobs from its card"
            if look.mode == "probabilities" and not look.n_answered
            else ""
        )
        return (
            f"{look.n_answered} of {look.n_prompts} prompts were answered; the look does not "
            f"count{hint}"
        )
    if not is_measured or look.status == "baseline":
        done = f"{look.n_baseline} of {look.n_baseline_planned} answers to {look.n_prompts} prompts"
        after = "looks begin the next day" if is_measured else "run the command on the next day"
        return f"baseline: {done} ({look.mode}); {after}"
    if look.status == "looked today":
        return f"last look on {day}, nothing was asked; --again looks once more today"
    return f"no drift (look {look.n_looks}, {day})"


def _flips(look: CanaryLook) -> str:
    noise = f"the baseline's noise is {share(look.noise)}"
    if not look.n_looks:
        return f"{look.n_flips} of {look.n_prompts} stored choices differ from its answers; {noise}"
    return (
        f"{look.n_flips} of {look.n_answered} {_COMPARED[look.mode]} differ from the baseline, "
        f"{look.expected_flips:.1f} are expected: {noise}"
    )
