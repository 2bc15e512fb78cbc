/* SPDX-License-Identifier: Apache-2.0 */
/* cczoo kms key ...: keys that are released to workloads (aes-128, aes-256), and keys that work inside the KMS. Values come from
 * files or stdin and go to files of mode 0600; ciphertexts, MACs and public keys, which are none, to stdout. */
#include "json_out.h"
#include "kms_key.h"

#include "kms_opts.h"
#include "kms_roles.h"
#include "kms_session.h"
#include "kms_show.h"

#include <cczoo/codec.h>
#include <cczoo/kms_use.h>

#include <stdio.h>
#include <string.h>

struct key_opts {
    struct kms_reach reach;
    const char *alg, *ops, *bind, *expires, *metadata, *from, *out, *every;
    const char *aad, *hash, *form, *padding, *signature, *mac, *token;
    int64_t version, if_version, size, decrypt, encrypt, life_s;
    bool new_version, exportable, unattested, prehashed, json, propose;
    int64_t valid_days;
};

typedef ccz_rc verb_fn(struct kms_session *s, const struct key_opts *o, char **args,
                       struct ccz_err *err);

/* ------------------------------------------------------------------------------ helpers */

static struct ccz_span text_of(const char *s)
{
    return s ? ccz_span_str(s) : (struct ccz_span){0};
}

static ccz_rc time_of(int64_t *out, const char *text, struct ccz_err *err)
{
    *out = 0;
    if (!text || strcmp(text, "never") == 0)
        return CCZ_OK;
    if (ccz_time_parse(out, text, strlen(text)) == CCZ_OK)
        return CCZ_OK;
    return ccz_refuse(err, CCZ_E_FORMAT, "kms:expires", text, "YYYY-MM-DDThh:mm:ssZ, or never");
}

/* "90d", "12h", "0": a number and its unit, as seconds. */
static ccz_rc period_of(int64_t *out, const char *text, struct ccz_err *err)
{
    int64_t n = 0;
    const char *p = text;
    *out = 0;
    for (; p && *p >= '0' && *p <= '9' && n < 100000000; p++)
        n = 10 * n + (*p - '0');
    bool unit = p && p != text && (*p == 'd' || *p == 'h') && p[1] == 0;
    if (!text || strcmp(text, "0") == 0)
        return CCZ_OK;
    if (!unit)
        return ccz_refuse(err, CCZ_E_FORMAT, "kms:period", text, "90d, 12h or 0");
    *out = n * (*p == 'd' ? 86400 : 3600);
    return CCZ_OK;
}

/* @return rc; tells of the change if there was one */
static ccz_rc done(ccz_rc rc, const struct key_opts *o, const char *what, const char *key,
                   uint32_t version, const struct ccz_kms_receipt *r)
{
    if (rc != CCZ_OK)
        return rc;
    kms_show_change(o->json, what, "key", key, version, r);
    return CCZ_OK;
}

static void proposed(const struct key_opts *o, const struct ccz_kms_proposed *p)
{
    const struct kms_roles_opts how = {.json = o->json};
    kms_show_proposed(&how, p);
}

static uint32_t valid_s(const struct key_opts *o)
{
    return (uint32_t)o->valid_days * 86400;
}

/* A result that is no value, as talk beside it. */
static void used(const char *what, const char *key, const struct ccz_kms_use *u)
{
    ui_say("%s key/%s version %u, audit line %llu", what, key, u->version,
           (unsigned long long)u->receipt.audit_seq);
}

static ccz_rc write_secret(const struct key_opts *o, const struct ccz_secret *s,
                           struct ccz_err *err)
{
    struct ccz_span bytes = CCZ_SPAN(ccz_secret_view(s), ccz_secret_size(s));
    if (strcmp(o->out, "-") != 0)
        return ccz_file_write(o->out, bytes, 0600, CCZ_FILE_CREATE_ONLY, err);
    if (ui_out_is_terminal())
        return ccz_refuse(err, CCZ_E_ARG, "kms:terminal", "a terminal", "a file, or a pipe");
    ui_out_span(bytes);
    return CCZ_OK;
}

static ccz_rc write_bytes(const struct key_opts *o, const struct ccz_buf *b, struct ccz_err *err)
{
    if (strcmp(o->out, "-") != 0)
        return ccz_file_write(o->out, ccz_buf_span(b), 0644, CCZ_FILE_CREATE_ONLY, err);
    if (ui_out_is_terminal())
        return ccz_refuse(err, CCZ_E_ARG, "kms:terminal", "a terminal", "a file, or a pipe");
    ui_out_span(ccz_buf_span(b));
    return CCZ_OK;
}

/* A ciphertext as text, without the end of its line. */
static ccz_rc read_sealed(struct ccz_buf *out, const char *file, struct ccz_err *err)
{
    ccz_rc rc = kms_read_text(out, file, err);
    while (rc == CCZ_OK && out->size && out->ptr[out->size - 1] == '\n')
        out->size--;
    return rc;
}

