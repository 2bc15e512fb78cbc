/* SPDX-License-Identifier: Apache-2.0 */
/* Providers gramine and configfs, over a model of the kernel and over plain files. */
#define _DEFAULT_SOURCE
#include "fake_kernel.h"

#include "ccz_test.h"

#include <cczoo/crypto.h>
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

static struct fake_kernel k; /* large; each test starts with fake_init() */
static struct ccz_err err;

static ccz_rc open_as(struct ccz_attester **a, const char *provider)
{
    struct cczi_tee_fs fs = fake_fs(&k);
    err = (struct ccz_err){0};
    return cczi_attester_open(
        a, &(struct ccz_attester_cfg){.provider = provider, .fs_root = "/fake", .timeout_ms = 5000},
        &fs, &err);
}

static const uint8_t report_data[64] = {1, 2, 3, [63] = 64};

static ccz_rc quote(struct ccz_buf *out, struct ccz_attester *a)
{
    err = (struct ccz_err){0};
    return ccz_attester_quote(out, a, report_data, &err);
}

static bool refused(ccz_rc rc, ccz_rc want, const char *where, bool with_hint)
{
    if (rc == want && err.rc == want && strcmp(err.where, where) == 0 &&
        (err.hint[0] != 0) == with_hint)
        return true;
    fprintf(stderr, "got %s at %s: %s (hint: %s)\n", ccz_rc_name(rc), err.where, err.msg,
            err.hint[0] ? err.hint : "none");
    return false;
}

/* ---------------------------------------------------------------------------------- providers */

static void test_unknown(void)
{
    struct ccz_attester *a = NULL;
    fake_init(&k);
    CHECK(refused(open_as(&a, "nullattester"), CCZ_E_ARG, "tee:provider", false));
    CHECK(a == NULL && strcmp(err.got, "nullattester") == 0);
    CHECK(strcmp(err.expected,
                 "gramine, configfs, tdx-guest, sev-guest, sim-sgx, sim-tdx, sim-snp") == 0);
    CHECK(refused(open_as(&a, NULL), CCZ_E_ARG, "tee:provider", false));
    CHECK(refused(open_as(&a, ""), CCZ_E_ARG, "tee:provider", false)); /* no default, no fallback */
    char root[400];
    memset(root, 'a', sizeof(root));
    root[sizeof(root) - 1] = 0;
    CHECK(ccz_attester_open(&a, &(struct ccz_attester_cfg){.provider = "gramine", .fs_root = root},
                            &err) == CCZ_E_ARG);
    CHECK(ccz_attester_open(&a, &(struct ccz_attester_cfg){.provider = "gramine", .timeout_ms = -1},
                            NULL) == CCZ_E_ARG);
    static const struct ccz_attester_cfg vmpl[] = {
        {.provider = "configfs", .vmpl_set = true, .vmpl = 4},
        {.provider = "configfs", .vmpl = 1}, /* without vmpl_set: forgotten */
    };
    for (size_t i = 0; i < 2; i++)
        CHECK(refused(ccz_attester_open(&a, &vmpl[i], &err), CCZ_E_ARG, "tee:vmpl", false));
    ccz_attester_free(NULL);
}

/* ----------------------------------------------------------------------------------- configfs */

