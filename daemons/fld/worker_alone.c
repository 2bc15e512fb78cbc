/* SPDX-License-Identifier: Apache-2.0 */
/* The baselines of a federated training: what a member reaches alone, or one who had all data. */
#include "fld.h"

#include "../../cli/ui.h"

ccz_rc worker_alone(const struct worker_opts *o, const struct ccz_fl_trainer *t,
                    struct ccz_err *err)
{
    struct ccz_fl_server_cfg cfg = {0};
    struct ccz_fl_metrics m;
    CCZ_AUTO_BUF file;
    ccz_buf_init(&file, FLD_CONFIG_SIZE_MAX);
    ccz_rc rc = ccz_file_read(&file, o->alone, err);
    if (rc == CCZ_OK)
        rc = ccz_fl_server_cfg_parse(&cfg, ccz_buf_span(&file), t->ops->layout(t->self)->len, err);
    struct ccz_fl_train_cfg train = cfg.train; /* with what a server takes for 0 */
    train.epochs = train.epochs ? train.epochs : 1;
    train.batch = train.batch ? train.batch : 32;
    train.lr = train.lr > 0 ? train.lr : 0.01F;
    train.prox_mu = 0; /* there is nobody to stay near to */
    for (uint64_t r = 1; rc == CCZ_OK && r <= cfg.rounds; r++) {
        train.round = r;
        train.seed = cfg.seed + r;
        rc = t->ops->train(&m, t->self, &train, err);
        if (rc != CCZ_OK)
            break;
        ui_out("round %llu  loss %.4f  accuracy %.4f  %llu rows\n", (unsigned long long)r, m.loss,
               m.accuracy, (unsigned long long)m.samples);
        (void)ui_out_flush();
        train.lr *= cfg.lr_decay > 0 ? (float)cfg.lr_decay : 1;
    }
    if (rc == CCZ_OK)
        rc = t->ops->evaluate(&m, t->self, err);
    if (rc == CCZ_OK)
        ui_out("alone: held-out rows: %llu  loss %.4f  accuracy %.4f\n",
               (unsigned long long)m.samples, m.loss, m.accuracy);
    if (rc == CCZ_OK)
        ui_out("done\n");
    return rc;
}
