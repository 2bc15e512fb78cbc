/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a bundle from decrypted files. Who could have written what is read, at each step: anybody with the key until the
 * signature is checked, afterwards the trainer, as the digest of each file is in the manifest. Digests are compared before a
 * file is believed; vectors are copied while they are hashed, but nobody sees them before.
 */
#define _DEFAULT_SOURCE
#include "bundle_priv.h"
#include "recsys_priv.h"

#include <cczoo/recsys_order.h>
#include <cczoo/x509.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 1 << 18 };

struct ccz_recsys_bundle {
    struct ccz_recsys_manifest manifest;
    struct ccz_recsys_contents contents; /* points to what follows */
    struct ccz_recsys_model *model;
    struct ccz_recsys_csr *seen;
    struct ccz_recsys_ids *user, *item;
    struct ccz_recsys_titles *titles;
    struct ccz_buf cert;
};

struct reader {
    const struct ccz_model_cfg *from;
    const struct ccz_recsys_bundle_cfg *cfg;
    struct ccz_recsys_bundle *b;
    struct cczi_bundle_file files[CCZI_PARTS];
};

static ccz_rc find(size_t *at, const struct reader *r, const char *name, struct ccz_err *err)
{
    for (*at = 0; *at < r->from->files_len; ++*at)
        if (strcmp(r->from->files[*at].name, name) == 0)
            return CCZ_OK;
    return ccz_fail(err, CCZ_E_NOT_FOUND, "recsys:bundle-file", 0, "the bundle has no file %s",
                    name);
}

static ccz_rc read_small(struct ccz_buf *out, const struct reader *r, const char *name,
                         size_t size_max, struct ccz_err *err)
{
    size_t at;
    ccz_buf_init(out, size_max);
    ccz_rc rc = find(&at, r, name, err);
    if (rc != CCZ_OK)
        return rc;
    const uint64_t size = r->from->files[at].size;
    if (size > size_max)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "recsys:bundle-size", (int64_t)size,
                              (int64_t)size_max);
    uint8_t *to = ccz_buf_extend(out, (size_t)size);
    if (!to)
        return size ? cczi_recsys_no_memory(err)
                    : ccz_fail(err, CCZ_E_FORMAT, "recsys:bundle-size", 0, "%s is empty", name);
    return r->from->read_at(r->from->arg, at, 0, to, (size_t)size, err);
}

/* ----------------------------------------------------------------------- signature, manifest */

/* "CCZRSIG1" || le32 size || certificate || r || s || zeros */
static ccz_rc split_signature(struct ccz_span *cert, struct ccz_span *sig, struct ccz_span file,
                              struct ccz_err *err)
{
    struct ccz_rd rd = ccz_rd_from(file);
    const struct ccz_span magic = ccz_rd_take(&rd, 8);
    *cert = ccz_rd_take(&rd, ccz_rd_le32(&rd));
    *sig = ccz_rd_take(&rd, 64);
    bool zeros = !rd.bad;
    for (size_t i = 0; zeros && i < rd.left; i++)
        zeros = rd.ptr[i] == 0;
    if (rd.bad || !zeros || !ccz_span_eq(magic, ccz_span_str("CCZRSIG1")))
        return ccz_fail(err, CCZ_E_FORMAT, "recsys:signature-file", 0,
                        "the file of the signature is cut short, or something else");
    return CCZ_OK;
}

