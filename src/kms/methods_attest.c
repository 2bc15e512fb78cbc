/* SPDX-License-Identifier: Apache-2.0 */
/* Attest: what the KMS has verified of a workload, signed for whoever relies on it. Nothing is released here: a token says what was
 * seen, and who takes it for an answer decides what that is worth. */
#include "kms_priv.h"
#include "msg_fields.h"

#include "kms_attest.h"
#include "token.h"

#include <cczoo/codec.h>

#include <stdio.h>
#include <string.h>

enum { JTI_SIZE = 16, ISSUER_SIZE_MAX = 256, CLAIMS_SIZE_MAX = 16384 };

const struct cczi_msg_field cczi_msg_attest_req[] = {
    SPAN(1, cczi_msg_attest_req, tee_pubkey, CCZ_JWK_SIZE_MAX),
    SPAN(2, cczi_msg_attest_req, nonce, CCZI_KMS_ATTEST_NONCE_MAX),
    UINT(3, cczi_msg_attest_req, full_claims, 1),
    SPAN(4, cczi_msg_attest_req, audience, CCZI_KMS_ATTEST_AUDIENCE_MAX),
    SPAN(5, cczi_msg_attest_req, policy, 256),
    UINT(6, cczi_msg_attest_req, keep_evidence, 1),
    END,
};
const struct cczi_msg_field cczi_msg_attest_resp[] = {
    SPAN(1, cczi_msg_attest_resp, token, CCZI_KMS_TOKEN_SIZE_MAX),
    UINT(2, cczi_msg_attest_resp, expires_s, INT64_MAX),
    SPAN(7, cczi_msg_attest_resp, instance, CCZ_KMS_INSTANCE_SIZE),
    SPAN(CCZI_MSG_RECEIPT, cczi_msg_attest_resp, receipt, 64),
    END,
};
const struct cczi_msg_field cczi_msg_token_keys_resp[] = {
    SPAN(1, cczi_msg_token_keys_resp, jwks, CCZ_JWKS_SIZE_MAX),
    SPAN(2, cczi_msg_token_keys_resp, issuer, ISSUER_SIZE_MAX),
    END,
};
const struct cczi_msg_field cczi_msg_rotate_token_key_resp[] = {
    SPAN(1, cczi_msg_rotate_token_key_resp, kid, CCZ_JWK_THUMBPRINT_SIZE),
    SPAN(CCZI_MSG_RECEIPT, cczi_msg_rotate_token_key_resp, receipt, 64),
    END,
};

void cczi_attest_req_put(struct ccz_buf *out, const struct cczi_msg_attest_req *m)
{
    cczi_msg_put(out, cczi_msg_attest_req, m);
}

ccz_rc cczi_attest_resp_get(struct cczi_msg_attest_resp *out, struct ccz_span in,
                            struct ccz_err *err)
{
    *out = (struct cczi_msg_attest_resp){0};
    return cczi_msg_get(out, cczi_msg_attest_resp, in, err);
}

ccz_rc cczi_token_keys_resp_get(struct cczi_msg_token_keys_resp *out, struct ccz_span in,
                                struct ccz_err *err)
{
    *out = (struct cczi_msg_token_keys_resp){0};
    return cczi_msg_get(out, cczi_msg_token_keys_resp, in, err);
}

/* ------------------------------------------------------------------------------- Attest */

/* What ccz_ear wants: texts with a NUL, and how long the token is good. */
struct texts {
    int64_t life_s;
    char evidence[CCZ_KMS_EVIDENCE_URI_SIZE]; /* "" = it is not kept */
    char issuer[ISSUER_SIZE_MAX + 1];
    char audience[CCZI_KMS_ATTEST_AUDIENCE_MAX + 1];
    char jti[2 * JTI_SIZE + 1];
};

static void issuer_of(char out[ISSUER_SIZE_MAX + 1], const struct cczi_kms_call *call)
{
    char hex[2 * CCZ_KMS_INSTANCE_SIZE + 1];
    ccz_hex(hex, call->store->instance, CCZ_KMS_INSTANCE_SIZE);
    if (call->req->info->issuer)
        (void)snprintf(out, ISSUER_SIZE_MAX + 1, "%s", call->req->info->issuer);
    else
        (void)snprintf(out, ISSUER_SIZE_MAX + 1, "cczoo-kms:%s", hex);
}

