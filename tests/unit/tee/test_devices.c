/* SPDX-License-Identifier: Apache-2.0 */
/* Providers tdx-guest and sev-guest, detection, measurement registers, boot event log: over a model of the kernel. */
#define _DEFAULT_SOURCE
#include "fake_kernel.h"

#include "ccz_test.h"

#include <errno.h>
#include <openssl/sha.h>
#include <sys/socket.h>
#include <unistd.h>

static struct fake_kernel k; /* large; each test starts with fake_init() */
static struct ccz_err err;
static int64_t timeout_ms = 5000;
static const uint8_t report_data[64] = {9, 8, 7, [63] = 1};

static ccz_rc open_cfg(struct ccz_attester **a, const char *provider, int vmpl)
{
    struct cczi_tee_fs fs = fake_fs(&k);
    err = (struct ccz_err){0};
    return cczi_attester_open(a,
                              &(struct ccz_attester_cfg){.provider = provider,
                                                         .fs_root = "/fake",
                                                         .timeout_ms = timeout_ms,
                                                         .vmpl_set = vmpl >= 0,
                                                         .vmpl = (uint8_t)(vmpl >= 0 ? vmpl : 0)},
                              &fs, &err);
}

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

/* ---------------------------------------------------------------------------------- tdx-guest */

static void tdx_init(void)
{
    fake_init(&k);
    k.tdx_device = true;
}

static void test_tdx(void)
{
    tdx_init();
    CCZ_AUTO(ccz_attester) a = NULL;
    CHECK(open_cfg(&a, "tdx-guest", -1) == CCZ_OK);
    CHECK(strcmp(ccz_attester_tee(a), "tdx") == 0 && !ccz_attester_simulated(a));
    CHECK(k.connects == 1 && fake_all_closed(&k));
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 65536);
    ccz_buf_put_str(&out, "before");
    CHECK(quote(&out, a) == CCZ_OK && out.size == 6 + 5000 && memcmp(out.ptr, "before", 6) == 0);
    CHECK(memcmp(out.ptr + 6 + 48 + 520, report_data, 64) == 0);
    CHECK(k.connects == 2 && fake_all_closed(&k));
    /* in pieces, interrupted, with a key id before the quote */
    k.send_max = 100;
    k.read_max = 33;
    k.qgs_chunk = 70;
    k.qgs_id_size = 16;
    k.interrupted = 20;
    ccz_buf_clear(&out);
    CHECK(quote(&out, a) == CCZ_OK && out.size == 5000 && k.interrupted == 0);
    CHECK(memcmp(out.ptr + 48 + 520, report_data, 64) == 0);
    struct ccz_attester *none = NULL;
    CHECK(refused(open_cfg(&none, "tdx-guest", 0), CCZ_E_ARG, "tee:vmpl", false));
}

static void test_tdx_open(void)
{
    struct ccz_attester *a = NULL;
    fake_init(&k);
    CHECK(refused(open_cfg(&a, "tdx-guest", -1), CCZ_E_UNAVAILABLE, "tee:tdx-device", true));
    k.tdx_device = true;
    k.device_error = EACCES;
    CHECK(refused(open_cfg(&a, "tdx-guest", -1), CCZ_E_DENIED, "tee:tdx-device", true));
    k.device_error = 0;
    k.ioctl_error = ENOTTY; /* a vendor driver */
    CHECK(refused(open_cfg(&a, "tdx-guest", -1), CCZ_E_UNAVAILABLE, "tee:tdx-report", true));
    k.ioctl_error = EIO;
    CHECK(refused(open_cfg(&a, "tdx-guest", -1), CCZ_E_IO, "tee:tdx-report", true));
    k.ioctl_error = 0;
    k.interrupted = 1000000;
    CHECK(refused(open_cfg(&a, "tdx-guest", -1), CCZ_E_TIMEOUT, "tee:tdx-report", false));
    k.interrupted = 0;
    k.connect_error = ENODEV;
    CHECK(refused(open_cfg(&a, "tdx-guest", -1), CCZ_E_UNAVAILABLE, "tee:qgs-connect", true));
    k.connect_error = ETIMEDOUT;
    CHECK(refused(open_cfg(&a, "tdx-guest", -1), CCZ_E_TIMEOUT, "tee:qgs-connect", true));
    k.connect_error = 0;
    k.qgs_port = 5000; /* somewhere else */
    CHECK(refused(open_cfg(&a, "tdx-guest", -1), CCZ_E_UNAVAILABLE, "tee:qgs-connect", true));
    k.tdx_conf = "# host\nport = 5000\n";
    CHECK(open_cfg(&a, "tdx-guest", -1) == CCZ_OK);
    ccz_attester_free(a);
    a = NULL;
    k.tdx_conf = "port = vsock\n"; /* never the default in place of a mistake */
    CHECK(refused(open_cfg(&a, "tdx-guest", -1), CCZ_E_FORMAT, "tee:qgs-port", false));
    CHECK(strcmp(err.got, "vsock") == 0 && a == NULL && fake_all_closed(&k));
}

