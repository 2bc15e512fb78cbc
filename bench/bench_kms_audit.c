/* SPDX-License-Identifier: Apache-2.0 */
/* What the tree over the audit log costs a KMS and its auditors, on one core:
 *     taskset -c 1 bench_kms_audit
 * One line per measurement, tab separated: name, per second (best of the rounds), unit.
 *
 * sign alone     one ES256 signature, for comparison
 * batch N        N lines: leaf hashes, tree, one signature, a receipt for each as text; lines per second
 * verify         an export of 10,000 lines with a checkpoint; lines per second */
#define _POSIX_C_SOURCE 200809L
#include "bench.h"

#include "../src/kms/kms_priv.h"

enum { LINES = 10000, ENTRY_SIZE = 420 }; /* as the entry of a release has */

static struct cczi_kms_signer signer;
static struct cczi_kms_tree tree; /* of 1,000,000 lines, as far as its shape goes */
static struct cczi_kms_lines batch;
static struct ccz_buf out, export;
static char entry[ENTRY_SIZE + 1];
static size_t batch_len;

static void sign_alone(void *arg)
{
    (void)arg;
    uint8_t sig[64];
    struct ccz_span text = CCZ_SPAN(entry, 120);
    must(ccz_ecdsa_sign(sig, signer.key, &text, 1) == CCZ_OK, "sign");
}

static void one_batch(void *arg)
{
    (void)arg;
    struct cczi_kms_tree after = tree;
    struct ccz_kms_audit_line l = {.entry = CCZ_SPAN(entry, ENTRY_SIZE)};
    cczi_kms_lines_start(&batch, &tree);
    for (size_t i = 0; i < batch_len; i++) {
        uint8_t leaf[32];
        l.seq = tree.size + i + 1;
        must(ccz_kms_leaf_hash(leaf, &l) == CCZ_OK && cczi_kms_tree_append(&after, leaf) == CCZ_OK,
             "append");
        cczi_kms_lines_add(&batch, leaf);
    }
    must(cczi_kms_lines_sign(&batch, &signer, &after, 1700000000, NULL) == CCZ_OK, "batch");
    for (size_t i = 0; i < batch_len; i++) {
        struct ccz_kms_inclusion r;
        must(cczi_kms_lines_receipt(&r, &batch, tree.size + i + 1) == CCZ_OK, "receipt");
        ccz_buf_clear(&out);
        ccz_kms_inclusion_put(&out, &r);
        must(!out.bad, "receipt");
    }
}

static void verify(void *arg)
{
    (void)arg;
    const struct ccz_key *key = signer.key;
    const struct ccz_kms_log_cfg cfg = {.keys = &key, .keys_len = 1};
    struct ccz_kms_log *log;
    struct ccz_err err = {0};
    must(ccz_kms_log_new(&log, &cfg, NULL) == CCZ_OK, "log");
    must(ccz_kms_log_put(log, ccz_buf_span(&export), &err) == CCZ_OK, err.msg);
    must(ccz_kms_log_end(log, &err) == CCZ_OK, err.msg);
    ccz_kms_log_free(log);
}

static void make(void)
{
    struct ccz_kms_audit_line l = {.entry = CCZ_SPAN(entry, ENTRY_SIZE)};
    struct cczi_kms_tree t = {0};
    struct ccz_kms_checkpoint c;
    struct ccz_key *key;
    struct ccz_buf lines;
    memset(entry, 'x', ENTRY_SIZE);
    memcpy(entry, "{\"op\":\"", 7);
    memcpy(entry + ENTRY_SIZE - 2, "\"}", 2);
    ccz_buf_init(&out, CCZ_KMS_INCLUSION_SIZE_MAX);
    ccz_buf_init(&export, (size_t)LINES * 1024);
    ccz_buf_init(&lines, (size_t)LINES * 1024);
    must(ccz_key_generate(&key, CCZ_P256) == CCZ_OK, "key");
    for (l.seq = 1; l.seq <= LINES; l.seq++) {
        uint8_t leaf[32];
        must(cczi_kms_line_hash(l.hash, &l) == CCZ_OK && ccz_kms_leaf_hash(leaf, &l) == CCZ_OK &&
                 cczi_kms_tree_append(&t, leaf) == CCZ_OK,
             "line");
        if (l.seq == 1)
            must(cczi_kms_signer_init(&signer, key, l.hash, NULL) == CCZ_OK, "signer");
        ccz_kms_log_put_line(&lines, &l);
        memcpy(l.prev, l.hash, 32);
    }
    const struct ccz_key *k = signer.key;
    must(cczi_kms_checkpoint_sign(&c, &signer, &t, 1700000000, NULL) == CCZ_OK, "sign");
    must(ccz_kms_log_put_header(&export, c.origin, &k, 1) == CCZ_OK, "header");
    ccz_buf_put_span(&export, ccz_buf_span(&lines));
    ccz_kms_log_put_checkpoint(&export, &c);
    ccz_buf_free(&lines);
    tree.size = 1000000;
}

int main(void)
{
    make();
    printf("sign alone\t%.0f\tsignatures/s\n", per_second(sign_alone, NULL));
    static const size_t sizes[] = {1, 8, 64, 256};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        batch_len = sizes[i];
        printf("batch %zu\t%.0f\tlines/s\n", batch_len,
               per_second(one_batch, NULL) * (double)batch_len);
    }
    printf("verify\t%.0f\tlines/s\n", per_second(verify, NULL) * LINES);
    cczi_kms_lines_free(&batch);
    cczi_kms_signer_deinit(&signer);
    ccz_buf_free(&out);
    ccz_buf_free(&export);
    return 0;
}
