/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cczoo exec ... -- PROGRAM [ARG...]: shows evidence to a KMS, fetches secrets, and becomes the program, which finds
 * them on descriptors, in private files or in its environment. Whatever fails, the program does not run.
 *
 * Exit status: the program's own, or of what kept it from running: 124 a verified "no", 125 anything else,
 * 126 it cannot be executed, 127 there is none.
 */
#define _GNU_SOURCE
#include "cli.h"
#include "evidence.h"
#include "exec_tunnel.h"

#include <cczoo/crypto.h>
#include <cczoo/kms.h>
#include <cczoo/party.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { EXEC_NO = 124, EXEC_FAILED = 125, EXEC_CANNOT = 126, EXEC_ABSENT = 127, RTMR_SIZE = 48 };

struct exec_opts {
    const char *kms, *policy, *tee, *sim_dir, *trust_sim, *collateral, *collateral_from, *ca_file;
    const char *identity, *port_file, *kms_id;
    bool show;
    struct launch launch;
    struct launch_list tunnel_texts;
    struct exec_tunnels tunnels;
    struct exec_pair pair;            /* with tunnels */
    unsigned rtmr;                    /* with LAUNCH_RTMR */
    struct ccz_kms_instance instance; /* where every secret comes from */
};

/* ------------------------------------------------------------------------------ options */

static int exec_status(const struct ccz_err *err)
{
    bool starting = strcmp(err->where, "handover:exec") == 0;
    if (starting || strcmp(err->where, "exec:program") == 0 ||
        strcmp(err->where, "exec:script") == 0)
        return err->rc == CCZ_E_NOT_FOUND ? EXEC_ABSENT : EXEC_CANNOT;
    return ui_status(err) == UI_NO ? EXEC_NO : EXEC_FAILED;
}

static int usage_error(const char *what)
{
    ui_error("%s", what);
    ui_hint("cczoo exec --help");
    return EXEC_FAILED;
}

/* Options that may be given several times leave @p argv for their lists; returns how many arguments are left, -1
 * after printing an error. */
static int take_lists(struct exec_opts *o, int argc, char **argv)
{
    struct launch *l = &o->launch;
    const struct {
        const char *name;
        struct launch_list *list;
    } lists[] = {{"--secret", &l->secrets},
                 {"--measure", &l->measure},
                 {"--env", &l->env},
                 {"--tunnel", &o->tunnel_texts}};
    int left = 1;
    for (int i = 1; i < argc; i++) {
        size_t k = 0, size = 0;
        for (; k < sizeof(lists) / sizeof(lists[0]); k++) {
            size = strlen(lists[k].name);
            if (strncmp(argv[i], lists[k].name, size) == 0 &&
                (argv[i][size] == 0 || argv[i][size] == '='))
                break;
        }
        if (k == sizeof(lists) / sizeof(lists[0])) {
            argv[left++] = argv[i];
            continue;
        }
        const char *value = argv[i][size] ? argv[i] + size + 1 : i + 1 < argc ? argv[++i] : NULL;
        if (!value || lists[k].list->len == LAUNCH_LIST_MAX) {
            (void)usage_error(value ? "an option is given too often" : "an option has no value");
            return -1;
        }
        lists[k].list->text[lists[k].list->len++] = value;
    }
    argv[left] = NULL;
    return left;
}

static bool is_sim(const struct exec_opts *o)
{
    return strncmp(o->tee, "sim-", 4) == 0;
}

