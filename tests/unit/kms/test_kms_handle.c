/* SPDX-License-Identifier: Apache-2.0 */
/* Who may do what, release and refusal, audit and log lines, malformed requests; no network. */
#define _GNU_SOURCE
#include "ccz_test.h"
#include "kms/kms_fixture.h"

static uint64_t audit_lines(struct ccz_kms_store *s)
{
    struct ccz_kms_check c;
    CHECK(ccz_kms_store_check(&c, s, NULL) == CCZ_OK);
    return c.audit_lines;
}

/* The last audit entry, parsed; the caller frees it. */
static struct ccz_json *last_entry(struct ccz_kms_store *s)
{
    struct ccz_json *j = NULL;
    CHECK(cczi_kms_begin(s, NULL) == CCZ_OK);
    struct cczi_q q = cczi_q_start(&s->db, CCZI_SQL_AUDIT_FROM);
    cczi_q_int(&q, (int64_t)s->head.seq - 1);
    cczi_q_int(&q, 1);
    CHECK(cczi_q_row(&q));
    CHECK(ccz_json_parse(&j, cczi_q_col(&q, 2), NULL) == CCZ_OK);
    CHECK(cczi_q_end(&q, NULL) == CCZ_OK);
    cczi_kms_rollback(s);
    return j;
}

static bool member_is(const struct ccz_json *j, const char *key, const char *want)
{
    const char *got = ccz_json_str(ccz_json_get(j, key));
    if (got && strcmp(got, want) == 0)
        return true;
    fprintf(stderr, "%s is \"%s\", expected \"%s\"\n", key, got ? got : "(none)", want);
    return false;
}

/* Log lines of one call. */
static char g_log[4096];
static int g_log_lines;
static void keep_log(void *arg, enum ccz_log_level level, const char *module, const char *line)
{
    (void)arg;
    (void)level;
    CHECK(strcmp(module, "kms") == 0);
    (void)snprintf(g_log, sizeof(g_log), "%s", line);
    g_log_lines++;
}

static void start_log(void)
{
    g_log[0] = 0;
    g_log_lines = 0;
    ccz_log_install(keep_log, NULL, CCZ_LOG_DEBUG);
}

/* ---------------------------------------------------------------------------- who */

static size_t put_policy_body(uint8_t *out, const struct cczi_msg_put_policy_req *m)
{
    struct ccz_buf b;
    ccz_buf_init(&b, 512);
    cczi_msg_put(&b, cczi_msg_put_policy_req, m);
    CHECK(!b.bad);
    size_t size = b.size;
    memcpy(out, b.ptr, size);
    ccz_buf_free(&b);
    return size;
}

/* A request of each method that is right when the right peer sends it. */
static void good_request(struct ccz_buf *b, const char *method)
{
    struct cczi_msg_release_req release = {ccz_span_str("key/model"), 0};
    struct cczi_msg_put_req key = {.name = ccz_span_str("new"),
                                   .alg = ccz_span_str("aes-256"),
                                   .policy = ccz_span_str("server")};
    struct cczi_msg_put_req secret = {.name = ccz_span_str("new"), .value = ccz_span_str("value")};
    struct cczi_msg_put_policy_req policy = {ccz_span_str("new"), ccz_span_str(fix_policy), 0};
    struct cczi_msg_bind_req bind = {.item = ccz_span_str("secret/loose"),
                                     .policy = ccz_span_str("server")};
    struct cczi_msg_delete_req del = {.target = ccz_span_str("secret/loose")},
                               key_model = {.target = ccz_span_str("key/model")};
    struct cczi_msg_name policy_name = {ccz_span_str("server")}, item = {ccz_span_str("key/model")},
                         from = {{0}};
    struct cczi_msg_audit_req tail = {2, 3};
    static uint8_t principal[32] = {7}, body[512], sha256[32];
    struct cczi_msg_role role = {
        .ns = ccz_span_str("*"), .principal = CCZ_SPAN(principal, 32), .roles = 1};
    struct cczi_msg_quorum quorum = {.ns = ccz_span_str("team")};
    struct cczi_msg_propose_req propose = {.method = ccz_span_str("PutPolicy"),
                                           .body = CCZ_SPAN(body, put_policy_body(body, &policy))};
    CHECK(cczi_kms_proposal_digest(sha256, "PutPolicy", propose.body, NULL) == CCZ_OK);
    struct cczi_msg_approve_req approve = {1, CCZ_SPAN(sha256, 32)};
    struct cczi_msg_proposals_req proposals = {0};
    struct cczi_msg_name line = {ccz_span_str("D1")};
    struct cczi_msg_workloads_req workloads = {.claims = 1};
    struct cczi_msg_replay_req replay = {.policy = ccz_span_str("server"),
                                         .json = ccz_span_str(fix_policy_other)};
    struct cczi_msg_stage_req stage = {ccz_span_str("server"), ccz_span_str(fix_policy_other),
                                       FIX_NOW + 60, 0};
    uint8_t staged[32];
    CHECK(ccz_sha256(staged, ccz_span_str(fix_policy_other)) == CCZ_OK);
    struct cczi_msg_roll_out_req roll_out = {ccz_span_str("server"), CCZ_SPAN(staged, 32)};
    struct cczi_msg_set_doors_req doors = {ccz_span_str("key/model"), 1, 1};
    struct cczi_msg_consistency_req consistency = {.old_size = 3};
    struct cczi_msg_put_reference_req set = {ccz_span_str("set"), ccz_span_str(fix_set), 0};
    struct cczi_msg_get_reference_req get_set = {ccz_span_str("set"), 0};
    struct cczi_msg_name set_name = {ccz_span_str("set")};
    static uint8_t of_evidence[32];
    fix_spki(of_evidence, FIX_WORKLOAD);
    struct cczi_msg_get_evidence_req evidence = {ccz_span_str("team"), CCZ_SPAN(of_evidence, 32)};
    struct cczi_msg_attest_req attest = {.policy = ccz_span_str("server")};
    static const uint8_t key_model_1[] = "\x0a\x09key/model\x10\x01"; /* Held */
    struct cczi_msg_name held = {CCZ_SPAN(key_model_1, sizeof(key_model_1) - 1)};
    const struct {
        const char *method;
        const struct cczi_msg_field *fields;
        const void *msg;
    } requests[] = {
        {"Release", cczi_msg_release_req, &release},
        {"CreateKey", cczi_msg_put_req, &key},
        {"PutSecret", cczi_msg_put_req, &secret},
        {"PutPolicy", cczi_msg_put_policy_req, &policy},
        {"Bind", cczi_msg_bind_req, &bind},
        {"Delete", cczi_msg_delete_req, &del},
        {"Undelete", cczi_msg_target_req, &del},
        {"Destroy", cczi_msg_target_req, &del},
        {"Disable", cczi_msg_target_req, &key_model},
        {"Enable", cczi_msg_target_req, &key_model},
        {"GetPolicy", cczi_msg_name, &policy_name},
        {"List", cczi_msg_name, &from},
        {"Describe", cczi_msg_name, &item},
        {"AuditTail", cczi_msg_audit_req, &tail},
        {"Status", cczi_msg_none, NULL},
        {"Checkpoint", cczi_msg_none, NULL},
        {"SetRole", cczi_msg_role, &role},
        {"SetQuorum", cczi_msg_quorum, &quorum},
        {"ListRoles", cczi_msg_none, NULL},
        {"Propose", cczi_msg_propose_req, &propose},
        {"Approve", cczi_msg_approve_req, &approve},
        {"Reject", cczi_msg_reject_req, &approve},
        {"ListProposals", cczi_msg_proposals_req, &proposals},
        {"Why", cczi_msg_name, &line},
        {"Workloads", cczi_msg_workloads_req, &workloads},
        {"Replay", cczi_msg_replay_req, &replay},
        {"StagePolicy", cczi_msg_stage_req, &stage},
        {"Unstage", cczi_msg_name, &policy_name},
        {"GetStaged", cczi_msg_name, &policy_name},
        {"ListStaged", cczi_msg_name, &from},
        {"RollOut", cczi_msg_roll_out_req, &roll_out},
        {"SetDoors", cczi_msg_set_doors_req, &doors},
        {"Consistency", cczi_msg_consistency_req, &consistency},
        {"RotateAuditKey", cczi_msg_none, NULL},
        {"PutReference", cczi_msg_put_reference_req, &set},
        {"GetReference", cczi_msg_get_reference_req, &get_set},
        {"ListReferences", cczi_msg_name, &from},
        {"DeleteReference", cczi_msg_name, &set_name},
        {"GetEvidence", cczi_msg_get_evidence_req, &evidence},
        {"Attest", cczi_msg_attest_req, &attest},
        {"TokenKeys", cczi_msg_none, NULL},
        {"RotateTokenKey", cczi_msg_none, NULL},
        {"StillReleased", cczi_msg_name, &held},
    };
    ccz_buf_clear(b);
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
        if (strcmp(requests[i].method, method) == 0) {
            cczi_msg_put(b, requests[i].fields, requests[i].msg);
            return;
        }
    fix_die("a method without a request: add one");
}

