/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evidence of the software TEE, for the integration tests:
 *   quote FILE   a quote over report data of 0xab
 *   cert FILE    a certificate (PEM) whose two extensions carry evidence for its key
 *   stolen FILE  the quote of such a certificate in one for another key
 */
#include "../../cli/ui.h"

#include <cczoo/codec.h>
#include <cczoo/ratls.h>
#include <cczoo/tee.h>

#include <string.h>

static ccz_rc attest(void *arg, struct ccz_buf *quote, const uint8_t report_data[64],
                     struct ccz_err *err)
{
    return ccz_attester_quote(quote, arg, report_data, err);
}

static ccz_rc make_quote(struct ccz_buf *out, struct ccz_attester *a, struct ccz_err *err)
{
    uint8_t report_data[64];
    memset(report_data, 0xab, sizeof(report_data));
    return ccz_attester_quote(out, a, report_data, err);
}

static ccz_rc make_cert(struct ccz_buf *der, struct ccz_attester *a, struct ccz_err *err)
{
    CCZ_AUTO(ccz_key) key = NULL;
    ccz_rc rc = ccz_key_generate(&key, CCZ_P256);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "probe:key", 0, "no key");
    return ccz_ratls_cert_issue(der, key, ccz_clock_now_s(ccz_clock_system()), CCZ_RATLS_EMIT_BOTH,
                                attest, a, err);
}

static ccz_rc make_stolen(struct ccz_buf *out, struct ccz_attester *a, struct ccz_err *err)
{
    CCZ_AUTO_BUF der;
    CCZ_AUTO(ccz_cert) cert = NULL;
    CCZ_AUTO(ccz_key) key = NULL;
    struct ccz_ratls_evidence e;
    ccz_buf_init(&der, CCZ_CERT_SIZE_MAX);
    ccz_rc rc = make_cert(&der, a, err);
    if (rc == CCZ_OK)
        rc = ccz_cert_parse(&cert, ccz_buf_span(&der), err);
    if (rc == CCZ_OK)
        rc = ccz_ratls_cert_evidence(&e, cert, err);
    if (rc == CCZ_OK)
        rc = ccz_key_generate(&key, CCZ_P256);
    if (rc != CCZ_OK)
        return rc;
    int64_t now = ccz_clock_now_s(ccz_clock_system());
    const struct ccz_cert_ext_in ext = {.oid = "1.2.840.113741.1337.6", .value = e.quote};
    return ccz_cert_issue(out,
                          &(struct ccz_cert_cfg){.cn = "thief",
                                                 .key = key,
                                                 .not_before_s = now,
                                                 .not_after_s = now + 3600,
                                                 .ext = &ext,
                                                 .ext_len = 1},
                          err);
}

int main(int argc, char **argv)
{
    struct ccz_attester_cfg cfg = {.provider = "sim-sgx"};
    const struct ui_opt opts[] = {
        {"tee", &cfg.provider, NULL, NULL, "NAME", "sim-sgx (the default) or sim-tdx"},
        {"sim-dir", &cfg.sim_dir, NULL, NULL, "DIR", "its platform"},
        {0},
    };
    int n = ui_parse(argc, argv, "evidence-probe quote|cert|stolen FILE --sim-dir DIR", opts);
    if (n < 0)
        return ui_parse_status(n);
    if (n != 2)
        return UI_USAGE;
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_attester) a = NULL;
    CCZ_AUTO_BUF bytes;
    CCZ_AUTO_BUF pem;
    ccz_buf_init(&bytes, CCZ_QUOTE_SIZE_MAX);
    ccz_buf_init(&pem, CCZ_CERT_SIZE_MAX * 2);
    bool quote = strcmp(argv[0], "quote") == 0, stolen = strcmp(argv[0], "stolen") == 0;
    ccz_rc rc = ccz_attester_open(&a, &cfg, &err);
    if (rc == CCZ_OK)
        rc = quote    ? make_quote(&bytes, a, &err)
             : stolen ? make_stolen(&bytes, a, &err)
                      : make_cert(&bytes, a, &err);
    if (rc == CCZ_OK && !quote)
        ccz_pem_put(&pem, "CERTIFICATE", ccz_buf_span(&bytes));
    if (rc == CCZ_OK)
        rc = ccz_file_write(argv[1], ccz_buf_span(quote ? &bytes : &pem), 0644, CCZ_FILE_REPLACE,
                            &err);
    return rc == CCZ_OK ? UI_OK : ui_fail(&err);
}
