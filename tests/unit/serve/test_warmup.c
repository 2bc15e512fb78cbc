/* SPDX-License-Identifier: Apache-2.0 */
#include <cczoo/codec.h>
#include <cczoo/serve.h>

#include "ccz_test.h"
#include "refused.h"

#include <stdint.h>

static struct ccz_err err;

/* CRC-32C bit by bit, as its definition has it (RFC 3720, appendix B.4). */
static uint32_t crc(const uint8_t *p, size_t size)
{
    uint32_t c = 0xffffffff;
    for (size_t i = 0; i < size * 8; i++) {
        const uint32_t bit = (uint32_t)(p[i / 8] >> (i % 8) & 1) ^ (c & 1);
        c = (c >> 1) ^ (bit ? 0x82f63b78u : 0);
    }
    return ~c;
}

static uint32_t masked(const uint8_t *p, size_t size)
{
    const uint32_t c = crc(p, size);
    return ((c >> 15) | (c << 17)) + 0xa282ead8u;
}

static void put_record(struct ccz_buf *out, struct ccz_span data)
{
    uint8_t len[8];
    for (int i = 0; i < 8; i++)
        len[i] = (uint8_t)((uint64_t)data.size >> (8 * i));
    ccz_buf_put(out, len, 8);
    ccz_buf_le32(out, masked(len, 8));
    ccz_buf_put_span(out, data);
    ccz_buf_le32(out, masked(data.ptr, data.size));
}

/* PredictionLog with log field @p kind whose request is @p request. */
static void put_log(struct ccz_buf *out, uint32_t kind, const char *request)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 4096);
    const size_t metadata = ccz_pb_open(&b, 1);
    ccz_pb_close(&b, metadata);
    const size_t log = ccz_pb_open(&b, kind);
    ccz_pb_put_str(&b, 1, request);
    ccz_pb_put_str(&b, 2, "response");
    ccz_pb_close(&b, log);
    put_record(out, ccz_buf_span(&b));
}

struct run {
    struct ccz_span left;
    size_t chunk;      /* bytes given at a time */
    size_t fail_after; /* requests; 0 = never */
    size_t seen;
    char log[512];
    int64_t clock_ms, took_ms; /* what time it is, what one request takes */
    uint32_t timeout_ms;       /* of the last request */
};

static ptrdiff_t give(void *arg, void *to, size_t size, struct ccz_err *e)
{
    struct run *r = arg;
    (void)e;
    size_t n = size < r->left.size ? size : r->left.size;
    n = r->chunk && n > r->chunk ? r->chunk : n;
    if (n > 0)
        memcpy(to, r->left.ptr, n);
    r->left = ccz_span_sub(r->left, n, r->left.size - n);
    return (ptrdiff_t)n;
}

static ptrdiff_t give_error(void *arg, void *to, size_t size, struct ccz_err *e)
{
    (void)arg;
    memset(to, 0, size);
    (void)ccz_fail(e, CCZ_E_SIG, "test:read", 0, "damaged chunk");
    return -1;
}

static int64_t clock_ms(void *arg)
{
    const struct run *r = arg;
    return r->clock_ms;
}

static ccz_rc replay(void *arg, const char *path, struct ccz_span request, uint32_t timeout_ms,
                     struct ccz_err *e)
{
    struct run *r = arg;
    r->clock_ms += r->took_ms;
    r->timeout_ms = timeout_ms;
    if (r->fail_after && r->seen + 1 == r->fail_after)
        return ccz_fail(e, CCZ_E_FORMAT, "test:run", 0, "the model refused it");
    const size_t n = strlen(r->log);
    if (r->seen++ < 12)
        (void)snprintf(r->log + n, sizeof(r->log) - n, "%s=%.*s;", strrchr(path, '/') + 1,
                       (int)request.size, (const char *)request.ptr);
    return CCZ_OK;
}

static ccz_rc warm(size_t *records, struct run *r, struct ccz_span file, unsigned iterations)
{
    const struct ccz_serve_warmup w = {
        .read = give, .replay = replay, .arg = r, .iterations = iterations};
    r->left = file;
    err = (struct ccz_err){0};
    return ccz_serve_warmup(records, &w, &err);
}

