/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations with keys of the KMS, without its store and doors:   taskset -c 1 bench_kms_keys
 * One line per measurement, tab separated: kind, operation, bytes of input, calls per second of processor time (best of the rounds).
 */
#define _POSIX_C_SOURCE 200809L
#include "bench.h"

#include "kms/kms_keys.h"

enum { TEXT_MAX = 4096, ROOM = 8192 };

static uint8_t text[TEXT_MAX];

struct use {
    enum cczi_kms_key_kind kind;
    enum cczi_kms_key_op op;
    size_t size;
    struct cczi_kms_key *key;
    struct ccz_secret *material;
    struct ccz_buf in, out;
};

static const struct ccz_sign_how *how(enum cczi_kms_key_kind kind)
{
    static const struct ccz_sign_how usual = {0}, p384 = {.hash = CCZ_SHA384};
    return kind == CCZI_KEY_ECDSA_P384 ? &p384 : &usual;
}

static void run(void *arg)
{
    struct use *u = arg;
    struct ccz_span in = ccz_buf_span(&u->in), msg = CCZ_SPAN(text, u->size), none = {0};
    CCZ_AUTO(ccz_secret) plain = NULL;
    CCZ_AUTO(cczi_kms_key) opened = NULL;
    uint8_t mac[CCZI_KMS_KEY_MAC_SIZE];
    ccz_rc rc = CCZ_E_ARG;
    ccz_buf_clear(&u->out);
    switch (u->op) {
    case CCZI_OP_ENCRYPT:
        rc = cczi_kms_key_encrypt(&u->out, u->key, none, msg, NULL);
        break;
    case CCZI_OP_DECRYPT:
        rc = cczi_kms_key_decrypt(&plain, u->key, none, in, NULL);
        break;
    case CCZI_OP_DATA_KEY:
        rc = cczi_kms_key_data_key(&plain, &u->out, u->key, u->size, none, NULL);
        break;
    case CCZI_OP_WRAP:
        rc = cczi_kms_key_wrap(&u->out, u->key, msg, NULL);
        break;
    case CCZI_OP_HMAC:
        rc = cczi_kms_key_hmac(mac, u->key, msg, NULL);
        break;
    case CCZI_OP_SIGN:
        rc = cczi_kms_key_sign(&u->out, u->key, how(u->kind), msg, NULL);
        break;
    case CCZI_OP_VERIFY:
        rc = cczi_kms_key_verify(u->key, how(u->kind), msg, in, NULL);
        break;
    case CCZI_OP_RELEASE: /* stands for opening the key */
        rc = cczi_kms_key_open(&opened, u->kind, 1, u->material, NULL);
        break;
    default:
        break;
    }
    must(rc == CCZ_OK, cczi_kms_key_op_name(u->op));
}

static void measure(enum cczi_kms_key_kind kind, const struct ccz_secret *material,
                    enum cczi_kms_key_op op, size_t size)
{
    struct use u = {.kind = kind, .op = op, .size = size};
    const struct ccz_span none = {0}, msg = CCZ_SPAN(text, size);
    ccz_buf_init(&u.in, ROOM);
    ccz_buf_init(&u.out, ROOM);
    must(ccz_secret_from(&u.material, ccz_secret_view(material), ccz_secret_size(material)) ==
             CCZ_OK,
         "memory");
    must(cczi_kms_key_open(&u.key, kind, 1, material, NULL) == CCZ_OK, "open");
    if (op == CCZI_OP_DECRYPT)
        must(cczi_kms_key_encrypt(&u.in, u.key, none, msg, NULL) == CCZ_OK, "encrypt");
    if (op == CCZI_OP_VERIFY)
        must(cczi_kms_key_sign(&u.in, u.key, how(kind), msg, NULL) == CCZ_OK, "sign");
    printf("%s\t%s\t%zu\t%.0f\n", cczi_kms_key_kind_name(kind),
           op == CCZI_OP_RELEASE ? "open" : cczi_kms_key_op_name(op), size, per_second(run, &u));
    cczi_kms_key_free(u.key);
    ccz_secret_free(u.material);
    ccz_buf_free(&u.in);
    ccz_buf_free(&u.out);
}

int main(void)
{
    for (int k = CCZI_KEY_AES_256_GCM; k <= CCZI_KEY_RSA_3072; k++) {
        enum cczi_kms_key_kind kind = (enum cczi_kms_key_kind)k;
        uint32_t ops = cczi_kms_key_kind_ops(kind);
        struct ccz_secret *m;
        must(cczi_kms_key_generate(&m, kind, NULL) == CCZ_OK, "generate");
        measure(kind, m, CCZI_OP_RELEASE, 0);
        static const enum cczi_kms_key_op measured[] = {
            CCZI_OP_ENCRYPT, CCZI_OP_DECRYPT, CCZI_OP_DATA_KEY, CCZI_OP_WRAP,
            CCZI_OP_HMAC,    CCZI_OP_SIGN,    CCZI_OP_VERIFY};
        for (size_t i = 0; i < sizeof(measured) / sizeof(measured[0]); i++) {
            if (!(ops & CCZI_OP_BIT(measured[i])))
                continue;
            measure(kind, m, measured[i], 32);
            if (measured[i] <= CCZI_OP_DECRYPT && !cczi_kms_key_is_pair(kind))
                measure(kind, m, measured[i], TEXT_MAX);
        }
        ccz_secret_free(m);
    }
    return 0;
}
