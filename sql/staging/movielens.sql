-- staging: movielens
-- grain: one row per (user_id, first_movie_id, second_movie_id), a sample of all pairs
-- source: movielens_source
with ratings as not materialized (
    select
        source_row,
        user_id,
        movie_id,
        rating,
        title,
        release_year,
        genres
    from movielens_source
),

-- Averages hold all ratings, the viewer's own as well, like an average that a site displays, and
-- are rounded as it displays them. Ratings are halves, so sums are exact on any number of threads.
averaged_movies as (
    select
        movie_id,
        min(title) as published_title,
        min(release_year) as release_year,
        min(genres) as published_genres,
        count(*) as n_ratings,
        round(avg(rating), 2) as average
    from ratings
    where title is not null and release_year is not null and genres is not null
    group by movie_id
    having count(*) >= 20
),

-- Titles in ASCII: small models pay for every odd letter.
plain_movies as (
    select
        movie_id,
        release_year,
        published_genres,
        n_ratings,
        average,
        trim(
            regexp_replace(
                strip_accents(replace(replace(published_title, '½', '1/2'), '’', '''')),
                '[^ -~]',
                '',
                'g'
            )
        ) as title
    from averaged_movies
),

-- As one would say it: "Matrix, The" is "The Matrix", and other titles in parentheses are left out.
movies as (
    select
        movie_id,
        release_year,
        n_ratings,
        average,
        regexp_replace(
            regexp_replace(title, '\s+\(.*$', ''),
            '^(.+), (The|A|An|Le|La|Les|El|Il|Das|Der|Die)$',
            '\2 \1'
        ) as title,
        replace(trim(published_genres, '()'), '|', ', ') as genres,
        list_filter(
            string_split(published_genres, '|'), lambda genre: genre <> '(no genres listed)'
        ) as genre_list
    from plain_movies
    where regexp_matches(title, '[A-Za-z0-9]')
),

-- What is drawn is drawn by md5 of the ids: the same on any machine, and blind to ratings. 2,000
-- users with up to 5 pairs each bound a bin to 10,000 pairs, however many ratings there are.
drawn_users as (
    select user_id
    from ratings
    group by user_id
    order by md5(cast(user_id as varchar)) asc, user_id asc
    limit 2000
),

shuffled_ratings as (
    select
        ratings.source_row,
        ratings.user_id,
        ratings.movie_id,
        ratings.rating,
        movies.title,
        movies.average,
        row_number() over (
            partition by ratings.user_id
            order by
                md5(concat_ws(':', ratings.user_id, ratings.movie_id)) asc,
                ratings.movie_id asc
        ) as place
    from ratings
    inner join drawn_users on ratings.user_id = drawn_users.user_id
    inner join movies on ratings.movie_id = movies.movie_id
),

-- 150 movies a user bound the number of pairs of the few users who rated thousands. Places are
-- shuffled already; the two primes mix them, so that a user's pairs are not all of one movie.
paired_ratings as (
    select
        higher.user_id,
        higher.place as higher_place,
        lower.place as lower_place,
        round(higher.average - lower.average, 2) as difference,
        (higher.place * 7919 + lower.place * 104729) % 1000003 as turn
    from shuffled_ratings as higher
    inner join shuffled_ratings as lower
        on
            higher.user_id = lower.user_id
            and higher.average > lower.average
            and higher.rating <> lower.rating
            and higher.title <> lower.title
    where higher.place <= 150 and lower.place <= 150
),

-- The same edges as the domain's conditions, so that each of them gets cases of many users. One
-- number says a pair's turn and which pair it is: the least five are found without sorting all.
numbered_pairs as (
    select
        user_id,
        (turn * 256 + higher_place) * 256 + lower_place as number,
        case
            when difference < 0.05 then 0
            when difference < 0.15 then 1
            when difference < 0.30 then 2
            when difference < 0.50 then 3
            when difference < 0.70 then 4
            when difference < 1.00 then 5
            when difference < 1.30 then 6
            when difference < 1.60 then 7
            when difference < 2.00 then 8
            else 9
        end as bin
    from paired_ratings
),

first_numbers as (
    select
        user_id,
        unnest(min(number, 5)) as number
    from numbered_pairs
    group by user_id, bin
),

first_pairs as (
    select
        user_id,
        number // 256 % 256 as higher_place,
        number % 256 as lower_place
    from first_numbers
),

sampled_pairs as (
    select
        first_pairs.user_id,
        higher.source_row,
        round(higher.average - lower.average, 2) as difference,
        higher.movie_id as higher_movie_id,
        lower.movie_id as lower_movie_id,
        higher.title as higher_title,
        lower.title as lower_title,
        higher.rating > lower.rating as is_higher_preferred
    from first_pairs
    inner join shuffled_ratings as higher
        on first_pairs.user_id = higher.user_id and first_pairs.higher_place = higher.place
    inner join shuffled_ratings as lower
        on first_pairs.user_id = lower.user_id and first_pairs.lower_place = lower.place
),

-- One rating a title, since two ids can share one.
titled_ratings as (
    select
        user_id,
        title,
        rating,
        place
    from shuffled_ratings
    qualify row_number() over (
        partition by user_id, title
        order by rating desc, place asc
    ) = 1
),

-- Four, since two of them may be the pair itself.
favorite_movies as (
    select
        user_id,
        title,
        row_number() over (
            partition by user_id
            order by rating desc, place asc
        ) as rank
    from titled_ratings
    qualify rank <= 4
),

-- The pair's own movies are never among the favorites that the text names.
named_favorites as (
    select
        sampled_pairs.user_id,
        sampled_pairs.higher_movie_id,
        sampled_pairs.lower_movie_id,
        list(favorite_movies.title order by favorite_movies.rank asc)[1:2] as favorites
    from sampled_pairs
    inner join favorite_movies
        on
            sampled_pairs.user_id = favorite_movies.user_id
            and sampled_pairs.higher_title <> favorite_movies.title
            and sampled_pairs.lower_title <> favorite_movies.title
    group by
        sampled_pairs.user_id,
        sampled_pairs.higher_movie_id,
        sampled_pairs.lower_movie_id
    having count(*) >= 2
),

-- A pair is the same case in either order; only what the text lists first is another.
listed_pairs as (
    select
        user_id,
        source_row,
        difference,
        higher_movie_id,
        lower_movie_id,
        $is_balanced
        and md5(
            concat_ws(
                ':',
                user_id,
                least(higher_movie_id, lower_movie_id),
                greatest(higher_movie_id, lower_movie_id)
            )
        ) < '8' as is_swapped,
        is_higher_preferred,
        is_higher_preferred <> is_swapped as is_first_preferred,
        if(is_swapped, lower_movie_id, higher_movie_id) as first_movie_id,
        if(is_swapped, higher_movie_id, lower_movie_id) as second_movie_id
    from sampled_pairs
)

select
    listed_pairs.source_row,
    listed_pairs.user_id,
    listed_pairs.first_movie_id,
    first_movies.title as first_title,
    first_movies.release_year as first_year,
    first_movies.genres as first_genres,
    first_movies.average as first_average,
    first_movies.n_ratings as first_n_ratings,
    listed_pairs.second_movie_id,
    second_movies.title as second_title,
    second_movies.release_year as second_year,
    second_movies.genres as second_genres,
    second_movies.average as second_average,
    second_movies.n_ratings as second_n_ratings,
    named_favorites.favorites,
    listed_pairs.difference,
    cast(listed_pairs.user_id as varchar) as split_key,
    cast(listed_pairs.is_first_preferred as tinyint) as label,  -- noqa: RF04
    cast(not listed_pairs.is_swapped as tinyint) as expected_label,
    cast(listed_pairs.is_higher_preferred as tinyint) as prefers_higher,
    concat_ws(
        '-', listed_pairs.user_id, listed_pairs.higher_movie_id, listed_pairs.lower_movie_id
    ) as case_id,
    greatest(first_movies.average, second_movies.average) as higher_average,
    least(first_movies.average, second_movies.average) as lower_average,
    if(
        listed_pairs.is_swapped, second_movies.n_ratings, first_movies.n_ratings
    ) as higher_n_ratings,
    if(
        listed_pairs.is_swapped, first_movies.n_ratings, second_movies.n_ratings
    ) as lower_n_ratings,
    abs(first_movies.release_year - second_movies.release_year) as years_between,
    if(
        listed_pairs.is_swapped,
        second_movies.release_year > first_movies.release_year,
        first_movies.release_year > second_movies.release_year
    ) as is_higher_newer,
    list_has_any(first_movies.genre_list, second_movies.genre_list) as shares_genre
from listed_pairs
inner join named_favorites
    on
        listed_pairs.user_id = named_favorites.user_id
        and listed_pairs.higher_movie_id = named_favorites.higher_movie_id
        and listed_pairs.lower_movie_id = named_favorites.lower_movie_id
inner join movies as first_movies on listed_pairs.first_movie_id = first_movies.movie_id
inner join movies as second_movies on listed_pairs.second_movie_id = second_movies.movie_id
order by case_id
