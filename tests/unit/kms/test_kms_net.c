/* SPDX-License-Identifier: Apache-2.0 */
/* Client and service over RA-TLS on the loopback: the whole conversation, who gets in, and servers
 * that answer nonsense. */
#define _GNU_SOURCE
#include "ccz_test.h"
#include "kms/kms_dir.h"
#include "kms/kms_net.h"
#include "kms/kms_why_client.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

/* ------------------------------------------------------------------------------ tests */

static void count_item(void *arg, const struct ccz_kms_item *it)
{
    CHECK(it->created_s == FIX_NOW && strchr(it->item, '/') != NULL);
    ++*(size_t *)arg;
}

static void count_line(void *arg, const struct ccz_kms_audit_line *l)
{
    CHECK(ccz_kms_audit_check(l, NULL) == CCZ_OK);
    ++*(size_t *)arg;
}

static void administer(struct ccz_rpc_client *c)
{
    struct ccz_err err = {0};
    struct ccz_kms_receipt r;
    uint32_t version = 0;
    CHECK(ccz_kms_put_policy(&r, c, "p", ccz_span_str(fix_policy), false, &err) == CCZ_OK &&
          r.audit_seq == 2);
    CHECK(ccz_kms_put_policy(&r, c, "p", ccz_span_str(fix_policy), false, &err) == CCZ_E_EXISTS);
    CHECK(strcmp(err.where, "kms:policy-exists") == 0 && err.hint[0] &&
          strstr(err.hint, "--replace") != NULL);
    struct ccz_secret *value = fix_master(0x5a);
    struct ccz_kms_put put = {.name = "k", .alg = "aes-256", .policy = "p", .value = value};
    CHECK(ccz_kms_create_key(&version, &r, c, &put, &err) == CCZ_OK && version == 1 &&
          r.time_s == FIX_NOW);
    put = (struct ccz_kms_put){.name = "s", .value = value};
    CHECK(ccz_kms_put_secret(&version, NULL, c, &put, &err) == CCZ_OK && version == 1);
    put.new_version = true;
    CHECK(ccz_kms_put_secret(&version, NULL, c, &put, &err) == CCZ_OK && version == 2);
    CHECK(ccz_kms_bind(NULL, c, "secret/s", "p", &err) == CCZ_OK);
    ccz_secret_free(value);

    CCZ_AUTO_BUF json;
    ccz_buf_init(&json, CCZ_POLICY_SIZE_MAX);
    CHECK(ccz_kms_get_policy(&json, NULL, c, "p", &err) == CCZ_OK);
    CHECK(ccz_span_eq(ccz_buf_span(&json), ccz_span_str(fix_policy)));
    size_t n = 0;
    CHECK(ccz_kms_list(c, count_item, &n, &err) == CCZ_OK && n == 3);
    n = 0;
    CHECK(ccz_kms_describe(c, "secret/s", count_item, &n, &err) == CCZ_OK && n == 2);
    struct ccz_kms_status st;
    CHECK(ccz_kms_get_status(&st, c, &err) == CCZ_OK && st.keys == 1 && st.secrets == 1 &&
          st.simulated && !st.counted);
    CHECK(strcmp(st.tee, "toy") == 0 && st.unbound == 0);

    struct ccz_secret *out;
    CHECK(ccz_kms_release(&out, NULL, c, "key/k", 0, &err) == CCZ_E_DENIED && out == NULL);
    CHECK(strcmp(err.where, "kms:workload-required") == 0 && err.got[0] && err.expected[0]);
    CHECK(ccz_kms_delete(NULL, c, "secret/s", 1, &(struct ccz_kms_deletion){.no_recovery = true},
                         &err) == CCZ_OK);
}

static void audit_all(struct ccz_rpc_client *c, size_t lines)
{
    struct ccz_err err = {0};
    size_t n = 0;
    CHECK(ccz_kms_audit(c, 0, 0, 0, count_line, &n, &err) == CCZ_OK && n == lines);
    n = 0;
    CHECK(ccz_kms_audit(c, 3, 2, 0, count_line, &n, &err) == CCZ_OK && n == 2);
    n = 0;
    CHECK(ccz_kms_audit(c, 0, 0, 4, count_line, &n, &err) == CCZ_OK && n == 4);
    n = 0;
    CHECK(ccz_kms_audit(c, 0, 0, 100000, count_line, &n, &err) == CCZ_OK && n == lines);
}

/* A release with its receipt, and the key that an auditor has for it. */
static void signed_release(struct ccz_rpc_client *admin, struct ccz_rpc_client *workload)
{
    struct ccz_err err = {0};
    struct ccz_kms_checkpoint before, after;
    struct ccz_key *keys[CCZ_KMS_LOG_KEYS_MAX];
    size_t len;
    CHECK(ccz_kms_get_checkpoint(&before, keys, &len, admin, &err) == CCZ_OK && len == 1);
    CHECK(before.time_s == FIX_NOW);
    struct ccz_secret *out;
    struct ccz_kms_release info;
    struct ccz_kms_inclusion r;
    CHECK(ccz_kms_release_receipt(&out, &info, &r, workload, "key/k", 0, &err) == CCZ_OK);
    CHECK(ccz_secret_size(out) == 32 && r.seq == info.receipt.audit_seq);
    CHECK(r.checkpoint.size == before.size + 1);
    CHECK(ccz_kms_inclusion_verify(&r, (const struct ccz_key *const *)keys, len, &err) == CCZ_OK);
    ccz_secret_free(out);
    ccz_key_free(keys[0]);
    CHECK(ccz_kms_get_checkpoint(&after, keys, &len, admin, &err) == CCZ_OK && len == 1);
    CHECK(after.size == before.size + 1 && memcmp(after.root, r.checkpoint.root, 32) == 0);
    ccz_key_free(keys[0]);
    CHECK(ccz_kms_get_checkpoint(&after, keys, &len, workload, &err) == CCZ_E_DENIED);
    CHECK(strcmp(err.where, "kms:admin-required") == 0 && len == 0 && after.size == 0);
}

/* A KMS with what administer makes, its administrator and a workload. */
static void serve_both(struct server *s, struct client *admin, struct client *workload)
{
    struct ccz_err err = {0};
    serve_kms(s);
    CHECK(connect_as(admin, s, s->admin, &err) == CCZ_OK);
    administer(admin->rpc);
    CHECK(connect_as(workload, s, NULL, &err) == CCZ_OK);
}

