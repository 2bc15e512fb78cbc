/* SPDX-License-Identifier: Apache-2.0 */
/* Random damage, and the cache. */
#include "quote/kit.h"
#include "quote/quote_priv.h"

#include "ccz_test.h"

#include <pthread.h>

static uint32_t seed;
static uint32_t rnd(uint32_t below)
{
    seed = seed * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)seed * below) >> 32);
}

/* ------------------------------------------------------------------------------- bit flips */

/* Everything a verification reads from outside. */
enum { PARTS = 7, FLIPS = 10000 };
struct part {
    const char *name;
    struct ccz_buf *bytes;
};

/*
 * The bits that are outside of every signature and change nothing when flipped, all of them:
 *   the case of the hex digits a to f in the "signature" member of TCB info and QE identity
 * (Not reached with certification type 5: the contents of certification data types 1 to 3, which
 * are not used.)
 */
static bool is_listed(const struct part *p, size_t at, uint8_t mask)
{
    if (strcmp(p->name, "tcb_info") != 0 && strcmp(p->name, "qe_identity") != 0)
        return false;
    const char *text = ccz_buf_str(p->bytes), *sig = strstr(text, "\"signature\":\"");
    uint8_t old = p->bytes->ptr[at] ^ mask;
    bool letter = (old >= 'a' && old <= 'f') || (old >= 'A' && old <= 'F');
    return sig && at >= (size_t)(sig - text) + 13 && mask == 0x20 && letter;
}

static void flip(struct kit *k, const struct part parts[PARTS], size_t *accepted, size_t *quiet)
{
    size_t total = 0;
    for (int i = 0; i < PARTS; i++)
        total += parts[i].bytes->size;
    size_t at = rnd((uint32_t)total), n = 0;
    while (at >= parts[n].bytes->size)
        at -= parts[n++].bytes->size;
    uint8_t mask = (uint8_t)(1u << rnd(8));
    struct ccz_claims claims;
    struct ccz_err err = {0};
    parts[n].bytes->ptr[at] ^= mask;
    ccz_rc rc = kit_verify(&claims, k, &err);
    if (rc == CCZ_OK && !is_listed(&parts[n], at, mask))
        fprintf(stderr, "accepted: %s, byte %zu, mask 0x%02x\n", parts[n].name, at, mask);
    CHECK(rc != CCZ_OK || is_listed(&parts[n], at, mask));
    *accepted += rc == CCZ_OK;
    *quiet += rc != CCZ_OK && (!err.where[0] || !err.msg[0]);
    parts[n].bytes->ptr[at] ^= mask;
}

static void flips(enum ccz_tee tee, uint16_t version)
{
    struct kit k;
    struct kit_cfg cfg;
    struct ccz_claims claims;
    kit_default(&cfg, tee, version);
    kit_new(&k, &cfg);
    const struct part parts[PARTS] = {
        {"quote", &k.quote},         {"tcb_info", &k.tcb_info}, {"qe_identity", &k.qe_identity},
        {"tcb_chain", &k.tcb_chain}, {"ca_chain", &k.ca_chain}, {"root_crl", &k.root_crl},
        {"pck_crl", &k.pck_crl},
    };
    size_t accepted = 0, quiet = 0;
    seed = 20250615u + version;
    for (int i = 0; i < FLIPS; i++)
        flip(&k, parts, &accepted, &quiet);
    CHECK(quiet == 0 && accepted < 100);
    CHECK(kit_verify(&claims, &k, NULL) == CCZ_OK); /* all flips were undone */
    kit_free(&k);
}

static void test_flips_v3(void)
{
    flips(CCZ_TEE_SGX, 3);
}
static void test_flips_v4(void)
{
    flips(CCZ_TEE_TDX, 4);
}

/* Every bit of a quote, not a sample: with the collateral opened once that is affordable. */
static void test_every_bit(void)
{
    struct kit k;
    struct kit_cfg cfg;
    struct ccz_claims claims;
    kit_default(&cfg, CCZ_TEE_TDX, 5);
    kit_new(&k, &cfg);
    CCZ_AUTO(ccz_collateral) c = NULL;
    CHECK(ccz_collateral_new(&c, &k.src, &k.roots, NULL) == CCZ_OK);
    const struct ccz_verify_cfg v = {.now_s = KIT_NOW_S, .roots = &k.roots, .collateral = c};
    for (size_t i = 0; i < k.quote.size; i++) {
        uint8_t mask = (uint8_t)(1u << i % 8);
        k.quote.ptr[i] ^= mask;
        if (ccz_quote_verify(&claims, ccz_buf_span(&k.quote), &v, NULL) == CCZ_OK) {
            fprintf(stderr, "accepted: byte %zu, mask 0x%02x\n", i, mask);
            exit(1);
        }
        k.quote.ptr[i] ^= mask;
    }
    CHECK(ccz_quote_verify(&claims, ccz_buf_span(&k.quote), &v, NULL) == CCZ_OK);
    kit_free(&k);
}