/* ------------------------------------------------------------------------- make, import */

/* aes-128 and aes-256 are released to workloads; every other kind works inside. */
static bool is_released(const char *alg)
{
    return strcmp(alg, "aes-128") == 0 || strcmp(alg, "aes-256") == 0;
}

static ccz_rc put_released(struct kms_session *s, const struct key_opts *o, const char *name,
                           const char *alg, const struct ccz_secret *value, struct ccz_err *err)
{
    struct ccz_kms_receipt receipt;
    uint32_t version = 0;
    struct ccz_kms_put put = {.name = name,
                              .alg = alg,
                              .policy = o->bind,
                              .new_version = o->new_version,
                              .value = value,
                              .check_version = o->if_version >= 0,
                              .if_version = o->if_version >= 0 ? (uint32_t)o->if_version : 0,
                              .metadata = o->metadata};
    if (o->ops || o->exportable || o->unattested || o->every || o->propose)
        return ccz_refuse(err, CCZ_E_ARG, "kms:key-unmanaged", alg,
                          "a kind that works inside, for these options");
    ccz_rc rc = time_of(&put.expires_s, o->expires, err);
    if (rc == CCZ_OK)
        rc = ccz_kms_create_key(&version, &receipt, s->client, &put, err);
    return done(rc, o, value ? "imported" : "created", name, version, &receipt);
}

static ccz_rc spec_of(struct ccz_kms_key_spec *out, const struct key_opts *o, const char *name,
                      const char *alg, struct ccz_err *err)
{
    *out = (struct ccz_kms_key_spec){.name = name,
                                     .kind = alg,
                                     .ops = o->ops,
                                     .policy = o->bind,
                                     .exportable = o->exportable,
                                     .unattested_insecure = o->unattested};
    if (o->metadata || o->if_version >= 0)
        return ccz_refuse(err, CCZ_E_ARG, "kms:key-managed", alg,
                          "aes-128 or aes-256, for these options");
    ccz_rc rc = time_of(&out->expires_s, o->expires, err);
    return rc == CCZ_OK ? period_of(&out->rotate_every_s, o->every, err) : rc;
}

static ccz_rc create(struct kms_session *s, const struct key_opts *o, char **args,
                     struct ccz_err *err)
{
    const char *alg = o->alg ? o->alg : "aes-256";
    struct ccz_kms_key_spec spec;
    struct ccz_kms_receipt receipt;
    struct ccz_kms_proposed p;
    if (is_released(alg))
        return put_released(s, o, args[0], alg, NULL, err);
    ccz_rc rc = spec_of(&spec, o, args[0], alg, err);
    if (rc == CCZ_OK && o->new_version)
        rc = ccz_refuse(err, CCZ_E_ARG, "kms:key-managed", "--new-version", "cczoo kms key rotate");
    if (rc == CCZ_OK && o->propose) {
        rc = ccz_kms_propose_key(&p, s->client, &spec, valid_s(o), err);
        if (rc == CCZ_OK)
            proposed(o, &p);
        return rc;
    }
    if (rc == CCZ_OK)
        rc = ccz_kms_key_generate(&receipt, s->client, &spec, err);
    return done(rc, o, "created", args[0], 1, &receipt);
}

static ccz_rc import(struct kms_session *s, const struct key_opts *o, char **args,
                     struct ccz_err *err)
{
    CCZ_AUTO(ccz_secret) value = NULL;
    ccz_rc rc = kms_read_value(&value, o->from, err);
    if (rc != CCZ_OK)
        return rc;
    const char *alg = o->alg ? o->alg : ccz_secret_size(value) == 16 ? "aes-128" : "aes-256";
    if (is_released(alg))
        return put_released(s, o, args[0], alg, value, err);
    struct ccz_kms_key_spec spec;
    struct ccz_kms_receipt receipt;
    uint32_t version = 0;
    rc = spec_of(&spec, o, args[0], alg, err);
    if (rc == CCZ_OK)
        rc = ccz_kms_key_import(&version, &receipt, s->client, &spec, o->new_version, value, err);
    return done(rc, o, "imported", args[0], version, &receipt);
}

/* For whoever wraps his key elsewhere, as in an HSM. */
static ccz_rc import_token(struct kms_session *s, const struct key_opts *o, char **args,
                           struct ccz_err *err)
{
    struct ccz_kms_import p;
    struct ccz_kms_key_spec spec;
    char at[21];
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 4096);
    ccz_kms_import_init(&p);
    ccz_rc rc = spec_of(&spec, o, args[0], o->alg ? o->alg : "aes-256-gcm", err);
    if (rc == CCZ_OK)
        rc = ccz_kms_import_token(&p, s->client, &spec, o->new_version, o->life_s, err);
    if (rc == CCZ_OK) {
        ccz_time_format(at, p.expires_s);
        ccz_buf_printf(&b, "{\"token\":\"%s\",\"expires\":\"%s\",\"wrapping_key\":\"", p.token, at);
        ccz_base64_put(&b, ccz_buf_span(&p.wrapping_key), CCZ_BASE64_STD);
        ui_out("%s\"}\n", ccz_buf_str(&b));
    }
    ccz_kms_import_deinit(&p);
    return rc;
}

