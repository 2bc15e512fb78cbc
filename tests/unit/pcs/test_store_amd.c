/* SPDX-License-Identifier: Apache-2.0 */
/* What a store takes from AMD, when it asks, and who can make it ask. */
#define _GNU_SOURCE
#include "pcs_test.h"

#include "quote/snp_kit.h"

static const char *fake_base(const struct fake_pcs *f)
{
    return fake_url(&f->site, "");
}

static bool same_file(const char *path, struct ccz_span want)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 1 << 20);
    return ccz_file_read(&b, path, NULL) == CCZ_OK && ccz_span_eq(ccz_buf_span(&b), want);
}

/* One bit of its signature is wrong. */
static void spoiled(struct ccz_buf *out, const struct ccz_buf *in)
{
    ccz_buf_init(out, CCZ_CERT_SIZE_MAX);
    ccz_buf_put_span(out, ccz_buf_span(in));
    out->ptr[out->size - 1] ^= 1;
}

static void check_amd(const struct fake_amd *a, const char *product, struct fake_pcs *f,
                      struct ccz_http_client *client, const char *dir)
{
    struct kit k;
    struct ccz_err err = {0};
    test_kit(&k, CCZ_TEE_SGX, 1);
    struct ccz_pcs_store_cfg cfg = test_cfg(dir, &k.roots, client, fake_base(f));
    cfg.snp_roots = &a->roots;
    CCZ_AUTO(ccz_pcs_store) s = test_store(&cfg);
    struct ccz_pcs_want_amd want = {.product = product};
    memcpy(want.chip_id, a->chip_id, sizeof(want.chip_id));
    memcpy(want.tcb, a->tcb, sizeof(want.tcb));
    test_said(ccz_pcs_store_fetch_amd(s, &want, &err), &err, CCZ_OK, err.where);
    CHECK(fake_pcs_requests(f) == 3);
    CHECK(ccz_pcs_store_fetch_amd(s, &want, &err) == CCZ_OK && fake_pcs_requests(f) == 0);
    /* one VCEK in 10 s */
    want.chip_id[0] ^= 1;
    test_said(ccz_pcs_store_fetch_amd(s, &want, &err), &err, CCZ_E_UNAVAILABLE, "pcs:back-off");
    CHECK(err.aux == 10 && fake_pcs_requests(f) == 0);
    /* a certificate of another chip, or another TCB, is not kept under this name */
    test_now += 10;
    test_said(ccz_pcs_store_fetch_amd(s, &want, &err), &err, CCZ_E_MISMATCH, "pcs:amd-chip");
    want.chip_id[0] ^= 1;
    want.tcb[7] ^= 1;
    test_now += 10;
    test_said(ccz_pcs_store_fetch_amd(s, &want, &err), &err, CCZ_E_MISMATCH, "pcs:amd-tcb");
    want.tcb[7] ^= 1;
    /* chain and list are renewed daily, the VCEK never */
    (void)fake_pcs_requests(f);
    test_now += 86400;
    CHECK(ccz_pcs_store_fetch_amd(s, &want, &err) == CCZ_OK && fake_pcs_requests(f) == 2);
    want.vlek = true;
    CHECK(ccz_pcs_store_fetch_amd(s, &want, &err) == CCZ_OK && fake_pcs_requests(f) == 2);
    /* a timer refreshes what is due of both, and no VCEK */
    int64_t next_s;
    CHECK(ccz_pcs_store_refresh(s, &next_s, &err) == CCZ_OK && fake_pcs_requests(f) == 0);
    test_now += 86400;
    CHECK(ccz_pcs_store_refresh(s, &next_s, &err) == CCZ_OK && fake_pcs_requests(f) == 4);
    want.product = "Rome";
    test_said(ccz_pcs_store_fetch_amd(s, &want, &err), &err, CCZ_E_ARG, "pcs:want");
    kit_free(&k);
}