static void test_configfs_tdx(void)
{
    fake_init(&k);
    CCZ_AUTO(ccz_attester) a = NULL;
    CHECK(open_as(&a, "configfs") == CCZ_OK);
    CHECK(strcmp(ccz_attester_provider(a), "configfs") == 0 && !ccz_attester_simulated(a));
    CHECK(ccz_attester_measurement(a).size == 0 && k.mkdirs == 1 && k.rmdirs == 1);
    CHECK(strcmp(ccz_attester_tee(a), "tdx") == 0);
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 65536);
    ccz_buf_put_str(&out, "before");
    k.read_max = 700; /* a quote comes in pieces */
    CHECK(quote(&out, a) == CCZ_OK);
    CHECK(out.size == 6 + 5000 && memcmp(out.ptr, "before", 6) == 0);
    CHECK(memcmp(out.ptr + 6 + 48 + 520, report_data, 64) == 0);
    CHECK(k.generation == 1 && !k.exists && k.rmdirs == 2);
    CCZ_AUTO_BUF big; /* larger than any fixed buffer of earlier days */
    ccz_buf_init(&big, 65536);
    k.outblob_size = 33000;
    CHECK(quote(&big, a) == CCZ_OK && big.size == 33000);
    k.quote_version = 5; /* report data 6 bytes further on */
    ccz_buf_clear(&big);
    CHECK(quote(&big, a) == CCZ_OK && memcmp(big.ptr + 54 + 520, report_data, 64) == 0);
    CHECK(fake_all_closed(&k));
    struct cczi_tee_fs fs = fake_fs(&k);
    struct ccz_attester *none = NULL; /* TDX has no VMPL: the wish must not be lost silently */
    const struct ccz_attester_cfg vmpl = {
        .provider = "configfs", .fs_root = "/fake", .vmpl_set = true};
    CHECK(refused(cczi_attester_open(&none, &vmpl, &fs, &err), CCZ_E_ARG, "tee:vmpl", false));
    CHECK(none == NULL && fake_all_closed(&k));
}

/* Report and certificate table are one blob. */
static void test_configfs_snp(void)
{
    fake_init(&k);
    k.provider = "sev_guest\n";
    k.privlevel_floor = 2;
    CCZ_AUTO(ccz_attester) a = NULL;
    CHECK(open_as(&a, "configfs") == CCZ_OK && strcmp(ccz_attester_tee(a), "snp") == 0);
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 65536);
    CHECK(quote(&out, a) == CCZ_OK);
    CHECK(out.size == 1184 && out.ptr[0x30] == 2); /* asked at the floor, as text */
    CHECK(memcmp(out.ptr + 0x50, report_data, 64) == 0 && k.generation == 2);
    size_t certs = fake_certs(&k);
    ccz_buf_clear(&out);
    CHECK(quote(&out, a) == CCZ_OK && out.size == 1184 + certs);
    CHECK(memcmp(out.ptr + 1184, k.certs, certs) == 0);
    k.privlevel_floor = -1; /* an older driver has no choice to offer */
    ccz_buf_clear(&out);
    CHECK(quote(&out, a) == CCZ_OK && k.generation == 1);
    CCZ_AUTO_BUF small;
    ccz_buf_init(&small, 1184 + certs - 1);
    CHECK(refused(quote(&small, a), CCZ_E_LIMIT, "tee:snp-table", false) && small.size == 0);
    k.certs_size--; /* the last certificate leaves the table */
    ccz_buf_clear(&out);
    CHECK(refused(quote(&out, a), CCZ_E_PEER, "tee:snp-table", false) && out.size == 0);
    k.certs_size = CCZI_SNP_TABLE_SIZE_MAX + 1;
    CHECK(refused(quote(&out, a), CCZ_E_LIMIT, "tee:configfs-auxblob", false));
    k.certs_size = 0;
    k.outblob_size = 1185;
    CHECK(refused(quote(&out, a), CCZ_E_UNSUPPORTED, "tee:quote-format", false) && out.size == 0);
}

