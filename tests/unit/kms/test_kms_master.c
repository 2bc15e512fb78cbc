/* SPDX-License-Identifier: Apache-2.0 */
/* Master keys: shares, wrapped keys, TEE, rekey. Tokens are in test_kms_p11.c. */
#define _GNU_SOURCE
#include "kms/kms_dir.h"

#include <sqlite3.h>

static struct ccz_err err;

/* ---------------------------------------------------------------------------- shares */

/* Slow and obvious: GF(2^8) by long division, Lagrange at 0 by rational functions of the definition. */
static unsigned ref_mul(unsigned a, unsigned b)
{
    unsigned p = 0;
    for (int i = 0; i < 8; i++)
        if (b >> i & 1)
            p ^= a << i;
    for (int i = 15; i >= 8; i--)
        if (p >> i & 1)
            p ^= 0x11bu << (i - 8);
    return p;
}

static unsigned ref_div(unsigned a, unsigned b)
{
    for (unsigned q = 0; q < 256; q++)
        if (ref_mul(q, b) == a)
            return q;
    return 256;
}

static uint8_t ref_at_zero(const struct cczi_share *s, size_t len, size_t byte)
{
    unsigned sum = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned term = s[i].y[byte];
        for (size_t j = 0; j < len; j++)
            if (j != i)
                term = ref_div(ref_mul(term, s[j].index), (unsigned)s[j].index ^ s[i].index);
        sum ^= term;
    }
    return (uint8_t)sum;
}

static void test_shamir(void)
{
    uint8_t key[32], got[32];
    for (size_t i = 0; i < 32; i++)
        key[i] = (uint8_t)(i * 7 + 3);
    struct cczi_share s[CCZ_KMS_SHARES_MAX], pick[5];
    CHECK(cczi_shamir_split(s, key, 3, 5) == CCZ_OK);
    unsigned subsets = 0;
    for (unsigned mask = 1; mask < 32; mask++) { /* every subset of the five */
        size_t n = 0;
        for (unsigned i = 0; i < 5; i++)
            if (mask >> i & 1)
                pick[n++] = s[i];
        cczi_shamir_combine(got, pick, n);
        for (size_t b = 0; b < 32; b++)
            CHECK(got[b] == ref_at_zero(pick, n, b));
        CHECK((memcmp(got, key, 32) == 0) ==
              (n >= 3)); /* two tell another key: 2^-256 of it is chance */
        subsets++;
    }
    CHECK(subsets == 31);
    CHECK(cczi_shamir_split(s, key, 64, 64) == CCZ_OK);
    cczi_shamir_combine(got, s, 64);
    CHECK(memcmp(got, key, 32) == 0);
    CHECK(cczi_shamir_split(s, key, 1, 3) == CCZ_E_ARG);
    CHECK(cczi_shamir_split(s, key, 4, 3) == CCZ_E_ARG);
    CHECK(cczi_shamir_split(s, key, 2, 65) == CCZ_E_ARG);
    /* a share of another split of the same key fits nowhere */
    struct cczi_share again[3];
    CHECK(cczi_shamir_split(again, key, 2, 3) == CCZ_OK &&
          cczi_shamir_split(s, key, 2, 3) == CCZ_OK);
    pick[0] = s[0];
    pick[1] = again[1];
    cczi_shamir_combine(got, pick, 2);
    CHECK(memcmp(got, key, 32) != 0);
}

static void test_share_text(void)
{
    uint8_t key[32] = {1};
    struct cczi_share s[3], out;
    char text[CCZ_KMS_SHARE_SIZE_MAX + 8], bad[CCZ_KMS_SHARE_SIZE_MAX + 16];
    CHECK(cczi_shamir_split(s, key, 2, 3) == CCZ_OK);
    cczi_share_print(text, &s[2]);
    size_t n = strlen(text);
    CHECK(strncmp(text, "cczs1-", 6) == 0 && n < CCZ_KMS_SHARE_SIZE_MAX);
    CHECK(cczi_share_parse(&out, CCZ_SPAN(text, n), &err) == CCZ_OK &&
          memcmp(&out, &s[2], sizeof(out)) == 0);
    (void)snprintf(bad, sizeof(bad), " \n%s\r\n", text);
    CHECK(cczi_share_parse(&out, ccz_span_str(bad), &err) == CCZ_OK);
    for (size_t i = 0; i < n; i++) { /* every slip, every truncation */
        static const char instead[] = "0f1-x";
        for (size_t k = 0; k < 5; k++) {
            memcpy(bad, text, n + 1);
            bad[i] = instead[k];
            if (bad[i] == text[i])
                continue;
            err = (struct ccz_err){0};
            CHECK(cczi_share_parse(&out, CCZ_SPAN(bad, n), &err) == CCZ_E_FORMAT);
            CHECK(strcmp(err.where, "kms:share") == 0 && out.index == 0);
        }
        CHECK(cczi_share_parse(&out, CCZ_SPAN(text, i), &err) == CCZ_E_FORMAT);
    }
    (void)snprintf(bad, sizeof(bad), "%s0", text);
    CHECK(cczi_share_parse(&out, ccz_span_str(bad), &err) == CCZ_E_FORMAT);
}

