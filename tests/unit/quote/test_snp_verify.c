/* SPDX-License-Identifier: Apache-2.0 */
/* SEV-SNP: what is accepted, and a defect for every check. */
#include "quote/snp_kit.h"
#include "quote/snp_priv.h"

#include "ccz_test.h"

#define LEN(a) (sizeof(a) / sizeof((a)[0]))
enum { DAY = 86400 };
static const int64_t now_s = SNP_KIT_NOW_S;

static void expect(const struct snp_kit_cfg *cfg, ccz_rc want, const char *where)
{
    struct snp_kit k;
    struct ccz_claims claims;
    static const struct ccz_claims none;
    struct ccz_err err = {0};
    snp_kit_new(&k, cfg);
    ccz_rc rc = snp_kit_verify(&claims, &k, &err);
    bool good = rc == want && (rc == CCZ_OK || strcmp(err.where, where) == 0);
    if (!good)
        fprintf(stderr, "%s at %s: %s; expected %s at %s\n", ccz_rc_name(rc), err.where, err.msg,
                ccz_rc_name(want), where);
    CHECK(good);
    CHECK(rc == CCZ_OK || memcmp(&claims, &none, sizeof(none)) == 0);
    snp_kit_free(&k);
}

static struct snp_kit_cfg milan(void)
{
    struct snp_kit_cfg cfg;
    snp_kit_default(&cfg, CCZ_SNP_MILAN, CCZ_SNP_VCEK, 3);
    return cfg;
}

static struct snp_kit_cfg turin(void)
{
    struct snp_kit_cfg cfg;
    snp_kit_default(&cfg, CCZ_SNP_TURIN, CCZ_SNP_VCEK, 5);
    return cfg;
}

/* ---------------------------------------------------------------------------------- accepted */

static const struct {
    enum ccz_snp_product product;
    enum ccz_snp_signer signer;
    uint32_t version;
} shapes[] = {
    {CCZ_SNP_MILAN, CCZ_SNP_VCEK, 2}, {CCZ_SNP_MILAN, CCZ_SNP_VCEK, 3},
    {CCZ_SNP_MILAN, CCZ_SNP_VLEK, 2}, {CCZ_SNP_MILAN, CCZ_SNP_VLEK, 4},
    {CCZ_SNP_GENOA, CCZ_SNP_VCEK, 3}, {CCZ_SNP_GENOA, CCZ_SNP_VCEK, 5},
    {CCZ_SNP_TURIN, CCZ_SNP_VCEK, 2}, {CCZ_SNP_TURIN, CCZ_SNP_VCEK, 5},
    {CCZ_SNP_TURIN, CCZ_SNP_VLEK, 5},
};

static void check_tcb(const struct ccz_snp_tcb *t, bool is_turin)
{
    CHECK(t->fmc == (is_turin ? 1 : 0) && t->boot_loader == 4 && t->tee == 1 && t->snp == 24 &&
          t->microcode == 219);
}

static void check_claims(const struct ccz_claims *c, const struct snp_kit *k)
{
    const struct snp_kit_cfg *cfg = &k->cfg;
    const uint8_t *r = k->evidence.ptr;
    const struct ccz_snp_claims *s = &c->snp;
    CHECK(c->tee == CCZ_TEE_SNP && c->quote_version == cfg->version && c->simulated && !c->debug);
    CHECK(c->revocation_checked && c->tcb_status == CCZ_TCB_NONE);
    CHECK(s->product == cfg->product && s->signer == cfg->signer);
    CHECK(memcmp(c->report_data, r + 0x50, 64) == 0 && memcmp(s->measurement, r + 0x90, 48) == 0);
    CHECK(memcmp(s->host_data, r + 0xc0, 32) == 0 && memcmp(s->id_key_digest, r + 0xe0, 48) == 0);
    CHECK(memcmp(s->author_key_digest, r + 0x110, 48) == 0);
    CHECK(memcmp(s->family_id, r + 0x10, 16) == 0 && memcmp(s->image_id, r + 0x20, 16) == 0);
    CHECK(memcmp(s->report_id, r + 0x140, 32) == 0 && memcmp(s->report_id_ma, r + 0x160, 32) == 0);
    CHECK(memcmp(s->chip_id, r + 0x1a0, 64) == 0 && memcmp(s->guest_policy, r + 8, 8) == 0);
    CHECK(memcmp(s->platform_info, r + 0x40, 8) == 0 && s->guest_svn == 3 && s->vmpl == 0);
    CHECK(s->current_version.major == 1 && s->current_version.minor == 55 &&
          s->current_version.build == 29 && s->committed_version.build == 29);
    CHECK(s->cpuid_family == r[0x188] && s->cpuid_model == r[0x189]);
    CHECK(s->launch_mit_vector == (cfg->version >= 5 ? 0x0b : 0) &&
          s->current_mit_vector == s->launch_mit_vector);
    CHECK(strcmp(s->csp_id, cfg->signer == CCZ_SNP_VLEK ? "CN=cc-kit.example" : "") == 0);
    const struct ccz_snp_tcb *tcbs[] = {&s->reported_tcb, &s->current_tcb, &s->committed_tcb,
                                        &s->launch_tcb};
    for (size_t i = 0; i < LEN(tcbs); i++)
        check_tcb(tcbs[i], cfg->product == CCZ_SNP_TURIN);
    CHECK(c->collateral_issued_s == cfg->crl.from_s && c->collateral_expires_s == cfg->crl.until_s);
}

/* With the VEK in the collateral, in the table, in the table with its chain, and in both. */
static void test_accepted(void)
{
    for (size_t i = 0; i < LEN(shapes); i++) {
        for (int way = 0; way < 4; way++) {
            struct snp_kit k;
            struct snp_kit_cfg cfg;
            struct ccz_claims claims;
            struct ccz_err err = {0};
            snp_kit_default(&cfg, shapes[i].product, shapes[i].signer, shapes[i].version);
            cfg.table = way > 0;
            cfg.table_chain = way == 2;
            cfg.vek_in_collateral = way == 0 || way == 3;
            cfg.hwid_wrapped = way == 1;
            snp_kit_new(&k, &cfg);
            ccz_rc rc = snp_kit_verify(&claims, &k, &err);
            if (rc != CCZ_OK)
                fprintf(stderr, "shape %zu, way %d: %s: %s\n", i, way, err.where, err.msg);
            CHECK(rc == CCZ_OK);
            check_claims(&claims, &k);
            CHECK(ccz_snp_is_report(ccz_buf_span(&k.evidence)));
            snp_kit_free(&k);
        }
    }
}

