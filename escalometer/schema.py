"""The tables that stages hand to each other: names, types and nullability, and how to store them.

Probabilities are fractions in [0, 1]; names end in `_s` for seconds, `_usd` for dollars and begin
with `n_` for counts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from escalometer.errors import DataError
from escalometer.runtime.files import replacing


def _field(name: str, kind: pa.DataType, nullable: bool = False) -> pa.Field[Any]:
    return pa.field(name, kind, nullable=nullable)


#: One row a condition of a domain. `signal_accuracy` is computed on the signal split alone.
CONDITIONS = pa.schema(
    [
        _field("domain", pa.string()),
        _field("condition", pa.string()),
        _field("origin", pa.string()),  # given | learned
        _field("phrase", pa.string()),
        _field("predicate", pa.string()),
        _field("n_signal", pa.int64()),  # rows of the signal split under the condition
        _field("n_agreeing", pa.int64()),  # those of them that are as the signal says
        _field("n_eval", pa.int64()),  # scenarios of the eval split under the condition
        _field("signal_label", pa.int8(), nullable=True),  # null where it differs case by case
        _field("signal_accuracy", pa.float64()),  # whole per cent, as a fraction
        _field("n_all", pa.int64()),  # rows of all splits under the condition
        _field("n_all_agreeing", pa.int64()),  # those of them that are as the signal says
        _field("published_accuracy", pa.float64(), nullable=True),  # as the publication states it
        _field("signal", pa.string()),  # the sentence that states it
    ]
)

#: One row a case that a dialogue can be about: a text and what the person decided. Rows that read
#: alike are one scenario; splits never overlap.
SCENARIOS = pa.schema(
    [
        _field("domain", pa.string()),
        _field("scenario_id", pa.string()),
        _field("split", pa.string()),  # signal | train | eval
        _field("label", pa.int8()),  # what the person decided: 0, 1, …
        _field("n_cases", pa.int64()),  # rows of the table with this text and label
        _field("conditions", pa.list_(pa.string())),  # all that the case falls into
        _field("drawn_for", pa.list_(pa.string())),  # conditions it was sampled for (eval only)
        _field("text", pa.string()),
    ]
)

#: One row a scenario that a model is asked about under a condition.
CHOSEN = pa.schema(
    [
        _field("domain", pa.string()),
        _field("condition", pa.string()),
        _field("scenario_id", pa.string()),
    ]
)

STATUSES = ("ok", "forced", "unparsed", "truncated", "refused", "error")

#: One row a two-turn dialogue, whatever came of it.
DECISIONS = pa.schema(
    [
        _field("model", pa.string()),
        _field("domain", pa.string()),
        _field("edition", pa.string()),  # of the domain's rows: see its provenance
        _field("condition", pa.string()),
        _field("scenario_id", pa.string()),
        _field("intervention", pa.string()),
        _field("replicate", pa.int64()),
        _field("signal_accuracy", pa.float64()),
        _field("has_signal", pa.bool_()),
        _field("is_thinking", pa.bool_()),
        _field("is_isolated", pa.bool_()),
        _field("reasoning_effort", pa.string(), nullable=True),
        _field("cost_ratio", pa.float64(), nullable=True),  # null where no cost was stated
        _field("framing", pa.string(), nullable=True),  # wording of the cost, or of its filler
        _field("force_answer", pa.bool_()),  # whether unfinished answers were closed for the model
        _field("label", pa.int8()),
        _field("prediction", pa.int8(), nullable=True),  # null where turn 1 gave none
        _field("escalate", pa.int8(), nullable=True),  # 1 = escalate; null where turn 2 gave none
        _field("status", pa.string()),
        _field("detail", pa.string(), nullable=True),  # why the status is not ok: "empty answer"
        _field("stated_confidence", pa.float64(), nullable=True),  # as the model says, in [0, 1]
        _field("prediction_probability", pa.float64(), nullable=True),  # of the choice, as read
        _field("escalate_probability", pa.float64(), nullable=True),  # of escalating, as read
        _field("resolved_model", pa.string(), nullable=True),  # what an alias stood for
        _field("prompt", pa.string()),
        _field("prediction_text", pa.string(), nullable=True),
        _field("decision_prompt", pa.string(), nullable=True),
        _field("decision_text", pa.string(), nullable=True),
        _field("prediction_thinking", pa.string(), nullable=True),
        _field("decision_thinking", pa.string(), nullable=True),
        _field("n_prompt_tokens", pa.int64()),
        _field("n_completion_tokens", pa.int64()),
        _field("cost_usd", pa.float64()),
        _field("latency_s", pa.float64()),
    ]
)


#: Columns of `DECISIONS` that decisions recorded elsewhere may have, and those they may lack.
_RECORDED_NAMES = (
    *("model", "domain", "edition", "condition", "scenario_id", "intervention", "replicate"),
    *("signal_accuracy", "has_signal", "is_thinking", "is_isolated", "reasoning_effort"),
    *("cost_ratio", "framing", "force_answer", "label", "prediction", "escalate", "status"),
    *("detail", "stated_confidence", "prediction_probability", "escalate_probability"),
    *("resolved_model", "prompt", "prediction_text", "decision_prompt", "decision_text"),
)
_MAY_LACK = ("edition", "scenario_id", "prompt")

#: One row a dialogue that others recorded: as `DECISIONS`, without what only our own runs know.
RECORDED = pa.schema(
    [
        DECISIONS.field(name).with_nullable(name in _MAY_LACK or DECISIONS.field(name).nullable)
        for name in _RECORDED_NAMES
    ]
)

#: What an example teaches: a turn-2 decision, a turn-1 prediction, or the arithmetic by itself.
EXAMPLE_KINDS = ("decide", "predict", "drill", "drill_both")  # both: of its two turns

#: One row an example that a model is fine-tuned on: a conversation and the answer it should give.
EXAMPLES = pa.schema(
    [
        _field("tree", pa.int64()),  # examples of one tree share what they begin with
        _field("kind", pa.string()),  # one of EXAMPLE_KINDS
        _field("domain", pa.string(), nullable=True),  # null: a drill is about none
        _field("scenario_id", pa.string(), nullable=True),
        _field("split", pa.string(), nullable=True),  # of the scenario: train, and no other
        _field(
            "messages",
            pa.list_(pa.struct([_field("role", pa.string()), _field("content", pa.string())])),
        ),
        _field("target", pa.string()),
        _field("rejected", pa.string(), nullable=True),  # a wrong answer, for preferences
        _field("percent", pa.int64(), nullable=True),  # that the signal states
        _field("cost_ratio", pa.float64(), nullable=True),
        _field("framing", pa.string(), nullable=True),
        _field("escalate", pa.int8(), nullable=True),  # what the target decides
    ]
)


#: Who is asked when an adapter is evaluated: the model as it was, and as it became.
ROLES = ("base", "tuned")

#: One row a dialogue that an adapter is evaluated by, and one for the same dialogue with its base.
PROBED = pa.schema(
    [
        _field("probe", pa.string()),  # one of training.probes.PROBES
        _field("model_role", pa.string()),  # one of ROLES
        _field("model", pa.string()),
        _field("domain", pa.string()),
        _field("condition", pa.string()),
        _field("scenario_id", pa.string()),
        _field("is_plain", pa.bool_()),  # scenario and signal as the data has them
        _field("has_signal", pa.bool_()),
        _field("percent", pa.int64()),  # that the signal states; the condition's where it is hidden
        _field("domain_percent", pa.int64()),  # the condition's own
        _field("cost_ratio", pa.float64()),
        _field("framing", pa.string()),
        _field("label", pa.int8()),
        _field("prediction", pa.int8(), nullable=True),
        _field("escalate", pa.int8(), nullable=True),
        _field("optimal_escalate", pa.int8()),  # what is cheaper if `percent` holds
        _field("domain_optimal_escalate", pa.int8()),  # … if `domain_percent` does
        _field("is_right", pa.bool_()),  # by `percent`; what could not be read is not right
        _field("mistake", pa.string(), nullable=True),  # of training.chains.MISTAKES
        _field("status", pa.string()),
        _field("detail", pa.string(), nullable=True),
        _field("prompt", pa.string()),
        _field("prediction_text", pa.string(), nullable=True),
        _field("decision_prompt", pa.string(), nullable=True),
        _field("decision_text", pa.string(), nullable=True),
        _field("n_prompt_tokens", pa.int64()),
        _field("n_completion_tokens", pa.int64()),
        _field("cost_usd", pa.float64()),
        _field("latency_s", pa.float64()),
    ]
)


def write_table(rows: list[dict[str, Any]] | pa.Table, schema: pa.Schema, path: Path) -> None:
    """Write rows as Parquet at `path`, whole or not at all.

    Raises
    ------
    DataError
        If a value does not fit its column, or is null where the schema has none.
    """
    try:
        if isinstance(rows, pa.Table):
            table = rows.select(schema.names).cast(schema)
        else:
            table = pa.Table.from_pylist(rows, schema=schema)
        table.validate(full=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError, KeyError, ValueError) as error:
        raise DataError(f"{path}: rows do not fit the table's schema: {error}") from error
    for field in schema:
        if not field.nullable and table.column(field.name).null_count:
            raise DataError(f"{path}: column {field.name!r} has nulls, which are not allowed")
    with replacing(path) as partial:
        pq.write_table(table, partial)


def read_table(path: Path, schema: pa.Schema) -> pa.Table:
    """Return the Parquet table at `path`, columns in the schema's order.

    Raises
    ------
    DataError
        If the file is absent, unreadable or lacks a column.
    """
    try:
        # Not `read_table`: it imports pandas, which takes a second.
        return pq.ParquetFile(path).read(columns=schema.names).select(schema.names).cast(schema)
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist; run `dvc repro` to create it") from error
    except (pa.ArrowInvalid, KeyError, ValueError) as error:
        raise DataError(f"{path} does not have the expected columns: {error}") from error