static char share_text[CCZ_KMS_SHARES_MAX][CCZ_KMS_SHARE_SIZE_MAX + 2];

static void load_shares(const char *folder, unsigned total)
{
    for (unsigned i = 0; i < total; i++) {
        char name[64];
        struct stat st;
        (void)snprintf(name, sizeof(name), "%s/share-%u.txt", folder, i + 1);
        CHECK(stat(dir_path(name), &st) == 0 && (st.st_mode & 07777) == 0600);
        CCZ_AUTO(ccz_secret) s = NULL;
        CHECK(ccz_file_read_secret(&s, dir_path(name), 200, &err) == CCZ_OK);
        memset(share_text[i], 0, sizeof(share_text[i]));
        memcpy(share_text[i], ccz_secret_view(s), ccz_secret_size(s));
    }
}

static ccz_rc give(struct ccz_kms_shares *have, struct ccz_kms_master *m, unsigned i)
{
    err = (struct ccz_err){0};
    return ccz_kms_master_give(have, m, ccz_span_str(share_text[i - 1]), &err);
}

static void test_shares(void)
{
    dir_make();
    struct ccz_kms_shares have;
    struct ccz_kms_master *m = dir_master("shamir:2/3", NULL);
    CHECK(m && strcmp(ccz_kms_master_name(m), "shamir") == 0);
    CHECK(dir_init(m, NULL, &err) == CCZ_OK);
    ccz_kms_master_free(m);
    load_shares("shares", 3);
    CHECK(!dir_has("kms/master.key"));

    m = dir_master("shamir:", NULL);
    CHECK(ccz_kms_master_shares(&have, m, &err) == CCZ_OK && have.sealed && have.given == 0 &&
          have.needed == 2 && have.total == 3);
    CHECK(dir_refused(dir_try(m, NULL, &err), &err, CCZ_E_UNAVAILABLE, "kms:sealed"));
    CHECK(give(&have, m, 2) == CCZ_OK && have.given == 1 && have.sealed);
    CHECK(give(&have, m, 2) == CCZ_OK && have.given == 1 &&
          have.sealed); /* the same is no second one */
    CHECK(dir_refused(dir_try(m, NULL, &err), &err, CCZ_E_UNAVAILABLE, "kms:sealed"));

    /* a share that was changed, its checksum too: named, and no harm done */
    struct cczi_share wrong;
    CHECK(cczi_share_parse(&wrong, ccz_span_str(share_text[0]), &err) == CCZ_OK);
    wrong.y[31] ^= 1;
    char text[CCZ_KMS_SHARE_SIZE_MAX];
    cczi_share_print(text, &wrong);
    ccz_rc rc = ccz_kms_master_give(&have, m, ccz_span_str(text), &err);
    CHECK(dir_refused(rc, &err, CCZ_E_SIG, "kms:share-wrong") && strstr(err.msg, "share 1"));
    wrong.y[31] ^= 1;
    wrong.needed = 3; /* the numbers are of the set, too */
    cczi_share_print(text, &wrong);
    rc = ccz_kms_master_give(&have, m, ccz_span_str(text), &err);
    CHECK(dir_refused(rc, &err, CCZ_E_SIG, "kms:share-wrong"));
    wrong.needed = 2;
    wrong.set[0] ^= 1;
    cczi_share_print(text, &wrong);
    rc = ccz_kms_master_give(&have, m, ccz_span_str(text), &err);
    CHECK(dir_refused(rc, &err, CCZ_E_MISMATCH, "kms:share-set") && err.got[0]);

    CHECK(give(&have, m, 1) == CCZ_OK && have.given == 2 && !have.sealed);
    CHECK(m->shares == NULL); /* wiped */
    CHECK(dir_try(m, NULL, &err) == CCZ_OK);
    CHECK(give(&have, m, 3) == CCZ_OK && !have.sealed); /* one too many */
    ccz_kms_master_free(m);

    /* existing shares are never overwritten */
    m = dir_master("shamir:2/3", NULL);
    struct ccz_secret *key;
    CHECK(cczi_kms_master_make(&key, m, false, &err) == CCZ_E_EXISTS && !key);
    ccz_kms_master_free(m);
    m = dir_master(NULL, NULL);
    CHECK(dir_refused(give(NULL, m, 1), &err, CCZ_E_ARG, "kms:share-none"));
    ccz_kms_master_free(m);
}

/* ----------------------------------------------------------------------- wrapped keys */

