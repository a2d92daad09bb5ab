-- metric: what became of each scenario under each row of the escalation curve
-- grain: one row per (cell, scenario, outcome)
-- source: decisions, escalation_curve
-- cell is the row of the curve, from 0, in its order; scenario a number made of domain and id;
-- outcome a column of `estimates.outcome_counts`. Small types, since there may be a row per dialogue.
with dialogues as (
    select
        cell_key(decisions) as cell_key,
        hash(domain, scenario_id) as scenario,
        prediction = label as is_correct,
        escalate = 1 as is_escalated
    from decisions
    where status in ('ok', 'forced') and scenario_id is not null
),

cells as (
    select
        cell_key(escalation_curve) as cell_key,
        row_number() over (
            order by
                model, domain, condition, intervention, reasoning_effort, cost_ratio, framing,
                is_thinking, is_isolated, has_signal, signal_accuracy
        ) - 1 as cell
    from escalation_curve
),

number_outcomes as (
    select
        cells.cell::int as cell,
        dialogues.scenario,
        (2 * dialogues.is_escalated::int + 1 - dialogues.is_correct::int)::tinyint as outcome
    from dialogues
    inner join cells on dialogues.cell_key = cells.cell_key
)

select
    cell,
    scenario,
    outcome,
    count(*)::int as n
from number_outcomes
group by all
order by all
