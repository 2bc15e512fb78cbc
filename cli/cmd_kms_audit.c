/* SPDX-License-Identifier: Apache-2.0 */
/* cczoo kms audit export | checkpoint | keys | verify | receipt: the audit log in a file, and whether it is what was signed. */
#include "kms_audit.h"

#include "cli.h"

#include <cczoo/codec.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PUBLIC_KEYS_SIZE_MAX = 65536, PIECE_SIZE = 65536, RECEIPT_SIZE_MAX = 16384 };

/* ------------------------------------------------------------------------------ keys */

struct keys {
    struct ccz_key *key[CCZ_KMS_LOG_KEYS_MAX];
    size_t len;
};

static void keys_free(struct keys *k)
{
    for (size_t i = 0; i < k->len; i++)
        ccz_key_free(k->key[i]);
}

static const struct ccz_key *const *keys_view(const struct keys *k)
{
    return (const struct ccz_key *const *)k->key;
}

/* One or more PEM blocks, as `audit keys` prints them. */
static ccz_rc keys_read(struct keys *k, const char *file, struct ccz_err *err)
{
    CCZ_AUTO_BUF pem;
    ccz_buf_init(&pem, PUBLIC_KEYS_SIZE_MAX);
    ccz_rc rc = ccz_file_read(&pem, file, err);
    struct ccz_span text = ccz_buf_span(&pem);
    while (rc == CCZ_OK) {
        CCZ_AUTO_BUF der;
        ccz_buf_init(&der, 1024);
        rc = ccz_pem_next(&der, &text, "PUBLIC KEY", err);
        if (rc == CCZ_E_NOT_FOUND && k->len)
            return CCZ_OK;
        if (rc == CCZ_OK && k->len == CCZ_KMS_LOG_KEYS_MAX)
            rc = ccz_fail(err, CCZ_E_LIMIT, "kms:export-keys", CCZ_KMS_LOG_KEYS_MAX,
                          "%s holds more than %d keys", file, CCZ_KMS_LOG_KEYS_MAX);
        if (rc == CCZ_OK)
            rc = ccz_key_from_spki(&k->key[k->len], ccz_buf_span(&der), err);
        if (rc == CCZ_OK)
            k->len++;
    }
    return rc;
}

ccz_rc kms_audit_keys(struct ccz_rpc_client *c, struct ccz_err *err)
{
    struct ccz_kms_checkpoint cp;
    struct keys k = {0};
    CCZ_AUTO_BUF pem;
    ccz_buf_init(&pem, PUBLIC_KEYS_SIZE_MAX);
    ccz_rc rc = ccz_kms_get_checkpoint(&cp, k.key, &k.len, c, err);
    for (size_t i = 0; rc == CCZ_OK && i < k.len; i++) {
        CCZ_AUTO_BUF der;
        ccz_buf_init(&der, 1024);
        rc = ccz_key_spki(&der, k.key[i]);
        if (rc != CCZ_OK)
            ccz_fail(err, rc, "kms:checkpoint-key", (int64_t)i, "cannot encode a key");
        ccz_pem_put(&pem, "PUBLIC KEY", ccz_buf_span(&der));
    }
    if (rc == CCZ_OK)
        ui_out_span(ccz_buf_span(&pem));
    keys_free(&k);
    return rc;
}

ccz_rc kms_audit_checkpoint(struct ccz_rpc_client *c, struct ccz_err *err)
{
    struct ccz_kms_checkpoint cp;
    struct keys k = {0};
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, CCZ_KMS_CHECKPOINT_SIZE_MAX);
    ccz_rc rc = ccz_kms_get_checkpoint(&cp, k.key, &k.len, c, err);
    if (rc == CCZ_OK) {
        ccz_kms_checkpoint_put(&text, &cp);
        ui_out_span(ccz_buf_span(&text));
    }
    keys_free(&k);
    return rc;
}

/* ----------------------------------------------------------------------- consistency */

static void put_pem(struct ccz_buf *pem, const struct ccz_key *key)
{
    CCZ_AUTO_BUF der;
    ccz_buf_init(&der, 1024);
    if (ccz_key_spki(&der, key) == CCZ_OK)
        ccz_pem_put(pem, "PUBLIC KEY", ccz_buf_span(&der));
}

