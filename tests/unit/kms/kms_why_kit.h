/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KMS_WHY_KIT_H
#define KMS_WHY_KIT_H
/* Decisions, recorded workloads and staged policies as the methods tell of them. */
#include "ccz_test.h"
#include "kms/kms_fixture.h"
#include "quote/claims_kit.h"
#include "refused.h"

static struct ccz_err err;
#define REFUSED(expr, want, at) CHECK(is_refused((expr), (want), &err, (at)))

/* The decision of a line, by the auditor of everything; what it borrows lies in @p out. */
static inline struct cczi_msg_decision why(struct ccz_buf *out, struct ccz_kms_store *s,
                                           uint64_t seq)
{
    char id[CCZ_KMS_DECISION_SIZE];
    struct cczi_msg_decision d = {0};
    ccz_kms_decision_print(id, seq);
    const struct cczi_msg_name m = {ccz_span_str(id)};
    CHECK(fix_msg(out, s, FIX_ADMIN, "Why", cczi_msg_name, &m, &err) == CCZ_OK);
    CHECK(cczi_msg_get(&d, cczi_msg_decision, ccz_buf_span(out), &err) == CCZ_OK);
    return d;
}

static inline bool is(struct ccz_span s, const char *text)
{
    if (ccz_span_eq(s, ccz_span_str(text)))
        return true;
    fprintf(stderr, "got \"%.*s\", expected \"%s\"\n", (int)s.size, (const char *)s.ptr, text);
    return false;
}

static inline ccz_rc release_as(struct ccz_kms_store *s, const struct ccz_ratls_peer *peer,
                                const char *item, int64_t now_s)
{
    const struct cczi_msg_release_req m = {ccz_span_str(item), 0};
    CCZ_AUTO_BUF body;
    ccz_buf_init(&body, 1024);
    cczi_msg_put(&body, cczi_msg_release_req, &m);
    return fix_call_at(NULL, s, peer, "Release", ccz_buf_span(&body), now_s, &err);
}

/* Workload number @p n: another measurement. */
static inline struct ccz_ratls_peer workload(unsigned n)
{
    struct ccz_ratls_peer p = fix_peer(FIX_WORKLOAD);
    for (size_t i = 0; i < sizeof(n); i++)
        p.claims.mrenclave[i] = (uint8_t)(n >> 8 * i);
    return p;
}

/* Rows of a page: every field 1 of @p in as a message; -> how many. */
static inline size_t rows(void *out, size_t size, const struct cczi_msg_field *fields,
                          struct ccz_span in, size_t max)
{
    struct ccz_rd r = ccz_rd_from(in);
    struct ccz_pb_field f;
    size_t n = 0;
    while (ccz_pb_next(&f, &r))
        if (f.number == CCZI_MSG_REPEATED) {
            void *at = (char *)out + n * size;
            CHECK(n++ < max);
            memset(at, 0, size);
            CHECK(cczi_msg_get(at, fields, f.bytes, &err) == CCZ_OK);
        }
    CHECK(!r.bad);
    return n;
}

enum { PAGE = 300 };
/* One page of recorded workloads. */
static inline size_t workloads(struct cczi_msg_workload w[PAGE], struct ccz_buf *out,
                               struct ccz_kms_store *s, const char *policy, int64_t now_s)
{
    const struct cczi_msg_workloads_req m = {.policy = ccz_span_str(policy), .claims = 1};
    CHECK(fix_msg_at(out, s, FIX_ADMIN, "Workloads", cczi_msg_workloads_req, &m, now_s, &err) ==
          CCZ_OK);
    return rows(w, sizeof(*w), cczi_msg_workload, ccz_buf_span(out), PAGE);
}

struct replayed {
    struct cczi_msg_replayed r;
    struct cczi_msg_workload w;
};
/* One page of a replay; @p json NULL = what is staged. */
static inline size_t replay(struct replayed r[PAGE], struct ccz_buf *out, struct ccz_kms_store *s,
                            const char *policy, const char *json, int64_t at_s, int64_t now_s)
{
    static struct cczi_msg_replayed page[PAGE];
    const struct cczi_msg_replay_req m = {
        .policy = ccz_span_str(policy), .json = fix_str(json), .at_s = (uint64_t)at_s};
    CHECK(fix_msg_at(out, s, FIX_ADMIN, "Replay", cczi_msg_replay_req, &m, now_s, &err) == CCZ_OK);
    size_t n = rows(page, sizeof(page[0]), cczi_msg_replayed, ccz_buf_span(out), PAGE);
    for (size_t i = 0; i < n; i++) {
        r[i] = (struct replayed){.r = page[i]};
        CHECK(cczi_msg_get(&r[i].w, cczi_msg_workload, page[i].workload, &err) == CCZ_OK);
    }
    return n;
}

static inline struct cczi_msg_staged staged(struct ccz_buf *out, struct ccz_kms_store *s,
                                            const char *policy, int64_t now_s)
{
    const struct cczi_msg_name m = {ccz_span_str(policy)};
    struct cczi_msg_staged st = {0};
    CHECK(fix_msg_at(out, s, FIX_ADMIN, "GetStaged", cczi_msg_name, &m, now_s, &err) == CCZ_OK);
    CHECK(cczi_msg_get(&st, cczi_msg_staged, ccz_buf_span(out), &err) == CCZ_OK);
    return st;
}

static inline ccz_rc roll_out(struct ccz_kms_store *s, const char *policy, const char *json,
                              int64_t now_s)
{
    uint8_t sha256[32];
    CHECK(ccz_sha256(sha256, ccz_span_str(json)) == CCZ_OK);
    const struct cczi_msg_roll_out_req m = {ccz_span_str(policy), CCZ_SPAN(sha256, 32)};
    return fix_msg_at(NULL, s, FIX_ADMIN, "RollOut", cczi_msg_roll_out_req, &m, now_s, &err);
}
#endif
