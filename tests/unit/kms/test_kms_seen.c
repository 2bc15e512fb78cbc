/* SPDX-License-Identifier: Apache-2.0 */
/* Recorded workloads: what is written when, how many; replay says what enforcement would say. */
#define _GNU_SOURCE
#include "kms/kms_why_kit.h"

#define HOUR 3600

static struct ccz_kms_store *populated(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    return s;
}

static struct cczi_msg_workload g_page[PAGE];
static struct replayed g_replay[PAGE];

/* The only workload of @p policy. */
static struct cczi_msg_workload only(struct ccz_buf *out, struct ccz_kms_store *s,
                                     const char *policy, int64_t now_s)
{
    CHECK(workloads(g_page, out, s, policy, now_s) == 1);
    return g_page[0];
}

static uint64_t evidence_rows(struct ccz_kms_store *s)
{
    return fix_check(s).evidence;
}

/* One row for each policy and workload, with its claims; counted in memory, written once an hour. */
static void test_rows(void)
{
    struct ccz_kms_store *s = populated();
    struct ccz_ratls_peer peer = fix_peer(FIX_WORKLOAD);
    CCZ_AUTO_BUF out, json;
    ccz_buf_init(&out, CCZ_KMS_MESSAGE_SIZE_MAX);
    ccz_buf_init(&json, 65536);
    CHECK(evidence_rows(s) == 0);
    CHECK(release_as(s, &peer, "key/model", FIX_NOW) == CCZ_OK);
    ccz_claims_json(&json, &peer.claims);
    struct cczi_msg_workload w = only(&out, s, "server", FIX_NOW);
    CHECK(is(w.policy, "server") && is(w.tee, "sgx") && w.simulated == 1 &&
          is(w.status, "UpToDate"));
    CHECK(w.measurement.size == 32 && w.measurement.ptr[31] == 0xaa &&
          is(w.claims, ccz_buf_str(&json)));
    CHECK(w.first_s == FIX_NOW && w.last_s == FIX_NOW && w.accepted == 1 && w.refused == 0);
    uint8_t id[32];
    CHECK(cczi_kms_seen_id(id, &peer.claims, "server", &err) == CCZ_OK &&
          memcmp(w.id.ptr, id, 32) == 0);
    /* the same workload in another session: not another row, and no write before an hour is over */
    peer.claims.report_data[0] ^= 1;
    peer.claims.collateral_issued_s += 5;
    for (int i = 1; i < 100; i++)
        CHECK(release_as(s, &peer, "key/model", FIX_NOW + i) == CCZ_OK);
    w = only(&out, s, "server", FIX_NOW + 100);
    CHECK(w.accepted == 100 && w.last_s == FIX_NOW);
    CHECK(release_as(s, &peer, "secret/db/password", FIX_NOW + HOUR) == CCZ_OK);
    w = only(&out, s, "server", FIX_NOW + HOUR);
    CHECK(w.accepted == 101 && w.last_s == FIX_NOW + HOUR && w.first_s == FIX_NOW);
    CHECK(memmem(w.claims.ptr, w.claims.size, "\"report_data\":\"01", 17) != NULL); /* the newest */
    /* refused, under another policy: another row */
    const struct cczi_msg_bind_req bind = {.item = ccz_span_str("secret/loose"),
                                           .policy = ccz_span_str("other")};
    CHECK(fix_msg(NULL, s, FIX_ADMIN, "Bind", cczi_msg_bind_req, &bind, &err) == CCZ_OK);
    REFUSED(release_as(s, &peer, "secret/loose", FIX_NOW + HOUR), CCZ_E_POLICY, "policy:mrenclave");
    w = only(&out, s, "other", FIX_NOW + HOUR);
    CHECK(w.accepted == 0 && w.refused == 1);
    CHECK(workloads(g_page, &out, s, "", FIX_NOW + HOUR) == 2);
    /* its platform fell behind: another row */
    peer.claims.tcb_status = CCZ_TCB_OUT_OF_DATE;
    REFUSED(release_as(s, &peer, "key/model", FIX_NOW + HOUR), CCZ_E_POLICY, "policy:tcb_status");
    CHECK(workloads(g_page, &out, s, "server", FIX_NOW + HOUR) == 2 && evidence_rows(s) == 3);
    /* no policy was asked: nobody was judged */
    REFUSED(release_as(s, &peer, "secret/absent", FIX_NOW), CCZ_E_NOT_FOUND, "kms:not-found");
    CHECK(evidence_rows(s) == 3);
    ccz_kms_store_free(s);
}