static bool is_text(struct ccz_span s)
{
    bool nul = false;
    for (size_t i = 0; i < s.size; i++)
        nul = nul || s.ptr[i] == 0;
    return !nul && ccz_utf8_ok(s);
}

/* What is said of the claims has to be text that is safe to say, and about one thing. */
static ccz_rc check_request(const struct cczi_msg_attest_req *m, struct ccz_err *err)
{
    if (m->nonce.size && !m->tee_pubkey.size)
        return ccz_refuse(err, CCZ_E_FORMAT, "kms:attest-nonce", "a nonce without a key",
                          "a nonce beside tee_pubkey");
    if (!is_text(m->nonce) || !is_text(m->audience))
        return ccz_refuse(err, CCZ_E_FORMAT, "kms:attest-text", "bytes that are no text",
                          "UTF-8 without NUL");
    return CCZ_OK;
}

/* What was verified when this session began holds while its collateral does; a connection may be months old. */
static ccz_rc check_age(const struct cczi_kms_call *call, struct ccz_err *err)
{
    int64_t expires_s = call->req->peer->claims.collateral_expires_s;
    if (call->req->now_s < expires_s)
        return CCZ_OK;
    char now[21], expired[21];
    ccz_time_format(now, call->req->now_s);
    ccz_time_format(expired, expires_s);
    ccz_refuse(err, CCZ_E_EXPIRED, "kms:attest-expired", now, expired);
    return cczi_kms_hint(err, CCZ_E_EXPIRED);
}

/* So long is the token good; at least a second. One with a policy says no longer that it accepts than it does. */
static ccz_rc lifetime(int64_t *out_s, struct cczi_kms_call *call, struct ccz_err *err)
{
    const struct ccz_claims *claims = &call->req->peer->claims;
    const struct ccz_policy *policy = NULL;
    const int64_t now_s = call->req->now_s;
    int64_t until_s = now_s + CCZI_KMS_TOKEN_LIFETIME_S;
    if (claims->collateral_expires_s < until_s)
        until_s = claims->collateral_expires_s;
    *out_s = until_s - now_s;
    if (!call->accepted)
        return CCZ_OK;
    char name[CCZ_KMS_NAME_SIZE];
    memcpy(name, call->policy, sizeof(name));
    ccz_rc rc = cczi_kms_policy_parsed(&policy, call, name, err);
    if (rc == CCZ_OK)
        *out_s = cczi_kms_accepts_until(policy, claims, now_s, until_s) - now_s;
    return rc;
}

static ccz_rc tee_key(struct ccz_jwk **out, struct ccz_span json, struct ccz_err *err)
{
    *out = NULL;
    if (json.size == 0)
        return CCZ_OK;
    ccz_rc rc = ccz_jwk_parse(out, json, err);
    if (rc == CCZ_OK && ccz_jwk_enc_alg(*out) == CCZ_JOSE_ALG_NONE)
        rc = ccz_refuse(err, CCZ_E_UNSUPPORTED, "kms:attest-key", "a key for something else",
                        "a key for encryption: EC or RSA");
    return rc;
}

static ccz_rc draw_jti(char out[2 * JTI_SIZE + 1], struct ccz_err *err)
{
    uint8_t jti[JTI_SIZE];
    ccz_rc rc = ccz_random(jti, sizeof(jti));
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "kms:random", 0, "no random bytes");
    ccz_hex(out, jti, sizeof(jti));
    return CCZ_OK;
}

/* Everybody who may bind something can have a policy accept anything: which ones mean something, this KMS is told. */
static bool vouches_for(const char *names, const char *policy)
{
    struct ccz_span rest = ccz_span_str(names ? names : "");
    while (policy[0] && rest.size) {
        const uint8_t *comma = memchr(rest.ptr, ',', rest.size);
        size_t n = comma ? (size_t)(comma - rest.ptr) : rest.size;
        struct ccz_span name = ccz_span_sub(rest, 0, n);
        if (ccz_span_eq(name, ccz_span_str("*")) || ccz_span_eq(name, ccz_span_str(policy)))
            return true;
        rest = ccz_span_sub(rest, n + (comma != NULL), rest.size - n - (comma != NULL));
    }
    return false;
}

