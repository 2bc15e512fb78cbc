/* SPDX-License-Identifier: Apache-2.0 */
/* Databases, filters, queries: results, a server that starts again, what is refused. */
#define _GNU_SOURCE
#include "parties.h"
#include "psi/db_priv.h"

struct server {
    const struct ccz_psi_db *db;
    struct ccz_chan *chan;
    uint64_t most, len;
    ccz_rc rc;
    struct ccz_err err;
};

static void *run_server(void *arg)
{
    struct server *s = arg;
    s->rc = ccz_psi_db_serve(&s->len, s->db, s->chan, s->most, &s->err);
    return NULL;
}

static ccz_rc query(struct ccz_psi_result **out, struct server *s, const struct ccz_psi_ids *ids,
                    struct ccz_span filter, struct ccz_err *err)
{
    pthread_t t;
    struct ccz_chan *c;
    CHECK(ccz_chan_pair(&s->chan, &c, NULL, NULL) == CCZ_OK);
    ccz_chan_set_timeout(s->chan, 20000);
    ccz_chan_set_timeout(c, 20000);
    CHECK(pthread_create(&t, NULL, run_server, s) == 0);
    ccz_rc rc = ccz_psi_db_query(out, c, ids, filter, 1, err);
    CHECK(pthread_join(t, NULL) == 0);
    CHECK((rc == CCZ_OK) == (*out != NULL));
    ccz_chan_free(s->chan);
    ccz_chan_free(c);
    return rc;
}

static struct ccz_psi_ids *range(uint64_t from, size_t len, const struct ccz_psi_ids_cfg *cfg)
{
    uint64_t *n = malloc(len * sizeof(*n) + 1);
    CHECK(n);
    for (size_t i = 0; i < len; i++)
        n[i] = from + i;
    struct ccz_psi_ids *ids = ids_of(n, len, cfg);
    free(n);
    return ids;
}

/* The database has 0 .. large - 1, the client `small` ids of which `common` are among them. */
static void check_query(const struct ccz_psi_db *db, size_t large, size_t small, size_t common)
{
    struct server s = {.db = db};
    struct ccz_psi_result *r;
    CCZ_AUTO(ccz_psi_ids) ids = range(large - common, small, NULL);
    CHECK(query(&r, &s, ids, ccz_psi_db_filter(db), NULL) == CCZ_OK);
    CHECK(s.rc == CCZ_OK && s.len == small && r->len == common && r->peer_len == large);
    uint8_t *seen = calloc(small + 1, 1);
    CHECK(seen);
    for (size_t i = 0; i < common; i++)
        CHECK(r->rows[i] < common && !seen[r->rows[i]]++);
    free(seen);
    ccz_psi_result_free(r);
}

static void test_queries(void)
{
    static const size_t sizes[] = {0, 1, 2, 500, 20000};
    for (size_t i = 0; i < 5; i++) {
        size_t large = sizes[i];
        CCZ_AUTO(ccz_psi_ids) ids = range(0, large, NULL);
        CCZ_AUTO(ccz_psi_db) db = NULL;
        CHECK(ccz_psi_db_new(&db, ids, &(struct ccz_psi_db_cfg){0}, NULL) == CCZ_OK);
        if (large == 20000) /* 41 + 15 + 17 bits; neighbours share a byte */
            CHECK(ccz_psi_db_filter(db).size < 84 + 20000 * 9 + 6000);
        check_query(db, large, 0, 0);
        check_query(db, large, 1, large > 0);
        check_query(db, large, 10, large < 5 ? large : 5);
        check_query(db, large, large + 10, large);
    }
}

