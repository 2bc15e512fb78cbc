/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PKCS#11 (OASIS v2.40): a module, a token, one session. The only file that knows Cryptoki.
 *
 * The module is initialised for threads and never finalised: it belongs to the whole process, and another user of it (the
 * epoch counter beside the master key) may be there. Only our session is closed.
 */
#define _DEFAULT_SOURCE
#include "master_priv.h"

#include "kms_priv.h"

#include <dlfcn.h>
#include <errno.h>
#include <p11-kit/pkcs11.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    SLOTS_MAX = 256,
    PIN_SIZE_MAX = 256,
    OBJECTS_MAX = 8,
    AES_KEY_SIZE = 32,
    RSA_SIZE_MAX =
        1024 /* a modulus, in bytes; what was wrapped under a larger one is refused, too */
};

struct ccz_kms_token {
    struct cczi_p11_uri uri;
    void *module;
    CK_FUNCTION_LIST *p11;
    CK_SLOT_ID slot;
    CK_SESSION_HANDLE session;
    struct ccz_secret *pin;
    CK_OBJECT_HANDLE key, public_key; /* of the wrapping key; AES: the same */
};

const struct cczi_p11_uri *cczi_p11_uri(const struct ccz_kms_token *t)
{
    return &t->uri;
}

/* -------------------------------------------------------------------------- errors */

static ccz_rc p11_fail(struct ccz_err *err, const char *where, CK_RV rv, const char *what)
{
    ccz_rc rc = CCZ_E_UNAVAILABLE;
    switch (rv) {
    case CKR_PIN_INCORRECT:
    case CKR_PIN_INVALID:
    case CKR_PIN_LEN_RANGE:
    case CKR_PIN_EXPIRED:
    case CKR_PIN_LOCKED:
        (void)ccz_fail(err, CCZ_E_DENIED, "kms:p11-pin", (int64_t)rv,
                       rv == CKR_PIN_LOCKED ? "the PIN of the token is locked"
                                            : "the token does not take this PIN");
        return cczi_kms_hint(err, CCZ_E_DENIED);
    case CKR_MECHANISM_INVALID:
    case CKR_MECHANISM_PARAM_INVALID:
    case CKR_ARGUMENTS_BAD:
        rc = CCZ_E_UNSUPPORTED;
        (void)ccz_fail(err, rc, "kms:p11-mechanism", (int64_t)rv, "the token cannot %s (0x%lx)",
                       what, (unsigned long)rv);
        return cczi_kms_hint(err, rc);
    case CKR_HOST_MEMORY:
        return ccz_fail(err, CCZ_E_NOMEM, where, (int64_t)rv, "out of memory");
    default:
        (void)ccz_fail(err, rc, where, (int64_t)rv, "the token cannot %s (0x%lx)", what,
                       (unsigned long)rv);
        return cczi_kms_hint(err, rc);
    }
}

/* --------------------------------------------------------------------- module, token */

