/* SPDX-License-Identifier: Apache-2.0 */
/* Text of a server was escaped, or held to a form, when it came in. */
#include "kms_doctor.h"
#include "kms_session.h"

#include <cczoo/codec.h>
#include <cczoo/kms_audit.h>
#include <cczoo/kms_use.h>
#include <cczoo/kms_why.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    DAY_S = 86400,
    SHOWN_MAX = 10,      /* findings of one kind that are shown one by one */
    NAMES_MAX = 4096,    /* keys and policies that are looked into */
    SKEW_WARN_S = 5,     /* more than a round trip */
    SKEW_BAD_S = 60,     /* tokens and nonces are refused somewhere */
    COLLATERAL_DAYS = 7, /* collateral is fetched daily where it is fetched */
    LINES_DEFAULT = 10000
};

/* A note asks for nothing: it says what is so, and may be meant. */
enum level { LEVEL_OK, LEVEL_NOTE, LEVEL_WARN, LEVEL_BAD, LEVELS };
static const char *const level_names[LEVELS] = {"ok", "note", "warn", "bad"};

struct names {
    char (*name)[CCZ_KMS_ITEM_SIZE];
    size_t len;
    bool more; /* than NAMES_MAX */
};

struct doctor {
    struct kms_reach reach;
    struct kms_session s;
    struct ccz_kms_instance pin; /* which KMS it has to be */
    int64_t days, last;
    bool json;
    int64_t now_s;
    unsigned found[LEVELS];
    struct names keys, policies;
    /* what callbacks count */
    unsigned unbound, expiring, expired, disabled, deleted, waiting, staged, admins;
    uint64_t lines, end_seq;
    int64_t latest_s; /* time of the last line */
    bool quorum;
};

static struct doctor *at(void *arg)
{
    return arg;
}

/* One finding. @param act  what to do, or NULL */
static CCZ_FMT(5, 6) void found(struct doctor *d, enum level level, const char *check,
                                const char *act, const char *fmt, ...)
{
    char what[1024];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(what, sizeof(what), fmt, ap);
    va_end(ap);
    d->found[level]++;
    if (!d->json) {
        ui_out("%-5s %-10s %s\n", level_names[level], check, what);
        if (act)
            ui_out("%-16s -> %s\n", "", act);
        return;
    }
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 16384);
    ccz_buf_printf(&b, "{\"level\":\"%s\",\"check\":\"%s\",\"what\":", level_names[level], check);
    ccz_json_put_str(&b, ccz_span_str(what));
    ccz_buf_put_str(&b, ",\"do\":");
    ccz_json_put_str(&b, ccz_span_str(act ? act : ""));
    ui_out("%s}\n", ccz_buf_str(&b));
}

/* A check that ended with an error. What the caller may not see is no illness of the KMS. */
static void failed(struct doctor *d, const char *check, const char *act, const struct ccz_err *err)
{
    bool role = strcmp(err->where, "kms:role") == 0;
    enum level level = role ? LEVEL_NOTE : LEVEL_BAD;
    const char *todo = role           ? "ask with the key of an auditor of all namespaces"
                       : act          ? act
                       : err->hint[0] ? err->hint
                                      : "see its reference: docs/reference/kms.md";
    if (err->got[0] || err->expected[0])
        found(d, level, check, todo, "%s%s: %s / %s", role ? "not examined: " : "", err->where,
              err->got, err->expected);
    else
        found(d, level, check, todo, "%s: %s", err->where, err->msg);
}

/* Whether this one of a kind is shown; the last line of the kind says how many are not. */
static bool shown(unsigned *n)
{
    return ++*n <= SHOWN_MAX;
}

static void rest(struct doctor *d, const char *check, unsigned n, const char *what)
{
    if (n > SHOWN_MAX)
        found(d, LEVEL_NOTE, check, NULL, "%u more %s", n - SHOWN_MAX, what);
}

static int64_t days_until(const struct doctor *d, int64_t at_s)
{
    return (at_s - d->now_s) / DAY_S;
}

/* ------------------------------------------------------------------- the way, the evidence */

