/* SPDX-License-Identifier: Apache-2.0 */
/* Bundles: what comes back, and each way in which one is not what its trainer made, or not the latest. */
#define _GNU_SOURCE
#include "bundle_kit.h"

#include <cczoo/recsys_order.h>

#include <fcntl.h>
#include <math.h>

static bool same_factors(const struct ccz_recsys_factors *a, const struct ccz_recsys_factors *b)
{
    return a->len == b->len && a->factors == b->factors && a->stride == b->stride &&
           memcmp(a->v, b->v, (size_t)a->len * a->stride * sizeof(float)) == 0 &&
           !a->bias == !b->bias &&
           (!a->bias || memcmp(a->bias, b->bias, a->len * sizeof(float)) == 0);
}

static void check_same(const struct kit *k, const struct ccz_recsys_contents *c)
{
    CHECK(same_factors(&k->model->user, &c->model->user) &&
          same_factors(&k->model->item, &c->model->item) && k->model->mean == c->model->mean);
    CHECK(c->seen->len == k->seen->len && c->seen->rows == KIT_USERS && c->seen->cols == KIT_ITEMS);
    CHECK(memcmp(c->seen->start, k->seen->start, (KIT_USERS + 1) * sizeof(uint64_t)) == 0 &&
          memcmp(c->seen->col, k->seen->col, k->seen->len * sizeof(uint32_t)) == 0 &&
          memcmp(c->seen->value, k->seen->value, k->seen->len * sizeof(float)) == 0);
    for (uint32_t u = 0; u < KIT_USERS; u++)
        CHECK(ccz_recsys_ids_find(c->user, ccz_recsys_ids_get(k->data.user, u)) == u);
    for (uint32_t i = 0; i < KIT_ITEMS; i++)
        CHECK(ccz_recsys_ids_find(c->item, ccz_recsys_ids_get(k->data.item, i)) == i &&
              (!c->titles || ccz_span_eq(ccz_recsys_titles_get(c->titles, i),
                                         ccz_recsys_titles_get(k->titles, i))));
}

static void check_manifest(const struct ccz_recsys_manifest *m, const struct kit *k)
{
    const struct ccz_recsys_manifest *w = &k->w.manifest;
    CHECK(strcmp(m->name, w->name) == 0 && m->version == w->version && strcmp(m->key, w->key) == 0);
    CHECK(m->key_version == w->key_version && m->created_s == w->created_s);
    CHECK(strcmp(m->trainer, "cczoo") == 0 && memcmp(m->data_sha256, w->data_sha256, 32) == 0 &&
          memcmp(m->order_sha256, w->order_sha256, 32) == 0 &&
          memcmp(m->titles_sha256, w->titles_sha256, 32) == 0 &&
          memcmp(m->parent_sha256, w->parent_sha256, 32) == 0);
    CHECK(m->users == KIT_USERS && m->items == KIT_ITEMS && m->ratings == k->seen->len);
    CHECK(m->als.kind == w->als.kind && m->als.factors == w->als.factors &&
          m->als.iterations == w->als.iterations && m->als.reg == w->als.reg &&
          m->als.alpha == w->als.alpha && m->als.seed == w->als.seed &&
          m->als.biases == w->als.biases && m->als.unobserved == w->als.unobserved &&
          m->als.nu == w->als.nu && m->als.solver == w->als.solver);
    CHECK(m->metrics_len == 2 && strcmp(m->metric[1].name, "hr@10") == 0 &&
          m->metric[1].value == 0.5);
}

