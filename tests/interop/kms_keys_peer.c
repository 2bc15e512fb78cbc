/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What test_kms_keys.py holds to other implementations. Bytes are hex, "-" is none; results go to standard output.
 *   generate KIND                            material
 *   import KIND KEY                          material
 *   public KIND MATERIAL                     PEM
 *   encrypt|wrap|derive KIND VERSION MATERIAL AAD|-|CONTEXT TEXT|SIZE
 *   decrypt|unwrap KIND VERSION MATERIAL AAD|- SEALED
 *   hmac KIND MATERIAL MESSAGE
 *   sign KIND MATERIAL HOW MESSAGE           HOW: hash 256|384|512, d = of a hash, r|a = raw or ASN.1, s|p = PSS or PKCS#1
 *   verify SPKI HOW MESSAGE SIGNATURE
 *   blob SPKI KEY                            for a wrapping key
 *   unblob PKCS8 KIND BLOB                   material
 */
#include "kms/kms_keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM = 1 << 17, NOW = 1700000000 };

static struct ccz_err err;

static void must(ccz_rc rc)
{
    if (rc == CCZ_OK)
        return;
    fprintf(stderr, "%s: %s\n", err.where, err.msg);
    exit(1);
}

enum { ARGS_MAX = 5 };
static uint8_t *kept[ARGS_MAX];
static size_t kept_len;

static void free_kept(void)
{
    while (kept_len > 0)
        free(kept[--kept_len]);
}

/* Freed at exit. */
static struct ccz_span unhex(const char *hex)
{
    size_t size = strcmp(hex, "-") == 0 ? 0 : strlen(hex) / 2;
    uint8_t *p = malloc(size + 1);
    if (!p || kept_len == ARGS_MAX)
        exit(2);
    kept[kept_len++] = p;
    if (ccz_unhex(p, size, hex, 2 * size) != CCZ_OK)
        exit(2);
    return CCZ_SPAN(p, size);
}

static struct ccz_secret *secret(const char *hex)
{
    struct ccz_span b = unhex(hex);
    struct ccz_secret *s;
    must(ccz_secret_from(&s, b.ptr, b.size));
    return s;
}

static void print(struct ccz_span b)
{
    for (size_t i = 0; i < b.size; i++)
        printf("%02x", b.ptr[i]);
    printf("\n");
}

static void print_secret(struct ccz_secret *s)
{
    print(CCZ_SPAN(ccz_secret_view(s), ccz_secret_size(s)));
    ccz_secret_free(s);
}

static enum cczi_kms_key_kind kind(const char *name)
{
    enum cczi_kms_key_kind k;
    must(cczi_kms_key_kind_parse(&k, ccz_span_str(name), &err));
    return k;
}

static struct cczi_kms_key *key(const char *name, const char *version, const char *material)
{
    CCZ_AUTO(ccz_secret) m = secret(material);
    struct cczi_kms_key *k;
    must(cczi_kms_key_open(&k, kind(name), (uint32_t)strtoul(version, NULL, 10), m, &err));
    return k;
}

static struct ccz_sign_how how(const char *text)
{
    struct ccz_sign_how h = {0};
    h.hash = strstr(text, "384") ? CCZ_SHA384 : strstr(text, "512") ? CCZ_SHA512 : CCZ_SHA256;
    h.prehashed = strchr(text, 'd') != NULL;
    h.form = strchr(text, 'a') ? CCZ_SIG_DER : CCZ_SIG_RAW;
    h.padding = strchr(text, 'p') ? CCZ_RSA_PKCS1 : CCZ_RSA_PSS;
    return h;
}

/* argv: KIND VERSION MATERIAL A B */
static void symmetric(const char *op, char **argv)
{
    CCZ_AUTO(cczi_kms_key) k = key(argv[0], argv[1], argv[2]);
    struct ccz_span a = unhex(argv[3]);
    struct ccz_secret *text = NULL;
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, ROOM);
    if (strcmp(op, "derive") == 0)
        must(cczi_kms_key_derive(&text, k, a, strtoul(argv[4], NULL, 10), &err));
    else if (strcmp(op, "decrypt") == 0)
        must(cczi_kms_key_decrypt(&text, k, a, unhex(argv[4]), &err));
    else if (strcmp(op, "unwrap") == 0)
        must(cczi_kms_key_unwrap(&text, k, unhex(argv[4]), &err));
    else if (strcmp(op, "encrypt") == 0)
        must(cczi_kms_key_encrypt(&out, k, a, unhex(argv[4]), &err));
    else
        must(cczi_kms_key_wrap(&out, k, unhex(argv[4]), &err));
    if (text)
        print_secret(text);
    else
        print(ccz_buf_span(&out));
}