static ccz_rc import_wrapped(struct kms_session *s, const struct key_opts *o, char **args,
                             struct ccz_err *err)
{
    struct ccz_kms_key_spec spec;
    struct ccz_kms_receipt receipt;
    uint32_t version = 0;
    CCZ_AUTO_BUF blob;
    ccz_buf_init(&blob, CCZ_KMS_VALUE_SIZE_MAX);
    ccz_rc rc = kms_read_text(&blob, o->from, err);
    if (rc == CCZ_OK)
        rc = spec_of(&spec, o, args[0], o->alg ? o->alg : "aes-256-gcm", err);
    if (rc == CCZ_OK)
        rc = ccz_kms_import_blob(&version, &receipt, s->client, &spec, o->new_version, o->token,
                                 ccz_buf_span(&blob), err);
    return done(rc, o, "imported", args[0], version, &receipt);
}

/* ------------------------------------------------------------------------------- manage */

static ccz_rc rotate(struct kms_session *s, const struct key_opts *o, char **args,
                     struct ccz_err *err)
{
    struct ccz_kms_receipt r;
    uint32_t version = 0;
    ccz_rc rc = ccz_kms_key_rotate(&version, &r, s->client, args[0], err);
    return done(rc, o, "rotated", args[0], version, &r);
}

static ccz_rc minimum(struct kms_session *s, const struct key_opts *o, char **args,
                      struct ccz_err *err)
{
    struct ccz_kms_receipt r;
    ccz_rc rc = ccz_kms_key_set_minimum(&r, s->client, args[0], (uint32_t)o->decrypt,
                                        (uint32_t)o->encrypt, err);
    return done(rc, o, "changed", args[0], 0, &r);
}

static ccz_rc period(struct kms_session *s, const struct key_opts *o, char **args,
                     struct ccz_err *err)
{
    struct ccz_kms_receipt r;
    int64_t every_s = 0;
    ccz_rc rc = period_of(&every_s, args[1], err);
    if (rc == CCZ_OK)
        rc = ccz_kms_key_set_period(&r, s->client, args[0], every_s, err);
    return done(rc, o, "changed", args[0], 0, &r);
}

static ccz_rc expiry(struct kms_session *s, const struct key_opts *o, char **args,
                     struct ccz_err *err)
{
    struct ccz_kms_receipt r;
    int64_t expires_s = 0;
    ccz_rc rc = time_of(&expires_s, args[1], err);
    if (rc == CCZ_OK && o->propose) {
        struct ccz_kms_proposed p;
        rc = ccz_kms_propose_expiry(&p, s->client, args[0], expires_s, valid_s(o), err);
        if (rc == CCZ_OK)
            proposed(o, &p);
        return rc;
    }
    if (rc == CCZ_OK)
        rc = ccz_kms_key_set_expiry(&r, s->client, args[0], expires_s, err);
    return done(rc, o, "changed", args[0], 0, &r);
}

static ccz_rc set_binding(struct kms_session *s, const struct key_opts *o, const char *key,
                          const char *op, const char *policy, struct ccz_err *err)
{
    struct ccz_kms_receipt r;
    struct ccz_kms_proposed p;
    ccz_rc rc = o->propose
                    ? ccz_kms_propose_bind_op(&p, s->client, key, op, policy, valid_s(o), err)
                    : ccz_kms_bind_op(&r, s->client, key, op, policy, err);
    if (!o->propose)
        return done(rc, o, policy ? "bound" : "unbound", key, 0, &r);
    if (rc == CCZ_OK)
        proposed(o, &p);
    return rc;
}

static ccz_rc bind_op(struct kms_session *s, const struct key_opts *o, char **args,
                      struct ccz_err *err)
{
    return set_binding(s, o, args[0], args[1], args[2], err);
}

static ccz_rc unbind_op(struct kms_session *s, const struct key_opts *o, char **args,
                        struct ccz_err *err)
{
    return set_binding(s, o, args[0], args[1], NULL, err);
}

static void say_time(const char *what, int64_t t_s)
{
    char at[21];
    ccz_time_format(at, t_s);
    if (t_s)
        ui_out("%s %s\n", what, at);
}

