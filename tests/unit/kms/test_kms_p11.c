/* SPDX-License-Identifier: Apache-2.0 */
/* Master keys and counters in a PKCS#11 token (SoftHSM). */
#define _GNU_SOURCE
#include "kms/kms_token.h"

#include <fcntl.h>

static struct ccz_err err;

static void start(void)
{
    dir_make();
    if (!token_make())
        exit(77); /* skipped */
}

static ccz_rc open_master(struct ccz_kms_master **m, const char *spec)
{
    const struct ccz_kms_master_cfg cfg = {.spec = spec, .dir = dir_path("kms")};
    err = (struct ccz_err){0};
    return ccz_kms_master_open(m, &cfg, &err);
}

/* Opens the store with this provider. */
static ccz_rc try_with(const char *spec)
{
    CCZ_AUTO(ccz_kms_master) m = NULL;
    ccz_rc rc = open_master(&m, spec);
    return rc == CCZ_OK ? dir_try(m, NULL, &err) : rc;
}

static void make_rsa(const char *label, CK_BBOOL extractable)
{
    CK_SESSION_HANDLE s = token_session();
    CK_OBJECT_HANDLE pub, priv;
    CK_BBOOL yes = CK_TRUE;
    CK_ULONG bits = 2048;
    CK_BYTE e[] = {1, 0, 1};
    CK_MECHANISM how = {CKM_RSA_PKCS_KEY_PAIR_GEN, NULL, 0};
    CK_ATTRIBUTE pub_t[] = {{CKA_TOKEN, &yes, 1},
                            {CKA_ENCRYPT, &yes, 1},
                            {CKA_MODULUS_BITS, &bits, sizeof(bits)},
                            {CKA_PUBLIC_EXPONENT, e, sizeof(e)},
                            {CKA_LABEL, (void *)(uintptr_t)label, strlen(label)}};
    CK_ATTRIBUTE priv_t[] = {
        {CKA_TOKEN, &yes, 1},     {CKA_PRIVATE, &yes, 1},
        {CKA_SENSITIVE, &yes, 1}, {CKA_EXTRACTABLE, &extractable, 1},
        {CKA_DECRYPT, &yes, 1},   {CKA_LABEL, (void *)(uintptr_t)label, strlen(label)}};
    CHECK(token_p11->C_GenerateKeyPair(s, &how, pub_t, 5, priv_t, 6, &pub, &priv) == CKR_OK);
    CHECK(token_p11->C_CloseSession(s) == CKR_OK);
}

static CK_OBJECT_HANDLE make_aes(const char *label, CK_BBOOL extractable)
{
    CK_SESSION_HANDLE s = token_session();
    CK_OBJECT_HANDLE key;
    CK_BBOOL yes = CK_TRUE;
    CK_ULONG size = 32;
    CK_MECHANISM how = {CKM_AES_KEY_GEN, NULL, 0};
    CK_ATTRIBUTE t[] = {{CKA_TOKEN, &yes, 1},
                        {CKA_PRIVATE, &yes, 1},
                        {CKA_SENSITIVE, &yes, 1},
                        {CKA_EXTRACTABLE, &extractable, 1},
                        {CKA_ENCRYPT, &yes, 1},
                        {CKA_DECRYPT, &yes, 1},
                        {CKA_VALUE_LEN, &size, sizeof(size)},
                        {CKA_LABEL, (void *)(uintptr_t)label, strlen(label)}};
    CHECK(token_p11->C_GenerateKey(s, &how, t, 8, &key) == CKR_OK);
    CHECK(token_p11->C_CloseSession(s) == CKR_OK);
    return key;
}