/* How often the table is written at all. */
static uint64_t writes(struct ccz_kms_store *s)
{
    uint64_t n = 0;
    struct cczi_kms_evidence e;
    struct cczi_kms_row keep;
    uint8_t id[32];
    const struct ccz_ratls_peer peer = fix_peer(FIX_WORKLOAD);
    cczi_kms_row_init(&keep);
    CHECK(cczi_kms_seen_id(id, &peer.claims, "server", &err) == CCZ_OK);
    CHECK(cczi_kms_begin(s, &err) == CCZ_OK &&
          cczi_kms_evidence_get(&e, &keep, s, id, &err) == CCZ_OK);
    n = e.accepted;
    cczi_kms_rollback(s);
    cczi_kms_row_deinit(&keep);
    return n;
}

static struct fix_batch g_batch;

/* In a batch too; and a batch that comes to nothing leaves nothing behind, in memory neither. */
static void test_batch(void)
{
    struct ccz_kms_store *s = populated();
    struct fix_batch *b = &g_batch;
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, CCZ_KMS_MESSAGE_SIZE_MAX);
    CHECK(cczi_kms_db_exec(&s->db, "ALTER TABLE audit RENAME TO elsewhere", &err) == CCZ_OK);
    const struct ccz_ratls_peer peer = fix_peer(FIX_WORKLOAD);
    CHECK(release_as(s, &peer, "key/model", FIX_NOW) != CCZ_OK); /* no record, no value */
    CHECK(cczi_kms_db_exec(&s->db, "ALTER TABLE elsewhere RENAME TO audit", &err) == CCZ_OK);
    CHECK(evidence_rows(s) == 0 && workloads(g_page, &out, s, "", FIX_NOW) == 0);
    fix_batch_begin(b);
    for (size_t i = 0; i < 200; i++) {
        fix_batch_release(b, FIX_WORKLOAD, "key/model");
        b->peer[i].claims.mrenclave[0] = (uint8_t)(0xaa + i % 4);
    }
    fix_batch_run(b, s);
    fix_batch_end(b);
    CHECK(evidence_rows(s) == 4 && workloads(g_page, &out, s, "server", FIX_NOW) == 4);
    uint64_t accepted = 0, refused = 0;
    for (size_t i = 0; i < 4; i++) {
        CHECK(g_page[i].accepted + g_page[i].refused == 50);
        accepted += g_page[i].accepted;
        refused += g_page[i].refused;
    }
    CHECK(accepted == 50 && refused == 150 && writes(s) == 50);
    ccz_kms_store_free(s);
}

/* A server that starts again, or another one beside it, goes on with the row that is there. */
static void test_again(void)
{
    struct ccz_kms_store *s = populated();
    const struct ccz_ratls_peer peer = fix_peer(FIX_WORKLOAD);
    CHECK(release_as(s, &peer, "key/model", FIX_NOW) == CCZ_OK);
    for (int start = 1; start <= 2; start++) {
        cczi_kms_watch_free(s->watch);
        CHECK(cczi_kms_watch_new(&s->watch) == CCZ_OK);
        CHECK(release_as(s, &peer, "key/model", FIX_NOW + start) == CCZ_OK);
        CHECK(writes(s) == 1); /* not within the hour */
    }
    CHECK(release_as(s, &peer, "key/model", FIX_NOW + HOUR) == CCZ_OK);
    CHECK(writes(s) == 3); /* the first start took one count along */
    /* a clock that was set back does not stop the record for good */
    CHECK(release_as(s, &peer, "key/model", FIX_NOW - 30 * HOUR) == CCZ_OK);
    CHECK(writes(s) == 4);
    ccz_kms_store_free(s);
}

