-- staging: lending_club_source (edition derived)
-- grain: one row per (application)
-- source: lending_club_derived
select
    source_row,
    concat('application-', lpad(cast(source_row as varchar), 8, '0')) as case_id,
    accepted as label,  -- noqa: RF04
    loan_amnt as amount,
    purpose as purpose_text,
    emp_length as employment_text,
    dti as debt_percent,
    fico as score
from lending_club_derived
