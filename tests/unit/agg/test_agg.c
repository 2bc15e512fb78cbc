/* SPDX-License-Identifier: Apache-2.0 */
/* Sums, norms, clipping, optimizers and their state, SCAFFOLD, staleness. Known answers are computed in double precision by numpy. */
#include "agg/kit.h"

enum { LEN = 1000 };

static void test_vectors(void)
{
    float acc[3] = {1, 2, 3}, x[3] = {4, 8, -2}, r[3];
    ccz_agg_add(acc, x, 0.25f, 3);
    CHECK(acc[0] == 2 && acc[1] == 4 && acc[2] == 2.5f);
    ccz_agg_sub(r, x, acc, 3);
    CHECK(r[0] == 2 && r[1] == 4 && r[2] == -4.5f);
    ccz_agg_axpby(r, 0.5f, x, 2, 3);
    CHECK(r[0] == 6 && r[1] == 12 && r[2] == -10);
    r[1] = NAN;
    ccz_agg_axpby(r, 0.5f, x, 0, 3);
    CHECK(r[0] == 2 && r[1] == 4 && r[2] == -1);
    ccz_agg_scale(r, -3, 3);
    CHECK(r[0] == -6 && r[1] == -12 && r[2] == 3);
    ccz_agg_add(acc, x, 1, 0);
    ccz_agg_sub(NULL, NULL, NULL, 0);
}

static void test_nonfinite(void)
{
    static float x[10000];
    CHECK(ccz_agg_nonfinite(x, 10000) == 10000 && ccz_agg_nonfinite(x, 0) == 0);
    x[9999] = -INFINITY;
    CHECK(ccz_agg_nonfinite(x, 10000) == 9999 && ccz_agg_nonfinite(x, 9999) == 9999);
    x[4097] = NAN;
    CHECK(ccz_agg_nonfinite(x, 10000) == 4097);
    x[0] = INFINITY;
    CHECK(ccz_agg_nonfinite(x, 10000) == 0);
}

static void test_norm(void)
{
    float x[LEN];
    uint64_t state = 3;
    rnd_floats(x, LEN, &state);
    long double sum = 0;
    for (size_t i = 0; i < LEN; i++)
        sum += (long double)x[i] * x[i];
    struct ccz_agg_norm whole = {.len = 0};
    ccz_agg_norm_add(&whole, x, LEN);
    CHECK(near(ccz_agg_norm_value(&whole), (double)sqrtl(sum), 1e-14));
    for (int t = 0; t < 200; t++) { /* cut anywhere: the same bits, lane by lane */
        struct ccz_agg_norm n = {.len = 0};
        for (size_t at = 0; at < LEN;) {
            size_t k = 1 + rnd(&state) % (t % 2 ? 7 : 300);
            k = k < LEN - at ? k : LEN - at;
            ccz_agg_norm_add(&n, x + at, k);
            at += k;
        }
        CHECK(same_bits(&n, &whole, sizeof(n)));
    }
    float triangle[4] = {3, 4, 12, 84}, huge[2] = {FLT_MAX, FLT_MAX};
    struct ccz_agg_norm n = {.len = 0}, h = {.len = 0};
    ccz_agg_norm_add(&n, triangle, 4);
    CHECK(ccz_agg_norm_value(&n) == 85);
    ccz_agg_norm_add(&h, huge, 2); /* no overflow */
    CHECK(near(ccz_agg_norm_value(&h), sqrt(2) * (double)FLT_MAX, 1e-14));
}

static void test_norm_check(void)
{
    float x[100] = {3, 4};
    struct ccz_agg_norm n = {.len = 0};
    ccz_agg_norm_add(&n, x, 100);
    CHECK(ccz_agg_norm_check(&n, 0, NULL) == CCZ_OK && ccz_agg_norm_check(&n, 5, NULL) == CCZ_OK);
    REFUSED(ccz_agg_norm_check(&n, 4.999, &err), CCZ_E_LIMIT, "agg:norm");
    REFUSED(ccz_agg_norm_check(&n, NAN, &err), CCZ_E_LIMIT, "agg:norm");
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < 100; i++) { /* wherever it is, and whatever comes behind it */
        struct ccz_agg_norm one = {.len = 0};
        x[i] = bad[i % 3];
        ccz_agg_norm_add(&one, x, 100);
        ccz_agg_norm_add(&one, x + 2, i < 2 ? 50 : 0);
        REFUSED(ccz_agg_norm_check(&one, 0, &err), CCZ_E_FORMAT, "agg:nonfinite");
        x[i] = 0;
    }
}

