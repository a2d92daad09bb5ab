"""The adaptive design: its estimate against the study's line, allocation, pilot, and statuses."""

from __future__ import annotations

import numpy as np
import pytest

from escalometer import stats
from escalometer.stats.adaptive_design import Design, tally
from tests.property.adaptive_models import ENDLESS, KEYS, TRUTHS, model, true_threshold

CELLS = model(*TRUTHS["typical"], seed=5)
POOL = 1e9 * CELLS.sum(axis=2)


def _drawn(n: int, seed: int = 1, cells: np.ndarray = CELLS) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.multinomial(np.full(len(cells), n), cells.reshape(-1, 8)).reshape(cells.shape)


def _design(precision: float = 0.03, cells: np.ndarray = CELLS) -> Design:
    return Design(KEYS, 1e9 * cells.sum(axis=2), precision)


def test_tally_puts_each_dialogue_in_its_cell() -> None:
    counts = tally([0, 0, 1, 1, 1], [1, 1, 0, 0, 1], [1, 1, 0, 0, 1], [0, 0, 0, 1, 1], 2)
    assert counts.tolist() == [[[0, 0, 0, 0], [2, 0, 0, 0]], [[0, 1, 0, 1], [0, 0, 1, 0]]]


def test_tally_agrees_with_the_order_of_outcomes_elsewhere() -> None:
    counts = tally([0] * 4, [1] * 4, [1, 0, 1, 0], [0, 0, 1, 1], 1).sum(axis=1)
    assert stats.predictive_accuracies(counts).tolist() == [0.5]
    assert counts[0, stats.WRONG_IMPLEMENTED] == counts[0, stats.RIGHT_ESCALATED] == 1
    assert stats.outcome_counts([4], [2], [2], [1]).tolist() == counts.tolist()


def test_with_very_many_dialogues_it_is_the_study_s_line() -> None:
    counts = np.round(1e7 * CELLS).astype(np.int64)
    result = _design().estimate(counts)
    assert result.estimate == pytest.approx(true_threshold(CELLS), abs=1e-5)
    four = counts.sum(axis=1)
    slope, intercept, _ = stats.fit_lines(
        stats.predictive_accuracies(four)[None], stats.escalation_rates(four)[None]
    )
    assert result.estimate == pytest.approx(((0.5 - intercept) / slope)[0], abs=1e-5)
    assert result.status == "ok"
    assert result.half_width < 0.001


def test_few_dialogues_do_not_pull_the_estimate_away() -> None:
    # At 20 a condition the plain line is off by 0.05: noise in the accuracies flattens it.
    own, plain = [], []
    for seed in range(300):
        counts = _drawn(20, seed)
        own.append(_design().estimate(counts).estimate)
        four = counts.sum(axis=1)
        slope, intercept, _ = stats.fit_lines(
            stats.predictive_accuracies(four)[None], stats.escalation_rates(four)[None]
        )
        plain.append(((0.5 - intercept) / slope)[0])
    truth = true_threshold(CELLS)
    assert abs(np.median(own) - truth) < 0.006
    assert abs(np.median(plain) - truth) > 0.02


def test_a_small_pool_widens_the_interval() -> None:
    counts = _drawn(60)
    small = Design(KEYS, np.round(100 * CELLS.sum(axis=2)), 0.03)
    assert small.estimate(counts).half_width > 1.02 * _design().estimate(counts).half_width


def test_weights_depend_on_the_design_not_on_how_many_dialogues_there_are() -> None:
    # Twice the dialogues in half of the conditions, the same rates: the same threshold.
    counts = np.round(1e6 * CELLS).astype(np.int64)
    doubled = counts.copy()
    doubled[::2] *= 2
    design = _design()
    assert design.estimate(doubled).estimate == pytest.approx(
        design.estimate(counts).estimate, abs=1e-5
    )


def test_the_pilot_comes_first_and_is_the_same_for_all() -> None:
    design, nothing = _design(), np.zeros(CELLS.shape, dtype=np.int64)
    assert design.round_size(nothing, ENDLESS) == 10 * len(KEYS)
    assert design.allocate(nothing, 10 * len(KEYS), ENDLESS) == dict.fromkeys(KEYS, 10)
    assert not design.is_precise(nothing, ENDLESS)
    started = _drawn(10)
    started[3] = 0
    assert design.round_size(started, ENDLESS) == 10
    assert design.allocate(started, 400, ENDLESS) == {KEYS[3]: 10}
    assert not design.is_precise(started, ENDLESS)


