/* SPDX-License-Identifier: Apache-2.0 */
/* Time for looks at all rows and for what takes as long, by namespace. */
#include "looks.h"

#include "kms_priv.h"
#include "rate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct cczi_kms_looks {
    struct cczi_rates rates; /* a request is a millisecond */
    int64_t last_ms;         /* that a look took */
};
static const struct cczi_rate rate = {CCZI_KMS_LOOKS_MS_PER_S, CCZI_KMS_LOOKS_BURST_MS};
static const struct cczi_rate share = {CCZI_KMS_LOOKS_MS_PER_S / CCZI_KMS_LOOKS_SHARES,
                                       CCZI_KMS_LOOKS_BURST_MS / CCZI_KMS_LOOKS_SHARES};

ccz_rc cczi_kms_looks_new(struct cczi_kms_looks **out)
{
    *out = calloc(1, sizeof(**out));
    if (!*out)
        return CCZ_E_NOMEM;
    (*out)->last_ms = CCZI_KMS_LOOKS_LEAST_MS;
    return cczi_rates_init(&(*out)->rates);
}

void cczi_kms_looks_free(struct cczi_kms_looks *l)
{
    free(l);
}

/* Names are longer than keys of buckets. */
static ccz_rc key_of(uint8_t key[32], const char *ns)
{
    return ccz_sha256(key, ccz_span_str(ns));
}

ccz_rc cczi_kms_looks_may(struct cczi_kms_looks *l, const char *ns, int64_t now_ms,
                          struct ccz_err *err)
{
    uint8_t key[32];
    uint32_t wait_s = 1;
    ccz_rc rc = key_of(key, ns);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "kms:look-rate", 0, "cannot hash a namespace");
    if (cczi_rates_take(&wait_s, &l->rates, CCZ_SPAN(key, 32), rate, now_ms))
        return CCZ_OK;
    size_t len = strcspn(ns, "/");
    ccz_fail(err, CCZ_E_LIMIT, "kms:look-rate", wait_s,
             "%s namespace \"%.*s\" have used up the time for what holds up all others",
             ns[len] ? "readers of" : "changes in", (int)len, ns);
    return cczi_kms_hint(err, CCZ_E_LIMIT);
}

void cczi_kms_looks_took(struct cczi_kms_looks *l, int64_t took_ms)
{
    l->last_ms = took_ms < CCZI_KMS_LOOKS_LEAST_MS ? CCZI_KMS_LOOKS_LEAST_MS : took_ms;
}

static void charge(struct cczi_kms_looks *l, const char *ns, int64_t took_ms, int64_t now_ms)
{
    uint8_t key[32];
    if (key_of(key, ns) == CCZ_OK) /* that it may was asked with the same hash */
        cczi_rates_charge(&l->rates, CCZ_SPAN(key, 32), rate, now_ms, (uint64_t)took_ms);
}

void cczi_kms_looks_pay(struct cczi_kms_looks *l, const char *ns, int64_t now_ms)
{
    charge(l, ns, l->last_ms, now_ms);
}

/* Whose time a call takes. */
enum { ACCOUNT_SIZE = CCZ_KMS_NAME_SIZE + 1 };
static const char *account(char out[ACCOUNT_SIZE], const struct cczi_kms_call *call)
{
    (void)snprintf(out, ACCOUNT_SIZE, "%s%s", call->ns, call->reads ? "/" : "");
    return out;
}

/* Done because several have agreed: nobody's own. */
static bool is_agreed(const struct cczi_kms_call *call)
{
    return call->approved && !call->store->trial;
}

/* What one who changes something may take of it. */
static ccz_rc key_of_share(uint8_t key[32], const struct cczi_kms_call *call)
{
    uint8_t text[CCZ_KMS_NAME_SIZE + 32] = {0};
    memcpy(text, call->ns, strlen(call->ns));
    memcpy(text + CCZ_KMS_NAME_SIZE, call->req->peer->spki_sha256, 32);
    return ccz_sha256(key, CCZ_SPAN(text, sizeof(text)));
}

static ccz_rc share_left(const struct cczi_kms_call *call, int64_t now_ms, struct ccz_err *err)
{
    uint8_t key[32];
    uint32_t wait_s = 1;
    ccz_rc rc = key_of_share(key, call);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "kms:look-rate", 0, "cannot hash a namespace");
    if (cczi_rates_take(&wait_s, &call->store->looks->rates, CCZ_SPAN(key, 32), share, now_ms))
        return CCZ_OK;
    ccz_fail(err, CCZ_E_LIMIT, "kms:look-rate", wait_s,
             "you have used up your share of the time for what holds up all others in namespace "
             "\"%s\"",
             call->ns);
    return cczi_kms_hint(err, CCZ_E_LIMIT);
}

ccz_rc cczi_kms_looks_begin(int64_t *from_ms, const struct cczi_kms_call *call, struct ccz_err *err)
{
    char of[ACCOUNT_SIZE];
    *from_ms = ccz_mono_ms();
    if (is_agreed(call))
        return CCZ_OK;
    ccz_rc rc = call->reads ? CCZ_OK : share_left(call, *from_ms, err);
    return rc == CCZ_OK ? cczi_kms_looks_may(call->store->looks, account(of, call), *from_ms, err)
                        : rc;
}

void cczi_kms_looks_end(const struct cczi_kms_call *call, int64_t from_ms)
{
    char of[ACCOUNT_SIZE];
    uint8_t key[32];
    int64_t now_ms = ccz_mono_ms();
    struct cczi_kms_looks *l = call->store->looks;
    charge(l, account(of, call), now_ms - from_ms, now_ms);
    if (!call->reads && !is_agreed(call) && key_of_share(key, call) == CCZ_OK)
        cczi_rates_charge(&l->rates, CCZ_SPAN(key, 32), share, now_ms,
                          (uint64_t)(now_ms - from_ms));
}

ccz_rc cczi_kms_look_whole(const struct cczi_kms_call *call, struct ccz_err *err)
{
    struct ccz_kms_store *s = call->store;
    ccz_rc rc = cczi_kms_looks_may(s->looks, call->ns, ccz_mono_ms(), err);
    if (rc != CCZ_OK)
        return rc;
    rc = cczi_kms_rows_whole(s, err);
    if (s->whole) /* or nothing was looked at yet: this transaction starts again as one that may */
        cczi_kms_looks_pay(s->looks, call->ns, ccz_mono_ms());
    return rc;
}