static void test_blob(void)
{
    uint8_t blob[8 + 1 + 16 + 2 + 4 + 64] = "cczkmsm1";
    struct cczi_kms_blob b;
    struct cczi_shamir_body body;
    blob[8] = CCZI_MASTER_SHAMIR;
    blob[25] = 2;
    blob[26] = 2;
    CHECK(cczi_kms_blob_parse(&b, CCZ_SPAN(blob, sizeof(blob)), &err) == CCZ_OK);
    CHECK(b.header.size == CCZI_MASTER_HEADER_SIZE &&
          cczi_shamir_body_parse(&body, b.body, &err) == CCZ_OK && body.commitments.size == 64);
    for (size_t i = 0; i < sizeof(blob); i++) {
        bool head = cczi_kms_blob_parse(&b, CCZ_SPAN(blob, i), NULL) == CCZ_OK;
        CHECK(!head || cczi_shamir_body_parse(&body, b.body, NULL) == CCZ_E_FORMAT);
    }
    for (unsigned kind = 0; kind < 256; kind++) {
        blob[8] = (uint8_t)kind;
        CHECK((cczi_kms_blob_parse(&b, CCZ_SPAN(blob, sizeof(blob)), NULL) == CCZ_OK) ==
              (kind >= 1 && kind <= 3));
    }
    uint8_t tee[1 + 1 + 32 + 12 + 32 + 16 + 1] = {CCZ_SEAL_TO_MEASUREMENT, 32};
    struct cczi_tee_body t;
    CHECK(cczi_tee_body_parse(&t, CCZ_SPAN(tee, sizeof(tee) - 1), &err) == CCZ_OK);
    for (size_t i = 0; i <= sizeof(tee); i++)
        CHECK((cczi_tee_body_parse(&t, CCZ_SPAN(tee, i), NULL) == CCZ_OK) ==
              (i == sizeof(tee) - 1));
    uint8_t p11[1 + 2 + 12 + 2 + 48 + 1] = {CCZI_P11_AES_GCM, 12};
    p11[15] = 48;
    struct cczi_p11_body p;
    for (size_t i = 0; i <= sizeof(p11); i++)
        CHECK((cczi_p11_body_parse(&p, CCZ_SPAN(p11, i), NULL) == CCZ_OK) ==
              (i == sizeof(p11) - 1));
    p11[0] = CCZI_P11_OAEP_SHA256; /* has no IV */
    CHECK(cczi_p11_body_parse(&p, CCZ_SPAN(p11, sizeof(p11) - 1), NULL) == CCZ_E_FORMAT);
}

static void test_spec(void)
{
    dir_make();
    static const char *const bad[] = {"",
                                      "shamir:3",
                                      "shamir:1/3",
                                      "shamir:4/3",
                                      "shamir:2/65",
                                      "shamir:2/3x",
                                      "shamir:a/b",
                                      "tee:mrtd",
                                      "tee:",
                                      "vault:x",
                                      "pkcs11:",
                                      "file:",
                                      "pkcs11:token=t;object=o?module-path=/m.so&pin-value=1234"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct ccz_kms_master *m = NULL;
        err = (struct ccz_err){0};
        const struct ccz_kms_master_cfg cfg = {.spec = bad[i], .dir = dir_path("kms")};
        CHECK(ccz_kms_master_open(&m, &cfg, &err) == CCZ_E_ARG && !m);
        CHECK(strstr(err.msg, "1234") == NULL && strstr(err.got, "1234") == NULL);
    }
    CHECK(strcmp(err.where, "kms:p11-pin") == 0);
    /* no provider is chosen by the folder: the key of one is not tried by another */
    struct ccz_kms_master *m = dir_master("shamir:2/2", NULL);
    CHECK(dir_init(m, NULL, &err) == CCZ_OK);
    ccz_kms_master_free(m);
    CHECK(dir_refused(dir_try(NULL, NULL, &err), &err, CCZ_E_MISMATCH, "kms:master-kind"));
    CHECK(err.hint[0]);
}

static void test_p11_uri(void)
{
    struct cczi_p11_uri u;
    CHECK(cczi_p11_uri_parse(
              &u,
              "token=a%20b;object=k%3b;type=private?module-path=/m.so&pin-source=file:/p&oaep=sha1",
              &err) == CCZ_OK);
    CHECK(strcmp(u.token, "a b") == 0 && strcmp(u.object, "k;") == 0 && u.rsa && u.oaep_sha1 &&
          strcmp(u.module, "/m.so") == 0 && strcmp(u.pin_file, "/p") == 0 && u.pin_fd == -1);
    CHECK(cczi_p11_uri_parse(&u, "object=k;token=t?pin-source=fd:7&module-path=/m.so", &err) ==
              CCZ_OK &&
          u.pin_fd == 7 && !u.rsa && !u.oaep_sha1);
    static const char *const bad[] = {
        "",
        "token=t",
        "token=t;object=o",
        "token=t;object=o?module-path=/m.so", /* PIN from nowhere */
        "token=t;object=o?pin-source=/p",
        "token=t;object=o?module-path=m.so&pin-source=/p", /* dlopen() would search */
        "token=t;object=o?module-path=/m.so&pin-source=p",
        "token=t;object=o?module-path=/m.so&pin-source=|cat",
        "token=t;object=o?module-path=/m.so&pin-source=fd:",
        "token=t;object=o?module-path=/m.so&pin-source=fd:-1",
        "token=t;object=o?module-path=/m.so&pin-source=fd:1x",
        "token=t;token=t;object=o?module-path=/m.so&pin-source=/p",
        "token=t;object=o;id=1?module-path=/m.so&pin-source=/p",
        "token=t;object=o;type=cert?module-path=/m.so&pin-source=/p",
        "token=t;object=o?module-path=/m.so&pin-source=/p&oaep=sha1", /* of an AES key */
        "token=t;object=o;type=private?module-path=/m.so&pin-source=/p&oaep=md5",
        "token=t;object=%zz?module-path=/m.so&pin-source=/p",
        "token=t;object=%0?module-path=/m.so&pin-source=/p",
        "token=t;object=%00?module-path=/m.so&pin-source=/p",
        "token=t;object=?module-path=/m.so&pin-source=/p",
        "token=0123456789012345678901234567890123;object=o?module-path=/m.so&pin-source=/p",
        "token=t;;object=o?module-path=/m.so&pin-source=/p",
        "token=t;object=o?module-path=/m.so&&pin-source=/p",
        "token=t;object=o?module-path=/m.so&pin-source=/p&",
        "module-path=/m.so;token=t;object=o?pin-source=/p", /* on the wrong side of the ? */
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        err = (struct ccz_err){0};
        CHECK(cczi_p11_uri_parse(&u, bad[i], &err) == CCZ_E_ARG && u.token[0] == 0);
        CHECK(strcmp(err.where, "kms:p11-uri") == 0);
    }
    CHECK(cczi_p11_uri_parse(&u, "token=t;object=o?module-path=/m.so&pin-value=1", &err) ==
              CCZ_E_ARG &&
          strcmp(err.where, "kms:p11-pin") == 0);
}