static void put_info(const struct ccz_kms_key_info *k, const char *name)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 16384);
    ccz_buf_put_str(&b, "{\"key\":");
    ccz_json_put_str(&b, ccz_span_str(name));
    put_text(&b, "kind", k->kind);
    put_text(&b, "ops", k->ops);
    ccz_buf_printf(&b, ",\"latest\":%u,\"min_decrypt\":%u,\"min_encrypt\":%u", k->latest,
                   k->min_decrypt, k->min_encrypt);
    ccz_buf_printf(&b,
                   ",\"exportable\":%s,\"imported\":%s,\"disabled\":%s,"
                   "\"unattested_insecure\":%s,\"rotate_every_s\":%lld",
                   k->exportable ? "true" : "false", k->imported ? "true" : "false",
                   k->disabled ? "true" : "false", k->unattested_insecure ? "true" : "false",
                   (long long)k->rotate_every_s);
    put_time(&b, "created", k->created_s);
    put_time(&b, "expires", k->expires_s);
    put_time(&b, "delete_after", k->delete_after_s);
    put_time(&b, "next_rotation", k->next_rotation_s);
    ccz_buf_put_str(&b, ",\"policies\":{");
    for (size_t i = 0; i < k->bindings_len; i++) {
        if (i)
            ccz_buf_put_str(&b, ",");
        ccz_json_put_str(&b, ccz_span_str(k->bindings[i].op[0] ? k->bindings[i].op : "default"));
        ccz_buf_put_str(&b, ":");
        ccz_json_put_str(&b, ccz_span_str(k->bindings[i].policy));
    }
    ui_out("%s}}\n", ccz_buf_str(&b));
}

static ccz_rc info(struct kms_session *s, const struct key_opts *o, char **args,
                   struct ccz_err *err)
{
    struct ccz_kms_key_info k;
    ccz_rc rc = ccz_kms_key_info(&k, s->client, args[0], err);
    if (rc != CCZ_OK)
        return rc;
    if (o->json) {
        put_info(&k, args[0]);
        return CCZ_OK;
    }
    ui_out("key/%s %s for %s\nlatest version %u, reads from %u, makes new things from %u\n%s%s%s%s",
           args[0], k.kind, k.ops, k.latest, k.min_decrypt,
           k.min_encrypt ? k.min_encrypt : k.latest, k.exportable ? "exportable\n" : "",
           k.imported ? "imported\n" : "", k.disabled ? "disabled\n" : "",
           k.unattested_insecure ? "clients use it without evidence\n" : "");
    say_time("created", k.created_s);
    say_time("expires", k.expires_s);
    say_time("DELETED, kept until at least", k.delete_after_s);
    say_time("rotates next", k.next_rotation_s);
    for (size_t i = 0; i < k.bindings_len; i++)
        ui_out("policy for %s: %s\n", k.bindings[i].op[0] ? k.bindings[i].op : "everything else",
               k.bindings[i].policy);
    return CCZ_OK;
}

/* ---------------------------------------------------------------------------------- use */

static ccz_rc encrypt(struct kms_session *s, const struct key_opts *o, char **args,
                      struct ccz_err *err)
{
    CCZ_AUTO(ccz_secret) text = NULL;
    CCZ_AUTO_BUF sealed;
    struct ccz_kms_use u;
    ccz_buf_init(&sealed, CCZ_KMS_MESSAGE_SIZE_MAX);
    ccz_rc rc = kms_read_value(&text, o->from, err);
    if (rc == CCZ_OK)
        rc = ccz_kms_encrypt(&sealed, &u, s->client, args[0], (uint32_t)o->version, text_of(o->aad),
                             text, err);
    if (rc == CCZ_OK) {
        ui_out("%s\n", ccz_buf_str(&sealed));
        used("encrypted with", args[0], &u);
    }
    return rc;
}

static ccz_rc decrypt(struct kms_session *s, const struct key_opts *o, char **args,
                      struct ccz_err *err)
{
    CCZ_AUTO(ccz_secret) text = NULL;
    CCZ_AUTO_BUF sealed;
    struct ccz_kms_use u;
    ccz_buf_init(&sealed, CCZ_KMS_MESSAGE_SIZE_MAX);
    ccz_rc rc = read_sealed(&sealed, o->from, err);
    if (rc == CCZ_OK)
        rc = ccz_kms_decrypt(&text, &u, s->client, args[0], text_of(o->aad), ccz_buf_str(&sealed),
                             err);
    if (rc == CCZ_OK)
        rc = write_secret(o, text, err);
    if (rc == CCZ_OK)
        used("decrypted with", args[0], &u);
    return rc;
}

static ccz_rc data_key(struct kms_session *s, const struct key_opts *o, char **args,
                       struct ccz_err *err)
{
    CCZ_AUTO(ccz_secret) plain = NULL;
    CCZ_AUTO_BUF sealed;
    struct ccz_kms_use u;
    ccz_buf_init(&sealed, CCZ_KMS_MESSAGE_SIZE_MAX);
    ccz_rc rc = ccz_kms_data_key(o->out ? &plain : NULL, &sealed, &u, s->client, args[0],
                                 (uint32_t)o->version, text_of(o->aad), (size_t)o->size, err);
    if (rc == CCZ_OK && o->out)
        rc = ccz_file_write(o->out, CCZ_SPAN(ccz_secret_view(plain), ccz_secret_size(plain)), 0600,
                            CCZ_FILE_CREATE_ONLY, err);
    if (rc == CCZ_OK) {
        ui_out("%s\n", ccz_buf_str(&sealed));
        used("made with", args[0], &u);
    }
    return rc;
}

