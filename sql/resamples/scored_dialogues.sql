-- metric: answered dialogues that come with a stated confidence or the probability of a choice
-- grain: one row per dialogue
-- source: decisions
select
    model,
    domain,
    scenario_id,
    intervention,
    reasoning_effort,
    cost_ratio,
    framing,
    is_thinking,
    is_isolated,
    has_signal,
    prediction = label as is_correct,
    escalate = 1 as is_escalated,
    stated_confidence,
    prediction_probability as choice_probability
from decisions
where
    status in ('ok', 'forced')
    and (stated_confidence is not null or prediction_probability is not null)
order by all
