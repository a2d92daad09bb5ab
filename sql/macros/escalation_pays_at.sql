-- metric: whether escalating is cheaper than implementing at a stated accuracy; false at a tie
-- grain: a scalar
-- source: none
-- Decimals, since R * (1 - accuracy) > 1 is true in floats at (20, 0.95) and (50, 0.98).
-- 19 digits and more make DuckDB multiply in 128 bits. R and h count to 6 places, accuracy to 12.
create or replace macro escalation_pays_at(accuracy, cost_ratio, human_error_rate) as (
    cost_ratio::decimal(13, 6)
    * (1 - accuracy::decimal(19, 12) - human_error_rate::decimal(7, 6))
    > 1
);