/* What in the evidence names the program has to be said where it is not the evidence itself. */
static int parse_identity(struct exec_opts *o)
{
    const char *how = o->identity;
    if (is_sim(o)) {
        if (how)
            return usage_error("the software TEE has no image and no registers: no --identity");
        o->launch.identity = LAUNCH_EVIDENCE;
        return UI_OK;
    }
    if (!how) {
        ui_error("--identity is required: this TEE does not measure a program when it is started");
        ui_hint("image: the measured image or manifest fixes program and arguments; rtmr: measure "
                "them into a register of the TD");
        return EXEC_FAILED;
    }
    if (strcmp(how, "image") == 0) {
        o->launch.identity = LAUNCH_IMAGE;
        return o->launch.measure.len == 0
                   ? UI_OK
                   : usage_error("--measure has no effect with --identity image");
    }
    if (strcmp(how, "rtmr") != 0 &&
        (strncmp(how, "rtmr:", 5) != 0 || strlen(how) != 6 || how[5] < '2' || how[5] > '3'))
        return usage_error("--identity is image, rtmr, rtmr:2 or rtmr:3");
    if (strcmp(o->tee, "configfs") != 0 && strcmp(o->tee, "tdx-guest") != 0)
        return usage_error("--identity rtmr needs a TDX guest: --tee tdx-guest or configfs");
    o->rtmr = how[4] ? (unsigned)(how[5] - '0') : 3;
    o->launch.identity = LAUNCH_RTMR;
    return UI_OK;
}

static int check(struct exec_opts *o)
{
    if (!o->tee)
        return usage_error("--tee is required: who gives no evidence is given no secret");
    if (o->sim_dir && !is_sim(o))
        return usage_error("--sim-dir is for sim-sgx, sim-tdx and sim-snp only");
    if (!o->kms && !o->show)
        return usage_error("--kms is required");
    if (!o->policy)
        return usage_error("--policy is required: the policy that the KMS must satisfy");
    if (o->launch.secrets.len == 0)
        return usage_error("expected at least one --secret");
    if (o->collateral_from && !o->collateral && !o->trust_sim)
        return usage_error("--collateral-from needs --collateral, the directory that it fills");
    if (!o->launch.argv || !o->launch.argv[0])
        return usage_error("expected -- PROGRAM [ARG...]");
    return parse_identity(o);
}

static int options(struct exec_opts *o, int argc, char **argv)
{
    struct launch *l = &o->launch;
    const struct ui_opt opts[] = {
        {"kms", &o->kms, NULL, NULL, "ADDR", "address of the KMS"},
        {"policy", &o->policy, NULL, NULL, "FILE",
         "policy that the evidence of the KMS must satisfy"},
        {"kms-id", &o->kms_id, NULL, NULL, "HEX",
         "which KMS (cczoo kms status); absent = that of the first secret"},
        {"secret", NULL, NULL, NULL, "ITEM[@VERSION]=HOW",
         "fd[:N|:VAR], path:VAR, file[:PATH], tmpfs:PATH, env:VAR; once for each secret"},
        UI_OWN_EVIDENCE(o),
        {"identity", &o->identity, NULL, NULL, "HOW",
         "what names the program: image, rtmr[:2|:3]; not for sim-*, which measure it"},
        {"measure", NULL, NULL, NULL, "FILE", "a file that the program reads, measured as well"},
        UI_TRUST(o, ca_file),
        {"env", NULL, NULL, NULL, "NAME[=VALUE]",
         "a variable for the program; others are not given"},
        {"inherit-env", NULL, NULL, &l->inherit_env, NULL, "give it the whole environment"},
        {"allow-swap", NULL, NULL, &l->allow_swap, NULL, "also where the system swaps to a device"},
        {"tunnel", NULL, NULL, NULL, "LISTEN..",
         "listen=ADDR,connect=ADDR[,side=in|out][,policy=FILE|,anyone][,proxy-v2][,reattest=S]"},
        {"port-file", &o->port_file, NULL, NULL, "FILE",
         "write the ports of the tunnels here, one a line"},
        {"show", NULL, NULL, &o->show, NULL,
         "print what a policy has to name; nothing is fetched or started"},
        CLI_FS_ROOT_OPT(&l->fs_root),
        {0},
    };
    int end = 1; /* the program's own options are none of ours */
    while (end < argc && strcmp(argv[end], "--") != 0)
        end++;
    l->argv = end < argc ? argv + end + 1 : NULL;
    int left = take_lists(o, end, argv);
    if (left < 0)
        return EXEC_FAILED;
    int n = ui_parse(left, argv,
                     "cczoo exec --kms ADDR --policy FILE --tee PROVIDER --secret ITEM=HOW ... -- "
                     "PROGRAM [ARG...]",
                     opts);
    if (n < 0)
        return n == -2 ? -2 : EXEC_FAILED;
    return n == 0 ? check(o) : usage_error("expected -- before the program");
}

