/* SPDX-License-Identifier: Apache-2.0 */
#include "dataset_priv.h"

#include <cczoo/codec.h>

#include <stdlib.h>
#include <string.h>

enum { YEAR_SIZE = 6, FILE_SIZE_MAX_LOG2 = 31, COLUMNS_MAX = 3 };

static const char *const genres[CCZ_MOVIELENS_GENRES] = {"(no genres listed)",
                                                         "Action",
                                                         "Adventure",
                                                         "Animation",
                                                         "Children",
                                                         "Comedy",
                                                         "Crime",
                                                         "Documentary",
                                                         "Drama",
                                                         "Fantasy",
                                                         "Film-Noir",
                                                         "Horror",
                                                         "IMAX",
                                                         "Musical",
                                                         "Mystery",
                                                         "Romance",
                                                         "Sci-Fi",
                                                         "Thriller",
                                                         "War",
                                                         "Western"};

struct film {
    uint32_t id;
    uint32_t row;   /* in movies.csv */
    float year;     /* (year - 1980) / 20 */
    uint32_t genre; /* bit by bit */
};

const char *ccz_movielens_genre(size_t i)
{
    return i < CCZ_MOVIELENS_GENRES ? genres[i] : NULL;
}

/* Where the named columns are. */
static ccz_rc find_columns(size_t at[COLUMNS_MAX], struct ccz_csv *c,
                           const char *const name[COLUMNS_MAX], struct ccz_err *err)
{
    ccz_rc rc = ccz_csv_next(c, err);
    if (rc == CCZ_E_NOT_FOUND)
        return ccz_fail(err, CCZ_E_FORMAT, "movielens:column", 1, "there is no header");
    if (rc != CCZ_OK)
        return rc;
    for (size_t k = 0; k < COLUMNS_MAX; k++) {
        size_t i = 0;
        while (i < ccz_csv_len(c) && !ccz_span_eq(ccz_csv_field(c, i), ccz_span_str(name[k])))
            i++;
        if (i == ccz_csv_len(c))
            return ccz_fail(err, CCZ_E_FORMAT, "movielens:column", 1, "no column is called %s",
                            name[k]);
        at[k] = i;
    }
    return CCZ_OK;
}

/* Digits only, below 2^24: a float holds it exactly. */
static ccz_rc read_id(uint32_t *out, const struct ccz_csv *c, size_t column, struct ccz_err *err)
{
    struct ccz_span f = ccz_csv_field(c, column);
    uint32_t v = 0;
    bool good = f.size > 0 && f.size <= 8;
    for (size_t i = 0; good && i < f.size; i++) {
        good = f.ptr[i] >= '0' && f.ptr[i] <= '9';
        v = v * 10 + (uint32_t)(f.ptr[i] - '0');
    }
    if (!good || v >= 1U << 24)
        return ccz_fail(err, CCZ_E_FORMAT, "movielens:id", (int64_t)ccz_csv_line(c),
                        "line %llu: an id is a number below 2^24",
                        (unsigned long long)ccz_csv_line(c));
    *out = v;
    return CCZ_OK;
}

/* "Toy Story (1995)": 1995 scaled; 0 without a year. */
static float year_of(struct ccz_span title)
{
    while (title.size > 0 && title.ptr[title.size - 1] == ' ')
        title.size--;
    if (title.size < YEAR_SIZE || title.ptr[title.size - 1] != ')')
        return 0;
    const uint8_t *p = title.ptr + title.size - YEAR_SIZE;
    int year = 0;
    for (int i = 1; i <= 4; i++) {
        if (p[i] < '0' || p[i] > '9')
            return 0;
        year = year * 10 + (p[i] - '0');
    }
    return p[0] == '(' ? (float)(year - 1980) / 20 : 0;
}