static void test_clip(void)
{
    uint64_t state = 9;
    for (int t = 0; t < 3000; t++) {
        float x[40], before[40];
        rnd_floats(x, 40, &state);
        for (size_t i = 0; t % 10 == 0 && i < 40;
             i++) /* factors below the smallest normal float32 */
            x[i] = ldexpf(x[i], 60);
        memcpy(before, x, sizeof(x));
        double bound =
            ldexp(1 + (double)(rnd(&state) % 1000) / 1000, (int)(rnd(&state) % 100) - 70);
        double norm = ccz_agg_clip(x, 40, bound);
        long double sum = 0;
        for (size_t i = 0; i < 40; i++)
            sum += (long double)x[i] * x[i];
        CHECK(sqrtl(sum) <= bound); /* exactly: privacy counts on it */
        if (norm <= bound)
            CHECK(same_bits(x, before, sizeof(x)) && ccz_agg_clip_factor(norm, bound) == 1);
        else if (norm < bound * 1e30)
            CHECK(sqrtl(sum) >= bound * (1 - 1e-6));
    }
    float bad[3] = {1, INFINITY, 2};
    CHECK(isinf(ccz_agg_clip(bad, 3, 1)) && bad[0] == 0 && bad[1] == 0 && bad[2] == 0);
    CHECK(ccz_agg_clip_factor(NAN, 1) == 0 && ccz_agg_clip_factor(INFINITY, 1) == 0);
    CHECK(ccz_agg_clip_factor(2, 0) == 0 && ccz_agg_clip_factor(2, NAN) == 0);
    CHECK(ccz_agg_clip_factor(2, -1) == 0 && ccz_agg_clip_factor(0, 1) == 1);
}

/* Three rounds from x0, the updates handed in as sums of weight 4. */
static void check_opt(struct ccz_agg_opt_cfg cfg, const float expected[4])
{
    static const float updates[3][4] = {
        {0.5f, -0.25f, 0, 0.002f}, {-0.1f, -0.5f, 0, 0.001f}, {0.3f, 0.05f, 1e-4f, -2}};
    float x[4] = {1, -2, 0.5f, 0}, sum[4];
    CCZ_AUTO(ccz_agg_opt) o = NULL;
    CHECK(ccz_agg_opt_new(&o, &cfg, 4, NULL) == CCZ_OK);
    for (size_t r = 0; r < 3; r++) {
        for (size_t i = 0; i < 4; i++)
            sum[i] = 4 * updates[r][i];
        CHECK(ccz_agg_opt_step(o, x, sum, 0.25f, NULL) == CCZ_OK);
    }
    CHECK(ccz_agg_opt_rounds(o) == 3);
    for (size_t i = 0; i < 4; i++)
        CHECK(near((double)x[i], (double)expected[i], 2e-6));
}

static void test_opt(void)
{
    static const struct {
        struct ccz_agg_opt_cfg cfg;
        float expected[4];
    } cases[] = {
        {{CCZ_AGG_FEDAVG, 0.5f, 0, 0, 0}, {1.35f, -2.35f, 0.50005f, -0.9985f}},
        {{CCZ_AGG_FEDAVGM, 0.5f, 0.9f, 0, 0}, {1.7325f, -2.78875f, 0.50005f, -0.99634f}},
        {{CCZ_AGG_FEDADAGRAD, 0.1f, 0.5f, 0, 0.01f},
         {1.09459517f, -2.12592303f, 0.500249994f, -0.0398357278f}},
        {{CCZ_AGG_FEDADAM, 0.1f, 0.9f, 0.99f, 0.001f},
         {1.26859622f, -2.32967483f, 0.500503756f, -0.0755521845f}},
        {{CCZ_AGG_FEDYOGI, 0.1f, 0.9f, 0.99f, 0.001f},
         {1.26753937f, -2.32975876f, 0.500500013f, -0.0755773439f}},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        check_opt(cases[i].cfg, cases[i].expected);
        CHECK(ccz_agg_opt_from(ccz_agg_opt_name(cases[i].cfg.kind)) == cases[i].cfg.kind);
    }
    CHECK(ccz_agg_opt_from("sgd") == CCZ_AGG_OPT_KINDS);
}

