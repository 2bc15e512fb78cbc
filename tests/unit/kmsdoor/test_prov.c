/* SPDX-License-Identifier: Apache-2.0 */
/* Secret provisioning without a network: the bytes, and which program gets which item. */
#include "ccz_test.h"
#include "kmsdoor/prov.h"

#include <cczoo/codec.h>

static struct ccz_err err;

/* From the description of the protocol, not from the code. */
static const uint8_t request[35] = {'S', 'E', 'C', 'R', 'E', 'T', '_', 'P', 'R', 'O', 'V', 'I',
                                    'S', 'I', 'O', 'N', '_', 'R', 'A', '_', 'T', 'L', 'S', '_',
                                    'R', 'E', 'Q', 'U', 'E', 'S', 'T', '_', 'V', '1', 0};

/* In pieces of every size, with and without bytes behind it. */
static void test_request(void)
{
    uint8_t longer[64] = {0};
    memcpy(longer, request, sizeof(request));
    for (size_t size = sizeof(request); size <= sizeof(longer); size += 29) {
        for (size_t piece = 1; piece <= size; piece++) {
            struct cczi_prov_request r = {0};
            bool done = false;
            size_t at = 0;
            for (; at < size && !done; at += piece) {
                size_t n = size - at < piece ? size - at : piece;
                CHECK(cczi_prov_request_feed(&done, &r, CCZ_SPAN(longer + at, n), &err) == CCZ_OK);
                CHECK(done == (at + n >= sizeof(request)));
            }
            CHECK(done);
        }
    }
    struct cczi_prov_request r = {0};
    bool done = true;
    CHECK(cczi_prov_request_feed(&done, &r, (struct ccz_span){0}, &err) == CCZ_OK && !done);
}

/* Each byte changed is noticed at once, before anything behind it has come. */
static void test_request_wrong(void)
{
    for (size_t i = 0; i < sizeof(request); i++) {
        for (int bit = 0; bit < 8; bit++) {
            uint8_t wrong[sizeof(request)];
            memcpy(wrong, request, sizeof(request));
            wrong[i] ^= (uint8_t)(1 << bit);
            struct cczi_prov_request r = {0};
            bool done;
            CHECK(cczi_prov_request_feed(&done, &r, CCZ_SPAN(wrong, i + 1), &err) == CCZ_E_FORMAT);
            CHECK(!done && strcmp(err.where, "prov:request") == 0 && err.aux == (int64_t)i);
        }
    }
}

static void test_head(void)
{
    static const uint8_t text[37] = "SECRET_PROVISION_RA_TLS_RESPONSE_V1:";
    static const uint32_t sizes[] = {1, 16, 255, 256, 65536, 0x01020304, 0x7fffffff};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        uint8_t head[CCZI_PROV_HEAD_SIZE];
        CHECK(sizeof(head) == 41);
        cczi_prov_head_put(head, sizes[i]);
        CHECK(memcmp(head, text, 37) == 0);
        CHECK(((uint32_t)head[37] << 24 | (uint32_t)head[38] << 16 | (uint32_t)head[39] << 8 |
               head[40]) == sizes[i]);
    }
}

static void test_release(void)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 256);
    cczi_prov_release_put(&b, "secret/a");
    CHECK(ccz_span_eq(ccz_buf_span(&b), CCZ_SPAN("\x0a\x08secret/a", 10)));
    struct ccz_span value;
    CHECK(cczi_prov_release_get(&value, CCZ_SPAN("\x0a\x03xyz\x12\x00\x18\x02", 9), &err) ==
          CCZ_OK);
    CHECK(ccz_span_eq(value, ccz_span_str("xyz")));
    static const struct {
        const char *bytes;
        size_t size;
    } bad[] = {{"", 0},         {"\x0a\x00", 2},       {"\x0a\x04xyz", 5}, {"\x12\x03xyz", 5},
               {"\x08\x05", 2}, {"\x0a\x03xyz\x0a", 6}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK(cczi_prov_release_get(&value, CCZ_SPAN(bad[i].bytes, bad[i].size), &err) ==
              CCZ_E_INTERNAL);
        CHECK(value.size == 0 && strcmp(err.where, "prov:response") == 0);
    }
}