static void test_round_trip(void)
{
    const struct ccz_recsys_als_cfg other[] = {
        {.kind = CCZ_RECSYS_EXPLICIT, .biases = true, .factors = 16, .iterations = 3, .reg = 0.07f},
        {.kind = CCZ_RECSYS_IMPLICIT_IALS,
         .factors = 17,
         .iterations = 2,
         .reg = 0.003f,
         .unobserved = 0.3f,
         .nu = 0.75f,
         .solver = CCZ_RECSYS_ALS_CG},
    };
    for (int round = 0; round < 3; round++) {
        struct kit k;
        kit_begin(&k, round == 1);
        if (round)
            kit_train(&k, &other[round - 1]);
        if (round == 2)
            k.w.contents.titles = NULL;
        char name[16];
        (void)snprintf(name, sizeof(name), "trip%d", round);
        const char *dir = temp_path(name);
        uint8_t sha256[32];
        struct ccz_err err = {0};
        CHECK(ccz_recsys_bundle_save(sha256, dir, &k.w, &err) == CCZ_OK);
        const struct ccz_recsys_bundle_cfg cfg = kit_cfg(&k);
        CCZ_AUTO(ccz_recsys_bundle) b = NULL;
        CHECK(ccz_recsys_bundle_open(&b, dir, k.key, &cfg, &err) == CCZ_OK);
        const struct ccz_recsys_contents *c = ccz_recsys_bundle_contents(b);
        CHECK(!c->titles == (round == 2));
        check_same(&k, c);
        check_manifest(ccz_recsys_bundle_manifest(b), &k);
        CHECK(memcmp(ccz_recsys_bundle_manifest(b)->sha256, sha256, 32) == 0);
        CHECK(ccz_span_eq(ccz_recsys_bundle_cert(b), ccz_buf_span(&k.cert)));
        char key[8 + CCZ_RECSYS_NAME_SIZE];
        uint32_t version;
        CHECK(ccz_recsys_bundle_key(key, &version, dir, &err) == CCZ_OK && version == 3 &&
              strcmp(key, "key/films") == 0);
        CCZ_AUTO_BUF text;
        ccz_buf_init(&text, 1 << 16);
        ccz_recsys_manifest_put(&text, ccz_recsys_bundle_manifest(b));
        CHECK(strstr(ccz_buf_str(&text), "\"ndcg@10\": 0.25"));
        kit_end(&k);
    }
}

/* Nothing of ids or titles lies on the disk, and sizes are rounded. */
static void test_on_disk(void)
{
    struct kit k;
    kit_begin(&k, true);
    const char *dir = kit_save(&k, "disk");
    static const char *const names[] = {"manifest.json", "signature", "user.ids", "item.ids",
                                        "titles",        "seen.csr",  "user.f32", "item.f32"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char path[1024], bound[64];
        CCZ_AUTO_BUF cipher, plain;
        kit_file(path, bound, dir, names[i]);
        ccz_buf_init(&cipher, 1 << 24);
        CHECK(ccz_file_read(&cipher, path, NULL) == CCZ_OK);
        CHECK(!memmem(cipher.ptr, cipher.size, "film 50", 7) &&
              !memmem(cipher.ptr, cipher.size, "The First", 9) &&
              !memmem(cipher.ptr, cipher.size, "ndcg", 4));
        kit_read_file(&plain, &k, dir, names[i]);
        CHECK(plain.size % 8192 == 0 && (i < 2 || plain.size == 65536));
    }
    CHECK(cczi_bundle_rounded(1) == 65536 && cczi_bundle_rounded(65537) == 67584);
    for (uint64_t size = 65537; size < ((uint64_t)1 << 40); size = size * 5 / 3) {
        const uint64_t r = cczi_bundle_rounded(size);
        CHECK(r >= size && r - size <= size / 8 && cczi_bundle_rounded(r) == r);
    }
    kit_end(&k);
}

/* ------------------------------------------------------------------------------- refusals */

static void refused(const char *dir, const struct ccz_secret *key,
                    const struct ccz_recsys_bundle_cfg *cfg, ccz_rc rc, const char *where)
{
    struct ccz_recsys_bundle *b = NULL;
    struct ccz_err err = {0};
    const ccz_rc got = ccz_recsys_bundle_open(&b, dir, key, cfg, &err);
    if (got != rc || strcmp(err.where, where) != 0)
        fprintf(stderr, "got %d %s: %s, want %d %s\n", (int)got, err.where, err.msg, (int)rc,
                where);
    CHECK(got == rc && strcmp(err.where, where) == 0 && !b);
    const bool own = rc == CCZ_E_SIG && strncmp(where, "recsys:", 7) == 0;
    CHECK((rc != CCZ_E_POLICY && !own) || (err.got[0] && err.expected[0]));
}

