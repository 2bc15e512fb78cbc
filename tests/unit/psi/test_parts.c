/* SPDX-License-Identifier: Apache-2.0 */
/* The oracle, the key-value store and the masks, each by itself. */
#define _GNU_SOURCE
#include "ccz_test.h"
#include "psi/psi_priv.h"
#include "test_rng.h"

static void digest_bytes(uint8_t out[32], const struct cczi_digest *d)
{
    for (int j = 0; j < 32; j++)
        out[j] = (uint8_t)(d->w[j / 4] >> (24 - 8 * (j % 4)));
}

/* ------------------------------------------------------------------------------- oracle */

/* SHA-256 by the other implementation. */
static void expected_hash(uint8_t out[32], const char *label, const uint8_t key[32],
                          struct ccz_span in)
{
    uint8_t prefix[64] = {0};
    memcpy(prefix, label, strlen(label));
    memcpy(prefix + 32, key, 32);
    const struct ccz_span parts[] = {CCZ_SPAN(prefix, 64), in};
    CHECK(ccz_hash(out, CCZ_SHA256, parts, 2) == CCZ_OK);
}

static void test_oracle(void)
{
    enum { N = 70 };
    struct cczi_ro ro;
    uint64_t seed = 5;
    uint8_t key[32], in[N][32], expected[32], got[32];
    struct test_rng g = {.state = seed, .left = -1};
    CHECK(rng_fill(&g, key, 32) == CCZ_OK && rng_fill(&g, in, sizeof(in)) == CCZ_OK);
    cczi_ro_init(&ro, "test", key);
    for (int tier = 0; tier <= (int)ccz_cpu()->best; tier++) {
        for (size_t len = 0; len <= N; len++) {
            struct cczi_digest d[N + 1];
            memset(d, 0xaa, sizeof(d));
            cczi_ro_hash_tier(d, &ro, (const uint8_t(*)[32])in, len, (enum ccz_cpu_tier)tier);
            CHECK(d[len].w[0] == 0xaaaaaaaa);
            for (size_t i = 0; i < len; i++) {
                expected_hash(expected, "test", key, CCZ_SPAN(in[i], 32));
                digest_bytes(got, &d[i]);
                CHECK(memcmp(got, expected, 32) == 0);
            }
        }
    }
}

/* Messages of every length around the borders of blocks, in every mixture of short and long. */
static void test_oracle_spans(void)
{
    enum { N = 300 };
    static uint8_t text[N], got[N][32];
    struct ccz_span in[N];
    struct cczi_ro ro;
    uint8_t key[32] = {7}, expected[32];
    uint64_t seed = 9;
    for (size_t i = 0; i < N; i++)
        text[i] = (uint8_t)rnd(&seed);
    cczi_ro_init(&ro, "spans", key);
    for (int mixed = 0; mixed < 2; mixed++) {
        for (size_t i = 0; i < N; i++)
            in[i] = CCZ_SPAN(text, mixed ? rnd(&seed) % N : i);
        cczi_ro_hash_spans(got, &ro, in, N);
        for (size_t i = 0; i < N; i++) {
            expected_hash(expected, "spans", key, in[i]);
            CHECK(memcmp(got[i], expected, 32) == 0);
        }
    }
}

/* -------------------------------------------------------------------------------- store */

struct store {
    struct cczi_okvs okvs;
    struct cczi_okvs_keys *keys;
    struct cczi_psi_rec *items;
    struct cczi_digest *work;
    struct ccz_f128 *table, *got;
};

static void store_init(struct store *s, size_t len, uint64_t seed)
{
    struct test_rng g = {.state = seed * 77 + 1, .left = -1};
    struct cczi_ro ro;
    uint8_t key[32];
    cczi_okvs_params(&s->okvs, len);
    s->items = malloc(len * sizeof(*s->items));
    s->table = malloc(s->okvs.len * sizeof(*s->table));
    s->got = malloc(len * sizeof(*s->got));
    s->work = malloc(len * sizeof(*s->work));
    CHECK(s->items && s->table && s->got && s->work);
    CHECK(rng_fill(&g, s->items, len * sizeof(*s->items)) == CCZ_OK);
    CHECK(rng_fill(&g, key, 32) == CCZ_OK);
    cczi_ro_init(&ro, "store", key);
    CHECK(cczi_okvs_keys_new(&s->keys, s->items, len, &s->okvs, &ro, s->work, NULL) == CCZ_OK);
}