/* ---------------------------------------------------------------------------------- map */

#define AA16 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define AA32 AA16 AA16
#define AA48 AA32 AA16
#define BB32 "BBbbBBbbBBbbBBbbBBbbBBbbBBbbBBbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static struct cczi_prov_map *parse(const char *items)
{
    char text[4096];
    struct cczi_prov_map *m;
    (void)snprintf(text, sizeof(text), "{\"version\":1,\"items\":[%s]}", items);
    ccz_rc rc = cczi_prov_map_parse(&m, ccz_span_str(text), &err);
    if (rc != CCZ_OK)
        fprintf(stderr, "%s: %s\n", err.where, err.msg);
    CHECK(rc == CCZ_OK);
    return m;
}

static struct ccz_claims sgx(uint8_t enclave, uint8_t signer, uint16_t product)
{
    struct ccz_claims c = {.tee = CCZ_TEE_SGX, .isv_prod_id = product};
    memset(c.mrenclave, enclave, sizeof(c.mrenclave));
    memset(c.mrsigner, signer, sizeof(c.mrsigner));
    return c;
}

static void check_item(const struct cczi_prov_map *m, const struct ccz_claims *c, const char *want)
{
    const char *item = "?";
    ccz_rc rc = cczi_prov_map_find(&item, m, c, &err);
    if (want)
        CHECK(rc == CCZ_OK && strcmp(item, want) == 0);
    else
        CHECK(rc == CCZ_E_NOT_FOUND && !item && strcmp(err.where, "prov:no-item") == 0 &&
              err.got[0] && err.hint[0]);
}

static void test_map(void)
{
    struct cczi_prov_map *m = parse(
        "{\"item\":\"secret/enclave\",\"tee\":\"sgx\",\"mrenclave\":\"" AA32
        "\",\"comment\":\"x\"},"
        "{\"item\":\"key/product\",\"tee\":\"sgx\",\"mrsigner\":\"" BB32 "\",\"isv_prod_id\":7},"
        "{\"item\":\"secret/td\",\"tee\":\"tdx\",\"mrtd\":\"" AA48 "\"},"
        "{\"item\":\"secret/guest\",\"tee\":\"snp\",\"measurement\":\"" AA48 "\"}");
    CHECK(cczi_prov_map_len(m) == 4);
    struct ccz_claims c = sgx(0xaa, 1, 0);
    check_item(m, &c, "secret/enclave");
    for (size_t i = 0; i < 32; i++) { /* all of it counts, not its beginning */
        c = sgx(0xaa, 1, 0);
        c.mrenclave[i] ^= 1;
        check_item(m, &c, NULL);
    }
    c = sgx(0xcc, 0xbb, 7);
    check_item(m, &c, "key/product");
    c = sgx(0xcc, 0xbb, 8);
    check_item(m, &c, NULL);
    c = sgx(0xcc, 0xbc, 7);
    check_item(m, &c, NULL);

    c = (struct ccz_claims){.tee = CCZ_TEE_TDX};
    check_item(m, &c, NULL);
    memset(c.mrtd, 0xaa, 48);
    check_item(m, &c, "secret/td");
    c.mrtd[47] ^= 1;
    check_item(m, &c, NULL);
    c = (struct ccz_claims){.tee = CCZ_TEE_SNP};
    check_item(m, &c, NULL);
    memset(c.snp.measurement, 0xaa, 48);
    check_item(m, &c, "secret/guest");
    c.tee = CCZ_TEE_TDX; /* the same bytes of another TEE */
    check_item(m, &c, NULL);
    c = sgx(0xaa, 1, 0);
    c.tee = CCZ_TEE_NONE;
    check_item(m, &c, NULL);
    cczi_prov_map_free(m);
}

