/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"
#include "evidence.h"
#include "log_diff.h"

#include <cczoo/codec.h>
#include <cczoo/eventlog.h>
#include <cczoo/tee.h>

#include <stdio.h>
#include <string.h>

enum {
    TABLE_SIZE_MAX = 4096,
    EXTENDS_SIZE_MAX = 1 << 20,
    OUT_SIZE_MAX = 1 << 28, /* a log whose data are all of it, in hex and as text */
    TEXT_LEN_MIN = 4,       /* shorter runs of letters are chance */
    TEXT_LEN_SHOWN = 200,
    VALUE_SIZE_SHOWN = 32
};

/* ------------------------------------------------------------------------ readable data of events */

static uint32_t char_at(struct ccz_span s, size_t width, size_t i)
{
    return width == 1 ? s.ptr[i] : s.ptr[2 * i] | (uint32_t)s.ptr[2 * i + 1] << 8;
}

/* Appends text of 1 (ASCII) or 2 (UTF-16LE of ASCII) bytes per character; false if it is none. */
static bool put_chars(struct ccz_buf *out, struct ccz_span s, size_t width)
{
    size_t len = s.size / width;
    while (len && char_at(s, width, len - 1) == 0)
        len--;
    if (s.size % width != 0 || len < TEXT_LEN_MIN)
        return false;
    for (size_t i = 0; i < len; i++) {
        uint32_t c = char_at(s, width, i);
        if (c > '~' || (c < ' ' && c != '\t' && c != '\n' && c != '\r'))
            return false;
    }
    for (size_t i = 0; i < len; i++)
        ccz_buf_u8(out, (uint8_t)char_at(s, width, i));
    return true;
}

/* "SecureBoot = 01" of UEFI_VARIABLE_DATA: GUID 16 | u64 length of the name | u64 size of the value | both. */
static bool put_variable(struct ccz_buf *out, struct ccz_span data)
{
    struct ccz_rd r = ccz_rd_from(data);
    (void)ccz_rd_take(&r, 16);
    uint64_t name_len = ccz_rd_le64(&r), value_size = ccz_rd_le64(&r);
    if (name_len > data.size || value_size > data.size)
        return false;
    struct ccz_span name = ccz_rd_take(&r, (size_t)name_len * 2);
    struct ccz_span value = ccz_rd_take(&r, (size_t)value_size);
    if (!ccz_rd_done(&r))
        return false;
    for (size_t i = 0; i < name_len; i++) {
        uint32_t c = char_at(name, 2, i);
        ccz_buf_u8(out, c < ' ' || c > '~' ? '?' : (uint8_t)c);
    }
    if (value.size > VALUE_SIZE_SHOWN) {
        ccz_buf_printf(out, " = (%zu bytes)", value.size);
        return true;
    }
    ccz_buf_put_str(out, " = ");
    cli_put_hex(out, value);
    return true;
}

static bool put_text(struct ccz_buf *out, const struct ccz_event *e)
{
    if (strncmp(ccz_event_type_name(e->type), "EV_EFI_VARIABLE_", 16) == 0 &&
        put_variable(out, e->data))
        return true;
    return put_chars(out, e->data, 1) || put_chars(out, e->data, 2);
}

/* ---------------------------------------------------------------------------------- printing */

struct printer {
    struct ccz_buf out;
    bool json;
    size_t rows;
};

static void printer_free(struct printer *p)
{
    ccz_buf_free(&p->out);
}

/* What may be believed of the data, see eventlog.h. */
static const char *data_name(const struct ccz_event *e)
{
    if (!e->extended)
        return "unproven";
    return e->digest_matches_data ? "matches" : e->digest_over_data ? "CHANGED" : "label";
}

static void register_name(char out[16], const struct ccz_event *e)
{
    if (e->mr_index == 0)
        (void)snprintf(out, 16, "mrtd");
    else
        (void)snprintf(out, 16, "rtmr%u", (unsigned)(e->mr_index - 1));
}

