/* SPDX-License-Identifier: Apache-2.0 */
/* cczoo kms ca ...: an operator makes an authority and gives out its certificate; a workload has one issued. */
#include "kms_ca.h"

#include "kms_opts.h"
#include "kms_roles.h"
#include "kms_session.h"
#include "kms_show.h"

#include <cczoo/codec.h>
#include <cczoo/kms_use.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct ca_opts {
    struct kms_reach reach;
    const char *alg, *names, *bind, *expires, *out, *key_out;
    int64_t life_s, valid_days;
    bool propose, json;
};

typedef ccz_rc verb_fn(struct kms_session *s, const struct ca_opts *o, const char *name,
                       struct ccz_err *err);

/* What is no secret: to a file that must not exist, or stdout. */
static ccz_rc write_pem(const char *file, const struct ccz_buf *pem, struct ccz_err *err)
{
    if (pem->bad)
        return ccz_fail(err, CCZ_E_NOMEM, "kms:certificate", 0, "out of memory");
    if (file && strcmp(file, "-") != 0)
        return ccz_file_write(file, ccz_buf_span(pem), 0644, CCZ_FILE_CREATE_ONLY, err);
    ui_out_span(ccz_buf_span(pem));
    return CCZ_OK;
}

static ccz_rc create(struct kms_session *s, const struct ca_opts *o, const char *name,
                     struct ccz_err *err)
{
    struct ccz_kms_key_spec spec = {.name = name,
                                    .kind = o->alg ? o->alg : "ecdsa-p256",
                                    .ops = "issue,public-key",
                                    .policy = o->bind,
                                    .names = o->names};
    struct ccz_kms_receipt r;
    struct ccz_kms_proposed p;
    if (o->expires && ccz_time_parse(&spec.expires_s, o->expires, strlen(o->expires)) != CCZ_OK)
        return ccz_refuse(err, CCZ_E_FORMAT, "kms:expires", o->expires, "YYYY-MM-DDThh:mm:ssZ");
    if (o->propose) {
        ccz_rc rc = ccz_kms_propose_key(&p, s->client, &spec, (uint32_t)o->valid_days * 86400, err);
        if (rc == CCZ_OK)
            kms_show_proposed(&(struct kms_roles_opts){.json = o->json}, &p);
        return rc;
    }
    ccz_rc rc = ccz_kms_key_generate(&r, s->client, &spec, err);
    if (rc == CCZ_OK)
        kms_show_change(o->json, "created", "key", name, 1, &r);
    return rc;
}

static ccz_rc cert(struct kms_session *s, const struct ca_opts *o, const char *name,
                   struct ccz_err *err)
{
    CCZ_AUTO_BUF der, pem;
    ccz_buf_init(&der, CCZ_CERT_SIZE_MAX);
    ccz_buf_init(&pem, 2 * CCZ_CERT_SIZE_MAX);
    ccz_rc rc = ccz_kms_ca_certificate(&der, s->client, name, err);
    if (rc == CCZ_OK)
        ccz_pem_put(&pem, "CERTIFICATE", ccz_buf_span(&der));
    return rc == CCZ_OK ? write_pem(o->out, &pem, err) : rc;
}

static ccz_rc attest(void *attester, struct ccz_buf *quote, const uint8_t report_data[64],
                     struct ccz_err *err)
{
    return ccz_attester_quote(quote, attester, report_data, err);
}

/* The key first: a certificate without its key is of no use, and one is made on record. */
static ccz_rc issue(struct kms_session *s, const struct ca_opts *o, const char *name,
                    struct ccz_err *err)
{
    CCZ_AUTO(ccz_key) identity = NULL;
    CCZ_AUTO_BUF pem;
    struct ccz_kms_issued got;
    ccz_buf_init(&pem, 4 * CCZ_CERT_SIZE_MAX);
    ccz_rc rc = ccz_key_generate(&identity, CCZ_P256);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "kms:key-generate", 0, "cannot make a key");
    rc = ccz_key_save(identity, o->key_out, err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_kms_issue ask = {.key = name,
                                      .names = o->names,
                                      .identity = identity,
                                      .attest = attest,
                                      .attest_arg = ccz_party_attester(s->party),
                                      .life_s = o->life_s};
    ccz_kms_issued_init(&got);
    rc = ccz_kms_issue_certificate(&got, s->client, &ask, err);
    if (rc != CCZ_OK) /* it was made here and is of no use: the same command may come again */
        (void)unlink(o->key_out);
    if (rc == CCZ_OK) {
        char at[21];
        ccz_time_format(at, got.not_after_s);
        ccz_pem_put(&pem, "CERTIFICATE", ccz_buf_span(&got.certificate));
        ccz_pem_put(&pem, "CERTIFICATE", ccz_buf_span(&got.ca));
        ui_say("issued by key/%s version %u until %s, audit line %llu", name, got.use.version, at,
               (unsigned long long)got.use.receipt.audit_seq);
        rc = write_pem(o->out, &pem, err);
    }
    ccz_kms_issued_deinit(&got);
    return rc;
}

