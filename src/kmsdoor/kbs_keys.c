/* SPDX-License-Identifier: Apache-2.0 */
/* What relying parties need: the keys of tokens, and where they are. */
#include "kbs_door.h"

#include "kms/kms_attest.h"

#include <string.h>

enum { KEYS_FOR_MS = 5000, AGAIN_MS = 1000 };

static void reply_jwks(struct cczi_door_req *r, const struct cczi_msg_token_keys_resp *m)
{
    cczi_door_reply_json(r, 200, m->jwks);
}

/* OpenID Connect Discovery 1.0, as far as one who verifies tokens needs it. */
static void reply_discovery(struct cczi_door_req *r, const struct cczi_msg_token_keys_resp *m)
{
    struct ccz_err why = {0};
    if (m->issuer.size < 8 || memcmp(m->issuer.ptr, "https://", 8) != 0) {
        ccz_fail(&why, CCZ_E_NOT_FOUND, "kbs:issuer", 0,
                 "the issuer of tokens is no URL, so that there is nothing to be discovered");
        (void)ccz_hint(&why, why.rc,
                       "say under which https URL this server is reached: cczoo-kmsd --issuer");
        cczi_door_reply_err(r, &why);
        return;
    }
    struct ccz_span base = m->issuer;
    while (base.ptr[base.size - 1] == '/') /* it begins with "https:" */
        base.size--;
    CCZ_AUTO_BUF uri;
    CCZ_AUTO_BUF json;
    ccz_buf_init(&uri, 512);
    ccz_buf_init(&json, 4096);
    ccz_buf_put_span(&uri, base);
    ccz_buf_put_str(&uri, "/.well-known/jwks.json");
    ccz_buf_put_str(&json, "{\"issuer\":");
    ccz_json_put_str(&json, m->issuer);
    ccz_buf_put_str(&json, ",\"jwks_uri\":");
    ccz_json_put_str(&json, ccz_buf_span(&uri));
    ccz_buf_put_str(&json,
                    ",\"response_types_supported\":[\"id_token\"],\"subject_types_supported\":["
                    "\"public\"],\"id_token_signing_alg_values_supported\":[\"ES256\"]}");
    json.bad |= uri.bad;
    cczi_door_reply_built(r, &json);
}

/* From what was heard last. */
static void reply(struct cczi_door_req *r, const struct cczi_kbs_keys *keys, bool discovery)
{
    struct cczi_msg_token_keys_resp m;
    struct ccz_err why = keys->err;
    if (why.rc != CCZ_OK ||
        cczi_token_keys_resp_get(&m, ccz_buf_span(&keys->response), &why) != CCZ_OK)
        cczi_door_reply_err(r, &why);
    else if (discovery)
        reply_discovery(r, &m);
    else
        reply_jwks(r, &m);
}

static void heard(struct cczi_door_req *r, struct cczi_kbs *k, bool discovery,
                  struct ccz_span response, const struct ccz_err *err)
{
    struct cczi_kbs_keys *keys = &k->keys;
    keys->asking = false;
    keys->known = true;
    keys->at_ms = ccz_mono_ms();
    keys->err = err ? *err : (struct ccz_err){0};
    ccz_buf_clear(&keys->response);
    ccz_buf_put_span(&keys->response, response);
    if (keys->response.bad) {
        ccz_buf_free(&keys->response);
        ccz_buf_init(&keys->response, CCZ_KMS_MESSAGE_SIZE_MAX);
        ccz_fail(&keys->err, CCZ_E_NOMEM, "kbs:memory", 0, "out of memory");
    }
    reply(r, keys, discovery);
}

static void on_jwks(struct cczi_door_req *r, void *arg, struct ccz_span response,
                    const struct ccz_err *err)
{
    heard(r, arg, false, response, err);
}

static void on_discovery(struct cczi_door_req *r, void *arg, struct ccz_span response,
                         const struct ccz_err *err)
{
    heard(r, arg, true, response, err);
}

/* Anybody may ask, as often as he likes, and the KMS opens every key for an answer: one call at a time, and one in a while. */
static void answer(struct cczi_door_req *r, struct cczi_kbs *k, bool discovery)
{
    struct cczi_kbs_keys *keys = &k->keys;
    struct ccz_err err = {0};
    int64_t good_ms = keys->err.rc == CCZ_OK ? KEYS_FOR_MS : AGAIN_MS;
    if (keys->known && (keys->asking || ccz_mono_ms() - keys->at_ms < good_ms)) {
        reply(r, keys, discovery);
    } else if (keys->asking) {
        ccz_fail(&err, CCZ_E_UNAVAILABLE, "kbs:keys", 0, "the keys were not heard of yet");
        cczi_door_reply_err_as(r, 503, &err);
    } else {
        keys->asking = true;
        cczi_door_call(r, &(struct cczi_door_call){.method = "TokenKeys"},
                       discovery ? on_discovery : on_jwks, k);
    }
}

void cczi_kbs_on_jwks(struct cczi_door_req *r, void *arg)
{
    answer(r, arg, false);
}

void cczi_kbs_on_discovery(struct cczi_door_req *r, void *arg)
{
    answer(r, arg, true);
}
