/* SPDX-License-Identifier: CC0-1.0 */
/*
 * What the four programs in grpc-c and grpc-cpp have in common, in C and C++: who we are, whom we accept, and credentials
 * for libgrpc made of that. Everything else in them is libgrpc as it always was.
 */
#include <cczoo/grpc_creds.h>
#include <cczoo/party.h>

#include <stdio.h>
#include <string.h>

struct attested {
    struct ccz_party *party;
    struct ccz_grpc_creds *creds;
};

/* libgrpc's callers see a connection that failed; this is why. */
static inline void attested_refused(void *arg, const struct ccz_err *why)
{
    (void)arg;
    if (why->got[0] || why->expected[0])
        fprintf(stderr, "refused: %s: got %s, expected %s\n", why->where, why->got, why->expected);
    else
        fprintf(stderr, "refused: %s: %s\n", why->where, why->msg);
}

/* ADDRESS POLICY SIM_DIR handshake|certificate, as every program here is called. @return 0 = ready */
static inline int attested_open(struct attested *a, bool server, int argc, char **argv)
{
    struct ccz_party_cfg who;
    struct ccz_grpc_cfg cfg;
    struct ccz_err err;
    char trust[1024];
    memset(a, 0, sizeof(*a));
    memset(&who, 0, sizeof(who));
    memset(&cfg, 0, sizeof(cfg));
    memset(&err, 0, sizeof(err));
    if (argc != 5) {
        fprintf(stderr, "usage: %s ADDRESS POLICY SIM_DIR handshake|certificate\n", argv[0]);
        return 2;
    }
    snprintf(trust, sizeof(trust), "%s/trust", argv[3]);
    who.tee.provider = "sim-sgx"; /* evidence of a software TEE: `cczoo sim init SIM_DIR` */
    who.tee.sim_dir = argv[3];
    who.trust_sim_dir = trust;
    who.policy_file = argv[2];
    who.server = server;
    who.profile = strcmp(argv[4], "certificate") == 0 ? CCZ_RATLS_CERTIFICATE : CCZ_RATLS_HANDSHAKE;
    cfg.on_refused = attested_refused;
    ccz_rc rc = ccz_party_new(&a->party, &who, &err);
    if (rc == CCZ_OK) {
        ccz_party_ratls_cfg(&cfg.ratls, a->party);
        rc = ccz_grpc_creds_new(&a->creds, &cfg, &err);
    }
    if (rc == CCZ_OK)
        return 0;
    fprintf(stderr, "error: %s: %s %s\n", err.where, err.msg, err.hint);
    return 3;
}

static inline void attested_close(struct attested *a)
{
    ccz_grpc_creds_free(a->creds); /* its hooks use the party */
    ccz_party_free(a->party);
}

/* "sgx, fresh" */
static inline void attested_print(const struct ccz_ratls_peer *peer)
{
    printf("peer: %s, %s\n", peer->attested ? ccz_tee_name(peer->claims.tee) : "not attested",
           peer->fresh ? "fresh" : "not fresh");
}
