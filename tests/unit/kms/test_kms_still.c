/* SPDX-License-Identifier: Apache-2.0 */
/* StillReleased: judged as Release is, recorded where an answer has become "no", and no oftener. */
#define _GNU_SOURCE
#include "ccz_test.h"
#include "kms/kms_net.h"
#include "kms/use_fixture.h"

static uint64_t lines(struct ccz_kms_store *s)
{
    struct ccz_kms_check c;
    CHECK(ccz_kms_store_check(&c, s, NULL) == CCZ_OK);
    return c.audit_lines;
}

struct standing {
    bool released;
    char where[CCZ_ERR_WHERE_SIZE];
    char decision[CCZ_KMS_DECISION_SIZE];
};

static void put_held(struct ccz_buf *b, const char *item, uint32_t version)
{
    const struct cczi_msg_release_req m = {ccz_span_str(item), version};
    size_t mark = ccz_pb_open(b, CCZI_MSG_REPEATED);
    cczi_msg_put(b, cczi_msg_release_req, &m);
    ccz_pb_close(b, mark);
}

static void take(struct standing *out, size_t len, struct ccz_span response)
{
    struct ccz_rd r = ccz_rd_from(response);
    struct ccz_pb_field f;
    size_t n = 0;
    while (ccz_pb_next(&f, &r)) {
        struct cczi_msg_standing m = {0};
        if (f.number != CCZI_MSG_REPEATED)
            continue;
        CHECK(n < len && cczi_msg_get(&m, cczi_msg_standing, f.bytes, NULL) == CCZ_OK);
        out[n].released = m.released;
        ccz_escape(out[n].where, sizeof(out[n].where), m.where);
        ccz_escape(out[n].decision, sizeof(out[n].decision), m.decision);
        n++;
    }
    CHECK(!r.bad && n == len);
}

static ccz_rc ask_as(struct standing *out, size_t len, struct ccz_kms_store *s,
                     const struct ccz_ratls_peer *peer, struct ccz_span body, int64_t now_s,
                     struct ccz_err *err)
{
    struct ccz_buf response;
    ccz_buf_init(&response, CCZ_KMS_MESSAGE_SIZE_MAX);
    ccz_rc rc = fix_call_at(&response, s, peer, "StillReleased", body, now_s, err);
    if (rc == CCZ_OK)
        take(out, len, ccz_buf_span(&response));
    ccz_buf_free(&response);
    return rc;
}

/* One item, by the workload. @return "" for yes, else why not */
static const char *ask_at(struct standing *out, struct ccz_kms_store *s, const char *item,
                          uint32_t version, int64_t now_s)
{
    static struct standing none;
    struct standing *st = out ? out : &none;
    struct ccz_err err = {0};
    struct ccz_buf b;
    struct ccz_ratls_peer peer = fix_peer(FIX_WORKLOAD);
    ccz_buf_init(&b, 4096);
    put_held(&b, item, version);
    if (ask_as(st, 1, s, &peer, ccz_buf_span(&b), now_s, &err) != CCZ_OK) {
        fprintf(stderr, "%s: %s\n", err.where, err.msg);
        CHECK(false);
    }
    ccz_buf_free(&b);
    CHECK(st->released == (st->where[0] == 0));
    return st->where;
}

static const char *ask(struct ccz_kms_store *s, const char *item, uint32_t version)
{
    return ask_at(NULL, s, item, version, FIX_NOW);
}

static bool is(const char *got, const char *want)
{
    if (strcmp(got, want) == 0)
        return true;
    fprintf(stderr, "got \"%s\", expected \"%s\"\n", got, want);
    return false;
}

static struct ccz_kms_store *store(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    return s;
}

