/* SPDX-License-Identifier: Apache-2.0 */
#include "quote/kit.h"
#include "quote/quote_priv.h"

#include "ccz_test.h"

/* Every layout the parser knows. */
static const struct layout {
    enum ccz_tee tee;
    uint16_t version, body_type, cert_type;
    size_t body_at, body_size;
} layouts[] = {
    {CCZ_TEE_SGX, 3, 1, 5, 48, 384}, {CCZ_TEE_SGX, 3, 1, 1, 48, 384},
    {CCZ_TEE_SGX, 3, 1, 2, 48, 384}, {CCZ_TEE_SGX, 3, 1, 3, 48, 384},
    {CCZ_TEE_SGX, 3, 1, 4, 48, 384}, {CCZ_TEE_SGX, 4, 1, 5, 48, 384},
    {CCZ_TEE_TDX, 4, 2, 5, 48, 584}, {CCZ_TEE_TDX, 4, 2, 3, 48, 584},
    {CCZ_TEE_SGX, 5, 1, 5, 54, 384}, {CCZ_TEE_TDX, 5, 2, 5, 54, 584},
    {CCZ_TEE_TDX, 5, 3, 5, 54, 648},
};
enum { LAYOUTS = sizeof(layouts) / sizeof(layouts[0]) };

static void make(struct kit *k, const struct layout *l)
{
    struct kit_cfg cfg;
    kit_default(&cfg, l->tee, l->version);
    cfg.body_type = l->body_type;
    cfg.cert_type = l->cert_type;
    kit_new(k, &cfg);
}

static bool is_zero(const struct ccz_quote *q)
{
    const struct ccz_quote none = {0};
    return memcmp(q, &none, sizeof(none)) == 0;
}

static void test_layouts(void)
{
    for (size_t i = 0; i < LAYOUTS; i++) {
        const struct layout *l = &layouts[i];
        struct kit k;
        struct ccz_quote q;
        make(&k, l);
        const uint8_t *p = k.quote.ptr;
        CHECK(ccz_quote_parse(&q, ccz_buf_span(&k.quote), NULL) == CCZ_OK);
        CHECK(q.version == l->version && q.tee == l->tee && q.body_type == l->body_type);
        CHECK(q.header.ptr == p && q.header.size == 48);
        CHECK(q.body.ptr == p + l->body_at && q.body.size == l->body_size);
        CHECK(q.signed_bytes.ptr == p && q.signed_bytes.size == l->body_at + l->body_size);
        const uint8_t *data = p + l->body_at + l->body_size + 4;
        const uint8_t *qe = data + (l->version == 3 ? 128 : 134);
        CHECK(q.signature.ptr == data && q.signature.size == 64);
        CHECK(q.attest_key.ptr == data + 64 && q.attest_key.size == 64);
        CHECK(q.qe_report.ptr == qe && q.qe_report.size == 384);
        CHECK(q.qe_signature.ptr == qe + 384 && q.qe_signature.size == 64);
        CHECK(q.qe_auth.ptr == qe + 450 && q.qe_auth.size == 32);
        CHECK(q.cert_type == l->cert_type && q.cert_data.ptr == qe + 450 + 32 + 6);
        CHECK(q.cert_data.ptr + q.cert_data.size == p + k.quote.size && q.trailing.size == 0);
        struct ccz_span rd = ccz_quote_report_data(&q);
        CHECK(rd.size == 64 && rd.ptr[0] == 0xdd && rd.ptr[63] == 0xdd);
        kit_free(&k);
    }
    CHECK(ccz_quote_report_data(&(struct ccz_quote){0}).size == 0);
}

static void test_truncated(void)
{
    for (size_t i = 0; i < LAYOUTS; i++) {
        struct kit k;
        make(&k, &layouts[i]);
        for (size_t cut = 0; cut < k.quote.size; cut++) {
            /* an allocation of the exact size, so that a sanitizer sees one byte too far */
            uint8_t *copy = malloc(cut ? cut : 1);
            CHECK(copy != NULL);
            memcpy(copy, k.quote.ptr, cut);
            struct ccz_quote q;
            struct ccz_err err = {0};
            ccz_rc rc = ccz_quote_parse(&q, CCZ_SPAN(copy, cut), &err);
            CHECK(rc == CCZ_E_FORMAT && err.rc == rc && err.where[0] && is_zero(&q));
            free(copy);
        }
        kit_free(&k);
    }
}

