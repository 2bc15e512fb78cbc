/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of reference values in the KMS: who may change them, what they decide, what is told of it. */
#define _GNU_SOURCE
#include "kms/kms_hook.h"

#include <cczoo/kms_reference.h>

#define AA "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define BB "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define SET_AA                                                                                     \
    "{\"version\":1,\"values\":[{\"name\":\"1.0\",\"value\":\"" AA                                 \
    "\"},{\"name\":\"0.9\",\"value\":\"" BB "\"}]}"
#define SET_BB    "{\"version\":1,\"values\":[{\"name\":\"0.9\",\"value\":\"" BB "\"}]}"
#define SET_SMALL "{\"version\":1,\"values\":[{\"name\":\"x\",\"value\":\"00\"}]}"
#define REFERS(name)                                                                               \
    "{\"version\":1,\"rules\":[{\"name\":\"by set\",\"tee\":\"sgx\",\"sim\":true,"                 \
    "\"mrenclave\":{\"reference\":\"" name "\"}}]}"

static ccz_rc put_as(struct ccz_kms_store *s, enum fix_who who, const char *name, const char *json,
                     bool replace)
{
    struct cczi_msg_put_reference_req m = {fix_str(name), fix_str(json), replace};
    err = (struct ccz_err){0};
    return fix_msg(NULL, s, who, "PutReference", cczi_msg_put_reference_req, &m, &err);
}

static ccz_rc put(struct ccz_kms_store *s, const char *name, const char *json, bool replace)
{
    return put_as(s, FIX_ADMIN, name, json, replace);
}

static ccz_rc del(struct ccz_kms_store *s, enum fix_who who, const char *name)
{
    struct cczi_msg_name m = {fix_str(name)};
    err = (struct ccz_err){0};
    return fix_msg(NULL, s, who, "DeleteReference", cczi_msg_name, &m, &err);
}

static bool is(const char *where)
{
    if (strcmp(err.where, where) == 0)
        return true;
    fprintf(stderr, "%s: %s (%s / %s), expected %s\n", err.where, err.msg, err.got, err.expected,
            where);
    return false;
}

/* What the last audit line says; the caller frees it. */
static struct ccz_json *last_entry(struct ccz_kms_store *s)
{
    struct ccz_json *j = NULL;
    CHECK(cczi_kms_begin(s, NULL) == CCZ_OK);
    struct cczi_q q = cczi_q_start(&s->db, CCZI_SQL_AUDIT_FROM);
    cczi_q_int(&q, (int64_t)s->head.seq - 1);
    cczi_q_int(&q, 1);
    CHECK(cczi_q_row(&q) && ccz_json_parse(&j, cczi_q_col(&q, 2), NULL) == CCZ_OK);
    CHECK(cczi_q_end(&q, NULL) == CCZ_OK);
    cczi_kms_rollback(s);
    return j;
}

static bool entry_has(struct ccz_kms_store *s, const char *key, const char *want)
{
    struct ccz_json *j = last_entry(s);
    const char *got = ccz_json_str(ccz_json_get(j, key));
    bool same = got && strcmp(got, want) == 0;
    if (!same)
        fprintf(stderr, "%s is \"%s\", expected \"%s\"\n", key, got ? got : "(none)", want);
    ccz_json_free(j);
    return same;
}

/* A store whose key/model is bound to a policy that names the set "builds". */
static struct ccz_kms_store *store_with_set(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    CHECK(put(s, "builds", SET_AA, false) == CCZ_OK);
    CHECK(fix_put_policy(s, "server", REFERS("builds"), true, &err) == CCZ_OK);
    return s;
}

static ccz_rc release(struct ccz_kms_store *s, int64_t now_s)
{
    struct cczi_msg_release_req m = {fix_str("key/model"), 0};
    err = (struct ccz_err){0};
    return fix_msg_at(NULL, s, FIX_WORKLOAD, "Release", cczi_msg_release_req, &m, now_s, &err);
}

/* --------------------------------------------------------------------------- decisions */

