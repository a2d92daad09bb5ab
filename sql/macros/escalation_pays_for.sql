-- metric: whether escalating is cheaper than implementing where n_wrong of n are; false at a tie
-- grain: a scalar
-- source: none
-- Decimals, since the share n_wrong / n is rarely exact in floats; see escalation_pays_at.
create or replace macro escalation_pays_for(n_wrong, n, cost_ratio, human_error_rate) as (
    cost_ratio::decimal(13, 6)
    * (n_wrong::decimal(19, 0) - human_error_rate::decimal(7, 6) * n::decimal(19, 0))
    > n::decimal(19, 0)
);