static void set_debug(uint8_t *r)
{
    r[0x0a] |= 0x08;
}
static void mask_chip_id(uint8_t *r)
{
    memset(r + 0x1a0, 0, 64);
}
static void lower_reported(uint8_t *r) /* committed and current are newer */
{
    r[0x1e0 + 6] = r[0x38 + 6] = 25;
    r[0x38 + 7] = 220;
    r[0x1e8] = 30;
}
static void launched_elsewhere(uint8_t *r)
{
    r[0x1f0 + 6] = 200;
}
static void platform_bits(uint8_t *r) /* Turin sets bit 6, which the documents do not name */
{
    r[0x40] = 0x65;
}
static void author_key(uint8_t *r)
{
    r[0x48] |= 1;
    r[0x110] = 1;
}
static void vmpl_3(uint8_t *r)
{
    r[0x30] = 3;
}

/* Genuine, and for the policy to judge. */
static void test_policy_matters(void)
{
    void (*const edits[])(uint8_t *) = {
        set_debug,     mask_chip_id, lower_reported, launched_elsewhere,
        platform_bits, author_key,   vmpl_3};
    for (size_t i = 0; i < LEN(edits); i++) {
        struct snp_kit k;
        struct snp_kit_cfg cfg = milan();
        struct ccz_claims c;
        cfg.edit = edits[i];
        cfg.table = true;
        snp_kit_new(&k, &cfg);
        CHECK(snp_kit_verify(&c, &k, NULL) == CCZ_OK);
        CHECK(c.debug == (edits[i] == set_debug));
        CHECK((c.snp.chip_id[0] == 0) == (edits[i] == mask_chip_id));
        CHECK(c.snp.vmpl == (edits[i] == vmpl_3 ? 3 : 0));
        snp_kit_free(&k);
    }
}

static void test_no_crl(void)
{
    struct snp_kit k;
    struct snp_kit_cfg cfg = milan();
    struct ccz_claims c;
    cfg.crl.none = true;
    snp_kit_new(&k, &cfg);
    CHECK(snp_kit_verify(&c, &k, NULL) == CCZ_OK);
    CHECK(!c.revocation_checked && c.collateral_issued_s == 0 &&
          c.collateral_expires_s == cfg.vek.until_s);
    snp_kit_free(&k);
}

/* ------------------------------------------------------------------------------ report fields */

#define EDIT(name, at, value)                                                                      \
    static void name(uint8_t *r)                                                                   \
    {                                                                                              \
        r[at] = (value);                                                                           \
    }
EDIT(version_0, 0, 0)
EDIT(version_1, 0, 1)
EDIT(version_6, 0, 6)
EDIT(version_high, 3, 1)
EDIT(policy_17, 0x0a, 0x01)
EDIT(policy_26, 0x0b, 0x04)
EDIT(policy_63, 0x0f, 0x80)
EDIT(vmpl_4, 0x30, 4)
EDIT(algorithm_0, 0x34, 0)
EDIT(algorithm_2, 0x34, 2)
EDIT(flags_5, 0x48, 0x20)
EDIT(flags_31, 0x4b, 0x80)
EDIT(key_none, 0x48, 7 << 2)
EDIT(key_2, 0x48, 2 << 2)
EDIT(key_masked, 0x48, 2)
EDIT(author_unsaid, 0x110, 1)
EDIT(cpuid_zen2, 0x188, 0x17)
EDIT(cpuid_model, 0x189, 0x20)
EDIT(tcb_byte_2, 0x38 + 2, 1)
EDIT(tcb_byte_5, 0x1f0 + 5, 1)
EDIT(r_top, 0x2a0 + 48, 1)
EDIT(s_top, 0x2a0 + 72 + 71, 1)
EDIT(behind_s, 0x2a0 + 144, 1)
EDIT(last, 1183, 1)
static void vmpl_host(uint8_t *r)
{
    memset(r + 0x30, 0xff, 4);
}

static void test_fields(void)
{
    static const struct {
        void (*edit)(uint8_t *);
        ccz_rc rc;
        const char *where;
    } cases[] = {
        {version_0, CCZ_E_UNSUPPORTED, "snp:version"},
        {version_1, CCZ_E_UNSUPPORTED, "snp:version"},
        {version_6, CCZ_E_UNSUPPORTED, "snp:version"},
        {version_high, CCZ_E_UNSUPPORTED, "snp:version"},
        {policy_17, CCZ_E_FORMAT, "snp:policy"},
        {policy_26, CCZ_E_FORMAT, "snp:policy-reserved"},
        {policy_63, CCZ_E_FORMAT, "snp:policy-reserved"},
        {vmpl_4, CCZ_E_FORMAT, "snp:vmpl"},
        {vmpl_host, CCZ_E_FORMAT, "snp:vmpl"},
        {algorithm_0, CCZ_E_UNSUPPORTED, "snp:signature-algorithm"},
        {algorithm_2, CCZ_E_UNSUPPORTED, "snp:signature-algorithm"},
        {flags_5, CCZ_E_FORMAT, "snp:flags"},
        {flags_31, CCZ_E_FORMAT, "snp:flags"},
        {key_none, CCZ_E_UNSUPPORTED, "snp:signing-key"},
        {key_2, CCZ_E_UNSUPPORTED, "snp:signing-key"},
        {key_masked, CCZ_E_UNSUPPORTED, "snp:chip-key-masked"},
        {author_unsaid, CCZ_E_FORMAT, "snp:author-key"},
        {cpuid_zen2, CCZ_E_UNSUPPORTED, "snp:cpuid"},
        {cpuid_model, CCZ_E_UNSUPPORTED, "snp:cpuid"},
        {tcb_byte_2, CCZ_E_FORMAT, "snp:tcb-reserved"},
        {tcb_byte_5, CCZ_E_FORMAT, "snp:tcb-reserved"},
    };
    for (size_t i = 0; i < LEN(cases); i++) {
        struct snp_kit_cfg cfg = milan();
        cfg.edit = cases[i].edit;
        expect(&cfg, cases[i].rc, cases[i].where);
    }
    void (*const tails[])(uint8_t *) = {r_top, s_top, behind_s, last};
    for (size_t i = 0; i < LEN(tails); i++) {
        struct snp_kit_cfg cfg = milan();
        cfg.spoil = tails[i];
        expect(&cfg, CCZ_E_FORMAT, "snp:signature-reserved");
    }
}