static void test_decides(void)
{
    struct ccz_kms_store *s = store_with_set();
    CHECK(release(s, FIX_NOW) == CCZ_OK);
    CHECK(entry_has(s, "rule", "by set") && entry_has(s, "references", "mrenclave=builds@1:1.0"));
    /* the next version is in force at once, for every item */
    CHECK(put(s, "builds", SET_BB, true) == CCZ_OK);
    CHECK(entry_has(s, "item", "reference/builds") && entry_has(s, "op", "PutReference"));
    CHECK(release(s, FIX_NOW) == CCZ_E_POLICY && is("policy:mrenclave"));
    CHECK(strstr(err.expected, "see decision")); /* and not what is in the set */
    CHECK(entry_has(s, "expected", "builds@2: 0.9 " BB));
    CHECK(put(s, "builds", SET_AA, true) == CCZ_OK && release(s, FIX_NOW) == CCZ_OK);
    CHECK(entry_has(s, "references", "mrenclave=builds@3:1.0"));
    ccz_kms_store_free(s);
}

/* A refusal names the set, and an auditor's Why what decided. */
static void test_why(void)
{
    struct ccz_kms_store *s = store_with_set();
    struct ccz_buf out;
    ccz_buf_init(&out, CCZ_KMS_MESSAGE_SIZE_MAX);
    CHECK(release(s, FIX_NOW) == CCZ_OK);
    CHECK(cczi_kms_begin(s, NULL) == CCZ_OK);
    char id[CCZ_KMS_DECISION_SIZE];
    ccz_kms_decision_print(id, s->head.seq);
    cczi_kms_rollback(s);
    struct cczi_msg_name why = {fix_str(id)};
    struct cczi_msg_decision d = {0};
    CHECK(fix_msg(&out, s, FIX_AUDITOR, "Why", cczi_msg_name, &why, &err) == CCZ_OK);
    CHECK(cczi_msg_get(&d, cczi_msg_decision, ccz_buf_span(&out), &err) == CCZ_OK &&
          ccz_span_eq(d.references, fix_str("mrenclave=builds@1:1.0")));
    /* the line of a set is for auditors of its namespace */
    struct ccz_kms_grant g = {.ns = "team", .roles = CCZ_KMS_ROLE_AUDITOR};
    fix_spki(g.principal, FIX_STRANGER);
    CHECK(ccz_kms_store_grant(s, &g, FIX_NOW, &err) == CCZ_OK);
    const char *const sets[] = {"team/builds", "other/builds"};
    for (size_t i = 0; i < 2; i++) {
        CHECK(put(s, sets[i], SET_AA, false) == CCZ_OK);
        CHECK(cczi_kms_begin(s, NULL) == CCZ_OK);
        ccz_kms_decision_print(id, s->head.seq);
        cczi_kms_rollback(s);
        ccz_rc rc = fix_msg(NULL, s, FIX_STRANGER, "Why", cczi_msg_name, &why, &err);
        CHECK(rc == (i == 0 ? CCZ_OK : CCZ_E_DENIED));
    }
    ccz_buf_free(&out);
    ccz_kms_store_free(s);
}

static void test_ends(void)
{
    struct ccz_kms_store *s = store_with_set();
    CHECK(put(s, "builds",
              "{\"version\":1,\"values\":[{\"name\":\"1.0\",\"value\":\"" AA
              "\",\"until\":\"2023-11-14T23:00:00Z\"}]}",
              true) == CCZ_OK);
    CHECK(release(s, FIX_NOW) == CCZ_OK); /* 22:13:20 */
    CHECK(release(s, FIX_NOW + 3600) == CCZ_E_POLICY && is("policy:mrenclave"));
    CHECK(entry_has(s, "expected", "builds@2: 1.0 ended 2023-11-14T23:00:00Z"));
    ccz_kms_store_free(s);
}

/* However it comes about that a set is not there: nobody is accepted, by any rule, and it is told why. */
static void test_missing(void)
{
    struct ccz_kms_store *s = store_with_set();
    CHECK(release(s, FIX_NOW) == CCZ_OK); /* the policy is parsed, and has its set */
    CHECK(cczi_kms_begin(s, NULL) == CCZ_OK);
    CHECK(cczi_kms_reference_delete(s, "builds", 1, NULL) == CCZ_OK);
    CHECK(cczi_kms_commit(s, NULL) == CCZ_OK);
    CHECK(release(s, FIX_NOW) == CCZ_E_POLICY && is("policy:reference"));
    CHECK(entry_has(s, "where", "policy:reference") &&
          entry_has(s, "got", "no such reference values"));
    CHECK(put(s, "builds", SET_AA, false) == CCZ_OK && release(s, FIX_NOW) == CCZ_OK);
    ccz_kms_store_free(s);
}