static void test_opt_refused(void)
{
    struct ccz_agg_opt *o = NULL;
    struct ccz_agg_opt_cfg good = ccz_agg_opt_defaults(CCZ_AGG_FEDADAM), c;
#define BAD(field, value, place)                                                                   \
    do {                                                                                           \
        c = good;                                                                                  \
        c.field = (value);                                                                         \
        REFUSED(ccz_agg_opt_new(&o, &c, 4, &err), CCZ_E_ARG, (place));                             \
        CHECK(o == NULL);                                                                          \
    } while (0)
    BAD(kind, CCZ_AGG_OPT_KINDS, "agg:opt-kind");
    BAD(lr, 0, "agg:opt-lr");
    BAD(lr, NAN, "agg:opt-lr");
    BAD(lr, INFINITY, "agg:opt-lr");
    BAD(beta1, 1, "agg:opt-beta1");
    BAD(beta1, -0.1f, "agg:opt-beta1");
    BAD(beta1, NAN, "agg:opt-beta1");
    BAD(beta2, 1, "agg:opt-beta2");
    BAD(beta2, NAN, "agg:opt-beta2");
    BAD(tau, 0, "agg:opt-tau");
    BAD(tau, NAN, "agg:opt-tau");
    REFUSED(ccz_agg_opt_new(&o, &good, CCZ_AGG_LEN_MAX + 1, &err), CCZ_E_ARG, "agg:len");
    c = (struct ccz_agg_opt_cfg){.kind = CCZ_AGG_FEDAVG};
    REFUSED(ccz_agg_opt_new(&o, &c, 4, &err), CCZ_E_ARG, "agg:opt-lr"); /* zeroed is strict */
    for (int k = 0; k < CCZ_AGG_OPT_KINDS; k++) {
        c = ccz_agg_opt_defaults((enum ccz_agg_opt_kind)k);
        CHECK(ccz_agg_opt_new(&o, &c, 0, NULL) == CCZ_OK);
        CHECK(ccz_agg_opt_step(o, NULL, NULL, 1, NULL) == CCZ_OK);
        ccz_agg_opt_free(o);
    }
}

/* An update that would spoil the state leaves everything as it was. */
static void test_opt_large(void)
{
    static const float bad[] = {NAN, INFINITY, -INFINITY, 3e12f, -3e12f};
    static float x[5000], sum[5000], before[5000];
    struct ccz_agg_opt_cfg cfg = ccz_agg_opt_defaults(CCZ_AGG_FEDADAM);
    CCZ_AUTO(ccz_agg_opt) o = NULL;
    CHECK(ccz_agg_opt_new(&o, &cfg, 5000, NULL) == CCZ_OK);
    uint64_t state = 4;
    rnd_floats(before, 5000, &state);
    memcpy(x, before, sizeof(x));
    for (size_t i = 0; i < 5; i++) {
        struct ccz_err err;
        sum[4100 + i] = bad[i];
        CHECK(ccz_agg_opt_step(o, x, sum, 0.5f, &err) == CCZ_E_LIMIT);
        CHECK(strcmp(err.where, "agg:opt-update") == 0 && err.aux == (int64_t)(4100 + i));
        CHECK(same_bits(x, before, sizeof(x)) && ccz_agg_opt_rounds(o) == 0);
        sum[4100 + i] = 0;
    }
    sum[7] = 1;
    CHECK(ccz_agg_opt_step(o, x, sum, NAN, NULL) == CCZ_E_LIMIT);
    sum[7] = 0x1p41f; /* the limit is one of the mean */
    for (int r = 0; r < 100; r++)
        CHECK(ccz_agg_opt_step(o, x, sum, 0.5f, NULL) == CCZ_OK);
    CHECK(ccz_agg_nonfinite(x, 5000) == 5000);
}

/* ------------------------------------------------------------------------------------- states */

struct store {
    uint8_t bytes[2 * 4 * 9000 + 100];
    size_t size, at, limit;
};

static ccz_rc store_write(void *arg, struct ccz_span bytes, struct ccz_err *err)
{
    struct store *s = arg;
    CHECK(bytes.size <= 65536);
    if (s->size + bytes.size > s->limit)
        return ccz_fail(err, CCZ_E_IO, "store:full", 0, "no room");
    memcpy(s->bytes + s->size, bytes.ptr, bytes.size);
    s->size += bytes.size;
    return CCZ_OK;
}

static ccz_rc store_read(void *arg, void *out, size_t size, struct ccz_err *err)
{
    struct store *s = arg;
    if (s->at + size > s->size)
        return ccz_fail(err, CCZ_E_FORMAT, "store:end", 0, "no more");
    memcpy(out, s->bytes + s->at, size);
    s->at += size;
    return CCZ_OK;
}

