/* SPDX-License-Identifier: Apache-2.0 */
/* The store of OTs and every form, over both engines, against the values of both parties. */
#define _DEFAULT_SOURCE
#include "ext_kit.h"
#include "ot/ext_priv.h"

/* ------------------------------------------------------------------------ random values */

enum { MANY = 700000 }; /* more than a round and more than a message */
static const size_t lens[] = {1, 7, 128, 129, 4096, 131072, MANY};
enum { LENS = sizeof(lens) / sizeof(lens[0]) };

static struct {
    struct ccz_f128 *q, *t;
    uint8_t *x;
} cot;

static ccz_rc rcot_sender(struct ccz_ot_ext *e, void *arg, struct ccz_err *err)
{
    (void)arg;
    ccz_rc rc = CCZ_OK;
    struct ccz_f128 *q = cot.q;
    for (size_t i = 0; i < LENS && rc == CCZ_OK; q += lens[i++])
        rc = ccz_ot_ext_rcot_send(q, lens[i], e, err);
    return rc;
}

static ccz_rc rcot_receiver(struct ccz_ot_ext *e, void *arg, struct ccz_err *err)
{
    (void)arg;
    ccz_rc rc = CCZ_OK;
    struct ccz_f128 *t = cot.t;
    uint8_t *x = cot.x;
    for (size_t i = 0; i < LENS && rc == CCZ_OK; i++) {
        rc = ccz_ot_ext_rcot_recv(t, x, lens[i], e, err);
        t += lens[i];
        x += (lens[i] + 7) / 8;
    }
    return rc;
}

/* Bits and rows look random: ones among the choices, and each bit of the sender's rows. */
static void check_spread(const struct ccz_f128 *q, const uint8_t *x, size_t len)
{
    double ones = 0, chi = 0, count[128] = {0};
    for (size_t i = 0; i < len; i++) {
        ones += (double)ext_bit(x, i);
        for (int b = 1; b < 128; b++)
            count[b] += (double)((b < 64 ? q[i].lo : q[i].hi) >> (b & 63) & 1);
    }
    double n = (double)len;
    CHECK((ones - n / 2) * (ones - n / 2) / (n / 4) < 40);
    for (int b = 1; b < 128; b++)
        chi += (count[b] - n / 2) * (count[b] - n / 2) / (n / 4);
    CHECK(chi > 40 && chi < 280); /* 127 degrees of freedom: beyond 5 standard deviations */
}

static void test_rcot(void)
{
    size_t total = 0;
    for (size_t i = 0; i < LENS; i++)
        total += lens[i];
    cot.q = elements(total);
    cot.t = elements(total);
    cot.x = malloc(total / 8 + LENS);
    CHECK(cot.x);
    for (int k = 0; k < 2; k++) {
        struct ccz_f128 delta;
        ext_pair(&ext_engines[k], rcot_sender, rcot_receiver, NULL, &delta);
        CHECK(delta.lo & 1);
        const struct ccz_f128 *q = cot.q, *t = cot.t;
        const uint8_t *x = cot.x;
        for (size_t i = 0; i < LENS; i++) {
            for (size_t j = 0; j < lens[i]; j++)
                CHECK((q[j].lo & 1) == 0 && ext_same(t[j], ext_plus(q[j], delta, ext_bit(x, j))));
            CHECK(lens[i] % 8 == 0 || x[lens[i] / 8] >> lens[i] % 8 == 0);
            CHECK(i == 0 || !ext_same(q[0], q[-1])); /* used once */
            if (lens[i] > 100000)
                check_spread(q, x, lens[i]);
            q += lens[i];
            t += lens[i];
            x += (lens[i] + 7) / 8;
        }
    }
    free(cot.q);
    free(cot.t);
    free(cot.x);
}

enum { LEN = 5003, BYTES = LEN / 8 + 1 };