static void write_clear(const char *dir, const char *name, const char *text)
{
    char path[1024];
    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    CHECK(ccz_file_write(path, ccz_span_str(text), 0644, CCZ_FILE_REPLACE, NULL) == CCZ_OK);
}

/* The key has a newer version: an older bundle is refused, whatever its folder says. */
static void test_rolled_back(void)
{
    struct kit k;
    kit_begin(&k, false);
    const char *dir = kit_save(&k, "old");
    CCZ_AUTO(ccz_secret) newer = NULL;
    CHECK(ccz_secret_from(&newer, "fedcba9876543210", 16) == CCZ_OK);
    struct ccz_recsys_bundle_cfg cfg = kit_cfg(&k);
    cfg.key_version = 4;
    refused(dir, newer, &cfg, CCZ_E_POLICY, "recsys:rolled-back");
    write_clear(dir, "key.json", "{\"key\": \"key/films\", \"key_version\": 4}");
    refused(dir, newer, &cfg, CCZ_E_SIG, "pf:metadata");
    /* and by who has the old key: the manifest says it again */
    refused(dir, k.key, &cfg, CCZ_E_POLICY, "recsys:rolled-back");
    kit_forge(&k, dir, "\"key_version\": 3", "\"key_version\": 4", false);
    refused(dir, k.key, &cfg, CCZ_E_SIG, "recsys:signature");

    dir = kit_save(&k, "old model");
    cfg = kit_cfg(&k);
    cfg.version_min = 4;
    refused(dir, k.key, &cfg, CCZ_E_POLICY, "recsys:rolled-back");
    cfg.version_min = 3;
    cfg.name = "other";
    refused(dir, k.key, &cfg, CCZ_E_POLICY, "recsys:model-name");
    cfg.name = "films";
    CCZ_AUTO(ccz_recsys_bundle) b = NULL;
    CHECK(ccz_recsys_bundle_open(&b, dir, k.key, &cfg, NULL) == CCZ_OK);
    kit_end(&k);
}

/* What the owner of the ratings and the reader say of a model; a trainer that is believed signed something else. */
static void test_expected(void)
{
    struct kit k;
    kit_begin(&k, false);
    const char *dir = kit_save(&k, "expected");
    struct ccz_recsys_bundle_cfg cfg = kit_cfg(&k);
    uint8_t data[32];
    memset(data, 0xd1, 32); /* as the kit's manifest says */
    cfg.data_sha256 = data;
    cfg.trainer_kind = "cczoo";
    CCZ_AUTO(ccz_recsys_bundle) b = NULL;
    CHECK(ccz_recsys_bundle_open(&b, dir, k.key, &cfg, NULL) == CCZ_OK);
    for (size_t i = 0; i < 32; i += 31) {
        data[i] ^= 1;
        refused(dir, k.key, &cfg, CCZ_E_POLICY, "recsys:data");
        data[i] ^= 1;
    }
    cfg.trainer_kind = "spark";
    refused(dir, k.key, &cfg, CCZ_E_POLICY, "recsys:trainer-kind");
    /* the version of a model is that of its key: no older one is ever signed under the same key, nor believed */
    k.w.manifest.version = 2;
    struct ccz_err err = {0};
    CHECK(ccz_recsys_bundle_save(NULL, temp_path("older"), &k.w, &err) == CCZ_E_ARG &&
          strcmp(err.where, "recsys:version") == 0);
    k.w.manifest.version = 4;
    CHECK(ccz_recsys_bundle_save(NULL, temp_path("newer"), &k.w, &err) == CCZ_E_ARG &&
          strcmp(err.where, "recsys:version") == 0);
    cfg = kit_cfg(&k);
    kit_forge(&k, dir, "\"version\": 3", "\"version\": 2",
              true); /* a trainer that signs it all the same */
    refused(dir, k.key, &cfg, CCZ_E_FORMAT, "recsys:manifest");
    kit_end(&k);
}

