/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys of others come in wrapped. The wrapping key, the key of the tokens and what was used live in memory alone, together:
 * a token that was used cannot come back with a backup, and one from before a restart opens nothing.
 */
#include "quota.h"
#include "use_priv.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct cczi_kms_importer {
    _Atomic(struct ccz_pkey *)
        wrapping; /* made when first asked for: most stores never import; then it stays */
    struct ccz_secret *token_key;
    pthread_mutex_t lock; /* one import at a time, each on a thread of its own: */
    struct cczi_kms_import_used *used;
};

ccz_rc cczi_kms_importer_new(struct cczi_kms_importer **out)
{
    *out = NULL;
    struct cczi_kms_importer *im = calloc(1, sizeof(*im));
    if (!im)
        return CCZ_E_NOMEM;
    pthread_mutex_init(&im->lock, NULL);
    ccz_rc rc = cczi_kms_import_used_new(&im->used);
    if (rc == CCZ_OK)
        rc = ccz_secret_new(&im->token_key, CCZI_KMS_IMPORT_TOKEN_KEY_SIZE);
    if (rc == CCZ_OK)
        rc = ccz_random(ccz_secret_bytes(im->token_key), CCZI_KMS_IMPORT_TOKEN_KEY_SIZE);
    if (rc == CCZ_OK)
        *out = im;
    else
        cczi_kms_importer_free(im);
    return rc;
}

void cczi_kms_importer_free(struct cczi_kms_importer *im)
{
    if (!im)
        return;
    ccz_pkey_free(im->wrapping);
    ccz_secret_free(im->token_key);
    cczi_kms_import_used_free(im->used);
    pthread_mutex_destroy(&im->lock);
    free(im);
}

/* -------------------------------------------------------------------------- request */

/* What is to be imported, the same way for the token and for the blob: anything else is another promise. For a new version the key
 * says it all. @param[out] m  metadata as they will be */