static void test_configfs_vmpl(void)
{
    struct cczi_tee_fs fs = fake_fs(&k);
    struct ccz_attester_cfg cfg = {.provider = "configfs",
                                   .fs_root = "/fake",
                                   .timeout_ms = 5000,
                                   .vmpl_set = true,
                                   .vmpl = 3};
    fake_init(&k);
    k.provider = "sev_guest\n";
    k.privlevel_floor = 1;
    CCZ_AUTO(ccz_attester) a = NULL;
    CCZ_AUTO(ccz_attester) zero = NULL;
    CHECK(cczi_attester_open(&a, &cfg, &fs, &err) == CCZ_OK);
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 65536);
    CHECK(quote(&out, a) == CCZ_OK && out.ptr[0x30] == 3 && k.privlevel == 3);
    ccz_buf_clear(&out);
    k.other_vmpl = 1; /* a driver that gives what it likes */
    CHECK(refused(quote(&out, a), CCZ_E_MISMATCH, "tee:vmpl", false));
    CHECK(strcmp(err.got, "1") == 0 && strcmp(err.expected, "3") == 0 && out.size == 0);
    k.other_vmpl = -1;
    k.privlevel_floor = -1;
    CHECK(refused(quote(&out, a), CCZ_E_UNSUPPORTED, "tee:configfs-privlevel", true));
    k.privlevel_floor = 4; /* no such level */
    CHECK(refused(quote(&out, a), CCZ_E_PEER, "tee:configfs-privlevel", false));
    k.privlevel_floor = 1;
    cfg.vmpl = 0; /* an explicit 0 is not "whatever" */
    CHECK(cczi_attester_open(&zero, &cfg, &fs, &err) == CCZ_OK);
    CHECK(refused(quote(&out, zero), CCZ_E_ARG, "tee:configfs-privlevel", true));
    CHECK(err.aux == ERANGE && fake_all_closed(&k));
    k.privlevel_floor = 0;
    CHECK(quote(&out, zero) == CCZ_OK && out.ptr[0x30] == 0);
}

/* What comes back is looked at, whatever the generation counter says. */
static void test_configfs_binding(void)
{
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 65536);
    for (size_t i = 0; i < 3; i++) {
        fake_init(&k);
        k.provider = i == 2 ? "sev_guest\n" : "tdx_guest\n";
        k.quote_version = i == 1 ? 5 : 4;
        CCZ_AUTO(ccz_attester) a = NULL;
        CHECK(open_as(&a, "configfs") == CCZ_OK);
        k.other_data = 1;
        CHECK(refused(quote(&out, a), CCZ_E_MISMATCH, "tee:binding", true) && out.size == 0);
        CHECK(strncmp(err.got, "ee00", 4) == 0 && strncmp(err.expected, "010203", 6) == 0);
        k.outblob_size = i == 1 ? 54 + 520 + 63 : 48 + 520 + 63; /* report data cut */
        CHECK(i == 2 || refused(quote(&out, a), CCZ_E_MISMATCH, "tee:binding", true));
    }
    fake_init(&k);
    CCZ_AUTO(ccz_attester) a = NULL;
    CHECK(open_as(&a, "configfs") == CCZ_OK);
    k.quote_version = 6; /* report data at an unknown place */
    CHECK(refused(quote(&out, a), CCZ_E_UNSUPPORTED, "tee:quote-format", false));
    k.quote_version = 3; /* TDX quotes begin with version 4 */
    CHECK(refused(quote(&out, a), CCZ_E_UNSUPPORTED, "tee:quote-format", false));
    k.quote_version = 4;
    k.outblob_size = 7; /* not even a header */
    CHECK(refused(quote(&out, a), CCZ_E_UNSUPPORTED, "tee:quote-format", false));
    CHECK(out.size == 0);
}

static void test_configfs_open(void)
{
    struct ccz_attester *a = NULL;
    fake_init(&k);
    k.mounted = false;
    CHECK(refused(open_as(&a, "configfs"), CCZ_E_UNAVAILABLE, "tee:configfs-mkdir", true) &&
          err.aux == ENOENT);
    k.mounted = true;
    k.provider = NULL;
    CHECK(refused(open_as(&a, "configfs"), CCZ_E_UNAVAILABLE, "tee:configfs-mkdir", true) &&
          err.aux == ENXIO);
    k.provider = "arm_cca_guest\n";
    CHECK(refused(open_as(&a, "configfs"), CCZ_E_UNSUPPORTED, "tee:configfs-provider", false));
    CHECK(strcmp(err.got, "arm_cca_guest\\x0a") == 0 && !k.exists);
    k.mkdir_error = EACCES;
    CHECK(refused(open_as(&a, "configfs"), CCZ_E_DENIED, "tee:configfs-mkdir", true));
    CHECK(a == NULL);
}

