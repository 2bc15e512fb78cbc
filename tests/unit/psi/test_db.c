/* SPDX-License-Identifier: Apache-2.0 */
/* Databases, filters, queries: results, a server that starts again, what is refused. */
#define _GNU_SOURCE
#include "parties.h"
#include "psi/db_priv.h"
#include "temp_dir.h"

#include <cczoo/pf.h>

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

/* ------------------------------------------------------------------------- files and sessions */

static struct ccz_secret *seal_of(uint8_t v, size_t size)
{
    uint8_t key[64] = {v};
    struct ccz_secret *s;
    CHECK(ccz_secret_from(&s, key, size) == CCZ_OK);
    return s;
}

static void rewrite(const char *path, size_t at, size_t size)
{
    struct ccz_buf b;
    ccz_buf_init(&b, 1 << 20);
    CHECK(ccz_file_read(&b, path, NULL) == CCZ_OK && at < b.size);
    b.ptr[at] ^= 1;
    b.size = size ? size : b.size;
    CHECK(ccz_file_write(path, ccz_buf_span(&b), 0600, CCZ_FILE_REPLACE, NULL) == CCZ_OK);
    ccz_buf_free(&b);
}

/* A file as another program would write it: @p what is changed in the plaintext. */
static void forge(const char *path, const struct ccz_secret *seal, size_t at, const char *bound)
{
    uint8_t key[CCZ_PF_KEY_SIZE];
    CCZ_AUTO(ccz_secret) k = NULL;
    CCZ_AUTO_BUF plain;
    CCZ_AUTO_BUF file;
    ccz_buf_init(&plain, 1 << 20);
    ccz_buf_init(&file, 1 << 20);
    CHECK(ccz_hkdf(key, sizeof(key), CCZ_SHA256, CCZ_SPAN(NULL, 0),
                   CCZ_SPAN(ccz_secret_view(seal), 32),
                   ccz_span_str("cczoo psi database")) == CCZ_OK);
    CHECK(ccz_secret_from(&k, key, sizeof(key)) == CCZ_OK);
    CHECK(ccz_pf_decrypt_to_buf(&plain, path, k, &(struct ccz_pf_cfg){.path = "psi/database"},
                                NULL) == CCZ_OK);
    plain.ptr[at] ^= 2;
    const struct ccz_pf_io io = ccz_pf_io_buf(&file);
    const struct ccz_pf_cfg cfg = {.path = bound};
    CCZ_AUTO(ccz_pf_writer) w = NULL;
    CHECK(ccz_pf_writer_new(&w, &io, plain.size, k, &cfg, NULL) == CCZ_OK);
    CHECK(ccz_pf_writer_put(w, ccz_buf_span(&plain), NULL) == CCZ_OK);
    CHECK(ccz_pf_writer_finish(w, NULL) == CCZ_OK);
    CHECK(ccz_file_write(path, ccz_buf_span(&file), 0600, CCZ_FILE_REPLACE, NULL) == CCZ_OK);
}

