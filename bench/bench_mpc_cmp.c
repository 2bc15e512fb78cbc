/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Comparisons of two parties, one thread each, over a channel in memory; columns as mpc_duo.h says. CCZOO_CPU chooses the tier.
 * usage: bench_mpc_cmp [len [runs [operation]]]
 */
#define _POSIX_C_SOURCE 200809L
#include <cczoo/mpc_cmp.h>

#include "mpc_duo.h"

static const char *const ops[] = {"relu",
                                  "drelu",
                                  "equal",
                                  "mux",
                                  "b2a",
                                  "a2b",
                                  "trunc faithful",
                                  "trunc one-bit",
                                  "trunc faithful, range",
                                  "trunc one-bit, range",
                                  "argmax of 16"};
enum { OPS = sizeof(ops) / sizeof(ops[0]) };

struct job {
    size_t len, op;
    uint64_t *share[2];
};

static ccz_rc call(struct ccz_mpc_tensor **out, const struct job *p, const struct ccz_mpc_tensor *x,
                   const struct ccz_mpc_tensor *b)
{
    struct ccz_mpc_tensor *index = NULL;
    ccz_rc rc = CCZ_E_ARG;
    switch (p->op) {
    case 0:
        return ccz_mpc_relu(out, NULL, x, NULL);
    case 1:
        return ccz_mpc_drelu(out, x, NULL);
    case 2:
        return ccz_mpc_equal(out, x, x, NULL);
    case 3:
        return ccz_mpc_mux(out, b, x, NULL);
    case 4:
        return ccz_mpc_b2a(out, b, NULL);
    case 5:
        return ccz_mpc_a2b(out, x, NULL);
    case 6:
    case 7:
    case 8:
    case 9:
        return ccz_mpc_truncate_as(out, x, 12, p->op < 8 ? CCZ_MPC_RANGE_ANY : CCZ_MPC_RANGE_HALF,
                                   p->op % 2 ? CCZ_MPC_TRUNC_ONE_BIT : CCZ_MPC_TRUNC_FAITHFUL,
                                   NULL);
    default:
        rc = ccz_mpc_max(out, &index, x, NULL);
        ccz_mpc_tensor_free(index);
        return rc;
    }
}

static void program(struct ccz_mpc *m, unsigned role, const void *arg)
{
    const struct job *p = arg;
    CCZ_AUTO(ccz_mpc_tensor) x = NULL;
    CCZ_AUTO(ccz_mpc_tensor) b = NULL;
    CCZ_AUTO(ccz_mpc_tensor) out = NULL;
    struct ccz_mpc_shape shape = CCZ_MPC_SHAPE1(p->len);
    if (p->op == OPS - 1)
        shape = CCZ_MPC_SHAPE2(p->len / 16, 16);
    must(ccz_mpc_import(&x, m, CCZ_MPC_SHARED, shape, 12, p->share[role], NULL) == CCZ_OK,
         "shares");
    must(ccz_mpc_import(&b, m, CCZ_MPC_BITS, shape, 0, p->share[role], NULL) == CCZ_OK, "bits");
    must(call(&out, p, x, b) == CCZ_OK, "operation");
}

int main(int argc, char **argv)
{
    size_t len = argc > 1 ? strtoull(argv[1], NULL, 10) : 65536;
    size_t runs = argc > 2 ? strtoull(argv[2], NULL, 10) : 5;
    struct job j = {.len = len};
    must(len >= 16 && len % 16 == 0 && runs >= 1 && runs <= DUO_RUNS_MAX, "usage");
    for (unsigned i = 0; i < 2; i++) {
        uint64_t state = 12345 + i;
        j.share[i] = calloc(len, sizeof(*j.share[i]));
        must(j.share[i], "memory");
        for (size_t e = 0; e < len; e++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            j.share[i][e] = state >> 32 | state << 32;
        }
    }
    for (j.op = 0; j.op < OPS; j.op++)
        for (unsigned k = 32; k <= 64; k *= 2)
            for (int silent = 0; silent < 2; silent++) {
                struct duo_party p[2];
                if (argc > 3 && strcmp(argv[3], ops[j.op]) != 0)
                    continue;
                for (unsigned i = 0; i < 2; i++)
                    p[i] = (struct duo_party){
                        .cfg = {.role = i,
                                .ring_bits = k,
                                .ot = silent ? CCZ_MPC_OT_SILENT : CCZ_MPC_OT_SOFTSPOKEN},
                        .program = program,
                        .arg = &j};
                duo_measure(ops[j.op], len, p, runs);
            }
    free(j.share[0]);
    free(j.share[1]);
    return 0;
}
