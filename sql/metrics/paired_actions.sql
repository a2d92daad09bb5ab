-- metric: dialogues about the same scenario under an intervention and under the baseline, by what both did
-- grain: one row per (model, domain, condition, intervention, reasoning_effort, cost_ratio, framing, is_thinking, is_isolated, has_signal, signal_accuracy)
-- source: decisions, escalation_curve
-- The baseline is that of the same model, condition, effort and replicate. "Only" is this
-- intervention alone, "reference" the baseline alone. Hashes stand for the columns of the join
-- (two, of 64 bits each) and for a row of the curve: tens of millions of rows need that.
with dialogues as not materialized (
    select
        cell_key(decisions) as cell_key,
        hash(
            1, model, domain, condition, signal_accuracy, reasoning_effort, scenario_id, replicate
        ) as first_key,
        hash(
            2, model, domain, condition, signal_accuracy, reasoning_effort, scenario_id, replicate
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
        cell_key,
        first_key,
        second_key,
        is_correct,
        is_escalated
    from dialogues
    where not is_reference
),

count_pairs as (
    select
        others.cell_key,
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
    group by others.cell_key
),

curve as (
    select
        *,
        cell_key(escalation_curve) as cell_key
    from escalation_curve
)

select
    curve.model,
    curve.domain,
    curve.condition,
    curve.intervention,
    curve.reasoning_effort,
    curve.cost_ratio,
    curve.framing,
    curve.is_thinking,
    curve.is_isolated,
    curve.has_signal,
    curve.signal_accuracy,
    count_pairs.n_pairs,
    count_pairs.n_both_escalated,
    count_pairs.n_only_escalated,
    count_pairs.n_reference_escalated,
    count_pairs.n_both_correct,
    count_pairs.n_only_correct,
    count_pairs.n_reference_correct
from count_pairs
inner join curve on count_pairs.cell_key = curve.cell_key
order by all
