/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The software TEE as an AMD processor: SEV-SNP reports of version 5 (AMD 56860, section 7.3) of a Milan that nobody
 * made, signed by its VCEK, with the certificate table (AMD 56421, section 4.1.8.1) behind them. The formats are the
 * real ones; ARK, ASK and VCEK are under a test root with P-384 keys, and their names say SIMULATED.
 */
#include "tee/sim_priv.h"
#include "tee/tee_priv.h"

#include <cczoo/codec.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ORGANISATION      "SIMULATED CCZoo software TEE"
#define MEASUREMENT_LABEL "cczoo sim snp v1"
#define AMD               "1.3.6.1.4.1.3704.1"
enum {
    DAY_S = 86400,
    COLLATERAL_S = 30 * DAY_S,
    CERT_EXTRA_S = 7 * 365 * DAY_S,
    FILE_SIZE_MAX = 16384,
    PATH_SIZE = 4096,
    SIGNED_SIZE = 0x2a0,
    SIG_INT_SIZE = 48,
    CHIP_ID_SIZE = 64,
    IA5_STRING = 0x16
};
/* Security patch levels, in the VCEK's certificate and in all TCB versions of the report. */
enum { SPL_BOOT_LOADER = 4, SPL_TEE = 0, SPL_SNP = 24, SPL_MICROCODE = 219 };
enum { FIRMWARE_MAJOR = 1, FIRMWARE_MINOR = 55, FIRMWARE_BUILD = 29 };

struct cczi_sim_snp {
    struct ccz_key *vcek;
    uint8_t chip_id[CHIP_ID_SIZE];
    bool debug;
    struct ccz_buf table;
};

/* A chip is its key. */
static ccz_rc chip_id_of(uint8_t out[CHIP_ID_SIZE], const struct ccz_key *vcek)
{
    uint8_t xy[96];
    ccz_rc rc = ccz_key_xy(xy, vcek);
    struct ccz_span part = CCZ_SPAN(xy, sizeof(xy));
    return rc == CCZ_OK ? ccz_hash(out, CCZ_SHA512, &part, 1) : rc;
}

/* ----------------------------------------------------------------------------------- platform */

struct authority {
    struct ccz_key *ark_key, *ask_key, *vcek_key;
    struct ccz_cert *ark, *ask, *vcek;
    struct ccz_buf crl;
    int64_t now_s, next_update_s;
};

static void authority_deinit(struct authority *a)
{
    ccz_key_free(a->ark_key);
    ccz_key_free(a->ask_key);
    ccz_key_free(a->vcek_key);
    ccz_cert_free(a->ark);
    ccz_cert_free(a->ask);
    ccz_cert_free(a->vcek);
    ccz_buf_free(&a->crl);
}

/* Extensions of AMD 57230: structVersion, productName, patch levels, hwID. */
enum { EXTS = 11 };
struct exts {
    uint8_t bytes[EXTS][16];
    struct ccz_cert_ext_in list[EXTS];
};

static void set_exts(struct exts *e, const uint8_t chip_id[CHIP_ID_SIZE])
{
    static const struct {
        const char *oid;
        uint8_t value;
    } numbers[] = {
        {AMD ".1", 0},
        {AMD ".3.1", SPL_BOOT_LOADER},
        {AMD ".3.2", SPL_TEE},
        {AMD ".3.3", SPL_SNP},
        {AMD ".3.4", 0},
        {AMD ".3.5", 0},
        {AMD ".3.6", 0},
        {AMD ".3.7", 0},
        {AMD ".3.8", SPL_MICROCODE},
    };
    static const uint8_t product[] = {IA5_STRING, 8, 'M', 'i', 'l', 'a', 'n', '-', 'B', '1'};
    size_t len = 0;
    for (; len < sizeof(numbers) / sizeof(numbers[0]); len++) {
        bool high = numbers[len].value >= 0x80; /* INTEGER is signed */
        const uint8_t der[4] = {CCZ_DER_INTEGER, high ? 2 : 1, high ? 0 : numbers[len].value,
                                numbers[len].value};
        memcpy(e->bytes[len], der, sizeof(der));
        e->list[len] = (struct ccz_cert_ext_in){.oid = numbers[len].oid,
                                                .value = CCZ_SPAN(e->bytes[len], high ? 4 : 3)};
    }
    e->list[len++] =
        (struct ccz_cert_ext_in){.oid = AMD ".2", .value = CCZ_SPAN(product, sizeof(product))};
    e->list[len] =
        (struct ccz_cert_ext_in){.oid = AMD ".4", .value = CCZ_SPAN(chip_id, CHIP_ID_SIZE)};
}

