/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "parties.h"

/* What the dealer's VOLE sends. */
#define VOLE_SENDER_SIZE(len)   ((void)(len), UINT64_C(8))
#define VOLE_RECEIVER_SIZE(len) ((void)(len), UINT64_C(0))

/* The intersection by sorting and merging: pairs of rows. */
struct pair {
    uint64_t id, row;
};

static int by_id(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;
    if (x->id != y->id)
        return x->id < y->id ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

static struct pair *sorted(const uint64_t *ids, size_t len)
{
    struct pair *p = malloc(len * sizeof(*p) + 1);
    CHECK(p);
    for (size_t i = 0; i < len; i++)
        p[i] = (struct pair){ids[i], i};
    qsort(p, len, sizeof(*p), by_id);
    return p;
}

/* Number of common ids; expect[row of y] = first row in x + 1, only at the first row of an id in y. */
static size_t merge(uint64_t *expect, const uint64_t *x, size_t nx, const uint64_t *y, size_t ny)
{
    struct pair *a = sorted(x, nx), *b = sorted(y, ny);
    size_t n = 0;
    memset(expect, 0, ny * sizeof(*expect));
    for (size_t i = 0, k = 0; i < nx && k < ny;) {
        if (a[i].id < b[k].id) {
            i++;
        } else if (a[i].id > b[k].id) {
            k++;
        } else {
            uint64_t id = a[i].id;
            expect[b[k].row] = a[i].row + 1;
            n++;
            while (i < nx && a[i].id == id)
                i++;
            while (k < ny && b[k].id == id)
                k++;
        }
    }
    free(a);
    free(b);
    return n;
}

/* What the receiver's rows say against the merge. */
static void check_rows(const struct ccz_psi_result *r, const struct ccz_psi_result *s,
                       const uint64_t *expect, size_t n, size_t ny)
{
    CHECK(r->learned && r->len == n);
    uint8_t *seen = calloc(ny + 1, 1);
    CHECK(seen);
    for (size_t i = 0; i < n; i++) {
        CHECK(r->rows[i] < ny && expect[r->rows[i]] > 0 && !seen[r->rows[i]]++);
        if (s->learned)
            CHECK(s->rows[i] == expect[r->rows[i]] - 1);
    }
    free(seen);
    static const uint8_t zero[32];
    CHECK(memcmp(r->session, s->session, 32) == 0 && memcmp(r->digest, zero, 32) != 0);
    if (s->learned)
        CHECK(s->len == n && memcmp(r->digest, s->digest, 32) == 0);
    else
        CHECK(s->len == 0 && !s->rows && memcmp(s->digest, zero, 32) == 0);
}

struct shape {
    size_t nx, ny;
    uint64_t range; /* ids are drawn below it */
    struct ccz_psi_cfg cfg;
    uint64_t bucket_len[2];
};

static void run_shape(const struct shape *s, uint64_t seed)
{
    struct party p[2] = {{.cfg = s->cfg}, {.cfg = s->cfg}};
    const struct ccz_psi_ids_cfg first = {.duplicates = CCZ_PSI_FIRST};
    size_t n[2] = {s->nx, s->ny};
    uint64_t *numbers[2], *expect = malloc(s->ny * sizeof(*expect) + 1);
    for (int i = 0; i < 2; i++) {
        numbers[i] = malloc(n[i] * sizeof(uint64_t) + 1);
        CHECK(numbers[i] && expect);
        for (size_t k = 0; k < n[i]; k++)
            numbers[i][k] = rnd(&seed) % s->range;
        p[i].ids = ids_of(numbers[i], n[i], &first);
        p[i].cfg.bucket_len = s->bucket_len[i];
    }
    run_pair(p, NULL, 0);
    for (int i = 0; i < 2; i++)
        if (p[i].rc != CCZ_OK)
            fprintf(stderr, "party %d: %s: %s\n", i, p[i].err.where, p[i].err.msg);
    CHECK(p[0].rc == CCZ_OK && p[1].rc == CCZ_OK);
    size_t common = merge(expect, numbers[0], s->nx, numbers[1], s->ny);
    check_rows(p[1].result, p[0].result, expect, common, s->ny);
    CHECK(p[0].result->peer_len >= ccz_psi_ids_len(p[1].ids));
    free_results(p);
    for (int i = 0; i < 2; i++) {
        ccz_psi_ids_free((struct ccz_psi_ids *)p[i].ids);
        free(numbers[i]);
    }
    free(expect);
}

static void test_sizes(void)
{
    static const size_t sizes[] = {0, 1, 2, 3, 15, 16, 17, 255, 256, 257, 1023, 1025};
    enum { N = sizeof(sizes) / sizeof(sizes[0]) };
    for (size_t i = 0; i < N; i++) {
        for (size_t k = 0; k < N; k++) {
            struct shape s = {.nx = sizes[i], .ny = sizes[k], .range = 2 * sizes[k] + 1};
            s.cfg.learns = (i + k) % 2 ? CCZ_PSI_BOTH : CCZ_PSI_RECEIVER_ONLY;
            s.cfg.protocol = (i + k) % 3 ? CCZ_PSI_VOLE : CCZ_PSI_VOLE_SEMI_HONEST;
            s.cfg.pad = k % 2;
            run_shape(&s, 1 + i * N + k);
        }
    }
}

/* Random shapes: sizes, overlap, repetitions, settings. */
static void test_property(void)
{
    uint64_t seed = 42;
    for (int i = 0; i < 60; i++) {
        size_t nx = rnd(&seed) % (1u << rnd(&seed) % 13), ny = rnd(&seed) % (1u << rnd(&seed) % 13);
        struct shape s = {.nx = nx, .ny = ny, .range = 1 + rnd(&seed) % (4 * (nx + ny) + 1)};
        s.cfg.learns = rnd(&seed) % 2 ? CCZ_PSI_BOTH : CCZ_PSI_RECEIVER_ONLY;
        s.cfg.protocol = rnd(&seed) % 2 ? CCZ_PSI_VOLE : CCZ_PSI_VOLE_SEMI_HONEST;
        s.cfg.pad = rnd(&seed) % 2;
        run_shape(&s, rnd(&seed) | 1);
    }
}

/* One side far larger than the other. */
static void test_lopsided(void)
{
    for (int i = 0; i < 2; i++) {
        struct shape s = {.nx = i ? 100000 : 7, .ny = i ? 7 : 100000, .range = 50000};
        s.cfg.learns = CCZ_PSI_BOTH;
        run_shape(&s, 3);
    }
}

static void test_full_and_empty(void)
{
    for (uint64_t shift = 0; shift < 2; shift++) {
        struct party p[2] = {{.cfg = {.learns = CCZ_PSI_BOTH}}, {.cfg = {.learns = CCZ_PSI_BOTH}}};
        enum { N = 3000 };
        static uint64_t numbers[2][N];
        for (size_t i = 0; i < N; i++) {
            numbers[0][i] = i;
            numbers[1][i] = (N - 1 - i) + shift * N;
        }
        for (int i = 0; i < 2; i++)
            p[i].ids = ids_of(numbers[i], N, NULL);
        run_pair(p, NULL, 0);
        CHECK(p[0].rc == CCZ_OK && p[1].rc == CCZ_OK);
        CHECK(p[0].result->len == (shift ? 0 : N) && p[1].result->len == p[0].result->len);
        for (size_t i = 0; i < p[0].result->len; i++)
            CHECK(p[0].result->rows[i] == N - 1 - p[1].result->rows[i]);
        CHECK(memcmp(p[0].result->digest, p[1].result->digest, 32) == 0);
        free_results(p);
        for (int i = 0; i < 2; i++)
            ccz_psi_ids_free((struct ccz_psi_ids *)p[i].ids);
    }
}

/* Several buckets, as many as the side with the smaller limit wants. */
static void test_buckets(void)
{
    for (int pad = 0; pad < 2; pad++) {
        struct shape s = {.nx = 30000, .ny = 9000, .range = 40000, .bucket_len = {2000, 1024}};
        s.cfg.learns = CCZ_PSI_BOTH;
        s.cfg.pad = pad;
        run_shape(&s, 17);
        s.nx = 3; /* most buckets hold padding only */
        run_shape(&s, 18);
    }
}

/* Sets on disk on both sides, equal to those in memory. */
static void test_on_disk(void)
{
    enum { N = 60000 };
    static uint64_t numbers[2][N], expect[N];
    const struct ccz_psi_ids_cfg cfg = {
        .duplicates = CCZ_PSI_FIRST, .memory_len = 1000, .spool_dir = "/tmp"};
    struct party p[2] = {{.cfg = {.learns = CCZ_PSI_BOTH, .bucket_len = 8192}},
                         {.cfg = {.learns = CCZ_PSI_BOTH, .bucket_len = 8192}}};
    uint64_t seed = 8;
    for (int i = 0; i < 2; i++) {
        for (size_t k = 0; k < N; k++)
            numbers[i][k] = rnd(&seed) % (2 * N);
        p[i].ids = ids_of(numbers[i], N, &cfg);
        CHECK(cczi_spool_fd(p[i].ids->spool) >= 0);
    }
    run_pair(p, NULL, 0);
    CHECK(p[0].rc == CCZ_OK && p[1].rc == CCZ_OK && p[0].result->buckets == 8);
    size_t common = merge(expect, numbers[0], N, numbers[1], N);
    check_rows(p[1].result, p[0].result, expect, common, N);
    free_results(p);
    for (int i = 0; i < 2; i++)
        ccz_psi_ids_free((struct ccz_psi_ids *)p[i].ids);
}

/* Ids 0 .. 99 against 60 .. 159 under the given settings. */
static void run_forty(struct party p[2])
{
    uint64_t numbers[2][100];
    for (size_t i = 0; i < 100; i++) {
        numbers[0][i] = i;
        numbers[1][i] = 60 + i;
    }
    for (int i = 0; i < 2; i++)
        p[i].ids = ids_of(numbers[i], 100, NULL);
    run_pair(p, NULL, 0);
    for (int i = 0; i < 2; i++)
        ccz_psi_ids_free((struct ccz_psi_ids *)p[i].ids);
}

static void test_minimum(void)
{
    for (uint64_t min = 39; min <= 41; min++) {
        for (int both = 0; both < 2; both++) {
            const struct ccz_psi_cfg cfg = {.min_intersection = min,
                                            .learns = both ? CCZ_PSI_BOTH : CCZ_PSI_RECEIVER_ONLY,
                                            .trusted_receiver = true};
            struct party p[2] = {{.cfg = cfg}, {.cfg = cfg}};
            run_forty(p);
            for (int i = 0; i < 2; i++) {
                CHECK(p[i].rc == (min <= 40 ? CCZ_OK : CCZ_E_POLICY));
                CHECK(min <= 40 || strcmp(p[i].err.where, "psi:minimum") == 0);
            }
            CHECK(min > 40 || (p[1].result->len == 40 && p[0].result->learned == both));
            free_results(p);
        }
    }
}

static void test_cardinality(void)
{
    static const uint8_t zero[32];
    for (int both = 0; both < 2; both++) {
        const struct ccz_psi_cfg cfg = {.output = CCZ_PSI_CARDINALITY,
                                        .learns = both ? CCZ_PSI_BOTH : CCZ_PSI_RECEIVER_ONLY,
                                        .trusted_receiver = true};
        struct party p[2] = {{.cfg = cfg}, {.cfg = cfg}};
        run_forty(p);
        CHECK(p[0].rc == CCZ_OK && p[1].rc == CCZ_OK);
        CHECK(p[1].result->learned && p[1].result->len == 40 && !p[1].result->rows);
        CHECK(p[0].result->learned == both && p[0].result->len == (both ? 40u : 0u));
        CHECK(!p[0].result->rows && memcmp(p[1].result->digest, zero, 32) == 0);
        free_results(p);
    }
}

/* Padding hides the number of ids, up to the power of two. */
static void test_padding(void)
{
    struct party p[2] = {{.cfg = {.pad = true}}, {.cfg = {.pad = false}}};
    run_forty(p);
    CHECK(p[0].rc == CCZ_OK && p[1].rc == CCZ_OK && p[1].result->len == 40);
    CHECK(p[1].result->peer_len == 128 && p[0].result->peer_len == 100);
    free_results(p);
}

/* Two runs with the same ids have nothing in common but the rows. */
static void test_sessions(void)
{
    struct party p[2][2] = {{{.cfg = {.learns = CCZ_PSI_BOTH}}, {.cfg = {.learns = CCZ_PSI_BOTH}}},
                            {{.cfg = {.learns = CCZ_PSI_BOTH}}, {.cfg = {.learns = CCZ_PSI_BOTH}}}};
    for (int i = 0; i < 2; i++) {
        run_forty(p[i]);
        CHECK(p[i][0].rc == CCZ_OK && p[i][1].rc == CCZ_OK && p[i][1].result->len == 40);
        CHECK(memcmp(p[i][0].result->session, p[i][1].result->session, 32) == 0);
    }
    CHECK(memcmp(p[0][0].result->session, p[1][0].result->session, 32) != 0);
    CHECK(memcmp(p[0][0].result->digest, p[1][0].result->digest, 32) != 0);
    CHECK(memcmp(p[0][0].result->rows, p[1][0].result->rows, 40 * sizeof(uint64_t)) != 0);
    free_results(p[0]);
    free_results(p[1]);
}

/* What is promised about bytes: the table, the masks without their common prefixes, and little else. */
static void test_bytes(void)
{
    enum { N = 5000 };
    static uint64_t numbers[N];
    struct party p[2] = {{.cfg = {.learns = CCZ_PSI_BOTH}}, {.cfg = {.learns = CCZ_PSI_BOTH}}};
    for (size_t i = 0; i < N; i++)
        numbers[i] = i;
    for (int i = 0; i < 2; i++)
        p[i].ids = ids_of(numbers, N, NULL);
    run_pair(p, NULL, 0);
    CHECK(p[0].rc == CCZ_OK && p[1].rc == CCZ_OK);
    struct cczi_okvs okvs;
    cczi_okvs_params(&okvs, N);
    /* hello, r and w, table, verdict, confirmation, matches */
    CHECK(p[1].result->sent_size - VOLE_RECEIVER_SIZE(okvs.len) ==
          132 + 64 + 16 * okvs.len + 1 + 32 + (N + 7) / 8);
    /* hello, commitment, w, masks, confirmation */
    CHECK(p[0].result->sent_size - VOLE_SENDER_SIZE(okvs.len) ==
          132 + 32 + 32 + cczi_psi_masks_size(N, 16) + 32);
    CHECK(p[0].result->sent_size == p[1].result->received_size);
    free_results(p);
    for (int i = 0; i < 2; i++)
        ccz_psi_ids_free((struct ccz_psi_ids *)p[i].ids);
}

static void test_names(void)
{
    for (int i = 0; i < CCZ_PSI_PROTOCOLS; i++)
        CHECK((int)ccz_psi_protocol_from(ccz_psi_protocol_name((enum ccz_psi_protocol)i)) == i);
    CHECK(ccz_psi_protocol_from("rsa") == CCZ_PSI_PROTOCOLS);
    CHECK(!ccz_psi_protocol_name(CCZ_PSI_PROTOCOLS));
}

static const struct ccz_test tests[] = {
    {"psi.sizes", test_sizes},       {"psi.property", test_property},
    {"psi.lopsided", test_lopsided}, {"psi.full_and_empty", test_full_and_empty},
    {"psi.buckets", test_buckets},   {"psi.on_disk", test_on_disk},
    {"psi.minimum", test_minimum},   {"psi.cardinality", test_cardinality},
    {"psi.padding", test_padding},   {"psi.sessions", test_sessions},
    {"psi.bytes", test_bytes},       {"psi.names", test_names}};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
