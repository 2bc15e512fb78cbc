/* SPDX-License-Identifier: Apache-2.0 */
/* What a user needs before the first round: a key, and one table cut into parts as several parties would have them. */
#include "fedlr.h"

#include "../../cli/ui.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int fedlr_cmd_keygen(int argc, char **argv)
{
    int64_t bits = CCZ_PAILLIER_BITS_DEFAULT;
    const char *out = NULL;
    const struct ui_opt opts[] = {
        {"out", &out, NULL, NULL, "FILE", "where the key goes; never overwritten"},
        {"bits", NULL, &bits, NULL, "N", "2048, 3072 (default) or 4096"},
        {0},
    };
    int n = ui_parse(argc, argv, "cczoo-fedlr keygen --out FILE [--bits N]", opts);
    if (n < 0)
        return ui_parse_status(n);
    if (n > 0 || !out || bits < 0 || bits > CCZ_PAILLIER_BITS_MAX) {
        ui_error("--out is required, --bits is at most %d", CCZ_PAILLIER_BITS_MAX);
        return UI_USAGE;
    }
    CCZ_AUTO(ccz_paillier_key) key = NULL;
    CCZ_AUTO(ccz_paillier_pub) pub = NULL;
    CCZ_AUTO(ccz_secret) file = NULL;
    struct ccz_err err = {0};
    const struct ccz_paillier_keygen_cfg cfg = {.bits = (unsigned)bits};
    ccz_rc rc = ccz_paillier_keygen(&key, &cfg, &err);
    if (rc == CCZ_OK && (rc = ccz_paillier_key_write(&file, key)) != CCZ_OK)
        (void)ccz_fail(&err, rc, "fedlr:memory", 0, "out of memory");
    if (rc == CCZ_OK)
        rc = ccz_file_write(out, CCZ_SPAN(ccz_secret_view(file), ccz_secret_size(file)), 0600,
                            CCZ_FILE_CREATE_ONLY, &err);
    if (rc != CCZ_OK)
        return ui_fail(&err);
    uint8_t id[CCZ_PAILLIER_ID_SIZE];
    char hex[2 * CCZ_PAILLIER_ID_SIZE + 1];
    pub = ccz_paillier_key_pub(key);
    ccz_paillier_id(id, pub);
    ccz_hex(hex, id, sizeof(id));
    ui_out("%s\n", hex);
    return UI_OK;
}

/* ------------------------------------------------------------------------------------ split */

struct split {
    const char *data, *out, *label, *id, *skew, *alpha_text;
    int64_t workers, hosts, guest_cols, test_percent, seed;
    double alpha;
    struct ccz_fedlr_table *all, *train, *test;
};

static ccz_rc write_csv(const struct split *s, const char *name, const struct ccz_fedlr_table *t,
                        struct ccz_err *err)
{
    CCZ_AUTO_BUF b;
    char path[4096];
    ccz_buf_init(&b, CCZ_FEDLR_CSV_SIZE_MAX);
    b.wipe = true;
    ccz_buf_printf(&b, "%s%s%s", t->id ? s->id : "", t->id && t->y ? "," : "",
                   t->y ? s->label : "");
    for (size_t j = 0; j < t->cols; j++)
        ccz_buf_printf(&b, "%s%s", j || t->id || t->y ? "," : "", t->name[j]);
    for (size_t i = 0; i < t->rows; i++) {
        ccz_buf_printf(&b, "\n%s%s", t->id ? t->id[i] : "", t->id && t->y ? "," : "");
        if (t->y)
            ccz_buf_put_str(&b, t->y[i] == 1 ? "1" : "0");
        for (size_t j = 0; j < t->cols; j++) {
            ccz_buf_put_str(&b, j || t->id || t->y ? "," : "");
            ccz_json_put_double(&b, t->x[i * t->cols + j]);
        }
    }
    ccz_buf_put_str(&b, "\n");
    (void)snprintf(path, sizeof(path), "%s/%s.csv", s->out, name);
    if (b.bad)
        return ccz_fail(err, CCZ_E_LIMIT, "fedlr:size", 0, "%s would be too large", path);
    return ccz_file_write(path, ccz_buf_span(&b), 0600, CCZ_FILE_REPLACE, err);
}