static ccz_rc issue(struct ccz_cert **out, struct ccz_cert_cfg cfg, const struct authority *a,
                    struct ccz_err *err)
{
    CCZ_AUTO_BUF der;
    ccz_buf_init(&der, FILE_SIZE_MAX);
    cfg.org = ORGANISATION;
    cfg.not_before_s = a->now_s;
    cfg.not_after_s = a->next_update_s + CERT_EXTRA_S;
    ccz_rc rc = ccz_cert_issue(&der, &cfg, err);
    return rc == CCZ_OK ? ccz_cert_parse(out, ccz_buf_span(&der), err) : rc;
}

static ccz_rc issue_all(struct authority *a, struct ccz_err *err)
{
    uint8_t chip_id[CHIP_ID_SIZE];
    struct exts exts;
    if (chip_id_of(chip_id, a->vcek_key) != CCZ_OK)
        return ccz_fail(err, CCZ_E_INTERNAL, "tee:sim-snp", 0, "cannot hash");
    set_exts(&exts, chip_id);
    ccz_rc rc = issue(
        &a->ark, (struct ccz_cert_cfg){.cn = "ARK-Milan", .key = a->ark_key, .ca = true}, a, err);
    if (rc == CCZ_OK)
        rc = issue(&a->ask,
                   (struct ccz_cert_cfg){.cn = "SEV-Milan",
                                         .key = a->ask_key,
                                         .issuer = a->ark,
                                         .issuer_key = a->ark_key,
                                         .ca = true},
                   a, err);
    if (rc == CCZ_OK)
        rc = issue(&a->vcek,
                   (struct ccz_cert_cfg){.cn = "SEV-VCEK",
                                         .key = a->vcek_key,
                                         .issuer = a->ask,
                                         .issuer_key = a->ask_key,
                                         .ext = exts.list,
                                         .ext_len = EXTS},
                   a, err);
    if (rc == CCZ_OK &&
        ccz_crl_issue(&a->crl, a->ark, a->ark_key, a->now_s, a->next_update_s, NULL, 0) != CCZ_OK)
        rc = ccz_fail(err, CCZ_E_INTERNAL, "tee:sim-snp", 0, "cannot make the CRL");
    return rc;
}

static void put_table(struct ccz_buf *out, const struct authority *a)
{
    static const uint8_t guids[3][16] = {{0x63, 0xda, 0x75, 0x8d, 0xe6, 0x64, 0x45, 0x64, 0xad,
                                          0xc5, 0xf4, 0xb9, 0x3b, 0xe8, 0xac, 0xcd},
                                         {0x4a, 0xb7, 0xb3, 0x79, 0xbb, 0xac, 0x4f, 0xe4, 0xa0,
                                          0x2f, 0x05, 0xae, 0xf3, 0x27, 0xc7, 0x82},
                                         {0xc0, 0xb4, 0x06, 0xa4, 0xa8, 0x03, 0x49, 0x52, 0x97,
                                          0x43, 0x3f, 0xb6, 0x01, 0x4c, 0xd0, 0xae}};
    const struct ccz_cert *certs[3] = {a->vcek, a->ask, a->ark};
    static const uint8_t end[24];
    size_t at = 4 * sizeof(end);
    for (size_t i = 0; i < 3; i++) {
        struct ccz_span der = ccz_cert_der(certs[i]);
        ccz_buf_put(out, guids[i], sizeof(guids[i]));
        ccz_buf_le32(out, (uint32_t)at);
        ccz_buf_le32(out, (uint32_t)der.size);
        at += der.size;
    }
    ccz_buf_put(out, end, sizeof(end));
    for (size_t i = 0; i < 3; i++)
        ccz_buf_put_span(out, ccz_cert_der(certs[i]));
}

