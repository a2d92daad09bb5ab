-- staging: hotel_bookings
-- grain: one row per (booking)
-- source: hotel_bookings_bookings
with bookings as (
    select
        source_row,
        hotel,
        is_canceled,
        lead_time,
        arrival_date_year,
        arrival_date_month,
        arrival_date_day_of_month,
        stays_in_weekend_nights,
        stays_in_week_nights,
        adults,
        children,
        babies,
        market_segment,
        is_repeated_guest,
        previous_cancellations,
        previous_bookings_not_canceled,
        deposit_type,
        total_of_special_requests,
        reservation_status
    from hotel_bookings_bookings
)

-- Each vocabulary is one word per value, so that how a text is written tells nothing about it. A
-- value that is in none comes out as null, which the suites refuse.
select
    source_row,
    lead_time as lead_time_days,
    stays_in_weekend_nights as weekend_nights,
    stays_in_week_nights as week_nights,
    adults,
    babies,
    previous_cancellations,
    previous_bookings_not_canceled as previous_kept,
    total_of_special_requests as special_requests,
    reservation_status as final_status,
    cast(1 - is_canceled as tinyint) as label,  -- noqa: RF04
    concat('booking-', lpad(cast(source_row as varchar), 8, '0')) as case_id,
    case hotel when 'City Hotel' then 'city' when 'Resort Hotel' then 'resort' end as hotel,
    strftime(
        try_strptime(
            concat_ws(' ', arrival_date_year, arrival_date_month, arrival_date_day_of_month),
            '%Y %B %d'
        ),
        '%Y-%m-%d'
    ) as arrival_date,
    coalesce(children, 0) as children,
    case market_segment
        when 'Online TA' then 'online'
        when 'Offline TA/TO' then 'offline'
        when 'Groups' then 'group'
        when 'Direct' then 'direct'
        when 'Corporate' then 'corporate'
        when 'Complementary' then 'complimentary'
        when 'Aviation' then 'airline'
        when 'Undefined' then 'other'
    end as channel,
    is_repeated_guest = 1 as is_repeated_guest,
    case deposit_type
        when 'No Deposit' then 'none'
        when 'Refundable' then 'refundable'
        when 'Non Refund' then 'nonrefundable'
    end as deposit
from bookings
order by case_id
