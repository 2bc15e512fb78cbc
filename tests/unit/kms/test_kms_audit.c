/* SPDX-License-Identifier: Apache-2.0 */
/* The tree, held to its definition; checkpoints, receipts, exports: what is accepted, and that nothing else is. */
#define _GNU_SOURCE
#include "ccz_test.h"
#include "kms/kms_fixture.h"

/* ----------------------------------------------------- the definition, word for word */

/* RFC 9162, 2.1.1 and 2.1.3.1 and 2.1.4.1 over leaf hashes, without a thought for speed. */
static uint64_t ref_split(uint64_t n)
{
    uint64_t k = 1;
    while (k * 2 < n)
        k *= 2;
    return k;
}

static void ref_node(uint8_t out[32], const uint8_t l[32], const uint8_t r[32])
{
    const uint8_t one = 1;
    const struct ccz_span parts[] = {CCZ_SPAN(&one, 1), CCZ_SPAN(l, 32), CCZ_SPAN(r, 32)};
    CHECK(ccz_hash(out, CCZ_SHA256, parts, 3) == CCZ_OK);
}

static void ref_root(uint8_t out[32], uint8_t (*d)[32], uint64_t n)
{
    if (n == 0) {
        CHECK(ccz_sha256(out, (struct ccz_span){0}) == CCZ_OK);
    } else if (n == 1) {
        memcpy(out, d[0], 32);
    } else {
        uint64_t k = ref_split(n);
        uint8_t l[32], r[32];
        ref_root(l, d, k);
        ref_root(r, d + k, n - k);
        ref_node(out, l, r);
    }
}

static void ref_push(struct ccz_kms_path *p, uint8_t (*d)[32], uint64_t n)
{
    ref_root(p->node[p->len++], d, n);
}

static void ref_path(struct ccz_kms_path *p, uint64_t m, uint8_t (*d)[32], uint64_t n)
{
    if (n == 1)
        return;
    uint64_t k = ref_split(n);
    if (m < k) {
        ref_path(p, m, d, k);
        ref_push(p, d + k, n - k);
    } else {
        ref_path(p, m - k, d + k, n - k);
        ref_push(p, d, k);
    }
}

static void ref_subproof(struct ccz_kms_path *p, uint64_t m, uint8_t (*d)[32], uint64_t n, bool b)
{
    if (m == n) {
        if (!b)
            ref_push(p, d, n);
        return;
    }
    uint64_t k = ref_split(n);
    if (m <= k) {
        ref_subproof(p, m, d, k, b);
        ref_push(p, d + k, n - k);
    } else {
        ref_subproof(p, m - k, d + k, n - k, false);
        ref_push(p, d, k);
    }
}

enum { LEAVES = 70 };
static uint8_t g_leaf[LEAVES][32];

static void make_leaves(void)
{
    for (unsigned i = 0; i < LEAVES; i++) {
        uint8_t in[2] = {0, (uint8_t)i};
        CHECK(ccz_sha256(g_leaf[i], CCZ_SPAN(in, 2)) == CCZ_OK);
    }
}

static bool same_path(const struct ccz_kms_path *a, const struct ccz_kms_path *b)
{
    return a->len == b->len && memcmp(a->node, b->node, a->len * 32) == 0;
}

/* ---------------------------------------------------------------------------- tree */

/* The eight entries that implementations of Certificate Transparency share, and the roots of the trees of the first 1, 2, ... */
static void test_tree_known(void)
{
    static const struct {
        const char *entry, *root;
    } known[] = {
        {"", "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"},
        {"00", "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"},
        {"10", "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"},
        {"2021", "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"},
        {"3031", "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4"},
        {"40414243", "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef"},
        {"5051525354555657", "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"},
        {"606162636465666768696a6b6c6d6e6f",
         "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"}};
    struct cczi_kms_tree t = {0};
    uint8_t root[32], want[32];
    CHECK(cczi_kms_tree_root(root, &t) == CCZ_OK);
    CHECK(ccz_unhex(want, 32, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                    64) == CCZ_OK);
    CHECK(memcmp(root, want, 32) == 0);
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        uint8_t in[17] = {0}, leaf[32];
        size_t n = strlen(known[i].entry) / 2;
        CHECK(ccz_unhex(in + 1, n, known[i].entry, 2 * n) == CCZ_OK);
        CHECK(ccz_sha256(leaf, CCZ_SPAN(in, n + 1)) == CCZ_OK);
        CHECK(cczi_kms_tree_append(&t, leaf) == CCZ_OK);
        CHECK(cczi_kms_tree_root(root, &t) == CCZ_OK);
        CHECK(ccz_unhex(want, 32, known[i].root, 64) == CCZ_OK && memcmp(root, want, 32) == 0);
    }
    t.size = CCZ_KMS_TREE_SIZE_MAX;
    CHECK(cczi_kms_tree_append(&t, want) == CCZ_E_LIMIT);
}

