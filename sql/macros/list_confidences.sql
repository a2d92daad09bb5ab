-- metric: the probabilities of being right that answered dialogues come with, one a row
-- grain: one row per (answered dialogue, score)
-- source: none
-- decisions is the table to read; it is an argument since macros are defined before it exists.
create or replace macro list_confidences(decisions) as table (
    with dialogues as (
        select
            model,
            domain,
            intervention,
            reasoning_effort,
            cost_ratio,
            framing,
            is_thinking,
            is_isolated,
            has_signal,
            stated_confidence,
            prediction_probability,
            prediction = label as is_correct
        from query_table(decisions)
        where
            status in ('ok', 'forced')
            and (stated_confidence is not null or prediction_probability is not null)
    ),

    list_scores as (
        select
            * exclude (stated_confidence, prediction_probability),
            'stated_confidence' as score,
            stated_confidence as confidence
        from dialogues
        where stated_confidence is not null
        union all
        select
            * exclude (stated_confidence, prediction_probability),
            'choice_probability' as score,
            prediction_probability as confidence
        from dialogues
        where prediction_probability is not null
    )

    select
        model,
        domain,
        intervention,
        reasoning_effort,
        cost_ratio,
        framing,
        is_thinking,
        is_isolated,
        has_signal,
        score,
        confidence,
        is_correct
    from list_scores
);
