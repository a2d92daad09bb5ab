-- metric: what became of each scenario under each row of the escalation curve
-- grain: one row per (cell, scenario, outcome)
-- source: decisions, escalation_curve
-- cell is the row of the curve, from 0, in its order; scenario a number made of domain and id;
-- outcome a column of `estimates.outcome_counts`.
with dialogues as (
    select
        model,
        domain,
        condition,
        intervention,
        reasoning_effort,
        cost_ratio,
        framing,
        is_thinking,
        is_isolated,
        has_signal,
        signal_accuracy,
        scenario_id,
        prediction = label as is_correct,
        escalate = 1 as is_escalated
    from decisions
    where status in ('ok', 'forced') and scenario_id is not null
),

cells as (
    select
        row_number()
            over (
                order by
                    model,
                    domain,
                    condition,
                    intervention,
                    reasoning_effort,
                    cost_ratio,
                    framing,
                    is_thinking,
                    is_isolated,
                    has_signal,
                    signal_accuracy
            )
        - 1 as cell,
        model,
        domain,
        condition,
        intervention,
        reasoning_effort,
        cost_ratio,
        framing,
        is_thinking,
        is_isolated,
        has_signal,
        signal_accuracy
    from escalation_curve
),

number_outcomes as (
    select
        cells.cell,
        hash(dialogues.domain, dialogues.scenario_id) as scenario,
        2 * dialogues.is_escalated::int + 1 - dialogues.is_correct::int as outcome
    from dialogues
    inner join cells
        on
            dialogues.model = cells.model
            and dialogues.domain = cells.domain
            and dialogues.condition = cells.condition
            and dialogues.intervention = cells.intervention
            and dialogues.reasoning_effort is not distinct from cells.reasoning_effort
            and dialogues.cost_ratio is not distinct from cells.cost_ratio
            and dialogues.framing is not distinct from cells.framing
            and dialogues.is_thinking = cells.is_thinking
            and dialogues.is_isolated = cells.is_isolated
            and dialogues.has_signal = cells.has_signal
            and dialogues.signal_accuracy = cells.signal_accuracy
)

select
    cell,
    scenario,
    outcome,
    count(*)::bigint as n
from number_outcomes
group by cell, scenario, outcome
order by cell, scenario, outcome
