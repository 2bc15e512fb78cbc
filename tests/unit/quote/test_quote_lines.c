/* SPDX-License-Identifier: Apache-2.0 */
/* How the base64 of certificate chains is broken into lines. */
#include "quote/kit.h"

#include "ccz_test.h"

static void expect(const char *name, ccz_rc rc, const struct ccz_err *err, ccz_rc want_rc,
                   const char *want_where)
{
    if (rc != want_rc || (rc != CCZ_OK && strcmp(err->where, want_where) != 0)) {
        fprintf(stderr, "%s: got %s at %s (%s), expected %s at %s\n", name, ccz_rc_name(rc),
                rc == CCZ_OK ? "-" : err->where, rc == CCZ_OK ? "" : err->msg, ccz_rc_name(want_rc),
                want_where);
        exit(1);
    }
}

/* The chain of @p k with lines of @p width and these line ends; line @p odd of each certificate ends in @p other. */
static void put_lines(struct ccz_buf *out, const struct kit *k, size_t width, const char *eol,
                      size_t odd, const char *other)
{
    const struct ccz_cert *certs[] = {k->pck, k->ca, k->root};
    ccz_buf_clear(out);
    for (size_t i = 0; i < 3; i++) {
        CCZ_AUTO_BUF text;
        ccz_buf_init(&text, 65536);
        ccz_base64_put(&text, ccz_cert_der(certs[i]), CCZ_BASE64_STD);
        ccz_buf_printf(out, "-----BEGIN CERTIFICATE-----%s", odd == 0 ? other : eol);
        for (size_t at = 0, line = 1; at < text.size; at += width, line++) {
            struct ccz_span rest = ccz_span_sub(ccz_buf_span(&text), at, text.size - at);
            rest.size = rest.size < width ? rest.size : width;
            ccz_buf_put_span(out, rest);
            ccz_buf_put_str(out, line == odd ? other : eol);
        }
        ccz_buf_put_str(out, "-----END CERTIFICATE-----\n");
    }
}

/* Nobody signs how the base64 of a chain is broken into lines: what genuine quotes do is accepted, nothing else. */
static void test_lines(void)
{
    static const struct {
        size_t width;
        const char *eol;
        size_t odd;
        const char *other;
        bool good;
    } cases[] = {
        {64, "\n", 99, "", true},           {76, "\n", 99, "", true},
        {64, "\r\n", 99, "", true},         {76, "\r\n", 99, "", true},
        {60, "\n", 99, "", false},          {72, "\n", 99, "", false},
        {128, "\n", 99, "", false},         {65536, "\n", 99, "", false},
        {64, "\n", 0, "\r\n", false},       {64, "\n", 2, "\r\n", false},
        {64, "\r\n", 2, "\n", false},       {64, "\r\n", 0, "\n", false},
        {64, "\n", 0, "\n\n", false},       {64, "\n", 3, "\n\n", false},
        {64, "\r\n", 3, "\r\n\r\n", false}, {64, "\n", 3, "", false},
        {64, "\n", 1, "", false},           {76, "\n", 2, "\n\r\n", false},
    };
    struct kit k;
    struct kit_cfg cfg;
    struct ccz_claims claims;
    struct ccz_err err = {0};
    kit_default(&cfg, CCZ_TEE_SGX, 3);
    cfg.cert_type = 1; /* the chain comes with the collateral, and is read in the same way */
    kit_new(&k, &cfg);
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, 65536);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        put_lines(&text, &k, cases[i].width, cases[i].eol, cases[i].odd, cases[i].other);
        k.src.pck_chain = ccz_buf_span(&text);
        expect("lines", kit_verify(&claims, &k, &err), &err, cases[i].good ? CCZ_OK : CCZ_E_FORMAT,
               "quote:pck-chain");
    }
    /* 63 characters and a CR that belongs to the line end are no line of 64 */
    put_lines(&text, &k, 63, "\r\n", 0, "\n");
    k.src.pck_chain = ccz_buf_span(&text);
    expect("CR", kit_verify(&claims, &k, &err), &err, CCZ_E_FORMAT, "quote:pck-chain");
    kit_free(&k);
}

static const struct ccz_test tests[] = {
    {"verify.lines", test_lines},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