static void test_net(void)
{
    struct server s;
    struct client admin, workload;
    struct ccz_err err = {0};
    serve_both(&s, &admin, &workload);
    struct ccz_secret *out;
    struct ccz_kms_release info;
    CHECK(ccz_kms_release(&out, &info, workload.rpc, "key/k", 0, &err) == CCZ_OK);
    CHECK(ccz_secret_size(out) == 32 && ccz_secret_view(out)[31] == 0x5a);
    CHECK(strcmp(info.alg, "aes-256") == 0 && strcmp(info.policy, "p") == 0 &&
          strcmp(info.rule, "server") == 0);
    CHECK(info.version == 1 && info.receipt.audit_seq > 0);
    ccz_secret_free(out);
    signed_release(admin.rpc, workload.rpc);
    CHECK(ccz_kms_list(workload.rpc, count_item, &(size_t){0}, &err) == CCZ_E_DENIED);
    CHECK(strcmp(err.where, "kms:admin-required") == 0);
    CHECK(ccz_kms_put_policy(NULL, admin.rpc, "p", ccz_span_str(fix_policy_other), true, &err) ==
          CCZ_OK);
    /* gRPC has one status for "not allowed"; the refusal itself arrives whole */
    CHECK(ccz_kms_release(&out, &info, workload.rpc, "key/k", 0, &err) == CCZ_E_DENIED &&
          out == NULL);
    CHECK(strcmp(err.where, "policy:mrenclave") == 0);
    CHECK(strncmp(err.got, "aaaa", 4) == 0 && strncmp(err.expected, "see decision D", 14) == 0);
    CHECK(strncmp(err.hint, "an auditor of the KMS sees why: cczoo kms why D", 47) == 0);
    CHECK(info.version == 0);
    char id[CCZ_KMS_DECISION_SIZE];
    (void)snprintf(id, sizeof(id), "%s", err.expected + 13);
    why_refused(admin.rpc, workload.rpc, id);
    try_policies(admin.rpc, workload.rpc);
    for (int i = 0; i < 120; i++) /* more than one page of audit lines */
        CHECK(ccz_kms_release(&out, NULL, workload.rpc, "key/k", 0, &err) == CCZ_E_DENIED);
    struct ccz_kms_status st;
    CHECK(ccz_kms_get_status(&st, admin.rpc, &err) == CCZ_OK);
    audit_all(admin.rpc, (size_t)st.audit_seq);
    leave(&workload);
    leave(&admin);
    stop(&s);
}

/* Calls that wait together: each gets its own answer. */
struct many {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t left, released, refused;
    uint64_t seq_sum;
};
static void on_many(void *arg, struct ccz_span response, const struct ccz_rpc_result *res,
                    const struct ccz_err *err)
{
    (void)res;
    struct many *m = arg;
    struct cczi_msg_release_resp resp = {0};
    struct cczi_msg_receipt r = {0};
    CHECK(pthread_mutex_lock(&m->lock) == 0);
    if (!err) {
        CHECK(cczi_msg_get(&resp, cczi_msg_release_resp, response, NULL) == CCZ_OK);
        CHECK(cczi_msg_get(&r, cczi_msg_receipt, resp.receipt, NULL) == CCZ_OK);
        m->released++;
        m->seq_sum += r.seq;
    } else {
        CHECK(strcmp(err->where, "kms:not-found") == 0);
        m->refused++;
    }
    m->left--;
    CHECK(pthread_cond_signal(&m->changed) == 0 && pthread_mutex_unlock(&m->lock) == 0);
}

static void test_net_many(void)
{
    enum { CALLS = 300 };
    struct server s;
    struct client admin, workload;
    struct ccz_err err = {0};
    serve_both(&s, &admin, &workload);
    struct ccz_kms_status before, after;
    CHECK(ccz_kms_get_status(&before, admin.rpc, &err) == CCZ_OK);
    struct many m = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    for (size_t left = CALLS; left;) {
        size_t now = left < 100 ? left : 100; /* streams of a connection are limited */
        m.left = now;
        left -= now;
        for (size_t i = 0; i < now; i++) {
            CCZ_AUTO_BUF body;
            ccz_buf_init(&body, 256);
            struct cczi_msg_release_req req = {ccz_span_str(i % 3 == 2 ? "key/absent" : "key/k"),
                                               0};
            cczi_msg_put(&body, cczi_msg_release_req, &req);
            CHECK(ccz_rpc_unary_async(workload.rpc, CCZI_KMS_SERVICE "Release", ccz_buf_span(&body),
                                      NULL, on_many, &m) == CCZ_OK);
        }
        CHECK(pthread_mutex_lock(&m.lock) == 0);
        while (m.left)
            CHECK(pthread_cond_wait(&m.changed, &m.lock) == 0);
        CHECK(pthread_mutex_unlock(&m.lock) == 0);
    }
    CHECK(m.released == 201 && m.refused == 99);
    CHECK(ccz_kms_get_status(&after, admin.rpc, &err) == CCZ_OK);
    CHECK(after.audit_seq == before.audit_seq + CALLS); /* each left one line */
    CHECK(m.seq_sum > 201 * before.audit_seq && m.seq_sum < 201 * after.audit_seq);
    CHECK(ccz_kms_store_check(NULL, s.store, NULL) == CCZ_OK);
    leave(&workload);
    leave(&admin);
    stop(&s);
}

/* A door without a network: the same queue, and a place in it or none. */
struct door {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool open; /* the worker may go on */
    size_t answered, released, refused;
};
static void on_answer(void *arg, struct ccz_span response, const struct ccz_err *err)
{
    struct door *d = arg;
    CHECK(pthread_mutex_lock(&d->lock) == 0);
    while (!d->open)
        CHECK(pthread_cond_wait(&d->changed, &d->lock) == 0);
    d->answered++;
    d->released += !err && response.size != 0;
    d->refused += err && strcmp(err->where, "kms:workload-required") == 0 && response.size > 1 &&
                  response.ptr[0] == 'D';
    CHECK(pthread_mutex_unlock(&d->lock) == 0);
}

