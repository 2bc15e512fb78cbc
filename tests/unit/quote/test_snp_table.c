/* SPDX-License-Identifier: Apache-2.0 */
/* SEV-SNP: size of the evidence, and the certificate table behind the report. */
#include "quote/snp_kit.h"
#include "quote/snp_priv.h"

#include "ccz_test.h"

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

static struct snp_kit_cfg milan(void)
{
    struct snp_kit_cfg cfg;
    snp_kit_default(&cfg, CCZ_SNP_MILAN, CCZ_SNP_VCEK, 3);
    return cfg;
}

static void test_size(void)
{
    struct snp_kit k;
    struct snp_kit_cfg cfg = milan();
    struct ccz_snp_report r;
    static const struct ccz_snp_report none;
    struct ccz_err err = {0};
    cfg.table = true;
    snp_kit_new(&k, &cfg);
    for (size_t cut = 0; cut < k.evidence.size; cut++) {
        memset(&r, 0xaa, sizeof(r));
        ccz_rc rc = ccz_snp_report_parse(&r, CCZ_SPAN(k.evidence.ptr, cut), &err);
        CHECK((rc == CCZ_OK) == (cut == CCZ_SNP_REPORT_SIZE)); /* the report alone */
        CHECK(rc == CCZ_OK || memcmp(&r, &none, sizeof(r)) == 0);
        CHECK(cut >= CCZ_SNP_REPORT_SIZE || strcmp(err.where, "snp:size") == 0);
        CHECK(ccz_snp_is_report(CCZ_SPAN(k.evidence.ptr, cut)) == (cut >= CCZ_SNP_REPORT_SIZE));
    }
    const size_t max = CCZ_SNP_REPORT_SIZE + CCZ_SNP_TABLE_SIZE_MAX, have = k.evidence.size;
    memset(ccz_buf_extend(&k.evidence, max - have + 1), 0, max - have + 1);
    CHECK(ccz_snp_report_parse(&r, CCZ_SPAN(k.evidence.ptr, max), &err) == CCZ_OK);
    CHECK(ccz_snp_report_parse(&r, CCZ_SPAN(k.evidence.ptr, max + 1), &err) == CCZ_E_LIMIT);
    CHECK(strcmp(err.where, "snp:size") == 0);
    struct cczi_snp_table table;
    CHECK(cczi_snp_table_read(&table, CCZ_SPAN(k.evidence.ptr, CCZ_SNP_TABLE_SIZE_MAX + 1), &err) ==
              CCZ_E_LIMIT &&
          strcmp(err.where, "snp:table") == 0);
    uint8_t quote[1184] = {4, 0, 2, 0}; /* version 4, ECDSA P-256 */
    CHECK(!ccz_snp_is_report(CCZ_SPAN(quote, sizeof(quote))));
    snp_kit_free(&k);
}

/* ------------------------------------------------------------------------- certificate table */

/* Parses the kit's report with this table. */
static ccz_rc parse_with(struct ccz_snp_report *r, const struct snp_kit *k, struct ccz_span table,
                         struct ccz_err *err)
{
    static uint8_t bytes[CCZ_SNP_REPORT_SIZE + CCZ_SNP_TABLE_SIZE_MAX + 64];
    memcpy(bytes, k->evidence.ptr, CCZ_SNP_REPORT_SIZE);
    memcpy(bytes + CCZ_SNP_REPORT_SIZE, table.ptr, table.size);
    *err = (struct ccz_err){0};
    return ccz_snp_report_parse(r, CCZ_SPAN(bytes, CCZ_SNP_REPORT_SIZE + table.size), err);
}

static void put_entry(struct ccz_buf *b, const char *guid, uint32_t from, uint32_t size)
{
    CHECK(ccz_unhex(ccz_buf_extend(b, 16), 16, guid, 32) == CCZ_OK);
    ccz_buf_le32(b, from);
    ccz_buf_le32(b, size);
}

struct entry {
    const char *guid;
    uint32_t from, size;
};

/* Up to three entries, a zero one if @p ends, then 16 bytes 1 to 16 and @p zeros. */
static void check_table(const struct snp_kit *k, const struct entry *e, size_t len, bool ends,
                        size_t zeros, const char *where)
{
    struct ccz_snp_report r;
    struct ccz_err err;
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, CCZ_SNP_TABLE_SIZE_MAX);
    for (size_t i = 0; i < len; i++)
        put_entry(&b, e[i].guid, e[i].from, e[i].size);
    if (ends)
        memset(ccz_buf_extend(&b, 24), 0, 24);
    for (uint8_t i = 1; i <= 16; i++)
        ccz_buf_u8(&b, i);
    memset(ccz_buf_extend(&b, zeros), 0, zeros);
    ccz_rc rc = parse_with(&r, k, ccz_buf_span(&b), &err);
    if ((rc == CCZ_OK) != (where == NULL) || (where && strcmp(err.where, where) != 0))
        fprintf(stderr, "%s: %s; expected %s\n", err.where, err.msg, where ? where : "success");
    CHECK(where ? rc == CCZ_E_FORMAT && strcmp(err.where, where) == 0 : rc == CCZ_OK);
    CHECK(where || (r.vek.size == 10 && r.vek.ptr[0] == 1));
}

