/* SPDX-License-Identifier: Apache-2.0 */
/* Binary formats and JSON: round trips, and every rule for what comes from outside. */
#include "pai_test.h"

#include <cczoo/bignum.h>
#include <cczoo/codec.h>

#include <openssl/bn.h>

enum {
    VEC_HEAD = 72,
    AT_VERSION = 4,
    AT_KIND = 5,
    AT_FLAGS = 6,
    AT_ID = 8,
    AT_BITS = 40,
    AT_LEN = 44,
    AT_EXPONENT = 48,
    AT_SLOT_BITS = 52,
    AT_SLOTS = 56,
    AT_BOUND = 60,
    AT_BOUND_E = 68
};

/* ------------------------------------------------------------------------------------ keys */

static void test_pub_binary(void)
{
    CCZ_AUTO_BUF b;
    CCZ_AUTO_BUF again;
    CCZ_AUTO(ccz_paillier_pub) pub = NULL;
    uint8_t id[2][CCZ_PAILLIER_ID_SIZE];
    ccz_buf_init(&b, 4096);
    ccz_buf_init(&again, 4096);
    ccz_paillier_pub_write(&b, test_pub());
    CHECK(ccz_paillier_pub_read(&pub, ccz_buf_span(&b), &small_ok, NULL) == CCZ_OK);
    CHECK(ccz_paillier_has_djn(pub));
    ccz_paillier_id(id[0], pub);
    ccz_paillier_id(id[1], test_pub());
    CHECK(memcmp(id[0], id[1], sizeof(id[0])) == 0);
    ccz_paillier_pub_write(&again, pub);
    CHECK(ccz_span_eq(ccz_buf_span(&b), ccz_buf_span(&again)));
    struct ccz_paillier_pub *none;
    REFUSED(ccz_paillier_pub_read(&none, ccz_buf_span(&b), NULL, &err_), CCZ_E_LIMIT,
            "paillier:n-bits");
    for (size_t size = 0; size < b.size; size++)
        REFUSED(ccz_paillier_pub_read(&none, CCZ_SPAN(b.ptr, size), &small_ok, &err_), CCZ_E_FORMAT,
                "paillier:truncated");
    ccz_buf_u8(&again, 0);
    REFUSED(ccz_paillier_pub_read(&none, ccz_buf_span(&again), &small_ok, &err_), CCZ_E_FORMAT,
            "paillier:trailing");
    static const struct {
        size_t at;
        const char *where;
    } bad[] = {{0, "paillier:magic"},
               {AT_VERSION, "paillier:version"},
               {AT_KIND, "paillier:kind"},
               {AT_FLAGS, "paillier:version"},
               {10, "paillier:trailing"}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        b.ptr[bad[i].at] ^= 1;
        REFUSED(ccz_paillier_pub_read(&none, ccz_buf_span(&b), &small_ok, &err_), CCZ_E_FORMAT,
                bad[i].where);
        b.ptr[bad[i].at] ^= 1;
    }
    b.ptr[10] = 2;
    REFUSED(ccz_paillier_pub_read(&none, ccz_buf_span(&b), &small_ok, &err_), CCZ_E_FORMAT,
            "paillier:kind");
    CHECK(none == NULL);
}

/* One bit further, and no prime any more: with any one bit it could be the next one (one p in 270 with 4). */
static void spoil_prime(uint8_t p[P_SIZE])
{
    BIGNUM *b = BN_new();
    int prime = 1;
    for (uint8_t bit = 4; prime == 1 && bit; bit = (uint8_t)(bit << 1)) {
        p[P_SIZE - 1] ^= bit;
        CHECK(b && BN_bin2bn(p, P_SIZE, b));
        prime = BN_check_prime(b, NULL, NULL);
        if (prime == 1)
            p[P_SIZE - 1] ^= bit;
    }
    CHECK(prime == 0);
    BN_free(b);
}

