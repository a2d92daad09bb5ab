-- metric: one number for what identifies a row of the escalation curve
-- grain: a scalar
-- source: none
-- cell is a row of any table with these columns, such as decisions. Joining tens of millions of rows
-- by one hash is faster than by 11 columns, and nulls match.
create or replace macro cell_key(cell) as (
    hash(
        cell.model,
        cell.domain,
        cell.condition,
        cell.intervention,
        cell.reasoning_effort,
        cell.cost_ratio,
        cell.framing,
        cell.is_thinking,
        cell.is_isolated,
        cell.has_signal,
        cell.signal_accuracy
    )
);
