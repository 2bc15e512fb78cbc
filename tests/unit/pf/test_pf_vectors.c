/* SPDX-License-Identifier: Apache-2.0 */
/* Files written by Gramine's own tools, and the damaged variants of them that its tool was asked
 * about: each is judged as there, or more strictly. */
#include "pf_test.h"

static char root[1024];

static void load(struct ccz_buf *out, const char *name)
{
    char path[1200];
    const char *dir = getenv("CCZOO_VECTORS");
    (void)snprintf(root, sizeof(root), "%s/pf",
                   dir ? dir : CCZ_TEST_SOURCE_DIR "/../shared/vectors");
    (void)snprintf(path, sizeof(path), "%s/%s", root, name);
    ccz_buf_init(out, 64 << 20);
    if (ccz_file_read(out, path, NULL) != CCZ_OK) {
        fprintf(stderr, "skipped: %s is absent\n", path);
        exit(77);
    }
}

static struct ccz_secret *load_key(void)
{
    CCZ_AUTO_BUF b;
    struct ccz_secret *key;
    load(&b, "wrap-key.bin");
    CHECK(ccz_secret_from(&key, b.ptr, b.size) == CCZ_OK);
    return key;
}

/* Cuts the line at `*at` into its tab-separated columns; false at the end or for a comment. */
static bool next_row(char *col[], size_t max, char **at)
{
    while (**at) {
        char *line = *at, *end = strchr(line, '\n');
        CHECK(end);
        *end = 0;
        *at = end + 1;
        if (line[0] == '#')
            continue;
        for (size_t i = 0; i < max; i++) {
            col[i] = line;
            char *tab = strchr(line, '\t');
            line = tab ? tab + 1 : line + strlen(line);
            if (tab)
                *tab = 0;
        }
        return true;
    }
    return false;
}

static void test_samples(void)
{
    CCZ_AUTO(ccz_secret) key = load_key();
    CCZ_AUTO_BUF manifest;
    load(&manifest, "MANIFEST.tsv");
    char *at = (char *)manifest.ptr, *col[7];
    ccz_buf_u8(&manifest, 0);
    at = (char *)manifest.ptr;
    uint8_t *plain = sample_plain(20971520), digest[32], want[32];
    int samples = 0;
    while (next_row(col, 7, &at)) {
        if (strcmp(col[0], "file") == 0)
            continue;
        CCZ_AUTO_BUF image;
        struct ccz_err err;
        size_t size = strtoull(col[2], NULL, 10);
        struct ccz_pf_cfg cfg = {.path = col[6]};
        load(&image, col[0]);
        CHECK(ccz_sha256(digest, CCZ_SPAN(plain, size)) == CCZ_OK);
        CHECK(ccz_unhex(want, 32, col[4], 64) == CCZ_OK && memcmp(digest, want, 32) == 0);
        CHECK(ccz_sha256(digest, ccz_buf_span(&image)) == CCZ_OK);
        CHECK(ccz_unhex(want, 32, col[5], 64) == CCZ_OK && memcmp(digest, want, 32) == 0);
        CHECK(image.ptr[8] == strtoul(col[1], NULL, 10));
        CHECK(judge(&image, plain, size, 1 << 20, key, &cfg, &err) == CCZ_OK);
        CHECK(judge(&image, plain, size, 100001, key, &cfg, &err) == CCZ_OK);

        struct ccz_pf_cfg wrong = {.path = "v2/other.bin"};
        CHECK(judge(&image, plain, size, 4096, key, &wrong, &err) == CCZ_E_SIG);
        CHECK(is_where(&err, "pf:path"));
        samples++;
    }
    CHECK(samples == 17);
    free(plain);
}

/* ----------------------------------------------------------------------------------- mutations */

/* Applies the change that the row describes, e.g. "xor 0x01 at 9 (minor)". */
static void mutate(struct ccz_buf *image, const char *what)
{
    unsigned long long a, b;
    if (sscanf(what, "xor 0x%llx at %llu", &a, &b) == 2) {
        CHECK(b < image->size);
        image->ptr[b] ^= (uint8_t)a;
    } else if (sscanf(what, "set byte %llu = %llu", &a, &b) == 2) {
        CHECK(a < image->size);
        image->ptr[a] = (uint8_t)b;
    } else if (sscanf(what, "append %llu", &a) == 1) {
        uint8_t *p = ccz_buf_extend(image, (size_t)a);
        CHECK(p);
        memset(p, 0, (size_t)a);
    } else if (sscanf(what, "truncate to %llu", &a) == 1) {
        image->size = (size_t)a;
    } else if (sscanf(what, "swap physical nodes %llu and %llu", &a, &b) == 2) {
        uint8_t node[PF_NODE_SIZE];
        memcpy(node, image->ptr + a * PF_NODE_SIZE, PF_NODE_SIZE);
        memcpy(image->ptr + a * PF_NODE_SIZE, image->ptr + b * PF_NODE_SIZE, PF_NODE_SIZE);
        memcpy(image->ptr + b * PF_NODE_SIZE, node, PF_NODE_SIZE);
    } else {
        CHECK(strcmp(what, "drop last node") == 0);
        image->size -= PF_NODE_SIZE;
    }
}

