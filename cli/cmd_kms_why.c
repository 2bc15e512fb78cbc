/* SPDX-License-Identifier: Apache-2.0 */
/* Decisions, recorded workloads, what another policy would do to them. Text of a server was escaped when it came in. */
#include "cli.h"
#include "json_out.h"
#include "kms_reference.h"
#include "kms_why.h"

#include <cczoo/codec.h>

#include <stdio.h>
#include <string.h>

static const char *yes(bool is)
{
    return is ? "true" : "false";
}

/* --------------------------------------------------------------------------------- why */

static void line(const char *what, const char *text)
{
    if (text[0])
        ui_out("%-14s %s\n", what, text);
}

static const char *member(const struct ccz_json *j, const char *key)
{
    const char *s = ccz_json_str(ccz_json_get(j, key));
    return s ? s : "";
}

/* A member of the entry, which is the server's word: escaped. */
static void member_line(const char *what, const struct ccz_json *j, const char *key)
{
    char text[2 * CCZ_ERR_VALUE_SIZE];
    ccz_escape(text, sizeof(text), ccz_span_str(member(j, key)));
    line(what, text);
}

static void show_decision(const struct ccz_kms_decision *d)
{
    char at[21], version[16] = "";
    struct ccz_json *e = NULL;
    ccz_time_format(at, d->time_s);
    if (d->version)
        (void)snprintf(version, sizeof(version), "%u", d->version);
    ui_out("%s %s %s at %s\n", d->id, d->op, d->accepted ? "accepted" : "refused", at);
    line("item", d->item);
    line("version", version);
    line("policy", d->policy);
    line("policy sha256", d->policy_sha256);
    line("rule", d->rule);
    line("references", d->references);
    line("grace until", d->grace_until);
    line("where", d->where);
    line("got", d->got);
    line("expected", d->expected);
    line("reason", d->reason);
    if (ccz_json_parse(&e, d->entry, NULL) != CCZ_OK)
        return;
    const struct ccz_json *peer = ccz_json_get(e, "peer"), *staged = ccz_json_get(e, "staged");
    member_line("peer", peer, "kind");
    member_line("tee", peer, "tee");
    member_line("mrenclave", peer, "mrenclave");
    member_line("mrtd", peer, "mrtd");
    member_line("measurement", peer, "measurement");
    member_line("address", peer, "address");
    if (staged) {
        member_line("on trial", staged, "verdict");
        member_line("  rule", staged, "rule");
        member_line("  where", staged, "where");
        member_line("  got", staged, "got");
        member_line("  expected", staged, "expected");
    }
    ccz_json_free(e);
}

static void on_decision(void *arg, const struct ccz_kms_decision *d)
{
    const bool *json = arg;
    if (!*json) {
        show_decision(d);
        return;
    }
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 131072);
    ccz_buf_printf(&b, "{\"decision\":\"%s\"", d->id);
    put_time(&b, "time", d->time_s);
    put_text(&b, "op", d->op);
    ccz_buf_printf(&b, ",\"accepted\":%s", yes(d->accepted));
    put_text(&b, "item", d->item);
    ccz_buf_printf(&b, ",\"version\":%u", d->version);
    put_text(&b, "policy", d->policy);
    put_text(&b, "policy_sha256", d->policy_sha256);
    put_text(&b, "rule", d->rule);
    put_text(&b, "references", d->references);
    put_text(&b, "grace_until", d->grace_until);
    put_text(&b, "where", d->where);
    put_text(&b, "got", d->got);
    put_text(&b, "expected", d->expected);
    put_text(&b, "reason", d->reason);
    struct ccz_json *e = NULL;
    if (ccz_json_parse(&e, d->entry, NULL) == CCZ_OK) {
        ccz_buf_put_str(&b, ",\"entry\":");
        ccz_buf_put_span(&b, d->entry);
    }
    ccz_json_free(e);
    ui_out("%s}\n", ccz_buf_str(&b));
}

ccz_rc kms_why(struct ccz_rpc_client *c, const char *id, bool json, struct ccz_err *err)
{
    return ccz_kms_why(c, id, on_decision, &json, err);
}

