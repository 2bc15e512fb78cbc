/* SPDX-License-Identifier: Apache-2.0 */
/* The table of kinds, and material: making, importing, opening it. */
#include "keys_priv.h"

#include "base/ct.h"

#include <stdlib.h>
#include <string.h>

#define BIT CCZI_OP_BIT
#define SEAL                                                                                       \
    (BIT(CCZI_OP_ENCRYPT) | BIT(CCZI_OP_DECRYPT) | BIT(CCZI_OP_DATA_KEY) | BIT(CCZI_OP_REWRAP))
#define WRAP    (BIT(CCZI_OP_WRAP) | BIT(CCZI_OP_UNWRAP))
#define SIGN    (BIT(CCZI_OP_SIGN) | BIT(CCZI_OP_VERIFY))
#define MAC     (BIT(CCZI_OP_HMAC) | BIT(CCZI_OP_HMAC_VERIFY))
#define ISSUE   BIT(CCZI_OP_ISSUE)
#define PUBLIC  BIT(CCZI_OP_PUBLIC)
#define DERIVE  BIT(CCZI_OP_DERIVE)
#define EXPORT  BIT(CCZI_OP_EXPORT)
#define RELEASE BIT(CCZI_OP_RELEASE)
#define RSA     (SIGN | SEAL | WRAP | PUBLIC | EXPORT)

/* clang-format off */
static const struct cczi_kms_key_traits traits[CCZI_KEY_KINDS] = {
    [CCZI_KEY_NONE]              = {.name = "none"},
    [CCZI_KEY_AES_128]           = {"aes-128", RELEASE, 16, 16, 0, false, 0},
    [CCZI_KEY_AES_256]           = {"aes-256", RELEASE, 32, 32, 0, false, 0},
    [CCZI_KEY_AES_128_GCM]       = {"aes-128-gcm", SEAL | WRAP | EXPORT, 16, 16, 0, true, CCZ_AES_128_GCM},
    [CCZI_KEY_AES_256_GCM]       = {"aes-256-gcm", SEAL | WRAP | DERIVE | EXPORT, 32, 32, 0, true, CCZ_AES_256_GCM},
    [CCZI_KEY_CHACHA20_POLY1305] = {"chacha20-poly1305", SEAL | DERIVE | EXPORT, 32, 32, 0, true, CCZ_CHACHA20_POLY1305},
    [CCZI_KEY_HMAC_SHA256]       = {"hmac-sha256", MAC | DERIVE | EXPORT, 32, 64, 0, false, 0},
    [CCZI_KEY_ECDSA_P256]        = {"ecdsa-p256", SIGN | PUBLIC | EXPORT | ISSUE, 0, 0, CCZ_PKEY_P256, false, 0},
    [CCZI_KEY_ECDSA_P384]        = {"ecdsa-p384", SIGN | PUBLIC | EXPORT | ISSUE, 0, 0, CCZ_PKEY_P384, false, 0},
    [CCZI_KEY_ED25519]           = {"ed25519", SIGN | PUBLIC | EXPORT, 0, 0, CCZ_PKEY_ED25519, false, 0},
    [CCZI_KEY_RSA_2048]          = {"rsa-2048", RSA, 0, 0, CCZ_PKEY_RSA_2048, false, 0},
    [CCZI_KEY_RSA_3072]          = {"rsa-3072", RSA, 0, 0, CCZ_PKEY_RSA_3072, false, 0},
    [CCZI_KEY_RSA_4096]          = {"rsa-4096", RSA, 0, 0, CCZ_PKEY_RSA_4096, false, 0},
};
/* clang-format on */

static const char *const op_names[CCZI_OPS] = {
    [CCZI_OP_RELEASE] = "release",   [CCZI_OP_ENCRYPT] = "encrypt",
    [CCZI_OP_DECRYPT] = "decrypt",   [CCZI_OP_DATA_KEY] = "data-key",
    [CCZI_OP_REWRAP] = "rewrap",     [CCZI_OP_WRAP] = "wrap",
    [CCZI_OP_UNWRAP] = "unwrap",     [CCZI_OP_DERIVE] = "derive",
    [CCZI_OP_HMAC] = "hmac",         [CCZI_OP_HMAC_VERIFY] = "hmac-verify",
    [CCZI_OP_SIGN] = "sign",         [CCZI_OP_VERIFY] = "verify",
    [CCZI_OP_PUBLIC] = "public-key", [CCZI_OP_EXPORT] = "export",
    [CCZI_OP_ISSUE] = "issue",
};

