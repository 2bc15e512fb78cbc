/* SPDX-License-Identifier: Apache-2.0 */
/* Roles by namespace, and what needs the approval of several: each way around it is refused, with its reason. */
#define _GNU_SOURCE
#include "kms/kms_hook.h"
#include "kms/looks.h"

#include "kms/use_priv.h"

/* Principals of these tests; FIX_ADMIN is one more. */
enum who { ANNE = 0x61, BOB, CARL, DORA, EVE };

static struct ccz_kms_store *g_s;
static struct ccz_err g_err;
static struct ccz_buf g_out;

static struct ccz_ratls_peer peer_of(int who)
{
    if (who < FIX_WHO_LEN)
        return fix_peer((enum fix_who)who);
    struct ccz_ratls_peer p = {.pinned = true};
    memset(p.spki_sha256, who, 32);
    return p;
}

static int64_t g_now;

static ccz_rc call(int who, const char *method, const struct cczi_msg_field *fields,
                   const void *msg)
{
    struct ccz_buf b;
    struct ccz_ratls_peer peer = peer_of(who);
    g_err = (struct ccz_err){0};
    ccz_buf_init(&b, CCZ_KMS_MESSAGE_SIZE_MAX);
    cczi_msg_put(&b, fields, msg);
    ccz_rc rc = fix_call_at(&g_out, g_s, &peer, method, ccz_buf_span(&b), g_now, &g_err);
    ccz_buf_free(&b);
    return rc;
}

static bool refused(ccz_rc rc, ccz_rc want, const char *where)
{
    if (rc == want && strcmp(g_err.where, where) == 0)
        return true;
    fprintf(stderr, "%s at \"%s\" (%s), expected %s at \"%s\"\n", ccz_rc_name(rc), g_err.where,
            g_err.msg, ccz_rc_name(want), where);
    return false;
}
#define CHECK_DENIED(rc, where) CHECK(refused(rc, CCZ_E_DENIED, where))

static bool done(ccz_rc rc)
{
    if (rc != CCZ_OK)
        fprintf(stderr, "%s: %s got=%s expected=%s\n", g_err.where, g_err.msg, g_err.got,
                g_err.expected);
    return rc == CCZ_OK;
}

static ccz_rc grant(int who, const char *ns, uint32_t roles)
{
    struct ccz_kms_grant g = {.ns = ns, .roles = roles, .label = "somebody"};
    memset(g.principal, who, 32);
    if (who < FIX_WHO_LEN)
        fix_spki(g.principal, (enum fix_who)who);
    g_err = (struct ccz_err){0};
    return ccz_kms_store_grant(g_s, &g, g_now, &g_err);
}

static ccz_rc set_role(int by, int who, const char *ns, uint32_t roles)
{
    uint8_t id[32];
    memset(id, who, 32);
    if (who < FIX_WHO_LEN)
        fix_spki(id, (enum fix_who)who);
    struct cczi_msg_role m = {
        .ns = ccz_span_str(ns), .principal = CCZ_SPAN(id, 32), .roles = roles};
    return call(by, "SetRole", cczi_msg_role, &m);
}

static ccz_rc set_quorum(int by, const char *ns, uint32_t needed)
{
    struct cczi_msg_quorum m = {.ns = ccz_span_str(ns), .needed = needed};
    return call(by, "SetQuorum", cczi_msg_quorum, &m);
}

static ccz_rc put_policy(int by, const char *name)
{
    struct cczi_msg_put_policy_req m = {ccz_span_str(name), ccz_span_str(fix_policy), 0};
    return call(by, "PutPolicy", cczi_msg_put_policy_req, &m);
}

static ccz_rc put_secret(int by, const char *name, const char *policy)
{
    struct cczi_msg_put_req m = {
        .name = ccz_span_str(name), .value = ccz_span_str("value"), .policy = fix_str(policy)};
    return call(by, "PutSecret", cczi_msg_put_req, &m);
}

static ccz_rc named(int by, const char *method, const char *name)
{
    struct cczi_msg_name m = {ccz_span_str(name)};
    return call(by, method, cczi_msg_name, &m);
}

static ccz_rc bind_item(int by, const char *item, const char *policy)
{
    struct cczi_msg_bind_req m = {.item = ccz_span_str(item), .policy = ccz_span_str(policy)};
    return call(by, "Bind", cczi_msg_bind_req, &m);
}

static void start(void)
{
    g_s = fix_memory_store();
    g_now = FIX_NOW;
    ccz_buf_init(&g_out, CCZ_KMS_MESSAGE_SIZE_MAX);
}

static void finish(void)
{
    (void)fix_check(g_s);
    ccz_buf_free(&g_out);
    ccz_kms_store_free(g_s);
}

/* ---------------------------------------------------------------------------- roles */

static void test_role_text(void)
{
    static const struct {
        uint32_t roles;
        const char *text;
    } sets[] = {
        {0, "none"},
        {CCZ_KMS_ROLE_AUDITOR, "auditor"},
        {CCZ_KMS_ROLE_ADMIN, "admin"},
        {CCZ_KMS_ROLES_ALL, "admin,client"},
        {CCZ_KMS_ROLE_AUTHOR | CCZ_KMS_ROLE_AUDITOR, "auditor,author"},
        {CCZ_KMS_ROLE_OPERATOR | CCZ_KMS_ROLE_AUTHOR | CCZ_KMS_ROLE_APPROVER | CCZ_KMS_ROLE_CLIENT,
         "operator,author,approver,client"}};
    char text[CCZ_KMS_ROLES_SIZE];
    uint32_t roles;
    for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
        ccz_kms_roles_print(text, sets[i].roles);
        CHECK(strcmp(text, sets[i].text) == 0);
        CHECK(ccz_kms_roles_parse(&roles, text, NULL) == CCZ_OK && roles == sets[i].roles);
    }
    for (uint32_t r = 0; r <= CCZ_KMS_ROLES_ALL; r++) {
        ccz_kms_roles_print(text, r);
        CHECK(ccz_kms_roles_parse(&roles, text, NULL) == CCZ_OK && roles == r);
    }
    const char *const bad[] = {
        "", ",", "admin,", ",admin", "root", "adm", "admin author", "none,admin", "Admin"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        err = (struct ccz_err){0};
        roles = 9;
        CHECK(ccz_kms_roles_parse(&roles, bad[i], &err) == CCZ_E_ARG && roles == 0 &&
              strcmp(err.where, "kms:role-name") == 0);
    }
}