static void test_key_binary(void)
{
    CCZ_AUTO(ccz_secret) s = NULL;
    CCZ_AUTO(ccz_paillier_key) k = NULL;
    CCZ_AUTO(ccz_paillier_plain) d = NULL;
    const int64_t v = -123456;
    int64_t back;
    struct ccz_paillier_key *none;
    CHECK(ccz_paillier_key_write(&s, test_key()) == CCZ_OK);
    CHECK(ccz_paillier_key_read(&k, s, &small_ok, NULL) == CCZ_OK);
    CCZ_AUTO(ccz_paillier_vec) c = vec_of(&v, 1, 20);
    CHECK(ccz_paillier_decrypt(&d, k, c, NULL, NULL) == CCZ_OK);
    CHECK(ccz_paillier_plain_to_i64(&back, d, NULL) == CCZ_OK && back == v);
    REFUSED(ccz_paillier_key_read(&none, s, NULL, &err_), CCZ_E_LIMIT, "paillier:n-bits");
    for (size_t size = 1; size < ccz_secret_size(s); size += size < 20 ? 1 : 61) {
        CCZ_AUTO(ccz_secret) cut = NULL;
        CHECK(ccz_secret_from(&cut, ccz_secret_view(s), size) == CCZ_OK);
        REFUSED(ccz_paillier_key_read(&none, cut, &small_ok, &err_), CCZ_E_FORMAT,
                "paillier:truncated");
    }
    static const struct {
        size_t at;
        uint8_t flip;
        const char *where;
    } bad[] = {{1, 1, "paillier:magic"},      {AT_KIND, 3, "paillier:kind"},
               {8, 1, "paillier:truncated"},  {9, 0x80, "paillier:truncated"},
               {10, 1, "paillier:trailing"},  {10, 2, "paillier:kind"},
               {HEAD, 0x80, "bignum:length"}, {HEAD + P_SIZE, 0x80, "bignum:length"}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint8_t *at = ccz_secret_bytes(s) + bad[i].at, was = *at;
        *at ^= bad[i].flip;
        REFUSED(ccz_paillier_key_read(&none, s, &small_ok, &err_), CCZ_E_FORMAT, bad[i].where);
        *at = was;
    }
    uint8_t was[2 * P_SIZE], *p = ccz_secret_bytes(s) + HEAD;
    memcpy(was, p, P_SIZE);
    spoil_prime(p);
    REFUSED(ccz_paillier_key_read(&none, s, &small_ok, &err_), CCZ_E_FORMAT, "bignum:not-prime");
    memcpy(p, was, P_SIZE);
    memcpy(was, p + 2 * P_SIZE, sizeof(was));
    memset(p + 2 * P_SIZE, 0xff, sizeof(was)); /* beyond every n */
    REFUSED(ccz_paillier_key_read(&none, s, &small_ok, &err_), CCZ_E_FORMAT, "paillier:h-range");
    memcpy(p + 2 * P_SIZE, was, sizeof(was));
    memcpy(p + P_SIZE, p, P_SIZE);
    REFUSED(ccz_paillier_key_read(&none, s, &small_ok, &err_), CCZ_E_FORMAT, "bignum:close");
}

static void test_key_json(void)
{
    CCZ_AUTO_BUF b;
    CCZ_AUTO_BUF pub_text;
    CCZ_AUTO(ccz_paillier_key) k = NULL;
    CCZ_AUTO(ccz_paillier_pub) pub = NULL;
    CCZ_AUTO(ccz_paillier_plain) d = NULL;
    const int64_t v = -99;
    int64_t back;
    ccz_buf_init(&b, 16384);
    ccz_buf_init(&pub_text, 16384);
    b.wipe = true;
    CHECK(ccz_paillier_key_to_json(&b, test_key(), "a \"key\"", NULL) == CCZ_OK);
    CHECK(ccz_paillier_key_from_json(&k, ccz_buf_span(&b), &small_ok, NULL) == CCZ_OK);
    CCZ_AUTO(ccz_paillier_vec) c = vec_of(&v, 1, 20);
    CHECK(ccz_paillier_decrypt(&d, k, c, NULL, NULL) == CCZ_OK);
    CHECK(ccz_paillier_plain_to_i64(&back, d, NULL) == CCZ_OK && back == v);
    ccz_paillier_pub_to_json(&pub_text, test_pub(), NULL);
    CHECK(ccz_paillier_pub_from_json(&pub, ccz_buf_span(&pub_text), &small_ok, NULL) == CCZ_OK);
    CHECK(ccz_paillier_has_djn(pub));
    struct ccz_paillier_key *none;
    for (size_t size = 0; size < b.size; size += size < 200 ? 1 : 37)
        CHECK(ccz_paillier_key_from_json(&none, CCZ_SPAN(b.ptr, size), &small_ok, NULL) ==
              CCZ_E_FORMAT);
    static const struct {
        const char *find, *put, *where;
    } bad[] = {{"\"kty\":\"DAJ\",\"key_ops\"", "\"kty\":\"DAK\",\"key_ops\"", "paillier:json"},
               {"\"alg\":\"PAI-GN1\"", "\"alg\":\"PAI-GN2\"", "paillier:json"},
               {"\"n\":\"", "\"m\":\"", "paillier:json"},
               {"\"p\":\"", "\"r\":\"", "paillier:p-q"},
               {"\"q\":\"", "\"r\":\"", "paillier:p-q"},
               {"\"pub\":", "\"pup\":", "paillier:json"},
               {"\"p\":\"", "\"p\":\"=", "base64:padding"}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CCZ_AUTO_BUF t;
        ccz_buf_init(&t, 16384);
        char *at = strstr(ccz_buf_str(&b), bad[i].find);
        CHECK(at != NULL);
        ccz_buf_put(&t, b.ptr, (size_t)(at - (char *)b.ptr));
        ccz_buf_put_str(&t, bad[i].put);
        ccz_buf_put_str(&t, at + strlen(bad[i].find));
        struct ccz_err err = {0};
        CHECK(ccz_paillier_key_from_json(&none, ccz_buf_span(&t), &small_ok, &err) == CCZ_E_FORMAT);
        CHECK(strncmp(err.where, bad[i].where, 6) == 0);
        CHECK(strcmp(err.where, bad[i].where) == 0 || strncmp(bad[i].where, "base64", 6) == 0);
    }
}