static void store_deinit(struct store *s)
{
    cczi_okvs_keys_free(s->keys);
    free(s->items);
    free(s->work);
    free(s->table);
    free(s->got);
}

static bool store_right(struct store *s)
{
    cczi_okvs_decode(s->got, s->table, &s->okvs, s->keys);
    return memcmp(s->got, s->keys->value, s->keys->len * sizeof(*s->got)) == 0;
}

static void test_store(void)
{
    static const size_t sizes[] = {1,    2,    3,    7,    100,  166,   167,   2047,  2048,
                                   2049, 8191, 8192, 8193, 9999, 32768, 32769, 131073};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct store s;
        store_init(&s, sizes[i], i);
        CHECK(cczi_okvs_solve(s.table, NULL, &s.okvs, s.keys, NULL) == CCZ_OK);
        CHECK(store_right(&s));
        uint8_t *seen = calloc(sizes[i], 1); /* every item once */
        CHECK(seen);
        for (size_t k = 0; k < sizes[i]; k++)
            CHECK(!seen[s.keys->item[k]]++);
        s.table[s.keys->pos[0].base + s.keys->pos[0].off[0]].lo ^= 1;
        CHECK(!store_right(&s));
        free(seen);
        store_deinit(&s);
    }
}

/* The sizes promised in psi.md. */
static void test_store_size(void)
{
    size_t before = 0;
    for (uint32_t buckets = 1; buckets <= CCZI_PSI_PARTS;
         buckets *= 2) { /* all sets that a run takes */
        uint64_t most = (UINT64_C(1) << 22) * buckets;
        CHECK(most > CCZ_PSI_LEN_MAX || cczi_psi_bucket_len(most, buckets) <= CCZI_OKVS_KEYS_MAX);
    }
    for (size_t n = 1; n <= CCZI_OKVS_KEYS_MAX; n += 1 + n / 64) {
        struct cczi_okvs o;
        cczi_okvs_params(&o, n);
        CHECK(o.seg_bits <= 13 && o.starts <= 745 &&
              o.sparse_len == ((size_t)o.starts + 2) << o.seg_bits);
        CHECK(o.len == o.sparse_len + CCZI_OKVS_DENSE && o.len >= n);
        CHECK((double)n / ((double)o.starts * (double)((size_t)1 << o.seg_bits)) <= 0.875);
        CHECK(n < 1 << 18 || (double)o.len < (n < 1 << 20 ? 1.26 : 1.19) * (double)n);
        CHECK(o.len + (o.len >> 3) >= before); /* about growing, also where segments change */
        before = o.len;
    }
}

/* Many seeds at small sizes, where failures would be most likely; not one is expected in 2^40. */
static void test_store_seeds(void)
{
    static const size_t sizes[] = {2, 5, 20, 64, 166, 333, 700};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        for (uint64_t seed = 0; seed < 12000 / (1 + sizes[i] / 40); seed++) {
            struct store s;
            store_init(&s, sizes[i], seed + 1000000 * i);
            CHECK(cczi_okvs_solve(s.table, NULL, &s.okvs, s.keys, NULL) == CCZ_OK);
            store_deinit(&s);
        }
    }
}

/* Keys with the same three elements: what the dense elements are for. */
static void test_store_equal(void)
{
    for (size_t equal = 2; equal <= 40; equal++) {
        struct store s;
        store_init(&s, 1000, equal);
        for (size_t i = 1; i < equal; i++) {
            s.keys->pos[i * 20].base = s.keys->pos[0].base;
            memcpy(s.keys->pos[i * 20].off, s.keys->pos[0].off, sizeof(s.keys->pos[0].off));
        }
        struct ccz_err err = {0};
        size_t gap;
        ccz_rc rc = cczi_okvs_solve(s.table, &gap, &s.okvs, s.keys, &err);
        if (equal <= 17) {
            CHECK(rc == CCZ_OK && store_right(&s) && gap == equal - 1);
        } else {
            CHECK(rc == CCZ_E_NOT_FOUND && strcmp(err.where, "psi:okvs") == 0);
            for (size_t i = 0; i < s.okvs.len; i++)
                CHECK(s.table[i].lo == 0 && s.table[i].hi == 0);
        }
        store_deinit(&s);
    }
}