static struct {
    struct ccz_f128 m[2 * LEN], m_x[LEN];
    uint8_t x[BYTES], bits0[BYTES], bits1[BYTES], y[BYTES], bits_x[BYTES];
} rot;

static ccz_rc rot_sender(struct ccz_ot_ext *e, void *arg, struct ccz_err *err)
{
    (void)arg;
    ccz_rc rc = ccz_ot_ext_rot_send(rot.m, LEN, e, err);
    return rc == CCZ_OK ? ccz_ot_ext_rbit_send(rot.bits0, rot.bits1, LEN, e, err) : rc;
}

static ccz_rc rot_receiver(struct ccz_ot_ext *e, void *arg, struct ccz_err *err)
{
    (void)arg;
    ccz_rc rc = ccz_ot_ext_rot_recv(rot.m_x, rot.x, LEN, e, err);
    return rc == CCZ_OK ? ccz_ot_ext_rbit_recv(rot.bits_x, rot.y, LEN, e, err) : rc;
}

static void test_rot(void)
{
    for (int k = 0; k < 2; k++) {
        int ones = 0, differ = 0;
        memset(&rot, 0xee, sizeof(rot));
        ext_pair(&ext_engines[k], rot_sender, rot_receiver, NULL, NULL);
        for (size_t i = 0; i < LEN; i++) {
            uint64_t x = ext_bit(rot.x, i), y = ext_bit(rot.y, i);
            CHECK(ext_same(rot.m_x[i], rot.m[2 * i + x]));
            CHECK(!ext_same(rot.m_x[i], rot.m[2 * i + 1 - x]));
            CHECK(ext_bit(rot.bits_x, i) == ext_bit(y ? rot.bits1 : rot.bits0, i));
            ones += (int)ext_bit(rot.bits0, i);
            differ += ext_bit(rot.bits0, i) != ext_bit(rot.bits1, i);
        }
        CHECK(memcmp(rot.x, rot.y, BYTES) != 0);                             /* used once */
        CHECK(ones > 2200 && ones < 2800 && differ > 2200 && differ < 2800); /* 8 deviations */
        CHECK(rot.bits0[BYTES - 1] >> 3 == 0 && rot.y[BYTES - 1] >> 3 == 0);
    }
}

/* ------------------------------------------------------------------------------- triples */

struct triple_party {
    struct ccz_chan *chan;
    struct ccz_ot_ext_cfg cfg;
    bool first;
    uint8_t a[BYTES], b[BYTES], c[BYTES];
};

static void *triple_main(void *arg)
{
    struct triple_party *p = arg;
    CCZ_AUTO(ccz_ot_ext) one = NULL;
    CCZ_AUTO(ccz_ot_ext) two = NULL;
    CHECK(ccz_ot_ext_new(&one, p->first, p->chan, &p->cfg, NULL) == CCZ_OK);
    CHECK(ccz_ot_ext_new(&two, !p->first, p->chan, &p->cfg, NULL) == CCZ_OK);
    struct ccz_ot_ext *sending = p->first ? one : two, *receiving = p->first ? two : one;
    CHECK(ccz_ot_ext_triples(p->a, p->b, p->c, LEN, sending, receiving, p->first, NULL) == CCZ_OK);
    return NULL;
}

static void test_triples(void)
{
    for (int k = 0; k < 2; k++) {
        static struct triple_party p[2];
        pthread_t thread;
        int count[8] = {0};
        for (int i = 0; i < 2; i++)
            p[i] = (struct triple_party){.cfg = ext_engines[k], .first = i == 0};
        CHECK(ccz_chan_pair(&p[0].chan, &p[1].chan, NULL, NULL) == CCZ_OK);
        CHECK(pthread_create(&thread, NULL, triple_main, &p[0]) == 0);
        (void)triple_main(&p[1]);
        CHECK(pthread_join(thread, NULL) == 0);
        for (size_t i = 0; i < LEN; i++) {
            uint64_t a = ext_bit(p[0].a, i) ^ ext_bit(p[1].a, i);
            uint64_t b = ext_bit(p[0].b, i) ^ ext_bit(p[1].b, i);
            CHECK((ext_bit(p[0].c, i) ^ ext_bit(p[1].c, i)) == (a & b));
            count[a | b << 1 | ext_bit(p[0].c, i) << 2]++;
        }
        for (int i = 0; i < 8; i++)
            CHECK(count[i] > 450 && count[i] < 800); /* 625 expected */
        ccz_chan_free(p[0].chan);
        ccz_chan_free(p[1].chan);
    }
}