/* The order that a reader knows; a trainer that is believed made the bundle for another one, or says other things than ordered. */
static void test_ordered(void)
{
    static const struct {
        const char *from, *to, *where;
    } other[] = {
        {"0e0e", "0e0f", "recsys:order"},
        {"\"trainer\": \"cczoo\"", "\"trainer\": \"spark\"", "recsys:trainer-kind"},
        {"\"name\": \"films\"", "\"name\": \"filme\"", "recsys:model-name"},
        {"\"key/films\"", "\"key/other\"", "recsys:model-key"},
        {"d1d1", "d1d2", "recsys:data"},
        {"d2d2", "d2d1", "recsys:titles"},
        {"a2a2", "a2a1", "recsys:parent"},
        {"\"iterations\": 5", "\"iterations\": 6", "recsys:parameters"},
        {"\"seed\": 7", "\"seed\": 8", "recsys:parameters"},
        {"\"alpha\": 4.25", "\"alpha\": 4.75", "recsys:parameters"},
    };
    struct kit k;
    kit_begin(&k, false);
    const char *dir = kit_save(&k, "ordered");
    struct ccz_recsys_bundle_cfg cfg = kit_cfg(&k);
    struct ccz_recsys_order order = {.name = "films", .trainer = "cczoo", .model_key = "key/films"};
    memset(order.sha256, 0x0e, 32);
    memset(order.data.sha256, 0xd1, 32);
    memset(order.data.titles_sha256, 0xd2, 32);
    memset(order.parent_sha256, 0xa2, 32);
    order.als = k.w.manifest.als;
    cfg.order = &order;
    CCZ_AUTO(ccz_recsys_bundle) b = NULL;
    CHECK(ccz_recsys_bundle_open(&b, dir, k.key, &cfg, NULL) == CCZ_OK);
    CCZ_AUTO_BUF text;
    kit_read_file(&text, &k, dir, "manifest.json");
    for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++) {
        kit_forge(&k, dir, other[i].from, other[i].to, true);
        refused(dir, k.key, &cfg, CCZ_E_POLICY, other[i].where);
        kit_write_file(&k, dir, "manifest.json", ccz_buf_span(&text));
    }
    memset(k.w.manifest.order_sha256, 0, 32); /* a model without an order */
    dir = kit_save(&k, "unordered");
    refused(dir, k.key, &cfg, CCZ_E_POLICY, "recsys:order");
    cfg.order = NULL;
    CCZ_AUTO(ccz_recsys_bundle) any = NULL;
    CHECK(ccz_recsys_bundle_open(&any, dir, k.key, &cfg, NULL) == CCZ_OK);
    kit_end(&k);
}