static void rounds(struct ccz_agg_opt *o, float *x, size_t len, uint64_t from, uint64_t to)
{
    static float sum[9000];
    for (uint64_t r = from; r < to; r++) {
        uint64_t state = 1000 + r;
        for (size_t i = 0; i < len; i++)
            sum[i] = (float)(int32_t)rnd(&state) * 0x1p-31f;
        CHECK(ccz_agg_opt_step(o, x, sum, 1, NULL) == CCZ_OK);
    }
}

/* Stopped, saved and resumed: the same bits as without. */
static void test_opt_state(void)
{
    static float x[9000], y[9000];
    static struct store s;
    for (int k = 0; k < CCZ_AGG_OPT_KINDS; k++) {
        struct ccz_agg_opt_cfg cfg = ccz_agg_opt_defaults((enum ccz_agg_opt_kind)k);
        CCZ_AUTO(ccz_agg_opt) a = NULL;
        CCZ_AUTO(ccz_agg_opt) b = NULL;
        CHECK(ccz_agg_opt_new(&a, &cfg, 9000, NULL) == CCZ_OK);
        CHECK(ccz_agg_opt_new(&b, &cfg, 9000, NULL) == CCZ_OK);
        memset(x, 0, sizeof(x));
        rounds(a, x, 9000, 0, 3);
        memcpy(y, x, sizeof(x));
        s.size = s.at = 0;
        s.limit = sizeof(s.bytes);
        CHECK(ccz_agg_opt_save(a, store_write, &s, NULL) == CCZ_OK);
        CHECK(s.size == ccz_agg_opt_state_size(a));
        rounds(b, y, 9000, 7, 8); /* what it had is replaced */
        memcpy(y, x, sizeof(x));
        CHECK(ccz_agg_opt_load(b, store_read, &s, NULL) == CCZ_OK && ccz_agg_opt_rounds(b) == 3);
        rounds(a, x, 9000, 3, 6);
        rounds(b, y, 9000, 3, 6);
        CHECK(same_bits(x, y, sizeof(x)));
        s.limit = s.size - 1;
        s.size = 0;
        REFUSED(ccz_agg_opt_save(a, store_write, &s, &err), CCZ_E_IO, "store:full");
    }
}

static void test_opt_state_refused(void)
{
    static struct store s, good;
    struct ccz_agg_opt_cfg cfg = ccz_agg_opt_defaults(CCZ_AGG_FEDYOGI);
    float x[5] = {0};
    CCZ_AUTO(ccz_agg_opt) o = NULL;
    CHECK(ccz_agg_opt_new(&o, &cfg, 5, NULL) == CCZ_OK);
    rounds(o, x, 5, 0, 2);
    good.limit = sizeof(good.bytes);
    CHECK(ccz_agg_opt_save(o, store_write, &good, NULL) == CCZ_OK);
    for (size_t n = 0; n < good.size; n++) { /* cut anywhere: as new */
        s = good;
        s.size = n;
        REFUSED(ccz_agg_opt_load(o, store_read, &s, &err), CCZ_E_FORMAT, "store:end");
        CHECK(ccz_agg_opt_rounds(o) == 0);
    }
    for (size_t i = 0; i < 36; i++) { /* any bit of the head but those of the rounds */
        s = good;
        s.bytes[i] ^= 1;
        REFUSED(ccz_agg_opt_load(o, store_read, &s, &err), i < 8 ? CCZ_E_FORMAT : CCZ_E_MISMATCH,
                i < 8 ? "agg:opt-state" : "agg:opt-match");
    }
    for (size_t i = 0; i < 10; i++) { /* NaN in any place; a sign in the second moments */
        s = good;
        memset(s.bytes + 44 + 4 * i, 0xff, 4);
        REFUSED(ccz_agg_opt_load(o, store_read, &s, &err), CCZ_E_FORMAT, "agg:opt-value");
        s = good;
        s.bytes[44 + 4 * i + 3] |= 0x80;
        if (i >= 5)
            REFUSED(ccz_agg_opt_load(o, store_read, &s, &err), CCZ_E_FORMAT, "agg:opt-value");
        else
            CHECK(ccz_agg_opt_load(o, store_read, &s, NULL) == CCZ_OK);
    }
    CCZ_AUTO(ccz_agg_opt) other = NULL;
    CHECK(ccz_agg_opt_new(&other, &cfg, 6, NULL) == CCZ_OK);
    s = good;
    REFUSED(ccz_agg_opt_load(other, store_read, &s, &err), CCZ_E_MISMATCH, "agg:opt-match");
}