static void test_door(void)
{
    struct ccz_kms_store *store = fix_memory_store();
    fix_populate(store);
    struct ccz_kms_service *service;
    struct ccz_err err = {0};
    const struct ccz_kms_service_cfg cfg = {
        .store = store, .clock = {fixed_now, NULL}, .info = {"test", "toy", true, FIX_NOW, 0}};
    CHECK(ccz_kms_service_new(&service, &cfg, &err) == CCZ_OK);
    struct door d = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    struct ccz_buf body;
    ccz_buf_init(&body, 256);
    struct cczi_msg_release_req m = {ccz_span_str("key/model"), 0};
    cczi_msg_put(&body, cczi_msg_release_req, &m);
    size_t queued = 0;
    ccz_rc rc = CCZ_OK;
    while (rc == CCZ_OK) { /* the worker stands in the first answer: the queue is full at last */
        struct ccz_ratls_peer peer = fix_peer(queued % 2 ? FIX_ADMIN : FIX_WORKLOAD);
        char path[] = CCZI_KMS_SERVICE "Release", address[] = "192.0.2.7:1";
        const struct ccz_kms_request req = {
            .path = path, .body = ccz_buf_span(&body), .peer = &peer, .address = address};
        rc = ccz_kms_service_call(service, &req, on_answer, &d, &err);
        memset(path, 'x', sizeof(path) - 1); /* what it was given is the caller's again */
        memset(address, 'x', sizeof(address) - 1);
        queued += rc == CCZ_OK;
        CHECK(queued < 5000);
    }
    CHECK(rc == CCZ_E_LIMIT && strcmp(err.where, "kms:busy") == 0 && err.hint[0] && queued >= 1024);
    memset(body.ptr, 0, body.size);
    CHECK(pthread_mutex_lock(&d.lock) == 0);
    d.open = true;
    CHECK(pthread_cond_broadcast(&d.changed) == 0 && pthread_mutex_unlock(&d.lock) == 0);
    ccz_kms_service_free(service); /* answers what is queued */
    CHECK(d.answered == queued && d.released == (queued + 1) / 2 && d.refused == queued / 2);
    CHECK(ccz_kms_store_check(NULL, store, NULL) == CCZ_OK);
    ccz_buf_free(&body);
    ccz_kms_store_free(store);
}

/* Without evidence and without a known key nobody gets through the handshake. */
static void test_net_pin(void)
{
    struct server s;
    struct client c;
    struct ccz_err err = {0};
    serve_kms(&s);
    struct ccz_key *stranger;
    CHECK(ccz_key_generate(&stranger, CCZ_P256) == CCZ_OK);
    CHECK(connect_as(&c, &s, stranger, &err) != CCZ_OK);
    CHECK(strstr(err.where, "kms:admin-unknown") != NULL);
    leave(&c);
    ccz_key_free(stranger);
    stop(&s);
}

static void *knock(void *arg)
{
    struct ccz_err err = {0};
    for (int i = 0; i < 2000; i++)
        CHECK(ccz_kms_service_pin(arg, ccz_span_str("somebody"), &err) == CCZ_E_DENIED);
    return NULL;
}

struct gift {
    struct ccz_kms_store *store;
    struct ccz_kms_grant grant;
    atomic_bool given;
};

/* On the worker, who owns the store. */
static void give(void *arg, struct ccz_span response, const struct ccz_err *why)
{
    struct gift *g = arg;
    struct ccz_err err = {0};
    const uint64_t changed = g->store->roles_changed;
    CHECK(!why && !response.size);
    CHECK(ccz_kms_store_grant(g->store, &g->grant, FIX_NOW, &err) == CCZ_OK);
    g->store->roles_changed = changed;
    atomic_store(&g->given, true);
}

/* A role that the service was not told of, as another server gives it: looked for when its key comes. Strangers in numbers get their
 * refusals, and keep nobody out. */
static void test_net_new_pin(void)
{
    struct server s;
    struct client c, admin;
    struct ccz_err err = {0};
    struct ccz_kms_status st;
    struct ccz_key *key;
    pthread_t t[3];
    serve_kms(&s);
    CHECK(ccz_key_generate(&key, CCZ_P256) == CCZ_OK);
    CHECK(connect_as(&admin, &s, s.admin, &err) == CCZ_OK);
    struct gift g = {s.store, {.ns = "*", .roles = CCZ_KMS_ROLE_AUDITOR, .label = "Anne"}, false};
    spki_digest(g.grant.principal, key);
    CHECK(ccz_kms_service_probe(s.service, NULL, give, &g, &err) == CCZ_OK);
    while (!atomic_load(&g.given))
        (void)usleep(1000);
    for (int i = 0; i < 3; i++)
        CHECK(pthread_create(&t[i], NULL, knock, s.service) == 0);
    ccz_rc rc = CCZ_E_DENIED;
    for (int i = 0; rc != CCZ_OK && i < 200; i++) {
        rc = connect_as(&c, &s, key, &err);
        if (rc != CCZ_OK) {
            leave(&c);
            (void)usleep(50000);
        }
    }
    CHECK(rc == CCZ_OK && ccz_kms_get_status(&st, c.rpc, &err) == CCZ_OK);
    for (int i = 0; i < 3; i++)
        CHECK(pthread_join(t[i], NULL) == 0);
    leave(&c);
    leave(&admin);
    ccz_key_free(key);
    stop(&s);
}

/* ------------------------------------------------------------------------- which KMS */

/* @param[out] again  of another session with the same store */
static void release_of(struct ccz_kms_release *info, struct ccz_kms_release *again,
                       uint8_t master_fill)
{
    struct server s;
    struct client admin, workload;
    struct ccz_err err = {0};
    struct ccz_kms_status st;
    struct ccz_secret *out;
    const struct ccz_kms_put put = {.name = "k", .alg = "aes-256", .policy = "p"};
    serve_kms_of(&s, master_fill);
    CHECK(connect_as(&admin, &s, s.admin, &err) == CCZ_OK);
    CHECK(ccz_kms_put_policy(NULL, admin.rpc, "p", ccz_span_str(fix_policy), false, &err) ==
          CCZ_OK);
    CHECK(ccz_kms_create_key(NULL, NULL, admin.rpc, &put, &err) == CCZ_OK);
    CHECK(connect_as(&workload, &s, NULL, &err) == CCZ_OK);
    CHECK(ccz_kms_release(&out, info, workload.rpc, "key/k", 0, &err) == CCZ_OK);
    ccz_secret_free(out);
    leave(&workload);
    CHECK(connect_as(&workload, &s, NULL, &err) == CCZ_OK);
    CHECK(ccz_kms_release(&out, again, workload.rpc, "key/k", 0, &err) == CCZ_OK);
    ccz_secret_free(out);
    CHECK(ccz_kms_get_status(&st, admin.rpc, &err) == CCZ_OK &&
          memcmp(st.instance, info->instance, sizeof(st.instance)) == 0);
    leave(&workload);
    leave(&admin);
    stop(&s);
}

