/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Damage to real evidence and to the collateral that belongs to it: none of it is accepted, except
 * for the bits that docs/design/verification.md lists as outside of every check.
 */
#include "quote/json_walk.h"
#include "quote/vector_verdicts.h"
#include "quote/vectors.h"

#include "ccz_test.h"

/* Sanitizers make it ten times slower, and what they look for does not need all of it. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { FLIPS = 5000, STRIDE = 7 };
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer)
enum { FLIPS = 5000, STRIDE = 7 };
#else
enum { FLIPS = 50000, STRIDE = 1 };
#endif
#else
enum { FLIPS = 50000, STRIDE = 1 };
#endif

static uint64_t seed;
static size_t rnd(size_t below)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (size_t)((seed >> 33) % below);
}

/* ---------------------------------------------------------------------------- accepted cases */

enum { WORLDS_MAX = 64 };
/* A case that is accepted, with everything that a verification needs. */
struct world {
    char set[128];
    struct ccz_buf quote;
    struct bundle bundle;
    struct ccz_collateral *collateral;
    int64_t now_s;
    uint16_t version;
};
static struct world worlds[WORLDS_MAX];
static size_t worlds_len;
static struct ccz_verify_cache *cache;

static ccz_rc verify(const struct world *w, struct ccz_span quote)
{
    struct ccz_claims claims;
    const struct ccz_verify_cfg cfg = {
        .now_s = w->now_s, .roots = &w->bundle.roots, .collateral = w->collateral, .cache = cache};
    return ccz_quote_verify(&claims, quote, &cfg, NULL);
}

static void add_world(const char *set, const struct ccz_json *one)
{
    struct world *w = &worlds[worlds_len];
    const struct ccz_json *time = ccz_json_get(one, "verification_time");
    CHECK(worlds_len < WORLDS_MAX && ccz_json_int(&w->now_s, ccz_json_get(time, "unix")));
    (void)snprintf(w->set, sizeof(w->set), "%s", set);
    vectors_load(&w->quote, set, "", "evidence.bin");
    bundle_load(&w->bundle, set, ccz_json_str(ccz_json_get(one, "collateral_dir")));
    CHECK(ccz_collateral_new(&w->collateral, &w->bundle.src, &w->bundle.roots, NULL) == CCZ_OK);
    w->version = w->quote.ptr[0];
    CHECK(verify(w, ccz_buf_span(&w->quote)) == CCZ_OK);
    worlds_len++;
}

static bool is_accepted(const char *name)
{
    for (size_t i = 0; i < CASES; i++)
        if (strcmp(case_verdicts[i].name, name) == 0)
            return case_verdicts[i].where == NULL;
    return false;
}

static void load_worlds(void)
{
    CHECK(ccz_verify_cache_new(&cache, 256) == CCZ_OK);
    for (size_t s = 0; s < SETS; s++) {
        CCZ_AUTO_BUF text;
        CCZ_AUTO(ccz_json) meta = NULL;
        vectors_load(&text, set_verdicts[s].set, "", "meta.json");
        CHECK(ccz_json_parse(&meta, ccz_buf_span(&text), NULL) == CCZ_OK);
        const struct ccz_json *cases = ccz_json_get(meta, "cases");
        for (size_t i = 0; i < ccz_json_len(cases); i++) {
            const struct ccz_json *one = ccz_json_at(cases, i);
            if (is_accepted(ccz_json_str(ccz_json_get(one, "case"))))
                add_world(set_verdicts[s].set, one);
        }
    }
}

static void free_worlds(void)
{
    for (size_t i = 0; i < worlds_len; i++) {
        ccz_buf_free(&worlds[i].quote);
        bundle_free(&worlds[i].bundle);
        ccz_collateral_free(worlds[i].collateral);
    }
    ccz_verify_cache_free(cache);
    worlds_len = 0;
}

/* --------------------------------------------------------------------------------- quotes */

/* With certification data of type 1 to 3, its contents are not used; nothing else is free. */
static bool is_free(const struct ccz_quote *q, const uint8_t *at)
{
    return q->cert_type <= 3 && at >= q->cert_data.ptr && at < q->cert_data.ptr + q->cert_data.size;
}

static void test_truncated(void)
{
    load_worlds();
    for (size_t i = 0; i < worlds_len; i++) {
        const struct world *w = &worlds[i];
        for (size_t cut = 0; cut < w->quote.size; cut++)
            CHECK(verify(w, CCZ_SPAN(w->quote.ptr, cut)) != CCZ_OK);
    }
    printf("%zu quotes\n", worlds_len);
    CHECK(worlds_len == 29);
    free_worlds();
}

