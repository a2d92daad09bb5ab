"""The deployer's system prompt and colleagues: requests, keys, the record, the shift."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from escalometer import layout
from escalometer.analysis.asked_prompts import with_asked_prompt
from escalometer.analysis.profile import build_profile
from escalometer.config import AnalyzeParams, ModelCard, Params
from escalometer.dialogue.elicitation.engine import Engine
from escalometer.dialogue.elicitation.rows import Answering, Dialogue
from escalometer.dialogue.elicitation.store import open_store
from escalometer.dialogue.protocol import Protocol
from escalometer.dialogue.providers import connect
from escalometer.reporting.profile_text import profile_text
from escalometer.runtime.files import write_json
from tests.conftest import tiny_card, workspace
from tests.integration._weather import dialogues
from tests.releases import DOMAINS, release, table

FORCED = Answering(4, force_answer=True, counts_marker="last")


def _with(text: str) -> list[Dialogue]:
    found = dialogues(names=("baseline", "deployer_prompt"))
    return [
        replace(one, protocol=replace(one.protocol, system=text))
        if one.protocol.has_deployer_prompt
        else one
        for one in found
    ]


def test_the_prompt_is_before_both_turns_and_part_of_the_key(tiny_weights, tmp_path):
    provider = connect(ModelCard.model_validate(tiny_card(tiny_weights)), workspace(tmp_path))
    store = open_store(tmp_path / "completions.sqlite")
    engine = Engine(provider, store, FORCED)
    planned = engine.plan(_with("You settle refunds."))
    firsts = [request.messages for request in planned.requests.values()]
    assert [m for m in firsts if m[0] == ("system", "You settle refunds.")]
    rows = engine.hold(planned, lambda n, free: None)
    assert {row["intervention"] for row in rows} == {"baseline", "deployer_prompt"}
    assert engine.tally.n_called == 2 * 2 * 3
    again = Engine(provider, store, FORCED)
    again.hold(again.plan(_with("You settle refunds.")), lambda n, free: None)
    assert again.tally.n_called == 0
    other = Engine(provider, store, FORCED)
    other.hold(other.plan(_with("You settle claims.")), lambda n, free: None)
    assert other.tally.n_called == 2 * 3
    # A dialogue of the baseline has the messages that it always had.
    assert all(len(m) == 1 for m in firsts if m[0][0] == "user")
    isolated = replace(_with("x")[1], protocol=Protocol(system="x", is_isolated=True))
    first = engine._first_request(isolated)
    second = engine._second_request(isolated, first, "answer", 1)
    assert [role for role, _ in second.messages] == ["system", "user"]
    store.close()


def test_the_profile_names_the_file_and_the_digest_of_what_was_asked(tmp_path):
    rows = release("m", n=40)
    params = Params(seed=1, models=("m",), domains=DOMAINS, analyze=AnalyzeParams(n_bootstrap=100))
    profile = build_profile(table(rows), "m", layout.PIPELINE, params)
    assert with_asked_prompt(profile, tmp_path).deployer_prompt is None
    record = {"file": "prompts/a.txt", "digest": "sha256:ab", "text": "t"}
    write_json(record, layout.asked_prompt_file("m", tmp_path))
    found = with_asked_prompt(profile, tmp_path)
    assert found.deployer_prompt is not None and found.deployer_prompt.digest == "sha256:ab"
    assert any("prompts/a.txt (sha256:ab)" in note for note in found.notes)


def _shifts(peer: float, n: int, seed: int) -> tuple[float, float, float]:
    baseline = release("m", n=n, seed=seed, width=0.08)
    moved = release("m", n=n, seed=seed, width=0.08, threshold=peer)
    moved = [row | {"intervention": "peer_acted"} for row in moved]
    params = Params(seed=1, models=("m",), domains=DOMAINS, analyze=AnalyzeParams(n_bootstrap=100))
    profile = build_profile(table(baseline, moved), "m", "here", params)
    [row] = [r for r in profile.differences if r.scored_against == "predictive_accuracy"]
    assert "threshold" in profile_text(profile, 4.0)
    shift = row.threshold_shift
    return shift.estimate, shift.low, shift.high


def test_the_shift_of_the_threshold_is_found():
    found = [_shifts(0.68, 120, seed) for seed in range(12)]
    assert np.mean([one[0] for one in found]) == pytest.approx(-0.07, abs=0.02)
    assert sum(low <= -0.07 <= high for _, low, high in found) >= 9
    assert all(low <= estimate <= high for estimate, low, high in found)
    unmoved = [_shifts(0.75, 120, seed) for seed in range(6)]
    assert sum(low <= 0 <= high for _, low, high in unmoved) >= 5


def test_a_threshold_that_is_not_identified_has_no_shift():
    flat = [row | {"intervention": "peer_acted", "escalate": 1} for row in release("m", n=40)]
    params = Params(seed=1, models=("m",), domains=DOMAINS, analyze=AnalyzeParams(n_bootstrap=100))
    profile = build_profile(table(release("m", n=40), flat), "m", "here", params)
    assert {row.threshold_shift for row in profile.differences} == {None}