static ccz_rc rewrap(struct kms_session *s, const struct key_opts *o, char **args,
                     struct ccz_err *err)
{
    CCZ_AUTO_BUF old;
    CCZ_AUTO_BUF sealed;
    struct ccz_kms_use u;
    ccz_buf_init(&old, CCZ_KMS_MESSAGE_SIZE_MAX);
    ccz_buf_init(&sealed, CCZ_KMS_MESSAGE_SIZE_MAX);
    ccz_rc rc = read_sealed(&old, o->from, err);
    if (rc == CCZ_OK)
        rc = ccz_kms_rewrap(&sealed, &u, s->client, args[0], (uint32_t)o->version, text_of(o->aad),
                            ccz_buf_str(&old), err);
    if (rc == CCZ_OK) {
        ui_out("%s\n", ccz_buf_str(&sealed));
        used("under", args[0], &u);
    }
    return rc;
}

static ccz_rc wrap(struct kms_session *s, const struct key_opts *o, char **args,
                   struct ccz_err *err)
{
    CCZ_AUTO(ccz_secret) text = NULL;
    CCZ_AUTO_BUF wrapped;
    struct ccz_kms_use u;
    ccz_buf_init(&wrapped, CCZ_KMS_MESSAGE_SIZE_MAX);
    ccz_rc rc = kms_read_value(&text, o->from, err);
    if (rc == CCZ_OK)
        rc = ccz_kms_wrap(&wrapped, &u, s->client, args[0], (uint32_t)o->version, text, err);
    if (rc == CCZ_OK)
        rc = write_bytes(o, &wrapped, err);
    if (rc == CCZ_OK)
        used("wrapped with", args[0], &u);
    return rc;
}

static ccz_rc unwrap(struct kms_session *s, const struct key_opts *o, char **args,
                     struct ccz_err *err)
{
    CCZ_AUTO(ccz_secret) text = NULL;
    CCZ_AUTO_BUF wrapped;
    struct ccz_kms_use u;
    ccz_buf_init(&wrapped, CCZ_KMS_MESSAGE_SIZE_MAX);
    ccz_rc rc = kms_read_text(&wrapped, o->from, err);
    if (rc == CCZ_OK)
        rc = ccz_kms_unwrap(&text, &u, s->client, args[0], (uint32_t)o->version,
                            ccz_buf_span(&wrapped), err);
    if (rc == CCZ_OK)
        rc = write_secret(o, text, err);
    if (rc == CCZ_OK)
        used("unwrapped with", args[0], &u);
    return rc;
}

static ccz_rc derive(struct kms_session *s, const struct key_opts *o, char **args,
                     struct ccz_err *err)
{
    CCZ_AUTO(ccz_secret) out = NULL;
    struct ccz_kms_use u;
    ccz_rc rc = ccz_kms_derive(&out, &u, s->client, args[0], (uint32_t)o->version,
                               ccz_span_str(args[1]), (size_t)o->size, err);
    if (rc == CCZ_OK)
        rc = write_secret(o, out, err);
    if (rc == CCZ_OK)
        used("derived from", args[0], &u);
    return rc;
}

static ccz_rc hmac(struct kms_session *s, const struct key_opts *o, char **args,
                   struct ccz_err *err)
{
    uint8_t mac[32];
    char hex[65];
    CCZ_AUTO_BUF message;
    struct ccz_kms_use u;
    ccz_buf_init(&message, CCZ_KMS_MESSAGE_SIZE_MAX);
    ccz_rc rc = kms_read_text(&message, o->from, err);
    if (rc == CCZ_OK)
        rc = ccz_kms_hmac(mac, &u, s->client, args[0], (uint32_t)o->version, ccz_buf_span(&message),
                          err);
    if (rc == CCZ_OK) {
        ccz_hex(hex, mac, sizeof(mac));
        ui_out("%s\n", hex);
        used("MAC of", args[0], &u);
    }
    return rc;
}

static ccz_rc hmac_verify(struct kms_session *s, const struct key_opts *o, char **args,
                          struct ccz_err *err)
{
    uint8_t mac[32];
    CCZ_AUTO_BUF message;
    struct ccz_kms_use u;
    ccz_buf_init(&message, CCZ_KMS_MESSAGE_SIZE_MAX);
    if (ccz_unhex(mac, sizeof(mac), o->mac, strlen(o->mac)) != CCZ_OK)
        return ccz_refuse(err, CCZ_E_FORMAT, "kms:mac", o->mac, "64 hex digits");
    ccz_rc rc = kms_read_text(&message, o->from, err);
    if (rc == CCZ_OK)
        rc = ccz_kms_hmac_verify(&u, s->client, args[0], (uint32_t)o->version,
                                 ccz_buf_span(&message), CCZ_SPAN(mac, sizeof(mac)), err);
    if (rc == CCZ_OK)
        used("verified with", args[0], &u);
    return rc;
}

