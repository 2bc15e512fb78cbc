/* SPDX-License-Identifier: Apache-2.0 */
/* The KBS protocol on a door: its routes, and how it says no. */
#include "kbs_door.h"

#include <cczoo/kms.h>

#include <stdlib.h>
#include <string.h>

enum { AUTH_BODY_MAX = 65536, NONCE_MAX_S = 3600, ERR_SIZE_MAX = 8192 };

/* -------------------------------------------------------------------------------- errors */

static bool begins(const char *s, const char *with)
{
    return strncmp(s, with, strlen(with)) == 0;
}

static const char *const who_are_you[] = {
    "kbs:no-session",    "kbs:session",       "kbs:session-expired", "kbs:token",
    "kbs:token-expired", "kbs:nonce-session", "replay:used",         "replay:expired",
};

static bool is_full(const struct ccz_err *err)
{
    return strcmp(err->where, "replay:full") == 0 || strcmp(err->where, "kbs:platform") == 0;
}

unsigned cczi_kbs_status(const struct ccz_err *err)
{
    for (size_t i = 0; i < sizeof(who_are_you) / sizeof(who_are_you[0]); i++)
        if (strcmp(err->where, who_are_you[i]) == 0)
            return 401;
    if (begins(err->where, "nonce:"))
        return 401;
    if (is_full(err))
        return 429;
    if (begins(err->where, "kbs:plugin"))
        return 404;
    /* evidence that does not fit, or of whose platform nothing is known: there is no conflict, and no resource that is missing */
    if (err->rc == CCZ_E_MISMATCH || (err->rc == CCZ_E_NOT_FOUND && !begins(err->where, "kms:")))
        return 403;
    return cczi_door_status(err, NULL);
}

/* The last part of the type of an error: for people, clients do not look at it. */
static const char *variant(unsigned status, const struct ccz_err *err)
{
    if (strcmp(err->where, "kbs:version") == 0)
        return "ProtocolVersion";
    if (begins(err->where, "kbs:plugin"))
        return "PluginNotFound";
    if (strcmp(err->where, "kbs:path") == 0 || strcmp(err->where, "door:path") == 0)
        return "InvalidRequestPath";
    switch (status) {
    case 400:
        return "InvalidRequest";
    case 401:
        return "TokenNotFound";
    case 403:
        return err->rc == CCZ_E_POLICY || begins(err->where, "kms:") ? "PolicyDeny"
                                                                     : "AttestationError";
    case 404:
        return "ResourceNotFound";
    case 409:
        return "Conflict";
    case 429:
        return "TooManyRequests";
    default:
        return status < 500 ? "InvalidRequest" : "Unavailable";
    }
}

unsigned cczi_kbs_put_err(struct ccz_buf *out, unsigned status, const struct ccz_err *err)
{
    CCZ_AUTO_BUF detail;
    CCZ_AUTO_BUF ours;
    ccz_buf_init(&detail, 1024);
    ccz_buf_init(&ours, ERR_SIZE_MAX);
    ccz_buf_printf(&detail, "%s: %s", err->where, err->msg);
    if (strcmp(err->where, "kbs:version") == 0)
        ccz_buf_put_str(&detail, " (supported: " CCZI_KBS_VERSION ")");
    ccz_buf_printf(out,
                   "{\"type\":\"https://github.com/confidential-containers/kbs/errors/%s\","
                   "\"detail\":",
                   variant(status, err));
    ccz_json_put_str(out, ccz_buf_span(&detail));
    cczi_door_err_json(&ours, err); /* an object; its members follow */
    if (ours.size > 2 && !ours.bad) {
        ccz_buf_u8(out, ',');
        ccz_buf_put(out, ours.ptr + 1, ours.size - 2);
    }
    if (strcmp(err->where, "kbs:version") == 0)
        ccz_buf_put_str(out, ",\"supported\":[\"" CCZI_KBS_VERSION "\"]");
    ccz_buf_u8(out, '}');
    return status;
}

void cczi_kbs_reply_err(struct cczi_door_req *r, const struct ccz_err *err)
{
    struct ccz_err slow = *err;
    if (is_full(err))
        slow.aux = 10; /* seconds until some of what fills the memory has ended */
    cczi_door_reply_err_as(r, cczi_kbs_status(err), &slow);
}

