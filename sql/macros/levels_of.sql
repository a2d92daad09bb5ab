-- metric: the domains that a row counts for: its own, and null, which stands for all main domains
-- grain: a scalar
-- source: none
-- Unnest it in place of domain: one row for the domain, and one for all main domains together.
create or replace macro levels_of(domain, side_domains) as (
    case
        when list_contains(side_domains::varchar[], domain) then [domain]
        else [domain, null]
    end
);