static void test_signature(void)
{
    struct kit k;
    kit_begin(&k, false);
    struct ccz_recsys_bundle_cfg cfg = kit_cfg(&k);
    struct ccz_recsys_bundle_cfg zero = {0}, both = cfg;
    const char *dir = kit_save(&k, "signed");
    refused(dir, k.key, &zero, CCZ_E_ARG,
            "recsys:trainer-hook"); /* the strict one accepts nothing */
    both.any_trainer_insecure = true;
    refused(dir, k.key, &both, CCZ_E_ARG, "recsys:trainer-hook");
    both = cfg;
    both.any_key_version_insecure = true;
    refused(dir, k.key, &both, CCZ_E_ARG, "recsys:key-version");
    both.key_version = 0;
    both.any_key_version_insecure = false;
    refused(dir, k.key, &both, CCZ_E_ARG, "recsys:key-version");

    /* Somebody with the key of the bundle, but not the trainer's. */
    kit_forge(&k, dir, "\"ndcg@10\": 0.25", "\"ndcg@10\": 0.99", false);
    refused(dir, k.key, &cfg, CCZ_E_SIG, "recsys:signature");
    struct ccz_key *mallory = NULL;
    struct ccz_buf cert;
    CCZ_AUTO_BUF manifest;
    kit_signer(&mallory, &cert);
    kit_read_file(&manifest, &k, dir, "manifest.json");
    kit_sign(&k, dir, ccz_buf_span(&manifest), mallory, ccz_buf_span(&cert));
    refused(dir, k.key, &cfg, CCZ_E_POLICY, "test:trainer");
    kit_sign(&k, dir, ccz_buf_span(&manifest), mallory, ccz_buf_span(&k.cert));
    refused(dir, k.key, &cfg, CCZ_E_SIG, "recsys:signature");
    cfg.trainer = NULL;
    cfg.any_trainer_insecure = true; /* the signature must hold all the same */
    refused(dir, k.key, &cfg, CCZ_E_SIG, "recsys:signature");
    kit_sign(&k, dir, ccz_buf_span(&manifest), mallory, ccz_buf_span(&cert));
    CCZ_AUTO(ccz_recsys_bundle) b = NULL;
    CHECK(ccz_recsys_bundle_open(&b, dir, k.key, &cfg, NULL) == CCZ_OK);

    static const char *const files[] = {"", "CCZRSIG", "CCZRSIG2\0\0\0\0",
                                        "CCZRSIG1\377\377\377\377"};
    static const size_t sizes[] = {1, 7, 76, 76};
    for (size_t i = 0; i < 4; i++) {
        char bytes[76] = {0};
        memcpy(bytes, files[i], i < 2 ? sizes[i] : 12);
        kit_write_file(&k, dir, "signature", CCZ_SPAN(bytes, sizes[i]));
        refused(dir, k.key, &cfg, CCZ_E_FORMAT, "recsys:signature-file");
    }
    ccz_key_free(mallory);
    ccz_buf_free(&cert);
    kit_end(&k);
}

static void copy_file(const char *dir, const char *from, const char *to)
{
    char a[1024], b[1024];
    CCZ_AUTO_BUF bytes;
    (void)snprintf(a, sizeof(a), "%s/%s", dir, from);
    (void)snprintf(b, sizeof(b), "%s/%s", dir, to);
    ccz_buf_init(&bytes, 1 << 24);
    CHECK(ccz_file_read(&bytes, a, NULL) == CCZ_OK);
    CHECK(ccz_file_write(b, ccz_buf_span(&bytes), 0600, CCZ_FILE_REPLACE, NULL) == CCZ_OK);
}

static void flip(const char *dir, const char *name, long at)
{
    char path[1024];
    uint8_t byte;
    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    const int fd = open(path, O_RDWR);
    CHECK(fd >= 0 && pread(fd, &byte, 1, at) == 1);
    byte ^= 1;
    CHECK(pwrite(fd, &byte, 1, at) == 1 && close(fd) == 0);
}

static void test_swapped(void)
{
    struct kit k;
    kit_begin(&k, false);
    struct ccz_recsys_bundle_cfg cfg = kit_cfg(&k);
    const char *files[CCZI_PARTS];
    for (int p = 0; p < CCZI_PARTS; p++)
        files[p] = cczi_bundle_part_name((enum cczi_bundle_part)p);
    for (int p = 0; p < CCZI_PARTS; p++) {
        char name[3][16];
        for (int i = 0; i < 3; i++)
            (void)snprintf(name[i], sizeof(name[i]), "swap%d%c", p, 'a' + i);
        /* the same file of another model under the same key, of which the trainer said nothing here */
        const char *one = kit_save(&k, name[0]);
        CCZ_AUTO_BUF bytes;
        kit_read_file(&bytes, &k, one, files[p]);
        bytes.ptr[bytes.size - 1] ^= 1; /* what rounds it up is signed as well */
        kit_write_file(&k, one, files[p], ccz_buf_span(&bytes));
        refused(one, k.key, &cfg, CCZ_E_SIG, "recsys:digest");
        bytes.ptr[bytes.size - 1] ^= 1;
        kit_write_file(&k, one, files[p], CCZ_SPAN(bytes.ptr, bytes.size - 4096));
        refused(one, k.key, &cfg, CCZ_E_SIG, "recsys:digest");
        /* one file in the place of another */
        const char *two = kit_save(&k, name[1]);
        copy_file(two, files[(p + 1) % CCZI_PARTS], files[p]);
        refused(two, k.key, &cfg, CCZ_E_SIG, "pf:path");
        /* a bit on the disk */
        const char *three = kit_save(&k, name[2]);
        flip(three, files[p], 5 * 4096L + 100);
        refused(three, k.key, &cfg, CCZ_E_SIG, "pf:data-node");
        char path[1024];
        (void)snprintf(path, sizeof(path), "%s/%s", three, files[p]);
        CHECK(unlink(path) == 0);
        refused(three, k.key, &cfg, CCZ_E_NOT_FOUND, "recsys:bundle-file");
    }
    kit_end(&k);
}