#define GUID_OTHER "00112233445566778899aabbccddeeff"
#define GUID_MIXED "8d75da6364e66445adc5f4b93be8accd" /* VCEK as Windows orders GUIDs */

static void test_table(void)
{
    struct snp_kit k;
    struct snp_kit_cfg cfg = milan();
    snp_kit_new(&k, &cfg);
    const struct entry good[] = {{SNP_GUID_VCEK, 72, 10}, {GUID_OTHER, 82, 6}};
    check_table(&k, good, 2, true, 0, NULL);
    check_table(&k, good, 2, true, 4000, NULL); /* whole pages */
    const struct entry empty_other[] = {
        {SNP_GUID_VCEK, 96, 10}, {GUID_OTHER, 106, 6}, {GUID_OTHER, 112, 0}};
    check_table(&k, empty_other, 3, true, 0, NULL);
    const struct entry empty_slot[] = {
        {SNP_GUID_VCEK, 96, 10}, {GUID_OTHER, 106, 6}, {SNP_GUID_ASK, 0, 0}};
    check_table(&k, empty_slot, 3, true, 0, NULL);
    check_table(&k, good, 2, false, 0, "snp:table");
    const struct entry slack[] = {{SNP_GUID_VCEK, 72, 10}, {GUID_OTHER, 83, 5}};
    check_table(&k, slack, 2, true, 0, "snp:table-slack");
    const struct entry head[] = {{SNP_GUID_VCEK, 71, 10}, {GUID_OTHER, 82, 6}};
    check_table(&k, head, 2, true, 0, "snp:table-bounds");
    const struct entry behind[] = {{SNP_GUID_VCEK, 72, 10}, {GUID_OTHER, 82, 7}};
    check_table(&k, behind, 2, true, 0, "snp:table-bounds");
    const struct entry far[] = {{SNP_GUID_VCEK, 72, 10}, {GUID_OTHER, 89, 0}};
    check_table(&k, far, 2, true, 0, "snp:table-bounds");
    const struct entry wraps[] = {{SNP_GUID_VCEK, 72, 10}, {GUID_OTHER, 0xffffffff, 2}};
    check_table(&k, wraps, 2, true, 0, "snp:table-bounds");
    const struct entry huge[] = {{SNP_GUID_VCEK, 72, 10}, {GUID_OTHER, 82, 0xffffffff}};
    check_table(&k, huge, 2, true, 0, "snp:table-bounds");
    const struct entry overlap[] = {{SNP_GUID_VCEK, 72, 10}, {GUID_OTHER, 81, 7}};
    check_table(&k, overlap, 2, true, 0, "snp:table-overlap");
    const struct entry twice[] = {{SNP_GUID_VCEK, 72, 10}, {SNP_GUID_VCEK, 82, 6}};
    check_table(&k, twice, 2, true, 0, "snp:table-repeated");
    const struct entry empty[] = {{SNP_GUID_VCEK, 72, 10}, {SNP_GUID_ASK, 82, 0}};
    check_table(&k, empty, 2, true, 0, "snp:table-empty");
    snp_kit_free(&k);
}

/* The report's signer says which certificate counts; GUIDs have one spelling. */
static void test_table_places(void)
{
    struct snp_kit k;
    struct snp_kit_cfg cfg;
    for (int vlek = 0; vlek < 2; vlek++) {
        snp_kit_default(&cfg, CCZ_SNP_MILAN, vlek ? CCZ_SNP_VLEK : CCZ_SNP_VCEK, 3);
        snp_kit_new(&k, &cfg);
        const struct snp_kit_blob blobs[] = {{SNP_GUID_VCEK, ccz_span_str("vcek")},
                                             {SNP_GUID_VLEK, ccz_span_str("vlek")},
                                             {SNP_GUID_ASK, ccz_span_str("ask")},
                                             {SNP_GUID_ARK, ccz_span_str("ark")}};
        CCZ_AUTO_BUF b;
        struct ccz_snp_report r;
        struct ccz_err err;
        ccz_buf_init(&b, CCZ_SNP_TABLE_SIZE_MAX);
        snp_kit_put_table(&b, blobs, 4);
        CHECK(parse_with(&r, &k, ccz_buf_span(&b), &err) == CCZ_OK);
        CHECK(ccz_span_eq(r.vek, ccz_span_str(vlek ? "vlek" : "vcek")));
        CHECK(ccz_span_eq(r.ca, ccz_span_str("ask")) && ccz_span_eq(r.ark, ccz_span_str("ark")));
        snp_kit_free(&k);
    }
    snp_kit_default(&cfg, CCZ_SNP_MILAN, CCZ_SNP_VCEK, 3);
    snp_kit_new(&k, &cfg);
    const struct snp_kit_blob mixed = {GUID_MIXED, ccz_span_str("vcek")};
    CCZ_AUTO_BUF b;
    struct ccz_snp_report r;
    struct ccz_err err;
    ccz_buf_init(&b, CCZ_SNP_TABLE_SIZE_MAX);
    snp_kit_put_table(&b, &mixed, 1);
    CHECK(parse_with(&r, &k, ccz_buf_span(&b), &err) == CCZ_OK && r.vek.size == 0);
    snp_kit_free(&k);
}

static const struct ccz_test tests[] = {
    {"snp.size", test_size},
    {"snp.table", test_table},
    {"snp.table_places", test_table_places},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
