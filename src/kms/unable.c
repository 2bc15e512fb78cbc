/* SPDX-License-Identifier: Apache-2.0 */
/* Which refusals of the system's own calls are on record. */
#include "unable.h"

#include "kms_priv.h"

#include <stdlib.h>
#include <string.h>

struct slot {
    bool taken;
    uint8_t ns[32], id[32]; /* digests: of the namespace; of key and reason */
    int64_t since_s;
};
struct cczi_kms_unable {
    struct slot slot[CCZI_KMS_UNABLE_MAX];
};

ccz_rc cczi_kms_unable_new(struct cczi_kms_unable **out)
{
    *out = calloc(1, sizeof(**out));
    return *out ? CCZ_OK : CCZ_E_NOMEM;
}

void cczi_kms_unable_free(struct cczi_kms_unable *u)
{
    free(u);
}

/* @return false: it cannot be told from others */
static bool slot_of(struct slot *out, const struct cczi_kms_call *call, const char *where)
{
    char ns[CCZ_KMS_NAME_SIZE];
    if (!call->has_ref)
        return false;
    cczi_kms_ns_of(ns, call->ref.name);
    /* no name has a NUL in it */
    const struct ccz_span parts[] = {CCZ_SPAN(call->ref.name, strlen(call->ref.name) + 1),
                                     ccz_span_str(where)};
    *out = (struct slot){.taken = true, .since_s = call->req->now_s};
    return ccz_sha256(out->ns, ccz_span_str(ns)) == CCZ_OK &&
           ccz_hash(out->id, CCZ_SHA256, parts, 2) == CCZ_OK;
}

/* Neither an hour ago nor, by a clock that was put back, in the future. */
static bool counts(const struct slot *s, int64_t now_s)
{
    return s->taken && s->since_s <= now_s && now_s - s->since_s < CCZI_KMS_UNABLE_EVERY_S;
}

bool cczi_kms_unable_is_news(const struct cczi_kms_unable *u, const struct cczi_kms_call *call,
                             const char *where)
{
    struct slot is;
    size_t of_ns = 0;
    if (!slot_of(&is, call, where))
        return true;
    for (size_t i = 0; i < CCZI_KMS_UNABLE_MAX; i++) {
        const struct slot *s = &u->slot[i];
        if (!counts(s, is.since_s) || memcmp(s->ns, is.ns, sizeof(is.ns)) != 0)
            continue;
        if (memcmp(s->id, is.id, sizeof(is.id)) == 0)
            return false;
        of_ns++;
    }
    return of_ns < CCZI_KMS_UNABLE_NS_MAX;
}

void cczi_kms_unable_recorded(struct cczi_kms_unable *u, const struct cczi_kms_call *call,
                              const char *where)
{
    struct slot is, *at = &u->slot[0];
    if (!slot_of(&is, call, where))
        return;
    for (size_t i = 0; i < CCZI_KMS_UNABLE_MAX; i++) {
        struct slot *s = &u->slot[i];
        bool same = s->taken && memcmp(s->id, is.id, sizeof(is.id)) == 0;
        if (same || (at->taken && (!s->taken || s->since_s < at->since_s)))
            at = s;
        if (same)
            break;
    }
    *at = is;
}