void cczi_kbs_reply_admin_err(struct cczi_door_req *r, const struct ccz_err *err)
{
    cczi_door_reply_err_as(r, cczi_door_status(err, &r->auth), err);
}

/* Other plugins of other servers, and paths of no meaning. */
static void on_elsewhere(struct cczi_door_req *r, void *arg)
{
    struct ccz_err err = {0};
    (void)arg;
    ccz_fail(&err, CCZ_E_NOT_FOUND, "kbs:plugin", 0, "there is nothing at this path");
    ccz_hint(&err, CCZ_E_NOT_FOUND,
             "here are auth, attest and resource; policies, reference values and keys are those of "
             "the KMS: cczoo kms");
    cczi_kbs_reply_err(r, &err);
}

/* -------------------------------------------------------------------------------- routes */

static void kbs_free(void *arg)
{
    struct cczi_kbs *k = arg;
    cczi_kbs_sessions_free(k->sessions);
    ccz_buf_free(&k->keys.response);
    free(k);
}

static ccz_rc add_routes(struct ccz_kms_door *d, struct cczi_kbs *k, struct ccz_err *err)
{
    const struct cczi_door_route routes[] = {
        {"kbs_auth", "POST", "/kbs/v0/auth", CCZI_DOOR_OWN_AUTH, AUTH_BODY_MAX, cczi_kbs_on_auth, k,
         cczi_kbs_put_err},
        {"kbs_attest", "POST", "/kbs/v0/attest", CCZI_DOOR_OWN_AUTH, CCZI_KBS_BODY_MAX,
         cczi_kbs_on_attest, k, cczi_kbs_put_err},
        {"kbs_resource", "GET POST DELETE", "/kbs/v0/resource/", CCZI_DOOR_OWN_AUTH,
         CCZ_KMS_VALUE_SIZE_MAX, cczi_kbs_on_resource, k, cczi_kbs_put_err},
        {"kbs_elsewhere", "GET POST PUT DELETE", "/kbs/", CCZI_DOOR_OWN_AUTH, CCZI_DOOR_BODY_ANY,
         on_elsewhere, k, cczi_kbs_put_err},
        {"jwks", "GET", "/.well-known/jwks.json", CCZI_DOOR_OWN_AUTH, 0, cczi_kbs_on_jwks, k, NULL},
        {"discovery", "GET", "/.well-known/openid-configuration", CCZI_DOOR_OWN_AUTH, 0,
         cczi_kbs_on_discovery, k, NULL},
    };
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]) && rc == CCZ_OK; i++)
        rc = cczi_door_route(d, &routes[i], err);
    return rc;
}

ccz_rc ccz_kms_door_kbs(struct ccz_kms_door *d, const struct ccz_kms_door_kbs_cfg *cfg,
                        struct ccz_err *err)
{
    const struct cczi_kbs_sessions_cfg sessions = {
        .len = cfg->sessions ? cfg->sessions : CCZI_KBS_SESSIONS,
        .used = cfg->attestations ? cfg->attestations : CCZI_KBS_ATTESTATIONS,
        .auth_s = cfg->nonce_s ? cfg->nonce_s : CCZI_KBS_NONCE_S,
    };
    if (!cfg->verifier || sessions.auth_s > NONCE_MAX_S)
        return ccz_fail(err, CCZ_E_ARG, "kbs:config", cfg->nonce_s,
                        "a verifier, and nonces of at most %d seconds", NONCE_MAX_S);
    struct cczi_kbs *k = calloc(1, sizeof(*k));
    if (!k)
        return ccz_fail(err, CCZ_E_NOMEM, "kbs:memory", 0, "out of memory");
    k->verifier = cfg->verifier;
    ccz_buf_init(&k->keys.response, CCZ_KMS_MESSAGE_SIZE_MAX);
    ccz_rc rc = cczi_kbs_sessions_new(&k->sessions, &sessions, err);
    if (rc == CCZ_OK && (rc = cczi_door_at_free(d, kbs_free, k)) != CCZ_OK)
        ccz_fail(err, rc, "kbs:memory", 0, "out of memory");
    if (rc != CCZ_OK) {
        kbs_free(k);
        return rc;
    }
    return add_routes(d, k, err);
}
