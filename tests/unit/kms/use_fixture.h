/* SPDX-License-Identifier: Apache-2.0 */
#ifndef USE_FIXTURE_H
#define USE_FIXTURE_H
/* Keys that work inside, made and used through the handler. */
#include "ccz_test.h"
#include "kms/kms_fixture.h"

#include "kms/use_priv.h"

static struct ccz_err use_err; /* of the last call */

static inline bool use_is(ccz_rc rc, ccz_rc want, const char *where)
{
    bool ok = rc == want && (rc == CCZ_OK || strcmp(use_err.where, where) == 0);
    if (!ok)
        fprintf(stderr, "%s at \"%s\" (%s), expected %s at \"%s\"\n", ccz_rc_name(rc),
                use_err.where, use_err.msg, ccz_rc_name(want), where);
    return ok;
}

/* A service on @p s, by the clock in *now_s. */
static inline int64_t use_clock_of(void *arg)
{
    return *(const int64_t *)arg;
}

static inline struct ccz_kms_service *use_serve(struct ccz_kms_store *s, int64_t *now_s,
                                                struct ccz_kms_quota quota)
{
    struct ccz_kms_service *service = NULL;
    const struct ccz_kms_service_cfg cfg = {.store = s,
                                            .clock = {use_clock_of, now_s},
                                            .info = {.version = "test", .tee = "toy"},
                                            .quota = quota};
    CHECK(ccz_kms_service_new(&service, &cfg, NULL) == CCZ_OK);
    return service;
}

/* Generate, by an administrator. */
static inline ccz_rc use_make_at(struct ccz_kms_store *s, const struct cczi_msg_key_req *m,
                                 int64_t now_s)
{
    use_err = (struct ccz_err){0};
    return fix_msg_at(NULL, s, FIX_ADMIN, "Generate", cczi_msg_generate_req, m, now_s, &use_err);
}

static inline ccz_rc use_make(struct ccz_kms_store *s, const char *name, const char *kind,
                              const char *ops, const char *policy)
{
    const struct cczi_msg_key_req m = {.name = fix_str(name),
                                       .kind = fix_str(kind),
                                       .ops = fix_str(ops),
                                       .policy = fix_str(policy)};
    return use_make_at(s, &m, FIX_NOW);
}

/* A key that issues certificates. */
static inline ccz_rc use_make_ca(struct ccz_kms_store *s, const char *name, const char *names,
                                 const char *policy)
{
    const struct cczi_msg_key_req m = {.name = fix_str(name),
                                       .kind = fix_str("ecdsa-p256"),
                                       .ops = fix_str("issue,public-key"),
                                       .policy = fix_str(policy),
                                       .names = fix_str(names)};
    return use_make_at(s, &m, FIX_NOW);
}

/* What a use gave. */
struct use_got {
    struct ccz_buf response;
    struct cczi_msg_use_resp r; /* borrows from it */
};

static inline void use_got_init(struct use_got *g)
{
    *g = (struct use_got){0};
    ccz_buf_init(&g->response, CCZ_KMS_MESSAGE_SIZE_MAX);
    g->response.wipe = true;
}

static inline void use_got_deinit(struct use_got *g)
{
    ccz_buf_free(&g->response);
}

static inline ccz_rc use_at(struct use_got *g, struct ccz_kms_store *s, enum fix_who who,
                            const char *method, const struct cczi_msg_field *fields,
                            const struct cczi_msg_use_req *m, int64_t now_s)
{
    use_err = (struct ccz_err){0};
    g->r = (struct cczi_msg_use_resp){0};
    ccz_rc rc = fix_msg_at(&g->response, s, who, method, fields, m, now_s, &use_err);
    if (rc == CCZ_OK &&
        cczi_msg_get(&g->r, cczi_msg_use_resp, ccz_buf_span(&g->response), &use_err) != CCZ_OK)
        fix_die("a response that does not parse");
    if (rc != CCZ_OK && g->response.size)
        fix_die("a refusal with a response");
    return rc;
}

static inline ccz_rc use(struct use_got *g, struct ccz_kms_store *s, const char *method,
                         const struct cczi_msg_field *fields, const struct cczi_msg_use_req *m)
{
    return use_at(g, s, FIX_WORKLOAD, method, fields, m, FIX_NOW);
}

static inline ccz_rc use_bind(struct ccz_kms_store *s, const char *key, const char *op,
                              const char *policy)
{
    char item[CCZ_KMS_ITEM_SIZE];
    (void)snprintf(item, sizeof(item), "key/%s", key);
    const struct cczi_msg_bind_req m = {fix_str(item), fix_str(policy), fix_str(op)};
    use_err = (struct ccz_err){0};
    return fix_msg(NULL, s, FIX_ADMIN, "Bind", cczi_msg_bind_req, &m, &use_err);
}

