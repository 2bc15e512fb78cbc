/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KMSD_H
#define KMSD_H
/* cczoo-kmsd: the attestation server & KMS as a daemon. main.c: commands; keys.c: master key and counter;
 * options.c: what is said to them; run.c: the server; https.c: its HTTPS side; unseal.c: the server before that, which waits for shares; prov.c: secret
 * provisioning. */
#include <cczoo/kms.h>
#include <cczoo/kms_master.h>
#include <cczoo/kms_prov.h>
#include <cczoo/party.h>

#include <signal.h>

#define KMSD_SERVICE  "cczoo.kms.v1.Kms"
#define KMSD_UNSEALED SIGUSR1 /* to the main thread, by this process alone */
#define KMSD_BACKUP   SIGUSR2
enum { KMSD_LISTEN_SIZE = 280 };

/* Options of every command; options.c says which of them a command takes. */
struct kmsd_opts {
    struct ccz_kms_state state; /* dir alone: the rest is opened from the texts below */
    const char *master_key, *new_master_key, *shares, *shares_dir;
    const char *epoch;
    int64_t epoch_lag_s;
    bool accept_lost, accept_rolled_back;
    bool only_looks; /* check: the counter is compared and not written */
    const char *admin_key, *role, *ns, *label;
    const char *approver; /* files, split by commas */
    int64_t approvals;    /* -1 = not said */
    const char *listen, *port_file, *backup;
    const char *tee, *sim_dir, *trust_sim, *collateral, *collateral_from, *collateral_ca_file;
    int64_t reattest_s; /* 0 = never */
    int64_t rpc_rate, rpc_total_rate, rpc_handshakes, rpc_total_handshakes,
        crypto_threads; /* 0 = the usual */
    int64_t quota_items, quota_versions, quota_bytes, quota_policies,
        quota_policy_bytes; /* the same */
    /* https.c */
    const char *https, *https_port_file, *tls_cert, *tls_key, *metrics, *metrics_port_file;
    const char *jwt_issuers, *jwt_issuer, *jwt_audience, *jwt_keys, *jwt_ca_file, *jwt_subject;
    int64_t jwt_skew_s, https_rate, https_connections, kbs_sessions, kbs_attestations;
    bool plain_http_insecure, transit;
    bool kbs; /* the KBS protocol, too */
    const char *issuer, *token_policies;
    const char *prov, *prov_cert, *prov_key, *prov_map, *prov_port_file; /* --secret-prov... */
    int64_t prov_rate, prov_total_rate;
};

enum kmsd_command {
    KMSD_INIT = 1,
    KMSD_RUN = 2,
    KMSD_CHECK = 4,
    KMSD_MIGRATE = 8,
    KMSD_ADMIN = 16,
    KMSD_REKEY = 32,
    KMSD_EPOCH = 64
};
/* ui_parse() with the options that @p command takes; others are an error. */
int kmsd_parse(struct kmsd_opts *o, enum kmsd_command command, const char *usage, int argc,
               char **argv);

/* What opens a store. */
struct kmsd_keys {
    struct ccz_kms_state state; /* master set; epoch if there is one */
    struct ccz_attester *attester;
};
/* Of --tee; nothing without. The keys' own open does it where the master key needs it. */
ccz_rc kmsd_attester_open(struct kmsd_keys *k, const struct kmsd_opts *o, struct ccz_err *err);
/* To be closed in any case, after the store. */
ccz_rc kmsd_keys_open(struct kmsd_keys *k, const struct kmsd_opts *o, struct ccz_err *err);
void kmsd_keys_drop_master(struct kmsd_keys *k); /* once the store is open: wipes */
void kmsd_keys_close(struct kmsd_keys *k);
void kmsd_say_shares(const struct kmsd_opts *o);
/* Commands; each returns the exit status. */
int kmsd_rekey(const struct kmsd_opts *o, int64_t now_s);
int kmsd_epoch(const struct kmsd_opts *o, int64_t now_s);

/* SHA-256 of the SPKI in @p path: a PEM public key, or a PEM private key of mode 0600. If the file
 * does not exist and @p made is given, a private key is made there and *made is set. */
ccz_rc kmsd_admin_key(uint8_t spki_sha256[32], bool *made, const char *path, struct ccz_err *err);

/* Says what is missing. */
bool kmsd_prov_check(const struct kmsd_opts *o);
/* @param[out] out  NULL without --secret-prov */
ccz_rc kmsd_prov_start(struct ccz_kms_prov **out, const struct kmsd_opts *o,
                       struct ccz_kms_service *service, struct ccz_party *party,
                       struct ccz_err *err);
void kmsd_prov_reload(struct ccz_kms_prov *p);

/* --https and what belongs to it. */
struct kmsd_https;
struct kmsd_https_cfg {
    struct ccz_kms_service *service; /* NULL: the KMS is sealed */
    struct ccz_kms_prov *prov;       /* whose counters are with the metrics; or NULL */
    struct ccz_party *party;         /* whose evidence the certificate has, without --tls-cert */
    int64_t (*collateral_expires_s)(void *arg);
    void *arg;
};
/* @param[out] out  NULL without --https */
ccz_rc kmsd_https_start(struct kmsd_https **out, const struct kmsd_opts *o,
                        const struct kmsd_https_cfg *cfg, struct ccz_err *err);
void kmsd_https_reload(struct kmsd_https *h);
void kmsd_https_stop(struct kmsd_https *h, int64_t grace_ms); /* before the service ends */
void kmsd_https_free(struct kmsd_https *h);                   /* after that */
bool kmsd_https_check(const struct kmsd_opts *o);             /* false after saying what is wrong */
int kmsd_openapi(void);

/* Serves until SIGTERM or SIGINT; returns the exit status. */
int kmsd_run(const struct kmsd_opts *o);
ccz_rc kmsd_write_port(const char *file, uint16_t port, struct ccz_err *err);
/* Returns at once unless shares of the master key are missing; else takes them.
 * @param listen  in: where; out: the same with the port that it got
 * @param signals  blocked, KMSD_UNSEALED among them @param[out] stopped  by SIGTERM or SIGINT */
ccz_rc kmsd_wait_unsealed(char listen[KMSD_LISTEN_SIZE], bool *stopped, struct kmsd_keys *k,
                          const struct kmsd_opts *o, const sigset_t *signals, struct ccz_err *err);
#endif
