/* SPDX-License-Identifier: Apache-2.0 */
/* A corpus of evidence against one policy: a table, and with --expect a regression test. */
#include "cli.h"
#include "corpus.h"
#include "evidence.h"

#include <cczoo/codec.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXPECT_SIZE_MAX = 1 << 20, EXPECT_LEN_MAX = CORPUS_LEN_MAX };

/* A line of the --expect file: name, "accept" or "refuse", and the time to judge at, if not --at. */
struct expect {
    const char *name;
    bool accept, seen;
    int64_t at_s; /* 0 = as for all */
};
struct expects {
    struct ccz_buf text; /* names point into it */
    struct expect *list;
    size_t len;
};

struct row {
    const char *name;
    struct ccz_claims claims; /* zeroed if not genuine */
    struct ccz_verdict verdict;
    struct ccz_err err; /* of the refusal */
    bool wrong;         /* not as expected */
};

/* ---------------------------------------------------------------------------------- --expect */

static void expects_free(struct expects *e)
{
    ccz_buf_free(&e->text);
    free(e->list);
}

/* Splits "name TAB verdict [TAB time]" in place. */
static ccz_rc expect_line(struct expect *out, char *line, size_t number, struct ccz_err *err)
{
    char *field[3] = {line, NULL, NULL};
    for (size_t i = 1; i < 3 && field[i - 1]; i++) {
        field[i] = strchr(field[i - 1], '\t');
        if (field[i])
            *field[i]++ = 0;
    }
    *out = (struct expect){.name = line};
    bool ok = field[1] && (strcmp(field[1], "accept") == 0 || strcmp(field[1], "refuse") == 0);
    if (ok && field[2])
        ok = ccz_time_parse(&out->at_s, field[2], strlen(field[2])) == CCZ_OK;
    if (!ok)
        return ccz_fail(err, CCZ_E_FORMAT, "cli:expect", (int64_t)number,
                        "line %zu: expected name, tab, accept or refuse, and perhaps tab and time",
                        number);
    out->accept = strcmp(field[1], "accept") == 0;
    return CCZ_OK;
}

static ccz_rc expects_read(struct expects *e, const char *file, struct ccz_err *err)
{
    ccz_buf_init(&e->text, EXPECT_SIZE_MAX);
    ccz_rc rc = ccz_file_read(&e->text, file, err);
    ccz_buf_u8(&e->text, 0);
    if (rc == CCZ_OK && e->text.bad)
        rc = ccz_fail(err, CCZ_E_LIMIT, "cli:expect", 0, "%s is too large", file);
    size_t number = 0;
    for (char *line = (char *)e->text.ptr; rc == CCZ_OK && line && *line;) {
        char *end = strchr(line, '\n');
        if (end)
            *end++ = 0;
        number++;
        if (line[0] && line[0] != '#') {
            struct expect *grown = realloc(e->list, (e->len + 1) * sizeof(*grown));
            if (!grown)
                return ccz_fail(err, CCZ_E_NOMEM, "cli:expect", 0, "out of memory");
            e->list = grown;
            rc = expect_line(&e->list[e->len++], line, number, err);
        }
        line = end;
    }
    return rc;
}

static struct expect *expects_find(struct expects *e, const char *name)
{
    for (size_t i = 0; i < e->len; i++)
        if (strcmp(e->list[i].name, name) == 0)
            return &e->list[i];
    return NULL;
}

/* ------------------------------------------------------------------------------------ judging */

struct job {
    struct cli_trust trust;
    const struct ccz_policy *policy;
    struct cli_verifier shared; /* opened when first needed */
    struct expects expects;
    bool has_expects;
};

static ccz_rc judge(struct row *r, struct cli_verifier *v, const struct job *j, const char *file,
                    int64_t at_s)
{
    int64_t before = v->now_s;
    if (at_s)
        v->now_s = at_s; /* its clock */
    ccz_rc rc = cli_verify(&r->claims, v, file, &r->err);
    if (rc == CCZ_OK)
        rc = ccz_policy_eval(&r->verdict, j->policy, &r->claims, v->now_s, &r->err);
    v->now_s = before;
    return rc;
}