/* ------------------------------------------------------------------------------- TEE */

static struct ccz_attester *attester(const char *platform, const char *library, bool debug)
{
    struct ccz_attester *a = NULL;
    const struct ccz_attester_cfg cfg = {.provider = "sim-sgx",
                                         .sim_dir = dir_path(platform),
                                         .sim_debug = debug,
                                         .measure = &library,
                                         .measure_len = library ? 1 : 0};
    CHECK(ccz_attester_open(&a, &cfg, &err) == CCZ_OK);
    return a;
}

/* Opens the store as the program of `a`. */
static ccz_rc try_tee(const char *spec, struct ccz_attester *a)
{
    CCZ_AUTO(ccz_kms_master) m = dir_master(spec, a);
    CHECK(m);
    ccz_rc rc = dir_try(m, NULL, &err);
    ccz_attester_free(a);
    return rc;
}

/* Of a key that is wrapped by the TEE "sim". */
static void every_byte_counts(void)
{
    CCZ_AUTO(ccz_secret) blob = NULL;
    CHECK(ccz_file_read_secret(&blob, dir_path("kms/master.wrapped"), 4096, &err) == CCZ_OK);
    CCZ_AUTO(ccz_attester) a = attester("sim", NULL, false);
    CCZ_AUTO(ccz_kms_master) again = dir_master("tee:mrenclave", a);
    for (size_t i = 0; i < ccz_secret_size(blob); i++) {
        ccz_secret_bytes(blob)[i] ^= 1;
        CHECK(ccz_file_write(dir_path("kms/master.wrapped"),
                             CCZ_SPAN(ccz_secret_view(blob), ccz_secret_size(blob)), 0600,
                             CCZ_FILE_REPLACE, &err) == CCZ_OK);
        CHECK(dir_try(again, NULL, &err) != CCZ_OK);
        ccz_secret_bytes(blob)[i] ^= 1;
    }
}