static void test_amd(void)
{
    temp_setup();
    struct fake_amd milan, turin;
    struct fake_pcs f;
    fake_amd_new(&milan, false);
    fake_amd_new(&turin, true);
    fake_pcs_open(&f, &(struct fake_knobs){.amd = &milan});
    CCZ_AUTO(ccz_http_client) client = test_client();
    check_amd(&milan, "Milan", &f, client, temp_path("milan"));
    CHECK(same_file(temp_path("milan/snp-Milan-vcek/ark.der"), ccz_buf_span(&milan.ark)));
    CHECK(same_file(temp_path("milan/snp-Milan-vlek/ask.der"), ccz_buf_span(&milan.asvk)));
    char vek[512];
    char chip[129];
    ccz_hex(chip, milan.chip_id, 64);
    (void)snprintf(vek, sizeof(vek), "milan/snp-Milan-vcek/%s-04000000000016d5.vek.der", chip);
    CHECK(same_file(temp_path(vek), ccz_buf_span(&milan.vek)));
    test_now = KIT_NOW_S;
    fake_pcs_set(&f, &(struct fake_knobs){.amd = &turin});
    check_amd(&turin, "Turin", &f, client, temp_path("turin"));
    fake_pcs_close(&f);
    fake_amd_free(&milan);
    fake_amd_free(&turin);
}

/* Nothing is kept that does not hold under the pinned ARK, or is about something else. */
static void test_amd_refused(void)
{
    temp_setup();
    struct fake_amd milan, turin;
    struct fake_pcs f;
    struct kit k;
    struct ccz_err err = {0};
    fake_amd_new(&milan, false);
    fake_amd_new(&turin, true);
    test_kit(&k, CCZ_TEE_SGX, 1);
    fake_pcs_open(&f, &(struct fake_knobs){.amd = &milan});
    CCZ_AUTO(ccz_http_client) client = test_client();
    struct fake_amd mixed[] = {milan, milan, milan, milan, milan, turin};
    static const char *const where[] = {"snp:ca-name",        "snp:crl-signature",
                                        "snp:vek-signature",  "snp:vek-product",
                                        "pcs:other-platform", "snp:root"};
    struct ccz_buf crl, vek2;
    spoiled(&crl, &milan.crl);
    spoiled(&vek2, &milan.vek);
    mixed[0].ask = milan.ark;
    mixed[1].crl = crl;
    mixed[2].vek = vek2;
    mixed[3].vek = turin.vek;
    mixed[4].ask = milan.asvk;
    for (int i = 0; i < 6; i++) {
        char name[8] = "m0";
        name[1] = (char)('0' + i);
        struct ccz_pcs_want_amd want = {.product = "Milan"};
        memcpy(want.chip_id, milan.chip_id, 64);
        memcpy(want.tcb, milan.tcb, 8);
        fake_pcs_set(&f, &(struct fake_knobs){.amd = &mixed[i]});
        struct ccz_pcs_store_cfg cfg = test_cfg(temp_path(name), &k.roots, client, fake_base(&f));
        cfg.snp_roots = i == 5 ? NULL : &milan.roots;
        CCZ_AUTO(ccz_pcs_store) s = test_store(&cfg);
        CHECK(ccz_pcs_store_fetch_amd(s, &want, &err) != CCZ_OK);
        CHECK(strcmp(err.where, where[i]) == 0 ||
              (i == 3 && strncmp(err.where, "snp:vek", 7) == 0));
    }
    ccz_buf_free(&crl);
    ccz_buf_free(&vek2);
    fake_pcs_close(&f);
    fake_amd_free(&milan);
    fake_amd_free(&turin);
    kit_free(&k);
}

/* As many as there are gates, and more: what AMD does not know is remembered, and the pace is kept. */
static void outnumber_gates(struct ccz_pcs_store *s, struct fake_pcs *f,
                            struct ccz_pcs_want_amd *want)
{
    enum { CHIPS = 200 };
    struct ccz_err err = {0};
    for (int i = 0; i < CHIPS; i++) {
        test_now += 10;
        want->chip_id[2] = (uint8_t)i;
        (void)!ccz_pcs_store_fetch_amd(s, want, &err);
        if (i % 50 == 0) { /* once more: remembered */
            test_said(ccz_pcs_store_fetch_amd(s, want, &err), &err, CCZ_E_NOT_FOUND,
                      "pcs:not-found");
            want->chip_id[3] ^= 1; /* another one at once: not asked */
            test_said(ccz_pcs_store_fetch_amd(s, want, &err), &err, CCZ_E_UNAVAILABLE,
                      "pcs:back-off");
            want->chip_id[3] ^= 1;
        }
    }
    CHECK(fake_pcs_requests(f) <= CHIPS);
}

