/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Run under valgrind: any branch or address that depends on a secret is reported. Secret are the primes of
 * the key from the moment they are found, plain numbers, multipliers and randomness; the marks for
 * primes and randomness are in the sources. Without AVX-512, which valgrind does not have.
 */
#include <cczoo/paillier.h>

#include "base/ct.h"
#include "paillier/paillier_priv.h"

#include <stdio.h>
#include <string.h>

enum { LEN = 3, SLOTS = 5 };

/* Encrypts, computes and decrypts to doubles. */
static bool numbers(double out[LEN], const struct ccz_paillier_key *k, enum ccz_paillier_method how)
{
    double x[LEN] = {1.5, -2.25, 1e-9};
    int64_t m[LEN] = {3, -7, 0};
    CCZ_CT_SECRET(x, sizeof(x));
    CCZ_CT_SECRET(m, sizeof(m));
    CCZ_AUTO(ccz_paillier_pub) pub = ccz_paillier_key_pub(k);
    CCZ_AUTO(ccz_paillier_plain) p = NULL;
    CCZ_AUTO(ccz_paillier_plain) by = NULL;
    CCZ_AUTO(ccz_paillier_plain) back = NULL;
    CCZ_AUTO(ccz_paillier_vec) v = NULL;
    CCZ_AUTO(ccz_paillier_vec) w = NULL;
    const struct ccz_paillier_format format = {-8, 70};
    const struct ccz_paillier_enc_cfg cfg = {.method = how};
    return ccz_paillier_plain_f64(&p, pub, x, LEN, format, NULL, NULL) == CCZ_OK &&
           ccz_paillier_plain_i64(&by, pub, m, LEN, 9, NULL, NULL) == CCZ_OK &&
           ccz_paillier_encrypt(&v, p, &cfg, NULL) == CCZ_OK &&
           ccz_paillier_encrypt(&w, p, &cfg, NULL) == CCZ_OK &&
           ccz_paillier_add_plain(v, p, NULL) == CCZ_OK &&
           ccz_paillier_mul_plain(v, by, NULL) == CCZ_OK && /* of a vec that may not leave */
           ccz_paillier_mul_plain(w, by, NULL) == CCZ_OK &&
           ccz_paillier_sub(v, w, NULL) == CCZ_OK &&
           ccz_paillier_randomise(v, &cfg, NULL) == CCZ_OK &&
           ccz_paillier_decrypt(&back, k, v, NULL, NULL) == CCZ_OK &&
           ccz_paillier_plain_to_f64(out, back, NULL) == CCZ_OK;
}

/* The same in slots. */
static bool slots(int64_t out[SLOTS], const struct ccz_paillier_key *k)
{
    int64_t m[SLOTS] = {1, -1, 0, -4000, 4001};
    const struct ccz_paillier_packing pack = {.slot_bits = 30, .slots = SLOTS};
    CCZ_CT_SECRET(m, sizeof(m));
    CCZ_AUTO(ccz_paillier_pub) pub = ccz_paillier_key_pub(k);
    CCZ_AUTO(ccz_paillier_plain) p = NULL;
    CCZ_AUTO(ccz_paillier_plain) back = NULL;
    CCZ_AUTO(ccz_paillier_vec) v = NULL;
    return ccz_paillier_plain_i64(&p, pub, m, SLOTS, 12, &pack, NULL) == CCZ_OK &&
           ccz_paillier_encrypt(&v, p, NULL, NULL) == CCZ_OK &&
           ccz_paillier_decrypt(&back, k, v, NULL, NULL) == CCZ_OK &&
           ccz_paillier_plain_to_i64(out, back, NULL) == CCZ_OK;
}

int main(int argc, char **argv)
{
    static const double want[LEN] = {4.5, 15.75, 0};
    CCZ_AUTO(ccz_paillier_key) k = NULL;
    const struct ccz_paillier_keygen_cfg cfg = {.bits_1024_insecure = true};
    if (ccz_paillier_keygen(&k, &cfg, NULL) != CCZ_OK)
        return 1;
    if (argc > 1 && strcmp(argv[1], "--leak") == 0) { /* a factor of n as an address */
        static volatile uint8_t table[256];
        return table[k->p_bytes[1]];
    }
    for (int how = CCZ_PAILLIER_AUTO; how <= CCZ_PAILLIER_FULL; how++) {
        double got[LEN];
        if (!numbers(got, k, (enum ccz_paillier_method)how))
            return 1;
        CCZ_CT_PUBLIC(got, sizeof(got));
        printf("%g %g %g\n", got[0], got[1], got[2]);
        if (memcmp(got, want, sizeof(want)) != 0)
            return 1;
    }
    int64_t got[SLOTS];
    if (!slots(got, k))
        return 1;
    CCZ_CT_PUBLIC(got, sizeof(got));
    return got[0] == 1 && got[3] == -4000 && got[4] == 4001 ? 0 : 1;
}
