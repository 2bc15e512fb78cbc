/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KMS_WHY_CLIENT_H
#define KMS_WHY_CLIENT_H
/* What clients of kms_why.h ask, for the tests over the network. */
#include "ccz_test.h"
#include "kms/kms_fixture.h"

static inline void keep_decision(void *arg, const struct ccz_kms_decision *d)
{
    struct ccz_kms_decision *out = arg;
    *out = *d;
    CHECK(out->entry.size != 0);
}

static inline void keep_workload(void *arg, const struct ccz_kms_workload *w)
{
    struct ccz_kms_workload *out = arg;
    CHECK(out->accepted == 0 && w->claims.size != 0); /* the only one */
    *out = *w;
}

static inline void keep_replayed(void *arg, const struct ccz_kms_replayed *r)
{
    *(struct ccz_kms_replayed *)arg = *r;
}

static inline void keep_staged(void *arg, const struct ccz_kms_staged *st)
{
    *(struct ccz_kms_staged *)arg = *st;
}

/* What an auditor is told of the refusal that says "see decision @p id". */
static inline void why_refused(struct ccz_rpc_client *admin, struct ccz_rpc_client *workload,
                               const char *id)
{
    struct ccz_err err = {0};
    struct ccz_kms_decision d = {0};
    CHECK(ccz_kms_why(admin, id, keep_decision, &d, &err) == CCZ_OK);
    CHECK(strcmp(d.id, id) == 0 && !d.accepted && strcmp(d.op, "Release") == 0);
    CHECK(strcmp(d.item, "key/k") == 0 && strcmp(d.policy, "p") == 0 && d.version == 1);
    CHECK(strcmp(d.where, "policy:mrenclave") == 0 && strncmp(d.got, "aaaa", 4) == 0 &&
          strncmp(d.expected, "bbbb", 4) == 0 && strcmp(d.rule, "other") == 0);
    CHECK(strlen(d.policy_sha256) == 64 && d.time_s == FIX_NOW && d.reason[0]);
    CHECK(ccz_kms_why(workload, id, keep_decision, &d, &err) == CCZ_E_DENIED);
    CHECK(strcmp(err.where, "kms:admin-required") == 0);
    CHECK(ccz_kms_why(admin, "17", keep_decision, &d, &err) == CCZ_E_FORMAT);
    CHECK(strcmp(err.where, "kms:decision") == 0 && err.hint[0]);
    CHECK(ccz_kms_why(admin, "D1000000", keep_decision, &d, &err) == CCZ_E_NOT_FOUND);
}