/* The claims of the token, as JSON. */
static ccz_rc put_result(struct ccz_buf *out, const struct cczi_kms_call *call,
                         const struct cczi_msg_attest_req *m, const struct ccz_jwk *key,
                         const struct texts *t, struct ccz_err *err)
{
    const struct ccz_claims *c = &call->req->peer->claims;
    CCZ_AUTO_BUF claims;
    ccz_buf_init(&claims, CLAIMS_SIZE_MAX);
    cczi_kms_ear_claims(&claims, c, m->full_claims);
    if (t->evidence[0]) { /* one more member of the object */
        claims.size -= claims.size > 0;
        ccz_buf_printf(&claims, ",\"raw_evidence\":\"%s\"}", t->evidence);
    }
    if (claims.bad)
        return ccz_fail(err, CCZ_E_INTERNAL, "kms:attest-claims", CLAIMS_SIZE_MAX,
                        "the claims are too large");
    struct ccz_ear_submod cpu = {
        .name = "cpu0",
        .vector = cczi_kms_ear_vector(c),
        .policy_id = call->policy[0] ? call->policy : NULL,
        .tee = ccz_tee_name(c->tee),
        .evidence = ccz_buf_span(&claims),
        .report_data = CCZ_SPAN(c->report_data, sizeof(c->report_data)),
        .tee_key = key,
        .nonce = m->nonce,
    };
    if (vouches_for(call->req->info->token_policies,
                    call->policy)) /* AR4SI "approved executables" */
        cpu.vector.value[CCZ_EAR_EXECUTABLES] = 3;
    struct ccz_ear ear = {
        .issuer = t->issuer,
        .developer = "https://github.com/intel/confidential-computing-zoo",
        .build = call->req->info->version,
        .audience = t->audience[0] ? t->audience : NULL,
        .id = t->jti,
        .iat_s = call->req->now_s,
        .lifetime_s = t->life_s,
        .submods = &cpu,
        .submods_len = 1,
    };
    return ccz_ear_put(out, &ear, err);
}

static ccz_rc judge_by(struct cczi_kms_call *call, const char *policy, struct ccz_err *err)
{
    bool used = false;
    struct cczi_kms_policy p = {0};
    ccz_buf_init(&p.json, CCZ_POLICY_SIZE_MAX);
    ccz_rc rc = cczi_kms_policy_get(&p, call->store, policy, err);
    ccz_buf_free(&p.json);
    rc = cczi_kms_or_not_found(err, rc, "policy", policy);
    if (rc == CCZ_OK)
        rc = cczi_kms_policy_used(&used, call->store, policy, err);
    if (rc == CCZ_OK && !used)
        rc = ccz_refuse(err, CCZ_E_NOT_FOUND, "kms:attest-unbound", policy,
                        "a policy that an item is bound to");
    return rc == CCZ_OK ? cczi_kms_judge_by(call, policy, err) : rc;
}

/* The policy that the caller names, over its claims: a token with its name in it says that it accepted. Any attested peer names any
 * policy; so it is not told apart which of them there are, and only those for something are counted and recorded. */
static ccz_rc judge(struct cczi_kms_call *call, struct ccz_span policy, struct ccz_err *err)
{
    char name[CCZ_KMS_NAME_SIZE];
    if (policy.size == 0)
        return CCZ_OK;
    ccz_rc rc = cczi_kms_name(name, policy, err);
    if (rc != CCZ_OK)
        return rc;
    rc = judge_by(call, name, err);
    call->hides_policy = rc == CCZ_E_NOT_FOUND || rc == CCZ_E_POLICY;
    return rc;
}

