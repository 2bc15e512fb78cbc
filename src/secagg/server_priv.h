/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_SECAGG_SERVER_PRIV_H
#define CCZ_SECAGG_SERVER_PRIV_H
/* Shared by server.c (until the vectors are in) and server_reveal.c (how their masks are removed). */
#include "secagg/secagg_priv.h"

struct cczi_sa_member {
    bool keys, shares, input, agreed, revealed; /* what has come */
    struct cczi_sa_public pub;
    uint8_t seed_commit[CCZI_SA_DIGEST];
    uint8_t set_sig[CCZI_SA_SIG];
    uint32_t row;     /* in the graph */
    uint8_t *boxes;   /* for each neighbour CCZI_SA_BOX */
    uint8_t *commits; /* for each neighbour CCZI_SA_COMMITS */
    uint8_t *opened;  /* from each neighbour the share of the secret that is to be opened */
    bool *has_opened;
};

/* Mask keys in secrets of some size each. */
struct cczi_sa_keyring {
    struct ccz_secret **block;
    struct cczi_sa_mask *masks;
    size_t len, cap;
};

struct ccz_secagg_server {
    struct cczi_sa_params p;
    const uint8_t (*roster)[CCZ_SECAGG_ID_SIZE];
    enum ccz_secagg_phase phase;
    struct cczi_sa_member *member;
    uint32_t degree;
    uint32_t *graph;
    uint8_t *in, *gone; /* bitmaps: who delivered, who vanished behind the shares */
    struct cczi_sa_keyring ring;
    struct ccz_secagg_stats stats;
};

static inline const uint32_t *cczi_sa_neighbours(const struct ccz_secagg_server *s, uint32_t i)
{
    return s->graph + (size_t)s->member[i].row * s->degree;
}
static inline ccz_rc cczi_sa_internal(struct ccz_err *err, ccz_rc rc)
{
    return ccz_fail(err, rc, rc == CCZ_E_NOMEM ? "secagg:memory" : "secagg:crypto", 0, "%s",
                    ccz_rc_str(rc));
}
/* Shares that a member reveals. */
ccz_rc cczi_sa_take_reveal(struct ccz_secagg_server *s, uint32_t member,
                           const struct cczi_sa_msg *m, struct ccz_err *err);
/* Opens every secret and lists the masks to remove. */
ccz_rc cczi_sa_open_all(struct ccz_secagg_server *s, struct ccz_err *err);
void cczi_sa_keyring_free(struct cczi_sa_keyring *r);
#endif