/* Ever new identities: the table stays as large as it may be, and those that get something stay in it. */
static void test_flood(void)
{
    enum { ROWS = 50, REGULARS = 20, FLOOD = 700 };
    struct ccz_kms_store *s = populated();
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, CCZ_KMS_MESSAGE_SIZE_MAX);
    cczi_kms_seen_limit(s->watch->seen, ROWS, 2 * ROWS);
    struct ccz_ratls_peer regular = fix_peer(FIX_WORKLOAD);
    for (unsigned i = 0; i < REGULARS; i++) {
        regular.claims.config_id[0] = (uint8_t)i;
        CHECK(release_as(s, &regular, "key/model", FIX_NOW) == CCZ_OK);
    }
    for (unsigned i = 0; i < FLOOD; i++) {
        const struct ccz_ratls_peer stranger = workload(i + 1);
        REFUSED(release_as(s, &stranger, "key/model", FIX_NOW + i), CCZ_E_POLICY,
                "policy:mrenclave");
        if (i % 100 == 0)
            CHECK(evidence_rows(s) <= ROWS);
    }
    CHECK(evidence_rows(s) == ROWS);
    size_t n = workloads(g_page, &out, s, "server", FIX_NOW + FLOOD), kept = 0;
    CHECK(n == ROWS);
    for (size_t i = 0; i < n; i++) {
        kept += g_page[i].accepted == 1;
        CHECK(g_page[i].accepted == 1 || g_page[i].last_s >= FIX_NOW + FLOOD - (ROWS - REGULARS));
    }
    CHECK(kept == REGULARS);
    /* where all of them get something, the oldest goes */
    for (unsigned i = REGULARS; i < 3 * ROWS; i++) {
        regular.claims.config_id[0] = (uint8_t)i;
        CHECK(release_as(s, &regular, "key/model", FIX_NOW + 10000 + i) == CCZ_OK);
    }
    CHECK(evidence_rows(s) == ROWS);
    n = workloads(g_page, &out, s, "server", FIX_NOW + 20000);
    for (size_t i = 0; i < n; i++)
        CHECK(g_page[i].last_s >= FIX_NOW + 10000 + 2 * ROWS);
    ccz_kms_store_free(s);
}

static size_t rows_of(struct ccz_kms_store *s, const char *policy)
{
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, CCZ_KMS_MESSAGE_SIZE_MAX);
    return workloads(g_page, &out, s, policy, FIX_NOW);
}

/* The enclave of somebody, asking for a judgement by @p policy. */
static void attest_by(struct ccz_kms_store *s, const char *policy, unsigned n)
{
    struct cczi_msg_attest_req m = {.policy = ccz_span_str(policy)};
    struct ccz_ratls_peer peer = fix_peer(FIX_WORKLOAD);
    CCZ_AUTO_BUF body;
    ccz_buf_init(&body, 1024);
    peer.claims.config_id[0] = (uint8_t)n;
    peer.claims.config_id[1] = (uint8_t)(n >> 8);
    cczi_attest_req_put(&body, &m);
    CHECK(fix_call_at(NULL, s, &peer, "Attest", ccz_buf_span(&body), FIX_NOW + 10 + n, &err) ==
          CCZ_OK);
}

/* A policy, with an item bound to it. */
static void used_policy(struct ccz_kms_store *s, const char *policy)
{
    CHECK(fix_put_policy(s, policy, fix_policy, false, &err) == CCZ_OK);
    CHECK(fix_put_secret(s, policy, "v", policy, false, &err) == CCZ_OK);
}

