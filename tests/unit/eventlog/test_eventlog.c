/* SPDX-License-Identifier: Apache-2.0 */
/* Parsing, replay and comparison of boot event logs, with logs made here. */
#include "log_maker.h"

#include "ccz_test.h"

#include <openssl/sha.h>

enum { EV_NO_ACTION = 3, EV_SEPARATOR = 4, EV_IPL = 13 };
enum { HEADER_SIZE = 32 + 33, EVENT_SIZE = 4 + 4 + 4 + 2 + 48 + 4 };
#define EV_VARIABLE_DRIVER_CONFIG 0x80000001u
#define EV_VARIABLE_BOOT          0x80000002u
#define EV_EFI_ACTION             0x80000007u

static const uint16_t sha384_only[] = {LOG_SHA384};
static struct ccz_err err;

static bool refused(ccz_rc rc, ccz_rc want, const char *where)
{
    if (rc == want && err.rc == want && strcmp(err.where, where) == 0)
        return true;
    fprintf(stderr, "got %s at %s: %s\n", ccz_rc_name(rc), err.where, err.msg);
    return false;
}

static ccz_rc parse(struct ccz_eventlog *log, struct ccz_span bytes)
{
    err = (struct ccz_err){0};
    ccz_rc rc = ccz_eventlog_parse(log, bytes, &err);
    static const struct ccz_eventlog none;
    CHECK(rc == CCZ_OK || memcmp(log, &none, sizeof(none)) == 0);
    return rc;
}

/* A small boot: a variable, separators, a boot variable, a GRUB line, a note. */
static void boot_log(struct ccz_buf *b)
{
    ccz_buf_init(b, 65536);
    log_begin(b, sha384_only, 1);
    CCZ_AUTO_BUF v;
    ccz_buf_init(&v, 1024);
    log_variable(&v, "SecureBoot", CCZ_SPAN("\x01", 1));
    log_measure(b, 1, EV_VARIABLE_DRIVER_CONFIG, ccz_buf_span(&v));
    ccz_buf_clear(&v);
    log_variable(&v, "BootOrder", CCZ_SPAN("\x01\x00", 2));
    uint8_t digest[48];
    SHA384((const uint8_t *)"\x01\x00", 2, digest); /* of the value alone */
    log_event(b, sha384_only, 1, 1, EV_VARIABLE_BOOT, digest, ccz_buf_span(&v));
    log_measure(b, 1, EV_SEPARATOR, CCZ_SPAN("\0\0\0\0", 4));
    log_event(b, sha384_only, 1, 1, EV_NO_ACTION, digest, ccz_span_str("note"));
    log_measure(b, 2, EV_EFI_ACTION, ccz_span_str("Calling EFI Application from Boot Option"));
    memset(digest, 0x5a, sizeof(digest)); /* of the command, which the data only quotes */
    log_event(b, sha384_only, 1, 3, EV_IPL, digest, ccz_span_str("grub_cmd: linux /vmlinuz"));
    log_event(b, sha384_only, 1, 0, EV_IPL, digest, ccz_span_str("nothing extends MRTD"));
}