/* The KMS says which keys are its own; who has them from elsewhere holds both checkpoints to those. */
static ccz_rc check_known(const char *known, const struct ccz_kms_checkpoint *older,
                          const struct ccz_kms_checkpoint *now, struct ccz_err *err)
{
    struct keys k = {0};
    ccz_rc rc = keys_read(&k, known, err);
    if (rc == CCZ_OK)
        rc = ccz_kms_checkpoint_check(older, keys_view(&k), k.len, err);
    if (rc == CCZ_OK)
        rc = ccz_kms_checkpoint_check(now, keys_view(&k), k.len, err);
    keys_free(&k);
    return rc;
}

ccz_rc kms_audit_consistency(struct ccz_rpc_client *c, const char *file, const char *known,
                             struct ccz_err *err)
{
    struct ccz_kms_checkpoint older, now;
    struct ccz_kms_path path;
    struct keys k = {0};
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, CCZ_KMS_CHECKPOINT_SIZE_MAX);
    ccz_rc rc = ccz_file_read(&text, file, err);
    if (rc == CCZ_OK)
        rc = ccz_kms_checkpoint_parse(&older, ccz_buf_span(&text), err);
    if (rc == CCZ_OK)
        rc = ccz_kms_get_consistency(&now, &path, k.key, &k.len, c, &older, err);
    if (rc == CCZ_OK && known)
        rc = check_known(known, &older, &now, err);
    if (rc == CCZ_OK) {
        ccz_buf_clear(&text);
        ccz_kms_checkpoint_put(&text, &now);
        ui_out_span(ccz_buf_span(&text));
        ui_say("%llu lines, the first %llu are those of %s (a proof of %zu hashes)",
               (unsigned long long)now.size, (unsigned long long)older.size, file, path.len);
    }
    keys_free(&k);
    return rc;
}

ccz_rc kms_audit_rotate_key(struct ccz_rpc_client *c, struct ccz_err *err)
{
    struct ccz_kms_receipt receipt;
    CCZ_AUTO(ccz_key) key = NULL;
    CCZ_AUTO_BUF pem;
    ccz_buf_init(&pem, PUBLIC_KEYS_SIZE_MAX);
    ccz_rc rc = ccz_kms_rotate_audit_key(&key, &receipt, c, err);
    if (rc != CCZ_OK)
        return rc;
    put_pem(&pem, key);
    ui_out_span(ccz_buf_span(&pem));
    ui_say("signs from audit line %llu on; keep it beside the older ones",
           (unsigned long long)receipt.audit_seq);
    return CCZ_OK;
}

/* ---------------------------------------------------------------------------- export */

/* Where an export goes: into the file, and through the verifier. */
struct writer {
    struct ccz_newfile file;
    struct ccz_kms_log *log;
    struct ccz_buf record;
    ccz_rc rc;
    struct ccz_err *err;
};

static ccz_rc write_all(int fd, struct ccz_span s, struct ccz_err *err)
{
    while (s.size) {
        ssize_t n = write(fd, s.ptr, s.size);
        if (n < 0 && errno != EINTR)
            return ccz_fail(err, CCZ_E_IO, "kms:export-write", errno, "cannot write: %s",
                            strerror(errno));
        if (n > 0)
            s = ccz_span_sub(s, (size_t)n, s.size - (size_t)n);
    }
    return CCZ_OK;
}

static void flush(struct writer *w)
{
    struct ccz_span record = ccz_buf_span(&w->record);
    if (w->rc == CCZ_OK && w->record.bad)
        w->rc = ccz_fail(w->err, CCZ_E_LIMIT, "kms:export-size", CCZ_KMS_LOG_RECORD_SIZE_MAX,
                         "a record is too long");
    if (w->rc == CCZ_OK)
        w->rc = ccz_kms_log_put(w->log, record, w->err);
    if (w->rc == CCZ_OK)
        w->rc = write_all(w->file.fd, record, w->err);
    ccz_buf_clear(&w->record);
}

static void write_line(void *arg, const struct ccz_kms_audit_line *line)
{
    struct writer *w = arg;
    if (w->rc != CCZ_OK)
        return;
    ccz_kms_log_put_line(&w->record, line);
    flush(w);
}

