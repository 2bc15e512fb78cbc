/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_TOY_EVIDENCE_H
#define CCZ_TOY_EVIDENCE_H
/* Evidence for tests below the real formats: "TOYQ", report data, MAC. Any changed byte is noticed,
 * so a test that expects a binding failure cannot be satisfied by a signature failure. */
#include <cczoo/crypto.h>
#include <cczoo/ratls.h>

#include <stdatomic.h>
#include <string.h>
#include <time.h>

enum { TOY_QUOTE_SIZE = 4 + 64 + 32 };
struct toy {
    atomic_uint attested, appraised; /* how often the hooks ran */
    uint8_t *keep;                   /* gets a copy of each quote */
    bool broken;                     /* attest fails */
    bool simulated;                  /* appraise says so */
    size_t filler;                   /* attest writes this many bytes of nonsense instead */
    const uint8_t *replay;           /* attest gives this quote instead of a new one */
    _Atomic ccz_rc appraise_rc;      /* appraise fails with this */
    atomic_long delay_ms;            /* attest takes so long */
};

static inline ccz_rc toy_mac(uint8_t mac[32], const uint8_t report_data[64])
{
    struct ccz_span part = {report_data, 64};
    return ccz_hmac(mac, CCZ_SHA256, ccz_span_str("toy platform key"), &part, 1);
}

static inline ccz_rc toy_attest(void *arg, struct ccz_buf *quote, const uint8_t report_data[64],
                                struct ccz_err *err)
{
    struct toy *t = arg;
    uint8_t mac[32];
    atomic_fetch_add(&t->attested, 1);
    long delay_ms = t->delay_ms;
    if (delay_ms)
        nanosleep(
            &(struct timespec){.tv_sec = delay_ms / 1000, .tv_nsec = delay_ms % 1000 * 1000000},
            NULL);
    if (t->broken)
        return ccz_fail(err, CCZ_E_UNAVAILABLE, "toy:attest", 0, "no device");
    if (t->filler) {
        uint8_t *p = ccz_buf_extend(quote, t->filler);
        if (p)
            memset(p, 'x', t->filler);
        return CCZ_OK;
    }
    if (t->replay) {
        ccz_buf_put(quote, t->replay, TOY_QUOTE_SIZE);
        return CCZ_OK;
    }
    ccz_rc rc = toy_mac(mac, report_data);
    ccz_buf_put_str(quote, "TOYQ");
    ccz_buf_put(quote, report_data, 64);
    ccz_buf_put(quote, mac, 32);
    if (t->keep)
        memcpy(t->keep, quote->ptr, TOY_QUOTE_SIZE);
    return rc;
}

static inline ccz_rc toy_appraise(void *arg, struct ccz_claims *claims, struct ccz_span quote,
                                  struct ccz_err *err)
{
    struct toy *t = arg;
    uint8_t mac[32];
    atomic_fetch_add(&t->appraised, 1);
    ccz_rc appraise_rc = t->appraise_rc;
    if (appraise_rc != CCZ_OK)
        return ccz_refuse(err, appraise_rc, "policy:mrenclave", "11aa", "22bb");
    if (quote.size != TOY_QUOTE_SIZE || memcmp(quote.ptr, "TOYQ", 4) != 0)
        return ccz_fail(err, CCZ_E_FORMAT, "toy:quote", 0, "no toy quote");
    if (toy_mac(mac, quote.ptr + 4) != CCZ_OK || !ccz_ct_eq(mac, quote.ptr + 68, 32))
        return ccz_fail(err, CCZ_E_SIG, "toy:mac", 0, "not made by the toy platform");
    claims->tee = CCZ_TEE_SGX;
    claims->isv_svn = 7;
    claims->simulated = t->simulated;
    memcpy(claims->report_data, quote.ptr + 4, 64);
    return CCZ_OK;
}
#endif
