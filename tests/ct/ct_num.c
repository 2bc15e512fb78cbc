/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Run under valgrind: transforms and kernels on secret residues, in the tiers that it can run. With
 * --leak, a kernel whose time is declared to depend on its input must be reported.
 */
#include <cczoo/num.h>

#include "base/ct.h"

#include <stdio.h>
#include <string.h>

enum { N = 256, TERMS = 3 };

static uint64_t a[2 * TERMS][N], b[2 * TERMS][N], r[3][N];
static int64_t words[N];
static int8_t bytes[N];

static void make(const struct ccz_modulus *m)
{
    uint64_t x = 1;
    for (size_t k = 0; k < (size_t)2 * TERMS; k++) {
        for (size_t i = 0; i < N; i++) {
            x = x * 6364136223846793005u + 1442695040888963407u;
            a[k][i] = (x >> 8) % m->q;
            b[k][i] = (x >> 9) % m->q;
            words[i] = (int64_t)x;
            bytes[i] = (int8_t)(x >> 32);
        }
    }
    CCZ_CT_SECRET(a, sizeof(a));
    CCZ_CT_SECRET(b, sizeof(b));
    CCZ_CT_SECRET(words, sizeof(words));
    CCZ_CT_SECRET(bytes, sizeof(bytes));
}

static void transforms(const struct ccz_kernels *k, const struct ccz_modulus *m,
                       const struct ccz_modulus *other, const struct ccz_ntt *t)
{
    struct ccz_ntt_scale s = ccz_ntt_scale_from(5, t);
    ccz_ntt_forward(r[0], a[0], t);
    ccz_ntt_forward_lazy(r[1], a[0], t);
    k->mul(r[2], r[1], r[0], N, m);
    ccz_ntt_inverse(r[2], r[2], t);
    ccz_ntt_inverse_scaled(r[1], r[0], &s, t);
    ccz_ntt_forward_lift_lazy(r[0], a[1], other, t);
}

static void kernels(const struct ccz_kernels *k, const struct ccz_modulus *m,
                    const struct ccz_modulus *other)
{
    const uint64_t *pa[2 * TERMS], *pb[2 * TERMS], scalars[TERMS] = {3, 5, 7};
    uint64_t *pr[3] = {r[0], r[1], r[2]};
    const struct ccz_mulc c = ccz_mulc_from(12345, m);
    for (int i = 0; i < 2 * TERMS; i++) {
        pa[i] = a[i];
        pb[i] = b[i];
    }
    k->add(r[0], a[0], b[0], N, m);
    k->sub(r[0], a[0], b[0], N, m);
    k->neg(r[0], a[0], N, m);
    k->mul_add(r[0], a[0], b[0], N, m);
    k->mul_const(r[0], a[0], c, N, m);
    k->mul_const_add(r[0], a[0], c, N, m);
    k->sub_mul_const(r[0], a[0], b[0], c, N, m);
    k->mac(r[0], pa, pb, TERMS, N, m, true);
    k->mac2(pr, pa, pb, TERMS, N, m, false);
    k->mac_scalar(r[0], pa, scalars, TERMS, N, m, true);
    k->tensor(pr, pa, pb, N, m);
    k->tensor_square(pr, pa, N, m);
    k->reduce_u64(r[0], a[0], N, m);
    k->reduce_i64(r[0], words, N, m);
    k->reduce_i8(r[0], bytes, N, m);
    k->lift(r[0], a[0], N, m, other);
    ccz_galois_coeff(r[1], a[0], N, 5, m);
}

/* From two primes to the third. */
static void conversion(const struct ccz_kernels *k, const struct ccz_modulus m[3])
{
    CCZ_AUTO(ccz_base_conv) c = NULL;
    if (ccz_base_conv_new(&c, m, 2, m + 2, 1, CCZ_CONV_CENTERED, NULL) == CCZ_OK)
        ccz_base_conv((uint64_t *[]){r[0]}, (const uint64_t *[]){a[0], a[1]}, false, N, c, k);
}

int main(int argc, char **argv)
{
    static const char *const tiers[] = {"portable", "avx2"};
    uint64_t q[3];
    struct ccz_modulus m[3];
    size_t ran = 0;
    if (ccz_ntt_primes(q, 3, 50, N, CCZ_PRIMES_BELOW, NULL, 0, NULL) != CCZ_OK)
        return 1;
    for (int i = 0; i < 3; i++) {
        if (ccz_modulus_init(&m[i], q[i], NULL) != CCZ_OK)
            return 1;
    }
    for (size_t i = 0; i < 2; i++) {
        const struct ccz_kernels *k = ccz_kernels(tiers[i]);
        CCZ_AUTO(ccz_ntt) t = NULL;
        if (!k)
            continue;
        if (ccz_ntt_new(&t, &m[0], N, k, NULL) != CCZ_OK)
            return 1;
        make(&m[2]); /* below the other two as well */
        transforms(k, &m[0], &m[1], t);
        kernels(k, &m[0], &m[1]);
        conversion(k, m);
        if (argc > 1 && strcmp(argv[1], "--leak") == 0)
            printf("%zu\n", k->uniform(r[0], N, a[0], N, &m[0]));
        ran++;
    }
    printf("tiers=%zu\n", ran);
    return ran > 0 ? 0 : 1;
}