static void test_parse(void)
{
    CCZ_AUTO_BUF b;
    boot_log(&b);
    struct ccz_eventlog log;
    CHECK(parse(&log, ccz_buf_span(&b)) == CCZ_OK);
    CHECK(log.events_len == 7 && log.algs_len == 1 && log.alg[0].id == LOG_SHA384);
    CHECK(log.events.ptr == b.ptr + HEADER_SIZE && log.events.size == b.size - HEADER_SIZE);
    static const struct {
        uint32_t mr;
        const char *type;
        bool extended;
    } want[] = {
        {1, "EV_EFI_VARIABLE_DRIVER_CONFIG", true},
        {1, "EV_EFI_VARIABLE_BOOT", true},
        {1, "EV_SEPARATOR", true},
        {1, "EV_NO_ACTION", false},
        {2, "EV_EFI_ACTION", true},
        {3, "EV_IPL", true},
        {0, "EV_IPL", false},
    };
    struct ccz_eventlog_iter it = ccz_eventlog_begin(&log);
    struct ccz_event e;
    size_t n = 0;
    while (ccz_eventlog_next(&e, &it)) {
        CHECK(n < 7 && e.number == n + 1 && e.mr_index == want[n].mr && e.digest.size == 48);
        CHECK(strcmp(ccz_event_type_name(e.type), want[n].type) == 0);
        CHECK(e.extended == want[n].extended);
        n++;
    }
    static const struct ccz_event none;
    CHECK(n == 7 && memcmp(&e, &none, sizeof(none)) == 0);
    CHECK(!ccz_eventlog_next(&e, &it)); /* stays at the end */
    b.size = HEADER_SIZE;               /* a log without events is one */
    CHECK(parse(&log, ccz_buf_span(&b)) == CCZ_OK && log.events_len == 0);
    it = ccz_eventlog_begin(&log);
    CHECK(!ccz_eventlog_next(&e, &it));
}

/* Bytes of the header event, changed one at a time. */
static void test_header(void)
{
    static const struct {
        size_t at;
        uint8_t value;
        ccz_rc rc;
        const char *where;
    } t[] = {
        {4, 4, CCZ_E_UNSUPPORTED, "eventlog:spec-id"},         /* type */
        {8, 1, CCZ_E_FORMAT, "eventlog:header"},               /* digest */
        {28, 34, CCZ_E_FORMAT, "eventlog:spec-id"},            /* size: eats the next event */
        {28, 32, CCZ_E_FORMAT, "eventlog:spec-id"},            /* size: one short */
        {28 + 3, 0x7f, CCZ_E_FORMAT, "eventlog:header"},       /* size: huge */
        {32 + 14, '2', CCZ_E_UNSUPPORTED, "eventlog:spec-id"}, /* "Spec ID Event02" is SHA-1 only */
        {32 + 21, 3, CCZ_E_UNSUPPORTED, "eventlog:spec-id"},   /* major version */
        {32 + 24, 9, CCZ_E_LIMIT, "eventlog:algorithms"},      /* number of algorithms */
        {32 + 24, 2, CCZ_E_FORMAT, "eventlog:spec-id"},        /* one more than there are */
        {32 + 28, LOG_SHA256, CCZ_E_UNSUPPORTED, "eventlog:algorithm"},
        {32 + 30, 32, CCZ_E_UNSUPPORTED, "eventlog:algorithm"}, /* SHA-384 has 48 bytes */
        {32 + 30, 0, CCZ_E_FORMAT, "eventlog:algorithms"},
        {32 + 30, 65, CCZ_E_FORMAT, "eventlog:algorithms"},
        {32 + 32, 1, CCZ_E_FORMAT, "eventlog:spec-id"}, /* vendor information */
    };
    struct ccz_eventlog log;
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        CCZ_AUTO_BUF b;
        boot_log(&b);
        b.ptr[t[i].at] = t[i].value;
        CHECK(refused(parse(&log, ccz_buf_span(&b)), t[i].rc, t[i].where));
    }
    static const uint16_t twice[] = {LOG_SHA384, LOG_SHA384};
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 4096);
    log_begin(&b, twice, 2);
    CHECK(refused(parse(&log, ccz_buf_span(&b)), CCZ_E_FORMAT, "eventlog:algorithms"));
    uint8_t *huge = calloc(1, CCZ_EVENTLOG_SIZE_MAX + 1);
    CHECK(huge != NULL);
    CHECK(refused(parse(&log, CCZ_SPAN(huge, CCZ_EVENTLOG_SIZE_MAX + 1)), CCZ_E_LIMIT,
                  "eventlog:size"));
    free(huge);
}

