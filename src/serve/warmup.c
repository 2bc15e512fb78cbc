/* SPDX-License-Identifier: Apache-2.0 */
/* Warm-up records: TFRecord of PredictionLog. */
#include <cczoo/codec.h>
#include <cczoo/serve.h>

#include <stdlib.h>
#include <string.h>

#define CRC_POLY 0x82f63b78u /* Castagnoli, bits reversed */
#define CRC_MASK 0xa282ead8u /* so that a CRC of data that holds CRCs is no weaker */

struct reader {
    const struct ccz_serve_warmup *w;
    uint32_t table[256];
    uint8_t *data;
    size_t cap, max;
    size_t record; /* from 1 */
    int64_t end_ms;
};

static void crc_table(uint32_t table[256])
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int k = 0; k < 8; k++)
            c = c >> 1 ^ (c & 1 ? CRC_POLY : 0);
        table[i] = c;
    }
}

static uint32_t masked_crc(const struct reader *r, const uint8_t *p, size_t size)
{
    uint32_t c = ~(uint32_t)0;
    for (size_t i = 0; i < size; i++)
        c = c >> 8 ^ r->table[(c ^ p[i]) & 0xff];
    c = ~c;
    return (c >> 15 | c << 17) + CRC_MASK;
}

static ccz_rc bad_record(const struct reader *r, const char *what, struct ccz_err *err)
{
    (void)ccz_fail(err, CCZ_E_FORMAT, "serve:warmup-record", (int64_t)r->record,
                   "warm-up record %zu: got %s, expected a TFRecord", r->record, what);
    return ccz_hint(err, CCZ_E_FORMAT,
                    "tf.io.TFRecordWriter without compression writes " CCZ_SERVE_WARMUP_FILE);
}

/* @param[out] got  @p size, or 0 at the end of the file */
static ccz_rc take(size_t *got, struct reader *r, uint8_t *to, size_t size, struct ccz_err *err)
{
    *got = 0;
    while (*got < size) {
        const ptrdiff_t n = r->w->read(r->w->arg, to + *got, size - *got, err);
        if (n < 0)
            return err && err->rc != CCZ_OK
                       ? err->rc
                       : ccz_fail(err, CCZ_E_IO, "serve:warmup-read", (int64_t)r->record,
                                  "warm-up record %zu cannot be read", r->record);
        if (n == 0)
            return *got ? bad_record(r, "the end of the file in it", err) : CCZ_OK;
        *got += (size_t)n;
    }
    return CCZ_OK;
}

static ccz_rc room_for(struct reader *r, size_t size, struct ccz_err *err)
{
    if (size <= r->cap)
        return CCZ_OK;
    uint8_t *p = malloc(size);
    if (!p)
        return ccz_fail(err, CCZ_E_NOMEM, "serve:memory", 0, "out of memory");
    if (r->data)
        ccz_wipe(r->data, r->cap);
    free(r->data);
    r->data = p;
    r->cap = size;
    return CCZ_OK;
}

/* @param[out] record  in r->data; ptr is NULL at the end of the file */
static ccz_rc next_record(struct ccz_span *record, struct reader *r, struct ccz_err *err)
{
    enum { HEAD = 12, TAIL = 4 };
    uint8_t head[HEAD];
    size_t got;
    *record = (struct ccz_span){0};
    ccz_rc rc = take(&got, r, head, HEAD, err);
    if (rc != CCZ_OK || got == 0)
        return rc;
    struct ccz_rd rd = ccz_rd_from(CCZ_SPAN(head, HEAD));
    const uint64_t size = ccz_rd_le64(&rd);
    if (ccz_rd_le32(&rd) != masked_crc(r, head, sizeof(size)))
        return bad_record(r, "a length that has another CRC", err);
    if (size > r->max)
        return ccz_fail(err, CCZ_E_LIMIT, "serve:warmup-size", (int64_t)r->record,
                        "warm-up record %zu: got %llu bytes, expected at most %zu", r->record,
                        (unsigned long long)size, r->max);
    rc = room_for(r, (size_t)size + TAIL, err);
    if (rc == CCZ_OK)
        rc = take(&got, r, r->data, (size_t)size + TAIL, err);
    if (rc != CCZ_OK)
        return rc;
    rd = ccz_rd_from(CCZ_SPAN(r->data + size, TAIL));
    if (got == 0 || ccz_rd_le32(&rd) != masked_crc(r, r->data, (size_t)size))
        return bad_record(r, got ? "data that has another CRC" : "the end of the file in it", err);
    *record = CCZ_SPAN(r->data, (size_t)size);
    return CCZ_OK;
}