static void test_still(void)
{
    struct ccz_kms_store *s = store();
    struct ccz_ratls_peer peer = fix_peer(FIX_WORKLOAD);
    struct standing st[4];
    struct ccz_buf b;
    ccz_buf_init(&b, 4096);
    uint64_t before = lines(s);
    for (int i = 0; i < 100; i++)
        CHECK(is(ask(s, "key/model", 1), ""));
    CHECK(lines(s) == before); /* what has not changed costs nothing */
    /* each for itself, in the order of the questions */
    put_held(&b, "secret/db/password", 2);
    put_held(&b, "secret/loose", 1);
    put_held(&b, "key/model", 1);
    put_held(&b, "key/nothing", 1);
    CHECK(ask_as(st, 4, s, &peer, ccz_buf_span(&b), FIX_NOW, NULL) == CCZ_OK);
    CHECK(st[0].released && !st[1].released && st[2].released && !st[3].released);
    CHECK(is(st[1].where, "kms:unbound") && is(st[3].where, "kms:not-found"));
    CHECK(lines(s) == before + 2);
    ccz_buf_free(&b);
    ccz_kms_store_free(s);
}

static void test_who(void)
{
    static const char *const where[FIX_WHO_LEN] = {
        "kms:workload-required", "kms:workload-required", "kms:workload-required", "",
        "kms:evidence-stale",    "kms:workload-required"};
    struct ccz_kms_store *s = store();
    struct ccz_buf b;
    ccz_buf_init(&b, 4096);
    put_held(&b, "key/model", 1);
    for (int who = 0; who < FIX_WHO_LEN; who++) {
        struct ccz_ratls_peer peer = fix_peer((enum fix_who)who);
        struct standing st = {0};
        struct ccz_err err = {0};
        ccz_rc rc = ask_as(&st, 1, s, &peer, ccz_buf_span(&b), FIX_NOW, &err);
        CHECK(is(err.where, where[who]) && (rc == CCZ_OK) == st.released);
    }
    /* another workload, as genuine: the policy says who */
    struct ccz_ratls_peer other = fix_peer(FIX_WORKLOAD);
    struct standing st = {0};
    memset(other.claims.mrenclave, 0xbb, 32);
    CHECK(ask_as(&st, 1, s, &other, ccz_buf_span(&b), FIX_NOW, NULL) == CCZ_OK);
    CHECK(!st.released && is(st.where, "policy:mrenclave"));
    /* a word in the metadata opens a Release for evidence that is bound to a key alone; not this: it is asked for as long as one likes */
    struct ccz_ratls_peer stale = fix_peer(FIX_STALE);
    struct ccz_kms_request req = {.path = CCZI_KMS_SERVICE "StillReleased",
                                  .body = ccz_buf_span(&b),
                                  .peer = &stale,
                                  .address = "192.0.2.1:1",
                                  .now_s = FIX_NOW,
                                  .info = &(struct ccz_kms_info){.version = "", .tee = ""},
                                  .doors = CCZ_KMS_DOOR_KEY_BOUND};
    struct ccz_err err = {0};
    struct ccz_buf out;
    ccz_buf_init(&out, 4096);
    CHECK(ccz_kms_handle(&out, s, &req, &err) == CCZ_E_DENIED &&
          is(err.where, "kms:evidence-stale"));
    ccz_buf_free(&out);
    ccz_buf_free(&b);
    ccz_kms_store_free(s);
}

/* The last audit entry. */
static void last_entry(struct ccz_kms_store *s, const char *const *members, size_t len)
{
    CHECK(cczi_kms_begin(s, NULL) == CCZ_OK);
    struct cczi_q q = cczi_q_start(&s->db, CCZI_SQL_AUDIT_FROM);
    cczi_q_int(&q, (int64_t)s->head.seq - 1);
    cczi_q_int(&q, 1);
    CHECK(cczi_q_row(&q));
    struct ccz_span e = cczi_q_col(&q, 2);
    for (size_t i = 0; i < len; i++)
        if (!memmem(e.ptr, e.size, members[i], strlen(members[i]))) {
            fprintf(stderr, "%s is not in %.*s\n", members[i], (int)e.size, (const char *)e.ptr);
            CHECK(false);
        }
    CHECK(cczi_q_end(&q, NULL) == CCZ_OK);
    cczi_kms_rollback(s);
}