const struct cczi_kms_key_traits *cczi_kms_key_traits(enum cczi_kms_key_kind k)
{
    return &traits[(size_t)k < CCZI_KEY_KINDS ? k : CCZI_KEY_NONE];
}

const char *cczi_kms_key_kind_name(enum cczi_kms_key_kind k)
{
    return cczi_kms_key_traits(k)->name;
}

ccz_rc cczi_kms_key_kind_parse(enum cczi_kms_key_kind *out, struct ccz_span name,
                               struct ccz_err *err)
{
    for (unsigned k = CCZI_KEY_NONE + 1; k < CCZI_KEY_KINDS; k++) {
        *out = (enum cczi_kms_key_kind)k;
        if (ccz_span_eq(name, ccz_span_str(traits[k].name)))
            return CCZ_OK;
    }
    *out = CCZI_KEY_NONE;
    char got[CCZ_ERR_VALUE_SIZE];
    ccz_escape(got, sizeof(got), name);
    return ccz_refuse(err, CCZ_E_UNSUPPORTED, "kms:key-kind", got,
                      "aes-128, aes-256, aes-128-gcm, aes-256-gcm, chacha20-poly1305, hmac-sha256, "
                      "ecdsa-p256, ecdsa-p384, ed25519, rsa-2048, -3072, -4096");
}

bool cczi_kms_key_is_pair(enum cczi_kms_key_kind k)
{
    return cczi_kms_key_traits(k)->pair != 0;
}

const char *cczi_kms_key_op_name(enum cczi_kms_key_op op)
{
    return (size_t)op < CCZI_OPS ? op_names[op] : "?";
}

uint32_t cczi_kms_key_kind_ops(enum cczi_kms_key_kind k)
{
    return cczi_kms_key_traits(k)->ops;
}

ccz_rc cczi_kms_key_can(const struct cczi_kms_key *key, enum cczi_kms_key_op op,
                        struct ccz_err *err)
{
    if (cczi_kms_key_kind_ops(key->kind) & CCZI_OP_BIT(op))
        return CCZ_OK;
    return ccz_fail(err, CCZ_E_UNSUPPORTED, "kms:key-op", (int64_t)op,
                    "a key of kind %s cannot do %s", cczi_kms_key_kind_name(key->kind),
                    cczi_kms_key_op_name(op));
}

ccz_rc cczi_kms_key_size_ok(const char *what, size_t size, size_t min, size_t max,
                            struct ccz_err *err)
{
    if (size >= min && size <= max)
        return CCZ_OK;
    return ccz_fail(err, CCZ_E_LIMIT, "kms:key-input", (int64_t)size,
                    "got %zu bytes of %s, expected %zu to %zu", size, what, min, max);
}

size_t cczi_kms_key_label(uint8_t out[CCZI_KEY_LABEL_SIZE_MAX], const char *label,
                          const struct cczi_kms_key *key)
{
    size_t n = strlen(label) + 1; /* the NUL: no label is the beginning of another */
    memcpy(out, label, n);
    out[n++] = (uint8_t)key->kind;
    for (unsigned i = 0; i < 4; i++)
        out[n++] = (uint8_t)(key->version >> 8 * i);
    return n;
}

/* ---------------------------------------------------------------------------- material */

static ccz_rc no_kind(enum cczi_kms_key_kind k, struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_ARG, "kms:key-kind", (int64_t)k, "no such kind of key");
}

ccz_rc cczi_kms_key_generate(struct ccz_secret **material, enum cczi_kms_key_kind k,
                             struct ccz_err *err)
{
    *material = NULL;
    const struct cczi_kms_key_traits *t = cczi_kms_key_traits(k);
    if (t->ops == 0)
        return no_kind(k, err);
    if (t->pair) {
        CCZ_AUTO(ccz_pkey) pair = NULL;
        ccz_rc rc = ccz_pkey_generate(&pair, t->pair, err);
        return rc == CCZ_OK ? ccz_pkey_to_pkcs8(material, pair, err) : rc;
    }
    CCZ_AUTO(ccz_secret) raw = NULL;
    ccz_rc rc = ccz_secret_new(&raw, t->raw_min);
    if (rc == CCZ_OK)
        rc = ccz_random(ccz_secret_bytes(raw), t->raw_min);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "kms:key-generate", 0, "cannot make a key");
    *material = ccz_secret_take(&raw);
    return CCZ_OK;
}