/* Trouble that passes: the attempt is repeated in a new directory. */
static void test_configfs_retry(void)
{
    static const struct {
        const char *what;
        size_t fault;
    } faults[] = {
        {"busy", offsetof(struct fake_kernel, busy_reads)},
        {"interrupted", offsetof(struct fake_kernel, interrupted)},
        {"dropped write", offsetof(struct fake_kernel, dropped)},
        {"foreign write before the read", offsetof(struct fake_kernel, foreign_before)},
        {"foreign write after the read", offsetof(struct fake_kernel, foreign_after)},
    };
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        fake_init(&k);
        CCZ_AUTO(ccz_attester) a = NULL;
        CHECK(open_as(&a, "configfs") == CCZ_OK);
        CCZ_AUTO_BUF out;
        ccz_buf_init(&out, 65536);
        int *count = (int *)(void *)((char *)&k + faults[i].fault);
        *count = 2;
        CHECK(quote(&out, a) == CCZ_OK);
        CHECK(*count == 0 && k.mkdirs == 4 && k.rmdirs == 4 && out.size == 5000);
        CHECK(memcmp(out.ptr + 48 + 520, report_data, 64) == 0); /* never the other process's */
    }
}

/* Trouble that stays: refused at the deadline, each with its own reason, nothing appended, nothing
 * left. */
static void test_configfs_refuse(void)
{
    static const struct {
        size_t fault;
        int value;
        int error; /* what the caller learns in err->aux */
        ccz_rc rc;
        const char *where;
        bool hint;
    } t[] = {
        {offsetof(struct fake_kernel, busy_reads), 1000, EBUSY, CCZ_E_UNAVAILABLE,
         "tee:configfs-outblob", true},
        {offsetof(struct fake_kernel, interrupted), 1000, EINTR, CCZ_E_TIMEOUT,
         "tee:configfs-outblob", false},
        {offsetof(struct fake_kernel, dropped), 1000, EBUSY, CCZ_E_UNAVAILABLE,
         "tee:configfs-generation", true},
        {offsetof(struct fake_kernel, foreign_before), 1000, ESTALE, CCZ_E_UNAVAILABLE,
         "tee:configfs-generation", true},
        {offsetof(struct fake_kernel, foreign_after), 1000, ESTALE, CCZ_E_UNAVAILABLE,
         "tee:configfs-generation", true},
        {offsetof(struct fake_kernel, outblob_error), ETIMEDOUT, ETIMEDOUT, CCZ_E_TIMEOUT,
         "tee:configfs-outblob", true},
        {offsetof(struct fake_kernel, outblob_error), ENXIO, ENXIO, CCZ_E_UNAVAILABLE,
         "tee:configfs-outblob", true},
        {offsetof(struct fake_kernel, outblob_error), EINVAL, EINVAL, CCZ_E_PEER,
         "tee:configfs-outblob", true},
        {offsetof(struct fake_kernel, outblob_error), EFBIG, EFBIG, CCZ_E_LIMIT,
         "tee:configfs-outblob", false},
        {offsetof(struct fake_kernel, outblob_error), EIO, EIO, CCZ_E_IO, "tee:configfs-outblob",
         false},
    };
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        fake_init(&k);
        CCZ_AUTO(ccz_attester) a = NULL;
        CHECK(open_as(&a, "configfs") == CCZ_OK);
        memcpy((char *)&k + t[i].fault, &t[i].value, sizeof(int));
        CCZ_AUTO_BUF out;
        ccz_buf_init(&out, 65536);
        int64_t start_ms = k.now_ms;
        CHECK(refused(quote(&out, a), t[i].rc, t[i].where, t[i].hint));
        CHECK(err.aux == t[i].error);
        CHECK(out.size == 0 && !out.bad && !k.exists && k.mkdirs == k.rmdirs);
        CHECK(k.now_ms - start_ms < 5000 + 2000); /* timeout_ms plus one attempt */
    }
    fake_init(&k);
    CCZ_AUTO(ccz_attester) a = NULL;
    CHECK(open_as(&a, "configfs") == CCZ_OK);
    CCZ_AUTO_BUF small;
    ccz_buf_init(&small, 4999);
    CHECK(refused(quote(&small, a), CCZ_E_LIMIT, "tee:configfs-outblob", false));
    CHECK(small.size == 0 && !small.bad);
    k.short_write = true; /* a shorter inblob would be a report over other data */
    CHECK(refused(quote(&small, a), CCZ_E_IO, "tee:configfs-inblob", false));
    k.short_write = false;
    k.outblob_size = 0;
    CHECK(refused(quote(&small, a), CCZ_E_PEER, "tee:empty", false));
}