/* A version that somebody takes away beside the server does not put the one before it in force again. */
static void test_taken_away(void)
{
    struct ccz_kms_store *s = store_with_set();
    sql(s, "CREATE TABLE kept_head AS SELECT * FROM item_head WHERE name = 'builds'");
    CHECK(release(s, FIX_NOW) == CCZ_OK);
    CHECK(put(s, "builds", SET_BB, true) == CCZ_OK);
    CHECK(release(s, FIX_NOW) == CCZ_E_POLICY);
    sql(s, "CREATE TABLE kept AS SELECT * FROM reference WHERE version = 2;"
           "DELETE FROM reference WHERE version = 2");
    CHECK(release(s, FIX_NOW) == CCZ_E_SIG && is("kms:row-set") && err.hint[0]);
    CHECK(put(s, "builds", SET_AA, true) == CCZ_E_SIG && is("kms:row-set"));
    CHECK(put(s, "builds", SET_AA, false) == CCZ_E_SIG && is("kms:row-set"));
    /* nor without its head, nor with an earlier one */
    sql(s, "CREATE TABLE last_head AS SELECT * FROM item_head WHERE name = 'builds';"
           "DELETE FROM item_head WHERE name = 'builds'");
    CHECK(release(s, FIX_NOW) == CCZ_E_SIG && is("kms:row-set"));
    sql(s, "INSERT INTO item_head SELECT * FROM kept_head");
    CHECK(release(s, FIX_NOW) == CCZ_E_SIG && is("kms:row-older"));
    sql(s, "DELETE FROM item_head WHERE name = 'builds';"
           "INSERT INTO item_head SELECT * FROM last_head;"
           "INSERT INTO reference SELECT * FROM kept");
    CHECK(release(s, FIX_NOW) == CCZ_E_POLICY && is("policy:mrenclave"));
    CHECK(ccz_kms_store_check(NULL, s, &err) == CCZ_OK);
    /* heads follow: numbers go on, and begin again once all are deleted */
    const uint64_t heads = fix_check(s).item_heads;
    CHECK(put(s, "builds", SET_AA, true) == CCZ_OK && release(s, FIX_NOW) == CCZ_OK);
    CHECK(fix_check(s).item_heads == heads && put(s, "free", SET_AA, false) == CCZ_OK);
    CHECK(fix_check(s).item_heads == heads + 1 && del(s, FIX_ADMIN, "free") == CCZ_OK);
    CHECK(fix_check(s).item_heads == heads && put(s, "free", SET_AA, false) == CCZ_OK);
    ccz_kms_store_free(s);
}

/* Nor does a later version that was put back, once what decides is deleted; after a restart nobody remembers it. */
static void test_put_back(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    CHECK(put(s, "free", SET_AA, false) == CCZ_OK && put(s, "free", SET_BB, true) == CCZ_OK);
    sql(s, "CREATE TABLE kept AS SELECT * FROM reference WHERE version = 2");
    CHECK(del(s, FIX_ADMIN, "free") == CCZ_OK && put(s, "free", SET_AA, false) == CCZ_OK);
    cczi_kms_past_free(s->past);
    CHECK(cczi_kms_past_new(&s->past) == CCZ_OK);
    sql(s, "INSERT INTO reference SELECT * FROM kept");
    CHECK(del(s, FIX_ADMIN, "free") == CCZ_E_SIG && is("kms:row-set"));
    sql(s, "DELETE FROM reference WHERE version = 2");
    CHECK(del(s, FIX_ADMIN, "free") == CCZ_OK);
    ccz_kms_store_free(s);
}