/* Each role does its own, and nothing of the others. */
static void test_roles(void)
{
    start();
    CHECK(done(grant(ANNE, NULL, CCZ_KMS_ROLE_OPERATOR)));
    CHECK(done(grant(BOB, NULL, CCZ_KMS_ROLE_AUTHOR)));
    CHECK(done(grant(CARL, NULL, CCZ_KMS_ROLE_APPROVER)));
    CHECK(done(grant(DORA, NULL, CCZ_KMS_ROLE_CLIENT)));
    CHECK(done(grant(EVE, NULL, CCZ_KMS_ROLE_AUDITOR)));
    CHECK_DENIED(put_policy(ANNE, "p"), "kms:role");
    CHECK(strcmp(g_err.got, "operator") == 0 && strcmp(g_err.expected, "author") == 0);
    CHECK(done(put_policy(BOB, "p")));
    CHECK_DENIED(put_secret(BOB, "s", NULL), "kms:role");
    CHECK_DENIED(put_secret(ANNE, "s", "p"), "kms:role"); /* binding is an author's */
    CHECK(done(put_secret(ANNE, "s", NULL)));
    CHECK_DENIED(bind_item(ANNE, "secret/s", "p"), "kms:role");
    CHECK(done(bind_item(BOB, "secret/s", "p")));
    struct cczi_msg_delete_req policy = {.target = ccz_span_str("policy/p")},
                               secret = {.target = ccz_span_str("secret/s")};
    CHECK_DENIED(call(ANNE, "Delete", cczi_msg_delete_req, &policy), "kms:role");
    CHECK_DENIED(call(BOB, "Delete", cczi_msg_delete_req, &secret), "kms:role");
    CHECK_DENIED(call(EVE, "Delete", cczi_msg_delete_req, &secret), "kms:role");
    CHECK(done(call(ANNE, "Delete", cczi_msg_delete_req, &secret)));
    /* reading: whoever works here; the audit log: its auditors */
    for (int who = ANNE; who <= EVE; who++) {
        bool reads = who != DORA, audits = who == EVE;
        struct cczi_msg_audit_req tail = {0};
        CHECK((named(who, "GetPolicy", "p") == CCZ_OK) == reads);
        CHECK((named(who, "List", "") == CCZ_OK) == reads);
        CHECK((call(who, "Status", cczi_msg_none, NULL) == CCZ_OK) == reads);
        CHECK((call(who, "AuditTail", cczi_msg_audit_req, &tail) == CCZ_OK) == audits);
        CHECK((call(who, "Checkpoint", cczi_msg_none, NULL) == CCZ_OK) == audits);
        CHECK_DENIED(set_role(who, EVE, "*", CCZ_KMS_ROLE_ADMIN), "kms:role");
        CHECK_DENIED(set_quorum(who, "*", 1), "kms:role");
        struct cczi_msg_release_req release = {ccz_span_str("secret/s"), 0};
        CHECK_DENIED(call(who, "Release", cczi_msg_release_req, &release), "kms:workload-required");
    }
    /* an author without the rest gives nobody roles, himself neither */
    CHECK_DENIED(set_role(BOB, BOB, "*", CCZ_KMS_ROLE_ADMIN), "kms:role");
    CHECK(strcmp(g_err.got, "author") == 0 && strcmp(g_err.expected, "admin") == 0);
    CHECK(done(set_role(FIX_ADMIN, BOB, "*", 0)));
    CHECK_DENIED(put_policy(BOB, "q"), "kms:admin-unknown");
    finish();
}

/* Roles end where their namespace ends, and names that look alike are others. */
static void test_namespaces(void)
{
    start();
    CHECK(done(grant(ANNE, "a", CCZ_KMS_ROLE_ADMIN)));
    CHECK(done(grant(BOB, "", CCZ_KMS_ROLE_ADMIN)));
    CHECK(done(put_policy(ANNE, "a/p")) && done(put_secret(ANNE, "a/b", "a/p")));
    const char *const others[] = {"ab/x", "a", "b/a/x", "A/x", "a.b/x", "aa/a"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        CHECK_DENIED(put_policy(ANNE, others[i]), "kms:role");
        CHECK(strcmp(g_err.got, "none") == 0);
        CHECK_DENIED(put_secret(ANNE, others[i], NULL), "kms:role");
    }
    CHECK(done(put_policy(FIX_ADMIN, "ab/p")) && done(put_secret(FIX_ADMIN, "ab/x", "ab/p")));
    CHECK_DENIED(named(ANNE, "GetPolicy", "ab/p"), "kms:role");
    CHECK_DENIED(named(ANNE, "Describe", "secret/ab/x"), "kms:role");
    CHECK_DENIED(call(ANNE, "Status", cczi_msg_none, NULL), "kms:role"); /* of the whole store */
    /* names without a namespace are one of their own, and no wildcard */
    CHECK(done(put_policy(BOB, "a")) && done(put_secret(BOB, "x", "a")));
    CHECK_DENIED(put_secret(BOB, "a/x", NULL), "kms:role");
    /* nobody gives roles outside of where he has them all */
    CHECK(done(set_role(ANNE, CARL, "a", CCZ_KMS_ROLE_AUDITOR)));
    CHECK_DENIED(set_role(ANNE, CARL, "ab", CCZ_KMS_ROLE_AUDITOR), "kms:role");
    CHECK_DENIED(set_role(ANNE, ANNE, "*", CCZ_KMS_ROLE_AUDITOR), "kms:role");
    CHECK_DENIED(set_role(ANNE, ANNE, "", CCZ_KMS_ROLE_AUDITOR), "kms:role");
    CHECK_DENIED(set_quorum(ANNE, "*", 0), "kms:role");
    CHECK(refused(set_role(FIX_ADMIN, ANNE, "a/b", 1), CCZ_E_FORMAT, "kms:namespace-name"));
    CHECK(refused(set_role(FIX_ADMIN, ANNE, "a*", 1), CCZ_E_FORMAT, "kms:namespace-name"));
    CHECK(refused(set_role(FIX_ADMIN, ANNE, "a", 32), CCZ_E_FORMAT, "kms:roles"));
    /* a list shows what one may read */
    CHECK(done(named(ANNE, "List", "")));
    CHECK(memmem(g_out.ptr, g_out.size, "secret/a/b", 10) &&
          !memmem(g_out.ptr, g_out.size, "ab/", 3) &&
          !memmem(g_out.ptr, g_out.size, "secret/x", 8));
    CHECK(done(named(BOB, "List", "")));
    CHECK(memmem(g_out.ptr, g_out.size, "secret/x", 8) && !memmem(g_out.ptr, g_out.size, "a/b", 3));
    CHECK(done(named(FIX_ADMIN, "List", "")));
    CHECK(memmem(g_out.ptr, g_out.size, "secret/x", 8) && memmem(g_out.ptr, g_out.size, "ab/x", 4));
    CHECK(done(call(ANNE, "ListRoles", cczi_msg_none, NULL)));
    CHECK(g_out.size && !memmem(g_out.ptr, g_out.size, "bbbbbbbb", 8)); /* BOB's are elsewhere */
    finish();
}

/* Pages of a list are of what is shown, not of what is skipped. */
static void test_list_pages(void)
{
    start();
    char name[32];
    CHECK(done(grant(ANNE, "z", CCZ_KMS_ROLE_AUDITOR)));
    for (int i = 0; i < 600; i++) {
        (void)snprintf(name, sizeof(name), "%s/%03d", i % 300 == 299 ? "z" : "a", i);
        CHECK(done(put_secret(FIX_ADMIN, name, NULL)));
    }
    CHECK(done(named(ANNE, "List", "")));
    CHECK(memmem(g_out.ptr, g_out.size, "z/299", 5) && memmem(g_out.ptr, g_out.size, "z/599", 5) &&
          !memmem(g_out.ptr, g_out.size, "a/", 2));
    struct ccz_rd r = ccz_rd_from(ccz_buf_span(&g_out));
    struct ccz_pb_field f;
    int rows = 0, more = 0;
    for (; ccz_pb_next(&f, &r);)
        *(f.number == CCZI_MSG_REPEATED ? &rows : &more) += 1;
    CHECK(rows == 2 && more == 0);
    finish();
}