/* --------------------------------------------------------------------------------- cache */

struct world {
    struct kit k;
    struct ccz_collateral *c;
    struct ccz_verify_cache *cache;
};

static void world_new(struct world *w, const struct kit_cfg *cfg)
{
    struct ccz_err err = {0};
    kit_new(&w->k, cfg);
    CHECK(ccz_collateral_new(&w->c, &w->k.src, &w->k.roots, &err) == CCZ_OK);
    CHECK(ccz_verify_cache_new(&w->cache, 16) == CCZ_OK);
}

static void world_free(struct world *w)
{
    ccz_collateral_free(w->c);
    ccz_verify_cache_free(w->cache);
    kit_free(&w->k);
}

static ccz_rc verify(struct ccz_claims *claims, const struct world *w,
                     const struct ccz_collateral *c, struct ccz_verify_cache *cache,
                     struct ccz_err *err)
{
    const struct ccz_verify_cfg v = {
        .now_s = KIT_NOW_S, .roots = &w->k.roots, .collateral = c, .cache = cache};
    return ccz_quote_verify(claims, ccz_buf_span(&w->k.quote), &v, err);
}

static struct cczi_evidence *lookup(const struct world *w, const struct ccz_roots *roots)
{
    struct ccz_quote q;
    uint8_t key[CCZI_CACHE_KEY_SIZE];
    CHECK(ccz_quote_parse(&q, ccz_buf_span(&w->k.quote), NULL) == CCZ_OK);
    CHECK(cczi_cache_key(key, &q, roots, w->c) == CCZ_OK);
    return cczi_cache_get(w->cache, key);
}

static void test_cache_same(void)
{
    for (int td = 0; td < 2; td++) {
        struct world w;
        struct kit_cfg cfg;
        kit_default(&cfg, td ? CCZ_TEE_TDX : CCZ_TEE_SGX, td ? 5 : 3);
        cfg.pce_svn = 9;
        world_new(&w, &cfg);
        struct ccz_claims without, cold, warm;
        CHECK(lookup(&w, &w.k.roots) == NULL);
        CHECK(verify(&without, &w, w.c, NULL, NULL) == CCZ_OK);
        CHECK(verify(&cold, &w, w.c, w.cache, NULL) == CCZ_OK);
        struct cczi_evidence *e = lookup(&w, &w.k.roots);
        CHECK(e != NULL && atomic_load(&e->refs) == 2);
        cczi_evidence_free(e);
        CHECK(verify(&warm, &w, w.c, w.cache, NULL) == CCZ_OK);
        CHECK(memcmp(&without, &cold, sizeof(cold)) == 0 &&
              memcmp(&cold, &warm, sizeof(warm)) == 0);
        world_free(&w);
    }
}

/* What is not in the key is checked every time: the quote body, its signature, the QE identity, the
 * TCB level. */
static void test_cache_body(void)
{
    struct world w;
    struct kit_cfg cfg;
    struct ccz_claims claims;
    struct ccz_err err = {0};
    kit_default(&cfg, CCZ_TEE_SGX, 3);
    world_new(&w, &cfg);
    CHECK(verify(&claims, &w, w.c, w.cache, &err) == CCZ_OK);
    struct ccz_quote q;
    CHECK(ccz_quote_parse(&q, ccz_buf_span(&w.k.quote), NULL) == CCZ_OK);
    const struct {
        struct ccz_span part;
        const char *where;
    } parts[] = {
        {q.body, "quote:signature"},
        {q.signature, "quote:signature"},
        {q.attest_key, "quote:qe-binding"},
        {q.qe_report, "quote:qe-signature"},
        {q.qe_signature, "quote:qe-signature"},
        {q.qe_auth, "quote:qe-binding"},
        {q.cert_data, "quote:pck-chain"},
    };
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        uint8_t *at = w.k.quote.ptr + (parts[i].part.ptr - w.k.quote.ptr);
        at[1] ^= 0x10;
        for (int again = 0; again < 2; again++) { /* a failure is not remembered as a success */
            CHECK(verify(&claims, &w, w.c, w.cache, &err) != CCZ_OK);
            CHECK(strcmp(err.where, parts[i].where) == 0);
        }
        at[1] ^= 0x10;
    }
    CHECK(verify(&claims, &w, w.c, w.cache, &err) == CCZ_OK);
    world_free(&w);
}

