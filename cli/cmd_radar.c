/* SPDX-License-Identifier: Apache-2.0 */
/* Early warning over a folder of evidence: what the early collateral refuses, the standard one will. */
#include "cli.h"
#include "corpus.h"
#include "evidence.h"

#include <cczoo/codec.h>
#include <cczoo/pcs.h>
#include <cczoo/radar.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One of the two folders of collateral, as verifier and as set to measure against. */
struct side {
    struct cli_verifier verifier;
    struct ccz_roots roots;
    struct ccz_pcs *pcs;
};

struct job {
    const char *standard, *early, *policy_file, *at;
    bool sim, json;
    struct ccz_policy *policy;
    struct side side[2]; /* standard, early */
};

struct row {
    const char *name;
    bool simulated;
    enum ccz_tee tee;
    enum ccz_tcb_status status[2]; /* standard, early; NONE = refused before, or SNP */
    uint32_t eval_number[2];
    struct ccz_radar radar;
    struct ccz_shortfall shortfall; /* against the early collateral */
};

/* ------------------------------------------------------------------------------------ looking */

static ccz_rc side_open(struct side *s, const struct job *j, bool early, struct ccz_err *err)
{
    const char *from = early ? j->early : j->standard;
    const struct cli_trust trust = {.collateral = j->sim ? NULL : from,
                                    .sim = j->sim ? from : NULL,
                                    .at = j->at,
                                    .early = early};
    struct ccz_snp_roots amd = {0};
    ccz_rc rc = cli_verifier_open(&s->verifier, &trust, err);
    if (rc == CCZ_OK && j->sim)
        rc = ccz_verifier_sim_roots(&s->roots, &amd, from, err);
    else if (rc == CCZ_OK)
        rc = ccz_roots_add_intel(&s->roots);
    if (rc == CCZ_OK && !s->verifier.store.store)
        rc = ccz_pcs_load(&s->pcs, from, &s->roots, err);
    return rc;
}

static void side_close(struct side *s)
{
    cli_verifier_close(&s->verifier);
    ccz_pcs_free(s->pcs);
}

/* Nothing short is known if the collateral has no such platform, or the evidence is of another kind. */
static void measure(struct ccz_shortfall *out, struct side *s, const char *file)
{
    struct ccz_quote q;
    struct ccz_platform platform;
    CCZ_AUTO_BUF evidence;
    ccz_buf_init(&evidence, CCZ_QUOTE_SIZE_MAX);
    if (ccz_file_read(&evidence, file, NULL) != CCZ_OK ||
        ccz_quote_parse(&q, ccz_buf_span(&evidence), NULL) != CCZ_OK)
        return;
    if (s->verifier.store.store) { /* this evidence may have had it fetched */
        ccz_pcs_free(s->pcs);
        s->pcs = NULL;
        if (ccz_pcs_load(&s->pcs, s->verifier.dir, &s->roots, NULL) != CCZ_OK)
            return;
    }
    const struct ccz_collateral *c = ccz_quote_platform(&platform, &q, NULL) == CCZ_OK
                                         ? ccz_pcs_find(s->pcs, &platform)
                                         : ccz_pcs_find_only(s->pcs, q.tee);
    if (c &&
        ccz_collateral_shortfall(out, c, ccz_buf_span(&evidence), CCZ_TCB_NONE, NULL) != CCZ_OK)
        *out = (struct ccz_shortfall){0};
}

static void look(struct row *r, struct job *j, const struct corpus_item *item)
{
    struct ccz_claims claims[2];
    struct ccz_err err[2];
    struct ccz_radar_view view[2];
    *r = (struct row){.name = item->name};
    for (int i = 0; i < 2; i++) {
        bool ok = cli_verify(&claims[i], &j->side[i].verifier, item->file, &err[i]) == CCZ_OK;
        view[i] = (struct ccz_radar_view){ok ? &claims[i] : NULL, ok ? NULL : &err[i]};
        if (!ok)
            continue;
        r->tee = claims[i].tee;
        r->simulated = claims[i].simulated;
        r->status[i] = claims[i].tcb_status;
        r->eval_number[i] = claims[i].tcb_eval_number;
    }
    if (r->tee == CCZ_TEE_SNP) /* no levels are published, early or not */
        view[1] = view[0];
    const struct ccz_radar_in in = {view[0], view[1], j->policy, j->side[0].verifier.now_s};
    ccz_radar(&r->radar, &in);
    measure(&r->shortfall, &j->side[1], item->file);
}

/* What needs work first: what is refused, then what ends, by date; then what nobody knows; then what is good. */
static int by_urgency(const void *a, const void *b)
{
    static const int order[] = {[CCZ_RADAR_REFUSED] = 0,
                                [CCZ_RADAR_ENDING] = 1,
                                [CCZ_RADAR_GRACE] = 1,
                                [CCZ_RADAR_UNKNOWN] = 2,
                                [CCZ_RADAR_GOOD] = 3};
    const struct row *x = a, *y = b;
    int d = order[x->radar.state] - order[y->radar.state];
    if (d == 0)
        d = (x->radar.until_s > y->radar.until_s) - (x->radar.until_s < y->radar.until_s);
    return d ? d : strcmp(x->name, y->name);
}

