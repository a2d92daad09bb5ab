-- metric: normal quantile of two-sided 95% intervals, as stats.shares.Z95
-- grain: a scalar
-- source: none
create or replace macro normal_quantile() as 1.959963984540054;