/* Each way in which the service can fail has its own reason; nothing is appended, nothing left. */
static void test_tdx_refuse(void)
{
    static const struct {
        enum fake_qgs_mode mode;
        ccz_rc rc;
        const char *where;
        int64_t aux;
        bool hint;
    } t[] = {
        {QGS_SILENT, CCZ_E_TIMEOUT, "tee:qgs-exchange", ETIMEDOUT, true},
        {QGS_HANGS_UP, CCZ_E_PEER, "tee:qgs-exchange", ECONNRESET, true},
        {QGS_CUT, CCZ_E_PEER, "tee:qgs-exchange", ECONNRESET, true},
        {QGS_ERROR, CCZ_E_PEER, "tee:qgs-error", 0x12001, true},
        {QGS_SHORT, CCZ_E_PEER, "tee:qgs-size", 24 + 5000 - 100, false},
        {QGS_HUGE, CCZ_E_PEER, "tee:qgs-exchange", EMSGSIZE, false},
        {QGS_EMPTY, CCZ_E_PEER, "tee:qgs-exchange", EMSGSIZE, false},
        {QGS_TYPE, CCZ_E_UNSUPPORTED, "tee:qgs-header", 3, false},
        {QGS_REPLAY, CCZ_E_MISMATCH, "tee:binding", 0, true},
    };
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 65536);
    tdx_init();
    CCZ_AUTO(ccz_attester) a = NULL;
    CHECK(open_cfg(&a, "tdx-guest", -1) == CCZ_OK);
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        k.qgs_mode = t[i].mode;
        int64_t start_ms = k.now_ms;
        CHECK(refused(quote(&out, a), t[i].rc, t[i].where, t[i].hint) && err.aux == t[i].aux);
        CHECK(out.size == 0 && !out.bad && fake_all_closed(&k));
        CHECK(k.now_ms - start_ms < 5000 + 1000);
    }
    k.qgs_mode = QGS_GOOD;
    k.connect_error = ECONNRESET;
    CHECK(refused(quote(&out, a), CCZ_E_UNAVAILABLE, "tee:qgs-connect", true));
    k.connect_error = 0;
    k.interrupted = 1000000; /* EINTR for ever ends at the deadline */
    CHECK(refused(quote(&out, a), CCZ_E_TIMEOUT, "tee:tdx-report", false));
    k.interrupted = 0;
    k.outblob_size = 0;
    CHECK(refused(quote(&out, a), CCZ_E_PEER, "tee:empty", false));
    k.outblob_size = 5000;
    k.quote_version = 3;
    CHECK(refused(quote(&out, a), CCZ_E_UNSUPPORTED, "tee:quote-format", false));
    k.quote_version = 4;
    CCZ_AUTO_BUF small;
    ccz_buf_init(&small, 4999);
    CHECK(refused(quote(&small, a), CCZ_E_LIMIT, "tee:qgs-exchange", false) && small.size == 0);
    CHECK(quote(&out, a) == CCZ_OK && out.size == 5000); /* nothing of it stuck */
}

