/* SPDX-License-Identifier: Apache-2.0 */
/* What is written comes back; what is anything else is refused, each with its own reason. */
#include "kit.h"

enum { N = 1024, HEADER = 56, META = 24 };

struct world {
    struct kit k;
    struct ccz_rlwe_swk *relin;
    struct ccz_rlwe_galois_set *set;
    struct ccz_rlwe_ct seeded, full; /* of 2 and 3 parts */
};

static void init(struct world *w)
{
    kit_init(&w->k, 2, 1, 1);
    struct kit *k = &w->k;
    CHECK(ccz_rlwe_relin_new(&w->relin, k->w, k->sk, NULL) == CCZ_OK);
    CHECK(ccz_rlwe_galois_set_new(&w->set, k->w, k->sk, (uint32_t[]){5, 25}, 2, NULL) == CCZ_OK);
    ccz_rlwe_ct_init(&w->seeded, k->r);
    ccz_rlwe_ct_init(&w->full, k->r);
    CHECK(ccz_rlwe_encrypt_sk(&w->seeded, k->w, k->sk, 2, (struct ccz_rlwe_msg){0}, NULL) ==
          CCZ_OK);
    kit_random_ct(k, &w->full, 3, 1);
}

static void deinit(struct world *w)
{
    ccz_rlwe_ct_deinit(&w->seeded);
    ccz_rlwe_ct_deinit(&w->full);
    ccz_rlwe_swk_free(w->relin);
    ccz_rlwe_galois_set_free(w->set);
    kit_deinit(&w->k);
}

static const uint8_t meta[META] = {1, 2, 3};

/* Reads, writes again, and compares; what the reader accepts is what the writer makes. */
static ccz_rc reread_ct(struct world *w, struct ccz_span in, struct ccz_err *err)
{
    uint8_t got[META];
    struct ccz_rlwe_ct ct;
    ccz_rlwe_ct_init(&ct, w->k.r);
    ccz_rc rc = ccz_rlwe_ct_read(&ct, got, META, w->k.w, in, ccz_rlwe_sk_id(w->k.sk), err);
    CHECK((rc == CCZ_OK) == (ct.parts > 0));
    if (rc == CCZ_OK) {
        CCZ_AUTO_BUF again;
        ccz_buf_init(&again, 1 << 20);
        CHECK(ccz_rlwe_ct_write(&again, &ct, CCZ_SPAN(got, META), NULL) == CCZ_OK);
        CHECK(ccz_span_eq(ccz_buf_span(&again), in));
    }
    ccz_rlwe_ct_deinit(&ct);
    return rc;
}

static ccz_rc reread_pk(struct world *w, struct ccz_span in, struct ccz_err *err)
{
    CCZ_AUTO(ccz_rlwe_pk) pk = NULL;
    ccz_rc rc = ccz_rlwe_pk_read(&pk, w->k.w, in, ccz_rlwe_sk_id(w->k.sk), err);
    CHECK((rc == CCZ_OK) == (pk != NULL));
    if (pk) {
        CCZ_AUTO_BUF again;
        ccz_buf_init(&again, 1 << 20);
        CHECK(ccz_rlwe_pk_write(&again, pk, NULL) == CCZ_OK);
        CHECK(ccz_span_eq(ccz_buf_span(&again), in));
        CHECK(memcmp(pk->a, w->k.pk->a, 2 * N * sizeof(uint64_t)) == 0 || in.ptr[HEADER]);
    }
    return rc;
}

static ccz_rc reread_swk(struct world *w, struct ccz_span in, struct ccz_err *err)
{
    CCZ_AUTO(ccz_rlwe_swk) swk = NULL;
    ccz_rc rc = ccz_rlwe_swk_read(&swk, w->k.w, in, ccz_rlwe_sk_id(w->k.sk), err);
    CHECK((rc == CCZ_OK) == (swk != NULL));
    if (swk) {
        CCZ_AUTO_BUF again;
        ccz_buf_init(&again, 1 << 20);
        CHECK(ccz_rlwe_swk_write(&again, swk, NULL) == CCZ_OK);
        CHECK(ccz_span_eq(ccz_buf_span(&again), in));
    }
    return rc;
}