/* The public half of another key. */
static void test_key_json_mixed(void)
{
    CCZ_AUTO_BUF b;
    CCZ_AUTO_BUF t;
    uint8_t n[N_SIZE];
    struct ccz_paillier_key *none;
    ccz_buf_init(&b, 16384);
    ccz_buf_init(&t, 16384);
    CHECK(ccz_paillier_key_to_json(&b, test_key(), NULL, NULL) == CCZ_OK);
    CCZ_AUTO(ccz_paillier_key) other = NULL;
    const struct ccz_paillier_keygen_cfg cfg = {.bits_1024_insecure = true};
    CHECK(ccz_paillier_keygen(&other, &cfg, NULL) == CCZ_OK);
    CCZ_AUTO(ccz_paillier_pub) alien = ccz_paillier_key_pub(other);
    char *at = strstr(ccz_buf_str(&b), "\"pub\":");
    CHECK(at != NULL);
    ccz_buf_put(&t, b.ptr, (size_t)(at - (char *)b.ptr));
    ccz_buf_put_str(&t, "\"pub\":{\"kty\":\"DAJ\",\"alg\":\"PAI-GN1\",\"n\":\"");
    ccz_paillier_n(n, alien);
    ccz_base64_put(&t, CCZ_SPAN(n, N_SIZE), CCZ_BASE64_URL);
    ccz_buf_put_str(&t, "\"}}");
    REFUSED(ccz_paillier_key_from_json(&none, ccz_buf_span(&t), &small_ok, &err_), CCZ_E_MISMATCH,
            "paillier:key");
}