/* ------------------------------------------------------------------------- chosen values */

static struct {
    struct ccz_f128 q[LEN], t[LEN];
    uint8_t x[BYTES];
} chosen;

static ccz_rc cot_sender(struct ccz_ot_ext *e, void *arg, struct ccz_err *err)
{
    (void)arg;
    return ccz_ot_ext_cot_send(chosen.q, LEN, e, err);
}

static ccz_rc cot_receiver(struct ccz_ot_ext *e, void *arg, struct ccz_err *err)
{
    (void)arg;
    return ccz_ot_ext_cot_recv(chosen.t, chosen.x, LEN, e, err);
}

static void test_cot(void)
{
    for (int k = 0; k < 2; k++) {
        struct ccz_f128 delta;
        ext_fill(chosen.x, BYTES, 5); /* spare bits as well */
        ext_pair(&ext_engines[k], cot_sender, cot_receiver, NULL, &delta);
        for (size_t i = 0; i < LEN; i++)
            CHECK(ext_same(chosen.t[i], ext_plus(chosen.q[i], delta, ext_bit(chosen.x, i))));
    }
}

/* One shape of 1-of-N OT, after another. */
struct n_case {
    size_t len;
    unsigned log, bits;
};
static const struct n_case n_cases[] = {{1, 1, 1},    {7, 1, 64},   {3000, 1, 8}, {1000, 2, 3},
                                        {4097, 4, 2}, {300, 4, 1},  {129, 3, 7},  {40, 5, 33},
                                        {40, 6, 17},  {40, 7, 5},   {37, 8, 8},   {33, 8, 64},
                                        {9000, 1, 1}, {2049, 1, 63}};
enum { N_CASES = sizeof(n_cases) / sizeof(n_cases[0]), N_VALUES = 70000, N_ITEMS = 9000 };

static struct {
    uint64_t m64[N_VALUES], y64[N_CASES][N_ITEMS];
    uint8_t m8[N_VALUES], y8[N_CASES][N_ITEMS], c[N_ITEMS];
} n;

static ccz_rc n_sender(struct ccz_ot_ext *e, void *arg, struct ccz_err *err)
{
    (void)arg;
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; i < N_CASES && rc == CCZ_OK; i++) {
        const struct n_case *c = &n_cases[i];
        rc = ccz_ot_ext_n64_send(n.m64, c->len, c->log, c->bits, e, err);
        if (rc == CCZ_OK && c->bits <= 8)
            rc = ccz_ot_ext_n8_send(n.m8, c->len, c->log, c->bits, e, err);
    }
    return rc;
}

static ccz_rc n_receiver(struct ccz_ot_ext *e, void *arg, struct ccz_err *err)
{
    (void)arg;
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; i < N_CASES && rc == CCZ_OK; i++) {
        const struct n_case *c = &n_cases[i];
        rc = ccz_ot_ext_n64_recv(n.y64[i], n.c, c->len, c->log, c->bits, e, err);
        if (rc == CCZ_OK && c->bits <= 8)
            rc = ccz_ot_ext_n8_recv(n.y8[i], n.c, c->len, c->log, c->bits, e, err);
    }
    return rc;
}

