/* SPDX-License-Identifier: Apache-2.0 */
/* What relying parties need: the keys of tokens, and where they are. */
#include "kbs_door.h"

#include "kms/kms_attest.h"

#include <string.h>

static void reply_jwks(struct cczi_door_req *r, void *arg, struct ccz_span response,
                       const struct ccz_err *err)
{
    struct cczi_msg_token_keys_resp m;
    struct ccz_err why = {0};
    (void)arg;
    ccz_rc rc = err ? (why = *err, err->rc) : cczi_token_keys_resp_get(&m, response, &why);
    if (rc == CCZ_OK)
        cczi_door_reply_json(r, 200, m.jwks);
    else
        cczi_door_reply_err(r, &why);
}

void cczi_kbs_on_jwks(struct cczi_door_req *r, void *arg)
{
    (void)arg;
    cczi_door_call(r, &(struct cczi_door_call){.method = "TokenKeys"}, reply_jwks, NULL);
}

/* OpenID Connect Discovery 1.0, as far as one who verifies tokens needs it. */
static void reply_discovery(struct cczi_door_req *r, void *arg, struct ccz_span response,
                            const struct ccz_err *err)
{
    struct cczi_msg_token_keys_resp m;
    struct ccz_err why = {0};
    (void)arg;
    ccz_rc rc = err ? (why = *err, err->rc) : cczi_token_keys_resp_get(&m, response, &why);
    if (rc == CCZ_OK && (m.issuer.size < 8 || memcmp(m.issuer.ptr, "https://", 8) != 0)) {
        rc = ccz_fail(&why, CCZ_E_NOT_FOUND, "kbs:issuer", 0,
                      "the issuer of tokens is no URL, so that there is nothing to be discovered");
        ccz_hint(&why, rc, "say under which https URL this server is reached: cczoo-kmsd --issuer");
    }
    if (rc != CCZ_OK) {
        cczi_door_reply_err(r, &why);
        return;
    }
    struct ccz_span base = m.issuer;
    while (base.ptr[base.size - 1] == '/') /* it begins with "https:" */
        base.size--;
    CCZ_AUTO_BUF uri;
    CCZ_AUTO_BUF json;
    ccz_buf_init(&uri, 512);
    ccz_buf_init(&json, 4096);
    ccz_buf_put_span(&uri, base);
    ccz_buf_put_str(&uri, "/.well-known/jwks.json");
    ccz_buf_put_str(&json, "{\"issuer\":");
    ccz_json_put_str(&json, m.issuer);
    ccz_buf_put_str(&json, ",\"jwks_uri\":");
    ccz_json_put_str(&json, ccz_buf_span(&uri));
    ccz_buf_put_str(&json,
                    ",\"response_types_supported\":[\"id_token\"],\"subject_types_supported\":["
                    "\"public\"],\"id_token_signing_alg_values_supported\":[\"ES256\"]}");
    cczi_door_reply_json(r, 200, ccz_buf_span(&json));
}

void cczi_kbs_on_discovery(struct cczi_door_req *r, void *arg)
{
    (void)arg;
    cczi_door_call(r, &(struct cczi_door_call){.method = "TokenKeys"}, reply_discovery, NULL);
}