static ccz_rc path_of(char path[PATH_SIZE], const char *dir, const char *name, struct ccz_err *err)
{
    int n = snprintf(path, PATH_SIZE, "%s/%s", dir, name);
    if (n < 0 || n >= PATH_SIZE)
        return ccz_fail(err, CCZ_E_ARG, "tee:sim-dir", n, "the directory name is too long");
    return CCZ_OK;
}

static ccz_rc write_file(const char *dir, const char *name, struct ccz_span data, unsigned perm,
                         struct ccz_err *err)
{
    char path[PATH_SIZE];
    ccz_rc rc = path_of(path, dir, name, err);
    if (rc == CCZ_OK && data.size == 0) /* a buffer that went bad */
        rc = ccz_fail(err, CCZ_E_NOMEM, "tee:sim-snp", 0, "cannot build %s", name);
    return rc == CCZ_OK ? ccz_file_write(path, data, perm, CCZ_FILE_CREATE_ONLY, err) : rc;
}

static ccz_rc write_files(const char *dir, const struct authority *a, struct ccz_err *err)
{
    CCZ_AUTO_BUF table;
    CCZ_AUTO_BUF ark;
    CCZ_AUTO_BUF ask;
    ccz_buf_init(&table, FILE_SIZE_MAX);
    ccz_buf_init(&ark, FILE_SIZE_MAX);
    ccz_buf_init(&ask, FILE_SIZE_MAX);
    put_table(&table, a);
    cczi_sim_pem_chain(&ark, (const struct ccz_cert *const[]){a->ark}, 1);
    cczi_sim_pem_chain(&ask, (const struct ccz_cert *const[]){a->ask}, 1);
    ccz_rc rc = write_file(dir, "platform/snp/cert_table.bin", ccz_buf_span(&table), 0600, err);
    if (rc == CCZ_OK)
        rc = write_file(dir, "trust/snp/vcek.der", ccz_cert_der(a->vcek), 0644, err);
    if (rc == CCZ_OK)
        rc = write_file(dir, "trust/snp/crl.der", ccz_buf_span(&a->crl), 0644, err);
    if (rc == CCZ_OK)
        rc = write_file(dir, "trust/snp/ask.pem", ccz_buf_span(&ask), 0644, err);
    return rc == CCZ_OK ? write_file(dir, "trust/snp/ark.pem", ccz_buf_span(&ark), 0644, err) : rc;
}

static ccz_rc write_dirs(const char *dir, const struct authority *a, struct ccz_err *err)
{
    static const struct {
        const char *name;
        unsigned perm;
    } dirs[] = {{"platform", 0700}, {"platform/snp", 0700}, {"trust", 0755}, {"trust/snp", 0755}};
    char path[PATH_SIZE];
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]) && rc == CCZ_OK; i++) {
        rc = path_of(path, dir, dirs[i].name, err);
        if (rc == CCZ_OK)
            rc = ccz_dir_make(path, dirs[i].perm, err);
    }
    if (rc == CCZ_OK)
        rc = path_of(path, dir, "platform/snp/vcek_key.pem", err);
    return rc == CCZ_OK ? ccz_key_save(a->vcek_key, path, err) : rc;
}

ccz_rc cczi_sim_snp_init(const char *dir, const struct ccz_sim_cfg *cfg, struct ccz_err *err)
{
    struct authority a = {.now_s = cfg->now_s};
    a.next_update_s = cfg->now_s + (cfg->valid_s ? cfg->valid_s : COLLATERAL_S);
    ccz_buf_init(&a.crl, FILE_SIZE_MAX);
    struct ccz_key **keys[] = {&a.ark_key, &a.ask_key, &a.vcek_key};
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]) && rc == CCZ_OK; i++)
        if ((rc = ccz_key_generate(keys[i], CCZ_P384)) != CCZ_OK)
            ccz_fail(err, rc, "tee:sim-snp", 0, "cannot generate a key");
    if (rc == CCZ_OK)
        rc = issue_all(&a, err);
    if (rc == CCZ_OK)
        rc = write_dirs(dir, &a, err);
    if (rc == CCZ_OK)
        rc = write_files(dir, &a, err);
    authority_deinit(&a);
    return rc;
}

