/* SPDX-License-Identifier: Apache-2.0 */
/* Attestation results as claims of a token (draft-fv-rats-ear; the vector of draft-ietf-rats-ar4si). */
#include "jose_priv.h"

#include <inttypes.h>
#include <string.h>

static const char *const claim_names[] = {
    [CCZ_EAR_INSTANCE_IDENTITY] = "instance-identity",
    [CCZ_EAR_CONFIGURATION] = "configuration",
    [CCZ_EAR_EXECUTABLES] = "executables",
    [CCZ_EAR_FILE_SYSTEM] = "file-system",
    [CCZ_EAR_HARDWARE] = "hardware",
    [CCZ_EAR_RUNTIME_OPAQUE] = "runtime-opaque",
    [CCZ_EAR_STORAGE_OPAQUE] = "storage-opaque",
    [CCZ_EAR_SOURCED_DATA] = "sourced-data",
};
static const char *const status_names[] = {
    [CCZ_EAR_NONE] = "none",
    [CCZ_EAR_AFFIRMING] = "affirming",
    [CCZ_EAR_WARNING] = "warning",
    [CCZ_EAR_CONTRAINDICATED] = "contraindicated",
};

const char *ccz_ear_claim_name(enum ccz_ear_claim c)
{
    return (size_t)c < CCZ_EAR_CLAIMS ? claim_names[c] : "";
}

const char *ccz_ear_status_name(enum ccz_ear_status s)
{
    return (size_t)s <= CCZ_EAR_CONTRAINDICATED ? status_names[s] : "";
}

enum ccz_ear_status ccz_ear_tier(int8_t value)
{
    if (value >= -1 && value <= 1)
        return CCZ_EAR_NONE;
    if (value >= -32 && value <= 31)
        return CCZ_EAR_AFFIRMING;
    return value >= -96 && value <= 95 ? CCZ_EAR_WARNING : CCZ_EAR_CONTRAINDICATED;
}

enum ccz_ear_status ccz_ear_status(const struct ccz_ear_vector *v)
{
    enum ccz_ear_status worst = CCZ_EAR_NONE;
    for (size_t i = 0; i < CCZ_EAR_CLAIMS; i++) {
        enum ccz_ear_status s = ccz_ear_tier(v->value[i]);
        worst = s > worst ? s : worst;
    }
    return worst;
}

struct ccz_ear_vector ccz_ear_appraise(const struct ccz_ear_rule *rules, size_t len,
                                       const struct ccz_claims *c)
{
    struct ccz_ear_vector v = {0};
    bool decided[CCZ_EAR_CLAIMS] = {false};
    for (size_t i = 0; i < len; i++) {
        const struct ccz_ear_rule *r = &rules[i];
        if ((size_t)r->claim >= CCZ_EAR_CLAIMS || decided[r->claim])
            continue;
        bool holds = !r->holds || r->holds(c);
        v.value[r->claim] = holds ? r->value : CCZ_EAR_NO_RULE;
        decided[r->claim] = holds;
    }
    return v;
}

/* ------------------------------------------------------------------------------- writing */

static ccz_rc check_config(const struct ccz_ear *e, struct ccz_err *err)
{
    bool ok = e->issuer && e->developer && e->build && e->iat_s >= 0 && e->lifetime_s >= 1 &&
              e->lifetime_s <= CCZ_EAR_LIFETIME_MAX_S &&
              e->iat_s <= CCZ_JWT_TIME_MAX_S - e->lifetime_s && e->submods_len >= 1 &&
              e->submods_len <= CCZ_EAR_SUBMODS_MAX;
    for (size_t i = 0; i < e->submods_len && ok; i++) {
        const struct ccz_ear_submod *s = &e->submods[i];
        ok = s->name && (s->evidence.size == 0) == (s->tee == NULL) &&
             (s->nonce.size == 0 || s->tee_key);
        ok = ok && !(s->tee && (strcmp(s->tee, "report_data") == 0 ||
                                strcmp(s->tee, "runtime_data_claims") == 0)); /* taken */
        for (size_t before = 0; before < i && ok; before++)
            ok = strcmp(e->submods[before].name, s->name) != 0;
    }
    if (ok)
        return CCZ_OK;
    return ccz_fail(err, CCZ_E_ARG, "ear:config", 0,
                    "issuer, verifier, times in range and submods of different names are required; "
                    "evidence with its TEE, a nonce with its key");
}

/* What somebody hands over as JSON stands in a token that we sign: it is one object, whatever it says. */
static ccz_rc check_evidence(const struct ccz_ear_submod *s, struct ccz_err *err)
{
    CCZ_AUTO(ccz_json) j = NULL;
    struct ccz_err why = {0};
    if (s->evidence.size == 0)
        return CCZ_OK;
    ccz_rc rc = ccz_json_parse(&j, s->evidence, &why);
    if (rc == CCZ_OK && ccz_json_type(j) == CCZ_JSON_OBJECT)
        return CCZ_OK;
    return ccz_fail(err, rc == CCZ_E_NOMEM ? rc : CCZ_E_FORMAT, "ear:evidence", why.aux,
                    "the evidence of a submod is no JSON object: %s", why.msg);
}

static void put_text(struct ccz_buf *out, const char *name, const char *text)
{
    ccz_buf_printf(out, "\"%s\":", name);
    cczi_put_jcs_str(out, ccz_span_str(text));
}