/* The wrapped key with one bit changed at each place must not open. */
static void every_byte_counts(const char *spec)
{
    CCZ_AUTO(ccz_secret) blob = NULL;
    CCZ_AUTO(ccz_kms_master) m = NULL;
    CHECK(ccz_file_read_secret(&blob, dir_path("kms/master.wrapped"), 4096, &err) == CCZ_OK);
    CHECK(open_master(&m, spec) == CCZ_OK);
    struct ccz_span all = CCZ_SPAN(ccz_secret_view(blob), ccz_secret_size(blob));
    for (size_t i = 0; i < all.size; i++) {
        ccz_secret_bytes(blob)[i] ^= 0x10;
        CHECK(ccz_file_write(dir_path("kms/master.wrapped"), all, 0600, CCZ_FILE_REPLACE, &err) ==
              CCZ_OK);
        CHECK(dir_try(m, NULL, &err) != CCZ_OK);
        ccz_secret_bytes(blob)[i] ^= 0x10;
        if (i % 16 == 0) { /* cut */
            struct ccz_span cut = CCZ_SPAN(all.ptr, i + 1);
            CHECK(ccz_file_write(dir_path("kms/master.wrapped"), cut, 0600, CCZ_FILE_REPLACE,
                                 &err) == CCZ_OK);
            CHECK(dir_try(m, NULL, &err) != CCZ_OK);
        }
    }
    CHECK(ccz_file_write(dir_path("kms/master.wrapped"), all, 0600, CCZ_FILE_REPLACE, &err) ==
          CCZ_OK);
    CHECK(dir_try(m, NULL, &err) == CCZ_OK);
}

static void test_aes(void)
{
    start();
    const char *spec = token_uri("master", "secret-key", "");
    CCZ_AUTO(ccz_kms_master) m = NULL;
    CHECK(open_master(&m, spec) == CCZ_OK && strcmp(ccz_kms_master_name(m), "pkcs11") == 0);
    CHECK(dir_init(m, NULL, &err) == CCZ_OK); /* makes the AES key, too */
    CHECK(!dir_has("kms/master.key"));
    CHECK(dir_try(m, NULL, &err) == CCZ_OK);
    CHECK(try_with(spec) == CCZ_OK); /* a second session beside the first */
    ccz_kms_master_free(ccz_kms_master_take(&m));
    CHECK(try_with(spec) == CCZ_OK);
    every_byte_counts(spec);

    /* another key of the token */
    (void)make_aes("second", CK_FALSE);
    ccz_rc rc = try_with(token_uri("second", "secret-key", ""));
    CHECK(dir_refused(rc, &err, CCZ_E_SIG, "kms:p11-unwrap") && err.hint[0]);
    rc = try_with(token_uri("third", "secret-key", "")); /* opening makes none */
    CHECK(dir_refused(rc, &err, CCZ_E_NOT_FOUND, "kms:p11-object"));
    (void)make_aes("second", CK_FALSE); /* which of two would be chance */
    rc = try_with(token_uri("second", "secret-key", ""));
    CHECK(dir_refused(rc, &err, CCZ_E_EXISTS, "kms:p11-object"));
    rc = try_with(token_uri("master", "private", "")); /* the file does not choose, either */
    CHECK(dir_refused(rc, &err, CCZ_E_MISMATCH, "kms:p11-kind"));
}

static void test_extractable(void)
{
    start();
    (void)make_aes("loose", CK_TRUE);
    CCZ_AUTO(ccz_kms_master) m = NULL;
    CHECK(open_master(&m, token_uri("loose", "secret-key", "")) == CCZ_OK);
    CHECK(dir_refused(dir_init(m, NULL, &err), &err, CCZ_E_DENIED, "kms:p11-extractable"));
    CHECK(!dir_has("kms/master.wrapped"));
    make_rsa("loose-rsa", CK_TRUE);
    ccz_kms_master_free(ccz_kms_master_take(&m));
    CHECK(open_master(&m, token_uri("loose-rsa", "private", "&oaep=sha1")) == CCZ_OK);
    CHECK(dir_refused(dir_init(m, NULL, &err), &err, CCZ_E_DENIED, "kms:p11-extractable"));
}

static void test_rsa(void)
{
    start();
    make_rsa("pair", CK_FALSE);
    CCZ_AUTO(ccz_kms_master) m = NULL;
    /* SoftHSM 2.6 knows SHA-1 there and nothing else: said, not worked around */
    CHECK(open_master(&m, token_uri("pair", "private", "")) == CCZ_OK);
    ccz_rc rc = dir_init(m, NULL, &err);
    if (rc != CCZ_OK)
        CHECK(dir_refused(rc, &err, CCZ_E_UNSUPPORTED, "kms:p11-mechanism") &&
              strstr(err.hint, "oaep=sha1"));
}