static void test_tree_frontier(void)
{
    make_leaves();
    struct cczi_kms_tree t = {0};
    for (uint64_t n = 0;; n++) {
        uint8_t root[32], want[32];
        CHECK(cczi_kms_tree_root(root, &t) == CCZ_OK);
        ref_root(want, g_leaf, n);
        CHECK(t.size == n && memcmp(root, want, 32) == 0);

        struct cczi_kms_tree again;
        struct ccz_buf b;
        ccz_buf_init(&b, CCZI_KMS_TREE_SIZE_MAX);
        cczi_kms_tree_put(&b, &t);
        for (size_t cut = 0; cut < b.size; cut++) {
            struct ccz_rd r = ccz_rd_from(CCZ_SPAN(b.ptr, cut));
            cczi_kms_tree_get(&again, &r);
            CHECK(r.bad && again.size == 0);
        }
        struct ccz_rd r = ccz_rd_from(ccz_buf_span(&b));
        cczi_kms_tree_get(&again, &r);
        CHECK(ccz_rd_done(&r) && again.size == n);
        CHECK(cczi_kms_tree_root(root, &again) == CCZ_OK && memcmp(root, want, 32) == 0);
        ccz_buf_free(&b);
        if (n == LEAVES)
            break;
        CHECK(cczi_kms_tree_append(&t, g_leaf[n]) == CCZ_OK);
    }
    const uint8_t huge[8] = {0, 0, 0, 0, 0, 0, 2, 0}; /* 2^49 */
    struct ccz_rd r = ccz_rd_from(CCZ_SPAN(huge, 8));
    cczi_kms_tree_get(&t, &r);
    CHECK(r.bad && t.size == 0);
}

static bool included(uint64_t i, uint64_t n, const uint8_t leaf[32], const struct ccz_kms_path *p,
                     const uint8_t root[32])
{
    struct ccz_err err = {0};
    ccz_rc rc = ccz_kms_inclusion_check(i, n, leaf, p, root, &err);
    CHECK(rc == CCZ_OK || (rc == CCZ_E_SIG && strcmp(err.where, "kms:inclusion") == 0));
    return rc == CCZ_OK;
}

/* Every proof of every tree up to 70 leaves is the one of the definition, holds, and holds for nothing else. */
static void test_inclusion(void)
{
    make_leaves();
    for (uint64_t n = 1; n <= LEAVES; n++) {
        uint8_t root[32];
        ref_root(root, g_leaf, n);
        for (uint64_t i = 0; i < n; i++) {
            struct cczi_kms_gather g;
            struct ccz_kms_path want = {0};
            ref_path(&want, i, g_leaf, n);
            cczi_kms_gather_inclusion(&g, i, n);
            for (uint64_t k = 0; k < n; k++)
                CHECK(cczi_kms_gather_put(&g, g_leaf[k]) == CCZ_OK);
            CHECK(same_path(&g.path, &want));
            struct ccz_kms_path *p = &g.path;
            CHECK(included(i, n, g_leaf[i], p, root));
            for (uint64_t other = 0; other <= n; other++)
                CHECK(other == i || !included(other, n, g_leaf[i], p, root));
            /* the size itself is bound by the checkpoint that signs it: a tree of another size can have the same path */
            CHECK(!included(i, n, g_leaf[(i + 1) % LEAVES], p, root));
            root[i % 32] ^= 1;
            CHECK(!included(i, n, g_leaf[i], p, root));
            root[i % 32] ^= 1;
            for (size_t k = 0; k < p->len; k++) {
                p->node[k][(i + k) % 32] ^= 0x10;
                CHECK(!included(i, n, g_leaf[i], p, root));
                p->node[k][(i + k) % 32] ^= 0x10;
            }
            p->len++; /* zeros behind it */
            CHECK(!included(i, n, g_leaf[i], p, root));
            p->len -= 2;
            CHECK(n == 1 || !included(i, n, g_leaf[i], p, root));
        }
    }
    struct ccz_kms_path none = {0};
    CHECK(!included(0, 0, g_leaf[0], &none, g_leaf[0]));
    CHECK(!included(UINT64_MAX, UINT64_MAX, g_leaf[0], &none, g_leaf[0]));
    none.len = CCZ_KMS_PATH_MAX + 1;
    CHECK(!included(0, 1, g_leaf[0], &none, g_leaf[0]));
    /* a path that goes on behind the root of a tree of that size, to a root made for it */
    struct ccz_kms_path one = {.len = 1};
    uint8_t beyond[32];
    memcpy(one.node[0], g_leaf[1], 32);
    ref_node(beyond, g_leaf[1], g_leaf[0]);
    CHECK(!included(0, 1, g_leaf[0], &one, beyond));
}