/* The last field of that number: what protobuf takes if there are several. */
static bool field_of(struct ccz_span *out, struct ccz_span message, uint32_t number)
{
    struct ccz_rd rd = ccz_rd_from(message);
    struct ccz_pb_field f;
    *out = (struct ccz_span){0};
    while (ccz_pb_next(&f, &rd))
        if (f.number == number && f.wire == CCZ_PB_LEN)
            *out = f.bytes;
    return !rd.bad;
}

/* @param[out] path  of the method that the log is of; NULL: a log of nothing */
static ccz_rc open_log(const char **path, struct ccz_span *request, const struct reader *r,
                       struct ccz_span record, struct ccz_err *err)
{
    static const char *const paths[] = {[2] = CCZ_INFER_PATH_CLASSIFY,
                                        [3] = CCZ_INFER_PATH_REGRESS,
                                        [4] = CCZ_INFER_PATH_MULTI,
                                        [6] = CCZ_INFER_PATH_PREDICT};
    struct ccz_rd rd = ccz_rd_from(record);
    struct ccz_pb_field f, log = {0};
    *path = NULL;
    while (ccz_pb_next(&f, &rd))
        if (f.number >= 2 && f.number <= 7 && f.wire == CCZ_PB_LEN)
            log = f;
    if (rd.bad || (log.number && !field_of(request, log.bytes, 1)))
        return ccz_fail(err, CCZ_E_FORMAT, "serve:warmup-log", (int64_t)r->record,
                        "warm-up record %zu: got other bytes, expected a PredictionLog", r->record);
    if (log.number == 5 || log.number == 7)
        return ccz_fail(err, CCZ_E_UNSUPPORTED, "serve:warmup-log", (int64_t)r->record,
                        "Unsupported log_type for warmup: %u", log.number);
    if (log.number)
        *path = paths[log.number];
    return CCZ_OK;
}

static int64_t now_ms(const struct ccz_serve_warmup *w)
{
    return w->mono_ms ? w->mono_ms(w->arg) : ccz_mono_ms();
}

/* What is left of the time. */
static ccz_rc time_left(uint32_t *ms, const struct reader *r, struct ccz_err *err)
{
    const int64_t now = now_ms(r->w);
    *ms = now < r->end_ms ? (uint32_t)(r->end_ms - now) : 0;
    return *ms ? CCZ_OK
               : ccz_fail(err, CCZ_E_LIMIT, "serve:warmup-time", (int64_t)r->record,
                          "warm-up record %zu: the time for all of them is over", r->record);
}

static ccz_rc replay(const struct reader *r, struct ccz_span record, struct ccz_err *err)
{
    const char *path;
    struct ccz_span request;
    ccz_rc rc = open_log(&path, &request, r, record, err);
    const unsigned iterations = r->w->iterations ? r->w->iterations : 1;
    uint32_t left_ms = 0;
    for (unsigned i = 0; rc == CCZ_OK && path && i < iterations; i++) {
        rc = time_left(&left_ms, r, err);
        if (rc == CCZ_OK)
            rc = r->w->replay(r->w->arg, path, request, left_ms, err);
    }
    return rc;
}

static ccz_rc each_record(size_t *done, struct reader *r, struct ccz_err *err)
{
    for (;;) {
        struct ccz_span record;
        r->record = *done + 1;
        ccz_rc rc = next_record(&record, r, err);
        if (rc != CCZ_OK || !record.ptr)
            return rc;
        if (*done == CCZ_SERVE_WARMUP_RECORDS_MAX)
            return ccz_fail(err, CCZ_E_LIMIT, "serve:warmup-records", (int64_t)r->record,
                            "Number of warmup records exceeds the maximum (%d)",
                            CCZ_SERVE_WARMUP_RECORDS_MAX);
        rc = replay(r, record, err);
        if (rc != CCZ_OK)
            return rc;
        ++*done;
    }
}

ccz_rc ccz_serve_warmup(size_t *records, const struct ccz_serve_warmup *w, struct ccz_err *err)
{
    struct reader r = {.w = w, .max = CCZ_SERVE_WARMUP_RECORD_SIZE_MAX};
    struct ccz_err own = {
        0}; /* read() tells its reason in one, whatever the caller wants to know */
    size_t done = 0;
    if (w->record_size_max)
        r.max = w->record_size_max;
    r.end_ms = now_ms(w) + (w->time_ms ? w->time_ms : CCZ_SERVE_WARMUP_TIME_MS);
    crc_table(r.table);
    ccz_rc rc = each_record(&done, &r, &own);
    if (r.data)
        ccz_wipe(r.data, r.cap);
    free(r.data);
    if (rc != CCZ_OK && err)
        *err = own;
    if (records)
        *records = done;
    return rc;
}
