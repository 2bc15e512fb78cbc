/* SPDX-License-Identifier: Apache-2.0 */
/* cczoo kms VERB ...: an administrator's or auditor's side of the KMS. Its evidence is judged by
 * --policy before anything is sent to it. Values come from files or stdin, never from the command
 * line. */
#include "cli.h"
#include "json_out.h"
#include "kms_audit.h"
#include "kms_ca.h"
#include "kms_doctor.h"
#include "kms_key.h"
#include "kms_opts.h"
#include "kms_reference.h"
#include "kms_roles.h"
#include "kms_session.h"
#include "kms_show.h"
#include "kms_token.h"
#include "kms_why.h"

#include <cczoo/codec.h>
#include <cczoo/kms.h>
#include <cczoo/kms_master.h>

#include <stdio.h>
#include <string.h>

struct kms_opts {
    struct kms_reach reach;
    const char *from, *bind; /* what to do */
    const char *expires, *metadata;
    int64_t version, last, if_version, recovery_days;
    bool new_version, replace, json, no_recovery;
    int64_t valid_days;
    struct kms_roles_opts roles;
    const char *under, *out, *known, *try_file, *reference, *values, *at,
        *until; /* workloads, replay, stage */
    bool no;    /* set by a verb whose answer is a "no" */
};

/* ------------------------------------------------------------------------------- output */

static void show_time(const char *what, int64_t t_s)
{
    char at[21];
    ccz_time_format(at, t_s);
    if (t_s)
        ui_out("%s%s", what, at);
}

/* A key that works inside can be bound by operation alone. */
static bool is_inside(const struct ccz_kms_item *it)
{
    return it->alg[0] && strcmp(it->alg, "aes-128") != 0 && strcmp(it->alg, "aes-256") != 0;
}

static void show_item(void *arg, const struct ccz_kms_item *it)
{
    const struct kms_opts *o = arg;
    char at[21];
    ccz_time_format(at, it->created_s);
    if (!o->json) {
        bool is_policy = strncmp(it->item, "policy/", 7) == 0;
        ui_out("%-40s %-8s %3u  %s  %s%s", it->item, it->alg[0] ? it->alg : "-", it->version, at,
               is_policy       ? ""
               : it->policy[0] ? it->policy
               : is_inside(it) ? "(no default policy: cczoo kms key info)"
                               : "(unbound: released to nobody)",
               it->disabled ? "  disabled" : "");
        show_time("  expires ", it->expires_s);
        show_time("  DELETED, kept until at least ", it->delete_after_s);
        ui_out("\n");
        return;
    }
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 32768);
    ccz_buf_printf(&b, "{\"version\":%u", it->version);
    put_text(&b, "item", it->item);
    put_text(&b, "alg", it->alg);
    put_text(&b, "created", at);
    put_text(&b, "policy", it->policy);
    ccz_buf_printf(&b, ",\"disabled\":%s", it->disabled ? "true" : "false");
    put_time(&b, "expires", it->expires_s);
    put_time(&b, "delete_after", it->delete_after_s);
    ccz_buf_put_str(&b,
                    ",\"metadata\":"); /* as a text: it is only the server that says it is JSON */
    ccz_json_put_str(&b, it->metadata);
    ui_out("%s}\n", ccz_buf_str(&b));
}

static void put_plain(struct ccz_buf *b, const char *prefix, const struct ccz_json *j)
{
    char text[CCZ_ERR_VALUE_SIZE * 2];
    ccz_escape(text, sizeof(text), ccz_json_bytes(j));
    if (text[0])
        ccz_buf_printf(b, "%s%s", prefix, text);
}

/* "Release reject key/fmnist version 1 policy=... where=... got=... expected=... by workload ..."
 */
static void summarise(struct ccz_buf *b, const struct ccz_json *e)
{
    put_plain(b, " ", ccz_json_get(e, "op"));
    put_plain(b, " ", ccz_json_get(e, "verdict"));
    put_plain(b, " ", ccz_json_get(e, "item"));
    int64_t version;
    if (ccz_json_int(&version, ccz_json_get(e, "version")))
        ccz_buf_printf(b, " version %lld", (long long)version);
    put_plain(b, " policy=", ccz_json_get(e, "policy"));
    put_plain(b, " rule=", ccz_json_get(e, "rule"));
    int64_t proposal;
    if (ccz_json_int(&proposal, ccz_json_get(e, "proposal")))
        ccz_buf_printf(b, " proposal=%lld", (long long)proposal);
    put_plain(b, " namespace=", ccz_json_get(e, "namespace"));
    put_plain(b, " principal=", ccz_json_get(e, "principal"));
    put_plain(b, " roles=", ccz_json_get(e, "roles"));
    put_plain(b, " where=", ccz_json_get(e, "where"));
    put_plain(b, " got=", ccz_json_get(e, "got"));
    put_plain(b, " expected=", ccz_json_get(e, "expected"));
    const struct ccz_json *peer = ccz_json_get(e, "peer");
    put_plain(b, " by ", ccz_json_get(peer, "kind"));
    put_plain(b, " ", ccz_json_get(peer, "tee"));
    put_plain(b, " mrenclave=", ccz_json_get(peer, "mrenclave"));
    put_plain(b, " mrtd=", ccz_json_get(peer, "mrtd"));
    put_plain(b, " measurement=", ccz_json_get(peer, "measurement"));
    put_plain(b, " at ", ccz_json_get(peer, "address"));
    bool simulated;
    if (ccz_json_bool(&simulated, ccz_json_get(peer, "simulated")) && simulated)
        ccz_buf_put_str(b, " SIMULATED");
}