/* ---------------------------------------------------------------------------- SCAFFOLD, FedBuff */

static void test_scaffold(void)
{
    const float x[3] = {1, 2, -1}, y[3] = {0.8f, 2.5f, -1}, c[3] = {0.1f, -0.2f, 0.3f};
    float ci[3] = {0.05f, 0.1f, -0.3f}, dc[3], server[3] = {1, 1, 1};
    static const float expected_dc[3] = {0.3f, -0.8f, -0.3f},
                       expected_ci[3] = {0.35f, -0.7f, -0.6f};
    CHECK(ccz_agg_scaffold_client(dc, ci, c, x, y, 3, 10, 0.05f, NULL) == CCZ_OK);
    for (size_t i = 0; i < 3; i++) {
        CHECK(near((double)dc[i], (double)expected_dc[i], 1e-6));
        CHECK(near((double)ci[i], (double)expected_ci[i], 1e-6));
    }
    ccz_agg_scaffold_server(server, dc, 4, 3);
    CHECK(near((double)server[1], 0.8, 1e-6));
    REFUSED(ccz_agg_scaffold_client(dc, ci, c, x, y, 3, 0, 0.05f, &err), CCZ_E_ARG, "agg:scaffold");
    REFUSED(ccz_agg_scaffold_client(dc, ci, c, x, y, 3, 1, 0, &err), CCZ_E_ARG, "agg:scaffold");
    REFUSED(ccz_agg_scaffold_client(dc, ci, c, x, y, 3, 1, NAN, &err), CCZ_E_ARG, "agg:scaffold");
    REFUSED(ccz_agg_scaffold_client(dc, ci, c, x, y, 3, 1, INFINITY, &err), CCZ_E_ARG,
            "agg:scaffold");
}

/* Clients with different optima (quadratics): FedAvg stops beside the optimum of the sum, SCAFFOLD at it. */
static double run_scaffold(bool corrected)
{
    enum { CLIENTS = 3, STEPS = 10, ROUNDS = 300 };
    static const float curve[CLIENTS] = {0.5f, 1, 4}, optimum[CLIENTS] = {1, -2, 3}, lr = 0.1f;
    float x = 0, c = 0, ci[CLIENTS] = {0};
    for (int r = 0; r < ROUNDS; r++) {
        float sum = 0, dc_sum = 0, dc;
        for (int k = 0; k < CLIENTS; k++) {
            float y = x;
            for (int s = 0; s < STEPS; s++)
                y -= lr * (curve[k] * (y - optimum[k]) + (corrected ? c - ci[k] : 0));
            sum += y - x;
            CHECK(ccz_agg_scaffold_client(&dc, &ci[k], &c, &x, &y, 1, STEPS, lr, NULL) == CCZ_OK);
            dc_sum += dc;
        }
        x += sum / CLIENTS;
        ccz_agg_scaffold_server(&c, &dc_sum, CLIENTS, 1);
    }
    return (double)x;
}

static void test_scaffold_drift(void)
{
    double best = (0.5 - 2 + 12) / 5.5;
    CHECK(fabs(run_scaffold(true) - best) < 1e-4);
    CHECK(fabs(run_scaffold(false) - best) > 0.1);
}

static void test_staleness(void)
{
    CHECK(ccz_agg_staleness(0, 0.5f) == 1 && ccz_agg_staleness(3, 0.5f) == 0.5f);
    CHECK(ccz_agg_staleness(99, 0) == 1 && ccz_agg_staleness(3, 1) == 0.25f);
    CHECK(near((double)ccz_agg_staleness(7, 2), 1.0 / 64, 1e-7));
    CHECK(ccz_agg_staleness(UINT64_MAX, 0.5f) > 0);
    for (uint64_t r = 0; r < 100; r++)
        CHECK(ccz_agg_staleness(r + 1, 0.5f) < ccz_agg_staleness(r, 0.5f));
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {{"agg.vectors", test_vectors},
                                            {"agg.nonfinite", test_nonfinite},
                                            {"agg.norm", test_norm},
                                            {"agg.norm_check", test_norm_check},
                                            {"agg.clip", test_clip},
                                            {"agg.opt", test_opt},
                                            {"agg.opt_refused", test_opt_refused},
                                            {"agg.opt_large", test_opt_large},
                                            {"agg.opt_state", test_opt_state},
                                            {"agg.opt_state_refused", test_opt_state_refused},
                                            {"agg.scaffold", test_scaffold},
                                            {"agg.scaffold_drift", test_scaffold_drift},
                                            {"agg.staleness", test_staleness}};
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
