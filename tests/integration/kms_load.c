/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work for a KMS whose servers die, or lose their database, meanwhile:
 *   run NAME SECONDS   one administrator and one workload: versions of secret/load/NAME and of secret/load/shared-TAG by compare and set, rotations of
 * key/load-TAG, releases, encryption and decryption. Whatever is acknowledged is a line on stdout, before anything else is asked:
 *     put ITEM VERSION SEQ SHA256 | rotated KEY VERSION SEQ SHA256 | sealed KEY TEXT SEQ SHA256 | released ITEM VERSION SEQ SHA256
 * and the receipt of each release a line of --receipt. Without --outlast it ends with the first connection that is lost (status 0); with it, calls that
 * an unavailable server refused or left without an answer are asked again, wherever --kms leads to, until SECONDS are over.
 *   verify             a workload: everything that lines on stdin say is there: each version has its value, each text can be read
 * Exit status: 0, 1 refused, 2 usage, 3 environment, 4 something that was acknowledged is lost or another.
 */
#include "../../cli/ui.h"

#include <cczoo/kms_audit.h>
#include <cczoo/kms_use.h>
#include <cczoo/party.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LOAD_LOST = 4, TEXT_SIZE = 512 };

struct opts {
    const char *kms, *admin_key, *trust_sim, *sim_dir, *policy, *bind, *receipt, *tag;
    bool outlast;
};

struct link {
    struct ccz_key *key;
    struct ccz_party *party;
    struct ccz_rpc_client *client;
};

struct load {
    const struct opts *o;
    struct link admin, workload;
    struct ccz_kms_instance instance;
    int64_t until_ms;
    uint32_t own, shared;   /* latest versions, as far as known */
    char sealed[TEXT_SIZE]; /* the last ciphertext, "" at first */
    char own_item[CCZ_KMS_ITEM_SIZE], shared_item[CCZ_KMS_ITEM_SIZE], key[CCZ_KMS_ITEM_SIZE];
    unsigned long done;
    bool lost; /* an answer contradicts an earlier one */
};

static void link_close(struct link *l)
{
    ccz_rpc_client_free(l->client);
    ccz_party_free(l->party);
    ccz_key_free(l->key);
    *l = (struct link){0};
}