static ccz_rc load_module(struct ccz_kms_token *t, struct ccz_err *err)
{
    /* never unloaded: its threads and exit handlers may be there */
    t->module = dlopen(t->uri.module, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    CK_RV (*get)(CK_FUNCTION_LIST **) = NULL;
    if (t->module) {
        void *symbol = dlsym(t->module, "C_GetFunctionList");
        memcpy(&get, &symbol, sizeof(get)); /* ISO C has no cast for it */
    }
    if (!get) {
        const char *why = dlerror();
        char text[120];
        ccz_escape(text, sizeof(text), ccz_span_str(why ? why : "no C_GetFunctionList"));
        return ccz_fail(err, CCZ_E_UNAVAILABLE, "kms:p11-module", 0, "not a PKCS#11 module: %s",
                        text);
    }
    CK_RV rv = get(&t->p11);
    if (rv == CKR_OK && (!t->p11 || t->p11->version.major != 2))
        return ccz_refuse_num(err, CCZ_E_UNSUPPORTED, "kms:p11-module",
                              t->p11 ? t->p11->version.major : 0, 2);
    CK_C_INITIALIZE_ARGS args = {.flags = CKF_OS_LOCKING_OK};
    if (rv == CKR_OK)
        rv = t->p11->C_Initialize(&args);
    if (rv != CKR_OK && rv != CKR_CRYPTOKI_ALREADY_INITIALIZED)
        return p11_fail(err, "kms:p11-module", rv, "start its module");
    return CCZ_OK;
}

/* Labels of tokens are padded with blanks. */
static bool label_is(const unsigned char label[32], const char *want)
{
    size_t n = 32;
    while (n && label[n - 1] == ' ')
        n--;
    return n == strlen(want) && memcmp(label, want, n) == 0;
}

static ccz_rc find_token(struct ccz_kms_token *t, struct ccz_err *err)
{
    CK_SLOT_ID slots[SLOTS_MAX];
    CK_ULONG len = SLOTS_MAX;
    CK_RV rv = t->p11->C_GetSlotList(CK_TRUE, slots, &len);
    if (rv != CKR_OK)
        return p11_fail(err, "kms:p11", rv, "list its slots");
    size_t found = 0;
    for (CK_ULONG i = 0; i < len; i++) {
        CK_TOKEN_INFO info;
        if (t->p11->C_GetTokenInfo(slots[i], &info) == CKR_OK &&
            label_is(info.label, t->uri.token)) {
            t->slot = slots[i];
            found++;
        }
    }
    if (found == 1)
        return CCZ_OK;
    (void)ccz_fail(err, CCZ_E_NOT_FOUND, "kms:p11-token", (int64_t)found,
                   "%s of the module's tokens has the label \"%s\"",
                   found ? "more than one" : "none", t->uri.token);
    return cczi_kms_hint(err, CCZ_E_NOT_FOUND);
}

/* ------------------------------------------------------------------------ PIN, login */

static ccz_rc pin_from_fd(struct ccz_secret **out, int fd, struct ccz_err *err)
{
    uint8_t text[PIN_SIZE_MAX + 2];
    size_t size = 0;
    ssize_t n = 0;
    while (size < sizeof(text) &&
           ((n = read(fd, text + size, sizeof(text) - size)) > 0 || (n < 0 && errno == EINTR)))
        size += n > 0 ? (size_t)n : 0;
    int e = errno;
    (void)close(fd);
    ccz_rc rc = CCZ_OK;
    if (n < 0)
        rc = ccz_fail(err, CCZ_E_IO, "kms:p11-pin", e, "cannot read the PIN: %s", strerror(e));
    else if (size > 0 && ccz_secret_from(out, text, size) != CCZ_OK)
        rc = ccz_fail(err, CCZ_E_NOMEM, "kms:p11-pin", 0, "out of memory");
    ccz_wipe(text, sizeof(text));
    return rc;
}

static ccz_rc read_pin(struct ccz_kms_token *t, struct ccz_err *err)
{
    ccz_rc rc = t->uri.pin_fd >= 0
                    ? pin_from_fd(&t->pin, t->uri.pin_fd, err)
                    : ccz_file_read_secret(&t->pin, t->uri.pin_file, PIN_SIZE_MAX + 2, err);
    if (rc != CCZ_OK)
        return rc;
    size_t size = ccz_secret_size(t->pin);
    const uint8_t *p = ccz_secret_view(t->pin);
    while (size && (p[size - 1] == '\n' || p[size - 1] == '\r'))
        size--;
    if (size == 0 || size > PIN_SIZE_MAX)
        return ccz_fail(err, CCZ_E_FORMAT, "kms:p11-pin", (int64_t)size, "a PIN has 1 to %d bytes",
                        PIN_SIZE_MAX);
    CCZ_AUTO(ccz_secret) whole = ccz_secret_take(&t->pin);
    if (ccz_secret_from(&t->pin, ccz_secret_view(whole), size) != CCZ_OK)
        return ccz_fail(err, CCZ_E_NOMEM, "kms:p11-pin", 0, "out of memory");
    return CCZ_OK;
}

static ccz_rc log_in(struct ccz_kms_token *t, struct ccz_err *err)
{
    CK_FLAGS flags = CKF_SERIAL_SESSION | CKF_RW_SESSION;
    CK_RV rv = t->p11->C_OpenSession(t->slot, flags, NULL, NULL, &t->session);
    if (rv != CKR_OK) {
        t->session = 0;
        return p11_fail(err, "kms:p11", rv, "open a session");
    }
    rv = t->p11->C_Login(t->session, CKU_USER, (unsigned char *)ccz_secret_bytes(t->pin),
                         ccz_secret_size(t->pin));
    if (rv != CKR_OK && rv != CKR_USER_ALREADY_LOGGED_IN)
        return p11_fail(err, "kms:p11", rv, "log in");
    return CCZ_OK;
}

ccz_rc cczi_p11_open(struct ccz_kms_token **out, const char *uri, struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO(ccz_kms_token) t = calloc(1, sizeof(*t));
    if (!t)
        return ccz_fail(err, CCZ_E_NOMEM, "kms:p11", 0, "out of memory");
    ccz_rc rc = cczi_p11_uri_parse(&t->uri, uri, err);
    if (rc == CCZ_OK)
        rc = read_pin(t, err);
    if (rc == CCZ_OK)
        rc = load_module(t, err);
    if (rc == CCZ_OK)
        rc = find_token(t, err);
    if (rc == CCZ_OK)
        rc = log_in(t, err);
    if (rc == CCZ_OK)
        *out = ccz_kms_token_take(&t);
    return rc;
}

void ccz_kms_token_free(struct ccz_kms_token *t)
{
    if (!t)
        return;
    if (t->session)
        (void)t->p11->C_CloseSession(t->session);
    if (t->module)
        (void)dlclose(t->module);
    ccz_secret_free(t->pin);
    free(t);
}

/* A token that was pulled out and put back, or a service of it that restarted: once more with a new session. */
static bool session_lost(CK_RV rv)
{
    return rv == CKR_SESSION_HANDLE_INVALID || rv == CKR_SESSION_CLOSED ||
           rv == CKR_USER_NOT_LOGGED_IN || rv == CKR_DEVICE_REMOVED ||
           rv == CKR_TOKEN_NOT_PRESENT || rv == CKR_OBJECT_HANDLE_INVALID;
}

static ccz_rc reopen(struct ccz_kms_token *t, struct ccz_err *err)
{
    (void)t->p11->C_CloseSession(t->session);
    t->session = 0;
    ccz_rc rc = find_token(t, err);
    return rc == CCZ_OK ? log_in(t, err) : rc;
}

/* ------------------------------------------------------------------------- objects */

static CK_RV find(CK_OBJECT_HANDLE out[OBJECTS_MAX], CK_ULONG *found, struct ccz_kms_token *t,
                  CK_ATTRIBUTE *template, CK_ULONG len)
{
    *found = 0;
    CK_RV rv = t->p11->C_FindObjectsInit(t->session, template, len);
    if (rv != CKR_OK)
        return rv;
    rv = t->p11->C_FindObjects(t->session, out, OBJECTS_MAX, found);
    CK_RV end = t->p11->C_FindObjectsFinal(t->session);
    return rv == CKR_OK ? end : rv;
}

/* Objects of the token with our label. */
static ccz_rc find_all(CK_OBJECT_HANDLE out[OBJECTS_MAX], CK_ULONG *found, struct ccz_kms_token *t,
                       CK_OBJECT_CLASS class, struct ccz_err *err)
{
    CK_BBOOL yes = CK_TRUE;
    CK_ATTRIBUTE template[] = {{CKA_CLASS, &class, sizeof(class)},
                               {CKA_TOKEN, &yes, sizeof(yes)},
                               {CKA_LABEL, t->uri.object, strlen(t->uri.object)}};
    CK_RV rv = find(out, found, t, template, 3);
    if (session_lost(rv)) {
        ccz_rc rc = reopen(t, err);
        if (rc != CCZ_OK)
            return rc;
        rv = find(out, found, t, template, 3);
    }
    return rv == CKR_OK ? CCZ_OK : p11_fail(err, "kms:p11", rv, "look for an object");
}

/* @param[out] found  0 or 1; more than one is an error: which one would be chance */
static ccz_rc find_one(CK_OBJECT_HANDLE *out, size_t *found, struct ccz_kms_token *t,
                       CK_OBJECT_CLASS class, struct ccz_err *err)
{
    CK_OBJECT_HANDLE all[OBJECTS_MAX] = {0};
    CK_ULONG len = 0;
    ccz_rc rc = find_all(all, &len, t, class, err);
    *found = len;
    *out = all[0];
    if (rc == CCZ_OK && len > 1)
        rc = cczi_kms_hint(err,
                           ccz_fail(err, CCZ_E_EXISTS, "kms:p11-object", (int64_t)len,
                                    "more than one object has the label \"%s\"", t->uri.object));
    return rc;
}

static ccz_rc not_found(struct ccz_err *err, const struct ccz_kms_token *t, const char *what)
{
    (void)ccz_fail(err, CCZ_E_NOT_FOUND, "kms:p11-object", 0, "the token has no %s \"%s\"", what,
                   t->uri.object);
    return cczi_kms_hint(err, CCZ_E_NOT_FOUND);
}

static ccz_rc make_aes(struct ccz_kms_token *t, struct ccz_err *err)
{
    CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
    CK_ULONG size = AES_KEY_SIZE;
    CK_MECHANISM how = {CKM_AES_KEY_GEN, NULL, 0};
    CK_ATTRIBUTE template[] = {
        {CKA_TOKEN, &yes, sizeof(yes)},       {CKA_PRIVATE, &yes, sizeof(yes)},
        {CKA_SENSITIVE, &yes, sizeof(yes)},   {CKA_EXTRACTABLE, &no, sizeof(no)},
        {CKA_ENCRYPT, &yes, sizeof(yes)},     {CKA_DECRYPT, &yes, sizeof(yes)},
        {CKA_VALUE_LEN, &size, sizeof(size)}, {CKA_LABEL, t->uri.object, strlen(t->uri.object)}};
    CK_RV rv = t->p11->C_GenerateKey(t->session, &how, template,
                                     sizeof(template) / sizeof(template[0]), &t->key);
    return rv == CKR_OK ? CCZ_OK : p11_fail(err, "kms:p11", rv, "make an AES key");
}

/* A wrapping key that can leave the token protects nothing. */
static ccz_rc check_key(struct ccz_kms_token *t, struct ccz_err *err)
{
    CK_BBOOL sensitive = CK_FALSE, extractable = CK_TRUE;
    CK_KEY_TYPE type = 0, want = t->uri.rsa ? CKK_RSA : CKK_AES;
    CK_ATTRIBUTE got[] = {{CKA_SENSITIVE, &sensitive, sizeof(sensitive)},
                          {CKA_EXTRACTABLE, &extractable, sizeof(extractable)},
                          {CKA_KEY_TYPE, &type, sizeof(type)}};
    CK_RV rv = t->p11->C_GetAttributeValue(t->session, t->key, got, 3);
    if (rv != CKR_OK)
        return p11_fail(err, "kms:p11", rv, "tell what its key is");
    if (type != want)
        return ccz_refuse_num(err, CCZ_E_UNSUPPORTED, "kms:p11-key-type", (int64_t)type,
                              (int64_t)want);
    if (sensitive == CK_TRUE && extractable == CK_FALSE)
        return CCZ_OK;
    (void)ccz_fail(err, CCZ_E_DENIED, "kms:p11-extractable", 0,
                   "the key \"%s\" can be taken out of the token", t->uri.object);
    return cczi_kms_hint(err, CCZ_E_DENIED);
}

/* A number of a key, without leading zeros. @return CKR_OK, or why there is none */
struct number {
    unsigned char byte[RSA_SIZE_MAX];
    size_t size;
};

static CK_RV get_number(struct number *out, struct ccz_kms_token *t, CK_OBJECT_HANDLE object,
                        CK_ATTRIBUTE_TYPE which)
{
    CK_ATTRIBUTE a = {which, out->byte, sizeof(out->byte)};
    CK_RV rv = t->p11->C_GetAttributeValue(t->session, object, &a, 1);
    out->size = rv == CKR_OK && a.ulValueLen <= sizeof(out->byte) ? a.ulValueLen : 0;
    size_t zeros = 0;
    while (zeros < out->size && out->byte[zeros] == 0)
        zeros++;
    out->size -= zeros;
    memmove(out->byte, out->byte + zeros, out->size);
    return rv == CKR_OK && out->size == 0 ? CKR_ATTRIBUTE_VALUE_INVALID : rv;
}

static bool same_number(const struct number *a, const struct number *b)
{
    return a->size == b->size && memcmp(a->byte, b->byte, a->size) == 0;
}

/*
 * Whoever may use the token without its PIN may put a public key of his own under the label, and would be the one who can
 * unwrap. A private key has its modulus always and its exponent mostly (PKCS#11 v2.40, 2.1.3); without that, the usual one.
 */
static ccz_rc check_pair(struct ccz_kms_token *t, struct ccz_err *err)
{
    struct number n, e, public_n, public_e;
    const struct number usual = {{1, 0, 1}, 3};
    CK_RV rv = get_number(&n, t, t->key, CKA_MODULUS);
    if (rv == CKR_OK)
        rv = get_number(&public_n, t, t->public_key, CKA_MODULUS);
    if (rv == CKR_OK)
        rv = get_number(&public_e, t, t->public_key, CKA_PUBLIC_EXPONENT);
    if (rv != CKR_OK)
        return p11_fail(err, "kms:p11", rv, "tell the numbers of its key pair");
    if (get_number(&e, t, t->key, CKA_PUBLIC_EXPONENT) != CKR_OK)
        e = usual;
    if (same_number(&n, &public_n) && same_number(&e, &public_e))
        return CCZ_OK;
    (void)ccz_fail(err, CCZ_E_MISMATCH, "kms:p11-pair", 0,
                   "the public key \"%s\" of the token is not that of its private key",
                   t->uri.object);
    return cczi_kms_hint(err, CCZ_E_MISMATCH);
}

ccz_rc cczi_p11_key_find(struct ccz_kms_token *t, bool make, struct ccz_err *err)
{
    size_t found = 0;
    ccz_rc rc = find_one(&t->key, &found, t, t->uri.rsa ? CKO_PRIVATE_KEY : CKO_SECRET_KEY, err);
    if (rc != CCZ_OK)
        return rc;
    if (!found && (t->uri.rsa || !make))
        return not_found(err, t, t->uri.rsa ? "private key" : "secret key");
    if (!found)
        rc = make_aes(t, err);
    if (rc == CCZ_OK)
        rc = check_key(t, err);
    t->public_key = t->key;
    if (rc != CCZ_OK || !t->uri.rsa)
        return rc;
    rc = find_one(&t->public_key, &found, t, CKO_PUBLIC_KEY, err);
    if (rc == CCZ_OK && !found)
        return not_found(err, t, "public key");
    return rc == CCZ_OK ? check_pair(t, err) : rc;
}

/* ------------------------------------------------------------------------ wrapping */

/* The parameters that a mechanism points at; one of them is used. */
struct how {
    CK_MECHANISM mechanism;
    CK_GCM_PARAMS gcm;
    CK_RSA_PKCS_OAEP_PARAMS oaep;
};

static void set_how(struct how *h, enum cczi_p11_wrap how, struct ccz_span iv, struct ccz_span aad)
{
    *h = (struct how){0};
    if (how == CCZI_P11_AES_GCM) {
        h->gcm = (CK_GCM_PARAMS){.iv_ptr = (unsigned char *)(uintptr_t)iv.ptr,
                                 .iv_len = iv.size,
                                 .iv_bits = iv.size * 8,
                                 .aad_ptr = (unsigned char *)(uintptr_t)aad.ptr,
                                 .aad_len = aad.size,
                                 .tag_bits = 8 * CCZ_AEAD_TAG_SIZE};
        h->mechanism = (CK_MECHANISM){CKM_AES_GCM, &h->gcm, sizeof(h->gcm)};
        return;
    }
    /* no label: many tokens take none; what comes out is held to the check value in the header */
    bool sha1 = how == CCZI_P11_OAEP_SHA1;
    h->oaep = (CK_RSA_PKCS_OAEP_PARAMS){.hash_alg = sha1 ? CKM_SHA_1 : CKM_SHA256,
                                        .mgf = sha1 ? CKG_MGF1_SHA1 : CKG_MGF1_SHA256,
                                        .source = CKZ_DATA_SPECIFIED};
    h->mechanism = (CK_MECHANISM){CKM_RSA_PKCS_OAEP, &h->oaep, sizeof(h->oaep)};
}

ccz_rc cczi_p11_encrypt(struct ccz_buf *out, struct ccz_kms_token *t, enum cczi_p11_wrap how,
                        struct ccz_span iv, struct ccz_span aad, struct ccz_span in,
                        struct ccz_err *err)
{
    struct how h;
    set_how(&h, how, iv, aad);
    unsigned char text[1024];
    CK_ULONG size = sizeof(text);
    CK_RV rv = t->p11->C_EncryptInit(t->session, &h.mechanism, t->public_key);
    if (rv == CKR_OK)
        rv =
            t->p11->C_Encrypt(t->session, (unsigned char *)(uintptr_t)in.ptr, in.size, text, &size);
    if (rv != CKR_OK)
        return p11_fail(err, "kms:p11-wrap", rv, "wrap the master key");
    ccz_buf_put(out, text, size);
    return CCZ_OK;
}

ccz_rc cczi_p11_decrypt(uint8_t *out, size_t size, struct ccz_kms_token *t, enum cczi_p11_wrap how,
                        struct ccz_span iv, struct ccz_span aad, struct ccz_span in,
                        struct ccz_err *err)
{
    struct how h;
    set_how(&h, how, iv, aad);
    unsigned char text[1024];
    CK_ULONG got = sizeof(text);
    CK_RV rv = t->p11->C_DecryptInit(t->session, &h.mechanism, t->key);
    bool started = rv == CKR_OK;
    if (started)
        rv = t->p11->C_Decrypt(t->session, (unsigned char *)(uintptr_t)in.ptr, in.size, text, &got);
    bool right = rv == CKR_OK && got == size;
    if (right)
        memcpy(out, text, size);
    ccz_wipe(text, sizeof(text));
    if (right)
        return CCZ_OK;
    if (!started)
        return p11_fail(err, "kms:p11-unwrap", rv, "unwrap the master key");
    if (rv == CKR_OK || rv == CKR_ENCRYPTED_DATA_INVALID || rv == CKR_ENCRYPTED_DATA_LEN_RANGE ||
        rv == CKR_GENERAL_ERROR) { /* SoftHSM's word for a tag that does not match */
        (void)ccz_fail(err, CCZ_E_SIG, "kms:p11-unwrap", (int64_t)rv,
                       "the key \"%s\" of the token does not open the wrapped master key",
                       t->uri.object);
        return cczi_kms_hint(err, CCZ_E_SIG);
    }
    return p11_fail(err, "kms:p11-unwrap", rv, "unwrap the master key");
}

/* --------------------------------------------------------------------- data object */

ccz_rc cczi_p11_data_get(struct ccz_buf *out, struct ccz_kms_token *t, struct ccz_err *err)
{
    CK_OBJECT_HANDLE all[OBJECTS_MAX] = {0};
    CK_ULONG len = 0;
    ccz_rc rc = find_all(all, &len, t, CKO_DATA, err);
    if (rc != CCZ_OK)
        return rc;
    if (!len)
        return ccz_fail(err, CCZ_E_NOT_FOUND, "kms:epoch-lost", 0,
                        "the token has no data object \"%s\"", t->uri.object);
    for (CK_ULONG i = 0; i < len; i++) {
        unsigned char value[256];
        CK_ATTRIBUTE a = {CKA_VALUE, value, sizeof(value)};
        CK_RV rv = t->p11->C_GetAttributeValue(t->session, all[i], &a, 1);
        if (rv != CKR_OK)
            return p11_fail(err, "kms:epoch", rv, "read the counter");
        ccz_buf_put(out, value, a.ulValueLen);
    }
    return CCZ_OK;
}

static CK_RV data_make(struct ccz_kms_token *t, struct ccz_span in)
{
    CK_OBJECT_CLASS class = CKO_DATA;
    CK_BBOOL yes = CK_TRUE;
    CK_OBJECT_HANDLE object;
    static char application[] = "cczoo-kmsd";
    CK_ATTRIBUTE template[] = {{CKA_CLASS, &class, sizeof(class)},
                               {CKA_TOKEN, &yes, sizeof(yes)},
                               {CKA_PRIVATE, &yes, sizeof(yes)},
                               {CKA_MODIFIABLE, &yes, sizeof(yes)},
                               {CKA_APPLICATION, application, sizeof(application) - 1},
                               {CKA_LABEL, t->uri.object, strlen(t->uri.object)},
                               {CKA_VALUE, (void *)(uintptr_t)in.ptr, in.size}};
    return t->p11->C_CreateObject(t->session, template, sizeof(template) / sizeof(template[0]),
                                  &object);
}

/* Where a token changes no values (SoftHSM), the new object comes before the old one goes. */
ccz_rc cczi_p11_data_put(struct ccz_kms_token *t, struct ccz_span in, struct ccz_err *err)
{
    CK_OBJECT_HANDLE all[OBJECTS_MAX] = {0};
    CK_ULONG len = 0;
    ccz_rc rc = find_all(all, &len, t, CKO_DATA, err);
    if (rc != CCZ_OK)
        return rc;
    CK_ATTRIBUTE value = {CKA_VALUE, (void *)(uintptr_t)in.ptr, in.size};
    if (len == 1 && t->p11->C_SetAttributeValue(t->session, all[0], &value, 1) == CKR_OK)
        return CCZ_OK;
    CK_RV rv = data_make(t, in);
    for (CK_ULONG i = 0; rv == CKR_OK && i < len; i++)
        rv = t->p11->C_DestroyObject(t->session, all[i]);
    return rv == CKR_OK ? CCZ_OK : p11_fail(err, "kms:epoch", rv, "write the counter");
}
