/* SPDX-License-Identifier: Apache-2.0 */
/* Work between two transactions: what a call leaves, and finds again. */
#include "use_priv.h"

#include <stdlib.h>
#include <string.h>

ccz_rc cczi_kms_work_new(struct cczi_kms_work **out, void (*run)(struct cczi_kms_work *w),
                         struct ccz_err *err)
{
    struct cczi_kms_work *w = calloc(1, sizeof(*w));
    *out = w;
    if (!w)
        return ccz_fail(err, CCZ_E_NOMEM, "kms:key-memory", 0, "out of memory");
    w->run = run;
    ccz_buf_init(&w->value, CCZ_KMS_MESSAGE_SIZE_MAX);
    w->value.wipe = true;
    ccz_buf_init(&w->sealed, CCZ_KMS_MESSAGE_SIZE_MAX);
    ccz_buf_init(&w->given, CCZ_KMS_MESSAGE_SIZE_MAX);
    return CCZ_OK;
}

void cczi_kms_work_free(struct cczi_kms_work *w)
{
    if (!w)
        return;
    ccz_buf_free(&w->value);
    ccz_buf_free(&w->sealed);
    ccz_buf_free(&w->given);
    ccz_secret_free(w->material);
    cczi_kms_opened_unref(w->key);
    cczi_kms_opened_unref(w->from);
    free(w);
}

void cczi_kms_work_do(struct cczi_kms_work *w)
{
    w->run(w);
    w->done = true;
}

ccz_rc cczi_kms_later(struct cczi_kms_call *call, struct cczi_kms_work **w, struct ccz_err *err)
{
    cczi_kms_work_free(*call->work);
    cczi_kms_ns_of((*w)->ns, call->ref.name);
    *call->work = cczi_kms_work_take(w);
    call->later = true;
    return ccz_fail(err, CCZ_E_UNAVAILABLE, "kms:later", 0, "the work of this call is not done");
}

struct cczi_kms_work *cczi_kms_work_of(const struct cczi_kms_call *call, const uint8_t *made_for)
{
    static const uint8_t none[32];
    struct cczi_kms_work *w = *call->work;
    /* MACs are public: they stand in the database */
    bool fits = w && w->done && memcmp(w->made_for, made_for ? made_for : none, 32) == 0;
    return fits ? w : NULL;
}
