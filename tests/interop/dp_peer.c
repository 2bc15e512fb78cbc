/* SPDX-License-Identifier: Apache-2.0 */
/* Answers lines "epsilon|delta|calibrate SAMPLING RATE MULTIPLIER STEPS X" on standard input with one number each: epsilon
 * for delta = X, delta for epsilon = X, or the multiplier for epsilon = MULTIPLIER and delta = X. */
#include <cczoo/dp.h>

#include <stdio.h>
#include <string.h>

static enum ccz_dp_sampling sampling(const char *name)
{
    return strcmp(name, "poisson") == 0 ? CCZ_DP_POISSON
           : strcmp(name, "fixed") == 0 ? CCZ_DP_FIXED
                                        : CCZ_DP_ALL;
}

static ccz_rc answer(double *out, const char *what, struct ccz_dp_event *e, double x,
                     struct ccz_err *err)
{
    struct ccz_dp_accountant a = {0};
    if (strcmp(what, "calibrate") == 0) {
        double epsilon = e->multiplier;
        return ccz_dp_calibrate(out, e, NULL, epsilon, x, err);
    }
    ccz_rc rc = ccz_dp_spend(&a, e, err);
    if (rc != CCZ_OK)
        return rc;
    return strcmp(what, "epsilon") == 0 ? ccz_dp_epsilon(out, NULL, &a, x, err)
                                        : ccz_dp_delta(out, NULL, &a, x, err);
}

int main(void)
{
    char line[256], what[16], name[16];
    while (fgets(line, sizeof(line), stdin)) {
        struct ccz_dp_event e = {0};
        struct ccz_err err = {0};
        unsigned long long steps;
        double x, out;
        if (sscanf(line, "%15s %15s %lf %lf %llu %lf", what, name, &e.rate, &e.multiplier, &steps,
                   &x) != 6) {
            fprintf(stderr, "dp-peer: malformed: %s", line);
            return 2;
        }
        e.sampling = sampling(name);
        e.steps = steps;
        if (answer(&out, what, &e, x, &err) != CCZ_OK) {
            fprintf(stderr, "dp-peer: %s: %s\n", err.where, err.msg);
            return 1;
        }
        printf("%.17g\n", out);
    }
    return 0;
}