static void test_qgs_messages(void)
{
    uint8_t report[CCZI_TD_REPORT_MAC_SIZE] = {1, [1023] = 2};
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 4096);
    cczi_qgs_request_put(&b, report);
    static const uint8_t head[28] = {0, 0, 4, 0x18, 1, 0, 1, 0, 0, 0, 0, 0, 0x18, 4,
                                     0, 0, 0, 0,    0, 0, 0, 4, 0, 0, 0, 0, 0,    0};
    CHECK(b.size == 28 + 1024 && memcmp(b.ptr, head, 28) == 0 &&
          memcmp(b.ptr + 28, report, 1024) == 0);
    /* response: id of 2 bytes, quote of 5 */
    static const uint8_t good[] = {1, 0, 1, 0, 1, 0, 0, 0, 31, 0, 0,   0,   0,   0,   0,  0,
                                   2, 0, 0, 0, 5, 0, 0, 0, 7,  7, 'q', 'u', 'o', 't', 'e'};
    struct ccz_span q;
    CHECK(cczi_qgs_response_parse(&q, CCZ_SPAN(good, sizeof(good)), &err) == CCZ_OK);
    CHECK(ccz_span_eq(q, ccz_span_str("quote")));
    for (size_t size = 0; size < sizeof(good); size++) {
        uint8_t *cut = malloc(size ? size : 1);
        CHECK(cut != NULL);
        memcpy(cut, good, size);
        CHECK(refused(cczi_qgs_response_parse(&q, CCZ_SPAN(cut, size), &err), CCZ_E_PEER,
                      size < 16 ? "tee:qgs-header" : "tee:qgs-size", false));
        CHECK(q.ptr == NULL && q.size == 0);
        free(cut);
        err.hint[0] = 0;
    }
    static const struct {
        size_t at;
        uint8_t value;
        ccz_rc rc;
        const char *where;
    } t[] = {
        {0, 2, CCZ_E_UNSUPPORTED, "tee:qgs-header"}, {4, 0, CCZ_E_UNSUPPORTED, "tee:qgs-header"},
        {8, 30, CCZ_E_PEER, "tee:qgs-size"},         {8, 32, CCZ_E_PEER, "tee:qgs-size"},
        {13, 0x20, CCZ_E_PEER, "tee:qgs-error"},     {16, 1, CCZ_E_PEER, "tee:qgs-size"},
        {16, 3, CCZ_E_PEER, "tee:qgs-size"},         {19, 0xff, CCZ_E_PEER, "tee:qgs-size"},
        {20, 4, CCZ_E_PEER, "tee:qgs-size"},         {23, 0xff, CCZ_E_PEER, "tee:qgs-size"},
    };
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        uint8_t bad[sizeof(good)];
        memcpy(bad, good, sizeof(good));
        bad[t[i].at] = t[i].value;
        err = (struct ccz_err){0};
        ccz_rc rc = cczi_qgs_response_parse(&q, CCZ_SPAN(bad, sizeof(bad)), &err);
        CHECK(refused(rc, t[i].rc, t[i].where, strcmp(t[i].where, "tee:qgs-error") == 0));
        CHECK(q.size == 0);
    }
}

static void test_qgs_port(void)
{
    static const struct {
        const char *text;
        uint32_t port; /* 0 = refused */
    } t[] = {
        {"", 4050},
        {"port", 0}, /* no value */
        {"# port = 1\n\nother = 2\n", 4050},
        {"port=1", 1},
        {"\t port \t=  4294967294 # vsock\r\nport = 7\n", 4294967294u},
        {"ports = 8\nport = 9\n", 9},
        {"port = 0\n", 0},
        {"port = 4294967295\n", 0}, /* VMADDR_PORT_ANY */
        {"port = 4294967296\n", 0},
        {"port = 99999999999\n", 0},
        {"port = -1\n", 0},
        {"port = 12 34\n", 0},
        {"port =\n", 0},
    };
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        uint32_t port = 1;
        err = (struct ccz_err){0};
        ccz_rc rc = cczi_qgs_port_parse(&port, ccz_span_str(t[i].text), &err);
        CHECK(port == t[i].port);
        CHECK(t[i].port ? rc == CCZ_OK : refused(rc, CCZ_E_FORMAT, "tee:qgs-port", false));
    }
}

/* ---------------------------------------------------------------------------------- sev-guest */

static void sev_init(void)
{
    fake_init(&k);
    k.sev_device = true;
}

