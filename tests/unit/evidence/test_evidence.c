/* SPDX-License-Identifier: Apache-2.0 */
/* What a file is, its fields, and evidence in certificates. */
#include "quote/kit.h"
#include "quote/snp_kit.h"

#include "ccz_test.h"

#include <cczoo/evidence.h>

#define NOW KIT_NOW_S

/* Ordinary builds look at every byte; sanitizers are slow, and find the same in a part of them. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { STRIDE = 5 };
#else
enum { STRIDE = 1 };
#endif

/* A quote in every layout that the parser knows. */
static const struct {
    enum ccz_tee tee;
    uint16_t version, cert_type;
} shapes[] = {
    {CCZ_TEE_SGX, 3, 5}, {CCZ_TEE_SGX, 4, 5}, {CCZ_TEE_SGX, 5, 5}, {CCZ_TEE_TDX, 4, 5},
    {CCZ_TEE_TDX, 5, 5}, {CCZ_TEE_SGX, 3, 1}, {CCZ_TEE_SGX, 3, 2}, {CCZ_TEE_SGX, 3, 3},
    {CCZ_TEE_SGX, 3, 4}, {CCZ_TEE_TDX, 4, 3},
};
/* And reports of every version, with certificates behind some of them. */
static const struct {
    enum ccz_snp_product product;
    enum ccz_snp_signer signer;
    uint32_t version;
    bool table;
} snp_shapes[] = {
    {CCZ_SNP_MILAN, CCZ_SNP_VCEK, 2, false},
    {CCZ_SNP_GENOA, CCZ_SNP_VLEK, 3, false},
    {CCZ_SNP_MILAN, CCZ_SNP_VCEK, 4, false},
    {CCZ_SNP_TURIN, CCZ_SNP_VCEK, 5, true},
};
enum {
    QUOTES = sizeof(shapes) / sizeof(shapes[0]),
    SHAPES = QUOTES + sizeof(snp_shapes) / sizeof(snp_shapes[0]),
    TURIN = SHAPES - 1,
};

static void make_report(struct ccz_buf *out, size_t shape)
{
    struct snp_kit k;
    struct snp_kit_cfg cfg;
    snp_kit_default(&cfg, snp_shapes[shape].product, snp_shapes[shape].signer,
                    snp_shapes[shape].version);
    cfg.table = cfg.table_chain = snp_shapes[shape].table;
    snp_kit_new(&k, &cfg);
    ccz_buf_init(out, CCZ_QUOTE_SIZE_MAX);
    ccz_buf_put_span(out, ccz_buf_span(&k.evidence));
    CHECK(!out->bad);
    snp_kit_free(&k);
}

static void make_quote(struct ccz_buf *out, size_t shape)
{
    if (shape >= QUOTES) {
        make_report(out, shape - QUOTES);
        return;
    }
    struct kit k;
    struct kit_cfg cfg;
    kit_default(&cfg, shapes[shape].tee, shapes[shape].version);
    cfg.cert_type = shapes[shape].cert_type;
    kit_new(&k, &cfg);
    ccz_buf_init(out, CCZ_QUOTE_SIZE_MAX);
    ccz_buf_put_span(out, ccz_buf_span(&k.quote));
    CHECK(!out->bad);
    kit_free(&k);
}

/* A description as text, one line per field. */
static void print(void *arg, const struct ccz_field *f)
{
    struct ccz_buf *out = arg;
    CHECK(f->group && f->group[0] && f->name);
    ccz_buf_printf(out, "%s.%s=", f->group, f->name);
    for (size_t i = 0; i < f->bytes.size; i++)
        ccz_buf_printf(out, "%02x", f->bytes.ptr[i]);
    if (f->kind == CCZ_FIELD_NUMBER || f->kind == CCZ_FIELD_BOOL || f->kind == CCZ_FIELD_TIME)
        ccz_buf_printf(out, "%lld", (long long)f->number);
    if (f->text)
        ccz_buf_printf(out, "(%s)", f->text);
    for (size_t i = 0; i < f->names_len; i++)
        ccz_buf_printf(out, "%s%s", i ? "," : "", f->names[i]);
    ccz_buf_put_str(out, "\n");
}

