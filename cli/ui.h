/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_CLI_UI_H
#define CCZ_CLI_UI_H
/*
 * Everything the user sees goes through here, for `cczoo` and the daemons.
 *
 * Rules: data on stdout, talk on stderr. Messages are lower case, without a full stop; an error says
 * what was expected, then a hint says what to do. A verified "no" is not an error: it is printed as
 *   refused: <where>: <got> / <expected>
 * Exit status: 0 yes, 1 a verified "no", 2 usage, 3 environment (file, network, library), 4 neither: nothing speaks against it, and what
 * would speak for it was not given.
 */
#include <cczoo/base.h>

enum { UI_OK = 0, UI_NO = 1, UI_USAGE = 2, UI_ENV = 3, UI_UNPROVEN = 4 };

/* Data on stdout. */
CCZ_FMT(1, 2) void ui_out(const char *fmt, ...);
void ui_out_span(struct ccz_span s);
/* Whether data would show up on a terminal. */
bool ui_out_is_terminal(void);
/* False if data were lost on their way, e.g. for lack of space. */
bool ui_out_flush(void);
/* What main() returns: @p status, or UI_ENV if data were lost on their way, e.g. for lack of space. Whoever reads half of them must not
 * read success. */
int ui_finish(int status);
/* Talk on stderr, one line each. */
CCZ_FMT(1, 2) void ui_say(const char *fmt, ...);
CCZ_FMT(1, 2) void ui_error(const char *fmt, ...);
CCZ_FMT(1, 2) void ui_hint(const char *fmt, ...);
/* The exit status that belongs to an error or a refusal. */
int ui_status(const struct ccz_err *err);
/* Prints an error or a refusal with its hint; returns its exit status. */
int ui_fail(const struct ccz_err *err);
/* The SIMULATED banner, once per process. */
void ui_simulated(const char *what);
/* A progress bar on a terminal; on anything else a line at most every ten seconds. done == total ends it. */
void ui_progress(const char *label, uint64_t done, uint64_t total);

/* ------------------------------------------------------------------------------ options */

/* One option: takes a value (text or number set) or is a flag. Unused targets are NULL. */
struct ui_opt {
    const char *name; /* without "--" */
    const char **text;
    int64_t *number;
    bool *flag;
    const char *arg; /* name of the value in the help, e.g. "FILE" */
    const char *help;
};
/* Entries that tables share, so that they are called and explained alike. `o`: a pointer; `ca_file`: how its member is called. */
#define UI_TEXT(name, target, arg, help)                                                           \
    {                                                                                              \
        name, target, NULL, NULL, arg, help                                                        \
    }
#define UI_OWN_EVIDENCE(o)                                                                         \
    UI_TEXT("tee", &(o)->tee, "PROVIDER",                                                          \
            "own evidence: gramine, configfs, tdx-guest, sev-guest, sim-sgx, sim-tdx, sim-snp"),   \
        UI_TEXT("sim-dir", &(o)->sim_dir, "DIR", "folder of the software TEE (cczoo sim init)")
#define UI_TRUST_FILES(o)                                                                          \
    UI_TEXT("trust-sim", &(o)->trust_sim, "DIR",                                                   \
            "trust this software TEE (everything says SIMULATED)"),                                \
        UI_TEXT("collateral", &(o)->collateral, "DIR", "collateral of genuine platforms")
#define UI_TRUST(o, ca_file)                                                                       \
    UI_TRUST_FILES(o),                                                                             \
        UI_TEXT("collateral-from", &(o)->collateral_from, "URL|pcs",                               \
                "keep it fresh from a PCCS, or from Intel and AMD; absent = never ask anybody"),   \
        UI_TEXT("collateral-ca-file", &(o)->ca_file, "FILE",                                       \
                "PEM certificates that this PCCS may have")
/* Parses options (anywhere) and returns the number of operands, moved to argv[0..]; -1 after printing a
 * usage error, -2 after printing the help. A table ends with a zeroed entry. `usage` is the line after
 * "usage: ". Values that look like secrets are never options: only names of files. */
int ui_parse(int argc, char **argv, const char *usage, const struct ui_opt *opts);
/* Exit status for the negative results of ui_parse(). */
int ui_parse_status(int n);
/* The number that --name says, from low to high; `fallback` without text. False after saying what is wrong. */
bool ui_real(double *out, const char *name, const char *text, double fallback, double low,
             double high);
/* The same of one that was parsed. */
bool ui_count(const char *name, int64_t v, int64_t low, int64_t high);
/* What a command cannot do without. False after saying which is the first that is missing. */
struct ui_need {
    const char *name; /* without "--" */
    bool given;
};
bool ui_needs(const struct ui_need *needs, size_t len);

/* ------------------------------------------------------------------------------- verbs */

/* One verb of a command. argv[0] of `run` is the verb. */
struct ui_verb {
    const char *name, *args, *help;
    int (*run)(int argc, char **argv);
};
/* Runs the verb in argv[1]; without one, or with --help, lists them. @return exit status */
int ui_verbs(const char *command, const struct ui_verb *verbs, size_t len, int argc, char **argv);

#endif
