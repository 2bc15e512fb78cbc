/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_SRC_FL_CLIENT_H
#define CCZ_SRC_FL_CLIENT_H
/* The client's inside. */
#include "fl/privacy.h"

enum hfl_client_state {
    HFL_C_OFF,      /* not connected */
    HFL_C_GREETING, /* hello is said */
    HFL_C_IDLE,
    HFL_C_MODEL,   /* a model is on its way */
    HFL_C_READY,   /* it is here: work is to be done */
    HFL_C_OFFERED, /* an update waits for its grant */
    HFL_C_UPLOADING,
    HFL_C_SENT, /* and for its verdict */
    HFL_C_OVER
};

/*
 * What a client keeps from round to round, as it was after its update of a round. There are two: the one that the update of a round began with,
 * and the one behind it, which counts only once the server has taken the update.
 */
struct hfl_generation {
    uint64_t round; /* 0 = nothing */
    float *variate; /* SCAFFOLD: c_i */
    float *residual;
};

struct ccz_fl_client {
    struct ccz_fl_client_cfg cfg; /* name and layout point below */
    char name[CCZ_FL_MEMBER_NAME_SIZE];
    struct ccz_fl_layout *layout;
    enum hfl_client_state state;
    /* what it knows of the server */
    bool known; /* run and key are those of an earlier connection */
    uint8_t run[CCZI_HFL_RUN_SIZE];
    uint8_t key[64];
    struct ccz_key *server_key;
    uint64_t seen_round; /* newest model that was verified */
    uint8_t seen_digest[CCZ_FL_DIGEST_SIZE];
    bool seen;
    bool complete;   /* it is the last model of the training, and kept */
    uint64_t rounds; /* of the training, as the server said */
    /* the task */
    struct cczi_hfl_task task;
    struct cczi_hfl_digest digest;
    uint32_t vector;
    uint64_t at;
    float *base, *update;
    bool whole;                     /* base is that model, and no piece of the next one */
    float *variate, *delta_variate; /* the server's c; what is sent of c_i */
    /* the answer */
    bool hello_due, offer_due, report_due;
    struct cczi_hfl_offer offer;
    struct cczi_hfl_report report;
    struct ccz_agg_enc *enc;
    struct ccz_agg_codec codec; /* of enc */
    struct hfl_generation gen[2];
    unsigned next; /* the one that this round makes */
    struct ccz_fl_client_record rec;
    struct cczi_hfl_part *part; /* in a private round; NULL: none */
    struct ccz_buf private_out; /* a message of it to be sent, if not empty */
    bool void_task;             /* a new plan came instead of work that was to be done */
    bool masked;                /* the update goes through it */
};

/* client_state.c */
ccz_rc cczi_hfl_state_load(struct ccz_fl_client *c, struct ccz_err *err);
ccz_rc cczi_hfl_state_save(const struct ccz_fl_client *c, struct ccz_err *err);
/* Generations behind @p accepted are those of updates that the server does not have. */
void cczi_hfl_generations_cut(struct ccz_fl_client *c, uint64_t accepted);
/* The newest generation, and the one to fill, which is another; with the vectors (zeros at first) that the task needs. */
ccz_rc cczi_hfl_generations(struct hfl_generation **last, struct hfl_generation **next,
                            struct ccz_fl_client *c, struct ccz_err *err);
void cczi_hfl_generations_free(struct ccz_fl_client *c);

/* client_work.c */
void cczi_hfl_buffers_free(struct ccz_fl_client *c);
#endif
