-- staging: lending_club_source (edition raw)
-- grain: one row per (application)
-- source: lending_club_accepted, lending_club_rejected
-- The accepted file ends with lines that sum up its quarters, with nothing but a text in `id`.
with accepted as (
    select
        source_row,
        loan_amnt,
        purpose,
        emp_length,
        dti,
        fico_range_low
    from lending_club_accepted
    where loan_amnt is not null
),

rejected as (
    select
        source_row,
        "Amount Requested" as loan_amnt,  -- noqa: RF05
        "Loan Title" as purpose,  -- noqa: RF05
        "Employment Length" as emp_length,  -- noqa: RF05
        "Debt-To-Income Ratio" as dti,  -- noqa: RF05
        "Risk_Score" as risk_score  -- noqa: RF06
    from lending_club_rejected
),

-- From the tables themselves: DuckDB would keep all rows of a CTE that is read twice.
counted as (
    select
        (select count(loan_amnt) from lending_club_accepted) as n_accepted,
        (select count(*) from lending_club_rejected) as n_rejected
),

-- The published percentages are those of equally many accepted and rejected applications, before
-- any is left out. At most 100,000 of each bound the table, where the files have 2 and 28 million.
shared as (
    select
        least(100000, n_accepted, n_rejected) / n_accepted as accepted_share,
        least(100000, n_accepted, n_rejected) / n_rejected as rejected_share
    from counted
),

-- The draw goes by md5 of the row's number: the same on any machine, and blind to all it holds.
drawn_accepted as (
    select
        accepted.source_row,
        accepted.loan_amnt,
        accepted.purpose,
        accepted.emp_length,
        accepted.dti,
        accepted.fico_range_low
    from accepted
    cross join shared
    where
        md5_number_lower(concat('accepted-', accepted.source_row)) / pow(2, 64)
        <= shared.accepted_share
),

drawn_rejected as (
    select
        rejected.source_row,
        rejected.loan_amnt,
        rejected.purpose,
        rejected.emp_length,
        rejected.dti,
        rejected.risk_score
    from rejected
    cross join shared
    where
        md5_number_lower(concat('rejected-', rejected.source_row)) / pow(2, 64)
        <= shared.rejected_share
)

-- fico_range_low is the lower end of a band of five points, which is all that is published.
select
    source_row,
    concat('accepted-', lpad(cast(source_row as varchar), 8, '0')) as case_id,
    1 as label,  -- noqa: RF04
    loan_amnt as amount,
    purpose as purpose_text,
    emp_length as employment_text,
    dti as debt_percent,
    fico_range_low as score
from drawn_accepted
union all
select
    source_row,
    concat('rejected-', lpad(cast(source_row as varchar), 8, '0')) as case_id,
    0 as label,  -- noqa: RF04
    loan_amnt as amount,
    purpose as purpose_text,
    emp_length as employment_text,
    try_cast(rtrim(dti, '%') as double) as debt_percent,
    risk_score as score
from drawn_rejected