/* What is wrong with one piece of evidence or its own collateral is its refusal. */
static ccz_rc judge_item(struct row *r, struct job *j, const struct corpus_item *item,
                         struct ccz_err *err)
{
    struct expect *e = expects_find(&j->expects, item->name);
    int64_t at_s = e ? e->at_s : 0;
    *r = (struct row){.name = item->name};
    if (item->collateral) {
        struct cli_trust own = j->trust;
        CLI_AUTO_VERIFIER v = {0};
        own.collateral = item->collateral;
        if (cli_verifier_open(&v, &own, &r->err) == CCZ_OK)
            (void)judge(r, &v, j, item->file, at_s);
    } else {
        if (!j->shared.verifier) {
            ccz_rc rc = cli_verifier_open(&j->shared, &j->trust, err);
            if (rc != CCZ_OK)
                return rc;
        }
        (void)judge(r, &j->shared, j, item->file, at_s);
    }
    r->wrong = j->has_expects && (!e || e->accept != r->verdict.accept);
    if (e)
        e->seen = true;
    return CCZ_OK;
}

/* ------------------------------------------------------------------------------------- output */

static const char *verdict_name(const struct row *r)
{
    return !r->verdict.accept ? "refuse" : r->verdict.grace_until_s ? "grace" : "accept";
}

/* AMD publishes no statuses. */
static const char *status_name(const struct row *r)
{
    return r->claims.tcb_status ? ccz_tcb_status_name(r->claims.tcb_status) : "-";
}

static const char *tee_name(const struct row *r)
{
    return r->claims.tee ? ccz_tee_name(r->claims.tee) : "-";
}

static void print_table(const struct row *rows, size_t len)
{
    int width = 8, status = 3;
    for (size_t i = 0; i < len; i++) {
        int n = (int)strlen(rows[i].name), s = (int)strlen(status_name(&rows[i]));
        width = n > width ? n : width;
        status = s > status ? s : status;
    }
    ui_out("%-*s  %-4s  %-*s  %-7s  %s\n", width, "evidence", "tee", status, "tcb", "verdict",
           "rule, or what was refused: got / expected");
    for (size_t i = 0; i < len; i++) {
        const struct row *r = &rows[i];
        ui_out("%-*s  %-4s  %-*s  %-7s  ", width, r->name, tee_name(r), status, status_name(r),
               verdict_name(r));
        char until[21];
        ccz_time_format(until, r->verdict.grace_until_s);
        if (r->verdict.accept)
            ui_out("%s%s%s", r->verdict.rule, r->verdict.grace_until_s ? ", until " : "",
                   r->verdict.grace_until_s ? until : "");
        else if (r->err.got[0] || r->err.expected[0])
            ui_out("%s: %s / %s", r->err.where, r->err.got, r->err.expected);
        else
            ui_out("%s: %s", r->err.where, r->err.msg);
        ui_out("%s\n", r->wrong ? "  (not as expected)" : "");
    }
}

static void put_text(struct ccz_buf *out, const char *name, const char *text)
{
    ccz_buf_printf(out, ",\"%s\":", name);
    if (text && text[0])
        ccz_json_put_str(out, ccz_span_str(text));
    else
        ccz_buf_put_str(out, "null");
}