/* A page of a list. @param next  cursor, in and out. @return number of items, -1 = refused */
static int page_of(struct ccz_buf *next, bool *more, int who)
{
    struct cczi_msg_list_req m = {.next = ccz_buf_span(next)};
    struct ccz_pb_field f;
    int items = 0;
    *more = false;
    if (call(who, "List", cczi_msg_list_req, &m) != CCZ_OK)
        return -1;
    ccz_buf_clear(next);
    struct ccz_rd r = ccz_rd_from(ccz_buf_span(&g_out));
    while (ccz_pb_next(&f, &r)) {
        items += f.number == CCZI_MSG_REPEATED;
        *more = *more || (f.number == CCZI_MSG_MORE && f.num);
        if (f.number == CCZI_MSG_NEXT)
            ccz_buf_put_span(next, f.bytes);
    }
    return items;
}

/* Who may read one name of very many is answered in pages, too, which show nothing of the others. */
static void test_list_looks(void)
{
    enum { MANY = 2000 };
    start();
    char name[32];
    bool more;
    CCZ_AUTO_BUF next;
    ccz_buf_init(&next, 1024);
    CHECK(done(grant(ANNE, "z", CCZ_KMS_ROLE_AUDITOR)) &&
          done(grant(BOB, "z", CCZ_KMS_ROLE_AUDITOR)));
    CHECK(done(put_secret(FIX_ADMIN, "z/one", NULL)));
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(name, sizeof(name), "n%04d", i);
        CHECK(done(put_secret(FIX_ADMIN, name, NULL)));
    }
    CHECK(page_of(&next, &more, ANNE) == 0 && more && next.size == CCZI_KMS_CURSOR_SIZE);
    CHECK(!memmem(g_out.ptr, g_out.size, "n0", 2) && !memmem(g_out.ptr, g_out.size, "n1", 2));
    CCZ_AUTO_BUF other;
    ccz_buf_init(&other, 1024);
    ccz_buf_put_span(&other, ccz_buf_span(&next));
    CHECK(page_of(&other, &more, BOB) == -1 && refused(g_err.rc, CCZ_E_FORMAT, "kms:list-cursor") &&
          g_err.hint[0]);
    for (size_t i = 0; i < next.size; i++) { /* nor is it anything else than what was given */
        other.ptr[i] ^= 1;
        CHECK(page_of(&other, &more, ANNE) == -1);
        other.ptr[i] ^= 1;
    }
    other.size--;
    CHECK(page_of(&other, &more, ANNE) == -1);
    CHECK(page_of(&next, &more, ANNE) == 1 && !more && next.size == 0);
    CHECK(memmem(g_out.ptr, g_out.size, "z/one", 5));
    /* who may read them all gets them all, with or without a cursor */
    CHECK(page_of(&next, &more, FIX_ADMIN) == 100 && more && next.size == 0);
    finish();
}

static void test_bind_namespace(void)
{
    start();
    CHECK(done(put_policy(FIX_ADMIN, "root")) && done(put_policy(FIX_ADMIN, "a/p")) &&
          done(put_policy(FIX_ADMIN, "b/p")));
    CHECK(done(put_secret(FIX_ADMIN, "a/s", NULL)) && done(put_secret(FIX_ADMIN, "s", NULL)));
    CHECK(done(bind_item(FIX_ADMIN, "secret/a/s", "a/p")));
    CHECK(done(bind_item(FIX_ADMIN, "secret/a/s", "root"))); /* no approvals: as ever */
    CHECK_DENIED(bind_item(FIX_ADMIN, "secret/a/s", "b/p"), "kms:namespace");
    CHECK(strcmp(g_err.got, "b") == 0 && strcmp(g_err.expected, "a") == 0 && g_err.hint[0]);
    CHECK_DENIED(bind_item(FIX_ADMIN, "secret/s", "a/p"), "kms:namespace");
    CHECK_DENIED(put_secret(FIX_ADMIN, "a/t", "b/p"), "kms:namespace");
    /* approvals for a would be worth nothing while root is somebody else's */
    CHECK(done(grant(ANNE, NULL, CCZ_KMS_ROLE_APPROVER)));
    for (int i = 0; i < 2; i++) {
        CHECK(done(grant(ANNE, i ? "a" : "b", CCZ_KMS_ROLE_APPROVER)));
        CHECK(done(grant(DORA, i ? "a" : "b", CCZ_KMS_ROLE_AUTHOR)));
    }
    CHECK_DENIED(set_quorum(FIX_ADMIN, "a", 1), "kms:namespace");
    CHECK_DENIED(set_quorum(FIX_ADMIN, "*", 1), "kms:namespace");
    CHECK(done(set_quorum(FIX_ADMIN, "b", 1))); /* which has no such item */
    CHECK(done(bind_item(FIX_ADMIN, "secret/a/s", "a/p")));
    CHECK(done(set_quorum(FIX_ADMIN, "a", 1)));
    CHECK_DENIED(bind_item(DORA, "secret/a/s", "root"), "kms:approval-needed");
    finish();
}

/* ----------------------------------------------------------------------- approvals */

struct proposed {
    uint64_t id;
    uint8_t sha256[32];
};

static ccz_rc propose(struct proposed *out, int by, const char *method,
                      const struct cczi_msg_field *fields, const void *msg, uint64_t valid_s)
{
    struct ccz_buf b;
    ccz_buf_init(&b, CCZ_KMS_MESSAGE_SIZE_MAX);
    cczi_msg_put(&b, fields, msg);
    struct cczi_msg_propose_req m = {ccz_span_str(method), ccz_buf_span(&b), valid_s};
    ccz_rc rc = call(by, "Propose", cczi_msg_propose_req, &m);
    ccz_buf_free(&b);
    struct cczi_msg_propose_resp r = {0};
    if (rc != CCZ_OK)
        return rc;
    CHECK(cczi_msg_get(&r, cczi_msg_propose_resp, ccz_buf_span(&g_out), NULL) == CCZ_OK &&
          r.sha256.size == 32 && r.receipt.size);
    out->id = r.id;
    memcpy(out->sha256, r.sha256.ptr, 32);
    return CCZ_OK;
}

/* A policy of @p size bytes, nearly all of them white space. */
static void large_policy(struct ccz_buf *json, size_t size)
{
    ccz_buf_init(json, size);
    ccz_buf_put_str(json, fix_policy);
    while (json->size < size)
        ccz_buf_u8(json, ' ');
}

static ccz_rc propose_large(struct proposed *out, int by, const char *ns)
{
    char name[CCZ_KMS_NAME_SIZE];
    CCZ_AUTO_BUF json;
    large_policy(&json, 1000000);
    (void)snprintf(name, sizeof(name), "%s/large", ns);
    const struct cczi_msg_put_policy_req m = {ccz_span_str(name), ccz_buf_span(&json), 0};
    return propose(out, by, "PutPolicy", cczi_msg_put_policy_req, &m, 0);
}

static ccz_rc propose_policy(struct proposed *out, int by, const char *name)
{
    struct cczi_msg_put_policy_req m = {ccz_span_str(name), ccz_span_str(fix_policy), 0};
    return propose(out, by, "PutPolicy", cczi_msg_put_policy_req, &m, 0);
}

static ccz_rc propose_role(struct proposed *out, int by, int who, const char *ns, uint32_t roles)
{
    uint8_t id[32];
    memset(id, who, 32);
    struct cczi_msg_role m = {
        .ns = ccz_span_str(ns), .principal = CCZ_SPAN(id, 32), .roles = roles};
    return propose(out, by, "SetRole", cczi_msg_role, &m, 0);
}