static void test_n(void)
{
    ext_fill(n.m64, sizeof(n.m64), 1);
    ext_fill(n.m8, sizeof(n.m8), 2);
    ext_fill(n.c, sizeof(n.c), 3);
    for (int k = 0; k < 2; k++) {
        ext_pair(&ext_engines[k], n_sender, n_receiver, NULL, NULL);
        for (size_t i = 0; i < N_CASES; i++) {
            const struct n_case *c = &n_cases[i];
            const uint64_t low = UINT64_MAX >> (64 - c->bits);
            for (size_t j = 0; j < c->len; j++) {
                size_t at = (j << c->log) + (n.c[j] & ((1u << c->log) - 1));
                CHECK(n.y64[i][j] == (n.m64[at] & low));
                CHECK(c->bits > 8 || n.y8[i][j] == (n.m8[at] & low));
            }
        }
    }
}

struct ring_case {
    size_t len, width;
    unsigned bits;
};
static const struct ring_case ring_cases[] = {
    {1, 1, 1},   {7, 1, 64},   {4096, 1, 64}, {1000, 1, 32}, {513, 1, 13},
    {10, 33, 8}, {3, 100, 64}, {5, 17, 37},   {600, 3, 16},  {2, 9, 24}};
enum { RING_CASES = sizeof(ring_cases) / sizeof(ring_cases[0]), RING_VALUES = 4096 };

static struct {
    uint64_t f[RING_VALUES], r[RING_CASES][RING_VALUES], y[RING_CASES][RING_VALUES];
    uint64_t a[RING_VALUES], zs[RING_CASES][RING_VALUES], zr[RING_CASES][RING_VALUES];
    uint8_t x[RING_VALUES / 8];
} ring;

static ccz_rc ring_sender(struct ccz_ot_ext *e, void *arg, struct ccz_err *err)
{
    (void)arg;
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; i < RING_CASES && rc == CCZ_OK; i++) {
        const struct ring_case *c = &ring_cases[i];
        memcpy(ring.r[i], ring.f, sizeof(ring.f)); /* in place */
        rc = ccz_ot_ext_ring_send(ring.r[i], ring.r[i], c->len, c->width, c->bits, e, err);
        if (rc == CCZ_OK)
            rc = ccz_ot_ext_mul_send(ring.zs[i], ring.f, c->len, c->width, c->bits, e, err);
    }
    return rc;
}

static ccz_rc ring_receiver(struct ccz_ot_ext *e, void *arg, struct ccz_err *err)
{
    (void)arg;
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; i < RING_CASES && rc == CCZ_OK; i++) {
        const struct ring_case *c = &ring_cases[i];
        rc = ccz_ot_ext_ring_recv(ring.y[i], ring.x, c->len, c->width, c->bits, e, err);
        if (rc == CCZ_OK)
            rc = ccz_ot_ext_mul_recv(ring.zr[i], ring.a, c->len, c->width, c->bits, e, err);
    }
    return rc;
}

static void test_ring(void)
{
    ext_fill(ring.f, sizeof(ring.f), 1);
    ext_fill(ring.a, sizeof(ring.a), 2);
    ext_fill(ring.x, sizeof(ring.x), 3);
    for (int k = 0; k < 2; k++) {
        ext_pair(&ext_engines[k], ring_sender, ring_receiver, NULL, NULL);
        for (size_t i = 0; i < RING_CASES; i++) {
            const struct ring_case *c = &ring_cases[i];
            const uint64_t low = UINT64_MAX >> (64 - c->bits);
            for (size_t j = 0; j < c->len * c->width; j++) {
                size_t item = j / c->width;
                uint64_t sum = ring.f[j] * ext_bit(ring.x, item) + ring.r[i][j];
                CHECK(ring.y[i][j] == (sum & low));
                CHECK(((ring.zs[i][j] + ring.zr[i][j] - ring.a[item] * ring.f[j]) & low) == 0);
                CHECK(ring.zs[i][j] <= low && ring.zr[i][j] <= low);
            }
        }
        CHECK(ring.r[2][0] != ring.r[2][1] && ring.zs[2][0] != ring.zs[2][1]);
    }
}