EDIT(turin_tcb_4, 0x180 + 4, 1)
EDIT(turin_tcb_6, 0x1e0 + 6, 1)

/* The TCBs of version 2 are laid out as the certificate's product says. */
static void test_tcb_layout(void)
{
    struct snp_kit_cfg cfg = turin();
    cfg.edit = turin_tcb_4;
    expect(&cfg, CCZ_E_FORMAT, "snp:tcb-reserved");
    cfg = turin();
    cfg.edit = turin_tcb_6;
    expect(&cfg, CCZ_E_FORMAT, "snp:tcb-reserved");
    cfg.version = 2;
    expect(&cfg, CCZ_E_FORMAT, "snp:tcb-reserved");
    cfg = milan();
    cfg.version = 2;
    cfg.edit = tcb_byte_2;
    expect(&cfg, CCZ_E_FORMAT, "snp:tcb-reserved");
}

/* Every byte that is reserved in a version, one after the other. */
static void test_reserved(void)
{
    static const struct {
        size_t from, until;
        uint32_t first_used_in; /* version */
    } ranges[] = {{0x4c, 0x50, 99},   {0x188, 0x18b, 3}, {0x18b, 0x1a0, 99}, {0x1eb, 0x1ec, 99},
                  {0x1ef, 0x1f0, 99}, {0x1f8, 0x208, 5}, {0x208, 0x2a0, 99}};
    for (uint32_t version = 2; version <= 5; version++) {
        struct snp_kit k;
        struct snp_kit_cfg cfg = milan();
        cfg.version = version;
        snp_kit_new(&k, &cfg);
        for (size_t i = 0; i < LEN(ranges); i++) {
            for (size_t at = ranges[i].from; at < ranges[i].until; at++) {
                struct ccz_snp_report r;
                struct ccz_err err = {0};
                k.evidence.ptr[at] ^= 0x40;
                ccz_rc rc = ccz_snp_report_parse(&r, ccz_buf_span(&k.evidence), &err);
                k.evidence.ptr[at] ^= 0x40;
                if (version < ranges[i].first_used_in)
                    CHECK(rc == CCZ_E_FORMAT && strcmp(err.where, "snp:reserved") == 0 &&
                          err.aux == (int64_t)at);
                else
                    CHECK(rc == CCZ_OK || strcmp(err.where, "snp:cpuid") == 0);
            }
        }
        snp_kit_free(&k);
    }
}

/* -------------------------------------------------------------------------------------- chain */

struct chain_case {
    void (*set)(struct snp_kit_cfg *c);
    ccz_rc rc;
    const char *where;
};
#define KNOB(name, statement)                                                                      \
    static void name(struct snp_kit_cfg *c)                                                        \
    {                                                                                              \
        statement;                                                                                 \
    }
KNOB(ark_name, c->ark.cn = "ARK-Genoa")
KNOB(ark_name_longer, c->ark.cn = "ARK-Milan2")
KNOB(ark_forged, c->ark.forge = true)
KNOB(ark_no_ca, c->ark.ca = false)
KNOB(ark_critical, c->ark.critical = true)
KNOB(ca_name, c->ca.cn = "SEV-Genoa")
KNOB(ca_name_part, c->ca.cn = "SEV-Milan-X")
KNOB(ca_name_ark, c->ca.cn = "ARK-Milan")
KNOB(ca_vlek, c->ca.cn = "SEV-VLEK-Milan")
KNOB(ca_no_ca, c->ca.ca = false)
KNOB(ca_forged, c->ca.forge = true)
KNOB(ca_stranger, c->ca_by_stranger = true)
KNOB(ca_critical, c->ca.critical = true)
KNOB(vek_name, c->vek.cn = "SEV-VLEK")
KNOB(vek_name_part, c->vek.cn = "SEV-VCEK2")
KNOB(vek_ca, c->vek.ca = true)
KNOB(vek_p256, c->vek_p256 = true)
KNOB(vek_forged, c->vek.forge = true)
KNOB(vek_critical, c->vek.critical = true)
KNOB(crl_forged, c->crl.forge = true)
KNOB(crl_by_ca, c->crl.by_ca = true)
KNOB(revoked_ark, c->crl.serials[1] = 0x10000)
KNOB(revoked_ca, c->crl.serials[1] = 0x10001)
KNOB(revoked_vek, (c->vek.serial = 0x4242, c->crl.serials[1] = 0x4242))
KNOB(listed_zero, c->crl.zero = true) /* says nothing about one of the many VEKs with that serial */
KNOB(no_vek, c->vek_in_collateral = false)

static const struct chain_case chain_cases[] = {
    {ark_name, CCZ_E_UNTRUSTED, "snp:ark-name"},
    {ark_name_longer, CCZ_E_UNTRUSTED, "snp:ark-name"},
    {ark_forged, CCZ_E_SIG, "snp:ark-signature"},
    {ark_no_ca, CCZ_E_UNTRUSTED, "snp:ark-issuer"},
    {ark_critical, CCZ_E_UNSUPPORTED, "snp:ark-issuer"},
    {ca_name, CCZ_E_UNTRUSTED, "snp:ca-name"},
    {ca_name_part, CCZ_E_UNTRUSTED, "snp:ca-name"},
    {ca_name_ark, CCZ_E_UNTRUSTED, "snp:ca-name"},
    {ca_vlek, CCZ_E_UNTRUSTED, "snp:vek-name"},
    {ca_no_ca, CCZ_E_UNTRUSTED, "snp:ca-name"},
    {ca_forged, CCZ_E_SIG, "snp:ca-signature"},
    {ca_stranger, CCZ_E_MISMATCH, "snp:ca-issuer"},
    {ca_critical, CCZ_E_UNSUPPORTED, "snp:ca-issuer"},
    {vek_name, CCZ_E_UNTRUSTED, "snp:vek-name"},
    {vek_name_part, CCZ_E_UNTRUSTED, "snp:vek-name"},
    {vek_ca, CCZ_E_UNTRUSTED, "snp:vek-name"},
    {vek_p256, CCZ_E_UNSUPPORTED, "snp:vek-key"},
    {vek_forged, CCZ_E_SIG, "snp:vek-signature"},
    {vek_critical, CCZ_E_UNSUPPORTED, "snp:vek-issuer"},
    {crl_forged, CCZ_E_SIG, "snp:crl-signature"},
    {crl_by_ca, CCZ_E_MISMATCH, "snp:crl-issuer"},
    {revoked_ark, CCZ_E_REVOKED, "snp:ark-revoked"},
    {revoked_ca, CCZ_E_REVOKED, "snp:ca-revoked"},
    {revoked_vek, CCZ_E_REVOKED, "snp:vek-revoked"},
    {listed_zero, CCZ_OK, ""},
    {no_vek, CCZ_E_NOT_FOUND, "snp:vek-missing"},
};

