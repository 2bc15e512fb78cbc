/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of packing from the network: what is accepted is written to the same bytes. The first byte says which doublings are wanted. */
#include <cczoo/bfv.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static struct ccz_bfv_eval *fixed_eval(void)
{
    static struct ccz_bfv *c, *pack;
    static struct ccz_bfv_eval *e;
    if (!e) {
        const struct ccz_bfv_cfg cfg = {
            .ring = {.n = 1024, .data_len = 2, .bits = {30, 25}, .security_insecure = true},
            .plain_bits = 8};
        struct ccz_bfv_cfg pack_cfg;
        must(ccz_bfv_new(&c, &cfg, NULL) == CCZ_OK);
        must(ccz_bfv_pack_cfg(&pack_cfg, c, 1, NULL) == CCZ_OK);
        must(ccz_bfv_new(&pack, &pack_cfg, NULL) == CCZ_OK);
        must(ccz_bfv_eval_new(&e, pack, NULL, NULL) == CCZ_OK);
    }
    return e;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CCZ_AUTO(ccz_bfv_pack_key) key = NULL;
    CCZ_AUTO_BUF again;
    ccz_buf_init(&again, size);
    if (size < 1)
        return 0;
    const struct ccz_span in = CCZ_SPAN(data + 1, size - 1);
    if (ccz_bfv_pack_key_read(&key, fixed_eval(), in, NULL, data[0], NULL) != CCZ_OK) {
        must(!key);
        return 0;
    }
    must(ccz_bfv_pack_key_write(&again, key, NULL) == CCZ_OK);
    must(ccz_span_eq(ccz_buf_span(&again), in));
    return 0;
}