struct patch {
    uint16_t version, cert_type;
    size_t at;    /* offset; counted from the signature data with bit 16 set */
    uint8_t byte; /* new value */
    ccz_rc rc;
    const char *where;
};
enum { DATA = 1 << 16 };

/* One byte of a v3 (SGX), v4 or v5 (TDX) quote changed, and who finds it. */
static const struct patch patches[] = {
    {3, 5, 0, 2, CCZ_E_UNSUPPORTED, "quote:version"},
    {3, 5, 0, 6, CCZ_E_UNSUPPORTED, "quote:version"},
    {3, 5, 1, 1, CCZ_E_UNSUPPORTED, "quote:version"},
    {4, 5, 0, 3, CCZ_E_FORMAT, "quote:header-reserved"}, /* v3 has no TEE type */
    {3, 5, 2, 3, CCZ_E_UNSUPPORTED, "quote:key-type"},
    {3, 5, 7, 1, CCZ_E_FORMAT, "quote:header-reserved"},
    {4, 5, 4, 0x82, CCZ_E_UNSUPPORTED, "quote:tee-type"},
    {4, 5, 7, 0x80, CCZ_E_UNSUPPORTED, "quote:tee-type"},
    {4, 5, 8, 1, CCZ_E_FORMAT, "quote:header-reserved"},
    {5, 5, 11, 1, CCZ_E_FORMAT, "quote:header-reserved"},
    {3, 5, 12, 0, CCZ_E_UNSUPPORTED, "quote:vendor"},
    {4, 5, 27, 0, CCZ_E_UNSUPPORTED, "quote:vendor"},
    {5, 5, 48, 0, CCZ_E_UNSUPPORTED, "quote:body-type"},
    {5, 5, 48, 4, CCZ_E_UNSUPPORTED, "quote:body-type"},
    {5, 5, 48, 2, CCZ_E_FORMAT, "quote:body-size"},
    {5, 5, 50, 0, CCZ_E_FORMAT, "quote:body-size"},
    {5, 5, 53, 1, CCZ_E_FORMAT, "quote:body-size"},
    {5, 5, 4, 0, CCZ_E_FORMAT, "quote:body-tee"},
    {3, 5, 435, 1, CCZ_E_FORMAT, "quote:signature-size"},
    {3, 5, DATA + 577, 1, CCZ_E_FORMAT, "quote:signature-data"},  /* size of authentication data */
    {3, 5, DATA + 576, 31, CCZ_E_FORMAT, "quote:signature-data"}, /* shifts type and size */
    {3, 5, DATA + 615, 1, CCZ_E_FORMAT, "quote:signature-data"},  /* size of certification data */
    {3, 5, DATA + 610, 0, CCZ_E_UNSUPPORTED, "quote:certification-type"},
    {3, 5, DATA + 610, 6, CCZ_E_UNSUPPORTED, "quote:certification-type"},
    {3, 5, DATA + 610, 7, CCZ_E_UNSUPPORTED, "quote:certification-type"},
    {3, 5, DATA + 610, 3, CCZ_E_FORMAT, "quote:certification-size"},
    {3, 3, DATA + 610, 2, CCZ_E_FORMAT, "quote:certification-size"},
    {3, 2, DATA + 610, 1, CCZ_E_FORMAT, "quote:certification-size"},
    {4, 5, DATA + 128, 5, CCZ_E_UNSUPPORTED, "quote:qe-certification"},
    {4, 5, DATA + 133, 1, CCZ_E_FORMAT, "quote:signature-data"},
    {4, 5, DATA + 582, 33, CCZ_E_FORMAT, "quote:signature-data"},
    {5, 5, DATA + 616, 6, CCZ_E_UNSUPPORTED, "quote:certification-type"}, /* no nesting */
};

