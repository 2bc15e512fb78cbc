/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The KMS's peers for the integration tests, in one process each:
 *   release ITEM [FILE]    a workload in the software TEE; the value goes to FILE, if given; --receipt adds
 * the signed receipt to a file
 *   hammer PREFIX COUNT    an administrator; first checks that every item named on stdin is there,
 * then stores items until COUNT or until the KMS is gone, naming each acknowledged one on stdout
 *   verify                 a workload; every item named on stdin has the value that hammer gave it
 * Exit status as the command line's: 0, 1 refused, 2 usage, 3 environment. 4: an acknowledged item
 * is lost or damaged.
 */
#include "../../cli/ui.h"

#include <cczoo/kms_audit.h>
#include <cczoo/party.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PROBE_LOST = 4 };

struct opts {
    const char *kms, *admin_key, *trust_sim, *sim_dir, *policy, *bind, *receipt;
};

struct link {
    struct ccz_key *key;
    struct ccz_party *party;
    struct ccz_rpc_client *client;
};

static void link_close(struct link *l)
{
    ccz_rpc_client_free(l->client);
    ccz_party_free(l->party);
    ccz_key_free(l->key);
}

/* As an administrator with --admin-key, else as a workload with evidence. */
static ccz_rc link_open(struct link *l, const struct opts *o, struct ccz_err *err)
{
    *l = (struct link){0};
    ccz_rc rc = o->admin_key ? ccz_key_load(&l->key, o->admin_key, err) : CCZ_OK;
    if (rc != CCZ_OK)
        return rc;
    struct ccz_party_cfg party = {
        .trust_sim_dir = o->trust_sim, .policy_file = o->policy, .key = l->key};
    if (!o->admin_key)
        party.tee = (struct ccz_attester_cfg){.provider = "sim-sgx", .sim_dir = o->sim_dir};
    rc = ccz_party_new(&l->party, &party, err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_rpc_client_cfg cfg = {.target = o->kms, .ratls = ccz_party_ratls(l->party)};
    rc = ccz_rpc_client_new(&l->client, &cfg, err);
    return rc == CCZ_OK ? ccz_rpc_client_connect(NULL, l->client, err) : rc;
}

/* ------------------------------------------------------------------- names from stdin */

struct names {
    char (*item)[CCZ_KMS_ITEM_SIZE];
    bool *seen;
    size_t len;
};

static int compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void read_names(struct names *n)
{
    char line[CCZ_KMS_ITEM_SIZE + 2];
    while (fgets(line, sizeof(line), stdin)) {
        size_t size = strcspn(line, "\n");
        n->item = realloc(n->item, (n->len + 1) * sizeof(n->item[0]));
        if (!n->item || size >= sizeof(n->item[0]))
            abort();
        line[size] = 0;
        memcpy(n->item[n->len++], line, size + 1);
    }
    n->seen = calloc(n->len + 1, sizeof(*n->seen));
    if (!n->seen)
        abort();
    if (n->len)
        qsort(n->item, n->len, sizeof(n->item[0]), compare);
}

static void names_free(struct names *n)
{
    free(n->item);
    free(n->seen);
}

static void mark(void *arg, const struct ccz_kms_item *it)
{
    struct names *n = arg;
    char(*at)[CCZ_KMS_ITEM_SIZE] =
        n->len ? bsearch(it->item, n->item, n->len, sizeof(n->item[0]), compare) : NULL;
    if (at)
        n->seen[at - n->item] =
            it->policy[0] != 0; /* an item without its binding is half an item */
}

/* ---------------------------------------------------------------------------- commands */

/* What hammer stores under a name: anybody can compute it again. */
static struct ccz_secret *value_of(const char *item)
{
    struct ccz_secret *s = NULL;
    uint8_t digest[32];
    if (ccz_sha256(digest, ccz_span_str(item)) != CCZ_OK ||
        ccz_secret_from(&s, digest, sizeof(digest)) != CCZ_OK)
        abort();
    return s;
}

static ccz_rc store_one(struct ccz_rpc_client *c, const char *item, const char *policy,
                        struct ccz_err *err)
{
    bool key = strncmp(item, "key/", 4) == 0;
    CCZ_AUTO(ccz_secret) value = value_of(item);
    const struct ccz_kms_put put = {.name = strchr(item, '/') + 1,
                                    .alg = key ? "aes-256" : NULL,
                                    .policy = policy,
                                    .value = value};
    return key ? ccz_kms_create_key(NULL, NULL, c, &put, err)
               : ccz_kms_put_secret(NULL, NULL, c, &put, err);
}

static int hammer(const struct opts *o, const char *prefix, long count)
{
    struct ccz_err err = {0};
    struct link l;
    struct names n = {0};
    read_names(&n);
    int status = UI_OK;
    ccz_rc rc = link_open(&l, o, &err);
    if (rc == CCZ_OK)
        rc = ccz_kms_list(l.client, mark, &n, &err);
    for (size_t i = 0; rc == CCZ_OK && i < n.len; i++)
        if (!n.seen[i]) {
            ui_error("acknowledged and lost: %s", n.item[i]);
            status = PROBE_LOST;
        }
    for (long i = 0; rc == CCZ_OK && status == UI_OK && i < count; i++) {
        char line[CCZ_KMS_ITEM_SIZE + 1];
        (void)snprintf(line, sizeof(line), "%s/%s-%ld", i % 2 ? "secret" : "key", prefix, i);
        rc = store_one(l.client, line, o->bind, &err);
        (void)strcat(line, "\n");
        if (rc == CCZ_OK && write(STDOUT_FILENO, line, strlen(line)) != (ssize_t)strlen(line))
            status = UI_ENV;
    }
    link_close(&l);
    names_free(&n);
    return status != UI_OK ? status : rc == CCZ_OK ? UI_OK : ui_fail(&err);
}

static int verify(const struct opts *o)
{
    struct ccz_err err = {0};
    struct link l;
    struct names n = {0};
    read_names(&n);
    int status = UI_OK;
    ccz_rc rc = link_open(&l, o, &err);
    for (size_t i = 0; rc == CCZ_OK && i < n.len; i++) {
        CCZ_AUTO(ccz_secret) got = NULL;
        CCZ_AUTO(ccz_secret) want = value_of(n.item[i]);
        rc = ccz_kms_release(&got, NULL, l.client, n.item[i], 0, &err);
        if (rc == CCZ_OK &&
            (ccz_secret_size(got) != ccz_secret_size(want) ||
             !ccz_ct_eq(ccz_secret_view(got), ccz_secret_view(want), ccz_secret_size(want)))) {
            ui_error("another value: %s", n.item[i]);
            status = PROBE_LOST;
        }
    }
    link_close(&l);
    ui_say("%zu items released", n.len);
    names_free(&n);
    return status != UI_OK ? status : rc == CCZ_OK ? UI_OK : ui_fail(&err);
}

static ccz_rc keep_receipt(const char *file, const struct ccz_kms_inclusion *r, struct ccz_err *err)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 1 << 20);
    ccz_rc rc = access(file, F_OK) == 0 ? ccz_file_read(&b, file, err) : CCZ_OK;
    ccz_kms_inclusion_put(&b, r);
    ccz_buf_u8(&b, '\n');
    return rc == CCZ_OK ? ccz_file_write(file, ccz_buf_span(&b), 0644, CCZ_FILE_REPLACE, err) : rc;
}