static ccz_rc approve(int by, const struct proposed *p)
{
    struct cczi_msg_approve_req m = {p->id, CCZ_SPAN(p->sha256, 32)};
    return call(by, "Approve", cczi_msg_approve_req, &m);
}

/* Of the last approval. */
static bool executed(void)
{
    struct cczi_msg_approve_resp r = {0};
    CHECK(cczi_msg_get(&r, cczi_msg_approve_resp, ccz_buf_span(&g_out), NULL) == CCZ_OK);
    CHECK((r.executed_seq != 0) == (r.done != 0));
    return r.done;
}

static ccz_rc reject(int by, uint64_t id)
{
    struct cczi_msg_approve_req m = {.id = id};
    return call(by, "Reject", cczi_msg_reject_req, &m);
}

/* Namespace "t": DORA proposes; ANNE, BOB and CARL approve, two of them are needed. EVE is of another one. */
static void start_team(void)
{
    start();
    CHECK(done(grant(DORA, "t", CCZ_KMS_ROLE_AUTHOR | CCZ_KMS_ROLE_APPROVER)));
    CHECK(done(grant(ANNE, "t", CCZ_KMS_ROLE_APPROVER)));
    CHECK(done(grant(BOB, "t", CCZ_KMS_ROLE_APPROVER)));
    CHECK(done(grant(CARL, "t", CCZ_KMS_ROLE_APPROVER)));
    CHECK(done(grant(EVE, "tt", CCZ_KMS_ROLE_ADMIN)));
    CHECK(done(set_quorum(FIX_ADMIN, "t", 2)));
}

/* Everything that changes who gets what: not directly. */
static void test_guarded(void)
{
    start_team();
    CHECK(done(put_policy(FIX_ADMIN, "free")));
    CHECK(done(put_secret(FIX_ADMIN, "t/s", NULL))); /* storing is not guarded */
    CHECK(done(grant(DORA, "t", CCZ_KMS_ROLE_ADMIN)));
    struct cczi_msg_delete_req gone = {.target = ccz_span_str("policy/t/p")};
    CHECK_DENIED(put_policy(DORA, "t/p"), "kms:approval-needed");
    CHECK(strcmp(g_err.expected, "a proposal with 2 approvals") == 0 && g_err.hint[0]);
    CHECK_DENIED(bind_item(DORA, "secret/t/s", "t/p"), "kms:approval-needed");
    CHECK_DENIED(put_secret(DORA, "t/u", "t/p"), "kms:approval-needed");
    CHECK_DENIED(call(DORA, "Delete", cczi_msg_delete_req, &gone), "kms:approval-needed");
    gone = (struct cczi_msg_delete_req){.target = ccz_span_str("secret/t/s"), .no_recovery = 1};
    CHECK_DENIED(call(DORA, "Delete", cczi_msg_delete_req, &gone), "kms:approval-needed");
    gone.version = 1;
    CHECK_DENIED(call(FIX_ADMIN, "Delete", cczi_msg_delete_req, &gone), "kms:approval-needed");
    CHECK_DENIED(set_role(DORA, DORA, "t", CCZ_KMS_ROLES_ALL), "kms:approval-needed");
    CHECK_DENIED(set_quorum(DORA, "t", 0), "kms:approval-needed"); /* lower it first? no */
    CHECK_DENIED(set_quorum(DORA, "t", 3), "kms:approval-needed");
    CHECK(done(put_policy(EVE, "tt/p"))); /* another one's business */
    CHECK(done(put_policy(FIX_ADMIN, "u/p")));
    finish();
}

/* Deleting has a window in which others notice; without one it is several people's to say. */
static void test_no_recovery(void)
{
    struct cczi_msg_delete_req gone = {.target = ccz_span_str("secret/t/s")};
    struct proposed p;
    start_team();
    CHECK(done(grant(DORA, "t", CCZ_KMS_ROLE_ADMIN)));
    CHECK(done(put_secret(DORA, "t/s", NULL)) && done(put_secret(DORA, "t/u", NULL)));
    CHECK(done(call(DORA, "Delete", cczi_msg_delete_req, &gone)));
    CHECK(done(call(DORA, "Undelete", cczi_msg_target_req, &gone)));
    gone.no_recovery = 1;
    CHECK_DENIED(call(DORA, "Delete", cczi_msg_delete_req, &gone), "kms:approval-needed");
    CHECK(done(propose(&p, DORA, "Delete", cczi_msg_delete_req, &gone, 0)));
    CHECK(done(approve(ANNE, &p)) && done(approve(BOB, &p)) && executed());
    CHECK(refused(named(DORA, "Describe", "secret/t/s"), CCZ_E_NOT_FOUND, "kms:not-found"));
    finish();
}

/* Who may do everything elsewhere has no say where a namespace asks for approvals of its own. */
static void test_own_people(void)
{
    struct proposed p;
    start_team();
    CHECK_DENIED(put_policy(FIX_ADMIN, "t/p"), "kms:role");
    CHECK(strcmp(g_err.got, "auditor,operator") == 0);
    CHECK_DENIED(set_quorum(FIX_ADMIN, "t", 0), "kms:role");
    CHECK_DENIED(set_role(FIX_ADMIN, EVE, "t", CCZ_KMS_ROLE_APPROVER), "kms:role");
    CHECK_DENIED(propose_policy(&p, FIX_ADMIN, "t/p"), "kms:role");
    CHECK(done(propose_policy(&p, DORA, "t/p")));
    CHECK_DENIED(approve(FIX_ADMIN, &p), "kms:role");
    CHECK(done(set_role(FIX_ADMIN, EVE, "*", CCZ_KMS_ROLES_ALL))); /* as many as he likes */
    CHECK_DENIED(approve(EVE, &p), "kms:role");
    CHECK(done(approve(ANNE, &p)) && !executed());
    CHECK(done(put_secret(FIX_ADMIN, "t/s", NULL)) && done(named(FIX_ADMIN, "List", "")));
    finish();
}

static ccz_rc use_key(int by, const char *method, const struct cczi_msg_field *fields,
                      const char *sealed)
{
    struct cczi_msg_use_req m = {.key = ccz_span_str("t/k"),
                                 .text = sealed ? (struct ccz_span){0} : ccz_span_str("x"),
                                 .sealed = fix_str(sealed)};
    return call(by, method, fields, &m);
}