/* Signed by the trainer and nonsense all the same. */
static void test_manifest(void)
{
    static const struct {
        const char *from, *to, *where;
        ccz_rc rc;
    } bad[] = {
        {"{\"format\"", "[\"format\"", "recsys:manifest", CCZ_E_FORMAT},
        {"bundle 2", "bundle 3", "recsys:manifest", CCZ_E_UNSUPPORTED},
        {"bundle 2", "bundle 1", "recsys:manifest", CCZ_E_UNSUPPORTED}, /* of an older release */
        {"\"films\"", "\"fi lms\"", "recsys:manifest", CCZ_E_FORMAT},
        {"\"films\"", "\"\"", "recsys:manifest", CCZ_E_FORMAT},
        {"\"films\"", "7", "recsys:manifest", CCZ_E_FORMAT},
        {"\"version\": 3", "\"version\": 0", "recsys:manifest", CCZ_E_FORMAT},
        {"\"version\": 3", "\"version\": -3", "recsys:manifest", CCZ_E_FORMAT},
        {"\"key/films\"", "\"secret/films\"", "recsys:manifest", CCZ_E_FORMAT},
        {"\"key/films\"", "\"\"", "recsys:manifest", CCZ_E_FORMAT},
        {"\"created\": \"2", "\"created\": \"x", "recsys:manifest", CCZ_E_FORMAT},
        {"d1d1", "D1d", "recsys:manifest", CCZ_E_FORMAT},
        {"d2d2", "", "recsys:manifest", CCZ_E_FORMAT},
        {"\"order_sha256\"", "\"order\"", "recsys:manifest", CCZ_E_FORMAT},
        {"implicit-hkv", "implicit", "recsys:manifest", CCZ_E_FORMAT},
        {"\"factors\": 6", "\"factors\": 0", "recsys:manifest", CCZ_E_FORMAT},
        {"\"alpha\": 4.25", "\"alpha\": 1e99", "recsys:manifest", CCZ_E_FORMAT},
        {"\"hr@10\": 0.5", "\"hr@10\": \"a\"", "recsys:manifest", CCZ_E_FORMAT},
        {"\"user.f32\"", "\"user.f64\"", "recsys:manifest", CCZ_E_FORMAT},
        {"\"titles\"", "\"more\"", "recsys:manifest", CCZ_E_FORMAT},
        {"\"users\": 40", "\"users\": 39", "recsys:contents", CCZ_E_MISMATCH},
        {"\"users\": 40", "\"users\": 2147483648", "recsys:contents", CCZ_E_MISMATCH},
        {"\"factors\": 6", "\"factors\": 7", "recsys:contents", CCZ_E_MISMATCH},
        {"\"biases\": false", "\"biases\": true", "recsys:contents", CCZ_E_MISMATCH},
        {"\"items\": 25", "\"items\": 26", "recsys:contents", CCZ_E_MISMATCH},
        {"\"items\": 25", "\"items\": 24", "recsys:seen", CCZ_E_FORMAT},
    };
    struct kit k;
    kit_begin(&k, false);
    const struct ccz_recsys_bundle_cfg cfg = kit_cfg(&k);
    CCZ_AUTO_BUF text;
    const char *dir = kit_save(&k, "manifest");
    kit_read_file(&text, &k, dir, "manifest.json");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        kit_forge(&k, dir, bad[i].from, bad[i].to, true);
        refused(dir, k.key, &cfg, bad[i].rc, bad[i].where);
        kit_write_file(&k, dir, "manifest.json", ccz_buf_span(&text));
    }
    kit_sign(&k, dir, ccz_buf_span(&text), k.signer, ccz_buf_span(&k.cert));
    CCZ_AUTO(ccz_recsys_bundle) b = NULL;
    CHECK(ccz_recsys_bundle_open(&b, dir, k.key, &cfg, NULL) == CCZ_OK);
    /* cut at any byte it is no manifest */
    size_t end = text.size;
    while (text.ptr[end - 1] != '}')
        end--;
    for (size_t size = 0; size <= end; size++) {
        struct ccz_recsys_manifest m;
        struct cczi_bundle_file files[CCZI_PARTS];
        const ccz_rc rc = cczi_manifest_parse(&m, files, CCZ_SPAN(text.ptr, size), NULL);
        CHECK((rc == CCZ_OK) == (size == end));
    }
    kit_end(&k);
}