/* Those of keys that work inside have kms.use_who and kms.use_malformed. */
static bool is_of_keys(const struct cczi_kms_method *m)
{
    const struct cczi_kms_method *first = cczi_kms_method_find(CCZI_KMS_SERVICE "Generate"),
                                 *last = cczi_kms_method_find(CCZI_KMS_SERVICE "PublicKey");
    return m >= first && m <= last;
}

/* What each kind of peer gets, by the kind of method; "" = it is done. */
static const char *const expected_where[4][FIX_WHO_LEN] = {
    /* workload */
    {"kms:workload-required", "kms:workload-required", "kms:workload-required", "",
     "kms:evidence-stale", "kms:workload-required"},
    /* admin */
    {"", "kms:role", "kms:admin-unknown", "kms:admin-required", "kms:admin-required",
     "kms:admin-required"},
    /* auditor */
    {"", "", "kms:admin-unknown", "kms:admin-required", "kms:admin-required", "kms:admin-required"},
    /* everybody */
    {"", "", "", "", "", ""},
};

/* Approvals are needed where names have no namespace; and another administrator has proposed something there. */
static void prepare_quorum(struct ccz_kms_store *s, bool propose)
{
    uint8_t other[32];
    struct ccz_buf body;
    struct ccz_ratls_peer peer = {.pinned = true};
    memset(other, 0x77, 32);
    memcpy(peer.spki_sha256, other, 32);
    for (int i = 0; i < 2; i++) { /* it is its own people who decide there */
        struct ccz_kms_grant g = {.ns = "", .roles = CCZ_KMS_ROLE_ADMIN};
        fix_spki(g.principal, FIX_ADMIN);
        if (i)
            memcpy(g.principal, other, 32);
        CHECK(ccz_kms_store_grant(s, &g, FIX_NOW, NULL) == CCZ_OK);
    }
    CHECK(ccz_kms_store_set_quorum(s, "", 1, FIX_NOW, NULL) == CCZ_OK);
    ccz_buf_init(&body, CCZ_KMS_MESSAGE_SIZE_MAX);
    good_request(&body, "Propose");
    CHECK(!propose || fix_call_as(NULL, s, &peer, "Propose", ccz_buf_span(&body), NULL) == CCZ_OK);
    ccz_buf_free(&body);
}

/* The key that signs the log is a day old. */
static void age_signer(struct ccz_kms_store *s)
{
    const struct cczi_kms_ref ref = {.kind = CCZI_KMS_SYSTEM, .name = "audit-signing"};
    struct cczi_kms_item it;
    cczi_kms_item_init(&it);
    CHECK(cczi_kms_begin(s, NULL) == CCZ_OK);
    CHECK(cczi_kms_item_get(&it, s, &ref, 1, NULL) == CCZ_OK);
    CHECK(cczi_kms_item_delete(s, &it, NULL) == CCZ_OK);
    it.created_s -= CCZ_KMS_AUDIT_KEY_AGE_S;
    CHECK(cczi_kms_item_insert(s, &it, NULL) == CCZ_OK && cczi_kms_commit(s, NULL) == CCZ_OK);
    cczi_kms_item_deinit(&it);
}