static const char *advice(const char *where)
{
    static const struct {
        const char *prefix, *act;
    } table[] = {
        {"net:", "is cczoo-kmsd running there, and is the port open from here?"},
        {"rpc:connect", "is cczoo-kmsd running there, and is the port open from here?"},
        {"policy:tcb", "update the platform, or give --policy a grace with an end"},
        {"policy:", "if the KMS was updated: put its new measurement into --policy; else send "
                    "nothing to it"},
        {"ratls:no-evidence", "this is no KMS, or one without --tee"},
        {"quote:", "its evidence is not genuine, or collateral is missing: cczoo evidence verify"},
        {"peer:", "it does not take this caller: cczoo-kmsd admin, or its log, tells why"},
        {"kms:admin-unknown", "give this key a role: cczoo kms role set"},
        {"file:", NULL},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (strncmp(where, table[i].prefix, strlen(table[i].prefix)) == 0)
            return table[i].act;
    return NULL;
}

static void check_collateral(struct doctor *d, const char *whose, int64_t expires_s)
{
    char until[21];
    int64_t days = days_until(d, expires_s);
    ccz_time_format(until, expires_s);
    if (expires_s <= d->now_s)
        found(d, LEVEL_BAD, "collateral", "renew it: nobody is accepted by it any more",
              "%s: expired at %s", whose, until);
    else if (days < COLLATERAL_DAYS)
        found(d, LEVEL_WARN, "collateral", "renew it, or let it be renewed: --collateral-from",
              "%s: %lld days left, until %s", whose, (long long)days, until);
    else
        found(d, LEVEL_OK, "collateral", NULL, "%s: %lld days left", whose, (long long)days);
}

static void check_evidence(struct doctor *d)
{
    const struct ccz_claims *c = &d->s.peer.claims;
    char id[97];
    const uint8_t *measured = c->tee == CCZ_TEE_SGX   ? c->mrenclave
                              : c->tee == CCZ_TEE_TDX ? c->mrtd
                                                      : c->snp.measurement;
    ccz_hex(id, measured, c->tee == CCZ_TEE_SGX ? 32 : 48);
    bool behind = c->tcb_status != CCZ_TCB_UP_TO_DATE && c->tee != CCZ_TEE_SNP;
    found(d, behind ? LEVEL_WARN : LEVEL_OK, "evidence",
          behind ? "update the platform before a grace of your policy ends" : NULL,
          "%s %.16s.., %s%s", ccz_tee_name(c->tee), id, ccz_tcb_status_name(c->tcb_status),
          d->s.peer.fresh ? ", made for this connection" : "");
    if (c->debug)
        found(d, LEVEL_BAD, "evidence", "start it without debug: its memory can be read",
              "it is debuggable");
    if (c->simulated)
        found(d, LEVEL_NOTE, "evidence", NULL,
              "SIMULATED: a software TEE proves nothing about real hardware");
    for (size_t i = 0; i < c->advisory_len && i < SHOWN_MAX; i++)
        found(d, LEVEL_NOTE, "evidence", NULL, "advisory %s applies", c->advisory[i]);
    if (c->collateral_expires_s)
        check_collateral(d, "that it was judged by here", c->collateral_expires_s);
}

/* ------------------------------------------------------------------------------ the store */

static void check_instance(struct doctor *d, const uint8_t id[CCZ_KMS_INSTANCE_SIZE])
{
    char hex[2 * CCZ_KMS_INSTANCE_SIZE + 1], pinned[2 * CCZ_KMS_INSTANCE_SIZE + 1];
    ccz_hex(hex, id, CCZ_KMS_INSTANCE_SIZE);
    ccz_hex(pinned, d->pin.id, CCZ_KMS_INSTANCE_SIZE);
    if (!d->pin.known)
        found(d, LEVEL_NOTE, "instance", "write it down, and give it as --kms-id from now on",
              "%s; not compared with anything", hex);
    else if (strcmp(pinned, hex) != 0)
        found(d, LEVEL_BAD, "instance", "the right program with another store: do not use it",
              "kms:instance: %s / %s", hex, pinned);
    else
        found(d, LEVEL_OK, "instance", NULL, "%s", hex);
}

/* Which namespace is not said: who may read the status need not know of it. */
static void check_quotas(struct doctor *d, unsigned percent)
{
    enum { MUCH = 80 };
    if (percent < MUCH)
        found(d, LEVEL_OK, "quotas", NULL,
              "no namespace was seen with more than %u %% of what it may have", percent);
    else
        found(d, LEVEL_WARN, "quotas",
              "cczoo_kms_quota_most_percent of its /metrics says of what: destroy what is not "
              "needed, or cczoo-kmsd run --quota-...",
              "a namespace has %u %% of what it may have", percent);
}

static void check_status(struct doctor *d)
{
    struct ccz_err err = {0};
    struct ccz_kms_status st;
    if (ccz_kms_get_status(&st, d->s.client, &err) != CCZ_OK) {
        failed(d, "status", NULL, &err);
        return;
    }
    found(d, LEVEL_OK, "status", NULL, "version %s, %llu keys, %llu secrets, %llu policies",
          st.version, (unsigned long long)st.keys, (unsigned long long)st.secrets,
          (unsigned long long)st.policies);
    check_instance(d, st.instance);
    if (st.collateral_expires_s)
        check_collateral(d, "that it judges workloads by", st.collateral_expires_s);
    else
        found(d, LEVEL_WARN, "collateral", "cczoo-kmsd run --collateral DIR --collateral-from pcs",
              "it has none: no workload is accepted");
    if (st.counted)
        found(d, LEVEL_OK, "counter", NULL, "a counter outside of the store follows it");
    else
        found(d, LEVEL_WARN, "counter",
              "cczoo-kmsd epoch --epoch WHERE --accept-lost, then run with --epoch",
              "none: an older copy of the whole store would start");
    check_quotas(d, st.quota_most_percent);
}

static void on_line(void *arg, const struct ccz_kms_audit_line *l)
{
    at(arg)->lines++;
    at(arg)->end_seq = l->seq;
    at(arg)->latest_s = l->time_s;
}

/* The checkpoint is signed now, by the clock of the KMS; and it has to cover what is on record. */
static void check_audit(struct doctor *d)
{
    struct ccz_err err = {0};
    struct ccz_kms_checkpoint c;
    struct ccz_key *keys[CCZ_KMS_LOG_KEYS_MAX];
    size_t len = 0;
    int64_t before = ccz_clock_now_s(ccz_clock_system());
    ccz_rc rc = ccz_kms_get_checkpoint(&c, keys, &len, d->s.client, &err);
    int64_t after = ccz_clock_now_s(ccz_clock_system());
    for (size_t i = 0; rc == CCZ_OK && i < len; i++)
        ccz_key_free(keys[i]);
    if (rc != CCZ_OK) {
        failed(d, "clock", NULL, &err);
    } else {
        int64_t skew = c.time_s < before  ? c.time_s - before
                       : c.time_s > after ? c.time_s - after
                                          : 0;
        int64_t size = skew < 0 ? -skew : skew;
        enum level level = size > SKEW_BAD_S    ? LEVEL_BAD
                           : size > SKEW_WARN_S ? LEVEL_WARN
                                                : LEVEL_OK;
        found(d, level, "clock",
              level == LEVEL_OK ? NULL : "set both by NTP: expiry, tokens and grace go by it",
              "the KMS is %lld s %s", (long long)size, skew < 0 ? "behind" : "ahead");
    }
    if (ccz_kms_audit(d->s.client, 0, 0, (uint64_t)d->last, on_line, d, &err) != CCZ_OK) {
        failed(d, "audit",
               "keep what you have, and compare: cczoo kms audit verify EXPORT --from OLDER", &err);
        return;
    }
    if (rc == CCZ_OK && d->end_seq < c.size)
        found(d, LEVEL_BAD, "audit", "export it, and compare: cczoo kms audit verify --from OLDER",
              "kms:checkpoint-size: %llu lines / %llu that were signed",
              (unsigned long long)d->end_seq, (unsigned long long)c.size);
    else
        found(d, LEVEL_OK, "audit", NULL, "%llu lines, the last %llu continue each other",
              (unsigned long long)d->end_seq, (unsigned long long)d->lines);
    if (d->latest_s > after + SKEW_BAD_S)
        found(d, LEVEL_WARN, "audit", "set its clock by NTP", "the last line is of the future");
}

/* ---------------------------------------------------------------- what is in it, who waits */

static void keep(struct names *n, const char *name)
{
    void *more = n->len < NAMES_MAX ? realloc(n->name, (n->len + 1) * sizeof(n->name[0])) : NULL;
    n->more |= !more;
    if (!more)
        return;
    n->name = more;
    (void)snprintf(n->name[n->len++], sizeof(n->name[0]), "%s", name);
}

static bool works_inside(const struct ccz_kms_item *it)
{
    return strncmp(it->item, "key/", 4) == 0 && strcmp(it->alg, "aes-128") != 0 &&
           strcmp(it->alg, "aes-256") != 0;
}

static void on_item(void *arg, const struct ccz_kms_item *it)
{
    struct doctor *d = arg;
    char when[21] = "";
    if (strncmp(it->item, "policy/", 7) == 0) {
        keep(&d->policies, it->item + 7);
        return;
    }
    if (it->delete_after_s) {
        ccz_time_format(when, it->delete_after_s);
        if (shown(&d->deleted))
            found(d, LEVEL_NOTE, "items", NULL, "%s is deleted; may be destroyed from %s", it->item,
                  when);
        return;
    }
    if (works_inside(it)) { /* has dates and policies of its own: check_keys() */
        keep(&d->keys, it->item + 4);
        return;
    }
    if (it->disabled && shown(&d->disabled))
        found(d, LEVEL_NOTE, "items", NULL, "%s is disabled", it->item);
    if (!it->policy[0] && shown(&d->unbound))
        found(d, LEVEL_WARN, "items", "cczoo kms bind ITEM POLICY, or rm it",
              "%s is bound to no policy: nobody gets it", it->item);
    if (!it->expires_s || it->expires_s > d->now_s + d->days * DAY_S)
        return;
    ccz_time_format(when, it->expires_s);
    if (it->expires_s <= d->now_s && shown(&d->expired))
        found(d, LEVEL_WARN, "items", "put a new version, or rm it", "%s expired at %s", it->item,
              when);
    else if (it->expires_s > d->now_s && shown(&d->expiring))
        found(d, LEVEL_WARN, "items", "put a new version before that", "%s expires at %s", it->item,
              when);
}

/* Keys that work inside have dates of their own. */
static void check_keys(struct doctor *d)
{
    unsigned late = 0;
    char when[21];
    for (size_t i = 0; i < d->keys.len; i++) {
        struct ccz_err err = {0};
        struct ccz_kms_key_info k;
        const char *name = d->keys.name[i];
        if (ccz_kms_key_info(&k, d->s.client, name, &err) != CCZ_OK) {
            failed(d, "keys", NULL, &err);
            return;
        }
        if (k.delete_after_s)
            continue;
        if (k.disabled && shown(&d->disabled))
            found(d, LEVEL_NOTE, "keys", NULL, "key/%s is disabled", name);
        if (k.disabled)
            continue;
        if (!k.bindings_len && !k.unattested_insecure && shown(&d->unbound))
            found(d, LEVEL_WARN, "keys", "cczoo kms bind, or key bind for one operation",
                  "key/%s is bound to no policy: nobody uses it", name);
        if (k.expires_s && k.expires_s <= d->now_s + d->days * DAY_S && shown(&d->expiring)) {
            ccz_time_format(when, k.expires_s);
            found(d, LEVEL_WARN, "keys", "cczoo kms key expiry, or a key in its place",
                  "key/%s makes nothing new from %s on", name, when);
        }
        if (k.next_rotation_s && k.next_rotation_s < d->now_s - 3600 && shown(&late))
            found(d, LEVEL_WARN, "keys", "the log of cczoo-kmsd tells why; cczoo kms key rotate",
                  "key/%s was to be rotated, and was not", name);
        if (k.unattested_insecure)
            found(d, LEVEL_NOTE, "keys", NULL, "key/%s is used by clients without evidence", name);
    }
}

static void check_items(struct doctor *d)
{
    struct ccz_err err = {0};
    unsigned before = d->found[LEVEL_WARN];
    if (ccz_kms_list(d->s.client, on_item, d, &err) != CCZ_OK) {
        failed(d, "items", NULL, &err);
        return;
    }
    check_keys(d);
    rest(d, "items", d->deleted, "are deleted");
    rest(d, "items", d->disabled, "are disabled");
    rest(d, "items", d->unbound, "are bound to no policy");
    rest(d, "items", d->expired, "have expired");
    rest(d, "items", d->expiring, "expire");
    if (d->keys.more || d->policies.more)
        found(d, LEVEL_NOTE, "items", NULL, "only the first %d keys and policies were looked into",
              NAMES_MAX);
    if (d->found[LEVEL_WARN] == before)
        found(d, LEVEL_OK, "items", NULL, "all are bound, none expires within %lld days",
              (long long)d->days);
}

static void ignore(void *arg, const struct ccz_kms_replayed *r)
{
    (void)arg;
    (void)r;
}

/* Whoever is accepted today and would not be when the days are over: a grace ends, or a reference value does. */
static void check_grace(struct doctor *d)
{
    char then[21], act[512];
    unsigned ending = 0, workloads = 0;
    ccz_time_format(then, d->now_s + d->days * DAY_S);
    for (size_t i = 0; i < d->policies.len; i++) {
        struct ccz_err err = {0};
        struct ccz_kms_replay sum = {0};
        const char *name = d->policies.name[i];
        CCZ_AUTO_BUF json;
        ccz_buf_init(&json, CCZ_POLICY_SIZE_MAX);
        ccz_rc rc = ccz_kms_get_policy(&json, NULL, d->s.client, name, &err);
        if (rc == CCZ_OK)
            rc = ccz_kms_replay_policy(&sum, d->s.client, name, ccz_buf_span(&json),
                                       d->now_s + d->days * DAY_S, ignore, NULL, &err);
        if (rc != CCZ_OK) {
            failed(d, "grace", NULL, &err);
            return;
        }
        workloads += (unsigned)sum.workloads;
        (void)snprintf(act, sizeof(act),
                       "update them; which: cczoo kms policy show %s >P, replay %s --try P "
                       "--at %s",
                       name, name, then);
        if (sum.blocked && shown(&ending))
            found(d, LEVEL_WARN, "grace", act,
                  "policy/%s will refuse %llu of %llu workloads within %lld days", name,
                  (unsigned long long)sum.blocked, (unsigned long long)sum.workloads,
                  (long long)d->days);
    }
    rest(d, "grace", ending, "policies will refuse workloads");
    if (!ending)
        found(d, LEVEL_OK, "grace", NULL,
              "no grace or reference value of %u workloads ends within %lld days", workloads,
              (long long)d->days);
}

static void on_staged(void *arg, const struct ccz_kms_staged *s)
{
    struct doctor *d = arg;
    char end[21];
    ccz_time_format(end, s->ends_s);
    if (s->ended)
        found(d, LEVEL_WARN, "staged", "cczoo kms stage --replace, or unstage",
              "the trial of policy/%s ended at %s", s->policy, end);
    else if (shown(&d->staged))
        found(d, LEVEL_NOTE, "staged", NULL,
              "policy/%s is on trial until %s: would refuse %llu releases", s->policy, end,
              (unsigned long long)s->would_refuse);
}

static void on_proposal(void *arg, const struct ccz_kms_proposal *p)
{
    struct doctor *d = arg;
    char end[21];
    if (p->state != CCZ_KMS_PROPOSAL_OPEN || !shown(&d->waiting))
        return;
    ccz_time_format(end, p->expires_s);
    found(d, p->expires_s < d->now_s + DAY_S ? LEVEL_WARN : LEVEL_NOTE, "approvals",
          "cczoo kms proposals, then approve or reject",
          "proposal %llu (%s) has %zu of %u approvals, until %s", (unsigned long long)p->id,
          p->method, p->approvers_len, p->needed, end);
}

static void on_role(void *arg, const struct ccz_kms_grant *g)
{
    if (strcmp(g->ns, "*") == 0 && (g->roles & CCZ_KMS_ROLE_ADMIN) == CCZ_KMS_ROLE_ADMIN)
        at(arg)->admins++;
}

static void on_quorum(void *arg, const char *ns, uint32_t needed)
{
    (void)ns;
    at(arg)->quorum |= needed != 0;
}

static void check_people(struct doctor *d)
{
    struct ccz_err err = {0};
    if (ccz_kms_list_staged(d->s.client, on_staged, d, &err) != CCZ_OK)
        failed(d, "staged", NULL, &err);
    rest(d, "staged", d->staged, "are on trial");
    if (ccz_kms_list_proposals(d->s.client, 0, 0, on_proposal, d, &err) != CCZ_OK)
        failed(d, "approvals", NULL, &err);
    else if (!d->waiting)
        found(d, LEVEL_OK, "approvals", NULL, "no proposal waits");
    rest(d, "approvals", d->waiting, "proposals wait");
    if (ccz_kms_list_roles(d->s.client, on_role, on_quorum, d, &err) != CCZ_OK) {
        failed(d, "roles", NULL, &err);
        return;
    }
    if (!d->quorum)
        found(d, LEVEL_NOTE, "roles", "cczoo kms quorum set",
              "one author alone changes policies: approvals are needed nowhere");
    if (d->admins == 1)
        found(d, LEVEL_NOTE, "roles", "cczoo kms role set KEY admin",
              "one key alone is administrator of all");
}

/* -------------------------------------------------------------------------------- command */

static int examine(struct doctor *d)
{
    struct ccz_err err = {0};
    if (kms_session_begin(&d->s, &d->reach, &err) != CCZ_OK) {
        failed(d, "reach", advice(err.where), &err);
        return ui_status(&err);
    }
    found(d, LEVEL_OK, "reach", NULL, "%s answers, and takes this key", d->reach.kms);
    check_evidence(d);
    check_status(d);
    check_audit(d);
    check_items(d);
    check_grace(d);
    check_people(d);
    if (!d->json)
        ui_say("%u ok, %u notes, %u warnings, %u bad", d->found[LEVEL_OK], d->found[LEVEL_NOTE],
               d->found[LEVEL_WARN], d->found[LEVEL_BAD]);
    return d->found[LEVEL_WARN] || d->found[LEVEL_BAD] ? UI_NO : UI_OK;
}

int kms_doctor(int argc, char **argv)
{
    struct doctor d = {
        .days = 30, .last = LINES_DEFAULT, .now_s = ccz_clock_now_s(ccz_clock_system())};
    const struct ui_opt opts[] = {
        KMS_REACH_OPTS(&d.reach),
        {"days", NULL, &d.days, NULL, "N", "how far to look ahead, 1 to 365; default 30"},
        {"last", NULL, &d.last, NULL, "N", "audit lines to check; 0 = all; default 10000"},
        {"json", NULL, NULL, &d.json, NULL, "print JSON, one finding a line"},
        {0},
    };
    int n =
        ui_parse(argc, argv, "cczoo kms doctor --kms ADDR --admin-key FILE --policy FILE", opts);
    if (n < 0)
        return ui_parse_status(n);
    if (n != 0 || !d.reach.kms || !d.reach.admin_key || !d.reach.policy) {
        ui_error("expected --kms, --admin-key and --policy, and nothing else");
        return UI_USAGE;
    }
    if (!ui_count("days", d.days, 1, 365) || !ui_count("last", d.last, 0, INT64_MAX))
        return UI_USAGE;
    struct ccz_err err = {0};
    if (d.reach.kms_id && ccz_kms_instance_parse(&d.pin, d.reach.kms_id, &err) != CCZ_OK) {
        (void)ui_fail(&err);
        return UI_USAGE;
    } /* here another KMS is a finding, and not the end */
    d.reach.kms_id = NULL;
    int status = examine(&d);
    kms_session_end(&d.s);
    free(d.keys.name);
    free(d.policies.name);
    return status;
}