/* Nobody displaces the workloads of another namespace, nor by one policy all those of the others beside it. */
static void test_namespaces(void)
{
    enum { ROWS = 8, NS_ROWS = 20 };
    struct ccz_kms_store *s = fix_memory_store();
    char name[32];
    cczi_kms_seen_limit(s->watch->seen, ROWS, NS_ROWS);
    used_policy(s, "bank/prod");
    used_policy(s, "bank/test");
    used_policy(s, "plain");
    for (unsigned i = 0; i < ROWS; i++) { /* the oldest of all */
        attest_by(s, "bank/prod", i);
        attest_by(s, "plain", i);
    }
    for (unsigned i = 0; i < 3 * NS_ROWS; i++) { /* many policies, each of few workloads */
        (void)snprintf(name, sizeof(name), "mallory/p%u", i / 3);
        if (i % 3 == 0)
            used_policy(s, name);
        attest_by(s, name, i);
    }
    CHECK(rows_of(s, "bank/prod") == ROWS && rows_of(s, "plain") == ROWS);
    CHECK(evidence_rows(s) == 2 * ROWS + NS_ROWS);
    CHECK(rows_of(s, "mallory/p0") == 0 && rows_of(s, "mallory/p19") == 3);
    for (unsigned i = 0; i < 5 * NS_ROWS; i++) /* one policy, many workloads */
        attest_by(s, "bank/test", i);
    CHECK(rows_of(s, "bank/prod") == ROWS && rows_of(s, "bank/test") == ROWS);
    for (unsigned i = 0; i < NS_ROWS; i++) { /* names outside of all namespaces are one of them */
        (void)snprintf(name, sizeof(name), "q%u", i);
        used_policy(s, name);
        attest_by(s, name, i + 500);
    }
    CHECK(rows_of(s, "plain") == 0 && rows_of(s, "q0") == 1);
    CHECK(evidence_rows(s) == 2 * ROWS + 2 * NS_ROWS);
    ccz_kms_store_free(s);
}

/* What cannot be written does not stop a release. */
static void test_not_written(void)
{
    struct ccz_kms_store *s = populated();
    const struct ccz_ratls_peer peer = fix_peer(FIX_WORKLOAD);
    CHECK(cczi_kms_db_exec(&s->db, "ALTER TABLE evidence RENAME TO elsewhere", &err) == CCZ_OK);
    CHECK(release_as(s, &peer, "key/model", FIX_NOW) == CCZ_OK);
    CHECK(cczi_kms_db_exec(&s->db, "ALTER TABLE elsewhere RENAME TO evidence", &err) == CCZ_OK);
    CHECK(evidence_rows(s) == 0);
    CHECK(release_as(s, &peer, "key/model", FIX_NOW) == CCZ_OK); /* and is made good */
    CHECK(evidence_rows(s) == 1 && writes(s) == 2);
    /* a row that was changed behind our back is no base for a replay */
    CHECK(cczi_kms_db_exec(&s->db, "UPDATE evidence SET last_s = last_s + 1", &err) == CCZ_OK);
    const struct cczi_msg_replay_req m = {.policy = ccz_span_str("server"),
                                          .json = ccz_span_str(fix_policy)};
    REFUSED(fix_msg(NULL, s, FIX_ADMIN, "Replay", cczi_msg_replay_req, &m, &err), CCZ_E_SIG,
            "kms:row-mac");
    ccz_kms_store_free(s);
}