static void test_tee(void)
{
    dir_make();
    CHECK(ccz_sim_init(dir_path("sim"), &(struct ccz_sim_cfg){.now_s = FIX_NOW}, &err) == CCZ_OK);
    CHECK(ccz_sim_init(dir_path("sim2"), &(struct ccz_sim_cfg){.now_s = FIX_NOW}, &err) == CCZ_OK);
    char library[400];
    (void)snprintf(library, sizeof(library), "%s", dir_path("sim/trust/root.pem"));
    struct ccz_attester *own = attester("sim", NULL, false);
    CCZ_AUTO(ccz_kms_master) m = dir_master("tee:mrenclave", own);
    CHECK(dir_init(m, NULL, &err) == CCZ_OK && dir_has("kms/master.wrapped"));
    CHECK(dir_try(m, NULL, &err) == CCZ_OK);
    ccz_attester_free(own);
    CHECK(try_tee("tee:mrenclave", attester("sim", NULL, false)) == CCZ_OK); /* after a restart */
    /* another program cannot, nor one under a debugger, nor another machine */
    ccz_rc rc = try_tee("tee:mrenclave", attester("sim", library, false));
    CHECK(dir_refused(rc, &err, CCZ_E_SIG, "kms:master-tee") && err.got[0] && err.hint[0] &&
          strcmp(err.got, err.expected) != 0);
    rc = try_tee("tee:mrenclave", attester("sim", NULL, true));
    CHECK(dir_refused(rc, &err, CCZ_E_SIG, "kms:master-tee"));
    rc = try_tee("tee:mrenclave", attester("sim2", NULL, false));
    CHECK(dir_refused(rc, &err, CCZ_E_SIG, "kms:master-tee"));
    rc = try_tee("tee:mrsigner", attester("sim", NULL, false));
    CHECK(dir_refused(rc, &err, CCZ_E_MISMATCH, "kms:master-kind"));
    every_byte_counts();

    /* the signer's programs share */
    dir_make();
    CHECK(ccz_sim_init(dir_path("sim"), &(struct ccz_sim_cfg){.now_s = FIX_NOW}, &err) == CCZ_OK);
    CCZ_AUTO(ccz_attester) first = attester("sim", NULL, false);
    CCZ_AUTO(ccz_kms_master) signer = dir_master("tee:mrsigner", first);
    CHECK(dir_init(signer, NULL, &err) == CCZ_OK);
    CHECK(try_tee("tee:mrsigner", attester("sim", dir_path("sim/trust/root.pem"), false)) ==
          CCZ_OK);
    rc = try_tee("tee:mrsigner", attester("sim", NULL, true));
    CHECK(dir_refused(rc, &err, CCZ_E_SIG, "kms:master-tee"));

    /* a wrapped key of another provider is not tried */
    dir_make();
    CHECK(ccz_sim_init(dir_path("sim"), &(struct ccz_sim_cfg){.now_s = FIX_NOW}, &err) == CCZ_OK);
    CCZ_AUTO(ccz_kms_master) shared = dir_master("shamir:2/2", NULL);
    CHECK(dir_init(shared, NULL, &err) == CCZ_OK);
    rc = try_tee("tee:mrsigner", attester("sim", NULL, false));
    CHECK(dir_refused(rc, &err, CCZ_E_MISMATCH, "kms:master-kind") &&
          strcmp(err.got, "shamir") == 0);

    struct ccz_kms_master *none = NULL;
    struct ccz_kms_master_cfg cfg = {.spec = "tee:mrenclave", .dir = dir_path("kms")};
    CHECK(ccz_kms_master_open(&none, &cfg, &err) == CCZ_E_ARG && !none);
    CCZ_AUTO(ccz_attester) tdx = NULL;
    CHECK(ccz_attester_open(
              &tdx, &(struct ccz_attester_cfg){.provider = "sim-tdx", .sim_dir = dir_path("sim")},
              &err) == CCZ_OK);
    cfg.attester = tdx;
    rc = ccz_kms_master_open(&none, &cfg, &err);
    CHECK(dir_refused(rc, &err, CCZ_E_UNSUPPORTED, "tee:seal") && !none);
}

/* ----------------------------------------------------------------------------- rekey */

/* The store's values as a workload gets them. */
static void check_values(struct ccz_kms_store *s)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, CCZ_KMS_MESSAGE_SIZE_MAX);
    CHECK(fix_release(&b, s, FIX_WORKLOAD, "key/model", 0, &err) == CCZ_OK);
    CHECK(memmem(b.ptr, b.size, "0123456789abcdef", 16) != NULL);
    CHECK(fix_release(&b, s, FIX_WORKLOAD, "secret/db/password", 1, &err) == CCZ_OK);
    CHECK(memmem(b.ptr, b.size, "correct horse", 13) != NULL);
}

static void populated_store(void)
{
    dir_make();
    CHECK(dir_init(NULL, NULL, &err) == CCZ_OK);
    CCZ_AUTO(ccz_kms_store) s = NULL;
    CHECK(dir_open(&s, NULL, NULL, &err) == CCZ_OK);
    fix_populate(s);
}

/* Every table whose rows have a MAC has to be in a rekey: who adds one adds it to rekey.c, and here. */
static void check_tables(void)
{
    static const char sql[] =
        "SELECT group_concat(name) FROM (SELECT s.name FROM sqlite_schema s, "
        "pragma_table_info(s.name) c WHERE s.type = 'table' AND c.name = 'mac' "
        "ORDER BY s.name)";
    sqlite3 *db = NULL;
    sqlite3_stmt *st = NULL;
    CHECK(sqlite3_open(dir_path("kms/kms.sqlite"), &db) == SQLITE_OK);
    CHECK(sqlite3_prepare_v2(db, sql, -1, &st, NULL) == SQLITE_OK &&
          sqlite3_step(st) == SQLITE_ROW);
    CHECK(strcmp((const char *)sqlite3_column_text(st, 0),
                 "admin,approval,binding,evidence,item,item_head,key_meta,policy,proposal,quorum,"
                 "raw_evidence,reference,staged") == 0);
    CHECK(sqlite3_finalize(st) == SQLITE_OK && sqlite3_close(db) == SQLITE_OK);
}

/* The name of the key that signs the audit log. */
static void log_key(uint8_t id[32], struct ccz_kms_store *s)
{
    CHECK(cczi_kms_signer_ensure(s, FIX_NOW, &err) == CCZ_OK);
    memcpy(id, s->signer.key_id, 32);
}

