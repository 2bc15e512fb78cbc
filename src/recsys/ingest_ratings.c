/* SPDX-License-Identifier: Apache-2.0 */
/* Records become ratings; and all of them in memory, with repeats and those of too few taken out. */
#include "ingest.h"
#include "spill.h"

#include <cczoo/codec.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --------------------------------------------------------------------------------------- fields */

static ccz_rc bad_field(struct ccz_err *err, const char *where, const struct cczi_recsys_records *r,
                        const char *what)
{
    const uint64_t line = cczi_recsys_records_line(r);
    return ccz_fail(err, CCZ_E_FORMAT, where, (int64_t)line, "line %llu: %s",
                    (unsigned long long)line, what);
}

static ccz_rc read_value(float *out, const struct cczi_recsys_records *r, struct ccz_err *err)
{
    double v = 1;
    *out = 1;
    if (r->at[COLUMN_VALUE] == CCZI_RECSYS_NO_COLUMN)
        return CCZ_OK;
    if (!ccz_decimal(&v, cczi_recsys_records_field(r, COLUMN_VALUE)) || !isfinite((float)v))
        return bad_field(err, "recsys:value", r, "the value is no decimal number, or too large");
    *out = (float)v;
    return CCZ_OK;
}

static ccz_rc read_time(int64_t *out, const struct cczi_recsys_records *r, struct ccz_err *err)
{
    static const double max = 9007199254740992; /* 2^53: every whole number is a double */
    double v = 0;
    *out = 0;
    if (r->at[COLUMN_TIME] == CCZI_RECSYS_NO_COLUMN)
        return CCZ_OK;
    if (!ccz_decimal(&v, cczi_recsys_records_field(r, COLUMN_TIME)) || !(fabs(v) <= max))
        return bad_field(err, "recsys:time", r, "the time is no number of seconds");
    *out = (int64_t)v;
    return CCZ_OK;
}

static ccz_rc read_id(uint32_t *out, struct ccz_recsys_ids *ids,
                      const struct cczi_recsys_records *r, int column, struct ccz_err *err)
{
    struct ccz_recsys_id id;
    *out = 0;
    if (!ccz_recsys_id_parse(&id, ccz_recsys_ids_kind(ids), cczi_recsys_records_field(r, column)))
        return bad_field(err, "recsys:id", r,
                         column == COLUMN_USER ? "no id of a user" : "no id of an item");
    return ccz_recsys_ids_add(out, ids, id, err);
}

ccz_rc cczi_recsys_side(struct ccz_recsys_ids **ids, enum ccz_recsys_id_kind kind,
                        struct ccz_err *err)
{
    if (!*ids)
        return ccz_recsys_ids_new(ids, kind, err);
    if (ccz_recsys_ids_kind(*ids) != kind)
        return ccz_fail(err, CCZ_E_ARG, "recsys:id", (int64_t)kind,
                        "ids of another kind than in the source before");
    return CCZ_OK;
}

ccz_rc cczi_recsys_too_many(struct ccz_err *err, uint64_t got, uint64_t most)
{
    return ccz_hint(
        err, ccz_refuse_num(err, CCZ_E_LIMIT, "recsys:ratings", (int64_t)got, (int64_t)most),
        "if the file is honest, allow as many (ratings_max; --ratings-max of cczoo recsys)");
}

ccz_rc cczi_recsys_one_more(const struct ccz_recsys_filter *filter,
                            const struct ccz_recsys_counts *counts, struct ccz_err *err)
{
    const uint64_t most = filter->ratings_max ? filter->ratings_max : CCZ_RECSYS_RATINGS_MAX;
    return counts->read < most ? CCZ_OK : cczi_recsys_too_many(err, counts->read + 1, most);
}

bool cczi_recsys_passes(float *value, const struct ccz_recsys_filter *filter,
                        struct ccz_recsys_counts *counts)
{
    counts->read++;
    if (filter->drop_below && *value < filter->value_min) {
        counts->below++;
        return false;
    }
    if (filter->binarize)
        *value = 1;
    return true;
}