static void test_sev(void)
{
    sev_init();
    CCZ_AUTO(ccz_attester) a = NULL;
    CHECK(open_cfg(&a, "sev-guest", -1) == CCZ_OK && strcmp(ccz_attester_tee(a), "snp") == 0);
    CHECK(k.sent == 0); /* a request is no probe */
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 65536);
    CHECK(quote(&out, a) == CCZ_OK && out.size == 1184 && k.sent == 1); /* no certificates here */
    CHECK(memcmp(out.ptr + 0x50, report_data, 64) == 0 && out.ptr[0x30] == 0);
    size_t certs = fake_certs(&k);
    ccz_buf_clear(&out);
    CHECK(quote(&out, a) == CCZ_OK && out.size == 1184 + certs);
    CHECK(memcmp(out.ptr + 1184, k.certs, certs) == 0 && fake_all_closed(&k));
    CCZ_AUTO_BUF small;
    ccz_buf_init(&small, 1183);
    CHECK(refused(quote(&small, a), CCZ_E_LIMIT, "tee:sev-report", false) && small.size == 0);
}

static void test_sev_vmpl(void)
{
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 65536);
    for (int vmpl = -1; vmpl < 4; vmpl++) {
        CCZ_AUTO(ccz_attester) a = NULL;
        sev_init();
        k.running_vmpl = 2;
        k.vmpl_text = "2\n";
        ccz_buf_clear(&out);
        CHECK(open_cfg(&a, "sev-guest", vmpl) == CCZ_OK);
        if (vmpl >= 0 && vmpl < 2) {
            CHECK(refused(quote(&out, a), CCZ_E_PEER, "tee:sev-status", true) && err.aux == 0x16);
            CHECK(!k.key_wiped && out.size == 0); /* an answer, not a failure */
        } else {
            CHECK(quote(&out, a) == CCZ_OK && out.ptr[0x30] == (vmpl < 0 ? 2 : vmpl));
        }
    }
    CCZ_AUTO(ccz_attester) a = NULL;
    sev_init();
    CHECK(open_cfg(&a, "sev-guest", -1) == CCZ_OK);
    ccz_buf_clear(&out);
    k.other_vmpl = 3;
    CHECK(refused(quote(&out, a), CCZ_E_MISMATCH, "tee:vmpl", false));
    k.vmpl_text = "4\n";
    CHECK(refused(quote(&out, a), CCZ_E_IO, "tee:sev-vmpl", false));
    k.vmpl_text = "0";
    CHECK(refused(quote(&out, a), CCZ_E_IO, "tee:sev-vmpl", false));
    CHECK(k.sent == 1 && out.size == 0);
}

/* A failed request costs the key: each is sent once. */
static void test_sev_refuse(void)
{
    static const struct {
        int error;
        uint32_t fw, vmm;
        ccz_rc rc;
    } t[] = {
        {EIO, 0, 2, CCZ_E_UNAVAILABLE},   /* busy */
        {EIO, 0x16, 0, CCZ_E_PEER},       /* firmware */
        {EIO, 0, 0x7f, CCZ_E_PEER},       /* host */
        {EBADMSG, 0, 0, CCZ_E_PEER},      /* an answer that does not decrypt */
        {ETIMEDOUT, 0, 2, CCZ_E_TIMEOUT}, /* throttled for a minute */
        {ENOMEM, 0, 0, CCZ_E_IO},
    };
    struct ccz_attester *none = NULL;
    fake_init(&k);
    CHECK(refused(open_cfg(&none, "sev-guest", -1), CCZ_E_UNAVAILABLE, "tee:sev-device", true));
    k.sev_device = true;
    k.device_error = EPERM;
    CHECK(refused(open_cfg(&none, "sev-guest", -1), CCZ_E_DENIED, "tee:sev-device", true));
    CHECK(none == NULL);
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 65536);
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        CCZ_AUTO(ccz_attester) a = NULL;
        sev_init();
        CHECK(open_cfg(&a, "sev-guest", -1) == CCZ_OK);
        k.ioctl_error = t[i].error;
        k.fw_error = t[i].fw;
        k.vmm_error = t[i].vmm;
        CHECK(refused(quote(&out, a), t[i].rc, "tee:sev-request", true));
        CHECK(err.aux == t[i].error && k.sent == 1 && out.size == 0 && fake_all_closed(&k));
        k.ioctl_error = 0;
        CHECK(refused(quote(&out, a), CCZ_E_UNAVAILABLE, "tee:sev-request", true));
        CHECK(err.aux == ENOTTY && strstr(err.hint, "reboot") != NULL && k.sent == 1);
    }
    CCZ_AUTO(ccz_attester) a = NULL;
    sev_init();
    CHECK(open_cfg(&a, "sev-guest", -1) == CCZ_OK);
    k.device_error = ENODEV; /* unloaded meanwhile */
    CHECK(refused(quote(&out, a), CCZ_E_UNAVAILABLE, "tee:sev-device", true));
    k.device_error = 0;
    k.other_data = 1;
    CHECK(refused(quote(&out, a), CCZ_E_MISMATCH, "tee:binding", true));
    k.snp_status = 0x27;
    CHECK(refused(quote(&out, a), CCZ_E_PEER, "tee:sev-status", false) && err.aux == 0x27);
    k.snp_status = 0;
    k.snp_report_size = 4000;
    CHECK(refused(quote(&out, a), CCZ_E_UNSUPPORTED, "tee:sev-report-size", false));
    CHECK(!k.key_wiped && out.size == 0);
}