static void test_recorded(void)
{
    static const char *const entry[] = {"\"op\":\"StillReleased\"",   "\"verdict\":\"reject\"",
                                        "\"item\":\"key/model\"",     "\"version\":1",
                                        "\"policy\":\"server\"",      "\"rule\":\"server\"",
                                        "\"where\":\"kms:disabled\"", "\"kind\":\"workload\""};
    struct ccz_kms_store *s = store();
    struct standing st;
    char decision[CCZ_KMS_DECISION_SIZE];
    CHECK(use_change(s, "Disable", "model", 0, FIX_NOW) == CCZ_OK);
    uint64_t before = lines(s);
    CHECK(is(ask_at(&st, s, "key/model", 1, FIX_NOW), "kms:disabled"));
    CHECK(lines(s) == before + 1);
    last_entry(s, entry, sizeof(entry) / sizeof(entry[0]));
    ccz_kms_decision_print(decision, before + 1);
    CHECK(is(st.decision, decision));
    for (int i = 0; i < 10; i++) { /* it has been said */
        CHECK(is(ask_at(&st, s, "key/model", 1, FIX_NOW), "kms:disabled"));
        CHECK(st.decision[0] == 0);
    }
    CHECK(lines(s) == before + 1);
    CHECK(use_change(s, "Enable", "model", 0, FIX_NOW) == CCZ_OK);
    CHECK(is(ask(s, "key/model", 1), "") && lines(s) == before + 2);
    CHECK(use_change(s, "Disable", "model", 0, FIX_NOW) == CCZ_OK);
    CHECK(is(ask_at(&st, s, "key/model", 1, FIX_NOW), "kms:disabled"));
    CHECK(st.decision[0] && lines(s) == before + 4); /* a "no" after a "yes" is another one */
    /* another workload is another line */
    struct ccz_buf b;
    struct ccz_ratls_peer peer = fix_peer(FIX_WORKLOAD);
    peer.spki_sha256[3] ^= 1;
    ccz_buf_init(&b, 4096);
    put_held(&b, "key/model", 1);
    CHECK(ask_as(&st, 1, s, &peer, ccz_buf_span(&b), FIX_NOW, NULL) == CCZ_OK);
    CHECK(st.decision[0] && lines(s) == before + 5);
    /* and nobody is counted among those who were judged: a poll is no use of an item */
    uint64_t accepted = 1, refused = 1;
    uint8_t id[32];
    CHECK(cczi_kms_seen_id(id, &peer.claims, "server", NULL) == CCZ_OK);
    cczi_kms_seen_pending(&accepted, &refused, s->watch->seen, id);
    CHECK(accepted == 1 && refused == 1);
    ccz_buf_free(&b);
    ccz_kms_store_free(s);
}

static void test_states(void)
{
    struct ccz_kms_store *s = store();
    CHECK(use_change(s, "Disable", "model", 1, FIX_NOW) == CCZ_OK);
    CHECK(is(ask(s, "key/model", 1), "kms:disabled"));
    CHECK(use_change(s, "Enable", "model", 1, FIX_NOW) == CCZ_OK && is(ask(s, "key/model", 1), ""));
    CHECK(use_delete(s, "model", 0, FIX_NOW) == CCZ_OK);
    CHECK(is(ask(s, "key/model", 1), "kms:deleted"));
    CHECK(use_change(s, "Undelete", "model", 0, FIX_NOW) == CCZ_OK &&
          is(ask(s, "key/model", 1), ""));
    CHECK(use_delete(s, "model", 0, FIX_NOW) == CCZ_OK);
    CHECK(use_change(s, "Destroy", "model", 0, FIX_NOW + 8 * 86400) == CCZ_OK);
    CHECK(is(ask(s, "key/model", 1), "kms:not-found"));
    /* a version that expires */
    const struct cczi_msg_put_req put = {.name = ccz_span_str("brief"),
                                         .value = ccz_span_str("x"),
                                         .policy = ccz_span_str("server"),
                                         .expires_s = FIX_NOW + 10};
    CHECK(fix_msg(NULL, s, FIX_ADMIN, "PutSecret", cczi_msg_put_req, &put, NULL) == CCZ_OK);
    CHECK(is(ask_at(NULL, s, "secret/brief", 1, FIX_NOW + 9), ""));
    CHECK(is(ask_at(NULL, s, "secret/brief", 1, FIX_NOW + 10), "kms:expired"));
    /* a key with a minimum, which leaves because it was made to */
    const struct cczi_msg_key_req key = {.name = ccz_span_str("m"),
                                         .kind = ccz_span_str("aes-128-gcm"),
                                         .policy = ccz_span_str("server"),
                                         .exportable = 1};
    CHECK(use_make_at(s, &key, FIX_NOW) == CCZ_OK);
    CHECK(use_rotate(s, "m") == CCZ_OK);
    CHECK(is(ask(s, "key/m", 1), "") && is(ask(s, "key/m", 2), ""));
    const struct cczi_msg_key_set_req min = {.name = ccz_span_str("m"), .min_decrypt = 2};
    CHECK(use_set_at(s, "SetMinimum", cczi_msg_set_minimum_req, &min, FIX_NOW) == CCZ_OK);
    CHECK(is(ask(s, "key/m", 1), "kms:key-version-old") && is(ask(s, "key/m", 2), ""));
    /* one that was not made to leave */
    CHECK(use_make(s, "inside", "aes-128-gcm", NULL, "server") == CCZ_OK);
    CHECK(is(ask(s, "key/inside", 1), "kms:key-export"));
    ccz_kms_store_free(s);
}

