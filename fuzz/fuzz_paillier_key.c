/* SPDX-License-Identifier: Apache-2.0 */
/* Keys from anybody, binary or JSON: what is read can be written and read again, with the same id. */
#include <cczoo/paillier.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct ccz_paillier_pub_cfg cfg = {.bits_1024_insecure = true};

static void refused(const void *object, const struct ccz_err *err)
{
    if (object != NULL || err->where[0] == 0)
        abort();
}

static void same(const struct ccz_paillier_pub *a, const struct ccz_paillier_pub *b)
{
    uint8_t x[CCZ_PAILLIER_ID_SIZE], y[CCZ_PAILLIER_ID_SIZE];
    ccz_paillier_id(x, a);
    ccz_paillier_id(y, b);
    if (memcmp(x, y, sizeof(x)) != 0 || ccz_paillier_has_djn(a) != ccz_paillier_has_djn(b))
        abort();
}

static void pub_again(const struct ccz_paillier_pub *pub)
{
    CCZ_AUTO(ccz_paillier_pub) binary = NULL;
    CCZ_AUTO(ccz_paillier_pub) json = NULL;
    CCZ_AUTO_BUF b;
    CCZ_AUTO_BUF j;
    ccz_buf_init(&b, 8192);
    ccz_buf_init(&j, 8192);
    ccz_paillier_pub_write(&b, pub);
    ccz_paillier_pub_to_json(&j, pub, "fuzz");
    if (ccz_paillier_pub_read(&binary, ccz_buf_span(&b), &cfg, NULL) != CCZ_OK ||
        ccz_paillier_pub_from_json(&json, ccz_buf_span(&j), &cfg, NULL) != CCZ_OK)
        abort();
    same(pub, binary);
    same(pub, json);
}

static void key_again(const struct ccz_paillier_key *k)
{
    CCZ_AUTO(ccz_secret) s = NULL;
    CCZ_AUTO(ccz_paillier_key) again = NULL;
    if (ccz_paillier_key_write(&s, k) != CCZ_OK ||
        ccz_paillier_key_read(&again, s, &cfg, NULL) != CCZ_OK)
        abort();
    CCZ_AUTO(ccz_paillier_pub) a = ccz_paillier_key_pub(k);
    CCZ_AUTO(ccz_paillier_pub) b = ccz_paillier_key_pub(again);
    same(a, b);
}

static void read_pub(struct ccz_span in)
{
    CCZ_AUTO(ccz_paillier_pub) pub = NULL;
    struct ccz_err err = {0};
    if (ccz_paillier_pub_read(&pub, in, &cfg, &err) != CCZ_OK)
        refused(pub, &err);
    else
        pub_again(pub);
}

static void read_pub_json(struct ccz_span in)
{
    CCZ_AUTO(ccz_paillier_pub) pub = NULL;
    struct ccz_err err = {0};
    if (ccz_paillier_pub_from_json(&pub, in, &cfg, &err) != CCZ_OK)
        refused(pub, &err);
    else
        pub_again(pub);
}

static void read_key(struct ccz_span in)
{
    CCZ_AUTO(ccz_secret) s = NULL;
    CCZ_AUTO(ccz_paillier_key) k = NULL;
    struct ccz_err err = {0};
    if (ccz_secret_from(&s, in.ptr, in.size) != CCZ_OK)
        return;
    if (ccz_paillier_key_read(&k, s, &cfg, &err) != CCZ_OK)
        refused(k, &err);
    else
        key_again(k);
}

static void read_key_json(struct ccz_span in)
{
    CCZ_AUTO(ccz_paillier_key) k = NULL;
    struct ccz_err err = {0};
    if (ccz_paillier_key_from_json(&k, in, &cfg, &err) != CCZ_OK)
        refused(k, &err);
    else
        key_again(k);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct ccz_span in = CCZ_SPAN(data, size);
    read_pub(in);
    read_pub_json(in);
    read_key(in);
    read_key_json(in);
    return 0;
}