/* A server that fails is not asked. */
static void leave_alone(struct ccz_pcs_store *s, const struct fake_amd *milan, struct fake_pcs *f,
                        struct ccz_pcs_want_amd *want)
{
    struct ccz_err err = {0};
    fake_pcs_set(
        f, &(struct fake_knobs){.amd = milan, .on = "/", .status = 429, .retry_after = "600"});
    test_now += 11;
    want->chip_id[4] ^= 3;
    test_said(ccz_pcs_store_fetch_amd(s, want, &err), &err, CCZ_E_PEER, "pcs:rate");
    (void)fake_pcs_requests(f);
    for (int i = 0; i < 50; i++) {
        test_now += 11;
        want->chip_id[5] = (uint8_t)i;
        test_said(ccz_pcs_store_fetch_amd(s, want, &err), &err, CCZ_E_UNAVAILABLE, "pcs:back-off");
    }
    CHECK(fake_pcs_requests(f) == 0);
}

/* Reports that anybody can make up, of chips that do not exist. */
static void test_amd_flood(void)
{
    temp_setup();
    struct fake_amd milan;
    struct fake_pcs f;
    struct kit k;
    struct ccz_err err = {0};
    fake_amd_new(&milan, false);
    test_kit(&k, CCZ_TEE_SGX, 1);
    fake_pcs_open(&f, &(struct fake_knobs){.amd = &milan, .on = "/vcek/v1/Milan/", .status = 404});
    CCZ_AUTO(ccz_http_client) client = test_client();
    struct ccz_pcs_store_cfg cfg = test_cfg(temp_path("s"), &k.roots, client, fake_base(&f));
    cfg.snp_roots = &milan.roots;
    CCZ_AUTO(ccz_pcs_store) s = test_store(&cfg);
    struct ccz_pcs_want_amd want = {.product = "Milan"};
    memcpy(want.tcb, milan.tcb, 8);
    memcpy(want.chip_id, milan.chip_id, 64);
    test_said(ccz_pcs_store_fetch_amd(s, &want, &err), &err, CCZ_E_NOT_FOUND, "pcs:not-found");
    CHECK(fake_pcs_requests(&f) == 1); /* its chain: a line that AMD does not know */
    /* the chain is there, chips are not: one request in 10 s, however many are asked for */
    fake_pcs_set(&f, &(struct fake_knobs){.amd = &milan});
    test_now += 3600;
    CHECK(ccz_pcs_store_fetch_amd(s, &want, &err) == CCZ_OK && fake_pcs_requests(&f) == 3);
    fake_pcs_set(&f, &(struct fake_knobs){.amd = &milan, .on = "?blSPL", .status = 404});
    int64_t until_s = test_now + 100;
    int asked = 0;
    for (int i = 0; test_now < until_s; i++) {
        want.chip_id[0] = (uint8_t)i;
        want.chip_id[1] = (uint8_t)(i >> 8);
        ccz_rc rc = ccz_pcs_store_fetch_amd(s, &want, &err);
        CHECK(rc == CCZ_E_NOT_FOUND || rc == CCZ_E_UNAVAILABLE);
        test_now += i % 10 == 0;
    }
    asked = fake_pcs_requests(&f);
    CHECK(asked >= 9 && asked <= 10);
    outnumber_gates(s, &f, &want);
    /* none of that holds up chain and revocation list */
    int64_t next_s;
    test_now += 86400;
    (void)!ccz_pcs_store_fetch_amd(s, &want, &err);
    (void)fake_pcs_requests(&f);
    want.chip_id[4] ^= 1;
    test_now += 86400;
    (void)!ccz_pcs_store_fetch_amd(s, &want, &err); /* renews them, then asks for the chip */
    CHECK(fake_pcs_requests(&f) == 3);
    CHECK(ccz_pcs_store_refresh(s, &next_s, &err) == CCZ_OK);
    leave_alone(s, &milan, &f, &want);
    fake_pcs_close(&f);
    fake_amd_free(&milan);
    kit_free(&k);
}