static void test_refused(void)
{
    for (size_t i = 0; i < sizeof(patches) / sizeof(patches[0]); i++) {
        const struct patch *p = &patches[i];
        struct kit k;
        struct kit_cfg cfg;
        kit_default(&cfg, p->version == 3 ? CCZ_TEE_SGX : CCZ_TEE_TDX, p->version);
        cfg.cert_type = p->cert_type;
        kit_new(&k, &cfg);
        struct ccz_quote q;
        struct ccz_err err = {0};
        CHECK(ccz_quote_parse(&q, ccz_buf_span(&k.quote), NULL) == CCZ_OK);
        size_t at = p->at < DATA ? p->at : p->at - DATA + q.signed_bytes.size + 4;
        CHECK(at < k.quote.size && k.quote.ptr[at] != p->byte);
        k.quote.ptr[at] = p->byte;
        ccz_rc rc = ccz_quote_parse(&q, ccz_buf_span(&k.quote), &err);
        if (rc != p->rc || strcmp(err.where, p->where) != 0)
            fprintf(stderr, "patch %zu: %s %s\n", i, ccz_rc_name(rc), err.where);
        CHECK(rc == p->rc && strcmp(err.where, p->where) == 0 && is_zero(&q));
        kit_free(&k);
    }
}

static void test_trailing(void)
{
    struct kit k;
    make(&k, &layouts[0]);
    struct ccz_quote q;
    struct ccz_err err = {0};
    size_t size = k.quote.size;
    CHECK(ccz_buf_extend(&k.quote, 100) != NULL);
    memset(k.quote.ptr + size, 0, 100);
    CHECK(ccz_quote_parse(&q, ccz_buf_span(&k.quote), &err) == CCZ_OK && q.trailing.size == 100);
    for (size_t i = size; i < size + 100; i++) {
        k.quote.ptr[i] = 1;
        CHECK(ccz_quote_parse(&q, ccz_buf_span(&k.quote), &err) == CCZ_E_FORMAT);
        CHECK(strcmp(err.where, "quote:trailing") == 0 && err.aux == (int64_t)(i - size));
        k.quote.ptr[i] = 0;
    }
    kit_free(&k);

    uint8_t *big = calloc(1, CCZ_QUOTE_SIZE_MAX + 1);
    CHECK(big != NULL);
    CHECK(ccz_quote_parse(&q, CCZ_SPAN(big, CCZ_QUOTE_SIZE_MAX + 1), &err) == CCZ_E_LIMIT);
    CHECK(strcmp(err.where, "quote:size") == 0);
    free(big);
}

/* ----------------------------------------------------------------- PCK certificate extension */

/* The SGX extension of a kit certificate. */
static struct ccz_span extension(const struct kit *k)
{
    bool critical;
    return ccz_cert_ext(&critical, k->pck, "1.2.840.113741.1.13.1");
}