static ccz_rc write_rows(const struct split *s, const char *name, const struct ccz_fedlr_table *t,
                         const size_t *index, size_t len, struct ccz_err *err)
{
    CCZ_AUTO(ccz_fedlr_table) part = NULL;
    ccz_rc rc = ccz_fedlr_table_rows(&part, t, index, len, err);
    if (rc == CCZ_OK)
        rc = write_csv(s, name, part, err);
    if (rc == CCZ_OK)
        ui_out("%s.csv: %zu rows of %zu columns\n", name, len, part->cols);
    return rc;
}

/* Rows dealt out to the workers. */
static ccz_rc split_rows(const struct split *s, struct ccz_err *err)
{
    size_t rows = s->train->rows;
    uint32_t *part = calloc(rows, sizeof(*part));
    size_t *index = calloc(rows, sizeof(*index));
    enum ccz_fedlr_skew skew = strcmp(s->skew, "iid") == 0     ? CCZ_FEDLR_IID
                               : strcmp(s->skew, "label") == 0 ? CCZ_FEDLR_LABEL_SKEW
                                                               : CCZ_FEDLR_DIRICHLET;
    ccz_rc rc = part && index ? ccz_fedlr_partition(part, s->train->y, rows, (uint32_t)s->workers,
                                                    skew, s->alpha, (uint64_t)s->seed, err)
                              : ccz_fail(err, CCZ_E_NOMEM, "fedlr:memory", 0, "out of memory");
    for (int64_t k = 1; rc == CCZ_OK && k <= s->workers; k++) {
        char name[32];
        size_t len = 0;
        for (size_t i = 0; i < rows; i++)
            if (part[i] == k - 1)
                index[len++] = i;
        (void)snprintf(name, sizeof(name), "worker-%lld", (long long)k);
        rc = write_rows(s, name, s->train, index, len, err);
    }
    free(part);
    free(index);
    return rc;
}

/* Columns dealt out to guest and hosts; the same for the test rows. */
static ccz_rc split_cols(const struct split *s, const struct ccz_fedlr_table *t, const char *suffix,
                         struct ccz_err *err)
{
    size_t at = (size_t)s->guest_cols, hosts = (size_t)s->hosts;
    CCZ_AUTO(ccz_fedlr_table) guest = NULL;
    char name[64];
    ccz_rc rc = ccz_fedlr_table_cols(&guest, t, 0, at, true, err);
    (void)snprintf(name, sizeof(name), "guest%s", suffix);
    if (rc == CCZ_OK)
        rc = write_csv(s, name, guest, err);
    for (size_t h = 0; rc == CCZ_OK && h < hosts; h++) {
        CCZ_AUTO(ccz_fedlr_table) part = NULL;
        size_t len = (t->cols - at) / (hosts - h);
        rc = ccz_fedlr_table_cols(&part, t, at, len, false, err);
        (void)snprintf(name, sizeof(name), "host-%zu%s", h + 1, suffix);
        if (rc == CCZ_OK)
            rc = write_csv(s, name, part, err);
        if (rc == CCZ_OK && !*suffix)
            ui_out("%s.csv: %zu rows of %zu columns\n", name, part->rows, len);
        at += len;
    }
    return rc;
}

/* Shuffled, cut into training and test rows, standardised by the training rows. */
static ccz_rc prepare(struct split *s, struct ccz_err *err)
{
    const struct ccz_fedlr_csv_cfg csv = {.label = s->label,
                                          .id = strcmp(s->id, "-") == 0 ? NULL : s->id};
    ccz_rc rc = ccz_fedlr_csv_read(&s->all, s->data, &csv, err);
    if (rc != CCZ_OK)
        return rc;
    size_t rows = s->all->rows, cols = s->all->cols;
    size_t held_out = rows * (size_t)s->test_percent / 100;
    size_t *order = calloc(rows, sizeof(*order));
    double *scale = calloc(2 * cols, sizeof(*scale));
    if (!order || !scale) {
        rc = ccz_fail(err, CCZ_E_NOMEM, "fedlr:memory", 0, "out of memory");
    } else {
        ccz_fedlr_shuffle(order, rows, (uint64_t)s->seed);
        rc = ccz_fedlr_table_rows(&s->train, s->all, order + held_out, rows - held_out, err);
        if (rc == CCZ_OK)
            rc = ccz_fedlr_table_rows(&s->test, s->all, order, held_out, err);
    }
    if (rc == CCZ_OK) {
        ccz_fedlr_scale_fit(scale, scale + cols, s->train);
        ccz_fedlr_scale_apply(s->train, scale, scale + cols);
        ccz_fedlr_scale_apply(s->test, scale, scale + cols);
    }
    free(order);
    free(scale);
    return rc;
}