static void refuses_report(struct ccz_pcs_store *s, const struct snp_kit *k, const char *where)
{
    struct ccz_err err = {0};
    CHECK(ccz_pcs_store_fetch_evidence(s, ccz_buf_span(&k->evidence), &err) == CCZ_E_UNSUPPORTED);
    CHECK(strcmp(err.where, where) == 0 && err.hint[0]);
}

static void mask_chip(uint8_t report[1184])
{
    memset(report + 0x1a0, 0, 64);
}

static void make_report(struct snp_kit *k, enum ccz_snp_signer signer, uint32_t version, bool table,
                        void (*edit)(uint8_t *))
{
    struct snp_kit_cfg cfg;
    snp_kit_default(&cfg, CCZ_SNP_MILAN, signer, version);
    cfg.table = table;
    cfg.edit = edit;
    snp_kit_new(k, &cfg);
}

/* What evidence itself says it needs. */
static void test_evidence(void)
{
    temp_setup();
    struct fake_amd milan;
    struct fake_pcs f;
    struct kit k;
    struct snp_kit r;
    struct ccz_err err = {0};
    fake_amd_new(&milan, false);
    test_kit(&k, CCZ_TEE_SGX, 1);
    fake_pcs_open(&f, &(struct fake_knobs){.serve = {&k.src}, .amd = &milan});
    CCZ_AUTO(ccz_http_client) client = test_client();
    struct ccz_pcs_store_cfg cfg = test_cfg(temp_path("s"), &k.roots, client, fake_base(&f));
    cfg.snp_roots = &milan.roots;
    CCZ_AUTO(ccz_pcs_store) s = test_store(&cfg);
    /* nothing to ask for: version 2 without certificate, a masked chip, a VLEK that did not come along, no report */
    make_report(&r, CCZ_SNP_VCEK, 2, false, NULL);
    refuses_report(s, &r, "pcs:snp-product");
    snp_kit_free(&r);
    make_report(&r, CCZ_SNP_VCEK, 3, false, mask_chip);
    refuses_report(s, &r, "pcs:snp-chip");
    snp_kit_free(&r);
    make_report(&r, CCZ_SNP_VLEK, 3, false, NULL);
    refuses_report(s, &r, "pcs:snp-vlek");
    r.evidence.ptr[0x30] = 9; /* VMPL */
    CHECK(ccz_pcs_store_fetch_evidence(s, ccz_buf_span(&r.evidence), &err) == CCZ_E_FORMAT);
    snp_kit_free(&r);
    CHECK(fake_pcs_requests(&f) == 0);
    /* with its certificate, version 2 says enough: chain and list */
    make_report(&r, CCZ_SNP_VCEK, 2, true, NULL);
    test_said(ccz_pcs_store_fetch_evidence(s, ccz_buf_span(&r.evidence), &err), &err, CCZ_OK,
              err.where);
    CHECK(fake_pcs_requests(&f) == 2);
    snp_kit_free(&r);
    make_report(&r, CCZ_SNP_VLEK, 3, true, NULL);
    test_said(ccz_pcs_store_fetch_evidence(s, ccz_buf_span(&r.evidence), &err), &err, CCZ_OK,
              err.where);
    CHECK(fake_pcs_requests(&f) == 2);
    snp_kit_free(&r);
    /* the VCEK only where it is missing */
    test_said(ccz_pcs_store_fetch_evidence(s, ccz_buf_span(&milan.report), &err), &err, CCZ_OK,
              err.where);
    CHECK(fake_pcs_requests(&f) == 1);
    test_said(ccz_pcs_store_fetch_evidence(s, ccz_buf_span(&k.quote), &err), &err, CCZ_OK,
              err.where);
    CHECK(fake_pcs_requests(&f) == 4);
    /* what was stored is one set */
    CCZ_AUTO(ccz_pcs) set = NULL;
    test_said(ccz_pcs_load_all(&set, cfg.dir, &k.roots, &milan.roots, &err), &err, CCZ_OK,
              err.where);
    CHECK(ccz_pcs_snp_len(set) == 2 && ccz_pcs_len(set) == 1);
    fake_pcs_close(&f);
    fake_amd_free(&milan);
    kit_free(&k);
}