static ccz_rc write_export(struct writer *w, struct ccz_rpc_client *c,
                           const struct ccz_kms_checkpoint *cp, const struct keys *k,
                           struct ccz_err *err)
{
    w->rc = ccz_kms_log_put_header(&w->record, cp->origin, keys_view(k), k->len);
    if (w->rc != CCZ_OK)
        return ccz_fail(err, w->rc, "kms:export-header", 0, "cannot write the header");
    flush(w);
    ccz_rc rc = w->rc;
    if (rc == CCZ_OK)
        rc = ccz_kms_audit(c, 0, cp->size, 0, write_line, w, err);
    if (rc == CCZ_OK && w->rc == CCZ_OK) {
        ccz_kms_log_put_checkpoint(&w->record, cp);
        flush(w);
    }
    if (rc == CCZ_OK)
        rc = w->rc;
    return rc == CCZ_OK ? ccz_kms_log_end(w->log, err) : rc;
}

ccz_rc kms_audit_export(struct ccz_rpc_client *c, const char *file, struct ccz_err *err)
{
    struct ccz_kms_checkpoint cp;
    struct keys k = {0};
    CCZ_AUTO(ccz_kms_log) log = NULL;
    ccz_rc rc = ccz_kms_get_checkpoint(&cp, k.key, &k.len, c, err);
    const struct ccz_kms_log_cfg cfg = {.keys = keys_view(&k), .keys_len = k.len};
    if (rc == CCZ_OK)
        rc = ccz_kms_log_new(&log, &cfg, err);
    struct writer w = {.log = log, .err = err};
    ccz_buf_init(&w.record, CCZ_KMS_LOG_RECORD_SIZE_MAX);
    if (rc == CCZ_OK)
        rc = ccz_newfile_open(&w.file, file, 0600, err);
    if (rc == CCZ_OK) {
        rc = write_export(&w, c, &cp, &k, err);
        if (rc ==
            CCZ_OK) /* an older export is what a newer one is compared with: never overwritten */
            rc = ccz_newfile_commit(&w.file, CCZ_FILE_CREATE_ONLY, err);
        ccz_newfile_abort(&w.file);
    }
    ccz_buf_free(&w.record);
    keys_free(&k);
    if (rc != CCZ_OK)
        return rc;
    char id[65];
    ccz_hex(id, cp.key_id, 32);
    ui_out("exported %llu lines to %s, signed by key %s\n", (unsigned long long)cp.size, file, id);
    return CCZ_OK;
}

/* ---------------------------------------------------------------------------- verify */

struct verify_opts {
    const char *key, *receipt, *from;
    bool json;
};

static ccz_rc read_export(struct ccz_kms_log *log, FILE *f, const char *file, struct ccz_err *err)
{
    static uint8_t piece[PIECE_SIZE];
    ccz_rc rc = CCZ_OK;
    size_t n;
    while (rc == CCZ_OK && (n = fread(piece, 1, sizeof(piece), f)) > 0)
        rc = ccz_kms_log_put(log, CCZ_SPAN(piece, n), err);
    if (rc == CCZ_OK && ferror(f))
        rc = ccz_fail(err, CCZ_E_IO, "kms:export-read", errno, "cannot read %s: %s", file,
                      strerror(errno));
    return rc == CCZ_OK ? ccz_kms_log_end(log, err) : rc;
}

/* @p out is a log that was verified. @param anchor  NULL, or what was kept elsewhere; without keys */
static ccz_rc open_export(struct ccz_kms_log **out, const char *file, const struct keys *k,
                          const struct ccz_kms_checkpoint *anchor, struct ccz_err *err)
{
    CCZ_AUTO(ccz_kms_log) log = NULL;
    const struct ccz_kms_log_cfg cfg = {
        .keys = keys_view(k), .keys_len = k->len, .anchor = k->len ? NULL : anchor};
    ccz_rc rc = ccz_kms_log_new(&log, &cfg, err);
    if (rc != CCZ_OK)
        return rc;
    FILE *f = fopen(file, "re");
    if (!f)
        return ccz_fail(err, errno == ENOENT ? CCZ_E_NOT_FOUND : CCZ_E_IO, "kms:export-read", errno,
                        "cannot open %s: %s", file, strerror(errno));
    rc = read_export(log, f, file, err);
    (void)fclose(f);
    if (rc == CCZ_OK)
        *out = ccz_kms_log_take(&log);
    return rc;
}

