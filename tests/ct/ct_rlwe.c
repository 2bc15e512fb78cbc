/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Run under valgrind: secret keys and errors are marked where they are sampled, messages and a stored
 * key here. Key generation, both encryptions, the phase and reading a secret key may not branch on them
 * or use them as addresses. What leaves the key owner (keys, ciphertexts) is public: the library says so.
 */
#include "base/ct.h"
#include "rlwe/rlwe_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 1024, DATA = 2 };

static void must(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "failed: %s\n", what);
        exit(1);
    }
}

/* The phase is the message up to the error. */
static void check_phase(struct ccz_rlwe_work *w, const struct ccz_rlwe_sk *sk,
                        const struct ccz_rlwe_ct *ct, const int64_t *message)
{
    static uint64_t v[DATA * N];
    const uint64_t q = ccz_rlwe_prime(ccz_rlwe_work_ctx(w), 0);
    must(ccz_rlwe_phase(v, w, sk, ct, DATA, NULL) == CCZ_OK, "phase");
    ccz_rlwe_inverse(v, w, DATA);
    CCZ_CT_PUBLIC(v, sizeof(v));
    for (size_t i = 0; i < N; i++) {
        uint64_t d = v[i] + q - (uint64_t)message[i];
        d = d >= q ? d - q : d;
        must(d < 10000 || q - d < 10000, "message");
    }
}

static void all_keys(struct ccz_rlwe_work *w, const struct ccz_rlwe_sk *sk)
{
    CCZ_AUTO(ccz_rlwe_swk) relin = NULL;
    CCZ_AUTO(ccz_rlwe_swk) galois = NULL;
    must(ccz_rlwe_relin_new(&relin, w, sk, NULL) == CCZ_OK, "relinearization key");
    must(ccz_rlwe_galois_new(&galois, w, sk, 5, NULL) == CCZ_OK, "Galois key");
}

static struct ccz_rlwe_sk *store_and_read(struct ccz_rlwe_work *w, const struct ccz_rlwe_sk *sk)
{
    CCZ_AUTO(ccz_secret) s = NULL;
    struct ccz_rlwe_sk *back;
    must(ccz_rlwe_sk_write(&s, sk, NULL) == CCZ_OK, "writing the key");
    CCZ_CT_SECRET(ccz_secret_bytes(s) + 56, N / 4); /* all but the header */
    must(ccz_rlwe_sk_read(&back, w, s, NULL) == CCZ_OK, "reading the key");
    return back;
}

static void run(struct ccz_rlwe *r, bool leak)
{
    static int64_t message[N], marked[N];
    CCZ_AUTO(ccz_rlwe_work) w = NULL;
    CCZ_AUTO(ccz_rlwe_sk) sk = NULL;
    CCZ_AUTO(ccz_rlwe_pk) pk = NULL;
    must(ccz_rlwe_work_new(&w, r, NULL, NULL) == CCZ_OK, "work space");
    must(ccz_rlwe_sk_new(&sk, w, NULL) == CCZ_OK, "secret key");
    must(ccz_rlwe_pk_new(&pk, w, sk, NULL) == CCZ_OK, "public key");
    all_keys(w, sk);
    for (size_t i = 0; i < N; i++)
        message[i] = marked[i] = (int64_t)(i * 1000003 % 999983);
    CCZ_CT_SECRET(marked, sizeof(marked));
    const struct ccz_rlwe_msg m = {.coeff = marked};
    struct ccz_rlwe_ct ct;
    ccz_rlwe_ct_init(&ct, r);
    CCZ_AUTO(ccz_rlwe_sk) back = store_and_read(w, sk);
    must(ccz_rlwe_encrypt_sk(&ct, w, sk, DATA, m, NULL) == CCZ_OK, "secret-key encryption");
    check_phase(w, back, &ct, message);
    must(ccz_rlwe_encrypt_pk(&ct, w, pk, DATA, m, NULL) == CCZ_OK, "public-key encryption");
    check_phase(w, sk, &ct, message);
    if (leak) { /* negative control: an address from the sampled key */
        static volatile uint8_t table[256];
        table[0] = table[ccz_secret_view(sk->coeff)[0]];
    }
    ccz_rlwe_ct_deinit(&ct);
}

int main(int argc, char **argv)
{
    const struct ccz_rlwe_cfg cfg = {.n = N,
                                     .data_len = DATA,
                                     .special_len = 1,
                                     .bits = {45, 40, 45},
                                     .security_insecure = true};
    CCZ_AUTO(ccz_rlwe) r = NULL;
    must(ccz_rlwe_new(&r, &cfg, NULL) == CCZ_OK, "parameters");
    run(r, argc > 1 && strcmp(argv[1], "--leak") == 0);
    return 0;
}