static void test_rsa_sha1(void)
{
    start();
    make_rsa("pair", CK_FALSE);
    CCZ_AUTO(ccz_kms_master) m = NULL;
    const char *spec = token_uri("pair", "private", "&oaep=sha1");
    CHECK(open_master(&m, spec) == CCZ_OK && dir_init(m, NULL, &err) == CCZ_OK);
    ccz_kms_master_free(ccz_kms_master_take(&m));
    CHECK(try_with(spec) == CCZ_OK);
    every_byte_counts(spec);
    ccz_rc rc = try_with(token_uri("pair", "private", "&oaep=sha256"));
    CHECK(dir_refused(rc, &err, CCZ_E_MISMATCH, "kms:p11-kind"));
    rc = try_with(token_uri("absent", "private", "&oaep=sha1"));
    CHECK(dir_refused(rc, &err, CCZ_E_NOT_FOUND, "kms:p11-object"));
}

static void test_refused(void)
{
    start();
    struct ccz_kms_master *m = NULL;
    char uri[1024];
    const char *good = token_uri("master", "secret-key", "");
    /* PIN: wrong, in a file that others can read, absent, empty; and from a descriptor */
    CHECK(chmod(dir_path("other/pin"), 0644) == 0);
    CHECK(dir_refused(open_master(&m, good), &err, CCZ_E_DENIED, "file:permissions") && !m);
    CHECK(ccz_file_write(dir_path("other/pin"), ccz_span_str("9999\n"), 0600, CCZ_FILE_REPLACE,
                         NULL) == CCZ_OK);
    CHECK(dir_refused(open_master(&m, good), &err, CCZ_E_DENIED, "kms:p11-pin") && !m &&
          err.hint[0]);
    CHECK(ccz_file_write(dir_path("other/pin"), ccz_span_str("\n"), 0600, CCZ_FILE_REPLACE, NULL) ==
          CCZ_OK);
    CHECK(dir_refused(open_master(&m, good), &err, CCZ_E_FORMAT, "kms:p11-pin") && !m);
    CHECK(unlink(dir_path("other/pin")) == 0);
    CHECK(open_master(&m, good) == CCZ_E_NOT_FOUND && !m);
    int fd[2];
    CHECK(pipe(fd) == 0 &&
          write(fd[1], TOKEN_PIN, strlen(TOKEN_PIN)) == (ssize_t)strlen(TOKEN_PIN));
    CHECK(close(fd[1]) == 0);
    (void)snprintf(uri, sizeof(uri),
                   "pkcs11:token=kms;object=o?module-path=" TOKEN_MODULE "&pin-source=fd:%d",
                   fd[0]);
    CHECK(open_master(&m, uri) == CCZ_OK);
    ccz_kms_master_free(m);
    CHECK(fcntl(fd[0], F_GETFD) == -1); /* read and closed */
    CHECK(open_master(&m, uri) == CCZ_E_IO && !m);

    /* module: absent, no module */
    CHECK(ccz_file_write(dir_path("other/pin"), ccz_span_str(TOKEN_PIN), 0600, CCZ_FILE_REPLACE,
                         NULL) == CCZ_OK);
    static const char *const modules[] = {"/nonexistent.so", "/etc/passwd",
                                          "/lib/x86_64-linux-gnu/libm.so.6"};
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(uri, sizeof(uri), "pkcs11:token=kms;object=o?module-path=%s&pin-source=%s",
                       modules[i], dir_path("other/pin"));
        CHECK(dir_refused(open_master(&m, uri), &err, CCZ_E_UNAVAILABLE, "kms:p11-module") && !m);
    }
    (void)snprintf(uri, sizeof(uri),
                   "pkcs11:token=nobody;object=o?module-path=" TOKEN_MODULE "&pin-source=%s",
                   dir_path("other/pin"));
    CHECK(dir_refused(open_master(&m, uri), &err, CCZ_E_NOT_FOUND, "kms:p11-token") && !m);
}

/* A rekey from a file into the token, and a counter in it. */
static void test_rekey(void)
{
    start();
    CHECK(dir_init(NULL, NULL, &err) == CCZ_OK);
    CCZ_AUTO(ccz_kms_store) s = NULL;
    CHECK(dir_open(&s, NULL, NULL, &err) == CCZ_OK);
    fix_populate(s);
    const char *spec = token_uri("master", "secret-key", "");
    CCZ_AUTO(ccz_kms_master) to = NULL;
    CHECK(open_master(&to, spec) == CCZ_OK);
    CHECK(ccz_kms_rekey(s, to, FIX_NOW, &err) == CCZ_OK);
    ccz_kms_store_free(ccz_kms_store_take(&s));
    CHECK(try_with(spec) == CCZ_OK);
    CHECK(dir_refused(dir_try(NULL, NULL, &err), &err, CCZ_E_SIG, "kms:master-key"));
}