static int print_json(const struct row *rows, size_t len)
{
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, (size_t)256 << 20);
    ccz_buf_put_str(&out, "[");
    for (size_t i = 0; i < len; i++) {
        const struct row *r = &rows[i];
        char until[21] = "";
        if (r->verdict.grace_until_s)
            ccz_time_format(until, r->verdict.grace_until_s);
        ccz_buf_put_str(&out, i ? ",\n {\"name\":" : "\n {\"name\":");
        ccz_json_put_str(&out, ccz_span_str(r->name));
        put_text(&out, "tee", r->claims.tee ? ccz_tee_name(r->claims.tee) : NULL);
        put_text(&out, "tcb_status",
                 r->claims.tcb_status ? ccz_tcb_status_name(r->claims.tcb_status) : NULL);
        ccz_buf_printf(&out, ",\"simulated\":%s,\"accept\":%s,\"as_expected\":%s",
                       r->claims.simulated ? "true" : "false", r->verdict.accept ? "true" : "false",
                       r->wrong ? "false" : "true");
        put_text(&out, "rule", r->verdict.rule);
        put_text(&out, "grace_until", until);
        put_text(&out, "where", r->verdict.accept ? NULL : r->err.where);
        put_text(&out, "got", r->verdict.accept ? NULL : r->err.got);
        put_text(&out, "expected", r->verdict.accept ? NULL : r->err.expected);
        ccz_buf_put_str(&out, "}");
    }
    ccz_buf_put_str(&out, "\n]\n");
    ui_out_span(ccz_buf_span(&out));
    return out.bad ? UI_ENV : UI_OK;
}

/* 0 if all were accepted, or with --expect if all is as expected. */
static int conclude(const struct job *j, const struct row *rows, size_t len)
{
    size_t accepted = 0, wrong = 0;
    for (size_t i = 0; i < len; i++) {
        accepted += rows[i].verdict.accept;
        wrong += rows[i].wrong;
        if (rows[i].claims.simulated)
            ui_simulated("some evidence comes from a software TEE");
    }
    for (size_t i = 0; i < j->expects.len; i++) {
        if (j->expects.list[i].seen)
            continue;
        ui_say("expected, but not there: %s", j->expects.list[i].name);
        wrong++;
    }
    ui_say("%zu of %zu accepted", accepted, len);
    if (!j->has_expects)
        return accepted == len ? UI_OK : UI_NO;
    if (wrong)
        ui_say("%zu not as expected", wrong);
    return wrong ? UI_NO : UI_OK;
}

static int run(struct job *j, const char *policy_file, const char *dir, const char *expect,
               bool json)
{
    struct ccz_err err;
    CORPUS_AUTO corpus = {0};
    CCZ_AUTO(ccz_policy) policy = NULL;
    ccz_rc rc = cli_policy_read(&policy, policy_file, &err);
    if (rc == CCZ_OK)
        rc = corpus_read(&corpus, dir, &err);
    if (rc == CCZ_OK && expect)
        rc = expects_read(&j->expects, expect, &err);
    if (rc != CCZ_OK)
        return ui_fail(&err);
    j->policy = policy;
    j->has_expects = expect != NULL;
    struct row *rows = calloc(corpus.len, sizeof(*rows));
    if (!rows)
        return UI_ENV;
    for (size_t i = 0; i < corpus.len && rc == CCZ_OK; i++)
        rc = judge_item(&rows[i], j, &corpus.item[i], &err);
    int status = UI_OK;
    if (rc != CCZ_OK)
        status = ui_fail(&err);
    else if (json)
        status = print_json(rows, corpus.len);
    else
        print_table(rows, corpus.len);
    if (status == UI_OK)
        status = conclude(j, rows, corpus.len);
    free(rows);
    return status;
}

int cmd_policy_test(int argc, char **argv)
{
    struct job j = {0};
    const char *expect = NULL;
    bool json = false;
    const struct ui_opt opts[] = {
        CLI_TRUST_OPTS(&j.trust),
        {"expect", &expect, NULL, NULL, "FILE",
         "lines of name, tab, accept or refuse[, tab, TIME]: fail if anything differs"},
        {"json", NULL, NULL, &json, NULL, "one JSON array"},
        {0},
    };
    int n = ui_parse(argc, argv,
                     "cczoo policy test POLICY EVIDENCE-DIR --collateral DIR [--expect FILE] "
                     "[--at TIME] [--json]",
                     opts);
    if (n < 0)
        return ui_parse_status(n);
    if (n != 2) {
        ui_error("expected a policy and a folder of evidence");
        return UI_USAGE;
    }
    int status = run(&j, argv[0], argv[1], expect, json);
    cli_verifier_close(&j.shared);
    expects_free(&j.expects);
    return status;
}