static void test_policy(void)
{
    struct ccz_kms_store *s = store();
    CHECK(is(ask(s, "key/model", 1), ""));
    CHECK(fix_put_policy(s, "server", fix_policy_other, true, NULL) == CCZ_OK);
    CHECK(is(ask(s, "key/model", 1), "policy:mrenclave"));
    CHECK(fix_put_policy(s, "server", fix_policy, true, NULL) == CCZ_OK);
    CHECK(is(ask(s, "key/model", 1), ""));
    /* bound to another one; of another namespace, whose policies are its own */
    const struct cczi_msg_bind_req bind = {.item = ccz_span_str("key/model"),
                                           .policy = ccz_span_str("other")};
    CHECK(fix_msg(NULL, s, FIX_ADMIN, "Bind", cczi_msg_bind_req, &bind, NULL) == CCZ_OK);
    CHECK(is(ask(s, "key/model", 1), "policy:mrenclave"));
    CHECK(fix_put_policy(s, "team/p", fix_policy_other, false, NULL) == CCZ_OK);
    CHECK(fix_put_secret(s, "team/x", "v", "team/p", false, NULL) == CCZ_OK);
    CHECK(is(ask(s, "secret/team/x", 1), "policy:mrenclave"));
    /* the collateral of this session's evidence has run out: as for a Release */
    CHECK(is(ask(s, "secret/db/password", 2), ""));
    CHECK(
        is(ask_at(NULL, s, "secret/db/password", 2, FIX_NOW + 86401), "policy:collateral-expired"));
    ccz_kms_store_free(s);
}

static void refused(struct ccz_kms_store *s, struct ccz_span body, ccz_rc want, const char *where)
{
    struct ccz_ratls_peer peer = fix_peer(FIX_WORKLOAD);
    struct standing st[CCZ_KMS_HELD_MAX];
    struct ccz_err err = {0};
    CHECK(ask_as(st, CCZ_KMS_HELD_MAX, s, &peer, body, FIX_NOW, &err) == want);
    CHECK(is(err.where, where));
}

static void test_limits(void)
{
    struct ccz_kms_store *s = store();
    struct ccz_ratls_peer peer = fix_peer(FIX_WORKLOAD);
    struct standing st[CCZ_KMS_HELD_MAX];
    struct ccz_buf b;
    ccz_buf_init(&b, 65536);
    refused(s, ccz_buf_span(&b), CCZ_E_FORMAT, "kms:held");
    for (int i = 0; i < CCZ_KMS_HELD_MAX; i++)
        put_held(&b, "key/model", 1);
    CHECK(ask_as(st, CCZ_KMS_HELD_MAX, s, &peer, ccz_buf_span(&b), FIX_NOW, NULL) == CCZ_OK);
    for (size_t n = 1; n < b.size; n++) /* cut between two of them: fewer questions */
        if (n % (b.size / CCZ_KMS_HELD_MAX) != 0)
            refused(s, CCZ_SPAN(b.ptr, n), CCZ_E_FORMAT, "kms:request");
    put_held(&b, "key/model", 1);
    refused(s, ccz_buf_span(&b), CCZ_E_LIMIT, "kms:held");
    ccz_buf_clear(&b);
    put_held(&b, "key/model", 0); /* the latest: another question each time */
    refused(s, ccz_buf_span(&b), CCZ_E_FORMAT, "kms:held");
    ccz_buf_clear(&b);
    put_held(&b, "policy/server", 1);
    refused(s, ccz_buf_span(&b), CCZ_E_FORMAT, "kms:name");
    ccz_buf_clear(&b);
    ccz_pb_put_uint(&b, 1, 1);
    refused(s, ccz_buf_span(&b), CCZ_E_FORMAT, "kms:request");
    ccz_buf_free(&b);
    ccz_kms_store_free(s);
}

