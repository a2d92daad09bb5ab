"""Files of decisions that are measured without loading their rows into memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.decisions_curve import generate
from escalometer import warehouse
from escalometer.analysis.decisions import COLUMNS
from escalometer.analysis.profile import build_profile, build_profile_of_file
from escalometer.config import default_params
from escalometer.errors import DataError, UsageError
from escalometer.operations.decision_tables import Reading, load
from escalometer.schema import RECORDED, read_table
from escalometer.warehouse import _rows


@pytest.fixture(scope="module")
def decisions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Decisions of four models and all variants, with scenarios and confidences."""
    folder = tmp_path_factory.mktemp("measured")
    generate(24_000, folder / "decisions.parquet", folder / "decisions.duckdb")
    (folder / "checked").mkdir()
    return load(folder / "decisions.parquet", folder / "checked", Reading()).decisions


@pytest.mark.parametrize("is_pooled", [False, True])
@pytest.mark.parametrize("domains", [None, ("claims", "loans")])
def test_the_profile_of_a_file_is_that_of_its_rows(decisions, domains, is_pooled):
    params = default_params()
    analyze = params.analyze.model_copy(update={"n_bootstrap": 100})
    params = params.model_copy(update={"analyze": analyze})
    rows = read_table(decisions, RECORDED)
    expected = build_profile(rows, "model-1", "here", params, domains, is_pooled=is_pooled)
    found = build_profile_of_file(decisions, "model-1", "here", params, domains, is_pooled)
    assert found == expected
    assert found.calibration and found.overlap
    assert found.interventions


def test_what_has_no_room_or_other_columns_is_an_error_with_a_remedy(
    decisions, tmp_path, monkeypatch
):
    where = {"model": ["model-1"]}
    with (
        pytest.raises(DataError, match="does not exist"),
        warehouse.measured_rows(tmp_path / "none.parquet", COLUMNS, where),
    ):
        pass
    with (
        pytest.raises(DataError, match="does not have the expected columns"),
        warehouse.measured_rows(decisions, ("model", "none"), where),
    ):
        pass
    monkeypatch.setattr(_rows, "MEASURING_MEMORY", "1MB")
    with (
        pytest.raises(UsageError, match=r"no room for the decisions .* set TMPDIR"),
        warehouse.measured_rows(decisions, COLUMNS, where),
    ):
        pass