struct audit_show {
    const struct kms_opts *o;
    uint64_t lines;
    uint8_t end[32];
};

static void show_audit(void *arg, const struct ccz_kms_audit_line *l)
{
    struct audit_show *a = arg;
    struct ccz_json *e = NULL;
    CCZ_AUTO_BUF b;
    char at[21];
    ccz_buf_init(&b, 65536);
    ccz_time_format(at, l->time_s);
    ccz_rc rc = ccz_json_parse(&e, l->entry, NULL);
    if (!a->o->json) {
        ccz_buf_printf(&b, "%llu %s", (unsigned long long)l->seq, at);
        summarise(&b, e); /* an entry that is no JSON has no fields to show */
    } else {
        ccz_buf_printf(&b, "{\"seq\":%llu", (unsigned long long)l->seq);
        put_text(&b, "time", at);
        put_hex(&b, "prev", l->prev);
        put_hex(&b, "hash", l->hash);
        ccz_buf_put_str(&b, ",\"entry\":");
        if (rc == CCZ_OK)
            ccz_buf_put_span(&b, l->entry);
        else
            ccz_buf_put_str(&b, "null");
        ccz_buf_put_str(&b, "}");
    }
    ui_out("%s\n", ccz_buf_str(&b));
    ccz_json_free(e);
    a->lines++;
    memcpy(a->end, l->hash, sizeof(a->end));
}

/* -------------------------------------------------------------------------------- verbs */

/* A verb runs on a connected session; its operands were counted. */
typedef ccz_rc verb_fn(struct kms_session *s, struct kms_opts *o, char **args, struct ccz_err *err);

/* What secrets are stored with. */
static ccz_rc fill_put(struct ccz_kms_put *put, const struct kms_opts *o, struct ccz_err *err)
{
    put->policy = o->bind;
    put->new_version = o->new_version;
    put->check_version = o->if_version >= 0;
    put->if_version = o->if_version >= 0 ? (uint32_t)o->if_version : 0;
    put->metadata = o->metadata;
    if (o->expires && ccz_time_parse(&put->expires_s, o->expires, strlen(o->expires)) != CCZ_OK)
        return ccz_refuse(err, CCZ_E_FORMAT, "kms:expires", o->expires, "YYYY-MM-DDThh:mm:ssZ");
    return CCZ_OK;
}

static ccz_rc secret_put(struct kms_session *s, struct kms_opts *o, char **args,
                         struct ccz_err *err)
{
    CCZ_AUTO(ccz_secret) value = NULL;
    ccz_rc rc = kms_read_value(&value, o->from, err);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_kms_put put = {.name = args[0], .value = value};
    uint32_t version;
    struct ccz_kms_receipt receipt;
    rc = fill_put(&put, o, err);
    if (rc == CCZ_OK)
        rc = ccz_kms_put_secret(&version, &receipt, s->client, &put, err);
    if (rc == CCZ_OK)
        kms_show_change(o->json, "stored", "secret", args[0], version, &receipt);
    return rc;
}

static ccz_rc policy_put(struct kms_session *s, struct kms_opts *o, char **args,
                         struct ccz_err *err)
{
    CCZ_AUTO_BUF json;
    ccz_buf_init(&json, CCZ_POLICY_SIZE_MAX);
    ccz_rc rc = ccz_file_read(&json, args[1], err);
    if (rc == CCZ_OK && o->roles.propose) {
        struct ccz_kms_proposed p;
        rc = ccz_kms_propose_policy(&p, s->client, args[0], ccz_buf_span(&json), o->replace,
                                    o->roles.valid_s, err);
        if (rc == CCZ_OK)
            kms_show_proposed(&o->roles, &p);
        return rc;
    }
    struct ccz_kms_receipt receipt;
    if (rc == CCZ_OK)
        rc = ccz_kms_put_policy(&receipt, s->client, args[0], ccz_buf_span(&json), o->replace, err);
    if (rc == CCZ_OK)
        kms_show_change(o->json, "stored", "policy", args[0], 0, &receipt);
    return rc;
}

static ccz_rc policy_show(struct kms_session *s, struct kms_opts *o, char **args,
                          struct ccz_err *err)
{
    (void)o;
    CCZ_AUTO_BUF json;
    ccz_buf_init(&json, CCZ_POLICY_SIZE_MAX);
    ccz_rc rc = ccz_kms_get_policy(&json, NULL, s->client, args[0], err);
    if (rc == CCZ_OK)
        ui_out_span(ccz_buf_span(&json));
    return rc;
}

static ccz_rc bind_item(struct kms_session *s, struct kms_opts *o, char **args, struct ccz_err *err)
{
    struct ccz_kms_receipt receipt;
    struct ccz_kms_proposed p;
    if (o->roles.propose) {
        ccz_rc proposed =
            ccz_kms_propose_bind(&p, s->client, args[0], args[1], o->roles.valid_s, err);
        if (proposed == CCZ_OK)
            kms_show_proposed(&o->roles, &p);
        return proposed;
    }
    ccz_rc rc = ccz_kms_bind(&receipt, s->client, args[0], args[1], err);
    if (rc == CCZ_OK)
        kms_show_change(o->json, "bound", "", args[0], 0, &receipt);
    return rc;
}