/* ----------------------------------------------------------------------------- identity */

/* RTMR = SHA-384(RTMR || SHA-384(record)). */
static ccz_rc rtmr_after(uint8_t out[RTMR_SIZE], const struct exec_opts *o, struct ccz_err *err)
{
    static const uint8_t zero[RTMR_SIZE];
    uint8_t digest[RTMR_SIZE];
    const struct ccz_span record = ccz_buf_span(&o->launch.record);
    const struct ccz_span parts[] = {CCZ_SPAN(zero, RTMR_SIZE), CCZ_SPAN(digest, RTMR_SIZE)};
    if (ccz_hash(digest, CCZ_SHA384, &record, 1) != CCZ_OK ||
        ccz_hash(out, CCZ_SHA384, parts, 2) != CCZ_OK)
        return ccz_fail(err, CCZ_E_INTERNAL, "exec:record", 0, "cannot hash");
    return CCZ_OK;
}

/* A register says who runs only if nothing else was measured into it: this launch once, or again after a restart. */
static ccz_rc measure_rtmr(const struct exec_opts *o, struct ccz_err *err)
{
    static const uint8_t zero[RTMR_SIZE];
    const char *root = o->launch.fs_root;
    const struct ccz_span record = ccz_buf_span(&o->launch.record);
    uint8_t want[RTMR_SIZE], now[RTMR_SIZE], digest[RTMR_SIZE];
    ccz_rc rc = rtmr_after(want, o, err);
    if (rc == CCZ_OK)
        rc = ccz_rtmr_read(now, o->rtmr, root, err);
    if (rc != CCZ_OK || memcmp(now, want, RTMR_SIZE) == 0)
        return rc;
    if (memcmp(now, zero, RTMR_SIZE) != 0) {
        rc = ccz_refuse_bytes(err, CCZ_E_MISMATCH, "exec:rtmr-used", now, RTMR_SIZE, want,
                              RTMR_SIZE);
        return ccz_hint(
            err, rc, "something else was measured into this register; it is cleared by a reboot");
    }
    if (ccz_hash(digest, CCZ_SHA384, &record, 1) != CCZ_OK)
        return ccz_fail(err, CCZ_E_INTERNAL, "exec:record", 0, "cannot hash");
    rc = ccz_rtmr_extend(o->rtmr, digest, root, err);
    if (rc == CCZ_OK)
        rc = ccz_rtmr_read(now, o->rtmr, root, err);
    if (rc == CCZ_OK && memcmp(now, want, RTMR_SIZE) != 0)
        rc = ccz_refuse_bytes(err, CCZ_E_MISMATCH, "exec:rtmr", now, RTMR_SIZE, want, RTMR_SIZE);
    return rc;
}

static ccz_rc open_attester(struct ccz_attester **out, const struct exec_opts *o,
                            struct ccz_err *err)
{
    struct ccz_attester_cfg cfg = {
        .provider = o->tee, .sim_dir = o->sim_dir, .fs_root = o->launch.fs_root};
    if (o->launch.identity == LAUNCH_EVIDENCE)
        cfg.record = ccz_buf_span(&o->launch.record);
    return ccz_attester_open(out, &cfg, err);
}

static void show_hex(const char *name, struct ccz_span v)
{
    char hex[2 * CCZ_HASH_SIZE_MAX + 1];
    ccz_hex(hex, v.ptr, v.size);
    ui_out("%s %s\n", name, hex);
}