/* What has to be there before a good request of some methods. */
static void prepare(struct ccz_kms_store *s, const char *method)
{
    struct cczi_msg_delete_req loose = {.target = ccz_span_str("secret/loose")},
                               model = {.target = ccz_span_str("key/model")};
    ccz_rc rc = CCZ_OK;
    if (strcmp(method, "Propose") == 0 || strcmp(method, "Approve") == 0 ||
        strcmp(method, "Reject") == 0)
        prepare_quorum(s, strcmp(method, "Propose") != 0);
    if (strcmp(method, "Undelete") == 0)
        rc = fix_msg(NULL, s, FIX_ADMIN, "Delete", cczi_msg_delete_req, &loose, NULL);
    if (strcmp(method, "Enable") == 0)
        rc = fix_msg(NULL, s, FIX_ADMIN, "Disable", cczi_msg_target_req, &model, NULL);
    if (strcmp(method, "Destroy") == 0) /* its window ended long ago */
        rc = fix_msg_at(NULL, s, FIX_ADMIN, "Delete", cczi_msg_delete_req, &loose,
                        FIX_NOW - 1000000, NULL);
    if (strcmp(method, "Unstage") == 0 || strcmp(method, "GetStaged") == 0 ||
        strcmp(method, "RollOut") == 0)
        rc = fix_stage(s, "server", fix_policy_other, FIX_NOW + 60, NULL);
    if (strcmp(method, "RotateAuditKey") == 0)
        age_signer(s);
    if (strcmp(method, "GetEvidence") == 0)
        fix_rows(s);
    if (strcmp(method, "GetReference") == 0 || strcmp(method, "DeleteReference") == 0) {
        struct cczi_msg_put_reference_req set = {ccz_span_str("set"), ccz_span_str(fix_set), 0};
        rc = fix_msg(NULL, s, FIX_ADMIN, "PutReference", cczi_msg_put_reference_req, &set, NULL);
    }
    if (strcmp(method, "Attest") == 0 || strcmp(method, "TokenKeys") == 0)
        rc = fix_msg(NULL, s, FIX_ADMIN, "RotateTokenKey", cczi_msg_none, NULL, NULL);
    CHECK(rc == CCZ_OK);
}

static void test_who(void)
{
    struct ccz_buf body, out;
    ccz_buf_init(&body, CCZ_KMS_MESSAGE_SIZE_MAX);
    ccz_buf_init(&out, CCZ_KMS_MESSAGE_SIZE_MAX);
    for (size_t i = 0; i < cczi_kms_methods_len; i++) {
        const struct cczi_kms_method *m = &cczi_kms_methods[i];
        if (is_of_keys(m))
            continue;
        good_request(&body, m->name);
        for (int who = 0; who < FIX_WHO_LEN; who++) {
            struct ccz_kms_store *s = fix_memory_store();
            fix_populate(s);
            prepare(s, m->name);
            uint64_t before = audit_lines(s);
            struct ccz_err err = {0};
            const char *want = expected_where[m->workload                          ? 0
                                              : !m->roles                          ? 3
                                              : !(m->roles & CCZ_KMS_ROLE_AUDITOR) ? 1
                                                                                   : 2][who];
            start_log();
            ccz_rc rc = fix_call(&out, s, (enum fix_who)who, m->name, ccz_buf_span(&body), &err);
            ccz_log_install(NULL, NULL, CCZ_LOG_ERROR);
            if (strcmp(want, err.where) != 0 || (rc == CCZ_OK) != (*want == 0)) {
                fprintf(stderr, "%s by %d: %s at \"%s\", expected \"%s\"\n", m->name, who,
                        ccz_rc_name(rc), err.where, want);
                exit(1);
            }
            CHECK(rc == CCZ_OK ||
                  (rc == CCZ_E_DENIED && out.size == 0 && err.got[0] && err.expected[0]));
            /* one audit line and one log line for each change, release and refusal; none for
             * reading */
            uint64_t lines = rc != CCZ_OK || m->recorded ? 1 : 0;
            /* and one for the call that was proposed, when it is executed; and for a new key */
            uint64_t executed = rc == CCZ_OK && (strcmp(m->name, "Approve") == 0 ||
                                                 strcmp(m->name, "RotateAuditKey") == 0);
            CHECK(audit_lines(s) == before + lines + executed && g_log_lines == (int)lines);
            ccz_kms_store_free(s);
        }
    }
    ccz_buf_free(&body);
    ccz_buf_free(&out);
}

/* A workload that uses an administrator's key for TLS, and an administrator who shows evidence,
 * gain nothing. */
static void test_both(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    struct ccz_err err = {0};
    struct ccz_ratls_peer p = fix_peer(FIX_WORKLOAD);
    fix_spki(p.spki_sha256, FIX_ADMIN);
    CHECK(fix_call_as(NULL, s, &p, "Status", (struct ccz_span){0}, &err) == CCZ_E_DENIED);
    CHECK(strcmp(err.where, "kms:admin-required") == 0);
    p.pinned = true;
    CHECK(fix_call_as(NULL, s, &p, "Status", (struct ccz_span){0}, &err) == CCZ_E_DENIED);
    CHECK(strcmp(err.where, "kms:admin-required") == 0);
    /* an administrator who was removed while connected */
    uint8_t spki[32];
    fix_spki(spki, FIX_AUDITOR);
    CHECK(fix_call(NULL, s, FIX_AUDITOR, "Status", (struct ccz_span){0}, &err) == CCZ_OK);
    CHECK(ccz_kms_store_set_admin(s, spki, CCZ_KMS_ROLE_NONE, FIX_NOW, NULL) == CCZ_OK);
    CHECK(fix_call(NULL, s, FIX_AUDITOR, "Status", (struct ccz_span){0}, &err) == CCZ_E_DENIED);
    CHECK(strcmp(err.where, "kms:admin-unknown") == 0);
    ccz_kms_store_free(s);
}

/* ------------------------------------------------------------------------- release */

