/* SPDX-License-Identifier: Apache-2.0 */
/* Byte 0 odd: a CCEL table, even: an event log. Invariants of a log that is accepted: iterating gives as many events as
 * counted, all views lie inside, the events fill it; the same events with other padding give the same registers. */
#include <cczoo/eventlog.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void inside(struct ccz_span part, struct ccz_span whole)
{
    if (part.size > whole.size || part.ptr < whole.ptr ||
        (size_t)(part.ptr - whole.ptr) > whole.size - part.size)
        abort();
}

static void table(struct ccz_span in)
{
    static const struct ccz_ccel none;
    struct ccz_ccel c;
    struct ccz_err err = {0};
    if (ccz_ccel_parse(&c, in, &err) != CCZ_OK &&
        (memcmp(&c, &none, sizeof(c)) != 0 || !err.where[0]))
        abort();
}

static void padded(const struct ccz_rtmrs *want, struct ccz_span in, const struct ccz_eventlog *log)
{
    size_t used = (size_t)(log->events.ptr - in.ptr) + log->events.size;
    uint8_t *p = malloc(used + 9);
    struct ccz_eventlog other;
    struct ccz_rtmrs got;
    if (!p)
        return;
    memcpy(p, in.ptr, used);
    memset(p + used, 0xff, 9);
    if (ccz_eventlog_parse(&other, CCZ_SPAN(p, used + 9), NULL) != CCZ_OK ||
        ccz_eventlog_replay(&got, &other, NULL) != CCZ_OK ||
        ccz_rtmrs_check(&got, want, NULL) != CCZ_OK)
        abort();
    free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct ccz_span in = CCZ_SPAN(data + 1, size - 1);
    if (data[0] % 2 == 1) {
        table(in);
        return 0;
    }
    static const struct ccz_eventlog none;
    struct ccz_eventlog log;
    struct ccz_err err = {0};
    if (ccz_eventlog_parse(&log, in, &err) != CCZ_OK) {
        if (memcmp(&log, &none, sizeof(log)) != 0 || !err.where[0])
            abort();
        return 0;
    }
    struct ccz_eventlog_iter it = ccz_eventlog_begin(&log);
    struct ccz_event e;
    size_t n = 0;
    while (ccz_eventlog_next(&e, &it)) {
        inside(e.digest, log.events);
        inside(e.data, log.events);
        if (e.number != ++n || e.digest.size != CCZ_RTMR_SIZE || e.mr_index > 4)
            abort();
    }
    if (n != log.events_len || it.at.left != 0)
        abort();
    struct ccz_rtmrs rtmrs;
    if (ccz_eventlog_replay(&rtmrs, &log, NULL) != CCZ_OK)
        abort();
    padded(&rtmrs, in, &log);
    return 0;
}