/* Pages: each row once, in order, to the end. */
static void test_pages(void)
{
    enum { N = 620 };
    struct ccz_kms_store *s = populated();
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, CCZ_KMS_MESSAGE_SIZE_MAX);
    for (unsigned i = 0; i < N; i++) {
        const struct ccz_ratls_peer peer = workload(i);
        REFUSED(release_as(s, &peer, "key/model", FIX_NOW), CCZ_E_POLICY, "policy:mrenclave");
    }
    for (int which = 0; which < 2; which++) {
        uint8_t next[32] = {0};
        size_t n = 0;
        for (bool more = true; more;) {
            struct cczi_msg_page p = {0};
            const struct cczi_msg_workloads_req w = {.after = CCZ_SPAN(next, n ? 32 : 0)};
            const struct cczi_msg_replay_req r = {.policy = ccz_span_str("server"),
                                                  .json = ccz_span_str(fix_policy_other),
                                                  .after = CCZ_SPAN(next, n ? 32 : 0)};
            CHECK(fix_msg(&out, s, FIX_ADMIN, which ? "Replay" : "Workloads",
                          which ? cczi_msg_replay_req : cczi_msg_workloads_req,
                          which ? (const void *)&r : &w, &err) == CCZ_OK);
            CHECK(cczi_msg_get(&p, cczi_msg_page, ccz_buf_span(&out), &err) == CCZ_OK);
            struct ccz_rd rd = ccz_rd_from(ccz_buf_span(&out));
            struct ccz_pb_field f;
            more = false;
            while (ccz_pb_next(&f, &rd)) {
                n += f.number == CCZI_MSG_REPEATED;
                more = more || f.number == CCZI_MSG_MORE;
            }
            CHECK(memcmp(p.next.ptr, next, 32) > 0);
            memcpy(next, p.next.ptr, 32);
        }
        CHECK(n == N);
    }
    const struct cczi_msg_workloads_req bad = {.after = CCZ_SPAN("x", 1)};
    REFUSED(fix_msg(NULL, s, FIX_ADMIN, "Workloads", cczi_msg_workloads_req, &bad, &err),
            CCZ_E_FORMAT, "kms:request");
    ccz_kms_store_free(s);
}

/* ------------------------------------------------------------------------------ replay */

/* "would block 1 of 3": who, and by what. */
static void test_replay(void)
{
    static const char stricter[] =
        "{\"version\":1,\"rules\":[{\"name\":\"strict\",\"tee\":\"sgx\",\"sim\":true,\"mrenclave\":"
        "["
        "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\","
        "\"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\"],"
        "\"config_id\":\"00000000000000000000000000000000000000000000000000000000000000000000000000"
        "000000000000000000000000000000000000000000000000000000\"}]}";
    struct ccz_kms_store *s = populated();
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, CCZ_KMS_MESSAGE_SIZE_MAX);
    struct ccz_ratls_peer plain = fix_peer(FIX_WORKLOAD), odd = plain, refused = plain;
    odd.claims.config_id[0] = 1;
    memset(refused.claims.mrenclave, 0xbb, 32);
    CHECK(release_as(s, &plain, "key/model", FIX_NOW) == CCZ_OK);
    CHECK(release_as(s, &odd, "key/model", FIX_NOW) == CCZ_OK);
    REFUSED(release_as(s, &refused, "key/model", FIX_NOW), CCZ_E_POLICY, "policy:mrenclave");
    CHECK(fix_put_secret(s, "elsewhere", "v", "other", false, &err) == CCZ_OK);
    CHECK(release_as(s, &refused, "secret/elsewhere", FIX_NOW) ==
          CCZ_OK); /* no concern of "server" */
    const uint64_t lines = fix_check(s).audit_lines;
    CHECK(replay(g_replay, &out, s, "server", stricter, 0, FIX_NOW + 50 * HOUR) == 3);
    size_t blocked = 0, admitted = 0;
    for (size_t i = 0; i < 3; i++) {
        const struct cczi_msg_replayed *r = &g_replay[i].r;
        CHECK(is(r->rule, "strict"));
        if (r->now && !r->then) {
            blocked++;
            CHECK(is(r->where, "policy:config_id") && r->got.size && r->expected.size &&
                  is(r->reason, "rule \"strict\" does not accept this config_id"));
        }
        if (!r->now && r->then) {
            admitted++;
            CHECK(g_replay[i].w.measurement.ptr[0] == 0xbb && r->where.size == 0);
        }
    }
    CHECK(blocked == 1 && admitted == 1);
    CHECK(fix_check(s).audit_lines == lines); /* it asks, and changes nothing */
    /* the same that is staged */
    CHECK(fix_stage(s, "server", stricter, FIX_NOW + 100 * HOUR, &err) == CCZ_OK);
    CHECK(replay(g_replay, &out, s, "server", NULL, 0, FIX_NOW) == 3);
    blocked = 0;
    for (size_t i = 0; i < 3; i++)
        blocked += g_replay[i].r.now && !g_replay[i].r.then;
    CHECK(blocked == 1);
    const struct cczi_msg_replay_req bad = {.policy = ccz_span_str("server"),
                                            .json = ccz_span_str("{\"version\":2}")};
    REFUSED(fix_msg(NULL, s, FIX_ADMIN, "Replay", cczi_msg_replay_req, &bad, &err), CCZ_E_FORMAT,
            "policy:version");
    const struct cczi_msg_replay_req absent = {.policy = ccz_span_str("absent"),
                                               .json = ccz_span_str(fix_policy)};
    REFUSED(fix_msg(NULL, s, FIX_ADMIN, "Replay", cczi_msg_replay_req, &absent, &err),
            CCZ_E_NOT_FOUND, "kms:not-found");
    ccz_kms_store_free(s);
}

