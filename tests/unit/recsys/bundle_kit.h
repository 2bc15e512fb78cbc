/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_TEST_BUNDLE_KIT_H
#define CCZ_TEST_BUNDLE_KIT_H
/* For tests of bundles: a small trained model with everything around it, and ways to change what lies on the disk. */
#include "recsys/bundle_priv.h"
#include "temp_dir.h"

#include <cczoo/x509.h>

enum { KIT_USERS = 40, KIT_ITEMS = 25, KIT_FACTORS = 6 };

struct kit {
    struct ccz_recsys_data data;
    struct ccz_recsys_csr *seen;
    struct ccz_recsys_model *model;
    struct ccz_recsys_titles *titles;
    struct ccz_key *signer;
    struct ccz_buf cert;
    struct ccz_secret *key;
    struct ccz_recsys_bundle_write w;
};

/* User u likes items whose number is like his own, by a remainder; ids are numbers or texts. */
static inline void kit_ratings(struct ccz_buf *out, bool text)
{
    ccz_buf_init(out, 1 << 20);
    ccz_buf_put_str(out, "user,item,rating,timestamp\n");
    for (int u = 0; u < KIT_USERS; u++)
        for (int i = 0; i < KIT_ITEMS; i++)
            if (i == u % KIT_ITEMS || (i * 7 + u * 5 + i * u % 3) % 11 < ((i + u) % 3 == 0 ? 8 : 2))
                ccz_buf_printf(out, "%s%d,%s%d,%d,%d\n", text ? "u" : "", 1000 + u,
                               text ? "film " : "", 500 + i, 1 + (i + 2 * u) % 5, u * 100 + i);
}

static inline struct ccz_cert_cfg kit_cert_cfg(const struct ccz_key *key)
{
    return (struct ccz_cert_cfg){
        .cn = "trainer", .key = key, .not_before_s = 1000000, .not_after_s = 4000000000};
}

static inline void kit_signer(struct ccz_key **key, struct ccz_buf *cert)
{
    CHECK(ccz_key_generate(key, CCZ_P256) == CCZ_OK);
    const struct ccz_cert_cfg cfg = kit_cert_cfg(*key);
    ccz_buf_init(cert, CCZ_CERT_SIZE_MAX);
    CHECK(ccz_cert_issue(cert, &cfg, NULL) == CCZ_OK);
}

static inline void kit_train(struct kit *k, const struct ccz_recsys_als_cfg *als)
{
    struct ccz_err err = {0};
    ccz_recsys_model_free(k->model);
    CHECK(ccz_recsys_als_train(&k->model, k->seen, als, &err) == CCZ_OK);
    k->w.manifest.als = *als;
    k->w.contents.model = k->model;
}

static inline void kit_begin(struct kit *k, bool text)
{
    struct ccz_err err = {0};
    struct ccz_recsys_format format;
    CCZ_AUTO_BUF csv;
    CCZ_AUTO(ccz_recsys_source) source = NULL;
    CCZ_AUTO(ccz_recsys_source) names = NULL;
    *k = (struct kit){0};
    kit_ratings(&csv, text);
    CHECK(ccz_recsys_format_from(&format, "csv"));
    format.user_kind = format.item_kind = text ? CCZ_RECSYS_ID_TEXT : CCZ_RECSYS_ID_INT;
    CHECK(ccz_recsys_source_mem(&source, ccz_buf_span(&csv), &err) == CCZ_OK);
    CHECK(ccz_recsys_read(&k->data, source, &format, NULL, &err) == CCZ_OK);
    CHECK(ccz_recsys_csr_new(&k->seen, &k->data.ratings, CCZ_RECSYS_TWICE_REFUSE, &err) == CCZ_OK);
    CHECK(k->seen->rows == KIT_USERS && k->seen->cols == KIT_ITEMS);
    CHECK(ccz_recsys_format_from(&format, "movielens-csv-titles"));
    format.item_kind = text ? CCZ_RECSYS_ID_TEXT : CCZ_RECSYS_ID_INT;
    const char *table =
        text ? "movieId,title,genres\nfilm 500,The First,x\nfilm 503,\"Fourth, The\",y\n"
             : "movieId,title,genres\n500,The First,x\n503,\"Fourth, The\",y\n";
    CHECK(ccz_recsys_source_mem(&names, ccz_span_str(table), &err) == CCZ_OK);
    CHECK(ccz_recsys_titles_read(&k->titles, names, &format, k->data.item, &err) == CCZ_OK);
    kit_signer(&k->signer, &k->cert);
    CHECK(ccz_secret_from(&k->key, "0123456789abcdef", 16) == CCZ_OK);
    k->w =
        (struct ccz_recsys_bundle_write){.manifest = {.name = "films",
                                                      .version = 3,
                                                      .key = "key/films",
                                                      .key_version = 3,
                                                      .created_s = 1800000000,
                                                      .trainer = "cczoo",
                                                      .metric = {{"ndcg@10", 0.25}, {"hr@10", 0.5}},
                                                      .metrics_len = 2},
                                         .contents = {.seen = k->seen,
                                                      .user = k->data.user,
                                                      .item = k->data.item,
                                                      .titles = k->titles},
                                         .signer = k->signer,
                                         .cert = ccz_buf_span(&k->cert),
                                         .key = k->key};
    memset(k->w.manifest.order_sha256, 0x0e, 32);
    memset(k->w.manifest.data_sha256, 0xd1, 32);
    memset(k->w.manifest.titles_sha256, 0xd2, 32);
    memset(k->w.manifest.parent_sha256, 0xa2, 32);
    kit_train(k, &(struct ccz_recsys_als_cfg){.kind = CCZ_RECSYS_IMPLICIT_HKV,
                                              .factors = KIT_FACTORS,
                                              .iterations = 5,
                                              .reg = 0.1f,
                                              .alpha = 4.25f,
                                              .seed = 7});
}