static int warnings;
static void count_warnings(void *arg, enum ccz_log_level level, const char *module,
                           const char *line)
{
    (void)arg;
    warnings += level == CCZ_LOG_WARN && strcmp(module, "tee") == 0 &&
                strstr(line, "certificates-too-large size=20480") != NULL;
}

/* Host error 1: more certificates than any buffer of the driver. The report comes without, and it is said. */
static void test_sev_certs(void)
{
    sev_init();
    CCZ_AUTO(ccz_attester) a = NULL;
    CHECK(open_cfg(&a, "sev-guest", -1) == CCZ_OK);
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 65536);
    (void)fake_certs(&k);
    k.certs_size = 16385;
    ccz_log_install(count_warnings, NULL, CCZ_LOG_WARN);
    CHECK(quote(&out, a) == CCZ_OK && out.size == 1184 && warnings == 1);
    ccz_log_install(NULL, NULL, CCZ_LOG_ERROR);
    CHECK(k.sent == 3 && !k.key_wiped && k.sent_ms[2] - k.sent_ms[0] >= 2000);
    ccz_buf_clear(&out);
    k.certs_size = 16384; /* just fits */
    CHECK(quote(&out, a) == CCZ_OK && out.size == 1184 + 1572);
    memset(k.certs + 48, 1, 24); /* a third entry, far away */
    ccz_buf_clear(&out);
    CHECK(refused(quote(&out, a), CCZ_E_PEER, "tee:snp-table", false) && out.size == 0);
}

static void test_snp_table(void)
{
    sev_init();
    size_t size, whole = fake_certs(&k);
    CHECK(cczi_snp_table_size(&size, CCZ_SPAN(k.certs, whole), &err) == CCZ_OK && size == whole);
    CHECK(cczi_snp_table_size(&size, CCZ_SPAN(k.certs, whole + 100), &err) == CCZ_OK &&
          size == whole);
    static const uint8_t zero[48];
    CHECK(cczi_snp_table_size(&size, CCZ_SPAN(zero, 48), &err) == CCZ_OK && size == 0);
    for (size_t cut = 0; cut < whole; cut++) {
        uint8_t *p = malloc(cut ? cut : 1);
        CHECK(p != NULL);
        memcpy(p, k.certs, cut);
        CHECK(refused(cczi_snp_table_size(&size, CCZ_SPAN(p, cut), &err), CCZ_E_PEER,
                      "tee:snp-table", false));
        CHECK(size == 0);
        free(p);
    }
    k.certs[16] = 71; /* into the entries */
    CHECK(refused(cczi_snp_table_size(&size, CCZ_SPAN(k.certs, whole), &err), CCZ_E_PEER,
                  "tee:snp-table", false));
    memset(k.certs + 16, 0xff, 8); /* nowhere */
    CHECK(refused(cczi_snp_table_size(&size, CCZ_SPAN(k.certs, whole), &err), CCZ_E_PEER,
                  "tee:snp-table", false));
    memcpy(k.certs + 16, "\x48\0\0\0\xb8\xff\xff\xff", 8); /* offset + length = 2^32 */
    CHECK(refused(cczi_snp_table_size(&size, CCZ_SPAN(k.certs, whole), &err), CCZ_E_PEER,
                  "tee:snp-table", false));
    memset(k.certs + 20, 0, 4); /* an empty slot */
    CHECK(cczi_snp_table_size(&size, CCZ_SPAN(k.certs, whole), &err) == CCZ_OK && size == whole);
    memset(k.certs + 44, 0, 4); /* both empty: the entries remain */
    CHECK(cczi_snp_table_size(&size, CCZ_SPAN(k.certs, whole), &err) == CCZ_OK && size == 72);
}