/* Who is accepted by a grace alone, until when, and that he is not any more after it. */
static void test_replay_time(void)
{
    static const char graceful[] =
        "{\"version\":1,\"rules\":[{\"name\":\"g\",\"tee\":\"sgx\",\"sim\":true,\"mrenclave\":"
        "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\","
        "\"collateral_max_age_s\":1000,\"grace\":{\"until\":\"2024-01-01T00:00:00Z\",\"tcb_"
        "status\":"
        "[\"OutOfDate\"]}}]}";
    const int64_t until = INT64_C(1704067200);
    struct ccz_kms_store *s = populated();
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, CCZ_KMS_MESSAGE_SIZE_MAX);
    struct ccz_ratls_peer peer = fix_peer(FIX_WORKLOAD);
    peer.claims.tcb_status = CCZ_TCB_OUT_OF_DATE;
    REFUSED(release_as(s, &peer, "key/model", FIX_NOW), CCZ_E_POLICY, "policy:tcb_status");
    /* its collateral would have expired long ago: the next evidence comes with another one */
    CHECK(replay(g_replay, &out, s, "server", graceful, 0, until - 1) == 1);
    CHECK(!g_replay[0].r.now && g_replay[0].r.then &&
          g_replay[0].r.grace_until_s == (uint64_t)until);
    CHECK(replay(g_replay, &out, s, "server", graceful, until, FIX_NOW) == 1);
    CHECK(!g_replay[0].r.then && is(g_replay[0].r.where, "policy:tcb_status") &&
          g_replay[0].r.grace_until_s == 0);
    CHECK(replay(g_replay, &out, s, "server", graceful, INT64_MAX, FIX_NOW) == 1); /* no overflow */
    /* as old as it was: one second more would be too much */
    peer.claims.collateral_issued_s--;
    peer.claims.config_id[0] = 1;
    REFUSED(release_as(s, &peer, "key/model", FIX_NOW), CCZ_E_POLICY, "policy:tcb_status");
    CHECK(replay(g_replay, &out, s, "server", graceful, 0, until - 1) == 2);
    CHECK(g_replay[0].r.then != g_replay[1].r.then);
    ccz_kms_store_free(s);
}

enum { CLAIMS = 240, POLICIES = 12 };

/* Claims that differ from each other in a few members, of the kind that a policy drafted from the first one may accept. */
static struct ccz_claims some_claims(unsigned n)
{
    uint32_t x = n * 2654435761u + 1;
    struct ccz_claims c = claims_made((enum ccz_tee)(1 + n % 3), n % 6);
    c.debug = false;
    c.collateral_issued_s = FIX_NOW - 1000;
    c.collateral_expires_s = FIX_NOW + 1000;
    if (c.tee == CCZ_TEE_SNP) {
        c.snp.product = CCZ_SNP_MILAN;
        c.snp.signer = CCZ_SNP_VCEK;
        c.snp.reported_tcb.fmc = 0;
    } else {
        c.tcb_status = CCZ_TCB_UP_TO_DATE;
        c.td_attributes[0] = 0;
    }
    for (unsigned edits = claims_next(&x) % 3; edits > 0; edits--) {
        const struct claims_member *m = &claims_members[claims_next(&x) % CLAIMS_MEMBERS];
        if (m->tees & 1u << c.tee)
            claims_set(&c, m, claims_next(&x));
    }
    if (claims_next(&x) % 10 == 0)
        c.collateral_expires_s = FIX_NOW - 1;
    return c;
}