static void test_file(void)
{
    temp_setup();
    CCZ_AUTO(ccz_psi_ids) ids = range(0, 900, NULL);
    CCZ_AUTO(ccz_psi_db) db = NULL;
    CCZ_AUTO(ccz_psi_db) again = NULL;
    CCZ_AUTO(ccz_secret) seal = seal_of(1, 32);
    CCZ_AUTO(ccz_secret) other = seal_of(2, 32);
    CCZ_AUTO(ccz_secret) small = seal_of(1, 31);
    struct ccz_psi_db *none = NULL;
    struct ccz_err err = {0};
    uint8_t name[2][32];
    char path[512];
    (void)snprintf(path, sizeof(path), "%s", temp_path("db"));
    CHECK(ccz_psi_db_new(&db, ids, &(struct ccz_psi_db_cfg){0}, NULL) == CCZ_OK);
    CHECK(ccz_psi_db_save(db, path, small, false, &err) == CCZ_E_ARG);
    CHECK(ccz_psi_db_save(db, path, seal, false, NULL) == CCZ_OK);
    CHECK(ccz_psi_db_save(db, path, seal, false, &err) == CCZ_E_EXISTS);
    CHECK(ccz_psi_db_save(db, path, seal, true, NULL) == CCZ_OK);
    CHECK(ccz_psi_db_load(&again, path, seal, 1, NULL) == CCZ_OK);
    ccz_psi_db_name(name[0], db);
    ccz_psi_db_name(name[1], again);
    CHECK(memcmp(name[0], name[1], 32) == 0);
    check_query(again, 900, 20, 7);
    /* another seal, damage anywhere, a cut */
    CHECK(ccz_psi_db_load(&none, path, small, 1, &err) == CCZ_E_ARG && !none);
    CHECK(ccz_psi_db_load(&none, path, other, 1, &err) == CCZ_E_SIG && !none);
    for (size_t at = 0; at < 8192; at += 211) {
        rewrite(path, at, 0);
        CHECK(ccz_psi_db_load(&none, path, seal, 1, &err) != CCZ_OK && !none &&
              strncmp(err.where, "pf:", 3) == 0);
        rewrite(path, at, 0);
    }
    rewrite(path, 1, 4096);
    CHECK(ccz_psi_db_load(&none, path, seal, 1, &err) != CCZ_OK && !none);
    /* whole files that are no database of this version */
    static const struct {
        size_t at;
        const char *bound, *where;
        ccz_rc rc;
    } forged[] = {{0, "psi/database", "psi:database", CCZ_E_FORMAT},
                  {7, "psi/database", "psi:database", CCZ_E_FORMAT},
                  {8, "psi/database", "psi:database", CCZ_E_FORMAT},
                  {20, "psi/database", "psi:filter-key", CCZ_E_MISMATCH},
                  {16 + CCZI_DB_KEY_SIZE + 3, "psi/database", "psi:filter", CCZ_E_FORMAT},
                  {0, "psi/other", "pf:path", CCZ_E_SIG}};
    for (size_t i = 0; i < sizeof(forged) / sizeof(forged[0]); i++) {
        CHECK(ccz_psi_db_save(db, path, seal, true, NULL) == CCZ_OK);
        forge(path, seal, forged[i].at, forged[i].bound);
        ccz_rc rc = ccz_psi_db_load(&none, path, seal, 1, &err);
        if (strcmp(err.where, forged[i].where) != 0)
            fprintf(stderr, "case %zu: %s: %s\n", i, err.where, err.msg);
        CHECK(rc == forged[i].rc && !none && strcmp(err.where, forged[i].where) == 0);
    }
}

struct session {
    const struct ccz_psi_db *db;
    struct ccz_psi_db_terms terms;
    struct ccz_chan *chan;
    uint64_t len;
    ccz_rc rc;
    struct ccz_err err;
};

static void *run_session(void *arg)
{
    struct session *s = arg;
    s->rc = ccz_psi_db_answer(&s->len, s->db, s->chan, &s->terms, &s->err);
    return NULL;
}

static ccz_rc ask(struct ccz_psi_result **out, struct session *s, const struct ccz_psi_ids *ids,
                  struct ccz_buf *filter, const struct ccz_psi_db_ask_cfg *cfg, struct ccz_err *err)
{
    pthread_t t;
    struct ccz_chan *c;
    CHECK(ccz_chan_pair(&s->chan, &c, NULL, NULL) == CCZ_OK);
    ccz_chan_set_timeout(s->chan, 20000);
    ccz_chan_set_timeout(c, 20000);
    CHECK(pthread_create(&t, NULL, run_session, s) == 0);
    ccz_rc rc = ccz_psi_db_ask(out, c, ids, filter, cfg, err);
    CHECK(pthread_join(t, NULL) == 0);
    CHECK((rc == CCZ_OK) == (*out != NULL));
    ccz_chan_free(s->chan);
    ccz_chan_free(c);
    return rc;
}