/* The same defects, with the VEK in the collateral and in the evidence. */
static void test_chain(void)
{
    for (size_t i = 0; i < LEN(chain_cases); i++) {
        for (int table = 0; table < 2; table++) {
            struct snp_kit_cfg cfg = milan();
            cfg.table = table;
            cfg.vek_in_collateral = !table;
            chain_cases[i].set(&cfg);
            if (table &&
                chain_cases[i].set == ca_vlek) /* said before the certificate is looked at */
                expect(&cfg, CCZ_E_MISMATCH, "snp:signer");
            else if (table && chain_cases[i].set == no_vek)
                expect(&cfg, CCZ_OK, "");
            else
                expect(&cfg, chain_cases[i].rc, chain_cases[i].where);
        }
    }
}

/* A VEK of another CA of the same line: ASK and ASVK differ in name and, here, not in key. */
static void test_foreign_vek(void)
{
    struct snp_kit k, other;
    struct snp_kit_cfg cfg = milan();
    struct ccz_claims claims;
    struct ccz_err err = {0};
    snp_kit_new(&k, &cfg);
    cfg.ca.cn = "SEV-VLEK-Milan";
    snp_kit_new(&other, &cfg);
    k.veks[0] = ccz_buf_span(&other.vek);
    CHECK(snp_kit_verify(&claims, &k, &err) == CCZ_E_MISMATCH &&
          strcmp(err.where, "snp:vek-issuer") == 0);
    snp_kit_free(&other);
    snp_kit_free(&k);
}

static void test_missing_parts(void)
{
    struct snp_kit k;
    struct snp_kit_cfg cfg = milan();
    snp_kit_new(&k, &cfg);
    const struct {
        struct ccz_span *part;
        const char *where;
    } parts[] = {{&k.src.ark, "snp:ark"},
                 {&k.src.ca, "snp:ca"},
                 {&k.veks[0], "snp:vek"},
                 {&k.src.crl, "snp:crl"}};
    for (size_t i = 0; i < LEN(parts); i++) {
        const struct ccz_span good = *parts[i].part;
        for (size_t cut = 0; cut < good.size; cut += cut == 0 ? 1 : good.size - 2) {
            struct ccz_claims claims;
            struct ccz_err err = {0};
            *parts[i].part = CCZ_SPAN(cut ? good.ptr : NULL, cut);
            ccz_rc rc = snp_kit_verify(&claims, &k, &err);
            if (cut == 0 && i == 3)
                CHECK(rc == CCZ_OK);
            else
                CHECK(rc == CCZ_E_FORMAT && strcmp(err.where, parts[i].where) == 0);
        }
        *parts[i].part = good;
    }
    struct ccz_snp_collateral *c = NULL;
    struct ccz_err err = {0};
    k.src.veks_len = CCZ_SNP_COLLATERAL_VEK_MAX + 1;
    CHECK(ccz_snp_collateral_new(&c, &k.src, &k.roots, &err) == CCZ_E_LIMIT && !c);
    CHECK(strcmp(err.where, "snp:veks") == 0);
    snp_kit_free(&k);
}

static void put_pem(struct ccz_buf *out, const char *label, struct ccz_span der)
{
    ccz_buf_init(out, 65536);
    ccz_pem_put(out, label, der);
}

static void test_pem(void)
{
    struct snp_kit k;
    struct snp_kit_cfg cfg = milan();
    struct ccz_claims claims;
    struct ccz_err err = {0};
    snp_kit_new(&k, &cfg);
    CCZ_AUTO_BUF ark;
    CCZ_AUTO_BUF ca;
    CCZ_AUTO_BUF vek;
    CCZ_AUTO_BUF crl;
    put_pem(&ark, "CERTIFICATE", k.src.ark);
    put_pem(&ca, "CERTIFICATE", k.src.ca);
    put_pem(&vek, "CERTIFICATE", k.veks[0]);
    put_pem(&crl, "X509 CRL", k.src.crl);
    k.src.ark = ccz_buf_span(&ark);
    k.src.ca = ccz_buf_span(&ca);
    k.veks[0] = ccz_buf_span(&vek);
    k.src.crl = ccz_buf_span(&crl);
    CHECK(snp_kit_verify(&claims, &k, &err) == CCZ_OK);
    ccz_buf_put_span(&ca, ccz_buf_span(&ark)); /* as KDS's cert_chain */
    k.src.ca = ccz_buf_span(&ca);
    CHECK(snp_kit_verify(&claims, &k, &err) == CCZ_E_FORMAT && strcmp(err.where, "snp:ca") == 0);
    snp_kit_free(&k);
}

/* -------------------------------------------------------------------------------------- roots */