static ccz_rc take_record(const struct cczi_recsys_sink *k, const struct cczi_recsys_records *r,
                          struct ccz_err *err)
{
    struct ccz_recsys_rating one;
    ccz_rc rc = cczi_recsys_one_more(k->filter, k->counts, err);
    if (rc == CCZ_OK)
        rc = read_value(&one.value, r, err);
    if (rc == CCZ_OK)
        rc = read_time(&one.time, r, err);
    if (rc != CCZ_OK || !cczi_recsys_passes(&one.value, k->filter, k->counts))
        return rc;
    rc = read_id(&one.user, *k->user, r, COLUMN_USER, err);
    if (rc == CCZ_OK)
        rc = read_id(&one.item, *k->item, r, COLUMN_ITEM, err);
    return rc == CCZ_OK ? k->put(k->arg, &one, err) : rc;
}

ccz_rc cczi_recsys_ingest(const struct cczi_recsys_feed *feed, const struct cczi_recsys_sink *sink,
                          struct ccz_err *err)
{
    if (feed->io)
        return cczi_recsys_ingest_parquet(feed->io, feed->table, sink, err);
    struct cczi_recsys_records r = {0};
    ccz_rc rc = cczi_recsys_side(sink->user, feed->format->user_kind, err);
    if (rc == CCZ_OK)
        rc = cczi_recsys_side(sink->item, feed->format->item_kind, err);
    if (rc == CCZ_OK)
        rc = cczi_recsys_records_open(&r, feed->source, feed->format,
                                      1 << COLUMN_USER | 1 << COLUMN_ITEM, err);
    for (bool end = false; rc == CCZ_OK && !end;) {
        rc = cczi_recsys_records_next(&end, &r, err);
        if (rc == CCZ_OK && !end)
            rc = take_record(sink, &r, err);
    }
    cczi_recsys_records_close(&r);
    return rc;
}

/* ------------------------------------------------------------------------------------- in memory */

enum { LEN_FIRST = 1024, PLACE_WIDTH = 4 /* user, item, place */ };

/* Where reading puts ratings; the arrays are longer than `len` while they grow. */
struct growing {
    struct ccz_recsys_ratings *r;
    uint64_t cap;
};

static ccz_rc grow(struct growing *g, struct ccz_err *err)
{
    struct ccz_recsys_ratings more, *r = g->r;
    const uint64_t cap = g->cap ? 2 * g->cap : LEN_FIRST, len = r->len;
    ccz_rc rc = ccz_recsys_ratings_init(
        &more, 0, 0, cap < CCZ_RECSYS_RATINGS_MAX ? cap : CCZ_RECSYS_RATINGS_MAX, true, err);
    if (rc != CCZ_OK)
        return rc;
    if (len > 0) {
        memcpy(more.user, r->user, len * sizeof(*r->user));
        memcpy(more.item, r->item, len * sizeof(*r->item));
        memcpy(more.value, r->value, len * sizeof(*r->value));
        memcpy(more.time, r->time, len * sizeof(*r->time));
    }
    ccz_recsys_ratings_deinit(r);
    *r = more;
    r->len = len;
    g->cap = more.len;
    return CCZ_OK;
}

static ccz_rc put_rating(void *arg, const struct ccz_recsys_rating *one, struct ccz_err *err)
{
    struct growing *g = arg;
    struct ccz_recsys_ratings *r = g->r;
    if (r->len == g->cap) {
        ccz_rc rc = grow(g, err);
        if (rc != CCZ_OK)
            return rc;
    }
    r->user[r->len] = one->user;
    r->item[r->len] = one->item;
    r->value[r->len] = one->value;
    r->time[r->len++] = one->time;
    return CCZ_OK;
}

static uint64_t place_of(const uint32_t *rec)
{
    return rec[2] | (uint64_t)rec[3] << 32;
}