/* Several algorithms, and events that break a rule. */
static void test_events(void)
{
    static const uint16_t three[] = {LOG_SHA256, LOG_SHA384, LOG_SHA512};
    static const uint16_t order[] = {LOG_SHA512, LOG_SHA256, LOG_SHA384};
    static const uint16_t missing[] = {LOG_SHA256, LOG_SHA384};
    static const uint16_t same[] = {LOG_SHA256, LOG_SHA384, LOG_SHA256};
    uint8_t digest[48];
    memset(digest, 7, sizeof(digest));
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 4096);
    log_begin(&b, three, 3);
    log_event(&b, three, 3, 1, EV_IPL, digest, ccz_span_str("a"));
    log_event(&b, order, 3, 4, EV_IPL, digest, ccz_span_str("b"));
    struct ccz_eventlog log;
    CHECK(parse(&log, ccz_buf_span(&b)) == CCZ_OK && log.events_len == 2 && log.algs_len == 3);
    struct ccz_eventlog_iter it = ccz_eventlog_begin(&log);
    struct ccz_event e;
    for (size_t i = 0; i < 2; i++)
        CHECK(ccz_eventlog_next(&e, &it) && memcmp(e.digest.ptr, digest, 48) == 0);
    size_t good = b.size;
    log_event(&b, missing, 2, 1, EV_IPL, digest, ccz_span_str("c"));
    CHECK(refused(parse(&log, ccz_buf_span(&b)), CCZ_E_FORMAT, "eventlog:event"));
    CHECK(err.aux == (int64_t)good);
    b.size = good;
    log_event(&b, same, 3, 1, EV_IPL, digest, ccz_span_str("d"));
    CHECK(refused(parse(&log, ccz_buf_span(&b)), CCZ_E_FORMAT, "eventlog:event"));
    b.size = good;
    log_event(&b, three, 3, 5, EV_IPL, digest, ccz_span_str("e"));
    CHECK(refused(parse(&log, ccz_buf_span(&b)), CCZ_E_FORMAT, "eventlog:mr-index"));
    b.size = good;
    log_event(&b, three, 3, 1, EV_IPL, digest, ccz_span_str("f"));
    b.ptr[good + 12] = 0x12; /* an algorithm that the header does not list */
    CHECK(refused(parse(&log, ccz_buf_span(&b)), CCZ_E_FORMAT, "eventlog:event"));
}

/* Cut anywhere but between two events, a log is refused; the sanitizers see reads behind the cut. */
static void test_truncated(void)
{
    CCZ_AUTO_BUF b;
    boot_log(&b);
    struct ccz_eventlog log;
    CHECK(parse(&log, ccz_buf_span(&b)) == CCZ_OK);
    size_t whole = 0;
    for (size_t size = 0; size <= b.size; size++) {
        uint8_t *cut = malloc(size ? size : 1);
        CHECK(cut != NULL);
        memcpy(cut, b.ptr, size);
        ccz_rc rc = parse(&log, CCZ_SPAN(cut, size));
        CHECK(rc == CCZ_OK || rc == CCZ_E_FORMAT);
        whole += rc == CCZ_OK;
        free(cut);
    }
    CHECK(whole == 8); /* after the header and after each of 7 events */
}

static void test_padding(void)
{
    CCZ_AUTO_BUF b;
    boot_log(&b);
    size_t size = b.size;
    struct ccz_eventlog log;
    for (size_t pad = 1; pad < 20; pad++) { /* any length, also less than an event's first fields */
        log_pad(&b, 1);
        CHECK(parse(&log, ccz_buf_span(&b)) == CCZ_OK && log.events_len == 7);
        CHECK(log.events.size == size - HEADER_SIZE);
    }
    log_measure(&b, 1, EV_SEPARATOR,
                CCZ_SPAN("\0\0\0\0", 4)); /* hidden from who stops at padding */
    CHECK(refused(parse(&log, ccz_buf_span(&b)), CCZ_E_FORMAT, "eventlog:padding"));
    CHECK(err.aux == (int64_t)size);
    b.size = size;
    static const uint8_t zero[64];
    ccz_buf_put(&b, zero, sizeof(zero)); /* no event, no padding */
    CHECK(refused(parse(&log, ccz_buf_span(&b)), CCZ_E_FORMAT, "eventlog:event"));
}

