/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_CLI_LAUNCH_H
#define CCZ_CLI_LAUNCH_H
/*
 * A program that `cczoo exec` or cczoo-agent starts: what it is, what it is given, and the record that says so to whoever judges the
 * evidence. Order of calls: find, prepare, (evidence, release of each value), hand_over, start.
 */
#include <cczoo/handover.h>
#include <cczoo/kms.h>

#include <limits.h>
#include <sys/types.h>

/* What in the evidence names the program. */
enum launch_identity {
    LAUNCH_IMAGE = 1, /* the measured image or manifest: nothing is measured here */
    LAUNCH_EVIDENCE,  /* the software TEE measures the record besides this executable */
    LAUNCH_RTMR       /* the record extends a register of the TD */
};

enum { LAUNCH_LIST_MAX = 256 };
struct launch_list {
    const char *text[LAUNCH_LIST_MAX];
    size_t len;
};

struct launch {
    /* as asked for */
    char **argv; /* of the program, ends with NULL */
    struct launch_list secrets, measure, env;
    bool inherit_env, allow_swap;
    bool
        any_arguments; /* the record has neither arguments nor environment nor working directory, and says so */
    bool pin_program; /* mounts of its own in any case: the program looks for what lies beside it */
    enum launch_identity identity;
    const char *fs_root; /* of --fs-root, for tests */
    /* from here on: launch_*() */
    struct ccz_handover_spec *specs; /* secrets.len */
    struct ccz_secret **values;      /* as released; launch_hand_over() wipes them */
    int *fds;                        /* memory files, -1 if the form needs none */
    int *folders;                    /* private folders, at the first secret in each; else -1 */
    char path[PATH_MAX];             /* of the program, without links */
    int program;                     /* what was measured, -1 with LAUNCH_IMAGE */
    int pins[LAUNCH_LIST_MAX];       /* of measured files */
    size_t pins_len;
    struct ccz_buf record;
    int policy; /* sealed copy of launch_keep_policy(), -1 if there is none */
    char policy_path[32];
    char **envp;
    struct ccz_secret **env_secret; /* lines of envp with a secret in them */
    size_t envp_len, env_secret_len;
    size_t handed; /* secrets that are where they were asked to be */
};
/* Reads the texts of the options. @p l is zeroed but for what was asked for; free with launch_end() in any case. */
CCZ_MUST_USE ccz_rc launch_begin(struct launch *l, struct ccz_err *err);
/* Also removes what lies in shared places: the program does not run. */
void launch_end(struct launch *l);
/* Files of the form tmpfs, which outlive the program. */
void launch_remove_files(const struct launch *l);
/* "exec:program": NOT_FOUND, DENIED (not executable), or FORMAT (a script where the program is measured). */
CCZ_MUST_USE ccz_rc launch_find(struct launch *l, struct ccz_err *err);
/* Places for files, sealed copies of what is measured. */
CCZ_MUST_USE ccz_rc launch_prepare(struct launch *l, struct ccz_err *err);
/* One field of the record: tag NUL || le32 size || bytes. */
void launch_record(struct launch *l, const char *tag, struct ccz_span value);
/* The same with the SHA-256 of a file. */
CCZ_MUST_USE ccz_rc launch_record_file(struct launch *l, const char *tag, const char *path,
                                       struct ccz_err *err);
/* Who the KMS may be is part of the launch: its policy, judged by a sealed copy at l->policy_path from here on, and the roots of
 * the software TEE behind @p trust_sim, which may be NULL. */
CCZ_MUST_USE ccz_rc launch_keep_policy(struct launch *l, const char *policy, const char *trust_sim,
                                       struct ccz_err *err);
/* So is which one it must be: @p hex of its id goes into the record and to @p out. NULL: whichever answers first, not recorded. */
CCZ_MUST_USE ccz_rc launch_keep_kms_id(struct launch *l, struct ccz_kms_instance *out,
                                       const char *hex, struct ccz_err *err);
/* CCZ_E_LIMIT if the record has grown too long to be one. */
CCZ_MUST_USE ccz_rc launch_check_record(const struct launch *l, struct ccz_err *err);
/* A variable of the program that the record does not have; another one of its name is not inherited. Before launch_hand_over(). */
CCZ_MUST_USE ccz_rc launch_give_env(struct launch *l, const char *name, const char *value,
                                    struct ccz_err *err);
/* Puts every value where it was asked to be, and wipes it. No value is left out. */
CCZ_MUST_USE ccz_rc launch_hand_over(struct launch *l, struct ccz_err *err);
/* Returns on failure only. */
ccz_rc launch_start(struct launch *l, struct ccz_err *err);

#endif