/* A key that wraps and does not unwrap: nothing is given up for it. */
static void test_readback(void)
{
    start();
    CHECK(dir_init(NULL, NULL, &err) == CCZ_OK);
    CCZ_AUTO(ccz_kms_store) s = NULL;
    CHECK(dir_open(&s, NULL, NULL, &err) == CCZ_OK);
    CK_SESSION_HANDLE session = token_session();
    CK_OBJECT_HANDLE key;
    CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
    CK_ULONG size = 32;
    CK_MECHANISM how = {CKM_AES_KEY_GEN, NULL, 0};
    CK_ATTRIBUTE t[] = {{CKA_TOKEN, &yes, 1},
                        {CKA_PRIVATE, &yes, 1},
                        {CKA_SENSITIVE, &yes, 1},
                        {CKA_EXTRACTABLE, &no, 1},
                        {CKA_ENCRYPT, &yes, 1},
                        {CKA_DECRYPT, &no, 1},
                        {CKA_VALUE_LEN, &size, sizeof(size)},
                        {CKA_LABEL, (void *)(uintptr_t) "one-way", 7}};
    CHECK(token_p11->C_GenerateKey(session, &how, t, 8, &key) == CKR_OK);
    CHECK(token_p11->C_CloseSession(session) == CKR_OK);
    CCZ_AUTO(ccz_kms_master) to = NULL;
    CHECK(open_master(&to, token_uri("one-way", "secret-key", "")) == CCZ_OK);
    CHECK(ccz_kms_rekey(s, to, FIX_NOW, &err) != CCZ_OK);
    CHECK(strcmp(err.where, "kms:master-readback") == 0 && err.hint[0]);
    CHECK(!dir_has("kms/master.wrapped") && !dir_has("kms/master.wrapped.next"));
    ccz_kms_store_free(ccz_kms_store_take(&s));
    CHECK(dir_try(NULL, NULL, &err) == CCZ_OK);
}

/* Numbers of an RSA key of the token. */
static CK_ULONG read_number(unsigned char out[512], CK_SESSION_HANDLE s, CK_OBJECT_HANDLE key,
                            CK_ATTRIBUTE_TYPE which)
{
    CK_ATTRIBUTE a = {which, out, 512};
    CHECK(token_p11->C_GetAttributeValue(s, key, &a, 1) == CKR_OK);
    return a.ulValueLen;
}

static CK_OBJECT_HANDLE find_labelled(CK_SESSION_HANDLE s, CK_OBJECT_CLASS class, const char *label)
{
    CK_OBJECT_HANDLE h = 0;
    CK_ULONG n = 0;
    CK_ATTRIBUTE t[] = {{CKA_CLASS, &class, sizeof(class)},
                        {CKA_LABEL, (void *)(uintptr_t)label, strlen(label)}};
    CHECK(token_p11->C_FindObjectsInit(s, t, 2) == CKR_OK &&
          token_p11->C_FindObjects(s, &h, 1, &n) == CKR_OK && n == 1 &&
          token_p11->C_FindObjectsFinal(s) == CKR_OK);
    return h;
}

/* A guest of the token puts a public key of his own under the label: nothing is wrapped for him. Also one of the same modulus
 * whose exponent is 1, under which anybody can read. */