/* A set of another namespace decides nothing, even if a policy that names it is there. */
static void test_other_namespace(void)
{
    struct ccz_kms_store *s = store_with_set();
    CHECK(put(s, "team/builds", SET_AA, false) == CCZ_OK);
    CHECK(fix_put_policy(s, "server", REFERS("team/builds"), true, &err) == CCZ_E_DENIED &&
          is("kms:reference-namespace"));
    CHECK(fix_stage(s, "server", REFERS("team/builds"), FIX_NOW + 60, &err) == CCZ_E_DENIED &&
          is("kms:reference-namespace"));
    CHECK(cczi_kms_begin(s, NULL) == CCZ_OK);
    CHECK(cczi_kms_policy_put(s, "server", fix_str(REFERS("team/builds")), FIX_NOW, NULL) ==
          CCZ_OK);
    CHECK(cczi_kms_commit(s, NULL) == CCZ_OK);
    CHECK(release(s, FIX_NOW) == CCZ_E_POLICY && is("policy:reference"));
    ccz_kms_store_free(s);
}

/* --------------------------------------------------------------------------------- put */

static void test_put(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    struct ccz_buf out;
    ccz_buf_init(&out, CCZ_KMS_MESSAGE_SIZE_MAX);
    fix_populate(s);
    CHECK(put(s, "a b", SET_AA, false) == CCZ_E_FORMAT && is("kms:name"));
    CHECK(put(s, "builds", "{}", false) == CCZ_E_FORMAT && is("policy:version"));
    CHECK(put(s, "builds", SET_AA, true) == CCZ_E_NOT_FOUND && is("kms:not-found"));
    CHECK(put(s, "builds", SET_AA, false) == CCZ_OK);
    CHECK(put(s, "builds", SET_BB, false) == CCZ_E_EXISTS && is("kms:reference-exists"));
    CHECK(put(s, "builds", SET_SMALL, true) == CCZ_E_MISMATCH && is("kms:reference-size"));
    CHECK(put(s, "small", SET_SMALL, false) == CCZ_OK);
    /* policies that cannot work are refused when they are put, staged, rolled out */
    CHECK(fix_put_policy(s, "p", REFERS("none"), false, &err) == CCZ_E_NOT_FOUND &&
          is("kms:reference-missing") && strstr(err.msg, "\"none\"") && err.hint[0]);
    CHECK(fix_put_policy(s, "p", REFERS("small"), false, &err) == CCZ_E_MISMATCH &&
          is("kms:reference-size"));
    CHECK(fix_put_policy(s, "p", REFERS("..//"), false, &err) == CCZ_E_FORMAT && is("kms:name"));
    CHECK(fix_stage(s, "server", REFERS("none"), FIX_NOW + 60, &err) == CCZ_E_NOT_FOUND &&
          is("kms:reference-missing"));
    /* versions, and how many are kept */
    for (unsigned i = 2; i <= CCZ_KMS_REFERENCE_VERSIONS + 2; i++)
        CHECK(put(s, "builds", i % 2 ? SET_AA : SET_BB, true) == CCZ_OK);
    for (unsigned v = 0; v <= CCZ_KMS_REFERENCE_VERSIONS + 3; v++) {
        struct cczi_msg_get_reference_req get = {fix_str("builds"), v};
        struct cczi_msg_get_reference_resp r = {0};
        ccz_rc rc =
            fix_msg(&out, s, FIX_AUDITOR, "GetReference", cczi_msg_get_reference_req, &get, &err);
        bool kept = v != 1 && v != 2 && v <= CCZ_KMS_REFERENCE_VERSIONS + 2;
        CHECK(rc == (kept ? CCZ_OK : CCZ_E_NOT_FOUND));
        if (!kept)
            continue;
        CHECK(cczi_msg_get(&r, cczi_msg_get_reference_resp, ccz_buf_span(&out), &err) == CCZ_OK);
        CHECK(r.version == (v ? v : CCZ_KMS_REFERENCE_VERSIONS + 2) && r.created_s == FIX_NOW &&
              ccz_span_eq(r.json, fix_str(r.version % 2 ? SET_AA : SET_BB)));
    }
    CHECK(ccz_kms_store_check(NULL, s, &err) == CCZ_OK);
    ccz_buf_free(&out);
    ccz_kms_store_free(s);
}

