/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCG PC Client Platform Firmware Profile, 9.2 and 9.5. All integers little-endian.
 *
 *   header event   u32 register | u32 EV_NO_ACTION | SHA-1 digest 20 | u32 size | TCG_EfiSpecIDEvent
 *   other events   u32 register | u32 type | u32 number of digests | { u16 algorithm | digest } .. | u32 size | data
 *   padding        0xFF to the end of the log area
 */
#include "eventlog/eventlog_priv.h"

#include <cczoo/crypto.h>
#include <string.h>

enum {
    MR_INDEX_MAX = 4,
    SHA1_SIZE = 20,
    ALG_SHA384 = 0x000c,
    DIGEST_SIZE_MAX = 64,
    SPEC_VERSION_MAJOR = 2,
    VARIABLE_GUID_SIZE = 16,
};
static const char signature[16] = "Spec ID Event03"; /* with its NUL */

/* ------------------------------------------------------------------------------------- header */

static size_t digest_size(const struct ccz_eventlog *log, uint16_t alg)
{
    for (size_t i = 0; i < log->algs_len; i++)
        if (log->alg[i].id == alg)
            return log->alg[i].digest_size;
    return 0;
}

static ccz_rc parse_algorithms(struct ccz_eventlog *log, struct ccz_rd *r, struct ccz_err *err)
{
    uint32_t len = ccz_rd_le32(r);
    if (len > CCZ_EVENTLOG_ALGS_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "eventlog:algorithms", len, CCZ_EVENTLOG_ALGS_MAX);
    for (uint32_t i = 0; i < len && !r->bad; i++) {
        uint16_t id = ccz_rd_le16(r), size = ccz_rd_le16(r);
        if (r->bad)
            break;
        if (size == 0 || size > DIGEST_SIZE_MAX || digest_size(log, id) != 0)
            return ccz_fail(err, CCZ_E_FORMAT, "eventlog:algorithms", id,
                            "algorithm 0x%04x twice, or with digests of %u bytes", id, size);
        log->alg[i].id = id;
        log->alg[i].digest_size = size;
        log->algs_len++;
    }
    (void)ccz_rd_take(r, ccz_rd_u8(r)); /* vendor information: without meaning here */
    if (!ccz_rd_done(r))
        return ccz_fail(err, CCZ_E_FORMAT, "eventlog:spec-id", (int64_t)r->left,
                        "lengths inside the header event do not add up to its size");
    if (digest_size(log, ALG_SHA384) != CCZ_RTMR_SIZE)
        return ccz_fail(err, CCZ_E_UNSUPPORTED, "eventlog:algorithm", 0,
                        "the log has no SHA-384 digests, which RTMRs are extended with");
    return CCZ_OK;
}

/* 9.4.5.1 "Specification ID Version Event". The register is 0 in the profile, 1 in logs of EDK II. */
static ccz_rc parse_header(struct ccz_eventlog *log, struct ccz_rd *r, struct ccz_err *err)
{
    static const uint8_t zero[SHA1_SIZE];
    (void)ccz_rd_le32(r);
    uint32_t type = ccz_rd_le32(r);
    struct ccz_span digest = ccz_rd_take(r, SHA1_SIZE);
    struct ccz_rd id = ccz_rd_from(ccz_rd_take(r, ccz_rd_le32(r)));
    struct ccz_span magic = ccz_rd_take(&id, sizeof(signature));
    (void)ccz_rd_le32(&id); /* platform class */
    uint8_t minor = ccz_rd_u8(&id);
    uint8_t major = ccz_rd_u8(&id);
    (void)ccz_rd_u8(&id); /* errata */
    (void)ccz_rd_u8(&id); /* size of UINTN */
    if (r->bad || id.bad)
        return ccz_fail(err, CCZ_E_FORMAT, "eventlog:header", 0, "shorter than its header event");
    if (type != CCZI_EV_NO_ACTION || !ccz_span_eq(magic, CCZ_SPAN(signature, sizeof(signature))))
        return ccz_fail(err, CCZ_E_UNSUPPORTED, "eventlog:spec-id", 0,
                        "does not begin with \"Spec ID Event03\": not a crypto-agile log");
    if (!ccz_span_eq(digest, CCZ_SPAN(zero, sizeof(zero))))
        return ccz_fail(err, CCZ_E_FORMAT, "eventlog:header", 0,
                        "the digest of the header event is not zero");
    if (major != SPEC_VERSION_MAJOR)
        return ccz_fail(err, CCZ_E_UNSUPPORTED, "eventlog:spec-id", major,
                        "specification version %u.%u, expected 2", major, minor);
    return parse_algorithms(log, &id, err);
}

/* ------------------------------------------------------------------------------------- events */

/* One digest of every algorithm of the header event, in any order. */
static void read_digests(struct ccz_event *e, const struct ccz_eventlog *log, struct ccz_rd *r)
{
    uint32_t len = ccz_rd_le32(r), seen = 0;
    if (len != log->algs_len)
        r->bad = true;
    for (uint32_t i = 0; i < len && !r->bad; i++) {
        uint16_t id = ccz_rd_le16(r);
        for (uint32_t k = 0; k < log->algs_len; k++)
            if (log->alg[k].id == id)
                seen |= 1u << k;
        struct ccz_span digest = ccz_rd_take(r, digest_size(log, id));
        if (id == ALG_SHA384)
            e->digest = digest;
    }
    if (seen != (1u << log->algs_len) - 1)
        r->bad = true;
}