/* An inner node must not pass as a leaf: that is what the prefixes are for. */
static void test_inclusion_second_preimage(void)
{
    make_leaves();
    uint8_t root[32], pair[64], fake[32];
    ref_root(root, g_leaf, 2);
    memcpy(pair, g_leaf[0], 32);
    memcpy(pair + 32, g_leaf[1], 32);
    const struct ccz_kms_path none = {0};
    /* a line whose bytes are those of the two hashes, as if it were the only one */
    struct ccz_kms_audit_line l = {.entry = CCZ_SPAN(pair + 48, 16)};
    memcpy(l.prev, pair, 32);
    for (unsigned i = 0; i < 8; i++) {
        l.seq |= (uint64_t)pair[32 + i] << (8 * i);
        l.time_s = (int64_t)((uint64_t)l.time_s | (uint64_t)pair[40 + i] << (8 * i));
    }
    CHECK(ccz_kms_leaf_hash(fake, &l) == CCZ_OK && !included(0, 1, fake, &none, root));
    /* and the hash of a line is SHA-256 of 0 and of what the chain hashes */
    uint8_t zero_pair[65] = {0}, want[32];
    memcpy(zero_pair + 1, pair, 64);
    CHECK(ccz_sha256(want, CCZ_SPAN(zero_pair, 65)) == CCZ_OK && memcmp(fake, want, 32) == 0);
}

static bool consistent(uint64_t m, uint64_t n, const uint8_t old[32], const uint8_t root[32],
                       const struct ccz_kms_path *p)
{
    struct ccz_err err = {0};
    ccz_rc rc = ccz_kms_consistency_check(m, n, old, root, p, &err);
    CHECK(rc == CCZ_OK || (rc == CCZ_E_SIG && strcmp(err.where, "kms:consistency") == 0));
    return rc == CCZ_OK;
}

static void test_consistency(void)
{
    make_leaves();
    for (uint64_t n = 0; n <= LEAVES; n++) {
        uint8_t root[32];
        ref_root(root, g_leaf, n);
        for (uint64_t m = 0; m <= n; m++) {
            uint8_t old[32];
            struct cczi_kms_gather g;
            struct ccz_kms_path want = {0};
            ref_root(old, g_leaf, m);
            if (m)
                ref_subproof(&want, m, g_leaf, n, true);
            cczi_kms_gather_consistency(&g, m, n);
            for (uint64_t k = 0; k < n; k++)
                CHECK(cczi_kms_gather_put(&g, g_leaf[k]) == CCZ_OK);
            CHECK(same_path(&g.path, &want));
            struct ccz_kms_path *p = &g.path;
            CHECK(consistent(m, n, old, root, p));
            old[m % 32] ^= 4;
            CHECK(!consistent(m, n, old, root, p));
            old[m % 32] ^= 4;
            root[m % 32] ^= 4; /* everything continues the empty tree */
            CHECK((m == 0 && n != 0) || !consistent(m, n, old, root, p));
            root[m % 32] ^= 4;
            for (size_t k = 0; k < p->len; k++) {
                p->node[k][(m + k) % 32] ^= 0x20;
                CHECK(!consistent(m, n, old, root, p));
                p->node[k][(m + k) % 32] ^= 0x20;
            }
            p->len++;
            CHECK(!consistent(m, n, old, root, p));
            p->len -= 2;
            CHECK(want.len == 0 || !consistent(m, n, old, root, p));
        }
        CHECK(!consistent(n + 1, n, root, root, &(struct ccz_kms_path){0}));
    }
}