/* A trainer that signs what is no model. */
static void test_contents(void)
{
    struct kit k;
    kit_begin(&k, false);
    const struct ccz_recsys_bundle_cfg cfg = kit_cfg(&k);
    float *v = ccz_recsys_row(&k.model->item, 24) + 5;
    const float was = *v;
    *v = NAN;
    refused(kit_save(&k, "nan"), k.key, &cfg, CCZ_E_FORMAT, "recsys:factors");
    *v = was;
    uint32_t *col = &k.seen->col[1], kept = *col;
    *col = k.seen->col[0];
    refused(kit_save(&k, "twice"), k.key, &cfg, CCZ_E_FORMAT, "recsys:seen");
    *col = kept;
    k.seen->value[3] = INFINITY;
    refused(kit_save(&k, "infinite"), k.key, &cfg, CCZ_E_FORMAT, "recsys:seen");
    k.seen->value[3] = 1;
    const uint64_t start = k.seen->start[2];
    k.seen->start[2] = k.seen->start[3] + 1;
    refused(kit_save(&k, "rows"), k.key, &cfg, CCZ_E_FORMAT, "recsys:seen");
    k.seen->start[2] = start;
    /* columns ascend up to the end, and the row is said to go on behind it */
    uint64_t *last = &k.seen->start[KIT_USERS - 1];
    const uint64_t begin = last[-1], len = k.seen->len, end = *last;
    uint32_t cols[KIT_ITEMS];
    CHECK(len - begin <= KIT_ITEMS);
    memcpy(cols, k.seen->col + begin, (len - begin) * sizeof(*cols));
    for (uint64_t i = begin; i < len; i++)
        k.seen->col[i] = (uint32_t)(i - begin);
    *last = UINT64_C(1) << 60;
    refused(kit_save(&k, "behind"), k.key, &cfg, CCZ_E_FORMAT, "recsys:seen");
    *last = end;
    memcpy(k.seen->col + begin, cols, (len - begin) * sizeof(*cols));
    col = &k.seen->col[len - 1];
    kept = *col;
    *col = KIT_ITEMS;
    refused(kit_save(&k, "column"), k.key, &cfg, CCZ_E_FORMAT, "recsys:seen");
    *col = kept;
    CCZ_AUTO(ccz_recsys_bundle) b = NULL;
    CHECK(ccz_recsys_bundle_open(&b, kit_save(&k, "sound"), k.key, &cfg, NULL) == CCZ_OK);
    kit_end(&k);
}

static void not_written(struct kit *k, ccz_rc rc, const char *where)
{
    struct ccz_err err = {0};
    struct stat st;
    const char *dir = temp_path("never");
    const ccz_rc got = ccz_recsys_bundle_save(NULL, dir, &k->w, &err);
    if (got != rc || strcmp(err.where, where) != 0)
        fprintf(stderr, "got %d %s: %s, want %d %s\n", (int)got, err.where, err.msg, (int)rc,
                where);
    CHECK(got == rc && strcmp(err.where, where) == 0 && lstat(dir, &st) != 0);
}