static ccz_rc check_signature(struct reader *r, struct ccz_span manifest, struct ccz_err *err)
{
    static const char label[] = CCZI_BUNDLE_LABEL; /* its NUL ends it */
    const struct ccz_span parts[] = {CCZ_SPAN(label, sizeof(label)), manifest};
    struct ccz_span der, sig;
    CCZ_AUTO_BUF file;
    CCZ_AUTO(ccz_cert) cert = NULL;
    ccz_rc rc = read_small(&file, r, CCZI_BUNDLE_SIGNATURE, CCZI_SIGNATURE_SIZE_MAX, err);
    if (rc == CCZ_OK)
        rc = split_signature(&der, &sig, ccz_buf_span(&file), err);
    if (rc == CCZ_OK)
        rc = ccz_cert_parse(&cert, der, err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_key *key = ccz_cert_key(cert);
    if (!key || ccz_key_curve(key) != CCZ_P256)
        return ccz_fail(err, CCZ_E_UNSUPPORTED, "recsys:signature", 0,
                        "the trainer's key is no P-256 key");
    if (ccz_ecdsa_verify(key, sig.ptr, sig.size, parts, 2) != CCZ_OK)
        return ccz_refuse(err, CCZ_E_SIG, "recsys:signature", "another manifest, or another key",
                          "what the trainer signed");
    ccz_buf_init(&r->b->cert, CCZ_CERT_SIZE_MAX);
    ccz_buf_put_span(&r->b->cert, der);
    if (r->b->cert.bad)
        return cczi_recsys_no_memory(err);
    return r->cfg->trainer ? r->cfg->trainer(r->cfg->arg, der, err) : CCZ_OK;
}

static ccz_rc refuse_digest(struct ccz_err *err, const char *where, const uint8_t got[32],
                            const uint8_t expected[32], const char *hint)
{
    return ccz_hint(err, ccz_refuse_bytes(err, CCZ_E_POLICY, where, got, 32, expected, 32), hint);
}

static bool same_parameters(const struct ccz_recsys_als_cfg *a, const struct ccz_recsys_als_cfg *b)
{
    return a->kind == b->kind && a->solver == b->solver && a->cg_steps == b->cg_steps &&
           a->factors == b->factors && a->iterations == b->iterations && a->reg == b->reg &&
           a->alpha == b->alpha && a->unobserved == b->unobserved && a->nu == b->nu &&
           a->seed == b->seed && a->biases == b->biases && a->nonneg == b->nonneg;
}

/* The digest says all of it of a trainer that does as it is told; the rest is what the reader needs not take on trust. */
static ccz_rc check_order(const struct ccz_recsys_manifest *m, const struct ccz_recsys_order *o,
                          struct ccz_err *err)
{
    if (memcmp(m->order_sha256, o->sha256, 32) != 0)
        return refuse_digest(err, "recsys:order", m->order_sha256, o->sha256,
                             "made for another order, or for none (zeros): a new version of the "
                             "order needs a new model");
    if (strcmp(m->trainer, o->trainer) != 0)
        return ccz_refuse(err, CCZ_E_POLICY, "recsys:trainer-kind", m->trainer, o->trainer);
    if (strcmp(m->name, o->name) != 0)
        return ccz_refuse(err, CCZ_E_POLICY, "recsys:model-name", m->name, o->name);
    if (strcmp(m->key, o->model_key) != 0)
        return ccz_refuse(err, CCZ_E_POLICY, "recsys:model-key", m->key, o->model_key);
    if (memcmp(m->titles_sha256, o->data.titles_sha256, 32) != 0)
        return refuse_digest(err, "recsys:titles", m->titles_sha256, o->data.titles_sha256,
                             "the model has the titles of another file");
    if (memcmp(m->parent_sha256, o->parent_sha256, 32) != 0)
        return refuse_digest(err, "recsys:parent", m->parent_sha256, o->parent_sha256,
                             "the model was made to follow another one");
    if (!same_parameters(&m->als, &o->als))
        return ccz_refuse(err, CCZ_E_POLICY, "recsys:parameters", "other parameters of the model",
                          "those of the order");
    return memcmp(m->data_sha256, o->data.sha256, 32) == 0
               ? CCZ_OK
               : refuse_digest(err, "recsys:data", m->data_sha256, o->data.sha256,
                               "the model was trained on another file of ratings");
}

static ccz_rc check_versions(const struct reader *r, struct ccz_err *err)
{
    const struct ccz_recsys_manifest *m = &r->b->manifest;
    const struct ccz_recsys_bundle_cfg *c = r->cfg;
    char got[64], expected[64];
    if (c->name && strcmp(c->name, m->name) != 0)
        return ccz_refuse(err, CCZ_E_POLICY, "recsys:model-name", m->name, c->name);
    if (!c->any_key_version_insecure && m->key_version != c->key_version) {
        (void)snprintf(got, sizeof(got), "version %u of the key", m->key_version);
        (void)snprintf(expected, sizeof(expected), "version %u", c->key_version);
        return ccz_refuse(err, CCZ_E_POLICY, "recsys:rolled-back", got, expected);
    }
    if (m->version < c->version_min) {
        (void)snprintf(got, sizeof(got), "version %llu of the model",
                       (unsigned long long)m->version);
        (void)snprintf(expected, sizeof(expected), "version %llu or newer",
                       (unsigned long long)c->version_min);
        return ccz_refuse(err, CCZ_E_POLICY, "recsys:rolled-back", got, expected);
    }
    if (c->trainer_kind && strcmp(c->trainer_kind, m->trainer) != 0)
        return ccz_refuse(err, CCZ_E_POLICY, "recsys:trainer-kind", m->trainer, c->trainer_kind);
    if (c->data_sha256 && memcmp(c->data_sha256, m->data_sha256, 32) != 0)
        return refuse_digest(err, "recsys:data", m->data_sha256, c->data_sha256,
                             "the model was trained on another file of ratings");
    return c->order ? check_order(m, c->order, err) : CCZ_OK;
}

static ccz_rc read_manifest(struct reader *r, struct ccz_err *err)
{
    CCZ_AUTO_BUF text;
    ccz_rc rc = read_small(&text, r, CCZI_BUNDLE_MANIFEST, CCZI_MANIFEST_SIZE_MAX, err);
    if (rc == CCZ_OK)
        rc = check_signature(r, ccz_buf_span(&text), err);
    if (rc == CCZ_OK)
        rc = cczi_manifest_parse(&r->b->manifest, r->files, ccz_buf_span(&text), err);
    return rc == CCZ_OK ? check_versions(r, err) : rc;
}

/* ------------------------------------------------------------------------------------ parts */

/* One file from front to back; what was read is believed when part_end() has agreed. */
struct part {
    const struct reader *r;
    enum cczi_bundle_part which;
    size_t at;
    uint64_t offset, size; /* rounded up */
    struct ccz_hasher *hash;
};

static ccz_rc part_begin(struct part *p, const struct reader *r, enum cczi_bundle_part which,
                         struct ccz_err *err)
{
    *p = (struct part){.r = r, .which = which};
    ccz_rc rc = find(&p->at, r, cczi_bundle_part_name(which), err);
    if (rc != CCZ_OK)
        return rc;
    p->size = r->from->files[p->at].size;
    if (p->size != cczi_bundle_rounded(r->files[which].size))
        return ccz_refuse(err, CCZ_E_SIG, "recsys:digest", cczi_bundle_part_name(which),
                          "a file of the size that the manifest says");
    return ccz_hasher_new(&p->hash, CCZ_SHA256) == CCZ_OK ? CCZ_OK : cczi_recsys_no_memory(err);
}

static ccz_rc part_read(void *to, struct part *p, uint64_t size, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    for (uint8_t *at = to; rc == CCZ_OK && size;) {
        const size_t n = size < CHUNK ? (size_t)size : CHUNK;
        rc = p->r->from->read_at(p->r->from->arg, p->at, p->offset, at, n, err);
        if (rc == CCZ_OK)
            rc = ccz_hasher_put(p->hash, CCZ_SPAN(at, n));
        p->offset += n;
        at += n;
        size -= n;
    }
    return rc;
}

static ccz_rc refuse_part(struct ccz_err *err, enum cczi_bundle_part which, const uint8_t got[32],
                          const uint8_t expected[32])
{
    char text[2][CCZ_ERR_VALUE_SIZE], hex[65];
    ccz_hex(hex, got, 32);
    (void)snprintf(text[0], sizeof(text[0]), "%s %s", cczi_bundle_part_name(which), hex);
    ccz_hex(hex, expected, 32);
    (void)snprintf(text[1], sizeof(text[1]), "%s", hex);
    return ccz_refuse(err, CCZ_E_SIG, "recsys:digest", text[0], text[1]);
}

/* Passes what rounds the file up; @p rc is what happened before. */
static ccz_rc part_end(struct part *p, ccz_rc rc, struct ccz_err *err)
{
    uint8_t block[4096], sha256[32];
    while (rc == CCZ_OK && p->offset < p->size) {
        const uint64_t left = p->size - p->offset;
        rc = part_read(block, p, left < sizeof(block) ? left : sizeof(block), err);
    }
    if (rc == CCZ_OK)
        rc = ccz_hasher_done(sha256, p->hash);
    ccz_hasher_free(p->hash);
    if (rc == CCZ_OK && memcmp(sha256, p->r->files[p->which].sha256, 32) != 0)
        rc = refuse_part(err, p->which, sha256, p->r->files[p->which].sha256);
    return rc;
}

/* What is read must be as large as the counts of the manifest ask for. */
static ccz_rc want_size(const struct part *p, uint64_t size, struct ccz_err *err)
{
    const uint64_t got = p->r->files[p->which].size;
    return got == size ? CCZ_OK
                       : ccz_fail(err, CCZ_E_MISMATCH, "recsys:contents", (int64_t)p->which,
                                  "%s does not have the size that its counts ask for",
                                  cczi_bundle_part_name(p->which));
}

static ccz_rc read_bytes(struct ccz_buf *out, const struct reader *r, enum cczi_bundle_part which,
                         struct ccz_err *err)
{
    struct part p;
    ccz_buf_init(out, SIZE_MAX >> 1);
    out->wipe = true;
    ccz_rc rc = part_begin(&p, r, which, err);
    if (rc == CCZ_OK) {
        uint8_t *to = ccz_buf_extend(out, (size_t)r->files[which].size);
        rc = to ? part_read(to, &p, r->files[which].size, err) : cczi_recsys_no_memory(err);
    }
    return part_end(&p, rc, err);
}

static ccz_rc read_names(struct reader *r, struct ccz_err *err)
{
    struct ccz_recsys_bundle *b = r->b;
    for (int which = CCZI_PART_USER_IDS; which <= CCZI_PART_TITLES; which++) {
        CCZ_AUTO_BUF bytes;
        if (which == CCZI_PART_TITLES && r->files[which].size == 0)
            return CCZ_OK;
        ccz_rc rc = read_bytes(&bytes, r, (enum cczi_bundle_part)which, err);
        if (rc == CCZ_OK && which == CCZI_PART_TITLES)
            rc = ccz_recsys_titles_parse(&b->titles, ccz_buf_span(&bytes), err);
        else if (rc == CCZ_OK)
            rc = ccz_recsys_ids_parse(which == CCZI_PART_USER_IDS ? &b->user : &b->item,
                                      ccz_buf_span(&bytes), err);
        if (rc != CCZ_OK)
            return rc;
    }
    return CCZ_OK;
}

static bool rows_ok(const struct ccz_recsys_csr *m)
{
    if (m->start[0] != 0 || m->start[m->rows] != m->len)
        return false;
    for (uint32_t r = 0; r < m->rows; r++) {
        if (m->start[r] > m->start[r + 1] || m->start[r + 1] > m->len) /* before it is followed */
            return false;
        for (uint64_t i = m->start[r]; i < m->start[r + 1]; i++)
            if (m->col[i] >= m->cols || (i > m->start[r] && m->col[i] <= m->col[i - 1]) ||
                !isfinite(m->value[i]))
                return false;
    }
    return true;
}

static ccz_rc read_seen(struct reader *r, struct ccz_err *err)
{
    const struct ccz_recsys_manifest *m = &r->b->manifest;
    struct part p;
    ccz_rc rc = part_begin(&p, r, CCZI_PART_SEEN, err);
    if (rc == CCZ_OK)
        rc = want_size(&p, cczi_bundle_seen_size(m->users, m->ratings), err);
    if (rc == CCZ_OK)
        rc = cczi_recsys_csr_alloc(&r->b->seen, m->users, m->items, m->ratings, err);
    struct ccz_recsys_csr *seen = r->b->seen;
    if (rc == CCZ_OK)
        rc = part_read(seen->start, &p, ((uint64_t)m->users + 1) * sizeof(*seen->start), err);
    if (rc == CCZ_OK)
        rc = part_read(seen->col, &p, m->ratings * sizeof(*seen->col), err);
    if (rc == CCZ_OK)
        rc = part_read(seen->value, &p, m->ratings * sizeof(*seen->value), err);
    rc = part_end(&p, rc, err);
    if (rc == CCZ_OK && !rows_ok(seen))
        rc = ccz_fail(
            err, CCZ_E_FORMAT, "recsys:seen", 0,
            "the history is no matrix: rows or columns do not ascend, or a value is not finite");
    return rc;
}

static bool all_finite(const float *v, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!isfinite(v[i]))
            return false;
    return true;
}

