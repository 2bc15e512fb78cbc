/* SPDX-License-Identifier: Apache-2.0 */
/* Sealing keys: what a provider has, through a KDF, so that each purpose has a key of its own. */
#include "tee/tee_priv.h"

#include <cczoo/crypto.h>

#include <string.h>

static const struct {
    const struct cczi_tee_provider *provider;
    ccz_rc (*seal)(uint8_t raw[32], struct ccz_attester *a, enum ccz_seal_to to,
                   struct ccz_err *err);
} sealing[] = {{&cczi_tee_gramine, cczi_gramine_seal}, {&cczi_tee_sim_sgx, cczi_sim_seal}};

static ccz_rc unsupported(const struct ccz_attester *a, struct ccz_err *err)
{
    (void)ccz_refuse(err, CCZ_E_UNSUPPORTED, "tee:seal", a->provider->name,
                     "a provider with sealing keys: gramine, sim-sgx");
    return ccz_hint(err, CCZ_E_UNSUPPORTED,
                    a->kind == CCZI_TEE_TDX
                        ? "TDX derives no keys from measurements: keep the secret elsewhere"
                        : "keep the secret elsewhere, e.g. in a token or shared out");
}

ccz_rc ccz_attester_seal_key(struct ccz_secret **out, struct ccz_attester *a, enum ccz_seal_to to,
                             const char *info, struct ccz_err *err)
{
    *out = NULL;
    if (to != CCZ_SEAL_TO_MEASUREMENT && to != CCZ_SEAL_TO_SIGNER)
        return ccz_fail(err, CCZ_E_ARG, "tee:seal-to", (int64_t)to, "to whom is not said");
    size_t i = 0, len = sizeof(sealing) / sizeof(sealing[0]);
    while (i < len && sealing[i].provider != a->provider)
        i++;
    if (i == len)
        return unsupported(a, err);
    uint8_t raw[32];
    ccz_rc rc = sealing[i].seal(raw, a, to, err);
    if (rc != CCZ_OK)
        return rc;
    CCZ_AUTO(ccz_secret) key = NULL;
    rc = ccz_secret_new(&key, 32);
    if (rc == CCZ_OK)
        rc = ccz_hkdf(ccz_secret_bytes(key), 32, CCZ_SHA256, ccz_span_str("cczoo tee seal v1"),
                      CCZ_SPAN(raw, sizeof(raw)), ccz_span_str(info));
    ccz_wipe(raw, sizeof(raw));
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "tee:seal-key", 0, "cannot derive the sealing key");
    *out = ccz_secret_take(&key);
    return CCZ_OK;
}
