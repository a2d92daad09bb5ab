-- metric: share of dialogues with the cost-optimal action where scenario and signal are the data's own
-- grain: one row per (model_role, domain, condition, cost_ratio, framing); what is null is pooled
-- source: probed
-- Cells of (domain, ratio, wording), and by domain, condition, ratio and wording alone.
with count_dialogues as (
    select
        model_role,
        domain,
        condition,
        cost_ratio,
        framing,
        count(*)::bigint as n,
        count(*) filter (where escalate = optimal_escalate)::bigint as n_right,
        count(*) filter (where escalate is null)::bigint as n_unparsed,
        count(*) filter (where optimal_escalate = 1)::bigint as n_escalation_optimal
    from probed
    where is_plain
    group by
        grouping sets (
            (model_role, domain, cost_ratio, framing),
            (model_role, domain, condition),
            (model_role, domain),
            (model_role, cost_ratio),
            (model_role, framing)
        )
)

select
    model_role,
    domain,
    condition,
    cost_ratio,
    framing,
    n,
    n_right,
    n_unparsed,
    n_right / n::double as escalation_accuracy,
    wilson_low(n_right, n) as escalation_accuracy_low,
    wilson_high(n_right, n) as escalation_accuracy_high,
    n_escalation_optimal / n::double as always_escalate,
    (n - n_escalation_optimal) / n::double as always_implement
from count_dialogues
order by all