static ccz_rc describe(struct ccz_buf *out, struct ccz_span file, struct ccz_err *err)
{
    CCZ_AUTO(ccz_evidence) e = NULL;
    ccz_buf_init(out, 1 << 20);
    ccz_rc rc = ccz_evidence_open(&e, file, err);
    return rc == CCZ_OK ? ccz_evidence_describe(e, print, out, err) : rc;
}

static bool has_line(struct ccz_buf *text, const char *line)
{
    const char *at = strstr(ccz_buf_str(text), line);
    size_t size = strlen(line);
    return at && (at == ccz_buf_str(text) || at[-1] == '\n') && at[size] == '\n';
}

#define CHECK_LINE(text, line)                                                                     \
    do {                                                                                           \
        if (!has_line(text, line))                                                                 \
            fprintf(stderr, "no line %s in\n%s", line, ccz_buf_str(text));                         \
        CHECK(has_line(text, line));                                                               \
    } while (0)

/* ------------------------------------------------------------------------------- opening */

static void check_opens(struct ccz_buf *file, struct ccz_span want)
{
    CCZ_AUTO(ccz_evidence) e = NULL;
    struct ccz_err err = {0};
    ccz_rc rc = ccz_evidence_open(&e, ccz_buf_span(file), &err);
    if (rc != CCZ_OK)
        fprintf(stderr, "%s: %s\n", err.where, err.msg);
    CHECK(rc == CCZ_OK && ccz_evidence_kind(e) == CCZ_EVIDENCE_QUOTE);
    CHECK(ccz_span_eq(ccz_evidence_bytes(e), want) && !ccz_evidence_cert(e));
    ccz_buf_clear(file);
}

/* Text in lines of @p width, as base64 and xxd write it. */
static void put_lines(struct ccz_buf *out, struct ccz_span text, size_t width, const char *end)
{
    for (size_t i = 0; i < text.size; i += width) {
        ccz_buf_put_span(out, ccz_span_sub(text, i, text.size - i < width ? text.size - i : width));
        ccz_buf_put_str(out, end);
    }
}

static void test_encodings(void)
{
    CCZ_AUTO_BUF quote, text, file;
    make_quote(&quote, 0);
    struct ccz_span q = ccz_buf_span(&quote);
    ccz_buf_init(&text, 1 << 20);
    ccz_buf_init(&file, 1 << 20);
    ccz_buf_put_span(&file, q);
    check_opens(&file, q);
    for (int upper = 0; upper < 2; upper++) {
        ccz_buf_clear(&text);
        for (size_t i = 0; i < q.size; i++)
            ccz_buf_printf(&text, upper ? "%02X" : "%02x", q.ptr[i]);
        put_lines(&file, ccz_buf_span(&text), 64, upper ? "\r\n" : "\n");
        check_opens(&file, q);
        ccz_buf_put_str(&file, "  0x");
        ccz_buf_put_span(&file, ccz_buf_span(&text));
        check_opens(&file, q);
    }
    for (int url = 0; url < 2; url++) {
        ccz_buf_clear(&text);
        ccz_base64_put(&text, q, url ? CCZ_BASE64_URL : CCZ_BASE64_STD);
        put_lines(&file, ccz_buf_span(&text), 76, "\n");
        check_opens(&file, q);
        ccz_buf_printf(&file, " {\"cc_eventlog\":\"\",\"quote\":\"%s\"}\n", ccz_buf_str(&text));
        check_opens(&file, q);
    }
}

static void check_refused(const void *file, size_t size, const char *where)
{
    struct ccz_evidence *e = NULL;
    struct ccz_err err = {0};
    CHECK(ccz_evidence_open(&e, CCZ_SPAN(file, size), &err) != CCZ_OK && !e);
    if (strcmp(err.where, where) != 0)
        fprintf(stderr, "%s: %s, expected %s\n", err.where, err.msg, where);
    CHECK(strcmp(err.where, where) == 0 && err.msg[0]);
}

