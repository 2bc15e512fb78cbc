/* SPDX-License-Identifier: Apache-2.0 */
/* Packing of sparse results: places, values and noise of useful coefficients, keys as bytes, refusals. */
#include "kit.h"

#include <math.h>
#include <stdlib.h>

enum { N = 1024, ITEMS_MAX = 24 };

/* The context of packing beside the one results come from. */
struct pack_kit {
    struct kit k;
    struct ccz_bfv *c;
    struct ccz_bfv_eval *e;
    struct ccz_rlwe_sk *sk;
    struct ccz_bfv_pt *p;
    struct ccz_bfv_ct *ct;
    size_t limbs;
};

static void pack_init(struct pack_kit *q, struct plain t, size_t limbs)
{
    struct ccz_bfv_cfg cfg;
    kit_init(&q->k, t, 5, 45);
    q->limbs = limbs;
    CHECK(ccz_bfv_pack_cfg(&cfg, q->k.c, limbs, NULL) == CCZ_OK);
    CHECK(cfg.ring.data_len == limbs && cfg.ring.special_len == limbs);
    CHECK(ccz_bfv_new(&q->c, &cfg, NULL) == CCZ_OK);
    const struct ccz_rlwe_work_cfg work = {.threads = 1, .rng = {rng_fill, &q->k.rng}};
    CHECK(ccz_bfv_eval_new(&q->e, q->c, &work, NULL) == CCZ_OK);
    CHECK(ccz_rlwe_sk_new(&q->sk, ccz_bfv_eval_work(q->e), NULL) == CCZ_OK);
    CHECK(ccz_bfv_pt_new(&q->p, q->c, NULL) == CCZ_OK);
    CHECK(ccz_bfv_ct_new(&q->ct, q->c, NULL) == CCZ_OK);
}

static void pack_deinit(struct pack_kit *q)
{
    ccz_bfv_ct_free(q->ct);
    ccz_bfv_pt_free(q->p);
    ccz_rlwe_sk_free(q->sk);
    ccz_bfv_eval_free(q->e);
    ccz_bfv_free(q->c);
    kit_deinit(&q->k);
}

static struct ccz_bfv_pack_key *new_key(struct pack_kit *q, uint32_t doublings)
{
    struct ccz_bfv_pack_key *key;
    CHECK(ccz_bfv_pack_key_new(&key, q->e, q->sk, q->k.sk, doublings, NULL) == CCZ_OK);
    return key;
}

/* k.ct[2] = flooded and switched encryption of v */
static void result(struct pack_kit *q, const uint64_t *v)
{
    struct kit *k = &q->k;
    CHECK(ccz_bfv_encode_coeff(k->p[0], v, N, NULL) == CCZ_OK);
    CHECK(ccz_bfv_encrypt_sk(k->ct[0], k->e, k->sk, k->p[0], 0, NULL) == CCZ_OK);
    CHECK(ccz_bfv_flood(k->ct[1], k->e, k->ct[0], NULL, k->pk, 40, NULL) == CCZ_OK);
    CHECK(ccz_bfv_mod_switch(k->ct[2], k->e, k->ct[1], q->limbs, NULL) == CCZ_OK);
}

static uint64_t values[ITEMS_MAX][N];

/* Packs results of these strides into one, and holds the useful coefficients against what went in. */
static void pack(struct pack_kit *q, const uint32_t *strides, size_t len)
{
    struct ccz_bfv_place places[ITEMS_MAX];
    size_t outputs, used = 0;
    uint32_t doublings;
    CHECK(ccz_bfv_pack_places(places, &outputs, &doublings, strides, len, N, NULL) == CCZ_OK);
    CHECK(outputs == 1);
    CCZ_AUTO(ccz_bfv_pack_key) key = new_key(q, doublings);
    CCZ_AUTO(ccz_bfv_packer) p = NULL;
    CHECK(ccz_bfv_packer_new(&p, q->e, key, NULL) == CCZ_OK);
    for (size_t i = 0; i < len; i++) {
        random_words(&q->k, values[i], N);
        result(q, values[i]);
        CHECK(ccz_bfv_packer_has_room(p, strides[i]));
        CHECK(ccz_bfv_packer_add(p, q->k.ct[2], strides[i], NULL) == CCZ_OK);
        used += N / strides[i];
    }
    CHECK(ccz_bfv_packer_finish(q->ct, p, NULL) == CCZ_OK);
    CHECK(!q->ct->is_private && q->ct->ct.limbs == q->limbs);
    CHECK(ccz_bfv_decrypt(q->p, q->e, q->sk, q->ct, NULL) == CCZ_OK);
    for (size_t i = 0; i < len; i++)
        for (size_t x = 0; x < N; x += strides[i])
            CHECK(q->p->m[places[i].offset + x] == values[i][x]);
    if (used < N)
        return;
    double budget; /* every coefficient is of use: the bound holds for all */
    CHECK(ccz_bfv_noise_budget(&budget, q->e, q->sk, q->ct, NULL) == CCZ_OK);
    const double least = ccz_bfv_room(q->c, q->limbs) - ccz_bfv_noise_bits(q->ct);
    CHECK(budget >= least && budget < least + 8);
}

