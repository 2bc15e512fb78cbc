/* SPDX-License-Identifier: Apache-2.0 */
/* Keys from files and from the network; the first byte chooses the reader. What is accepted is written
 * again to the same bytes; what is refused leaves nothing behind. */
#include "rlwe/rlwe_priv.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BUF_SIZE_MAX = 1 << 20 };

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
        const struct ccz_rlwe_cfg cfg = {.n = 1024,
                                         .data_len = 1,
                                         .special_len = 1,
                                         .bits = {25, 25},
                                         .security_insecure = true};
        must(ccz_rlwe_new(&r, &cfg, NULL) == CCZ_OK);
        must(ccz_rlwe_work_new(&w, r, NULL, NULL) == CCZ_OK);
    }
    return w;
}

static ccz_rc read_sk(struct ccz_buf *again, struct ccz_rlwe_work *w, struct ccz_span in,
                      struct ccz_err *err)
{
    if (in.size == 0)
        return ccz_fail(err, CCZ_E_FORMAT, "rlwe:size", 0, "no such secret");
    CCZ_AUTO(ccz_secret) s = NULL;
    CCZ_AUTO(ccz_secret) out = NULL;
    CCZ_AUTO(ccz_rlwe_sk) sk = NULL;
    must(ccz_secret_from(&s, in.ptr, in.size) == CCZ_OK);
    ccz_rc rc = ccz_rlwe_sk_read(&sk, w, s, err);
    must((rc == CCZ_OK) == (sk != NULL));
    if (sk) {
        must(ccz_rlwe_sk_write(&out, sk, NULL) == CCZ_OK);
        ccz_buf_put(again, ccz_secret_view(out), ccz_secret_size(out));
    }
    return rc;
}

static ccz_rc read_pk(struct ccz_buf *again, struct ccz_rlwe_work *w, struct ccz_span in,
                      struct ccz_err *err)
{
    CCZ_AUTO(ccz_rlwe_pk) pk = NULL;
    ccz_rc rc = ccz_rlwe_pk_read(&pk, w, in, NULL, err);
    must((rc == CCZ_OK) == (pk != NULL));
    if (pk)
        must(ccz_rlwe_pk_write(again, pk, NULL) == CCZ_OK);
    return rc;
}

static ccz_rc read_swk(struct ccz_buf *again, struct ccz_rlwe_work *w, struct ccz_span in,
                       struct ccz_err *err)
{
    CCZ_AUTO(ccz_rlwe_swk) k = NULL;
    ccz_rc rc = ccz_rlwe_swk_read(&k, w, in, NULL, err);
    must((rc == CCZ_OK) == (k != NULL));
    if (k)
        must(ccz_rlwe_swk_write(again, k, NULL) == CCZ_OK);
    return rc;
}

static ccz_rc read_set(struct ccz_buf *again, struct ccz_rlwe_work *w, struct ccz_span in,
                       struct ccz_err *err)
{
    CCZ_AUTO(ccz_rlwe_galois_set) s = NULL;
    ccz_rc rc = ccz_rlwe_galois_set_read(&s, w, in, NULL, err);
    must((rc == CCZ_OK) == (s != NULL));
    if (s)
        must(ccz_rlwe_galois_set_write(again, s, NULL) == CCZ_OK);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static ccz_rc (*const readers[])(struct ccz_buf * again, struct ccz_rlwe_work * w,
                                     struct ccz_span in,
                                     struct ccz_err * err) = {read_sk, read_pk, read_swk, read_set};
    if (size == 0)
        return 0;
    struct ccz_err err = {0};
    struct ccz_span in = CCZ_SPAN(data + 1, size - 1);
    CCZ_AUTO_BUF again;
    ccz_buf_init(&again, BUF_SIZE_MAX);
    ccz_rc rc = readers[data[0] % 4](&again, fixed_work(), in, &err);
    if (rc == CCZ_OK)
        must(ccz_span_eq(ccz_buf_span(&again), in));
    else
        must(err.rc == rc && err.where[0]);
    return 0;
}