static ccz_rc link_open(struct link *l, const struct opts *o, bool admin, struct ccz_err *err)
{
    *l = (struct link){0};
    ccz_rc rc = admin ? ccz_key_load(&l->key, o->admin_key, err) : CCZ_OK;
    if (rc != CCZ_OK)
        return rc;
    struct ccz_party_cfg party = {
        .trust_sim_dir = o->trust_sim, .policy_file = o->policy, .key = l->key};
    if (!admin)
        party.tee = (struct ccz_attester_cfg){.provider = "sim-sgx", .sim_dir = o->sim_dir};
    rc = ccz_party_new(&l->party, &party, err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_rpc_client_cfg cfg = {
        .target = o->kms, .ratls = ccz_party_ratls(l->party), .reconnect = o->outlast};
    rc = ccz_rpc_client_new(&l->client, &cfg, err);
    return rc == CCZ_OK ? ccz_rpc_client_connect(NULL, l->client, err) : rc;
}

/* The value of a version: anybody can compute it again. Its first bytes are what is looked for where no value may be. */
static struct ccz_secret *value_of(const char *item, uint32_t version)
{
    char text[CCZ_KMS_ITEM_SIZE + 16], hex[65], value[128];
    uint8_t digest[32];
    struct ccz_secret *s = NULL;
    (void)snprintf(text, sizeof(text), "%s/%u", item, version);
    if (ccz_sha256(digest, ccz_span_str(text)) != CCZ_OK)
        abort();
    ccz_hex(hex, digest, 32);
    (void)snprintf(value, sizeof(value), "ccz-marker-0Pq7vX2mK9tL4sWz-%s", hex);
    if (ccz_secret_from(&s, (const uint8_t *)value, strlen(value)) != CCZ_OK)
        abort();
    return s;
}

static bool same(const struct ccz_secret *a, const struct ccz_secret *b)
{
    return ccz_secret_size(a) == ccz_secret_size(b) &&
           ccz_ct_eq(ccz_secret_view(a), ccz_secret_view(b), ccz_secret_size(a));
}

/* One line, one write: who is killed between two calls leaves whole lines. */
static void acknowledged(struct load *l, const char *what, const char *item, const char *version,
                         const struct ccz_kms_receipt *r)
{
    char line[TEXT_SIZE + 256], hex[65];
    ccz_hex(hex, r->audit_sha256, 32);
    int n = snprintf(line, sizeof(line), "%s %s %s %llu %s\n", what, item, version,
                     (unsigned long long)r->audit_seq, hex);
    if (n < 0 || (size_t)n >= sizeof(line) || write(STDOUT_FILENO, line, (size_t)n) != n)
        abort();
    l->done++;
}

static void acknowledged_version(struct load *l, const char *what, const char *item,
                                 uint32_t version, const struct ccz_kms_receipt *r)
{
    char text[16];
    (void)snprintf(text, sizeof(text), "%u", version);
    acknowledged(l, what, item, text, r);
}

static void contradiction(struct load *l, const char *what, const char *item, uint32_t version)
{
    ui_error("%s: %s version %u", what, item, version);
    l->lost = true;
}

/* ---------------------------------------------------------------------------------- calls */

/* @p known is the latest version that this one knows of. A conflict tells the latest. */
static ccz_rc put(struct load *l, const char *item, uint32_t *known, struct ccz_err *err)
{
    CCZ_AUTO(ccz_secret) value = value_of(item, *known + 1);
    struct ccz_kms_receipt r;
    uint32_t version = 0;
    const struct ccz_kms_put p = {.name = strchr(item, '/') + 1,
                                  .policy = *known ? NULL : l->o->bind,
                                  .value = value,
                                  .check_version = true,
                                  .if_version = *known};
    ccz_rc rc = ccz_kms_put_secret(&version, &r, l->admin.client, &p, err);
    if (rc != CCZ_OK && strcmp(err->where, "kms:version-conflict") == 0) {
        uint32_t latest = (uint32_t)strtoul(err->got, NULL, 10);
        if (latest < *known) /* an acknowledged version is gone */
            contradiction(l, "older than acknowledged", item, latest);
        *known = latest;
        return CCZ_OK;
    }
    if (rc != CCZ_OK)
        return rc;
    if (version != *known + 1)
        contradiction(l, "another version than was asked for", item, version);
    *known = version;
    acknowledged_version(l, "put", item, version, &r);
    return CCZ_OK;
}

static ccz_rc rotate(struct load *l, struct ccz_err *err)
{
    struct ccz_kms_receipt r;
    uint32_t version = 0;
    ccz_rc rc = ccz_kms_key_rotate(&version, &r, l->admin.client, l->key + 4, err);
    if (rc == CCZ_OK)
        acknowledged_version(l, "rotated", l->key, version, &r);
    return rc;
}

/* On disk, too: the machine of a workload may go down later than that of the KMS. */
static void keep_receipt(const struct load *l, const struct ccz_kms_inclusion *r)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 1 << 16);
    ccz_kms_inclusion_put(&b, r);
    ccz_buf_u8(&b, '\n');
    int fd = open(l->o->receipt, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0 || b.bad || write(fd, b.ptr, b.size) != (ssize_t)b.size || close(fd) != 0)
        abort();
}

static ccz_rc release(struct load *l, const char *item, uint32_t at_least, struct ccz_err *err)
{
    CCZ_AUTO(ccz_secret) got = NULL;
    struct ccz_kms_release info;
    struct ccz_kms_inclusion receipt;
    ccz_rc rc = ccz_kms_release_receipt(&got, &info, &receipt, l->workload.client, item, 0, err);
    if (rc == CCZ_OK)
        rc = ccz_kms_instance_check(&l->instance, &info, err);
    if (rc != CCZ_OK)
        return rc;
    CCZ_AUTO(ccz_secret) want = value_of(item, info.version);
    if (info.version < at_least || !same(got, want))
        contradiction(l, "another value", item, info.version);
    keep_receipt(l, &receipt);
    acknowledged_version(l, "released", item, info.version, &info.receipt);
    return CCZ_OK;
}