static ccz_rc read_factors(struct ccz_recsys_factors *f, const struct reader *r,
                           enum cczi_bundle_part which, uint32_t len, struct ccz_err *err)
{
    const struct ccz_recsys_als_cfg *a = &r->b->manifest.als;
    struct part p;
    ccz_rc rc = part_begin(&p, r, which, err);
    if (rc == CCZ_OK)
        rc = want_size(&p, cczi_bundle_factors_size(len, a->factors, a->biases), err);
    if (rc == CCZ_OK)
        rc = ccz_recsys_factors_init(f, len, a->factors, a->biases, err);
    const size_t row = a->factors * sizeof(float), rows_max = CHUNK / row;
    CCZ_AUTO_BUF chunk;
    ccz_buf_init(&chunk, CHUNK);
    chunk.wipe = true;
    for (uint32_t i = 0; rc == CCZ_OK && i < len;) {
        const size_t n = len - i < rows_max ? len - i : rows_max;
        ccz_buf_clear(&chunk);
        uint8_t *to = ccz_buf_extend(&chunk, n * row);
        rc = to ? part_read(to, &p, n * row, err) : cczi_recsys_no_memory(err);
        for (size_t k = 0; rc == CCZ_OK && k < n; k++, i++)
            memcpy(ccz_recsys_row(f, i), to + k * row, row);
    }
    if (rc == CCZ_OK && f->bias)
        rc = part_read(f->bias, &p, (uint64_t)len * sizeof(*f->bias), err);
    rc = part_end(&p, rc, err);
    if (rc == CCZ_OK &&
        (!all_finite(f->v, (size_t)len * f->stride) || (f->bias && !all_finite(f->bias, len))))
        rc = ccz_fail(err, CCZ_E_FORMAT, "recsys:factors", 0, "%s has a number that is not finite",
                      cczi_bundle_part_name(which));
    return rc;
}