/* A key as others make it: p = 1 mod 4, no h. */
static void test_key_foreign(void)
{
    uint8_t b[HEAD + 2 * P_SIZE] = {'C', 'C', 'Z', 'P', 1, 2, 0, 0, N_SIZE, 0, 0, 0};
    BIGNUM *p = BN_new(), *four = BN_new(), *one = BN_new();
    CHECK(BN_set_word(four, 4) && BN_set_word(one, 1));
    for (int i = 0; i < 2; i++) {
        do
            CHECK(BN_generate_prime_ex(p, 8 * P_SIZE, 0, four, one, NULL));
        while (!BN_is_bit_set(p, 8 * P_SIZE - 2)); /* or n may lack a bit */
        CHECK(BN_bn2binpad(p, b + HEAD + i * P_SIZE, P_SIZE) == P_SIZE);
    }
    CCZ_AUTO(ccz_secret) s = NULL;
    CCZ_AUTO(ccz_paillier_key) k = NULL;
    CHECK(ccz_secret_from(&s, b, sizeof(b)) == CCZ_OK);
    CHECK(ccz_paillier_key_read(&k, s, &small_ok, NULL) == CCZ_OK);
    CCZ_AUTO(ccz_paillier_pub) pub = ccz_paillier_key_pub(k);
    CHECK(!ccz_paillier_has_djn(pub));
    CCZ_AUTO(ccz_paillier_plain) x = NULL;
    CCZ_AUTO(ccz_paillier_plain) d = NULL;
    CCZ_AUTO(ccz_paillier_vec) c = NULL;
    const int64_t v[3] = {5, -6, INT64_MAX};
    int64_t back[3];
    CHECK(ccz_paillier_plain_i64(&x, pub, v, 3, 63, NULL, NULL) == CCZ_OK);
    CHECK(ccz_paillier_encrypt(&c, x, NULL, NULL) == CCZ_OK);
    CHECK(ccz_paillier_decrypt(&d, k, c, NULL, NULL) == CCZ_OK);
    CHECK(ccz_paillier_plain_to_i64(back, d, NULL) == CCZ_OK && memcmp(v, back, sizeof(v)) == 0);
    BN_free(p), BN_free(four), BN_free(one);
    /* With an h, the rules of keys made here hold. */
    CCZ_AUTO(ccz_secret) with_h = NULL;
    CHECK(ccz_secret_new(&with_h, HEAD + 2 * N_SIZE) == CCZ_OK);
    memcpy(ccz_secret_bytes(with_h), b, sizeof(b));
    ccz_secret_bytes(with_h)[10] = 1;
    struct ccz_paillier_key *none;
    REFUSED(ccz_paillier_key_read(&none, with_h, &small_ok, &err_), CCZ_E_FORMAT, "bignum:blum");
}

/* ----------------------------------------------------------------------------- ciphertexts */

static void test_vec(void)
{
    const int64_t v[3] = {1, -20, 300};
    CCZ_AUTO(ccz_paillier_vec) c = vec_of(v, 3, 10);
    CCZ_AUTO(ccz_paillier_vec) same = NULL;
    CCZ_AUTO(ccz_paillier_vec) packed = NULL;
    CCZ_AUTO(ccz_paillier_vec) empty = NULL;
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 1 << 16);
    CHECK(ccz_paillier_add(c, c, NULL) == CCZ_OK && ccz_paillier_rescale(c, -3, NULL) == CCZ_OK);
    CHECK(ccz_paillier_vec_write(&b, c, NULL) == CCZ_OK);
    CHECK(b.size == ccz_paillier_vec_size(test_pub(), 3) && b.size == VEC_HEAD + 3 * C_SIZE);
    CHECK(ccz_paillier_vec_read(&same, test_pub(), ccz_buf_span(&b), 3, NULL) == CCZ_OK);
    CHECK(ccz_paillier_vec_exponent(same) == -3 && ccz_paillier_vec_randomised(same));
    CHECK(ccz_paillier_vec_bound(same) == ccz_paillier_vec_bound(c));
    CHECK(item_is(same, 1, -40 * 4096));
    ccz_buf_clear(&b);
    const struct ccz_paillier_packing pack = {.slot_bits = 40, .slots = 16};
    CHECK(ccz_paillier_squeeze(&packed, c, pack, 1, NULL) == CCZ_OK);
    CHECK(ccz_paillier_vec_write(&b, packed, NULL) == CCZ_OK);
    ccz_paillier_vec_free(same);
    CHECK(ccz_paillier_vec_read(&same, test_pub(), ccz_buf_span(&b), 1, NULL) == CCZ_OK);
    CHECK(ccz_paillier_vec_packing(same).slots == 16 &&
          ccz_paillier_vec_packing(same).slot_bits == 40);
    CHECK(ccz_paillier_rescale(same, -3, NULL) == CCZ_OK);
    CCZ_AUTO(ccz_paillier_plain) d = NULL;
    double x[16];
    CHECK(ccz_paillier_decrypt(&d, test_key(), same, NULL, NULL) == CCZ_OK);
    CHECK(ccz_paillier_plain_to_f64(x, d, NULL) == CCZ_OK);
    CHECK(x[0] == 2 && x[1] == -40 && x[2] == 600 && x[3] == 0);
    ccz_buf_clear(&b);
    CHECK(ccz_paillier_vec_slice(&empty, c, 0, 0, NULL) == CCZ_OK);
    CHECK(ccz_paillier_vec_write(&b, empty, NULL) == CCZ_OK && b.size == VEC_HEAD);
    ccz_paillier_vec_free(same);
    CHECK(ccz_paillier_vec_read(&same, test_pub(), ccz_buf_span(&b), 0, NULL) == CCZ_OK);
    CHECK(ccz_paillier_vec_len(same) == 0);
    CCZ_AUTO_BUF tight;
    ccz_buf_init(&tight, VEC_HEAD + 3 * C_SIZE - 1);
    REFUSED(ccz_paillier_vec_write(&tight, c, &err_), CCZ_E_LIMIT, "paillier:buffer");
}