/* ------------------------------------------------------------------------------------- output */

static const char *const kind_names[] = {[CCZ_SVN_SGX_COMPONENT] = "sgx-component",
                                         [CCZ_SVN_PCE] = "pce",
                                         [CCZ_SVN_TDX_COMPONENT] = "tdx-component",
                                         [CCZ_SVN_TDX_MODULE] = "tdx-module",
                                         [CCZ_SVN_QE] = "qe"};

static const char *status_name(const struct row *r, int i)
{
    return r->status[i] ? ccz_tcb_status_name(r->status[i]) : "-";
}

/* A date, or why there is none. */
static void until_text(char out[21], const struct ccz_radar *r)
{
    if (r->until_s == 0 || r->until_s == INT64_MAX)
        (void)snprintf(out, 21, "%s", r->state == CCZ_RADAR_REFUSED ? "now" : "-");
    else
        ccz_time_format(out, r->until_s);
}

static void print_short(const struct ccz_svn_short *s)
{
    char index[8] = "";
    if (s->index)
        (void)snprintf(index, sizeof(index), " %u", s->index);
    ui_out("    %s%s (%s): has %u, ", kind_names[s->kind], index, ccz_svn_name(s), s->have);
    if (s->need)
        ui_out("needs %u (%u short)", s->need, s->need - s->have);
    else
        ui_out("no version of it is good enough any more");
    ui_out("; %s\n", ccz_svn_remedy(s));
}

static void print_row(const struct row *r, int width)
{
    const struct ccz_radar *x = &r->radar;
    char until[21];
    until_text(until, x);
    ui_out("%-*s  %-4s  %-8s  %-20s  %-20s  %-20s  ", width, r->name,
           r->tee ? ccz_tee_name(r->tee) : "-", ccz_radar_state_name(x->state), until,
           status_name(r, 0), status_name(r, 1));
    if (x->why.got[0] || x->why.expected[0])
        ui_out("%s: %s / %s\n", x->why.where, x->why.got, x->why.expected);
    else
        ui_out("%s%s%s\n", x->why.where, x->why.where[0] ? ": " : "", x->why.msg);
    for (size_t i = 0; i < r->shortfall.len && x->state != CCZ_RADAR_GOOD; i++)
        print_short(&r->shortfall.item[i]);
}

static void print_text(const struct row *rows, size_t len)
{
    int width = 8;
    for (size_t i = 0; i < len; i++)
        width = (int)strlen(rows[i].name) > width ? (int)strlen(rows[i].name) : width;
    ui_out("%-*s  %-4s  %-8s  %-20s  %-20s  %-20s  %s\n", width, "evidence", "tee", "state",
           "accepted until", "standard", "early", "reason: got / expected");
    for (size_t i = 0; i < len; i++)
        print_row(&rows[i], width);
}

static void put_text(struct ccz_buf *out, const char *name, const char *text)
{
    ccz_buf_printf(out, ",\"%s\":", name);
    if (text && text[0])
        ccz_json_put_str(out, ccz_span_str(text));
    else
        ccz_buf_put_str(out, "null");
}

static void put_side(struct ccz_buf *out, const char *name, const struct row *r, int i)
{
    ccz_buf_printf(out, ",\"%s\":{\"tcb_eval_number\":%u", name, r->eval_number[i]);
    put_text(out, "tcb_status", r->status[i] ? ccz_tcb_status_name(r->status[i]) : NULL);
    ccz_buf_put_str(out, "}");
}

static void put_row(struct ccz_buf *out, const struct row *r)
{
    char until[21];
    until_text(until, &r->radar);
    ccz_buf_put_str(out, "{\"name\":");
    ccz_json_put_str(out, ccz_span_str(r->name));
    put_text(out, "tee", r->tee ? ccz_tee_name(r->tee) : NULL);
    put_text(out, "state", ccz_radar_state_name(r->radar.state));
    put_text(out, "until", until[0] == '-' || until[0] == 'n' ? NULL : until);
    put_text(out, "rule", r->radar.rule);
    ccz_buf_printf(out, ",\"simulated\":%s", r->simulated ? "true" : "false");
    put_side(out, "standard", r, 0);
    put_side(out, "early", r, 1);
    put_text(out, "where", r->radar.why.where);
    put_text(out, "got", r->radar.why.got);
    put_text(out, "expected", r->radar.why.expected);
    put_text(out, "target", r->shortfall.target ? ccz_tcb_status_name(r->shortfall.target) : NULL);
    ccz_buf_put_str(out, ",\"short\":[");
    for (size_t i = 0; i < r->shortfall.len; i++) {
        const struct ccz_svn_short *s = &r->shortfall.item[i];
        ccz_buf_printf(out,
                       "%s{\"kind\":\"%s\",\"index\":%u,\"have\":%u,\"need\":%u,\"at_launch\":%s",
                       i ? "," : "", kind_names[s->kind], s->index, s->have, s->need,
                       s->at_launch ? "true" : "false");
        put_text(out, "name", ccz_svn_name(s));
        put_text(out, "remedy", ccz_svn_remedy(s));
        ccz_buf_put_str(out, "}");
    }
    ccz_buf_put_str(out, "]}");
}