/* Which check must refuse it; docs/design/protected-files.md says why where Gramine accepts. */
static const char *const guards[][2] = {
    {"(magic)", "pf:magic"},
    {"major 3", "pf:version"},
    {"downgrade to v1", "pf:metadata"},
    {"xor 0x01 at 8 (major)", "pf:version"},
    {"(minor)", "pf:minor"},
    {"(nonce", "pf:metadata"},
    {"(mac", "pf:metadata"},
    {"(feature_flags bit0)", "pf:pending-write"},
    {"(enc part", "pf:metadata"},
    {"(padding", "pf:padding"},
    {"append", "pf:file-size"},
    {"truncate", "pf:file-size"},
    {"drop last node", "pf:file-size"},
    {"(root MHT", "pf:mht-node"},
    {"(MHT 1)", "pf:mht-node"},
    {"(data", "pf:data-node"},
    {"swap physical nodes 2 and 3", "pf:data-node"},
};

static const char *guard_of(const char *what)
{
    for (size_t i = 0; i < sizeof(guards) / sizeof(guards[0]); i++) {
        if (strstr(what, guards[i][0]))
            return guards[i][1];
    }
    return "(no guard is listed for this change)";
}

static void test_mutations(void)
{
    CCZ_AUTO(ccz_secret) key = load_key();
    CCZ_AUTO_BUF table;
    load(&table, "mutations.tsv");
    ccz_buf_u8(&table, 0);
    char *at = (char *)table.ptr, *col[3];
    uint8_t *plain = sample_plain(396289);
    int rejected = 0, stricter = 0;
    while (next_row(col, 3, &at)) {
        if (strcmp(col[0], "base") == 0)
            continue;
        CCZ_AUTO_BUF image;
        struct ccz_err err;
        struct ccz_pf_cfg cfg = {.path = col[0]};
        size_t size = strtoull(strchr(col[0], '_') + 1, NULL, 10);
        load(&image, col[0]);
        mutate(&image, col[1]);
        CHECK(judge(&image, plain, size, 4096, key, &cfg, &err) != CCZ_OK);
        CHECK(is_where(&err, guard_of(col[1])));
        if (strcmp(col[2], "rejected") == 0)
            rejected++;
        else
            stricter++;
    }
    CHECK(rejected == 32 && stricter == 10);
    free(plain);
}

/* Genuine files, v1 and v2: random bits, each cut at a node and at odd sizes, other keys. */
static void test_damage(void)
{
    static const char *const names[] = {"v1/pf_100000.bin", "v2/pf_100000.bin"};
    CCZ_AUTO(ccz_secret) key = load_key();
    uint8_t *plain = sample_plain(100000);
    for (size_t i = 0; i < 2; i++) {
        CCZ_AUTO_BUF image;
        struct ccz_err err;
        struct ccz_pf_cfg cfg = {.path = names[i]};
        load(&image, names[i]);
        size_t full = image.size;
        for (int n = 0; n < 2000; n++) {
            uint64_t bit;
            CHECK(ccz_random(&bit, sizeof(bit)) == CCZ_OK);
            bit %= full * 8;
            image.ptr[bit / 8] ^= (uint8_t)(1u << bit % 8);
            CHECK(judge(&image, plain, 100000, 100000, key, &cfg, &err) != CCZ_OK);
            image.ptr[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        for (size_t cut = 0; cut < full; cut += 137) {
            image.size = cut;
            CHECK(judge(&image, plain, 100000, 4096, key, &cfg, &err) != CCZ_OK);
            image.size = cut / PF_NODE_SIZE * PF_NODE_SIZE;
            CHECK(judge(&image, plain, 100000, 4096, key, &cfg, &err) != CCZ_OK);
        }
        image.size = full;
        for (size_t bit = 0; bit < 8 * CCZ_PF_KEY_SIZE; bit++) {
            CCZ_AUTO(ccz_secret) wrong = load_key();
            ccz_secret_bytes(wrong)[bit / 8] ^= (uint8_t)(1u << bit % 8);
            CHECK(judge(&image, plain, 100000, 4096, wrong, &cfg, &err) == CCZ_E_SIG);
        }
        CHECK(judge(&image, plain, 100000, 100000, key, &cfg, &err) == CCZ_OK);
    }
    free(plain);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"pf.gramine_samples", test_samples},
        {"pf.gramine_mutations", test_mutations},
        {"pf.gramine_damage", test_damage},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