def test_a_pilot_that_cannot_be_finished_does_not_hold_up_the_rest() -> None:
    design, counts = _design(0.5), _drawn(10)
    counts[3] = 0
    assert design.is_precise(counts, ENDLESS | {KEYS[3]: 0})
    more = design.allocate(counts, 100, ENDLESS | {KEYS[3]: 0})
    assert KEYS[3] not in more
    assert sum(more.values()) == 100


@pytest.mark.parametrize("n", [0, 1, 39, 400, 5_000])
def test_allocation_gives_out_what_is_asked_within_what_is_available(n: int) -> None:
    rng = np.random.default_rng(n)
    available = {key: int(rng.integers(0, 60)) for key in KEYS}
    more = _design().allocate(_drawn(15), n, available)
    assert sum(more.values()) == min(n, sum(available.values()))
    assert all(0 < m <= available[key] for key, m in more.items())


def test_dialogues_go_where_the_line_crosses_one_half() -> None:
    more = _design().allocate(_drawn(50), 2_000, ENDLESS)
    accuracy = CELLS.sum(axis=1) @ np.array([1, 0, 1, 0])
    given = np.array([more.get(key, 0) for key in KEYS])
    assert given[accuracy < 0.6].mean() > 3 * given[accuracy > 0.85].mean()


def test_what_a_condition_shows_by_chance_hardly_moves_what_it_gets() -> None:
    # Else a condition that looks uninteresting would stay so, and bias the estimate.
    counts = _drawn(20)
    place = 7
    counts[place] = np.round(20 * CELLS[place])
    changed = counts.copy()
    changed[place] = [[0, 0, 0, 0], [20, 0, 0, 0]]
    design = _design()
    first, second = (
        design.allocate(c, 4_000, ENDLESS).get(KEYS[place], 0) + 20 for c in (counts, changed)
    )
    assert second > 0.6 * first


def test_a_model_that_never_escalates_is_unidentified_and_rounds_go_on() -> None:
    cells = np.zeros(CELLS.shape)
    cells[:, :, 0] = CELLS[:, :, 0] + CELLS[:, :, 2]
    cells[:, :, 1] = CELLS[:, :, 1] + CELLS[:, :, 3]
    counts = _drawn(40, cells=cells)
    design = _design(cells=cells)
    result = design.estimate(counts)
    assert (result.low, result.high, result.status) == (None, None, "unidentified")
    assert not design.is_precise(counts, ENDLESS)
    # No influence to go by: all get the same, until nothing is available.
    assert design.round_size(counts, ENDLESS) == counts.sum()
    assert set(design.allocate(counts, 400, ENDLESS).values()) == {10}
    assert design.round_size(counts, {}) == 0
    assert design.allocate(counts, 400, {}) == {}


def test_a_model_that_escalates_more_where_it_is_better_is_unidentified() -> None:
    rising = model(1.0, 0.6, 0.05, seed=3)
    assert _design(cells=rising).estimate(_drawn(200, cells=rising)).status == "unidentified"


def test_a_threshold_below_all_accuracies_is_extrapolated() -> None:
    low = model(-0.8, 0.30, 0.02, seed=3)
    result = _design(cells=low).estimate(_drawn(3_000, cells=low))
    assert result.status == "extrapolated"
    assert result.low is not None


def test_nothing_and_next_to_nothing_are_unidentified() -> None:
    nothing = np.zeros(CELLS.shape, dtype=np.int64)
    assert _design().estimate(nothing).estimate is None
    one = nothing.copy()
    one[:, 1, 0] = 1
    assert _design().estimate(one).status == "unidentified"
    same = nothing.copy()
    same[:, 1, 0] = 10
    assert _design().estimate(same).status == "unidentified"


def test_one_domain_is_enough() -> None:
    counts = _drawn(400)[:10]
    design = Design(KEYS[:10], POOL[:10], 0.05)
    assert design.estimate(counts).status in ("ok", "extrapolated")
    assert sum(design.allocate(counts, 333, ENDLESS).values()) == 333


@pytest.mark.parametrize(
    ("keys", "pool", "precision", "pilot"),
    [
        ([KEYS[0], KEYS[0]], [[1, 1], [1, 1]], 0.1, 10),
        (KEYS[:2], [[1, 1]], 0.1, 10),
        (KEYS[:2], [[1, 1], [1, -1]], 0.1, 10),
        (KEYS[:2], [[1, 1], [1, 1]], 0.0, 10),
        (KEYS[:2], [[1, 1], [1, 1]], 0.1, 4),
    ],
)
def test_what_does_not_fit_is_refused(
    keys: list[tuple[str, str]], pool: list[list[int]], precision: float, pilot: int
) -> None:
    with pytest.raises(ValueError, match=r"twice|pool|precision"):
        Design(keys, pool, precision, pilot)