static void test_delete(void)
{
    struct ccz_kms_store *s = store_with_set();
    CHECK(put(s, "builds", SET_AA, true) == CCZ_OK);
    CHECK(del(s, FIX_ADMIN, "none") == CCZ_E_NOT_FOUND && is("kms:not-found"));
    CHECK(del(s, FIX_ADMIN, "builds") == CCZ_E_DENIED && is("kms:reference-in-use") &&
          strcmp(err.got, "server") == 0);
    CHECK(release(s, FIX_NOW) == CCZ_OK);
    CHECK(fix_put_policy(s, "server", fix_policy, true, &err) == CCZ_OK);
    CHECK(fix_stage(s, "other", REFERS("builds"), FIX_NOW + 60, &err) == CCZ_OK);
    CHECK(del(s, FIX_ADMIN, "builds") == CCZ_E_DENIED && is("kms:reference-in-use") &&
          strstr(err.expected, "staged"));
    struct cczi_msg_name other = {fix_str("other")};
    CHECK(fix_msg(NULL, s, FIX_ADMIN, "Unstage", cczi_msg_name, &other, &err) == CCZ_OK);
    CHECK(del(s, FIX_ADMIN, "builds") == CCZ_OK && entry_has(s, "item", "reference/builds"));
    struct ccz_kms_check c;
    CHECK(ccz_kms_store_check(&c, s, &err) == CCZ_OK && c.references == 0);
    ccz_kms_store_free(s);
}

/* -------------------------------------------------------------------------------- roles */

static ccz_rc grant(struct ccz_kms_store *s, enum fix_who who, const char *ns, uint32_t roles)
{
    struct ccz_kms_grant g = {.ns = ns, .roles = roles};
    fix_spki(g.principal, who);
    return ccz_kms_store_grant(s, &g, FIX_NOW, NULL);
}

static void test_roles(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    const uint32_t others =
        CCZ_KMS_ROLE_AUDITOR | CCZ_KMS_ROLE_OPERATOR | CCZ_KMS_ROLE_APPROVER | CCZ_KMS_ROLE_CLIENT;
    CHECK(grant(s, FIX_STRANGER, "team", others) == CCZ_OK);
    CHECK(put_as(s, FIX_STRANGER, "team/x", SET_AA, false) == CCZ_E_DENIED && is("kms:role"));
    CHECK(put(s, "team/x", SET_AA, false) == CCZ_OK);
    CHECK(del(s, FIX_STRANGER, "team/x") == CCZ_E_DENIED && is("kms:role"));
    CHECK(grant(s, FIX_STRANGER, "team", CCZ_KMS_ROLE_AUTHOR) == CCZ_OK);
    CHECK(put_as(s, FIX_STRANGER, "x", SET_AA, false) == CCZ_E_DENIED && is("kms:role"));
    CHECK(put_as(s, FIX_STRANGER, "teams/x", SET_AA, false) == CCZ_E_DENIED && is("kms:role"));
    CHECK(put_as(s, FIX_STRANGER, "team/x", SET_AA, true) == CCZ_OK);
    CHECK(del(s, FIX_STRANGER, "team/x") == CCZ_OK);
    CHECK(put_as(s, FIX_WORKLOAD, "team/x", SET_AA, false) == CCZ_E_DENIED &&
          is("kms:admin-required"));
    ccz_kms_store_free(s);
}