/* All factors and all elements of small rings. */
static ccz_rc all_sender(struct ccz_ot_ext *e, void *arg, struct ccz_err *err)
{
    (void)arg;
    return ccz_ot_ext_mul_send(ring.zs[0], ring.f, 64, 64, 6, e, err);
}

static ccz_rc all_receiver(struct ccz_ot_ext *e, void *arg, struct ccz_err *err)
{
    (void)arg;
    return ccz_ot_ext_mul_recv(ring.zr[0], ring.a, 64, 64, 6, e, err);
}

static void test_all_products(void)
{
    for (uint64_t i = 0; i < 64; i++)
        for (uint64_t j = 0; j < 64; j++)
            ring.a[i] = i, ring.f[64 * i + j] = j;
    ext_pair(&ext_engines[0], all_sender, all_receiver, NULL, NULL);
    for (uint64_t i = 0; i < 4096; i++)
        CHECK(((ring.zs[0][i] + ring.zr[0][i]) & 63) == ((i / 64) * (i % 64) & 63));
}

/* ------------------------------------------------------------------------------- keys of hashes */

/* AES(x) + x */
static struct ccz_f128 one_way(struct ccz_f128 x, const struct cczi_aes *key)
{
    struct ccz_f128 out[2];
    cczi_ot_kernels()->grow(out, &x, 1, key);
    return out[0];
}

/*
 * How many items a receiver that knows their masks tests with one call of AES: with the key k, for a block z, it looks for
 * AES_k(z) + z among all m_i + i. It finds item i if z = AES_k(x_i) + i, provided that the mask was made with k.
 */
static size_t tested_at_once(const struct cczi_aes *key, const struct ccz_f128 *x,
                             const struct ccz_f128 *m, uint64_t tweak, size_t len)
{
    size_t hits = 0;
    for (size_t i = 0; i < len; i++) {
        const struct ccz_f128 number = {tweak + i, 0};
        struct ccz_f128 z = cczi_f128_add(cczi_f128_add(one_way(x[i], key), x[i]), number);
        hits += ext_same(one_way(z, key), cczi_f128_add(m[i], number));
    }
    return hits;
}

static size_t worst_key;

/* The messages that the receiver does not get, in a session: no key serves more than its share of them. */
static ccz_rc keys_sender(struct ccz_ot_ext *e, void *arg, struct ccz_err *err)
{
    static struct ccz_f128 x[LEN], m[2 * LEN], other[LEN];
    (void)arg;
    ccz_rc rc = ccz_ot_ext_prepare(e, 3 * LEN, err);
    for (int run = 0; run < 3 && rc == CCZ_OK; run++) { /* tweaks begin anywhere */
        const uint64_t tweak = e->tweak;
        for (size_t i = 0; i < LEN; i++)
            x[i] = cczi_f128_add(cczi_ext_rows(e)[i], e->soft.delta);
        rc = ccz_ot_ext_rot_send(m, LEN, e, err);
        for (size_t i = 0; i < LEN; i++)
            other[i] = m[2 * i + 1];
        for (int k = 0; k < CCZI_HASH_KEPT; k++) { /* all keys of this run are still there */
            size_t found = e->soft.hash.made[k]
                               ? tested_at_once(&e->soft.hash.key[k], x, other, tweak, LEN)
                               : 0;
            worst_key = found > worst_key ? found : worst_key;
        }
    }
    return rc;
}

static ccz_rc keys_receiver(struct ccz_ot_ext *e, void *arg, struct ccz_err *err)
{
    static struct ccz_f128 m[LEN];
    (void)arg;
    ccz_rc rc = ccz_ot_ext_prepare(e, 3 * LEN, err);
    for (int run = 0; run < 3 && rc == CCZ_OK; run++)
        rc = ccz_ot_ext_rot_recv(m, rot.x, LEN, e, err);
    return rc;
}