/* What --from names: an export, or a checkpoint in its own text. It was kept by whoever asks, so that its key is one to hold
 * the log to. */
struct from {
    struct ccz_kms_log *older; /* of an export, or NULL */
    struct ccz_kms_checkpoint checkpoint;
};

static ccz_rc read_from(struct from *f, const char *file, const struct keys *k, struct ccz_err *err)
{
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, CCZ_KMS_CHECKPOINT_SIZE_MAX);
    ccz_rc rc = ccz_file_read(&text, file, NULL);
    if (rc == CCZ_OK && text.size && text.ptr[0] != '{')
        return ccz_kms_checkpoint_parse(&f->checkpoint, ccz_buf_span(&text), err);
    /* too long for a checkpoint, or begins like an export */
    rc = open_export(&f->older, file, k, NULL, err);
    if (rc == CCZ_OK)
        f->checkpoint = *ccz_kms_log_last(f->older);
    return rc;
}

static ccz_rc check_from(const struct ccz_kms_log *log, const struct from *f, struct ccz_err *err)
{
    return f->older ? ccz_kms_log_continues(log, f->older, err)
                    : ccz_kms_log_includes(log, &f->checkpoint, err);
}

/* One receipt a line; as many as there are. */
static ccz_rc check_receipts(uint64_t *count, const struct ccz_kms_log *log, const char *file,
                             struct ccz_err *err)
{
    char line[RECEIPT_SIZE_MAX + 2];
    FILE *f = fopen(file, "re");
    if (!f)
        return ccz_fail(err, errno == ENOENT ? CCZ_E_NOT_FOUND : CCZ_E_IO, "kms:receipt", errno,
                        "cannot open %s: %s", file, strerror(errno));
    ccz_rc rc = CCZ_OK;
    while (rc == CCZ_OK && fgets(line, sizeof(line), f)) {
        struct ccz_kms_inclusion r;
        size_t n = strcspn(line, "\n");
        if (n > RECEIPT_SIZE_MAX) {
            rc =
                ccz_refuse_num(err, CCZ_E_FORMAT, "kms:receipt-size", (int64_t)n, RECEIPT_SIZE_MAX);
            break;
        }
        rc = ccz_kms_inclusion_parse(&r, CCZ_SPAN(line, n), err);
        if (rc == CCZ_OK)
            rc = ccz_kms_log_has(log, &r, err);
        if (rc == CCZ_OK)
            ++*count;
    }
    if (rc == CCZ_OK && ferror(f))
        rc = ccz_fail(err, CCZ_E_IO, "kms:receipt", errno, "cannot read %s", file);
    (void)fclose(f);
    if (rc == CCZ_OK && *count == 0)
        rc = ccz_fail(err, CCZ_E_FORMAT, "kms:receipt", 0, "%s holds no receipt", file);
    return rc;
}

/* Without a key from elsewhere the file only fits together. */
static bool anchored(const struct verify_opts *o)
{
    return o->key || o->from;
}

static void show_verified(const struct verify_opts *o, const struct ccz_kms_log *log,
                          uint64_t receipts)
{
    const char *verdict = anchored(o) ? "accepted" : "consistent";
    const struct ccz_kms_checkpoint *last = ccz_kms_log_last(log);
    char at[21], id[65];
    ccz_time_format(at, last->time_s);
    ccz_hex(id, last->key_id, 32);
    if (o->json)
        ui_out("{\"verdict\":\"%s\",\"lines\":%llu,\"checkpoints\":%llu,\"signed\":\"%s\","
               "\"key\":\"%s\","
               "\"key_given\":%s,\"receipts\":%llu,\"continues\":%s}\n",
               anchored(o) ? "accept" : "consistent", (unsigned long long)ccz_kms_log_lines(log),
               (unsigned long long)ccz_kms_log_checkpoints(log), at, id, o->key ? "true" : "false",
               (unsigned long long)receipts, o->from ? "true" : "false");
    else
        ui_out("%s: %llu lines, %llu checkpoints, the last one of %s by key %s\n", verdict,
               (unsigned long long)ccz_kms_log_lines(log),
               (unsigned long long)ccz_kms_log_checkpoints(log), at, id);
    if (!o->json && receipts)
        ui_out("%s: %llu receipts\n", verdict, (unsigned long long)receipts);
    if (!o->json && o->from)
        ui_out("accepted: it continues %s\n", o->from);
    if (!anchored(o))
        ui_say("the key comes from the export itself: whoever wrote the file could have signed it. "
               "Say --key FILE "
               "with what cczoo kms audit keys printed");
}