/* A call of the same batch that is refused does not make a "no" be recorded again. */
static void test_refused_beside(void)
{
    struct ccz_kms_store *s = store();
    struct fix_batch b;
    struct ccz_buf held;
    CHECK(use_change(s, "Disable", "model", 0, FIX_NOW) == CCZ_OK);
    uint64_t before = lines(s);
    ccz_buf_init(&held, 4096);
    put_held(&held, "key/model", 1);
    fix_batch_begin(&b);
    fix_batch_release(&b, FIX_WORKLOAD, "key/model"); /* any; its request becomes the question */
    (void)snprintf(b.path[0], sizeof(b.path[0]), "%sStillReleased", CCZI_KMS_SERVICE);
    b.req[0].body = ccz_buf_span(&held);
    b.entry[0].method = cczi_kms_method_find(b.path[0]);
    fix_batch_release(&b, FIX_WORKLOAD, "key/none");
    fix_batch_run(&b, s);
    CHECK(b.entry[0].rc == CCZ_OK && b.entry[1].rc == CCZ_E_NOT_FOUND);
    fix_batch_end(&b);
    CHECK(lines(s) == before + 2);
    CHECK(!is(ask(s, "key/model", 1), "") && lines(s) == before + 2);
    ccz_buf_free(&held);
    ccz_kms_store_free(s);
}

/* A "no" that was recorded in a call or transaction that came to nothing is recorded the next time. */
static void test_rolled_back(void)
{
    struct ccz_kms_store *s = store();
    struct ccz_ratls_peer peer = fix_peer(FIX_WORKLOAD);
    struct standing st;
    struct ccz_buf b;
    CHECK(use_change(s, "Disable", "model", 0, FIX_NOW) == CCZ_OK);
    uint64_t before = lines(s);
    ccz_buf_init(&b, 4096);
    put_held(&b, "key/model", 1);
    put_held(&b, "policy/server", 1); /* ends the call, and undoes what it did */
    refused(s, ccz_buf_span(&b), CCZ_E_FORMAT, "kms:name");
    CHECK(lines(s) == before + 1);
    ccz_buf_clear(&b);
    put_held(&b, "key/model", 1);
    CHECK(ask_as(&st, 1, s, &peer, ccz_buf_span(&b), FIX_NOW, NULL) == CCZ_OK);
    CHECK(st.decision[0] && lines(s) == before + 2);
    ccz_buf_free(&b);

    struct cczi_kms_still *m;
    uint8_t one[32] = {1}, two[32] = {2};
    CHECK(cczi_kms_still_new(&m) == CCZ_OK);
    cczi_kms_still_call(m);
    CHECK(cczi_kms_still_no(m, one) && !cczi_kms_still_no(m, one));
    cczi_kms_still_call(m); /* the next call of the transaction, which is undone */
    CHECK(cczi_kms_still_no(m, two));
    cczi_kms_still_undo(m);
    CHECK(!cczi_kms_still_no(m, one) && cczi_kms_still_no(m, two));
    cczi_kms_still_drop(m); /* the transaction is lost: neither is on record */
    CHECK(cczi_kms_still_no(m, one) && cczi_kms_still_no(m, two));
    cczi_kms_still_commit(m);
    cczi_kms_still_drop(m);
    cczi_kms_still_undo(m);
    CHECK(!cczi_kms_still_no(m, one) && !cczi_kms_still_no(m, two));
    cczi_kms_still_yes(m, one);
    CHECK(cczi_kms_still_no(m, one) && !cczi_kms_still_no(m, two));
    cczi_kms_still_free(m);
    ccz_kms_store_free(s);
}