static ccz_rc reread_set(struct world *w, struct ccz_span in, struct ccz_err *err)
{
    CCZ_AUTO(ccz_rlwe_galois_set) set = NULL;
    ccz_rc rc = ccz_rlwe_galois_set_read(&set, w->k.w, in, ccz_rlwe_sk_id(w->k.sk), err);
    CHECK((rc == CCZ_OK) == (set != NULL));
    if (set) {
        CCZ_AUTO_BUF again;
        ccz_buf_init(&again, 1 << 20);
        CHECK(ccz_rlwe_galois_set_write(&again, set, NULL) == CCZ_OK);
        CHECK(ccz_span_eq(ccz_buf_span(&again), in));
    }
    return rc;
}

static ccz_rc reread_sk(struct world *w, struct ccz_span in, struct ccz_err *err)
{
    if (in.size == 0)
        return ccz_fail(err, CCZ_E_FORMAT, "rlwe:size", 0, "no such secret");
    CCZ_AUTO(ccz_secret) s = NULL;
    CCZ_AUTO(ccz_secret) again = NULL;
    CCZ_AUTO(ccz_rlwe_sk) sk = NULL;
    CHECK(ccz_secret_from(&s, in.ptr, in.size) == CCZ_OK);
    ccz_rc rc = ccz_rlwe_sk_read(&sk, w->k.w, s, err);
    CHECK((rc == CCZ_OK) == (sk != NULL));
    if (sk) {
        CHECK(ccz_rlwe_sk_write(&again, sk, NULL) == CCZ_OK);
        CHECK(ccz_span_eq(in, CCZ_SPAN(ccz_secret_view(again), ccz_secret_size(again))));
    }
    return rc;
}

typedef ccz_rc (*reread)(struct world *w, struct ccz_span in, struct ccz_err *err);

/* One good input of each kind. */
enum kind { SEEDED, FULL, PK, SWK, SET, SK, KINDS };
static const reread readers[KINDS] = {reread_ct,  reread_ct,  reread_pk,
                                      reread_swk, reread_set, reread_sk};
static const uint8_t kind_numbers[KINDS] = {1, 1, 3, 4, 5, 2};

static void write_kind(struct ccz_buf *b, struct world *w, enum kind kind)
{
    CCZ_AUTO(ccz_secret) s = NULL;
    ccz_rc rc = CCZ_OK;
    ccz_buf_clear(b);
    switch (kind) {
    case SEEDED:
        rc = ccz_rlwe_ct_write(b, &w->seeded, CCZ_SPAN(meta, META), NULL);
        CHECK(b->size == ccz_rlwe_ct_size(&w->seeded, META));
        break;
    case FULL:
        rc = ccz_rlwe_ct_write(b, &w->full, CCZ_SPAN(meta, META), NULL);
        CHECK(b->size == ccz_rlwe_ct_size(&w->full, META));
        break;
    case PK:
        rc = ccz_rlwe_pk_write(b, w->k.pk, NULL);
        break;
    case SWK:
        rc = ccz_rlwe_swk_write(b, w->relin, NULL);
        break;
    case SET:
        rc = ccz_rlwe_galois_set_write(b, w->set, NULL);
        break;
    default:
        rc = ccz_rlwe_sk_write(&s, w->k.sk, NULL);
        CHECK(rc == CCZ_OK);
        ccz_buf_put(b, ccz_secret_view(s), ccz_secret_size(s));
    }
    CHECK(rc == CCZ_OK && !b->bad);
}