/* Of a key that wants no evidence the role is all there is: it reaches as far as those of authors do. */
static void test_client_all(void)
{
    struct cczi_msg_key_req k = {
        .name = ccz_span_str("t/k"), .kind = ccz_span_str("aes-256-gcm"), .unattested_insecure = 1};
    struct cczi_msg_name name = {ccz_span_str("t/k")};
    struct cczi_msg_use_resp r = {0};
    char sealed[512];
    struct proposed p;
    start();
    CHECK(done(call(FIX_ADMIN, "Generate", cczi_msg_generate_req, &k)));
    CHECK(done(set_role(FIX_ADMIN, EVE, "*", CCZ_KMS_ROLE_CLIENT)));
    CHECK(done(use_key(EVE, "Encrypt", cczi_msg_encrypt_req, NULL))); /* nobody rules it yet */
    CHECK(cczi_msg_get(&r, cczi_msg_use_resp, ccz_buf_span(&g_out), NULL) == CCZ_OK);
    (void)snprintf(sealed, sizeof(sealed), "%.*s", (int)r.sealed.size, (const char *)r.sealed.ptr);
    CHECK(done(grant(DORA, "t", CCZ_KMS_ROLE_AUTHOR | CCZ_KMS_ROLE_APPROVER)));
    CHECK(done(grant(ANNE, "t", CCZ_KMS_ROLE_APPROVER)));
    CHECK(done(grant(BOB, "t", CCZ_KMS_ROLE_APPROVER)));
    CHECK(done(set_quorum(FIX_ADMIN, "t", 2)));
    CHECK_DENIED(set_role(FIX_ADMIN, EVE, "t", CCZ_KMS_ROLE_CLIENT), "kms:role");
    CHECK(done(set_role(FIX_ADMIN, EVE, "*", CCZ_KMS_ROLE_CLIENT))); /* as often as he likes */
    CHECK_DENIED(use_key(EVE, "Encrypt", cczi_msg_encrypt_req, NULL), "kms:workload-required");
    CHECK_DENIED(use_key(EVE, "Decrypt", cczi_msg_decrypt_req, sealed), "kms:workload-required");
    CHECK_DENIED(use_key(EVE, "Rewrap", cczi_msg_rewrap_req, sealed), "kms:workload-required");
    CHECK_DENIED(call(EVE, "PublicKey", cczi_msg_name, &name), "kms:workload-required");
    CHECK(done(propose_role(&p, DORA, EVE, "t", CCZ_KMS_ROLE_CLIENT)));
    CHECK(done(approve(ANNE, &p)) && done(approve(BOB, &p)) && executed());
    CHECK(done(use_key(EVE, "Encrypt", cczi_msg_encrypt_req, NULL)));
    CHECK(done(use_key(EVE, "Decrypt", cczi_msg_decrypt_req, sealed)));
    finish();
}

static void test_approve(void)
{
    struct proposed p, q;
    start_team();
    uint64_t lines = fix_check(g_s).audit_lines;
    CHECK(done(propose_policy(&p, DORA, "t/p")) && p.id == 1);
    CHECK(refused(named(DORA, "GetPolicy", "t/p"), CCZ_E_NOT_FOUND,
                  "kms:not-found")); /* tried only */
    CHECK_DENIED(approve(DORA, &p), "kms:approver-proposer");
    CHECK(done(approve(ANNE, &p)) && !executed());
    CHECK(refused(approve(ANNE, &p), CCZ_E_EXISTS, "kms:approved-already"));
    CHECK_DENIED(approve(EVE, &p), "kms:role"); /* an approver, but of "tt" */
    CHECK_DENIED(approve(FIX_STRANGER, &p), "kms:admin-unknown");
    CHECK_DENIED(approve(FIX_WORKLOAD, &p), "kms:admin-required");
    q = p;
    q.sha256[31] ^= 1;
    CHECK(refused(approve(BOB, &q), CCZ_E_MISMATCH, "kms:proposal-changed"));
    struct cczi_msg_approve_req blind = {.id = p.id};
    CHECK(refused(call(BOB, "Approve", cczi_msg_approve_req, &blind), CCZ_E_MISMATCH,
                  "kms:proposal-changed"));
    q.id = 2;
    CHECK(refused(approve(BOB, &q), CCZ_E_NOT_FOUND, "kms:not-found"));
    CHECK(done(approve(BOB, &p)) && executed());
    CHECK(done(named(DORA, "GetPolicy", "t/p")));
    CHECK_DENIED(approve(CARL, &p), "kms:proposal-closed");
    CHECK(strcmp(g_err.got, "done") == 0);
    CHECK_DENIED(reject(CARL, p.id), "kms:proposal-closed");
    /* a line for each step and for each refusal */
    CHECK(fix_check(g_s).audit_lines == lines + 15);
    /* once done it is not done again: the policy exists */
    CHECK(refused(propose_policy(&p, DORA, "t/p"), CCZ_E_EXISTS, "kms:policy-exists"));
    CHECK(done(propose_policy(&p, DORA, "t/q")) && p.id == 2);
    finish();
}

/* What cannot be proposed. */
static void test_propose_refused(void)
{
    struct proposed p;
    start_team();
    CHECK_DENIED(propose_policy(&p, ANNE, "t/p"), "kms:role"); /* an approver is no author */
    CHECK_DENIED(propose_policy(&p, DORA, "tt/p"), "kms:role");
    CHECK_DENIED(propose_policy(&p, DORA, "p"), "kms:role");
    CHECK_DENIED(propose_policy(&p, EVE, "tt/p"), "kms:quorum-none");
    struct cczi_msg_put_req secret = {.name = ccz_span_str("t/s"), .value = ccz_span_str("v")};
    CHECK(refused(propose(&p, FIX_ADMIN, "PutSecret", cczi_msg_put_req, &secret, 0),
                  CCZ_E_UNSUPPORTED, "kms:not-proposable"));
    struct cczi_msg_approve_req approval = {.id = 1};
    const char *const methods[] = {"Propose", "Approve", "Reject", "Release", "", "Nothing"};
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
        CHECK(refused(propose(&p, FIX_ADMIN, methods[i], cczi_msg_approve_req, &approval, 0),
                      CCZ_E_UNSUPPORTED, "kms:not-proposable"));
    /* nor what this server cannot show */
    CCZ_AUTO_BUF odd;
    ccz_buf_init(&odd, 1024);
    cczi_msg_put(&odd, cczi_msg_bind_req, &(struct cczi_msg_bind_req){.item = ccz_span_str("t/s")});
    ccz_pb_put_uint(&odd, 30, 7);
    const struct cczi_msg_propose_req unseen = {ccz_span_str("Bind"), ccz_buf_span(&odd), 0};
    CHECK(refused(call(DORA, "Propose", cczi_msg_propose_req, &unseen), CCZ_E_FORMAT,
                  "kms:proposal-field"));
    /* what could not be done is not put before others */
    struct cczi_msg_put_policy_req bad = {ccz_span_str("t/p"), ccz_span_str("{"), 0};
    CHECK(propose(&p, DORA, "PutPolicy", cczi_msg_put_policy_req, &bad, 0) != CCZ_OK &&
          strncmp(g_err.where, "kms:", 4) != 0);
    struct cczi_msg_bind_req nothing = {.item = ccz_span_str("secret/t/none"),
                                        .policy = ccz_span_str("t/p")};
    CHECK(refused(propose(&p, DORA, "Bind", cczi_msg_bind_req, &nothing, 0), CCZ_E_NOT_FOUND,
                  "kms:not-found"));
    struct cczi_msg_put_policy_req good = {ccz_span_str("t/p"), ccz_span_str(fix_policy), 0};
    CHECK(refused(propose(&p, DORA, "PutPolicy", cczi_msg_put_policy_req, &good, 59), CCZ_E_LIMIT,
                  "kms:proposal-validity"));
    CHECK(refused(propose(&p, DORA, "PutPolicy", cczi_msg_put_policy_req, &good, 31 * 86400),
                  CCZ_E_LIMIT, "kms:proposal-validity"));
    /* nor what its proposer could not do himself, were no approvals needed: approvers would agree on nothing */
    struct cczi_msg_key_req key = {
        .name = ccz_span_str("t/k"), .kind = ccz_span_str("aes-256-gcm"), .exportable = 1};
    CHECK_DENIED(propose(&p, DORA, "Generate", cczi_msg_generate_req, &key, 0), "kms:role");
    CHECK(fix_check(g_s).proposals == 0 && fix_check(g_s).policies == 0);
    /* nor may approvals do what they are there to prevent */
    CHECK(done(put_policy(FIX_ADMIN, "root")) && done(put_secret(FIX_ADMIN, "t/s", NULL)));
    struct cczi_msg_bind_req away = {.item = ccz_span_str("secret/t/s"),
                                     .policy = ccz_span_str("root")};
    CHECK_DENIED(propose(&p, DORA, "Bind", cczi_msg_bind_req, &away, 0), "kms:namespace");
    finish();
}