/* The first release decides, or an id that is known ahead; a server of the same store is the same KMS. */
static void test_net_instance(void)
{
    struct ccz_kms_release owner, again, host, ignored;
    struct ccz_kms_instance pin = {0}, ahead;
    struct ccz_err err = {0};
    char hex[2][2 * CCZ_KMS_INSTANCE_SIZE + 1];
    release_of(&owner, &again, 1);
    release_of(&host, &ignored, 1); /* and be it under the same master key */
    ccz_hex(hex[0], owner.instance, sizeof(owner.instance));
    ccz_hex(hex[1], host.instance, sizeof(host.instance));
    CHECK(ccz_kms_instance_check(&pin, &owner, &err) == CCZ_OK && pin.known);
    CHECK(ccz_kms_instance_check(&pin, &again, &err) == CCZ_OK);
    for (int i = 0; i < 2; i++) { /* a refusal does not pin another one */
        err = (struct ccz_err){0};
        CHECK(ccz_kms_instance_check(&pin, &host, &err) == CCZ_E_UNTRUSTED);
        CHECK(strcmp(err.where, "kms:instance") == 0 && strcmp(err.got, hex[1]) == 0 &&
              strcmp(err.expected, hex[0]) == 0 && strstr(err.hint, "--kms") != NULL);
    }
    CHECK(ccz_kms_instance_parse(&ahead, hex[1], &err) == CCZ_OK && ahead.known);
    CHECK(ccz_kms_instance_check(&ahead, &owner, &err) == CCZ_E_UNTRUSTED);
    CHECK(ccz_kms_instance_check(&ahead, &host, &err) == CCZ_OK);
    const char *const bad[] = {"", "12", hex[0] + 1, "0123456789abcdef0123456789abcdefab",
                               "0123456789abcdef0123456789abcdeg"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK(ccz_kms_instance_parse(&ahead, bad[i], &err) == CCZ_E_ARG && !ahead.known &&
              strcmp(err.where, "kms:instance-id") == 0);
}

/* ------------------------------------------------------------------ roles, approvals */

struct listed {
    int roles, quorums, proposals;
    struct ccz_kms_proposal last; /* without what it borrows */
    char text[512];
};

static void see_role(void *arg, const struct ccz_kms_grant *g)
{
    struct listed *l = arg;
    CHECK(g->ns[0] && g->roles);
    l->roles++;
}

static void see_quorum(void *arg, const char *ns, uint32_t needed)
{
    struct listed *l = arg;
    CHECK(strcmp(ns, "*") == 0 && needed == 1);
    l->quorums++;
}

static void see_proposal(void *arg, const struct ccz_kms_proposal *p)
{
    struct listed *l = arg;
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, 4096);
    ccz_kms_proposal_print(&text, p);
    (void)snprintf(l->text, sizeof(l->text), "%s", ccz_buf_str(&text));
    l->last = *p;
    l->proposals++;
}

/* A key that was given a role gets in at once, one that lost all of them gets in no more; then a proposal, over the network. */
static void test_net_roles(void)
{
    struct server s;
    struct client admin, anne;
    struct ccz_err err = {0};
    struct ccz_key *key;
    struct ccz_kms_grant g = {.roles = CCZ_KMS_ROLE_APPROVER, .label = "Anne"};
    struct ccz_kms_proposed p;
    struct ccz_kms_approved a;
    struct listed l = {0};
    serve_kms(&s);
    CHECK(ccz_key_generate(&key, CCZ_P256) == CCZ_OK);
    spki_digest(g.principal, key);
    CHECK(connect_as(&admin, &s, s.admin, &err) == CCZ_OK);
    CHECK(connect_as(&anne, &s, key, &err) != CCZ_OK);
    leave(&anne);
    CHECK(ccz_kms_set_role(NULL, admin.rpc, &g, &err) == CCZ_OK);
    CHECK(ccz_kms_get_status(&(struct ccz_kms_status){0}, admin.rpc, &err) ==
          CCZ_OK); /* one batch later */
    CHECK(connect_as(&anne, &s, key, &err) == CCZ_OK);
    CHECK(ccz_kms_set_quorum(NULL, admin.rpc, NULL, 1, &err) == CCZ_OK);
    CHECK(ccz_kms_list_roles(anne.rpc, see_role, see_quorum, &l, &err) == CCZ_OK);
    CHECK(l.roles == 2 && l.quorums == 1);
    CHECK(ccz_kms_put_policy(NULL, admin.rpc, "p", ccz_span_str(fix_policy), false, &err) ==
              CCZ_E_DENIED &&
          strcmp(err.where, "kms:approval-needed") == 0 && strstr(err.hint, "propose"));
    CHECK(ccz_kms_propose_policy(&p, admin.rpc, "p", ccz_span_str(fix_policy), false, 0, &err) ==
          CCZ_OK);
    CHECK(p.id == 1 && p.needed == 1 && p.expires_s == FIX_NOW + 7 * 86400 && p.receipt.audit_seq);
    CHECK(ccz_kms_list_proposals(anne.rpc, 0, 0, see_proposal, &l, &err) == CCZ_OK);
    CHECK(l.proposals == 1 && l.last.id == 1 && l.last.approvers_len == 0 &&
          l.last.state == CCZ_KMS_PROPOSAL_OPEN && memcmp(l.last.sha256, p.sha256, 32) == 0);
    CHECK(strncmp(l.text, "PutPolicy policy=p\n{\"version\":1", 31) == 0);
    CHECK(ccz_kms_approve(&a, admin.rpc, 1, p.sha256, &err) == CCZ_E_DENIED);
    CHECK(ccz_kms_approve(&a, anne.rpc, 1, p.sha256, &err) == CCZ_OK);
    CHECK(a.done && a.approvals == 1 && a.needed == 1 && a.executed_seq + 1 == a.receipt.audit_seq);
    g.label = NULL;
    CHECK(ccz_kms_propose_role(&p, admin.rpc, &g, 3600, &err) == CCZ_OK && p.id == 2);
    CHECK(ccz_kms_propose_delete(&p, admin.rpc, "policy/p", 0, NULL, 0, &err) == CCZ_OK &&
          p.id == 3);
    CHECK(ccz_kms_propose_quorum(&p, admin.rpc, "team", 0, 0, &err) == CCZ_OK && p.id == 4);
    CHECK(ccz_kms_list_proposals(anne.rpc, 3, 0, see_proposal, &l, &err) == CCZ_OK);
    CHECK(l.proposals == 2 && strcmp(l.text, "SetQuorum namespace=team needed=0") == 0);
    CHECK(ccz_kms_reject(NULL, anne.rpc, 2, &err) == CCZ_OK);
    CHECK(ccz_kms_approve(&a, anne.rpc, 3, p.sha256, &err) != CCZ_OK); /* of another one */
    leave(&anne);
    leave(&admin);
    ccz_key_free(key);
    stop(&s);
}