static void test_replays(void)
{
    CCZ_AUTO_BUF f;
    struct run r = {0};
    size_t n = 7;
    ccz_buf_init(&f, 65536);
    CHECK(crc((const uint8_t *)"123456789", 9) == 0xe3069283u); /* the check value of CRC-32C */
    CHECK(warm(&n, &r, ccz_buf_span(&f), 0) == CCZ_OK && n == 0 && r.seen == 0);
    put_log(&f, 6, "a");
    put_log(&f, 6, "b");
    CHECK(warm(&n, &r, ccz_buf_span(&f), 0) == CCZ_OK && n == 2);
    CHECK(strcmp(r.log, "Predict=a;Predict=b;") == 0);
    r = (struct run){.chunk = 1};
    CHECK(warm(&n, &r, ccz_buf_span(&f), 3) == CCZ_OK && n == 2);
    CHECK(strcmp(r.log, "Predict=a;Predict=a;Predict=a;Predict=b;Predict=b;Predict=b;") == 0);
    /* written by TensorFlow 2.21's TFRecordWriter: "abc", which is no PredictionLog, and an empty record */
    static const uint8_t real[] = {
        0x03, 0,    0, 0, 0, 0, 0, 0, 0xb0, 0x99, 0x49, 0x0e, 'a',  'b',  'c',  0x6e, 0x57, 0xf1,
        0x21, 0x00, 0, 0, 0, 0, 0, 0, 0,    0x29, 0x03, 0x98, 0x07, 0xd8, 0xea, 0x82, 0xa2};
    CHECK(is_refused(warm(&n, &r, CCZ_SPAN(real, sizeof(real)), 0), CCZ_E_FORMAT, &err,
                     "serve:warmup-log"));
    CHECK(warm(&n, &r, CCZ_SPAN(real + 19, sizeof(real) - 19), 0) == CCZ_OK && n == 1);
}

static void test_kinds(void)
{
    CCZ_AUTO_BUF f;
    struct run r = {0};
    size_t n;
    ccz_buf_init(&f, 65536);
    put_log(&f, 2, "c");
    put_log(&f, 3, "r");
    put_log(&f, 4, "m");
    put_log(&f, 6, "p");
    put_record(&f, (struct ccz_span){0}); /* a log of nothing does nothing */
    CHECK(warm(&n, &r, ccz_buf_span(&f), 0) == CCZ_OK && n == 5);
    CHECK(strcmp(r.log, "Classify=c;Regress=r;MultiInference=m;Predict=p;") == 0);
    ccz_buf_clear(&f);
    put_log(&f, 6, "p");
    put_log(&f, 5, "s");
    CHECK(
        is_refused(warm(&n, &r, ccz_buf_span(&f), 0), CCZ_E_UNSUPPORTED, &err, "serve:warmup-log"));
    CHECK(n == 1 && err.aux == 2 && strcmp(err.msg, "Unsupported log_type for warmup: 5") == 0);
    ccz_buf_clear(&f);
    put_log(&f, 7, "s");
    CHECK(
        is_refused(warm(&n, &r, ccz_buf_span(&f), 0), CCZ_E_UNSUPPORTED, &err, "serve:warmup-log"));
}

