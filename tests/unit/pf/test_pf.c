/* SPDX-License-Identifier: Apache-2.0 */
/* The format over memory: layout, round trips, every kind of damage, keys, misuse. */
#include "pf/pf_priv.h"
#include "pf_test.h"

static const struct ccz_pf_cfg cfg_v1 = {.path = "dir/a.bin"};
static const struct ccz_pf_cfg cfg_v2 = {.path = "dir/a.bin", .version = 2};

/* Sizes on both sides of every boundary: head, block, group of 96, second level of MHT nodes. */
static const size_t edge_sizes[] = {0,      1,      3071,   3072,   3073,   7167,
                                    7168,   7169,   100000, 396287, 396288, 396289,
                                    400384, 400385, 789504, 789505, 1048576};
#define EDGE_LEN (sizeof(edge_sizes) / sizeof(edge_sizes[0]))

static void test_layout(void)
{
    static const struct {
        uint64_t plain, cipher;
    } kat[] = {{0, 4096},     {3072, 4096},     {3073, 12288},    {7168, 12288},
               {7169, 16384}, {396288, 401408}, {396289, 409600}, {20971520, 21196800}};
    for (size_t i = 0; i < sizeof(kat) / sizeof(kat[0]); i++)
        CHECK(cczi_pf_layout(kat[i].plain).cipher_size == kat[i].cipher);
    CHECK(cczi_pf_block_node(0) == 2 && cczi_pf_block_node(95) == 97 &&
          cczi_pf_block_node(96) == 99);
    CHECK(cczi_pf_mht_node(0) == 1 && cczi_pf_mht_node(1) == 98);
    CHECK(cczi_pf_mht_parent(32) == 0 && cczi_pf_mht_slot(32) == 127);
    CHECK(cczi_pf_mht_parent(33) == 1 && cczi_pf_mht_slot(33) == 96);
    /* the largest file stays inside off_t, and the deepest MHT node inside the reader's chain */
    struct cczi_pf_layout max = cczi_pf_layout(CCZ_PF_SIZE_MAX);
    CHECK(max.cipher_size < INT64_MAX);
    int depth = 1;
    for (uint64_t m = max.mht_len - 1; m > 0; m = cczi_pf_mht_parent(m))
        depth++;
    CHECK(depth == PF_MHT_DEPTH_MAX);
}

static void test_path(void)
{
    static const struct {
        const char *in, *want;
    } good[] = {{"a", "a"},
                {"./a//b/../in.enc", "a/in.enc"},
                {"/x/./y/", "/x/y"},
                {"../../a", "../../a"},
                {"a/../../b", "../b"},
                {"/../a", "/a"},
                {"/a/../../b", "/b"},
                {"..", ".."},
                {"a/...", "a/..."},
                {"a/..b", "a/..b"}};
    char out[CCZ_PF_PATH_SIZE_MAX + 1], longest[CCZ_PF_PATH_SIZE_MAX + 2];
    struct ccz_err err;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        CHECK(ccz_pf_path_normalise(out, good[i].in, &err) == CCZ_OK &&
              strcmp(out, good[i].want) == 0);
    static const char *const nothing[] = {"", ".", "/", "//", "a/..", "/..", "./"};
    for (size_t i = 0; i < sizeof(nothing) / sizeof(nothing[0]); i++) {
        CHECK(ccz_pf_path_normalise(out, nothing[i], &err) == CCZ_E_ARG &&
              is_where(&err, "pf:path"));
        CHECK(out[0] == 0);
    }
    memset(longest, 'x', sizeof(longest));
    longest[CCZ_PF_PATH_SIZE_MAX + 1] = 0;
    CHECK(ccz_pf_path_normalise(out, longest, &err) == CCZ_E_LIMIT &&
          is_where(&err, "pf:path-size"));
    longest[CCZ_PF_PATH_SIZE_MAX] = 0;
    CHECK(ccz_pf_path_normalise(out, longest, &err) == CCZ_OK && strcmp(out, longest) == 0);
}

