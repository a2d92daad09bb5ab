-- staging: movielens
-- grain: one row per (user_id, first_movie_id, second_movie_id), a sample of all pairs
-- source: movielens_ratings
with ratings as (
    select
        "userId" as user_id,  -- noqa: RF06
        "movieId" as movie_id,  -- noqa: RF06
        title,
        year as release_year,
        genres,
        rating
    from movielens_ratings
),

-- Averages hold all ratings, the viewer's own as well, like an average that a site displays.
-- Ratings are halves, so sums are exact and the same for any number of threads.
averaged_movies as (
    select
        movie_id,
        min(title) as title,
        min(release_year) as release_year,
        min(genres) as genres,
        avg(rating) as average
    from ratings
    where title is not null and release_year is not null
    group by movie_id
    having count(*) >= 20
),

-- Orders are drawn by md5 of the ids: the same on any machine, and blind to ratings.
shuffled_ratings as (
    select
        ratings.user_id,
        ratings.movie_id,
        ratings.rating,
        averaged_movies.title,
        averaged_movies.release_year,
        averaged_movies.genres,
        averaged_movies.average,
        row_number() over (
            partition by ratings.user_id
            order by md5(concat_ws(':', ratings.user_id, ratings.movie_id)), ratings.movie_id
        ) as place
    from ratings
    inner join averaged_movies on ratings.movie_id = averaged_movies.movie_id
),

-- 150 movies a user bound the number of pairs of the few users who rated thousands. Places are
-- shuffled already; the two primes mix them, so that a user's pairs are not all of one movie.
paired_ratings as (
    select
        higher.user_id,
        higher.movie_id as first_movie_id,
        lower.movie_id as second_movie_id,
        higher.average - lower.average as difference,
        higher.rating > lower.rating as is_first_preferred,
        (higher.place * 7919 + lower.place * 104729) % 1000003 as turn
    from shuffled_ratings as higher
    inner join shuffled_ratings as lower
        on
            higher.user_id = lower.user_id
            and higher.average > lower.average
            and higher.rating <> lower.rating
    where higher.place <= 150 and lower.place <= 150
),

-- The same edges as the domain's conditions, so that each of them gets cases of many users.
binned_pairs as (
    select
        user_id,
        first_movie_id,
        second_movie_id,
        difference,
        is_first_preferred,
        turn,
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

ranked_pairs as (
    select
        user_id,
        first_movie_id,
        second_movie_id,
        difference,
        is_first_preferred,
        row_number() over (
            partition by user_id, bin
            order by turn asc, first_movie_id asc, second_movie_id asc
        ) as place
    from binned_pairs
),

sampled_pairs as (
    select
        user_id,
        first_movie_id,
        second_movie_id,
        difference,
        is_first_preferred
    from ranked_pairs
    where place <= 5
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
    from shuffled_ratings
    qualify rank <= 4
),

-- The pair's own movies are never among the favorites that the text names, by title, since two
-- ids can share one.
named_favorites as (
    select
        sampled_pairs.user_id,
        sampled_pairs.first_movie_id,
        sampled_pairs.second_movie_id,
        list(favorite_movies.title order by favorite_movies.rank asc)[1:2] as favorites
    from sampled_pairs
    inner join favorite_movies on sampled_pairs.user_id = favorite_movies.user_id
    inner join averaged_movies as first_movies
        on sampled_pairs.first_movie_id = first_movies.movie_id
    inner join averaged_movies as second_movies
        on sampled_pairs.second_movie_id = second_movies.movie_id
    where favorite_movies.title not in (first_movies.title, second_movies.title)
    group by
        sampled_pairs.user_id,
        sampled_pairs.first_movie_id,
        sampled_pairs.second_movie_id
)

select
    sampled_pairs.user_id,
    sampled_pairs.first_movie_id,
    first_movies.title as first_title,
    first_movies.release_year as first_year,
    first_movies.genres as first_genres,
    first_movies.average as first_average,
    sampled_pairs.second_movie_id,
    second_movies.title as second_title,
    second_movies.release_year as second_year,
    second_movies.genres as second_genres,
    second_movies.average as second_average,
    sampled_pairs.difference,
    cast(sampled_pairs.user_id as varchar) as split_key,
    cast(sampled_pairs.is_first_preferred as tinyint) as label,  -- noqa: RF04
    concat_ws(
        '-', sampled_pairs.user_id, sampled_pairs.first_movie_id, sampled_pairs.second_movie_id
    ) as case_id,
    coalesce(named_favorites.favorites, list_value()) as favorites
from sampled_pairs
inner join averaged_movies as first_movies
    on sampled_pairs.first_movie_id = first_movies.movie_id
inner join averaged_movies as second_movies
    on sampled_pairs.second_movie_id = second_movies.movie_id
left join named_favorites
    on
        sampled_pairs.user_id = named_favorites.user_id
        and sampled_pairs.first_movie_id = named_favorites.first_movie_id
        and sampled_pairs.second_movie_id = named_favorites.second_movie_id
order by case_id