/* Registers after boot_log(), computed with Python's hashlib. */
static const char *const known[CCZ_RTMR_LEN] = {
    "ba22f976d510dea8f58fe66f1426fdb48eb2313a8777dc297d5f2401105bca774d5b8a98ee9d26b111344012b7eae3"
    "5f",
    "8032dedfdb8373b9bf18849c61543d2ed4fd555ffb0028634689a13fc4de798ff904ccded77c2d72259ab9777a17d7"
    "bd",
    "a0cf46b98dc169c604e8cc9c6b72b012a6b96384a662f69e73f66850501434cdee0fc0478dc5e035d2b2cc77c0ea9a"
    "3a",
    "0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
    "00",
};

static void expect(struct ccz_rtmrs *out)
{
    for (size_t i = 0; i < CCZ_RTMR_LEN; i++)
        CHECK(ccz_unhex(out->value[i], CCZ_RTMR_SIZE, known[i], 96) == CCZ_OK);
}

static void test_replay(void)
{
    CCZ_AUTO_BUF b;
    boot_log(&b);
    log_pad(&b, 100);
    struct ccz_eventlog log;
    CHECK(parse(&log, ccz_buf_span(&b)) == CCZ_OK);
    struct ccz_rtmrs rtmrs;
    CHECK(ccz_eventlog_replay(&rtmrs, &log, &err) == CCZ_OK);
    struct ccz_rtmrs want;
    expect(&want);
    CHECK(memcmp(&rtmrs, &want, sizeof(want)) == 0);
    uint8_t digest[48] = {1};
    uint8_t both[96] = {0}, rtmr3[48];
    both[48] = 1;
    SHA384(both, sizeof(both), rtmr3);
    CHECK(ccz_eventlog_extend(&rtmrs, 3, digest) == CCZ_OK);
    CHECK(memcmp(rtmrs.value[3], rtmr3, 48) == 0 && memcmp(rtmrs.value[2], want.value[2], 48) == 0);
    CHECK(ccz_eventlog_extend(&rtmrs, 4, digest) == CCZ_E_ARG);
}

