/* SPDX-License-Identifier: Apache-2.0 */
/* What is verified once and together: no refusal changes its name by it, nothing is believed that was
 * not verified, and what counts as the same is the same in every byte. */
#include "quote/kit.h"
#include "quote/quote_priv.h"

#include "ccz_test.h"

#include <stddef.h>

/* ------------------------------------------------------------------------------- order */

static void expect(const char *name, ccz_rc rc, const struct ccz_err *err, const char *want_where)
{
    const char *where = rc == CCZ_OK ? "" : err->where;
    if (strcmp(where, want_where) != 0) {
        fprintf(stderr, "%s: got %s at %s, expected %s\n", name, ccz_rc_name(rc), where,
                want_where);
        exit(1);
    }
}

/* Damage to a part of collateral; all of it leaves the parts before alone. */
static void spoil_sig(struct ccz_buf *json)
{
    uint8_t *digit = json->ptr + json->size - 4; /* of the signature */
    *digit = *digit == '0' ? '1' : '0';
}
static void spoil_json(struct ccz_buf *json)
{
    json->ptr[0] = '[';
}
static void spoil_last(struct ccz_buf *der)
{
    der->ptr[der->size - 1] ^= 1; /* of the signature */
}
static void spoil_first(struct ccz_buf *der)
{
    der->ptr[0] ^= 1;
}
static void drop(struct ccz_buf *b)
{
    b->size = 0;
}

struct spoil {
    size_t part; /* offset in struct kit */
    void (*how)(struct ccz_buf *b);
};
#define PART(name) offsetof(struct kit, name)

/* Two mistakes at once: the one that the algorithm meets first is told, whether it is a signature
 * or not. */