/* ------------------------------------------------------------------- hostile server */

static struct ccz_buf g_answer;
static void answer_nonsense(struct ccz_rpc_call *call, void *arg, struct ccz_span request)
{
    (void)arg;
    (void)request;
    ccz_rpc_reply(call, ccz_buf_span(&g_answer));
}

static ccz_rc accept_any(void *arg, struct ccz_span spki, struct ccz_err *err)
{
    (void)arg;
    (void)spki;
    (void)err;
    return CCZ_OK;
}

static ccz_rc ask_all(struct ccz_rpc_client *c, int which, struct ccz_err *err)
{
    struct ccz_secret *out = NULL;
    struct ccz_kms_release info;
    struct ccz_kms_status st;
    struct ccz_kms_put put = {.name = "n", .alg = "aes-128"};
    CCZ_AUTO_BUF json;
    ccz_buf_init(&json, CCZ_POLICY_SIZE_MAX);
    size_t n = 0;
    ccz_rc rc;
    switch (which) {
    case 0:
        rc = ccz_kms_release(&out, &info, c, "key/k", 0, err);
        CHECK((rc == CCZ_OK) == (out != NULL));
        ccz_secret_free(out);
        return rc;
    case 1:
        return ccz_kms_create_key(NULL, NULL, c, &put, err);
    case 2:
        return ccz_kms_bind(NULL, c, "key/k", "p", err);
    case 3:
        return ccz_kms_get_policy(&json, NULL, c, "p", err);
    case 4:
        return ccz_kms_get_status(&st, c, err);
    case 5:
        return ccz_kms_audit(c, 0, 0, 0, count_line, &n, err);
    default:
        return ccz_kms_list(c, count_item, &n, err);
    }
}

static void answer_of(struct ccz_kms_store *s, int which)
{
    static const struct {
        const char *method;
        enum fix_who who;
    } calls[] = {{"Release", FIX_WORKLOAD}, {"CreateKey", FIX_ADMIN}, {"Bind", FIX_ADMIN},
                 {"GetPolicy", FIX_ADMIN},  {"Status", FIX_ADMIN},    {"AuditTail", FIX_ADMIN},
                 {"List", FIX_ADMIN}};
    struct cczi_msg_release_req release = {ccz_span_str("key/model"), 0};
    struct cczi_msg_put_req key = {.name = ccz_span_str("new"), .alg = ccz_span_str("aes-256")};
    struct cczi_msg_bind_req bind = {.item = ccz_span_str("secret/loose"),
                                     .policy = ccz_span_str("server")};
    struct cczi_msg_name policy = {ccz_span_str("server")};
    const struct cczi_msg_field *fields[] = {
        cczi_msg_release_req, cczi_msg_put_req, cczi_msg_bind_req, cczi_msg_name,
        cczi_msg_none,        cczi_msg_none,    cczi_msg_none};
    const void *msgs[] = {&release, &key, &bind, &policy, NULL, NULL, NULL};
    CHECK(fix_msg(&g_answer, s, calls[which].who, calls[which].method, fields[which], msgs[which],
                  NULL) == CCZ_OK);
}

/* Adds an audit line that is right in itself; prev receives its hash. */
static void put_line(uint64_t seq, uint8_t prev[32])
{
    uint8_t numbers[16] = {0}, hash[32];
    numbers[0] = (uint8_t)seq;
    numbers[8] = 1;
    const struct ccz_span parts[] = {CCZ_SPAN(prev, 32), CCZ_SPAN(numbers, 16), ccz_span_str("{}")};
    CHECK(ccz_hash(hash, CCZ_SHA256, parts, 3) == CCZ_OK);
    struct cczi_msg_audit_line m = {seq, 1, ccz_span_str("{}"), CCZ_SPAN(prev, 32),
                                    CCZ_SPAN(hash, 32)};
    size_t mark = ccz_pb_open(&g_answer, CCZI_MSG_REPEATED);
    cczi_msg_put(&g_answer, cczi_msg_audit_line, &m);
    ccz_pb_close(&g_answer, mark);
    memcpy(prev, hash, 32);
}