static void *quote_once(void *arg)
{
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 65536);
    CHECK(ccz_attester_quote(&out, arg, report_data, NULL) == CCZ_OK);
    return NULL;
}

/* One request in 2 s, also from several threads; who would come too late is told so, and nothing is sent. */
static void test_sev_pace(void)
{
    sev_init();
    CCZ_AUTO(ccz_attester) a = NULL;
    CCZ_AUTO(ccz_attester) patient = NULL; /* the model's clock adds up the sleep of all threads */
    CHECK(open_cfg(&a, "sev-guest", -1) == CCZ_OK);
    timeout_ms = 3600000;
    CHECK(open_cfg(&patient, "sev-guest", -1) == CCZ_OK);
    timeout_ms = 5000;
    pthread_t t[3];
    for (size_t i = 0; i < 3; i++)
        CHECK(pthread_create(&t[i], NULL, quote_once, patient) == 0);
    for (size_t i = 0; i < 3; i++)
        CHECK(pthread_join(t[i], NULL) == 0);
    CHECK(k.sent == 3 && k.sent_ms[1] - k.sent_ms[0] >= 2000 &&
          k.sent_ms[2] - k.sent_ms[1] >= 2000);
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 65536);
    k.interrupted = 1000; /* each try waits for its turn: the deadline of 5 s allows three */
    CHECK(refused(quote(&out, a), CCZ_E_TIMEOUT, "tee:sev-pace", true));
    CHECK(k.sent == 3 && k.interrupted >= 1000 - 3 && k.interrupted < 1000);
    k.interrupted = 0;
    CHECK(quote(&out, a) == CCZ_OK && out.size == 1184);
}

/* ----------------------------------------------------------------------------------- detection */

static void test_detect(void)
{
    static const char *const names[] = {"gramine", "configfs", "tdx-guest", "sev-guest"};
    struct ccz_attester_probe p[CCZ_ATTESTER_PROBES];
    struct cczi_tee_fs fs = fake_fs(&k);
    fake_init(&k);
    k.mounted = false;
    CHECK(cczi_attester_detect(p, "/fake", &fs) == 0);
    for (size_t i = 0; i < CCZ_ATTESTER_PROBES; i++) {
        CHECK(strcmp(p[i].provider, names[i]) == 0 && p[i].tee == NULL);
        CHECK(p[i].err.rc == CCZ_E_UNAVAILABLE && p[i].err.hint[0] != 0);
    }
    k.mounted = k.tdx_device = true;
    CHECK(cczi_attester_detect(p, "/fake", &fs) == 2);
    CHECK(p[0].tee == NULL && strcmp(p[1].tee, "tdx") == 0 && strcmp(p[2].tee, "tdx") == 0);
    CHECK(p[1].err.rc == CCZ_OK && p[3].tee == NULL && fake_all_closed(&k));
    fake_init(&k);
    k.sev_device = true;
    k.provider = "sev_guest\n";
    k.attestation_type = "dcap";
    CHECK(cczi_attester_detect(p, "/fake", &fs) == 3 && k.sent == 0);
    CHECK(strcmp(p[0].tee, "sgx") == 0 && strcmp(p[1].tee, "snp") == 0 &&
          strcmp(p[3].tee, "snp") == 0);
    CHECK(ccz_attester_detect(p, "/nonexistent") == 0); /* the real table */
}