static void flip(struct world *w, size_t at, uint8_t mask)
{
    struct ccz_quote q;
    CHECK(ccz_quote_parse(&q, ccz_buf_span(&w->quote), NULL) == CCZ_OK);
    bool good = is_free(&q, w->quote.ptr + at);
    w->quote.ptr[at] ^= mask;
    ccz_rc rc = verify(w, ccz_buf_span(&w->quote));
    w->quote.ptr[at] ^= mask;
    if ((rc == CCZ_OK) != good)
        fprintf(stderr, "%s: byte %zu ^ 0x%02x: %s\n", w->set, at, mask, ccz_rc_name(rc));
    CHECK((rc == CCZ_OK) == good); /* what is listed as free really is */
}

/* Over all accepted quotes of the version. */
static void flips(uint16_t version)
{
    load_worlds();
    struct world *of[WORLDS_MAX];
    size_t len = 0;
    for (size_t i = 0; i < worlds_len; i++)
        if (worlds[i].version == version)
            of[len++] = &worlds[i];
    CHECK(len > 0);
    seed = 20250615u + version;
    for (size_t i = 0; i < FLIPS; i++) {
        struct world *w = of[rnd(len)];
        flip(w, rnd(w->quote.size), (uint8_t)(1u << rnd(8)));
    }
    for (size_t i = 0; i < len; i++)
        CHECK(verify(of[i], ccz_buf_span(&of[i]->quote)) == CCZ_OK); /* all were undone */
    printf("%d flips in %zu quotes\n", (int)FLIPS, len);
    free_worlds();
}

static void test_flips_v3(void)
{
    flips(3);
}
static void test_flips_v4(void)
{
    flips(4);
}
static void test_flips_v5(void)
{
    flips(5);
}

/* One bit of every byte of one quote of each version, and of the one with certification type 1. */
static void test_every_byte(void)
{
    static const char *const sets[] = {"sgx3-phala-00a067110000-2025-06",
                                       "tdx4-phala-b0c06f-2025-06", "tdx5-gotdx-90c06f-2026-02",
                                       "sgx3-intelqvl-sample-old-testroot"};
    load_worlds();
    size_t found = 0;
    for (size_t i = 0; i < worlds_len; i++) {
        for (size_t s = 0; s < sizeof(sets) / sizeof(sets[0]); s++) {
            if (strcmp(worlds[i].set, sets[s]) != 0)
                continue;
            found |= (size_t)1 << s;
            for (size_t at = 0; at < worlds[i].quote.size; at += STRIDE)
                flip(&worlds[i], at, (uint8_t)(1u << (at * 5 + 3) % 8));
        }
    }
    CHECK(found == 15);
    free_worlds();
}

/* ------------------------------------------------------------------------------ collateral */

/* One document of a world that is being changed. */
struct target {
    const struct world *w;
    struct ccz_collateral_src src;
    struct ccz_span *part; /* in src */
    struct ccz_span text;
    struct ccz_buf changed;
    size_t n, by_signature;
};

static void check_changed(struct target *t, const char *what)
{
    CCZ_AUTO(ccz_collateral) c = NULL;
    struct ccz_err err = {0};
    if (t->n++ % STRIDE)
        return;
    *t->part = ccz_buf_span(&t->changed);
    ccz_rc rc = ccz_collateral_new(&c, &t->src, &t->w->bundle.roots, &err);
    if (rc == CCZ_OK)
        fprintf(stderr, "%s: accepted with %s changed\n", t->w->set, what);
    CHECK(rc != CCZ_OK && err.where[0]);
    size_t size = strlen(err.where);
    t->by_signature += size > 10 && strcmp(err.where + size - 10, "-signature") == 0;
}

static void replace(struct target *t, const struct walk_value *v, struct ccz_span part,
                    const char *with)
{
    walk_replace(&t->changed, t->text, part, with);
    check_changed(t, v->path);
}

/* Another character of the same kind, so that the document keeps its form. */
static char other(char c)
{
    if (c >= '0' && c <= '9')
        return c == '9' ? '0' : (char)(c + 1);
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
        return c == 'f'               ? 'a'
               : c == 'F'             ? 'A'
               : c == 'z' || c == 'Z' ? (char)(c - 1)
                                      : (char)(c + 1);
    return c == '-' ? '_' : '-';
}

static void change_string(struct target *t, const struct walk_value *v)
{
    static const char *const statuses[] = {
        "UpToDate",
        "SWHardeningNeeded",
        "ConfigurationNeeded",
        "ConfigurationAndSWHardeningNeeded",
        "OutOfDate",
        "OutOfDateConfigurationNeeded",
        "Revoked",
    };
    for (size_t i = 0; i < v->value.size; i++) {
        char with[2] = {other((char)v->value.ptr[i]), 0};
        replace(t, v, CCZ_SPAN(v->value.ptr + i, 1), with);
    }
    const char *name = strrchr(v->path, '.');
    if (!name || strcmp(name, ".tcbStatus") != 0)
        return;
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
        if (!ccz_span_eq(v->value, ccz_span_str(statuses[i])))
            replace(t, v, v->value, statuses[i]);
}