static ccz_rc remove_item(struct kms_session *s, struct kms_opts *o, char **args,
                          struct ccz_err *err)
{
    struct ccz_kms_receipt receipt;
    const struct ccz_kms_deletion how = {.recovery_s = (uint32_t)o->recovery_days * 86400,
                                         .no_recovery = o->no_recovery};
    if (o->roles.propose) {
        struct ccz_kms_proposed p;
        ccz_rc proposed = ccz_kms_propose_delete(&p, s->client, args[0], (uint32_t)o->version, &how,
                                                 o->roles.valid_s, err);
        if (proposed == CCZ_OK)
            kms_show_proposed(&o->roles, &p);
        return proposed;
    }
    ccz_rc rc = ccz_kms_delete(&receipt, s->client, args[0], (uint32_t)o->version, &how, err);
    if (rc == CCZ_OK)
        kms_show_change(o->json, o->no_recovery ? "destroyed" : "deleted", "", args[0],
                        (uint32_t)o->version, &receipt);
    return rc;
}

typedef ccz_rc change_fn(struct ccz_kms_receipt *receipt, struct ccz_rpc_client *c,
                         const char *item, uint32_t version, struct ccz_err *err);

static ccz_rc change_version(struct kms_session *s, const struct kms_opts *o, change_fn *fn,
                             const char *done, const char *item, struct ccz_err *err)
{
    struct ccz_kms_receipt receipt;
    ccz_rc rc = fn(&receipt, s->client, item, (uint32_t)o->version, err);
    if (rc == CCZ_OK)
        kms_show_change(o->json, done, "", item, (uint32_t)o->version, &receipt);
    return rc;
}

static ccz_rc undelete_item(struct kms_session *s, struct kms_opts *o, char **args,
                            struct ccz_err *err)
{
    return change_version(s, o, ccz_kms_undelete, "brought back", args[0], err);
}

static ccz_rc destroy_item(struct kms_session *s, struct kms_opts *o, char **args,
                           struct ccz_err *err)
{
    return change_version(s, o, ccz_kms_destroy, "destroyed", args[0], err);
}

static ccz_rc disable_item(struct kms_session *s, struct kms_opts *o, char **args,
                           struct ccz_err *err)
{
    return change_version(s, o, ccz_kms_disable, "disabled", args[0], err);
}

static ccz_rc enable_item(struct kms_session *s, struct kms_opts *o, char **args,
                          struct ccz_err *err)
{
    return change_version(s, o, ccz_kms_enable, "enabled", args[0], err);
}

static ccz_rc list(struct kms_session *s, struct kms_opts *o, char **args, struct ccz_err *err)
{
    (void)args;
    return ccz_kms_list(s->client, show_item, o, err);
}

static ccz_rc show(struct kms_session *s, struct kms_opts *o, char **args, struct ccz_err *err)
{
    return ccz_kms_describe(s->client, args[0], show_item, o, err);
}

static ccz_rc audit(struct kms_session *s, struct kms_opts *o, char **args, struct ccz_err *err)
{
    (void)args;
    struct audit_show a = {.o = o};
    ccz_rc rc = ccz_kms_audit(s->client, 0, 0, (uint64_t)o->last, show_audit, &a, err);
    char hex[65];
    ccz_hex(hex, a.end, sizeof(a.end));
    if (rc == CCZ_OK)
        ui_say("%llu lines, each continues the one before; the last hash is %s",
               (unsigned long long)a.lines, hex);
    return rc;
}

static ccz_rc audit_export(struct kms_session *s, struct kms_opts *o, char **args,
                           struct ccz_err *err)
{
    (void)o;
    return kms_audit_export(s->client, args[0], err);
}

static ccz_rc audit_checkpoint(struct kms_session *s, struct kms_opts *o, char **args,
                               struct ccz_err *err)
{
    (void)o;
    (void)args;
    return kms_audit_checkpoint(s->client, err);
}

static ccz_rc audit_consistency(struct kms_session *s, struct kms_opts *o, char **args,
                                struct ccz_err *err)
{
    return kms_audit_consistency(s->client, args[0], o->known, err);
}

static ccz_rc audit_rotate_key(struct kms_session *s, struct kms_opts *o, char **args,
                               struct ccz_err *err)
{
    (void)o;
    (void)args;
    return kms_audit_rotate_key(s->client, err);
}

static ccz_rc audit_keys(struct kms_session *s, struct kms_opts *o, char **args,
                         struct ccz_err *err)
{
    (void)o;
    (void)args;
    return kms_audit_keys(s->client, err);
}