/* What the certification data is taken for belongs to the key: the same bytes under another type are no chain. */
static void test_cache_type(void)
{
    struct world w;
    struct kit_cfg cfg;
    struct ccz_claims claims;
    struct ccz_err err = {0};
    struct ccz_quote q;
    enum { TYPE_AND_SIZE = 2 + 4, CERT_PCK_LEAF = 4 };
    kit_default(&cfg, CCZ_TEE_SGX, 3);
    world_new(&w, &cfg);
    CHECK(verify(&claims, &w, w.c, w.cache, &err) == CCZ_OK);
    CHECK(ccz_quote_parse(&q, ccz_buf_span(&w.k.quote), NULL) == CCZ_OK);
    uint8_t *type = w.k.quote.ptr + (q.cert_data.ptr - w.k.quote.ptr) - TYPE_AND_SIZE;
    const uint8_t chain = *type;
    *type = CERT_PCK_LEAF;
    CHECK(verify(&claims, &w, w.c, w.cache, &err) == CCZ_E_FORMAT);
    CHECK(strcmp(err.where, "quote:pck-chain") == 0);
    *type = chain;
    CHECK(verify(&claims, &w, w.c, w.cache, &err) == CCZ_OK);
    world_free(&w);
}

/* One cache, two collaterals for one platform; the second revokes the PCK certificate. */
static void test_cache_collateral(void)
{
    struct world a;
    struct kit_cfg cfg;
    struct ccz_claims claims;
    struct ccz_err err = {0};
    kit_default(&cfg, CCZ_TEE_SGX, 3);
    world_new(&a, &cfg);
    CHECK(verify(&claims, &a, a.c, a.cache, &err) == CCZ_OK);

    struct ccz_collateral_src src = a.k.src;
    const struct ccz_span serial = ccz_cert_serial(a.k.pck);
    CCZ_AUTO_BUF crl;
    ccz_buf_init(&crl, 65536);
    CHECK(ccz_crl_issue(&crl, a.k.ca, kit_key(1), cfg.pck_crl.from_s, cfg.pck_crl.until_s, &serial,
                        1) == CCZ_OK);
    src.pck_crl = ccz_buf_span(&crl);
    CCZ_AUTO(ccz_collateral) revoking = NULL;
    CHECK(ccz_collateral_new(&revoking, &src, &a.k.roots, &err) == CCZ_OK);
    for (int i = 0; i < 2; i++) {
        CHECK(verify(&claims, &a, revoking, a.cache, &err) == CCZ_E_REVOKED);
        CHECK(strcmp(err.where, "quote:pck-revoked") == 0);
        CHECK(verify(&claims, &a, a.c, a.cache, &err) == CCZ_OK);
    }
    /* the same bytes opened again are the same collateral: the entry is found */
    CCZ_AUTO(ccz_collateral) again = NULL;
    CHECK(ccz_collateral_new(&again, &a.k.src, &a.k.roots, &err) == CCZ_OK);
    CHECK(memcmp(again->id, a.c->id, sizeof(again->id)) == 0);
    CHECK(memcmp(again->id, revoking->id, sizeof(again->id)) != 0);
    world_free(&a);
}

/* The digest that names collateral covers each part, and where one ends and the next begins. */
static void test_collateral_id(void)
{
    struct world a;
    struct kit_cfg cfg;
    struct ccz_err err = {0};
    kit_default(&cfg, CCZ_TEE_SGX, 3);
    world_new(&a, &cfg);
    CCZ_AUTO_BUF part;
    ccz_buf_init(&part, 65536);
    const struct ccz_collateral_src src = a.k.src;
    struct ccz_collateral_src other = src;
    struct ccz_span *parts[] = {&other.tcb_info,          &other.tcb_info_chain, &other.qe_identity,
                                &other.qe_identity_chain, &other.pck_crl_chain,  &other.pck_chain};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        CCZ_AUTO(ccz_collateral) c = NULL;
        ccz_buf_clear(&part);
        ccz_buf_put_span(&part, *parts[i]);
        ccz_buf_put_str(&part, "\n"); /* changes nothing but the bytes */
        *parts[i] = ccz_buf_span(&part);
        CHECK(ccz_collateral_new(&c, &other, &a.k.roots, &err) == CCZ_OK);
        CHECK(memcmp(c->id, a.c->id, sizeof(c->id)) != 0);
        other = src;
    }
    /* lists that speak about nobody here, and differ in that */
    static const uint8_t nobody[] = {0x01, 0x02};
    const struct ccz_span serial = CCZ_SPAN(nobody, sizeof(nobody));
    struct ccz_span *lists[] = {&other.root_ca_crl, &other.pck_crl};
    const struct ccz_cert *issuers[] = {a.k.root, a.k.ca};
    for (size_t i = 0; i < 2; i++) {
        CCZ_AUTO(ccz_collateral) c = NULL;
        ccz_buf_clear(&part);
        CHECK(ccz_crl_issue(&part, issuers[i], kit_key(i), cfg.root_crl.from_s, cfg.pck_crl.until_s,
                            &serial, 1) == CCZ_OK);
        *lists[i] = ccz_buf_span(&part);
        CHECK(ccz_collateral_new(&c, &other, &a.k.roots, &err) == CCZ_OK);
        CHECK(memcmp(c->id, a.c->id, sizeof(c->id)) != 0);
        other = src;
    }
    world_free(&a);
}

