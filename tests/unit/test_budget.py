"""A cap is never passed, whatever answers come back; a forecast brackets what a run costs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from escalometer.config import Price
from escalometer.dialogue.elicitation.budget import Budget, cost_of, worst_tokens
from escalometer.dialogue.elicitation.forecast import Forecast, forecast
from escalometer.dialogue.providers import Completion, Request

PRICE = Price(
    input_usd_per_million=2.0, output_usd_per_million=8.0, cached_input_usd_per_million=0.5
)


def request(n_characters: int, max_tokens: int = 50, **changes) -> Request:
    return Request((("user", "x" * n_characters),), "PREDICTION:", max_tokens, **changes)


def answer(n_prompt: int, n_completion: int, **changes) -> Completion:
    return Completion("PREDICTION: 1", "stop", n_prompt, n_completion, 0.1, **changes)


def test_the_price_of_an_answer():
    assert cost_of(PRICE, answer(1_000_000, 0)) == 2.0
    assert cost_of(PRICE, answer(0, 1_000_000)) == 8.0
    assert cost_of(PRICE, answer(1_000_000, 0, n_cached_tokens=400_000)) == pytest.approx(1.4)
    assert cost_of(PRICE, answer(10, 0, n_cached_tokens=99)) == pytest.approx(5e-6)
    assert cost_of(PRICE, answer(1_000_000, 1_000_000), is_batch=True) == 5.0
    assert cost_of(None, answer(5, 5)) == 0.0


def test_a_typed_question_costs_more_than_its_texts():
    plain, _ = worst_tokens(request(1000))
    typed, _ = worst_tokens(request(1000, meanings=("dry", "rain")))
    assert typed >= plain + 500 + 2 * 40


@given(
    st.lists(st.tuples(st.integers(0, 5000), st.floats(0, 1), st.booleans()), max_size=60),
    st.floats(1e-5, 0.02),
    st.integers(1, 40),
)
def test_a_cap_is_never_passed(asked, cap, most):
    budget = Budget(max_cost_usd=cap, max_requests=most, price=PRICE)
    under_way = []
    for n_characters, share, ends in asked:
        one = request(n_characters)
        if budget.reserve(one):
            under_way.append((one, share))
        if under_way and ends:
            done, how_much = under_way.pop(0)
            n_prompt, n_answer = worst_tokens(done)
            budget.settle(done, answer(int(n_prompt * how_much), int(n_answer * how_much)))
        assert budget.n_requests + len(under_way) <= most
    for one, _ in under_way:  # at their worst
        budget.settle(one, answer(*worst_tokens(one)))
    assert budget.cost_usd <= cap * (1 + 1e-6)
    assert budget.n_requests <= most


def test_what_was_set_aside_is_free_again():
    one = request(1000)
    budget = Budget(max_cost_usd=1.5 * Budget(price=PRICE).worst(one), price=PRICE)
    assert budget.reserve(one)
    assert not budget.reserve(one)
    budget.settle(one, None)
    assert budget.reserve(one)
    budget.settle(one, answer(1, 1))
    assert budget.reserve(one)


def test_thinking_is_set_aside_too():
    budget = Budget(price=PRICE, thinking_tokens=1000)
    plain, thinking = budget.worst(request(9)), budget.worst(request(9, is_thinking=True))
    assert thinking - plain == pytest.approx(1000 * 8e-6)


@pytest.mark.parametrize("seed", range(5))
def test_a_forecast_from_answers_brackets_the_cost(seed):
    random = np.random.default_rng(seed)

    def draw(n: int) -> list[tuple[int, Completion]]:
        sizes = random.integers(800, 1600, n)
        return [
            (int(size), answer(int(size / 4.4), int(random.integers(20, 45)))) for size in sizes
        ]

    to_come = draw(2000)
    cost = sum(cost_of(PRICE, one) for _, one in to_come)
    prompts = [request(n) for n, _ in to_come[::20]]
    found = forecast(prompts, 2000, draw(100), PRICE)
    assert found.low_usd <= cost <= found.high_usd
    assert found.high_usd <= 1.6 * found.low_usd
    blind = forecast(prompts, 2000, [], PRICE)
    assert blind.low_usd <= cost <= blind.high_usd
    assert (found.n_seen, blind.n_seen) == (100, 0)


def test_a_forecast_in_words():
    assert Forecast(12, 0.0, 0.0, 0.0, 0).spell() == "12 requests, free of charge"
    both = Forecast(1000, 1.0, 0.5, 2.0, 0) + Forecast(500, 1.0, 0.5, 2.0, 0)
    assert both.spell().startswith("1,500 requests, about $2.00 ($1.00 to $4.00; tokens assumed")
    unpriced = forecast([request(9)], 7, [], None)
    assert unpriced.spell() == "7 requests, price unknown"
    assert (both + unpriced).spell().endswith("price unknown")
    assert forecast([], 0, [], PRICE) == Forecast(0, 0.0, 0.0, 0.0, 0)


def test_room_for_all_or_for_none():
    some = [request(1000) for _ in range(3)]
    worst = Budget(price=PRICE).worst(some[0])
    assert Budget(price=PRICE).has_room(some)
    assert Budget(max_cost_usd=3 * worst, price=PRICE).has_room(some)
    assert not Budget(max_cost_usd=2.9 * worst, price=PRICE).has_room(some)
    assert not Budget(max_cost_usd=3 * worst, price=PRICE, cost_usd=worst).has_room(some)
    assert Budget(max_requests=3).has_room(some)
    assert not Budget(max_requests=3, n_requests=1).has_room(some)
    assert "1 of 3 requests" in str(Budget(max_requests=3, n_requests=1).too_small(3))