static ccz_rc status(struct kms_session *s, struct kms_opts *o, char **args, struct ccz_err *err)
{
    (void)args;
    struct ccz_kms_status st;
    ccz_rc rc = ccz_kms_get_status(&st, s->client, err);
    if (rc != CCZ_OK)
        return rc;
    char at[21], hex[65], id[2 * CCZ_KMS_INSTANCE_SIZE + 1], until[21] = "";
    ccz_hex(id, st.instance, sizeof(st.instance));
    ccz_time_format(at, st.started_s);
    if (st.collateral_expires_s)
        ccz_time_format(until, st.collateral_expires_s);
    ccz_hex(hex, st.audit_sha256, sizeof(st.audit_sha256));
    if (o->json)
        ui_out("{\"version\":\"%s\",\"tee\":\"%s\",\"simulated\":%s,\"started\":\"%s\",\"keys\":%"
               "llu,\"secrets\":%llu,"
               "\"policies\":%llu,\"unbound\":%llu,\"audit_seq\":%llu,\"audit_sha256\":\"%s\","
               "\"collateral_expires\":\"%s\",\"instance\":\"%s\",\"counted\":%s}\n",
               st.version, st.tee, st.simulated ? "true" : "false", at, (unsigned long long)st.keys,
               (unsigned long long)st.secrets, (unsigned long long)st.policies,
               (unsigned long long)st.unbound, (unsigned long long)st.audit_seq, hex, until, id,
               st.counted ? "true" : "false");
    else
        ui_out("version %s, tee %s%s, since %s\n%llu keys, %llu secrets, %llu policies, %llu items "
               "unbound\n"
               "audit line %llu, hash %s\n"
               "collateral expires %s\n"
               "instance %s\n"
               "%s\n",
               st.version, st.tee, st.simulated ? " (SIMULATED)" : "", at,
               (unsigned long long)st.keys, (unsigned long long)st.secrets,
               (unsigned long long)st.policies, (unsigned long long)st.unbound,
               (unsigned long long)st.audit_seq, hex, until[0] ? until : "never: there is none", id,
               st.counted ? "a counter outside of the store follows it" : "no counter");
    return CCZ_OK;
}

static ccz_rc why(struct kms_session *s, struct kms_opts *o, char **args, struct ccz_err *err)
{
    return kms_why(s->client, args[0], o->json, err);
}

static ccz_rc workloads(struct kms_session *s, struct kms_opts *o, char **args, struct ccz_err *err)
{
    (void)args;
    return kms_workloads(s->client, o->under, o->json, err);
}

static ccz_rc replay(struct kms_session *s, struct kms_opts *o, char **args, struct ccz_err *err)
{
    const struct kms_replay r = {.policy = args[0],
                                 .file = o->try_file,
                                 .reference = o->reference,
                                 .values = o->values,
                                 .at = o->at,
                                 .all = o->roles.all,
                                 .json = o->json};
    uint64_t blocked = 0;
    ccz_rc rc = kms_replay(&blocked, s->client, &r, err);
    o->no = blocked != 0;
    return rc;
}

static ccz_rc stage(struct kms_session *s, struct kms_opts *o, char **args, struct ccz_err *err)
{
    CCZ_AUTO_BUF json;
    int64_t ends_s = 0;
    struct ccz_kms_receipt receipt;
    ccz_buf_init(&json, CCZ_POLICY_SIZE_MAX);
    if (!o->until || ccz_time_parse(&ends_s, o->until, strlen(o->until)) != CCZ_OK)
        return ccz_refuse(err, CCZ_E_FORMAT, "kms:until", o->until ? o->until : "no --until",
                          "--until YYYY-MM-DDThh:mm:ssZ");
    ccz_rc rc = ccz_file_read(&json, args[1], err);
    if (rc == CCZ_OK)
        rc = ccz_kms_stage(&receipt, s->client, args[0], ccz_buf_span(&json), ends_s, o->replace,
                           err);
    if (rc == CCZ_OK)
        kms_show_change(o->json, "staged", "policy", args[0], 0, &receipt);
    return rc;
}

static ccz_rc unstage(struct kms_session *s, struct kms_opts *o, char **args, struct ccz_err *err)
{
    struct ccz_kms_receipt receipt;
    ccz_rc rc = ccz_kms_unstage(&receipt, s->client, args[0], err);
    if (rc == CCZ_OK)
        kms_show_change(o->json, "took back", "policy", args[0], 0, &receipt);
    return rc;
}

static ccz_rc list_staged(struct kms_session *s, struct kms_opts *o, char **args,
                          struct ccz_err *err)
{
    return kms_staged(s->client, args[0], o->json, err);
}

/* What is rolled out is what is staged now; if somebody stages another one meanwhile, nothing is. */
static ccz_rc rollout(struct kms_session *s, struct kms_opts *o, char **args, struct ccz_err *err)
{
    struct ccz_kms_staged st;
    struct ccz_kms_receipt receipt;
    ccz_rc rc = ccz_kms_get_staged(&st, NULL, s->client, args[0], err);
    if (rc == CCZ_OK && o->roles.digest) /* another one than what is staged is refused */
        rc = kms_digest_of(st.sha256, o->roles.digest, err);
    if (rc == CCZ_OK && o->roles.propose) {
        struct ccz_kms_proposed p;
        rc = ccz_kms_propose_roll_out(&p, s->client, args[0], st.sha256, o->roles.valid_s, err);
        if (rc == CCZ_OK)
            kms_show_proposed(&o->roles, &p);
        return rc;
    }
    if (rc == CCZ_OK)
        rc = ccz_kms_roll_out(&receipt, s->client, args[0], st.sha256, err);
    if (rc == CCZ_OK)
        ui_say("on trial it would have accepted %llu and refused %llu releases",
               (unsigned long long)st.would_accept, (unsigned long long)st.would_refuse);
    if (rc == CCZ_OK)
        kms_show_change(o->json, "rolled out", "policy", args[0], 0, &receipt);
    return rc;
}

