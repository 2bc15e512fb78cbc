/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KMS_FIXTURE_H
#define KMS_FIXTURE_H
/* Peers, calls and answers shared by the KMS tests and the fuzz target. */
#include <cczoo/codec.h>

#include "kms/kms_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIX_NOW 1700000000

/* A policy that accepts simulated SGX evidence with MRENCLAVE = 32 times 0xaa, and nothing else. */
static const char fix_policy[] =
    "{\"version\":1,\"rules\":[{\"name\":\"server\",\"tee\":\"sgx\",\"sim\":true,\"mrenclave\":"
    "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\",\"tcb_status\":["
    "\"UpToDate\"]}]}";
static const char fix_policy_other[] =
    "{\"version\":1,\"rules\":[{\"name\":\"other\",\"tee\":\"sgx\",\"sim\":true,\"mrenclave\":"
    "\"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\",\"tcb_status\":["
    "\"UpToDate\"]}]}";
static const char fix_set[] = "{\"version\":1,\"values\":[{\"name\":\"1\",\"value\":\"aa\"}]}";
static const char fix_policy_empty[] = "{\"version\":1,\"rules\":[]}";

static inline void fix_die(const char *what)
{
    fprintf(stderr, "fixture: %s\n", what);
    abort();
}

static inline struct ccz_secret *fix_master(uint8_t fill)
{
    struct ccz_secret *s;
    if (ccz_secret_new(&s, CCZ_KMS_MASTER_KEY_SIZE) != CCZ_OK)
        fix_die("no memory");
    memset(ccz_secret_bytes(s), fill, CCZ_KMS_MASTER_KEY_SIZE);
    return s;
}

enum fix_who {
    FIX_ADMIN,
    FIX_AUDITOR,
    FIX_STRANGER,
    FIX_WORKLOAD,
    FIX_STALE,
    FIX_NOBODY,
    FIX_WHO_LEN
};

static inline void fix_spki(uint8_t out[32], enum fix_who who)
{
    memset(out, 0x10 + (int)who, 32);
}

static inline struct ccz_ratls_peer fix_peer(enum fix_who who)
{
    struct ccz_ratls_peer p = {0};
    fix_spki(p.spki_sha256, who);
    p.pinned = who == FIX_ADMIN || who == FIX_AUDITOR || who == FIX_STRANGER;
    p.attested = who == FIX_WORKLOAD || who == FIX_STALE;
    p.fresh = who == FIX_WORKLOAD;
    if (p.attested) {
        p.claims.tee = CCZ_TEE_SGX;
        p.claims.quote_version = 3;
        p.claims.simulated = true;
        p.claims.attributes[0] = 5; /* INIT, MODE64BIT */
        memset(p.claims.mrenclave, 0xaa, 32);
        p.claims.tcb_status = p.claims.platform_status = p.claims.qe_status = CCZ_TCB_UP_TO_DATE;
        p.claims.collateral_issued_s = FIX_NOW - 1000;
        p.claims.collateral_expires_s = FIX_NOW + 86400;
        p.claims.tcb_date_s = FIX_NOW - 100000;
    }
    return p;
}

static inline ccz_rc fix_call_at(struct ccz_buf *response, struct ccz_kms_store *s,
                                 const struct ccz_ratls_peer *peer, const char *method,
                                 struct ccz_span body, int64_t now_s, struct ccz_err *err)
{
    static const struct ccz_kms_info info = {.version = "test",
                                             .tee = "sim-sgx",
                                             .simulated = true,
                                             .started_s = FIX_NOW,
                                             .token_policies = "none,server"};
    char path[64];
    (void)snprintf(path, sizeof(path), "%s%s", CCZI_KMS_SERVICE, method);
    struct ccz_kms_request req = {.path = path,
                                  .body = body,
                                  .peer = peer,
                                  .address = "192.0.2.1:4711",
                                  .now_s = now_s,
                                  .info = &info};
    if (response) {
        ccz_buf_clear(response);
        return ccz_kms_handle(response, s, &req, err);
    }
    struct ccz_buf none;
    ccz_buf_init(&none, CCZ_KMS_MESSAGE_SIZE_MAX);
    none.wipe = true;
    ccz_rc rc = ccz_kms_handle(&none, s, &req, err);
    ccz_buf_free(&none);
    return rc;
}

static inline ccz_rc fix_call_as(struct ccz_buf *response, struct ccz_kms_store *s,
                                 const struct ccz_ratls_peer *peer, const char *method,
                                 struct ccz_span body, struct ccz_err *err)
{
    return fix_call_at(response, s, peer, method, body, FIX_NOW, err);
}