static void test_sessions(void)
{
    CCZ_AUTO(ccz_psi_ids) ids = range(0, 20000, NULL); /* a filter of two pieces */
    CCZ_AUTO(ccz_psi_ids) some = range(19990, 25, NULL);
    CCZ_AUTO(ccz_psi_ids) few = range(0, 300, NULL);
    CCZ_AUTO(ccz_psi_db) db = NULL;
    CCZ_AUTO(ccz_psi_db) next = NULL;
    CCZ_AUTO_BUF filter;
    struct ccz_psi_result *r;
    struct ccz_err err = {0};
    uint64_t received = 0;
    ccz_buf_init(&filter, 4 << 20);
    CHECK(ccz_psi_db_new(&db, ids, &(struct ccz_psi_db_cfg){0}, NULL) == CCZ_OK);
    CHECK(ccz_psi_db_new(&next, few, &(struct ccz_psi_db_cfg){0}, NULL) == CCZ_OK);
    CHECK(ccz_psi_db_filter(db).size > 1 << 17);
    for (int i = 0; i < 3; i++) { /* downloads; has it; has it, refreshes all the same */
        struct session s = {.db = db};
        const struct ccz_psi_db_ask_cfg cfg = {.threads = 1, .refresh = i == 2};
        CHECK(ask(&r, &s, some, &filter, &cfg, NULL) == CCZ_OK && s.rc == CCZ_OK && s.len == 25);
        CHECK(r->len == 10 && r->peer_len == 20000);
        CHECK(ccz_span_eq(ccz_buf_span(&filter), ccz_psi_db_filter(db)));
        CHECK((r->received_size < 10000) == (i == 1));
        received += r->received_size;
        ccz_psi_result_free(r);
    }
    CHECK(received > 2 * filter.size);
    /* the server prepared another one: said, and taken only if asked for */
    struct session s = {.db = next};
    CHECK(ask(&r, &s, some, &filter, &(struct ccz_psi_db_ask_cfg){.threads = 1}, &err) ==
              CCZ_E_MISMATCH &&
          strcmp(err.where, "psi:filter-old") == 0 && s.rc != CCZ_OK && s.len == 0);
    CHECK(ccz_span_eq(ccz_buf_span(&filter), ccz_psi_db_filter(db)));
    s = (struct session){.db = next};
    CHECK(ask(&r, &s, few, &filter, &(struct ccz_psi_db_ask_cfg){.threads = 1, .refresh = true},
              NULL) == CCZ_OK &&
          r->len == 300);
    ccz_psi_result_free(r);
    CHECK(ccz_span_eq(ccz_buf_span(&filter), ccz_psi_db_filter(next)));
    /* a minimum that is reached, and one that is not */
    for (uint64_t least = 10; least <= 11; least++) {
        s = (struct session){.db = db,
                             .terms = {.min_intersection = least, .trusted_client = true}};
        ccz_rc rc = ask(
            &r, &s, some, &filter,
            &(struct ccz_psi_db_ask_cfg){.threads = 1, .refresh = true, .min_intersection = least},
            &err);
        CHECK(rc == (least == 10 ? CCZ_OK : CCZ_E_POLICY));
        CHECK(rc == CCZ_OK || strcmp(err.where, "psi:minimum") == 0);
        ccz_psi_result_free(r);
    }
}