static void test_keys(void)
{
    static struct ccz_f128 in[LEN], out[LEN];
    static struct cczi_hash h;
    ext_pair(&ext_engines[0], keys_sender, keys_receiver, NULL, NULL);
    CHECK(worst_key == CCZI_HASH_USES / 2);
    /* 1 of N: as many masks, and so fewer items */
    ext_fill(in, sizeof(in), 3);
    for (unsigned log = 1; log <= CCZ_OT_EXT_LOG_MAX; log++) {
        cczi_hash_init(&h, cczi_ot_kernels(), (const uint8_t *)"sixteen of bytes");
        cczi_hash_run(out, in, LEN, 77, log, &h);
        size_t most = 0;
        for (int k = 0; k < CCZI_HASH_KEPT; k++) {
            size_t found = h.made[k] ? tested_at_once(&h.key[k], in, out, 77, LEN) : 0;
            most = found > most ? found : most;
        }
        CHECK(most << log == CCZI_HASH_USES);
    }
}

/* -------------------------------------------------------------------------- what stays on a stack */

/* A party on a stack of the test's, which is looked at afterwards: the block of rows that was made last may not be there. A few
 * rows may: the dynamic linker saves vector registers when a function is called for the first time. */
enum { STACK = 1 << 20, ROWS = 4096, BLOCK = 128, FEW = 16 };
static struct remains {
    struct ext_party *p;
    void *stack;
    struct ccz_f128 rows[ROWS];
} remains[2];

static ccz_rc keep_rows(struct ccz_ot_ext *e, void *arg, struct ccz_err *err)
{
    struct remains *r = arg;
    ccz_rc rc = ccz_ot_ext_prepare(e, ROWS, err);
    if (rc == CCZ_OK)
        memcpy(r->rows, cczi_ext_rows(e), sizeof(r->rows));
    return rc;
}

static void *on_own_stack(void *arg)
{
    const struct remains *r = arg;
    r->p->arg = arg;
    return ext_main(r->p);
}

static bool holds(const struct remains *r, const void *what, size_t size)
{
    for (size_t at = 0; at + size <= STACK; at += 8)
        if (memcmp((const char *)r->stack + at, what, size) == 0)
            return true;
    return false;
}

static void test_stack(void)
{
    for (size_t k = 0; k < 2; k++) {
        struct ext_two t = ext_new(&ext_engines[k], keep_rows, keep_rows, NULL);
        pthread_t thread[2];
        for (int i = 0; i < 2; i++) {
            pthread_attr_t attr;
            remains[i].p = &t.p[i];
            CHECK(posix_memalign(&remains[i].stack, 4096, STACK) == 0);
            memset(remains[i].stack, 0, STACK);
            CHECK(pthread_attr_init(&attr) == 0);
            CHECK(pthread_attr_setstack(&attr, remains[i].stack, STACK) == 0);
            CHECK(pthread_create(&thread[i], &attr, on_own_stack, &remains[i]) == 0);
            CHECK(pthread_attr_destroy(&attr) == 0);
        }
        for (int i = 0; i < 2; i++)
            CHECK(pthread_join(thread[i], NULL) == 0);
        ext_expect_ok(&t);
        for (int i = 0; i < 2; i++) {
            size_t found = 0;
            for (size_t row = ROWS - BLOCK; row < ROWS; row++)
                found += holds(&remains[i], &remains[i].rows[row], 16);
            CHECK(found < FEW);
            free(remains[i].stack);
        }
        ext_free(&t);
    }
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"ext.rcot", test_rcot},
        {"ext.rot", test_rot},
        {"ext.triples", test_triples},
        {"ext.cot", test_cot},
        {"ext.n", test_n},
        {"ext.ring", test_ring},
        {"ext.products", test_all_products},
        {"ext.keys", test_keys},
        {"ext.stack", test_stack},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