/* Receipts and checkpoints of a server that does not mean well. */
static void hostile_receipts(struct ccz_rpc_client *c, struct ccz_kms_store *store)
{
    struct ccz_err err = {0};
    struct ccz_secret *out;
    struct ccz_kms_release info;
    struct ccz_kms_inclusion r;
    struct ccz_kms_checkpoint cp;
    struct ccz_key *keys[CCZ_KMS_LOG_KEYS_MAX];
    size_t len;
    answer_of(store, 0);
    CHECK(ccz_kms_release_receipt(&out, &info, &r, c, "key/k", 0, &err) == CCZ_OK && r.seq);
    ccz_secret_free(out);
    CHECK(ccz_kms_get_checkpoint(&cp, keys, &len, c, &err) != CCZ_OK &&
          len == 0); /* another message */
    /* a receipt for another line: no value is handed out */
    char *at = memmem(g_answer.ptr, g_answer.size, "{\"seq\":", 7);
    CHECK(at != NULL);
    at[7]++;
    CHECK(ccz_kms_release_receipt(&out, &info, &r, c, "key/k", 0, &err) == CCZ_E_PEER && !out);
    CHECK(strcmp(err.where, "kms:receipt") == 0 && err.got[0] && r.seq == 0);
    at[7]--;
    at = memmem(g_answer.ptr, g_answer.size, "\"leaf\":\"", 8); /* one that leads elsewhere */
    CHECK(at != NULL);
    at[8] = at[8] == '0' ? '1' : '0';
    CHECK(ccz_kms_release_receipt(&out, &info, &r, c, "key/k", 0, &err) == CCZ_E_SIG && !out);
    CHECK(strcmp(err.where, "kms:inclusion") == 0);
    CHECK(ccz_kms_release(&out, &info, c, "key/k", 0, &err) ==
          CCZ_OK); /* who does not ask does not look */
    ccz_secret_free(out);
    /* none at all: a server of an older version */
    struct cczi_msg_release_resp m = {0};
    CCZ_AUTO_BUF plain;
    ccz_buf_init(&plain, CCZ_KMS_MESSAGE_SIZE_MAX);
    CHECK(cczi_msg_get(&m, cczi_msg_release_resp, ccz_buf_span(&g_answer), NULL) == CCZ_OK);
    m.inclusion = (struct ccz_span){0};
    cczi_msg_put(&plain, cczi_msg_release_resp, &m);
    ccz_buf_clear(&g_answer);
    ccz_buf_put_span(&g_answer, ccz_buf_span(&plain));
    CHECK(ccz_kms_release_receipt(&out, &info, &r, c, "key/k", 0, &err) == CCZ_E_PEER && !out);
    CHECK(strcmp(err.where, "kms:receipt") == 0);
}

/* A checkpoint, cut at each byte; without its key. */
static void hostile_checkpoints(struct ccz_rpc_client *c, struct ccz_kms_store *store)
{
    struct ccz_err err = {0};
    struct ccz_kms_checkpoint cp;
    struct ccz_key *keys[CCZ_KMS_LOG_KEYS_MAX];
    size_t len;
    CHECK(fix_call(&g_answer, store, FIX_ADMIN, "Checkpoint", (struct ccz_span){0}, NULL) ==
          CCZ_OK);
    CHECK(ccz_kms_get_checkpoint(&cp, keys, &len, c, &err) == CCZ_OK && len == 1);
    ccz_key_free(keys[0]);
    size_t whole = g_answer.size;
    for (size_t cut = 0; cut < whole; cut++) {
        g_answer.size = cut;
        CHECK(ccz_kms_get_checkpoint(&cp, keys, &len, c, &err) != CCZ_OK && len == 0);
    }
    g_answer.size = whole;
    struct ccz_rd rd = ccz_rd_from(ccz_buf_span(&g_answer));
    struct ccz_pb_field f;
    CHECK(ccz_pb_next(&f, &rd) && f.number == CCZI_MSG_REPEATED);
    ccz_buf_consume(&g_answer, whole - rd.left);
    CHECK(ccz_kms_get_checkpoint(&cp, keys, &len, c, &err) == CCZ_E_PEER && len == 0);
    CCZ_AUTO(ccz_key) other = NULL; /* and with another key than the one that signed */
    CCZ_AUTO_BUF spki;
    ccz_buf_init(&spki, 256);
    CHECK(ccz_key_generate(&other, CCZ_P256) == CCZ_OK && ccz_key_spki(&spki, other) == CCZ_OK);
    ccz_pb_put_bytes(&g_answer, CCZI_MSG_REPEATED, ccz_buf_span(&spki));
    CHECK(ccz_kms_get_checkpoint(&cp, keys, &len, c, &err) == CCZ_E_SIG && len == 0);
    CHECK(strcmp(err.where, "kms:checkpoint-key") == 0 && cp.size == 0);
}

/* Lines that are each right, but do not follow each other. */
static void audit_gaps(struct ccz_rpc_client *c)
{
    static const struct {
        uint64_t second; /* number of the second line */
        bool forget;     /* it does not follow the first */
        ccz_rc rc;
    } cases[] = {{2, false, CCZ_OK}, {3, false, CCZ_E_SIG}, {2, true, CCZ_E_SIG}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ccz_err err = {0};
        uint8_t prev[32] = {0};
        ccz_buf_clear(&g_answer);
        put_line(1, prev);
        if (cases[i].forget)
            memset(prev, 0, sizeof(prev));
        put_line(cases[i].second, prev);
        CHECK(ask_all(c, 5, &err) == cases[i].rc);
        CHECK(err.rc == CCZ_OK || strcmp(err.where, "kms:audit-chain") == 0);
    }
}

/* A whole release of a server that does not say which KMS it is, or not in 16 bytes. */
static void without_instance(struct ccz_rpc_client *c, struct ccz_kms_store *store)
{
    for (size_t size = 0; size < CCZ_KMS_INSTANCE_SIZE; size++) {
        CCZ_AUTO_BUF whole;
        struct ccz_err err = {0};
        struct cczi_msg_release_resp m = {0};
        ccz_buf_init(&whole, CCZ_KMS_MESSAGE_SIZE_MAX);
        answer_of(store, 0);
        ccz_buf_put_span(&whole, ccz_buf_span(&g_answer));
        CHECK(cczi_msg_get(&m, cczi_msg_release_resp, ccz_buf_span(&whole), NULL) == CCZ_OK);
        m.instance.size = size;
        ccz_buf_clear(&g_answer);
        cczi_msg_put(&g_answer, cczi_msg_release_resp, &m);
        CHECK(ask_all(c, 0, &err) == CCZ_E_UNTRUSTED && strcmp(err.where, "kms:instance") == 0);
    }
}