static void test_rekey(void)
{
    uint8_t signs[32], still[32];
    populated_store();
    check_tables();
    CCZ_AUTO(ccz_kms_store) s = NULL;
    dir_copy("kms", "before");
    CHECK(dir_open(&s, NULL, NULL, &err) == CCZ_OK);
    uint8_t id[CCZ_KMS_INSTANCE_SIZE], same[CCZ_KMS_INSTANCE_SIZE];
    ccz_kms_store_instance(id, s);
    fix_rows(s);
    log_key(signs, s);
    CCZ_AUTO(ccz_kms_master) to = dir_master("shamir:2/3", NULL);
    CHECK(ccz_kms_rekey(s, to, FIX_NOW + 1, &err) == CCZ_OK);
    struct ccz_kms_check c;
    CHECK(ccz_kms_store_check(&c, s, &err) == CCZ_OK); /* every MAC, value and the set */
    CHECK(c.admins == 2 && c.bindings == 2 && c.quorums == 1 && c.proposals == 1 &&
          c.approvals == 1 && c.keys == 1 && c.staged == 1 && c.evidence == 1 &&
          c.references == 1 && c.raw_evidence == 1);
    check_values(s);
    CHECK(fix_put_secret(s, "after", "v", "server", false, &err) == CCZ_OK);
    ccz_kms_store_free(ccz_kms_store_take(&s));

    /* the old key opens nothing any more */
    CHECK(dir_refused(dir_try(NULL, NULL, &err), &err, CCZ_E_SIG, "kms:master-key"));
    CHECK(dir_has("kms/master.key") && dir_has("kms/master.wrapped") &&
          !dir_has("kms/master.wrapped.next"));
    load_shares("shares", 3);
    CCZ_AUTO(ccz_kms_master) m = dir_master("shamir:", NULL);
    CHECK(give(NULL, m, 3) == CCZ_OK && give(NULL, m, 1) == CCZ_OK);
    CHECK(dir_open(&s, m, NULL, &err) == CCZ_OK);
    check_values(s);

    /* back into a file that is there already: its old content is kept */
    CCZ_AUTO(ccz_kms_master) file = dir_master(NULL, NULL);
    CHECK(ccz_kms_rekey(s, file, FIX_NOW + 2, &err) == CCZ_OK);
    ccz_kms_store_free(ccz_kms_store_take(&s));
    CHECK(dir_has("kms/master.key.old"));
    CHECK(dir_open(&s, NULL, NULL, &err) == CCZ_OK);
    check_values(s);
    ccz_kms_store_instance(same, s); /* it is the same KMS for whoever pinned it */
    CHECK(memcmp(id, same, sizeof(id)) == 0);
    log_key(still, s);
    CHECK(memcmp(signs, still, 32) == 0); /* receipts of before and after are under one key */
    ccz_kms_store_free(ccz_kms_store_take(&s));
    CCZ_AUTO(ccz_secret) kept = NULL;
    CCZ_AUTO(ccz_secret) first = NULL;
    CHECK(ccz_file_read_secret(&kept, dir_path("kms/master.key.old"), 32, &err) == CCZ_OK);
    CHECK(ccz_file_read_secret(&first, dir_path("before/master.key"), 32, &err) == CCZ_OK);
    CHECK(memcmp(ccz_secret_view(kept), ccz_secret_view(first), 32) == 0);

    /* the shares of before open nothing */
    CHECK(dir_refused(dir_try(m, NULL, &err), &err, CCZ_E_SIG, "kms:master-key"));
}

static void test_rekey_crash(void)
{
    populated_store();
    dir_copy("kms", "before");
    CCZ_AUTO(ccz_kms_store) s = NULL;
    CHECK(dir_open(&s, NULL, NULL, &err) == CCZ_OK);
    CCZ_AUTO(ccz_kms_master) to = dir_master(NULL, NULL);
    CHECK(ccz_kms_rekey(s, to, FIX_NOW + 1, &err) == CCZ_OK);
    ccz_kms_store_free(ccz_kms_store_take(&s));

    /* before the commit: old database, old key, and a FILE.next that means nothing */
    dir_copy("before", "crash");
    dir_copy("kms/master.key", "crash/master.key.next");
    dir_copy("kms", "after");
    dir_copy("crash", "kms");
    CHECK(dir_open(&s, NULL, NULL, &err) == CCZ_OK);
    check_values(s);
    /* and the next rekey is not disturbed by it */
    CHECK(ccz_kms_rekey(s, to, FIX_NOW + 1, &err) == CCZ_OK);
    ccz_kms_store_free(ccz_kms_store_take(&s));
    CHECK(dir_try(NULL, NULL, &err) == CCZ_OK);

    /* after the commit: new database, FILE still the old key */
    dir_copy("after", "kms");
    CHECK(rename(dir_path("kms/master.key"), dir_path("kms/master.key.next")) == 0);
    CHECK(rename(dir_path("kms/master.key.old"), dir_path("kms/master.key")) == 0);
    CHECK(dir_open(&s, NULL, NULL, &err) == CCZ_OK);
    check_values(s);
    ccz_kms_store_free(ccz_kms_store_take(&s));
    CHECK(!dir_has("kms/master.key.next") && dir_has("kms/master.key.old"));
    CHECK(dir_try(NULL, NULL, &err) == CCZ_OK);

    /* between the two renames: no FILE at all */
    dir_copy("after", "kms");
    CHECK(rename(dir_path("kms/master.key"), dir_path("kms/master.key.next")) == 0);
    CHECK(dir_try(NULL, NULL, &err) == CCZ_OK && !dir_has("kms/master.key.next"));

    /* a FILE.next of somebody else changes nothing */
    uint8_t foreign[32] = {7};
    CHECK(ccz_file_write(dir_path("kms/master.key.next"), CCZ_SPAN(foreign, 32), 0600,
                         CCZ_FILE_REPLACE, &err) == CCZ_OK);
    CHECK(dir_try(NULL, NULL, &err) == CCZ_OK && dir_has("kms/master.key.next"));
    CHECK(unlink(dir_path("kms/master.key")) == 0);
    CHECK(dir_try(NULL, NULL, &err) == CCZ_E_NOT_FOUND && dir_has("kms/master.key.next"));
}

