/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Run under valgrind: both operands of products by ciphertexts and all masks are marked. Neither layout, encryption, products,
 * masking, flooding nor decryption may branch on them or use them as addresses.
 */
#include "mpc/source_he_priv.h"

#include "base/ct.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BITS = 16, M = 3, K = 5, LEN = 4 };

static void must(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "failed: %s\n", what);
        exit(1);
    }
}

static ccz_rc secret_words(void *arg, uint64_t *out, size_t len, unsigned bits, struct ccz_err *err)
{
    (void)arg;
    (void)err;
    for (size_t i = 0; i < len; i++)
        out[i] = (i * 40503 + 7) & (UINT64_MAX >> (64 - bits));
    CCZ_CT_SECRET(out, len * sizeof(*out));
    return CCZ_OK;
}

static uint64_t x[M * K], v[K], out[2][M];

static void add_job(struct cczi_he_plan *p, unsigned end)
{
    struct cczi_he_job *j = cczi_he_job_add(p);
    must(j, "memory");
    *j = (struct cczi_he_job){.x = end ? x : NULL,
                              .x_o = K,
                              .x_c = 1,
                              .in_c = K,
                              .in_h = 1,
                              .in_w = 1,
                              .k_h = 1,
                              .k_w = 1,
                              .o = M,
                              .oh = 1,
                              .ow = 1,
                              .stride = 1};
    const struct cczi_he_part part = {
        .images = 1, .v = end ? NULL : v, .v_c = 1, .out = out[end], .out_o = 1};
    must(cczi_he_part_add(j, &part, NULL) == CCZ_OK, "part");
    cczi_he_job_derive(j);
}

/* x v of a matrix and a vector; @return the first element */
static uint64_t linear(struct ccz_buf *up, struct ccz_buf *down)
{
    static const struct cczi_he_weights weights = {1, 1, 1, 1};
    const struct cczi_he_rng rng = {secret_words, NULL};
    struct cczi_he_plan plan[2] = {{0}, {0}};
    struct cczi_he_suite *s[2];
    CCZ_AUTO_BUF keys;
    ccz_buf_init(&keys, 1 << 26);
    for (unsigned end = 0; end < 2; end++) {
        add_job(&plan[end], end);
        must(cczi_he_suite_new(&s[end], BITS, 100, 1, 0, CCZI_HE_FLOOD, NULL) == CCZ_OK,
             "parameters");
        must(cczi_he_plan_tiles(&plan[end], s[end]->n, &weights, NULL) == CCZ_OK, "tiles");
    }
    must(cczi_he_keys_write(&keys, s[0], plan[0].doublings, NULL) == CCZ_OK, "keys");
    must(cczi_he_keys_read(s[1], ccz_buf_span(&keys), plan[0].doublings, NULL) == CCZ_OK, "keys");
    must(cczi_he_linear_up(up, &plan[0], s[0], NULL) == CCZ_OK, "encryption");
    must(cczi_he_linear_eval(down, &plan[1], s[1], ccz_buf_span(up), &rng, NULL) == CCZ_OK,
         "products");
    must(cczi_he_linear_down(&plan[0], s[0], ccz_buf_span(down), NULL) == CCZ_OK, "decryption");
    for (unsigned end = 0; end < 2; end++) {
        cczi_he_plan_deinit(&plan[end]);
        cczi_he_suite_free(s[end]);
    }
    return (out[0][0] + out[1][0]) & 0xffff;
}

/* Elementwise: the last element */
static uint64_t slots(struct ccz_buf *up, struct ccz_buf *down)
{
    const struct cczi_he_rng rng = {secret_words, NULL};
    struct cczi_he_slots *s[2];
    uint64_t share[2][LEN] = {{0}};
    struct cczi_he_elements el[2];
    CCZ_AUTO_BUF keys;
    ccz_buf_init(&keys, 1 << 26);
    for (unsigned end = 0; end < 2; end++) {
        el[end] = (struct cczi_he_elements){2, LEN, {v, v + 1}, {x, x + LEN}, share[end]};
        must(cczi_he_slots_new(&s[end], BITS, NULL) == CCZ_OK, "parameters");
    }
    must(cczi_he_slots_keys_write(&keys, s[0], NULL) == CCZ_OK, "keys");
    must(cczi_he_slots_keys_read(s[1], ccz_buf_span(&keys), NULL) == CCZ_OK, "keys");
    must(cczi_he_slots_up(up, s[0], &el[0], NULL) == CCZ_OK, "encryption");
    must(cczi_he_slots_eval(down, s[1], &el[1], ccz_buf_span(up), &rng, NULL) == CCZ_OK,
         "products");
    must(cczi_he_slots_down(s[0], &el[0], ccz_buf_span(down), NULL) == CCZ_OK, "decryption");
    for (unsigned end = 0; end < 2; end++)
        cczi_he_slots_free(s[end]);
    return (share[0][LEN - 1] + share[1][LEN - 1]) & 0xffff;
}

int main(int argc, char **argv)
{
    const bool leak = argc > 1 && strcmp(argv[1], "--leak") == 0;
    CCZ_AUTO_BUF up;
    CCZ_AUTO_BUF down;
    ccz_buf_init(&up, 1 << 26);
    ccz_buf_init(&down, 1 << 26);
    for (size_t i = 0; i < M * K; i++)
        x[i] = i < K ? 65535 - i : i; /* negative ones too */
    for (size_t i = 0; i < K; i++)
        v[i] = 3 * i + 1;
    CCZ_CT_SECRET(x, sizeof(x));
    CCZ_CT_SECRET(v, sizeof(v));
    uint64_t got[2] = {linear(&up, &down)};
    ccz_buf_clear(&up);
    ccz_buf_clear(&down);
    got[1] = slots(&up, &down);
    if (leak) { /* negative control: an address from the result */
        static volatile uint8_t table[256];
        table[0] = table[got[0] & 255];
    }
    CCZ_CT_PUBLIC(got, sizeof(got));
    CCZ_CT_PUBLIC(x, sizeof(x));
    CCZ_CT_PUBLIC(v, sizeof(v));
    uint64_t want[2] = {0, v[LEN - 1] * x[LEN - 1] + v[LEN] * x[2 * LEN - 1]};
    for (size_t i = 0; i < K; i++)
        want[0] += x[i] * v[i];
    must(got[0] == (want[0] & 0xffff) && got[1] == (want[1] & 0xffff), "results");
    return 0;
}