static void test_round_trip(void)
{
    uint8_t *plain = sample_plain(1048576);
    CCZ_AUTO(ccz_secret) key = key_from(1);
    struct ccz_err err;
    for (size_t i = 0; i < EDGE_LEN; i++) {
        static const size_t steps[] = {4096, 1000, 70001, 2097152};
        for (size_t s = 0; s < 4; s++) {
            const struct ccz_pf_cfg *cfg = s % 2 ? &cfg_v1 : &cfg_v2;
            CCZ_AUTO_BUF image;
            make_image(&image, plain, edge_sizes[i], steps[s], key, cfg);
            CHECK(image.ptr[8] == (cfg == &cfg_v1 ? 1 : 2) && image.ptr[9] == 0);
            CHECK(judge(&image, plain, edge_sizes[i], steps[3 - s], key, &cfg_v1, &err) == CCZ_OK);
        }
    }
    free(plain);
}

/* More MHT nodes than the reader keeps, on three levels, read in random order. */
static void test_deep(void)
{
    const size_t size = 30000000;
    uint8_t *plain = sample_plain(size), *out = malloc(500000);
    CCZ_AUTO(ccz_secret) key = key_from(2);
    CCZ_AUTO_BUF image;
    CHECK(out);
    make_image(&image, plain, size, 1000000, key, &cfg_v1);
    struct ccz_err err;
    CHECK(judge(&image, plain, size, 3000000, key, &cfg_v1, &err) == CCZ_OK);

    struct ccz_pf_io io = ccz_pf_io_buf(&image);
    CCZ_AUTO(ccz_pf_reader) r = NULL;
    CHECK(ccz_pf_reader_open(&r, &io, key, &cfg_v1, &err) == CCZ_OK);
    struct ccz_pf_info info;
    ccz_pf_reader_info(&info, r);
    CHECK(info.version == 1 && info.plain_size == size && info.cipher_size == image.size);
    CHECK(info.mht_len == 77 && info.block_len == 7324 && strcmp(info.path, "dir/a.bin") == 0);
    for (int i = 0; i < 300; i++) {
        uint64_t draw[2];
        CHECK(ccz_random(draw, sizeof(draw)) == CCZ_OK);
        uint64_t at = draw[0] % (size + 1);
        size_t n = (size_t)(draw[1] % (i % 4 ? 9000 : 500000));
        if (n > size - at)
            n = (size_t)(size - at);
        CHECK(ccz_pf_reader_read(out, r, at, n, &err) == CCZ_OK && memcmp(out, plain + at, n) == 0);
    }
    CHECK(ccz_pf_reader_read(out, r, size, 0, &err) == CCZ_OK);
    memset(out, 1, 10);
    CHECK(ccz_pf_reader_read(out, r, size - 9, 10, &err) == CCZ_E_ARG && all_zero(out, 10));
    CHECK(is_where(&err, "pf:read-range"));
    CHECK(ccz_pf_reader_read(out, r, UINT64_MAX, 1, &err) == CCZ_E_ARG);
    CHECK(ccz_pf_reader_read(out, r, size + 1, 0, &err) == CCZ_E_ARG);

    /* MHT 1 and 65 share a place. When 65 is refused, what is left there must not pass for MHT 1:
     * the zeros of a refused node are keys and tags that anybody knows. */
    const uint64_t in_1 = 3072 + 100 * 4096, in_65 = 3072 + 65 * 96 * 4096;
    CHECK(ccz_pf_reader_read(out, r, in_1, 4096, &err) == CCZ_OK);
    image.ptr[cczi_pf_mht_node(65) * PF_NODE_SIZE] ^= 1;
    CHECK(ccz_pf_reader_read(out, r, in_65, 4096, &err) == CCZ_E_SIG &&
          is_where(&err, "pf:mht-node"));
    CHECK(ccz_pf_reader_read(out, r, in_1, 4096, &err) == CCZ_OK);
    CHECK(memcmp(out, plain + in_1, 4096) == 0);

    /* the same for the block that is kept from short reads */
    CHECK(ccz_pf_reader_read(out, r, in_1, 10, &err) == CCZ_OK);
    image.ptr[cczi_pf_block_node(101) * PF_NODE_SIZE] ^= 1;
    CHECK(ccz_pf_reader_read(out, r, in_1 + 4096, 10, &err) == CCZ_E_SIG);
    CHECK(ccz_pf_reader_read(out, r, in_1 + 10, 10, &err) == CCZ_OK);
    CHECK(memcmp(out, plain + in_1 + 10, 10) == 0);
    free(plain);
    free(out);
}

/* -------------------------------------------------------------------------------------- damage */

