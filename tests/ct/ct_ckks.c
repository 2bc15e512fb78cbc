/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Run under valgrind: values to encode and residues to decode are secret but for their bound. Encoder and
 * decoder may not branch on them or use them as addresses.
 */
#include "base/ct.h"

#include <cczoo/ckks.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 1024, SLOTS = N / 2, DATA = 3 };

static void must(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "failed: %s\n", what);
        exit(1);
    }
}

static double value_at(size_t i)
{
    return (double)(i * 7919 % 1009) / 1009 - 0.5;
}

/* By one prime, and by three. */
static void decode(struct ccz_ckks_eval *e, struct ccz_ckks_pt *p)
{
    static double out[SLOTS];
    static struct ccz_complex complex_out[SLOTS];
    CCZ_CT_SECRET(p->coeff, N * sizeof(*p->coeff));
    must(ccz_ckks_decode(out, SLOTS, e, p, NULL) == CCZ_OK, "decode");
    p->has_coeff = false;
    for (size_t i = 0; i < 3; i++, p->bound *= 0x1p40) {
        CCZ_CT_SECRET(p->v, DATA * N * sizeof(*p->v));
        must(ccz_ckks_decode(out, SLOTS, e, p, NULL) == CCZ_OK, "decode");
        CCZ_CT_PUBLIC(out, sizeof(out));
        for (size_t j = 0; j < SLOTS; j++)
            must(fabs(out[j] - value_at(j)) < 1e-6, "round trip");
        must(ccz_ckks_decode_complex(complex_out, SLOTS, e, p, NULL) == CCZ_OK, "decode");
    }
}

static void run(const struct ccz_ckks *c, bool leak)
{
    static double values[SLOTS];
    static struct ccz_complex numbers[SLOTS];
    CCZ_AUTO(ccz_ckks_eval) e = NULL;
    CCZ_AUTO(ccz_ckks_pt) p = NULL;
    must(ccz_ckks_eval_new(&e, c, NULL, NULL) == CCZ_OK, "evaluator");
    must(ccz_ckks_pt_new(&p, c, NULL) == CCZ_OK, "plaintext");
    for (size_t i = 0; i < SLOTS; i++) {
        values[i] = value_at(i);
        numbers[i] = (struct ccz_complex){values[i], -values[i]};
    }
    CCZ_CT_SECRET(values, sizeof(values));
    CCZ_CT_SECRET(numbers, sizeof(numbers));
    must(ccz_ckks_encode_complex(p, e, numbers, SLOTS, 0x1p40, DATA, NULL) == CCZ_OK, "encode");
    must(ccz_ckks_encode(p, e, values, SLOTS, 0x1p40, DATA, NULL) == CCZ_OK, "encode");
    decode(e, p);
    if (leak) { /* negative control: an address from a coefficient */
        static volatile uint8_t table[256];
        table[0] = table[p->coeff[0] & 255];
    }
}

int main(int argc, char **argv)
{
    const struct ccz_ckks_cfg cfg = {
        .ring = {.n = N, .data_len = DATA, .bits = {45, 40, 40}, .security_insecure = true}};
    CCZ_AUTO(ccz_ckks) c = NULL;
    must(ccz_ckks_new(&c, &cfg, NULL) == CCZ_OK, "context");
    run(c, argc > 1 && strcmp(argv[1], "--leak") == 0);
    return 0;
}