/* Each field of the head with each of these, and the items. */
static void test_vec_refused(void)
{
    const int64_t v[2] = {1, -20};
    CCZ_AUTO(ccz_paillier_vec) c = vec_of(v, 2, 10);
    CCZ_AUTO_BUF b;
    struct ccz_paillier_vec *none;
    ccz_buf_init(&b, 1 << 16);
    CHECK(ccz_paillier_vec_write(&b, c, NULL) == CCZ_OK);
    static const struct {
        size_t at;
        uint8_t put;
        ccz_rc rc;
        const char *where;
    } bad[] = {{3, 'Q', CCZ_E_FORMAT, "paillier:magic"},
               {AT_VERSION, 2, CCZ_E_FORMAT, "paillier:version"},
               {AT_KIND, 1, CCZ_E_FORMAT, "paillier:kind"},
               {AT_FLAGS + 1, 1, CCZ_E_FORMAT, "paillier:version"},
               {AT_BITS + 1, 8, CCZ_E_MISMATCH, "paillier:key"},
               {AT_LEN, 3, CCZ_E_FORMAT, "paillier:truncated"},
               {AT_LEN, 1, CCZ_E_FORMAT, "paillier:trailing"},
               {AT_LEN, 5, CCZ_E_LIMIT, "paillier:len"},
               {AT_LEN + 3, 0xff, CCZ_E_LIMIT, "paillier:len"},
               {AT_EXPONENT + 2, 1, CCZ_E_FORMAT, "paillier:exponent"},
               {AT_EXPONENT + 3, 0x80, CCZ_E_FORMAT, "paillier:exponent"},
               {AT_SLOT_BITS, 1, CCZ_E_FORMAT, "paillier:packing"},
               {AT_SLOT_BITS + 1, 8, CCZ_E_FORMAT, "paillier:packing"},
               {AT_SLOTS, 0, CCZ_E_FORMAT, "paillier:packing"},
               {AT_SLOTS, 2, CCZ_E_FORMAT, "paillier:packing"},
               {AT_BOUND + 7, 1, CCZ_E_FORMAT, "paillier:bound"},
               {AT_BOUND_E + 1, 4, CCZ_E_FORMAT, "paillier:bound"},
               {AT_BOUND_E + 3, 0x80, CCZ_E_FORMAT, "paillier:bound"}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint8_t was = b.ptr[bad[i].at];
        CHECK(was != bad[i].put);
        b.ptr[bad[i].at] = bad[i].put;
        REFUSED(ccz_paillier_vec_read(&none, test_pub(), ccz_buf_span(&b), 4, &err_), bad[i].rc,
                bad[i].where);
        b.ptr[bad[i].at] = was;
    }
    b.ptr[AT_SLOT_BITS] = 8; /* a bound that the integer has room for, but not the slot */
    REFUSED(ccz_paillier_vec_read(&none, test_pub(), ccz_buf_span(&b), 4, &err_), CCZ_E_FORMAT,
            "paillier:bound");
    b.ptr[AT_SLOT_BITS] = 0;
    for (size_t i = 0; i < CCZ_PAILLIER_ID_SIZE; i++) {
        b.ptr[AT_ID + i] ^= 0x40;
        REFUSED(ccz_paillier_vec_read(&none, test_pub(), ccz_buf_span(&b), 2, &err_),
                CCZ_E_MISMATCH, "paillier:key");
        b.ptr[AT_ID + i] ^= 0x40;
    }
    for (size_t size = 0; size < b.size; size++)
        REFUSED(ccz_paillier_vec_read(&none, test_pub(), CCZ_SPAN(b.ptr, size), 2, &err_),
                CCZ_E_FORMAT, "paillier:truncated");
    CHECK(none == NULL);
}