/* --------------------------------------------------------------------------- workloads */

/* "4f1c2a9b sgx aaaaaaaaaaaaaaaa UpToDate": the beginning of a line about a workload. */
static void show_who(const struct ccz_kms_workload *w)
{
    char id[9];
    ccz_hex(id, w->id, 4);
    ui_out("%s %s %.16s %s%s", id, ccz_tee_name(w->tee), w->measurement,
           w->status[0] ? w->status : "-", w->simulated ? " SIMULATED" : "");
}

static void put_who(struct ccz_buf *b, const struct ccz_kms_workload *w)
{
    char id[65];
    ccz_hex(id, w->id, 32);
    ccz_buf_printf(b, "{\"id\":\"%s\"", id);
    put_text(b, "policy", w->policy);
    put_text(b, "tee", ccz_tee_name(w->tee));
    ccz_buf_printf(b, ",\"simulated\":%s", yes(w->simulated));
    put_text(b, "measurement", w->measurement);
    put_text(b, "tcb_status", w->status);
    put_time(b, "first", w->first_s);
    put_time(b, "last", w->last_s);
    ccz_buf_printf(b, ",\"accepted\":%llu,\"refused\":%llu", (unsigned long long)w->accepted,
                   (unsigned long long)w->refused);
}

struct list {
    bool json;
    uint64_t n;
};

static void on_workload(void *arg, const struct ccz_kms_workload *w)
{
    struct list *l = arg;
    l->n++;
    if (!l->json) {
        char last[21];
        ccz_time_format(last, w->last_s);
        show_who(w);
        ui_out(" under %s: %llu accepted, %llu refused, last %s\n", w->policy,
               (unsigned long long)w->accepted, (unsigned long long)w->refused, last);
        return;
    }
    CCZ_AUTO_BUF b;
    struct ccz_json *claims = NULL;
    ccz_buf_init(&b, 131072);
    put_who(&b, w);
    if (ccz_json_parse(&claims, w->claims, NULL) == CCZ_OK) {
        ccz_buf_put_str(&b, ",\"claims\":");
        ccz_buf_put_span(&b, w->claims);
    }
    ccz_json_free(claims);
    ui_out("%s}\n", ccz_buf_str(&b));
}

ccz_rc kms_workloads(struct ccz_rpc_client *c, const char *policy, bool json, struct ccz_err *err)
{
    struct list l = {.json = json};
    ccz_rc rc = ccz_kms_workloads(c, policy, on_workload, &l, err);
    if (rc == CCZ_OK)
        ui_say("%llu workloads", (unsigned long long)l.n);
    return rc;
}

/* ------------------------------------------------------------------------------ replay */

static void show_replayed(const struct ccz_kms_replayed *r)
{
    char until[21] = "";
    show_who(&r->workload);
    if (r->then) {
        if (r->grace_until_s)
            ccz_time_format(until, r->grace_until_s);
        ui_out(": %s by rule \"%s\"%s%s%s%s\n", r->now ? "accepted as now" : "ADMITTED", r->rule,
               until[0] ? ", by its grace until " : "", until, r->references[0] ? ", by " : "",
               r->references);
        return;
    }
    ui_out(": %s: %s: %s / %s%s%s%s\n", r->now ? "BLOCKED" : "refused as now", r->where, r->got,
           r->expected, r->rule[0] ? " (rule \"" : "", r->rule, r->rule[0] ? "\")" : "");
}

static void on_replayed(void *arg, const struct ccz_kms_replayed *r)
{
    const struct kms_replay *o = arg;
    if (r->now == r->then && !o->all)
        return;
    if (!o->json) {
        show_replayed(r);
        return;
    }
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 65536);
    put_who(&b, &r->workload);
    ccz_buf_printf(&b, ",\"accepted_now\":%s,\"accepted_then\":%s", yes(r->now), yes(r->then));
    put_text(&b, "rule", r->rule);
    put_text(&b, "references", r->references);
    put_time(&b, "grace_until", r->grace_until_s);
    put_text(&b, "where", r->where);
    put_text(&b, "got", r->got);
    put_text(&b, "expected", r->expected);
    put_text(&b, "reason", r->reason);
    ui_out("%s}\n", ccz_buf_str(&b));
}