static inline void kit_end(struct kit *k)
{
    ccz_recsys_model_free(k->model);
    ccz_recsys_csr_free(k->seen);
    ccz_recsys_titles_free(k->titles);
    ccz_recsys_data_deinit(&k->data);
    ccz_key_free(k->signer);
    ccz_buf_free(&k->cert);
    ccz_secret_free(k->key);
}

/* Accepts the kit's own trainer. */
static inline ccz_rc kit_trainer(void *arg, struct ccz_span cert, struct ccz_err *err)
{
    const struct kit *k = arg;
    return ccz_span_eq(cert, ccz_buf_span(&k->cert))
               ? CCZ_OK
               : ccz_refuse(err, CCZ_E_POLICY, "test:trainer", "somebody", "the trainer");
}

static inline struct ccz_recsys_bundle_cfg kit_cfg(struct kit *k)
{
    return (struct ccz_recsys_bundle_cfg){.trainer = kit_trainer, .arg = k, .key_version = 3};
}

static inline const char *kit_save(struct kit *k, const char *name)
{
    const char *dir = temp_path(name);
    struct ccz_err err = {0};
    const ccz_rc rc = ccz_recsys_bundle_save(NULL, dir, &k->w, &err);
    if (rc != CCZ_OK)
        fprintf(stderr, "%s %s\n", err.where, err.msg);
    CHECK(rc == CCZ_OK);
    return dir;
}

static inline void kit_file(char path[1024], char bound[64], const char *dir, const char *name)
{
    (void)snprintf(path, 1024, "%s/%s", dir, name);
    (void)snprintf(bound, 64, "%s%s", CCZ_RECSYS_BUNDLE_BOUND, name);
}

static inline void kit_read_file(struct ccz_buf *out, const struct kit *k, const char *dir,
                                 const char *name)
{
    char path[1024], bound[64];
    kit_file(path, bound, dir, name);
    ccz_buf_init(out, 1 << 24);
    CHECK(ccz_pf_decrypt_to_buf(out, path, k->key, &(struct ccz_pf_cfg){.path = bound}, NULL) ==
          CCZ_OK);
}

/* What somebody with the key of the bundle can do. */
static inline void kit_write_file(const struct kit *k, const char *dir, const char *name,
                                  struct ccz_span bytes)
{
    char path[1024], bound[64];
    struct ccz_newfile f;
    struct ccz_pf_writer *w = NULL;
    kit_file(path, bound, dir, name);
    CHECK(ccz_newfile_open(&f, path, 0600, NULL) == CCZ_OK);
    const struct ccz_pf_io io = ccz_pf_io_fd(&f.fd);
    CHECK(ccz_pf_writer_new(&w, &io, bytes.size, k->key, &(struct ccz_pf_cfg){.path = bound},
                            NULL) == CCZ_OK);
    CHECK(ccz_pf_writer_put(w, bytes, NULL) == CCZ_OK && ccz_pf_writer_finish(w, NULL) == CCZ_OK);
    ccz_pf_writer_free(w);
    CHECK(ccz_newfile_commit(&f, CCZ_FILE_REPLACE, NULL) == CCZ_OK);
}

/* What a trainer that lies can do besides. */
static inline void kit_sign(const struct kit *k, const char *dir, struct ccz_span manifest,
                            const struct ccz_key *signer, struct ccz_span cert)
{
    static const char label[] = CCZI_BUNDLE_LABEL;
    const struct ccz_span parts[] = {CCZ_SPAN(label, sizeof(label)), manifest};
    uint8_t sig[64];
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 1 << 16);
    CHECK(ccz_ecdsa_sign(sig, signer, parts, 2) == CCZ_OK);
    ccz_buf_put_str(&b, "CCZRSIG1");
    ccz_buf_le32(&b, (uint32_t)cert.size);
    ccz_buf_put_span(&b, cert);
    ccz_buf_put(&b, sig, 64);
    kit_write_file(k, dir, CCZI_BUNDLE_SIGNATURE, ccz_buf_span(&b));
}

/* Replaces the first @p from in the manifest, and signs it if @p signed_too. */
static inline void kit_forge(const struct kit *k, const char *dir, const char *from, const char *to,
                             bool signed_too)
{
    CCZ_AUTO_BUF old, new;
    kit_read_file(&old, k, dir, CCZI_BUNDLE_MANIFEST);
    const char *at = strstr(ccz_buf_str(&old), from);
    CHECK(at);
    const size_t before = (size_t)(at - (const char *)old.ptr);
    ccz_buf_init(&new, 1 << 17);
    ccz_buf_put(&new, old.ptr, before);
    ccz_buf_put_str(&new, to);
    ccz_buf_put(&new, old.ptr + before + strlen(from), old.size - before - strlen(from));
    kit_write_file(k, dir, CCZI_BUNDLE_MANIFEST, ccz_buf_span(&new));
    if (signed_too)
        kit_sign(k, dir, ccz_buf_span(&new), k->signer, ccz_buf_span(&k->cert));
}
#endif