/* What all data in one place would give, to compare with. */
static ccz_rc baseline(const struct split *s, struct ccz_err *err)
{
    CCZ_AUTO(ccz_fedlr_model) m = NULL;
    struct ccz_fedlr_metrics metrics;
    double *p = calloc(s->test->rows, sizeof(*p));
    ccz_rc rc = p ? ccz_fedlr_train_central(&m, s->train, 1e-2, err)
                  : ccz_fail(err, CCZ_E_NOMEM, "fedlr:memory", 0, "out of memory");
    if (rc == CCZ_OK)
        rc = ccz_fedlr_predict(p, m, s->test, err);
    if (rc == CCZ_OK)
        rc = ccz_fedlr_measure(&metrics, p, s->test->y, s->test->rows, err);
    if (rc == CCZ_OK)
        ui_out("all data in one place: accuracy %.4f  AUC %.4f  KS %.4f  log loss %.4f\n",
               metrics.accuracy, metrics.auc, metrics.ks, metrics.loss);
    free(p);
    return rc;
}

static bool check(struct split *s)
{
    bool good = s->data && s->out && fedlr_real(&s->alpha, s->alpha_text) && s->workers >= 0 &&
                s->workers <= CCZ_FEDLR_PARTIES_MAX && s->hosts >= 0 &&
                s->hosts <= CCZ_FEDLR_PARTIES_MAX && s->guest_cols >= 1 && s->test_percent >= 1 &&
                s->test_percent <= 90 && s->seed >= 0 &&
                (strcmp(s->skew, "iid") == 0 || strcmp(s->skew, "label") == 0 ||
                 strcmp(s->skew, "dirichlet") == 0);
    if (!good)
        ui_error("--data and --out are required, and the other options have limits: see --help");
    return good;
}

int fedlr_cmd_split(int argc, char **argv)
{
    struct split s = {.label = "y",
                      .id = "id",
                      .skew = "iid",
                      .alpha_text = "0.5",
                      .guest_cols = 1,
                      .test_percent = 20};
    const struct ui_opt opts[] = {
        {"data", &s.data, NULL, NULL, "FILE", "CSV with a header"},
        {"out", &s.out, NULL, NULL, "DIR", "folder for the parts"},
        {"label", &s.label, NULL, NULL, "NAME", "column of the labels, default y"},
        {"id", &s.id, NULL, NULL, "NAME", "column of the row names, default id; - = none"},
        {"test", NULL, &s.test_percent, NULL, "PERCENT", "rows kept for measuring, default 20"},
        {"workers", NULL, &s.workers, NULL, "N", "deal the rows out to N workers"},
        {"skew", &s.skew, NULL, NULL, "KIND", "of the workers' rows: iid, label or dirichlet"},
        {"alpha", &s.alpha_text, NULL, NULL, "X", "of dirichlet; small = skewed; default 0.5"},
        {"hosts", NULL, &s.hosts, NULL, "N", "deal the columns out to a guest and N hosts"},
        {"guest-cols", NULL, &s.guest_cols, NULL, "N", "columns of the guest"},
        {"seed", NULL, &s.seed, NULL, "N", "of what is random here"},
        {0},
    };
    int n = ui_parse(argc, argv, "cczoo-fedlr split --data FILE --out DIR ...", opts);
    if (n < 0)
        return ui_parse_status(n);
    if (n > 0 || !check(&s))
        return UI_USAGE;
    struct ccz_err err = {0};
    ccz_rc rc = ccz_dir_make(s.out, 0700, &err);
    if (rc == CCZ_OK)
        rc = prepare(&s, &err);
    if (rc == CCZ_OK)
        rc = write_csv(&s, "test", s.test, &err);
    if (rc == CCZ_OK && s.workers > 0)
        rc = split_rows(&s, &err);
    if (rc == CCZ_OK && s.hosts > 0)
        rc = split_cols(&s, s.train, "", &err);
    if (rc == CCZ_OK && s.hosts > 0)
        rc = split_cols(&s, s.test, "-test", &err);
    if (rc == CCZ_OK)
        rc = baseline(&s, &err);
    ccz_fedlr_table_free(s.all);
    ccz_fedlr_table_free(s.train);
    ccz_fedlr_table_free(s.test);
    return rc == CCZ_OK ? UI_OK : ui_fail(&err);
}