/* What changes what policies accept takes the approvals that they take. */
static void test_guarded(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    struct ccz_ratls_peer author = {.pinned = true}, approver = {.pinned = true};
    fix_populate(s);
    CHECK(put(s, "team/old", SET_AA, false) == CCZ_OK);
    memset(author.spki_sha256, 0x71, 32);
    memset(approver.spki_sha256, 0x72, 32);
    struct ccz_kms_grant g = {.ns = "team", .roles = CCZ_KMS_ROLE_AUTHOR | CCZ_KMS_ROLE_AUDITOR};
    memcpy(g.principal, author.spki_sha256, 32);
    CHECK(ccz_kms_store_grant(s, &g, FIX_NOW, NULL) == CCZ_OK);
    g.roles = CCZ_KMS_ROLE_APPROVER;
    memcpy(g.principal, approver.spki_sha256, 32);
    CHECK(ccz_kms_store_grant(s, &g, FIX_NOW, NULL) == CCZ_OK);
    CHECK(ccz_kms_store_set_quorum(s, "team", 1, FIX_NOW, NULL) == CCZ_OK);
    struct ccz_buf b, p;
    ccz_buf_init(&b, 4096);
    ccz_buf_init(&p, 4096);
    struct cczi_msg_put_reference_req m = {fix_str("team/new"), fix_str(SET_AA), 0};
    cczi_msg_put(&b, cczi_msg_put_reference_req, &m);
    CHECK(fix_call_as(NULL, s, &author, "PutReference", ccz_buf_span(&b), &err) == CCZ_E_DENIED &&
          is("kms:approval-needed"));
    struct cczi_msg_name old = {fix_str("team/old")};
    struct ccz_buf d;
    ccz_buf_init(&d, 256);
    cczi_msg_put(&d, cczi_msg_name, &old);
    CHECK(fix_call_as(NULL, s, &author, "DeleteReference", ccz_buf_span(&d), &err) ==
              CCZ_E_DENIED &&
          is("kms:approval-needed"));
    /* both can be proposed, and are done with the approval */
    const struct {
        const char *method;
        struct ccz_span body;
    } calls[] = {{"PutReference", ccz_buf_span(&b)}, {"DeleteReference", ccz_buf_span(&d)}};
    for (size_t i = 0; i < 2; i++) {
        struct cczi_msg_propose_req propose = {fix_str(calls[i].method), calls[i].body, 0};
        uint8_t sha256[32];
        ccz_buf_clear(&p);
        cczi_msg_put(&p, cczi_msg_propose_req, &propose);
        CHECK(fix_call_as(NULL, s, &author, "Propose", ccz_buf_span(&p), &err) == CCZ_OK);
        CHECK(cczi_kms_proposal_digest(sha256, calls[i].method, calls[i].body, NULL) == CCZ_OK);
        struct cczi_msg_approve_req approve = {i + 1, CCZ_SPAN(sha256, 32)};
        ccz_buf_clear(&p);
        cczi_msg_put(&p, cczi_msg_approve_req, &approve);
        CHECK(fix_call_as(NULL, s, &author, "Approve", ccz_buf_span(&p), &err) == CCZ_E_DENIED);
        CHECK(fix_call_as(NULL, s, &approver, "Approve", ccz_buf_span(&p), &err) == CCZ_OK);
    }
    struct ccz_kms_check c;
    CHECK(ccz_kms_store_check(&c, s, &err) == CCZ_OK && c.references == 1);
    struct cczi_msg_get_reference_req get = {fix_str("team/new"), 0};
    CHECK(fix_msg(NULL, s, FIX_AUDITOR, "GetReference", cczi_msg_get_reference_req, &get, &err) ==
          CCZ_OK);
    ccz_buf_free(&b);
    ccz_buf_free(&d);
    ccz_buf_free(&p);
    ccz_kms_store_free(s);
}

/* Names in a ListReferences answer, each followed by a comma. */
static void list(char out[4096], struct ccz_kms_store *s, enum fix_who who)
{
    char after[CCZ_KMS_NAME_SIZE] = "";
    struct ccz_buf b;
    ccz_buf_init(&b, CCZ_KMS_MESSAGE_SIZE_MAX);
    out[0] = 0;
    for (bool more = true; more;) {
        struct cczi_msg_name m = {fix_str(after)};
        CHECK(fix_msg(&b, s, who, "ListReferences", cczi_msg_name, &m, &err) == CCZ_OK);
        struct ccz_rd r = ccz_rd_from(ccz_buf_span(&b));
        struct ccz_pb_field f;
        more = false;
        while (ccz_pb_next(&f, &r)) {
            struct cczi_msg_reference_set set = {0};
            more = more || f.number == CCZI_MSG_MORE;
            if (f.number != CCZI_MSG_REPEATED)
                continue;
            CHECK(cczi_msg_get(&set, cczi_msg_reference_set, f.bytes, NULL) == CCZ_OK);
            CHECK(set.values == 2 && set.value_size == 32 && set.version == 1);
            (void)snprintf(after, sizeof(after), "%.*s", (int)set.name.size,
                           (const char *)set.name.ptr);
            size_t n = strlen(out);
            (void)snprintf(out + n, 4096 - n, "%s,", after);
        }
    }
    ccz_buf_free(&b);
}