static void put_event_json(struct ccz_buf *out, const struct ccz_event *e, const char *change)
{
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, OUT_SIZE_MAX);
    char name[16];
    register_name(name, e);
    ccz_buf_put_str(out, "{");
    if (change)
        ccz_buf_printf(out, "\"change\":\"%s\",", change);
    ccz_buf_printf(out, "\"number\":%zu,\"register\":\"%s\",\"type\":%lu,\"type_name\":\"%s\"",
                   e->number, name, (unsigned long)e->type, ccz_event_type_name(e->type));
    ccz_buf_put_str(out, ",\"digest\":\"");
    cli_put_hex(out, e->digest);
    ccz_buf_printf(out, "\",\"extended\":%s,\"digest_over_data\":%s,\"digest_matches_data\":%s",
                   e->extended ? "true" : "false", e->digest_over_data ? "true" : "false",
                   e->digest_matches_data ? "true" : "false");
    if (put_text(&text, e)) {
        ccz_buf_put_str(out, ",\"text\":");
        ccz_json_put_str(out, ccz_buf_span(&text));
    }
    ccz_buf_put_str(out, ",\"data\":\"");
    cli_put_hex(out, e->data);
    ccz_buf_put_str(out, "\"}");
}

static void put_event_line(struct ccz_buf *out, const struct ccz_event *e, const char *change)
{
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, OUT_SIZE_MAX);
    char name[16], type[32], shown[4 * TEXT_LEN_SHOWN + 1];
    register_name(name, e);
    (void)snprintf(type, sizeof(type), "0x%08lx", (unsigned long)e->type);
    const char *known = ccz_event_type_name(e->type);
    ccz_buf_printf(out, "%s%4zu  %-5s  %-32s  %-8s  ", change ? change : "", e->number, name,
                   strcmp(known, "unknown") == 0 ? type : known, data_name(e));
    cli_put_hex(out, e->digest);
    if (put_text(&text, e)) {
        struct ccz_span all = ccz_buf_span(&text);
        bool cut = all.size > TEXT_LEN_SHOWN;
        ccz_escape(shown, sizeof(shown), cut ? ccz_span_sub(all, 0, TEXT_LEN_SHOWN) : all);
        ccz_buf_printf(out, "  \"%s\"%s", shown, cut ? ".." : "");
    }
    ccz_buf_put_str(out, "\n");
}

static void put_event(struct printer *p, const struct ccz_event *e)
{
    if (p->json) {
        ccz_buf_put_str(&p->out, p->rows ? ",\n" : "\n");
        put_event_json(&p->out, e, NULL);
    } else
        put_event_line(&p->out, e, NULL);
    p->rows++;
}

static void put_change(void *arg, bool added, const struct ccz_event *e)
{
    struct printer *p = arg;
    if (p->json) {
        ccz_buf_put_str(&p->out, p->rows ? ",\n" : "\n");
        put_event_json(&p->out, e, added ? "added" : "removed");
    } else
        put_event_line(&p->out, e, added ? "+ " : "- ");
    p->rows++;
}

/* False if the buffer overflowed. */
static bool flush(struct printer *p)
{
    bool ok = !p->out.bad;
    ui_out_span(ccz_buf_span(&p->out));
    ccz_buf_clear(&p->out);
    return ok;
}

/* ------------------------------------------------------------------------------- what is compared */

struct job {
    const char *file, *fs_root, *quote, *diff, *extends;
    struct cli_trust trust;
    bool live, json;
    struct ccz_buf bytes, other_bytes;
    struct ccz_eventlog log, other;
    struct ccz_rtmrs replayed, quoted;
    size_t extends_len;
    size_t quoted_len; /* registers found in the quote */
    bool simulated;
    struct ccz_err refusal; /* rc CCZ_OK: nothing to say against the log */
};

static void job_free(struct job *j)
{
    ccz_buf_free(&j->bytes);
    ccz_buf_free(&j->other_bytes);
}

static ccz_rc read_log(struct ccz_eventlog *out, struct ccz_buf *bytes, const char *file,
                       struct ccz_err *err)
{
    ccz_rc rc = ccz_file_read(bytes, strcmp(file, "-") == 0 ? "/dev/stdin" : file, err);
    return rc == CCZ_OK ? ccz_eventlog_parse(out, ccz_buf_span(bytes), err) : rc;
}