/* ----------------------------------------------------------------------------------- public */

static ccz_rc check_cfg(const struct ccz_recsys_bundle_cfg *cfg, struct ccz_err *err)
{
    if (!cfg->trainer == !cfg->any_trainer_insecure)
        return ccz_fail(err, CCZ_E_ARG, "recsys:trainer-hook", 0,
                        "say who may have trained the model, or that anybody may");
    if (!cfg->key_version == !cfg->any_key_version_insecure)
        return ccz_fail(err, CCZ_E_ARG, "recsys:key-version", 0,
                        "say which version of the key is the latest, or that any will do");
    return CCZ_OK;
}

static ccz_rc read_all(struct reader *r, struct ccz_err *err)
{
    struct ccz_recsys_bundle *b = r->b;
    const struct ccz_recsys_manifest *m = &b->manifest;
    ccz_rc rc = read_manifest(r, err);
    if (rc == CCZ_OK)
        rc = read_names(r, err);
    if (rc == CCZ_OK)
        rc = read_seen(r, err);
    if (rc == CCZ_OK && !(b->model = calloc(1, sizeof(*b->model))))
        rc = cczi_recsys_no_memory(err);
    if (rc == CCZ_OK)
        rc = read_factors(&b->model->user, r, CCZI_PART_USER, m->users, err);
    if (rc == CCZ_OK)
        rc = read_factors(&b->model->item, r, CCZI_PART_ITEM, m->items, err);
    if (rc != CCZ_OK)
        return rc;
    b->model->mean = m->mean;
    if (ccz_recsys_ids_len(b->user) != m->users || ccz_recsys_ids_len(b->item) != m->items ||
        (b->titles && ccz_recsys_titles_len(b->titles) != m->items))
        return ccz_fail(err, CCZ_E_MISMATCH, "recsys:contents", 0,
                        "ids or titles are of another number of users or items");
    b->contents = (struct ccz_recsys_contents){
        .model = b->model, .seen = b->seen, .user = b->user, .item = b->item, .titles = b->titles};
    return CCZ_OK;
}