/* Each value changed in every way; each member and element removed, doubled, and given a
 * neighbour. */
static void change(void *arg, const struct walk_value *v)
{
    struct target *t = arg;
    char text[32];
    CCZ_AUTO_BUF twice;
    ccz_buf_init(&twice, 1 << 20);
    if (v->path[0]) {
        ccz_buf_printf(&twice, "%.*s,%.*s", (int)v->whole.size, (const char *)v->whole.ptr,
                       (int)v->whole.size, (const char *)v->whole.ptr);
        replace(t, v, v->whole, ccz_buf_str(&twice));
        replace(t, v, v->with_comma, "");
    }
    if (v->type == 'n') {
        int64_t n = strtoll((const char *)v->value.ptr, NULL, 10);
        for (int64_t d = -1; d <= 1; d += 2) {
            (void)snprintf(text, sizeof(text), "%lld", (long long)(n + d));
            replace(t, v, v->value, text);
        }
    }
    if (v->type == '"')
        change_string(t, v);
    if (v->type == '{')
        replace(t, v, CCZ_SPAN(v->value.ptr, 1),
                v->value.size > 2 ? "{\"extra\":1," : "{\"extra\":1");
    if (v->type == '[')
        replace(t, v, CCZ_SPAN(v->value.ptr, 1), v->value.size > 2 ? "[1," : "[1");
}

static const struct world *find_world(const char *set)
{
    for (size_t i = 0; i < worlds_len; i++)
        if (strcmp(worlds[i].set, set) == 0)
            return &worlds[i];
    fprintf(stderr, "no such case: %s\n", set);
    exit(1);
}

static void documents(const char *set)
{
    load_worlds();
    struct target t = {.w = find_world(set)};
    for (int qe = 0; qe < 2; qe++) {
        t.src = t.w->bundle.src;
        t.part = qe ? &t.src.qe_identity : &t.src.tcb_info;
        t.text = *t.part;
        t.n = t.by_signature = 0;
        ccz_buf_init(&t.changed, 1 << 20);
        walk_json(t.text, change, &t);
        printf("%s: %zu changes, %zu found by a signature\n", qe ? "QE identity" : "TCB info", t.n,
               t.by_signature);
        CHECK(t.n > 400 && t.by_signature > t.n / STRIDE / 2);
        ccz_buf_free(&t.changed);
    }
    free_worlds();
}

static void test_documents_sgx(void)
{
    documents("sgx3-phala-00a067110000-2025-06");
}
static void test_documents_tdx(void)
{
    documents("tdx5-gotdx-90c06f-2026-02");
}

/* Chains and lists: a bit of every byte. */
static void test_chains(void)
{
    load_worlds();
    const struct world *w = find_world("tdx5-gotdx-90c06f-2026-02");
    struct target t = {.w = w, .src = w->bundle.src};
    struct ccz_span *parts[] = {&t.src.tcb_info_chain, &t.src.qe_identity_chain, &t.src.root_ca_crl,
                                &t.src.pck_crl, &t.src.pck_crl_chain};
    for (size_t p = 0; p < sizeof(parts) / sizeof(parts[0]); p++) {
        t.part = parts[p];
        t.text = *t.part;
        CHECK(t.text.size > 200);
        ccz_buf_init(&t.changed, 1 << 20);
        ccz_buf_put_span(&t.changed, t.text);
        for (size_t i = 0; i < t.text.size; i++) {
            char what[48];
            (void)snprintf(what, sizeof(what), "byte %zu of part %zu", i, p);
            t.changed.ptr[i] ^= (uint8_t)(1u << (i * 5 + 3) % 8);
            check_changed(&t, what);
            t.changed.ptr[i] = t.text.ptr[i];
        }
        *t.part = t.text;
        ccz_buf_free(&t.changed);
    }
    free_worlds();
}

static const struct ccz_test tests[] = {
    {"mutations.truncated", test_truncated},
    {"mutations.flips_v3", test_flips_v3},
    {"mutations.flips_v4", test_flips_v4},
    {"mutations.flips_v5", test_flips_v5},
    {"mutations.every_byte", test_every_byte},
    {"mutations.documents_sgx", test_documents_sgx},
    {"mutations.documents_tdx", test_documents_tdx},
    {"mutations.chains", test_chains},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