/* Keys that agree in everything: solvable if they want the same, refused if not. */
static void test_store_conflict(void)
{
    for (int conflict = 0; conflict < 2; conflict++) {
        struct store s;
        store_init(&s, 500, 3);
        s.keys->pos[7] = s.keys->pos[400];
        s.keys->value[7] = s.keys->value[400];
        s.keys->value[7].hi ^= (uint64_t)conflict;
        struct ccz_err err = {0};
        ccz_rc rc = cczi_okvs_solve(s.table, NULL, &s.okvs, s.keys, &err);
        if (conflict)
            CHECK(rc == CCZ_E_NOT_FOUND && strcmp(err.where, "psi:okvs") == 0);
        else
            CHECK(rc == CCZ_OK && store_right(&s));
        store_deinit(&s);
    }
}

/* No bit of a key's places may depend on a bit of its value: else one table could be right for every key. */
static void test_store_independent(void)
{
    enum { N = 8192, PLACE_BITS = 96 };
    static int agree[PLACE_BITS][128];
    struct store s;
    store_init(&s, N, 11);
    for (size_t i = 0; i < N; i++) {
        const struct cczi_okvs_pos *p = &s.keys->pos[i];
        uint64_t place[2] = {p->dense_low | (uint64_t)p->dense_high << 32 |
                                 (uint64_t)p->off[0] << 48,
                             p->off[1] | (uint32_t)p->off[2] << 16};
        uint64_t value[2] = {s.keys->value[i].lo, s.keys->value[i].hi};
        for (int a = 0; a < PLACE_BITS; a++)
            for (int b = 0; b < 128; b++)
                agree[a][b] +=
                    (place[a / 64] >> a % 64 & 1) == (value[b / 64] >> b % 64 & 1) ? 1 : -1;
    }
    for (int a = 0; a < PLACE_BITS; a++) {
        bool used = a < 48 || (a - 48) % 16 < (int)s.okvs.seg_bits;
        for (int b = 0; used && b < 128; b++) /* six standard deviations */
            CHECK(abs(agree[a][b]) < 6 * 91);
    }
    store_deinit(&s);
}

/* -------------------------------------------------------------------------------- masks */

static struct cczi_psi_mask *some_masks(size_t len, size_t size, uint64_t seed)
{
    struct cczi_psi_mask *m = malloc(len * sizeof(*m) + 1);
    CHECK(m);
    for (size_t i = 0; i < len; i++) {
        uint64_t hi = rnd(&seed), lo = rnd(&seed);
        if (size < 8)
            hi &= ~UINT64_C(0) << (64 - 8 * size);
        if (size <= 8)
            lo = 0;
        else if (size < 16)
            lo &= ~UINT64_C(0) << (128 - 8 * size);
        m[i] = (struct cczi_psi_mask){.hi = hi, .lo = lo, .at = (uint32_t)i};
    }
    CHECK(cczi_psi_masks_sort(&m, len, NULL) == CCZ_OK);
    for (size_t i = 1; i < len; i++)
        CHECK(m[i - 1].hi < m[i].hi || (m[i - 1].hi == m[i].hi && m[i - 1].lo < m[i].lo));
    return m;
}

static ccz_rc masks_get(struct cczi_psi_mask *out, size_t len, size_t size, struct ccz_span in,
                        struct ccz_err *err)
{
    struct cczi_psi_masks_in g;
    ccz_rc rc = cczi_psi_masks_start(&g, len, size, in, err);
    while (rc == CCZ_OK && (rc = cczi_psi_masks_next(&g, err)) == CCZ_OK && !g.end) {
        CHECK(g.mask.at < len);
        out[g.mask.at] = g.mask;
    }
    CHECK(rc != CCZ_OK || g.read == len);
    return rc;
}

static void test_masks(void)
{
    static const size_t lens[] = {1, 2, 3, 255, 256, 257, 1000, 65535, 65536, 70000};
    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        for (size_t size = lens[i] > 1000 ? 16 : 6; size <= 16; size++) {
            size_t bytes = cczi_psi_masks_size(lens[i], size);
            uint8_t *wire = malloc(bytes);
            struct cczi_psi_mask *m = some_masks(lens[i], size, i + size + 1),
                                 *back = malloc(lens[i] * sizeof(*back));
            CHECK(wire && back && bytes <= lens[i] * size + 33);
            cczi_psi_masks_put(wire, m, lens[i], size);
            CHECK(masks_get(back, lens[i], size, CCZ_SPAN(wire, bytes), NULL) == CCZ_OK);
            for (size_t k = 0; k < lens[i]; k++)
                CHECK(back[k].hi == m[k].hi && back[k].lo == m[k].lo && back[k].at == k);
            free(wire);
            free(m);
            free(back);
        }
    }
}