/* What must refuse a change of byte `at`. */
static const char *guard_of(size_t at, int version, uint64_t mht_len)
{
    size_t body = version == 1 ? 58 : 59;
    if (at >= PF_NODE_SIZE) {
        uint64_t node = at / PF_NODE_SIZE;
        return (node - 1) % PF_GROUP_LEN == 0 && node <= cczi_pf_mht_node(mht_len - 1)
                   ? "pf:mht-node"
                   : "pf:data-node";
    }
    if (at < 8)
        return "pf:magic";
    if (at == 8)
        return "pf:version"; /* or the tag, when it becomes the other version */
    if (at == 9)
        return "pf:minor";
    if (at >= body && at < body + PF_META_SIZE)
        return "pf:metadata";
    if (at >= body)
        return "pf:padding";
    return at < 58 ? "pf:metadata" : "pf:feature-flags";
}

/* Every byte of node 0, and a byte of every other node, in every way it can be wrong. */
static void test_damage(void)
{
    const size_t size = 500000;
    uint8_t *plain = sample_plain(size);
    CCZ_AUTO(ccz_secret) key = key_from(3);
    for (uint8_t version = 1; version <= 2; version++) {
        CCZ_AUTO_BUF image;
        struct ccz_pf_cfg cfg = {.path = "m/model.bin", .version = version};
        make_image(&image, plain, size, size, key, &cfg);
        uint64_t mht_len = cczi_pf_layout(size).mht_len;
        for (size_t at = 0; at < image.size; at += at < PF_NODE_SIZE ? 1 : 1365) {
            struct ccz_err err;
            const char *guard = guard_of(at, version, mht_len);
            uint8_t flip = (uint8_t)(1u << at % 8);
            image.ptr[at] ^= flip;
            ccz_rc rc = judge(&image, plain, size, 4096, key, &cfg, &err);
            image.ptr[at] ^= flip;
            CHECK(rc != CCZ_OK);
            if (at == 58 && version == 2 && flip == 1)
                guard = "pf:pending-write";
            CHECK(is_where(&err, guard) && err.got[0] && err.expected[0]);
            CHECK(err.aux == (int64_t)(at / PF_NODE_SIZE));
        }
    }
    free(plain);
}

/* The refusal names file and block. */
static void test_message(void)
{
    const size_t size = 500000;
    uint8_t *plain = sample_plain(size);
    CCZ_AUTO(ccz_secret) key = key_from(3);
    CCZ_AUTO_BUF image;
    struct ccz_err err;
    make_image(&image, plain, size, size, key, &cfg_v1);
    struct ccz_pf_cfg cfg = {.path = "dir/a.bin", .name = "model.bin"};
    image.ptr[20 * PF_NODE_SIZE + 5] ^= 4;
    CHECK(judge(&image, plain, size, size, key, &cfg, &err) == CCZ_E_SIG && err.aux == 20);
    CHECK(strcmp(err.got, "model.bin block 18 (node 20): tag mismatch") == 0);
    CHECK(strcmp(err.expected, "the tag its parent stores") == 0);
    image.ptr[20 * PF_NODE_SIZE + 5] ^= 4;

    /* what lies before the damage comes out; the call that meets it gives nothing */
    struct ccz_pf_io io = ccz_pf_io_buf(&image);
    CCZ_AUTO(ccz_pf_reader) r = NULL;
    uint8_t out[10000];
    CHECK(ccz_pf_reader_open(&r, &io, key, &cfg, &err) == CCZ_OK);
    image.ptr[98 * PF_NODE_SIZE] ^= 1; /* MHT 1, after the open */
    CHECK(ccz_pf_reader_read(out, r, 396288 - 10000, 10000, &err) == CCZ_OK);
    CHECK(memcmp(out, plain + 396288 - 10000, 10000) == 0);
    CHECK(ccz_pf_reader_read(out, r, 396288 - 9999, 10000, &err) == CCZ_E_SIG &&
          all_zero(out, 10000));
    CHECK(is_where(&err, "pf:mht-node"));
    CHECK(strcmp(err.got, "model.bin MHT 1 (node 98): tag mismatch") == 0);
    CHECK(ccz_pf_reader_read(out, r, 396288, 10, &err) == CCZ_E_SIG); /* nothing bad was kept */
    image.ptr[98 * PF_NODE_SIZE] ^= 1;
    CHECK(ccz_pf_reader_read(out, r, 396288, 10, &err) == CCZ_OK);
    image.ptr[99 * PF_NODE_SIZE] ^= 1; /* its first block, read in part and kept: no second look */
    CHECK(ccz_pf_reader_read(out, r, 396290, 10, &err) == CCZ_OK);
    CHECK(ccz_pf_reader_read(out, r, 396288, 4096, &err) == CCZ_E_SIG &&
          is_where(&err, "pf:data-node"));

    char longname[200];
    memset(longname, 'd', sizeof(longname));
    memcpy(longname + 190, "/end\n.bin", 10);
    cfg.name = longname;
    image.size -= PF_NODE_SIZE;
    CHECK(judge(&image, plain, size, size, key, &cfg, &err) == CCZ_E_FORMAT);
    CHECK(strncmp(err.got, "...ddd", 6) == 0 && strstr(err.got, "/end\\x0a.bin has 507904 bytes"));
    free(plain);
}