static void test_roots(void)
{
    struct snp_kit k;
    struct snp_kit_cfg cfg = milan();
    struct ccz_claims claims;
    struct ccz_err err = {0};
    snp_kit_new(&k, &cfg);
    struct ccz_snp_roots roots = {0};
    CHECK(ccz_snp_roots_add_amd(&roots) == CCZ_OK && roots.len == 3);
    CHECK(ccz_snp_roots_add_amd(&roots) == CCZ_OK && roots.len == 3);
    const struct ccz_snp_roots kit_roots = k.roots;
    k.roots = roots;
    CHECK(snp_kit_verify(&claims, &k, &err) == CCZ_E_UNTRUSTED &&
          strcmp(err.where, "snp:root") == 0);
    k.roots = (struct ccz_snp_roots){0};
    CHECK(snp_kit_verify(&claims, &k, &err) == CCZ_E_UNTRUSTED &&
          strcmp(err.where, "snp:root") == 0);

    CHECK(ccz_snp_roots_add_cert(&roots, k.src.ark, true, &err) == CCZ_OK && roots.len == 4);
    CHECK(ccz_snp_roots_add_cert(&roots, k.src.ark, true, &err) == CCZ_OK && roots.len == 4);
    CHECK(memcmp(&roots.root[3], &kit_roots.root[0], sizeof(roots.root[3])) == 0);
    CHECK(ccz_snp_roots_add_cert(&roots, k.src.ark, false, &err) == CCZ_E_ARG &&
          strcmp(err.where, "roots:simulated") == 0);
    CHECK(ccz_snp_roots_add_cert(&roots, k.src.ca, true, &err) == CCZ_E_UNTRUSTED &&
          strcmp(err.where, "roots:name") == 0);
    CHECK(ccz_snp_roots_add_cert(&roots, CCZ_SPAN(k.ark.ptr, 99), true, &err) == CCZ_E_FORMAT &&
          strcmp(err.where, "roots:cert") == 0);
    k.ark.ptr[k.ark.size - 9] ^= 1;
    struct ccz_snp_roots fresh = {0};
    CHECK(ccz_snp_roots_add_cert(&fresh, k.src.ark, true, &err) == CCZ_E_SIG && fresh.len == 0 &&
          strcmp(err.where, "roots:self-signed") == 0);
    k.ark.ptr[k.ark.size - 9] ^= 1;
    roots.len = CCZ_SNP_ROOTS_MAX;
    memset(roots.root, 0, sizeof(roots.root));
    CHECK(ccz_snp_roots_add_cert(&roots, k.src.ark, true, &err) == CCZ_E_LIMIT &&
          strcmp(err.where, "roots:len") == 0);
    k.roots = roots;
    k.roots = kit_roots;
    CHECK(snp_kit_verify(&claims, &k, &err) == CCZ_OK && claims.simulated);
    snp_kit_free(&k);
}

/* Roots of the call against those that the collateral was opened under. */
static void test_config(void)
{
    struct snp_kit k;
    struct snp_kit_cfg cfg = milan();
    struct ccz_claims claims;
    struct ccz_err err = {0};
    snp_kit_new(&k, &cfg);
    CCZ_AUTO(ccz_snp_collateral) c = NULL;
    CHECK(ccz_snp_collateral_new(&c, &k.src, &k.roots, &err) == CCZ_OK);
    CHECK(ccz_snp_collateral_product(c) == CCZ_SNP_MILAN && ccz_snp_collateral_simulated(c));
    CHECK(ccz_snp_collateral_signer(c) == CCZ_SNP_VCEK);
    CHECK(ccz_snp_collateral_issued(c) == cfg.crl.from_s);
    CHECK(ccz_snp_collateral_expires(c) == cfg.crl.until_s);
    struct ccz_snp_roots genuine = k.roots, other_product = k.roots, none = {0};
    genuine.root[0].simulated = false;
    other_product.root[0].product = CCZ_SNP_GENOA;
    const struct ccz_snp_verify_cfg good = {.now_s = now_s, .roots = &k.roots, .collateral = c};
    struct ccz_snp_verify_cfg v = good;
    const struct ccz_snp_roots *untrusted[] = {&genuine, &other_product, &none};
    for (size_t i = 0; i < 3; i++) {
        v.roots = untrusted[i];
        CHECK(ccz_snp_verify(&claims, ccz_buf_span(&k.evidence), &v, &err) == CCZ_E_UNTRUSTED &&
              strcmp(err.where, "snp:collateral-root") == 0);
    }
    const struct ccz_snp_verify_cfg bad[] = {
        {.roots = &k.roots, .collateral = c},
        {.now_s = now_s, .collateral = c},
        {.now_s = now_s, .roots = &k.roots},
    };
    for (size_t i = 0; i < LEN(bad); i++)
        CHECK(ccz_snp_verify(&claims, ccz_buf_span(&k.evidence), &bad[i], &err) == CCZ_E_ARG &&
              strcmp(err.where, "snp:config") == 0);
    CHECK(ccz_snp_verify(&claims, ccz_buf_span(&k.evidence), &good, &err) == CCZ_OK);
    snp_kit_free(&k);
}

/* --------------------------------------------------------------------------------- extensions */

static struct ccz_span lit(const char *bytes, size_t size)
{
    return CCZ_SPAN(bytes, size);
}
#define LIT(s) lit(s, sizeof(s) - 1)

static void test_extensions(void)
{
    for (int t = 0; t < 3; t++) {
        for (int e = 0; e < SNP_EXTS; e++) {
            struct snp_kit_cfg cfg;
            snp_kit_default(&cfg, t == 1 ? CCZ_SNP_TURIN : CCZ_SNP_MILAN,
                            t == 2 ? CCZ_SNP_VLEK : CCZ_SNP_VCEK, 3);
            bool there = !(e == (t == 1 ? SNP_EXT_SPL_4 : SNP_EXT_FMC) ||
                           e == (t == 2 ? SNP_EXT_HWID : SNP_EXT_CSP_ID));
            if (there) {
                cfg.ext[e].drop = true;
                expect(&cfg, CCZ_E_FORMAT, "snp:vek-extensions");
                cfg.ext[e] = (struct snp_kit_ext){.repeat = true};
                expect(&cfg, CCZ_E_FORMAT, "snp:vek");
                cfg.ext[e] = (struct snp_kit_ext){.value = LIT("\x05\x00")};
                expect(&cfg, CCZ_E_FORMAT, "snp:vek-extensions");
            } else { /* of another kind of certificate, well formed in itself */
                static const char hwid[64] = {1}, csp[] = "\x16\x03"
                                                          "CSP";
                cfg.ext[e].value = e == SNP_EXT_HWID     ? CCZ_SPAN(hwid, 64)
                                   : e == SNP_EXT_CSP_ID ? LIT(csp)
                                                         : LIT("\x02\x01\x00");
                expect(&cfg, CCZ_E_FORMAT, "snp:vek-extensions");
            }
        }
    }
}