/* For whoever writes the policies of the KMS. */
static ccz_rc show(const struct exec_opts *o, struct ccz_err *err)
{
    uint8_t digest[32], rtmr[RTMR_SIZE];
    char name[8];
    if (o->launch.identity == LAUNCH_IMAGE)
        return ccz_fail(err, CCZ_E_UNSUPPORTED, "exec:show", 0,
                        "the image names the program: its measurement is known to who made it");
    if (ccz_sha256(digest, ccz_buf_span(&o->launch.record)) != CCZ_OK)
        return ccz_fail(err, CCZ_E_INTERNAL, "exec:record", 0, "cannot hash");
    show_hex("record_sha256", CCZ_SPAN(digest, sizeof(digest)));
    if (o->launch.identity == LAUNCH_RTMR) {
        ccz_rc rc = rtmr_after(rtmr, o, err);
        (void)snprintf(name, sizeof(name), "rtmr%u", o->rtmr);
        if (rc == CCZ_OK)
            show_hex(name, CCZ_SPAN(rtmr, sizeof(rtmr)));
        return rc;
    }
    CCZ_AUTO(ccz_attester) a = NULL;
    ccz_rc rc = open_attester(&a, o, err);
    if (rc != CCZ_OK)
        return rc;
    const char *tee = ccz_attester_tee(a);
    show_hex(strcmp(tee, "sgx") == 0   ? "mrenclave"
             : strcmp(tee, "tdx") == 0 ? "mrtd"
                                       : "measurement",
             ccz_attester_measurement(a));
    return CCZ_OK;
}

/* ------------------------------------------------------------------------------- secrets */

static ccz_rc release_all(struct exec_opts *o, struct ccz_rpc_client *client, struct ccz_err *err)
{
    struct launch *l = &o->launch;
    ccz_rc rc = CCZ_OK;
    struct ccz_kms_release info;
    for (size_t i = 0; rc == CCZ_OK && i < l->secrets.len; i++) {
        rc = ccz_kms_release(&l->values[i], &info, client, l->specs[i].item, l->specs[i].version,
                             err);
        if (rc == CCZ_OK) /* a program with secrets of two owners would carry one's to the other */
            rc = ccz_kms_instance_check(&o->instance, &info, err);
    }
    return rc;
}

/* Who else is trusted; the policy depends on whom it is about. */
static struct ccz_party_cfg trust(const struct exec_opts *o)
{
    return (struct ccz_party_cfg){.collateral_dir = o->collateral,
                                  .trust_sim_dir = o->trust_sim,
                                  .collateral_from = o->collateral_from,
                                  .collateral_ca_file = o->ca_file};
}

