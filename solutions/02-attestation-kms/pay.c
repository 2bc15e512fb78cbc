/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The workload: proves to the KMS which program it is, then gets its secret, and has an order signed with a key that it never sees.
 * usage: cczoo-pay --kms ADDR --policy FILE --trust-sim|--collateral DIR --tee NAME [--sim-dir DIR]
 *        [--secret ITEM --receipt FILE] [--key NAME --order FILE --signature FILE] [--fetch ITEM]
 */
#include "../options.h"

#include <cczoo/crypto.h>
#include <cczoo/kms_audit.h>
#include <cczoo/kms_use.h>
#include <cczoo/party.h>

enum { RECEIPT_SIZE_MAX = 1 << 16, ORDER_SIZE_MAX = 1 << 16 };

static const char *o_kms, *o_policy, *o_trust_sim, *o_collateral, *o_tee, *o_sim_dir, *o_secret,
    *o_receipt, *o_key, *o_order, *o_signature, *o_fetch;

/* Says that it has the value without saying it; the receipt proves later that this release was on record. */
static ccz_rc get_secret(struct ccz_rpc_client *c, struct ccz_err *err)
{
    CCZ_AUTO(ccz_secret) value = NULL;
    CCZ_AUTO_BUF text;
    struct ccz_kms_release info;
    struct ccz_kms_inclusion receipt;
    uint8_t digest[32];
    char hex[65];
    ccz_buf_init(&text, RECEIPT_SIZE_MAX);
    ccz_rc rc = ccz_kms_release_receipt(&value, &info, &receipt, c, o_secret, 0, err);
    if (rc == CCZ_OK &&
        ccz_sha256(digest, CCZ_SPAN(ccz_secret_view(value), ccz_secret_size(value))) != CCZ_OK)
        rc = ccz_fail(err, CCZ_E_NOMEM, "pay:sha256", 0, "cannot hash");
    if (rc == CCZ_OK && o_receipt) {
        ccz_kms_inclusion_put(&text, &receipt);
        ccz_buf_u8(&text, '\n');
        rc = ccz_file_write(o_receipt, ccz_buf_span(&text), 0600, CCZ_FILE_REPLACE, err);
    }
    if (rc != CCZ_OK)
        return rc;
    ccz_hex(hex, digest, sizeof(digest));
    (void)printf("%s version %u by rule \"%s\" of %s, audit line %llu; its SHA-256 is %s\n",
                 o_secret, info.version, info.rule, info.policy,
                 (unsigned long long)info.receipt.audit_seq, hex);
    return CCZ_OK;
}

/* The order goes to the KMS, a signature comes back. */
static ccz_rc sign_order(struct ccz_rpc_client *c, struct ccz_err *err)
{
    CCZ_AUTO_BUF order, sig;
    struct ccz_kms_use use;
    const struct ccz_sign_how how = {.form = CCZ_SIG_DER}; /* as openssl reads it */
    ccz_buf_init(&order, ORDER_SIZE_MAX);
    ccz_buf_init(&sig, CCZ_PKEY_SIG_SIZE_MAX);
    ccz_rc rc = ccz_file_read(&order, o_order, err);
    if (rc == CCZ_OK)
        rc = ccz_kms_sign(&sig, &use, c, o_key, 0, &how, ccz_buf_span(&order), err);
    if (rc == CCZ_OK)
        rc = ccz_file_write(o_signature, ccz_buf_span(&sig), 0644, CCZ_FILE_REPLACE, err);
    if (rc == CCZ_OK)
        (void)printf("order signed in the KMS with key/%s version %u, audit line %llu\n", o_key,
                     use.version, (unsigned long long)use.receipt.audit_seq);
    return rc;
}

/* What a workload that was taken over would try. */
static ccz_rc fetch(struct ccz_rpc_client *c, struct ccz_err *err)
{
    CCZ_AUTO(ccz_secret) key = NULL;
    ccz_rc rc = ccz_kms_release(&key, NULL, c, o_fetch, 0, err);
    if (rc == CCZ_OK)
        (void)printf("%s was handed out\n", o_fetch);
    return rc;
}

static ccz_rc run(struct ccz_err *err)
{
    CCZ_AUTO(ccz_party) party = NULL;
    CCZ_AUTO(ccz_rpc_client) kms = NULL; /* declared after the party: freed before it */
    const struct ccz_party_cfg who = {.tee = {.provider = o_tee, .sim_dir = o_sim_dir},
                                      .policy_file = o_policy,
                                      .trust_sim_dir = o_trust_sim,
                                      .collateral_dir = o_collateral};
    ccz_rc rc = ccz_party_new(&party, &who, err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_rpc_client_cfg cfg = {.target = o_kms, .ratls = ccz_party_ratls(party)};
    rc = ccz_rpc_client_new(&kms, &cfg, err);
    if (rc == CCZ_OK)
        rc = ccz_rpc_client_connect(NULL, kms, err); /* evidence of both, and nothing else yet */
    if (rc == CCZ_OK && o_secret)
        rc = get_secret(kms, err);
    if (rc == CCZ_OK && o_key)
        rc = sign_order(kms, err);
    if (rc == CCZ_OK && o_fetch)
        rc = fetch(kms, err);
    return rc;
}

int main(int argc, char **argv)
{
    static const struct option opts[] = {
        {"--kms", &o_kms},       {"--policy", &o_policy},         {"--trust-sim", &o_trust_sim},
        {"--tee", &o_tee},       {"--collateral", &o_collateral}, {"--sim-dir", &o_sim_dir},
        {"--secret", &o_secret}, {"--receipt", &o_receipt},       {"--key", &o_key},
        {"--order", &o_order},   {"--signature", &o_signature},   {"--fetch", &o_fetch},
    };
    if (!options(opts, sizeof(opts) / sizeof(opts[0]), argc, argv) || !o_kms || !o_policy ||
        !o_tee || !o_key != !o_order || !o_key != !o_signature)
        return usage("cczoo-pay --kms ADDR --policy FILE --trust-sim|--collateral DIR --tee NAME "
                     "[--sim-dir DIR] [--secret ITEM --receipt FILE] "
                     "[--key NAME --order FILE --signature FILE] [--fetch ITEM]");
    struct ccz_err err = {0};
    return verdict(run(&err), &err);
}