static void test_release(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    struct ccz_buf out;
    ccz_buf_init(&out, CCZ_KMS_MESSAGE_SIZE_MAX);
    struct ccz_err err = {0};
    start_log();
    CHECK(fix_release(&out, s, FIX_WORKLOAD, "key/model", 0, &err) == CCZ_OK);
    CHECK(strstr(g_log,
                 "Release verdict=accept item=key/model version=1 policy=server rule=server") !=
          NULL);
    CHECK(strstr(g_log, "peer=192.0.2.1:4711") != NULL && strstr(g_log, "SIMULATED") != NULL);
    CHECK(strstr(g_log, "0123456789abcdef") == NULL);
    ccz_log_install(NULL, NULL, CCZ_LOG_ERROR);

    struct cczi_msg_release_resp m = {0};
    struct cczi_msg_receipt r = {0};
    uint8_t digest[32];
    CHECK(cczi_msg_get(&m, cczi_msg_release_resp, ccz_buf_span(&out), NULL) == CCZ_OK);
    CHECK(ccz_span_eq(m.value, ccz_span_str("0123456789abcdef")) &&
          ccz_span_eq(m.alg, ccz_span_str("aes-128")));
    CHECK(m.version == 1 && ccz_span_eq(m.policy, ccz_span_str("server")) &&
          ccz_span_eq(m.rule, ccz_span_str("server")));
    CHECK(ccz_sha256(digest, ccz_span_str(fix_policy)) == CCZ_OK);
    CHECK(ccz_span_eq(m.policy_sha256, CCZ_SPAN(digest, 32)));
    /* the receipt is the end of the chain */
    CHECK(cczi_msg_get(&r, cczi_msg_receipt, m.receipt, NULL) == CCZ_OK && r.time_s == FIX_NOW);
    CHECK(cczi_kms_begin(s, NULL) == CCZ_OK && r.seq == s->head.seq);
    CHECK(ccz_span_eq(r.sha256, CCZ_SPAN(s->head.hash, 32)));
    cczi_kms_rollback(s);

    struct ccz_json *e = last_entry(s);
    CHECK(member_is(e, "op", "Release") && member_is(e, "verdict", "accept") &&
          member_is(e, "item", "key/model"));
    CHECK(member_is(e, "policy", "server") && member_is(e, "rule", "server"));
    const struct ccz_json *peer = ccz_json_get(e, "peer");
    CHECK(member_is(peer, "kind", "workload") && member_is(peer, "tee", "sgx"));
    CHECK(member_is(peer, "mrenclave",
                    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
    ccz_json_free(e);

    /* versions: the latest, a named one, one that never was */
    CHECK(fix_release(&out, s, FIX_WORKLOAD, "secret/db/password", 0, &err) == CCZ_OK);
    CHECK(memmem(out.ptr, out.size, "battery staple", 14) != NULL);
    CHECK(fix_release(&out, s, FIX_WORKLOAD, "secret/db/password", 1, &err) == CCZ_OK);
    CHECK(memmem(out.ptr, out.size, "correct horse", 13) != NULL);
    CHECK(fix_release(&out, s, FIX_WORKLOAD, "secret/db/password", 3, &err) == CCZ_E_NOT_FOUND);
    ccz_buf_free(&out);
    ccz_kms_store_free(s);
}

static void instance_of(uint8_t id[CCZ_KMS_INSTANCE_SIZE], struct ccz_kms_store *s,
                        const char *item)
{
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, CCZ_KMS_MESSAGE_SIZE_MAX);
    struct cczi_msg_release_resp m = {0};
    CHECK(fix_release(&out, s, FIX_WORKLOAD, item, 0, NULL) == CCZ_OK);
    CHECK(cczi_msg_get(&m, cczi_msg_release_resp, ccz_buf_span(&out), NULL) == CCZ_OK &&
          m.instance.size == CCZ_KMS_INSTANCE_SIZE);
    memcpy(id, m.instance.ptr, CCZ_KMS_INSTANCE_SIZE);
}

/* Every release of one KMS says the same, whichever server of it answers; another KMS says something else. */
static void test_instance(void)
{
    struct ccz_kms_store *s = fix_memory_store(), *again = fix_memory_store(), *other = NULL;
    struct ccz_secret *master = fix_master(2);
    uint8_t spki[32], id[4][CCZ_KMS_INSTANCE_SIZE], own[CCZ_KMS_INSTANCE_SIZE];
    fix_spki(spki, FIX_ADMIN);
    CHECK(cczi_kms_store_memory(&other, master, spki, FIX_NOW, NULL) == CCZ_OK);
    ccz_secret_free(master);
    fix_populate(s);
    fix_populate(again);
    fix_populate(other);
    instance_of(id[0], s, "key/model");
    instance_of(id[1], s, "secret/db/password");
    instance_of(id[2], again, "key/model");
    instance_of(id[3], other, "key/model");
    ccz_kms_store_instance(own, s);
    CHECK(memcmp(id[0], own, sizeof(own)) == 0 && memcmp(id[0], id[1], sizeof(own)) == 0);
    /* another store, and be it under the same master key, is another KMS */
    CHECK(memcmp(id[0], id[2], sizeof(own)) != 0 && memcmp(id[0], id[3], sizeof(own)) != 0);
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, CCZ_KMS_MESSAGE_SIZE_MAX);
    struct cczi_msg_status st = {0};
    CHECK(fix_call(&out, other, FIX_AUDITOR, "Status", (struct ccz_span){0}, NULL) == CCZ_OK);
    CHECK(cczi_msg_get(&st, cczi_msg_status, ccz_buf_span(&out), NULL) == CCZ_OK &&
          ccz_span_eq(st.instance, CCZ_SPAN(id[3], sizeof(own))));
    ccz_kms_store_free(s);
    ccz_kms_store_free(again);
    ccz_kms_store_free(other);
}

