/* SPDX-License-Identifier: Apache-2.0 */
#include <cczoo/helr.h>

#include <stdlib.h>

struct ccz_helr_table {
    struct ccz_csv *csv;
    size_t len;
    bool has_label;
    size_t column[]; /* of each feature, then of the label */
};

static ccz_rc find_column(size_t *out, const struct ccz_csv *csv, const char *name,
                          struct ccz_err *err)
{
    size_t found = 0;
    for (size_t i = 0; i < ccz_csv_len(csv); i++) {
        if (!ccz_span_eq(ccz_csv_field(csv, i), ccz_span_str(name)))
            continue;
        *out = i;
        found++;
    }
    if (found == 1)
        return CCZ_OK;
    return ccz_hint(
        err,
        ccz_refuse(err, CCZ_E_FORMAT, "helr:column", found ? "several columns" : "no column", name),
        "the first line must name each feature once");
}

ccz_rc ccz_helr_table_new(struct ccz_helr_table **out, struct ccz_csv *csv,
                          const struct ccz_helr_feature *features, size_t features_len,
                          const char *label, struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = ccz_csv_next(csv, err);
    if (rc != CCZ_OK)
        return rc == CCZ_E_NOT_FOUND
                   ? ccz_fail(err, CCZ_E_FORMAT, "helr:column", 0, "the data are empty")
                   : rc;
    CCZ_AUTO(ccz_helr_table)
    t = calloc(1, sizeof(*t) + (features_len + 1) * sizeof(t->column[0]));
    if (!t)
        return ccz_fail(err, CCZ_E_NOMEM, "helr:memory", 0, "out of memory");
    t->csv = csv;
    t->len = features_len;
    t->has_label = label != NULL;
    for (size_t i = 0; i < features_len && rc == CCZ_OK; i++)
        rc = find_column(&t->column[i], csv, features[i].name, err);
    if (rc == CCZ_OK && label)
        rc = find_column(&t->column[features_len], csv, label, err);
    if (rc == CCZ_OK)
        *out = ccz_helr_table_take(&t);
    return rc;
}

void ccz_helr_table_free(struct ccz_helr_table *t)
{
    free(t);
}

ccz_rc ccz_helr_table_read(size_t *rows, double *x, double *label, struct ccz_helr_table *t,
                           size_t rows_max, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    size_t n = 0;
    *rows = 0;
    for (; n < rows_max && (rc = ccz_csv_next(t->csv, err)) == CCZ_OK; n++) {
        for (size_t i = 0; i < t->len && rc == CCZ_OK; i++)
            rc = ccz_csv_num(&x[n * t->len + i], t->csv, t->column[i], err);
        if (rc == CCZ_OK && label && t->has_label)
            rc = ccz_csv_num(&label[n], t->csv, t->column[t->len], err);
        if (rc != CCZ_OK)
            return rc;
    }
    if (rc != CCZ_OK && rc != CCZ_E_NOT_FOUND) /* the end of the data is none */
        return rc;
    *rows = n;
    return CCZ_OK;
}