static ccz_rc set_door(struct kms_session *s, struct kms_opts *o, const char *item, bool open,
                       struct ccz_err *err)
{
    struct ccz_kms_receipt receipt;
    uint32_t version = (uint32_t)o->version;
    if (o->roles.propose) {
        struct ccz_kms_proposed p;
        ccz_rc rc =
            ccz_kms_propose_doors(&p, s->client, item, version, open, o->roles.valid_s, err);
        if (rc == CCZ_OK)
            kms_show_proposed(&o->roles, &p);
        return rc;
    }
    ccz_rc rc = ccz_kms_set_doors(&receipt, s->client, item, version, open, err);
    if (rc == CCZ_OK)
        kms_show_change(o->json, open ? "opened" : "closed", "", item, version, &receipt);
    return rc;
}

static ccz_rc door_open(struct kms_session *s, struct kms_opts *o, char **args, struct ccz_err *err)
{
    return set_door(s, o, args[0], true, err);
}

static ccz_rc door_close(struct kms_session *s, struct kms_opts *o, char **args,
                         struct ccz_err *err)
{
    return set_door(s, o, args[0], false, err);
}

static ccz_rc evidence_get(struct kms_session *s, struct kms_opts *o, char **args,
                           struct ccz_err *err)
{
    return kms_evidence_get(s->client, args[0], o->roles.ns, o->out, err);
}

static ccz_rc reference_put(struct kms_session *s, struct kms_opts *o, char **args,
                            struct ccz_err *err)
{
    return kms_reference_put(s->client, &o->roles, args[0], args[1], o->replace, err);
}

static ccz_rc reference_get(struct kms_session *s, struct kms_opts *o, char **args,
                            struct ccz_err *err)
{
    return kms_reference_get(s->client, args[0], (uint32_t)o->version, err);
}

static ccz_rc reference_list(struct kms_session *s, struct kms_opts *o, char **args,
                             struct ccz_err *err)
{
    (void)args;
    return kms_reference_list(s->client, o->json, err);
}

static ccz_rc reference_delete(struct kms_session *s, struct kms_opts *o, char **args,
                               struct ccz_err *err)
{
    return kms_reference_delete(s->client, &o->roles, args[0], err);
}

static ccz_rc role_set(struct kms_session *s, struct kms_opts *o, char **args, struct ccz_err *err)
{
    return kms_role_set(s->client, &o->roles, args[0], args[1], err);
}

static ccz_rc role_list(struct kms_session *s, struct kms_opts *o, char **args, struct ccz_err *err)
{
    (void)args;
    return kms_role_list(s->client, &o->roles, err);
}

static ccz_rc token_key_rotate(struct kms_session *s, struct kms_opts *o, char **args,
                               struct ccz_err *err)
{
    (void)args;
    return kms_token_key_rotate(s->client, o->json, err);
}

static ccz_rc token_key_list(struct kms_session *s, struct kms_opts *o, char **args,
                             struct ccz_err *err)
{
    (void)args;
    return kms_token_key_list(s->client, o->json, err);
}

static ccz_rc quorum_set(struct kms_session *s, struct kms_opts *o, char **args,
                         struct ccz_err *err)
{
    return kms_quorum_set(s->client, &o->roles, args[0], err);
}

static ccz_rc approve(struct kms_session *s, struct kms_opts *o, char **args, struct ccz_err *err)
{
    return kms_approve(s->client, &o->roles, args[0], err);
}

static ccz_rc reject(struct kms_session *s, struct kms_opts *o, char **args, struct ccz_err *err)
{
    return kms_reject(s->client, &o->roles, args[0], err);
}

static ccz_rc proposals(struct kms_session *s, struct kms_opts *o, char **args, struct ccz_err *err)
{
    (void)args;
    return kms_proposals(s->client, &o->roles, err);
}

/* Whoever has a share may give it: no key of an administrator is needed. */
static ccz_rc unseal(struct kms_session *s, struct kms_opts *o, char **args, struct ccz_err *err)
{
    (void)args;
    struct ccz_kms_shares have;
    CCZ_AUTO(ccz_secret) share = NULL;
    ccz_rc rc = o->from ? kms_read_value(&share, o->from, err) : CCZ_OK;
    if (rc == CCZ_OK)
        rc = ccz_kms_unseal(&have, s->client, share, err);
    if (rc != CCZ_OK)
        return rc;
    if (o->json)
        ui_out("{\"sealed\":%s,\"given\":%u,\"needed\":%u,\"total\":%u}\n",
               have.sealed ? "true" : "false", have.given, have.needed, have.total);
    else if (have.sealed)
        ui_out("sealed: %u of %u shares are given\n", have.given, have.needed);
    else
        ui_out("unsealed\n");
    return CCZ_OK;
}

