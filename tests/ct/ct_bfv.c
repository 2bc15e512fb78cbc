/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Run under valgrind: keys and errors are marked where they are sampled, messages and factors here. Encoding, encryption,
 * sums and products with plaintexts, flooding and decryption may not branch on them or use them as addresses.
 */
#include "base/ct.h"

#include <cczoo/bfv.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 1024, DATA = 3 };

static void must(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "failed: %s\n", what);
        exit(1);
    }
}

struct world {
    struct ccz_bfv *c;
    struct ccz_bfv_eval *e;
    struct ccz_rlwe_sk *sk;
    struct ccz_rlwe_pk *pk;
    struct ccz_bfv_pt *a, *b, *out;
    struct ccz_bfv_ct *x, *y;
};

static void make(struct world *w, const struct ccz_bfv_cfg *cfg)
{
    must(ccz_bfv_new(&w->c, cfg, NULL) == CCZ_OK, "context");
    must(ccz_bfv_eval_new(&w->e, w->c, NULL, NULL) == CCZ_OK, "evaluator");
    must(ccz_rlwe_sk_new(&w->sk, ccz_bfv_eval_work(w->e), NULL) == CCZ_OK, "secret key");
    must(ccz_rlwe_pk_new(&w->pk, ccz_bfv_eval_work(w->e), w->sk, NULL) == CCZ_OK, "public key");
    must(ccz_bfv_pt_new(&w->a, w->c, NULL) == CCZ_OK &&
             ccz_bfv_pt_new(&w->b, w->c, NULL) == CCZ_OK &&
             ccz_bfv_pt_new(&w->out, w->c, NULL) == CCZ_OK,
         "plaintexts");
    must(ccz_bfv_ct_new(&w->x, w->c, NULL) == CCZ_OK && ccz_bfv_ct_new(&w->y, w->c, NULL) == CCZ_OK,
         "ciphertexts");
}

static void drop(struct world *w)
{
    ccz_bfv_ct_free(w->x);
    ccz_bfv_ct_free(w->y);
    ccz_bfv_pt_free(w->a);
    ccz_bfv_pt_free(w->b);
    ccz_bfv_pt_free(w->out);
    ccz_rlwe_pk_free(w->pk);
    ccz_rlwe_sk_free(w->sk);
    ccz_bfv_eval_free(w->e);
    ccz_bfv_free(w->c);
}

/* a b + b: decrypted, first value */
static uint64_t compute(struct world *w)
{
    must(ccz_bfv_pt_prepare(w->b, w->e, 0, NULL) == CCZ_OK, "factor");
    must(ccz_bfv_encrypt_pk(w->x, w->e, w->pk, w->a, 0, NULL) == CCZ_OK, "public-key encryption");
    must(ccz_bfv_encrypt_sk(w->x, w->e, w->sk, w->a, 0, NULL) == CCZ_OK, "secret-key encryption");
    must(ccz_bfv_mul_plain(w->y, w->e, w->x, w->b, NULL) == CCZ_OK, "product");
    must(ccz_bfv_add_plain(w->y, w->e, w->y, w->b, NULL) == CCZ_OK, "sum");
    must(ccz_bfv_flood(w->y, w->e, w->y, NULL, w->pk, 10, NULL) == CCZ_OK, "flooding");
    /* it goes over the network */
    CCZ_CT_PUBLIC(w->y->ct.c[0], DATA * N * sizeof(uint64_t));
    CCZ_CT_PUBLIC(w->y->ct.c[1], DATA * N * sizeof(uint64_t));
    must(ccz_bfv_mod_switch(w->y, w->e, w->y, 2, NULL) == CCZ_OK, "modulus switching");
    must(ccz_bfv_decrypt(w->out, w->e, w->sk, w->y, NULL) == CCZ_OK, "decryption");
    return w->out->m[0];
}

/* A plaintext modulus: a prime, or 2^bits. */
struct plain {
    uint64_t prime;
    unsigned bits;
};

static void run(struct plain t, bool leak)
{
    static uint64_t a[N], b[N], out[N];
    const struct ccz_bfv_cfg cfg = {
        .ring = {.n = N, .data_len = DATA, .bits = {45, 45, 45}, .security_insecure = true},
        .plain_prime = t.prime,
        .plain_bits = t.bits};
    struct world w;
    make(&w, &cfg);
    for (size_t i = 0; i < N; i++) {
        a[i] = 3;
        b[i] = 5;
    }
    CCZ_CT_SECRET(a, sizeof(a));
    CCZ_CT_SECRET(b, sizeof(b));
    if (t.prime) {
        must(ccz_bfv_encode(w.a, w.e, a, N, NULL) == CCZ_OK, "slots");
        must(ccz_bfv_encode(w.b, w.e, b, N, NULL) == CCZ_OK, "slots");
    } else {
        must(ccz_bfv_encode_coeff(w.a, a, 1, NULL) == CCZ_OK, "coefficients");
        must(ccz_bfv_encode_coeff(w.b, b, 1, NULL) == CCZ_OK, "coefficients");
        must(ccz_bfv_pt_declare(w.b, 5, 1, NULL) == CCZ_OK, "declaration");
    }
    uint64_t first = compute(&w);
    if (t.prime) {
        must(ccz_bfv_decode(out, N, w.e, w.out, NULL) == CCZ_OK, "slots");
        first = out[N - 1];
    }
    if (leak) { /* negative control: an address from the result */
        static volatile uint8_t table[256];
        table[0] = table[first & 255];
    }
    CCZ_CT_PUBLIC(&first, sizeof(first));
    must(first == 20, "result");
    drop(&w);
}

int main(int argc, char **argv)
{
    const bool leak = argc > 1 && strcmp(argv[1], "--leak") == 0;
    run((struct plain){0, 32}, leak);
    run((struct plain){65537, 0}, leak);
    return 0;
}
