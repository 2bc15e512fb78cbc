/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "parties.h"

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

static const struct ccz_test tests[] = {{"psi.sizes", test_sizes}};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