/* A proposal shows what its digest says, and pages go on. */
static void hostile_proposals(struct ccz_rpc_client *c)
{
    struct ccz_err err = {0};
    struct listed l = {0};
    uint8_t id[32] = {1}, sha256[32];
    struct ccz_span body = ccz_span_str("\x0a\x01p");
    CHECK(cczi_kms_proposal_digest(sha256, "PutPolicy", body, NULL) == CCZ_OK);
    struct cczi_msg_proposal m = {.id = 1,
                                  .method = ccz_span_str("PutPolicy"),
                                  .body = body,
                                  .proposer = CCZ_SPAN(id, 32),
                                  .state = 1,
                                  .sha256 = CCZ_SPAN(sha256, 32)};
    for (int k = 0; k < 6; k++) {
        struct cczi_msg_proposal bad = m;
        if (k == 1)
            bad.body = ccz_span_str("\x0a\x01q"); /* another request under the digest of this one */
        if (k == 2)
            bad.method = ccz_span_str("Bind");
        if (k == 3)
            bad.state = 5;
        if (k == 4)
            bad.proposer.size = 31;
        ccz_buf_clear(&g_answer);
        size_t mark = ccz_pb_open(&g_answer, CCZI_MSG_REPEATED);
        cczi_msg_put(&g_answer, cczi_msg_proposal, &bad);
        if (k == 5)
            ccz_pb_put_bytes(&g_answer, CCZI_MSG_APPROVERS, CCZ_SPAN(id, 31));
        ccz_pb_close(&g_answer, mark);
        CHECK(ccz_kms_list_proposals(c, 0, 0, see_proposal, &l, &err) == (k ? CCZ_E_PEER : CCZ_OK));
    }
    CHECK(l.proposals == 1);
    ccz_buf_clear(&g_answer); /* "go on from before": for ever */
    ccz_pb_put_uint(&g_answer, CCZI_MSG_MORE, 3);
    CHECK(ccz_kms_list_proposals(c, 5, 0, see_proposal, &l, &err) == CCZ_E_PEER);
    CHECK(ccz_kms_propose_quorum(NULL, c, "t", 1, 0, &err) == CCZ_E_PEER);
    CHECK(ccz_kms_approve(NULL, c, 1, sha256, &err) == CCZ_E_PEER); /* no receipt: not done */
    CHECK(ccz_kms_reject(NULL, c, 1, &err) == CCZ_E_PEER);
    struct ccz_kms_proposal odd = {.method = "Other", .body = ccz_span_str("\x1b[")};
    ccz_buf_clear(&g_answer);
    ccz_kms_proposal_print(&g_answer, &odd);
    CHECK(strcmp(ccz_buf_str(&g_answer), "Other request=1b5b") == 0);
}

/* Each kind of answer, true, and cut at each byte: what is missing is noticed, never taken as done.
 */
static void test_net_hostile_server(void)
{
    struct server s = {0};
    struct client c;
    struct ccz_err err = {0};
    struct ccz_kms_store *store = fix_memory_store();
    fix_populate(store);
    ccz_buf_init(&g_answer, CCZ_KMS_MESSAGE_SIZE_MAX);
    listen_with(&s, accept_any, NULL);
    ccz_rpc_server_set_fallback(s.rpc, answer_nonsense, NULL);
    start(&s);
    CHECK(connect_as(&c, &s, NULL, &err) == CCZ_OK);
    why_hostile(c.rpc, store, &g_answer);
    for (int which = 0; which < 7; which++) {
        answer_of(store, which);
        CHECK(ask_all(c.rpc, which, &err) == CCZ_OK);
        size_t whole = g_answer.size;
        for (size_t cut = 0; cut < whole; cut++) {
            g_answer.size = cut;
            ccz_rc rc = ask_all(c.rpc, which, &err);
            /* a list may end after any of its items: only the chain of audit lines can tell, and it
             * has no end here */
            CHECK(rc == CCZ_E_PEER || (rc == CCZ_OK && which >= 5));
            CHECK(rc == CCZ_OK || strcmp(err.where, "kms:response") == 0);
        }
        g_answer.size = whole;
    }
    without_instance(c.rpc, store);
    answer_of(store, 5); /* an audit line that was changed on the way */
    uint8_t *at = memmem(g_answer.ptr, g_answer.size, "accept", 6);
    CHECK(at != NULL);
    memcpy(at, "reject", 6);
    CHECK(ask_all(c.rpc, 5, &err) == CCZ_E_SIG && strcmp(err.where, "kms:audit-chain") == 0);
    hostile_proposals(c.rpc);
    audit_gaps(c.rpc);
    hostile_receipts(c.rpc, store);
    hostile_checkpoints(c.rpc, store);
    ccz_buf_clear(&g_answer); /* a receipt that names no audit line */
    static const uint8_t digest[32];
    struct cczi_msg_receipt receipt = {.sha256 = CCZ_SPAN(digest, 32), .time_s = FIX_NOW};
    size_t mark = ccz_pb_open(&g_answer, CCZI_MSG_RECEIPT);
    cczi_msg_put(&g_answer, cczi_msg_receipt, &receipt);
    ccz_pb_close(&g_answer, mark);
    CHECK(ask_all(c.rpc, 2, &err) == CCZ_E_PEER && strcmp(err.where, "kms:response") == 0);
    ccz_buf_clear(&g_answer); /* "more", for ever */
    ccz_pb_put_uint(&g_answer, CCZI_MSG_MORE, 1);
    CHECK(ask_all(c.rpc, 5, &err) == CCZ_E_PEER && ask_all(c.rpc, 6, &err) == CCZ_E_PEER);
    leave(&c);
    ccz_rpc_server_stop(s.rpc, 2000);
    ccz_rpc_server_free(s.rpc);
    ccz_ratls_ctx_free(s.ratls);
    ccz_buf_free(&g_answer);
    ccz_kms_store_free(store);
}

/* ---------------------------------------------------------------------------- sealed */

static void count_done(void *arg)
{
    ++*(int *)arg;
}

/* Answers Unseal with what a KMS would never say. */
static void nonsense(struct ccz_rpc_call *call, void *arg, struct ccz_span request)
{
    (void)request;
    ccz_rpc_reply(call, ccz_span_str(arg));
}

