/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of programs that train: from the KMS or from files, and for signatures. */
#include "recsys.h"

#include <cczoo/agent.h>

#include <stdio.h>
#include <string.h>

size_t recsys_kms_options(struct ui_opt *out, struct recsys_trust_opts *o)
{
    const struct ui_opt opts[] = {
        {"kms", &o->kms, NULL, NULL, "ADDR", "key management service, for keys key/NAME"},
        {"kms-policy", &o->kms_policy, NULL, NULL, "FILE", "policy that its evidence must satisfy"},
        {"kms-id", &o->kms_id, NULL, NULL, "HEX",
         "which one (cczoo kms status); absent = that of the first value"},
        UI_OWN_EVIDENCE(o),
        UI_TRUST(o, ca_file),
    };
    memcpy(out, opts, sizeof(opts));
    return sizeof(opts) / sizeof(opts[0]);
}

void recsys_session_begin(struct recsys_session *s, const struct recsys_trust_opts *o)
{
    *s = (struct recsys_session){.o = o};
    ccz_buf_init(&s->cert, CCZ_CERT_SIZE_MAX);
}

void recsys_session_end(struct recsys_session *s)
{
    ccz_rpc_client_free(s->client); /* before the party whose context it uses */
    ccz_party_free(s->party);
    ccz_party_free(s->judge);
    ccz_attester_free(s->attester);
    ccz_key_free(s->signer);
    ccz_buf_free(&s->cert);
}

static ccz_rc need_attester(struct recsys_session *s, struct ccz_err *err)
{
    const struct ccz_attester_cfg cfg = {.provider = s->o->tee, .sim_dir = s->o->sim_dir};
    if (s->attester || !s->o->tee)
        return CCZ_OK;
    ccz_rc rc = ccz_attester_open(&s->attester, &cfg, err);
    if (rc == CCZ_OK && strncmp(s->o->tee, "sim-", 4) == 0)
        ui_simulated("evidence of this program comes from a software TEE");
    return rc;
}

struct ccz_party_cfg recsys_party_cfg(const struct recsys_session *s, const char *policy)
{
    return (struct ccz_party_cfg){.collateral_dir = s->o->collateral,
                                  .trust_sim_dir = s->o->trust_sim,
                                  .collateral_from = s->o->collateral_from,
                                  .collateral_ca_file = s->o->ca_file,
                                  .policy_file = policy};
}