/* Whatever of the digests is changed, dropped or repeated, the register that they went into is named. */
static void test_check(void)
{
    CCZ_AUTO_BUF b;
    boot_log(&b);
    struct ccz_eventlog log;
    struct ccz_rtmrs rtmrs, quoted;
    expect(&quoted);
    CHECK(parse(&log, ccz_buf_span(&b)) == CCZ_OK);
    CHECK(ccz_eventlog_replay(&rtmrs, &log, NULL) == CCZ_OK);
    CHECK(ccz_rtmrs_check(&rtmrs, &quoted, &err) == CCZ_OK);
    for (size_t i = 0; i < CCZ_RTMR_LEN; i++) {
        char where[32], hex[2 * CCZ_RTMR_SIZE + 1];
        quoted.value[i][47] ^= 1;
        (void)snprintf(where, sizeof(where), "eventlog:rtmr%zu", i);
        err = (struct ccz_err){0};
        CHECK(refused(ccz_rtmrs_check(&rtmrs, &quoted, &err), CCZ_E_MISMATCH, where));
        ccz_hex(hex, quoted.value[i], CCZ_RTMR_SIZE);
        CHECK(strcmp(err.got, known[i]) == 0 && strcmp(err.expected, hex) == 0 && err.hint[0]);
        quoted.value[i][47] ^= 1;
    }
    struct ccz_eventlog_iter it = ccz_eventlog_begin(&log);
    struct ccz_event e;
    while (ccz_eventlog_next(&e, &it)) { /* any bit of any digest */
        b.ptr[e.digest.ptr - b.ptr] ^= 1;
        CHECK(ccz_eventlog_replay(&rtmrs, &log, NULL) == CCZ_OK);
        CHECK((ccz_rtmrs_check(&rtmrs, &quoted, NULL) == CCZ_OK) == !e.extended);
        b.ptr[e.digest.ptr - b.ptr] ^= 1;
        uint8_t *type = b.ptr + (e.digest.ptr - b.ptr) - 10; /* an event taken out of the replay */
        uint32_t was = e.type;
        memcpy(type, "\x03\0\0\0", 4);
        CHECK(ccz_eventlog_replay(&rtmrs, &log, NULL) == CCZ_OK);
        CHECK((ccz_rtmrs_check(&rtmrs, &quoted, NULL) == CCZ_OK) == !e.extended);
        for (size_t i = 0; i < 4; i++)
            type[i] = (uint8_t)(was >> (8 * i));
    }
    log_measure(&b, 2, EV_SEPARATOR, CCZ_SPAN("\0\0\0\0", 4));
    CHECK(parse(&log, ccz_buf_span(&b)) == CCZ_OK);
    CHECK(ccz_eventlog_replay(&rtmrs, &log, NULL) == CCZ_OK);
    CHECK(refused(ccz_rtmrs_check(&rtmrs, &quoted, &err), CCZ_E_MISMATCH, "eventlog:rtmr1"));
}

static void flags(struct ccz_span bytes, bool over[7], bool matches[7])
{
    struct ccz_eventlog log;
    CHECK(parse(&log, bytes) == CCZ_OK && log.events_len == 7);
    struct ccz_eventlog_iter it = ccz_eventlog_begin(&log);
    struct ccz_event e;
    while (ccz_eventlog_next(&e, &it)) {
        over[e.number - 1] = e.digest_over_data;
        matches[e.number - 1] = e.digest_matches_data;
    }
}

/* Data is not measured: only the flag tells whether it is what the firmware measured. */
static void test_data(void)
{
    static const bool is_over[7] = {true, true, true, false, true, false, false};
    static const bool is_data[7] = {true, true, true, false, true, false, false};
    bool over[7], matches[7];
    CCZ_AUTO_BUF b;
    boot_log(&b);
    flags(ccz_buf_span(&b), over, matches);
    CHECK(memcmp(over, is_over, sizeof(over)) == 0 &&
          memcmp(matches, is_data, sizeof(matches)) == 0);
    struct ccz_eventlog log;
    CHECK(parse(&log, ccz_buf_span(&b)) == CCZ_OK);
    struct ccz_eventlog_iter it = ccz_eventlog_begin(&log);
    struct ccz_event e;
    while (
        ccz_eventlog_next(&e, &it)) { /* the last byte of the data, of one event after the other */
        b.ptr[e.data.ptr + e.data.size - 1 - b.ptr] ^= 1;
        flags(ccz_buf_span(&b), over, matches);
        for (size_t i = 0; i < 7; i++)
            CHECK(matches[i] == (is_data[i] && i != e.number - 1));
        CHECK(memcmp(over, is_over, sizeof(over)) == 0);
        b.ptr[e.data.ptr + e.data.size - 1 - b.ptr] ^= 1;
    }
}

