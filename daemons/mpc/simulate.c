/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The same arithmetic in one place, with the data of both parties: what the computation on shares must give, bit by bit. For trying
 * out, and for tests; nobody has both tables in earnest.
 */
#include "daemon.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct simulation {
    const struct mpc_opts *o;
    struct ccz_fedlr_table *read[2], *rows[2], *test[2];
    struct ccz_mpcml_lr_cfg cfg;
    int64_t *words, *score_words;
    size_t words_len, scores_len;
};

static ccz_rc read_pair(struct ccz_fedlr_table *out[2], struct simulation *s,
                        const char *const path[2], struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    for (int i = 0; rc == CCZ_OK && i < 2; i++) {
        ccz_fedlr_table_free(s->read[i]);
        s->read[i] = NULL;
        rc = mpc_data_read(&s->read[i], path[i], s->o, i == (int)s->cfg.labels ? s->o->label : NULL,
                           err);
    }
    return rc == CCZ_OK ? mpc_join(out, s->read, err) : rc;
}

static ccz_rc scale(struct simulation *s, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    for (int i = 0; rc == CCZ_OK && i < 2 && !s->o->raw; i++) {
        struct mpc_scaling by = {0};
        rc = mpc_scaling_fit(&by, s->rows[i], err);
        if (rc == CCZ_OK)
            ccz_fedlr_scale_apply(s->rows[i], by.mean, by.sd);
        if (rc == CCZ_OK && s->test[i])
            ccz_fedlr_scale_apply(s->test[i], by.mean, by.sd);
        mpc_scaling_deinit(&by);
    }
    return rc;
}

static ccz_rc run(struct simulation *s, struct ccz_err *err)
{
    struct ccz_mpcml_lr_data data[2];
    struct mpc_self self[2];
    size_t rows[2] = {s->rows[0]->rows, s->rows[0]->rows}, test[2] = {0, 0};
    for (unsigned i = 0; i < 2; i++) {
        self[i] = (struct mpc_self){.labels = i == s->cfg.labels, .columns = s->rows[i]->cols};
        test[i] = s->test[i] ? s->test[i]->rows : 0;
        data[i] = (struct ccz_mpcml_lr_data){
            .x = s->rows[i]->x, .y = s->rows[i]->y, .score_x = s->test[i] ? s->test[i]->x : NULL};
    }
    s->cfg = mpc_lr_cfg(s->o, self, rows, test);
    s->words_len = ccz_mpcml_lr_weights_len(&s->cfg);
    s->scores_len = test[0];
    s->words = calloc(s->words_len, sizeof(*s->words));
    s->score_words = calloc(test[0] + 1, sizeof(*s->score_words));
    if (!s->words || !s->score_words)
        return ccz_fail(err, CCZ_E_NOMEM, "mpc:memory", 0, "out of memory");
    return mpc_hint(
        ccz_mpcml_lr_simulate(s->words, test[0] ? s->score_words : NULL, &s->cfg, data, err), err);
}

/* What party @p i says it got, against what it should have. */
static ccz_rc compare(const struct simulation *s, unsigned i, const char *path, struct ccz_err *err)
{
    struct mpc_model m = {0};
    const size_t cols = s->rows[i]->cols, first = i == 0 ? 0 : s->rows[0]->cols;
    size_t equal = 0;
    ccz_rc rc = mpc_model_read(&m, path, s->rows[i], err);
    if (rc == CCZ_OK && !m.words)
        rc = ccz_fail(err, CCZ_E_ARG, "mpc:compare", 0, "%.80s holds shares, not weights", path);
    for (size_t j = 0; rc == CCZ_OK && j < m.len; j++)
        equal += m.words[j] == s->words[j < cols ? first + j : s->words_len - 1];
    if (rc == CCZ_OK && equal != m.len)
        rc = ccz_refuse_num(err, CCZ_E_MISMATCH, "mpc:simulation", (int64_t)equal, (int64_t)m.len);
    if (rc == CCZ_OK)
        ui_out("party %c: %zu of %zu weights are equal to the simulation's, bit by bit\n",
               mpc_letter(i), equal, m.len);
    mpc_model_deinit(&m);
    return rc;
}

/* As a party writes them, without the numbers that the words stand for. */
static ccz_rc write_scores(const struct simulation *s, struct ccz_err *err)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, SIZE_MAX / 2);
    ccz_buf_put_str(&b, "id,word\n");
    for (size_t i = 0; i < s->scores_len; i++)
        ccz_buf_printf(&b, "%s,%" PRId64 "\n", s->test[0]->id[i], s->score_words[i]);
    if (b.bad)
        return ccz_fail(err, CCZ_E_NOMEM, "mpc:memory", 0, "out of memory");
    return ccz_file_write(s->o->scores_out, ccz_buf_span(&b), 0600, CCZ_FILE_REPLACE, err);
}

static ccz_rc tell(struct simulation *s, struct ccz_err *err)
{
    ccz_rc rc = s->o->compare ? compare(s, 0, s->o->compare, err) : CCZ_OK;
    if (rc == CCZ_OK && s->o->compare_2)
        rc = compare(s, 1, s->o->compare_2, err);
    return rc == CCZ_OK && s->o->scores_out && s->scores_len ? write_scores(s, err) : rc;
}

int mpc_cmd_simulate(int argc, char **argv)
{
    struct mpc_opts o;
    struct ccz_err err = {0};
    int status = mpc_options(&o, argc, argv);
    if (status >= 0)
        return status;
    struct simulation s = {.o = &o};
    const char *const data[2] = {o.data, o.data_2}, *const test[2] = {o.test, o.test_2};
    ccz_rc rc = read_pair(s.rows, &s, data, &err);
    if (rc == CCZ_OK && o.test)
        rc = read_pair(s.test, &s, test, &err);
    if (rc == CCZ_OK)
        rc = scale(&s, &err);
    if (rc == CCZ_OK)
        rc = run(&s, &err);
    if (rc == CCZ_OK)
        rc = tell(&s, &err);
    for (int i = 0; i < 2; i++) {
        ccz_fedlr_table_free(s.read[i]);
        ccz_fedlr_table_free(s.rows[i]);
        ccz_fedlr_table_free(s.test[i]);
    }
    free(s.words);
    free(s.score_words);
    return rc == CCZ_OK ? UI_OK : ui_fail(&err);
}