static inline ccz_rc fix_call(struct ccz_buf *response, struct ccz_kms_store *s, enum fix_who who,
                              const char *method, struct ccz_span body, struct ccz_err *err)
{
    struct ccz_ratls_peer peer = fix_peer(who);
    return fix_call_as(response, s, &peer, method, body, err);
}

/* Encodes @p msg and calls. */
static inline ccz_rc fix_msg(struct ccz_buf *response, struct ccz_kms_store *s, enum fix_who who,
                             const char *method, const struct cczi_msg_field *fields,
                             const void *msg, struct ccz_err *err)
{
    struct ccz_buf b;
    ccz_buf_init(&b, CCZ_KMS_MESSAGE_SIZE_MAX);
    cczi_msg_put(&b, fields, msg);
    ccz_rc rc = fix_call(response, s, who, method, ccz_buf_span(&b), err);
    ccz_buf_free(&b);
    return rc;
}

/* The same at another time; evidence is as fresh then as it is at FIX_NOW. */
static inline ccz_rc fix_msg_at(struct ccz_buf *response, struct ccz_kms_store *s, enum fix_who who,
                                const char *method, const struct cczi_msg_field *fields,
                                const void *msg, int64_t now_s, struct ccz_err *err)
{
    struct ccz_buf b;
    struct ccz_ratls_peer peer = fix_peer(who);
    peer.claims.collateral_issued_s += now_s - FIX_NOW;
    peer.claims.collateral_expires_s += now_s - FIX_NOW;
    peer.claims.tcb_date_s += now_s - FIX_NOW;
    ccz_buf_init(&b, CCZ_KMS_MESSAGE_SIZE_MAX);
    cczi_msg_put(&b, fields, msg);
    ccz_rc rc = fix_call_at(response, s, &peer, method, ccz_buf_span(&b), now_s, err);
    ccz_buf_free(&b);
    return rc;
}

static inline struct ccz_span fix_str(const char *s)
{
    return s ? ccz_span_str(s) : (struct ccz_span){0};
}

static inline ccz_rc fix_put_policy(struct ccz_kms_store *s, const char *name, const char *json,
                                    bool replace, struct ccz_err *err)
{
    struct cczi_msg_put_policy_req m = {fix_str(name), fix_str(json), replace};
    return fix_msg(NULL, s, FIX_ADMIN, "PutPolicy", cczi_msg_put_policy_req, &m, err);
}

static inline ccz_rc fix_put_secret(struct ccz_kms_store *s, const char *name, const char *value,
                                    const char *policy, bool new_version, struct ccz_err *err)
{
    struct cczi_msg_put_req m = {.name = fix_str(name),
                                 .value = fix_str(value),
                                 .policy = fix_str(policy),
                                 .new_version = new_version};
    return fix_msg(NULL, s, FIX_ADMIN, "PutSecret", cczi_msg_put_req, &m, err);
}

static inline ccz_rc fix_create_key(struct ccz_kms_store *s, const char *name, const char *alg,
                                    struct ccz_span value, const char *policy, struct ccz_err *err)
{
    struct cczi_msg_put_req m = {
        .name = fix_str(name), .alg = fix_str(alg), .value = value, .policy = fix_str(policy)};
    return fix_msg(NULL, s, FIX_ADMIN, "CreateKey", cczi_msg_put_req, &m, err);
}

static inline ccz_rc fix_stage(struct ccz_kms_store *s, const char *policy, const char *json,
                               int64_t ends_s, struct ccz_err *err)
{
    struct cczi_msg_stage_req m = {fix_str(policy), fix_str(json), (uint64_t)ends_s, 1};
    return fix_msg(NULL, s, FIX_ADMIN, "StagePolicy", cczi_msg_stage_req, &m, err);
}

static inline ccz_rc fix_release(struct ccz_buf *response, struct ccz_kms_store *s,
                                 enum fix_who who, const char *item, uint32_t version,
                                 struct ccz_err *err)
{
    struct cczi_msg_release_req m = {fix_str(item), version};
    return fix_msg(response, s, who, "Release", cczi_msg_release_req, &m, err);
}