static const struct verb {
    const char *noun, *name; /* name NULL: one word */
    const char *args, *help;
    int operands;
    bool value; /* needs --from */
    verb_fn *run;
} verbs[] = {
    {"secret", "put", "NAME --from FILE", "store a secret", 1, true, secret_put},
    {"policy", "put", "NAME FILE", "store a policy", 2, false, policy_put},
    {"policy", "show", "NAME", "print a policy", 1, false, policy_show},
    {"reference", "put", "NAME FILE", "store a set of reference values that policies name", 2,
     false, reference_put},
    {"reference", "get", "NAME", "print a set", 1, false, reference_get},
    {"reference", "list", "", "list the sets", 0, false, reference_list},
    {"reference", "delete", "NAME", "delete a set that no policy names", 1, false,
     reference_delete},
    {"bind", NULL, "ITEM POLICY", "release key/NAME or secret/NAME under this policy from now on",
     2, false, bind_item},
    {"rm", NULL, "ITEM",
     "delete key/NAME or secret/NAME, for 7 days to be undone; or remove policy/NAME", 1, false,
     remove_item},
    {"undelete", NULL, "ITEM", "bring back what was deleted and not destroyed", 1, false,
     undelete_item},
    {"destroy", NULL, "ITEM", "remove for good what was deleted, after its time", 1, false,
     destroy_item},
    {"disable", NULL, "ITEM", "release it to nobody until it is enabled", 1, false, disable_item},
    {"enable", NULL, "ITEM", "undo disable", 1, false, enable_item},
    {"door", "open", "ITEM",
     "release --version of it also to peers whose evidence is bound to their key alone", 1, false,
     door_open},
    {"door", "close", "ITEM", "undo door open", 1, false, door_close},
    {"ls", NULL, "", "list keys, secrets and policies", 0, false, list},
    {"show", NULL, "ITEM", "list the versions of an item", 1, false, show},
    {"audit", "export", "FILE", "write the whole audit log, signed, for audit verify", 1, false,
     audit_export},
    {"audit", "checkpoint", "", "print a signed checkpoint: keep it elsewhere", 0, false,
     audit_checkpoint},
    {"audit", "consistency", "CHECKPOINT",
     "prove that the log of today continues an older checkpoint; print today's", 1, false,
     audit_consistency},
    {"audit", "rotate-key", "", "another key signs checkpoints from now on", 0, false,
     audit_rotate_key},
    {"audit", "keys", "", "print the public keys that sign checkpoints", 0, false, audit_keys},
    {"audit", NULL, "", "print and verify the audit chain", 0, false, audit},
    {"why", NULL, "DECISION", "show all of a decision, e.g. D17: what the policy wanted", 1, false,
     why},
    {"workloads", NULL, "", "list the workloads that were judged, by policy", 0, false, workloads},
    {"replay", NULL, "POLICY",
     "what the staged policy, or --try FILE, would do to recorded workloads; exit 1 if it blocks "
     "any",
     1, false, replay},
    {"stage", NULL, "POLICY FILE", "try a policy beside POLICY until --until; it decides nothing",
     2, false, stage},
    {"staged", NULL, "[POLICY]",
     "list what is staged and what it would have done; or print what is staged for POLICY", 0,
     false, list_staged},
    {"unstage", NULL, "POLICY", "take it back", 1, false, unstage},
    {"rollout", NULL, "POLICY", "put the staged policy in force, for every item bound to POLICY", 1,
     false, rollout},
    {"evidence", "get", "ID", "write raw evidence that is kept to --out, for evidence verify", 1,
     false, evidence_get},
    {"status", NULL, "", "show what is running and how much it holds", 0, false, status},
    {"role", "set", "KEY ROLES",
     "give a key (PEM file or SHA-256) roles in --namespace: auditor,operator,author,approver,"
     "client, admin, none",
     2, false, role_set},
    {"role", "ls", "", "list who has which roles, and where approvals are needed", 0, false,
     role_list},
    {"quorum", "set", "N", "how many approvals a change of policies, bindings and roles needs", 1,
     false, quorum_set},
    {"proposals", NULL, "", "list what waits for approvals", 0, false, proposals},
    {"approve", NULL, "ID", "approve a proposal; the last one that is needed executes it", 1, false,
     approve},
    {"reject", NULL, "ID", "end a proposal, or take back the own one", 1, false, reject},
    {"token-key", "rotate", "", "another key signs attestation results from now on", 0, false,
     token_key_rotate},
    {"token-key", "list", "", "list the keys that they are signed with", 0, false, token_key_list},
    {"unseal", NULL, "[--from FILE]",
     "give a share of the master key, or ask how many are given; needs no --admin-key", 0, false,
     unseal},
};
enum { VERBS_LEN = sizeof(verbs) / sizeof(verbs[0]) };

/* These need no KMS. */
static const struct {
    const char *name, *args, *help;
    int (*run)(int argc, char **argv);
} offline[] = {
    {"verify", "EXPORT", "verify an export, receipts, what it continues; without the KMS",
     kms_audit_verify},
    {"receipt", "EXPORT SEQ", "print the receipt of a line of an export", kms_audit_receipt},
};
enum { OFFLINE_LEN = sizeof(offline) / sizeof(offline[0]) };