/* Proofs that go on behind the roots, or stop before them, for roots made to fit. */
static void test_consistency_length(void)
{
    make_leaves();
    struct ccz_kms_path p = {.len = 4}; /* of 3 and 4 leaves: three hashes are right */
    uint8_t left[32], old[32], now[32];
    for (size_t i = 0; i < 4; i++)
        memcpy(p.node[i], g_leaf[i], 32);
    ref_node(left, g_leaf[2], g_leaf[0]); /* old: node 2 beside node 0 */
    ref_node(old, g_leaf[3], left);
    ref_node(now, g_leaf[0], g_leaf[1]);
    ref_node(left, g_leaf[2], now);
    ref_node(now, g_leaf[3], left);
    CHECK(!consistent(3, 4, old, now, &p));
    p.len = 1;
    CHECK(!consistent(3, 4, g_leaf[0], g_leaf[0], &p));
}

/* ---------------------------------------------------------------------- checkpoint */

static const char first_line_hash[32] = "0123456789abcdef";

static struct cczi_kms_signer new_signer(void)
{
    struct cczi_kms_signer s;
    struct ccz_key *key;
    CHECK(ccz_key_generate(&key, CCZ_P256) == CCZ_OK);
    CHECK(cczi_kms_signer_init(&s, key, (const uint8_t *)first_line_hash, NULL) == CCZ_OK);
    return s;
}

static struct cczi_kms_tree tree_of(uint64_t n)
{
    struct cczi_kms_tree t = {0};
    make_leaves();
    for (uint64_t i = 0; i < n; i++)
        CHECK(cczi_kms_tree_append(&t, g_leaf[i]) == CCZ_OK);
    return t;
}

/* The thumbprint of the base point, by another implementation (Python: hashlib over the JWK of RFC 7638, 3.2). */
static void test_key_id(void)
{
    static const char xy_hex[] = "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
                                 "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";
    uint8_t xy[64], id[32], want[32];
    struct ccz_key *key;
    CHECK(ccz_unhex(xy, 64, xy_hex, 128) == CCZ_OK);
    CHECK(ccz_unhex(want, 32, "c71d01700fb0328870f1ab580c939eea9786328764946db04470655c732f9743",
                    64) == CCZ_OK);
    CHECK(ccz_key_from_xy(&key, CCZ_P256, CCZ_SPAN(xy, 64)) == CCZ_OK);
    CHECK(ccz_kms_key_id(id, key) == CCZ_OK && memcmp(id, want, 32) == 0);
    ccz_key_free(key);
    struct cczi_kms_signer s;
    CHECK(ccz_key_generate(&key, CCZ_P384) == CCZ_OK);
    CHECK(ccz_kms_key_id(id, key) == CCZ_E_UNSUPPORTED);
    CHECK(cczi_kms_signer_init(&s, key, want, NULL) == CCZ_E_UNSUPPORTED && s.key == NULL);
}

/* Accepted, by text and signature? */
static bool good_checkpoint(struct ccz_span text, const struct ccz_key *key, struct ccz_err *err)
{
    struct ccz_kms_checkpoint c;
    *err = (struct ccz_err){0};
    ccz_rc rc = ccz_kms_checkpoint_parse(&c, text, err);
    CHECK(rc == CCZ_OK || (c.size == 0 && rc == CCZ_E_FORMAT));
    if (rc == CCZ_OK)
        rc = ccz_kms_checkpoint_check(&c, &key, 1, err);
    return rc == CCZ_OK;
}