static void test_round_trip(void)
{
    struct world w = {0};
    init(&w);
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 1 << 20);
    for (enum kind kind = 0; kind < KINDS; kind++) {
        write_kind(&b, &w, kind);
        CHECK(readers[kind](&w, ccz_buf_span(&b), NULL) == CCZ_OK);
    }
    /* one part and a seed, at 45 and 40 bits per residue, and the element, version and so on */
    CHECK(ccz_rlwe_ct_size(&w.seeded, META) == HEADER + 4 + META + 32 + N * (45 + 41) / 8 ||
          ccz_rlwe_ct_size(&w.seeded, META) == HEADER + 4 + META + 32 + N * (45 + 40) / 8);
    /* what was read decrypts as before, under the key that was read */
    struct ccz_rlwe_ct back;
    uint8_t got[META];
    write_kind(&b, &w, SEEDED);
    ccz_rlwe_ct_init(&back, w.k.r);
    CHECK(ccz_rlwe_ct_read(&back, got, META, w.k.w, ccz_buf_span(&b), NULL, NULL) == CCZ_OK);
    CHECK(memcmp(got, meta, META) == 0);
    CCZ_AUTO(ccz_secret) s = NULL;
    CCZ_AUTO(ccz_rlwe_sk) sk = NULL;
    CHECK(ccz_rlwe_sk_write(&s, w.k.sk, NULL) == CCZ_OK);
    CHECK(ccz_rlwe_sk_read(&sk, w.k.w, s, NULL) == CCZ_OK);
    uint64_t *a = ccz_rlwe_words_new(2 * N), *c = ccz_rlwe_words_new(2 * N);
    CHECK(ccz_rlwe_phase(a, w.k.w, w.k.sk, &w.seeded, 2, NULL) == CCZ_OK);
    CHECK(ccz_rlwe_phase(c, w.k.w, sk, &back, 2, NULL) == CCZ_OK);
    CHECK(memcmp(a, c, 2 * N * sizeof(*a)) == 0);
    ccz_rlwe_words_free(a);
    ccz_rlwe_words_free(c);
    ccz_rlwe_ct_deinit(&back);
    deinit(&w);
}

/* Every truncation, one byte more, and every bit of the header. */
static void test_cut(void)
{
    struct world w = {0};
    struct ccz_err err;
    init(&w);
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 1 << 20);
    for (enum kind kind = 0; kind < KINDS; kind++) {
        write_kind(&b, &w, kind);
        const size_t size = b.size;
        for (size_t cut = 0; cut < size; cut++) {
            ccz_rc rc = readers[kind](&w, CCZ_SPAN(b.ptr, cut), &err);
            CHECK(rc == CCZ_E_FORMAT &&
                  (strcmp(err.where, "rlwe:size") == 0 || strcmp(err.where, "rlwe:header") == 0));
        }
        ccz_buf_u8(&b, 0);
        CHECK(
            is_refused(readers[kind](&w, ccz_buf_span(&b), &err), CCZ_E_FORMAT, &err, "rlwe:size"));
        for (size_t bit = 0; bit < 8 * HEADER; bit++) {
            b.ptr[bit / 8] ^= (uint8_t)(1 << bit % 8);
            /* a secret key brings its identity along: nothing to compare that with */
            if (kind != SK || bit / 8 < HEADER - CCZ_RLWE_KEY_ID_SIZE)
                CHECK(readers[kind](&w, CCZ_SPAN(b.ptr, size), &err) != CCZ_OK);
            b.ptr[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
    }
    deinit(&w);
}

static void test_header(void)
{
    struct world w = {0};
    struct ccz_err err;
    init(&w);
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 1 << 20);
    static const struct {
        size_t at;
        uint8_t flip;
        ccz_rc rc;
        const char *where;
    } bad[] = {
        {0, 1, CCZ_E_FORMAT, "rlwe:magic"},    {4, 3, CCZ_E_UNSUPPORTED, "rlwe:version"},
        {5, 8, CCZ_E_FORMAT, "rlwe:kind"},     {6, 1, CCZ_E_FORMAT, "rlwe:header"},
        {8, 1, CCZ_E_MISMATCH, "rlwe:params"}, {40, 1, CCZ_E_MISMATCH, "rlwe:key-id"},
    };
    for (enum kind kind = 0; kind < KINDS; kind++) {
        write_kind(&b, &w, kind);
        CHECK(b.ptr[5] == kind_numbers[kind]);
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
            if (kind == SK && bad[i].at == 40)
                continue;
            b.ptr[bad[i].at] ^= bad[i].flip;
            ccz_rc rc = readers[kind](&w, ccz_buf_span(&b), &err);
            CHECK(is_refused(rc, bad[i].rc, &err, bad[i].where));
            b.ptr[bad[i].at] ^= bad[i].flip;
        }
        /* one kind is not another */
        enum kind next = kind == SEEDED ? PK : (kind + 1) % KINDS;
        CHECK(is_refused(readers[next](&w, ccz_buf_span(&b), &err), CCZ_E_FORMAT, &err,
                         "rlwe:kind") ||
              kind_numbers[kind] == kind_numbers[next]);
    }
    deinit(&w);
}