static void test_list(void)
{
    static char all[4096], own[4096];
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    char name[32];
    for (unsigned i = 0; i < 210; i++) { /* more than two pages, of which a reader may see some */
        (void)snprintf(name, sizeof(name), "%s/%03u", i % 3 ? "b" : "a", i);
        CHECK(put(s, name, SET_AA, false) == CCZ_OK);
    }
    CHECK(grant(s, FIX_STRANGER, "b", CCZ_KMS_ROLE_OPERATOR) == CCZ_OK);
    list(all, s, FIX_AUDITOR);
    hook(s);
    h.count = CCZI_SQL_REFERENCE_GET;
    list(own, s, FIX_STRANGER);
    s->db.ops = h.real;
    CHECK(h.counted == 140); /* what he may not see is not read */
    unsigned n[2] = {0};
    for (const char *p = all; *p; p++)
        n[0] += *p == ',';
    for (const char *p = own; *p; p++)
        n[1] += *p == ',';
    CHECK(n[0] == 210 && n[1] == 140 && !strstr(own, "a/") && strstr(all, "a/000,a/003,"));
    ccz_kms_store_free(s);
}

/* ------------------------------------------------------------------------ replay, trial */

static uint64_t replayed(struct ccz_kms_store *s, struct cczi_msg_replay_req *m, bool *now,
                         bool *then, char references[128])
{
    struct ccz_buf b;
    uint64_t n = 0;
    ccz_buf_init(&b, CCZ_KMS_MESSAGE_SIZE_MAX);
    m->policy = fix_str("server");
    err = (struct ccz_err){0};
    if (fix_msg(&b, s, FIX_AUDITOR, "Replay", cczi_msg_replay_req, m, &err) != CCZ_OK)
        return UINT64_MAX;
    struct ccz_rd r = ccz_rd_from(ccz_buf_span(&b));
    struct ccz_pb_field f;
    while (ccz_pb_next(&f, &r)) {
        struct cczi_msg_replayed one = {0};
        if (f.number != CCZI_MSG_REPEATED)
            continue;
        CHECK(cczi_msg_get(&one, cczi_msg_replayed, f.bytes, NULL) == CCZ_OK);
        *now = one.now != 0;
        *then = one.then != 0;
        (void)snprintf(references, 128, "%.*s", (int)one.references.size,
                       (const char *)one.references.ptr);
        n++;
    }
    ccz_buf_free(&b);
    return n;
}

static void test_replay(void)
{
    struct ccz_kms_store *s = store_with_set();
    bool now, then;
    char refs[128];
    CHECK(release(s, FIX_NOW) == CCZ_OK);
    /* another set in place of the one in force: who would be blocked by it */
    struct cczi_msg_replay_req set = {.reference = fix_str("builds"),
                                      .reference_json = fix_str(SET_BB)};
    CHECK(replayed(s, &set, &now, &then, refs) == 1 && now && !then && refs[0] == 0);
    set.reference_json = fix_str(SET_AA);
    CHECK(replayed(s, &set, &now, &then, refs) == 1 && now && then &&
          strcmp(refs, "mrenclave=builds@0:1.0") == 0);
    set.reference = fix_str("none");
    CHECK(replayed(s, &set, &now, &then, refs) == UINT64_MAX && is("kms:reference-unnamed"));
    set.reference = fix_str("builds");
    set.reference_json = fix_str("{");
    CHECK(replayed(s, &set, &now, &then, refs) == UINT64_MAX && is("json:parse"));
    CHECK(release(s, FIX_NOW) == CCZ_OK); /* nothing of it decided */
    /* another policy, which names a set that is there, or one that is not */
    struct cczi_msg_replay_req policy = {.json = fix_str(REFERS("builds"))};
    CHECK(replayed(s, &policy, &now, &then, refs) == 1 && now && then &&
          strcmp(refs, "mrenclave=builds@1:1.0") == 0);
    policy.json = fix_str(REFERS("none"));
    CHECK(replayed(s, &policy, &now, &then, refs) == 1 && now && !then);
    ccz_kms_store_free(s);
}

/* A policy on trial takes its sets as the one in force does. */
static void test_trial(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    CHECK(put(s, "builds", SET_AA, false) == CCZ_OK);
    CHECK(fix_stage(s, "server", REFERS("builds"), FIX_NOW + 60, &err) == CCZ_OK);
    const char *const sets[] = {SET_AA, SET_BB, SET_AA};
    for (size_t i = 0; i < 3; i++) {
        CHECK(i == 0 || put(s, "builds", sets[i], true) == CCZ_OK);
        CHECK(release(s, FIX_NOW) == CCZ_OK);
        struct ccz_json *j = last_entry(s);
        const char *verdict = ccz_json_str(ccz_json_get(ccz_json_get(j, "staged"), "verdict"));
        CHECK(verdict && strcmp(verdict, i == 1 ? "reject" : "accept") == 0);
        ccz_json_free(j);
    }
    ccz_kms_store_free(s);
}