static void test_checkpoint(void)
{
    struct cczi_kms_signer s = new_signer(), other = new_signer();
    struct cczi_kms_tree t = tree_of(13);
    struct ccz_kms_checkpoint c, again;
    struct ccz_err err = {0};
    CHECK(cczi_kms_checkpoint_sign(&c, &s, &t, FIX_NOW, NULL) == CCZ_OK);
    struct ccz_buf b;
    ccz_buf_init(&b, CCZ_KMS_CHECKPOINT_SIZE_MAX);
    ccz_kms_checkpoint_put(&b, &c);
    static const char begin[] = "cczoo.kms/audit/30313233343536373839616263646566\n13\n";
    CHECK(memcmp(b.ptr, begin, sizeof(begin) - 1) == 0);
    CHECK(strstr(ccz_buf_str(&b), "\ntime 2023-11-14T22:13:20Z\n\n\xe2\x80\x94 cczoo.kms/audit/") !=
          NULL);
    CHECK(ccz_kms_checkpoint_parse(&again, ccz_buf_span(&b), NULL) == CCZ_OK);
    CHECK(again.size == 13 && again.time_s == FIX_NOW && memcmp(again.root, c.root, 32) == 0 &&
          memcmp(again.sig, c.sig, 64) == 0 && strcmp(again.origin, c.origin) == 0);
    CHECK(good_checkpoint(ccz_buf_span(&b), s.key, &err));
    for (size_t i = 0; i < b.size; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            b.ptr[i] ^= (uint8_t)(1u << bit);
            CHECK(!good_checkpoint(ccz_buf_span(&b), s.key, &err) && err.where[0]);
            b.ptr[i] ^= (uint8_t)(1u << bit);
        }
        CHECK(!good_checkpoint(CCZ_SPAN(b.ptr, i), s.key, &err));
    }
    ccz_buf_u8(&b, '\n');
    CHECK(!good_checkpoint(ccz_buf_span(&b), s.key, &err) && err.aux == 7);

    /* another key; the right key under the name of another one */
    const struct ccz_key *keys[] = {other.key, s.key};
    CHECK(ccz_kms_checkpoint_check(&c, keys, 2, NULL) == CCZ_OK);
    CHECK(ccz_kms_checkpoint_check(&c, keys, 1, &err) == CCZ_E_SIG &&
          strcmp(err.where, "kms:checkpoint-key") == 0 && err.got[0] && err.expected[0]);
    CHECK(ccz_kms_checkpoint_check(&c, keys, 0, &err) == CCZ_E_SIG);
    memcpy(c.key_id, other.key_id, 32);
    CHECK(ccz_kms_checkpoint_check(&c, keys, 2, &err) == CCZ_E_SIG &&
          strcmp(err.where, "kms:checkpoint-signature") == 0);
    struct ccz_key *p384;
    CHECK(ccz_key_generate(&p384, CCZ_P384) == CCZ_OK);
    keys[0] = p384;
    CHECK(ccz_kms_checkpoint_check(&c, keys, 1, &err) == CCZ_E_UNSUPPORTED);
    ccz_key_free(p384);

    /* nothing to sign, nobody to sign */
    CHECK(cczi_kms_checkpoint_sign(&c, &s, &(struct cczi_kms_tree){0}, 0, &err) == CCZ_E_ARG);
    cczi_kms_signer_deinit(&s);
    CHECK(cczi_kms_checkpoint_sign(&c, &s, &t, 0, &err) == CCZ_E_ARG && c.size == 0);
    CHECK(strcmp(err.where, "kms:checkpoint-sign") == 0);
    cczi_kms_signer_deinit(&other);
    ccz_buf_free(&b);
}

/* Texts that another program could take for a checkpoint. */
static void test_checkpoint_strict(void)
{
    struct cczi_kms_signer s = new_signer();
    struct cczi_kms_tree t = tree_of(1);
    struct ccz_kms_checkpoint c, got;
    CHECK(cczi_kms_checkpoint_sign(&c, &s, &t, FIX_NOW, NULL) == CCZ_OK);
    struct ccz_buf b;
    ccz_buf_init(&b, 2 * CCZ_KMS_CHECKPOINT_SIZE_MAX);
    ccz_kms_checkpoint_put(&b, &c);
    static const struct {
        const char *from, *to;
    } edits[] = {
        {"\n1\n", "\n01\n"},  {"\n1\n", "\n0\n"},     {"\n1\n", "\n+1\n"},
        {"\n1\n", "\n\n"},    {"\n1\n", "\n1 \n"},    {"\n1\n", "\n281474976710657\n"},
        {"\n\n", "\n"},       {"\n\n", "\n\n\n"},     {"\n\n", "\nmore\n\n"},
        {"time ", ""},        {"time ", "time  "},    {"Z\n", "+00:00\n"},
        {"=\n", "\n"},        {"cczoo.kms", "cczoo"}, {"\xe2\x80\x94 ", "- "},
        {"cczoo", "cczoo\r"},
    };
    for (size_t i = 0; i < sizeof(edits) / sizeof(edits[0]); i++) {
        const char *at = strstr(ccz_buf_str(&b), edits[i].from);
        CHECK(at != NULL);
        size_t n = (size_t)((const uint8_t *)at - b.ptr), from = strlen(edits[i].from);
        CCZ_AUTO_BUF e;
        ccz_buf_init(&e, 2 * CCZ_KMS_CHECKPOINT_SIZE_MAX);
        ccz_buf_put(&e, b.ptr, n);
        ccz_buf_put_str(&e, edits[i].to);
        ccz_buf_put(&e, b.ptr + n + from, b.size - n - from);
        struct ccz_err err = {0};
        CHECK(ccz_kms_checkpoint_parse(&got, ccz_buf_span(&e), &err) == CCZ_E_FORMAT);
        CHECK(strcmp(err.where, "kms:checkpoint") == 0 && got.size == 0);
    }
    CHECK(ccz_kms_checkpoint_parse(&got, (struct ccz_span){0}, NULL) == CCZ_E_FORMAT);
    ccz_buf_free(&b);
    cczi_kms_signer_deinit(&s);
}