static void test_pack(void)
{
    static const struct plain ts[] = {{0, 1}, {0, 16}, {0, 64}, {65537, 0}};
    static const struct {
        size_t len;
        uint32_t strides[ITEMS_MAX];
    } sets[] = {{1, {1}},
                {1, {512}},
                {2, {2, 2}},
                {4, {2, 4, 8, 8}},
                {3, {2, 4, 16}},
                {5, {4, 4, 4, 256, N}},
                {8, {8, 8, 8, 8, 8, 8, 8, 8}},
                {2, {N, N}}};
    for (size_t s = 0; s < sizeof(ts) / sizeof(ts[0]); s++) {
        struct pack_kit q;
        pack_init(&q, ts[s], 2);
        for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
            pack(&q, sets[i].strides, sets[i].len);
        pack_deinit(&q);
    }
    struct pack_kit q; /* digits of more than one prime, and one prime */
    for (size_t limbs = 1; limbs <= 3; limbs += 2) {
        pack_init(&q, (struct plain){0, 16}, limbs);
        pack(&q, sets[3].strides, sets[3].len);
        pack_deinit(&q);
    }
}

/* Noise of every doubling, with every stride: not doubled by later ones. */
static void test_deep(void)
{
    struct pack_kit q;
    struct ccz_bfv_place places[2];
    size_t outputs;
    uint32_t doublings, stride = N;
    pack_init(&q, (struct plain){0, 32}, 2);
    CCZ_AUTO(ccz_bfv_pack_key) key = new_key(&q, N - 1);
    CCZ_AUTO(ccz_bfv_packer) p = NULL;
    CHECK(ccz_bfv_packer_new(&p, q.e, key, NULL) == CCZ_OK);
    uint64_t v[N] = {0};
    for (size_t i = 0; i < N; i++) {
        v[0] = i % 3 ? 0xffffffff - i : 0x80000000 + i;
        if (i < 2) { /* fresh ones: next to no noise but that of packing; the rest reuses one */
            CHECK(ccz_bfv_encode_coeff(q.k.p[0], v, N, NULL) == CCZ_OK);
            CHECK(ccz_bfv_encrypt_sk(q.k.ct[2], q.k.e, q.k.sk, q.k.p[0], q.limbs, NULL) == CCZ_OK);
        }
        CHECK(ccz_bfv_packer_add(p, q.k.ct[2], stride, NULL) == CCZ_OK);
    }
    CHECK(!ccz_bfv_packer_has_room(p, stride));
    CHECK(ccz_bfv_packer_finish(q.ct, p, NULL) == CCZ_OK);
    CHECK(ccz_bfv_decrypt(q.p, q.e, q.sk, q.ct, NULL) == CCZ_OK);
    CHECK(q.p->m[0] == 0x80000000);
    for (size_t i = 1; i < N; i++)
        CHECK(q.p->m[i] == 0xffffffff - 1);
    double budget;
    CHECK(ccz_bfv_noise_budget(&budget, q.e, q.sk, q.ct, NULL) == CCZ_OK);
    CHECK(budget >= ccz_bfv_room(q.c, 2) - ccz_bfv_noise_bits(q.ct));
    CHECK(ccz_bfv_noise_bits(q.ct) < 14); /* 11 key switches, none of them doubled */
    CHECK(ccz_bfv_pack_places(places, &outputs, &doublings, &stride, 1, N, NULL) == CCZ_OK);
    CHECK(outputs == 1 && doublings == 0 && places[0].offset == 0);
    pack_deinit(&q);
}