/* From filter and key alone it is the same database. */
static void test_open(void)
{
    CCZ_AUTO(ccz_psi_ids) ids = range(0, 300, NULL);
    CCZ_AUTO(ccz_psi_db) db = NULL;
    CCZ_AUTO(ccz_psi_db) other = NULL;
    CCZ_AUTO(ccz_psi_db) again = NULL;
    CCZ_AUTO(ccz_secret) key = NULL;
    CCZ_AUTO(ccz_secret) wrong = NULL;
    CCZ_AUTO(ccz_secret) small = NULL;
    CHECK(ccz_psi_db_new(&db, ids, &(struct ccz_psi_db_cfg){0}, NULL) == CCZ_OK);
    CHECK(ccz_psi_db_new(&other, ids, &(struct ccz_psi_db_cfg){0}, NULL) == CCZ_OK);
    CHECK(!ccz_span_eq(ccz_psi_db_filter(db), ccz_psi_db_filter(other))); /* fresh keys */
    CHECK(ccz_psi_db_key(&key, db, NULL) == CCZ_OK &&
          ccz_psi_db_key(&wrong, other, NULL) == CCZ_OK);
    CHECK(ccz_psi_db_open(&again, ccz_psi_db_filter(db), key, 1, NULL) == CCZ_OK);
    check_query(again, 300, 20, 7);
    struct ccz_psi_db *none = NULL;
    struct ccz_err err = {0};
    CHECK(ccz_psi_db_open(&none, ccz_psi_db_filter(db), wrong, 1, &err) == CCZ_E_MISMATCH && !none);
    CHECK(strcmp(err.where, "psi:filter-key") == 0);
    CHECK(ccz_secret_from(&small, "0123", 4) == CCZ_OK);
    CHECK(ccz_psi_db_open(&none, ccz_psi_db_filter(db), small, 1, &err) == CCZ_E_MISMATCH && !none);
    CHECK(strcmp(err.where, "psi:filter-key") == 0);
    CHECK(ccz_psi_db_open(&none, ccz_psi_db_filter(db), key, 17, &err) == CCZ_E_ARG && !none);
}

static void test_refused(void)
{
    CCZ_AUTO(ccz_psi_ids) ids = range(0, 300, NULL);
    CCZ_AUTO(ccz_psi_ids) few = range(0, 11, NULL);
    CCZ_AUTO(ccz_psi_ids) mail = range(0, 3, &(struct ccz_psi_ids_cfg){.domain = "mail"});
    CCZ_AUTO(ccz_psi_db) db = NULL;
    CCZ_AUTO(ccz_psi_db) old = NULL;
    struct ccz_psi_db *none = NULL;
    struct ccz_psi_result *r;
    struct ccz_err err = {0};
    CHECK(ccz_psi_db_new(&none, ids, &(struct ccz_psi_db_cfg){.threads = 17}, &err) == CCZ_E_ARG &&
          !none);
    CHECK(ccz_psi_db_new(&none, ids, &(struct ccz_psi_db_cfg){.query_len_max = UINT64_MAX}, &err) ==
              CCZ_E_ARG &&
          !none);
    CHECK(ccz_psi_db_new(&db, ids, &(struct ccz_psi_db_cfg){.query_len_max = 12}, NULL) == CCZ_OK);
    CHECK(ccz_psi_db_new(&old, ids, &(struct ccz_psi_db_cfg){.query_len_max = 12}, NULL) == CCZ_OK);
    struct server s = {.db = db};
    CHECK(query(&r, &s, few, ccz_psi_db_filter(old), &err) == CCZ_E_CLOSED);
    CHECK(s.rc == CCZ_E_MISMATCH && strcmp(s.err.where, "psi:filter-old") == 0);
    s = (struct server){.db = db, .most = 10};
    CHECK(query(&r, &s, few, ccz_psi_db_filter(db), &err) == CCZ_E_CLOSED);
    CHECK(s.rc == CCZ_E_LIMIT && strcmp(s.err.where, "psi:query-len") == 0 && s.len == 0);
    s = (struct server){.db = db, .most = 1000}; /* not beyond what the filter is made for */
    CHECK(query(&r, &s, ids, ccz_psi_db_filter(db), &err) == CCZ_E_LIMIT);
    CHECK(strcmp(err.where, "psi:query-len") == 0);
    CHECK(query(&r, &s, mail, ccz_psi_db_filter(db), &err) == CCZ_E_MISMATCH);
    CHECK(strcmp(err.where, "psi:peer-ids") == 0);
}