static void test_extension_values(void)
{
    static const struct {
        int e;
        struct ccz_span value;
        bool good;
    } cases[] = {
        {SNP_EXT_STRUCT_VERSION, {(const uint8_t *)"\x02\x01\x01", 3}, true},
        {SNP_EXT_STRUCT_VERSION, {(const uint8_t *)"\x02\x01\x02", 3}, false},
        {SNP_EXT_PRODUCT, {(const uint8_t *)"\x16\x05Milan", 7}, true},
        {SNP_EXT_PRODUCT, {(const uint8_t *)"\x16\x08Milan-B1", 10}, true},
        {SNP_EXT_PRODUCT, {(const uint8_t *)"\x16\x08Milan-BB", 10}, false},
        {SNP_EXT_PRODUCT, {(const uint8_t *)"\x16\x06Milano", 8}, false},
        {SNP_EXT_PRODUCT, {(const uint8_t *)"\x16\x05Naple", 7}, false},
        {SNP_EXT_PRODUCT, {(const uint8_t *)"\x0c\x05Milan", 7}, false}, /* UTF8String */
        {SNP_EXT_PRODUCT, {(const uint8_t *)"\x16\x05Milan\0", 8}, false},
        {SNP_EXT_SNP, {(const uint8_t *)"\x02\x01\x18", 3}, true},
        {SNP_EXT_SNP, {(const uint8_t *)"\x02\x02\x00\x18", 4}, false}, /* not minimal */
        {SNP_EXT_SNP, {(const uint8_t *)"\x02\x02\x01\x18", 4}, false}, /* 280 */
        {SNP_EXT_SNP, {(const uint8_t *)"\x02\x01\xff", 3}, false},     /* negative */
        {SNP_EXT_SNP, {(const uint8_t *)"\x02\x01\x18\x00", 4}, false},
        {SNP_EXT_SPL_5, {(const uint8_t *)"\x02\x01\x01", 3}, false}, /* reserved level in use */
        {SNP_EXT_HWID, {(const uint8_t *)"\x04\x08\x01\x02\x03\x04\x05\x06\x07\x08", 10}, false},
        {SNP_EXT_HWID, {(const uint8_t *)"", 0}, false},
    };
    for (size_t i = 0; i < LEN(cases); i++) {
        struct snp_kit_cfg cfg = milan();
        cfg.ext[cases[i].e].value = cases[i].value;
        expect(&cfg, cases[i].good ? CCZ_OK : CCZ_E_FORMAT, "snp:vek-extensions");
    }
    struct snp_kit_cfg cfg;
    char csp[2 + 64] = "\x16\x40";
    snp_kit_default(&cfg, CCZ_SNP_MILAN, CCZ_SNP_VLEK, 3);
    memset(csp + 2, 'c', 64);
    cfg.ext[SNP_EXT_CSP_ID].value = CCZ_SPAN(csp, sizeof(csp));
    expect(&cfg, CCZ_E_FORMAT, "snp:vek-extensions");
    csp[1] = 63;
    cfg.ext[SNP_EXT_CSP_ID].value = CCZ_SPAN(csp, sizeof(csp) - 1);
    expect(&cfg, CCZ_OK, "");
    cfg.ext[SNP_EXT_CSP_ID].value = LIT("\x16\x02"
                                        "a\n");
    expect(&cfg, CCZ_E_FORMAT, "snp:vek-extensions");
    /* hwID wrapped, but with another tag or length inside */
    uint8_t hwid[66] = {0x30, 0x40};
    cfg = milan();
    cfg.ext[SNP_EXT_HWID].value = CCZ_SPAN(hwid, sizeof(hwid));
    expect(&cfg, CCZ_E_FORMAT, "snp:vek-extensions");
    hwid[0] = 0x04;
    hwid[1] = 0x3f;
    expect(&cfg, CCZ_E_FORMAT, "snp:vek-extensions");
    cfg = milan();
    cfg.ext[SNP_EXT_PRODUCT].value = LIT("\x16\x05Genoa");
    expect(&cfg, CCZ_E_MISMATCH, "snp:vek-product");
}

/* ------------------------------------------------------------------------------------ binding */

EDIT(chip_first, 0x1a0, 0)
EDIT(chip_last, 0x1df, 0)
EDIT(turin_chip_9, 0x1a8, 1)
EDIT(cpuid_genoa, 0x189, 0x11)
EDIT(tcb_boot_loader, 0x180, 3)
EDIT(tcb_tee, 0x181, 0)
EDIT(tcb_snp, 0x186, 23)
EDIT(tcb_microcode, 0x187, 218)
EDIT(turin_fmc, 0x180, 0)
EDIT(turin_boot_loader, 0x181, 3)
EDIT(turin_snp, 0x183, 23)
static void flip_signature(uint8_t *r)
{
    r[0x2a0 + 5] ^= 1;
}
static void flip_measurement(uint8_t *r)
{
    r[0x90] ^= 1;
}
static void no_signature(uint8_t *r)
{
    memset(r + 0x2a0, 0, 512);
}