/* Shares of both sets, whichever the database is under. */
static void test_rekey_shares_crash(void)
{
    dir_make();
    CCZ_AUTO(ccz_kms_master) m = dir_master("shamir:2/2", NULL);
    CHECK(dir_init(m, NULL, &err) == CCZ_OK);
    load_shares("shares", 2);
    CHECK(give(NULL, m, 1) == CCZ_OK && give(NULL, m, 2) == CCZ_OK);
    CHECK(rename(dir_path("shares"), dir_path("old-shares")) == 0);
    dir_copy("kms", "before");
    CCZ_AUTO(ccz_kms_store) s = NULL;
    CHECK(dir_open(&s, m, NULL, &err) == CCZ_OK);
    CCZ_AUTO(ccz_kms_master) to = dir_master("shamir:2/3", NULL);
    CHECK(ccz_kms_rekey(s, to, FIX_NOW, &err) == CCZ_OK);
    ccz_kms_store_free(ccz_kms_store_take(&s));
    /* after the commit, before the renames */
    CHECK(rename(dir_path("kms/master.wrapped"), dir_path("kms/master.wrapped.next")) == 0);
    CHECK(rename(dir_path("kms/master.wrapped.old"), dir_path("kms/master.wrapped")) == 0);
    CCZ_AUTO(ccz_kms_master) later = dir_master("shamir:", NULL);
    struct ccz_kms_shares have;
    load_shares("old-shares", 2);
    CHECK(give(&have, later, 1) == CCZ_OK && have.given == 1);
    load_shares("shares", 3);
    CHECK(give(&have, later, 3) == CCZ_OK &&
          have.given == 1); /* of the other set: counts from one */
    CHECK(give(&have, later, 2) == CCZ_OK && !have.sealed);
    CHECK(dir_try(later, NULL, &err) == CCZ_OK && !dir_has("kms/master.wrapped.next"));
}

/* Two rekeys: the backups of before each of them need its key. */
static void test_rekey_twice(void)
{
    uint8_t check[3][CCZI_KEY_CHECK_SIZE];
    static const char *const names[] = {"kms/master.key", "kms/master.key.old",
                                        "kms/master.key.old.2"};
    populated_store();
    CCZ_AUTO(ccz_kms_store) s = NULL;
    CHECK(dir_open(&s, NULL, NULL, &err) == CCZ_OK);
    for (unsigned i = 0; i < 3; i++) {
        CCZ_AUTO(ccz_kms_master) to = dir_master(NULL, NULL);
        memcpy(check[i], s->sealer.key_check, sizeof(check[i]));
        CHECK(i == 2 || ccz_kms_rekey(s, to, FIX_NOW, &err) == CCZ_OK);
    }
    for (unsigned i = 0; i < 3; i++) { /* the newest one under FILE, the others in order */
        CCZ_AUTO(ccz_secret) key = NULL;
        uint8_t got[CCZI_KEY_CHECK_SIZE];
        CHECK(ccz_file_read_secret(&key, dir_path(names[i]), 64, &err) == CCZ_OK);
        CHECK(cczi_kms_key_check(got, ccz_secret_view(key)) == CCZ_OK);
        CHECK(memcmp(got, check[(i + 2) % 3], sizeof(got)) == 0);
    }
    ccz_kms_store_free(ccz_kms_store_take(&s));
    CHECK(dir_try(NULL, NULL, &err) == CCZ_OK);
}

/* Providers that wrap what they do not unwrap. */
static enum { READBACK_RIGHT, READBACK_OTHER, READBACK_FAILS } readback;

static ccz_rc odd_unwrap(uint8_t *key, struct ccz_kms_master *m, const struct cczi_kms_blob *blob,
                         struct ccz_err *er)
{
    if (readback == READBACK_FAILS)
        return ccz_fail(er, CCZ_E_UNAVAILABLE, "kms:p11-unwrap", 0, "another login is needed");
    ccz_rc rc = cczi_master_tee.unwrap(key, m, blob, er);
    key[31] ^= readback == READBACK_OTHER;
    return rc;
}

