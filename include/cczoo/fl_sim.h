/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_FL_SIM_H
#define CCZ_FL_SIM_H
/**
 * @file fl_sim.h
 * Federated learning on one machine: any number of clients with parts of one data set, the server of fl.h, the trainer of nn.h.
 * Server and clients are the same objects as in deployments and exchange the same messages; what is left out is the network.
 * A client costs what its state machine costs: no thread, no socket, no copy of data, and no model while it waits.
 * Sources: src/fl/sim.c, src/fl/baseline.c.
 *
 * Threads: `threads` workers, each with one trainer. With server.seeded the result does not depend on their number.
 */
#include <cczoo/fl_nn.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CCZ_FL_SIM_THREADS_MAX 256

struct ccz_fl_sim_cfg {
    const struct ccz_dataset *train, *test; /**< borrowed; test may be NULL: nobody evaluates */
    const uint32_t
        *part;        /**< @shape [train->len] which client has a sample, or CCZ_DATASET_NO_PART */
    uint32_t clients; /**< parts; each has at least one sample */
    struct ccz_nn_spec spec;
    float weight_decay;
    uint64_t seed;    /**< of the initial model */
    unsigned threads; /**< 0 = one per processor */
    uint32_t
        eval_every; /**< the model is evaluated on `test` after every so many rounds and the last; 0 = 1 */
    /** As for ccz_fl_server_new(). Layout, members_min, members_max and the hooks are set here. */
    struct ccz_fl_server_cfg server;
    /** Checkpoints after each round, also of what clients keep; a run that finds one goes on behind it. NULL = none */
    const char *dir;
    const struct ccz_secret *key; /**< CCZ_FL_KEY_SIZE bytes; with `dir` */
    void (*on_round)(void *arg, const struct ccz_fl_record *r);
    void (*on_refusal)(void *arg, const char *member, uint64_t round, const struct ccz_err *why);
    void *arg;
    const bool *
        stop; /**< polled; true ends the run after the round (CCZ_E_CLOSED fl:sim-stopped). NULL = never */
};
struct ccz_fl_sim_result {
    uint64_t rounds; /**< of the model; the earlier ones of a resumed run as well */
    bool resumed;
    float *params; /**< the last model, [len]; free() */
    size_t len;
};
/**
 * Runs all rounds.
 * @param[out] out  zeroed unless CCZ_OK
 * @retval CCZ_E_ARG  fl:sim-config, fl:sim-part (a part without samples, or none of that number)
 * @retval others     of the server, its checkpoints, the clients and the trainer: the first that failed
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_fl_simulate(struct ccz_fl_sim_result *out,
                                            const struct ccz_fl_sim_cfg *cfg, struct ccz_err *err);

/** What the same model reaches without federation. */
struct ccz_fl_baseline {
    uint32_t epochs;
    uint32_t models;       /**< trained and evaluated: 1 central, or one for each client */
    double accuracy, loss; /**< on `test`; means over the models */
    double accuracy_min, accuracy_max;
};
/**
 * One model on all parts together: what a trusted third party that holds all data would have.
 * @param epochs    of training, with the batch, rate and momentum of cfg->server.train
 * @param on_epoch  after each; may be NULL
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_fl_sim_central(struct ccz_fl_baseline *out,
                                               const struct ccz_fl_sim_cfg *cfg, uint32_t epochs,
                                               void (*on_epoch)(void *arg, uint32_t epoch,
                                                                const struct ccz_fl_metrics *test),
                                               void *arg, struct ccz_err *err);
/** One model for each of the first @p clients clients (0 = all), on its own part alone. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_fl_sim_alone(struct ccz_fl_baseline *out,
                                             const struct ccz_fl_sim_cfg *cfg, uint32_t epochs,
                                             uint32_t clients, struct ccz_err *err);

#ifdef __cplusplus
}
#endif
#endif