static ccz_rc seal(struct load *l, struct ccz_err *err)
{
    CCZ_AUTO(ccz_secret) text = value_of("sealed", 1);
    CCZ_AUTO_BUF b;
    struct ccz_kms_use use;
    ccz_buf_init(&b, TEXT_SIZE - 1);
    ccz_rc rc = ccz_kms_encrypt(&b, &use, l->workload.client, l->key + 4, 0, ccz_span_str("load"),
                                text, err);
    if (rc != CCZ_OK)
        return rc;
    memcpy(l->sealed, b.ptr, b.size);
    l->sealed[b.size] = 0;
    acknowledged(l, "sealed", l->key, l->sealed, &use.receipt);
    return CCZ_OK;
}

static ccz_rc unseal(bool *right, struct ccz_rpc_client *c, const char *key, const char *sealed,
                     struct ccz_err *err)
{
    CCZ_AUTO(ccz_secret) got = NULL;
    CCZ_AUTO(ccz_secret) want = value_of("sealed", 1);
    ccz_rc rc = ccz_kms_decrypt(&got, NULL, c, key + 4, ccz_span_str("load"), sealed, err);
    *right = rc == CCZ_OK && same(got, want);
    return rc;
}

static ccz_rc read_back(struct load *l, struct ccz_err *err)
{
    bool right = false;
    ccz_rc rc = l->sealed[0] ? unseal(&right, l->workload.client, l->key, l->sealed, err) : CCZ_OK;
    if (rc == CCZ_OK && l->sealed[0] && !right)
        contradiction(l, "another text", l->key, 0);
    return rc;
}

static ccz_rc step(struct load *l, unsigned i, struct ccz_err *err)
{
    switch (i % 8) {
    case 0:
    case 4:
        return put(l, l->own_item, &l->own, err);
    case 1:
    case 5:
        return l->own ? release(l, l->own_item, l->own, err) : CCZ_OK;
    case 2:
    case 6:
        return put(l, l->shared_item, &l->shared, err);
    case 3:
        return seal(l, err);
    default:
        return i % 64 == 23 ? rotate(l, err) : read_back(l, err);
    }
}

/* Nothing was decided: the server is away, busy, or without its database. */
static bool not_now(const struct ccz_err *err)
{
    return err->rc == CCZ_E_UNAVAILABLE || err->rc == CCZ_E_IO || err->rc == CCZ_E_TIMEOUT ||
           err->rc == CCZ_E_CLOSED || strcmp(err->where, "kms:busy") == 0 ||
           strncmp(err->where, "kms:rate-", 9) == 0;
}

static int run(const struct opts *o, const char *name, long seconds)
{
    struct ccz_err err = {0};
    struct load l = {.o = o, .until_ms = ccz_mono_ms() + seconds * 1000};
    (void)snprintf(l.own_item, sizeof(l.own_item), "secret/load/%s", name);
    (void)snprintf(l.shared_item, sizeof(l.shared_item), "secret/load/shared-%s", o->tag);
    (void)snprintf(l.key, sizeof(l.key), "key/load-%s", o->tag);
    ccz_rc rc = link_open(&l.admin, o, true, &err);
    if (rc == CCZ_OK)
        rc = link_open(&l.workload, o, false, &err);
    unsigned long failed = 0;
    int64_t longest_ms = 0, last_ms = ccz_mono_ms();
    for (unsigned i = 0; rc == CCZ_OK && !l.lost && ccz_mono_ms() < l.until_ms; i++) {
        rc = step(&l, i, &err);
        if (rc != CCZ_OK && not_now(&err) && o->outlast) {
            failed++;
            i--; /* the same again, wherever it goes this time */
            (void)usleep(50000);
            rc = CCZ_OK;
            continue;
        }
        int64_t now_ms = ccz_mono_ms();
        longest_ms = now_ms - last_ms > longest_ms ? now_ms - last_ms : longest_ms;
        last_ms = now_ms;
    }
    link_close(&l.admin);
    link_close(&l.workload);
    (void)fprintf(stderr, "acknowledged=%lu failed=%lu longest_ms=%lld\n", l.done, failed,
                  (long long)longest_ms);
    if (l.lost)
        return LOAD_LOST;
    return rc == CCZ_OK || (not_now(&err) && !o->outlast) ? UI_OK : ui_fail(&err);
}