/* Register numbers of the log of a SEV guest have another meaning. */
static ccz_rc check_table(struct ccz_span table, struct ccz_err *err)
{
    struct ccz_ccel ccel;
    ccz_rc rc = ccz_ccel_parse(&ccel, table, err);
    if (rc == CCZ_OK && ccel.type != CCZ_CCEL_TDX)
        rc = ccz_refuse_num(err, CCZ_E_UNSUPPORTED, "cli:ccel-type", ccel.type, CCZ_CCEL_TDX);
    return rc;
}

/* Lines "N DIGEST", as `evidence rtmr extend` prints them; text behind the digest is a comment. */
static ccz_rc replay_extends(struct job *j, struct ccz_err *err)
{
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, EXTENDS_SIZE_MAX);
    ccz_rc rc = ccz_file_read(&text, j->extends, err);
    struct ccz_span left = ccz_buf_span(&text);
    for (size_t number = 1; rc == CCZ_OK && left.size; number++) {
        const uint8_t *end = memchr(left.ptr, '\n', left.size);
        struct ccz_span line = ccz_span_sub(left, 0, end ? (size_t)(end - left.ptr) : left.size);
        left = ccz_span_sub(left, line.size + 1, left.size - line.size - (end != NULL));
        if (line.size == 0 || line.ptr[0] == '#')
            continue;
        uint8_t digest[CCZ_RTMR_SIZE];
        const size_t need = 2 + 2 * CCZ_RTMR_SIZE;
        if (line.size < need || line.ptr[0] < '0' || line.ptr[0] > '3' || line.ptr[1] != ' ' ||
            (line.size > need && line.ptr[need] != ' ') ||
            ccz_unhex(digest, sizeof(digest), (const char *)line.ptr + 2, need - 2) != CCZ_OK)
            return ccz_fail(err, CCZ_E_FORMAT, "cli:extends", (int64_t)number,
                            "%s: line %zu is not \"0 to 3, space, 96 hex digits\"", j->extends,
                            number);
        rc = ccz_eventlog_extend(&j->replayed, line.ptr[0] - (unsigned)'0', digest);
        if (rc != CCZ_OK)
            return ccz_fail(err, rc, "cli:extends", 0, "cannot compute SHA-384");
        j->extends_len++;
    }
    return rc;
}

static void take_rtmr(void *arg, const struct ccz_field *f)
{
    struct job *j = arg;
    bool rtmr = strcmp(f->group, "td_report") == 0 && strncmp(f->name, "rtmr", 4) == 0;
    unsigned i = rtmr ? (unsigned)f->name[4] - '0' : CCZ_RTMR_LEN;
    if (i >= CCZ_RTMR_LEN || f->bytes.size != CCZ_RTMR_SIZE)
        return;
    memcpy(j->quoted.value[i], f->bytes.ptr, CCZ_RTMR_SIZE);
    j->quoted_len++;
}

static bool trusts_somebody(const struct job *j)
{
    return j->trust.collateral || j->trust.sim;
}

/* Registers of the quote: verified if there is somebody to trust, else as they stand in it. */
static ccz_rc read_quote(struct job *j, struct ccz_err *err)
{
    CCZ_AUTO(ccz_evidence) e = NULL;
    CLI_AUTO_VERIFIER v = {0};
    struct ccz_claims claims = {0};
    ccz_rc rc = cli_evidence_open(&e, j->quote, err);
    if (rc == CCZ_OK)
        rc = ccz_evidence_describe(e, take_rtmr, j, err);
    if (rc == CCZ_OK && trusts_somebody(j))
        rc = cli_verifier_open(&v, &j->trust, err);
    if (rc == CCZ_OK && trusts_somebody(j))
        rc = cli_verify_opened(&claims, &v, e, err);
    if (rc == CCZ_OK && j->quoted_len != CCZ_RTMR_LEN)
        rc = ccz_refuse(err, CCZ_E_UNSUPPORTED, "cli:quote", "no TD report", "evidence of TDX");
    if (rc != CCZ_OK)
        return rc;
    j->simulated = claims.simulated;
    if (trusts_somebody(j)) /* what was verified, however the same bytes may be described */
        memcpy(&j->quoted, claims.rtmr, sizeof(j->quoted));
    return CCZ_OK;
}