static void test_expired(void)
{
    struct proposed p;
    start_team();
    CHECK(done(propose_policy(&p, DORA, "t/p")) && done(approve(ANNE, &p)));
    g_now += 7 * 86400 - 1;
    CHECK(done(approve(BOB, &p)) && executed()); /* the last second */
    CHECK(done(propose_policy(&p, DORA, "t/q")) && done(approve(ANNE, &p)));
    g_now += 7 * 86400;
    CHECK(refused(approve(BOB, &p), CCZ_E_EXPIRED, "kms:proposal-expired"));
    CHECK(refused(named(DORA, "GetPolicy", "t/q"), CCZ_E_NOT_FOUND, "kms:not-found"));
    struct proposed next;
    CHECK(done(propose_policy(&next, DORA, "t/q"))); /* and from then on it is closed */
    CHECK_DENIED(approve(BOB, &p), "kms:proposal-closed");
    CHECK(strcmp(g_err.got, "expired") == 0);
    /* closed ones are dropped after their time, with their approvals; numbers go on */
    CHECK(fix_check(g_s).proposals == 3 && fix_check(g_s).approvals == 3);
    g_now += 200 * 86400;
    CHECK(done(propose_policy(&next, DORA, "t/r")) && next.id == 4);
    CHECK(fix_check(g_s).proposals == 2 && fix_check(g_s).approvals == 0);
    finish();
}

static void test_reject(void)
{
    struct proposed p;
    start_team();
    CHECK(done(grant(EVE, "t", CCZ_KMS_ROLE_AUTHOR)));
    CHECK(done(propose_policy(&p, DORA, "t/p")) && done(approve(ANNE, &p)));
    CHECK_DENIED(reject(EVE, p.id), "kms:role"); /* an author, but not the one who proposed it */
    CHECK(done(reject(CARL, p.id)));
    CHECK_DENIED(approve(BOB, &p), "kms:proposal-closed");
    CHECK(strcmp(g_err.got, "rejected") == 0);
    CHECK(done(propose_policy(&p, EVE, "t/p")) && done(reject(EVE, p.id))); /* taken back */
    CHECK(refused(reject(CARL, 99), CCZ_E_NOT_FOUND, "kms:not-found"));
    finish();
}

/* Roles are looked up again when it comes to it. */
static void test_role_lost(void)
{
    struct proposed p;
    start_team();
    /* an approver who lost his role does not count any more, and counts again when he has it */
    CHECK(done(propose_policy(&p, DORA, "t/p")) && done(approve(ANNE, &p)));
    CHECK(done(grant(ANNE, "t", CCZ_KMS_ROLE_AUDITOR)));
    CHECK(done(approve(BOB, &p)) && !executed());
    CHECK(done(grant(ANNE, "t", 0)) && done(grant(ANNE, "u", CCZ_KMS_ROLE_APPROVER)));
    CHECK_DENIED(approve(ANNE, &p), "kms:role");
    CHECK(done(approve(CARL, &p)) && executed());
    /* nor is anything done for an author who is none any more */
    CHECK(done(grant(ANNE, "t", CCZ_KMS_ROLE_APPROVER)));
    CHECK(done(grant(EVE, "t", CCZ_KMS_ROLE_AUTHOR)));
    CHECK(done(propose_policy(&p, DORA, "t/q")) && done(approve(ANNE, &p)));
    CHECK(done(grant(DORA, "t", CCZ_KMS_ROLE_APPROVER)));
    CHECK_DENIED(approve(BOB, &p), "kms:proposer-role");
    CHECK(strcmp(g_err.expected, "author") == 0);
    CHECK(refused(named(BOB, "GetPolicy", "t/q"), CCZ_E_NOT_FOUND, "kms:not-found"));
    CHECK(done(grant(DORA, "t", CCZ_KMS_ROLE_AUTHOR)));
    CHECK(done(approve(BOB, &p)) && executed()); /* the refused one left no trace */
    finish();
}

/* One person with roles in two places is one person. */
static void test_one_person(void)
{
    struct proposed p;
    start_team();
    CHECK(done(grant(ANNE, "*", CCZ_KMS_ROLE_AUDITOR)));
    struct ccz_kms_grant g = {.ns = "*", .roles = CCZ_KMS_ROLE_APPROVER};
    memset(g.principal, ANNE, 32);
    CHECK(done(ccz_kms_store_grant(g_s, &g, g_now, &g_err)));
    CHECK(done(propose_policy(&p, DORA, "t/p")) && done(approve(ANNE, &p)) && !executed());
    CHECK(refused(approve(ANNE, &p), CCZ_E_EXISTS, "kms:approved-already"));
    CHECK(refused(named(DORA, "GetPolicy", "t/p"), CCZ_E_NOT_FOUND, "kms:not-found"));
    finish();
    /* and is counted once when a quorum is set: here FIX_ADMIN proposes, and "u" follows "*" */
    start();
    CHECK(done(grant(ANNE, "u", CCZ_KMS_ROLE_APPROVER)));
    CHECK(done(grant(ANNE, "*", CCZ_KMS_ROLE_APPROVER)));
    CHECK_DENIED(set_quorum(FIX_ADMIN, "*", 2), "kms:quorum-unreachable");
    CHECK(done(set_quorum(FIX_ADMIN, "*", 1)));
    CHECK(done(propose_policy(&p, FIX_ADMIN, "u/p")) && done(approve(ANNE, &p)) && executed());
    finish();
}

/* The quorum and the roles that make it up change by the quorum that there is. */
static void test_quorum(void)
{
    struct proposed p;
    start_team();
    struct cczi_msg_quorum none = {.ns = ccz_span_str("t")}, four = {ccz_span_str("t"), 4},
                           many = {ccz_span_str("t"), 101};
    CHECK_DENIED(propose(&p, DORA, "SetQuorum", cczi_msg_quorum, &four, 0),
                 "kms:quorum-unreachable"); /* ANNE, BOB and CARL approve for DORA */
    CHECK(strcmp(g_err.got, "3") == 0 && strcmp(g_err.expected, "4") == 0);
    CHECK(refused(propose(&p, DORA, "SetQuorum", cczi_msg_quorum, &many, 0), CCZ_E_LIMIT,
                  "kms:quorum"));
    CHECK(done(propose(&p, DORA, "SetQuorum", cczi_msg_quorum, &none, 0)));
    CHECK(done(approve(ANNE, &p)) && !executed());
    CHECK_DENIED(put_policy(DORA, "t/p"), "kms:approval-needed");
    CHECK(done(approve(BOB, &p)) && executed());
    CHECK(done(put_policy(DORA, "t/p")));
    CHECK_DENIED(propose_policy(&p, DORA, "t/q"), "kms:quorum-none");
    CHECK_DENIED(set_quorum(DORA, "t", 1), "kms:role"); /* directly: with all roles only */
    CHECK(done(set_quorum(FIX_ADMIN, "t", 3)));
    /* nobody's leaving makes it impossible */
    CHECK_DENIED(propose_role(&p, DORA, ANNE, "t", 0), "kms:quorum-unreachable");
    CHECK_DENIED(grant(ANNE, "t", CCZ_KMS_ROLE_AUDITOR), "kms:quorum-unreachable");
    finish();
}

