/* SPDX-License-Identifier: Apache-2.0 */
/* Known answers: FIPS 180-4 examples, RFC 4231 (HMAC), RFC 5869 (HKDF), RFC 4493 (CMAC), the GCM
 * specification's test cases (McGrew and Viega, adopted by NIST SP 800-38D), RFC 8439, RFC 7748. */
#include <cczoo/crypto.h>

#include "ccz_test.h"

struct bytes {
    uint8_t ptr[256];
    size_t size;
};

static struct bytes hex(const char *text)
{
    struct bytes b = {.size = strlen(text) / 2};
    CHECK(b.size <= sizeof(b.ptr) && ccz_unhex(b.ptr, b.size, text, 2 * b.size) == CCZ_OK);
    return b;
}

static bool is_hex(const void *got, size_t size, const char *want)
{
    struct bytes b = hex(want);
    return b.size == size && memcmp(got, b.ptr, size) == 0;
}

#define SPAN(b) CCZ_SPAN((b).ptr, (b).size)

static const char abc_two_blocks[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";

static void test_hash(void)
{
    static const struct {
        enum ccz_hash alg;
        const char *in, *want;
    } kat[] = {
        {CCZ_SHA256, "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {CCZ_SHA256, "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {CCZ_SHA256, abc_two_blocks,
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
        {CCZ_SHA384, "abc",
         "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca13"
         "4"
         "c825a7"},
        {CCZ_SHA512, "abc",
         "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a"
         "3"
         "feebbd454d4423643ce80e2a9ac94fa54ca49f"},
    };
    uint8_t out[CCZ_HASH_SIZE_MAX];
    for (size_t i = 0; i < sizeof(kat) / sizeof(kat[0]); i++) {
        struct ccz_span in = ccz_span_str(kat[i].in);
        struct ccz_span parts[] = {ccz_span_sub(in, 0, in.size / 2),
                                   {0},
                                   ccz_span_sub(in, in.size / 2, in.size - in.size / 2)};
        size_t size = ccz_hash_size(kat[i].alg);
        CHECK(ccz_hash(out, kat[i].alg, &in, 1) == CCZ_OK && is_hex(out, size, kat[i].want));
        CHECK(ccz_hash(out, kat[i].alg, parts, 3) == CCZ_OK && is_hex(out, size, kat[i].want));

        CCZ_AUTO(ccz_hasher) h = NULL;
        CHECK(ccz_hasher_new(&h, kat[i].alg) == CCZ_OK);
        for (int again = 0; again < 2; again++) { /* done() starts a new message */
            for (size_t j = 0; j < in.size; j++)
                CHECK(ccz_hasher_put(h, ccz_span_sub(in, j, 1)) == CCZ_OK);
            memset(out, 0, sizeof(out));
            CHECK(ccz_hasher_done(out, h) == CCZ_OK && is_hex(out, size, kat[i].want));
        }
    }
    CHECK(ccz_sha256(out, ccz_span_str("abc")) == CCZ_OK && is_hex(out, 32, kat[0].want));
    CHECK(ccz_hash_size((enum ccz_hash)99) == 0);
    CHECK(ccz_hash(out, (enum ccz_hash)99, NULL, 0) == CCZ_E_ARG);
}

/* Every length around blocks, every number around the lanes: as one after the other, for which test_hash() has known answers. */
static void test_hash_each(void)
{
    enum { LEN = 35, SIZE = 1024 };
    static uint8_t in[LEN * SIZE], got[LEN + 1][32], want[32];
    uint32_t x = 1;
    for (size_t i = 0; i < sizeof(in); i++)
        in[i] = (uint8_t)((x = x * 1664525 + 1013904223) >> 24);
    for (size_t size = 0; size <= SIZE; size += size < 192 || size > 960 ? 1 : 64) {
        for (size_t len = 0; len <= LEN; len += len < 14 || len > 17 ? 7 : 1) {
            memset(got, 0xa5, sizeof(got));
            CHECK(ccz_sha256_each(got, in, size, len) == CCZ_OK);
            for (size_t i = 0; i < len; i++) {
                CHECK(ccz_sha256(want, CCZ_SPAN(in + i * size, size)) == CCZ_OK);
                CHECK(memcmp(got[i], want, 32) == 0);
            }
            CHECK(got[len][0] == 0xa5 && got[len][31] == 0xa5);
        }
    }
    static uint8_t same[16][64];
    for (size_t i = 0; i < 16; i++)
        memset(same[i], 'a', 64);
    CHECK(ccz_sha256_each(got, same, 64, 16) == CCZ_OK);
    for (size_t i = 0; i < 16; i++)
        CHECK(
            is_hex(got[i], 32, "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb"));
}

static void test_hmac(void)
{
    static const struct {
        const char *key, *in, *sha256, *sha384, *sha512;
    } kat[] = {
        /* RFC 4231, 4.3 */
        {"4a656665", "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
         "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
         "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecf"
         "ab"
         "21649",
         "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f"
         "8f"
         "0e6fdcaeab1a34d4a6b4b636e070a38bce737"},
        /* 4.2 */
        {"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "4869205468657265",
         "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
         "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59cfaea9ea9076ede7f4af152e8b"
         "2f"
         "a9cb6",
         "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cdedaa833b7d6b8a702038b274ea"
         "ea"
         "3f4e4be9d914eeb61f1702e696c203a126854"},
    };
    uint8_t out[CCZ_HASH_SIZE_MAX];
    for (size_t i = 0; i < sizeof(kat) / sizeof(kat[0]); i++) {
        struct bytes key = hex(kat[i].key), in = hex(kat[i].in);
        struct ccz_span parts[] = {CCZ_SPAN(in.ptr, 3), CCZ_SPAN(in.ptr + 3, in.size - 3)};
        CHECK(ccz_hmac(out, CCZ_SHA256, SPAN(key), parts, 2) == CCZ_OK);
        CHECK(is_hex(out, 32, kat[i].sha256));
        CHECK(ccz_hmac(out, CCZ_SHA384, SPAN(key), parts, 2) == CCZ_OK);
        CHECK(is_hex(out, 48, kat[i].sha384));
        CHECK(ccz_hmac(out, CCZ_SHA512, SPAN(key), parts, 2) == CCZ_OK);
        CHECK(is_hex(out, 64, kat[i].sha512));
    }
    /* empty key and message, FIPS 198-1 construction computed with SHA-256 directly */
    uint8_t pad[64], want[32];
    memset(pad, 0x36, 64);
    CHECK(ccz_sha256(want, CCZ_SPAN(pad, 64)) == CCZ_OK);
    memset(pad, 0x5c, 64);
    struct ccz_span outer[] = {CCZ_SPAN(pad, 64), CCZ_SPAN(want, 32)};
    CHECK(ccz_hash(want, CCZ_SHA256, outer, 2) == CCZ_OK);
    CHECK(ccz_hmac(out, CCZ_SHA256, (struct ccz_span){0}, NULL, 0) == CCZ_OK);
    CHECK(memcmp(out, want, 32) == 0);
    CHECK(ccz_hmac(out, (enum ccz_hash)99, (struct ccz_span){0}, NULL, 0) == CCZ_E_ARG);
}

static void test_hkdf(void)
{
    static const struct {
        const char *ikm, *salt, *info, *okm;
    } kat[] = {
        /* RFC 5869, A.1 */
        {"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "000102030405060708090a0b0c",
         "f0f1f2f3f4f5f6f7f8f9",
         "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"},
        /* A.2 */
        {"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2"
         "c"
         "2d2e2f303132333435363738393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f",
         "606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f808182838485868788898a8b8"
         "c"
         "8d8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3a4a5a6a7a8a9aaabacadaeaf",
         "b0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbd"
         "c"
         "dddedfe0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
         "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65"
         "e"
         "590e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87"},
        /* A.3: no salt, no info */
        {"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "", "",
         "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"},
    };
    uint8_t out[255 * 32 + 1];
    for (size_t i = 0; i < sizeof(kat) / sizeof(kat[0]); i++) {
        struct bytes ikm = hex(kat[i].ikm), salt = hex(kat[i].salt), info = hex(kat[i].info);
        size_t size = strlen(kat[i].okm) / 2;
        CHECK(ccz_hkdf(out, size, CCZ_SHA256, SPAN(salt), SPAN(ikm), SPAN(info)) == CCZ_OK);
        CHECK(is_hex(out, size, kat[i].okm));
    }
    struct ccz_span none = {0};
    CHECK(ccz_hkdf(out, 255 * 32, CCZ_SHA256, none, none, none) == CCZ_OK);
    CHECK(ccz_hkdf(out, 255 * 32 + 1, CCZ_SHA256, none, none, none) == CCZ_E_ARG);
    CHECK(ccz_hkdf(out, 16, (enum ccz_hash)99, none, none, none) == CCZ_E_ARG);
}

/* Keys of other keys: HKDF without salt, and nothing without a key. */
static void test_derive(void)
{
    static const uint8_t from[32] = {1, 2, 3};
    uint8_t want[16];
    CCZ_AUTO(ccz_secret) key = NULL;
    CCZ_AUTO(ccz_secret) a = NULL;
    CCZ_AUTO(ccz_secret) b = NULL;
    CHECK(ccz_secret_from(&key, from, sizeof(from)) == CCZ_OK);
    CHECK(ccz_secret_derive(&a, sizeof(want), key, "cczoo test a") == CCZ_OK);
    CHECK(ccz_secret_derive(&b, sizeof(want), key, "cczoo test b") == CCZ_OK);
    CHECK(ccz_hkdf(want, sizeof(want), CCZ_SHA256, CCZ_SPAN(NULL, 0), CCZ_SPAN(from, sizeof(from)),
                   ccz_span_str("cczoo test a")) == CCZ_OK);
    CHECK(ccz_secret_size(a) == 16 && memcmp(ccz_secret_view(a), want, 16) == 0);
    CHECK(memcmp(ccz_secret_view(b), want, 16) != 0);
    ccz_secret_free(b);
    b = NULL;
    CHECK(ccz_secret_derive(&b, 16, NULL, "cczoo test a") == CCZ_E_ARG && !b);
}

static void test_cmac(void)
{
    static const struct {
        size_t size;
        const char *want;
    } kat[] = {
        /* RFC 4493, 4 */
        {0, "bb1d6929e95937287fa37d129b756746"},
        {16, "070a16b46b4d4144f79bdd9dd04a287c"},
        {40, "dfa66747de9ae63030ca32611497c827"},
        {64, "51f0bebf7e3b9d92fc49741779363cfe"},
    };
    struct bytes key = hex("2b7e151628aed2a6abf7158809cf4f3c");
    struct bytes in = hex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
                          "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710");
    uint8_t out[16];
    for (size_t i = 0; i < sizeof(kat) / sizeof(kat[0]); i++) {
        CHECK(ccz_aes_cmac(out, key.ptr, CCZ_SPAN(in.ptr, kat[i].size)) == CCZ_OK);
        CHECK(is_hex(out, 16, kat[i].want));
    }
}

struct aead_kat {
    enum ccz_aead_alg alg;
    const char *key, *nonce, *aad, *in, *out, *tag;
};

static const struct aead_kat aead_kats[] = {
    /* GCM specification, test cases 1, 2, 3, 4, 14, 16 */
    {CCZ_AES_128_GCM, "00000000000000000000000000000000", "000000000000000000000000", "", "", "",
     "58e2fccefa7e3061367f1d57a4e7455a"},
    {CCZ_AES_128_GCM, "00000000000000000000000000000000", "000000000000000000000000", "",
     "00000000000000000000000000000000", "0388dace60b6a392f328c2b971b2fe78",
     "ab6e47d42cec13bdf53a67b21257bddf"},
    {CCZ_AES_128_GCM, "feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888", "",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b"
     "5"
     "25b16aedf5aa0de657ba637b391aafd255",
     "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84a"
     "a"
     "051ba30b396a0aac973d58e091473f5985",
     "4d5c2af327cd64a62cf35abd2ba6fab4"},
    {CCZ_AES_128_GCM, "feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
     "feedfacedeadbeeffeedfacedeadbeefabaddad2",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b"
     "5"
     "25b16aedf5aa0de657ba637b39",
     "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84a"
     "a"
     "051ba30b396a0aac973d58e091",
     "5bc94fbc3221a5db94fae95ae7121a47"},
    {CCZ_AES_256_GCM, "0000000000000000000000000000000000000000000000000000000000000000",
     "000000000000000000000000", "", "00000000000000000000000000000000",
     "cea7403d4d606b6e074ec5d3baf39d18", "d0d1c8a799996bf0265b98b5d48ab919"},
    {CCZ_AES_256_GCM, "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
     "cafebabefacedbaddecaf888", "feedfacedeadbeeffeedfacedeadbeefabaddad2",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b"
     "5"
     "25b16aedf5aa0de657ba637b39",
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828"
     "838c"
     "5f61e6393ba7a0abcc9f662",
     "76fc6ece0f4e1768cddf8853bb2d551b"},
    /* test cases 7, 8, 9, 10 */
    {CCZ_AES_192_GCM, "000000000000000000000000000000000000000000000000",
     "000000000000000000000000", "", "", "", "cd33b28ac773f74ba00ed1f312572435"},
    {CCZ_AES_192_GCM, "000000000000000000000000000000000000000000000000",
     "000000000000000000000000", "", "00000000000000000000000000000000",
     "98e7247c07f0fe411c267e4384b0f600", "2ff58d80033927ab8ef4d4587514f0fb"},
    {CCZ_AES_192_GCM, "feffe9928665731c6d6a8f9467308308feffe9928665731c",
     "cafebabefacedbaddecaf888", "",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6"
     "b525b16aedf5aa0de657ba637b391aafd255",
     "3980ca0b3c00e841eb06fac4872a2757859e1ceaa6efd984628593b40ca1e19c7d773d00c144c525ac619d18c84a"
     "3f4718e2448b2fe324d9ccda2710acade256",
     "9924a7c8587336bfb118024db8674a14"},
    {CCZ_AES_192_GCM, "feffe9928665731c6d6a8f9467308308feffe9928665731c",
     "cafebabefacedbaddecaf888", "feedfacedeadbeeffeedfacedeadbeefabaddad2",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6"
     "b525b16aedf5aa0de657ba637b39",
     "3980ca0b3c00e841eb06fac4872a2757859e1ceaa6efd984628593b40ca1e19c7d773d00c144c525ac619d18c84a"
     "3f4718e2448b2fe324d9ccda2710",
     "2519498e80f1478f37ba55bd6d27618c"},
    /* RFC 8439, 2.8.2 */
    {CCZ_CHACHA20_POLY1305, "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
     "070000004041424344454647", "50515253c0c1c2c3c4c5c6c7",
     "4c616469657320616e642047656e746c656d656e206f662074686520636c617373206f66202739393a2049662049"
     "20636f756c64206f6666657220796f75206f6e6c79206f6e652074697020666f7220746865206675747572652c20"
     "73756e73637265656e20776f756c642062652069742e",
     "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92"
     "728b1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b"
     "4831d7bc3ff4def08e4b7a9de576d26586cec64b6116",
     "1ae10b594f09e26a7e902ecbd0600691"},
};

static void test_aead_kat(void)
{
    for (size_t i = 0; i < sizeof(aead_kats) / sizeof(aead_kats[0]); i++) {
        const struct aead_kat *k = &aead_kats[i];
        struct bytes key = hex(k->key), nonce = hex(k->nonce), aad = hex(k->aad), in = hex(k->in);
        struct bytes want = hex(k->out);
        uint8_t out[256], tag[16];
        CCZ_AUTO(ccz_aead) a = NULL;
        CHECK(ccz_aead_new(&a, k->alg) == CCZ_OK && ccz_aead_key_size(k->alg) == key.size);
        for (int again = 0; again < 2; again++) { /* the context is reusable in both directions */
            CHECK(ccz_aead_seal(a, out, tag, key.ptr, nonce.ptr, SPAN(aad), SPAN(in)) == CCZ_OK);
            CHECK(is_hex(out, in.size, k->out) && is_hex(tag, 16, k->tag));
            CHECK(ccz_aead_open(a, out, tag, key.ptr, nonce.ptr, SPAN(aad), SPAN(want)) == CCZ_OK);
            CHECK(memcmp(out, in.ptr, in.size) == 0);
            CHECK(ccz_aead_open(a, out, tag, key.ptr, nonce.ptr, SPAN(aad),
                                CCZ_SPAN(memcpy(out, want.ptr, want.size), want.size)) == CCZ_OK);
            CHECK(memcmp(out, in.ptr, in.size) == 0); /* in place */
        }
    }
    CCZ_AUTO(ccz_aead) a = NULL;
    CHECK(ccz_aead_new(&a, (enum ccz_aead_alg)99) == CCZ_E_ARG && a == NULL);
    CHECK(ccz_aead_key_size((enum ccz_aead_alg)99) == 0);
}

static bool all_zero(const uint8_t *p, size_t size)
{
    uint8_t any = 0;
    for (size_t i = 0; i < size; i++)
        any |= p[i];
    return any == 0;
}

/* Every flipped bit of key, nonce, AAD, text and tag is refused and nothing is released. */
static void test_aead_refuse(void)
{
    static const enum ccz_aead_alg algs[] = {CCZ_AES_128_GCM, CCZ_AES_256_GCM,
                                             CCZ_CHACHA20_POLY1305, CCZ_AES_192_GCM};
    for (size_t i = 0; i < 4; i++) {
        struct {
            uint8_t key[32], nonce[12], aad[5], text[77], tag[16];
        } m;
        uint8_t out[77];
        size_t key_size = ccz_aead_key_size(algs[i]);
        CCZ_AUTO(ccz_aead) a = NULL;
        CHECK(ccz_aead_new(&a, algs[i]) == CCZ_OK);
        CHECK(ccz_random(&m, sizeof(m)) == CCZ_OK);
        CHECK(ccz_aead_seal(a, m.text, m.tag, m.key, m.nonce, CCZ_SPAN(m.aad, 5),
                            CCZ_SPAN(m.text, 77)) == CCZ_OK);
        for (size_t bit = 0; bit <= 8 * sizeof(m); bit++) {
            uint8_t *p = (uint8_t *)&m;
            bool used = bit < 8 * sizeof(m) && (bit / 8 < key_size || bit / 8 >= 32);
            if (bit < 8 * sizeof(m))
                p[bit / 8] ^= (uint8_t)(1u << bit % 8);
            memset(out, 0xa5, sizeof(out));
            ccz_rc rc = ccz_aead_open(a, out, m.tag, m.key, m.nonce, CCZ_SPAN(m.aad, 5),
                                      CCZ_SPAN(m.text, 77));
            CHECK(rc == (used ? CCZ_E_SIG : CCZ_OK));
            CHECK(!used || all_zero(out, sizeof(out)));
            if (bit < 8 * sizeof(m))
                p[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        CHECK(ccz_aead_open(a, out, m.tag, m.key, m.nonce, CCZ_SPAN(m.aad, 5),
                            CCZ_SPAN(m.text, 76)) == CCZ_E_SIG);
        CHECK(ccz_aead_open(a, out, m.tag, m.key, m.nonce, CCZ_SPAN(m.text, SIZE_MAX / 2),
                            CCZ_SPAN(m.text, (size_t)0xfffffffff)) == CCZ_E_LIMIT);
    }
}

/* SP 800-38A, F.5.1, F.5.3, F.5.5 */
static void test_ctr(void)
{
    static const struct {
        const char *key, *out;
    } rows[] = {
        {"2b7e151628aed2a6abf7158809cf4f3c",
         "874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff"
         "5ae4df3edbd5d35e5b4f09020db03eab1e031dda2fbe03d1792170a0f3009cee"},
        {"8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b",
         "1abc932417521ca24f2b0459fe7e6e0b090339ec0aa6faefd5ccc2c6f4ce8e94"
         "1e36b26bd1ebc670d1bd1d665620abf74f78a7f6d29809585a97daec58c6b050"},
        {"603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
         "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5"
         "2b0930daa23de94ce87017ba2d84988ddfc9c58db67aada613c2dd08457941a6"},
    };
    struct bytes iv = hex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff");
    struct bytes in = hex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
                          "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710");
    uint8_t out[64];
    for (size_t i = 0; i < 3; i++) {
        struct bytes key = hex(rows[i].key);
        CCZ_AUTO(ccz_ctr) c = NULL;
        CHECK(ccz_ctr_new(&c, key.size) == CCZ_OK);
        for (size_t size = 0; size <= 64; size++) { /* reusable, any size */
            CHECK(ccz_ctr_apply(c, out, key.ptr, iv.ptr, CCZ_SPAN(in.ptr, size)) == CCZ_OK);
            struct bytes want = hex(rows[i].out);
            CHECK(memcmp(out, want.ptr, size) == 0);
        }
        CHECK(ccz_ctr_apply(c, out, key.ptr, iv.ptr, CCZ_SPAN(out, 64)) == CCZ_OK);
        CHECK(memcmp(out, in.ptr, 64) == 0); /* and back, in place */
    }
    CCZ_AUTO(ccz_ctr) c = NULL;
    CHECK(ccz_ctr_new(&c, 20) == CCZ_E_ARG && c == NULL);
}

/* SP 800-38A, F.5.5 (its output blocks), read in pieces and across the step of the implementation. */
static void test_stream(void)
{
    struct bytes key = hex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4");
    struct bytes iv = hex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff");
    static const char want[] = "0bdf7df1591716335e9a8b15c860c502"
                               "5a6e699d536119065433863c8f657b94"
                               "1bc12c9c01610d5d0d8bd6a3378eca62"
                               "2956e1c8693536b1bee99c73a31576b6";
    static uint8_t all[20000], parts[20000];
    CCZ_AUTO(ccz_stream) s = NULL;
    CHECK(ccz_stream_new(&s) == CCZ_OK);
    CHECK(ccz_stream_read(all, s, 16) == CCZ_E_ARG);
    CHECK(ccz_stream_start(s, NULL, iv.ptr) == CCZ_E_ARG);
    CHECK(ccz_stream_start(s, key.ptr, iv.ptr) == CCZ_OK);
    CHECK(ccz_stream_read(all, s, sizeof(all)) == CCZ_OK && is_hex(all, 64, want));
    CHECK(ccz_stream_start(s, NULL, iv.ptr) == CCZ_OK); /* the same seed again */
    for (size_t at = 0, size = 1; at < sizeof(parts); at += size, size = size * 3 % 977) {
        if (size > sizeof(parts) - at)
            size = sizeof(parts) - at;
        CHECK(ccz_stream_read(parts + at, s, size) == CCZ_OK);
    }
    CHECK(memcmp(all, parts, sizeof(all)) == 0);
    iv.ptr[15] ^= 1;
    CHECK(ccz_stream_start(s, NULL, iv.ptr) == CCZ_OK && ccz_stream_read(parts, s, 16) == CCZ_OK);
    CHECK(memcmp(all, parts, 16) != 0);
}

/* RFC 7748: section 5.2 (both, and 1,000 iterations), 6.1 */
static void test_x25519(void)
{
    static const struct {
        const char *priv, *peer, *out;
    } rows[] = {
        {"a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
         "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
         "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"},
        {"4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
         "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
         "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957"},
        {"5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
         "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
         "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"},
    };
    uint8_t priv[32], peer[32], out[32], want[32];
    for (size_t i = 0; i < 3; i++) {
        CHECK(ccz_unhex(priv, 32, rows[i].priv, 64) == CCZ_OK);
        CHECK(ccz_unhex(peer, 32, rows[i].peer, 64) == CCZ_OK);
        CHECK(ccz_unhex(want, 32, rows[i].out, 64) == CCZ_OK);
        CHECK(ccz_x25519(out, priv, peer) == CCZ_OK && memcmp(out, want, 32) == 0);
        CCZ_AUTO(ccz_x25519_key) key = NULL; /* one key, one peer behind another */
        CHECK(ccz_x25519_key_new(&key, priv) == CCZ_OK);
        for (size_t j = 0; j < 3; j++) {
            CHECK(ccz_unhex(peer, 32, rows[(i + j + 1) % 3].peer, 64) == CCZ_OK);
            CHECK(ccz_x25519_key_agree(out, key, peer) == CCZ_OK);
            CHECK((memcmp(out, want, 32) == 0) == (j == 2));
        }
        CHECK(ccz_x25519_key_public(out, key) == CCZ_OK);
        CHECK(ccz_x25519_public(want, priv) == CCZ_OK && memcmp(out, want, 32) == 0);
    }
    CHECK(ccz_unhex(want, 32, "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
                    64) == CCZ_OK);
    CHECK(ccz_x25519_public(out, priv) == CCZ_OK && memcmp(out, want, 32) == 0);
    uint8_t k[32] = {9}, u[32] = {9};
    for (int i = 0; i < 1000; i++) {
        CHECK(ccz_x25519(out, k, u) == CCZ_OK);
        memcpy(u, k, 32);
        memcpy(k, out, 32);
    }
    CHECK(ccz_unhex(want, 32, "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51",
                    64) == CCZ_OK);
    CHECK(memcmp(k, want, 32) == 0);
    /* points of order 1, 4 and 8, and the same plus p: the result tells nothing of the key, so there is none */
    static const char *const small[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"};
    static const uint8_t zero[32], good[32] = {9};
    CCZ_AUTO(ccz_x25519_key) key = NULL;
    CHECK(ccz_x25519_key_new(&key, priv) == CCZ_OK);
    for (size_t i = 0; i < 6; i++) {
        CHECK(ccz_unhex(peer, 32, small[i], 64) == CCZ_OK);
        CHECK(ccz_x25519(out, priv, peer) == CCZ_E_PEER && memcmp(out, zero, 32) == 0);
        memset(out, 1, sizeof(out));
        CHECK(ccz_x25519_key_agree(out, key, peer) == CCZ_E_PEER && memcmp(out, zero, 32) == 0);
        CHECK(ccz_x25519_key_agree(out, key, good) == CCZ_OK && memcmp(out, zero, 32) != 0);
    }
}

static void test_random(void)
{
    uint8_t a[64] = {0}, b[64] = {0};
    CHECK(ccz_random(a, 0) == CCZ_OK && all_zero(a, sizeof(a)));
    CHECK(ccz_random(a, sizeof(a)) == CCZ_OK && ccz_random(b, sizeof(b)) == CCZ_OK);
    CHECK(memcmp(a, b, sizeof(a)) != 0 && !all_zero(a + 32, 32));
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"crypto.hash", test_hash},         {"crypto.hash_each", test_hash_each},
        {"crypto.hmac", test_hmac},         {"crypto.hkdf", test_hkdf},
        {"crypto.derive", test_derive},     {"crypto.cmac", test_cmac},
        {"crypto.aead_kat", test_aead_kat}, {"crypto.aead_refuse", test_aead_refuse},
        {"crypto.ctr", test_ctr},           {"crypto.stream", test_stream},
        {"crypto.random", test_random},     {"crypto.x25519", test_x25519},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