static int load(struct job *j)
{
    struct ccz_err err = {0};
    CCZ_AUTO_BUF table;
    ccz_buf_init(&table, TABLE_SIZE_MAX);
    if (j->live && ccz_ccel_read(&table, &j->bytes, j->fs_root, &err) != CCZ_OK)
        return cli_tee_fail(&err);
    ccz_rc rc = j->live ? check_table(ccz_buf_span(&table), &err) : CCZ_OK;
    if (rc == CCZ_OK)
        rc = j->live ? ccz_eventlog_parse(&j->log, ccz_buf_span(&j->bytes), &err)
                     : read_log(&j->log, &j->bytes, j->file, &err);
    if (rc == CCZ_OK && j->diff)
        rc = read_log(&j->other, &j->other_bytes, j->diff, &err);
    if (rc == CCZ_OK)
        rc = ccz_eventlog_replay(&j->replayed, &j->log, &err);
    if (rc == CCZ_OK && j->extends)
        rc = replay_extends(j, &err);
    if (rc == CCZ_OK && j->quote)
        rc = read_quote(j, &err);
    return rc == CCZ_OK ? UI_OK : ui_fail(&err);
}

/* Data that its digest should be of and is not: whoever reads the log would be deceived. */
static void judge_data(struct job *j)
{
    struct ccz_eventlog_iter it = ccz_eventlog_begin(&j->log);
    struct ccz_event e;
    while (ccz_eventlog_next(&e, &it)) {
        if (!e.extended || !e.digest_over_data || e.digest_matches_data)
            continue;
        char got[CCZ_ERR_VALUE_SIZE];
        (void)snprintf(got, sizeof(got), "event %zu: other data or another type", e.number);
        ccz_rc rc =
            ccz_refuse(&j->refusal, CCZ_E_MISMATCH, "eventlog:data", got, "what was measured");
        (void)ccz_hint(&j->refusal, rc, "believe the digest, and nothing that the log says of it");
        return;
    }
}

/* ------------------------------------------------------------------------------------- output */

static bool print_events(struct printer *p, const struct job *j)
{
    struct ccz_eventlog_iter it = ccz_eventlog_begin(&j->log);
    struct ccz_event e;
    bool ok = true;
    if (p->json)
        ccz_buf_put_str(&p->out, "{\"events\":[");
    while (ccz_eventlog_next(&e, &it) && ok) {
        put_event(p, &e);
        ok = flush(p);
    }
    return ok;
}

static ccz_rc print_changes(struct printer *p, const struct job *j, struct ccz_err *err)
{
    if (p->json)
        ccz_buf_put_str(&p->out, "{\"changes\":[");
    return cli_log_diff(&j->other, &j->log, put_change, p, err);
}

static void put_registers(struct printer *p, const struct job *j)
{
    char replayed[2 * CCZ_RTMR_SIZE + 1], quoted[2 * CCZ_RTMR_SIZE + 1];
    if (p->json)
        ccz_buf_put_str(&p->out, "],\n\"registers\":{");
    for (unsigned i = 0; i < CCZ_RTMR_LEN; i++) {
        bool same = memcmp(j->replayed.value[i], j->quoted.value[i], CCZ_RTMR_SIZE) == 0;
        ccz_hex(replayed, j->replayed.value[i], CCZ_RTMR_SIZE);
        ccz_hex(quoted, j->quoted.value[i], CCZ_RTMR_SIZE);
        if (p->json) {
            ccz_buf_printf(&p->out, "%s\"rtmr%u\":{\"replayed\":\"%s\"", i ? "," : "", i, replayed);
            if (j->quote)
                ccz_buf_printf(&p->out, ",\"quoted\":\"%s\",\"matches\":%s", quoted,
                               same ? "true" : "false");
            ccz_buf_put_str(&p->out, "}");
            continue;
        }
        ccz_buf_printf(&p->out, "rtmr%u  replayed  %s%s\n", i, replayed,
                       !j->quote ? ""
                       : same    ? "  matches"
                                 : "  DIFFERS");
        if (j->quote && !same)
            ccz_buf_printf(&p->out, "rtmr%u  quoted    %s\n", i, quoted);
    }
    if (!p->json)
        return;
    ccz_buf_printf(&p->out, "},\"extends\":%zu,\"quote_verified\":%s,\"simulated\":%s",
                   j->extends_len, j->quote && trusts_somebody(j) ? "true" : "false",
                   j->simulated ? "true" : "false");
    if (j->refusal.rc != CCZ_OK) {
        ccz_buf_put_str(&p->out, ",\"error\":");
        cli_put_error(&p->out, &j->refusal);
    }
    ccz_buf_put_str(&p->out, "}\n");
}

