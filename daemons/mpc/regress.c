/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon.h"

#include <inttypes.h>
#include <string.h>

struct ccz_mpcml_lr_cfg mpc_lr_cfg(const struct mpc_opts *o, const struct mpc_self self[2],
                                   const size_t rows[2], const size_t test_rows[2])
{
    struct ccz_mpcml_lr_cfg c = o->cfg;
    for (int i = 0; i < 2; i++) {
        c.columns[i] = (size_t)self[i].columns;
        c.rows[i] = o->scoring ? 0 : rows[i];
        c.score_rows[i] = o->scoring ? rows[i] : test_rows[i];
    }
    c.labels = self[0].labels ? 0 : 1;
    if (o->score_to_labels)
        c.score_to = c.split == CCZ_MPCML_ROWS ? CCZ_MPC_TO_BOTH
                     : c.labels == 0           ? CCZ_MPC_TO_0
                                               : CCZ_MPC_TO_1;
    if (o->scoring)
        c.given =
            c.weights == CCZ_MPCML_WEIGHTS_SHARED ? CCZ_MPCML_GIVEN_SHARED : CCZ_MPCML_GIVEN_OWN;
    if (c.split == CCZ_MPCML_ROWS && c.weights == CCZ_MPCML_WEIGHTS_OWN)
        c.weights = CCZ_MPCML_WEIGHTS_TO_BOTH;
    return c;
}

ccz_rc mpc_lr_hint(ccz_rc rc, struct ccz_err *err)
{
    static const struct {
        const char *where, *hint;
    } hints[] = {
        {"mpcml:range", "larger features need a larger --range, or to be scaled (no --raw)"},
        {"mpcml:rate", "--rate is above 0 and at most --batch"},
        {"mpcml:label", "labels of lr are 0 and 1; --program linear takes other ones"},
    };
    for (size_t i = 0; rc != CCZ_OK && i < sizeof(hints) / sizeof(hints[0]); i++)
        if (strcmp(err->where, hints[i].where) == 0)
            return ccz_hint(err, rc, hints[i].hint);
    return rc;
}

ccz_rc mpc_scores_write(const char *path, const struct ccz_fedlr_table *t,
                        const struct ccz_mpcml_lr_result *r, struct ccz_err *err)
{
    CCZ_AUTO_BUF b = {0};
    if (!path || !r->scores)
        return CCZ_OK;
    ccz_buf_init(&b, SIZE_MAX / 2);
    ccz_buf_put_str(&b, "id,score,word\n");
    for (size_t i = 0; i < r->scores_len; i++) {
        if (r->scores_len == t->rows)
            ccz_buf_put_str(&b, t->id[i]);
        else /* rows of both parties, whose names one of them does not know */
            ccz_buf_printf(&b, "%zu", i);
        ccz_buf_printf(&b, ",%.17g,%" PRId64 "\n", r->scores[i], r->score_words[i]);
    }
    if (b.bad)
        return ccz_fail(err, CCZ_E_NOMEM, "mpc:memory", 0, "out of memory");
    return ccz_file_write(path, ccz_buf_span(&b), 0600, CCZ_FILE_REPLACE, err);
}