ccz_rc kms_replay(uint64_t *blocked, struct ccz_rpc_client *c, const struct kms_replay *r,
                  struct ccz_err *err)
{
    CCZ_AUTO_BUF json;
    CCZ_AUTO_BUF set;
    struct ccz_kms_replay sum;
    struct kms_replay o = *r;
    int64_t at_s = 0;
    ccz_buf_init(&json, CCZ_POLICY_SIZE_MAX);
    ccz_buf_init(&set, CCZ_REFERENCE_SIZE_MAX);
    *blocked = 0;
    if (!r->reference != !r->values)
        return ccz_refuse(err, CCZ_E_ARG, "kms:replay-set",
                          r->reference ? "--reference" : "--values",
                          "both --reference NAME and --values FILE");
    if (r->at && ccz_time_parse(&at_s, r->at, strlen(r->at)) != CCZ_OK)
        return ccz_refuse(err, CCZ_E_FORMAT, "kms:at", r->at, "YYYY-MM-DDThh:mm:ssZ");
    ccz_rc rc = r->file ? ccz_file_read(&json, r->file, err) : CCZ_OK;
    if (rc == CCZ_OK && r->file && json.size == 0)
        rc = ccz_fail(err, CCZ_E_FORMAT, "kms:policy-file", 0, "%s is empty", r->file);
    if (rc == CCZ_OK && r->values)
        rc = ccz_file_read(&set, r->values, err);
    if (rc == CCZ_OK && r->reference)
        rc = ccz_kms_replay_reference(&sum, c, r->policy, ccz_buf_span(&json), r->reference,
                                      ccz_buf_span(&set), at_s, on_replayed, &o, err);
    else if (rc == CCZ_OK)
        rc = ccz_kms_replay_policy(&sum, c, r->policy, ccz_buf_span(&json), at_s, on_replayed, &o,
                                   err);
    if (rc != CCZ_OK)
        return rc;
    char hex[65];
    ccz_hex(hex, sum.sha256, 32);
    *blocked = sum.blocked;
    if (r->json)
        ui_out("{\"policy\":\"%s\",\"sha256\":\"%s\",\"workloads\":%llu,\"blocked\":%llu,"
               "\"admitted\":%llu}\n",
               r->policy, hex, (unsigned long long)sum.workloads, (unsigned long long)sum.blocked,
               (unsigned long long)sum.admitted);
    else
        ui_out("would block %llu and admit %llu of %llu workloads\n",
               (unsigned long long)sum.blocked, (unsigned long long)sum.admitted,
               (unsigned long long)sum.workloads);
    return CCZ_OK;
}

/* ---------------------------------------------------------------------------- evidence */

/* "cczoo-kms:<instance>/evidence/<digest>[?namespace=<NS>]", or the digest alone. */
static ccz_rc take_id(uint8_t sha256[32], const char **ns, const char *id, struct ccz_err *err)
{
    static const char before[] = "/evidence/", query[] = "?namespace=";
    const char *digest = strstr(id, before), *end;
    digest = digest ? digest + sizeof(before) - 1 : id;
    end = strchr(digest, '?');
    size_t size = end ? (size_t)(end - digest) : strlen(digest);
    bool named = end && strncmp(end, query, sizeof(query) - 1) == 0;
    if (named && !*ns)
        *ns = end + sizeof(query) - 1;
    if (!*ns)
        *ns = "";
    if (size != 64 || (end && !named) || ccz_unhex(sha256, 32, digest, size) != CCZ_OK)
        return ccz_refuse(err, CCZ_E_ARG, "kms:evidence-id", id,
                          "64 hex digits, or raw_evidence of a token");
    return CCZ_OK;
}

