/* SPDX-License-Identifier: Apache-2.0 */
/* Bundles for `cczoo recsys`, and whose it takes. */
#include "recsys.h"

#include <string.h>

size_t recsys_trainer_options(struct ui_opt *out, struct recsys_trust_opts *o)
{
    const struct ui_opt opts[] = {
        {"trainer-policy", &o->trainer_policy, NULL, NULL, "FILE",
         "policy that the evidence of the model's trainer must satisfy"},
        {"any-trainer-insecure", NULL, NULL, &o->any_trainer, NULL,
         "whoever has the model key may have written the bundle"},
        {"data-sha256", &o->data_sha256, NULL, NULL, "HEX",
         "the file of ratings that the model must have been trained on"},
        {"trainer-kind", &o->trainer_kind, NULL, NULL, "NAME",
         "what must have trained it: cczoo or spark; absent: either"},
        {"order", &o->order, NULL, NULL, "ORDER",
         "that it must fulfil: secret/NAME of the KMS, or a file"},
    };
    memcpy(out, opts, sizeof(opts));
    return sizeof(opts) / sizeof(opts[0]);
}

static ccz_rc judge(void *arg, struct ccz_span cert, struct ccz_err *err)
{
    struct recsys_session *s = arg;
    struct ccz_claims claims;
    const struct ccz_party_cfg cfg = recsys_party_cfg(s, s->o->trainer_policy);
    ccz_rc rc = s->judge ? CCZ_OK : ccz_party_new(&s->judge, &cfg, err);
    if (rc == CCZ_OK)
        rc = ccz_party_cert_judge(&claims, s->judge, cert, err);
    if (rc == CCZ_OK && claims.simulated)
        ui_simulated("the trainer's evidence comes from a software TEE");
    return rc;
}

ccz_rc recsys_open_bundle(struct ccz_recsys_bundle **out, struct recsys_session *s, const char *dir,
                          const char *key, struct ccz_err *err)
{
    CCZ_AUTO(ccz_secret) secret = NULL;
    struct recsys_key_id id;
    struct ccz_recsys_order order;
    *out = NULL;
    if (!s->o->trainer_policy == !s->o->any_trainer)
        return ccz_fail(err, CCZ_E_ARG, "recsys:trainer", 0,
                        "a bundle needs --trainer-policy, or --any-trainer-insecure");
    uint8_t sha256[32];
    if (s->o->data_sha256 &&
        ccz_unhex(sha256, 32, s->o->data_sha256, strlen(s->o->data_sha256)) != CCZ_OK)
        return ccz_fail(err, CCZ_E_ARG, "recsys:data", 0, "--data-sha256 is 64 hex digits");
    ccz_rc rc = s->o->order ? recsys_order_read(&order, s, s->o->order, err) : CCZ_OK;
    if (rc == CCZ_OK)
        rc = recsys_file_key(&secret, &id, s, key, err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_recsys_bundle_cfg cfg = {.data_sha256 = s->o->data_sha256 ? sha256 : NULL,
                                              .trainer_kind = s->o->trainer_kind,
                                              .order = s->o->order ? &order : NULL,
                                              .trainer = s->o->any_trainer ? NULL : judge,
                                              .arg = s,
                                              .any_trainer_insecure = s->o->any_trainer,
                                              .key_version = id.version,
                                              .any_key_version_insecure = id.version == 0};
    return ccz_recsys_bundle_open(out, dir, secret, &cfg, err);
}