static void test_pair(void)
{
    start();
    make_rsa("pair", CK_FALSE);
    make_rsa("guest", CK_FALSE);
    CK_SESSION_HANDLE s = token_session();
    unsigned char own[512], guest[512], usual[] = {1, 0, 1}, one[] = {1};
    CK_OBJECT_HANDLE old = find_labelled(s, CKO_PUBLIC_KEY, "pair"), fake;
    CK_ULONG own_size = read_number(own, s, old, CKA_MODULUS),
             guest_size =
                 read_number(guest, s, find_labelled(s, CKO_PUBLIC_KEY, "guest"), CKA_MODULUS);
    CHECK(token_p11->C_DestroyObject(s, old) == CKR_OK);
    CK_OBJECT_CLASS class = CKO_PUBLIC_KEY;
    CK_KEY_TYPE type = CKK_RSA;
    CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
    for (int variant = 0; variant < 3; variant++) {
        bool other = variant == 0, weak = variant == 1;
        CK_ATTRIBUTE t[] = {
            {CKA_CLASS, &class, sizeof(class)},
            {CKA_KEY_TYPE, &type, sizeof(type)},
            {CKA_TOKEN, &yes, 1},
            {CKA_PRIVATE, &no, 1},
            {CKA_ENCRYPT, &yes, 1},
            {CKA_MODULUS, other ? guest : own, other ? guest_size : own_size},
            {CKA_PUBLIC_EXPONENT, weak ? one : usual, weak ? sizeof(one) : sizeof(usual)},
            {CKA_LABEL, (void *)(uintptr_t) "pair", 4}};
        CHECK(token_p11->C_CreateObject(s, t, 8, &fake) == CKR_OK);
        CCZ_AUTO(ccz_kms_master) m = NULL;
        CHECK(open_master(&m, token_uri("pair", "private", "&oaep=sha1")) == CCZ_OK);
        ccz_rc rc = dir_init(m, NULL, &err);
        if (variant == 2) { /* the right one again */
            CHECK(rc == CCZ_OK);
            break;
        }
        CHECK(dir_refused(rc, &err, CCZ_E_MISMATCH, "kms:p11-pair") && err.hint[0]);
        CHECK(!dir_has("kms/master.wrapped"));
        CHECK(token_p11->C_DestroyObject(s, fake) == CKR_OK);
    }
    CHECK(token_p11->C_CloseSession(s) == CKR_OK);
}

static ccz_rc open_epoch(struct ccz_kms_epoch **e, const char *spec)
{
    const struct ccz_kms_epoch_cfg cfg = {.spec = spec, .dir = dir_path("kms")};
    err = (struct ccz_err){0};
    return ccz_kms_epoch_open(e, &cfg, &err);
}

static void test_epoch(void)
{
    start();
    const char *master = token_uri("master", "secret-key", ""),
               *counter = token_uri("counter", "data", "");
    CCZ_AUTO(ccz_kms_master) m = NULL;
    CCZ_AUTO(ccz_kms_epoch) e = NULL;
    CHECK(open_master(&m, master) == CCZ_OK && open_epoch(&e, counter) == CCZ_OK);
    CHECK(dir_init(m, e, &err) == CCZ_OK);
    CCZ_AUTO(ccz_kms_store) s = NULL;
    CHECK(dir_open(&s, m, e, &err) == CCZ_OK);
    ccz_kms_master_free(ccz_kms_master_take(&m)); /* the counter's session goes on */
    ccz_kms_store_free(ccz_kms_store_take(&s));
    dir_copy("kms", "backup");
    CHECK(open_master(&m, master) == CCZ_OK && dir_open(&s, m, e, &err) == CCZ_OK);
    fix_populate(s);
    /* the token is taken out and put back: a new session finds it again */
    CK_SLOT_ID slot[8];
    CK_ULONG len = 8;
    CHECK(token_p11->C_GetSlotList(CK_TRUE, slot, &len) == CKR_OK);
    CHECK(token_p11->C_CloseAllSessions(slot[0]) == CKR_OK);
    CHECK(fix_put_secret(s, "later", "v", NULL, false, &err) == CCZ_OK);
    ccz_kms_store_free(ccz_kms_store_take(&s));
    ccz_kms_epoch_free(ccz_kms_epoch_take(&e));
    ccz_kms_master_free(ccz_kms_master_take(&m));
    CHECK(open_master(&m, master) == CCZ_OK && open_epoch(&e, counter) == CCZ_OK);
    CHECK(dir_try(m, e, &err) == CCZ_OK);
    dir_copy("backup", "kms");
    CHECK(dir_refused(dir_try(m, e, &err), &err, CCZ_E_SIG, "kms:rolled-back"));
    CCZ_AUTO(ccz_kms_epoch) absent = NULL;
    CHECK(open_epoch(&absent, token_uri("no-counter", "data", "")) == CCZ_OK);
    CHECK(dir_refused(dir_try(m, absent, &err), &err, CCZ_E_NOT_FOUND, "kms:epoch-lost"));
}

static const struct ccz_test tests[] = {
    {"kms.p11_aes", test_aes},         {"kms.p11_extractable", test_extractable},
    {"kms.p11_rsa", test_rsa},         {"kms.p11_rsa_sha1", test_rsa_sha1},
    {"kms.p11_refused", test_refused}, {"kms.p11_rekey", test_rekey},
    {"kms.p11_epoch", test_epoch},     {"kms.p11_readback", test_readback},
    {"kms.p11_pair", test_pair},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