bool cczi_event_read(struct ccz_event *out, struct ccz_eventlog_iter *it)
{
    struct ccz_rd *at = &it->at;
    memset(out, 0, sizeof(*out));
    if (at->left == 0 || at->bad)
        return false;
    struct ccz_event e = {.number = ++it->number};
    e.mr_index = ccz_rd_le32(at);
    e.type = ccz_rd_le32(at);
    read_digests(&e, it->log, at);
    e.data = ccz_rd_take(at, ccz_rd_le32(at));
    if (e.mr_index > MR_INDEX_MAX)
        at->bad = true;
    if (at->bad)
        return false;
    /* MRTD is built before the TD runs: nothing can extend it */
    e.extended = e.type != CCZI_EV_NO_ACTION && e.mr_index > 0;
    *out = e;
    return true;
}

static bool only_padding(struct ccz_span s)
{
    for (size_t i = 0; i < s.size; i++)
        if (s.ptr[i] != 0xff)
            return false;
    return true;
}

/* Says which rule the event at @p from broke. */
static ccz_rc refuse_event(struct ccz_err *err, struct ccz_span from, size_t number, size_t offset)
{
    struct ccz_rd r = ccz_rd_from(from);
    uint32_t mr = ccz_rd_le32(&r), type = ccz_rd_le32(&r);
    if (!r.bad && mr == UINT32_MAX && type == UINT32_MAX)
        return ccz_fail(err, CCZ_E_FORMAT, "eventlog:padding", (int64_t)offset,
                        "something behind the padding of the log");
    if (!r.bad && mr > MR_INDEX_MAX)
        return ccz_fail(err, CCZ_E_FORMAT, "eventlog:mr-index", (int64_t)offset,
                        "event %zu is for register %u of 0 to 4", number, mr);
    return ccz_fail(err, CCZ_E_FORMAT, "eventlog:event", (int64_t)offset,
                    "event %zu is truncated, or has not one digest of each algorithm", number);
}

ccz_rc ccz_eventlog_parse(struct ccz_eventlog *out, struct ccz_span log, struct ccz_err *err)
{
    memset(out, 0, sizeof(*out));
    if (log.size > CCZ_EVENTLOG_SIZE_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "eventlog:size", (int64_t)log.size,
                              CCZ_EVENTLOG_SIZE_MAX);
    struct ccz_eventlog l = {0};
    struct ccz_rd r = ccz_rd_from(log);
    ccz_rc rc = parse_header(&l, &r, err);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_span rest = CCZ_SPAN(r.ptr, r.left);
    struct ccz_eventlog_iter it = {.log = &l, .at = r};
    for (;;) {
        struct ccz_span from = CCZ_SPAN(it.at.ptr, it.at.left);
        /* No event begins with 0xFF, so that the way to the end is walked once. */
        if (from.size == 0 || (from.ptr[0] == 0xff && only_padding(from)))
            break;
        struct ccz_event e;
        if (!cczi_event_read(&e, &it))
            return refuse_event(err, from, it.number, log.size - from.size);
    }
    l.events = CCZ_SPAN(rest.ptr, rest.size - it.at.left);
    l.events_len = it.number;
    *out = l;
    return CCZ_OK;
}

/* ---------------------------------------------------------------------------------- iteration */

/* UEFI_VARIABLE_DATA: GUID 16 | u64 length of the name in characters | u64 size of the value | name | value. */
static bool variable_value(struct ccz_span *out, struct ccz_span data)
{
    struct ccz_rd r = ccz_rd_from(data);
    (void)ccz_rd_take(&r, VARIABLE_GUID_SIZE);
    uint64_t name_len = ccz_rd_le64(&r), size = ccz_rd_le64(&r);
    if (name_len > data.size || size > data.size)
        return false;
    (void)ccz_rd_take(&r, (size_t)name_len * 2);
    *out = ccz_rd_take(&r, (size_t)size);
    return ccz_rd_done(&r);
}

static bool is_digest_of(struct ccz_span digest, struct ccz_span data)
{
    uint8_t got[CCZ_RTMR_SIZE];
    return ccz_hash(got, CCZ_SHA384, &data, 1) == CCZ_OK &&
           ccz_span_eq(digest, CCZ_SPAN(got, sizeof(got)));
}

struct ccz_eventlog_iter ccz_eventlog_begin(const struct ccz_eventlog *log)
{
    return (struct ccz_eventlog_iter){.log = log, .at = ccz_rd_from(log->events)};
}

bool ccz_eventlog_next(struct ccz_event *out, struct ccz_eventlog_iter *it)
{
    if (!cczi_event_read(out, it))
        return false;
    enum cczi_event_over over = cczi_event_over(out->type);
    struct ccz_span measured = out->data;
    out->digest_over_data = over != CCZI_OVER_OTHER;
    out->digest_matches_data =
        (over != CCZI_OVER_VARIABLE || variable_value(&measured, out->data)) &&
        is_digest_of(out->digest, measured);
    return true;
}