static void test_items_refused(void)
{
    const struct ref *r = test_ref();
    uint8_t c[3 * C_SIZE];
    const int64_t v[3] = {1, -20, 7};
    const struct ccz_paillier_format format = {0, 10}, wide = {0, BITS - 2};
    CCZ_AUTO(ccz_paillier_vec) good = vec_of(v, 3, 10);
    CCZ_AUTO(ccz_paillier_vec) again = NULL;
    struct ccz_paillier_vec *none;
    BIGNUM *x = BN_new();
    items_of(c, good);
    CHECK(ccz_paillier_vec_from_residues(&again, test_pub(), c, 3, format, NULL, NULL) == CCZ_OK);
    CHECK(item_is(again, 2, 7) && ccz_paillier_vec_bound(again) == 10);
    CCZ_AUTO(ccz_secret) s = NULL;
    CHECK(ccz_paillier_key_write(&s, test_key()) == CCZ_OK);
    for (int kind = 0; kind < 6; kind++) {
        const char *where = kind < 3 ? "paillier:c-range" : "paillier:c-gcd";
        BIGNUM *p = bn_from(ccz_secret_view(s) + HEAD + (kind == 4 ? P_SIZE : 0), P_SIZE);
        CHECK(kind == 0   ? BN_set_word(x, 0)
              : kind == 1 ? BN_copy(x, r->n2) != NULL
              : kind == 2 ? BN_copy(x, r->n2) != NULL && BN_add_word(x, 12345)
              : kind == 5 ? BN_copy(x, r->n) != NULL
                          : BN_copy(x, p) != NULL && BN_mul_word(x, 77));
        uint8_t keep[C_SIZE];
        memcpy(keep, c + C_SIZE, C_SIZE);
        CHECK(BN_bn2binpad(x, c + C_SIZE, C_SIZE) == C_SIZE);
        struct ccz_err err = {0};
        CHECK(ccz_paillier_vec_from_residues(&none, test_pub(), c, 3, format, NULL, &err) ==
              CCZ_E_FORMAT);
        CHECK(strcmp(err.where, where) == 0 && err.aux == (kind < 3 ? 1 : -1) && none == NULL);
        memcpy(c + C_SIZE, keep, C_SIZE);
        BN_free(p);
    }
    CHECK(BN_copy(x, r->n2) != NULL && BN_sub_word(x, 1)); /* the largest unit */
    CHECK(BN_bn2binpad(x, c, C_SIZE) == C_SIZE);
    ccz_paillier_vec_free(again);
    CHECK(ccz_paillier_vec_from_residues(&again, test_pub(), c, 3, format, NULL, NULL) == CCZ_OK);
    REFUSED(ccz_paillier_vec_from_residues(&none, test_pub(), c, 3, wide, NULL, &err_), CCZ_E_ARG,
            "paillier:bits");
    const struct ccz_paillier_packing pack = {.slot_bits = 10};
    REFUSED(ccz_paillier_vec_from_residues(&none, test_pub(), c, 3, format, &pack, &err_),
            CCZ_E_ARG, "paillier:bits");
    BN_free(x);
}

static void test_json(void)
{
    const int64_t v[3] = {1, -20, 300};
    CCZ_AUTO(ccz_paillier_vec) c = vec_of(v, 3, 10);
    CCZ_AUTO(ccz_paillier_vec) one = NULL;
    CCZ_AUTO(ccz_paillier_vec) same = NULL;
    CCZ_AUTO(ccz_paillier_vec) packed = NULL;
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 1 << 16);
    CHECK(ccz_paillier_rescale(c, -2, NULL) == CCZ_OK);
    CHECK(ccz_paillier_vec_to_json(&b, c, NULL) == CCZ_OK && b.ptr[0] == '[');
    CHECK(ccz_paillier_vec_from_json(&same, test_pub(), ccz_buf_span(&b), 18, 3, NULL) == CCZ_OK);
    CHECK(ccz_paillier_vec_exponent(same) == -2 && ccz_paillier_vec_bound(same) == 18);
    CHECK(item_is(same, 2, 300 * 256) && ccz_paillier_vec_randomised(same));
    struct ccz_paillier_vec *none;
    REFUSED(ccz_paillier_vec_from_json(&none, test_pub(), ccz_buf_span(&b), 18, 2, &err_),
            CCZ_E_LIMIT, "paillier:len");
    REFUSED(ccz_paillier_vec_from_json(&none, test_pub(), ccz_buf_span(&b), BITS, 3, &err_),
            CCZ_E_ARG, "paillier:bits");
    for (size_t size = 0; size < b.size; size += 13)
        CHECK(ccz_paillier_vec_from_json(&none, test_pub(), CCZ_SPAN(b.ptr, size), 18, 3, NULL) ==
              CCZ_E_FORMAT);
    ccz_buf_clear(&b);
    ccz_paillier_vec_free(same);
    CHECK(ccz_paillier_vec_slice(&one, c, 1, 1, NULL) == CCZ_OK);
    CHECK(ccz_paillier_vec_to_json(&b, one, NULL) == CCZ_OK && b.ptr[0] == '{');
    CHECK(ccz_paillier_vec_from_json(&same, test_pub(), ccz_buf_span(&b), 0, 1, NULL) == CCZ_OK);
    CHECK(item_is(same, 0, -20 * 256));
    REFUSED(ccz_paillier_add(same, same, &err_), CCZ_E_LIMIT, "paillier:overflow");
    CHECK(ccz_paillier_squeeze(&packed, c, (struct ccz_paillier_packing){40, 0}, 1, NULL) ==
          CCZ_OK);
    REFUSED(ccz_paillier_vec_to_json(&b, packed, &err_), CCZ_E_MISMATCH, "paillier:packing");
    CCZ_AUTO_BUF tight;
    ccz_buf_init(&tight, 100);
    CHECK(ccz_paillier_vec_to_json(&tight, one, NULL) != CCZ_OK);
}