/* A put that is undone leaves nothing in what is cached. */
static void test_undone(void)
{
    struct ccz_kms_store *s = store_with_set();
    CHECK(release(s, FIX_NOW) == CCZ_OK);
    struct cczi_kms_entry e[2];
    struct ccz_ratls_peer admin = fix_peer(FIX_ADMIN), workload = fix_peer(FIX_WORKLOAD);
    struct ccz_buf b[2];
    struct cczi_msg_put_reference_req m = {fix_str("builds"), fix_str(SET_BB), 1};
    struct cczi_msg_release_req r = {fix_str("key/model"), 0};
    static const struct ccz_kms_info info = {.version = "test", .tee = "sim-sgx"};
    struct ccz_kms_request req[2] = {
        {.path = CCZI_KMS_SERVICE "PutReference", .peer = &admin, .address = "a", .now_s = FIX_NOW},
        {.path = CCZI_KMS_SERVICE "Release", .peer = &workload, .address = "a", .now_s = FIX_NOW}};
    for (size_t i = 0; i < 2; i++) {
        ccz_buf_init(&b[i], 4096);
        if (i == 0)
            cczi_msg_put(&b[i], cczi_msg_put_reference_req, &m);
        else
            cczi_msg_put(&b[i], cczi_msg_release_req, &r);
        req[i].body = ccz_buf_span(&b[i]);
        req[i].info = &info;
        cczi_kms_entry_init(&e[i], &req[i]);
    }
    CHECK(cczi_kms_begin(s, NULL) == CCZ_OK);
    const struct cczi_kms_reference row = {
        .name = "builds", .version = 2, .json = fix_str(SET_BB), .created_s = FIX_NOW};
    CHECK(cczi_kms_reference_put(s, &row, NULL) == CCZ_OK);
    struct cczi_kms_policy p = {0};
    struct cczi_kms_parsed *parsed;
    ccz_buf_init(&p.json, CCZ_POLICY_SIZE_MAX);
    CHECK(cczi_kms_policy_get(&p, s, "server", NULL) == CCZ_OK &&
          cczi_kms_policies_get(&parsed, s->policies, "server", &p, NULL) == CCZ_OK &&
          cczi_kms_parsed_resolve(parsed, s, "server", NULL) == CCZ_OK);
    struct ccz_verdict v;
    CHECK(ccz_policy_eval(&v, parsed->policy, &workload.claims, FIX_NOW, NULL) == CCZ_E_POLICY);
    cczi_kms_rollback(s);
    ccz_buf_free(&p.json);
    CHECK(release(s, FIX_NOW) == CCZ_OK && entry_has(s, "references", "mrenclave=builds@1:1.0"));
    /* and in one transaction each call sees what those before it did */
    cczi_kms_handle_batch(s, e, 2);
    CHECK(e[0].rc == CCZ_OK && e[1].rc == CCZ_E_POLICY);
    for (size_t i = 0; i < 2; i++) {
        cczi_kms_entry_deinit(&e[i]);
        ccz_buf_free(&b[i]);
    }
    ccz_kms_store_free(s);
}

static const struct ccz_test tests[] = {
    {"kms.reference_decides", test_decides},
    {"kms.reference_why", test_why},
    {"kms.reference_ends", test_ends},
    {"kms.reference_missing", test_missing},
    {"kms.reference_namespace", test_other_namespace},
    {"kms.reference_put", test_put},
    {"kms.reference_delete", test_delete},
    {"kms.reference_taken_away", test_taken_away},
    {"kms.reference_put_back", test_put_back},
    {"kms.reference_roles", test_roles},
    {"kms.reference_guarded", test_guarded},
    {"kms.reference_list", test_list},
    {"kms.reference_replay", test_replay},
    {"kms.reference_trial", test_trial},
    {"kms.reference_undone", test_undone},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
