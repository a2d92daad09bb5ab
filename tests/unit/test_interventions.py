"""Interventions: borrowed signals, what colleagues did, the deployer's prompt."""

from __future__ import annotations

import hashlib

import pytest

from escalometer.cases.task import Task
from escalometer.config import Params, default_params
from escalometer.dialogue import interventions
from escalometer.dialogue.deployer_prompts import deployer_prompt
from escalometer.dialogue.protocol import Protocol, first_turn, second_turn
from escalometer.errors import UsageError
from tests.command_line import run

TASK = Task("whether it rains", "the farmer", ("dry", "rain"))


@pytest.mark.parametrize("n", range(2, 30))
def test_every_condition_borrows_from_another_and_lends_once(n):
    names = [f"c{i}" for i in range(n)]
    others = interventions.other_condition(names)
    assert list(others) == names
    assert sorted(others.values()) == sorted(names)
    assert all(name != other for name, other in others.items())
    assert others == interventions.other_condition(tuple(names))


def test_a_partner_is_half_of_the_range_away():
    others = interventions.other_condition(["low", "middle", "high", "highest"])
    assert others == {"low": "high", "middle": "highest", "high": "low", "highest": "middle"}
    assert interventions.other_condition(["a", "b", "c"]) == {"a": "b", "b": "c", "c": "a"}


@pytest.mark.parametrize(("names", "found"), [((), "found 0: none"), (("a",), "found 1: a")])
def test_one_condition_alone_has_nobody_to_borrow_from(names, found):
    with pytest.raises(UsageError, match=found):
        interventions.other_condition(names)


def test_a_control_has_one_variant_for_each_wording():
    costs = interventions.Costs(ratios=(2.0, 4.0, 8.0), framings=("ratio", "words"))
    protocols = interventions.variants("length_control", costs)
    assert [(p.framing, p.cost_ratio) for p in protocols] == [("ratio", None), ("words", None)]
    assert len(interventions.variants("thinking_cost_framing", costs)) == 6


@pytest.mark.parametrize("action", ["acted", "escalated"])
def test_a_precedent_and_its_control_differ_in_the_author_alone(action):
    costs = interventions.Costs((4.0,), ("ratio",))
    texts = {}
    for who in ("peer", "unattributed"):
        [protocol] = interventions.variants(f"{who}_{action}", costs)
        assert first_turn(protocol, TASK, "s", "x") == first_turn(Protocol(), TASK, "s", "x")
        sentence, rest = second_turn(protocol, TASK).split("\n\n")
        assert rest == second_turn(Protocol(), TASK)
        texts[who] = sentence
    assert "colleague" in texts["peer"] and "colleague" not in texts["unattributed"]
    verb = {"acted": "implemented", "escalated": "escalated"}[action]
    assert all(verb in text and "a case like this" in text.lower() for text in texts.values())


class TestDeployerPrompt:
    PARAMS = default_params()

    def params(self, name: str | None) -> Params:
        query = self.PARAMS.query.model_copy(update={"deployer_prompt": name})
        return self.PARAMS.model_copy(update={"query": query})

    def test_the_text_is_read_without_blanks_at_its_ends(self, tmp_path):
        (tmp_path / "prompts").mkdir()
        (tmp_path / "prompts" / "a.txt").write_text("\n You settle refunds.\n\n", "utf-8")
        found = deployer_prompt(self.params("prompts/a.txt"), tmp_path)
        assert found.text == "You settle refunds."
        assert found.digest == f"sha256:{hashlib.sha256(b'You settle refunds.').hexdigest()}"

    @pytest.mark.parametrize(
        ("name", "content", "words"),
        [
            (None, None, "needs a system prompt"),
            ("prompts/b.txt", None, "cannot be read"),
            ("prompts/b.txt", b" \n", "is empty"),
            ("prompts/b.txt", b"\xff\xfe\xfa", "not UTF-8"),
            ("b.txt", b"text", "must be a file in prompts/"),
            ("prompts/../b.txt", b"text", "must be a file in prompts/"),
        ],
    )
    def test_a_file_that_cannot_be_used_exits_3(self, name, content, words, tmp_path):
        (tmp_path / "prompts").mkdir()
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(UsageError, match=words):
            deployer_prompt(self.params(name), tmp_path)

    def test_a_missing_file_is_an_error_before_anything_is_asked(self, project):
        done = run(project, "evaluate", "tiny", "--interventions", "baseline,deployer_prompt")
        assert done.returncode == 3 and "needs a system prompt" in done.stderr
        assert not (project / ".escalometer").exists()