static void test_refused(void)
{
    static const struct {
        const char *text, *where;
    } texts[] = {
        {"", "evidence:empty"},
        {" \n", "evidence:empty"},
        {"hello, world", "evidence:text"},
        {"0", "evidence:text"},
        {"deadbeef", "evidence:kind"},
        {"3q2+7w==", "evidence:kind"},
        {"-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n", "evidence:pem"},
        {"-----BEGIN CERTIFICATE-----\n", "pem:end"},
        {"-----BEGIN CERTIFICATE-----\nMIIA\n-----END CERTIFICATE-----\n", "x509:certificate"},
        {"{}", "evidence:json"},
        {"{\"quote\":17}", "evidence:json"},
        {"{\"quote\":\"?\"}", "evidence:text"},
        {"{\"quote\":", "json:parse"},
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        check_refused(texts[i].text, strlen(texts[i].text), texts[i].where);
    check_refused("\x02\x00\x02\x00", 4, "evidence:kind"); /* no quote of version 2 */
    check_refused("\x06\x00\x02\x00", 4, "evidence:kind");
    check_refused("\x03\x00\x02", 3, "evidence:kind");
    check_refused("\x30\x82\x00", 3, "x509:certificate");
    static uint8_t big[CCZ_EVIDENCE_FILE_MAX + 1];
    check_refused(big, sizeof(big), "evidence:size");
}

/* ---------------------------------------------------------------------------- description */

static void test_fields(void)
{
    CCZ_AUTO_BUF quote, text;
    make_quote(&quote, 0);
    quote.ptr[48 + 48] = 0xff; /* attributes: all known flags, and bits 3, 8 and 9 */
    quote.ptr[48 + 49] = 0x07;
    quote.ptr[48 + 56] = 0xe7;
    quote.ptr[48 + 258] = 0x34;
    quote.ptr[48 + 259] = 0x12;
    CHECK(describe(&text, ccz_buf_span(&quote), NULL) == CCZ_OK);
    CHECK_LINE(&text, "file.encoding=(binary)");
    CHECK_LINE(&text, "file.container=(none)");
    CHECK_LINE(&text, "file.evidence=(quote)");
    CHECK_LINE(&text, "header.version=3");
    CHECK_LINE(&text, "header.attestation_key_type=2(ECDSA P-256 with SHA-256)");
    CHECK_LINE(&text, "header.qe_vendor=(Intel)");
    CHECK_LINE(&text, "sgx_report.flags=INIT,DEBUG,MODE64BIT,bit 3,PROVISIONKEY,EINITTOKENKEY,CET,"
                      "KSS,bit 8,bit 9,AEXNOTIFY");
    CHECK_LINE(&text, "sgx_report.isv_svn=4660");
    CHECK_LINE(&text, "certification.type=5(PCK certificate chain)");
    CHECK_LINE(&text, "pck_certificate.ca=0");
    CHECK_LINE(&text, "pck_certificate.key=(P-256)");
    CHECK_LINE(&text, "pck_ca.ca=1");
    CHECK(strstr(ccz_buf_str(&text), "pck_certificate.fmspc="));
    CHECK(strstr(ccz_buf_str(&text), "pck_certificate.component_16_svn="));
    CHECK(strstr(ccz_buf_str(&text), "pck_root.subject=("));
}

static void test_fields_td(void)
{
    CCZ_AUTO_BUF quote, text;
    make_quote(&quote, 4);
    uint8_t *body = quote.ptr + 54;
    body[0] = 11; /* TEE_TCB_SVN */
    body[1] = 1;
    body[2] = 4;
    body[120] = 0x01; /* TDATTRIBUTES */
    body[123] = 0x10;
    body[127] = 0x80;
    CHECK(describe(&text, ccz_buf_span(&quote), NULL) == CCZ_OK);
    CHECK_LINE(&text, "header.tee_type=129(TDX)");
    CHECK_LINE(&text, "header.body_type=3(TD report 1.5)");
    CHECK_LINE(&text, "header.body_size=648");
    CHECK_LINE(&text, "td_report.tee_tcb_svn_module=11");
    CHECK_LINE(&text, "td_report.tee_tcb_svn_module_major=1");
    CHECK_LINE(&text, "td_report.tee_tcb_svn_microcode=4");
    CHECK_LINE(&text, "td_report.td_attributes_bits=DEBUG,SEPT_VE_DISABLE,PERFMON");
    CHECK(strstr(ccz_buf_str(&text), "td_report.mrservicetd="));
    CHECK_LINE(&text, "signature.certification_type=6(QE report certification data)");
}

static void test_fields_snp(void)
{
    CCZ_AUTO_BUF report, text;
    make_quote(&report, TURIN);
    report.ptr[0x48] |= 0x02; /* MASK_CHIP_KEY */
    report.ptr[0x0a] |= 0x08; /* guest policy: DEBUG */
    report.ptr[0x40] = 0x21;  /* platform info */
    CHECK(describe(&text, ccz_buf_span(&report), NULL) == CCZ_OK);
    CHECK_LINE(&text, "file.evidence=(snp-report)");
    CHECK_LINE(&text, "snp_report.version=5");
    CHECK(strstr(ccz_buf_str(&text), "snp_report.guest_policy_bits=SMT,MUST_BE_ONE,DEBUG"));
    CHECK_LINE(&text, "snp_report.platform_info_bits=SMT_EN,ALIAS_CHECK_COMPLETE");
    CHECK_LINE(&text, "snp_report.mask_chip_key=1");
    CHECK_LINE(&text, "snp_report.signing_key=0(VCEK)");
    CHECK_LINE(&text, "snp_report.cpuid_family=26");
    CHECK_LINE(&text, "snp_report.product=(Turin)");
    CHECK(strstr(ccz_buf_str(&text), "reported_tcb.fmc="));
    CHECK_LINE(&text, "certificate_1.kind=(vcek)");
    CHECK_LINE(&text, "certificate_1.key=(P-384)");
    CHECK_LINE(&text, "certificate_1.product_name=(Turin)");
    CHECK(strstr(ccz_buf_str(&text), "certificate_1.hw_id="));
    CHECK_LINE(&text, "certificate_2.kind=(ask)");
    CHECK_LINE(&text, "certificate_3.key=(RSA-3072)");
}

/* Groups come in one run, names once per group. */
struct order {
    char groups[64][32];
    size_t len;
    struct ccz_buf names; /* of the current group, "\nname\n" */
};

static void check_order(void *arg, const struct ccz_field *f)
{
    struct order *o = arg;
    char name[256];
    CHECK(strlen(f->group) < sizeof(o->groups[0]));
    if (o->len == 0 || strcmp(o->groups[o->len - 1], f->group) != 0) {
        for (size_t i = 0; i < o->len; i++)
            CHECK(strcmp(o->groups[i], f->group) != 0);
        CHECK(o->len < 64);
        strcpy(o->groups[o->len++], f->group);
        ccz_buf_clear(&o->names);
    }
    (void)snprintf(name, sizeof(name), "\n%s\n", f->name);
    CHECK(!strstr(ccz_buf_str(&o->names), name));
    ccz_buf_put_str(&o->names, name);
}

static void test_order(void)
{
    for (size_t s = 0; s < SHAPES; s++) {
        CCZ_AUTO_BUF quote;
        CCZ_AUTO(ccz_evidence) e = NULL;
        struct order o = {0};
        make_quote(&quote, s);
        ccz_buf_init(&o.names, 1 << 16);
        CHECK(ccz_evidence_open(&e, ccz_buf_span(&quote), NULL) == CCZ_OK);
        CHECK(ccz_evidence_describe(e, check_order, &o, NULL) == CCZ_OK && o.len > 5);
        ccz_buf_free(&o.names);
    }
}

/* No byte is left out: whichever changes, the description or its error changes. */
static void test_every_byte(void)
{
    for (size_t s = 0; s < SHAPES; s++) {
        CCZ_AUTO_BUF quote, before;
        make_quote(&quote, s);
        CHECK(describe(&before, ccz_buf_span(&quote), NULL) == CCZ_OK);
        for (size_t i = 0; i < quote.size; i += STRIDE) {
            CCZ_AUTO_BUF after;
            quote.ptr[i] ^= 0x01;
            ccz_rc rc = describe(&after, ccz_buf_span(&quote), NULL);
            bool same = rc == CCZ_OK && ccz_span_eq(ccz_buf_span(&before), ccz_buf_span(&after));
            if (same)
                fprintf(stderr, "shape %zu: byte %zu of %zu shows nowhere\n", s, i, quote.size);
            CHECK(!same);
            quote.ptr[i] ^= 0x01;
        }
    }
}

/* A cut file is refused, and shows the fields in front of the cut as the whole one does. */
static void test_truncated(void)
{
    for (size_t s = 0; s < SHAPES; s++) {
        CCZ_AUTO_BUF quote, whole;
        make_quote(&quote, s);
        CHECK(describe(&whole, ccz_buf_span(&quote), NULL) == CCZ_OK);
        const char *first = s < QUOTES ? "header." : "snp_report.version";
        const char *all = strstr(ccz_buf_str(&whole), first);
        size_t most = 0;
        for (size_t cut = 0; cut < quote.size; cut += STRIDE) {
            CCZ_AUTO_BUF part;
            struct ccz_err err = {0};
            ccz_rc rc = describe(&part, CCZ_SPAN(quote.ptr, cut), &err);
            bool whole_report = s >= QUOTES && cut == CCZ_SNP_REPORT_SIZE; /* without its table */
            CHECK(whole_report ? rc == CCZ_OK : rc != CCZ_OK && err.where[0]);
            const char *shown = strstr(ccz_buf_str(&part), first);
            size_t size = shown ? strlen(shown) : 0;
            CHECK(size == 0 || (all && strncmp(all, shown, size) == 0));
            CHECK(size >= most); /* the longer, the more */
            most = size;
        }
        CHECK(most > 1000);
    }
}

/* ---------------------------------------------------------------------------- containers */

/* Evidence of the kit with the report data that a certificate asks for. */
static ccz_rc attest(void *arg, struct ccz_buf *out, const uint8_t report_data[64],
                     struct ccz_err *err)
{
    CCZ_AUTO_BUF quote;
    (void)err;
    make_quote(&quote, *(const size_t *)arg);
    memcpy(quote.ptr + 48 + 320, report_data, 64);
    ccz_buf_put_span(out, ccz_buf_span(&quote));
    return CCZ_OK;
}

/* Says what the quote says, and refuses nothing. */
static ccz_rc believe(void *arg, struct ccz_claims *claims, struct ccz_span quote,
                      struct ccz_err *err)
{
    struct ccz_quote q;
    (void)arg;
    *claims = (struct ccz_claims){.tee = CCZ_TEE_SGX};
    ccz_rc rc = ccz_quote_parse(&q, quote, err);
    if (rc == CCZ_OK)
        memcpy(claims->report_data, ccz_quote_report_data(&q).ptr, 64);
    return rc;
}

static void make_cert(struct ccz_buf *der)
{
    size_t shape = 0;
    ccz_buf_init(der, CCZ_CERT_SIZE_MAX);
    CHECK(ccz_ratls_cert_issue(der, kit_key(7), NOW, CCZ_RATLS_EMIT_BOTH, attest, &shape, NULL) ==
          CCZ_OK);
}

static void check_container(struct ccz_span file)
{
    CCZ_AUTO(ccz_evidence) e = NULL;
    CCZ_AUTO_BUF text;
    struct ccz_claims claims;
    struct ccz_err err = {0};
    CHECK(ccz_evidence_open(&e, file, &err) == CCZ_OK && ccz_evidence_cert(e));
    CHECK(ccz_evidence_kind(e) == CCZ_EVIDENCE_QUOTE);
    CHECK(ccz_evidence_appraise(&claims, e, believe, NULL, &err) == CCZ_OK);
    CHECK(claims.tee == CCZ_TEE_SGX);
    ccz_buf_init(&text, 1 << 20);
    CHECK(ccz_evidence_describe(e, print, &text, &err) == CCZ_OK);
    CHECK_LINE(&text, "file.container=(certificate)");
    CHECK_LINE(&text, "certificate.subject=(O=cczoo, CN=RATLS)");
    CHECK_LINE(&text, "ra_tls.dice_extension=1");
    CHECK_LINE(&text, "ra_tls.legacy_extension=1");
    CHECK_LINE(&text, "ra_tls.evidence_from=(dice)");
    CHECK_LINE(&text, "ra_tls.report_data_matches_key=1");
    CHECK_LINE(&text, "header.version=3");
    CHECK(strstr(ccz_buf_str(&text), "claims.pubkey-hash=82015820"));
    CHECK(strstr(ccz_buf_str(&text), "pck_root.sha256="));
}

static void test_containers(void)
{
    static const char *const labels[] = {"CERTIFICATE", "TRUSTED CERTIFICATE"};
    CCZ_AUTO_BUF der, text;
    make_cert(&der);
    ccz_buf_init(&text, 1 << 20);
    check_container(ccz_buf_span(&der));
    ccz_base64_put(&text, ccz_buf_span(&der), CCZ_BASE64_STD);
    check_container(ccz_buf_span(&text));
    for (size_t i = 0; i < 2; i++) {
        ccz_buf_clear(&text);
        ccz_buf_put_str(&text, "depth=0 text of a tool\n");
        ccz_pem_put(&text, labels[i], ccz_buf_span(&der));
        check_container(ccz_buf_span(&text));
    }
}

/* Each way in which a certificate does not bind its evidence to its key. */
static void test_unbound(void)
{
    CCZ_AUTO_BUF der, quote, text;
    struct ccz_claims claims = {.tee = CCZ_TEE_TDX};
    struct ccz_err err = {0};
    make_quote(&quote, 0); /* report data of its own */
    const struct ccz_cert_ext_in ext = {.oid = "0.6.9.42.840.113741.1337.6",
                                        .value = ccz_buf_span(&quote)};
    struct ccz_cert_cfg cfg = {.cn = "x",
                               .key = kit_key(7),
                               .not_before_s = NOW,
                               .not_after_s = NOW + 60,
                               .ext = &ext,
                               .ext_len = 1};
    for (int with = 1; with >= 0; with--) {
        CCZ_AUTO(ccz_evidence) e = NULL;
        ccz_buf_init(&der, CCZ_CERT_SIZE_MAX);
        cfg.ext_len = (size_t)with;
        CHECK(ccz_cert_issue(&der, &cfg, NULL) == CCZ_OK);
        CHECK(ccz_evidence_open(&e, ccz_buf_span(&der), &err) == CCZ_OK);
        ccz_rc rc = ccz_evidence_appraise(&claims, e, believe, NULL, &err);
        CHECK(rc == (with ? CCZ_E_SIG : CCZ_E_NOT_FOUND) && claims.tee == CCZ_TEE_NONE);
        rc = describe(&text, ccz_buf_span(&der), &err);
        CHECK(rc == (with ? CCZ_OK : CCZ_E_NOT_FOUND));
        CHECK_LINE(&text, "certificate.subject=(CN=x)");
        CHECK_LINE(&text, with ? "ra_tls.legacy_extension=1" : "ra_tls.legacy_extension=0");
        if (with)
            CHECK_LINE(&text, "ra_tls.report_data_matches_key=0");
        else
            CHECK(strcmp(err.where, "ratls:no-evidence") == 0);
        ccz_buf_free(&der);
        ccz_buf_free(&text);
    }
}

static void test_cert_truncated(void)
{
    CCZ_AUTO_BUF der;
    make_cert(&der);
    for (size_t cut = 0; cut < der.size; cut++) {
        CCZ_AUTO(ccz_evidence) e = NULL;
        CHECK(ccz_evidence_open(&e, CCZ_SPAN(der.ptr, cut), NULL) != CCZ_OK);
    }
}

static const struct ccz_test tests[] = {
    {"evidence.encodings", test_encodings},
    {"evidence.refused", test_refused},
    {"evidence.fields", test_fields},
    {"evidence.fields_td", test_fields_td},
    {"evidence.fields_snp", test_fields_snp},
    {"evidence.order", test_order},
    {"evidence.every_byte", test_every_byte},
    {"evidence.truncated", test_truncated},
    {"evidence.containers", test_containers},
    {"evidence.unbound", test_unbound},
    {"evidence.cert_truncated", test_cert_truncated},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