/* A quorum for all holds where there is no other, and in names that nobody has used yet. */
static void test_quorum_all(void)
{
    struct proposed p;
    start();
    CHECK_DENIED(set_quorum(FIX_ADMIN, "*", 1), "kms:quorum-unreachable"); /* he alone? */
    CHECK(strcmp(g_err.got, "0") == 0 && strcmp(g_err.expected, "1") == 0);
    CHECK(done(grant(ANNE, "*", CCZ_KMS_ROLE_APPROVER)) &&
          done(grant(BOB, "*", CCZ_KMS_ROLE_APPROVER)));
    CHECK(done(set_quorum(FIX_ADMIN, "*", 2)));
    CHECK_DENIED(put_policy(FIX_ADMIN, "p"), "kms:approval-needed");
    CHECK_DENIED(put_policy(FIX_ADMIN, "new/p"), "kms:approval-needed");
    CHECK_DENIED(set_quorum(FIX_ADMIN, "new", 0), "kms:approval-needed");
    CHECK_DENIED(set_role(FIX_ADMIN, EVE, "new", CCZ_KMS_ROLE_ADMIN), "kms:approval-needed");
    CHECK_DENIED(grant(BOB, "*", 0), "kms:quorum-unreachable");
    CHECK_DENIED(grant(FIX_ADMIN, "*", CCZ_KMS_ROLE_AUTHOR), "kms:last-admin");
    /* with the approvals it goes, and a namespace may have less */
    struct cczi_msg_quorum less = {.ns = ccz_span_str("new")};
    CHECK(done(propose(&p, FIX_ADMIN, "SetQuorum", cczi_msg_quorum, &less, 0)));
    CHECK(done(approve(ANNE, &p)) && done(approve(BOB, &p)) && executed());
    CHECK(done(put_policy(FIX_ADMIN, "new/p")));
    CHECK_DENIED(put_policy(FIX_ADMIN, "news/p"), "kms:approval-needed");
    finish();
}

/* The row of a proposal is under its MAC, as everything. */
static void test_proposal_changed(void)
{
    static const char *const attacks[] = {
        "UPDATE proposal SET body = CAST(replace(CAST(body AS TEXT), 't/p', 't/o') AS BLOB)",
        "UPDATE proposal SET method = 'Bind'",
        "UPDATE proposal SET namespace = 'tt'",
        "UPDATE proposal SET expires_s = expires_s + 1000000",
        "UPDATE proposal SET proposer = (SELECT approver FROM approval)",
        "UPDATE approval SET approver = zeroblob(32)"};
    for (size_t i = 0; i < sizeof(attacks) / sizeof(attacks[0]); i++) {
        struct proposed p;
        start_team();
        CHECK(done(propose_policy(&p, DORA, "t/p")) && done(approve(ANNE, &p)));
        CHECK(cczi_kms_db_exec(&g_s->db, attacks[i], NULL) == CCZ_OK);
        CHECK(refused(approve(BOB, &p), CCZ_E_SIG, "kms:row-mac"));
        ccz_buf_free(&g_out);
        ccz_kms_store_free(g_s);
    }
}

/* The call that was proposed is the proposer's, and the log says whose approval made it. */
static void test_recorded(void)
{
    struct proposed p;
    start_team();
    CHECK(done(put_policy(EVE, "tt/p")));
    CHECK(done(propose_role(&p, DORA, EVE, "t", CCZ_KMS_ROLE_AUDITOR)));
    CHECK(done(approve(ANNE, &p)) && done(approve(BOB, &p)) && executed());
    CHECK(done(named(EVE, "List", "")));
    struct cczi_msg_audit_req tail = {.after_seq = fix_check(g_s).audit_lines - 4};
    CHECK(done(call(FIX_ADMIN, "AuditTail", cczi_msg_audit_req, &tail)));
    const char *const parts[] = {"\"op\":\"Propose\"",         "\"op\":\"SetRole\"",
                                 "\"op\":\"Approve\"",         "\"proposal\":1",
                                 "\"namespace\":\"t\"",        "\"roles\":\"auditor\"",
                                 "2 of 2 approvals, executed", "1 of 2 approvals"};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        CHECK(memmem(g_out.ptr, g_out.size, parts[i], strlen(parts[i])) != NULL);
    struct cczi_msg_proposals_req all = {0};
    CHECK(done(call(CARL, "ListProposals", cczi_msg_proposals_req, &all)) && g_out.size > 100);
    CHECK(done(call(EVE, "ListProposals", cczi_msg_proposals_req, &all)) && g_out.size > 100);
    CHECK(done(grant(EVE, "t", 0)));
    CHECK(done(call(EVE, "ListProposals", cczi_msg_proposals_req, &all)) && g_out.size == 0);
    finish();
}

/* What is proposed, and what was, is bounded by bytes as well, for each namespace; and who may not read it does not make it be read. */
static void test_large(void)
{
    struct proposed p = {0};
    struct cczi_msg_proposals_req all = {0};
    start_team();
    CHECK(done(grant(EVE, "u", CCZ_KMS_ROLE_ADMIN | CCZ_KMS_ROLE_AUTHOR)) &&
          done(grant(BOB, "u", CCZ_KMS_ROLE_APPROVER)) && done(set_quorum(FIX_ADMIN, "u", 1)));
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 4; i++)
            CHECK(done(propose_large(&p, DORA, "t")));
        CHECK(refused(propose_large(&p, DORA, "t"), CCZ_E_LIMIT, "kms:proposals-size") &&
              g_err.hint[0]);
        CHECK(done(propose_large(&p, EVE, "u")) && done(reject(EVE, p.id)));
        hook(g_s);
        h.count = CCZI_SQL_PROPOSAL_GET;
        CHECK(done(call(EVE, "ListProposals", cczi_msg_proposals_req, &all)));
        g_s->db.ops = h.real;
        /* a page ends where the next one of that size does not fit; none of "t" */
        CHECK(h.counted == (round ? 2 : 1));
        for (uint64_t id = p.id - 4; id < p.id; id++)
            CHECK(done(reject(DORA, id)));
    }
    CHECK(done(propose_policy(&p, DORA, "t/p"))); /* which takes closed ones away */
    CHECK(fix_check(g_s).proposals <= 4 + 1 + 3);
    finish();
}