/* "Comedy|Drama" */
static ccz_rc read_genres(uint32_t *out, const struct ccz_csv *c, size_t column,
                          struct ccz_err *err)
{
    struct ccz_span rest = ccz_csv_field(c, column);
    *out = 0;
    for (bool more = true; more;) {
        const uint8_t *bar = rest.size ? memchr(rest.ptr, '|', rest.size) : NULL;
        struct ccz_span one = CCZ_SPAN(rest.ptr, bar ? (size_t)(bar - rest.ptr) : rest.size);
        size_t g = 0;
        while (g < CCZ_MOVIELENS_GENRES && !ccz_span_eq(one, ccz_span_str(genres[g])))
            g++;
        if (g == CCZ_MOVIELENS_GENRES)
            return ccz_fail(err, CCZ_E_FORMAT, "movielens:genre", (int64_t)ccz_csv_line(c),
                            "line %llu: a genre that GroupLens does not have",
                            (unsigned long long)ccz_csv_line(c));
        *out |= 1U << g;
        more = bar != NULL;
        rest = more ? ccz_span_sub(rest, one.size + 1, rest.size - one.size - 1) : rest;
    }
    return CCZ_OK;
}

static int by_id(const void *a, const void *b)
{
    uint32_t x = ((const struct film *)a)->id, y = ((const struct film *)b)->id;
    return (x > y) - (x < y);
}

static ccz_rc read_film(struct film *f, const struct ccz_csv *c, const size_t at[COLUMNS_MAX],
                        struct ccz_err *err)
{
    ccz_rc rc = read_id(&f->id, c, at[0], err);
    f->year = year_of(ccz_csv_field(c, at[1]));
    return rc == CCZ_OK ? read_genres(&f->genre, c, at[2], err) : rc;
}

/* @p films sorted by id; owned by the caller, also after a failure. */
static ccz_rc read_films(struct ccz_buf *films, struct ccz_span text, struct ccz_err *err)
{
    static const char *const names[COLUMNS_MAX] = {"movieId", "title", "genres"};
    CCZ_AUTO(ccz_csv) c = NULL;
    size_t at[COLUMNS_MAX];
    ccz_rc rc = ccz_csv_new_mem(&c, text, NULL, err);
    if (rc == CCZ_OK)
        rc = find_columns(at, c, names, err);
    struct film f = {0};
    while (rc == CCZ_OK && (rc = ccz_csv_next(c, err)) == CCZ_OK) {
        rc = read_film(&f, c, at, err);
        ccz_buf_put(films, &f, sizeof(f));
        f.row++;
    }
    if (rc != CCZ_E_NOT_FOUND)
        return rc;
    if (films->bad)
        return ccz_fail(err, CCZ_E_LIMIT, "movielens:films", f.row,
                        "%u films, at most %zu, or out of memory", f.row, CCZ_MOVIELENS_FILMS_MAX);
    if (f.row == 0)
        return ccz_fail(err, CCZ_E_FORMAT, "movielens:films", 0, "there is no film");
    struct film *all = (struct film *)(void *)films->ptr;
    qsort(all, f.row, sizeof(*all), by_id);
    for (uint32_t i = 1; i < f.row; i++)
        if (all[i - 1].id == all[i].id)
            return ccz_fail(err, CCZ_E_FORMAT, "movielens:film-twice", all[i].id,
                            "film %u is there twice", all[i].id);
    return CCZ_OK;
}

static ccz_rc read_rating(struct ccz_dataset *d, size_t i, const struct ccz_csv *c,
                          const size_t at[COLUMNS_MAX], const struct ccz_buf *films, double like,
                          struct ccz_err *err)
{
    struct film key = {0};
    uint32_t user;
    double rating = 0;
    ccz_rc rc = read_id(&user, c, at[0], err);
    if (rc == CCZ_OK)
        rc = read_id(&key.id, c, at[1], err);
    if (rc == CCZ_OK)
        rc = ccz_csv_num(&rating, c, at[2], err);
    if (rc != CCZ_OK)
        return rc;
    if (!(rating >= 0.5 && rating <= 5))
        return ccz_fail(err, CCZ_E_FORMAT, "movielens:rating", (int64_t)ccz_csv_line(c),
                        "line %llu: a rating is from 0.5 to 5",
                        (unsigned long long)ccz_csv_line(c));
    const struct film *f = bsearch(&key, films->ptr, films->size / sizeof(key), sizeof(key), by_id);
    if (!f)
        return ccz_fail(err, CCZ_E_NOT_FOUND, "movielens:film", key.id,
                        "line %llu: no film has the id %u", (unsigned long long)ccz_csv_line(c),
                        key.id);
    float *x = d->values + i * d->width;
    x[0] = (float)user;
    x[1] = (float)f->row;
    x[2] = f->year;
    for (unsigned g = 0; g < CCZ_MOVIELENS_GENRES; g++)
        x[3 + g] = (float)(f->genre >> g & 1);
    d->label[i] = rating >= like;
    d->group[i] = user;
    return CCZ_OK;
}

