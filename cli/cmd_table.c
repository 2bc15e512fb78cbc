/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of solutions. A row comes from solutions/NN-name/solution.json, or from solutions/planned.json as long as the
 * folder does not exist. Its status is what the last run on this machine wrote to STATE/runs/NN-name.json.
 */
#include "cli.h"

#include <cczoo/codec.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS_MAX = 32, FILE_SIZE_MAX = 1 << 20, PATH_SIZE = 2048 };

static const struct column {
    const char *key, *title;
    int width;
} columns[] = {
    {"number", "#", 2},
    {"name", "solution", 43},
    {"tee", "TEE", 11},
    {"he", "HE", 13},
    {"application", "application", 22},
    {"remote_attestation", "attestation", 27},
    {"encryption", "data at rest", 19},
    {"tls", "TLS", 16},
};
enum { COLUMNS_LEN = sizeof(columns) / sizeof(columns[0]) };

struct row {
    struct ccz_json *owned; /* document of a solution folder, or NULL for a planned row */
    const struct ccz_json *data;
    int64_t number;
    char status[96];
};

struct table {
    struct ccz_json *planned;
    struct row rows[ROWS_MAX];
    size_t len;
};

static ccz_rc load_json(struct ccz_json **out, const char *path, struct ccz_err *err)
{
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, FILE_SIZE_MAX);
    ccz_rc rc = ccz_file_read(&text, path, err);
    return rc == CCZ_OK ? ccz_json_parse(out, ccz_buf_span(&text), err) : rc;
}

/* The last run: {"ok":true,"time":"2026-01-01T00:00:00Z"}. No file: it was never run here. */
static void read_status(struct row *r, const char *state)
{
    char path[PATH_SIZE];
    struct ccz_json *run = NULL;
    const char *folder = ccz_json_str(ccz_json_get(r->data, "folder"));
    (void)snprintf(path, sizeof(path), "%s/runs/%s.json", state, folder ? folder : "");
    if (load_json(&run, path, NULL) != CCZ_OK) {
        (void)snprintf(r->status, sizeof(r->status), "ready, not yet run here");
        return;
    }
    bool ok = false;
    const char *at = ccz_json_str(ccz_json_get(run, "time"));
    if (ccz_json_bool(&ok, ccz_json_get(run, "ok")) && ok)
        (void)snprintf(r->status, sizeof(r->status), "runs, verified at %.20s", at ? at : "?");
    else
        (void)snprintf(r->status, sizeof(r->status), "failed at %.20s", at ? at : "?");
    ccz_json_free(run);
}

static ccz_rc add_row(struct table *t, struct ccz_json *owned, const struct ccz_json *data,
                      const char *state, struct ccz_err *err)
{
    struct row *r = &t->rows[t->len];
    *r = (struct row){.owned = owned, .data = data};
    if (t->len == ROWS_MAX - 1 || !ccz_json_int(&r->number, ccz_json_get(data, "number")))
        return ccz_fail(err, CCZ_E_FORMAT, "table:row", (int64_t)t->len, "a row has no number");
    if (owned)
        read_status(r, state);
    else
        (void)snprintf(r->status, sizeof(r->status), "planned");
    t->len++;
    return CCZ_OK;
}

static bool has_row(const struct table *t, int64_t number)
{
    for (size_t i = 0; i < t->len; i++)
        if (t->rows[i].number == number)
            return true;
    return false;
}

static ccz_rc load_folders(struct table *t, const char *dir, const char *state, struct ccz_err *err)
{
    DIR *d = opendir(dir);
    if (!d) {
        ccz_fail(err, CCZ_E_NOT_FOUND, "table:solutions", 0, "cannot open %s", dir);
        return ccz_hint(err, CCZ_E_NOT_FOUND,
                        "run it in the repository, or name the folder with --solutions");
    }
    ccz_rc rc = CCZ_OK;
    for (struct dirent *e; rc == CCZ_OK && (e = readdir(d)) != NULL;) {
        char path[PATH_SIZE];
        if (e->d_name[0] < '0' || e->d_name[0] > '9')
            continue;
        struct ccz_json *doc = NULL;
        (void)snprintf(path, sizeof(path), "%s/%s/solution.json", dir, e->d_name);
        rc = load_json(&doc, path, err);
        if (rc == CCZ_OK)
            rc = add_row(t, doc, doc, state, err);
        if (rc != CCZ_OK)
            ccz_json_free(doc);
    }
    closedir(d);
    return rc;
}