static int release(const struct opts *o, const char *item, const char *file)
{
    struct ccz_err err = {0};
    struct link l;
    struct ccz_kms_release info;
    struct ccz_kms_inclusion receipt;
    CCZ_AUTO(ccz_secret) value = NULL;
    ccz_rc rc = link_open(&l, o, &err);
    if (rc == CCZ_OK)
        rc = ccz_kms_release_receipt(&value, &info, o->receipt ? &receipt : NULL, l.client, item, 0,
                                     &err);
    if (rc == CCZ_OK && o->receipt)
        rc = keep_receipt(o->receipt, &receipt, &err);
    if (rc == CCZ_OK)
        ui_out("%s version %u alg=%s policy=%s rule=%s audit=%llu\n", item, info.version, info.alg,
               info.policy, info.rule, (unsigned long long)info.receipt.audit_seq);
    if (rc == CCZ_OK && file)
        rc = ccz_file_write(file, CCZ_SPAN(ccz_secret_view(value), ccz_secret_size(value)), 0600,
                            CCZ_FILE_REPLACE, &err);
    link_close(&l);
    return rc == CCZ_OK ? UI_OK : ui_fail(&err);
}

int main(int argc, char **argv)
{
    struct opts o = {0};
    const struct ui_opt opts[] = {
        {"kms", &o.kms, NULL, NULL, "ADDR", "address of the KMS"},
        {"policy", &o.policy, NULL, NULL, "FILE", "policy that its evidence must satisfy"},
        {"trust-sim", &o.trust_sim, NULL, NULL, "DIR", "software TEE to trust"},
        {"sim-dir", &o.sim_dir, NULL, NULL, "DIR", "software TEE to run in"},
        {"admin-key", &o.admin_key, NULL, NULL, "FILE", "be an administrator"},
        {"receipt", &o.receipt, NULL, NULL, "FILE", "release: add the signed receipt to it"},
        {"bind", &o.bind, NULL, NULL, "NAME", "hammer: policy to bind to"},
        {0},
    };
    int n =
        ui_parse(argc, argv, "kms-probe release ITEM [FILE] | hammer PREFIX COUNT | verify", opts);
    if (n < 0)
        return ui_parse_status(n);
    if (n >= 2 && strcmp(argv[0], "release") == 0)
        return release(&o, argv[1], n > 2 ? argv[2] : NULL);
    if (n == 3 && strcmp(argv[0], "hammer") == 0)
        return hammer(&o, argv[1], strtol(argv[2], NULL, 10));
    if (n == 1 && strcmp(argv[0], "verify") == 0)
        return verify(&o);
    ui_error("expected release, hammer or verify");
    return UI_USAGE;
}