static ccz_rc connect_kms(struct recsys_session *s, struct ccz_err *err)
{
    if (s->client)
        return CCZ_OK;
    if (!s->o->kms || !s->o->kms_policy || !s->o->tee)
        return ccz_fail(err, CCZ_E_ARG, "recsys:kms", 0,
                        "a key of a KMS needs --kms, --kms-policy and --tee");
    ccz_rc rc = s->o->kms_id ? ccz_kms_instance_parse(&s->kms, s->o->kms_id, err) : CCZ_OK;
    if (rc == CCZ_OK)
        rc = need_attester(s, err);
    struct ccz_party_cfg cfg = recsys_party_cfg(s, s->o->kms_policy);
    cfg.attester = s->attester;
    if (rc == CCZ_OK)
        rc = ccz_party_new(&s->party, &cfg, err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_rpc_client_cfg c = {.target = s->o->kms, .ratls = ccz_party_ratls(s->party)};
    rc = ccz_rpc_client_new(&s->client, &c, err);
    if (rc == CCZ_OK)
        rc = ccz_rpc_client_connect(NULL, s->client, err);
    if (rc == CCZ_E_UNAVAILABLE || rc == CCZ_E_TIMEOUT)
        (void)ccz_hint(err, rc,
                       "is this the address of the key management service, and does it run?");
    return rc;
}

bool recsys_key_in_kms(const char *spec)
{
    return strncmp(spec, "key/", 4) == 0;
}

ccz_rc recsys_keys_alike(const struct recsys_session *s, const char *one, const char *other,
                         struct ccz_err *err)
{
    if (s->o->kms_only || /* then each of them is refused that is none of the KMS */
        (one && recsys_key_in_kms(one)) == (other && recsys_key_in_kms(other)))
        return CCZ_OK;
    return ccz_fail(err, CCZ_E_ARG, "recsys:mixed-keys", 0,
                    "%s and %s: keys come all from the KMS, or none does", one ? one : "no key",
                    other ? other : "no key");
}

static ccz_rc release(struct ccz_secret **out, struct ccz_kms_release *info,
                      struct recsys_session *s, const char *what, const char *item,
                      uint32_t version, struct ccz_err *err)
{
    ccz_rc rc = connect_kms(s, err);
    if (rc == CCZ_OK)
        rc = ccz_kms_release(out, info, s->client, item, version, err);
    if (rc == CCZ_OK) /* or the owner's ratings would go under a key of somebody else */
        rc = ccz_kms_instance_check(&s->kms, info, err);
    if (rc != CCZ_OK) {
        ccz_secret_free(*out);
        *out = NULL;
    }
    if (rc == CCZ_OK)
        ui_say("%s %s version %u, policy %s, audit line %llu", what, item, info->version,
               info->policy, (unsigned long long)info->receipt.audit_seq);
    return rc;
}

ccz_rc recsys_order_read(struct ccz_recsys_order *out, struct recsys_session *s, const char *spec,
                         struct ccz_err *err)
{
    CCZ_AUTO(ccz_secret) secret = NULL;
    CCZ_AUTO_BUF file;
    struct ccz_kms_release info;
    ccz_buf_init(&file, CCZ_RECSYS_ORDER_SIZE_MAX);
    const bool in_kms = strncmp(spec, "secret/", 7) == 0;
    if (!in_kms && s->o->kms_only)
        return ccz_refuse(err, CCZ_E_DENIED, "recsys:kms-only", spec, "secret/NAME of the KMS");
    ccz_rc rc = in_kms ? release(&secret, &info, s, "order", spec, 0, err)
                       : ccz_file_read(&file, spec, err);
    if (rc != CCZ_OK)
        return rc;
    return ccz_recsys_order_parse(
        out,
        in_kms ? CCZ_SPAN(ccz_secret_view(secret), ccz_secret_size(secret)) : ccz_buf_span(&file),
        err);
}

ccz_rc recsys_key(struct ccz_secret **out, struct recsys_key_id *id, struct recsys_session *s,
                  const char *spec, uint32_t version, struct ccz_err *err)
{
    struct ccz_kms_release info;
    *out = NULL;
    if (id)
        *id = (struct recsys_key_id){0};
    if (!recsys_key_in_kms(spec) && s->o->kms_only)
        return ccz_refuse(err, CCZ_E_DENIED, "recsys:kms-only", spec, "key/NAME of the KMS");
    if (!recsys_key_in_kms(spec))
        return ccz_file_read_secret(out, spec, 4096, err);
    if (strlen(spec) >= sizeof(id->item))
        return ccz_fail(err, CCZ_E_LIMIT, "recsys:kms", 0, "the name of the key is too long");
    ccz_rc rc = release(out, &info, s, "key", spec, version, err);
    if (rc == CCZ_OK && id) {
        memcpy(id->item, spec, strlen(spec) + 1);
        id->version = info.version;
    }
    return rc;
}

ccz_rc recsys_file_key(struct ccz_secret **out, struct recsys_key_id *id, struct recsys_session *s,
                       const char *spec, struct ccz_err *err)
{
    ccz_rc rc = recsys_key(out, id, s, spec, 0, err);
    if (rc == CCZ_OK && ccz_secret_size(*out) != CCZ_PF_KEY_SIZE) {
        rc = ccz_hint(err,
                      ccz_refuse_num(err, CCZ_E_FORMAT, "recsys:key-size",
                                     (int64_t)ccz_secret_size(*out), CCZ_PF_KEY_SIZE),
                      "cczoo pf keygen makes one, and cczoo kms key create --alg aes-128");
        ccz_secret_free(*out);
        *out = NULL;
    }
    return rc;
}

/* ------------------------------------------------------------------------------------- trainers */

ccz_rc recsys_signer(struct recsys_session *s, struct ccz_err *err)
{
    if (ccz_key_generate(&s->signer, CCZ_P256) != CCZ_OK)
        return ccz_fail(err, CCZ_E_INTERNAL, "recsys:signer", 0, "cannot make a key");
    const int64_t now_s = ccz_clock_now_s(ccz_clock_system());
    ccz_rc rc = need_attester(s, err);
    if (rc != CCZ_OK)
        return rc;
    if (!s->attester && s->o->kms_only)
        return ccz_fail(err, CCZ_E_ARG, "recsys:evidence", 0, "--tee is required");
    if (!s->attester) { /* nobody will believe it who asks for a trainer's evidence */
        const struct ccz_cert_cfg cfg = {.cn = "cczoo recsys, without evidence",
                                         .key = s->signer,
                                         .not_before_s = now_s - 3600,
                                         .not_after_s = now_s + 365 * 86400};
        return ccz_cert_issue(&s->cert, &cfg, err);
    }
    CCZ_AUTO(ccz_party) p = NULL;
    const struct ccz_party_cfg cfg = {
        .attester = s->attester, .server = true, .peer_evidence_optional = true};
    rc = ccz_party_new(&p, &cfg, err);
    return rc == CCZ_OK ? ccz_party_cert_issue(&s->cert, p, s->signer, err) : rc;
}

/* ----------------------------------------------------------------------- master keys of Parquet */

void recsys_master_init(struct recsys_master *m, struct recsys_session *s, const char *spec)
{
    *m = (struct recsys_master){
        .s = s, .spec = spec, .name = recsys_key_in_kms(spec) ? spec + 4 : "file"};
}

static ccz_rc unwrap(struct ccz_secret **out, void *arg, struct ccz_span wrapped,
                     const char *master_key, struct ccz_err *err)
{
    struct recsys_master *m = arg;
    CCZ_AUTO(ccz_secret) master = NULL;
    uint32_t version;
    *out = NULL;
    if (strcmp(master_key, m->name) != 0) /* the file chooses neither key nor KMS */
        return ccz_refuse(err, CCZ_E_DENIED, "recsys:master-key", master_key, m->name);
    ccz_rc rc = ccz_agent_wrapped_version(&version, wrapped, err);
    if (rc == CCZ_OK)
        rc = recsys_key(&master, NULL, m->s, m->spec, version, err);
    return rc == CCZ_OK ? ccz_agent_unwrap(out, master, master_key, wrapped, err) : rc;
}

static ccz_rc wrap(struct ccz_buf *out, void *arg, const struct ccz_secret *key,
                   const char *master_key, struct ccz_err *err)
{
    struct recsys_master *m = arg;
    CCZ_AUTO(ccz_secret) master = NULL;
    struct recsys_key_id id;
    ccz_rc rc = recsys_key(&master, &id, m->s, m->spec, 0, err);
    const struct ccz_span plain = {ccz_secret_view(key), ccz_secret_size(key)};
    return rc == CCZ_OK
               ? ccz_agent_wrap(out, master, id.version ? id.version : 1, master_key, plain, err)
               : rc;
}

struct ccz_pq_kms recsys_master_kms(struct recsys_master *m)
{
    return (struct ccz_pq_kms){.unwrap = unwrap, .wrap = wrap, .arg = m};
}

int recsys_fail(const struct ccz_err *err)
{
    struct ccz_err said = *err;
    /* What does not verify is a "no", with its place: parquet.h says so in words. */
    if (err->rc == CCZ_E_SIG && !err->got[0] && !err->expected[0]) {
        (void)snprintf(said.got, sizeof(said.got), "%.*s", (int)sizeof(said.got) - 1, err->msg);
        (void)snprintf(said.expected, sizeof(said.expected), "what was encrypted");
    }
    return ui_fail(&said);
}
