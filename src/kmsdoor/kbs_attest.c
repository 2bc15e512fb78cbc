/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POST /auth and /attest. The order of /attest is the security argument: session and nonce (no memory, no work), evidence (a worker), its binding to
 * nonce and key, and only then the nonce is used up, the token signed and on record, the session kept.
 */
#include "kbs_door.h"

#include "kms/kms_attest.h"

#include <cczoo/crypto.h>
#include <cczoo/verifier.h>

#include <stdlib.h>
#include <string.h>

static void reply_with_cookie(struct cczi_door_req *r, const struct ccz_buf *json, const char *id,
                              int64_t expires_s)
{
    CCZ_AUTO_BUF cookie;
    ccz_buf_init(&cookie, 256);
    cczi_kbs_set_cookie(&cookie, id, cczi_door_now_s(r->door), expires_s,
                        ccz_http_ssl(r->http) != NULL);
    if (json->bad || cookie.bad) {
        struct ccz_err err = {0};
        (void)ccz_fail(&err, CCZ_E_NOMEM, "kbs:memory", 0, "out of memory");
        cczi_kbs_reply_err(r, &err);
        return;
    }
    const struct ccz_http_field header = {"Set-Cookie", ccz_buf_str(&cookie)};
    cczi_door_reply(r, &(struct ccz_http_answer){.status = 200,
                                                 .content_type = "application/json",
                                                 .body = ccz_buf_span(json),
                                                 .headers = &header,
                                                 .headers_len = 1});
}

/* ---------------------------------------------------------------------------------- auth */

void cczi_kbs_on_auth(struct cczi_door_req *r, void *arg)
{
    const struct cczi_kbs *k = arg;
    struct ccz_err err = {0};
    struct cczi_kbs_begun begun;
    enum ccz_tee tee;
    ccz_rc rc = cczi_kbs_request_get(&tee, ccz_http_body(r->http), &err);
    if (rc == CCZ_OK)
        rc = cczi_kbs_begin(&begun, k->sessions, tee, cczi_door_now_s(r->door), &err);
    if (rc != CCZ_OK) {
        cczi_kbs_reply_err(r, &err);
        return;
    }
    CCZ_AUTO_BUF json;
    ccz_buf_init(&json, 256);
    cczi_kbs_challenge_put(&json, begun.nonce);
    reply_with_cookie(r, &json, begun.id, begun.expires_s);
}

/* -------------------------------------------------------------------------------- attest */

/* One attestation under way; its request lives until the reply. */
struct attempt {
    struct cczi_kbs *kbs;
    struct cczi_kbs_attestation said;
    struct cczi_kbs_open open;
    struct ccz_ratls_peer peer; /* of the evidence, once it is verified */
    bool full, keep;
    struct ccz_buf evidence; /* with `keep`: as it was verified */
    struct ccz_err err;      /* rc CCZ_OK: all went well so far */
};

static void attempt_free(struct attempt *a)
{
    cczi_kbs_attestation_free(&a->said);
    ccz_buf_free(&a->evidence);
    free(a);
}

static void refuse(struct cczi_door_req *r, struct attempt *a)
{
    /* nobody has proved anything: the door's bounded log has it, and not the audit, which strangers could fill */
    cczi_kbs_reply_err(r, &a->err);
    attempt_free(a);
}

/* On a worker: nothing of the sessions here. */
static void verify(void *arg)
{
    struct attempt *a = arg;
    CCZ_AUTO_BUF evidence;
    CCZ_AUTO_BUF key;
    ccz_buf_init(&evidence, CCZI_KBS_EVIDENCE_MAX);
    ccz_buf_init(&key, CCZ_JWK_SIZE_MAX);
    struct ccz_claims *claims = &a->peer.claims;
    ccz_rc rc = cczi_kbs_evidence_get(&evidence, a->open.tee, a->said.evidence, &a->err);
    if (rc == CCZ_OK)
        rc = ccz_verifier_verify(a->kbs->verifier, claims, ccz_buf_span(&evidence), &a->err);
    if (rc == CCZ_OK && claims->tee != a->open.tee)
        rc = ccz_refuse(&a->err, CCZ_E_MISMATCH, "kbs:tee-kind", ccz_tee_name(claims->tee),
                        ccz_tee_name(a->open.tee));
    if (rc == CCZ_OK)
        rc = cczi_kbs_bound(&a->said, claims, &a->err);
    if (rc == CCZ_OK && a->keep)
        ccz_buf_put_span(&a->evidence, ccz_buf_span(&evidence));
    if (rc == CCZ_OK && a->evidence.bad)
        rc = ccz_fail(&a->err, CCZ_E_NOMEM, "kbs:memory", 0, "out of memory");
    if (rc != CCZ_OK) {
        a->err.rc = rc;
        return;
    }
    ccz_jwk_put(&key, a->said.tee_key, CCZ_JWK_REQUIRED);
    if (key.bad || ccz_sha256(a->peer.spki_sha256, ccz_buf_span(&key)) != CCZ_OK)
        ccz_fail(&a->err, CCZ_E_NOMEM, "kbs:hash", 0, "cannot hash the key");
    a->peer.attested = a->peer.fresh = true; /* over our nonce */
}

