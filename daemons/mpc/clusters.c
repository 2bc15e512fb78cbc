/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon.h"

#include <stdlib.h>

enum { CENTRES_SIZE_MAX = 64 << 20 };

struct ccz_mpcml_kmeans_cfg mpc_km_cfg(const struct mpc_opts *o, const struct mpc_self self[2],
                                       const size_t rows[2])
{
    const bool own = o->cfg.weights == CCZ_MPCML_WEIGHTS_OWN && o->cfg.split == CCZ_MPCML_COLUMNS;
    return (struct ccz_mpcml_kmeans_cfg){
        .split = o->cfg.split,
        .rows = {rows[0], rows[1]},
        .columns = {(size_t)self[0].columns, (size_t)self[1].columns},
        .clusters = (size_t)o->clusters,
        .iterations = (size_t)o->iterations,
        .max_abs = o->cfg.range > 0 ? o->cfg.range : 16,
        .seed = o->cfg.seed,
        .to = own                                        ? 0
              : o->cfg.weights == CCZ_MPCML_WEIGHTS_TO_0 ? CCZ_MPC_TO_0
              : o->cfg.weights == CCZ_MPCML_WEIGHTS_TO_1 ? CCZ_MPC_TO_1
                                                         : CCZ_MPC_TO_BOTH};
}

ccz_rc mpc_km_make(struct mpc_party *p, struct ccz_err *err)
{
    size_t rows[2], test[2];
    mpc_party_rows(rows, test, p);
    p->km_cfg = mpc_km_cfg(p->o, p->self, rows);
    ccz_rc rc = ccz_mpcml_kmeans_new(&p->km, p->role, &p->km_cfg, p->rows[0]->x, err);
    if (rc == CCZ_OK)
        p->program = ccz_mpcml_kmeans_program(p->km);
    return rc;
}

/* In the units of the table, where this party knows how its columns were scaled. */
static void put_centre(struct ccz_buf *b, const double *centre, size_t len, size_t first,
                       const struct mpc_party *p)
{
    const struct mpc_scaling *s = &p->model.scaling;
    ccz_buf_put_str(b, "[");
    for (size_t j = 0; j < len; j++) {
        const bool mine = j >= first && j < first + p->rows[0]->cols;
        double v = centre[j];
        if (mine && s->mean)
            v = v * s->sd[j - first] + s->mean[j - first];
        ccz_buf_put_str(b, j ? "," : "");
        ccz_json_put_double(b, v);
    }
    ccz_buf_put_str(b, "]");
}

ccz_rc mpc_km_tell(struct mpc_party *p, struct ccz_err *err)
{
    const uint64_t *words = ccz_mpcml_kmeans_centres(p->km);
    const struct ccz_mpcml_kmeans_cfg *c = &p->km_cfg;
    const size_t own = p->rows[0]->cols;
    const size_t cols = c->to ? ccz_mpcml_kmeans_columns(c) : own;
    const size_t first = c->to && c->split == CCZ_MPCML_COLUMNS && p->role == 1 ? c->columns[0] : 0;
    CCZ_AUTO_BUF b = {0};
    if (!words || !p->o->model_out)
        return CCZ_OK;
    double *centres = calloc(c->clusters * cols, sizeof(*centres));
    if (!centres)
        return ccz_fail(err, CCZ_E_NOMEM, "mpc:memory", 0, "out of memory");
    ccz_mpc_decode(centres, words, c->clusters * cols, p->program->ring_bits, p->program->frac);
    ccz_buf_init(&b, CENTRES_SIZE_MAX);
    b.wipe = true;
    ccz_buf_put_str(&b, "{\"version\":1,\"columns\":[");
    for (size_t j = 0; j < own; j++) {
        ccz_buf_put_str(&b, j ? "," : "");
        ccz_json_put_str(&b, ccz_span_str(p->rows[0]->name[j]));
    }
    ccz_buf_printf(&b, "],\"first\":%zu,\n\"centres\":[", first);
    for (size_t i = 0; i < c->clusters; i++) {
        ccz_buf_put_str(&b, i ? ",\n" : "");
        put_centre(&b, centres + i * cols, cols, first, p);
    }
    ccz_buf_put_str(&b, "]}\n");
    ccz_wipe(centres, c->clusters * cols * sizeof(*centres));
    free(centres);
    if (b.bad)
        return ccz_fail(err, CCZ_E_NOMEM, "mpc:memory", 0, "out of memory");
    return ccz_file_write(p->o->model_out, ccz_buf_span(&b), 0600, CCZ_FILE_REPLACE, err);
}