/* Parts, primes, flags and size of the scheme's bytes. */
static void test_ct_header(void)
{
    struct world w = {0};
    struct ccz_err err;
    init(&w);
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 1 << 20);
    static const struct {
        enum kind kind;
        size_t at;
        uint8_t value;
        const char *where;
    } bad[] = {
        {SEEDED, 0, 0, "rlwe:header"},  {SEEDED, 0, 1, "rlwe:header"},
        {SEEDED, 0, 3, "rlwe:header"},  {SEEDED, 0, 4, "rlwe:header"},
        {SEEDED, 1, 0, "rlwe:header"},  {SEEDED, 1, 3, "rlwe:header"},
        {SEEDED, 1, 1, "rlwe:size"},    {SEEDED, 2, 1, "rlwe:size"},
        {SEEDED, 2, 2, "rlwe:header"},  {SEEDED, 2, 7, "rlwe:header"},
        {SEEDED, 3, 23, "rlwe:header"}, {FULL, 0, 4, "rlwe:header"},
        {FULL, 0, 2, "rlwe:size"},      {FULL, 1, 2, "rlwe:size"},
        {FULL, 2, 3, "rlwe:header"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        write_kind(&b, &w, bad[i].kind);
        b.ptr[HEADER + bad[i].at] = bad[i].value;
        CHECK(is_refused(reread_ct(&w, ccz_buf_span(&b), &err), CCZ_E_FORMAT, &err, bad[i].where));
    }
    deinit(&w);
}

/* A residue that is not below its prime, at the first and the last place of each kind. */
static void test_residue(void)
{
    struct world w = {0};
    struct ccz_err err;
    init(&w);
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 1 << 20);
    static const size_t first[KINDS] = {HEADER + 4 + META + 32, HEADER + 4 + META, HEADER + 32,
                                        HEADER + 4 + 32, HEADER + 4 + 4 + 32};
    for (enum kind kind = 0; kind < SK; kind++) {
        write_kind(&b, &w, kind);
        memset(b.ptr + first[kind], 0xff, 7);
        CHECK(is_refused(readers[kind](&w, ccz_buf_span(&b), &err), CCZ_E_FORMAT, &err,
                         "rlwe:residue"));
        write_kind(&b, &w, kind);
        memset(b.ptr + b.size - 7, 0xff, 7);
        CHECK(is_refused(readers[kind](&w, ccz_buf_span(&b), &err), CCZ_E_FORMAT, &err,
                         "rlwe:residue"));
    }
    /* exactly q is refused, q - 1 is not */
    for (uint64_t less = 0; less < 2; less++) {
        w.full.c[0][0] = w.k.r->mod[0].q - less;
        write_kind(&b, &w, FULL);
        ccz_rc rc = reread_ct(&w, ccz_buf_span(&b), &err);
        CHECK(less ? rc == CCZ_OK : is_refused(rc, CCZ_E_FORMAT, &err, "rlwe:residue"));
    }
    write_kind(&b, &w, SK);
    b.ptr[HEADER + 100] |= 3 << 4;
    CHECK(is_refused(reread_sk(&w, ccz_buf_span(&b), &err), CCZ_E_FORMAT, &err, "rlwe:secret"));
    deinit(&w);
}

static void test_transparent(void)
{
    struct world w = {0};
    struct ccz_err err;
    init(&w);
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 1 << 20);
    memset(w.full.c[1], 0, N * sizeof(uint64_t));
    write_kind(&b, &w, FULL);
    CHECK(reread_ct(&w, ccz_buf_span(&b), &err) == CCZ_OK); /* c2 is there */
    memset(b.ptr + b.size - N / 8 * w.k.r->mod[0].bits, 0, N / 8 * w.k.r->mod[0].bits);
    CHECK(
        is_refused(reread_ct(&w, ccz_buf_span(&b), &err), CCZ_E_FORMAT, &err, "rlwe:transparent"));
    memset(w.full.c[2], 0, N * sizeof(uint64_t));
    ccz_buf_clear(&b);
    CHECK(is_refused(ccz_rlwe_ct_write(&b, &w.full, CCZ_SPAN(meta, META), &err), CCZ_E_FORMAT, &err,
                     "rlwe:transparent"));
    CHECK(b.size == 0);
    uint64_t *v = ccz_rlwe_words_new(N);
    CHECK(is_refused(ccz_rlwe_phase(v, w.k.w, w.k.sk, &w.full, 1, &err), CCZ_E_FORMAT, &err,
                     "rlwe:transparent"));
    ccz_rlwe_words_free(v);
    deinit(&w);
}