static int warnings;
static void count_warnings(void *arg, enum ccz_log_level level, const char *module,
                           const char *line)
{
    (void)arg;
    warnings +=
        level == CCZ_LOG_WARN && strcmp(module, "tee") == 0 && strstr(line, "rmdir-failed") != NULL;
}

static void test_configfs_rmdir(void)
{
    fake_init(&k);
    CCZ_AUTO(ccz_attester) a = NULL;
    CHECK(open_as(&a, "configfs") == CCZ_OK);
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 65536);
    ccz_log_install(count_warnings, NULL, CCZ_LOG_WARN);
    k.rmdir_fails = true;
    CHECK(quote(&out, a) == CCZ_OK && warnings == 1); /* a good quote is not thrown away for it */
    ccz_log_install(NULL, NULL, CCZ_LOG_ERROR);
}

/* ------------------------------------------------------------------------------------ gramine */

static void test_gramine(void)
{
    fake_init(&k);
    k.attestation_type = "dcap";
    CCZ_AUTO(ccz_attester) a = NULL;
    CHECK(open_as(&a, "gramine") == CCZ_OK);
    CHECK(!ccz_attester_simulated(a) && strcmp(ccz_attester_provider(a), "gramine") == 0);
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 65536);
    k.read_max = 1000;
    k.interrupted = 3;
    CHECK(quote(&out, a) == CCZ_OK && out.size == 5000 && k.interrupted == 0);
    CHECK(memcmp(out.ptr + 368, report_data, 64) == 0);
}

static void test_gramine_refuse(void)
{
    struct ccz_attester *none = NULL;
    fake_init(&k);
    CHECK(refused(open_as(&none, "gramine"), CCZ_E_UNAVAILABLE, "tee:gramine-type", true));
    k.attestation_type = "none";
    CHECK(refused(open_as(&none, "gramine"), CCZ_E_UNAVAILABLE, "tee:gramine-type", true));
    CHECK(strcmp(err.got, "none") == 0 && strcmp(err.expected, "dcap") == 0 && none == NULL);
    k.attestation_type = "dcap\n";
    CCZ_AUTO(ccz_attester) a = NULL;
    CHECK(open_as(&a, "gramine") == CCZ_OK);
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 65536);
    k.quote_error = EACCES; /* what Gramine says when the host has no quote for it */
    CHECK(refused(quote(&out, a), CCZ_E_UNAVAILABLE, "tee:gramine-quote", true));
    k.quote_error = EIO;
    CHECK(refused(quote(&out, a), CCZ_E_IO, "tee:gramine-quote", true));
    k.quote_error = 0;
    k.foreign_gramine = 1;
    CHECK(refused(quote(&out, a), CCZ_E_MISMATCH, "tee:binding", true));
    k.outblob_size = 368 + 64 - 1; /* too short to hold report data */
    CHECK(refused(quote(&out, a), CCZ_E_MISMATCH, "tee:binding", true));
    k.outblob_size = 5000;
    k.interrupted = 1000000;
    CHECK(refused(quote(&out, a), CCZ_E_TIMEOUT, "tee:gramine-quote", false));
    k.interrupted = 0;
    k.short_write = true;
    CHECK(refused(quote(&out, a), CCZ_E_IO, "tee:gramine-quote", true));
    k.short_write = false;
    CCZ_AUTO_BUF small;
    ccz_buf_init(&small, 100);
    CHECK(refused(quote(&small, a), CCZ_E_LIMIT, "tee:gramine-quote", false));
    CHECK(out.size == 0 && small.size == 0 && !small.bad);
}