/* ------------------------------------------------------------------------- registers, event log */

static void test_rtmr(void)
{
    struct cczi_tee_fs fs = fake_fs(&k);
    uint8_t digest[48], value[48], both[96] = {0}, want[48];
    memset(digest, 0x21, sizeof(digest));
    fake_init(&k);
    k.rtmr_files = true;
    k.interrupted = 3; /* repeated: one extend, not four */
    CHECK(cczi_rtmr_extend(2, digest, "/fake", &fs, &err) == CCZ_OK && k.interrupted == 0);
    memcpy(both + 48, digest, 48);
    SHA384(both, sizeof(both), want);
    k.interrupted = 2;
    k.read_max = 20;
    CHECK(cczi_rtmr_read(value, 2, "/fake", &fs, &err) == CCZ_OK && memcmp(value, want, 48) == 0);
    CHECK(cczi_rtmr_extend(2, digest, "/fake", &fs, &err) == CCZ_OK);
    memcpy(both, want, 48);
    SHA384(both, sizeof(both), want);
    CHECK(memcmp(k.rtmr[2], want, 48) == 0 && k.rtmr[3][0] == 0 && fake_all_closed(&k));
}

static void test_rtmr_refuse(void)
{
    static const uint8_t digest[48], zero[48];
    struct cczi_tee_fs fs = fake_fs(&k);
    uint8_t value[48] = {1};
    fake_init(&k);
    CHECK(refused(cczi_rtmr_extend(4, digest, "/fake", &fs, &err), CCZ_E_ARG, "tee:rtmr-extend",
                  false));
    CHECK(cczi_rtmr_read(value, 4, "/fake", &fs, &err) == CCZ_E_ARG);
    err = (struct ccz_err){0};
    CHECK(refused(cczi_rtmr_extend(3, digest, "/fake", &fs, &err), CCZ_E_UNAVAILABLE,
                  "tee:rtmr-extend", true));
    CHECK(strstr(err.hint, "modprobe") != NULL);
    k.tdx_device = true; /* a TD, but its kernel is too old */
    CHECK(refused(cczi_rtmr_read(value, 0, "/fake", &fs, &err), CCZ_E_UNAVAILABLE, "tee:rtmr-read",
                  true));
    CHECK(strstr(err.hint, "modprobe") == NULL && memcmp(value, zero, 48) == 0);
    k.rtmr_files = k.rtmr_denied = true;
    CHECK(refused(cczi_rtmr_extend(3, digest, "/fake", &fs, &err), CCZ_E_DENIED, "tee:rtmr-extend",
                  true));
    k.rtmr_denied = false;
    k.ioctl_error = EIO;
    CHECK(refused(cczi_rtmr_extend(3, digest, "/fake", &fs, &err), CCZ_E_IO, "tee:rtmr-extend",
                  true));
    k.ioctl_error = 0;
    k.short_write = true; /* the model refuses any other size, as the kernel does */
    CHECK(cczi_rtmr_extend(3, digest, "/fake", &fs, &err) == CCZ_E_IO && err.aux == EINVAL);
    k.short_write = false;
    k.interrupted = 1000000;
    CHECK(cczi_rtmr_extend(3, digest, "/fake", &fs, &err) == CCZ_E_IO && err.aux == EINTR);
    CHECK(cczi_rtmr_read(value, 3, "/fake", &fs, &err) == CCZ_E_IO && err.aux == EINTR);
    k.interrupted = 0;
    CHECK(memcmp(k.rtmr[3], zero, 48) == 0);
    static const size_t sizes[] = {0, 32, 47, 49, 96, 97, 4096};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        k.rtmr_read_size = sizes[i];
        err = (struct ccz_err){0};
        CHECK(refused(cczi_rtmr_read(value, 3, "/fake", &fs, &err), CCZ_E_PEER, "tee:rtmr-read",
                      false));
    }
    CHECK(ccz_rtmr_read(value, 0, "/nonexistent", NULL) == CCZ_E_UNAVAILABLE); /* the real table */
    CHECK(ccz_rtmr_extend(0, digest, "/nonexistent", NULL) == CCZ_E_UNAVAILABLE);
}

