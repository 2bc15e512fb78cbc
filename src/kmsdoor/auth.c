/* SPDX-License-Identifier: Apache-2.0 */
/* Who calls: a key that the TLS handshake proved, or the subject of a token. */
#define _DEFAULT_SOURCE
#include "door_priv.h"

#include <cczoo/crypto.h>

#include <string.h>
#include <strings.h>

enum { NAME_SIZE_MAX = 1024 };

ccz_rc ccz_kms_door_subject(uint8_t id[32], const char *iss, const char *sub, struct ccz_err *err)
{
    static const char label[] = "cczoo kms subject";
    memset(id, 0, 32);
    size_t iss_size = strlen(iss), sub_size = strlen(sub);
    if (iss_size == 0 || sub_size == 0 || iss_size > NAME_SIZE_MAX || sub_size > NAME_SIZE_MAX)
        return ccz_fail(err, CCZ_E_ARG, "door:subject", (int64_t)sub_size,
                        "issuer and subject have 1 to %d bytes", NAME_SIZE_MAX);
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, sizeof(label) + 2 * NAME_SIZE_MAX + 1);
    ccz_buf_put(&b, label, sizeof(label)); /* with its NUL */
    ccz_buf_put(&b, iss, iss_size + 1);
    ccz_buf_put(&b, sub, sub_size);
    if (b.bad || ccz_sha256(id, ccz_buf_span(&b)) != CCZ_OK)
        return ccz_fail(err, CCZ_E_NOMEM, "door:subject", 0, "out of memory");
    return CCZ_OK;
}

/* The credentials of RFC 6750, 2.1: one scheme, one space, one token. */
static struct ccz_span bearer_of(const char *value)
{
    static const char scheme[] = "Bearer ";
    if (!value || strncasecmp(value, scheme, sizeof(scheme) - 1) != 0)
        return (struct ccz_span){0};
    return ccz_span_str(value + sizeof(scheme) - 1);
}

struct ccz_span cczi_door_bearer(const struct cczi_door_req *r)
{
    return bearer_of(ccz_http_header(r->http, "Authorization"));
}

static void set_principal(struct cczi_door_auth *a, enum cczi_door_kind kind, const uint8_t id[32])
{
    a->kind = kind;
    memcpy(a->id, id, 32);
    a->peer.pinned = true; /* the handler looks it up for each call */
    memcpy(a->peer.spki_sha256, id, 32);
}

/* What the holder, or who runs the server, does about it. */
static ccz_rc hint_token(struct ccz_err *err, ccz_rc rc)
{
    static const char clocks[] =
        "compare the clocks of this machine and of the issuer; cczoo-kmsd run --jwt-skew";
    static const struct {
        const char *where, *hint;
    } hints[] = {
        {"door:token-scheme", "send: Authorization: Bearer TOKEN"},
        {"door:token-twice", "send one of Authorization and X-Vault-Token"},
        {"door:token-issuer",
         "who runs the server names issuers: cczoo-kmsd run --jwt-issuer or --jwt-issuers"},
        {"door:token-aud", "ask the issuer for a token of the audience that cczoo-kmsd run "
                           "--jwt-audience names"},
        {"door:token-exp", "get a new token from the issuer"},
        {"door:token-age", "get a new token from the issuer"},
        {"door:token-nbf", clocks},
        {"door:token-iat", clocks},
        {"door:token-typ", "this token was made for something else, such as a logout"},
        {"door:token-keys", "ask again; the log of the server says why the issuer's keys were not "
                            "had"},
        {"door:token-kid", "get a new token: the issuer does not publish this key any more"},
    };
    for (size_t i = 0; err && i < sizeof(hints) / sizeof(*hints); i++)
        if (strcmp(err->where, hints[i].where) == 0)
            return ccz_hint(err, rc, hints[i].hint);
    return rc;
}

static ccz_rc identify_token(struct cczi_door_req *r, struct ccz_span token, struct ccz_err *err)
{
    struct ccz_kms_door *d = r->door;
    uint8_t id[32];
    if (token.size == 0)
        return ccz_fail(err, CCZ_E_DENIED, "door:token-scheme", 0,
                        "no token, or an Authorization header that is no \"Bearer TOKEN\"");
    if (!d->issuers)
        return ccz_fail(err, CCZ_E_DENIED, "door:token-issuer", 0,
                        "this server takes no tokens: no issuer is configured");
    ccz_rc rc = cczi_issuers_verify(id, d->issuers, token, cczi_door_now_s(d), err);
    if (rc == CCZ_OK)
        set_principal(&r->auth, CCZI_DOOR_TOKEN, id);
    return rc;
}

/* A token that is shown decides alone, also beside a certificate: nobody acts as the one and is judged as the other. */
ccz_rc cczi_door_identify(struct cczi_door_req *r, unsigned flags, struct ccz_err *err)
{
    const char *value =
        flags & CCZI_DOOR_OWN_AUTH ? NULL : ccz_http_header(r->http, "Authorization");
    const char *vault =
        flags & CCZI_DOOR_VAULT_TOKEN ? ccz_http_header(r->http, "X-Vault-Token") : NULL;
    if (value && vault)
        return hint_token(err, ccz_fail(err, CCZ_E_DENIED, "door:token-twice", 0,
                                        "two headers with a token: which of them is meant?"));
    if (value || vault) {
        ccz_rc rc = identify_token(r, vault ? ccz_span_str(vault) : bearer_of(value), err);
        return rc == CCZ_OK ? rc : hint_token(err, rc);
    }
    const struct ssl_st *ssl = ccz_http_ssl(r->http);
    uint8_t id[32];
    ccz_rc rc = ssl ? cczi_web_peer(id, ssl) : CCZ_E_NOT_FOUND;
    if (rc == CCZ_OK)
        set_principal(&r->auth, CCZI_DOOR_PINNED, id);
    else if (rc != CCZ_E_NOT_FOUND)
        return ccz_fail(err, CCZ_E_NOMEM, "door:peer", 0, "cannot hash the client's key");
    return CCZ_OK;
}