static void *quote_often(void *arg)
{
    struct ccz_attester *a = arg;
    for (uint8_t i = 0; i < 100; i++) {
        uint8_t rd[64];
        CHECK(ccz_random(rd, sizeof(rd)) == CCZ_OK);
        CCZ_AUTO_BUF out;
        ccz_buf_init(&out, 65536);
        CHECK(ccz_attester_quote(&out, a, rd, NULL) == CCZ_OK);
        CHECK(memcmp(out.ptr + 368, rd, 64) == 0);
    }
    return NULL;
}

/* user_report_data is one state of the process: without the lock threads would get each other's
 * quotes. */
static void test_gramine_threads(void)
{
    fake_init(&k);
    k.attestation_type = "dcap";
    CCZ_AUTO(ccz_attester) a = NULL;
    CHECK(open_as(&a, "gramine") == CCZ_OK);
    pthread_t t[4];
    for (size_t i = 0; i < 4; i++)
        CHECK(pthread_create(&t[i], NULL, quote_often, a) == 0);
    for (size_t i = 0; i < 4; i++)
        CHECK(pthread_join(t[i], NULL) == 0);
}

/* The same provider over real files, through the POSIX table and fs_root. */
static void test_gramine_files(void)
{
    char root[] = "/tmp/ccz-tee-XXXXXX", path[128];
    CHECK(mkdtemp(root) != NULL);
    (void)snprintf(path, sizeof(path), "%s/dev/attestation", root);
    CHECK(ccz_dir_make(path, 0700, NULL) == CCZ_OK);
    uint8_t blob[1000];
    fake_quote(blob, sizeof(blob), CCZI_TEE_SGX, 3, report_data);
    (void)snprintf(path, sizeof(path), "%s/dev/attestation/attestation_type", root);
    CHECK(ccz_file_write(path, ccz_span_str("dcap"), 0600, CCZ_FILE_REPLACE, NULL) == CCZ_OK);
    (void)snprintf(path, sizeof(path), "%s/dev/attestation/user_report_data", root);
    CHECK(ccz_file_write(path, CCZ_SPAN(blob, 64), 0600, CCZ_FILE_REPLACE, NULL) == CCZ_OK);
    CCZ_AUTO(ccz_attester) a = NULL;
    CHECK(ccz_attester_open(&a, &(struct ccz_attester_cfg){.provider = "gramine", .fs_root = root},
                            &err) == CCZ_OK);
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 65536);
    CHECK(ccz_attester_quote(&out, a, report_data, &err) == CCZ_E_IO); /* no quote file yet */
    (void)snprintf(path, sizeof(path), "%s/dev/attestation/quote", root);
    CHECK(ccz_file_write(path, CCZ_SPAN(blob, sizeof(blob)), 0600, CCZ_FILE_REPLACE, NULL) ==
          CCZ_OK);
    CHECK(ccz_attester_quote(&out, a, report_data, &err) == CCZ_OK && out.size == sizeof(blob));
    struct ccz_attester *none = NULL;
    CHECK(ccz_attester_open(&none,
                            &(struct ccz_attester_cfg){.provider = "configfs", .fs_root = root},
                            &err) == CCZ_E_UNAVAILABLE);
    CHECK(none == NULL && err.hint[0] != 0);
    static const char *const names[] = {"dev/attestation/attestation_type",
                                        "dev/attestation/user_report_data",
                                        "dev/attestation/quote",
                                        "dev/attestation",
                                        "dev",
                                        ""};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", root, names[i]);
        CHECK(remove(path) == 0);
    }
}