static ccz_rc sign(struct ccz_buf *token, int64_t *life_s, struct cczi_kms_call *call,
                   const struct cczi_msg_attest_req *m, struct ccz_err *err)
{
    struct texts t = {0};
    CCZ_AUTO(ccz_jwk) key = NULL;
    CCZ_AUTO_BUF result;
    ccz_buf_init(&result, CCZI_KMS_TOKEN_SIZE_MAX);
    issuer_of(t.issuer, call);
    if (m->audience.size)
        memcpy(t.audience, m->audience.ptr, m->audience.size);
    ccz_rc rc = lifetime(&t.life_s, call, err);
    *life_s = t.life_s;
    if (rc == CCZ_OK)
        rc = tee_key(&key, m->tee_pubkey, err);
    if (rc == CCZ_OK && m->keep_evidence)
        rc = cczi_kms_keep_evidence(t.evidence, call, err);
    if (rc == CCZ_OK)
        rc = draw_jti(t.jti, err);
    if (rc == CCZ_OK)
        rc = put_result(&result, call, m, key, &t, err);
    const struct cczi_kms_token_key *k = NULL;
    if (rc == CCZ_OK)
        rc = cczi_kms_token_key(&k, call->store, call->req->now_s, err);
    if (rc != CCZ_OK)
        return rc;
    (void)snprintf(call->detail, sizeof(call->detail), "jti=%s", t.jti);
    const struct ccz_jws_header header = {.typ = "JWT", .kid = k->kid, .with_jwk = true};
    return ccz_jws_sign(token, k->key, &header, ccz_buf_span(&result), err);
}

ccz_rc cczi_kms_run_attest(struct ccz_buf *response, struct cczi_kms_call *call,
                           struct ccz_err *err)
{
    struct cczi_msg_attest_req m = {0};
    ccz_rc rc = cczi_msg_get(&m, cczi_msg_attest_req, call->req->body, err);
    if (rc == CCZ_OK)
        rc = check_request(&m, err);
    if (rc == CCZ_OK)
        rc = check_age(call, err);
    if (rc == CCZ_OK)
        rc = judge(call, m.policy, err);
    int64_t life_s = 0;
    CCZ_AUTO_BUF token;
    ccz_buf_init(&token, CCZI_KMS_TOKEN_SIZE_MAX);
    if (rc == CCZ_OK)
        rc = sign(&token, &life_s, call, &m, err);
    if (rc != CCZ_OK)
        return rc;
    struct cczi_msg_attest_resp out = {
        .token = ccz_buf_span(&token),
        .expires_s = (uint64_t)(call->req->now_s + life_s),
        .instance = CCZ_SPAN(call->store->instance, CCZ_KMS_INSTANCE_SIZE),
    };
    cczi_msg_put(response, cczi_msg_attest_resp, &out);
    return CCZ_OK;
}

/* --------------------------------------------------------------------------------- keys */

/* For anybody who reaches the KMS: public keys. */
ccz_rc cczi_kms_run_token_keys(struct ccz_buf *response, struct cczi_kms_call *call,
                               struct ccz_err *err)
{
    char issuer[ISSUER_SIZE_MAX + 1];
    CCZ_AUTO_BUF jwks;
    ccz_buf_init(&jwks, CCZ_JWKS_SIZE_MAX);
    ccz_rc rc = cczi_msg_get(NULL, cczi_msg_none, call->req->body, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_token_keys_put(&jwks, call->store, call->req->now_s, err);
    if (rc != CCZ_OK)
        return rc;
    issuer_of(issuer, call);
    struct cczi_msg_token_keys_resp out = {.jwks = ccz_buf_span(&jwks),
                                           .issuer = ccz_span_str(issuer)};
    cczi_msg_put(response, cczi_msg_token_keys_resp, &out);
    return CCZ_OK;
}

ccz_rc cczi_kms_run_rotate_token_key(struct ccz_buf *response, struct cczi_kms_call *call,
                                     struct ccz_err *err)
{
    const struct cczi_kms_token_key *k = NULL;
    ccz_rc rc = cczi_msg_get(NULL, cczi_msg_none, call->req->body, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_token_rotate_now(call->store, call->req->now_s, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_token_key(&k, call->store, call->req->now_s, err);
    if (rc != CCZ_OK)
        return rc;
    (void)snprintf(call->detail, sizeof(call->detail), "kid=%s", k->kid);
    struct cczi_msg_rotate_token_key_resp out = {.kid = ccz_span_str(k->kid)};
    cczi_msg_put(response, cczi_msg_rotate_token_key_resp, &out);
    return CCZ_OK;
}