/* Two policies, a bound key, a bound secret of two versions, an unbound secret, an auditor. */
static inline void fix_populate(struct ccz_kms_store *s)
{
    uint8_t spki[32];
    fix_spki(spki, FIX_AUDITOR);
    bool ok = ccz_kms_store_set_admin(s, spki, CCZ_KMS_ROLE_AUDITOR, FIX_NOW, NULL) == CCZ_OK;
    ok = ok && fix_put_policy(s, "server", fix_policy, false, NULL) == CCZ_OK;
    ok = ok && fix_put_policy(s, "other", fix_policy_other, false, NULL) == CCZ_OK;
    ok = ok && fix_create_key(s, "model", "aes-128", ccz_span_str("0123456789abcdef"), "server",
                              NULL) == CCZ_OK;
    ok = ok && fix_put_secret(s, "db/password", "correct horse", "server", false, NULL) == CCZ_OK;
    ok = ok && fix_put_secret(s, "db/password", "battery staple", NULL, true, NULL) == CCZ_OK;
    ok = ok && fix_put_secret(s, "loose", "nobody gets this", NULL, false, NULL) == CCZ_OK;
    if (!ok)
        fix_die("cannot populate");
}

/* A row in each table that fix_populate() leaves empty, whatever it means. */
static inline void fix_rows(struct ccz_kms_store *s)
{
    struct cczi_kms_proposal p = {.id = 1,
                                  .ns = "team",
                                  .method = "PutPolicy",
                                  .body = ccz_span_str("body"),
                                  .created_s = FIX_NOW,
                                  .expires_s = FIX_NOW + 60,
                                  .state = CCZI_KMS_DONE};
    struct cczi_kms_approval a = {.proposal = 1, .time_s = FIX_NOW};
    struct cczi_kms_staged st = {.policy = "server",
                                 .json = ccz_span_str(fix_policy_other),
                                 .created_s = FIX_NOW,
                                 .ends_s = FIX_NOW + 60,
                                 .would_accept = 1,
                                 .would_refuse = 2};
    struct cczi_kms_evidence e = {.tee = CCZ_TEE_SGX,
                                  .claims = ccz_span_str("claims"),
                                  .evidence = ccz_span_str("evidence"),
                                  .first_s = FIX_NOW,
                                  .last_s = FIX_NOW + 1,
                                  .accepted = 3,
                                  .refused = 4};
    fix_spki(p.proposer, FIX_ADMIN);
    fix_spki(a.approver, FIX_AUDITOR);
    struct cczi_kms_reference set = {
        .name = "set", .version = 1, .json = ccz_span_str(fix_set), .created_s = FIX_NOW};
    struct cczi_kms_raw raw = {
        .ns = "team", .tee = CCZ_TEE_SGX, .time_s = FIX_NOW, .evidence = ccz_span_str("evidence")};
    fix_spki(e.id, FIX_WORKLOAD);
    fix_spki(raw.sha256, FIX_WORKLOAD);
    bool ok = cczi_kms_begin(s, NULL) == CCZ_OK;
    ok = ok && cczi_kms_quorum_put(s, "team", 0, NULL) == CCZ_OK;
    ok = ok && cczi_kms_proposal_put(s, &p, NULL) == CCZ_OK;
    ok = ok && cczi_kms_approval_put(s, &a, NULL) == CCZ_OK;
    ok = ok && cczi_kms_reference_put(s, &set, NULL) == CCZ_OK;
    ok = ok && cczi_kms_raw_put(s, &raw, NULL) == CCZ_OK;
    ok = ok && cczi_kms_key_meta_row_put(s, "k", ccz_span_str("meta"), NULL) == CCZ_OK;
    ok = ok && cczi_kms_staged_put(s, &st, NULL) == CCZ_OK;
    ok = ok && cczi_kms_evidence_put(s, &e, NULL) == CCZ_OK;
    if (!ok || cczi_kms_commit(s, NULL) != CCZ_OK)
        fix_die("cannot fill every table");
}

struct fix_heads {
    struct {
        int64_t kind;
        char name[CCZ_KMS_NAME_SIZE];
    } of[64];
    size_t len;
};

static inline ccz_rc fix_keep_head(void *arg, const struct cczi_kms_row *r, struct ccz_err *err)
{
    struct fix_heads *h = arg;
    (void)err;
    if (h->len == sizeof(h->of) / sizeof(h->of[0]))
        return CCZ_E_LIMIT;
    h->of[h->len].kind = r->col[0].num;
    (void)snprintf(h->of[h->len++].name, CCZ_KMS_NAME_SIZE, "%.*s", (int)r->col[1].bytes.size,
                   (const char *)r->col[1].bytes.ptr);
    return CCZ_OK;
}

/* The store as one of schema 5 is: without heads of sets of reference values; or of schema 4, but for its tables: without all
 * heads. They are rows like others. @param kind  of which; 0 = all */