static void test_pck_ext(void)
{
    struct kit k;
    struct kit_cfg cfg;
    kit_default(&cfg, CCZ_TEE_SGX, 3);
    for (int i = 0; i < 16; i++)
        cfg.comp[i] =
            (uint8_t)(120 + i); /* on both sides of 128, where INTEGER gets a leading zero */
    cfg.pce_svn = 0xfedc;
    cfg.pce_id[1] = 7;
    kit_new(&k, &cfg);
    struct cczi_pck p;
    struct ccz_span ext = extension(&k);
    CHECK(cczi_pck_ext_parse(&p, ext, NULL) == CCZ_OK);
    CHECK(memcmp(p.comp_svn, cfg.comp, 16) == 0 && memcmp(p.cpu_svn, cfg.comp, 16) == 0);
    CHECK(p.pce_svn == 0xfedc && memcmp(p.pce_id, cfg.pce_id, 2) == 0);
    CHECK(memcmp(p.fmspc, cfg.fmspc, 6) == 0 && memcmp(p.ppid, "kit ppid 0123456", 16) == 0);

    uint8_t *copy = malloc(ext.size + 1);
    CHECK(copy != NULL);
    memcpy(copy, ext.ptr, ext.size);
    copy[ext.size] = 0;
    for (size_t cut = 0; cut <= ext.size + 1; cut++) { /* truncated, exact, one byte more */
        struct ccz_err err = {0};
        bool ok = cczi_pck_ext_parse(&p, CCZ_SPAN(copy, cut), &err) == CCZ_OK;
        CHECK(ok == (cut == ext.size));
        CHECK(ok || strcmp(err.where, "quote:pck-extension") == 0);
    }
    /* A changed bit is either malformed or a changed value; two encodings of one value do not
     * exist. */
    struct cczi_pck good, other;
    CHECK(cczi_pck_ext_parse(&good, ext, NULL) == CCZ_OK);
    size_t same = 0;
    for (size_t bit = 0; bit < 8 * ext.size; bit++) {
        copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (cczi_pck_ext_parse(&other, CCZ_SPAN(copy, ext.size), NULL) == CCZ_OK)
            same += memcmp(&good, &other, sizeof(good)) == 0;
        copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    /* 128 bits of the platform instance, 1 of the SGX type (1 -> 0), 24 in the arcs of the three
     * flags: read, checked and not used */
    CHECK(same <= 128 + 2 + 24);
    free(copy);
    kit_free(&k);
}

static void test_pck_ext_elements(void)
{
    /* Each required element left out, each doubled, and an unknown one. */
    static const char *const required[] = {".1", ".2", ".3", ".4", ".5"};
    struct kit k;
    struct kit_cfg cfg;
    kit_default(&cfg, CCZ_TEE_SGX, 3);
    kit_new(&k, &cfg);
    struct ccz_rd outer = ccz_rd_from(extension(&k));
    struct ccz_span elements = ccz_der_take(&outer, CCZ_DER_SEQUENCE);
    for (size_t drop = 0; drop <= 5 + 1; drop++) {
        for (int twice = 0; twice < 2; twice++) {
            CCZ_AUTO_BUF b;
            ccz_buf_init(&b, 4096);
            size_t m = ccz_der_open(&b, CCZ_DER_SEQUENCE);
            struct ccz_rd r = ccz_rd_from(elements);
            for (size_t i = 0; r.left > 0; i++) {
                struct ccz_span pair = ccz_der_take(&r, CCZ_DER_SEQUENCE);
                for (int n = i != drop ? 1 : twice ? 2 : 0; n > 0; n--)
                    ccz_der_put(&b, CCZ_DER_SEQUENCE, pair);
            }
            ccz_der_close(&b, m);
            struct cczi_pck p;
            bool ok = cczi_pck_ext_parse(&p, ccz_buf_span(&b), NULL) == CCZ_OK;
            /* index 5, the platform instance, is optional (absent under the Processor CA) */
            CHECK(ok == (!twice && drop >= sizeof(required) / sizeof(required[0])));
        }
    }
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 4096);
    size_t m = ccz_der_open(&b, CCZ_DER_SEQUENCE);
    ccz_buf_put_span(&b, elements);
    size_t pair = ccz_der_open(&b, CCZ_DER_SEQUENCE);
    ccz_der_put_oid(&b, "1.2.840.113741.1.13.1.8");
    ccz_der_put_uint(&b, CCZ_DER_INTEGER, 1);
    ccz_der_close(&b, pair);
    ccz_der_close(&b, m);
    struct cczi_pck p;
    CHECK(cczi_pck_ext_parse(&p, ccz_buf_span(&b), NULL) == CCZ_E_FORMAT);
    kit_free(&k);
}