/* The token is signed and on record. */
static void on_token(struct cczi_door_req *r, void *arg, struct ccz_span response,
                     const struct ccz_err *err)
{
    struct attempt *a = arg;
    struct cczi_msg_attest_resp m = {0};
    ccz_rc rc = err ? (a->err = *err, err->rc) : cczi_attest_resp_get(&m, response, &a->err);
    int64_t expires_s = (int64_t)m.expires_s;
    if (rc == CCZ_OK)
        rc = cczi_kbs_attested(a->kbs->sessions, &a->open, &a->peer, &a->said.tee_key, m.token,
                               expires_s, &a->err);
    if (rc != CCZ_OK) {
        refuse(r, a);
        return;
    }
    CCZ_AUTO_BUF json;
    char id[CCZI_KBS_ID_TEXT + 1];
    ccz_buf_init(&json, CCZI_KMS_TOKEN_SIZE_MAX + 64);
    ccz_buf_put_str(&json, "{\"token\":");
    ccz_json_put_str(&json, m.token);
    ccz_buf_put_str(&json, "}");
    ccz_hex(id, a->open.id, sizeof(a->open.id));
    attempt_free(a);
    reply_with_cookie(r, &json, id, expires_s);
}

static void on_verified(struct cczi_door_req *r, void *arg)
{
    struct attempt *a = arg;
    ccz_rc rc = a->err.rc;
    CCZ_AUTO_BUF key;
    CCZ_AUTO_BUF body;
    ccz_buf_init(&key, CCZ_JWK_SIZE_MAX);
    ccz_buf_init(&body, CCZ_JWK_SIZE_MAX + 1024);
    if (rc == CCZ_OK) {
        ccz_jwk_put(&key, a->said.tee_key, CCZ_JWK_TEE);
        cczi_attest_req_put(&body,
                            &(struct cczi_msg_attest_req){.tee_pubkey = ccz_buf_span(&key),
                                                          .nonce = ccz_span_str(a->said.nonce),
                                                          .full_claims = a->full,
                                                          .keep_evidence = a->keep});
    }
    if (key.bad || body.bad) /* half a request asks for a token without key and nonce */
        rc = ccz_fail(&a->err, CCZ_E_NOMEM, "kbs:memory", 0, "out of memory");
    if (rc == CCZ_OK) /* the nonce stays good for the next try */
        rc = cczi_door_workload(r, &a->peer.claims, &a->err);
    if (rc == CCZ_OK)
        rc = cczi_kbs_spend(a->kbs->sessions, &a->open, &a->peer.claims, cczi_door_now_s(r->door),
                            ccz_mono_ms(), &a->err);
    if (rc != CCZ_OK) {
        refuse(r, a);
        return;
    }
    const struct cczi_door_call call = {.method = "Attest",
                                        .body = &body,
                                        .peer = &a->peer,
                                        .evidence = ccz_buf_span(&a->evidence)};
    cczi_door_call(r, &call, on_token, a);
}

static bool asks(const struct cczi_door_req *r, const char *name, const char *value)
{
    struct ccz_span given;
    return ccz_http_query_get(&given, ccz_http_query(r->http), name) &&
           ccz_span_eq(given, ccz_span_str(value));
}

static ccz_rc begin_attempt(struct cczi_door_req *r, struct attempt *a)
{
    struct ccz_span cookie = cczi_kbs_cookie(ccz_http_header(r->http, "Cookie"));
    a->full = asks(r, "claims", "full");
    a->keep = asks(r, "evidence", "keep");
    ccz_buf_init(&a->evidence, CCZI_KBS_EVIDENCE_MAX);
    ccz_rc rc = cczi_kbs_may_resume(cookie, &a->err);
    if (rc == CCZ_OK)
        rc = cczi_kbs_attestation_get(&a->said, ccz_http_body(r->http), &a->err);
    if (rc == CCZ_OK)
        rc = cczi_kbs_resume(&a->open, a->kbs->sessions, cookie, ccz_span_str(a->said.nonce),
                             cczi_door_now_s(r->door), &a->err);
    if (rc == CCZ_OK)
        rc = cczi_door_work(r, verify, on_verified, a, &a->err);
    return rc;
}

void cczi_kbs_on_attest(struct cczi_door_req *r, void *arg)
{
    struct attempt *a = calloc(1, sizeof(*a));
    if (!a) {
        struct ccz_err err = {0};
        ccz_fail(&err, CCZ_E_NOMEM, "kbs:memory", 0, "out of memory");
        cczi_kbs_reply_err(r, &err);
        return;
    }
    a->kbs = arg;
    if (begin_attempt(r, a) != CCZ_OK)
        refuse(r, a);
}
