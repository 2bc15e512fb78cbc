/* SPDX-License-Identifier: Apache-2.0 */
/* BFV ciphertexts from the network: what is accepted decrypts by its own bound, and is written to the same bytes. */
#include <cczoo/bfv.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static struct ccz_bfv_eval *fixed_eval(const struct ccz_bfv **ctx)
{
    static struct ccz_bfv *c;
    static struct ccz_bfv_eval *e;
    if (!e) {
        const struct ccz_bfv_cfg cfg = {
            .ring = {.n = 1024, .data_len = 2, .bits = {30, 25}, .security_insecure = true},
            .plain_bits = 16};
        must(ccz_bfv_new(&c, &cfg, NULL) == CCZ_OK);
        must(ccz_bfv_eval_new(&e, c, NULL, NULL) == CCZ_OK);
    }
    *ctx = c;
    return e;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct ccz_bfv *c;
    struct ccz_bfv_eval *e = fixed_eval(&c);
    CCZ_AUTO(ccz_bfv_ct) ct = NULL;
    CCZ_AUTO_BUF again;
    ccz_buf_init(&again, size + 1);
    must(ccz_bfv_ct_new(&ct, c, NULL) == CCZ_OK);
    if (ccz_bfv_ct_read(ct, e, CCZ_SPAN(data, size), NULL, NULL) == CCZ_OK) {
        must(ccz_bfv_noise_bits(ct) < ccz_bfv_room(c, ct->ct.limbs) && ct->ct.parts == 2);
        must(ccz_bfv_ct_write(&again, ct, NULL) == CCZ_OK);
        must(ccz_span_eq(ccz_buf_span(&again), CCZ_SPAN(data, size)));
    } else {
        must(ct->ct.parts == 0);
    }
    if (ccz_bfv_ct_read_fresh(ct, e, CCZ_SPAN(data, size), NULL, NULL) == CCZ_OK)
        must(ccz_bfv_noise_bits(ct) < ccz_bfv_room(c, ct->ct.limbs));
    return 0;
}