static void test_cache_roots(void)
{
    struct world a;
    struct kit_cfg cfg;
    struct ccz_claims claims;
    kit_default(&cfg, CCZ_TEE_SGX, 3);
    world_new(&a, &cfg);
    CHECK(verify(&claims, &a, a.c, a.cache, NULL) == CCZ_OK);
    struct ccz_roots more = a.k.roots;
    CHECK(ccz_roots_add_intel(&more) == CCZ_OK);
    CHECK(lookup(&a, &more) == NULL);
    struct cczi_evidence *e = lookup(&a, &a.k.roots);
    CHECK(e != NULL);
    cczi_evidence_free(e);
    more = a.k.roots;
    more.root[0].simulated = false;
    CHECK(lookup(&a, &more) == NULL);
    world_free(&a);
}

/* Memory stays fixed, and what was used last stays. */
static void test_cache_evicts(void)
{
    struct world a;
    struct kit_cfg cfg;
    kit_default(&cfg, CCZ_TEE_SGX, 3);
    world_new(&a, &cfg);
    struct ccz_quote q;
    struct cczi_evidence *e = NULL;
    struct cczi_pending pending = {0};
    CHECK(ccz_quote_parse(&q, ccz_buf_span(&a.k.quote), NULL) == CCZ_OK);
    CHECK(cczi_evidence_new(&e, &pending, &q, &a.k.roots, a.c, NULL) == CCZ_OK);
    cczi_pending_deinit(&pending); /* what is kept does not need it */
    CCZ_AUTO(ccz_verify_cache) cache = NULL;
    CHECK(ccz_verify_cache_new(&cache, 0) == CCZ_E_ARG &&
          ccz_verify_cache_new(&cache, 65537) == CCZ_E_ARG);
    CHECK(ccz_verify_cache_new(&cache, 1) == CCZ_OK); /* one set of four */
    uint8_t key[CCZI_CACHE_KEY_SIZE] = {0};
    for (uint8_t i = 0; i < 100; i++) {
        key[31] = i;
        cczi_cache_put(cache, key, e);
        cczi_cache_put(cache, key, e); /* twice: one entry */
        key[31] = 0;
        struct cczi_evidence *first = cczi_cache_get(cache, key);
        CHECK(first == e); /* used in every round, never the least recently used */
        cczi_evidence_free(first);
        CHECK(atomic_load(&e->refs) <= 1 + 4);
    }
    size_t found = 0;
    for (uint8_t i = 0; i < 100; i++) {
        key[31] = i;
        struct cczi_evidence *x = cczi_cache_get(cache, key);
        found += x != NULL;
        cczi_evidence_free(x);
    }
    CHECK(found == 4);
    ccz_verify_cache_free(cache);
    cache = NULL;
    CHECK(atomic_load(&e->refs) == 1);
    cczi_evidence_free(e);
    world_free(&a);
}

/* Several threads, one cache that is too small for them. */
static void *thread(void *arg)
{
    struct world *w = arg;
    for (int i = 0; i < 100; i++) {
        struct ccz_claims claims;
        struct world *one = &w[i % 3];
        CHECK(verify(&claims, one, one->c, w->cache, NULL) == CCZ_OK);
        CHECK(claims.tcb_status == CCZ_TCB_UP_TO_DATE && claims.fmspc[5] == i % 3);
    }
    return NULL;
}

static void test_cache_threads(void)
{
    struct world w[3];
    pthread_t threads[4];
    for (uint8_t i = 0; i < 3; i++) {
        struct kit_cfg cfg;
        kit_default(&cfg, CCZ_TEE_SGX, 3);
        cfg.fmspc[5] = i;
        world_new(&w[i], &cfg);
    }
    for (int i = 0; i < 4; i++)
        CHECK(pthread_create(&threads[i], NULL, thread, w) == 0);
    for (int i = 0; i < 4; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    for (int i = 0; i < 3; i++)
        world_free(&w[i]);
}

static const struct ccz_test tests[] = {
    {"robust.flips_v3", test_flips_v3},
    {"robust.flips_v4", test_flips_v4},
    {"robust.every_byte", test_every_bit},
    {"cache.same", test_cache_same},
    {"cache.body", test_cache_body},
    {"cache.type", test_cache_type},
    {"cache.collateral", test_cache_collateral},
    {"cache.collateral_id", test_collateral_id},
    {"cache.roots", test_cache_roots},
    {"cache.evicts", test_cache_evicts},
    {"cache.threads", test_cache_threads},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