static inline void fix_drop_heads(struct ccz_kms_store *s, int64_t kind)
{
    struct fix_heads h = {.len = 0};
    bool ok = cczi_kms_begin(s, NULL) == CCZ_OK;
    ok = ok && cczi_kms_row_each(s, CCZI_KMS_T_HEAD, CCZI_SQL_HEADS_ALL, NULL, fix_keep_head, &h,
                                 NULL) == CCZ_OK;
    for (size_t i = 0; ok && i < h.len; i++) {
        struct cczi_kms_row r = {0};
        if (kind && h.of[i].kind != kind)
            continue;
        cczi_kms_row_int(&r, h.of[i].kind);
        cczi_kms_row_text(&r, h.of[i].name);
        ok = cczi_kms_row_delete(s, CCZI_KMS_T_HEAD, &r, NULL) == CCZ_OK;
    }
    if (!ok || cczi_kms_commit(s, NULL) != CCZ_OK)
        fix_die("cannot drop the heads of items");
}

/* A batch of calls with what they borrow. */
struct fix_batch {
    struct cczi_kms_entry entry[CCZI_KMS_BATCH_MAX];
    struct ccz_kms_request req[CCZI_KMS_BATCH_MAX];
    struct ccz_ratls_peer peer[CCZI_KMS_BATCH_MAX];
    struct ccz_buf body[CCZI_KMS_BATCH_MAX];
    char path[CCZI_KMS_BATCH_MAX][64];
    size_t len;
};

static inline void fix_batch_begin(struct fix_batch *b)
{
    memset(b, 0, sizeof(*b));
}

static inline void fix_batch_add(struct fix_batch *b, enum fix_who who, const char *method,
                                 const struct cczi_msg_field *fields, const void *msg)
{
    static const struct ccz_kms_info info = {
        .version = "test", .tee = "sim-sgx", .simulated = true, .started_s = FIX_NOW};
    size_t i = b->len++;
    ccz_buf_init(&b->body[i], CCZ_KMS_MESSAGE_SIZE_MAX);
    cczi_msg_put(&b->body[i], fields, msg);
    (void)snprintf(b->path[i], sizeof(b->path[i]), "%s%s", CCZI_KMS_SERVICE, method);
    b->peer[i] = fix_peer(who);
    b->req[i] = (struct ccz_kms_request){.path = b->path[i],
                                         .body = ccz_buf_span(&b->body[i]),
                                         .peer = &b->peer[i],
                                         .address = "192.0.2.1:4711",
                                         .now_s = FIX_NOW,
                                         .info = &info};
    cczi_kms_entry_init(&b->entry[i], &b->req[i]);
}

static inline void fix_batch_release(struct fix_batch *b, enum fix_who who, const char *item)
{
    struct cczi_msg_release_req m = {fix_str(item), 0};
    fix_batch_add(b, who, "Release", cczi_msg_release_req, &m);
}

static inline void fix_batch_create_key(struct fix_batch *b, const char *name, const char *policy)
{
    struct cczi_msg_put_req m = {
        .name = fix_str(name), .alg = fix_str("aes-256"), .policy = fix_str(policy)};
    fix_batch_add(b, FIX_ADMIN, "CreateKey", cczi_msg_put_req, &m);
}

static inline void fix_batch_put_secret(struct fix_batch *b, const char *name, const char *value,
                                        const char *policy)
{
    struct cczi_msg_put_req m = {
        .name = fix_str(name), .value = fix_str(value), .policy = fix_str(policy)};
    fix_batch_add(b, FIX_ADMIN, "PutSecret", cczi_msg_put_req, &m);
}

static inline void fix_batch_run(struct fix_batch *b, struct ccz_kms_store *s)
{
    cczi_kms_handle_batch(s, b->entry, b->len);
}

static inline void fix_batch_end(struct fix_batch *b)
{
    for (size_t i = 0; i < b->len; i++) {
        cczi_kms_entry_deinit(&b->entry[i]);
        ccz_buf_free(&b->body[i]);
    }
}

static inline struct ccz_kms_store *fix_memory_store(void)
{
    struct ccz_kms_store *s = NULL;
    struct ccz_secret *master = fix_master(1);
    uint8_t spki[32];
    fix_spki(spki, FIX_ADMIN);
    struct ccz_err err = {0};
    if (cczi_kms_store_memory(&s, master, spki, FIX_NOW, &err) != CCZ_OK)
        fix_die(err.msg);
    ccz_secret_free(master);
    return s;
}

/* What a whole check of the store counts. */
static inline struct ccz_kms_check fix_check(struct ccz_kms_store *s)
{
    struct ccz_kms_check c;
    struct ccz_err err = {0};
    if (ccz_kms_store_check(&c, s, &err) != CCZ_OK)
        fix_die(err.where);
    return c;
}
#endif