/* Records below the header: one pass over the text, nothing kept. */
static ccz_rc count_records(size_t *len, struct ccz_span text, struct ccz_err *err)
{
    CCZ_AUTO(ccz_csv) c = NULL;
    ccz_rc rc = ccz_csv_new_mem(&c, text, NULL, err);
    for (*len = 0; rc == CCZ_OK && (rc = ccz_csv_next(c, err)) == CCZ_OK;)
        ++*len;
    *len -= *len > 0;
    return rc == CCZ_E_NOT_FOUND ? CCZ_OK : rc;
}

static ccz_rc read_ratings(struct ccz_dataset **out, struct ccz_span text,
                           const struct ccz_buf *films, double like, struct ccz_err *err)
{
    static const char *const names[COLUMNS_MAX] = {"userId", "movieId", "rating"};
    CCZ_AUTO(ccz_csv) c = NULL;
    CCZ_AUTO(ccz_dataset) d = NULL;
    size_t at[COLUMNS_MAX], i = 0;
    struct ccz_dataset_shape shape = {
        .rank = 1, .dims = {CCZ_MOVIELENS_WIDTH}, .classes = 2, .groups = true};
    ccz_rc rc = ccz_csv_new_mem(&c, text, NULL, err);
    if (rc == CCZ_OK)
        rc = find_columns(at, c, names, err);
    if (rc == CCZ_OK)
        rc = count_records(&shape.len, text, err);
    if (rc == CCZ_OK)
        rc = ccz_dataset_new(&d, &shape, err);
    while (rc == CCZ_OK && i < shape.len) {
        rc = ccz_csv_next(c, err);
        if (rc == CCZ_OK)
            rc = read_rating(d, i++, c, at, films, like, err);
    }
    if (rc == CCZ_OK)
        *out = ccz_dataset_take(&d);
    return rc;
}

ccz_rc ccz_dataset_movielens_parse(struct ccz_dataset **out, struct ccz_span ratings,
                                   struct ccz_span films, double like, struct ccz_err *err)
{
    CCZ_AUTO_BUF table;
    *out = NULL;
    ccz_buf_init(&table, CCZ_MOVIELENS_FILMS_MAX * sizeof(struct film));
    if (like != 0 && !(like >= 0.5 && like <= 5))
        return ccz_fail(err, CCZ_E_ARG, "movielens:like", 0, "the bound is from 0.5 to 5");
    ccz_rc rc = read_films(&table, films, err);
    return rc == CCZ_OK ? read_ratings(out, ratings, &table, like > 0 ? like : 4, err) : rc;
}

ccz_rc ccz_dataset_movielens(struct ccz_dataset **out, const char *ratings, const char *films,
                             double like, struct ccz_err *err)
{
    CCZ_AUTO_BUF r;
    CCZ_AUTO_BUF f;
    *out = NULL;
    ccz_buf_init(&r, (size_t)1 << FILE_SIZE_MAX_LOG2);
    ccz_buf_init(&f, (size_t)1 << FILE_SIZE_MAX_LOG2);
    r.wipe = true;
    ccz_rc rc = cczi_dataset_file(&f, films, err);
    if (rc == CCZ_OK)
        rc = cczi_dataset_file(&r, ratings, err);
    return rc == CCZ_OK
               ? ccz_dataset_movielens_parse(out, ccz_buf_span(&r), ccz_buf_span(&f), like, err)
               : rc;
}