static void test_json_refused(void)
{
    struct ccz_paillier_vec *none;
    static const struct {
        const char *text, *where;
    } bad[] = {{"{}", "paillier:json"},
               {"3", "paillier:json"},
               {"[[]]", "paillier:json"},
               {"{\"v\":3,\"e\":0}", "paillier:json"},
               {"{\"v\":\"3\",\"e\":\"0\"}", "paillier:json"},
               {"{\"v\":\"3\"}", "paillier:json"},
               {"{\"v\":\"\",\"e\":0}", "paillier:c-range"},
               {"{\"v\":\"-3\",\"e\":0}", "paillier:c-range"},
               {"{\"v\":\"0x3\",\"e\":0}", "paillier:c-range"},
               {"{\"v\":\"03\",\"e\":0}", "paillier:c-range"},
               {"{\"v\":\"0\",\"e\":0}", "paillier:c-range"},
               {"{\"v\":\"3\",\"e\":1025}", "paillier:exponent"},
               {"[{\"v\":\"3\",\"e\":0},{\"v\":\"3\",\"e\":1}]", "paillier:exponent"}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        REFUSED(
            ccz_paillier_vec_from_json(&none, test_pub(), ccz_span_str(bad[i].text), 10, 9, &err_),
            CCZ_E_FORMAT, bad[i].where);
    CCZ_AUTO_BUF b;
    uint8_t bytes[C_SIZE];
    ccz_buf_init(&b, 1 << 16);
    ccz_buf_put_str(&b, "{\"v\":\"");
    CHECK(BN_bn2binpad(test_ref()->n2, bytes, C_SIZE) == C_SIZE);
    CHECK(ccz_bignum_to_decimal(&b, CCZ_SPAN(bytes, C_SIZE)) == CCZ_OK);
    ccz_buf_put_str(&b, "\",\"e\":0}");
    REFUSED(ccz_paillier_vec_from_json(&none, test_pub(), ccz_buf_span(&b), 10, 9, &err_),
            CCZ_E_FORMAT, "paillier:c-range");
    ccz_buf_clear(&b);
    ccz_buf_put_str(&b, "{\"v\":\"");
    CHECK(BN_bn2binpad(test_ref()->n, bytes, C_SIZE) == C_SIZE);
    CHECK(ccz_bignum_to_decimal(&b, CCZ_SPAN(bytes, C_SIZE)) == CCZ_OK);
    ccz_buf_put_str(&b, "\",\"e\":0}");
    REFUSED(ccz_paillier_vec_from_json(&none, test_pub(), ccz_buf_span(&b), 10, 9, &err_),
            CCZ_E_FORMAT, "paillier:c-gcd");
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"paillier.wire_pub", test_pub_binary},
        {"paillier.wire_key", test_key_binary},
        {"paillier.wire_key_json", test_key_json},
        {"paillier.wire_key_json_mixed", test_key_json_mixed},
        {"paillier.wire_key_foreign", test_key_foreign},
        {"paillier.wire_vec", test_vec},
        {"paillier.wire_vec_refused", test_vec_refused},
        {"paillier.wire_items_refused", test_items_refused},
        {"paillier.wire_json", test_json},
        {"paillier.wire_json_refused", test_json_refused},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
