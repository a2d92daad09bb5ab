"""Adapters that differ in their seed alone are summarized together."""

from __future__ import annotations

import pytest

from escalometer.config import AdapterParams, Params
from escalometer.documents import Probes
from escalometer.reporting.seed_spread import seed_spreads, spread_parts
from escalometer.reporting.terminal import render
from tests.unit.grown_probes import grown_probes


def _probes(name: str, estimate: float) -> Probes:
    found = Probes.model_validate(grown_probes())
    rows = [
        row.model_copy(
            update={
                "tuned": row.tuned.model_copy(
                    update={"estimate": estimate, "low": estimate - 0.1, "high": estimate + 0.1}
                )
            }
        )
        for row in found.probes
    ]
    return found.model_copy(update={"adapter": name, "probes": tuple(rows)})


def test_the_spread_over_seeds_stands_beside_that_over_dialogues() -> None:
    group = [_probes("a", 0.7), _probes("a-seed2", 0.8), _probes("a-seed3", 0.75)]
    (spread,) = seed_spreads([*group, _probes("b", 0.1)])
    assert (spread.name, spread.n_seeds) == ("a", 3)
    row = spread.rows[0]
    assert row.estimates == (0.7, 0.8, 0.75)
    assert row.mean == pytest.approx(0.75)
    assert row.deviation == pytest.approx(0.05)
    assert row.half_width == pytest.approx(0.1)
    assert row.between_two == pytest.approx(4.3027 * 0.05 * 2**0.5, rel=1e-3)
    words = render(spread_parts(spread))
    assert "a: escalation accuracy over 3 training seeds" in words
    assert "75.0%  70.0%   80.0%" in words
    assert "larger than the spread over seeds if it exceeds" in words


def test_one_adapter_has_no_spread() -> None:
    assert seed_spreads([_probes("a", 0.7), _probes("b-seed2", 0.8)]) == []


def test_the_seed_of_an_adapter_is_that_of_params_unless_it_has_one() -> None:
    assert AdapterParams(model="m").seed_in(7) == 7
    assert AdapterParams(model="m", seed=8).seed_in(7) == 8
    params = Params.model_validate(
        {"seed": 7, "models": ["m"], "domains": ["movielens"],
         "train": {"adapters": {"m-seed2": {"model": "m", "seed": 8}}}}
    )  # fmt: skip
    assert params.train.adapters["m-seed2"].seed_in(params.seed) == 8