static void test_ccel(void)
{
    static uint8_t log_bytes[10000];
    struct cczi_tee_fs fs = fake_fs(&k);
    memset(log_bytes, 0x5a, sizeof(log_bytes));
    fake_init(&k);
    CCZ_AUTO_BUF table;
    CCZ_AUTO_BUF log;
    ccz_buf_init(&table, 4096);
    ccz_buf_init(&log, sizeof(log_bytes));
    err = (struct ccz_err){0};
    CHECK(refused(cczi_ccel_read(&table, &log, "/fake", &fs, &err), CCZ_E_UNAVAILABLE,
                  "tee:ccel-table", true));
    k.ccel_table = ccz_span_str("CCEL table");
    CHECK(refused(cczi_ccel_read(&table, &log, "/fake", &fs, &err), CCZ_E_UNAVAILABLE,
                  "tee:ccel-log", true));
    CHECK(table.size == 0); /* all or nothing */
    k.ccel_log = CCZ_SPAN(log_bytes, sizeof(log_bytes));
    k.read_max = 999;
    CHECK(cczi_ccel_read(&table, &log, "/fake", &fs, &err) == CCZ_OK);
    CHECK(ccz_span_eq(ccz_buf_span(&table), k.ccel_table) &&
          ccz_span_eq(ccz_buf_span(&log), k.ccel_log));
    k.ccel_error = EACCES;
    CHECK(refused(cczi_ccel_read(&table, &log, "/fake", &fs, &err), CCZ_E_DENIED, "tee:ccel-table",
                  true));
    k.ccel_error = 0;
    err.hint[0] = 0;
    CCZ_AUTO_BUF small;
    ccz_buf_init(&small, sizeof(log_bytes) - 1);
    CHECK(refused(cczi_ccel_read(&table, &small, "/fake", &fs, &err), CCZ_E_LIMIT, "tee:ccel-log",
                  false));
    CHECK(small.size == 0 && table.size == 10 && fake_all_closed(&k));
    CHECK(ccz_ccel_read(&table, &log, "/nonexistent", NULL) == CCZ_E_UNAVAILABLE);
}

/* --------------------------------------------------------------------------- the POSIX table */

static void test_posix(void)
{
    const struct cczi_tee_fs *fs = &cczi_tee_fs_posix;
    int s[2];
    char c = 'x';
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s) == 0);
    CHECK(fs->wait(NULL, s[0], false, 1) == 0 && fs->wait(NULL, s[0], true, -5) == 1);
    CHECK(fs->read(NULL, s[0], &c, 1) == -EAGAIN && fs->send(NULL, s[0], &c, 1) == 1);
    CHECK(fs->wait(NULL, s[1], false, INT64_MAX) == 1 && fs->read(NULL, s[1], &c, 1) == 1);
    CHECK(fs->close(NULL, s[1]) == 0);
    CHECK(fs->send(NULL, s[0], &c, 1) == -EPIPE); /* and no signal */
    CHECK(fs->ioctl(NULL, s[0], 0xc4405401ul, &c) < 0);
    CHECK(fs->close(NULL, s[0]) == 0);
    CHECK(fs->connect(NULL, 2, 1, 200) < 0); /* this machine has no service there */
}

static const struct ccz_test tests[] = {
    {"tee.tdx", test_tdx},
    {"tee.tdx_open", test_tdx_open},
    {"tee.tdx_refuse", test_tdx_refuse},
    {"tee.qgs_messages", test_qgs_messages},
    {"tee.qgs_port", test_qgs_port},
    {"tee.sev", test_sev},
    {"tee.sev_vmpl", test_sev_vmpl},
    {"tee.sev_refuse", test_sev_refuse},
    {"tee.sev_certs", test_sev_certs},
    {"tee.snp_table", test_snp_table},
    {"tee.sev_pace", test_sev_pace},
    {"tee.detect", test_detect},
    {"tee.rtmr", test_rtmr},
    {"tee.rtmr_refuse", test_rtmr_refuse},
    {"tee.ccel", test_ccel},
    {"tee.posix", test_posix},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