static void test_write_refuses(void)
{
    struct kit k;
    kit_begin(&k, false);
    const struct ccz_recsys_bundle_write good = k.w;
    struct ccz_err err = {0};
    const char *dir = kit_save(&k, "there");
    CHECK(ccz_recsys_bundle_save(NULL, dir, &k.w, &err) == CCZ_E_EXISTS &&
          strcmp(err.where, "recsys:bundle-dir") == 0);
    CHECK(ccz_recsys_bundle_save(NULL, temp_path("no/such"), &k.w, &err) == CCZ_E_IO &&
          strcmp(err.where, "recsys:bundle-dir") == 0);
    (void)snprintf(k.w.manifest.name, sizeof(k.w.manifest.name), "../films");
    not_written(&k, CCZ_E_ARG, "recsys:name");
    k.w = good;
    k.w.manifest.version = 0;
    not_written(&k, CCZ_E_ARG, "recsys:version");
    k.w = good;
    k.w.manifest.key_version = 0;
    not_written(&k, CCZ_E_ARG, "recsys:key-version");
    k.w = good;
    k.w.manifest.metric[1] = k.w.manifest.metric[0];
    not_written(&k, CCZ_E_ARG, "recsys:metric");
    k.w = good;
    k.w.manifest.metric[0].value = NAN;
    not_written(&k, CCZ_E_ARG, "recsys:metric");
    k.w = good;
    k.w.manifest.als.factors++;
    not_written(&k, CCZ_E_ARG, "recsys:contents");
    k.w = good;
    k.w.contents.user = k.data.item;
    not_written(&k, CCZ_E_ARG, "recsys:contents");
    k.w = good;
    struct ccz_key *other = NULL;
    CHECK(ccz_key_generate(&other, CCZ_P256) == CCZ_OK);
    k.w.signer = other;
    not_written(&k, CCZ_E_ARG, "recsys:signer");
    ccz_key_free(other);
    CHECK(ccz_key_generate(&other, CCZ_P384) == CCZ_OK);
    k.w.signer = other;
    not_written(&k, CCZ_E_ARG, "recsys:signer");
    ccz_key_free(other);
    /* a file that cannot be written: nothing is left, under any name */
    k.w = good;
    CCZ_AUTO(ccz_secret) small = NULL;
    CHECK(ccz_secret_from(&small, "short", 5) == CCZ_OK);
    k.w.key = small;
    const char *never = temp_path("left");
    CHECK(mkdir(never, 0755) == 0);
    CHECK(ccz_recsys_bundle_save(NULL, temp_path("left/b"), &k.w, NULL) != CCZ_OK);
    CHECK(rmdir(never) == 0); /* empty */

    k.w = good; /* a bundle whose key no KMS has */
    k.w.manifest.key[0] = 0;
    k.w.manifest.key_version = 0;
    dir = kit_save(&k, "no kms");
    struct ccz_recsys_bundle_cfg cfg = kit_cfg(&k);
    refused(dir, k.key, &cfg, CCZ_E_POLICY, "recsys:rolled-back");
    cfg.key_version = 0;
    cfg.any_key_version_insecure = true;
    CCZ_AUTO(ccz_recsys_bundle) b = NULL;
    CHECK(ccz_recsys_bundle_open(&b, dir, k.key, &cfg, NULL) == CCZ_OK);
    write_clear(dir, "key.json", "{\"key\": \"\", \"key_version\": 1}");
    char key[8 + CCZ_RECSYS_NAME_SIZE];
    uint32_t version;
    CHECK(ccz_recsys_bundle_key(key, &version, dir, &err) == CCZ_E_FORMAT &&
          strcmp(err.where, "recsys:bundle-key") == 0);
    kit_end(&k);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"bundle.round_trip", test_round_trip}, {"bundle.on_disk", test_on_disk},
        {"bundle.expected", test_expected},     {"bundle.rolled_back", test_rolled_back},
        {"bundle.signature", test_signature},   {"bundle.swapped", test_swapped},
        {"bundle.ordered", test_ordered},       {"bundle.manifest", test_manifest},
        {"bundle.contents", test_contents},     {"bundle.write_refuses", test_write_refuses},
    };
    temp_setup();
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