/* What nobody else will look at is not paid for: a change of a quorum that is tried out. Who executes what was agreed on has asked already. */
static void test_look_once(void)
{
    struct proposed p;
    struct cczi_msg_quorum many = {.ns = ccz_span_str("t"), .needed = 60};
    struct cczi_msg_quorum one = {.ns = ccz_span_str("t"), .needed = 1};
    int64_t from_ms;
    start_team();
    CHECK(done(grant(DORA, "t", CCZ_KMS_ROLES_ALL)));
    cczi_kms_looks_took(g_s->looks, 1000 * CCZI_KMS_LOOKS_BURST_MS);
    CHECK(propose(&p, DORA, "SetQuorum", cczi_msg_quorum, &many, 0) != CCZ_OK &&
          !strcmp(g_err.where, "kms:quorum-unreachable"));
    CHECK(done(propose(&p, DORA, "SetQuorum", cczi_msg_quorum, &one, 0)));
    CHECK(cczi_kms_looks_may(g_s->looks, "t", ccz_mono_ms(), &g_err) == CCZ_OK);
    const struct ccz_ratls_peer peer = fix_peer(FIX_ADMIN);
    const struct ccz_kms_request req = {.peer = &peer};
    struct cczi_kms_call c = {.store = g_s, .req = &req, .ns = "t", .approved = true};
    cczi_kms_looks_pay(g_s->looks, "t", ccz_mono_ms());
    CHECK(cczi_kms_looks_begin(&from_ms, &c, &g_err) == CCZ_OK);
    c.approved = false;
    CHECK(refused(cczi_kms_looks_begin(&from_ms, &c, &g_err), CCZ_E_LIMIT, "kms:look-rate"));
    c.approved = g_s->trial = true;
    CHECK(refused(cczi_kms_looks_begin(&from_ms, &c, &g_err), CCZ_E_LIMIT, "kms:look-rate"));
    g_s->trial = false;
    /* that it is done is paid for, by what it took and by what it will take the others */
    cczi_kms_looks_took(g_s->looks, 1000 * CCZI_KMS_LOOKS_BURST_MS);
    CHECK(done(set_quorum(FIX_ADMIN, "u", 0)));
    CHECK(refused(set_quorum(FIX_ADMIN, "u", 0), CCZ_E_LIMIT, "kms:look-rate"));
    CHECK(
        refused(set_role(FIX_ADMIN, EVE, "u", CCZ_KMS_ROLE_AUDITOR), CCZ_E_LIMIT, "kms:look-rate"));
    finish();
}

/* Many proposals, large ones: pages that fit, all of them, and a limit. */
static void test_many(void)
{
    struct proposed p;
    start_team();
    char name[32];
    CCZ_AUTO_BUF json;
    large_policy(&json, 200000);
    for (int i = 0; i < 256; i++) {
        (void)snprintf(name, sizeof(name), "t/%d", i);
        struct cczi_msg_put_policy_req m = {
            ccz_span_str(name), i < 5 ? ccz_buf_span(&json) : ccz_span_str(fix_policy), 0};
        CHECK(done(propose(&p, DORA, "PutPolicy", cczi_msg_put_policy_req, &m, 0)));
    }
    CHECK(refused(propose_policy(&p, DORA, "t/more"), CCZ_E_LIMIT, "kms:proposals-many"));
    /* which is that namespace's own limit: others go on */
    CHECK(done(grant(EVE, "u", CCZ_KMS_ROLE_AUTHOR)) &&
          done(grant(BOB, "u", CCZ_KMS_ROLE_APPROVER)) && done(set_quorum(FIX_ADMIN, "u", 1)));
    CHECK(done(propose_policy(&p, EVE, "u/p")) && done(approve(BOB, &p)) && executed());
    uint64_t after = 0, seen = 0;
    for (bool more = true; more;) {
        struct cczi_msg_proposals_req req = {.after_id = after};
        CHECK(done(call(ANNE, "ListProposals", cczi_msg_proposals_req, &req)));
        struct ccz_rd r = ccz_rd_from(ccz_buf_span(&g_out));
        struct ccz_pb_field f;
        more = false;
        while (ccz_pb_next(&f, &r)) {
            seen += f.number == CCZI_MSG_REPEATED;
            if (f.number != CCZI_MSG_MORE)
                continue;
            more = true;
            CHECK(f.num > after);
            after = f.num;
        }
    }
    CHECK(seen == 256);
    finish();
}

/* Who proposes and takes back all day long fills nothing, and displaces nothing of other namespaces. */
static void test_closed_many(void)
{
    struct proposed p, first;
    start_team();
    CHECK(done(grant(EVE, "u", CCZ_KMS_ROLE_AUTHOR)) &&
          done(grant(BOB, "u", CCZ_KMS_ROLE_APPROVER)) && done(set_quorum(FIX_ADMIN, "u", 1)));
    CHECK(done(propose_policy(&first, EVE, "u/p")) && done(reject(EVE, first.id)));
    CHECK(done(propose_policy(&p, DORA, "t/open")));
    for (int i = 0; i < 300; i++)
        CHECK(done(propose_policy(&p, DORA, "t/p")) && done(reject(DORA, p.id)));
    /* that of "u", the open one, those that are kept, and the one that came after the last look */
    CHECK(fix_check(g_s).proposals == 1 + 1 + 256 + 1);
    CHECK_DENIED(reject(EVE, first.id), "kms:proposal-closed");
    CHECK(refused(reject(DORA, first.id + 2), CCZ_E_NOT_FOUND, "kms:not-found")); /* the oldest */
    CHECK(done(reject(DORA, first.id + 1)));
    finish();
}

/* Who gives roles away in one namespace does not use up those of the others. */
static void test_roles_many(void)
{
    start_team();
    uint8_t id[32] = {1};
    struct cczi_msg_role m = {
        .ns = ccz_span_str("tt"), .principal = CCZ_SPAN(id, 32), .roles = CCZ_KMS_ROLE_AUDITOR};
    for (unsigned i = 1; i < 1000; i++) { /* and EVE herself */
        id[1] = (uint8_t)i;
        id[2] = (uint8_t)(i >> 8);
        if (i % 100 ==
            0) { /* what they are charged for depends on the machine, and is not what this is about */
            cczi_kms_looks_free(g_s->looks);
            CHECK(cczi_kms_looks_new(&g_s->looks) == CCZ_OK);
        }
        CHECK(done(call(EVE, "SetRole", cczi_msg_role, &m)));
    }
    id[3] = 1;
    CHECK(refused(call(EVE, "SetRole", cczi_msg_role, &m), CCZ_E_LIMIT, "kms:roles-many"));
    CHECK(done(grant(BOB, "uu", CCZ_KMS_ROLE_AUTHOR)) && done(set_quorum(EVE, "tt", 0)));
    id[3] = 0;
    m.roles = 0;
    CHECK(done(call(EVE, "SetRole", cczi_msg_role, &m)));
    m.roles = CCZ_KMS_ROLE_AUDITOR;
    CHECK(done(call(EVE, "SetRole", cczi_msg_role, &m)));
    finish();
}

static const struct ccz_test tests[] = {
    {"kms.role_text", test_role_text},
    {"kms.roles", test_roles},
    {"kms.namespaces", test_namespaces},
    {"kms.list_pages", test_list_pages},
    {"kms.list_looks", test_list_looks},
    {"kms.bind_namespace", test_bind_namespace},
    {"kms.guarded", test_guarded},
    {"kms.no_recovery_guarded", test_no_recovery},
    {"kms.own_people", test_own_people},
    {"kms.role_client_all", test_client_all},
    {"kms.approve", test_approve},
    {"kms.propose_refused", test_propose_refused},
    {"kms.proposal_expired", test_expired},
    {"kms.proposal_rejected", test_reject},
    {"kms.role_lost", test_role_lost},
    {"kms.one_person", test_one_person},
    {"kms.quorum", test_quorum},
    {"kms.quorum_all", test_quorum_all},
    {"kms.proposal_changed", test_proposal_changed},
    {"kms.approvals_recorded", test_recorded},
    {"kms.proposals_many", test_many},
    {"kms.proposals_large", test_large},
    {"kms.look_once", test_look_once},
    {"kms.proposals_closed_many", test_closed_many},
    {"kms.roles_many", test_roles_many},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