ccz_rc ccz_recsys_bundle_read(struct ccz_recsys_bundle **out, const struct ccz_model_cfg *files,
                              const struct ccz_recsys_bundle_cfg *cfg, struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = check_cfg(cfg, err);
    if (rc != CCZ_OK)
        return rc;
    CCZ_AUTO(ccz_recsys_bundle) b = calloc(1, sizeof(*b));
    if (!b)
        return cczi_recsys_no_memory(err);
    struct reader r = {.from = files, .cfg = cfg, .b = b};
    rc = read_all(&r, err);
    if (rc == CCZ_OK)
        *out = ccz_recsys_bundle_take(&b);
    return rc;
}

void ccz_recsys_bundle_free(struct ccz_recsys_bundle *b)
{
    if (!b)
        return;
    ccz_recsys_model_free(b->model);
    ccz_recsys_csr_free(b->seen);
    ccz_recsys_ids_free(b->user);
    ccz_recsys_ids_free(b->item);
    ccz_recsys_titles_free(b->titles);
    ccz_buf_free(&b->cert);
    free(b);
}

const struct ccz_recsys_manifest *ccz_recsys_bundle_manifest(const struct ccz_recsys_bundle *b)
{
    return &b->manifest;
}

const struct ccz_recsys_contents *ccz_recsys_bundle_contents(const struct ccz_recsys_bundle *b)
{
    return &b->contents;
}

struct ccz_span ccz_recsys_bundle_cert(const struct ccz_recsys_bundle *b)
{
    return ccz_buf_span(&b->cert);
}