static void test_platform(void)
{
    for (size_t i = 0; i < LAYOUTS; i++) {
        struct kit k;
        struct ccz_quote q;
        struct ccz_platform p, want;
        struct ccz_err err = {0};
        CCZ_AUTO(ccz_collateral) c = NULL;
        make(&k, &layouts[i]);
        CHECK(ccz_quote_parse(&q, ccz_buf_span(&k.quote), NULL) == CCZ_OK);
        CHECK(ccz_collateral_new(&c, &k.src, &k.roots, &err) == CCZ_OK);
        ccz_collateral_platform(&want, c);
        if (layouts[i].cert_type >= 4) {
            CHECK(ccz_quote_platform(&p, &q, &err) == CCZ_OK);
            CHECK(p.tee == want.tee && memcmp(p.fmspc, want.fmspc, 6) == 0);
            CHECK(memcmp(p.pck_issuer, want.pck_issuer, 32) == 0);
            CHECK(p.ca == want.ca && p.ca != CCZ_PCK_CA_NONE);
            CHECK(ccz_platform_from_pem(&p, q.tee, q.cert_data, &err) == CCZ_OK);
            CHECK(p.ca == want.ca && memcmp(p.fmspc, want.fmspc, 6) == 0);
        } else {
            CHECK(ccz_quote_platform(&p, &q, &err) == CCZ_E_UNSUPPORTED);
            CHECK(strcmp(err.where, "quote:pck-missing") == 0 && p.tee == CCZ_TEE_NONE);
        }
        kit_free(&k);
    }
}

static void refuses_origin(const struct kit *k, const struct ccz_roots *roots, const char *where)
{
    struct ccz_quote q;
    struct ccz_err err = {0};
    CHECK(ccz_quote_parse(&q, ccz_buf_span(&k->quote), NULL) == CCZ_OK);
    CHECK(ccz_quote_check_origin(&q, roots, NULL, &err) != CCZ_OK);
    CHECK(strcmp(err.where, where) == 0);
}

/* Who made the attestation key is known without collateral; what the quote says is not looked at. */
static void test_origin(void)
{
    struct kit k;
    struct ccz_quote q;
    struct ccz_platform p;
    struct ccz_err err = {0};
    const struct ccz_roots nobody = {0};
    make(&k, &layouts[0]);
    CHECK(ccz_quote_parse(&q, ccz_buf_span(&k.quote), NULL) == CCZ_OK);
    CHECK(ccz_quote_check_origin(&q, &k.roots, NULL, &err) == CCZ_OK);
    refuses_origin(&k, &nobody, "quote:pck-root");
    ((uint8_t *)(uintptr_t)q.qe_signature.ptr)[0] ^= 1;
    refuses_origin(&k, &k.roots, "quote:qe-signature");
    ((uint8_t *)(uintptr_t)q.qe_signature.ptr)[0] ^= 1;
    ((uint8_t *)(uintptr_t)q.attest_key.ptr)[0] ^= 1;
    refuses_origin(&k, &k.roots, "quote:qe-binding");
    CHECK(ccz_platform_from_pem(&p, CCZ_TEE_SGX, k.src.pck_crl_chain, &err) == CCZ_E_FORMAT);
    CHECK(strcmp(err.where, "quote:pck-chain") == 0 && p.tee == CCZ_TEE_NONE); /* CAs only */
    kit_free(&k);
}

/* One list in three forms. */
static void test_crl_forms(void)
{
    struct kit k;
    struct ccz_err err = {0};
    CCZ_AUTO_BUF der, pem, hex;
    make(&k, &layouts[0]);
    ccz_buf_init(&der, 1 << 16);
    ccz_buf_init(&pem, 1 << 16);
    ccz_buf_init(&hex, 1 << 17);
    CHECK(ccz_crl_der(&der, k.src.pck_crl, "test:crl", &err) == CCZ_OK);
    const struct ccz_span want = ccz_buf_span(&der);
    ccz_pem_put(&pem, "X509 CRL", want);
    for (size_t i = 0; i < want.size; i++)
        ccz_buf_printf(&hex, "%02x", want.ptr[i]);
    const struct ccz_buf *const forms[] = {&pem, &hex};
    for (size_t i = 0; i < 2; i++) {
        CCZ_AUTO_BUF out;
        ccz_buf_init(&out, 1 << 16);
        CHECK(ccz_crl_der(&out, ccz_buf_span(forms[i]), "test:crl", &err) == CCZ_OK);
        CHECK(ccz_span_eq(ccz_buf_span(&out), want));
        ccz_buf_put_str((struct ccz_buf *)(uintptr_t)forms[i], "x");
        CHECK(ccz_crl_der(&out, ccz_buf_span(forms[i]), "test:crl", &err) != CCZ_OK);
        CHECK(strcmp(err.where, "test:crl") == 0);
    }
    kit_free(&k);
}