/* rec[0 .. len-1] are the places of one pair, ascending: one of them stays, the others get `drop`. */
static ccz_rc settle(struct ccz_recsys_ratings *r, uint8_t *drop, const uint32_t *rec, uint64_t len,
                     enum ccz_recsys_twice twice, struct ccz_err *err)
{
    uint64_t stays = place_of(rec);
    for (uint64_t i = 1; i < len; i++) {
        const uint64_t k = place_of(rec + i * PLACE_WIDTH);
        if (twice == CCZ_RECSYS_TWICE_REFUSE)
            return ccz_fail(err, CCZ_E_EXISTS, "recsys:twice", (int64_t)k,
                            "user %u has rated item %u before", rec[0], rec[1]);
        if (twice == CCZ_RECSYS_TWICE_SUM) {
            r->value[stays] += r->value[k];
            if (r->time[k] > r->time[stays])
                r->time[stays] = r->time[k];
            drop[k] = 1;
        } else {
            const bool later = r->time[k] >= r->time[stays];
            drop[later ? stays : k] = 1;
            stays = later ? k : stays;
        }
    }
    if (!isfinite(r->value[stays]))
        return ccz_fail(err, CCZ_E_FORMAT, "recsys:value", (int64_t)stays,
                        "the sum of repeated ratings is too large");
    return CCZ_OK;
}

static ccz_rc find_twice(struct ccz_recsys_ratings *r, uint8_t *drop, enum ccz_recsys_twice twice,
                         struct ccz_err *err)
{
    uint32_t *rec = cczi_recsys_alloc(r->len, PLACE_WIDTH * sizeof(*rec));
    uint32_t *tmp = cczi_recsys_alloc(r->len, PLACE_WIDTH * sizeof(*rec));
    ccz_rc rc = rec && tmp ? CCZ_OK : cczi_recsys_no_memory(err);
    for (uint64_t i = 0; rc == CCZ_OK && i < r->len; i++) {
        uint32_t *p = rec + i * PLACE_WIDTH;
        p[0] = r->user[i];
        p[1] = r->item[i];
        p[2] = (uint32_t)i;
        p[3] = (uint32_t)(i >> 32);
    }
    const uint32_t *sorted = rc == CCZ_OK ? cczi_recsys_sort(rec, tmp, r->len, PLACE_WIDTH) : NULL;
    for (uint64_t i = 0, n; rc == CCZ_OK && i < r->len; i += n) {
        const uint32_t *p = sorted + i * PLACE_WIDTH;
        for (n = 1; i + n < r->len && p[n * PLACE_WIDTH] == p[0] && p[n * PLACE_WIDTH + 1] == p[1];)
            n++;
        rc = settle(r, drop, p, n, twice, err);
    }
    cczi_recsys_wipe_free(rec, r->len * PLACE_WIDTH * sizeof(*rec));
    cczi_recsys_wipe_free(tmp, r->len * PLACE_WIDTH * sizeof(*tmp));
    return rc;
}

/* Ratings without those that `drop` marks; numbers by `keep`, if there is one, where some may be dropped as well. */
static void compact(struct ccz_recsys_ratings *r, const uint8_t *drop,
                    const struct cczi_recsys_keep *keep)
{
    uint64_t to = 0;
    for (uint64_t i = 0; i < r->len; i++) {
        const uint32_t u = keep ? keep->user[r->user[i]] : r->user[i];
        const uint32_t v = keep ? keep->item[r->item[i]] : r->item[i];
        if ((drop && drop[i]) || u == CCZ_RECSYS_NONE || v == CCZ_RECSYS_NONE)
            continue;
        r->user[to] = u;
        r->item[to] = v;
        r->value[to] = r->value[i];
        r->time[to++] = r->time[i];
    }
    ccz_wipe(r->user + to, (r->len - to) * sizeof(*r->user)); /* deinit sees `len` */
    ccz_wipe(r->item + to, (r->len - to) * sizeof(*r->item));
    ccz_wipe(r->value + to, (r->len - to) * sizeof(*r->value));
    ccz_wipe(r->time + to, (r->len - to) * sizeof(*r->time));
    r->len = to;
}