static const struct verb {
    const char *name, *args, *help;
    verb_fn *run;
    bool names, key_out;
} verbs[] = {
    {"create", "NAME --names LIST", "a key that issues certificates for these names, and no others",
     create, true, false},
    {"cert", "NAME", "its certificate in PEM: what clients trust (--cacert)", cert, false, false},
    {"issue", "NAME --names LIST --key-out FILE --tee PROVIDER",
     "a certificate for this workload, its evidence inside: the chain in PEM", issue, true, true},
};
enum { VERBS_LEN = sizeof(verbs) / sizeof(verbs[0]) };

void kms_ca_help(void)
{
    for (size_t i = 0; i < VERBS_LEN; i++)
        kms_verb_help("ca", verbs[i].name, verbs[i].args, verbs[i].help);
}

static bool check(const struct verb *v, const struct ca_opts *o, int operands)
{
    const struct ui_need needs[] = {{"kms", o->reach.kms},
                                    {"policy", o->reach.policy},
                                    {"tee", !v->key_out || o->reach.tee},
                                    {"admin-key", v->key_out || o->reach.admin_key},
                                    {"names", !v->names || o->names},
                                    {"key-out", !v->key_out || o->key_out}};
    if (!ui_needs(needs, sizeof(needs) / sizeof(needs[0])))
        return false;
    if (operands != 1) {
        ui_error("expected: cczoo kms ca %s %s", v->name, v->args);
        return false;
    }
    if (!kms_id_is_usable(&o->reach))
        return false;
    if (!kms_not_stdout("key-out", o->key_out))
        return false;
    return ui_count("life", o->life_s, 0, 7 * 86400) && ui_count("valid", o->valid_days, 0, 30);
}

static int parse(struct ca_opts *o, const struct verb *v, int argc, char **argv)
{
    const struct ui_opt reach[] = {KMS_REACH_OPTS(&o->reach), UI_OWN_EVIDENCE(&o->reach), {0}};
    const struct kms_opt opts[] = {
        {"create, issue",
         UI_TEXT("names", &o->names, "LIST", "DNS names and addresses, e.g. als.example,10.0.0.7")},
        {"create", UI_TEXT("alg", &o->alg, "KIND", "ecdsa-p256 (default) or ecdsa-p384")},
        {"create", UI_TEXT("bind", &o->bind, "NAME", "policy of workloads that get certificates")},
        {"create", UI_TEXT("expires", &o->expires, "TIME", "of the key; default: never")},
        {"issue", {"life", NULL, &o->life_s, NULL, "SECONDS", "60 to 604800; default 86400"}},
        {"issue", UI_TEXT("key-out", &o->key_out, "FILE", "the private key, which must not exist")},
        {"cert, issue",
         UI_TEXT("out", &o->out, "FILE", "certificates, must not exist; default: stdout")},
        {"propose",
         {"valid", NULL, &o->valid_days, NULL, "DAYS",
          "how long it may be approved, 1 to 30; default 7"}},
        {"create", {"json", NULL, NULL, &o->json, NULL, "print JSON"}},
        {0},
    };
    char usage[160];
    (void)snprintf(usage, sizeof(usage), "cczoo kms ca %s %s --kms ADDR --policy FILE ...", v->name,
                   v->args);
    return kms_parse(argc, argv, "cczoo kms ca", v->name, o->propose, usage, reach, opts);
}

static int run(const struct verb *v, bool propose, int argc, char **argv)
{
    struct ca_opts o = {.propose = propose};
    int n = parse(&o, v, argc, argv);
    if (n < 0)
        return ui_parse_status(n);
    if (!check(v, &o, n))
        return UI_USAGE;
    struct ccz_err err = {0};
    struct kms_session s;
    ccz_rc rc = kms_session_begin(&s, &o.reach, &err);
    if (rc == CCZ_OK)
        rc = v->run(&s, &o, argv[0], &err);
    kms_session_end(&s);
    return rc == CCZ_OK ? UI_OK : ui_fail(&err);
}

int kms_ca(bool propose, int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < VERBS_LEN; i++) {
        const struct verb *v = &verbs[i];
        if (strcmp(argv[1], v->name) == 0 && (!propose || v->run == create))
            return run(v, propose, argc - 1, argv + 1);
    }
    ui_error("no such verb: kms %sca%s%s", propose ? "propose " : "", argc > 1 ? " " : "",
             argc > 1 ? argv[1] : "");
    ui_hint("cczoo kms --help lists the verbs");
    return UI_USAGE;
}