static ccz_rc load_planned(struct table *t, const char *dir, const char *state, struct ccz_err *err)
{
    char path[PATH_SIZE];
    (void)snprintf(path, sizeof(path), "%s/planned.json", dir);
    ccz_rc rc = load_json(&t->planned, path, err);
    for (size_t i = 0; rc == CCZ_OK && i < ccz_json_len(t->planned); i++) {
        const struct ccz_json *p = ccz_json_at(t->planned, i);
        int64_t number = 0;
        if (!ccz_json_int(&number, ccz_json_get(p, "number")) || !has_row(t, number))
            rc = add_row(t, NULL, p, state, err);
    }
    return rc;
}

static int by_number(const void *a, const void *b)
{
    int64_t x = ((const struct row *)a)->number, y = ((const struct row *)b)->number;
    return x < y ? -1 : x > y;
}

static const char *cell(const struct row *r, const char *key, char scratch[24])
{
    const struct ccz_json *j = ccz_json_get(r->data, key);
    const char *s = ccz_json_str(j);
    int64_t n = 0;
    if (s)
        return s;
    if (!ccz_json_int(&n, j))
        return "-";
    (void)snprintf(scratch, 24, "%lld", (long long)n);
    return scratch;
}

static void print_text(const struct table *t)
{
    char scratch[24];
    for (size_t c = 0; c < COLUMNS_LEN; c++)
        ui_out("%-*s  ", columns[c].width, columns[c].title);
    ui_out("status\n");
    for (size_t i = 0; i < t->len; i++) {
        for (size_t c = 0; c < COLUMNS_LEN; c++)
            ui_out("%-*s  ", columns[c].width, cell(&t->rows[i], columns[c].key, scratch));
        ui_out("%s\n", t->rows[i].status);
    }
}

static void put_member(struct ccz_buf *out, const char *key, const struct ccz_json *value)
{
    int64_t n = 0;
    ccz_json_put_str(out, ccz_span_str(key));
    ccz_buf_put_str(out, ":");
    if (ccz_json_int(&n, value))
        ccz_buf_printf(out, "%lld", (long long)n);
    else
        ccz_json_put_str(out, ccz_json_bytes(value));
    ccz_buf_put_str(out, ",");
}

static int print_json(const struct table *t)
{
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, FILE_SIZE_MAX);
    ccz_buf_put_str(&out, "[");
    for (size_t i = 0; i < t->len; i++) {
        ccz_buf_put_str(&out, i ? ",\n {" : "\n {");
        for (size_t m = 0; m < ccz_json_len(t->rows[i].data); m++) {
            const char *key = NULL;
            const struct ccz_json *v = ccz_json_member(&key, t->rows[i].data, m);
            put_member(&out, key, v);
        }
        ccz_buf_put_str(&out, "\"status\":");
        ccz_json_put_str(&out, ccz_span_str(t->rows[i].status));
        ccz_buf_put_str(&out, "}");
    }
    ccz_buf_put_str(&out, "\n]\n");
    ui_out_span(ccz_buf_span(&out));
    return out.bad ? UI_ENV : UI_OK;
}

int cmd_table(int argc, char **argv)
{
    const char *dir = "solutions", *state = getenv("CCZOO_STATE");
    bool json = false;
    char state_default[PATH_SIZE];
    const struct ui_opt opts[] = {
        {"solutions", &dir, NULL, NULL, "DIR", "folder of the solutions, default ./solutions"},
        {"state", &state, NULL, NULL, "DIR",
         "state folder, default $CCZOO_STATE or ~/.local/state/cczoo"},
        {"json", NULL, NULL, &json, NULL, "one JSON array"},
        {0},
    };
    int n = ui_parse(argc, argv, "cczoo table [--json]", opts);
    if (n < 0)
        return ui_parse_status(n);
    if (!state) {
        const char *home = getenv("HOME");
        (void)snprintf(state_default, sizeof(state_default), "%s/.local/state/cczoo",
                       home ? home : "");
        state = state_default;
    }
    struct ccz_err err;
    struct table t = {0};
    ccz_rc rc = load_folders(&t, dir, state, &err);
    if (rc == CCZ_OK)
        rc = load_planned(&t, dir, state, &err);
    int status = UI_OK;
    if (rc != CCZ_OK) {
        status = ui_fail(&err);
    } else {
        qsort(t.rows, t.len, sizeof(t.rows[0]), by_number);
        if (json)
            status = print_json(&t);
        else
            print_text(&t);
    }
    for (size_t i = 0; i < t.len; i++)
        ccz_json_free(t.rows[i].owned);
    ccz_json_free(t.planned);
    return status;
}