/* The life of a staged policy; the workload was accepted by fix_policy and is refused by fix_policy_other now. */
static inline void try_policies(struct ccz_rpc_client *admin, struct ccz_rpc_client *workload)
{
    struct ccz_err err = {0};
    struct ccz_kms_workload w = {0};
    struct ccz_kms_replayed r = {0};
    struct ccz_kms_replay sum;
    struct ccz_kms_staged st = {0};
    struct ccz_kms_receipt receipt = {0};
    struct ccz_secret *out;
    CCZ_AUTO_BUF json;
    ccz_buf_init(&json, CCZ_POLICY_SIZE_MAX);
    CHECK(ccz_kms_workloads(admin, "p", keep_workload, &w, &err) == CCZ_OK);
    CHECK(w.tee == CCZ_TEE_SGX && w.simulated && strncmp(w.measurement, "aaaa", 4) == 0);
    CHECK(strcmp(w.policy, "p") == 0 && strcmp(w.status, "UpToDate") == 0 && w.accepted > 0);
    CHECK(ccz_kms_replay_policy(&sum, admin, "p", ccz_span_str(fix_policy), 0, keep_replayed, &r,
                                &err) == CCZ_OK);
    CHECK(sum.workloads == 1 && sum.admitted == 1 && sum.blocked == 0);
    CHECK(!r.now && r.then && strcmp(r.rule, "server") == 0 && r.where[0] == 0 &&
          memcmp(r.workload.id, w.id, 32) == 0);
    CHECK(ccz_kms_replay_policy(&sum, admin, "p", (struct ccz_span){0}, 0, NULL, NULL, &err) ==
          CCZ_E_NOT_FOUND);
    CHECK(strcmp(err.where, "kms:not-staged") == 0 && sum.workloads == 0);
    CHECK(ccz_kms_stage(&receipt, admin, "p", ccz_span_str(fix_policy), FIX_NOW + 60, false,
                        &err) == CCZ_OK);
    CHECK(receipt.audit_seq > 0);
    CHECK(ccz_kms_release(&out, NULL, workload, "key/k", 0, &err) == CCZ_E_DENIED);
    CHECK(ccz_kms_get_staged(&st, &json, admin, "p", &err) == CCZ_OK);
    CHECK(strcmp(st.policy, "p") == 0 && st.would_accept == 1 && st.would_refuse == 0 &&
          !st.ended && st.ends_s == FIX_NOW + 60 && st.created_s == FIX_NOW);
    CHECK(strcmp(ccz_buf_str(&json), fix_policy) == 0);
    struct ccz_kms_staged listed = {0};
    CHECK(ccz_kms_list_staged(admin, keep_staged, &listed, &err) == CCZ_OK);
    CHECK(memcmp(listed.sha256, st.sha256, 32) == 0 && listed.would_accept == 1);
    CHECK(ccz_kms_replay_policy(&sum, admin, "p", (struct ccz_span){0}, 0, NULL, NULL, &err) ==
              CCZ_OK &&
          sum.admitted == 1 && memcmp(sum.sha256, st.sha256, 32) == 0);
    uint8_t other[32] = {1};
    CHECK(ccz_kms_roll_out(NULL, admin, "p", other, &err) != CCZ_OK);
    CHECK(strcmp(err.where, "kms:staged-changed") == 0);
    CHECK(ccz_kms_roll_out(&receipt, admin, "p", st.sha256, &err) == CCZ_OK);
    CHECK(ccz_kms_release(&out, NULL, workload, "key/k", 0, &err) == CCZ_OK);
    ccz_secret_free(out);
    CHECK(ccz_kms_stage(NULL, admin, "p", ccz_span_str(fix_policy), FIX_NOW + 60, true, &err) ==
          CCZ_OK);
    CHECK(ccz_kms_unstage(NULL, admin, "p", &err) == CCZ_OK);
    CHECK(ccz_kms_get_staged(&st, NULL, admin, "p", &err) == CCZ_E_NOT_FOUND && st.policy[0] == 0);
    CHECK(ccz_kms_stage(NULL, workload, "p", ccz_span_str(fix_policy), FIX_NOW + 60, true, &err) ==
          CCZ_E_DENIED);
    CHECK(ccz_kms_put_policy(NULL, admin, "p", ccz_span_str(fix_policy_other), true, &err) ==
          CCZ_OK);
}

/* What a server answers to each of these. */
enum why_call { WHY, WORKLOADS, REPLAY, GET_STAGED, LIST_STAGED, WHY_CALLS };
static inline void why_answer(struct ccz_buf *out, struct ccz_kms_store *s, enum why_call which)
{
    const struct cczi_msg_name id = {ccz_span_str("D1")}, policy = {ccz_span_str("server")},
                               from = {{0}};
    const struct cczi_msg_workloads_req w = {.claims = 1};
    const struct cczi_msg_replay_req r = {.policy = ccz_span_str("server"),
                                          .json = ccz_span_str(fix_policy)};
    static const char *const methods[] = {"Why", "Workloads", "Replay", "GetStaged", "ListStaged"};
    const struct cczi_msg_field *const fields[] = {
        cczi_msg_name, cczi_msg_workloads_req, cczi_msg_replay_req, cczi_msg_name, cczi_msg_name};
    const void *const msgs[] = {&id, &w, &r, &policy, &from};
    CHECK(fix_msg(out, s, FIX_ADMIN, methods[which], fields[which], msgs[which], NULL) == CCZ_OK);
}