/* Each reason to refuse a release: named, recorded, and nothing comes back. */
static void test_release_refused(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    CHECK(fix_put_policy(s, "empty", fix_policy_empty, false, NULL) == CCZ_OK);
    CHECK(fix_put_secret(s, "closed", "for nobody", "empty", false, NULL) == CCZ_OK);
    CHECK(fix_put_secret(s, "theirs", "for others", "other", false, NULL) == CCZ_OK);
    char genuine[sizeof(fix_policy)]; /* the same without leave for the software TEE */
    const char *sim = strstr(fix_policy, "\"sim\":true,");
    (void)snprintf(genuine, sizeof(genuine), "%.*s%s", (int)(sim - fix_policy), fix_policy,
                   sim + strlen("\"sim\":true,"));
    CHECK(fix_put_policy(s, "genuine", genuine, false, NULL) == CCZ_OK);
    CHECK(fix_put_secret(s, "real", "not for a simulation", "genuine", false, NULL) == CCZ_OK);
    struct ccz_ratls_peer debug = fix_peer(FIX_WORKLOAD), old = debug;
    debug.claims.debug = true;
    old.claims.tcb_status = CCZ_TCB_OUT_OF_DATE;
    struct ccz_ratls_peer good = fix_peer(FIX_WORKLOAD), zero = good;
    zero.claims = (struct ccz_claims){0}; /* zeroed claims pass nowhere */
    const struct {
        const char *item;
        const struct ccz_ratls_peer *peer;
        ccz_rc rc;
        const char *where, *got, *expected; /* NULL: not compared; of a policy: on record only */
    } cases[] = {
        {"secret/theirs", &good, CCZ_E_POLICY, "policy:mrenclave",
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
         "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"},
        {"secret/closed", &good, CCZ_E_POLICY, "policy:empty", NULL, NULL},
        {"secret/loose", &good, CCZ_E_DENIED, "kms:unbound", "no policy", NULL},
        {"key/model", &debug, CCZ_E_POLICY, "policy:debug", NULL, NULL},
        {"secret/real", &good, CCZ_E_POLICY, "policy:sim", NULL, NULL},
        {"key/model", &old, CCZ_E_POLICY, "policy:tcb_status", "OutOfDate", "UpToDate"},
        {"key/model", &zero, CCZ_E_POLICY, NULL, NULL, NULL},
        {"key/none", &good, CCZ_E_NOT_FOUND, "kms:not-found", NULL, NULL},
        {"secret/model", &good, CCZ_E_NOT_FOUND, "kms:not-found", NULL, NULL},
        {"policy/server", &good, CCZ_E_FORMAT, "kms:name", NULL, NULL},
        {"model", &good, CCZ_E_FORMAT, "kms:name", NULL, NULL},
        {"key/../model", &good, CCZ_E_FORMAT, "kms:name", NULL, NULL},
        {"", &good, CCZ_E_FORMAT, "kms:name", NULL, NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ccz_buf body, out;
        ccz_buf_init(&body, 1024);
        ccz_buf_init(&out, CCZ_KMS_MESSAGE_SIZE_MAX);
        struct cczi_msg_release_req m = {ccz_span_str(cases[i].item), 0};
        cczi_msg_put(&body, cczi_msg_release_req, &m);
        struct ccz_err err = {0};
        uint64_t before = audit_lines(s);
        start_log();
        ccz_rc rc = fix_call_as(&out, s, cases[i].peer, "Release", ccz_buf_span(&body), &err);
        if (rc != cases[i].rc || (cases[i].where && strcmp(err.where, cases[i].where) != 0)) {
            fprintf(stderr, "%s: %s at %s: %s\n", cases[i].item, ccz_rc_name(rc), err.where,
                    err.msg);
            exit(1);
        }
        CHECK(!cases[i].got || strcmp(err.got, cases[i].got) == 0);
        char see[CCZ_ERR_VALUE_SIZE];
        (void)snprintf(see, sizeof(see), "see decision D%llu", (unsigned long long)before + 1);
        CHECK(rc != CCZ_E_POLICY || strcmp(err.expected, see) == 0);
        CHECK(out.size == 0 && audit_lines(s) == before + 1 && g_log_lines == 1);
        CHECK(strstr(g_log, "Release verdict=reject") == g_log &&
              strstr(g_log, "peer=192.0.2.1:4711") != NULL);
        CHECK(strstr(g_log, err.where) != NULL);
        struct ccz_json *e = last_entry(s);
        CHECK(member_is(e, "verdict", "reject") && member_is(e, "where", err.where) &&
              (rc == CCZ_E_POLICY || member_is(e, "got", err.got)));
        CHECK(!cases[i].expected || member_is(e, "expected", cases[i].expected));
        ccz_json_free(e);
        ccz_buf_free(&body);
        ccz_buf_free(&out);
    }
    ccz_log_install(NULL, NULL, CCZ_LOG_ERROR);
    ccz_kms_store_free(s);
}

/* No release unless its audit line is durable: with no room for the line there is no value. */
static void test_release_needs_audit(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    struct ccz_buf out;
    ccz_buf_init(&out, CCZ_KMS_MESSAGE_SIZE_MAX);
    struct ccz_err err = {0};
    CHECK(fix_release(&out, s, FIX_WORKLOAD, "key/model", 0, &err) == CCZ_OK);
    CHECK(cczi_kms_db_exec(&s->db, "PRAGMA max_page_count = 1", NULL) ==
          CCZ_OK); /* no further page */
    ccz_rc rc = CCZ_OK;
    for (int i = 0; i < 1000 && rc == CCZ_OK; i++)
        rc = fix_release(&out, s, FIX_WORKLOAD, "key/model", 0, &err);
    CHECK(rc == CCZ_E_IO && strcmp(err.where, "kms:store-full") == 0 && out.size == 0);
    start_log();
    CHECK(fix_release(&out, s, FIX_STALE, "key/model", 0, &err) ==
          CCZ_E_DENIED);     /* refused all the same */
    CHECK(g_log_lines == 2); /* the refusal, and that it could not be recorded */
    ccz_log_install(NULL, NULL, CCZ_LOG_ERROR);
    CHECK(cczi_kms_db_exec(&s->db, "PRAGMA max_page_count = 100000", NULL) == CCZ_OK);
    CHECK(fix_release(&out, s, FIX_WORKLOAD, "key/model", 0, &err) == CCZ_OK);
    CHECK(ccz_kms_store_check(NULL, s, NULL) == CCZ_OK);
    ccz_buf_free(&out);
    ccz_kms_store_free(s);
}

/* ------------------------------------------------------------------------- changes */

static void expect(ccz_rc got, ccz_rc want, const struct ccz_err *err, const char *where, int line)
{
    if (got == want && strcmp(err->where, where) == 0)
        return;
    fprintf(stderr, "line %d: %s at %s (%s), expected %s at %s\n", line, ccz_rc_name(got),
            err->where, err->msg, ccz_rc_name(want), where);
    exit(1);
}
#define REFUSED(call, rc, where) expect((call), (rc), &err, (where), __LINE__)

static void test_put(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    struct ccz_err err = {0};
    struct ccz_span none = {0};
    static char big[CCZ_KMS_VALUE_SIZE_MAX + 2];
    memset(big, 'x', CCZ_KMS_VALUE_SIZE_MAX + 1);

    REFUSED(fix_create_key(s, "model", "aes-128", none, NULL, &err), CCZ_E_EXISTS, "kms:exists");
    REFUSED(fix_create_key(s, "k", "aes-512", none, NULL, &err), CCZ_E_UNSUPPORTED, "kms:alg");
    REFUSED(fix_create_key(s, "k", NULL, none, NULL, &err), CCZ_E_UNSUPPORTED, "kms:alg");
    REFUSED(fix_create_key(s, "k", "aes-128", ccz_span_str("15 bytes, short"), NULL, &err),
            CCZ_E_FORMAT, "kms:key-size");
    REFUSED(fix_create_key(s, "k", "aes-256", ccz_span_str("0123456789abcdef"), NULL, &err),
            CCZ_E_FORMAT, "kms:key-size");
    REFUSED(fix_create_key(s, "k", "aes-128", none, "absent", &err), CCZ_E_NOT_FOUND,
            "kms:not-found");
    REFUSED(fix_create_key(s, "a b", "aes-128", none, NULL, &err), CCZ_E_FORMAT, "kms:name");
    REFUSED(fix_put_secret(s, "loose", "again", NULL, false, &err), CCZ_E_EXISTS, "kms:exists");
    REFUSED(fix_put_secret(s, "absent", "v2", NULL, true, &err), CCZ_E_NOT_FOUND, "kms:not-found");
    REFUSED(fix_put_secret(s, "empty", "", NULL, false, &err), CCZ_E_LIMIT, "kms:value-size");
    REFUSED(fix_put_secret(s, "big", big, NULL, false, &err), CCZ_E_LIMIT, "kms:request");
    struct cczi_msg_put_req alg = {
        .name = ccz_span_str("s"), .alg = ccz_span_str("aes-128"), .value = ccz_span_str("v")};
    REFUSED(fix_msg(NULL, s, FIX_ADMIN, "PutSecret", cczi_msg_put_req, &alg, &err), CCZ_E_FORMAT,
            "kms:request");
    struct ccz_kms_check c;
    CHECK(ccz_kms_store_check(&c, s, NULL) == CCZ_OK && c.versions == 4 &&
          c.bindings == 2); /* nothing of it stuck */

    big[CCZ_KMS_VALUE_SIZE_MAX] = 0;
    CHECK(fix_put_secret(s, "big", big, "server", false, &err) == CCZ_OK);
    struct ccz_buf out;
    ccz_buf_init(&out, CCZ_KMS_MESSAGE_SIZE_MAX);
    CHECK(fix_release(&out, s, FIX_WORKLOAD, "secret/big", 0, &err) == CCZ_OK &&
          out.size > CCZ_KMS_VALUE_SIZE_MAX);

    /* keys made here: of the right size, and never the same */
    struct cczi_msg_release_resp m1 = {0}, m2 = {0};
    struct ccz_buf out2;
    ccz_buf_init(&out2, CCZ_KMS_MESSAGE_SIZE_MAX);
    CHECK(fix_create_key(s, "k1", "aes-256", none, "server", &err) == CCZ_OK);
    CHECK(fix_create_key(s, "k2", "aes-256", none, "server", &err) == CCZ_OK);
    CHECK(fix_release(&out, s, FIX_WORKLOAD, "key/k1", 0, &err) == CCZ_OK);
    CHECK(fix_release(&out2, s, FIX_WORKLOAD, "key/k2", 0, &err) == CCZ_OK);
    CHECK(cczi_msg_get(&m1, cczi_msg_release_resp, ccz_buf_span(&out), NULL) == CCZ_OK);
    CHECK(cczi_msg_get(&m2, cczi_msg_release_resp, ccz_buf_span(&out2), NULL) == CCZ_OK);
    CHECK(m1.value.size == 32 && m2.value.size == 32 && !ccz_span_eq(m1.value, m2.value));
    ccz_buf_free(&out);
    ccz_buf_free(&out2);
    ccz_kms_store_free(s);
}

static void test_policy(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    struct ccz_err err = {0};
    struct ccz_buf out;
    ccz_buf_init(&out, CCZ_KMS_MESSAGE_SIZE_MAX);
    REFUSED(fix_put_policy(s, "server", fix_policy_other, false, &err), CCZ_E_EXISTS,
            "kms:policy-exists");
    CHECK(fix_put_policy(s, "bad", "{\"version\":1,\"rules\":[{\"nmae\":1}]}", false, &err) ==
          CCZ_E_FORMAT);
    CHECK(fix_release(&out, s, FIX_WORKLOAD, "key/model", 0, &err) == CCZ_OK);
    /* a replaced policy holds at once */
    CHECK(fix_put_policy(s, "server", fix_policy_other, true, &err) == CCZ_OK);
    REFUSED(fix_release(&out, s, FIX_WORKLOAD, "key/model", 0, &err), CCZ_E_POLICY,
            "policy:mrenclave");
    struct cczi_msg_name name = {ccz_span_str("server")};
    CHECK(fix_msg(&out, s, FIX_AUDITOR, "GetPolicy", cczi_msg_name, &name, &err) == CCZ_OK);
    CHECK(memmem(out.ptr, out.size, fix_policy_other, strlen(fix_policy_other)) != NULL);
    name.name = ccz_span_str("absent");
    REFUSED(fix_msg(&out, s, FIX_AUDITOR, "GetPolicy", cczi_msg_name, &name, &err), CCZ_E_NOT_FOUND,
            "kms:not-found");

    struct cczi_msg_bind_req bind = {.item = ccz_span_str("key/absent"),
                                     .policy = ccz_span_str("other")};
    REFUSED(fix_msg(NULL, s, FIX_ADMIN, "Bind", cczi_msg_bind_req, &bind, &err), CCZ_E_NOT_FOUND,
            "kms:not-found");
    bind = (struct cczi_msg_bind_req){.item = ccz_span_str("key/model"),
                                      .policy = ccz_span_str("absent")};
    REFUSED(fix_msg(NULL, s, FIX_ADMIN, "Bind", cczi_msg_bind_req, &bind, &err), CCZ_E_NOT_FOUND,
            "kms:not-found");
    bind.item = ccz_span_str("policy/server");
    REFUSED(fix_msg(NULL, s, FIX_ADMIN, "Bind", cczi_msg_bind_req, &bind, &err), CCZ_E_FORMAT,
            "kms:name");

    struct cczi_msg_delete_req del = {.target = ccz_span_str("policy/server")};
    REFUSED(fix_msg(NULL, s, FIX_ADMIN, "Delete", cczi_msg_delete_req, &del, &err), CCZ_E_DENIED,
            "kms:policy-in-use");
    del = (struct cczi_msg_delete_req){.target = ccz_span_str("policy/other"), .version = 1};
    REFUSED(fix_msg(NULL, s, FIX_ADMIN, "Delete", cczi_msg_delete_req, &del, &err), CCZ_E_FORMAT,
            "kms:request");
    del.version = 0;
    CHECK(fix_msg(NULL, s, FIX_ADMIN, "Delete", cczi_msg_delete_req, &del, &err) == CCZ_OK);
    REFUSED(fix_msg(NULL, s, FIX_ADMIN, "Delete", cczi_msg_delete_req, &del, &err), CCZ_E_NOT_FOUND,
            "kms:not-found");
    CHECK(ccz_kms_store_check(NULL, s, NULL) == CCZ_OK);
    ccz_buf_free(&out);
    ccz_kms_store_free(s);
}

static void test_delete(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    struct ccz_err err = {0};
    struct cczi_msg_delete_req del = {
        .target = ccz_span_str("secret/db/password"), .version = 2, .no_recovery = 1};
    REFUSED(fix_msg(NULL, s, FIX_ADMIN, "Delete", cczi_msg_delete_req, &del, &err), CCZ_E_DENIED,
            "kms:latest-version");
    CHECK(fix_release(NULL, s, FIX_WORKLOAD, "secret/db/password", 2, &err) ==
          CCZ_OK); /* still there */
    del.version = 1;
    CHECK(fix_msg(NULL, s, FIX_ADMIN, "Delete", cczi_msg_delete_req, &del, &err) == CCZ_OK);
    REFUSED(fix_release(NULL, s, FIX_WORKLOAD, "secret/db/password", 1, &err), CCZ_E_NOT_FOUND,
            "kms:not-found");
    CHECK(fix_release(NULL, s, FIX_WORKLOAD, "secret/db/password", 0, &err) == CCZ_OK);
    del.version = 0;
    CHECK(fix_msg(NULL, s, FIX_ADMIN, "Delete", cczi_msg_delete_req, &del, &err) == CCZ_OK);
    REFUSED(fix_msg(NULL, s, FIX_ADMIN, "Delete", cczi_msg_delete_req, &del, &err), CCZ_E_NOT_FOUND,
            "kms:not-found");
    /* a new item of the old name does not inherit the binding */
    CHECK(fix_put_secret(s, "db/password", "fresh", NULL, false, &err) == CCZ_OK);
    REFUSED(fix_release(NULL, s, FIX_WORKLOAD, "secret/db/password", 0, &err), CCZ_E_DENIED,
            "kms:unbound");
    CHECK(ccz_kms_store_check(NULL, s, NULL) == CCZ_OK);
    ccz_kms_store_free(s);
}

/* ------------------------------------------------------------------------- reading */

static size_t count_repeated(struct ccz_span in, bool *more)
{
    struct ccz_rd r = ccz_rd_from(in);
    struct ccz_pb_field f;
    size_t n = 0;
    *more = false;
    while (ccz_pb_next(&f, &r)) {
        n += f.number == CCZI_MSG_REPEATED;
        *more = *more || f.number == CCZI_MSG_MORE;
    }
    CHECK(!r.bad);
    return n;
}

static void test_list(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    char name[32];
    for (int i = 0; i < 300; i++) {
        (void)snprintf(name, sizeof(name), "n%03d", i);
        CHECK(fix_put_secret(s, name, "v", "other", false, NULL) == CCZ_OK);
    }
    struct ccz_buf out;
    ccz_buf_init(&out, CCZ_KMS_MESSAGE_SIZE_MAX);
    struct cczi_msg_name from = {{0}};
    bool more;
    struct ccz_err err = {0};
    CHECK(fix_msg(&out, s, FIX_AUDITOR, "List", cczi_msg_name, &from, &err) == CCZ_OK);
    CHECK(count_repeated(ccz_buf_span(&out), &more) == 100 && more);
    CHECK(memmem(out.ptr, out.size, "key/model", 9) != NULL);
    CHECK(memmem(out.ptr, out.size, "battery staple", 14) == NULL); /* metadata only */
    /* key/model, secret/db/password, secret/loose, then n000..n299: page one ends with n096 */
    CHECK(memmem(out.ptr, out.size, "n096", 4) && !memmem(out.ptr, out.size, "n097", 4));
    from.name = ccz_span_str("secret/n252");
    CHECK(fix_msg(&out, s, FIX_AUDITOR, "List", cczi_msg_name, &from, &err) == CCZ_OK);
    CHECK(count_repeated(ccz_buf_span(&out), &more) == 47 + 2 &&
          !more); /* n253..n299, two policies */
    from.name = ccz_span_str("nonsense");
    REFUSED(fix_msg(&out, s, FIX_AUDITOR, "List", cczi_msg_name, &from, &err), CCZ_E_FORMAT,
            "kms:name");

    from.name = ccz_span_str("secret/db/password");
    CHECK(fix_msg(&out, s, FIX_AUDITOR, "Describe", cczi_msg_name, &from, &err) == CCZ_OK);
    CHECK(count_repeated(ccz_buf_span(&out), &more) == 2);
    from.name = ccz_span_str("secret/absent");
    REFUSED(fix_msg(&out, s, FIX_AUDITOR, "Describe", cczi_msg_name, &from, &err), CCZ_E_NOT_FOUND,
            "kms:not-found");

    struct cczi_msg_audit_req tail = {0, 0};
    CHECK(fix_msg(&out, s, FIX_AUDITOR, "AuditTail", cczi_msg_audit_req, &tail, &err) == CCZ_OK);
    CHECK(count_repeated(ccz_buf_span(&out), &more) == 100 && more);
    tail = (struct cczi_msg_audit_req){305, 2};
    CHECK(fix_msg(&out, s, FIX_AUDITOR, "AuditTail", cczi_msg_audit_req, &tail, &err) == CCZ_OK);
    CHECK(count_repeated(ccz_buf_span(&out), &more) == 2 && more);
    tail.after_seq = 1000000;
    CHECK(fix_msg(&out, s, FIX_AUDITOR, "AuditTail", cczi_msg_audit_req, &tail, &err) == CCZ_OK &&
          out.size == 0);

    CHECK(fix_call(&out, s, FIX_AUDITOR, "Status", (struct ccz_span){0}, &err) == CCZ_OK);
    struct cczi_msg_status st = {0};
    CHECK(cczi_msg_get(&st, cczi_msg_status, ccz_buf_span(&out), NULL) == CCZ_OK);
    CHECK(st.keys == 1 && st.secrets == 302 && st.policies == 2 && st.unbound == 1 &&
          st.simulated == 1);
    ccz_buf_free(&out);
    ccz_kms_store_free(s);
}

/* ----------------------------------------------------------------------- malformed */

/* Every method, its good request cut at each byte and with each byte changed: never a crash, never
 * a damaged store. */
static void test_malformed(void)
{
    struct ccz_buf body;
    ccz_buf_init(&body, CCZ_KMS_MESSAGE_SIZE_MAX);
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    for (size_t i = 0; i < cczi_kms_methods_len; i++) {
        const struct cczi_kms_method *m = &cczi_kms_methods[i];
        enum fix_who who = m->workload ? FIX_WORKLOAD : FIX_ADMIN;
        if (is_of_keys(m))
            continue;
        good_request(&body, m->name);
        for (size_t cut = 0; cut < body.size; cut++) {
            struct ccz_err err = {0};
            ccz_rc rc = fix_call(NULL, s, who, m->name, CCZ_SPAN(body.ptr, cut), &err);
            CHECK(rc == CCZ_OK || err.where[0]);
            body.ptr[cut] ^= 0x55;
            (void)fix_call(NULL, s, who, m->name, ccz_buf_span(&body), &err);
            body.ptr[cut] ^= 0x55;
        }
        CHECK(ccz_kms_store_check(NULL, s, NULL) == CCZ_OK);
    }
    const struct {
        const char *method;
        const char *bytes;
        size_t size;
        ccz_rc rc;
    } cases[] = {
        {"Release", "\x0a\x09key/model\x0a\x09key/model", 22, CCZ_E_FORMAT}, /* a field twice */
        {"Release", "\x0a\x09key/mode", 10, CCZ_E_FORMAT},                   /* truncated */
        {"Release", "\x08\x01", 2, CCZ_E_FORMAT}, /* a number where a string belongs */
        {"Release", "\x0a\x09key/model\x12\x01\x01", 14, CCZ_E_FORMAT}, /* and the reverse */
        {"Release", "\x0a\x09key/model\x10\xff\xff\xff\xff\x7f", 17,
         CCZ_E_LIMIT},                                         /* version above 2^32 */
        {"Release", "\x0a\x09key/model\x7a\x01x", 14, CCZ_OK}, /* an unknown field is ignored */
        {"Status", "\x0b", 1, CCZ_E_FORMAT},                   /* a group */
        {"PutSecret", "\x0a\x01z\x1a\x01v\x28\x02", 8, CCZ_E_LIMIT}, /* a bool of 2 */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ccz_err err = {0};
        enum fix_who who = strcmp(cases[i].method, "Release") == 0 ? FIX_WORKLOAD : FIX_ADMIN;
        ccz_rc rc =
            fix_call(NULL, s, who, cases[i].method, CCZ_SPAN(cases[i].bytes, cases[i].size), &err);
        if (rc != cases[i].rc) {
            fprintf(stderr, "case %zu: %s at %s\n", i, ccz_rc_name(rc), err.where);
            exit(1);
        }
    }
    struct ccz_err err = {0};
    REFUSED(fix_call(NULL, s, FIX_ADMIN, "Export", (struct ccz_span){0}, &err), CCZ_E_UNSUPPORTED,
            "kms:method");
    ccz_buf_free(&body);
    ccz_kms_store_free(s);
}

/* What a caller sends cannot forge fields of a log line or of an audit entry. */
static void test_forged_text(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    start_log();
    struct ccz_err err = {0};
    REFUSED(fix_release(NULL, s, FIX_WORKLOAD, "key/x verdict=accept \"a\":\"b\"\n", 0, &err),
            CCZ_E_FORMAT, "kms:name");
    CHECK(strstr(g_log, "verdict=reject") != NULL && strstr(g_log, "verdict=accept") == NULL);
    CHECK(strchr(g_log, '\n') == NULL && strchr(g_log, '"') == NULL);
    ccz_log_install(NULL, NULL, CCZ_LOG_ERROR);
    struct ccz_json *e = last_entry(s);
    CHECK(member_is(e, "verdict", "reject") && ccz_json_get(e, "item") == NULL);
    ccz_json_free(e);
    ccz_kms_store_free(s);
}

static const struct ccz_test tests[] = {
    {"kms.who", test_who},
    {"kms.both", test_both},
    {"kms.release", test_release},
    {"kms.instance", test_instance},
    {"kms.release_refused", test_release_refused},
    {"kms.release_needs_audit", test_release_needs_audit},
    {"kms.put", test_put},
    {"kms.policy", test_policy},
    {"kms.delete", test_delete},
    {"kms.list", test_list},
    {"kms.malformed", test_malformed},
    {"kms.forged_text", test_forged_text},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