/* Every bit matters, and every length but whole records. */
static void test_damaged(void)
{
    CCZ_AUTO_BUF f;
    size_t n;
    ccz_buf_init(&f, 65536);
    put_log(&f, 6, "a");
    const size_t first = f.size;
    put_log(&f, 6, "b");
    for (size_t i = 0; i < f.size * 8; i++) {
        struct run r = {0};
        f.ptr[i / 8] ^= (uint8_t)(1 << i % 8);
        CHECK(is_refused(warm(&n, &r, ccz_buf_span(&f), 0), CCZ_E_FORMAT, &err,
                         "serve:warmup-record"));
        CHECK(n == (i / 8 < first ? 0 : 1) && err.aux == (int64_t)n + 1);
        f.ptr[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    for (size_t size = 0; size <= f.size; size++) {
        struct run r = {0};
        ccz_rc rc = warm(&n, &r, CCZ_SPAN(f.ptr, size), 0);
        CHECK((rc == CCZ_OK) == (size == 0 || size == first || size == f.size));
    }
}

static void test_limits(void)
{
    CCZ_AUTO_BUF f;
    struct run r = {0};
    size_t n;
    ccz_buf_init(&f, 1048576);
    for (int i = 0; i < CCZ_SERVE_WARMUP_RECORDS_MAX; i++)
        put_log(&f, 6, "a");
    CHECK(warm(&n, &r, ccz_buf_span(&f), 0) == CCZ_OK && n == 1000 && r.seen == 1000);
    put_log(&f, 6, "a");
    CHECK(is_refused(warm(&n, &r, ccz_buf_span(&f), 0), CCZ_E_LIMIT, &err, "serve:warmup-records"));
    CHECK(strcmp(err.msg, "Number of warmup records exceeds the maximum (1000)") == 0 && n == 1000);
    ccz_buf_clear(&f);
    put_log(&f, 6, "0123456789012345678901234567890123456789");
    struct ccz_serve_warmup w = {.read = give, .replay = replay, .arg = &r, .record_size_max = 40};
    r.left = ccz_buf_span(&f);
    CHECK(is_refused(ccz_serve_warmup(&n, &w, &err), CCZ_E_LIMIT, &err, "serve:warmup-size"));
    /* a length of its own CRC that no memory is for */
    uint8_t huge[12] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    for (int i = 0; i < 4; i++)
        huge[8 + i] = (uint8_t)(masked(huge, 8) >> (8 * i));
    CHECK(is_refused(warm(&n, &r, CCZ_SPAN(huge, 12), 0), CCZ_E_LIMIT, &err, "serve:warmup-size"));
}

/* Others wait for the thread that loads this model: not for ever. */
static void test_time(void)
{
    CCZ_AUTO_BUF f;
    struct run r = {.clock_ms = 5000, .took_ms = 100000};
    size_t n;
    ccz_buf_init(&f, 65536);
    for (int i = 0; i < 3; i++)
        put_log(&f, 6, "a");
    struct ccz_serve_warmup w = {
        .read = give, .replay = replay, .arg = &r, .iterations = 2, .mono_ms = clock_ms};
    r.left = ccz_buf_span(&f);
    CHECK(ccz_serve_warmup(&n, &w, &err) == CCZ_OK && n == 3 && r.seen == 6);
    CHECK(r.timeout_ms == 100000); /* of ten minutes */
    w.iterations = 3;
    r.left = ccz_buf_span(&f);
    err = (struct ccz_err){0};
    CHECK(is_refused(ccz_serve_warmup(&n, &w, &err), CCZ_E_LIMIT, &err, "serve:warmup-time"));
    CHECK(n == 2 && r.seen == 12 && err.aux == 3);
    w.time_ms = 100001;
    r.left = ccz_buf_span(&f);
    CHECK(is_refused(ccz_serve_warmup(&n, &w, &err), CCZ_E_LIMIT, &err, "serve:warmup-time"));
    CHECK(n == 0 && r.seen == 14 && r.timeout_ms == 1);
}

static void test_failures(void)
{
    CCZ_AUTO_BUF f;
    struct run r = {.fail_after = 2};
    size_t n;
    ccz_buf_init(&f, 65536);
    put_log(&f, 6, "a");
    put_log(&f, 6, "b");
    CHECK(is_refused(warm(&n, &r, ccz_buf_span(&f), 0), CCZ_E_FORMAT, &err, "test:run") && n == 1);
    struct ccz_serve_warmup w = {.read = give_error, .replay = replay, .arg = &r};
    CHECK(is_refused(ccz_serve_warmup(NULL, &w, &err), CCZ_E_SIG, &err, "test:read"));
    CHECK(ccz_serve_warmup(NULL, &w, NULL) == CCZ_E_SIG);
    static const char text[] = "not a record file, but a text";
    CHECK(
        is_refused(warm(&n, &r, ccz_span_str(text), 0), CCZ_E_FORMAT, &err, "serve:warmup-record"));
    CHECK(strstr(err.hint, "TFRecordWriter"));
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"warmup.replays", test_replays}, {"warmup.kinds", test_kinds},
        {"warmup.damaged", test_damaged}, {"warmup.limits", test_limits},
        {"warmup.time", test_time},       {"warmup.failures", test_failures},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