static ccz_rc how_of(struct ccz_sign_how *how, const struct key_opts *o, struct ccz_err *err)
{
    static const char *const hashes[] = {"sha256", "sha384", "sha512"};
    *how = (struct ccz_sign_how){.prehashed = o->prehashed, .usual_hash = !o->hash};
    for (unsigned i = 0; i < 3; i++)
        if (o->hash && strcmp(o->hash, hashes[i]) == 0)
            how->hash = (enum ccz_hash)i;
    if (o->hash && strcmp(o->hash, hashes[how->hash]) != 0)
        return ccz_refuse(err, CCZ_E_ARG, "kms:key-hash", o->hash, "sha256, sha384 or sha512");
    if (o->form && strcmp(o->form, "der") == 0)
        how->form = CCZ_SIG_DER;
    else if (o->form && strcmp(o->form, "raw") != 0)
        return ccz_refuse(err, CCZ_E_ARG, "kms:key-form", o->form, "raw or der");
    if (o->padding && strcmp(o->padding, "pkcs1") == 0)
        how->padding = CCZ_RSA_PKCS1;
    else if (o->padding && strcmp(o->padding, "pss") != 0)
        return ccz_refuse(err, CCZ_E_ARG, "kms:key-padding", o->padding, "pss or pkcs1");
    return CCZ_OK;
}

static ccz_rc sign(struct kms_session *s, const struct key_opts *o, char **args,
                   struct ccz_err *err)
{
    struct ccz_sign_how how;
    struct ccz_kms_use u;
    CCZ_AUTO_BUF message;
    CCZ_AUTO_BUF sig;
    ccz_buf_init(&message, CCZ_KMS_MESSAGE_SIZE_MAX);
    ccz_buf_init(&sig, CCZ_PKEY_SIG_SIZE_MAX);
    ccz_rc rc = how_of(&how, o, err);
    if (rc == CCZ_OK)
        rc = kms_read_text(&message, o->from, err);
    if (rc == CCZ_OK)
        rc = ccz_kms_sign(&sig, &u, s->client, args[0], (uint32_t)o->version, &how,
                          ccz_buf_span(&message), err);
    if (rc == CCZ_OK)
        rc = write_bytes(o, &sig, err);
    if (rc == CCZ_OK)
        used("signed with", args[0], &u);
    return rc;
}

static ccz_rc verify(struct kms_session *s, const struct key_opts *o, char **args,
                     struct ccz_err *err)
{
    struct ccz_sign_how how;
    struct ccz_kms_use u;
    CCZ_AUTO_BUF message;
    CCZ_AUTO_BUF sig;
    ccz_buf_init(&message, CCZ_KMS_MESSAGE_SIZE_MAX);
    ccz_buf_init(&sig, 1024);
    ccz_rc rc = how_of(&how, o, err);
    if (rc == CCZ_OK)
        rc = kms_read_text(&message, o->from, err);
    if (rc == CCZ_OK)
        rc = ccz_file_read(&sig, o->signature, err);
    if (rc == CCZ_OK)
        rc = ccz_kms_verify(&u, s->client, args[0], (uint32_t)o->version, &how,
                            ccz_buf_span(&message), ccz_buf_span(&sig), err);
    if (rc == CCZ_OK)
        used("verified with", args[0], &u);
    return rc;
}

static ccz_rc public_key(struct kms_session *s, const struct key_opts *o, char **args,
                         struct ccz_err *err)
{
    CCZ_AUTO_BUF pem;
    ccz_buf_init(&pem, 4096);
    ccz_rc rc = ccz_kms_public_key(NULL, &pem, NULL, s->client, args[0], (uint32_t)o->version, err);
    if (rc == CCZ_OK)
        ui_out("%s", ccz_buf_str(&pem));
    return rc;
}

/* -------------------------------------------------------------------------------- verbs */