static void test_binding(void)
{
    static const struct {
        bool is_turin, table;
        void (*edit)(uint8_t *);
        ccz_rc rc;
        const char *where;
    } cases[] = {
        {false, false, tcb_boot_loader, CCZ_E_MISMATCH, "snp:reported-tcb"},
        {false, true, tcb_tee, CCZ_E_MISMATCH, "snp:reported-tcb"},
        {false, true, tcb_snp, CCZ_E_MISMATCH, "snp:reported-tcb"},
        {false, true, tcb_microcode, CCZ_E_MISMATCH, "snp:reported-tcb"},
        {true, false, turin_fmc, CCZ_E_MISMATCH, "snp:reported-tcb"},
        {true, true, turin_boot_loader, CCZ_E_MISMATCH, "snp:reported-tcb"},
        {true, true, turin_snp, CCZ_E_MISMATCH, "snp:reported-tcb"},
        {false, true, chip_first, CCZ_E_MISMATCH, "snp:chip-id"},
        {false, true, chip_last, CCZ_E_MISMATCH, "snp:chip-id"},
        {false, false, chip_last, CCZ_E_NOT_FOUND, "snp:vek-missing"},
        {false, false, mask_chip_id, CCZ_E_NOT_FOUND, "snp:vek-missing"},
        {true, true, turin_chip_9, CCZ_E_FORMAT, "snp:chip-id-reserved"},
        {false, true, cpuid_genoa, CCZ_E_MISMATCH, "snp:product"},
    };
    for (size_t i = 0; i < LEN(cases); i++) {
        struct snp_kit_cfg cfg = cases[i].is_turin ? turin() : milan();
        cfg.table = cases[i].table;
        cfg.vek_in_collateral = !cases[i].table;
        cfg.edit = cases[i].edit;
        expect(&cfg, cases[i].rc, cases[i].where);
    }
    struct snp_kit_cfg vlek;
    snp_kit_default(&vlek, CCZ_SNP_TURIN, CCZ_SNP_VLEK, 5);
    vlek.edit = turin_chip_9;
    expect(&vlek, CCZ_E_FORMAT, "snp:chip-id-reserved");
    void (*const spoils[])(uint8_t *) = {flip_signature, flip_measurement, no_signature};
    for (size_t i = 0; i < LEN(spoils); i++) {
        struct snp_kit_cfg cfg = milan();
        cfg.spoil = spoils[i];
        expect(&cfg, CCZ_E_SIG, "snp:signature");
    }
}

/* A VLEK report under the collateral of VCEKs, and the other way round. */
static void test_signer(void)
{
    struct snp_kit a, b;
    struct snp_kit_cfg cfg = milan();
    struct ccz_claims claims;
    struct ccz_err err = {0};
    snp_kit_new(&a, &cfg);
    snp_kit_default(&cfg, CCZ_SNP_MILAN, CCZ_SNP_VLEK, 3);
    snp_kit_new(&b, &cfg);
    struct ccz_buf evidence = a.evidence;
    a.evidence = b.evidence;
    b.evidence = evidence;
    CHECK(snp_kit_verify(&claims, &a, &err) == CCZ_E_MISMATCH &&
          strcmp(err.where, "snp:signer") == 0);
    CHECK(snp_kit_verify(&claims, &b, &err) == CCZ_E_MISMATCH &&
          strcmp(err.where, "snp:signer") == 0);
    snp_kit_free(&a);
    snp_kit_free(&b);
}

EDIT(reported_above_committed, 0x1e6, 23)
EDIT(committed_above_current, 0x3e, 23)
EDIT(committed_microcode, 0x3f, 218)
EDIT(committed_build, 0x1ec, 30)
EDIT(committed_major, 0x1ee, 2)
EDIT(policy_minor, 0x08, 56)
static void policy_major(uint8_t *r)
{
    r[0x08] = 0;
    r[0x09] = 2;
}
static void policy_exact(uint8_t *r)
{
    r[0x08] = 55;
    r[0x09] = 1;
}
static void policy_minor_above(uint8_t *r)
{
    r[0x08] = 56;
    r[0x09] = 1;
}

static void test_consistency(void)
{
    static const struct {
        void (*edit)(uint8_t *);
        ccz_rc rc;
        const char *where;
    } cases[] = {
        {reported_above_committed, CCZ_E_MISMATCH, "snp:tcb-reported"},
        {committed_above_current, CCZ_E_MISMATCH, "snp:tcb-committed"},
        {committed_microcode, CCZ_E_MISMATCH, "snp:tcb-committed"},
        {committed_build, CCZ_E_MISMATCH, "snp:version-committed"},
        {committed_major, CCZ_E_MISMATCH, "snp:version-committed"},
        {policy_minor_above, CCZ_E_MISMATCH, "snp:policy-abi"},
        {policy_major, CCZ_E_MISMATCH, "snp:policy-abi"},
        {policy_minor, CCZ_OK, ""}, /* 0.56 is older than 1.55 */
        {policy_exact, CCZ_OK, ""},
    };
    for (size_t i = 0; i < LEN(cases); i++) {
        struct snp_kit_cfg cfg = milan();
        cfg.edit = cases[i].edit;
        expect(&cfg, cases[i].rc, cases[i].where);
    }
}

/* -------------------------------------------------------------------------------------- dates */

static void test_dates(void)
{
    struct snp_kit k;
    struct snp_kit_cfg cfg = milan();
    cfg.ark.from_s = now_s - 5 * DAY;
    cfg.ark.until_s = now_s + 5 * DAY;
    cfg.ca.from_s = now_s - 4 * DAY;
    cfg.ca.until_s = now_s + 4 * DAY;
    cfg.crl.from_s = now_s - 3 * DAY;
    cfg.crl.until_s = now_s + 3 * DAY;
    cfg.vek.from_s = now_s - 2 * DAY;
    cfg.vek.until_s = now_s + 2 * DAY;
    cfg.table = true;
    cfg.vek_in_collateral = false;
    snp_kit_new(&k, &cfg);
    CCZ_AUTO(ccz_snp_collateral) c = NULL;
    CCZ_AUTO(ccz_verify_cache) cache = NULL;
    CHECK(ccz_snp_collateral_new(&c, &k.src, &k.roots, NULL) == CCZ_OK);
    CHECK(ccz_verify_cache_new(&cache, 4) == CCZ_OK);
    static const struct {
        int64_t t_s;
        const char *where;
    } cases[] = {
        {SNP_KIT_NOW_S, NULL},
        {SNP_KIT_NOW_S - 2 * DAY, NULL},
        {SNP_KIT_NOW_S + 2 * DAY, NULL},
        {SNP_KIT_NOW_S - 2 * DAY - 1, "snp:vek-not-yet-valid"},
        {SNP_KIT_NOW_S + 2 * DAY + 1, "snp:vek-expired"},
        {SNP_KIT_NOW_S - 3 * DAY - 1, "snp:crl-not-yet-valid"},
        {SNP_KIT_NOW_S + 3 * DAY + 1, "snp:crl-expired"},
        {SNP_KIT_NOW_S - 4 * DAY - 1, "snp:ca-not-yet-valid"},
        {SNP_KIT_NOW_S + 4 * DAY + 1, "snp:ca-expired"},
        {SNP_KIT_NOW_S - 5 * DAY - 1, "snp:ark-not-yet-valid"},
        {SNP_KIT_NOW_S + 5 * DAY + 1, "snp:ark-expired"},
    };
    for (size_t i = 0; i < 2 * LEN(cases); i++) { /* the second time, the VEK is remembered */
        struct ccz_claims claims;
        struct ccz_err err = {0};
        const size_t n = i % LEN(cases);
        const struct ccz_snp_verify_cfg v = {
            .now_s = cases[n].t_s, .roots = &k.roots, .collateral = c, .cache = cache};
        ccz_rc rc = ccz_snp_verify(&claims, ccz_buf_span(&k.evidence), &v, &err);
        if (!cases[n].where)
            CHECK(rc == CCZ_OK && claims.collateral_expires_s == now_s + 2 * DAY);
        else
            CHECK(rc == CCZ_E_EXPIRED && strcmp(err.where, cases[n].where) == 0);
    }
    snp_kit_free(&k);
}