static int print_json(const struct row *rows, size_t len)
{
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, (size_t)256 << 20);
    ccz_buf_put_str(&out, "[");
    for (size_t i = 0; i < len; i++) {
        ccz_buf_put_str(&out, i ? ",\n " : "\n ");
        put_row(&out, &rows[i]);
    }
    ccz_buf_put_str(&out, "\n]\n");
    ui_out_span(ccz_buf_span(&out));
    return out.bad ? UI_ENV : UI_OK;
}

static int conclude(const struct row *rows, size_t len)
{
    size_t count[CCZ_RADAR_GOOD + 1] = {0};
    for (size_t i = 0; i < len; i++) {
        count[rows[i].radar.state]++;
        if (rows[i].simulated)
            ui_simulated("some evidence comes from a software TEE");
    }
    ui_say("%zu good, %zu end, %zu live on grace, %zu are refused, %zu unknown",
           count[CCZ_RADAR_GOOD], count[CCZ_RADAR_ENDING], count[CCZ_RADAR_GRACE],
           count[CCZ_RADAR_REFUSED], count[CCZ_RADAR_UNKNOWN]);
    if (count[CCZ_RADAR_ENDING] || count[CCZ_RADAR_GRACE] || count[CCZ_RADAR_REFUSED])
        return UI_NO;
    return count[CCZ_RADAR_UNKNOWN] ? UI_ENV : UI_OK;
}

static int run(struct job *j, const char *dir)
{
    struct ccz_err err;
    CORPUS_AUTO corpus = {0};
    ccz_rc rc = corpus_read(&corpus, dir, &err);
    if (rc == CCZ_OK && j->policy_file)
        rc = cli_policy_read(&j->policy, j->policy_file, &err);
    if (rc == CCZ_OK)
        rc = side_open(&j->side[0], j, false, &err);
    if (rc == CCZ_OK)
        rc = side_open(&j->side[1], j, true, &err);
    if (rc != CCZ_OK)
        return ui_fail(&err);
    struct row *rows = calloc(corpus.len, sizeof(*rows));
    if (!rows)
        return UI_ENV;
    for (size_t i = 0; i < corpus.len; i++)
        look(&rows[i], j, &corpus.item[i]);
    qsort(rows, corpus.len, sizeof(rows[0]), by_urgency);
    int status = UI_OK;
    if (j->json)
        status = print_json(rows, corpus.len);
    else
        print_text(rows, corpus.len);
    if (status == UI_OK)
        status = conclude(rows, corpus.len);
    free(rows);
    return status;
}

int cmd_evidence_radar(int argc, char **argv)
{
    struct job j = {0};
    const char *both = NULL;
    const struct ui_opt opts[] = {
        {"standard", &j.standard, NULL, NULL, "DIR|URL", "collateral in use (PCS update=standard)"},
        {"early", &j.early, NULL, NULL, "DIR|URL", "collateral to come (PCS update=early)"},
        {"collateral", &both, NULL, NULL, "URL", "both from pcs, or from this PCCS"},
        {"sim", NULL, NULL, &j.sim, NULL,
         "both folders are those of a software TEE (all output says SIMULATED)"},
        {"policy", &j.policy_file, NULL, NULL, "FILE",
         "appraisal policy; without it a platform must be UpToDate"},
        {"at", &j.at, NULL, NULL, "TIME", "verification time, default now"},
        {"json", NULL, NULL, &j.json, NULL, "one JSON array"},
        {0},
    };
    int n = ui_parse(argc, argv,
                     "cczoo evidence radar EVIDENCE-DIR --standard DIR --early DIR "
                     "[--policy FILE] [--at TIME] [--json]",
                     opts);
    if (n < 0)
        return ui_parse_status(n);
    if (both && !j.standard && !j.early && cli_collateral_is_remote(both))
        j.standard = j.early = both;
    else if (both)
        n = -1;
    if (n != 1 || !j.standard || !j.early) {
        ui_error("expected a folder of evidence, and --standard and --early or --collateral URL");
        return UI_USAGE;
    }
    if (j.sim && (cli_collateral_is_remote(j.standard) || cli_collateral_is_remote(j.early))) {
        ui_error("--sim is about two folders: nobody publishes collateral of a software TEE");
        return UI_USAGE;
    }
    int status = run(&j, argv[0]);
    side_close(&j.side[0]);
    side_close(&j.side[1]);
    ccz_policy_free(j.policy);
    return status;
}