/* The first that fits; every member of an entry has to. */
static void test_map_order(void)
{
    struct cczi_prov_map *m = parse(
        "{\"item\":\"secret/both\",\"tee\":\"sgx\",\"mrenclave\":\"" AA32 "\",\"mrsigner\":\"" BB32
        "\",\"isv_prod_id\":1},"
        "{\"item\":\"secret/enclave1\",\"tee\":\"sgx\",\"mrenclave\":\"" AA32
        "\",\"isv_prod_id\":1},"
        "{\"item\":\"secret/enclave\",\"tee\":\"sgx\",\"mrenclave\":\"" AA32 "\"},"
        "{\"item\":\"secret/signer\",\"tee\":\"sgx\",\"mrsigner\":\"" BB32 "\",\"isv_prod_id\":1}");
    struct ccz_claims c = sgx(0xaa, 0xbb, 1);
    check_item(m, &c, "secret/both");
    c = sgx(0xaa, 0xcc, 1);
    check_item(m, &c, "secret/enclave1");
    c = sgx(0xaa, 0xbb, 2);
    check_item(m, &c, "secret/enclave");
    c = sgx(0xac, 0xbb, 1);
    check_item(m, &c, "secret/signer");
    cczi_prov_map_free(m);
}

static void test_map_strict(void)
{
#define ENTRY(rest) "{\"version\":1,\"items\":[{\"item\":\"secret/a\",\"tee\":\"sgx\"," rest "}]}"
#define GOOD        "\"mrenclave\":\"" AA32 "\""
#define ITEM(text)  "{\"version\":1,\"items\":[{\"item\":" text ",\"tee\":\"sgx\"," GOOD "}]}"
    static const struct {
        const char *json, *where;
    } bad[] = {
        {"", "json:parse"},
        {"[]", "prov:map"},
        {"{}", "prov:map"},
        {"{\"version\":2,\"items\":[]}", "prov:map"},
        {"{\"version\":\"1\",\"items\":[]}", "prov:map"},
        {"{\"version\":1,\"items\":{}}", "prov:map"},
        {"{\"version\":1,\"items\":[],\"default\":\"secret/a\"}", "prov:map-member"},
        {"{\"version\":1,\"items\":[]}", "prov:map-len"},
        {"{\"version\":1,\"items\":[1]}", "prov:map-member"},
        {ENTRY(GOOD ",\"isvsvn\":1"), "prov:map-member"},
        {ENTRY("\"MRENCLAVE\":\"" AA32 "\""), "prov:map-member"},
        {ENTRY("\"mrtd\":\"" AA48 "\""), "prov:map-member"},
        {ENTRY("\"comment\":\"everybody\""), "prov:map-identity"},
        {ENTRY("\"isv_prod_id\":1"), "prov:map-identity"},
        {ENTRY("\"mrsigner\":\"" AA32 "\""), "prov:map-identity"},
        {ENTRY("\"mrsigner\":\"" AA32 "\",\"isv_prod_id\":-1"), "prov:map-identity"},
        {ENTRY("\"mrsigner\":\"" AA32 "\",\"isv_prod_id\":65536"), "prov:map-identity"},
        {ENTRY("\"mrsigner\":\"" AA32 "\",\"isv_prod_id\":\"1\""), "prov:map-identity"},
        {ENTRY("\"mrenclave\":\"\""), "prov:map-hex"},
        {ENTRY("\"mrenclave\":\"" AA16 "\""), "prov:map-hex"}, /* the beginning of one */
        {ENTRY("\"mrenclave\":\"" AA32 "a\""), "prov:map-hex"},
        {ENTRY("\"mrenclave\":\"" AA48 "\""), "prov:map-hex"},
        {ENTRY("\"mrenclave\":\"g" AA16 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\""), "prov:map-hex"},
        {ENTRY("\"mrenclave\":\"*\""), "prov:map-hex"},
        {ENTRY("\"mrenclave\":\"any\""), "prov:map-hex"},
        {ENTRY("\"mrenclave\":null"), "prov:map-hex"},
        {ITEM("null"), "prov:map-item"},
        {ITEM("\"\""), "prov:map-item"},
        {ITEM("\"a\""), "prov:map-item"},
        {ITEM("\"secret/\""), "prov:map-item"},
        {ITEM("\"policy/a\""), "prov:map-item"},
        {ITEM("\"system/token\""), "prov:map-item"},
        {ITEM("\"secret/a b\""), "prov:map-item"},
        {ITEM("\"secret/a\\u0000\""), "prov:map-item"},
        {ITEM("\"secret/" AA48 AA32 "\""), "prov:map-item"},
        {"{\"version\":1,\"items\":[{\"item\":\"secret/a\"," GOOD "}]}", "prov:map-tee"},
        {"{\"version\":1,\"items\":[{\"item\":\"secret/a\",\"tee\":\"none\"," GOOD "}]}",
         "prov:map-tee"},
        {"{\"version\":1,\"items\":[{\"item\":\"secret/a\",\"tee\":\"tdx\"," GOOD "}]}",
         "prov:map-member"},
        {"{\"version\":1,\"items\":[{\"item\":\"secret/a\",\"tee\":\"tdx\",\"mrtd\":\"" AA48
         "\",\"isv_prod_id\":1}]}",
         "prov:map-member"},
        {"{\"version\":1,\"items\":[{\"item\":\"secret/a\",\"tee\":\"sgx\"," GOOD
         "},{\"item\":\"secret/b\",\"tee\":\"sgx\"," GOOD "}]}",
         "prov:map-twice"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct cczi_prov_map *m = (void *)&err;
        ccz_rc rc = cczi_prov_map_parse(&m, ccz_span_str(bad[i].json), &err);
        if (rc == CCZ_OK || strcmp(err.where, bad[i].where) != 0)
            fprintf(stderr, "%s\n-> %d %s: %s\n", bad[i].json, rc, err.where, err.msg);
        CHECK(rc != CCZ_OK && !m && strcmp(err.where, bad[i].where) == 0);
    }
}

/* As many as there may be, and one more. */
static void test_map_limits(void)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, CCZI_PROV_MAP_SIZE_MAX);
    for (size_t len = CCZ_KMS_PROV_MAP_LEN_MAX; len <= CCZ_KMS_PROV_MAP_LEN_MAX + 1; len++) {
        ccz_buf_clear(&b);
        ccz_buf_put_str(&b, "{\"version\":1,\"items\":[");
        for (size_t i = 0; i < len; i++)
            ccz_buf_printf(&b,
                           "%s{\"item\":\"secret/%zu\",\"tee\":\"sgx\",\"mrenclave\":\"%064zx\"}",
                           i ? "," : "", i, i);
        ccz_buf_put_str(&b, "]}");
        CHECK(!b.bad);
        struct cczi_prov_map *m;
        ccz_rc rc = cczi_prov_map_parse(&m, ccz_buf_span(&b), &err);
        if (len > CCZ_KMS_PROV_MAP_LEN_MAX) {
            CHECK(rc == CCZ_E_LIMIT && strcmp(err.where, "prov:map-len") == 0);
            continue;
        }
        CHECK(rc == CCZ_OK && cczi_prov_map_len(m) == len);
        struct ccz_claims c = {.tee = CCZ_TEE_SGX};
        c.mrenclave[30] = (uint8_t)((len - 1) >> 8);
        c.mrenclave[31] = (uint8_t)(len - 1);
        check_item(m, &c, "secret/4095");
        cczi_prov_map_free(m);
    }
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"prov.request", test_request},
        {"prov.request_wrong", test_request_wrong},
        {"prov.head", test_head},
        {"prov.release", test_release},
        {"prov.map", test_map},
        {"prov.map_order", test_map_order},
        {"prov.map_strict", test_map_strict},
        {"prov.map_limits", test_map_limits},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
