/* SPDX-License-Identifier: Apache-2.0 */
/* What the operator changes while the server runs: certificate, key, map. Read together, so that connections see old or new, never a mix. */
#include "prov.h"

#include <stdlib.h>

enum { PEM_SIZE_MAX = 1 << 20, KEY_PEM_SIZE_MAX = 65536 };

static ccz_rc load_tls(struct cczi_prov_site *s, const struct ccz_kms_prov_cfg *cfg,
                       ccz_tls_verify_fn verify, void *arg, struct ccz_err *err)
{
    CCZ_AUTO_BUF chain;
    ccz_buf_init(&chain, PEM_SIZE_MAX);
    CCZ_AUTO(ccz_secret) key = NULL;
    ccz_rc rc = ccz_file_read(&chain, cfg->cert_file, err);
    if (rc == CCZ_OK)
        rc = ccz_file_read_secret(&key, cfg->key_file, KEY_PEM_SIZE_MAX, err);
    const struct ccz_tls_public_cfg tls = {.chain_pem = ccz_buf_span(&chain),
                                           .key_pem = key,
                                           .peer_cert = CCZ_TLS_PEER_CERT_REQUIRED,
                                           .verify = verify,
                                           .verify_arg = arg};
    return rc == CCZ_OK ? ccz_tls_ctx_new_public(&s->tls, &tls, err) : rc;
}

static ccz_rc load_map(struct cczi_prov_site *s, const struct ccz_kms_prov_cfg *cfg,
                       struct ccz_err *err)
{
    CCZ_AUTO_BUF json;
    ccz_buf_init(&json, CCZI_PROV_MAP_SIZE_MAX);
    ccz_rc rc = ccz_file_read(&json, cfg->map_file, err);
    return rc == CCZ_OK ? cczi_prov_map_parse(&s->map, ccz_buf_span(&json), err) : rc;
}

ccz_rc cczi_prov_site_load(struct cczi_prov_site **out, const struct ccz_kms_prov_cfg *cfg,
                           ccz_tls_verify_fn verify, void *arg, struct ccz_err *err)
{
    *out = NULL;
    struct cczi_prov_site *s = calloc(1, sizeof(*s));
    if (!s)
        return ccz_fail(err, CCZ_E_NOMEM, "prov:site", 0, "out of memory");
    s->refs = 1;
    ccz_rc rc = load_tls(s, cfg, verify, arg, err);
    if (rc == CCZ_OK)
        rc = load_map(s, cfg, err);
    if (rc == CCZ_OK)
        *out = s;
    else
        cczi_prov_site_unref(s);
    return rc;
}

struct cczi_prov_site *cczi_prov_site_ref(struct cczi_prov_site *s)
{
    atomic_fetch_add(&s->refs, 1);
    return s;
}

void cczi_prov_site_unref(struct cczi_prov_site *s)
{
    if (!s || atomic_fetch_sub(&s->refs, 1) != 1)
        return;
    ccz_tls_ctx_free(s->tls);
    cczi_prov_map_free(s->map);
    free(s);
}