/* Bytes inside of the signature data that no length accounts for. */
static void test_slack(void)
{
    for (size_t i = 0; i < LAYOUTS; i++) {
        struct kit k;
        struct ccz_quote q;
        struct ccz_err err = {0};
        make(&k, &layouts[i]);
        uint8_t *size = k.quote.ptr + layouts[i].body_at + layouts[i].body_size;
        CHECK(size[0] != 0xff);
        size[0]++;
        ccz_buf_u8(&k.quote, 0);
        CHECK(ccz_quote_parse(&q, ccz_buf_span(&k.quote), &err) == CCZ_E_FORMAT);
        CHECK(strcmp(err.where, "quote:signature-data") == 0);
        kit_free(&k);
    }
}

/* Copies @p in, with two bytes more in the element that @p path leads to (an index per level). */
static void rebuild(struct ccz_buf *out, struct ccz_span in, const int *path, int depth)
{
    struct ccz_rd r = ccz_rd_from(in);
    for (int i = 0; r.left > 0 && !r.bad; i++) {
        uint8_t tag;
        struct ccz_span content = ccz_der_any(&tag, &r);
        size_t m = ccz_der_open(out, tag);
        if (i != path[0]) {
            ccz_buf_put_span(out, content);
        } else if (depth == 1) {
            ccz_buf_put_span(out, content);
            ccz_buf_put(out, "\x05\x00", 2); /* NULL, or two more octets */
        } else {
            rebuild(out, content, path + 1, depth - 1);
        }
        ccz_der_close(out, m);
    }
    CHECK(!r.bad);
}

/* Nothing may follow inside of any element either. */
static void test_pck_ext_slack(void)
{
    static const struct {
        int path[6], depth;
    } places[] = {
        {{0}, 1},              /* the list */
        {{0, 0}, 2},           /* PPID: the pair */
        {{0, 0, 1}, 3},        /* PPID: the octets */
        {{0, 1}, 2},           /* TCB: the pair */
        {{0, 1, 1}, 3},        /* TCB: the list */
        {{0, 1, 1, 0}, 4},     /* component 1: the pair */
        {{0, 1, 1, 17, 1}, 5}, /* CPUSVN: the octets */
        {{0, 2, 1}, 3},        /* PCEID */
        {{0, 3, 1}, 3},        /* FMSPC */
        {{0, 4}, 2},           /* SGX type */
        {{0, 5, 1}, 3},        /* platform instance */
        {{0, 6, 1, 0}, 4},     /* a flag of the configuration */
    };
    struct kit k;
    struct kit_cfg cfg;
    struct cczi_pck p;
    kit_default(&cfg, CCZ_TEE_SGX, 3);
    kit_new(&k, &cfg);
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        CCZ_AUTO_BUF b;
        ccz_buf_init(&b, 4096);
        rebuild(&b, extension(&k), places[i].path, places[i].depth);
        CHECK(!b.bad && cczi_pck_ext_parse(&p, ccz_buf_span(&b), NULL) == CCZ_E_FORMAT);
    }
    static const int nowhere[] = {-1};
    CCZ_AUTO_BUF same;
    ccz_buf_init(&same, 4096);
    rebuild(&same, extension(&k), nowhere, 1);
    CHECK(cczi_pck_ext_parse(&p, ccz_buf_span(&same), NULL) == CCZ_OK);
    kit_free(&k);
}

static const struct ccz_test tests[] = {
    {"quote.layouts", test_layouts},
    {"quote.truncated", test_truncated},
    {"quote.parse_refused", test_refused},
    {"quote.trailing", test_trailing},
    {"quote.pck_ext", test_pck_ext},
    {"quote.pck_ext_elements", test_pck_ext_elements},
    {"quote.platform", test_platform},
    {"quote.origin", test_origin},
    {"quote.crl_forms", test_crl_forms},
    {"quote.slack", test_slack},
    {"quote.pck_ext_slack", test_pck_ext_slack},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