static int help(void)
{
    ui_out("usage: cczoo kms VERB ... --kms ADDR --admin-key FILE --policy FILE [--trust-sim DIR | "
           "--collateral DIR]\n\n");
    for (size_t i = 0; i < VERBS_LEN; i++) {
        char left[64];
        (void)snprintf(left, sizeof(left), "%s%s%s %s", verbs[i].noun, verbs[i].name ? " " : "",
                       verbs[i].name ? verbs[i].name : "", verbs[i].args);
        ui_out("  %-28s %s\n", left, verbs[i].help);
    }
    ui_out("  %-28s %s\n", "doctor",
           "look at everything, say what to do; exit 1 if there is something");
    kms_key_help();
    kms_ca_help();
    ui_out("  %-28s %s\n", "propose VERB ...",
           "policy put, rollout, reference put, reference delete, door open, bind, rm, role set, "
           "quorum set, key create, key expiry, key bind, key unbind, ca create: for others to "
           "approve");
    for (size_t i = 0; i < OFFLINE_LEN; i++)
        ui_out("  audit %s %-*s %s\n", offline[i].name, (int)(21 - strlen(offline[i].name)),
               offline[i].args, offline[i].help);
    return UI_OK;
}

static bool check(const struct verb *v, const struct kms_opts *o, int operands)
{
    const struct ui_need needs[] = {{"kms", o->reach.kms},
                                    {"admin-key", v->run == unseal || o->reach.admin_key},
                                    {"policy", o->reach.policy},
                                    {"from", !v->value || o->from}};
    if (!ui_needs(needs, sizeof(needs) / sizeof(needs[0])))
        return false;
    if (v->run == unseal && o->reach.kms_id) {
        ui_error("--kms-id: a sealed KMS does not say which one it is");
        ui_hint("a share opens the store that it was made for, and no other; ask afterwards: cczoo "
                "kms status");
        return false;
    }
    bool one_more = v->run == list_staged && operands == 1; /* it may be named */
    if ((operands != v->operands && !one_more) || o->last < 0 || o->version < 0 ||
        o->version > CCZ_KMS_VERSIONS_MAX || o->if_version < -1 ||
        o->if_version > CCZ_KMS_VERSIONS_MAX || o->recovery_days < 0 || o->recovery_days > 90 ||
        o->valid_days < 0 || o->valid_days > 30) {
        ui_error("expected: cczoo kms %s%s%s %s", v->noun, v->name ? " " : "",
                 v->name ? v->name : "", v->args);
        return false;
    }
    return v->run != evidence_get || kms_not_stdout("out", o->out);
}

static bool proposable(const struct verb *v)
{
    return v->run == policy_put || v->run == bind_item || v->run == remove_item ||
           v->run == role_set || v->run == quorum_set || v->run == rollout ||
           v->run == reference_put || v->run == reference_delete || v->run == door_open;
}

static int ask(const struct verb *v, struct kms_opts *o, char **args)
{
    struct ccz_err err = {0};
    struct kms_session s;
    o->roles.json = o->json;
    o->roles.valid_s = (uint32_t)o->valid_days * 86400;
    ccz_rc rc = kms_session_begin(&s, &o->reach, &err);
    if (rc == CCZ_OK)
        rc = v->run(&s, o, args, &err);
    kms_session_end(&s);
    if (v->run == unseal && strcmp(err.where, "peer:kms:admin-unknown") == 0)
        (void)ccz_hint(&err, rc, "it is open: only a sealed KMS takes calls without a key");
    if (rc != CCZ_OK)
        return ui_fail(&err);
    return o->no ? UI_NO : UI_OK;
}

#define WITH_JSON                                                                                  \
    "secret put, policy put, reference put, reference list, reference delete, bind, rm, "          \
    "undelete, destroy, disable, enable, door open, door close, ls, show, audit, why, "            \
    "workloads, replay, stage, staged, unstage, rollout, status, role set, role ls, quorum set, "  \
    "proposals, approve, reject, token-key rotate, token-key list, unseal"