/* What is full forgets, and forgets the oldest first. */
static void test_forgets(void)
{
    struct cczi_kms_still *m;
    uint8_t id[32] = {0};
    CHECK(cczi_kms_still_new(&m) == CCZ_OK);
    for (unsigned i = 0; i < 9; i++) { /* one bucket */
        id[4] = (uint8_t)i;
        CHECK(cczi_kms_still_no(m, id));
        cczi_kms_still_commit(m);
        id[4] = 0;
        if (i < 8)
            CHECK(!cczi_kms_still_no(m, id)); /* in use */
    }
    CHECK(!cczi_kms_still_no(m, id)); /* number 1 has gone */
    for (unsigned i = 2; i < 9; i++) {
        id[4] = (uint8_t)i;
        CHECK(!cczi_kms_still_no(m, id));
    }
    id[4] = 1;
    CHECK(cczi_kms_still_no(m, id));
    cczi_kms_still_free(m);
}

/* ----------------------------------------------------------------------------- network */

static struct ccz_buf g_answer;
static void answer(struct ccz_rpc_call *call, void *arg, struct ccz_span request)
{
    (void)arg;
    (void)request;
    ccz_rpc_reply(call, ccz_buf_span(&g_answer));
}

static void test_net(void)
{
    struct server s;
    struct client admin, workload;
    struct ccz_err err = {0};
    struct ccz_secret *value = NULL, *made = NULL;
    struct ccz_kms_release info;
    struct ccz_kms_instance kms = {0};
    serve_kms(&s);
    CHECK(connect_as(&admin, &s, s.admin, &err) == CCZ_OK);
    CHECK(connect_as(&workload, &s, NULL, &err) == CCZ_OK);
    CHECK(ccz_kms_put_policy(NULL, admin.rpc, "p", ccz_span_str(fix_policy), false, &err) ==
          CCZ_OK);
    CHECK(ccz_secret_new(&made, 16) == CCZ_OK);
    const struct ccz_kms_put put = {.name = "k", .alg = "aes-128", .policy = "p", .value = made};
    CHECK(ccz_kms_create_key(NULL, NULL, admin.rpc, &put, &err) == CCZ_OK);
    struct ccz_kms_held held[2] = {{.item = "key/k", .version = 1},
                                   {.item = "key/k", .version = 2}};
    CHECK(ccz_kms_still_released(held, 1, &kms, workload.rpc, &err) == CCZ_E_ARG);
    CHECK(ccz_kms_release(&value, &info, workload.rpc, "key/k", 0, &err) == CCZ_OK);
    CHECK(ccz_kms_instance_check(&kms, &info, &err) == CCZ_OK);
    CHECK(ccz_kms_still_released(held, 0, &kms, workload.rpc, &err) == CCZ_E_ARG);
    CHECK(ccz_kms_still_released(held, 2, &kms, workload.rpc, &err) == CCZ_OK);
    CHECK(held[0].released && !held[0].where[0] && !held[1].released);
    CHECK(is(held[1].where, "kms:not-found") && held[1].decision > 0);
    CHECK(ccz_kms_disable(NULL, admin.rpc, "key/k", 0, &err) == CCZ_OK);
    CHECK(ccz_kms_still_released(held, 1, &kms, workload.rpc, &err) == CCZ_OK);
    CHECK(!held[0].released && is(held[0].where, "kms:disabled") && held[0].decision > 0);
    CHECK(ccz_kms_still_released(held, 1, &kms, workload.rpc, &err) == CCZ_OK);
    CHECK(!held[0].released && held[0].decision == 0);
    held[0].released = true; /* a failure leaves no answer behind */
    kms.id[0] ^= 1;
    CHECK(ccz_kms_still_released(held, 1, &kms, workload.rpc, &err) == CCZ_E_UNTRUSTED);
    CHECK(is(err.where, "kms:instance") && !held[0].released && !held[0].where[0]);
    kms.id[0] ^= 1;
    CHECK(ccz_kms_still_released(held, 1, &kms, admin.rpc, &err) == CCZ_E_DENIED);
    CHECK(is(err.where, "kms:workload-required"));
    held[0].version = 0;
    CHECK(ccz_kms_still_released(held, 1, &kms, workload.rpc, &err) == CCZ_E_ARG);
    ccz_secret_free(value);
    ccz_secret_free(made);
    leave(&workload);
    leave(&admin);
    stop(&s);
}