/* What a policy says of claims when it decides, and what a replay of it says: verdict, rule, where, got, expected. */
static void test_property(void)
{
    struct ccz_kms_store *s = populated();
    CCZ_AUTO_BUF json, out, line;
    ccz_buf_init(&json, 1 << 16);
    ccz_buf_init(&out, CCZ_KMS_MESSAGE_SIZE_MAX);
    ccz_buf_init(&line, CCZ_KMS_MESSAGE_SIZE_MAX);
    size_t accepted = 0, compared = 0;
    for (unsigned n = 0; n < CLAIMS; n++) { /* seen under a policy that says nothing of it */
        struct ccz_ratls_peer peer = fix_peer(FIX_WORKLOAD);
        peer.claims = some_claims(n);
        CHECK(release_as(s, &peer, "key/model", FIX_NOW) != CCZ_OK);
    }
    for (unsigned p = 0; p < POLICIES; p++) {
        struct ccz_claims base = some_claims(p * 17);
        ccz_buf_clear(&json);
        if (ccz_policy_draft(&json, &base, &err) != CCZ_OK)
            continue;
        size_t n = replay(g_replay, &out, s, "server", ccz_buf_str(&json), 0, FIX_NOW);
        CHECK(n > CLAIMS / 3);
        CHECK(fix_put_policy(s, "trial", ccz_buf_str(&json), true, &err) == CCZ_OK);
        if (p == 0)
            CHECK(fix_put_secret(s, "trial", "v", "trial", false, &err) == CCZ_OK);
        for (unsigned i = 0; i < CLAIMS; i++) {
            struct ccz_ratls_peer peer = fix_peer(FIX_WORKLOAD);
            uint8_t id[32];
            peer.claims = some_claims(i);
            CHECK(cczi_kms_seen_id(id, &peer.claims, "server", &err) == CCZ_OK);
            const struct cczi_msg_replayed *r = NULL;
            for (size_t k = 0; k < n && !r; k++)
                r = memcmp(g_replay[k].w.id.ptr, id, 32) == 0 ? &g_replay[k].r : NULL;
            CHECK(r != NULL);
            /* of claims that share an identity the newest are kept: those are compared */
            struct ccz_claims kept = {0};
            struct cczi_kms_evidence e;
            struct cczi_kms_row keep;
            cczi_kms_row_init(&keep);
            CHECK(cczi_kms_begin(s, &err) == CCZ_OK &&
                  cczi_kms_evidence_get(&e, &keep, s, id, &err) == CCZ_OK &&
                  ccz_claims_get(&kept, e.claims, &err) == CCZ_OK);
            cczi_kms_rollback(s);
            cczi_kms_row_deinit(&keep);
            peer.claims = kept;
            ccz_rc rc = release_as(s, &peer, "secret/trial", FIX_NOW);
            struct cczi_msg_decision d = why(&line, s, s->head.seq);
            CHECK((rc == CCZ_OK) == (r->then != 0));
            CHECK(ccz_span_eq(d.rule, r->rule) && ccz_span_eq(d.where, r->where));
            CHECK(ccz_span_eq(d.got, r->got) && ccz_span_eq(d.expected, r->expected));
            CHECK(ccz_span_eq(d.reason, r->reason));
            accepted += rc == CCZ_OK;
            compared++;
        }
    }
    CHECK(compared > 5 * CLAIMS && accepted > 20 && accepted < compared / 2);
    ccz_kms_store_free(s);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"kms.seen_rows", test_rows},
        {"kms.seen_batch", test_batch},
        {"kms.seen_again", test_again},
        {"kms.seen_flood", test_flood},
        {"kms.seen_namespaces", test_namespaces},
        {"kms.seen_not_written", test_not_written},
        {"kms.seen_pages", test_pages},
        {"kms.replay", test_replay},
        {"kms.replay_time", test_replay_time},
        {"kms.replay_property", test_property},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
