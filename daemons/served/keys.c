/* SPDX-License-Identifier: Apache-2.0 */
/* Own evidence; and what the KMS gives for it. */
#include "served.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LIBRARIES_MAX = 3 };

/* What runs models is part of what is measured, in the order in which the engines load it. */
static ccz_rc add_library(const char **libs, size_t *len, const char *option, const char *path,
                          const char *fetch, struct ccz_err *err)
{
    if (access(path, R_OK) != 0)
        return ccz_hint(err,
                        ccz_fail(err, CCZ_E_IO, "served:library", errno, "--%s: cannot read %s: %s",
                                 option, path, strerror(errno)),
                        fetch);
    libs[(*len)++] = path;
    return CCZ_OK;
}

ccz_rc served_open_attester(struct ccz_attester **out, const struct served_opts *o,
                            struct ccz_err *err)
{
    const char *libs[LIBRARIES_MAX];
    size_t len = 0;
    char framework[4096];
    ccz_rc rc = CCZ_OK;
    *out = NULL;
    if (o->tensorflow) {
        const char *slash = strrchr(o->tensorflow, '/');
        if (!slash)
            return ccz_fail(err, CCZ_E_ARG, "served:library", 0,
                            "--tensorflow needs a path with a folder");
        int n = snprintf(framework, sizeof(framework), "%.*s/libtensorflow_framework.so.2",
                         (int)(slash - o->tensorflow), o->tensorflow);
        if (n < 0 || (size_t)n >= sizeof(framework))
            return ccz_fail(err, CCZ_E_LIMIT, "served:library", n,
                            "path of TensorFlow is too long");
        libs[len++] = framework;
        rc =
            add_library(libs, &len, "tensorflow", o->tensorflow,
                        "scripts/fetch-tensorflow gets the libraries and prints their folder", err);
    }
    if (rc == CCZ_OK && o->onnxruntime)
        rc = add_library(libs, &len, "onnxruntime", o->onnxruntime,
                         "scripts/fetch-onnxruntime gets the library and prints its folder", err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_attester_cfg cfg = {.provider = o->tee,
                                         .sim_dir = o->sim_dir,
                                         .measure = len ? libs : NULL,
                                         .measure_len = len};
    return ccz_attester_open(out, &cfg, err);
}

ccz_rc served_kms_open(struct served_kms *k, const struct served_opts *o,
                       struct ccz_attester *attester, struct ccz_err *err)
{
    const struct ccz_party_cfg cfg = {
        .attester = attester,
        .collateral_dir = o->collateral,
        .trust_sim_dir = o->trust_sim,
        .collateral_from = o->collateral_from,
        .collateral_ca_file = o->collateral_ca_file,
        .policy_file = o->kms_policy,
    };
    *k = (struct served_kms){0};
    ccz_rc rc = ccz_party_new(&k->party, &cfg, err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_rpc_client_cfg c = {.target = o->kms, .ratls = ccz_party_ratls(k->party)};
    rc = ccz_rpc_client_new(&k->client, &c, err);
    if (rc == CCZ_OK)
        rc = ccz_rpc_client_connect(NULL, k->client, err);
    if (rc == CCZ_E_UNAVAILABLE || rc == CCZ_E_TIMEOUT)
        (void)ccz_hint(err, rc,
                       "is this the address of the key management service, and does it run?");
    if (rc != CCZ_OK)
        served_kms_close(k);
    return rc;
}

void served_kms_close(struct served_kms *k)
{
    ccz_rpc_client_free(k->client); /* before the party whose context it uses */
    ccz_party_free(k->party);
    *k = (struct served_kms){0};
}

static ccz_rc get_item(struct served_item *item, struct ccz_kms_instance *kms,
                       struct ccz_rpc_client *client, struct ccz_err *err)
{
    struct ccz_kms_release info;
    ccz_rc rc = ccz_kms_release(&item->value, &info, client, item->name, item->ask, err);
    if (rc == CCZ_OK) /* an order of one owner, a key of another: also at the next load */
        rc = ccz_kms_instance_check(kms, &info, err);
    if (rc == CCZ_OK && item->ask && info.version != item->ask)
        rc = ccz_refuse_num(err, CCZ_E_PEER, "served:key-version", info.version, item->ask);
    if (rc != CCZ_OK)
        return rc;
    item->version = info.version;
    ccz_log(CCZ_LOG_INFO, "served", "key item=%s version=%u policy=%s rule=\"%s\" audit_seq=%llu",
            item->name, info.version, info.policy, info.rule,
            (unsigned long long)info.receipt.audit_seq);
    return CCZ_OK;
}

ccz_rc served_get_items(struct served_item *items, size_t len, const struct served_opts *o,
                        struct ccz_kms_instance *kms, struct ccz_attester *attester,
                        struct ccz_err *err)
{
    struct served_kms k;
    ccz_rc rc = served_kms_open(&k, o, attester, err);
    for (size_t i = 0; rc == CCZ_OK && i < len; i++)
        rc = get_item(&items[i], kms, k.client, err);
    for (size_t i = 0; rc != CCZ_OK && i < len; i++) {
        ccz_secret_free(items[i].value);
        items[i].value = NULL;
    }
    served_kms_close(&k);
    return rc;
}