enum need { FROM = 1, OUT = 2, SIGNATURE = 4, MAC = 8, TOKEN = 16, DECRYPT_FROM = 32 };
static const struct verb {
    const char *name, *args, *help;
    int operands;
    unsigned needs;
    verb_fn *run;
} verbs[] = {
    {"create", "NAME", "make a key: released (aes-128, aes-256), or one that works inside", 1, 0,
     create},
    {"import", "NAME --from FILE",
     "store a key that was made elsewhere; inside: wrapped on its way", 1, FROM, import},
    {"import-token", "NAME", "wrapping key and token, for whoever wraps his key elsewhere", 1, 0,
     import_token},
    {"import-wrapped", "NAME --from FILE --token T", "store a key that was wrapped elsewhere", 1,
     FROM | TOKEN, import_wrapped},
    {"rotate", "NAME", "make a new version, which makes new things from now on", 1, 0, rotate},
    {"minimum", "NAME --decrypt N", "versions below do nothing any more", 1, DECRYPT_FROM, minimum},
    {"period", "NAME 90d", "rotate by itself that often; 0 = by hand", 2, 0, period},
    {"expiry", "NAME TIME", "from then on it makes nothing new; or never", 2, 0, expiry},
    {"bind", "NAME OP POLICY", "who may do one operation with it", 3, 0, bind_op},
    {"unbind", "NAME OP", "that operation is decided by the default again", 2, 0, unbind_op},
    {"info", "NAME", "what it is for, its versions, dates and policies", 1, 0, info},
    {"encrypt", "NAME --from FILE", "print the ciphertext", 1, FROM, encrypt},
    {"decrypt", "NAME --from FILE --out FILE", "write the text", 1, FROM | OUT, decrypt},
    {"data-key", "NAME [--out FILE]", "make a data key, print its ciphertext", 1, 0, data_key},
    {"rewrap", "NAME --from FILE", "print the ciphertext under the latest version", 1, FROM,
     rewrap},
    {"wrap", "NAME --from FILE --out FILE", "AES-KWP or RSA-OAEP of a key", 1, FROM | OUT, wrap},
    {"unwrap", "NAME --from FILE --out FILE", "undo wrap", 1, FROM | OUT, unwrap},
    {"derive", "NAME CONTEXT --out FILE", "write the key that belongs to a context", 2, OUT,
     derive},
    {"hmac", "NAME --from FILE", "print the HMAC-SHA-256 of a file", 1, FROM, hmac},
    {"hmac-verify", "NAME --from FILE --mac HEX", "verify it", 1, FROM | MAC, hmac_verify},
    {"sign", "NAME --from FILE --out FILE", "write the signature of a file", 1, FROM | OUT, sign},
    {"verify", "NAME --from FILE --signature FILE", "verify it", 1, FROM | SIGNATURE, verify},
    {"public", "NAME", "print the public key, PEM", 1, 0, public_key},
};
enum { VERBS_LEN = sizeof(verbs) / sizeof(verbs[0]) };

void kms_key_help(void)
{
    for (size_t i = 0; i < VERBS_LEN; i++)
        kms_verb_help("key", verbs[i].name, verbs[i].args, verbs[i].help);
}

static bool check(const struct verb *v, const struct key_opts *o, int operands)
{
    const struct ui_need needs[] = {{"kms", o->reach.kms},
                                    {"policy", o->reach.policy},
                                    {"admin-key or --tee", o->reach.admin_key || o->reach.tee},
                                    {"from", !(v->needs & FROM) || o->from},
                                    {"out", !(v->needs & OUT) || o->out},
                                    {"signature", !(v->needs & SIGNATURE) || o->signature},
                                    {"mac", !(v->needs & MAC) || o->mac},
                                    {"token", !(v->needs & TOKEN) || o->token},
                                    {"decrypt", !(v->needs & DECRYPT_FROM) || o->decrypt}};
    if (!ui_needs(needs, sizeof(needs) / sizeof(needs[0])))
        return false;
    if (operands != v->operands) {
        ui_error("expected: cczoo kms key %s %s", v->name, v->args);
        return false;
    }
    if (!kms_id_is_usable(&o->reach))
        return false;
    if (v->run == data_key && !kms_not_stdout("out", o->out)) /* its ciphertext goes there */
        return false;
    return ui_count("version", o->version, 0, CCZ_KMS_VERSIONS_MAX) &&
           ui_count("if-version", o->if_version, -1, CCZ_KMS_VERSIONS_MAX) &&
           ui_count("decrypt", o->decrypt, 0, CCZ_KMS_VERSIONS_MAX) &&
           ui_count("encrypt", o->encrypt, 0, CCZ_KMS_VERSIONS_MAX) &&
           ui_count("valid", o->valid_days, 0, 30) && ui_count("size", o->size, 0, 1024) &&
           ui_count("life", o->life_s, 0, 86400);
}

#define MAKERS "create, import, import-token, import-wrapped"
#define WITH_VERSION                                                                               \
    "encrypt, data-key, rewrap, wrap, unwrap, derive, hmac, hmac-verify, sign, verify, public"
#define WITH_JSON                                                                                  \
    "create, import, import-token, import-wrapped, rotate, minimum, period, expiry, bind, "        \
    "unbind, info"