/* Rotate, SetMinimum, SetPeriod, SetExpiry by an administrator. */
static inline ccz_rc use_set_at(struct ccz_kms_store *s, const char *method,
                                const struct cczi_msg_field *fields,
                                const struct cczi_msg_key_set_req *m, int64_t now_s)
{
    use_err = (struct ccz_err){0};
    return fix_msg_at(NULL, s, FIX_ADMIN, method, fields, m, now_s, &use_err);
}

static inline ccz_rc use_rotate(struct ccz_kms_store *s, const char *key)
{
    const struct cczi_msg_key_set_req m = {.name = fix_str(key)};
    return use_set_at(s, "Rotate", cczi_msg_rotate_req, &m, FIX_NOW);
}

/* Disable, Enable, Undelete, Destroy. */
static inline ccz_rc use_change(struct ccz_kms_store *s, const char *method, const char *key,
                                uint32_t version, int64_t now_s)
{
    char item[CCZ_KMS_ITEM_SIZE];
    (void)snprintf(item, sizeof(item), "key/%s", key);
    const struct cczi_msg_delete_req m = {.target = fix_str(item), .version = version};
    use_err = (struct ccz_err){0};
    return fix_msg_at(NULL, s, FIX_ADMIN, method, cczi_msg_target_req, &m, now_s, &use_err);
}

static inline ccz_rc use_delete(struct ccz_kms_store *s, const char *key, uint32_t version,
                                int64_t now_s)
{
    char item[CCZ_KMS_ITEM_SIZE];
    (void)snprintf(item, sizeof(item), "key/%s", key);
    const struct cczi_msg_delete_req m = {.target = fix_str(item), .version = version};
    use_err = (struct ccz_err){0};
    return fix_msg_at(NULL, s, FIX_ADMIN, "Delete", cczi_msg_delete_req, &m, now_s, &use_err);
}

static inline struct cczi_kms_key_meta use_meta(struct ccz_kms_store *s, const char *key)
{
    struct cczi_kms_key_meta m = {0};
    struct cczi_kms_row keep;
    struct ccz_span meta;
    cczi_kms_row_init(&keep);
    if (cczi_kms_begin_read(s, NULL) != CCZ_OK ||
        cczi_kms_key_meta_row_get(&meta, &keep, s, key, NULL) != CCZ_OK ||
        cczi_kms_key_meta_get(&m, meta, NULL) != CCZ_OK)
        fix_die("no metadata");
    cczi_kms_rollback(s);
    cczi_kms_row_deinit(&keep);
    return m;
}

/* "ccz1:..." of a text, as a workload asks for it; NUL-terminated in @p out. */
static inline ccz_rc use_encrypt_at(char *out, size_t out_size, struct ccz_kms_store *s,
                                    const char *key, uint32_t version, const char *aad,
                                    const char *text, int64_t now_s)
{
    const struct cczi_msg_use_req m = {
        .key = fix_str(key), .version = version, .aad = fix_str(aad), .text = fix_str(text)};
    struct use_got g;
    use_got_init(&g);
    ccz_rc rc = use_at(&g, s, FIX_WORKLOAD, "Encrypt", cczi_msg_encrypt_req, &m, now_s);
    if (rc == CCZ_OK && g.r.sealed.size >= out_size)
        fix_die("a ciphertext does not fit");
    if (rc == CCZ_OK)
        memcpy(out, g.r.sealed.ptr, g.r.sealed.size);
    out[rc == CCZ_OK ? g.r.sealed.size : 0] = 0;
    use_got_deinit(&g);
    return rc;
}

static inline ccz_rc use_encrypt(char *out, size_t out_size, struct ccz_kms_store *s,
                                 const char *key, const char *text)
{
    return use_encrypt_at(out, out_size, s, key, 0, NULL, text, FIX_NOW);
}

/* @param want  text that has to come out, if anything does */
static inline ccz_rc use_decrypt_at(struct ccz_kms_store *s, const char *key, const char *aad,
                                    const char *sealed, const char *want, int64_t now_s)
{
    const struct cczi_msg_use_req m = {
        .key = fix_str(key), .aad = fix_str(aad), .sealed = fix_str(sealed)};
    struct use_got g;
    use_got_init(&g);
    ccz_rc rc = use_at(&g, s, FIX_WORKLOAD, "Decrypt", cczi_msg_decrypt_req, &m, now_s);
    if (rc == CCZ_OK && !ccz_span_eq(g.r.value, ccz_span_str(want)))
        fix_die("another text");
    use_got_deinit(&g);
    return rc;
}

static inline ccz_rc use_decrypt(struct ccz_kms_store *s, const char *key, const char *sealed,
                                 const char *want)
{
    return use_decrypt_at(s, key, NULL, sealed, want, FIX_NOW);
}
#endif
