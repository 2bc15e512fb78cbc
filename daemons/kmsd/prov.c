/* SPDX-License-Identifier: Apache-2.0 */
/* Options of secret provisioning, and its evidence. */
#include "kmsd.h"

#include "../../cli/ui.h"

bool kmsd_prov_check(const struct kmsd_opts *o)
{
    bool any = o->prov_cert || o->prov_key || o->prov_map || o->prov_port_file;
    if (o->prov ? !(o->prov_cert && o->prov_key && o->prov_map) : any) {
        ui_error("--secret-prov, --secret-prov-cert, --secret-prov-key and --secret-prov-map go "
                 "together");
        return false;
    }
    if (!o->prov && (o->prov_rate || o->prov_total_rate)) {
        ui_error("--secret-prov-rate and --secret-prov-total-rate need --secret-prov");
        return false;
    }
    return ui_count("secret-prov-rate", o->prov_rate, 0, CCZ_KMS_RATE_MAX) &&
           ui_count("secret-prov-total-rate", o->prov_total_rate, 0, CCZ_KMS_RATE_MAX);
}

/* Genuine, no more: each item has its own policy. */
static ccz_rc appraise(void *verifier, struct ccz_claims *claims, struct ccz_span quote,
                       struct ccz_err *err)
{
    return ccz_verifier_verify(verifier, claims, quote, err);
}

ccz_rc kmsd_prov_start(struct ccz_kms_prov **out, const struct kmsd_opts *o,
                       struct ccz_kms_service *service, struct ccz_party *party,
                       struct ccz_err *err)
{
    *out = NULL;
    if (!o->prov)
        return CCZ_OK;
    const struct ccz_kms_prov_cfg cfg = {.service = service,
                                         .appraise = appraise,
                                         .appraise_arg = ccz_party_verifier(party),
                                         .listen = o->prov,
                                         .cert_file = o->prov_cert,
                                         .key_file = o->prov_key,
                                         .map_file = o->prov_map,
                                         .address_rate = (uint32_t)o->prov_rate,
                                         .total_rate = (uint32_t)o->prov_total_rate};
    ccz_rc rc = ccz_kms_prov_start(out, &cfg, err);
    return rc == CCZ_OK ? kmsd_write_port(o->prov_port_file, ccz_kms_prov_port(*out), err) : rc;
}

void kmsd_prov_reload(struct ccz_kms_prov *p)
{
    struct ccz_err err = {0};
    if (!p)
        return;
    if (ccz_kms_prov_reload(p, &err) == CCZ_OK)
        ccz_log(CCZ_LOG_INFO, "prov", "certificate, key and map were read again");
    else
        ccz_log_err(CCZ_LOG_ERROR, "prov", "certificate, key and map stay as they were", &err);
}
