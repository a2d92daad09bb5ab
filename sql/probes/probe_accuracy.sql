-- metric: share of dialogues with the cost-optimal action, by probe, and what blind rules would get
-- grain: one row per (probe, model_role, scored_against)
-- source: probed
-- By the signal where there is one, and by the domain's own accuracy. Unread answers are not right.
with score_both_ways as (
    select
        *,
        'signal' as scored_against
    from probed
    where has_signal
    union all
    select
        * replace (domain_optimal_escalate as optimal_escalate),
        'domain' as scored_against
    from probed
),

count_dialogues as (
    select
        probe,
        model_role,
        scored_against,
        count(*)::bigint as n,
        count(distinct row(domain, scenario_id))::bigint as n_scenarios,
        count(*) filter (where escalate = optimal_escalate)::bigint as n_right,
        count(*) filter (where escalate is null)::bigint as n_unparsed,
        count(*) filter (where status = 'forced')::bigint as n_forced,
        count(*) filter (where optimal_escalate = 1)::bigint as n_escalation_optimal
    from score_both_ways
    group by all
)

select
    probe,
    model_role,
    scored_against,
    n,
    n_scenarios,
    n_right,
    n_unparsed,
    n_forced,
    n_right / n::double as escalation_accuracy,
    wilson_low(n_right, n) as escalation_accuracy_low,
    wilson_high(n_right, n) as escalation_accuracy_high,
    n_escalation_optimal / n::double as always_escalate,
    (n - n_escalation_optimal) / n::double as always_implement
from count_dialogues
order by all
