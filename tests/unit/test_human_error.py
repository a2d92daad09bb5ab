"""The human error rate from disagreement: the estimator, and the command on made-up judgements."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from escalometer.stats.human_error import persons_error
from tests.command_line import run

COMMENTS = "rev_id\tcomment\tyear\tlogged_in\tns\tsample\tsplit\n"
ANNOTATIONS = "rev_id\tworker_id\ttoxicity\ttoxicity_score\n"


def _judged(
    draw: np.random.Generator, errors: np.ndarray, n_people: int
) -> list[tuple[int, int, int]]:
    truth = draw.random(len(errors)) < 0.3
    wrong = draw.random((len(errors), n_people)) < errors[:, None]
    counts = (wrong != truth[:, None]).sum(axis=1)
    return [(n_people, int(k), 1) for k in counts]


def test_the_error_rate_is_found_with_its_coverage():
    draw = np.random.default_rng(4)
    found = [persons_error(_judged(draw, np.full(400, 0.12), 5)) for _ in range(300)]
    assert np.mean([one.estimate for one in found]) == pytest.approx(0.12, abs=0.002)
    assert np.mean([one.low <= 0.12 <= one.high for one in found]) >= 0.92


def test_it_is_a_lower_bound_where_cases_differ():
    draw = np.random.default_rng(5)
    errors = draw.choice([0.02, 0.4], 40_000)
    found = persons_error(_judged(draw, errors, 10))
    assert found.high < errors.mean()


@pytest.mark.parametrize(
    ("cases", "expected"),
    [([], None), ([(1, 1, 9)], None), ([(10, 10, 5), (10, 0, 5)], 0.0), ([(2, 1, 3)], "none")],
)
def test_edges(cases, expected):
    found = persons_error(cases)
    if expected is None:
        assert found is None
    elif expected == "none":
        assert found.disagreement == 1 and found.estimate is None
    else:
        assert found.estimate == expected


def _raw(folder: Path) -> None:
    folder.mkdir(parents=True)
    comments, annotations = [COMMENTS], [ANNOTATIONS]
    for i in range(1, 41):
        comments.append(f"{i}.0\ta comment\t2015\tTrue\tarticle\trandom\ttrain\n")
        for worker in range(10):
            is_toxic = (worker == 0) if i % 2 else (worker > 0)  # one of ten disagrees
            annotations.append(f"{i}.0\t{worker}\t{int(is_toxic)}\t{-1.0 if is_toxic else 1.0}\n")
    (folder / "toxicity_annotated_comments.tsv").write_text("".join(comments), "utf-8")
    (folder / "toxicity_annotations.tsv").write_text("".join(annotations), "utf-8")


def test_the_command_estimates_from_single_judgements(project):
    _raw(project / "data" / "raw" / "wikipedia_toxicity")
    done = run(project, "data", "human-error", "wikipedia_toxicity", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["n_cases"] == 40 and found["disagreement"] == pytest.approx(0.2)
    expected = (1 - np.sqrt(1 - 0.4)) / 2
    assert found["human_error_rate"]["estimate"] == pytest.approx(expected)
    text = run(project, "data", "human-error", "wikipedia_toxicity").stdout
    assert "analyze.human_error_rate: 0.1127" in text


def test_data_with_one_label_per_case_are_refused(project):
    done = run(project, "data", "human-error", "movielens")
    assert done.returncode == 3 and "have one label per case" in done.stderr
    done = run(project, "data", "human-error", "wikipedia_toxicity")
    assert done.returncode == 4 and "holds no files" in done.stderr