/* ------------------------------------------------------------------------- receipt */

/* Every line of a transaction of 1 to 24 lines behind 0 to 40 others gets the path of the definition. */
static void test_lines(void)
{
    struct cczi_kms_signer s = new_signer();
    struct cczi_kms_lines b = {0};
    struct cczi_kms_tree before = {0};
    make_leaves();
    for (uint64_t n = 0; n <= 40; n++) {
        struct cczi_kms_tree after = before;
        cczi_kms_lines_start(&b, &before);
        struct ccz_kms_inclusion r;
        for (uint64_t k = 1; k <= 24; k++) {
            cczi_kms_lines_add(&b, g_leaf[n + k - 1]);
            CHECK(cczi_kms_tree_append(&after, g_leaf[n + k - 1]) == CCZ_OK);
            CHECK(cczi_kms_lines_receipt(&r, &b, n + k) == CCZ_E_ARG); /* not signed */
            CHECK(cczi_kms_lines_sign(&b, &s, &after, FIX_NOW, NULL) == CCZ_OK);
            CHECK(b.checkpoint.size == n + k);
            for (uint64_t i = 0; i < k; i++) {
                struct ccz_kms_path want = {0};
                ref_path(&want, n + i, g_leaf, n + k);
                CHECK(cczi_kms_lines_receipt(&r, &b, n + i + 1) == CCZ_OK);
                CHECK(r.seq == n + i + 1 && memcmp(r.leaf, g_leaf[n + i], 32) == 0);
                CHECK(same_path(&r.path, &want));
                const struct ccz_key *key = s.key;
                CHECK((i && k > 3) || ccz_kms_inclusion_verify(&r, &key, 1, NULL) == CCZ_OK);
            }
            CHECK(cczi_kms_lines_receipt(&r, &b, n) == CCZ_E_ARG && r.seq == 0);
            CHECK(cczi_kms_lines_receipt(&r, &b, n + k + 1) == CCZ_E_ARG);
        }
        CHECK(cczi_kms_tree_append(&before, g_leaf[n]) == CCZ_OK);
    }
    /* cut back to a savepoint: the lines behind it are gone, and so is the signature */
    struct cczi_kms_tree t = tree_of(3);
    struct ccz_kms_inclusion r;
    struct ccz_err err = {0};
    cczi_kms_lines_start(&b, &t);
    for (unsigned i = 3; i < 8; i++)
        cczi_kms_lines_add(&b, g_leaf[i]);
    cczi_kms_lines_cut(&b, 2);
    struct cczi_kms_tree five = tree_of(5);
    CHECK(cczi_kms_lines_sign(&b, &s, &t, FIX_NOW, &err) == CCZ_E_INTERNAL);
    CHECK(cczi_kms_lines_sign(&b, &s, &five, FIX_NOW, &err) == CCZ_OK);
    CHECK(cczi_kms_lines_receipt(&r, &b, 5) == CCZ_OK);
    cczi_kms_lines_cut(&b, 1);
    CHECK(cczi_kms_lines_receipt(&r, &b, 4) == CCZ_E_ARG);
    cczi_kms_lines_start(&b, &five);
    CHECK(cczi_kms_lines_sign(&b, &s, &five, FIX_NOW, &err) == CCZ_E_INTERNAL); /* no line */
    cczi_kms_lines_free(&b);
    cczi_kms_signer_deinit(&s);
}