/* ------------------------------------------------------------------------------------ loading */

static ccz_rc load_platform(struct cczi_sim_snp *s, const char *sim_dir, struct ccz_err *err)
{
    char path[PATH_SIZE];
    ccz_rc rc = path_of(path, sim_dir, "platform/snp/cert_table.bin", err);
    if (rc == CCZ_OK)
        rc = ccz_file_read(&s->table, path, err);
    if (rc != CCZ_OK)
        return ccz_hint(err, rc, "make a simulated platform with `cczoo sim init DIR`");
    rc = path_of(path, sim_dir, "platform/snp/vcek_key.pem", err);
    if (rc == CCZ_OK)
        rc = ccz_key_load(&s->vcek, path, err);
    if (rc != CCZ_OK)
        return rc;
    if (ccz_key_curve(s->vcek) != CCZ_P384)
        return ccz_fail(err, CCZ_E_FORMAT, "tee:sim-key", 0, "%s is not a P-384 key", path);
    if (chip_id_of(s->chip_id, s->vcek) != CCZ_OK)
        return ccz_fail(err, CCZ_E_INTERNAL, "tee:sim-key", 0, "cannot hash");
    return CCZ_OK;
}

static ccz_rc measure_self(struct ccz_attester *a, const struct ccz_attester_cfg *cfg,
                           struct ccz_err *err)
{
    uint8_t m[32];
    ccz_rc rc =
        ccz_sim_measure(m, "/proc/self/exe", cfg->record, cfg->measure, cfg->measure_len, err);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_span parts[] = {CCZ_SPAN(MEASUREMENT_LABEL, sizeof(MEASUREMENT_LABEL)),
                               CCZ_SPAN(m, sizeof(m))};
    a->measurement_size = 48;
    if (ccz_hash(a->measurement, CCZ_SHA384, parts, 2) != CCZ_OK)
        return ccz_fail(err, CCZ_E_INTERNAL, "tee:measure", 0, "cannot hash");
    return CCZ_OK;
}

static ccz_rc snp_open(struct ccz_attester *a, const struct ccz_attester_cfg *cfg,
                       struct ccz_err *err)
{
    if (!cfg->sim_dir)
        return ccz_fail(err, CCZ_E_ARG, "tee:sim-dir", 0, "the software TEE needs sim_dir");
    struct cczi_sim_snp *s = calloc(1, sizeof(*s));
    if (!s)
        return ccz_fail(err, CCZ_E_NOMEM, "tee:open", 0, "out of memory");
    a->sim_snp = s; /* released by snp_close() in any case */
    a->kind = CCZI_TEE_SNP;
    s->debug = cfg->sim_debug;
    ccz_buf_init(&s->table, FILE_SIZE_MAX);
    ccz_rc rc = load_platform(s, cfg->sim_dir, err);
    return rc == CCZ_OK ? measure_self(a, cfg, err) : rc;
}

static void snp_close(struct ccz_attester *a)
{
    if (!a->sim_snp)
        return;
    ccz_key_free(a->sim_snp->vcek);
    ccz_buf_free(&a->sim_snp->table);
    free(a->sim_snp);
}

/* ------------------------------------------------------------------------------------ reports */

static void put_zeros(struct ccz_buf *b, size_t size)
{
    uint8_t *p = ccz_buf_extend(b, size);
    if (p)
        memset(p, 0, size);
}

static void put_tcb(struct ccz_buf *b)
{
    static const uint8_t tcb[8] = {SPL_BOOT_LOADER, SPL_TEE, 0, 0, 0, 0, SPL_SNP, SPL_MICROCODE};
    ccz_buf_put(b, tcb, sizeof(tcb));
}

