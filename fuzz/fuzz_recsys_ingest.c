/* SPDX-License-Identifier: Apache-2.0 */
/* The first two bytes choose format and filter. What is accepted is the same however the bytes are read (ratings in memory, or
 * matrices built), keeps what the header promises, and so do titles of the same bytes. */
#include <cczoo/recsys_data.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void require(bool holds)
{
    if (!holds)
        abort();
}

static struct ccz_recsys_source *source(struct ccz_span text)
{
    struct ccz_recsys_source *s;
    require(ccz_recsys_source_mem(&s, text, NULL) == CCZ_OK);
    return s;
}

static struct ccz_recsys_filter filter_from(uint8_t bits)
{
    return (struct ccz_recsys_filter){.twice = (enum ccz_recsys_twice)(bits % 3),
                                      .drop_below = bits & 4,
                                      .value_min = 2,
                                      .binarize = bits & 8,
                                      .per_user = bits >> 4 & 3,
                                      .per_item = bits >> 6 & 3,
                                      .once = bits & 8};
}

static void same(const struct ccz_recsys_csr *a, const struct ccz_recsys_csr *b)
{
    require(a->rows == b->rows && a->cols == b->cols && a->len == b->len);
    require(memcmp(a->start, b->start, ((size_t)a->rows + 1) * sizeof(*a->start)) == 0);
    require(a->len == 0 || (memcmp(a->col, b->col, a->len * sizeof(*a->col)) == 0 &&
                            memcmp(a->value, b->value, a->len * sizeof(*a->value)) == 0));
}

static void check_data(const struct ccz_recsys_data *d, const struct ccz_recsys_filter *f)
{
    const struct ccz_recsys_ratings *r = &d->ratings;
    const struct ccz_recsys_counts *c = &d->counts;
    require(r->users == ccz_recsys_ids_len(d->user) && r->items == ccz_recsys_ids_len(d->item));
    require(c->left == r->len && c->read == c->left + c->below + c->twice + c->dropped);
    for (uint64_t i = 0; i < r->len; i++)
        require(r->user[i] < r->users && r->item[i] < r->items && isfinite(r->value[i]) &&
                (!f->drop_below || f->binarize || r->value[i] >= f->value_min));
    for (uint32_t n = 0; n < r->users; n++)
        require(ccz_recsys_ids_find(d->user, ccz_recsys_ids_get(d->user, n)) == n);
}

static void check_built(const struct ccz_recsys_data *d, struct ccz_span text,
                        const struct ccz_recsys_format *format, const struct ccz_recsys_filter *f)
{
    struct ccz_recsys_matrices m;
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_recsys_source) s = source(text);
    CCZ_AUTO(ccz_recsys_csr) rows = NULL;
    const struct ccz_recsys_build_cfg cfg = {.filter = *f};
    ccz_rc rc = ccz_recsys_build(&m, s, format, &cfg, &err);
    require((rc == CCZ_OK) == (d != NULL));
    if (rc != CCZ_OK)
        return;
    require(ccz_recsys_csr_new(&rows, &d->ratings, CCZ_RECSYS_TWICE_REFUSE, &err) == CCZ_OK);
    same(m.by_user, rows);
    require(memcmp(&m.counts, &d->counts, sizeof(m.counts)) == 0);
    ccz_recsys_matrices_deinit(&m);
}

static void titles(struct ccz_span text, const struct ccz_recsys_format *format,
                   const struct ccz_recsys_ids *items)
{
    CCZ_AUTO(ccz_recsys_source) s = source(text);
    CCZ_AUTO(ccz_recsys_titles) t = NULL;
    CCZ_AUTO(ccz_recsys_titles) back = NULL;
    CCZ_AUTO_BUF b;
    struct ccz_err err = {0};
    struct ccz_recsys_format f = *format;
    f.title = f.user.name || f.user.at ? f.user : f.title;
    if (ccz_recsys_titles_read(&t, s, &f, items, &err) != CCZ_OK)
        return;
    ccz_buf_init(&b, 1 << 24);
    ccz_recsys_titles_put(&b, t);
    require(!b.bad && ccz_recsys_titles_parse(&back, ccz_buf_span(&b), &err) == CCZ_OK);
    for (uint32_t i = 0; i < ccz_recsys_titles_len(t); i++)
        require(ccz_span_eq(ccz_recsys_titles_get(t, i), ccz_recsys_titles_get(back, i)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    size_t len = 0;
    while (ccz_recsys_format_name(len))
        len++;
    struct ccz_recsys_format format;
    require(ccz_recsys_format_from(&format, ccz_recsys_format_name(data[0] % len)));
    format.latin1 = format.plain && data[0] & 0x80;
    const struct ccz_recsys_filter f = filter_from(data[1]);
    const struct ccz_span text = {data + 2, size - 2};
    CCZ_AUTO(ccz_recsys_source) s = source(text);
    struct ccz_recsys_data d;
    struct ccz_err err = {0};
    ccz_rc rc = ccz_recsys_read(&d, s, &format, &f, &err);
    require(rc == CCZ_OK || (err.where[0] && !d.user && !d.ratings.user));
    if (rc == CCZ_OK)
        check_data(&d, &f);
    if (format.user.name || format.user.at)
        check_built(rc == CCZ_OK ? &d : NULL, text, &format, &f);
    if (rc == CCZ_OK)
        titles(text, &format, d.item);
    ccz_recsys_data_deinit(&d);
    return 0;
}