static ccz_rc accept_any(void *arg, struct ccz_span spki, struct ccz_err *err)
{
    (void)arg;
    (void)spki;
    (void)err;
    return CCZ_OK;
}

static void put_standing(uint64_t released, const char *where)
{
    const struct cczi_msg_standing m = {.released = released, .where = fix_str(where)};
    size_t mark = ccz_pb_open(&g_answer, CCZI_MSG_REPEATED);
    cczi_msg_put(&g_answer, cczi_msg_standing, &m);
    ccz_pb_close(&g_answer, mark);
}

/* A server that answers too little, too much, both at once, or without saying who it is. */
static void test_net_hostile(void)
{
    struct server s = {0};
    struct client c;
    struct ccz_err err = {0};
    struct ccz_kms_instance kms = {.known = true, .id = {1, 2, 3}};
    struct ccz_kms_held held[2] = {{.item = "key/k", .version = 1},
                                   {.item = "key/l", .version = 2}};
    const struct cczi_msg_still_resp from = {.instance = CCZ_SPAN(kms.id, 16)};
    ccz_buf_init(&g_answer, 65536);
    listen_with(&s, accept_any, NULL);
    ccz_rpc_server_set_fallback(s.rpc, answer, NULL);
    start(&s);
    CHECK(connect_as(&c, &s, NULL, &err) == CCZ_OK);
    put_standing(1, NULL);
    put_standing(0, "kms:disabled");
    CHECK(ccz_kms_still_released(held, 2, &kms, c.rpc, &err) == CCZ_E_UNTRUSTED);
    CHECK(is(err.where, "kms:instance") && !held[0].released);
    cczi_msg_put(&g_answer, cczi_msg_still_resp, &from);
    CHECK(ccz_kms_still_released(held, 2, &kms, c.rpc, &err) == CCZ_OK);
    CHECK(held[0].released && !held[1].released && is(held[1].where, "kms:disabled"));
    for (size_t whole = g_answer.size, n = 0; n < whole; n++) {
        g_answer.size = n;
        CHECK(ccz_kms_still_released(held, 2, &kms, c.rpc, &err) != CCZ_OK && !held[0].released);
        g_answer.size = whole;
    }
    CHECK(ccz_kms_still_released(held, 1, &kms, c.rpc, &err) == CCZ_E_PEER && !held[0].released);
    ccz_buf_clear(&g_answer); /* one answer to two questions */
    cczi_msg_put(&g_answer, cczi_msg_still_resp, &from);
    put_standing(1, NULL);
    CHECK(ccz_kms_still_released(held, 1, &kms, c.rpc, &err) == CCZ_OK && held[0].released);
    CHECK(ccz_kms_still_released(held, 2, &kms, c.rpc, &err) == CCZ_E_PEER && !held[0].released);
    static const struct {
        uint64_t released;
        const char *where;
    } bad[] = {{0, NULL}, {1, "kms:disabled"}};
    for (int i = 0; i < 2; i++) {
        ccz_buf_clear(&g_answer);
        put_standing(bad[i].released, bad[i].where);
        cczi_msg_put(&g_answer, cczi_msg_still_resp, &from);
        CHECK(ccz_kms_still_released(held, 1, &kms, c.rpc, &err) == CCZ_E_PEER);
        CHECK(!held[0].released);
    }
    leave(&c);
    ccz_rpc_server_stop(s.rpc, 2000);
    ccz_rpc_server_free(s.rpc);
    ccz_ratls_ctx_free(s.ratls);
    ccz_buf_free(&g_answer);
}

static const struct ccz_test tests[] = {
    {"kms.still", test_still},
    {"kms.still_who", test_who},
    {"kms.still_recorded", test_recorded},
    {"kms.still_refused_beside", test_refused_beside},
    {"kms.still_states", test_states},
    {"kms.still_policy", test_policy},
    {"kms.still_limits", test_limits},
    {"kms.still_rolled_back", test_rolled_back},
    {"kms.still_forgets", test_forgets},
    {"kms.still_net", test_net},
    {"kms.still_net_hostile", test_net_hostile},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
