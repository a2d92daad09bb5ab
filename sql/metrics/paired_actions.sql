-- metric: dialogues about the same scenario under an intervention and under the baseline, by what both did
-- grain: one row per (model, domain, condition, intervention, reasoning_effort, cost_ratio, framing, is_thinking, is_isolated, has_signal, signal_accuracy)
-- source: decisions
-- The baseline is that of the same model, condition, effort and replicate. "Only" is this
-- intervention alone, "reference" the baseline alone. Two hashes of 64 bits stand for the seven
-- columns of the join: tens of millions of rows fit into memory by them.
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
        hash(
            1,
            model,
            domain,
            condition,
            signal_accuracy,
            reasoning_effort,
            scenario_id,
            replicate
        ) as first_key,
        hash(
            2,
            model,
            domain,
            condition,
            signal_accuracy,
            reasoning_effort,
            scenario_id,
            replicate
        ) as second_key,
        prediction = label as is_correct,
        escalate = 1 as is_escalated,
        intervention = 'baseline'
        and has_signal
        and cost_ratio is null
        and not is_thinking
        and not is_isolated as is_reference
    from decisions
    where status in ('ok', 'forced') and scenario_id is not null
),

baseline as (
    select
        first_key,
        second_key,
        is_correct,
        is_escalated
    from dialogues
    where is_reference
),

others as (
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
        first_key,
        second_key,
        is_correct,
        is_escalated
    from dialogues
    where not is_reference
),

count_pairs as (
    select
        others.model,
        others.domain,
        others.condition,
        others.intervention,
        others.reasoning_effort,
        others.cost_ratio,
        others.framing,
        others.is_thinking,
        others.is_isolated,
        others.has_signal,
        others.signal_accuracy,
        count(*)::bigint as n_pairs,
        (count(*) filter (where others.is_escalated and baseline.is_escalated))::bigint
            as n_both_escalated,
        (count(*) filter (where others.is_escalated and not baseline.is_escalated))::bigint
            as n_only_escalated,
        (count(*) filter (where not others.is_escalated and baseline.is_escalated))::bigint
            as n_reference_escalated,
        (count(*) filter (where others.is_correct and baseline.is_correct))::bigint
            as n_both_correct,
        (count(*) filter (where others.is_correct and not baseline.is_correct))::bigint
            as n_only_correct,
        (count(*) filter (where not others.is_correct and baseline.is_correct))::bigint
            as n_reference_correct
    from others
    inner join baseline
        on others.first_key = baseline.first_key and others.second_key = baseline.second_key
    group by
        others.model,
        others.domain,
        others.condition,
        others.intervention,
        others.reasoning_effort,
        others.cost_ratio,
        others.framing,
        others.is_thinking,
        others.is_isolated,
        others.has_signal,
        others.signal_accuracy
)

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
    n_pairs,
    n_both_escalated,
    n_only_escalated,
    n_reference_escalated,
    n_both_correct,
    n_only_correct,
    n_reference_correct
from count_pairs
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