/* Filters cut, longer, or changed: refused, or at worst without a match; never more than that. */
static void test_filters(void)
{
    CCZ_AUTO(ccz_psi_ids) ids = range(0, 40, NULL);
    CCZ_AUTO(ccz_psi_db) db = NULL;
    CHECK(ccz_psi_db_new(&db, ids, &(struct ccz_psi_db_cfg){0}, NULL) == CCZ_OK);
    struct ccz_span good = ccz_psi_db_filter(db);
    struct cczi_filter f;
    struct ccz_err err = {0};
    uint8_t *copy = malloc(good.size + 1);
    CHECK(copy);
    memcpy(copy, good.ptr, good.size);
    copy[good.size] = 0;
    for (size_t n = 0; n <= good.size + 1; n++) {
        ccz_rc rc = cczi_filter_get(&f, CCZ_SPAN(copy, n), &err);
        CHECK(rc == (n == good.size ? CCZ_OK : CCZ_E_FORMAT));
        CHECK(rc == CCZ_OK || strcmp(err.where, "psi:filter") == 0);
    }
    for (size_t i = 0; i < good.size;
         i++) { /* numbers that would take memory are held against the size first */
        struct cczi_psi_mask *masks = NULL;
        copy[i] ^= 0x80;
        if (cczi_filter_get(&f, CCZ_SPAN(copy, good.size), &err) != CCZ_OK)
            CHECK(strcmp(err.where, "psi:filter") == 0);
        else if (cczi_filter_masks(&masks, &f, &err) != CCZ_OK)
            CHECK(strcmp(err.where, "psi:filter") == 0 && !masks);
        free(masks);
        copy[i] ^= 0x80;
    }
    memset(copy + 4, 0, 80 + 1); /* nothing, for queries of 1 and of 0 */
    copy[12] = 1;
    CHECK(cczi_filter_get(&f, CCZ_SPAN(copy, 85), &err) == CCZ_OK);
    copy[12] = 0;
    CHECK(cczi_filter_get(&f, CCZ_SPAN(copy, 85), &err) == CCZ_E_FORMAT);
    free(copy);
}

/* Clients by hand: no protocol, points that are none. */
static void test_clients(void)
{
    CCZ_AUTO(ccz_psi_ids) ids = range(0, 40, NULL);
    CCZ_AUTO(ccz_psi_db) db = NULL;
    CHECK(ccz_psi_db_new(&db, ids, &(struct ccz_psi_db_cfg){0}, NULL) == CCZ_OK);
    struct cczi_filter f;
    CHECK(cczi_filter_get(&f, ccz_psi_db_filter(db), NULL) == CCZ_OK);
    for (int k = 0; k < 3; k++) {
        struct ccz_chan *a, *b;
        struct ccz_err err = {0};
        uint8_t head[CCZI_QUERY_SIZE], points[2][32] = {{0}};
        uint64_t len = 77;
        CHECK(ccz_chan_pair(&a, &b, NULL, NULL) == CCZ_OK);
        cczi_query_put(head, f.name, k == 2 ? UINT64_MAX : 2);
        head[0] ^= (uint8_t)(k == 0);
        CHECK(ccz_chan_send(b, CCZ_SPAN(head, sizeof(head)), NULL) == CCZ_OK);
        CHECK(ccz_chan_send(b, CCZ_SPAN(points, sizeof(points)), NULL) == CCZ_OK);
        CHECK(ccz_psi_db_serve(&len, db, a, 0, &err) == (k == 2 ? CCZ_E_LIMIT : CCZ_E_PEER));
        CHECK(strcmp(err.where, k == 0   ? "psi:message"
                                : k == 1 ? "psi:point"
                                         : "psi:query-len") == 0);
        CHECK(len == (k == 1 ? 2 : 0)); /* what was asked for counts, although it failed */
        ccz_chan_free(a);
        ccz_chan_free(b);
    }
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {{"psi.db_queries", test_queries},
                                            {"psi.db_open", test_open},
                                            {"psi.db_refused", test_refused},
                                            {"psi.db_filters", test_filters},
                                            {"psi.db_clients", test_clients}};
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