ccz_rc kms_evidence_get(struct ccz_rpc_client *c, const char *id, const char *ns, const char *out,
                        struct ccz_err *err)
{
    CCZ_AUTO_BUF evidence;
    struct ccz_kms_kept kept;
    uint8_t sha256[32];
    char at[21];
    ccz_buf_init(&evidence, CCZ_QUOTE_SIZE_MAX);
    if (!out)
        return ccz_refuse(err, CCZ_E_ARG, "kms:out", "no --out", "--out FILE");
    ccz_rc rc = take_id(sha256, &ns, id, err);
    if (rc == CCZ_OK)
        rc = ccz_kms_get_evidence(&kept, &evidence, c, ns, sha256, err);
    if (rc == CCZ_OK)
        rc = ccz_file_write(out, ccz_buf_span(&evidence), 0644, CCZ_FILE_CREATE_ONLY, err);
    if (rc != CCZ_OK)
        return rc;
    ccz_time_format(at, kept.time_s);
    ui_say("%zu bytes of %s evidence, verified at %s: cczoo evidence verify %s", evidence.size,
           kept.tee, at, out);
    return CCZ_OK;
}

/* ------------------------------------------------------------------------------ staged */

static void put_staged(struct ccz_buf *b, const struct ccz_kms_staged *s)
{
    ccz_buf_put_str(b, "{\"policy\":");
    ccz_json_put_str(b, ccz_span_str(s->policy));
    put_hex(b, "sha256", s->sha256);
    put_time(b, "created", s->created_s);
    put_time(b, "ends", s->ends_s);
    ccz_buf_printf(b, ",\"ended\":%s,\"would_accept\":%llu,\"would_refuse\":%llu", yes(s->ended),
                   (unsigned long long)s->would_accept, (unsigned long long)s->would_refuse);
}

static void on_staged(void *arg, const struct ccz_kms_staged *s)
{
    struct list *l = arg;
    char end[21], hex[65];
    ccz_time_format(end, s->ends_s);
    ccz_hex(hex, s->sha256, 32);
    l->n++;
    if (!l->json) {
        ui_out("%-32s %.16s  %s %s  would accept %llu, would refuse %llu releases\n", s->policy,
               hex, s->ended ? "ENDED" : "until", end, (unsigned long long)s->would_accept,
               (unsigned long long)s->would_refuse);
        return;
    }
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 4096);
    put_staged(&b, s);
    ui_out("%s}\n", ccz_buf_str(&b));
}

void kms_show_staged(const struct ccz_kms_staged *st, struct ccz_buf *text, bool json)
{
    CCZ_AUTO_BUF b;
    char hex[65], end[21];
    ccz_buf_init(&b, 8 * CCZ_POLICY_SIZE_MAX);
    if (json) {
        put_staged(&b, st);
        put_text(&b, "text", ccz_buf_str(text));
        ccz_buf_put_str(&b, "}\n");
    }
    for (size_t i = 0; !json && i < text->size; i++) {
        uint8_t c = text->ptr[i];
        ccz_buf_u8(&b, c == '\n' || c == '\t' || (c >= ' ' && c < 0x7f) ? c : '?');
    }
    if (!json && text->size && text->ptr[text->size - 1] != '\n')
        ccz_buf_put_str(&b, "\n");
    ui_out_span(ccz_buf_span(&b));
    ccz_hex(hex, st->sha256, 32);
    ccz_time_format(end, st->ends_s);
    ui_say("staged for policy/%s %s %s, sha256 %s", st->policy, st->ended ? "ENDED" : "until", end,
           hex);
}

static ccz_rc show_one(struct ccz_rpc_client *c, const char *policy, bool json, struct ccz_err *err)
{
    CCZ_AUTO_BUF text;
    struct ccz_kms_staged st;
    ccz_buf_init(&text, CCZ_POLICY_SIZE_MAX);
    ccz_rc rc = ccz_kms_get_staged(&st, &text, c, policy, err);
    if (rc == CCZ_OK)
        kms_show_staged(&st, &text, json);
    return rc;
}

ccz_rc kms_staged(struct ccz_rpc_client *c, const char *policy, bool json, struct ccz_err *err)
{
    struct list l = {.json = json};
    if (policy)
        return show_one(c, policy, json, err);
    ccz_rc rc = ccz_kms_list_staged(c, on_staged, &l, err);
    if (rc == CCZ_OK && l.n == 0 && !json)
        ui_say("nothing is staged");
    return rc;
}