static ccz_rc fetch(struct exec_opts *o, struct ccz_err *err)
{
    CCZ_AUTO(ccz_attester) attester = NULL;
    CCZ_AUTO(ccz_party) party = NULL;
    CCZ_AUTO(ccz_rpc_client) client = NULL; /* freed first: it uses the party's context */
    ccz_rc rc = open_attester(&attester, o, err);
    if (rc != CCZ_OK)
        return rc;
    if (ccz_attester_simulated(attester))
        ui_simulated("own evidence comes from a software TEE");
    struct ccz_party_cfg cfg = trust(o);
    cfg.attester = attester;
    cfg.policy_file = o->launch.policy_path;
    rc = ccz_party_new(&party, &cfg, err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_rpc_client_cfg c = {.target = o->kms,
                                         .ratls = ccz_party_ratls(party),
                                         .message_size_max = CCZ_KMS_MESSAGE_SIZE_MAX};
    struct ccz_ratls_peer peer = {0};
    rc = ccz_rpc_client_new(&client, &c, err);
    if (rc == CCZ_OK)
        rc = ccz_rpc_client_connect(&peer, client, err);
    if (rc == CCZ_E_UNAVAILABLE || rc == CCZ_E_TIMEOUT)
        (void)ccz_hint(err, rc, "is this the address of the KMS, and does it run?");
    if (rc == CCZ_OK && peer.claims.simulated)
        ui_simulated("the evidence of this KMS comes from a software TEE");
    return rc == CCZ_OK ? release_all(o, client, err) : rc;
}

/* Up to where nothing is left but to start: everything that can be refused here is refused before a secret is asked
 * for. */
static ccz_rc prepare(struct exec_opts *o, struct ccz_err *err)
{
    ccz_rc rc = launch_find(&o->launch, err);
    if (rc == CCZ_OK)
        rc = launch_prepare(&o->launch, err);
    if (rc == CCZ_OK)
        rc = launch_keep_policy(&o->launch, o->policy, o->trust_sim, err);
    if (rc == CCZ_OK)
        rc = launch_keep_kms_id(&o->launch, &o->instance, o->kms_id, err);
    if (rc == CCZ_OK)
        rc = exec_tunnels_record(&o->tunnels, &o->launch, err);
    return rc == CCZ_OK ? launch_check_record(&o->launch, err) : rc;
}

/* The process that becomes the program. */
static ccz_rc become(struct exec_opts *o, struct ccz_err *err)
{
    bool paired = o->tunnels.len > 0;
    ccz_rc rc = fetch(o, err);
    if (rc == CCZ_OK)
        rc = launch_hand_over(&o->launch, err);
    if (rc == CCZ_OK && paired)
        rc = exec_pair_ready(&o->pair, err);
    if (rc != CCZ_OK)
        return rc;
    return launch_start(&o->launch, err);
}

/* The process that has the tunnels; @p err is its own failure, the child tells of its own. */
static int stand_by(struct exec_opts *o, struct ccz_err *err)
{
    struct ccz_party_cfg cfg = trust(o);
    struct exec_pair *p = &o->pair;
    ccz_log_install(ccz_log_stderr, NULL, CCZ_LOG_WARN);
    bool ready = exec_pair_wait(p);
    if (ready) {
        ccz_rc rc = open_attester(&o->tunnels.attester, o, err);
        if (rc == CCZ_OK)
            rc = exec_tunnels_start(&o->tunnels, &cfg, o->port_file, err);
        if (rc == CCZ_OK)
            exec_pair_go(p);
    }
    (void)close(p->to); /* a child that waits for us sees the end */
    int status = exec_pair_supervise(p);
    exec_tunnels_end(&o->tunnels);
    o->tunnels = (struct exec_tunnels){0};
    if (ready) { /* a child that was killed before it started has left them as well */
        o->launch.handed = o->launch.secrets.len;
        launch_remove_files(&o->launch);
    }
    if (err->rc == CCZ_OK)
        return exec_pair_finish(p, status);
    (void)ui_fail(err);
    return exec_status(err);
}

/* @return exit status; unless @p err says why there is none */
static int run(struct exec_opts *o, struct ccz_err *err)
{
    ccz_rc rc = prepare(o, err);
    if (rc == CCZ_OK && o->show)
        return show(o, err) == CCZ_OK ? UI_OK : exec_status(err);
    if (rc == CCZ_OK && o->launch.identity == LAUNCH_RTMR)
        rc = measure_rtmr(o, err);
    if (rc == CCZ_OK && o->tunnels.len > 0)
        rc = exec_pair_fork(&o->pair, err);
    if (rc == CCZ_OK && o->pair.child > 0)
        return stand_by(o, err);
    if (rc == CCZ_OK)
        rc = become(o, err);
    (void)ui_fail(err);
    return rc == CCZ_OK ? EXEC_FAILED : exec_status(err); /* who became the program is not here */
}

/* Where the caller has none, what is opened first would stand there: our own messages, and the program's, would go to a
 * socket or a file of secrets. */
static bool fill_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd) /* not close-on-exec */
            return false;
    return true;
}

int cmd_exec(int argc, char **argv)
{
    struct exec_opts o = {0};
    struct ccz_err err = {0};
    /* limits and mask are the program's: what ccz_process_harden() does beyond this would be inherited */
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    if (!fill_streams())
        return EXEC_FAILED; /* nowhere to say so */
    int status = options(&o, argc, argv);
    if (status != UI_OK)
        return status == -2 ? UI_OK : status;
    if (exec_tunnels_parse(&o.tunnels, &o.tunnel_texts, &err) == CCZ_OK &&
        launch_begin(&o.launch, &err) == CCZ_OK)
        status = run(&o, &err);
    else
        status = (ui_fail(&err), EXEC_FAILED);
    launch_end(&o.launch);
    exec_tunnels_end(&o.tunnels);
    return status;
}