static void test_sealed(void)
{
    dir_make();
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_kms_master) made = dir_master("shamir:2/3", NULL);
    CHECK(dir_init(made, NULL, &err) == CCZ_OK);
    CCZ_AUTO(ccz_kms_master) m = dir_master("shamir:", NULL);
    CCZ_AUTO(ccz_kms_sealed) sealed = NULL;
    int done = 0;
    CHECK(ccz_kms_sealed_new(&sealed, m, count_done, &done, &err) == CCZ_OK);
    struct server s = {0};
    CHECK(ccz_key_generate(&s.admin, CCZ_P256) == CCZ_OK);
    listen_with(&s, ccz_kms_sealed_pin, NULL);
    CHECK(ccz_kms_sealed_add(sealed, s.rpc) == CCZ_OK);
    start(&s);

    struct client holder, workload; /* a key that nobody knows, and evidence: both are told */
    struct ccz_kms_status st;
    struct ccz_secret *value = NULL;
    CHECK(connect_as(&holder, &s, s.admin, &err) == CCZ_OK &&
          connect_as(&workload, &s, NULL, &err) == CCZ_OK);
    CHECK(ccz_kms_get_status(&st, holder.rpc, &err) == CCZ_E_UNAVAILABLE &&
          strcmp(err.where, "kms:sealed") == 0 && err.hint[0]);
    CHECK(ccz_kms_release(&value, NULL, workload.rpc, "key/k", 0, &err) == CCZ_E_UNAVAILABLE &&
          strcmp(err.where, "kms:sealed") == 0 && !value);

    struct ccz_kms_shares have;
    CHECK(ccz_kms_unseal(&have, holder.rpc, NULL, &err) == CCZ_OK && have.sealed &&
          have.given == 0 && have.needed == 2 && have.total == 3);
    struct ccz_secret *share[3] = {0};
    for (unsigned i = 0; i < 3; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "shares/share-%u.txt", i + 1);
        CHECK(ccz_file_read_secret(&share[i], dir_path(name), 200, &err) == CCZ_OK);
    }
    ccz_secret_bytes(share[1])[40] ^= 1;
    CHECK(ccz_kms_unseal(&have, holder.rpc, share[1], &err) != CCZ_OK &&
          strcmp(err.where, "kms:share") == 0);
    ccz_secret_bytes(share[1])[40] ^= 1;
    CHECK(ccz_kms_unseal(&have, holder.rpc, share[0], &err) == CCZ_OK && have.given == 1 &&
          done == 0);
    CHECK(ccz_kms_unseal(&have, workload.rpc, share[1], &err) == CCZ_OK && !have.sealed);
    CHECK(ccz_kms_unseal(&have, holder.rpc, share[2], &err) == CCZ_OK && !have.sealed);
    ccz_rpc_server_stop(s.rpc, 2000); /* all handlers are over */
    CHECK(done == 1);
    CHECK(dir_try(m, NULL, &err) == CCZ_OK);
    leave(&holder);
    leave(&workload);
    for (size_t i = 0; i < 3; i++)
        ccz_secret_free(share[i]);
    stop(&s);
}

/* A sealed KMS whose answers are not to be believed. */
static void test_sealed_hostile(void)
{
    struct ccz_err err = {0};
    struct client holder;
    struct ccz_kms_shares have;
    static const char *const answers[] = {"\x08", "\x08\x01\x10\x05\x18\x03", "",
                                          "\x10\x01\x18\x03"};
    for (size_t i = 0; i < 4; i++) { /* cut, needed above total, nothing, needs one */
        struct server bad = {0};
        CHECK(ccz_key_generate(&bad.admin, CCZ_P256) == CCZ_OK);
        listen_with(&bad, ccz_kms_sealed_pin, NULL);
        CHECK(ccz_rpc_server_add_unary(bad.rpc, CCZI_KMS_SERVICE "Unseal", nonsense,
                                       (void *)(uintptr_t)answers[i]) == CCZ_OK);
        start(&bad);
        CHECK(connect_as(&holder, &bad, bad.admin, &err) == CCZ_OK);
        CHECK(ccz_kms_unseal(&have, holder.rpc, NULL, &err) == CCZ_E_PEER && have.total == 0);
        leave(&holder);
        stop(&bad);
    }
}

/* A token over the network, verified with keys that anybody gets; an administrator is nothing to attest. */
static void test_net_attest(void)
{
    struct server s;
    struct client workload, admin;
    struct ccz_err err = {0};
    serve_kms(&s);
    CHECK(connect_as(&workload, &s, NULL, &err) == CCZ_OK);
    CHECK(connect_as(&admin, &s, s.admin, &err) == CCZ_OK);
    CCZ_AUTO_BUF token;
    CCZ_AUTO_BUF jwks;
    CCZ_AUTO_BUF issuer;
    CCZ_AUTO(ccz_jwks) keys = NULL;
    CCZ_AUTO(ccz_json) claims = NULL;
    ccz_buf_init(&token, 65536);
    ccz_buf_init(&jwks, 65536);
    ccz_buf_init(&issuer, 256);
    struct ccz_kms_attestation info;
    const struct ccz_kms_attest what = {.audience = "them", .full_claims = true};
    CHECK(ccz_kms_attest(&token, &info, workload.rpc, &what, &err) == CCZ_OK);
    CHECK(info.expires_s == FIX_NOW + 300 && info.receipt.audit_seq > 0);
    CHECK(ccz_kms_token_keys(&jwks, &issuer, admin.rpc, &err) == CCZ_OK);
    CHECK(ccz_jwks_parse(&keys, ccz_buf_span(&jwks), &err) == CCZ_OK);
    const struct ccz_jwt_rules rules = {
        .keys = keys, .iss = ccz_buf_str(&issuer), .aud = "them", .now_s = FIX_NOW};
    CHECK(ccz_jwt_verify(&claims, &rules, ccz_buf_span(&token), &err) == CCZ_OK);
    ccz_buf_clear(&token);
    CHECK(ccz_kms_attest(&token, NULL, admin.rpc, NULL, &err) == CCZ_E_DENIED && token.size == 0);
    CHECK(strcmp(err.where, "kms:workload-required") == 0);
    leave(&workload);
    leave(&admin);
    stop(&s);
}

static const struct ccz_test tests[] = {
    {"kms.net_attest", test_net_attest},
    {"kms.net", test_net},
    {"kms.net_many", test_net_many},
    {"kms.door", test_door},
    {"kms.net_pin", test_net_pin},
    {"kms.net_new_pin", test_net_new_pin},
    {"kms.net_sealed", test_sealed},
    {"kms.net_sealed_hostile", test_sealed_hostile},
    {"kms.net_hostile_server", test_net_hostile_server},
    {"kms.net_instance", test_net_instance},
    {"kms.net_roles", test_net_roles},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