static void test_places(void)
{
    struct ccz_bfv_place places[64];
    uint8_t taken[N] = {0};
    uint32_t strides[64], doublings;
    size_t outputs;
    struct ccz_err err;
    for (size_t i = 0; i < 64; i++)
        strides[i] = i < 7 ? 8 : i < 11 ? 64 : 128;
    CHECK(ccz_bfv_pack_places(places, &outputs, &doublings, strides, 64, N, NULL) == CCZ_OK);
    CHECK(outputs == 2);
    for (size_t i = 0; i < 64; i++)
        for (size_t x = places[i].offset; places[i].output == 0 && x < N; x += strides[i])
            CHECK(taken[x]++ == 0 && x % strides[i] == places[i].offset);
    CHECK(doublings == 127);
    strides[0] = 3;
    CHECK(is_refused(ccz_bfv_pack_places(places, &outputs, &doublings, strides, 1, N, &err),
                     CCZ_E_ARG, &err, "bfv:stride"));
    strides[0] = 2 * N;
    CHECK(is_refused(ccz_bfv_pack_places(places, &outputs, &doublings, strides, 1, N, &err),
                     CCZ_E_ARG, &err, "bfv:stride"));
    strides[0] = 16;
    CHECK(is_refused(ccz_bfv_pack_places(places, &outputs, &doublings, strides, 2, N, &err),
                     CCZ_E_ARG, &err, "bfv:pack-order"));
}

static void test_refuse(void)
{
    struct pack_kit q, other;
    struct ccz_err err;
    pack_init(&q, (struct plain){0, 16}, 2);
    CCZ_AUTO(ccz_bfv_pack_key) key = new_key(&q, 2);
    CCZ_AUTO(ccz_bfv_packer) p = NULL;
    struct kit *k = &q.k;
    uint64_t v[N] = {5};
    CHECK(ccz_bfv_packer_new(&p, q.e, key, NULL) == CCZ_OK);
    CHECK(is_refused(ccz_bfv_packer_finish(q.ct, p, &err), CCZ_E_ARG, &err, "bfv:empty"));
    result(&q, v);
    CHECK(is_refused(ccz_bfv_packer_add(p, k->ct[1], 4, &err), CCZ_E_ARG, &err, "bfv:level"));
    k->ct[2]->is_private = true;
    CHECK(is_refused(ccz_bfv_packer_add(p, k->ct[2], 4, &err), CCZ_E_POLICY, &err,
                     "bfv:not-flooded"));
    k->ct[2]->is_private = false;
    CHECK(is_refused(ccz_bfv_packer_add(p, k->ct[2], 0, &err), CCZ_E_ARG, &err, "bfv:stride"));
    CHECK(ccz_bfv_packer_add(p, k->ct[2], 4, NULL) == CCZ_OK);
    CHECK(is_refused(ccz_bfv_packer_add(p, k->ct[2], 2, &err), CCZ_E_ARG, &err, "bfv:pack-order"));
    k->ct[2]->ct.key_id[0] ^= 1;
    CHECK(
        is_refused(ccz_bfv_packer_add(p, k->ct[2], 4, &err), CCZ_E_MISMATCH, &err, "rlwe:key-id"));
    k->ct[2]->ct.key_id[0] ^= 1;
    CHECK(ccz_bfv_packer_add(p, k->ct[2], 4, NULL) == CCZ_OK); /* doubles to 2 */
    CHECK(ccz_bfv_packer_add(p, k->ct[2], 4, NULL) == CCZ_OK);
    CHECK(is_refused(ccz_bfv_packer_add(p, k->ct[2], 4, &err), CCZ_E_ARG, &err, "bfv:no-key"));
    CHECK(is_refused(ccz_bfv_packer_add(p, k->ct[2], 4, &err), CCZ_E_ARG, &err, "bfv:pack-failed"));
    CHECK(is_refused(ccz_bfv_packer_finish(q.ct, p, &err), CCZ_E_ARG, &err, "bfv:pack-failed"));
    ccz_bfv_packer_free(p);
    CHECK(ccz_bfv_packer_new(&p, q.e, key, NULL) == CCZ_OK);
    CHECK(ccz_bfv_packer_add(p, k->ct[2], 1, NULL) == CCZ_OK);
    CHECK(is_refused(ccz_bfv_packer_add(p, k->ct[2], 1, &err), CCZ_E_LIMIT, &err, "bfv:pack-full"));
    k->ct[2]->sigma = 85; /* more than decrypts */
    CHECK(ccz_bfv_packer_finish(q.ct, p, NULL) == CCZ_OK);
    CHECK(is_refused(ccz_bfv_packer_add(p, k->ct[2], 4, &err), CCZ_E_LIMIT, &err, "bfv:noise"));
    /* other contexts */
    pack_init(&other, (struct plain){0, 8}, 2);
    result(&other, v);
    CHECK(is_refused(ccz_bfv_packer_add(p, other.k.ct[2], 4, &err), CCZ_E_MISMATCH, &err,
                     "bfv:plain"));
    CHECK(
        is_refused(ccz_bfv_packer_finish(other.ct, p, &err), CCZ_E_MISMATCH, &err, "bfv:context"));
    struct ccz_bfv_packer *none;
    CHECK(is_refused(ccz_bfv_packer_new(&none, other.e, key, &err), CCZ_E_MISMATCH, &err,
                     "bfv:context"));
    struct ccz_bfv_pack_key *no_key;
    CHECK(is_refused(ccz_bfv_pack_key_new(&no_key, q.e, q.sk, k->sk, N, &err), CCZ_E_ARG, &err,
                     "bfv:stride"));
    struct ccz_bfv_cfg cfg;
    CHECK(is_refused(ccz_bfv_pack_cfg(&cfg, k->c, 6, &err), CCZ_E_ARG, &err, "bfv:limbs"));
    CHECK(is_refused(ccz_bfv_pack_cfg(&cfg, k->c, 0, &err), CCZ_E_ARG, &err, "bfv:limbs"));
    pack_deinit(&other);
    pack_deinit(&q);
}