static void test_galois_order(void)
{
    struct world w = {0};
    struct ccz_err err;
    init(&w);
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 1 << 20);
    static const struct {
        uint32_t elt;
        const char *where;
    } bad[] = {{25, "rlwe:galois-order"},
               {27, "rlwe:galois-order"},
               {0, "rlwe:galois-order"},
               {6, "rlwe:galois-element"},
               {2 * N + 1, "rlwe:galois-element"}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        write_kind(&b, &w, SET);
        for (size_t x = 0; x < 4; x++)
            b.ptr[HEADER + 4 + x] = (uint8_t)(bad[i].elt >> 8 * x);
        CHECK(is_refused(reread_set(&w, ccz_buf_span(&b), &err), CCZ_E_FORMAT, &err, bad[i].where));
    }
    write_kind(&b, &w, SET);
    b.ptr[HEADER] = 0;
    CHECK(is_refused(reread_set(&w, ccz_buf_span(&b), &err), CCZ_E_FORMAT, &err, "rlwe:header"));
    b.ptr[HEADER] = 1;
    CHECK(is_refused(reread_set(&w, ccz_buf_span(&b), &err), CCZ_E_FORMAT, &err, "rlwe:size"));
    b.ptr[HEADER + 3] = 0xff;
    CHECK(is_refused(reread_set(&w, ccz_buf_span(&b), &err), CCZ_E_FORMAT, &err, "rlwe:header"));
    deinit(&w);
}

static void test_buffer(void)
{
    struct world w = {0};
    struct ccz_err err;
    init(&w);
    size_t size = ccz_rlwe_ct_size(&w.full, META);
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, size - 1);
    CHECK(is_refused(ccz_rlwe_ct_write(&b, &w.full, CCZ_SPAN(meta, META), &err), CCZ_E_LIMIT, &err,
                     "rlwe:buffer"));
    static const uint8_t large[CCZ_RLWE_META_SIZE_MAX + 1];
    ccz_buf_clear(&b);
    CHECK(is_refused(ccz_rlwe_ct_write(&b, &w.full, CCZ_SPAN(large, sizeof(large)), &err),
                     CCZ_E_ARG, &err, "rlwe:header"));
    w.full.parts = 0;
    CHECK(is_refused(ccz_rlwe_ct_write(&b, &w.full, CCZ_SPAN(meta, META), &err), CCZ_E_ARG, &err,
                     "rlwe:empty"));
    CCZ_AUTO(ccz_rlwe_galois_set) none = NULL;
    CHECK(ccz_rlwe_galois_set_new(&none, w.k.w, w.k.sk, NULL, 0, NULL) == CCZ_OK);
    CHECK(is_refused(ccz_rlwe_galois_set_write(&b, none, &err), CCZ_E_ARG, &err, "rlwe:empty"));
    deinit(&w);
}

/* Every width of a residue, against bits one by one. */
static void test_pack(void)
{
    enum { LEN = 64 };
    uint64_t state = 7, in[LEN], out[LEN];
    uint8_t packed[LEN * 8];
    for (unsigned bits = 20; bits <= 50; bits++) {
        for (size_t i = 0; i < LEN; i++)
            in[i] = rnd(&state) >> (64 - bits);
        memset(packed, 0xaa, sizeof(packed));
        size_t size = cczi_rlwe_packed_size(LEN, bits);
        CHECK(size == LEN * bits / 8);
        cczi_rlwe_pack(packed, in, LEN, bits);
        for (size_t i = 0; i < LEN * bits; i++)
            CHECK((packed[i / 8] >> i % 8 & 1) == (in[i / bits] >> i % bits & 1));
        CHECK(packed[size] == 0xaa);
        cczi_rlwe_unpack(out, packed, LEN, bits);
        CHECK(memcmp(in, out, sizeof(in)) == 0);
    }
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"rlwe.round_trip", test_round_trip},
        {"rlwe.cut", test_cut},
        {"rlwe.header", test_header},
        {"rlwe.ct_header", test_ct_header},
        {"rlwe.residue", test_residue},
        {"rlwe.transparent", test_transparent},
        {"rlwe.galois_order", test_galois_order},
        {"rlwe.buffer", test_buffer},
        {"rlwe.pack", test_pack},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