static ccz_rc try_receipt(struct ccz_span text, const struct ccz_key *key, struct ccz_err *err)
{
    struct ccz_kms_inclusion r;
    *err = (struct ccz_err){0};
    ccz_rc rc = ccz_kms_inclusion_parse(&r, text, err);
    CHECK(rc == CCZ_OK || r.seq == 0);
    if (rc == CCZ_OK)
        rc = ccz_kms_inclusion_verify(&r, &key, 1, err);
    CHECK(rc == CCZ_OK || err->where[0]);
    return rc;
}

static void test_receipt(void)
{
    struct cczi_kms_signer s = new_signer();
    struct cczi_kms_tree t = tree_of(5), six = tree_of(6);
    struct cczi_kms_lines batch = {0};
    struct ccz_kms_inclusion r, again;
    cczi_kms_lines_start(&batch, &t);
    cczi_kms_lines_add(&batch, g_leaf[5]);
    CHECK(cczi_kms_lines_sign(&batch, &s, &six, FIX_NOW, NULL) == CCZ_OK);
    CHECK(cczi_kms_lines_receipt(&r, &batch, 6) == CCZ_OK && r.path.len == 2);
    struct ccz_buf b;
    struct ccz_err err;
    ccz_buf_init(&b, CCZ_KMS_INCLUSION_SIZE_MAX);
    ccz_kms_inclusion_put(&b, &r);
    CHECK(memchr(b.ptr, '\n', b.size) == NULL);
    CHECK(ccz_kms_inclusion_parse(&again, ccz_buf_span(&b), NULL) == CCZ_OK && again.seq == 6);
    CHECK(same_path(&again.path, &r.path) && memcmp(again.leaf, r.leaf, 32) == 0);
    CHECK(try_receipt(ccz_buf_span(&b), s.key, &err) == CCZ_OK);
    for (size_t i = 0; i < b.size; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            b.ptr[i] ^= (uint8_t)(1u << bit);
            CHECK(try_receipt(ccz_buf_span(&b), s.key, &err) != CCZ_OK);
            b.ptr[i] ^= (uint8_t)(1u << bit);
        }
        CHECK(try_receipt(CCZ_SPAN(b.ptr, i), s.key, &err) != CCZ_OK);
    }
    ccz_buf_u8(&b, ' ');
    CHECK(try_receipt(ccz_buf_span(&b), s.key, &err) == CCZ_E_FORMAT &&
          strcmp(err.where, "kms:receipt") == 0);
    /* the longest one has room, a longer text is not looked at */
    r.path.len = CCZ_KMS_PATH_MAX;
    r.seq = r.checkpoint.size = CCZ_KMS_TREE_SIZE_MAX;
    memset(r.checkpoint.origin, 'x', CCZ_KMS_ORIGIN_SIZE - 1);
    ccz_buf_clear(&b);
    ccz_kms_inclusion_put(&b, &r);
    CHECK(!b.bad && ccz_kms_inclusion_parse(&again, ccz_buf_span(&b), NULL) == CCZ_OK);
    struct ccz_buf big;
    ccz_buf_init(&big, 8192);
    (void)!ccz_buf_extend(&big, CCZ_KMS_INCLUSION_SIZE_MAX + 1);
    CHECK(ccz_kms_inclusion_parse(&again, ccz_buf_span(&big), NULL) == CCZ_E_LIMIT);
    ccz_buf_free(&big);
    ccz_buf_free(&b);
    cczi_kms_lines_free(&batch);
    cczi_kms_signer_deinit(&s);
}

static const struct ccz_test tests[] = {
    {"kms.tree_known", test_tree_known},
    {"kms.tree_frontier", test_tree_frontier},
    {"kms.inclusion", test_inclusion},
    {"kms.inclusion_second_preimage", test_inclusion_second_preimage},
    {"kms.consistency", test_consistency},
    {"kms.consistency_length", test_consistency_length},
    {"kms.key_id", test_key_id},
    {"kms.checkpoint", test_checkpoint},
    {"kms.checkpoint_strict", test_checkpoint_strict},
    {"kms.lines", test_lines},
    {"kms.receipt", test_receipt},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