static ccz_rc seal_from(uint8_t out[32], const char *root, enum ccz_seal_to to)
{
    CCZ_AUTO(ccz_attester) a = NULL;
    CCZ_AUTO(ccz_secret) key = NULL;
    struct ccz_attester_cfg cfg = {.provider = "gramine", .fs_root = root};
    CHECK(ccz_attester_open(&a, &cfg, &err) == CCZ_OK);
    ccz_rc rc = ccz_attester_seal_key(&key, a, to, "test", &err);
    CHECK((rc == CCZ_OK) == (key != NULL));
    if (key)
        memcpy(out, ccz_secret_view(key), 32);
    return rc;
}

static void test_gramine_seal(void)
{
    char root[] = "/tmp/ccz-tee-XXXXXX", path[160];
    CHECK(mkdtemp(root) != NULL);
    (void)snprintf(path, sizeof(path), "%s/dev/attestation/keys", root);
    CHECK(ccz_dir_make(path, 0700, NULL) == CCZ_OK);
    static const char *const names[] = {"attestation_type", "keys/_sgx_mrenclave",
                                        "keys/_sgx_mrsigner"};
    static const uint8_t same[17] = {1, 2, 3};
    for (size_t i = 0; i < 2; i++) {
        (void)snprintf(path, sizeof(path), "%s/dev/attestation/%s", root, names[i]);
        struct ccz_span data = i ? CCZ_SPAN(same, 16) : ccz_span_str("dcap");
        CHECK(ccz_file_write(path, data, 0600, CCZ_FILE_REPLACE, NULL) == CCZ_OK);
    }
    uint8_t a[32], b[32];
    CHECK(seal_from(a, root, CCZ_SEAL_TO_MEASUREMENT) == CCZ_OK);
    CHECK(memcmp(a, same, 16) != 0); /* the raw key stays inside */
    CHECK(seal_from(b, root, CCZ_SEAL_TO_SIGNER) == CCZ_E_UNAVAILABLE);
    CHECK(strcmp(err.where, "tee:seal-key") == 0 && err.hint[0]);
    static const struct ccz_span bad[] = {{same, 0}, {same, 15}, {same, 17}};
    (void)snprintf(path, sizeof(path), "%s/dev/attestation/%s", root, names[2]);
    for (size_t i = 0; i < 3; i++) {
        CHECK(ccz_file_write(path, bad[i], 0600, CCZ_FILE_REPLACE, NULL) == CCZ_OK);
        CHECK(seal_from(b, root, CCZ_SEAL_TO_SIGNER) == CCZ_E_PEER);
    }
    uint8_t zero[16] = {0};
    CHECK(ccz_file_write(path, CCZ_SPAN(zero, 16), 0600, CCZ_FILE_REPLACE, NULL) == CCZ_OK);
    CHECK(seal_from(b, root, CCZ_SEAL_TO_SIGNER) == CCZ_E_PEER);
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(path, sizeof(path), "%s/dev/attestation/%s", root, names[i]);
        CHECK(remove(path) == 0);
    }
    static const char *const dirs[] = {"/dev/attestation/keys", "/dev/attestation", "/dev", ""};
    for (size_t i = 0; i < 4; i++) {
        (void)snprintf(path, sizeof(path), "%s%s", root, dirs[i]);
        CHECK(remove(path) == 0);
    }
}

static const struct ccz_test tests[] = {
    {"tee.unknown", test_unknown},
    {"tee.configfs_tdx", test_configfs_tdx},
    {"tee.configfs_snp", test_configfs_snp},
    {"tee.configfs_vmpl", test_configfs_vmpl},
    {"tee.configfs_binding", test_configfs_binding},
    {"tee.configfs_open", test_configfs_open},
    {"tee.configfs_retry", test_configfs_retry},
    {"tee.configfs_refuse", test_configfs_refuse},
    {"tee.configfs_rmdir", test_configfs_rmdir},
    {"tee.gramine", test_gramine},
    {"tee.gramine_refuse", test_gramine_refuse},
    {"tee.gramine_threads", test_gramine_threads},
    {"tee.gramine_files", test_gramine_files},
    {"tee.gramine_seal", test_gramine_seal},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