static void test_order_collateral(void)
{
    static const struct {
        struct spoil a, b;
        const char *where;
    } cases[] = {
        /* a signature, then something that shows at once */
        {{PART(tcb_info), spoil_sig},
         {PART(qe_identity), spoil_json},
         "collateral:tcb-info-signature"},
        {{PART(tcb_info), spoil_sig}, {PART(ca_chain), drop}, "collateral:tcb-info-signature"},
        {{PART(qe_identity), spoil_sig},
         {PART(root_crl), spoil_first},
         "collateral:qe-identity-signature"},
        {{PART(root_crl), spoil_last},
         {PART(pck_crl), spoil_first},
         "collateral:root-crl-signature"},
        {{PART(root_crl), spoil_last}, {PART(pck_crl), drop}, "collateral:root-crl-signature"},
        /* two signatures */
        {{PART(tcb_info), spoil_sig},
         {PART(qe_identity), spoil_sig},
         "collateral:tcb-info-signature"},
        {{PART(pck_crl), spoil_last},
         {PART(qe_identity), spoil_sig},
         "collateral:qe-identity-signature"},
        {{PART(pck_crl), spoil_last},
         {PART(root_crl), spoil_last},
         "collateral:root-crl-signature"},
        /* something that shows at once, then a signature */
        {{PART(qe_identity), spoil_json}, {PART(root_crl), spoil_last}, "collateral:qe-identity"},
        {{PART(root_crl), spoil_first}, {PART(pck_crl), spoil_last}, "collateral:root-crl"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct kit k;
        struct kit_cfg cfg;
        struct ccz_err err = {0};
        CCZ_AUTO(ccz_collateral) c = NULL;
        kit_default(&cfg, CCZ_TEE_SGX, 3);
        kit_new(&k, &cfg);
        cases[i].a.how((struct ccz_buf *)(void *)((char *)&k + cases[i].a.part));
        cases[i].b.how((struct ccz_buf *)(void *)((char *)&k + cases[i].b.part));
        const struct ccz_collateral_src src = {
            ccz_buf_span(&k.tcb_info),    ccz_buf_span(&k.tcb_chain),
            ccz_buf_span(&k.qe_identity), ccz_buf_span(&k.tcb_chain),
            ccz_buf_span(&k.root_crl),    ccz_buf_span(&k.pck_crl),
            ccz_buf_span(&k.ca_chain),    {0}};
        expect("collateral", ccz_collateral_new(&c, &src, &k.roots, &err), &err, cases[i].where);
        CHECK(c == NULL && err.msg[0] != 0);
        kit_free(&k);
    }
}

static void unbound(uint8_t *r)
{
    r[320] ^= 1;
}
static void debug(uint8_t *r)
{
    r[48] |= 2;
}
#define KNOB(fn, statements)                                                                       \
    static void fn(struct kit_cfg *c)                                                              \
    {                                                                                              \
        statements;                                                                                \
    }
KNOB(leaf_ext, c->forge_pck = true; c->no_sgx_extension = true)
KNOB(leaf_revoked, c->forge_pck = true; c->revoke_pck = true)
KNOB(leaf_qe, c->forge_pck = true; c->stranger_signs_qe = true)
KNOB(leaf_point, c->forge_pck = true; c->attest_key_off_curve = true)
KNOB(leaf_expired, c->forge_pck = true; c->pck.until_s = KIT_NOW_S - 1)
KNOB(qe_unbound, c->stranger_signs_qe = true; c->edit_qe = unbound)
KNOB(qe_body, c->stranger_signs_qe = true; c->stranger_signs_body = true)
KNOB(qe_debug, c->stranger_signs_qe = true; c->edit_qe = debug)
KNOB(body_level, c->stranger_signs_body = true; c->pce_svn = 4)
KNOB(revoked_qe, c->revoke_pck = true; c->stranger_signs_qe = true)
KNOB(unbound_body, c->edit_qe = unbound; c->stranger_signs_body = true)
KNOB(debug_body, c->edit_qe = debug; c->stranger_signs_body = true)
KNOB(expired_body, c->pck.until_s = KIT_NOW_S - 1; c->stranger_signs_body = true)

static void test_order_quote(void)
{
    static const struct {
        void (*make)(struct kit_cfg *c);
        const char *where;
    } cases[] = {
        {leaf_ext, "quote:pck-signature"},     {leaf_revoked, "quote:pck-signature"},
        {leaf_qe, "quote:pck-signature"},      {leaf_point, "quote:pck-signature"},
        {leaf_expired, "quote:pck-signature"}, {qe_unbound, "quote:qe-signature"},
        {qe_body, "quote:qe-signature"},       {qe_debug, "quote:qe-signature"},
        {body_level, "quote:signature"},       {revoked_qe, "quote:pck-revoked"},
        {unbound_body, "quote:qe-binding"},    {debug_body, "quote:qe-attributes"},
        {expired_body, "quote:pck-expired"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct kit k;
        struct kit_cfg cfg;
        struct ccz_claims claims;
        struct ccz_err err = {0};
        static const struct ccz_claims none;
        kit_default(&cfg, CCZ_TEE_SGX, 3);
        cases[i].make(&cfg);
        kit_new(&k, &cfg);
        expect("quote", kit_verify(&claims, &k, &err), &err, cases[i].where);
        CHECK(memcmp(&claims, &none, sizeof(none)) == 0);
        kit_free(&k);
    }
}

/* A batch that cannot be filled must not pass for one that holds. */
static void test_sigs(void)
{
    static const struct cczi_sig_refusal refusal = {"test:sig", "text", "hint"};
    uint8_t sig[64];
    const struct ccz_span bytes = ccz_span_str("signed");
    struct ccz_err err = {0};
    CHECK(ccz_ecdsa_sign(sig, kit_key(0), &bytes, 1) == CCZ_OK);
    struct cczi_sigs s = {0};
    CHECK(cczi_sigs_check(&s, CCZ_OK, &err) == CCZ_OK);
    CHECK(cczi_sigs_check(&s, CCZ_E_LIMIT, &err) == CCZ_E_LIMIT);
    for (int i = 0; i < CCZI_SIGS_MAX; i++)
        cczi_sigs_add_raw(&s, kit_key(0), CCZ_SPAN(sig, 64), bytes, &refusal);
    CHECK(cczi_sigs_check(&s, CCZ_OK, &err) == CCZ_OK);
    CHECK(cczi_sigs_check(&s, CCZ_E_LIMIT, &err) == CCZ_E_LIMIT);
    struct cczi_sigs full = s;
    cczi_sigs_add_raw(&full, kit_key(0), CCZ_SPAN(sig, 64), bytes, &refusal);
    CHECK(cczi_sigs_check(&full, CCZ_OK, &err) == CCZ_E_INTERNAL);
    for (int i = 0; i < CCZI_SIGS_MAX; i++) { /* each one counts */
        struct cczi_sigs one = s;
        one.job[i].digest[31] ^= 1;
        CHECK(cczi_sigs_check(&one, CCZ_OK, &err) == CCZ_E_SIG);
        CHECK(strcmp(err.where, "test:sig") == 0 && strcmp(err.hint, "hint") == 0);
        CHECK(cczi_sigs_check(&one, CCZ_E_LIMIT, &err) == CCZ_E_SIG);
    }
}

/* -------------------------------------------------------------------------------- once */

static void put_pem(struct ccz_buf *out, const struct ccz_cert *a, const struct ccz_cert *b,
                    const struct ccz_cert *c)
{
    const struct ccz_cert *const certs[] = {a, b, c};
    ccz_buf_init(out, 65536);
    for (int i = 0; i < 3 && certs[i]; i++)
        ccz_pem_put(out, "CERTIFICATE", ccz_cert_der(certs[i]));
}

static size_t links(struct cczi_certs *certs, struct ccz_span pem,
                    const struct cczi_chain_rule *rule, const struct ccz_roots *roots)
{
    struct cczi_chain chain;
    struct cczi_sigs sigs = {0};
    struct ccz_err err = {0};
    expect("chain", cczi_chain_read(&chain, certs, &sigs, pem, rule, roots, &err), &err, "");
    CHECK(cczi_sigs_check(&sigs, CCZ_OK, &err) == CCZ_OK);
    return sigs.len;
}

/* The same certificate in other bytes, by the same key: a signature is different each time. */
static struct ccz_cert *again(const struct ccz_cert *cert, const struct ccz_key *key,
                              const struct ccz_cert *issuer, const struct ccz_key *issuer_key)
{
    CCZ_AUTO_BUF der;
    struct ccz_cert *out;
    ccz_buf_init(&der, 65536);
    const struct ccz_cert_cfg cfg = {.cn = ccz_cert_cn(cert),
                                     .org = "Kit",
                                     .key = key,
                                     .issuer = issuer,
                                     .issuer_key = issuer ? issuer_key : NULL,
                                     .not_before_s = ccz_cert_not_before(cert),
                                     .not_after_s = ccz_cert_not_after(cert),
                                     .serial = 77,
                                     .ca = ccz_cert_is_ca(cert)};
    CHECK(ccz_cert_issue(&der, &cfg, NULL) == CCZ_OK);
    CHECK(ccz_cert_parse(&out, ccz_buf_span(&der), NULL) == CCZ_OK);
    return out;
}

/* Each link of the chains is verified once, for as long as both certificates are the same bytes. */
static void test_once(void)
{
    struct kit k;
    struct kit_cfg cfg;
    kit_default(&cfg, CCZ_TEE_SGX, 3);
    kit_new(&k, &cfg);
    struct cczi_certs certs = {0};
    const struct ccz_span tcb = ccz_buf_span(&k.tcb_chain), ca = ccz_buf_span(&k.ca_chain),
                          pck = ccz_buf_span(&k.pck_chain);
    CHECK(links(&certs, tcb, &cczi_chain_tcb_info, &k.roots) == 2); /* signer, root */
    CHECK(links(&certs, tcb, &cczi_chain_qe_identity, &k.roots) == 0);
    CHECK(links(&certs, ca, &cczi_chain_pck_crl, &k.roots) == 1);
    CHECK(certs.len == 3);

    /* a quote: its leaf, as long as CA and root are those of the collateral */
    struct cczi_certs quote = {.older = &certs};
    CHECK(links(&quote, pck, &cczi_chain_pck, &k.roots) == 1 && quote.len == 1);
    cczi_certs_free(&quote);
    CHECK(links(&quote, pck, &cczi_chain_pck, &k.roots) == 3 && quote.len == 3);
    cczi_certs_free(&quote);

    CCZ_AUTO(ccz_cert) root2 = again(k.root, kit_key(0), NULL, NULL);
    CCZ_AUTO(ccz_cert) ca2 = again(k.ca, kit_key(1), k.root, kit_key(0));
    CCZ_AUTO_BUF other_root, other_ca, tcb_root2;
    put_pem(&other_root, k.pck, k.ca, root2);
    put_pem(&other_ca, k.pck, ca2, k.root);
    put_pem(&tcb_root2, k.tcb, root2, NULL);
    quote.older = &certs; /* the known CA by another root: leaf, that link, the root itself */
    CHECK(links(&quote, ccz_buf_span(&other_root), &cczi_chain_pck, &k.roots) == 3);
    CHECK(quote.len == 2);
    cczi_certs_free(&quote);
    quote.older = &certs;
    CHECK(links(&quote, ccz_buf_span(&other_ca), &cczi_chain_pck, &k.roots) == 2);
    cczi_certs_free(&quote);
    CHECK(links(&certs, ccz_buf_span(&tcb_root2), &cczi_chain_tcb_info, &k.roots) == 2);
    cczi_certs_free(&certs);
    kit_free(&k);
}

/* A certificate that differs from a verified one in its signature alone is not that one. */
static void test_not_the_same(void)
{
    struct kit k;
    struct kit_cfg cfg;
    struct ccz_claims claims;
    struct ccz_err err = {0};
    kit_default(&cfg, CCZ_TEE_SGX, 3);
    cfg.cert_type = 1; /* the chain comes with the collateral */
    kit_new(&k, &cfg);
    const struct ccz_cert *const whole[] = {k.pck, k.ca, k.root};
    for (int bad = 0; bad < 3; bad++) {
        CCZ_AUTO_BUF pem;
        CCZ_AUTO(ccz_collateral) opened = NULL;
        ccz_buf_init(&pem, 65536);
        for (int i = 0; i < 3; i++) {
            uint8_t der[4096];
            struct ccz_span from = ccz_cert_der(whole[i]);
            CHECK(from.size <= sizeof(der));
            memcpy(der, from.ptr, from.size);
            der[from.size - 1] ^= i == bad;
            ccz_pem_put(&pem, "CERTIFICATE", CCZ_SPAN(der, from.size));
        }
        k.src.pck_chain = ccz_buf_span(&pem);
        CHECK(ccz_collateral_new(&opened, &k.src, &k.roots, &err) == CCZ_OK);
        const struct ccz_verify_cfg v = {
            .now_s = KIT_NOW_S, .roots = &k.roots, .collateral = opened};
        expect("spoilt", ccz_quote_verify(&claims, ccz_buf_span(&k.quote), &v, &err), &err,
               "quote:pck-signature");
    }
    kit_free(&k);
}

/* Between and behind certificates nothing may hide that looks like one. */
static void test_hidden(void)
{
    static const char *const texts[] = {
        "-----BEGIN CERTIFICATE-----x-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----x\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----x\n",
        "-----BEGIN CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----",
    };
    struct kit k;
    struct kit_cfg cfg;
    struct ccz_claims claims;
    struct ccz_err err = {0};
    kit_default(&cfg, CCZ_TEE_SGX, 3);
    cfg.cert_type = 1;
    kit_new(&k, &cfg);
    const struct ccz_cert *const whole[] = {k.pck, k.ca, k.root};
    for (size_t t = 0; t < sizeof(texts) / sizeof(texts[0]); t++) {
        for (int place = 0; place <= 3; place++) {
            CCZ_AUTO_BUF pem;
            ccz_buf_init(&pem, 65536);
            for (int i = 0; i <= 3; i++) {
                if (i == place)
                    ccz_buf_put_str(&pem, texts[t]);
                if (i < 3)
                    ccz_pem_put(&pem, "CERTIFICATE", ccz_cert_der(whole[i]));
            }
            k.src.pck_chain = ccz_buf_span(&pem);
            expect(texts[t], kit_verify(&claims, &k, &err), &err, "quote:pck-chain");
        }
        CCZ_AUTO_BUF root;
        struct ccz_roots roots = {0};
        ccz_buf_init(&root, 65536);
        ccz_pem_put(&root, "CERTIFICATE", ccz_cert_der(k.root));
        ccz_buf_put_str(&root, texts[t]);
        expect(texts[t], ccz_roots_add_cert(&roots, ccz_buf_span(&root), true, &err), &err,
               "roots:cert");
    }
    kit_free(&k);
}

static const struct ccz_test tests[] = {
    {"batch.order_collateral", test_order_collateral},
    {"batch.order_quote", test_order_quote},
    {"batch.sigs", test_sigs},
    {"batch.once", test_once},
    {"batch.not_the_same", test_not_the_same},
    {"batch.hidden", test_hidden},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