/* ---------------------------------------------------------------------------- afterwards */

static ccz_rc check_line(bool *right, struct ccz_rpc_client *c, char *line, struct ccz_err *err)
{
    char *save = NULL, *what = strtok_r(line, " \n", &save), *item = strtok_r(NULL, " \n", &save),
         *number = strtok_r(NULL, " \n", &save);
    *right = true;
    if (!what || !item || !number)
        return ccz_fail(err, CCZ_E_FORMAT, "load:line", 0, "no line of `run`");
    if (strcmp(what, "sealed") == 0)
        return unseal(right, c, item, number, err);
    if (strcmp(what, "put") != 0)
        return CCZ_OK;
    uint32_t version = (uint32_t)strtoul(number, NULL, 10);
    CCZ_AUTO(ccz_secret) got = NULL;
    CCZ_AUTO(ccz_secret) want = value_of(item, version);
    ccz_rc rc = ccz_kms_release(&got, NULL, c, item, version, err);
    *right = rc == CCZ_OK && same(got, want);
    return rc;
}

static int verify(const struct opts *o)
{
    struct ccz_err err = {0};
    struct link l;
    char line[TEXT_SIZE + 256], first[sizeof(line)];
    ccz_rc rc = link_open(&l, o, false, &err);
    int status = UI_OK;
    unsigned long n = 0;
    while (rc == CCZ_OK && status == UI_OK && fgets(line, sizeof(line), stdin)) {
        bool right = false;
        (void)snprintf(first, sizeof(first), "%s", line);
        rc = check_line(&right, l.client, line, &err);
        if (rc == CCZ_OK ? !right : !not_now(&err)) {
            ui_error("acknowledged and lost, or another: %s", first);
            status = LOAD_LOST;
        }
        n++;
    }
    link_close(&l);
    ui_say("%lu lines are so", n);
    if (rc != CCZ_OK)
        (void)ui_fail(&err);
    return status != UI_OK ? status : rc == CCZ_OK ? UI_OK : UI_ENV;
}

int main(int argc, char **argv)
{
    struct opts o = {0};
    const struct ui_opt opts[] = {
        {"kms", &o.kms, NULL, NULL, "ADDR,ADDR", "addresses of the KMS"},
        {"policy", &o.policy, NULL, NULL, "FILE", "policy that its evidence must satisfy"},
        {"trust-sim", &o.trust_sim, NULL, NULL, "DIR", "software TEE to trust"},
        {"sim-dir", &o.sim_dir, NULL, NULL, "DIR", "software TEE to run in"},
        {"admin-key", &o.admin_key, NULL, NULL, "FILE", "run: key of the administrator"},
        {"receipt", &o.receipt, NULL, NULL, "FILE", "run: add the signed receipts to it"},
        {"tag", &o.tag, NULL, NULL, "TAG", "run: of the names that all clients share"},
        {"bind", &o.bind, NULL, NULL, "NAME", "run: policy to bind to"},
        {"outlast", NULL, NULL, &o.outlast, NULL, "run: go on when a server is not there"},
        {0},
    };
    int n = ui_parse(argc, argv, "kms-load run NAME SECONDS | verify", opts);
    if (n < 0)
        return ui_parse_status(n);
    if (n == 3 && strcmp(argv[0], "run") == 0 && o.admin_key && o.bind && o.tag && o.receipt)
        return run(&o, argv[1], strtol(argv[2], NULL, 10));
    if (n == 1 && strcmp(argv[0], "verify") == 0)
        return verify(&o);
    ui_error("expected run (with --admin-key, --bind, --tag and --receipt) or verify");
    return UI_USAGE;
}