/* @param verb  as the table calls it @param usage  of it */
static int parse(struct kms_opts *o, const char *verb, const char *usage, int argc, char **argv)
{
    const struct ui_opt reach[] = {KMS_REACH_OPTS(&o->reach), {0}};
    const struct kms_opt opts[] = {
        {"secret put, unseal",
         UI_TEXT("from", &o->from, "FILE", "file of the value, mode 0600; - = stdin")},
        {"secret put", UI_TEXT("bind", &o->bind, "NAME", "bind it to this policy of the KMS")},
        {"secret put",
         {"new-version", NULL, NULL, &o->new_version, NULL, "it exists, add a version"}},
        {"policy put, reference put, stage",
         {"replace", NULL, NULL, &o->replace, NULL,
          "policy put: replace it for every item bound to it; reference put: add a version; stage: "
          "replace what is staged"}},
        {"secret put",
         {"if-version", NULL, &o->if_version, NULL, "N",
          "store only if N is the latest version; 0 = it does not exist"}},
        {"secret put", UI_TEXT("expires", &o->expires, "TIME",
                               "released to nobody from then on, e.g. 2027-01-31T00:00:00Z")},
        {"secret put", UI_TEXT("metadata", &o->metadata, "JSON", "an object, not secret")},
        {"rm, undelete, destroy, disable, enable, door open, door close, reference get",
         {"version", NULL, &o->version, NULL, "N", "this version only"}},
        {"rm",
         {"recovery", NULL, &o->recovery_days, NULL, "DAYS",
          "how long it is kept at least, 1 to 90; default 7"}},
        {"rm", {"no-recovery", NULL, NULL, &o->no_recovery, NULL, "destroy it now, for good"}},
        {"role set, quorum set, evidence get",
         UI_TEXT("namespace", &o->roles.ns, "NS",
                 "of names before their first /; '' = names without one; default: * = all, of "
                 "evidence get ''")},
        {"role set", UI_TEXT("label", &o->roles.label, "TEXT", "for people")},
        {"role set",
         {"token", NULL, NULL, &o->roles.token, NULL, "of a token's subject, not of a key"}},
        {"propose",
         {"valid", NULL, &o->valid_days, NULL, "DAYS",
          "how long it may be approved, 1 to 30; default 7"}},
        {"approve, rollout",
         UI_TEXT("digest", &o->roles.digest, "HEX",
                 "only if it is the proposal, or the staged policy, of this digest; default: the "
                 "one that is there")},
        {"proposals, replay",
         {"all", NULL, NULL, &o->roles.all, NULL,
          "proposals: also those that are closed; replay: also workloads that fare as they do "
          "now"}},
        {"audit", {"last", NULL, &o->last, NULL, "N", "the last N lines only"}},
        {"workloads",
         UI_TEXT("under", &o->under, "NAME", "those judged by this policy of the KMS")},
        {"audit consistency",
         UI_TEXT("known", &o->known, "FILE",
                 "public keys that may have signed, PEM; default: those of the KMS")},
        {"evidence get", UI_TEXT("out", &o->out, "FILE", "where to; must not exist")},
        {"replay", UI_TEXT("reference", &o->reference, "NAME",
                           "with --values in place of the set of this name")},
        {"replay", UI_TEXT("values", &o->values, "FILE", "the set to try")},
        {"replay", UI_TEXT("try", &o->try_file, "FILE", "this policy instead of the staged one")},
        {"replay", UI_TEXT("at", &o->at, "TIME", "judged then, e.g. when a grace has ended")},
        {"stage", UI_TEXT("until", &o->until, "TIME", "end of the trial, within 366 days")},
        {WITH_JSON, {"json", NULL, NULL, &o->json, NULL, "print JSON, one object a line"}},
        {0},
    };
    return kms_parse(argc, argv, "cczoo kms", verb, o->roles.propose, usage, reach, opts);
}

static int run(const struct verb *v, bool propose, int argc, char **argv)
{
    struct kms_opts o = {.if_version = -1, .roles.propose = propose};
    char usage[160], verb[32];
    (void)snprintf(verb, sizeof(verb), "%s%s%s", v->noun, v->name ? " " : "",
                   v->name ? v->name : "");
    (void)snprintf(usage, sizeof(usage),
                   "cczoo kms %s %s --kms ADDR --admin-key FILE --policy FILE", verb, v->args);
    int n = parse(&o, verb, usage, argc, argv);
    if (n < 0)
        return ui_parse_status(n);
    if (!check(v, &o, n))
        return UI_USAGE;
    argv[n] = NULL; /* ends the operands */
    return ask(v, &o, argv);
}

/* Once "propose" in front is gone. */
static int find_and_run(bool propose, int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < VERBS_LEN; i++) {
        const struct verb *v = &verbs[i];
        bool two = v->name && argc > 2 && strcmp(argv[2], v->name) == 0;
        if (strcmp(argv[1], v->noun) != 0 || (v->name && !two))
            continue;
        if (propose && !proposable(v)) {
            ui_error("this cannot be proposed: call it directly");
            ui_hint("policy put, rollout, reference put and delete, door open, bind, rm, role set, "
                    "quorum set, key create, key expiry, key bind and unbind, and ca create can "
                    "be; of secret put and key import that needs approvals only what --bind and "
                    "--exportable ask for");
            return UI_USAGE;
        }
        return two ? run(v, propose, argc - 2, argv + 2) : run(v, propose, argc - 1, argv + 1);
    }
    ui_error("no such verb: kms %s%s%s", argc > 1 ? argv[1] : "", argc > 2 ? " " : "",
             argc > 2 ? argv[2] : "");
    ui_hint("cczoo kms --help lists the verbs");
    return UI_USAGE;
}

int cmd_kms(int argc, char **argv)
{
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        (void)help();
        return argc < 2 ? UI_USAGE : UI_OK;
    }
    if (strcmp(argv[1], "doctor") == 0)
        return kms_doctor(argc - 1, argv + 1);
    if (strcmp(argv[1], "key") == 0)
        return kms_key(false, argc - 1, argv + 1);
    if (strcmp(argv[1], "propose") == 0 && argc > 2 && strcmp(argv[2], "key") == 0)
        return kms_key(true, argc - 2, argv + 2);
    if (strcmp(argv[1], "ca") == 0)
        return kms_ca(false, argc - 1, argv + 1);
    if (strcmp(argv[1], "propose") == 0 && argc > 2 && strcmp(argv[2], "ca") == 0)
        return kms_ca(true, argc - 2, argv + 2);
    for (size_t i = 0; i < OFFLINE_LEN && argc > 2 && strcmp(argv[1], "audit") == 0; i++)
        if (strcmp(argv[2], offline[i].name) == 0)
            return offline[i].run(argc - 2, argv + 2);
    bool propose = strcmp(argv[1], "propose") == 0;
    return propose ? find_and_run(true, argc - 1, argv + 1) : find_and_run(false, argc, argv);
}