static void test_readback(void)
{
    populated_store();
    CHECK(ccz_sim_init(dir_path("sim"), &(struct ccz_sim_cfg){.now_s = FIX_NOW}, &err) == CCZ_OK);
    CCZ_AUTO(ccz_attester) a = attester("sim", NULL, false);
    CCZ_AUTO(ccz_kms_master) to = dir_master("tee:mrenclave", a);
    struct cczi_kms_master_ops odd = *to->ops;
    odd.unwrap = odd_unwrap;
    to->ops = &odd;
    CCZ_AUTO(ccz_kms_store) s = NULL;
    CHECK(dir_open(&s, NULL, NULL, &err) == CCZ_OK);
    uint64_t lines = s->head.seq;
    readback = READBACK_FAILS;
    CHECK(dir_refused(ccz_kms_rekey(s, to, FIX_NOW, &err), &err, CCZ_E_UNAVAILABLE,
                      "kms:master-readback"));
    CHECK(err.hint[0] && strstr(err.msg, "another login"));
    readback = READBACK_OTHER;
    CHECK(dir_refused(ccz_kms_rekey(s, to, FIX_NOW, &err), &err, CCZ_E_SIG, "kms:master-readback"));
    CHECK(!dir_has("kms/master.wrapped") && !dir_has("kms/master.key.old") && s->head.seq == lines);
    ccz_kms_store_free(ccz_kms_store_take(&s));
    CHECK(dir_open(&s, NULL, NULL, &err) == CCZ_OK); /* under the key of before */
    check_values(s);
    readback = READBACK_RIGHT;
    CHECK(ccz_kms_rekey(s, to, FIX_NOW, &err) == CCZ_OK);
    ccz_kms_store_free(ccz_kms_store_take(&s));
    CHECK(dir_try(to, NULL, &err) == CCZ_OK);

    /* init: no store, and no key that nobody can open */
    dir_make();
    ccz_kms_master_free(ccz_kms_master_take(&to));
    CHECK(ccz_sim_init(dir_path("sim"), &(struct ccz_sim_cfg){.now_s = FIX_NOW}, &err) == CCZ_OK);
    CCZ_AUTO(ccz_attester) b = attester("sim", NULL, false);
    to = dir_master("tee:mrenclave", b);
    to->ops = &odd;
    readback = READBACK_OTHER;
    CHECK(dir_refused(dir_init(to, NULL, &err), &err, CCZ_E_SIG, "kms:master-readback"));
    CHECK(!dir_has("kms/master.wrapped"));
}

/* The store is in a database that the second init does not name: its shares must go on opening it. */
static void test_init_shares_twice(void)
{
    dir_make();
    CCZ_AUTO(ccz_kms_master) m = dir_master("shamir:2/3", NULL);
    CHECK(dir_init(m, NULL, &err) == CCZ_OK);
    load_shares("shares", 3);
    CHECK(rename(dir_path("kms/kms.sqlite"), dir_path("elsewhere.sqlite")) == 0);
    CHECK(rename(dir_path("shares"), dir_path("old-shares")) == 0);
    CCZ_AUTO(ccz_kms_master) again = dir_master("shamir:2/2", NULL);
    CHECK(dir_refused(dir_init(again, NULL, &err), &err, CCZ_E_EXISTS, "kms:master-key-exists"));
    CHECK(!dir_has("shares/share-1.txt"));
    CHECK(rename(dir_path("elsewhere.sqlite"), dir_path("kms/kms.sqlite")) == 0);
    CCZ_AUTO(ccz_kms_master) later = dir_master("shamir:", NULL);
    CHECK(give(NULL, later, 1) == CCZ_OK && give(NULL, later, 3) == CCZ_OK);
    CHECK(dir_try(later, NULL, &err) == CCZ_OK);
}

static void test_rekey_damaged(void)
{
    populated_store();
    CCZ_AUTO(ccz_kms_store) s = NULL;
    CHECK(dir_open(&s, NULL, NULL, &err) == CCZ_OK);
    /* behind our back, while it is open: a rekey must not give it a genuine MAC */
    CHECK(cczi_kms_db_exec(&s->db, "UPDATE binding SET policy = 'other' WHERE name = 'model'",
                           &err) == CCZ_OK);
    CCZ_AUTO(ccz_kms_master) to = dir_master(NULL, NULL);
    CHECK(dir_refused(ccz_kms_rekey(s, to, FIX_NOW, &err), &err, CCZ_E_SIG, "kms:row-mac"));
    CHECK(!dir_has("kms/master.key.next") && !dir_has("kms/master.key.old"));

    /* a place that cannot be written: nothing has changed */
    ccz_kms_store_free(ccz_kms_store_take(&s));
    populated_store();
    CHECK(dir_open(&s, NULL, NULL, &err) == CCZ_OK);
    CCZ_AUTO(ccz_kms_master) nowhere = dir_master("file:/nonexistent/master.key", NULL);
    CHECK(ccz_kms_rekey(s, nowhere, FIX_NOW, &err) == CCZ_E_NOT_FOUND);
    CHECK(ccz_kms_store_check(NULL, s, &err) == CCZ_OK);
    check_values(s);
}

static const struct ccz_test tests[] = {
    {"kms.shamir", test_shamir},
    {"kms.share_text", test_share_text},
    {"kms.shares", test_shares},
    {"kms.master_blob", test_blob},
    {"kms.master_spec", test_spec},
    {"kms.p11_uri", test_p11_uri},
    {"kms.master_tee", test_tee},
    {"kms.rekey", test_rekey},
    {"kms.rekey_crash", test_rekey_crash},
    {"kms.rekey_shares_crash", test_rekey_shares_crash},
    {"kms.rekey_damaged", test_rekey_damaged},
    {"kms.rekey_twice", test_rekey_twice},
    {"kms.rekey_readback", test_readback},
    {"kms.init_shares_twice", test_init_shares_twice},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