static ccz_rc verify(const struct verify_opts *o, const char *file, struct ccz_err *err)
{
    struct keys k = {0};
    struct from from = {0};
    CCZ_AUTO(ccz_kms_log) log = NULL;
    uint64_t receipts = 0;
    ccz_rc rc = o->key ? keys_read(&k, o->key, err) : CCZ_OK;
    if (rc == CCZ_OK && o->from)
        rc = read_from(&from, o->from, &k, err);
    if (rc == CCZ_OK)
        rc = open_export(&log, file, &k, o->from ? &from.checkpoint : NULL, err);
    if (rc == CCZ_OK && o->from)
        rc = check_from(log, &from, err);
    if (rc == CCZ_OK && o->receipt)
        rc = check_receipts(&receipts, log, o->receipt, err);
    if (rc == CCZ_OK)
        show_verified(o, log, receipts);
    ccz_kms_log_free(from.older);
    keys_free(&k);
    return rc;
}

int kms_audit_verify(int argc, char **argv)
{
    struct verify_opts o = {0};
    const struct ui_opt opts[] = {
        {"key", &o.key, NULL, NULL, "FILE",
         "public keys that may have signed, PEM (cczoo kms audit keys)"},
        {"receipt", &o.receipt, NULL, NULL, "FILE", "receipts that the log must hold, one a line"},
        {"from", &o.from, NULL, NULL, "FILE",
         "older export or checkpoint that the log must continue"},
        {"json", NULL, NULL, &o.json, NULL, "print JSON"},
        {0},
    };
    int n =
        ui_parse(argc, argv,
                 "cczoo kms audit verify EXPORT [--key FILE] [--receipt FILE] [--from FILE]", opts);
    if (n < 0)
        return ui_parse_status(n);
    if (n != 1) {
        ui_error("expected: cczoo kms audit verify EXPORT");
        return UI_USAGE;
    }
    struct ccz_err err = {0};
    if (verify(&o, argv[0], &err) != CCZ_OK)
        return ui_fail(&err);
    return anchored(&o) ? UI_OK : UI_UNPROVEN;
}

static bool read_seq(uint64_t *out, const char *text)
{
    *out = 0;
    for (const char *p = text; *p; p++) {
        if (*p < '0' || *p > '9' || *out > CCZ_KMS_TREE_SIZE_MAX)
            return false;
        *out = *out * 10 + (uint64_t)(*p - '0');
    }
    return *text != 0;
}

int kms_audit_receipt(int argc, char **argv)
{
    const char *key = NULL;
    const struct ui_opt opts[] = {
        {"key", &key, NULL, NULL, "FILE", "public keys that may have signed, PEM"},
        {0},
    };
    int n = ui_parse(argc, argv, "cczoo kms audit receipt EXPORT SEQ [--key FILE]", opts);
    if (n < 0)
        return ui_parse_status(n);
    uint64_t seq;
    if (n != 2 || !read_seq(&seq, argv[1])) {
        ui_error("expected: cczoo kms audit receipt EXPORT SEQ");
        return UI_USAGE;
    }
    struct ccz_err err = {0};
    struct keys k = {0};
    CCZ_AUTO(ccz_kms_log) log = NULL;
    struct ccz_kms_inclusion r;
    ccz_rc rc = key ? keys_read(&k, key, &err) : CCZ_OK;
    if (rc == CCZ_OK)
        rc = open_export(&log, argv[0], &k, NULL, &err);
    if (rc == CCZ_OK)
        rc = ccz_kms_log_prove(&r, log, seq, &err);
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, CCZ_KMS_INCLUSION_SIZE_MAX);
    if (rc == CCZ_OK) {
        ccz_kms_inclusion_put(&text, &r);
        ui_out("%s\n", ccz_buf_str(&text));
    }
    keys_free(&k);
    return rc == CCZ_OK ? UI_OK : ui_fail(&err);
}