static void put_hex(struct ccz_buf *out, struct ccz_span bytes)
{
    char hex[3];
    ccz_buf_u8(out, '"');
    for (size_t i = 0; i < bytes.size; i++) {
        ccz_hex(hex, bytes.ptr + i, 1);
        ccz_buf_put_str(out, hex);
    }
    ccz_buf_u8(out, '"');
}

static void put_vector(struct ccz_buf *out, const struct ccz_ear_vector *v)
{
    const char *sep = "";
    ccz_buf_put_str(out, "\"ear.trustworthiness-vector\":{");
    for (size_t i = 0; i < CCZ_EAR_CLAIMS; i++) {
        if (v->value[i] == 0)
            continue;
        ccz_buf_printf(out, "%s\"%s\":%d", sep, claim_names[i], v->value[i]);
        sep = ",";
    }
    ccz_buf_u8(out, '}');
}

/* "ear.veraison.annotated-evidence", where the KBS protocol looks for the attested key; nothing if there is nothing to say. */
static void put_evidence(struct ccz_buf *out, const struct ccz_ear_submod *s)
{
    const char *sep = "";
    if (s->evidence.size == 0 && s->report_data.size == 0 && !s->tee_key)
        return;
    ccz_buf_put_str(out, ",\"ear.veraison.annotated-evidence\":{");
    if (s->evidence.size > 0) {
        cczi_put_jcs_str(out, ccz_span_str(s->tee));
        ccz_buf_u8(out, ':');
        ccz_buf_put_span(out, s->evidence);
        sep = ",";
    }
    if (s->report_data.size > 0) {
        ccz_buf_printf(out, "%s\"report_data\":", sep);
        put_hex(out, s->report_data);
        sep = ",";
    }
    if (s->tee_key) {
        ccz_buf_printf(out, "%s\"runtime_data_claims\":{", sep);
        if (s->nonce.size > 0) {
            ccz_buf_put_str(out, "\"nonce\":");
            cczi_put_jcs_str(out, s->nonce);
            ccz_buf_u8(out, ',');
        }
        ccz_buf_put_str(out, "\"tee-pubkey\":");
        ccz_jwk_put(out, s->tee_key, CCZ_JWK_TEE);
        ccz_buf_u8(out, '}');
    }
    ccz_buf_u8(out, '}');
}

static void put_submod(struct ccz_buf *out, const struct ccz_ear_submod *s)
{
    cczi_put_jcs_str(out, ccz_span_str(s->name));
    ccz_buf_put_str(out, ":{");
    put_text(out, "ear.status", status_names[ccz_ear_status(&s->vector)]);
    ccz_buf_u8(out, ',');
    if (s->policy_id) {
        put_text(out, "ear.appraisal-policy-id", s->policy_id);
        ccz_buf_u8(out, ',');
    }
    put_vector(out, &s->vector);
    put_evidence(out, s);
    ccz_buf_u8(out, '}');
}

static bool text_ok(const char *text)
{
    return !text || ccz_utf8_ok(ccz_span_str(text));
}

static ccz_rc check_text(const struct ccz_ear *e, struct ccz_err *err)
{
    bool ok = text_ok(e->issuer) && text_ok(e->developer) && text_ok(e->build) &&
              text_ok(e->profile) && text_ok(e->audience) && text_ok(e->id);
    for (size_t i = 0; i < e->submods_len && ok; i++) {
        const struct ccz_ear_submod *s = &e->submods[i];
        ok = text_ok(s->name) && text_ok(s->policy_id) && text_ok(s->tee) && ccz_utf8_ok(s->nonce);
    }
    return ok ? CCZ_OK : ccz_fail(err, CCZ_E_ARG, "ear:text", 0, "a text is no UTF-8");
}

ccz_rc ccz_ear_put(struct ccz_buf *out, const struct ccz_ear *e, struct ccz_err *err)
{
    ccz_rc rc = check_config(e, err);
    if (rc != CCZ_OK || (rc = check_text(e, err)) != CCZ_OK)
        return rc;
    for (size_t i = 0; i < e->submods_len; i++) {
        if ((rc = check_evidence(&e->submods[i], err)) != CCZ_OK)
            return rc;
    }
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, CCZ_JWS_SIZE_MAX);
    ccz_buf_u8(&text, '{');
    put_text(&text, "eat_profile", e->profile ? e->profile : CCZ_EAR_PROFILE);
    ccz_buf_printf(&text, ",\"iat\":%" PRId64 ",\"exp\":%" PRId64 ",", e->iat_s,
                   e->iat_s + e->lifetime_s);
    put_text(&text, "iss", e->issuer);
    if (e->audience) {
        ccz_buf_u8(&text, ',');
        put_text(&text, "aud", e->audience);
    }
    if (e->id) {
        ccz_buf_u8(&text, ',');
        put_text(&text, "jti", e->id);
    }
    ccz_buf_put_str(&text, ",\"ear.verifier-id\":{");
    put_text(&text, "developer", e->developer);
    ccz_buf_u8(&text, ',');
    put_text(&text, "build", e->build);
    ccz_buf_put_str(&text, "},\"submods\":{");
    for (size_t i = 0; i < e->submods_len; i++) {
        if (i)
            ccz_buf_u8(&text, ',');
        put_submod(&text, &e->submods[i]);
    }
    ccz_buf_put_str(&text, "}}");
    return cczi_hand_over(out, &text, "ear:size", err);
}