static void test_session_refusals(void)
{
    CCZ_AUTO(ccz_psi_ids) ids = range(0, 40, NULL);
    CCZ_AUTO(ccz_psi_db) db = NULL;
    struct ccz_psi_result *r;
    struct ccz_err err = {0};
    CHECK(ccz_psi_db_new(&db, ids, &(struct ccz_psi_db_cfg){0}, NULL) == CCZ_OK);
    size_t size = ccz_psi_db_filter(db).size;
    CCZ_AUTO_BUF filter;
    CCZ_AUTO_BUF small;
    ccz_buf_init(&filter, size);
    ccz_buf_init(&small, size - 1);
    /* the client: another minimum, no room */
    struct session s = {.db = db};
    CHECK(ask(&r, &s, ids, &filter, &(struct ccz_psi_db_ask_cfg){.min_intersection = 3}, &err) ==
              CCZ_E_MISMATCH &&
          strcmp(err.where, "psi:peer-minimum") == 0);
    CHECK(s.rc == CCZ_E_MISMATCH && strcmp(s.err.where, "psi:peer-minimum") == 0);
    s = (struct session){.db = db};
    CHECK(ask(&r, &s, ids, &small, &(struct ccz_psi_db_ask_cfg){0}, &err) == CCZ_E_LIMIT &&
          strcmp(err.where, "psi:filter-size") == 0 && s.rc != CCZ_OK);
    /* the server: a minimum, although nobody verified the client; a longer query than it takes */
    s = (struct session){.db = db, .terms = {.min_intersection = 3}};
    CHECK(ask(&r, &s, ids, &filter, &(struct ccz_psi_db_ask_cfg){.min_intersection = 3}, &err) !=
          CCZ_OK);
    CHECK(s.rc == CCZ_E_UNSUPPORTED && strcmp(s.err.where, "psi:minimum-untrusted") == 0);
    s = (struct session){.db = db, .terms = {.query_len_max = 39}};
    CHECK(ask(&r, &s, ids, &filter, &(struct ccz_psi_db_ask_cfg){0}, &err) != CCZ_OK);
    CHECK(s.rc == CCZ_E_LIMIT && strcmp(s.err.where, "psi:query-len") == 0);
    /* servers by hand: an offer cut or changed, another filter than the one that was announced */
    uint8_t offer[CCZI_DB_OFFER_SIZE] = {'P', 'S', 'O', 1, CCZI_DB_WANTS};
    struct ccz_span f = ccz_psi_db_filter(db);
    ccz_psi_db_name(offer + 16, db);
    for (int i = 0; i < 8; i++)
        offer[48 + i] = (uint8_t)(size >> 8 * i);
    struct cczi_db_head h;
    for (size_t n = 0; n <= sizeof(offer); n++)
        CHECK(cczi_db_head_get(&h, CCZ_SPAN(offer, n), true, &err) ==
              (n == sizeof(offer) ? CCZ_OK : CCZ_E_PEER));
    CHECK(h.size == size && h.what == CCZI_DB_WANTS && h.minimum == 0);
    static const struct {
        size_t at;
        ccz_rc rc;
        const char *where;
    } changes[] = {{0, CCZ_E_PEER, "psi:message"},          {3, CCZ_E_UNSUPPORTED, "psi:version"},
                   {4, CCZ_E_PEER, "psi:message"},          {5, CCZ_E_PEER, "psi:message"},
                   {8, CCZ_E_MISMATCH, "psi:peer-minimum"}, {20, CCZ_E_PEER, "psi:filter-name"},
                   {55, CCZ_E_LIMIT, "psi:filter-size"}};
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        struct ccz_chan *a, *b;
        CHECK(ccz_chan_pair(&a, &b, NULL, NULL) == CCZ_OK);
        ccz_buf_clear(&filter);
        offer[changes[i].at] ^= changes[i].at == 4 ? 1 : 2;
        ccz_chan_set_timeout(b, 3000);
        CHECK(ccz_chan_send(a, CCZ_SPAN(offer, sizeof(offer)), NULL) == CCZ_OK);
        CHECK(ccz_chan_send(a, f, NULL) == CCZ_OK);
        ccz_rc rc = ccz_psi_db_ask(&r, b, ids, &filter, &(struct ccz_psi_db_ask_cfg){0}, &err);
        if (strcmp(err.where, changes[i].where) != 0)
            fprintf(stderr, "change %zu: %s: %s\n", i, err.where, err.msg);
        CHECK(rc == changes[i].rc && !r && strcmp(err.where, changes[i].where) == 0);
        offer[changes[i].at] ^= changes[i].at == 4 ? 1 : 2;
        ccz_chan_free(a);
        ccz_chan_free(b);
    }
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"psi.db_queries", test_queries},   {"psi.db_open", test_open},
        {"psi.db_refused", test_refused},   {"psi.db_filters", test_filters},
        {"psi.db_clients", test_clients},   {"psi.db_file", test_file},
        {"psi.db_sessions", test_sessions}, {"psi.db_session_refusals", test_session_refusals}};
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