static void test_nodes(void)
{
    const size_t size = 400385; /* 98 blocks, 2 MHT nodes */
    uint8_t *plain = sample_plain(size), node[PF_NODE_SIZE];
    CCZ_AUTO(ccz_secret) key = key_from(4);
    CCZ_AUTO_BUF image;
    struct ccz_err err;
    make_image(&image, plain, size, size, key, &cfg_v1);
    size_t full = image.size, last = full / PF_NODE_SIZE - 1;

    /* every pair of neighbouring nodes exchanged: all have genuine tags, none is in its place */
    for (size_t n = 0; n < last; n++) {
        uint8_t *a = image.ptr + n * PF_NODE_SIZE, *b = a + PF_NODE_SIZE;
        memcpy(node, a, PF_NODE_SIZE);
        memcpy(a, b, PF_NODE_SIZE);
        memcpy(b, node, PF_NODE_SIZE);
        CHECK(judge(&image, plain, size, 4096, key, &cfg_v1, &err) != CCZ_OK);
        memcpy(b, a, PF_NODE_SIZE);
        memcpy(a, node, PF_NODE_SIZE);
    }
    CHECK(judge(&image, plain, size, size, key, &cfg_v1, &err) == CCZ_OK);

    /* cut at every node and beside it; appended bytes and nodes */
    for (size_t cut = 0; cut < full; cut += cut % PF_NODE_SIZE == 0   ? 1
                                            : cut % PF_NODE_SIZE == 1 ? 4094
                                                                      : 1) {
        image.size = cut;
        CHECK(judge(&image, plain, size, 4096, key, &cfg_v1, &err) == CCZ_E_FORMAT);
        CHECK(is_where(&err, "pf:file-size"));
    }
    image.size = full;
    memset(node, 0, sizeof(node));
    for (size_t more = 1; more <= PF_NODE_SIZE; more += 4095) {
        ccz_buf_put(&image, node, more);
        CHECK(judge(&image, plain, size, 4096, key, &cfg_v1, &err) == CCZ_E_FORMAT);
        CHECK(is_where(&err, "pf:file-size"));
        image.size = full;
    }
    CHECK(judge(&image, plain, size, size, key, &cfg_v1, &err) == CCZ_OK);
    free(plain);
}