static inline void count_workload(void *arg, const struct ccz_kms_workload *w)
{
    (void)arg;
    CHECK(w->tee == CCZ_TEE_SGX);
}
static inline ccz_rc ask_why(struct ccz_rpc_client *c, enum why_call which, struct ccz_err *err)
{
    struct ccz_kms_decision d;
    struct ccz_kms_staged st = {0};
    struct ccz_kms_replay sum = {0};
    ccz_rc rc;
    switch (which) {
    case WHY:
        return ccz_kms_why(c, "D1", keep_decision, &d, err);
    case WORKLOADS:
        return ccz_kms_workloads(c, NULL, count_workload, &st, err);
    case REPLAY:
        rc = ccz_kms_replay_policy(&sum, c, "server", ccz_span_str(fix_policy), 0, NULL, NULL, err);
        CHECK((rc == CCZ_OK) == (sum.workloads != 0));
        return rc;
    case GET_STAGED:
        rc = ccz_kms_get_staged(&st, NULL, c, "server", err);
        CHECK((rc == CCZ_OK) == (st.policy[0] != 0));
        return rc;
    default:
        return ccz_kms_list_staged(c, keep_staged, &st, err);
    }
}

/* Each of these answers, true, and cut at each byte, and with lies in it. @param answer  what the server says next */
static inline void why_hostile(struct ccz_rpc_client *c, struct ccz_kms_store *store,
                               struct ccz_buf *answer)
{
    struct ccz_err err = {0};
    CHECK(fix_release(NULL, store, FIX_WORKLOAD, "key/model", 0, &err) == CCZ_OK);
    CHECK(fix_stage(store, "server", fix_policy_other, FIX_NOW + 60, &err) == CCZ_OK);
    for (int which = WHY; which < WHY_CALLS; which++) {
        why_answer(answer, store, (enum why_call)which);
        CHECK(ask_why(c, (enum why_call)which, &err) == CCZ_OK);
        size_t whole = answer->size;
        bool list = which == WORKLOADS || which == LIST_STAGED;
        enum { STATE = 34 }; /* the last field, which older servers do not have */
        for (size_t cut = 0; cut < whole; cut++) {
            answer->size = cut;
            ccz_rc rc = ask_why(c, (enum why_call)which, &err);
            bool older = which == REPLAY && cut == whole - STATE;
            CHECK(rc == CCZ_E_PEER || (rc == CCZ_OK && (list || older)));
        }
        answer->size = whole;
    }
    /* "there is more", and nothing that would be more */
    for (int which = WORKLOADS; which <= LIST_STAGED; which++) {
        if (which == GET_STAGED)
            continue;
        ccz_buf_clear(answer);
        ccz_pb_put_uint(answer, CCZI_MSG_MORE, 1);
        CHECK(ask_why(c, (enum why_call)which, &err) == CCZ_E_PEER);
    }
    /* another line than the one that was asked for, and one that is not what its hash says */
    why_answer(answer, store, WHY);
    char *at = memmem(answer->ptr, answer->size, "D1", 2);
    CHECK(at != NULL);
    at[1] = '2';
    CHECK(ask_why(c, WHY, &err) == CCZ_E_PEER);
    at[1] = '1';
    at = memmem(answer->ptr, answer->size, "\"op\":", 5);
    CHECK(at != NULL);
    at[1] = 'O';
    CHECK(ask_why(c, WHY, &err) == CCZ_E_SIG && strcmp(err.where, "kms:audit-chain") == 0);
    /* another policy than its digest says */
    why_answer(answer, store, GET_STAGED);
    at = memmem(answer->ptr, answer->size, "bbbb", 4);
    CHECK(at != NULL);
    at[0] = 'c';
    CHECK(ask_why(c, GET_STAGED, &err) == CCZ_E_PEER);
}
#endif
