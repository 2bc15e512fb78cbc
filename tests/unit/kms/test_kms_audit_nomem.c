/* SPDX-License-Identifier: Apache-2.0 */
/* Every allocation of signing, exporting and verifying fails in turn: no crash, no leak (under ASan), and nothing is accepted or signed by it. */
#define _GNU_SOURCE
#include "nomem.h"

#include "ccz_test.h"
#include "kms/kms_priv.h"

enum { LINES = 5 };
static struct {
    struct cczi_kms_signer signer;
    struct cczi_kms_tree before, after; /* of all but the last line, of all */
    struct ccz_kms_audit_line line[LINES];
    uint8_t leaf[LINES][32];
    uint8_t export[8192], receipt[CCZ_KMS_INCLUSION_SIZE_MAX];
    size_t export_size, receipt_size;
} g;

/* Signs a batch of one line and writes its receipt and an export. */
static ccz_rc write_all(struct ccz_buf *export, struct ccz_buf *receipt, struct ccz_err *err)
{
    struct cczi_kms_lines b = {0};
    struct ccz_kms_inclusion r;
    const struct ccz_key *key = g.signer.key;
    cczi_kms_lines_start(&b, &g.before);
    cczi_kms_lines_add(&b, g.leaf[LINES - 1]);
    ccz_rc rc = cczi_kms_lines_sign(&b, &g.signer, &g.after, 1700000000, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_lines_receipt(&r, &b, LINES);
    if (rc == CCZ_OK)
        rc = ccz_kms_log_put_header(export, g.signer.origin, &key, 1);
    if (rc == CCZ_OK) {
        for (size_t i = 0; i < LINES; i++)
            ccz_kms_log_put_line(export, &g.line[i]);
        ccz_kms_log_put_checkpoint(export, &b.checkpoint);
        ccz_kms_inclusion_put(receipt, &r);
    }
    cczi_kms_lines_free(&b);
    return rc == CCZ_OK && (export->bad || receipt->bad) ? CCZ_E_NOMEM : rc;
}

static ccz_rc verify_all(struct ccz_err *err)
{
    CCZ_AUTO(ccz_kms_log) log = NULL;
    const struct ccz_key *key = g.signer.key;
    const struct ccz_kms_log_cfg cfg = {.keys = &key, .keys_len = 1};
    struct ccz_kms_inclusion r;
    ccz_rc rc = ccz_kms_log_new(&log, &cfg, err);
    for (size_t at = 0; rc == CCZ_OK && at < g.export_size;
         at += 100) /* in pieces, which are kept */
        rc = ccz_kms_log_put(
            log, CCZ_SPAN(g.export + at, g.export_size - at < 100 ? g.export_size - at : 100), err);
    if (rc == CCZ_OK)
        rc = ccz_kms_log_end(log, err);
    if (rc == CCZ_OK)
        rc = ccz_kms_inclusion_parse(&r, CCZ_SPAN(g.receipt, g.receipt_size), err);
    if (rc == CCZ_OK)
        rc = ccz_kms_log_has(log, &r, err);
    if (rc == CCZ_OK)
        rc = ccz_kms_log_prove(&r, log, 2, err);
    if (rc == CCZ_OK)
        rc = ccz_kms_inclusion_verify(&r, &key, 1, err);
    if (rc == CCZ_OK)
        CHECK(r.seq == 2 && memcmp(r.leaf, g.leaf[1], 32) == 0);
    return rc;
}

static void make(void)
{
    struct cczi_kms_tree t = {0};
    for (size_t i = 0; i < LINES; i++) {
        struct ccz_kms_audit_line *l = &g.line[i];
        *l = (struct ccz_kms_audit_line){.seq = i + 1, .entry = ccz_span_str("{\"op\":\"x\"}")};
        if (i)
            memcpy(l->prev, g.line[i - 1].hash, 32);
        g.before = t;
        CHECK(cczi_kms_line_hash(l->hash, l) == CCZ_OK);
        CHECK(ccz_kms_leaf_hash(g.leaf[i], l) == CCZ_OK);
        CHECK(cczi_kms_tree_append(&t, g.leaf[i]) == CCZ_OK);
    }
    g.after = t;
    struct ccz_key *key;
    CHECK(ccz_key_generate(&key, CCZ_P256) == CCZ_OK);
    CHECK(cczi_kms_signer_init(&g.signer, key, g.line[0].hash, NULL) == CCZ_OK);
}

static void test_nomem(void)
{
    CHECK(nomem_openssl());
    make();
    bool written = false, verified = false;
    for (long k = -1; !written || k < 0; k++) { /* -1: none fails, which gives the good texts */
        struct ccz_buf export, receipt;
        struct ccz_err err = {0};
        ccz_buf_init(&export, sizeof(g.export));
        ccz_buf_init(&receipt, sizeof(g.receipt));
        nomem_left = k;
        ccz_rc rc = write_all(&export, &receipt, &err);
        written = nomem_left >= 0; /* fewer allocations than k */
        nomem_left = -1;
        CHECK(rc == CCZ_OK || !written);
        if (k < 0) {
            CHECK(rc == CCZ_OK);
            memcpy(g.export, export.ptr, g.export_size = export.size);
            memcpy(g.receipt, receipt.ptr, g.receipt_size = receipt.size);
        } else if (rc == CCZ_OK) { /* OpenSSL did without: what was written is whole */
            CHECK(export.size == g.export_size && receipt.size == g.receipt_size);
        }
        ccz_buf_free(&export);
        ccz_buf_free(&receipt);
    }
    for (long k = 0; !verified; k++) {
        struct ccz_err err = {0};
        nomem_left = k;
        ccz_rc rc = verify_all(&err);
        verified = nomem_left >= 0;
        nomem_left = -1;
        CHECK(rc == CCZ_OK || (!verified && err.where[0]));
    }
    CHECK(nomem_used > 100);
    cczi_kms_signer_deinit(&g.signer);
}

static const struct ccz_test tests[] = {{"kms.audit_nomem", test_nomem}};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