static void sign(char **argv)
{
    CCZ_AUTO(cczi_kms_key) k = key(argv[0], "1", argv[1]);
    const struct ccz_sign_how h = how(argv[2]);
    CCZ_AUTO_BUF sig;
    ccz_buf_init(&sig, CCZ_PKEY_SIG_SIZE_MAX);
    must(cczi_kms_key_sign(&sig, k, &h, unhex(argv[3]), &err));
    print(ccz_buf_span(&sig));
}

static void verify(char **argv)
{
    CCZ_AUTO(ccz_pkey) k = NULL;
    const struct ccz_sign_how h = how(argv[1]);
    must(ccz_pkey_from_spki(&k, unhex(argv[0]), &err));
    must(ccz_pkey_verify(k, &h, unhex(argv[2]), unhex(argv[3]), &err));
}

static void unblob(char **argv)
{
    CCZ_AUTO(ccz_secret) der = secret(argv[0]);
    CCZ_AUTO(ccz_secret) token_key = NULL;
    CCZ_AUTO(ccz_pkey) wrapping = NULL;
    CCZ_AUTO(cczi_kms_import_used) used = NULL;
    CCZ_AUTO_BUF token;
    ccz_buf_init(&token, CCZI_KMS_IMPORT_TOKEN_SIZE_MAX);
    must(ccz_pkey_from_pkcs8(&wrapping, der, CCZ_PKEY_FOREIGN, &err));
    must(ccz_secret_new(&token_key, CCZI_KMS_IMPORT_TOKEN_KEY_SIZE));
    must(cczi_kms_import_used_new(&used));
    const struct cczi_kms_import what = {
        .name = "a", .spec = {.kind = kind(argv[1])}, .wrapping = wrapping};
    struct ccz_secret *material;
    must(cczi_kms_import_token(&token, token_key, &what, 0, NOW, &err));
    must(cczi_kms_import_open(&material, used, token_key, &what, ccz_buf_span(&token),
                              unhex(argv[2]), NOW, &err));
    print_secret(material);
}

static void others(const char *op, char **argv)
{
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, ROOM);
    struct ccz_secret *material;
    if (strcmp(op, "generate") == 0) {
        must(cczi_kms_key_generate(&material, kind(argv[0]), &err));
        print_secret(material);
    } else if (strcmp(op, "import") == 0) {
        CCZ_AUTO(ccz_secret) foreign = secret(argv[1]);
        must(cczi_kms_key_import(&material, kind(argv[0]), foreign, &err));
        print_secret(material);
    } else if (strcmp(op, "public") == 0) {
        CCZ_AUTO(cczi_kms_key) k = key(argv[0], "1", argv[1]);
        must(cczi_kms_key_public_pem(&out, k, &err));
        printf("%s", ccz_buf_str(&out));
    } else if (strcmp(op, "hmac") == 0) {
        CCZ_AUTO(cczi_kms_key) k = key(argv[0], "1", argv[1]);
        uint8_t mac[CCZI_KMS_KEY_MAC_SIZE];
        must(cczi_kms_key_hmac(mac, k, unhex(argv[2]), &err));
        print(CCZ_SPAN(mac, sizeof(mac)));
    } else {
        CCZ_AUTO(ccz_secret) foreign = secret(argv[1]);
        must(cczi_kms_import_wrap(&out, unhex(argv[0]), foreign, &err));
        print(ccz_buf_span(&out));
    }
}

int main(int argc, char **argv)
{
    static const struct {
        const char *op;
        int args;
    } ops[] = {{"generate", 1}, {"import", 2}, {"public", 2}, {"encrypt", 5}, {"decrypt", 5},
               {"wrap", 5},     {"unwrap", 5}, {"derive", 5}, {"hmac", 3},    {"sign", 4},
               {"verify", 4},   {"blob", 2},   {"unblob", 3}};
    if (atexit(free_kept) != 0)
        return 2;
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        if (argc < 2 || strcmp(argv[1], ops[i].op) != 0 || argc != 2 + ops[i].args)
            continue;
        if (ops[i].args == 5)
            symmetric(argv[1], argv + 2);
        else if (strcmp(argv[1], "sign") == 0)
            sign(argv + 2);
        else if (strcmp(argv[1], "verify") == 0)
            verify(argv + 2);
        else if (strcmp(argv[1], "unblob") == 0)
            unblob(argv + 2);
        else
            others(argv[1], argv + 2);
        return 0;
    }
    fprintf(stderr, "usage: see kms_keys_peer.c\n");
    return 2;
}
