-- metric: lower end of the 95% Wilson score interval of k out of n, null where n is 0
-- grain: a scalar
-- source: none
create or replace macro wilson_low(k, n) as (
    case
        when n = 0 then null
        when k = 0 then 0.0
        else
            (
                k / n::double
                + normal_quantile() ^ 2 / (2 * n)
                - normal_quantile() * sqrt(
                    (k / n::double) * (1 - k / n::double) / n
                    + normal_quantile() ^ 2 / (4 * n::double * n)
                )
            )
            / (1 + normal_quantile() ^ 2 / n)
    end
);