/* ------------------------------------------------------------------------------ lookup, cache */

/* Several VEKs of one CA; only one made the signature. */
static void test_lookup(void)
{
    enum { VEKS = 4 };
    for (int vlek = 0; vlek < 2; vlek++) {
        struct snp_kit k[VEKS];
        struct snp_kit_cfg cfg;
        struct ccz_span veks[VEKS];
        for (int i = 0; i < VEKS; i++) {
            snp_kit_default(&cfg, CCZ_SNP_MILAN, vlek ? CCZ_SNP_VLEK : CCZ_SNP_VCEK, 3);
            if (!vlek)
                cfg.tcb.microcode = (uint8_t)(200 + i); /* one chip, several TCBs */
            if (i == 3)
                cfg.vek.until_s = now_s - 1;
            snp_kit_new(&k[i], &cfg);
            veks[i] = ccz_buf_span(&k[i].vek);
        }
        for (int i = 0; i < VEKS; i++) {
            struct ccz_claims claims;
            struct ccz_err err = {0};
            k[i].src.veks = veks;
            k[i].src.veks_len = VEKS;
            ccz_rc rc = snp_kit_verify(&claims, &k[i], &err);
            if (i < 3)
                CHECK(rc == CCZ_OK);
            else if (vlek) /* others are valid now and did not sign it */
                CHECK(rc == CCZ_E_SIG && strcmp(err.where, "snp:signature") == 0);
            else
                CHECK(rc == CCZ_E_EXPIRED && strcmp(err.where, "snp:vek-expired") == 0);
        }
        for (int i = 0; i < VEKS; i++)
            snp_kit_free(&k[i]);
    }
}

/* The cache is keyed by certificate and collateral: a VEK that one collateral accepted is new under another. */
static void test_cache(void)
{
    struct snp_kit k, stranger;
    struct snp_kit_cfg cfg = milan();
    struct ccz_claims with, without;
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_verify_cache) cache = NULL;
    CCZ_AUTO(ccz_snp_collateral) c = NULL;
    CCZ_AUTO(ccz_snp_collateral) revoking = NULL;
    cfg.table = true;
    cfg.vek_in_collateral = false;
    cfg.vek.serial = 0x4242;
    snp_kit_new(&k, &cfg);
    cfg.crl.serials[1] = 0x4242;
    snp_kit_new(&stranger, &cfg);
    CHECK(ccz_verify_cache_new(&cache, 4) == CCZ_OK);
    CHECK(ccz_snp_collateral_new(&c, &k.src, &k.roots, &err) == CCZ_OK);
    struct ccz_snp_collateral_src listed = k.src; /* nothing but the list differs */
    listed.crl = stranger.src.crl;
    CHECK(ccz_snp_collateral_new(&revoking, &listed, &k.roots, &err) == CCZ_OK);
    struct ccz_snp_verify_cfg v = {.now_s = now_s, .roots = &k.roots, .collateral = c};
    CHECK(ccz_snp_verify(&without, ccz_buf_span(&k.evidence), &v, &err) == CCZ_OK);
    v.cache = cache;
    for (int i = 0; i < 2; i++) {
        CHECK(ccz_snp_verify(&with, ccz_buf_span(&k.evidence), &v, &err) == CCZ_OK);
        CHECK(memcmp(&with, &without, sizeof(with)) == 0);
    }
    k.evidence.ptr[0x90] ^= 1; /* the report is not part of it */
    CHECK(ccz_snp_verify(&with, ccz_buf_span(&k.evidence), &v, &err) == CCZ_E_SIG);
    k.evidence.ptr[0x90] ^= 1;
    k.evidence.ptr[k.evidence.size - 9] ^= 1; /* the certificate is */
    CHECK(ccz_snp_verify(&with, ccz_buf_span(&k.evidence), &v, &err) == CCZ_E_SIG &&
          strcmp(err.where, "snp:vek-signature") == 0);
    k.evidence.ptr[k.evidence.size - 9] ^= 1;
    v.collateral = revoking;
    CHECK(ccz_snp_verify(&with, ccz_buf_span(&k.evidence), &v, &err) == CCZ_E_REVOKED &&
          strcmp(err.where, "snp:vek-revoked") == 0);
    snp_kit_free(&k);
    snp_kit_free(&stranger);
}

static const struct ccz_test tests[] = {
    {"snp.accepted", test_accepted},
    {"snp.policy_matters", test_policy_matters},
    {"snp.no_crl", test_no_crl},
    {"snp.fields", test_fields},
    {"snp.tcb_layout", test_tcb_layout},
    {"snp.reserved", test_reserved},
    {"snp.chain", test_chain},
    {"snp.foreign_vek", test_foreign_vek},
    {"snp.missing_parts", test_missing_parts},
    {"snp.pem", test_pem},
    {"snp.roots", test_roots},
    {"snp.config", test_config},
    {"snp.extensions", test_extensions},
    {"snp.extension_values", test_extension_values},
    {"snp.binding", test_binding},
    {"snp.signer", test_signer},
    {"snp.consistency", test_consistency},
    {"snp.dates", test_dates},
    {"snp.lookup", test_lookup},
    {"snp.cache", test_cache},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