static ccz_rc take(struct cczi_msg_key_req *req, struct cczi_kms_key_spec *spec,
                   struct cczi_kms_key_meta *m, struct cczi_kms_call *call,
                   const struct cczi_msg_field *fields, struct ccz_err *err)
{
    ccz_rc rc = cczi_msg_get(req, fields, call->req->body, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_take_key(call, req->name, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_spec_of(spec, req, err);
    if (rc == CCZ_OK) /* and it cannot be proposed: a token is over before others have read it */
        rc = cczi_kms_guard_spec(call, spec, err);
    if (rc != CCZ_OK)
        return rc;
    spec->imported = true;
    if (!req->new_version) {
        rc = cczi_kms_key_is_new(call, err);
        return rc == CCZ_OK
                   ? cczi_kms_hint(err, cczi_kms_key_meta_new(m, spec, call->req->now_s, err))
                   : rc;
    }
    rc = cczi_kms_meta_of(m, call, err);
    if (rc == CCZ_OK && (req->ops.size || req->exportable || req->unattested_insecure ||
                         req->expires_s || req->policy.size))
        return ccz_fail(err, CCZ_E_FORMAT, "kms:request", 11, "a new version is what the key is");
    if (rc == CCZ_OK && spec->kind != m->kind)
        return ccz_refuse(err, CCZ_E_MISMATCH, "kms:key-kind", cczi_kms_key_kind_name(spec->kind),
                          cczi_kms_key_kind_name(m->kind));
    if (rc == CCZ_OK)
        rc = cczi_kms_hint(err, cczi_kms_key_rotate(m, true, call->req->now_s, err));
    if (rc == CCZ_OK)
        *spec = (struct cczi_kms_key_spec){.kind = m->kind,
                                           .ops = m->ops,
                                           .exportable = m->exportable,
                                           .unattested_insecure = m->unattested,
                                           .imported = true,
                                           .expires_s = m->expires_s};
    return rc;
}

/* ---------------------------------------------------------------------------- token */

static void run_wrapping(struct cczi_kms_work *w)
{
    CCZ_AUTO(ccz_pkey) made = NULL;
    if (atomic_load(&w->importer->wrapping)) /* made while this one waited */
        return;
    w->rc = ccz_pkey_generate(&made, CCZ_PKEY_RSA_3072, &w->err);
    struct ccz_pkey *none = NULL;
    if (w->rc == CCZ_OK && atomic_compare_exchange_strong(&w->importer->wrapping, &none, made))
        made = NULL; /* else somebody else was faster */
}

static ccz_rc need_wrapping(struct cczi_kms_call *call, struct ccz_err *err)
{
    struct cczi_kms_importer *im = call->store->importer;
    const struct cczi_kms_work *done = cczi_kms_work_of(call, NULL);
    if (atomic_load(&im->wrapping))
        return CCZ_OK;
    if (done) {
        *err = done->err;
        return done->rc;
    }
    CCZ_AUTO(cczi_kms_work) w = NULL;
    ccz_rc rc = cczi_kms_work_new(&w, run_wrapping, err);
    if (rc != CCZ_OK)
        return rc;
    w->importer = im;
    w->makes = true;
    return cczi_kms_later(call, &w, err);
}

CCZI_KMS_RUN(import_token)
{
    struct cczi_kms_importer *im = call->store->importer;
    struct cczi_msg_key_req req = {0};
    struct cczi_kms_key_spec spec;
    struct cczi_kms_key_meta m;
    ccz_rc rc = take(&req, &spec, &m, call, cczi_msg_import_token_req, err);
    if (rc == CCZ_OK)
        rc = need_wrapping(call, err);
    if (rc != CCZ_OK)
        return rc;
    CCZ_AUTO_BUF token;
    CCZ_AUTO_BUF spki;
    ccz_buf_init(&token, CCZI_KMS_IMPORT_TOKEN_SIZE_MAX);
    ccz_buf_init(&spki, CCZ_PKEY_SPKI_SIZE_MAX);
    const struct cczi_kms_import what = {call->ref.name, spec, im->wrapping};
    int64_t life_s = req.life_s ? (int64_t)req.life_s : CCZI_KMS_IMPORT_LIFE_S;
    rc = cczi_kms_import_token(&token, im->token_key, &what, life_s, call->req->now_s, err);
    if (rc == CCZ_OK && ccz_pkey_spki(&spki, im->wrapping) != CCZ_OK)
        rc = ccz_fail(err, CCZ_E_NOMEM, "kms:key-memory", 0, "out of memory");
    if (rc != CCZ_OK)
        return rc;
    struct cczi_msg_import_token_resp out = {.wrapping_key = ccz_buf_span(&spki),
                                             .token = ccz_buf_span(&token),
                                             .expires_s = (uint64_t)(call->req->now_s + life_s)};
    cczi_msg_put(response, cczi_msg_import_token_resp, &out);
    return CCZ_OK;
}

/* --------------------------------------------------------------------------- import */

static void run_import(struct cczi_kms_work *w)
{
    struct cczi_kms_importer *im = w->importer;
    pthread_mutex_lock(&im->lock);
    const struct cczi_kms_import what = {w->name, w->spec, im->wrapping};
    w->rc = cczi_kms_import_open(&w->material, im->used, im->token_key, &what, w->token, w->blob,
                                 w->now_s, &w->err);
    pthread_mutex_unlock(&im->lock);
}

/* Whether what was opened is what is to be stored: the key may have been destroyed and made again as something else meanwhile. */
static ccz_rc check_promise(const struct cczi_kms_work *done, const struct cczi_kms_call *call,
                            const struct cczi_kms_key_spec *now, struct ccz_err *err)
{
    const struct cczi_kms_key_spec *then = &done->spec;
    if (strcmp(done->name, call->ref.name) == 0 && then->kind == now->kind &&
        then->ops == now->ops && then->exportable == now->exportable &&
        then->imported == now->imported && then->unattested_insecure == now->unattested_insecure &&
        then->expires_s == now->expires_s && then->rotate_every_s == now->rotate_every_s)
        return CCZ_OK;
    ccz_refuse(err, CCZ_E_MISMATCH, "kms:import-changed", "a key that is something else by now",
               "the key that the token was asked for");
    return cczi_kms_hint(err, CCZ_E_MISMATCH);
}

static ccz_rc open_blob(const struct ccz_secret **material, struct cczi_kms_call *call,
                        const struct cczi_msg_key_req *req, const struct cczi_kms_key_spec *spec,
                        uint32_t version, struct ccz_err *err)
{
    const struct cczi_kms_work *done = cczi_kms_work_of(call, NULL);
    if (done) {
        *material = done->material;
        if (done->rc == CCZ_OK)
            return check_promise(done, call, spec, err);
        *err = done->err;
        return cczi_kms_hint(err, done->rc);
    }
    struct cczi_kms_importer *im = call->store->importer;
    if (!atomic_load(&im->wrapping)) { /* then nobody has a token of ours */
        ccz_fail(err, CCZ_E_SIG, "kms:import-token", 0, "this server has given no token");
        return cczi_kms_hint(err, CCZ_E_SIG);
    }
    CCZ_AUTO(cczi_kms_work) w = NULL;
    const struct cczi_kms_slot slot = {.ref = call->ref, .version = version};
    ccz_rc rc = cczi_kms_quota_item(call->store, &slot, 0, err); /* before the token is spent */
    if (rc == CCZ_OK)
        rc = cczi_kms_work_new(&w, run_import, err);
    if (rc != CCZ_OK)
        return rc;
    w->importer = im;
    w->spec = *spec;
    w->kind = spec->kind;
    w->makes = true;
    w->token = req->token;
    w->blob = req->blob;
    w->now_s = call->req->now_s;
    memcpy(w->name, call->ref.name, sizeof(w->name));
    return cczi_kms_later(call, &w, err);
}

CCZI_KMS_RUN(import)
{
    struct cczi_msg_key_req req = {0};
    struct cczi_kms_key_spec spec;
    struct cczi_kms_key_meta m;
    const struct ccz_secret *material = NULL;
    ccz_rc rc = take(&req, &spec, &m, call, cczi_msg_import_req, err);
    if (rc == CCZ_OK)
        rc = open_blob(&material, call, &req, &spec, m.latest, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_put_key(response, call, &m, material, (struct ccz_span){0}, err);
    if (rc == CCZ_OK && req.policy.size)
        rc = cczi_kms_bind_to(call, req.policy, CCZI_OP_RELEASE, err);
    return rc;
}
