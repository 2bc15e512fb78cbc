/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cczoo agent: keys from a KMS for programs that know nothing of attestation.
 *   run      the agent: alone until SIGTERM, or around one program, which ends it (agent_run.c)
 *   unwrap, wrap, secret, ping      ask an agent that runs
 */
#include "agent_run.h"
#include "cli.h"

#include <cczoo/agent.h>

#include <stdlib.h>
#include <string.h>

/* --------------------------------------------------------------------------- asking one */

struct ask_opts {
    const char *socket, *out, *in;
};

static ccz_rc give(const struct ask_opts *o, const struct ccz_secret *value, struct ccz_err *err)
{
    struct ccz_span bytes = CCZ_SPAN(ccz_secret_view(value), ccz_secret_size(value));
    return ccz_file_write(o->out, bytes, 0600, CCZ_FILE_REPLACE, err);
}

static ccz_rc ask_unwrap(struct ccz_agent_client *c, const struct ask_opts *o, const char *name,
                         struct ccz_err *err)
{
    CCZ_AUTO(ccz_secret) plain = NULL;
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, CCZ_AGENT_WRAPPED_SIZE_MAX + 1);
    ccz_rc rc = ccz_file_read(&text, o->in, err);
    struct ccz_span wrapped = ccz_buf_span(&text);
    if (wrapped.size && wrapped.ptr[wrapped.size - 1] == '\n')
        wrapped.size--;
    if (rc == CCZ_OK)
        rc = ccz_agent_client_unwrap(&plain, c, name, wrapped, err);
    return rc == CCZ_OK ? give(o, plain, err) : rc;
}

static ccz_rc ask_wrap(struct ccz_agent_client *c, const struct ask_opts *o, const char *name,
                       struct ccz_err *err)
{
    CCZ_AUTO(ccz_secret) plain = NULL;
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, CCZ_AGENT_WRAPPED_SIZE_MAX + 1);
    ccz_rc rc = ccz_file_read_secret(&plain, o->in, CCZ_AGENT_KEY_SIZE_MAX, err);
    if (rc == CCZ_OK)
        rc = ccz_agent_client_wrap(&text, c, name,
                                   CCZ_SPAN(ccz_secret_view(plain), ccz_secret_size(plain)), err);
    if (rc == CCZ_OK)
        ui_out("%s\n", ccz_buf_str(&text));
    return rc;
}

static ccz_rc ask_secret(struct ccz_agent_client *c, const struct ask_opts *o, const char *name,
                         struct ccz_err *err)
{
    CCZ_AUTO(ccz_secret) value = NULL;
    ccz_rc rc = ccz_agent_client_secret(&value, c, name, err);
    return rc == CCZ_OK ? give(o, value, err) : rc;
}

static ccz_rc ask_nothing(struct ccz_agent_client *c, const struct ask_opts *o, const char *name,
                          struct ccz_err *err)
{
    (void)c;
    (void)name;
    (void)err;
    ui_out("an agent answers at %s\n", o->socket); /* the connection was made with a hello */
    return CCZ_OK;
}

static const struct verb {
    const char *name, *usage, *help;
    bool operand, in, out;
    ccz_rc (*ask)(struct ccz_agent_client *c, const struct ask_opts *o, const char *name,
                  struct ccz_err *err);
} verbs[] = {
    {"unwrap", "cczoo agent unwrap NAME --in FILE --out FILE", "open a wrapped key", true, true,
     true, ask_unwrap},
    {"wrap", "cczoo agent wrap NAME --in FILE", "print the key in a file as a wrapped key", true,
     true, false, ask_wrap},
    {"secret", "cczoo agent secret NAME --out FILE", "write a secret to a file of mode 0600", true,
     false, true, ask_secret},
    {"ping", "cczoo agent ping", "whether an agent answers", false, false, false, ask_nothing},
};
enum { VERBS_LEN = sizeof(verbs) / sizeof(verbs[0]) };

static int ask(const struct verb *v, int argc, char **argv)
{
    struct ask_opts o = {0};
    ccz_process_harden();
    const struct ui_opt opts[] = {
        {"socket", &o.socket, NULL, NULL, "PATH",
         "of the agent, default $CCZ_AGENT, which $CCZ_AGENT_PID has to have"},
        {"in", &o.in, NULL, NULL, "FILE", "wrap: a key, mode 0600; unwrap: a wrapped key"},
        {"out", &o.out, NULL, NULL, "FILE", "where the value goes, mode 0600"},
        {0},
    };
    int n = ui_parse(argc, argv, v->usage, opts);
    if (n < 0)
        return ui_parse_status(n);
    const char *at = o.socket ? o.socket : getenv(CCZ_AGENT_VARIABLE);
    if (n != v->operand || !at || (v->in && !o.in) || (v->out && !o.out)) {
        ui_error("expected: %s --socket PATH", v->usage);
        return UI_USAGE;
    }
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_agent_client) c = NULL;
    ccz_rc rc =
        o.socket ? ccz_agent_client_new(&c, o.socket, 0, &err) : ccz_agent_client_of_env(&c, &err);
    o.socket = at;
    if (rc == CCZ_OK)
        rc = v->ask(c, &o, argv[0], &err);
    return rc == CCZ_OK ? UI_OK : ui_fail(&err);
}

int cmd_agent(int argc, char **argv)
{
    const char *verb = argc > 1 ? argv[1] : "--help";
    if (strcmp(verb, "run") == 0)
        return agent_run(argc - 1, argv + 1,
                         "cczoo agent run --kms ADDR --policy FILE --tee PROVIDER --socket PATH "
                         "--unwrap NAMES ... [-- PROGRAM [ARG...]]",
                         false);
    for (size_t i = 0; i < VERBS_LEN; i++)
        if (strcmp(verb, verbs[i].name) == 0)
            return ask(&verbs[i], argc - 1, argv + 1);
    if (strcmp(verb, "--help") == 0 || strcmp(verb, "-h") == 0) {
        ui_out("usage: cczoo agent VERB [--help]\n\n"
               "  run      unwrap keys for local programs, as the KMS allows it\n");
        for (size_t i = 0; i < VERBS_LEN; i++)
            ui_out("  %-8s %s\n", verbs[i].name, verbs[i].help);
        return argc > 1 ? UI_OK : UI_USAGE;
    }
    ui_error("no such verb: agent %s", verb);
    ui_hint("cczoo agent --help lists the verbs");
    return UI_USAGE;
}