static void say_outcome(const struct job *j, size_t changes)
{
    if (j->diff)
        ui_say("%zu measured events differ from %s", changes, j->diff);
    if (!j->quote)
        ui_say("compared with no quote: nothing in the log is proven");
    else if (!trusts_somebody(j))
        ui_say("the quote was not verified: nothing is proven before it is (--collateral or "
               "--trust-sim)");
    else if (j->refusal.rc == CCZ_OK)
        ui_say("the log explains the registers of a genuine quote");
}

static int run(struct job *j)
{
    struct ccz_err err = {0};
    int status = load(j);
    if (status != UI_OK)
        return status;
    if (!j->quote || ccz_rtmrs_check(&j->replayed, &j->quoted, &j->refusal) == CCZ_OK)
        judge_data(j);
    __attribute__((cleanup(printer_free))) struct printer p = {.json = j->json};
    ccz_buf_init(&p.out, OUT_SIZE_MAX);
    if (j->simulated)
        ui_simulated("the quote comes from a software TEE");
    bool ok = true;
    if (j->diff && print_changes(&p, j, &err) != CCZ_OK)
        return ui_fail(&err);
    if (!j->diff)
        ok = print_events(&p, j);
    put_registers(&p, j);
    ok = flush(&p) && ok;
    if (!ok) {
        ui_error("too much to print");
        return UI_ENV;
    }
    say_outcome(j, p.rows);
    if (j->refusal.rc != CCZ_OK)
        return ui_fail(&j->refusal);
    return j->diff && p.rows ? UI_NO : UI_OK;
}

static int check_usage(const struct job *j, int operands)
{
    if (operands != (j->live ? 0 : 1)) {
        ui_error("expected a file with an event log, or - for standard input, or --live");
        return UI_USAGE;
    }
    if (!j->live && j->fs_root) {
        ui_error("--fs-root is about --live");
        return UI_USAGE;
    }
    if (!j->quote && (trusts_somebody(j) || j->trust.at)) {
        ui_error("--collateral, --trust-sim and --at are about --quote");
        return UI_USAGE;
    }
    if (j->trust.at && !trusts_somebody(j)) {
        ui_error("--at is about --collateral or --trust-sim");
        return UI_USAGE;
    }
    return UI_OK;
}

int cmd_evidence_eventlog(int argc, char **argv)
{
    __attribute__((cleanup(job_free))) struct job j = {0};
    const struct ui_opt opts[] = {
        {"live", NULL, NULL, &j.live, NULL, "the log of this machine (ACPI table CCEL)"},
        {"quote", &j.quote, NULL, NULL, "FILE", "compare with the registers of this evidence"},
        CLI_TRUST_OPTS(&j.trust),
        {"extends", &j.extends, NULL, NULL, "FILE",
         "log of run-time extends, replayed on top (evidence rtmr extend)"},
        {"diff", &j.diff, NULL, NULL, "OTHERLOG", "only what was measured otherwise than there"},
        {"json", NULL, NULL, &j.json, NULL, "one JSON object"},
        CLI_FS_ROOT_OPT(&j.fs_root),
        {0},
    };
    int n = ui_parse(argc, argv,
                     "cczoo evidence eventlog (FILE | --live) [--quote FILE [--collateral DIR]] "
                     "[--extends FILE] [--diff OTHERLOG] [--json]",
                     opts);
    if (n < 0)
        return ui_parse_status(n);
    int status = check_usage(&j, n);
    if (status != UI_OK)
        return status;
    ccz_buf_init(&j.bytes, CCZ_EVENTLOG_SIZE_MAX);
    ccz_buf_init(&j.other_bytes, CCZ_EVENTLOG_SIZE_MAX);
    j.file = argv[0];
    return run(&j);
}
