-- metric: dialogues about the same scenario under an intervention and under the baseline, by what both did
-- grain: one row per (model, domain, condition, intervention, reasoning_effort, cost_ratio, framing, is_thinking, is_isolated, has_signal, signal_accuracy)
-- source: decisions
-- The baseline is that of the same model, condition, effort and replicate. "Only" is this
-- intervention alone, "reference" the baseline alone.
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
        replicate,
        prediction = label as is_correct,
        escalate = 1 as is_escalated
    from decisions
    where status in ('ok', 'forced') and scenario_id is not null
),

baseline as (
    select
        model,
        domain,
        condition,
        signal_accuracy,
        reasoning_effort,
        scenario_id,
        replicate,
        is_correct,
        is_escalated
    from dialogues
    where
        intervention = 'baseline'
        and has_signal
        and cost_ratio is null
        and not is_thinking
        and not is_isolated
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
        scenario_id,
        replicate,
        is_correct,
        is_escalated
    from dialogues
    where
        intervention <> 'baseline'
        or not has_signal
        or cost_ratio is not null
        or is_thinking
        or is_isolated
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
        on
            others.model = baseline.model
            and others.domain = baseline.domain
            and others.condition = baseline.condition
            and others.signal_accuracy = baseline.signal_accuracy
            and others.reasoning_effort is not distinct from baseline.reasoning_effort
            and others.scenario_id = baseline.scenario_id
            and others.replicate = baseline.replicate
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
