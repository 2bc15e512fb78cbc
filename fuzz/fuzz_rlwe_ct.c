/* SPDX-License-Identifier: Apache-2.0 */
/* Ciphertexts from the network. What is accepted is written again to the same bytes, has residues below
 * their primes and is not transparent; what is refused leaves nothing behind. */
#include "rlwe/rlwe_priv.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { META_SIZE = 24, BUF_SIZE_MAX = 1 << 20 };

static void must(bool ok)
{
    if (!ok)
        abort();
}

static struct ccz_rlwe_work *fixed_work(void)
{
    static struct ccz_rlwe *r;
    static struct ccz_rlwe_work *w;
    if (!w) {
        const struct ccz_rlwe_cfg cfg = {
            .n = 1024, .data_len = 2, .bits = {30, 25}, .security_insecure = true};
        must(ccz_rlwe_new(&r, &cfg, NULL) == CCZ_OK);
        must(ccz_rlwe_work_new(&w, r, NULL, NULL) == CCZ_OK);
    }
    return w;
}

static void check(const struct ccz_rlwe_ct *ct, const uint8_t *meta, struct ccz_span in)
{
    const struct ccz_rlwe *r = ct->ctx;
    must(ct->parts >= 2 && ct->parts <= 3 && ct->limbs >= 1 && ct->limbs <= r->data_len);
    for (size_t p = 0; p < ct->parts; p++)
        for (size_t i = 0; i < ct->limbs * r->n; i++)
            must(ct->c[p][i] < r->mod[i / r->n].q);
    must(!ccz_rlwe_ct_transparent(ct));
    CCZ_AUTO_BUF again;
    ccz_buf_init(&again, BUF_SIZE_MAX);
    must(ccz_rlwe_ct_write(&again, ct, CCZ_SPAN(meta, META_SIZE), NULL) == CCZ_OK);
    must(ccz_span_eq(ccz_buf_span(&again), in));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ccz_rlwe_work *w = fixed_work();
    static const uint8_t zero[META_SIZE];
    uint8_t meta[META_SIZE] = {0};
    struct ccz_err err = {0};
    struct ccz_rlwe_ct ct;
    ccz_rlwe_ct_init(&ct, ccz_rlwe_work_ctx(w));
    ccz_rc rc = ccz_rlwe_ct_read(&ct, meta, META_SIZE, w, CCZ_SPAN(data, size), NULL, &err);
    if (rc == CCZ_OK)
        check(&ct, meta, CCZ_SPAN(data, size));
    else
        must(ct.parts == 0 && err.rc == rc && err.where[0] && memcmp(meta, zero, META_SIZE) == 0);
    ccz_rlwe_ct_deinit(&ct);
    return 0;
}