/* Any bit of the whole file, drawn at random: never accepted, so never wrong plaintext. */
static void test_bit_flips(void)
{
    static const size_t sizes[] = {3000, 20000, 400385};
    uint8_t *plain = sample_plain(400385);
    CCZ_AUTO(ccz_secret) key = key_from(5);
    for (size_t i = 0; i < 6; i++) {
        CCZ_AUTO_BUF image;
        size_t size = sizes[i / 2];
        make_image(&image, plain, size, size, key, i % 2 ? &cfg_v1 : &cfg_v2);
        for (int n = 0; n < 400; n++) {
            uint64_t bit;
            struct ccz_err err;
            CHECK(ccz_random(&bit, sizeof(bit)) == CCZ_OK);
            bit %= image.size * 8;
            image.ptr[bit / 8] ^= (uint8_t)(1u << bit % 8);
            CHECK(judge(&image, plain, size, 65536, key, &cfg_v1, &err) != CCZ_OK);
            image.ptr[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
    }
    free(plain);
}

/* ------------------------------------------------------------------------------- keys and paths */

static void test_keys(void)
{
    uint8_t *plain = sample_plain(5000);
    CCZ_AUTO(ccz_secret) key = key_from(6);
    CCZ_AUTO(ccz_secret) other = key_from(7);
    CCZ_AUTO(ccz_secret) wide = NULL;
    CCZ_AUTO_BUF image;
    struct ccz_err err;
    CHECK(ccz_secret_new(&wide, 32) == CCZ_OK);
    make_image(&image, plain, 5000, 5000, key, &cfg_v1);

    CHECK(judge(&image, plain, 5000, 5000, other, &cfg_v1, &err) == CCZ_E_SIG);
    CHECK(is_where(&err, "pf:metadata") && err.hint[0]);
    CHECK(judge(&image, plain, 5000, 5000, wide, &cfg_v1, &err) == CCZ_E_ARG);
    CHECK(is_where(&err, "pf:key-size"));

    struct ccz_pf_cfg cfg = {0}; /* the zeroed configuration asks for a path */
    CHECK(judge(&image, plain, 5000, 5000, key, &cfg, &err) == CCZ_E_ARG &&
          is_where(&err, "pf:config"));
    static const char *const wrong[] = {"", "dir/a.bi", "dir/a.bin2", "/dir/a.bin", "./dir/a.bin"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        cfg.path = wrong[i];
        CHECK(judge(&image, plain, 5000, 5000, key, &cfg, &err) == CCZ_E_SIG &&
              is_where(&err, "pf:path"));
        CHECK(strcmp(err.got, "dir/a.bin") == 0 && strcmp(err.expected, wrong[i]) == 0);
        cfg.any_path_insecure = true;
        CHECK(judge(&image, plain, 5000, 5000, key, &cfg, &err) == CCZ_OK);
        cfg.any_path_insecure = false;
    }
    free(plain);
}

static int by_bytes(const void *a, const void *b)
{
    return memcmp(a, b, CCZ_PF_KEY_SIZE);
}

/* No two nodes of two writings of the same plaintext share a key; unused places hold zeros. */
static void test_node_keys(void)
{
    /* MHT 0 is full and has children; 1 is full; 2 holds two blocks, the last one of one byte */
    enum { BLOCKS = 2 * 96 + 2, MHTS = 3, KEYS = BLOCKS + MHTS };
    const size_t size = 3072 + (BLOCKS - 1) * 4096 + 1;
    uint8_t *plain = sample_plain(size);
    static uint8_t keys[2 * KEYS][CCZ_PF_KEY_SIZE];
    size_t len = 0;
    CCZ_AUTO(ccz_secret) key = key_from(8);
    CCZ_AUTO(ccz_aead) aead = NULL;
    CHECK(ccz_aead_new(&aead, CCZ_AES_128_GCM) == CCZ_OK);
    struct ccz_err err;
    for (int again = 0; again < 2; again++) {
        CCZ_AUTO_BUF image;
        make_image(&image, plain, size, 12345, key, &cfg_v1);
        struct cczi_pf_meta meta;
        struct cczi_pf_mht mht[MHTS];
        struct cczi_pf_name name = cczi_pf_name(&cfg_v1);
        CHECK(cczi_pf_meta_open(&meta, aead, image.ptr, key, &name, &err) == CCZ_OK);
        CHECK(all_zero((const uint8_t *)meta.path + 9, PF_PATH_FIELD_SIZE - 9));
        for (uint64_t m = 0; m < MHTS; m++) {
            const struct cczi_pf_entry *entry = m ? &mht[0].entry[cczi_pf_mht_slot(m)] : &meta.root;
            memcpy(&mht[m], image.ptr + cczi_pf_mht_node(m) * PF_NODE_SIZE, PF_NODE_SIZE);
            CHECK(cczi_pf_node_open(aead, (uint8_t *)&mht[m], entry) == CCZ_OK);
            memcpy(keys[len++], entry->key, CCZ_PF_KEY_SIZE);
        }
        CHECK(all_zero((const uint8_t *)&mht[0].entry[98], 30 * PF_ENTRY_SIZE));
        CHECK(all_zero((const uint8_t *)&mht[1].entry[96], 32 * PF_ENTRY_SIZE));
        CHECK(all_zero((const uint8_t *)&mht[2].entry[2], 126 * PF_ENTRY_SIZE));
        for (size_t i = 0; i < BLOCKS; i++)
            memcpy(keys[len++], mht[i / 96].entry[i % 96].key, CCZ_PF_KEY_SIZE);

        /* the last block ends in zeros, not in what was there before */
        uint8_t *last = image.ptr + (image.size - PF_NODE_SIZE);
        CHECK(cczi_pf_node_open(aead, last, &mht[2].entry[1]) == CCZ_OK);
        CHECK(last[0] == plain[size - 1] && all_zero(last + 1, PF_NODE_SIZE - 1));
    }
    CHECK(len == 2 * KEYS);
    qsort(keys, len, CCZ_PF_KEY_SIZE, by_bytes);
    for (size_t i = 1; i < len; i++)
        CHECK(memcmp(keys[i - 1], keys[i], CCZ_PF_KEY_SIZE) != 0);
    free(plain);
}

static void test_rekey(void)
{
    const size_t size = 400385;
    uint8_t *plain = sample_plain(size);
    CCZ_AUTO(ccz_secret) key = key_from(9);
    CCZ_AUTO(ccz_secret) next = key_from(10);
    struct ccz_err err;
    for (uint8_t version = 1; version <= 2; version++) {
        struct ccz_pf_cfg cfg = {.path = "p", .version = version}, wrong = {.path = "q"};
        CCZ_AUTO_BUF image;
        make_image(&image, plain, size, size, key, &cfg);
        CCZ_AUTO_BUF before;
        ccz_buf_init(&before, image.size);
        ccz_buf_put_span(&before, ccz_buf_span(&image));
        struct ccz_pf_io io = ccz_pf_io_buf(&image);

        CHECK(ccz_pf_rekey(&io, next, key, &cfg, &err) == CCZ_E_SIG &&
              is_where(&err, "pf:metadata"));
        CHECK(ccz_pf_rekey(&io, key, next, &wrong, &err) == CCZ_E_SIG && is_where(&err, "pf:path"));
        CHECK(memcmp(before.ptr, image.ptr, image.size) == 0); /* a refusal writes nothing */

        CHECK(ccz_pf_rekey(&io, key, next, &cfg, &err) == CCZ_OK);
        CHECK(image.ptr[8] == version && memcmp(before.ptr + 10, image.ptr + 10, 48) != 0);
        CHECK(memcmp(before.ptr + PF_NODE_SIZE, image.ptr + PF_NODE_SIZE, size - PF_NODE_SIZE) ==
              0);
        CHECK(judge(&image, plain, size, size, key, &cfg, &err) == CCZ_E_SIG);
        CHECK(judge(&image, plain, size, size, next, &cfg, &err) == CCZ_OK);
    }
    free(plain);
}

/* What only the holder of the key can write, and is refused all the same. */
static void test_sealed_nonsense(void)
{
    CCZ_AUTO(ccz_secret) key = key_from(11);
    CCZ_AUTO(ccz_aead) aead = NULL;
    CHECK(ccz_aead_new(&aead, CCZ_AES_128_GCM) == CCZ_OK);
    struct ccz_err err;
    struct cczi_pf_meta meta = {.version = 1, .path = "dir/a.bin"};
    uint8_t node[PF_NODE_SIZE];
    struct ccz_buf image = {.ptr = node, .size = sizeof(node)};

    CHECK(cczi_pf_meta_seal(node, aead, &meta, ccz_secret_view(key)) == CCZ_OK);
    CHECK(judge(&image, NULL, 0, 1, key, &cfg_v1, &err) == CCZ_OK);

    meta.plain_size = CCZ_PF_SIZE_MAX + 1;
    CHECK(cczi_pf_meta_seal(node, aead, &meta, ccz_secret_view(key)) == CCZ_OK);
    CHECK(judge(&image, NULL, 0, 1, key, &cfg_v1, &err) == CCZ_E_LIMIT &&
          is_where(&err, "pf:plain-size"));
    meta.plain_size = CCZ_PF_SIZE_MAX;
    CHECK(cczi_pf_meta_seal(node, aead, &meta, ccz_secret_view(key)) == CCZ_OK);
    CHECK(judge(&image, NULL, 0, 1, key, &cfg_v1, &err) == CCZ_E_FORMAT &&
          is_where(&err, "pf:file-size"));

    meta.plain_size = 0;
    memset(meta.path, 'p', sizeof(meta.path));
    CHECK(cczi_pf_meta_seal(node, aead, &meta, ccz_secret_view(key)) == CCZ_OK);
    CHECK(judge(&image, NULL, 0, 1, key, &cfg_v1, &err) == CCZ_E_FORMAT &&
          is_where(&err, "pf:path-field"));
}

/* -------------------------------------------------------------------------------------- misuse */

static void test_writer_misuse(void)
{
    uint8_t *plain = sample_plain(10000);
    CCZ_AUTO(ccz_secret) key = key_from(12);
    CCZ_AUTO_BUF image;
    ccz_buf_init(&image, 1 << 20);
    struct ccz_pf_io io = ccz_pf_io_buf(&image);
    struct ccz_err err;
    struct ccz_pf_writer *w = NULL;

    struct ccz_pf_cfg cfg = {0};
    CHECK(ccz_pf_writer_new(&w, &io, 1, key, &cfg, &err) == CCZ_E_ARG &&
          is_where(&err, "pf:config"));
    static const char *const bad[] = {"", "./a", "a/", "a//b", "a/../b"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        cfg.path = bad[i];
        CHECK(ccz_pf_writer_new(&w, &io, 1, key, &cfg, &err) == CCZ_E_ARG &&
              is_where(&err, "pf:path"));
    }
    cfg = (struct ccz_pf_cfg){.path = "a", .version = 3};
    CHECK(ccz_pf_writer_new(&w, &io, 1, key, &cfg, &err) == CCZ_E_ARG &&
          is_where(&err, "pf:version"));
    CHECK(ccz_pf_writer_new(&w, &io, CCZ_PF_SIZE_MAX + 1, key, &cfg_v1, &err) != CCZ_OK &&
          w == NULL);
    CHECK(ccz_pf_writer_new(&w, &io, 1 << 20, key, &cfg_v1, &err) == CCZ_E_LIMIT && w == NULL);
    CHECK(is_where(&err, "pf:buf-size"));

    /* more than announced */
    CHECK(ccz_pf_writer_new(&w, &io, 9999, key, &cfg_v1, &err) == CCZ_OK);
    CHECK(ccz_pf_writer_put(w, CCZ_SPAN(plain, 10000), &err) == CCZ_E_ARG);
    CHECK(is_where(&err, "pf:write-size"));
    CHECK(ccz_pf_writer_put(w, CCZ_SPAN(plain, 1), &err) == CCZ_E_ARG &&
          is_where(&err, "pf:writer"));
    CHECK(ccz_pf_writer_finish(w, &err) == CCZ_E_ARG && is_where(&err, "pf:writer"));
    ccz_pf_writer_free(w);

    /* less than announced: refused, and what is there is no protected file */
    CHECK(ccz_pf_writer_new(&w, &io, 10001, key, &cfg_v1, &err) == CCZ_OK);
    CHECK(ccz_pf_writer_put(w, CCZ_SPAN(plain, 10000), &err) == CCZ_OK);
    CHECK(ccz_pf_writer_finish(w, &err) == CCZ_E_ARG && is_where(&err, "pf:write-size"));
    ccz_pf_writer_free(w);
    CHECK(judge(&image, plain, 10001, 1, key, &cfg_v1, &err) != CCZ_OK);

    /* once finished, always finished */
    CHECK(ccz_pf_writer_new(&w, &io, 1, key, &cfg_v1, &err) == CCZ_OK);
    CHECK(ccz_pf_writer_put(w, CCZ_SPAN(plain, 1), &err) == CCZ_OK);
    CHECK(ccz_pf_writer_finish(w, &err) == CCZ_OK);
    CHECK(ccz_pf_writer_finish(w, &err) == CCZ_E_ARG && is_where(&err, "pf:writer"));
    ccz_pf_writer_free(w);
    CHECK(judge(&image, plain, 1, 1, key, &cfg_v1, &err) ==
          CCZ_OK); /* the longer old file was cut */
    free(plain);
}

/* Storage that fails at its n-th call. */
struct faulty {
    struct ccz_pf_io io;
    int left;
};

static ccz_rc tick(struct faulty *f, struct ccz_err *err)
{
    return f->left-- > 0 ? CCZ_OK : ccz_fail(err, CCZ_E_IO, "test:fault", 0, "injected");
}

static ccz_rc faulty_read(void *out, void *arg, uint64_t offset, size_t size, struct ccz_err *err)
{
    struct faulty *f = arg;
    ccz_rc rc = tick(f, err);
    return rc == CCZ_OK ? f->io.read_at(out, f->io.arg, offset, size, err) : rc;
}

static ccz_rc faulty_write(void *arg, uint64_t offset, struct ccz_span in, struct ccz_err *err)
{
    struct faulty *f = arg;
    ccz_rc rc = tick(f, err);
    return rc == CCZ_OK ? f->io.write_at(f->io.arg, offset, in, err) : rc;
}

static ccz_rc faulty_size(uint64_t *out, void *arg, struct ccz_err *err)
{
    struct faulty *f = arg;
    ccz_rc rc = tick(f, err);
    return rc == CCZ_OK ? f->io.size(out, f->io.arg, err) : rc;
}

static ccz_rc faulty_truncate(void *arg, uint64_t size, struct ccz_err *err)
{
    struct faulty *f = arg;
    ccz_rc rc = tick(f, err);
    return rc == CCZ_OK ? f->io.truncate(f->io.arg, size, err) : rc;
}

static ccz_rc faulty_flush(void *arg, struct ccz_err *err)
{
    struct faulty *f = arg;
    ccz_rc rc = tick(f, err);
    return rc == CCZ_OK ? f->io.flush(f->io.arg, err) : rc;
}

static ccz_rc write_read(struct faulty *f, const uint8_t *plain, size_t size,
                         const struct ccz_secret *key, struct ccz_err *err)
{
    struct ccz_pf_io io = {faulty_read,     faulty_write, faulty_size,
                           faulty_truncate, faulty_flush, f};
    CCZ_AUTO(ccz_pf_writer) w = NULL;
    CCZ_AUTO(ccz_pf_reader) r = NULL;
    ccz_rc rc = ccz_pf_writer_new(&w, &io, size, key, &cfg_v1, err);
    if (rc == CCZ_OK)
        rc = ccz_pf_writer_put(w, CCZ_SPAN(plain, size), err);
    if (rc == CCZ_OK)
        rc = ccz_pf_writer_finish(w, err);
    if (rc == CCZ_OK)
        rc = ccz_pf_rekey(&io, key, key, &cfg_v1, err);
    if (rc == CCZ_OK)
        rc = ccz_pf_reader_open(&r, &io, key, &cfg_v1, err);
    if (rc != CCZ_OK)
        return rc;
    uint8_t *out = malloc(size);
    CHECK(out);
    memset(out, 0xa5, size);
    rc = ccz_pf_reader_read(out, r, 0, size, err);
    CHECK(rc == CCZ_OK ? memcmp(out, plain, size) == 0 : all_zero(out, size));
    free(out);
    return rc;
}

static void test_io_failure(void)
{
    const size_t size = 900000; /* three MHT nodes: one with children */
    uint8_t *plain = sample_plain(size);
    CCZ_AUTO(ccz_secret) key = key_from(13);
    int fail_at = 0;
    for (ccz_rc rc = CCZ_E_IO; rc != CCZ_OK; fail_at++) {
        CCZ_AUTO_BUF image;
        ccz_buf_init(&image, 2 * size);
        struct faulty f = {ccz_pf_io_buf(&image), fail_at};
        struct ccz_err err;
        rc = write_read(&f, plain, size, key, &err);
        CHECK(rc == CCZ_OK || (rc == CCZ_E_IO && strcmp(err.msg, "dir/a.bin: injected") == 0));
    }
    CHECK(fail_at > 20);
    free(plain);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"pf.layout", test_layout},
        {"pf.path", test_path},
        {"pf.round_trip", test_round_trip},
        {"pf.deep", test_deep},
        {"pf.damage", test_damage},
        {"pf.message", test_message},
        {"pf.nodes", test_nodes},
        {"pf.bit_flips", test_bit_flips},
        {"pf.keys", test_keys},
        {"pf.node_keys", test_node_keys},
        {"pf.rekey", test_rekey},
        {"pf.sealed_nonsense", test_sealed_nonsense},
        {"pf.writer_misuse", test_writer_misuse},
        {"pf.io_failure", test_io_failure},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