static bool masks_refused(size_t len, size_t size, const uint8_t *wire, size_t bytes)
{
    struct cczi_psi_mask *back = malloc(len * sizeof(*back));
    struct ccz_err err = {0};
    CHECK(back);
    ccz_rc rc = masks_get(back, len, size, CCZ_SPAN(wire, bytes), &err);
    CHECK(rc == CCZ_OK || (rc == CCZ_E_PEER && strcmp(err.where, "psi:masks") == 0));
    if (rc == CCZ_OK) { /* what is accepted is written back the same */
        uint8_t *again = malloc(bytes);
        CHECK(again);
        cczi_psi_masks_put(again, back, len, size);
        CHECK(memcmp(again, wire, bytes) == 0);
        free(again);
    }
    free(back);
    return rc != CCZ_OK;
}

static void test_masks_refuse(void)
{
    enum { LEN = 300, SIZE = 16 };
    size_t bytes = cczi_psi_masks_size(LEN, SIZE), bits = (LEN + 256 + 7) / 8, refused = 0;
    uint8_t *wire = calloc(1, bytes + 1);
    struct cczi_psi_mask *m = some_masks(LEN, SIZE, 4);
    CHECK(wire);
    cczi_psi_masks_put(wire, m, LEN, SIZE);
    for (size_t cut = 0; cut < bytes; cut++)
        CHECK(masks_refused(LEN, SIZE, wire, cut));
    CHECK(masks_refused(LEN, SIZE, wire, bytes + 1));
    for (size_t bit = 0; bit < 8 * bits; bit++) { /* a prefix more or less, padding set */
        wire[bit / 8] ^= (uint8_t)(1u << bit % 8);
        CHECK(masks_refused(LEN, SIZE, wire, bytes));
        wire[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t i = bits; i < bytes; i++) { /* another mask: allowed as long as the order holds */
        wire[i] ^= 0x80;
        refused += masks_refused(LEN, SIZE, wire, bytes);
        wire[i] ^= 0x80;
    }
    CHECK(refused > 0);
    CHECK(!masks_refused(LEN, SIZE, wire, bytes));
    m[8] = m[7]; /* the same mask twice */
    cczi_psi_masks_put(wire, m, LEN, SIZE);
    CHECK(masks_refused(LEN, SIZE, wire, bytes));
    free(m);
    free(wire);
}

/* Probability of a collision among all pairs that matter: at most 2^-40. */
static void test_mask_size(void)
{
    static const struct {
        size_t senders, receivers;
        uint32_t buckets;
    } cases[] = {{1, 1, 1},
                 {1000, 1000, 1},
                 {(size_t)1 << 20, (size_t)1 << 20, 1},
                 {((size_t)1 << 22) - 1, 1, 1},
                 {(size_t)1 << 22, 1000, 1},
                 {1, (size_t)1 << 22, 1},
                 {((size_t)1 << 12) - 1, ((size_t)1 << 12) - 1, 256},
                 {(size_t)1 << 22, (size_t)1 << 22, 256},
                 {(size_t)1 << 24, (size_t)1 << 24, 256}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        double n = (double)cases[i].senders, all;
        size_t size = cczi_psi_mask_size(cases[i].senders, cases[i].receivers, cases[i].buckets);
        all = n * (n / 2 + (double)cases[i].receivers) * cases[i].buckets;
        for (size_t bit = 40; bit < 8 * size; bit++)
            all /= 2;
        CHECK(all <= 1 && size <= CCZI_PSI_MASK_SIZE_MAX);
    }
    CHECK(cczi_psi_mask_size(1, 1, 1) == 6 && cczi_psi_mask_size(1 << 20, 1 << 20, 1) == 11);
}

static const struct ccz_test tests[] = {{"psi.oracle", test_oracle},
                                        {"psi.oracle_spans", test_oracle_spans},
                                        {"psi.store", test_store},
                                        {"psi.store_size", test_store_size},
                                        {"psi.store_seeds", test_store_seeds},
                                        {"psi.store_equal", test_store_equal},
                                        {"psi.store_conflict", test_store_conflict},
                                        {"psi.store_independent", test_store_independent},
                                        {"psi.masks", test_masks},
                                        {"psi.mask_size", test_mask_size},
                                        {"psi.masks_refuse", test_masks_refuse}};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
