/* SPDX-License-Identifier: CC0-1.0 */
/*
 * Built outside the tree: cc consumer.c $(pkg-config --cflags --libs cczoo)
 * Makes a software TEE in the folder given, gets a quote over some report data and judges it.
 */
#include <cczoo/tee.h>
#include <cczoo/verifier.h>

#include <stdio.h>
#include <string.h>

static int64_t now_s(void *arg)
{
    return *(const int64_t *)arg;
}

static ccz_rc attest_and_verify(struct ccz_claims *claims, const char *dir, struct ccz_err *err)
{
    char trust[1024];
    int64_t now =
        1767225600; /* 2026-01-01: a verifier is told the time, it does not look at a clock */
    const uint8_t report_data[64] = "what this evidence is about";
    CCZ_AUTO(ccz_attester) attester = NULL;
    CCZ_AUTO(ccz_verifier) verifier = NULL;
    CCZ_AUTO_BUF quote;
    ccz_buf_init(&quote, CCZ_QUOTE_SIZE_MAX);
    (void)snprintf(trust, sizeof(trust), "%s/trust", dir);

    ccz_rc rc = ccz_sim_init(dir, &(struct ccz_sim_cfg){.now_s = now}, err);
    if (rc == CCZ_OK)
        rc = ccz_attester_open(
            &attester, &(struct ccz_attester_cfg){.provider = "sim-sgx", .sim_dir = dir}, err);
    if (rc == CCZ_OK)
        rc = ccz_attester_quote(&quote, attester, report_data, err);
    if (rc == CCZ_OK)
        rc = ccz_verifier_new(
            &verifier, &(struct ccz_verifier_cfg){.clock = {now_s, &now}, .trust_sim_dir = trust},
            err);
    if (rc == CCZ_OK)
        rc = ccz_verifier_verify(verifier, claims, ccz_buf_span(&quote), err);
    return rc;
}

int main(int argc, char **argv)
{
    struct ccz_err err = {0};
    struct ccz_claims claims;
    if (argc != 2) {
        (void)fprintf(stderr, "usage: consumer NEW_FOLDER\n");
        return 2;
    }
    if (attest_and_verify(&claims, argv[1], &err) != CCZ_OK) {
        (void)fprintf(stderr, "error: %s: %s\n", err.where, err.msg);
        return 1;
    }
    (void)printf("%s %s %s\n", ccz_tee_name(claims.tee), ccz_tcb_status_name(claims.tcb_status),
                 claims.simulated ? "SIMULATED" : "hardware");
    return 0;
}