static void test_key_bytes(void)
{
    struct pack_kit q;
    struct ccz_err err;
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 1 << 20);
    pack_init(&q, (struct plain){0, 16}, 2);
    const uint8_t *from = ccz_rlwe_sk_id(q.k.sk);
    for (uint32_t doublings = 0; doublings <= 5; doublings += 5) {
        CCZ_AUTO(ccz_bfv_pack_key) key = new_key(&q, doublings);
        CCZ_AUTO(ccz_bfv_pack_key) got = NULL;
        struct ccz_bfv_pack_key *other;
        ccz_buf_clear(&b);
        CHECK(ccz_bfv_pack_key_write(&b, key, NULL) == CCZ_OK);
        CHECK(b.size == ccz_bfv_pack_key_size(q.c, doublings));
        for (size_t cut = 0; cut < b.size; cut += cut < 300 ? 1 : 997)
            CHECK(ccz_bfv_pack_key_read(&got, q.e, CCZ_SPAN(b.ptr, cut), from, doublings, &err) ==
                      CCZ_E_FORMAT &&
                  !got);
        CHECK(is_refused(ccz_bfv_pack_key_read(&got, q.e, ccz_buf_span(&b), from, 1, &err),
                         CCZ_E_FORMAT, &err, "bfv:pack-key"));
        CHECK(is_refused(ccz_bfv_pack_key_read(&got, q.e, ccz_buf_span(&b), ccz_rlwe_sk_id(q.sk),
                                               doublings, &err),
                         CCZ_E_MISMATCH, &err, "rlwe:key-id"));
        CHECK(ccz_bfv_pack_key_read(&got, q.e, ccz_buf_span(&b), from, doublings, NULL) == CCZ_OK);
        /* what was read packs */
        CCZ_AUTO(ccz_bfv_packer) p = NULL;
        CHECK(ccz_bfv_packer_new(&p, q.e, got, NULL) == CCZ_OK);
        uint64_t v[N] = {[0] = 7, [4] = 9, [1020] = 65535};
        result(&q, v);
        for (size_t i = 0; i < (doublings ? 2 : 1); i++)
            CHECK(ccz_bfv_packer_add(p, q.k.ct[2], doublings ? 2 : 1, NULL) == CCZ_OK);
        CHECK(ccz_bfv_packer_finish(q.ct, p, NULL) == CCZ_OK);
        CHECK(ccz_bfv_decrypt(q.p, q.e, q.sk, q.ct, NULL) == CCZ_OK);
        CHECK(q.p->m[0] == 7 && q.p->m[4] == 9 && q.p->m[1020] == 65535);
        CHECK(!doublings || (q.p->m[1] == 7 && q.p->m[5] == 9 && q.p->m[1021] == 65535));
        /* other Galois keys than the doublings name */
        b.ptr[0] ^= doublings ? 6 : 0;
        if (doublings)
            CHECK(is_refused(ccz_bfv_pack_key_read(&other, q.e, ccz_buf_span(&b), from, 3, &err),
                             CCZ_E_FORMAT, &err, "bfv:pack-key") &&
                  !other);
    }
    pack_deinit(&q);
}