static ccz_rc import_raw(struct ccz_secret **material, const struct cczi_kms_key_traits *t,
                         const struct ccz_secret *foreign, struct ccz_err *err)
{
    static const uint8_t zero[64];
    size_t size = ccz_secret_size(foreign);
    if (size < t->raw_min || size > t->raw_max)
        return ccz_fail(err, CCZ_E_FORMAT, "kms:key-size", (int64_t)size,
                        "got %zu bytes, expected %zu to %zu for %s", size, t->raw_min, t->raw_max,
                        t->name);
    int weak = ccz_ct_eq(ccz_secret_view(foreign), zero, size); /* a buffer that nobody filled */
    CCZ_CT_PUBLIC(&weak, sizeof(weak));
    if (weak)
        return ccz_fail(err, CCZ_E_FORMAT, "kms:key-weak", (int64_t)size,
                        "every byte of the key is zero");
    ccz_rc rc = ccz_secret_from(material, ccz_secret_view(foreign), size);
    return rc == CCZ_OK ? CCZ_OK : ccz_fail(err, rc, "kms:key-memory", 0, "out of memory");
}

/* The pair in PKCS#8, which has to be of that kind. */
static ccz_rc open_pair(struct ccz_pkey **out, const struct cczi_kms_key_traits *t,
                        const struct ccz_secret *der, enum ccz_pkey_origin origin,
                        struct ccz_err *err)
{
    CCZ_AUTO(ccz_pkey) pair = NULL;
    ccz_rc rc = ccz_pkey_from_pkcs8(&pair, der, origin, err);
    if (rc != CCZ_OK)
        return rc;
    if (ccz_pkey_kind(pair) != t->pair)
        return ccz_refuse(err, CCZ_E_FORMAT, "kms:key-kind",
                          ccz_pkey_kind_name(ccz_pkey_kind(pair)), ccz_pkey_kind_name(t->pair));
    *out = ccz_pkey_take(&pair);
    return CCZ_OK;
}

ccz_rc cczi_kms_key_import(struct ccz_secret **material, enum cczi_kms_key_kind k,
                           const struct ccz_secret *foreign, struct ccz_err *err)
{
    *material = NULL;
    const struct cczi_kms_key_traits *t = cczi_kms_key_traits(k);
    if (t->ops == 0)
        return no_kind(k, err);
    if (!t->pair)
        return import_raw(material, t, foreign, err);
    CCZ_AUTO(ccz_pkey) pair = NULL;
    ccz_rc rc = open_pair(&pair, t, foreign, CCZ_PKEY_FOREIGN, err);
    return rc == CCZ_OK ? ccz_pkey_to_pkcs8(material, pair, err) : rc;
}

static ccz_rc open_raw(struct cczi_kms_key *key, const struct cczi_kms_key_traits *t,
                       const struct ccz_secret *material)
{
    size_t size = ccz_secret_size(material);
    if (size < t->raw_min || size > t->raw_max)
        return CCZ_E_FORMAT;
    ccz_rc rc = ccz_secret_from(&key->raw, ccz_secret_view(material), size);
    if (rc == CCZ_OK && t->is_aead)
        rc = ccz_aead_new(&key->aead, t->aead);
    return rc;
}

ccz_rc cczi_kms_key_open(struct cczi_kms_key **out, enum cczi_kms_key_kind k, uint32_t version,
                         const struct ccz_secret *material, struct ccz_err *err)
{
    *out = NULL;
    const struct cczi_kms_key_traits *t = cczi_kms_key_traits(k);
    if (t->ops == 0)
        return no_kind(k, err);
    if (version == 0 || version > CCZ_KMS_VERSIONS_MAX)
        return ccz_fail(err, CCZ_E_ARG, "kms:key-version", version, "no such version");
    CCZ_AUTO(cczi_kms_key) key = calloc(1, sizeof(*key));
    if (!key)
        return ccz_fail(err, CCZ_E_NOMEM, "kms:key-memory", 0, "out of memory");
    key->kind = k;
    key->version = version;
    struct ccz_err why = {0};
    ccz_rc rc = t->pair ? open_pair(&key->pair, t, material, CCZ_PKEY_OWN, &why)
                        : open_raw(key, t, material);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "kms:key-material", version,
                        "the material does not make a key of kind %s", t->name);
    *out = cczi_kms_key_take(&key);
    return CCZ_OK;
}

void cczi_kms_key_free(struct cczi_kms_key *key)
{
    if (!key)
        return;
    ccz_secret_free(key->raw);
    ccz_pkey_free(key->pair);
    ccz_aead_free(key->aead);
    free(key);
}

enum cczi_kms_key_kind cczi_kms_key_kind(const struct cczi_kms_key *key)
{
    return key->kind;
}

uint32_t cczi_kms_key_number(const struct cczi_kms_key *key)
{
    return key->version;
}