/* EV_EFI_VARIABLE_BOOT: the value inside counts; data that is no variable never matches. */
static void test_types(void)
{
    CHECK(strcmp(ccz_event_type_name(0), "EV_PREBOOT_CERT") == 0);
    CHECK(strcmp(ccz_event_type_name(0x800000e0u), "EV_EFI_VARIABLE_AUTHORITY") == 0);
    CHECK(strcmp(ccz_event_type_name(0x12345678u), "unknown") == 0);
    uint8_t digest[48];
    SHA384((const uint8_t *)"", 0, digest);
    struct ccz_span data[4];
    uint8_t far[32] = {[16] = 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f};
    CCZ_AUTO_BUF v;
    ccz_buf_init(&v, 256);
    log_variable(&v, "Boot0000", CCZ_SPAN("", 0));
    data[0] = ccz_buf_span(&v);                     /* an empty value */
    data[1] = ccz_span_sub(data[0], 0, v.size - 1); /* name cut off */
    data[2] = CCZ_SPAN(far, sizeof(far));           /* a name longer than memory */
    data[3] = CCZ_SPAN("", 0);                      /* nothing at all */
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 4096);
    log_begin(&b, sha384_only, 1);
    for (size_t i = 0; i < 4; i++)
        log_event(&b, sha384_only, 1, 1, EV_VARIABLE_BOOT, digest, data[i]);
    struct ccz_eventlog log;
    CHECK(parse(&log, ccz_buf_span(&b)) == CCZ_OK);
    struct ccz_eventlog_iter it = ccz_eventlog_begin(&log);
    struct ccz_event e;
    for (size_t i = 0; i < 4; i++)
        CHECK(ccz_eventlog_next(&e, &it) && e.digest_over_data &&
              e.digest_matches_data == (i == 0));
}

static void test_ccel(void)
{
    uint8_t t[56] = "CCEL\x38";
    t[8] = 1;
    memcpy(t + 10, "CCZOO TEST  ", 12);
    t[36] = 2;    /* TDX */
    t[42] = 4;    /* 256 KiB */
    t[49] = 0xf0; /* address */
    t[51] = 0xbe;
    uint8_t sum = 0;
    for (size_t i = 0; i < sizeof(t); i++)
        sum = (uint8_t)(sum + t[i]);
    t[9] = (uint8_t)-sum;
    struct ccz_ccel c;
    static const struct ccz_ccel none;
    CHECK(ccz_ccel_parse(&c, CCZ_SPAN(t, sizeof(t)), &err) == CCZ_OK);
    CHECK(c.type == CCZ_CCEL_TDX && c.subtype == 0 && c.log_size == 0x40000 &&
          c.log_address == 0xbe00f000);
    for (size_t size = 0; size < sizeof(t); size++) {
        CHECK(refused(ccz_ccel_parse(&c, CCZ_SPAN(t, size), &err), CCZ_E_FORMAT,
                      "eventlog:ccel-size"));
        CHECK(memcmp(&c, &none, sizeof(c)) == 0);
    }
    for (size_t i = 0; i < sizeof(t); i++) { /* the checksum notices any byte */
        t[i] ^= 0x10;
        CHECK(ccz_ccel_parse(&c, CCZ_SPAN(t, sizeof(t)), NULL) == CCZ_E_FORMAT);
        t[i] ^= 0x10;
    }
    t[0]++, t[9]--;
    CHECK(refused(ccz_ccel_parse(&c, CCZ_SPAN(t, sizeof(t)), &err), CCZ_E_FORMAT,
                  "eventlog:ccel-signature"));
    t[0]--, t[36]++;
    CHECK(refused(ccz_ccel_parse(&c, CCZ_SPAN(t, sizeof(t)), &err), CCZ_E_UNSUPPORTED,
                  "eventlog:ccel-type"));
    t[9]++;
    CHECK(refused(ccz_ccel_parse(&c, CCZ_SPAN(t, sizeof(t)), &err), CCZ_E_FORMAT,
                  "eventlog:ccel-checksum"));
}

static const struct ccz_test tests[] = {
    {"eventlog.parse", test_parse},     {"eventlog.header", test_header},
    {"eventlog.events", test_events},   {"eventlog.truncated", test_truncated},
    {"eventlog.padding", test_padding}, {"eventlog.replay", test_replay},
    {"eventlog.check", test_check},     {"eventlog.data", test_data},
    {"eventlog.types", test_types},     {"eventlog.ccel", test_ccel},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
