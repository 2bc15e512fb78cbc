/* SPDX-License-Identifier: Apache-2.0 */
#include "eventlog/eventlog_priv.h"

#include <cczoo/crypto.h>
#include <stdio.h>
#include <string.h>

/* What a difference usually means. */
static const char *const hints[CCZ_RTMR_LEN] = {
    "firmware or its configuration is not what the log says",
    "boot loader, kernel or boot path is not what the log says",
    "extends after boot are not in the boot log: replay the log of whoever made them on top",
    "extends after boot are not in the boot log: replay the log of whoever made them on top",
};

ccz_rc ccz_eventlog_extend(struct ccz_rtmrs *rtmrs, unsigned index,
                           const uint8_t digest[CCZ_RTMR_SIZE])
{
    if (index >= CCZ_RTMR_LEN)
        return CCZ_E_ARG;
    const struct ccz_span parts[] = {CCZ_SPAN(rtmrs->value[index], CCZ_RTMR_SIZE),
                                     CCZ_SPAN(digest, CCZ_RTMR_SIZE)};
    uint8_t next[CCZ_RTMR_SIZE];
    ccz_rc rc = ccz_hash(next, CCZ_SHA384, parts, 2);
    if (rc == CCZ_OK)
        memcpy(rtmrs->value[index], next, sizeof(next));
    return rc;
}

ccz_rc ccz_eventlog_replay(struct ccz_rtmrs *out, const struct ccz_eventlog *log,
                           struct ccz_err *err)
{
    struct ccz_eventlog_iter it = ccz_eventlog_begin(log);
    struct ccz_event e;
    memset(out, 0, sizeof(*out));
    while (cczi_event_read(&e, &it)) {
        ccz_rc rc = e.extended ? ccz_eventlog_extend(out, e.mr_index - 1, e.digest.ptr) : CCZ_OK;
        if (rc != CCZ_OK) {
            memset(out, 0, sizeof(*out));
            return ccz_fail(err, rc, "eventlog:hash", 0, "cannot compute SHA-384");
        }
    }
    return CCZ_OK;
}

ccz_rc ccz_rtmrs_check(const struct ccz_rtmrs *replayed, const struct ccz_rtmrs *quoted,
                       struct ccz_err *err)
{
    for (size_t i = 0; i < CCZ_RTMR_LEN; i++) {
        if (memcmp(replayed->value[i], quoted->value[i], CCZ_RTMR_SIZE) == 0)
            continue;
        char where[CCZ_ERR_WHERE_SIZE];
        (void)snprintf(where, sizeof(where), "eventlog:rtmr%zu", i);
        ccz_rc rc = ccz_refuse_bytes(err, CCZ_E_MISMATCH, where, replayed->value[i], CCZ_RTMR_SIZE,
                                     quoted->value[i], CCZ_RTMR_SIZE);
        return ccz_hint(err, rc, hints[i]);
    }
    return CCZ_OK;
}