static void put_version(struct ccz_buf *b)
{
    static const uint8_t version[4] = {FIRMWARE_BUILD, FIRMWARE_MINOR, FIRMWARE_MAJOR, 0};
    ccz_buf_put(b, version, sizeof(version));
}

/* 000 to 29f: what is signed. */
static void put_body(struct ccz_buf *b, const struct ccz_attester *a,
                     const struct cczi_tee_request *q)
{
    enum { POLICY_SMT = 1 << 16, POLICY_ONE = 1 << 17, POLICY_DEBUG = 1 << 19 };
    static const uint8_t milan[3] = {0x19, 0x01, 0x01}, nobody[32] = {0};
    const struct cczi_sim_snp *s = a->sim_snp;
    uint8_t migration_agent[32];
    memset(migration_agent, 0xff, sizeof(migration_agent)); /* there is none */
    ccz_buf_le32(b, 5);                                     /* 000 version */
    ccz_buf_le32(b, 0);                                     /* 004 guest SVN */
    ccz_buf_le64(b, POLICY_SMT | POLICY_ONE | (s->debug ? POLICY_DEBUG : 0));
    put_zeros(b, 32); /* 010 family and image id */
    ccz_buf_le32(b, q->vmpl < 0 ? 0 : (uint32_t)q->vmpl);
    ccz_buf_le32(b, 1);    /* 034 ECDSA P-384 with SHA-384 */
    put_tcb(b);            /* 038 current */
    ccz_buf_le64(b, 0x25); /* 040 SMT, ECC, alias check complete */
    ccz_buf_le32(b, 0);    /* 048 signed by the VCEK, no author key */
    ccz_buf_le32(b, 0);
    ccz_buf_put(b, q->report_data, 64);
    ccz_buf_put(b, a->measurement, 48);
    put_zeros(b, 32 + 48 + 48);             /* 0c0 host data, id key, author key */
    ccz_buf_put(b, nobody, sizeof(nobody)); /* 140 report id: one guest, always the same */
    ccz_buf_put(b, migration_agent, sizeof(migration_agent));
    put_tcb(b); /* 180 reported */
    ccz_buf_put(b, milan, sizeof(milan));
    put_zeros(b, 21);
    ccz_buf_put(b, s->chip_id, sizeof(s->chip_id));
    put_tcb(b); /* 1e0 committed */
    put_version(b);
    put_version(b);
    put_tcb(b);        /* 1f0 launch */
    put_zeros(b, 168); /* 1f8 mitigation vectors, reserved */
}

static ccz_rc snp_quote(struct ccz_attester *a, struct cczi_tee_request *q, struct ccz_err *err)
{
    uint8_t sig[2 * SIG_INT_SIZE], area[512] = {0};
    q->vmpl = a->vmpl;
    put_body(q->out, a, q);
    struct ccz_span body = ccz_buf_span(q->out);
    if (body.size == SIGNED_SIZE && ccz_ecdsa_sign(sig, a->sim_snp->vcek, &body, 1) != CCZ_OK)
        return ccz_fail(err, CCZ_E_INTERNAL, "tee:sim-sign", 0, "cannot sign the report");
    for (size_t i = 0; i < SIG_INT_SIZE; i++) { /* little-endian, 72 bytes each */
        area[i] = sig[SIG_INT_SIZE - 1 - i];
        area[72 + i] = sig[2 * SIG_INT_SIZE - 1 - i];
    }
    ccz_buf_put(q->out, area, sizeof(area));
    ccz_buf_put_span(q->certs, ccz_buf_span(&a->sim_snp->table));
    if (q->out->bad || q->certs->bad)
        return ccz_fail(err, CCZ_E_LIMIT, "tee:sim-quote", (int64_t)q->out->max_size,
                        "the report is larger than the buffer may grow");
    return CCZ_OK;
}

const struct cczi_tee_provider cczi_tee_sim_snp = {"sim-snp", true,      snp_open,
                                                   snp_quote, snp_close, NULL};