/* Keys of one kind are not taken for another. */
static void test_key_kinds(void)
{
    struct pack_kit q;
    struct ccz_err err;
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 1 << 20);
    pack_init(&q, (struct plain){0, 16}, 2);
    struct ccz_rlwe_work *w = ccz_bfv_eval_work(q.e);
    CCZ_AUTO(ccz_rlwe_swk) transfer = NULL;
    CCZ_AUTO(ccz_rlwe_swk) relin = NULL;
    struct ccz_rlwe_swk *none;
    CHECK(ccz_rlwe_transfer_new(&transfer, w, q.sk, q.k.sk, NULL) == CCZ_OK);
    CHECK(memcmp(ccz_rlwe_transfer_from(transfer), ccz_rlwe_sk_id(q.k.sk), CCZ_RLWE_KEY_ID_SIZE) ==
          0);
    CHECK(ccz_rlwe_relin_new(&relin, w, q.sk, NULL) == CCZ_OK && !ccz_rlwe_transfer_from(relin));
    CHECK(is_refused(ccz_rlwe_swk_write(&b, transfer, &err), CCZ_E_ARG, &err, "rlwe:kind"));
    CHECK(is_refused(ccz_rlwe_transfer_write(&b, relin, &err), CCZ_E_ARG, &err, "rlwe:kind"));
    CHECK(ccz_rlwe_swk_write(&b, relin, NULL) == CCZ_OK);
    CHECK(is_refused(ccz_rlwe_transfer_read(&none, w, ccz_buf_span(&b), NULL, NULL, &err),
                     CCZ_E_FORMAT, &err, "rlwe:kind"));
    uint64_t v[N] = {5};
    result(&q, v);
    struct ccz_rlwe_ct *in = &q.k.ct[2]->ct, *out = &q.ct->ct;
    CHECK(is_refused(ccz_rlwe_transfer(out, w, in, relin, &err), CCZ_E_ARG, &err,
                     "rlwe:transfer-key"));
    CHECK(is_refused(ccz_rlwe_transfer(out, w, &q.k.ct[1]->ct, transfer, &err), CCZ_E_MISMATCH,
                     &err, "rlwe:transfer-primes"));
    in->ntt = false;
    CHECK(is_refused(ccz_rlwe_transfer(out, w, in, transfer, &err), CCZ_E_ARG, &err, "rlwe:form"));
    in->ntt = true;
    CHECK(ccz_rlwe_transfer(out, w, in, transfer, NULL) == CCZ_OK);
    CHECK(memcmp(out->key_id, ccz_rlwe_sk_id(q.sk), CCZ_RLWE_KEY_ID_SIZE) == 0);
    CHECK(is_refused(ccz_rlwe_relinearize(out, w, out, transfer, &err), CCZ_E_ARG, &err,
                     "rlwe:relin-key"));
    CHECK(is_refused(ccz_rlwe_automorph(out, w, out, transfer, &err), CCZ_E_ARG, &err,
                     "rlwe:galois-key"));
    pack_deinit(&q);
}

/* Degree and modulus hold the goal with packing, and the context of packing is secure. */
static void test_plan(void)
{
    for (unsigned bits = 8; bits <= 64; bits *= 2) {
        for (int full = 0; full < 2; full++) {
            const struct ccz_bfv_goal goal = {.plain_bits = bits,
                                              .secret_key = true,
                                              .multiply = true,
                                              .max_factor = full ? 0 : 0x1p7,
                                              .flood_bits = 48,
                                              .pack = 13};
            struct ccz_bfv_plan plan;
            struct ccz_bfv_cfg cfg;
            CCZ_AUTO(ccz_bfv) c = NULL;
            CCZ_AUTO(ccz_bfv) pc = NULL;
            CHECK(ccz_bfv_plan(&plan, &goal, NULL) == CCZ_OK && plan.spare_bits > 0);
            CHECK(plan.cfg.ring.n <= 8192);
            CHECK(ccz_bfv_new(&c, &plan.cfg, NULL) == CCZ_OK);
            CHECK(ccz_bfv_pack_cfg(&cfg, c, plan.return_limbs, NULL) == CCZ_OK);
            CHECK(ccz_bfv_new(&pc, &cfg, NULL) == CCZ_OK);
            CHECK(ccz_rlwe_security(ccz_bfv_ring(pc)) >= 128);
        }
    }
    const struct ccz_bfv_goal bad = {.plain_bits = 8, .pack = 17};
    struct ccz_bfv_plan plan;
    struct ccz_err err;
    CHECK(is_refused(ccz_bfv_plan(&plan, &bad, &err), CCZ_E_ARG, &err, "bfv:goal"));
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"bfv.pack", test_pack},          {"bfv.pack_deep", test_deep},
        {"bfv.pack_places", test_places}, {"bfv.pack_refuse", test_refuse},
        {"bfv.pack_key", test_key_bytes}, {"bfv.pack_kinds", test_key_kinds},
        {"bfv.pack_plan", test_plan}};
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