static int parse(struct key_opts *o, const struct verb *v, int argc, char **argv)
{
    const struct ui_opt reach[] = {KMS_REACH_OPTS(&o->reach), UI_OWN_EVIDENCE(&o->reach), {0}};
    const struct kms_opt opts[] = {
        {MAKERS, UI_TEXT("alg", &o->alg, "KIND",
                         "aes-256 (default), aes-128; inside: aes-256-gcm, chacha20-poly1305, "
                         "hmac-sha256, ecdsa-p256, ecdsa-p384, ed25519, rsa-3072, ...")},
        {MAKERS,
         UI_TEXT("ops", &o->ops, "LIST", "what it is for, e.g. sign,verify; default: all it can")},
        {MAKERS, UI_TEXT("bind", &o->bind, "NAME", "bind it to this policy of the KMS")},
        {MAKERS,
         {"exportable", NULL, NULL, &o->exportable, NULL,
          "it may leave, to whom its policy accepts"}},
        {MAKERS,
         {"unattested-insecure", NULL, NULL, &o->unattested, NULL,
          "clients use it without evidence"}},
        {MAKERS, UI_TEXT("expires", &o->expires, "TIME", "e.g. 2027-01-31T00:00:00Z")},
        {"create",
         UI_TEXT("rotate-every", &o->every, "90d", "rotate by itself, in days (d) or hours (h)")},
        {"create, import",
         UI_TEXT("metadata", &o->metadata, "JSON", "aes-128, aes-256: an object, not secret")},
        {MAKERS, {"new-version", NULL, NULL, &o->new_version, NULL, "it exists, add a version"}},
        {"create, import",
         {"if-version", NULL, &o->if_version, NULL, "N",
          "aes-128, aes-256: store only if N is the latest version; 0 = it does not exist"}},
        {"import, import-wrapped, encrypt, decrypt, rewrap, wrap, unwrap, hmac, hmac-verify, sign, "
         "verify",
         UI_TEXT("from", &o->from, "FILE", "input; values of mode 0600; - = stdin")},
        {"decrypt, data-key, wrap, unwrap, derive, sign",
         UI_TEXT("out", &o->out, "FILE",
                 "output, which must not exist; - = stdout, but for data-key")},
        {"encrypt, decrypt, data-key, rewrap",
         UI_TEXT("aad", &o->aad, "TEXT", "context that has to be the same to decrypt")},
        {WITH_VERSION,
         {"version", NULL, &o->version, NULL, "N", "of the key; default: the latest"}},
        {"data-key, derive", {"size", NULL, &o->size, NULL, "BYTES", "default 32"}},
        {"minimum", {"decrypt", NULL, &o->decrypt, NULL, "N", "lowest version that reads"}},
        {"minimum",
         {"encrypt", NULL, &o->encrypt, NULL, "N",
          "lowest version that makes new things; default: the latest"}},
        {"sign, verify",
         UI_TEXT("hash", &o->hash, "HASH", "sha256, sha384, sha512; default: the kind's")},
        {"sign, verify", {"prehashed", NULL, NULL, &o->prehashed, NULL, "the input is the hash"}},
        {"sign, verify", UI_TEXT("form", &o->form, "FORM", "ECDSA: raw (default) or der")},
        {"sign, verify", UI_TEXT("padding", &o->padding, "PADDING", "RSA: pss (default) or pkcs1")},
        {"verify", UI_TEXT("signature", &o->signature, "FILE", "the signature")},
        {"hmac-verify", UI_TEXT("mac", &o->mac, "HEX", "the MAC")},
        {"import-wrapped", UI_TEXT("token", &o->token, "TEXT", "as import-token printed it")},
        {"import-token", {"life", NULL, &o->life_s, NULL, "SECONDS", "default 3600"}},
        {"propose",
         {"valid", NULL, &o->valid_days, NULL, "DAYS",
          "how long it may be approved, 1 to 30; default 7"}},
        {WITH_JSON, {"json", NULL, NULL, &o->json, NULL, "print JSON"}},
        {0},
    };
    char usage[200];
    (void)snprintf(usage, sizeof(usage),
                   "cczoo kms key %s %s --kms ADDR --policy FILE --admin-key FILE | --tee PROVIDER",
                   v->name, v->args);
    return kms_parse(argc, argv, "cczoo kms key", v->name, o->propose, usage, reach, opts);
}

static int run(const struct verb *v, bool propose, int argc, char **argv)
{
    struct key_opts o = {.if_version = -1, .propose = propose};
    int n = parse(&o, v, argc, argv);
    if (n < 0)
        return ui_parse_status(n);
    if (!check(v, &o, n))
        return UI_USAGE;
    struct ccz_err err = {0};
    struct kms_session s;
    ccz_rc rc = kms_session_begin(&s, &o.reach, &err);
    if (rc == CCZ_OK)
        rc = v->run(&s, &o, argv, &err);
    kms_session_end(&s);
    return rc == CCZ_OK ? UI_OK : ui_fail(&err);
}

int kms_key(bool propose, int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < VERBS_LEN; i++) {
        const struct verb *v = &verbs[i];
        if (strcmp(argv[1], v->name) != 0)
            continue;
        if (!propose || v->run == create || v->run == expiry || v->run == bind_op ||
            v->run == unbind_op)
            return run(v, propose, argc - 1, argv + 1);
        ui_error("this cannot be proposed: call it directly");
        ui_hint("key create, key expiry, key bind and key unbind can be proposed");
        return UI_USAGE;
    }
    ui_error("no such verb: kms key%s%s", argc > 1 ? " " : "", argc > 1 ? argv[1] : "");
    ui_hint("cczoo kms --help lists the verbs");
    return UI_USAGE;
}