static ccz_rc drop_twice(struct ccz_recsys_data *d, enum ccz_recsys_twice twice,
                         struct ccz_err *err)
{
    uint8_t *drop = cczi_recsys_alloc(d->ratings.len, 1);
    if (!drop)
        return cczi_recsys_no_memory(err);
    const uint64_t before = d->ratings.len;
    ccz_rc rc = find_twice(&d->ratings, drop, twice, err);
    if (rc == CCZ_OK)
        compact(&d->ratings, drop, NULL);
    d->counts.twice = before - d->ratings.len;
    free(drop);
    return rc;
}

static ccz_rc drop_few(struct ccz_recsys_data *d, const struct ccz_recsys_filter *filter,
                       struct ccz_err *err)
{
    CCZ_AUTO(ccz_recsys_csr) by_user = NULL;
    CCZ_AUTO(ccz_recsys_csr) by_item = NULL;
    struct cczi_recsys_keep keep = {0};
    const uint64_t before = d->ratings.len;
    ccz_rc rc = ccz_recsys_csr_new(&by_user, &d->ratings, CCZ_RECSYS_TWICE_REFUSE, err);
    if (rc == CCZ_OK)
        rc = ccz_recsys_csr_transpose(&by_item, by_user, err);
    if (rc == CCZ_OK)
        rc = cczi_recsys_keep_init(&keep, by_user, by_item, filter, err);
    if (rc == CCZ_OK) {
        compact(&d->ratings, NULL, &keep);
        cczi_recsys_ids_keep(d->user, keep.user);
        cczi_recsys_ids_keep(d->item, keep.item);
        d->ratings.users = keep.users_left;
        d->ratings.items = keep.items_left;
        d->counts.dropped = before - d->ratings.len;
        d->counts.users_dropped = keep.users - keep.users_left;
        d->counts.items_dropped = keep.items - keep.items_left;
    }
    cczi_recsys_keep_deinit(&keep);
    return rc;
}

static ccz_rc read_feed(struct ccz_recsys_data *out, const struct cczi_recsys_feed *feed,
                        const struct ccz_recsys_filter *filter, struct ccz_err *err)
{
    static const struct ccz_recsys_filter none;
    *out = (struct ccz_recsys_data){0};
    struct ccz_recsys_data d = {0};
    struct growing g = {.r = &d.ratings};
    const struct ccz_recsys_filter *f = filter ? filter : &none;
    const struct cczi_recsys_sink sink = {f, &d.user, &d.item, &d.counts, put_rating, &g};
    ccz_rc rc = cczi_recsys_ingest(feed, &sink, err);
    if (rc == CCZ_OK && g.cap == 0)
        rc = grow(&g, err); /* no rating is no reason to have no arrays */
    if (rc == CCZ_OK) {
        d.ratings.users = ccz_recsys_ids_len(d.user);
        d.ratings.items = ccz_recsys_ids_len(d.item);
        rc = drop_twice(&d, f->twice, err);
    }
    if (rc == CCZ_OK && (f->per_user > 1 || f->per_item > 1))
        rc = drop_few(&d, f, err);
    d.counts.left = d.ratings.len;
    if (rc == CCZ_OK)
        *out = d;
    else
        ccz_recsys_data_deinit(&d);
    return rc;
}

ccz_rc ccz_recsys_read(struct ccz_recsys_data *out, struct ccz_recsys_source *source,
                       const struct ccz_recsys_format *format,
                       const struct ccz_recsys_filter *filter, struct ccz_err *err)
{
    return read_feed(out, &(struct cczi_recsys_feed){.source = source, .format = format}, filter,
                     err);
}

ccz_rc ccz_recsys_read_parquet(struct ccz_recsys_data *out, const struct ccz_pq_source *io,
                               const struct ccz_recsys_table *table,
                               const struct ccz_recsys_filter *filter, struct ccz_err *err)
{
    return read_feed(out, &(struct cczi_recsys_feed){.io = io, .table = table}, filter, err);
}

void ccz_recsys_data_deinit(struct ccz_recsys_data *d)
{
    ccz_recsys_ratings_deinit(&d->ratings);
    ccz_recsys_ids_free(d->user);
    ccz_recsys_ids_free(d->item);
    *d = (struct ccz_recsys_data){0};
}