static const char *reported(struct ccz_pcs_store *s, const char *what)
{
    static char text[65536];
    CCZ_AUTO_BUF out;
    CCZ_AUTO(ccz_json) json = NULL;
    ccz_buf_init(&out, sizeof(text) - 1);
    ccz_pcs_store_report(&out, s);
    CHECK(ccz_json_parse(&json, ccz_buf_span(&out), NULL) == CCZ_OK);
    (void)snprintf(text, sizeof(text), "%s", ccz_buf_str(&out));
    return strstr(text, what);
}

/* A server cannot bring back an older revocation list, nor put an ARK that is not pinned in the place of the one that is there. */
static void test_amd_older(void)
{
    temp_setup();
    struct fake_amd milan, other;
    struct fake_pcs f;
    struct kit k;
    struct ccz_err err = {0};
    int64_t next_s;
    fake_amd_new(&milan, false);
    fake_amd_new(&other, true);
    test_kit(&k, CCZ_TEE_SGX, 1);
    struct fake_amd later = milan;
    later.crl = milan.later_crl;
    fake_pcs_open(&f, &(struct fake_knobs){.amd = &later});
    CCZ_AUTO(ccz_http_client) client = test_client();
    struct ccz_pcs_store_cfg cfg = test_cfg(temp_path("s"), &k.roots, client, fake_base(&f));
    cfg.snp_roots = &milan.roots;
    CCZ_AUTO(ccz_pcs_store) s = test_store(&cfg);
    struct ccz_pcs_want_amd want = {.product = "Milan"};
    memcpy(want.chip_id, milan.chip_id, 64);
    memcpy(want.tcb, milan.tcb, 8);
    test_said(ccz_pcs_store_fetch_amd(s, &want, &err), &err, CCZ_OK, err.where);
    const struct {
        const struct fake_amd *serve;
        const char *where;
    } bad[] = {{&milan, "\"where\":\"pcs:older\""}, {&other, "\"where\":\"snp:ark-name\""}};
    for (int i = 0; i < 2; i++) {
        test_now += 86400;
        fake_pcs_set(&f, &(struct fake_knobs){.amd = bad[i].serve});
        CHECK(ccz_pcs_store_refresh(s, &next_s, &err) == CCZ_OK); /* what is there is good */
        CHECK(reported(s, bad[i].where));
        CHECK(same_file(temp_path("s/snp-Milan-vcek/crl.der"), ccz_buf_span(&later.crl)));
        CHECK(same_file(temp_path("s/snp-Milan-vcek/ark.der"), ccz_buf_span(&milan.ark)));
    }
    /* what is there is not good any more if AMD has revoked it: nobody is told that all is well */
    test_now += 86400;
    later.crl = milan.revoking_crl;
    fake_pcs_set(&f, &(struct fake_knobs){.amd = &later});
    test_said(ccz_pcs_store_refresh(s, &next_s, &err), &err, CCZ_E_REVOKED, "snp:ca-revoked");
    CHECK(strstr(err.hint, "taken out of use"));
    CHECK(access(temp_path("s/snp-Milan-vcek/ask.der"), F_OK) != 0);
    CHECK(access(temp_path("s/.revoked-snp-Milan-vcek/ask.der"), F_OK) == 0);
    fake_pcs_close(&f);
    fake_amd_free(&milan);
    fake_amd_free(&other);
    kit_free(&k);
}

static const struct ccz_test tests[] = {
    {"store.amd", test_amd},
    {"store.amd_refused", test_amd_refused},
    {"store.amd_flood", test_amd_flood},
    {"store.amd_older", test_amd_older},
    {"store.evidence", test_evidence},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
