/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "launch.h"

#include <cczoo/crypto.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define RECORD_LABEL "cczoo exec launch v1"
enum { RECORD_SIZE_MAX = 16777216 };

static ccz_rc no_memory(struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_NOMEM, "exec:memory", 0, "out of memory");
}

/* ------------------------------------------------------------------------ begin and end */

static ccz_rc check_env(const struct launch *l, struct ccz_err *err)
{
    for (size_t i = 0; i < l->env.len; i++) {
        const char *e = l->env.text[i];
        struct ccz_span name = CCZ_SPAN(e, strcspn(e, "="));
        if (!ccz_handover_is_variable(name))
            return ccz_fail(err, CCZ_E_ARG, "exec:env", 0, "--env: not a variable: %s", e);
        for (size_t k = 0; k < l->secrets.len; k++)
            if (ccz_span_eq(name, ccz_span_str(l->specs[k].var)))
                return ccz_fail(err, CCZ_E_ARG, "exec:env", 0, "--env: %.*s is of a secret",
                                (int)name.size, e);
        for (size_t k = 0; k < i; k++)
            if (ccz_span_eq(name, CCZ_SPAN(l->env.text[k], strcspn(l->env.text[k], "="))))
                return ccz_fail(err, CCZ_E_ARG, "exec:env", 0, "--env: %.*s is given twice",
                                (int)name.size, e);
    }
    return CCZ_OK;
}

ccz_rc launch_begin(struct launch *l, struct ccz_err *err)
{
    size_t n = l->secrets.len;
    l->program = l->policy = -1;
    ccz_buf_init(&l->record, RECORD_SIZE_MAX);
    ccz_buf_put(&l->record, RECORD_LABEL, sizeof(RECORD_LABEL));
    l->specs = calloc(n + 1, sizeof(*l->specs));
    l->values = calloc(n + 1, sizeof(struct ccz_secret *));
    l->env_secret = calloc(n + 1, sizeof(struct ccz_secret *));
    l->fds = malloc((n + 1) * sizeof(*l->fds));
    l->folders = malloc((n + 1) * sizeof(*l->folders));
    for (size_t i = 0; l->fds && l->folders && i < n; i++)
        l->fds[i] = l->folders[i] = -1;
    if (!l->specs || !l->values || !l->env_secret || !l->fds || !l->folders)
        return no_memory(err);
    for (size_t i = 0; i < n; i++) {
        ccz_rc rc = ccz_handover_spec_parse(&l->specs[i], l->secrets.text[i], err);
        if (rc != CCZ_OK)
            return rc;
        if (strncmp(l->specs[i].item, "secret/", 7) != 0 &&
            strncmp(l->specs[i].item, "key/", 4) != 0)
            return ccz_refuse(err, CCZ_E_ARG, "exec:item", l->specs[i].item,
                              "key/NAME or secret/NAME");
    }
    ccz_rc rc = ccz_handover_specs_check(l->specs, n, err);
    return rc == CCZ_OK ? check_env(l, err) : rc;
}

void launch_remove_files(const struct launch *l)
{
    for (size_t i = 0; i < l->handed; i++)
        if (l->specs[i].form == CCZ_HANDOVER_TMPFS)
            (void)unlink(l->specs[i].path);
}

void launch_end(struct launch *l)
{
    launch_remove_files(l);
    for (size_t i = 0; i < l->secrets.len; i++) {
        if (l->values)
            ccz_secret_free(l->values[i]);
        if (!l->fds || !l->folders) /* no memory; nothing was opened */
            continue;
        if (l->fds[i] >= 0)
            (void)close(l->fds[i]);
        if (l->folders[i] >= 0)
            (void)close(l->folders[i]);
    }
    for (size_t i = 0; i < l->env_secret_len; i++)
        ccz_secret_free(l->env_secret[i]);
    for (size_t i = 0; i < l->envp_len; i++)
        free(l->envp[i]); /* NULL where a secret stood */
    for (size_t i = 0; i < l->pins_len; i++)
        (void)close(l->pins[i]);
    if (l->program >= 0)
        (void)close(l->program);
    if (l->policy >= 0)
        (void)close(l->policy);
    free(l->envp);
    free(l->env_secret);
    free(l->specs);
    free(l->values);
    free(l->fds);
    free(l->folders);
    ccz_buf_free(&l->record);
}

/* -------------------------------------------------------------------------- the program */

static ccz_rc not_found(struct ccz_err *err, const char *name, int e)
{
    bool absent = e == ENOENT || e == ENOTDIR;
    return ccz_fail(err, absent ? CCZ_E_NOT_FOUND : CCZ_E_DENIED, "exec:program", e, "%s: %s", name,
                    strerror(e));
}

/* As execvp() looks: a name without '/' in the folders of PATH. */
static int search(char out[PATH_MAX], const char *name)
{
    if (strchr(name, '/'))
        return realpath(name, out) ? 0 : errno;
    const char *path = getenv("PATH");
    int e = ENOENT;
    for (const char *p = path ? path : "/usr/bin:/bin"; *p; p += strspn(p, ":")) {
        char candidate[PATH_MAX];
        size_t size = strcspn(p, ":");
        int n = snprintf(candidate, sizeof(candidate), "%.*s/%s", (int)size, p, name);
        p += size;
        if (n < 0 || (size_t)n >= sizeof(candidate) || !realpath(candidate, out))
            continue;
        if (access(out, X_OK) == 0)
            return 0;
        e = EACCES;
    }
    return e;
}

ccz_rc launch_find(struct launch *l, struct ccz_err *err)
{
    struct stat st;
    int e = search(l->path, l->argv[0]);
    if (e == 0 && stat(l->path, &st) != 0)
        e = errno;
    if (e == 0 && (!S_ISREG(st.st_mode) || access(l->path, X_OK) != 0))
        e = EACCES;
    return e == 0 ? CCZ_OK : not_found(err, l->argv[0], e);
}

/* The kernel would start whatever a script names, which nobody measured. */
static ccz_rc check_not_script(int fd, const char *name, struct ccz_err *err)
{
    char head[2] = {0};
    if (pread(fd, head, sizeof(head), 0) != (ssize_t)sizeof(head))
        return ccz_fail(err, CCZ_E_FORMAT, "exec:program", ENOEXEC, "%s: %s", name,
                        strerror(ENOEXEC));
    if (memcmp(head, "#!", 2) != 0)
        return CCZ_OK;
    ccz_fail(err, CCZ_E_FORMAT, "exec:script", 0, "%s is a script: its interpreter is not measured",
             name);
    return ccz_hint(err, CCZ_E_FORMAT,
                    "--measure SCRIPT -- INTERPRETER SCRIPT, which names both of them");
}

/* -------------------------------------------------------------------------------- record */

void launch_record(struct launch *l, const char *tag, struct ccz_span value)
{
    ccz_buf_put(&l->record, tag, strlen(tag) + 1);
    ccz_buf_le32(&l->record, (uint32_t)value.size);
    ccz_buf_put_span(&l->record, value);
}

/* SHA-256 of a sealed copy: of the very bytes that will be used. */
static ccz_rc record_copy(struct launch *l, const char *tag, int fd, struct ccz_err *err)
{
    struct stat st;
    uint8_t digest[32];
    if (fstat(fd, &st) != 0)
        return ccz_fail(err, CCZ_E_IO, "exec:record", errno, "cannot stat a copy");
    void *p = st.st_size ? mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;
    if (p == MAP_FAILED)
        return ccz_fail(err, CCZ_E_IO, "exec:record", errno, "cannot map a copy");
    ccz_rc rc = ccz_sha256(digest, CCZ_SPAN(p, (size_t)st.st_size));
    if (p)
        (void)munmap(p, (size_t)st.st_size);
    if (rc != CCZ_OK)
        return ccz_fail(err, CCZ_E_INTERNAL, "exec:record", 0, "cannot hash");
    launch_record(l, tag, CCZ_SPAN(digest, sizeof(digest)));
    return CCZ_OK;
}

ccz_rc launch_record_file(struct launch *l, const char *tag, const char *path, struct ccz_err *err)
{
    int fd = -1;
    ccz_rc rc = ccz_handover_copy(&fd, path, err);
    if (rc == CCZ_OK)
        rc = record_copy(l, tag, fd, err);
    if (fd >= 0)
        (void)close(fd);
    return rc;
}

/* Relative names in arguments, and the modules of some interpreters, are looked up from here. */
static ccz_rc record_folder(struct launch *l, struct ccz_err *err)
{
    char *folder = getcwd(NULL, 0);
    if (!folder)
        return errno == ENOMEM ? no_memory(err)
                               : ccz_fail(err, CCZ_E_IO, "exec:cwd", errno,
                                          "the working directory has no path: %s", strerror(errno));
    launch_record(l, "cwd", ccz_span_str(folder));
    free(folder);
    return CCZ_OK;
}

static void record_env(struct launch *l)
{
    for (size_t i = 0; i < l->env.len; i++) {
        const char *e = l->env.text[i], *value = strchr(e, '=') ? "" : getenv(e);
        launch_record(l, strchr(e, '=') || value ? "env" : "env-absent", ccz_span_str(e));
        if (!strchr(e, '=') && value)
            launch_record(l, "env-value", ccz_span_str(value));
    }
}

/* What was asked for, as it was written: who judges the record sees the same words. */
static void record_request(struct launch *l)
{
    for (char **a = l->argv; *a && !l->any_arguments; a++)
        launch_record(l, "arg", ccz_span_str(*a));
    if (l->any_arguments)
        launch_record(l, "any-arguments-insecure", (struct ccz_span){0});
    for (size_t i = 0; i < l->secrets.len; i++)
        launch_record(l, "secret", ccz_span_str(l->secrets.text[i]));
    if (!l->any_arguments)
        record_env(l);
    if (l->inherit_env)
        launch_record(l, "inherit-env", (struct ccz_span){0});
    if (l->allow_swap)
        launch_record(l, "allow-swap", (struct ccz_span){0});
    if (l->fs_root)
        launch_record(l, "fs-root", ccz_span_str(l->fs_root));
}

/* ------------------------------------------------------------------------------- prepare */

/* The folder of @p path, which has a '/'. */
static void folder_of(char out[CCZ_HANDOVER_TEXT_SIZE], const char *path)
{
    const char *slash = strrchr(path, '/');
    (void)snprintf(out, CCZ_HANDOVER_TEXT_SIZE, "%.*s", slash == path ? 1 : (int)(slash - path),
                   path);
}

/* The first secret whose private file lies in the same folder as that of secret @p i, which may be itself. */
static size_t folder_owner(const struct launch *l, size_t i)
{
    char folder[CCZ_HANDOVER_TEXT_SIZE], other[CCZ_HANDOVER_TEXT_SIZE];
    folder_of(folder, l->specs[i].path);
    for (size_t k = 0; k < i; k++) {
        if (l->specs[k].form != CCZ_HANDOVER_FILE)
            continue;
        folder_of(other, l->specs[k].path);
        if (strcmp(other, folder) == 0)
            return k;
    }
    return i;
}

static ccz_rc open_folder(int *out, const char *folder, struct ccz_err *err)
{
    /* ours, and only a place to mount at: it stays empty */
    if (strcmp(folder, CCZ_HANDOVER_DIR) == 0 && mkdir(folder, 0755) != 0 && errno != EEXIST) {
        ccz_rc rc = ccz_fail(err, CCZ_E_IO, "exec:folder", errno, "cannot make %s: %s", folder,
                             strerror(errno));
        return ccz_hint(err, rc, "name a path in an empty folder: file:PATH");
    }
    return ccz_handover_ram_dir(out, folder, err);
}

/* Once per folder that private files lie in. */
static ccz_rc open_folders(struct launch *l, struct ccz_err *err)
{
    char folder[CCZ_HANDOVER_TEXT_SIZE];
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; rc == CCZ_OK && i < l->secrets.len; i++) {
        if (l->specs[i].form != CCZ_HANDOVER_FILE || folder_owner(l, i) != i)
            continue;
        folder_of(folder, l->specs[i].path);
        rc = open_folder(&l->folders[i], folder, err);
    }
    return rc;
}

static ccz_rc close_folders(const struct launch *l, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; rc == CCZ_OK && i < l->secrets.len; i++)
        if (l->folders[i] >= 0)
            rc = ccz_handover_ram_dir_close(l->folders[i], err);
    return rc;
}

static bool needs_mounts(const struct launch *l)
{
    for (size_t i = 0; i < l->secrets.len; i++)
        if (l->specs[i].form == CCZ_HANDOVER_FILE)
            return true;
    return l->measure.len > 0 || (l->pin_program && l->identity != LAUNCH_IMAGE);
}

static ccz_rc measure_files(struct launch *l, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; rc == CCZ_OK && i < l->measure.len; i++) {
        char path[PATH_MAX];
        int fd = -1;
        if (!realpath(l->measure.text[i], path))
            return ccz_fail(err, CCZ_E_NOT_FOUND, "exec:measure", errno, "cannot measure %s: %s",
                            l->measure.text[i], strerror(errno));
        rc = ccz_handover_copy(&fd, path, err);
        launch_record(l, "measure", ccz_span_str(l->measure.text[i]));
        if (rc == CCZ_OK)
            rc = record_copy(l, "measure-sha256", fd, err);
        if (rc == CCZ_OK)
            rc = ccz_handover_pin(&l->pins[i], path, fd, err);
        l->pins_len += rc == CCZ_OK;
        if (fd >= 0)
            (void)close(fd);
    }
    return rc;
}

static ccz_rc measure_program(struct launch *l, bool mounts, struct ccz_err *err)
{
    int pinned = -1;
    ccz_rc rc = ccz_handover_copy(&l->program, l->path, err);
    if (rc == CCZ_OK)
        rc = check_not_script(l->program, l->argv[0], err);
    if (rc == CCZ_OK)
        rc = record_copy(l, "program-sha256", l->program, err);
    if (rc != CCZ_OK || !mounts)
        return rc;
    /* with mounts of its own the copy stands at its name, so that it finds what lies beside it; it is started by its
     * descriptor all the same: the name may lead elsewhere by then */
    rc = ccz_handover_pin(&pinned, l->path, l->program, err);
    if (rc == CCZ_OK) {
        (void)close(l->program);
        l->program = pinned;
    }
    return rc;
}

ccz_rc launch_prepare(struct launch *l, struct ccz_err *err)
{
    bool mounts = needs_mounts(l);
    ccz_rc rc = l->allow_swap ? CCZ_OK : ccz_handover_check_swap(l->fs_root, err);
    if (rc != CCZ_OK)
        return rc == CCZ_E_DENIED && err
                   ? ccz_hint(err, rc, "swapoff -a, or --allow-swap if that device is encrypted")
                   : rc;
    if (mounts)
        rc = ccz_handover_mounts(err);
    if (rc == CCZ_OK)
        rc = open_folders(l, err);
    if (rc != CCZ_OK || l->identity == LAUNCH_IMAGE)
        return rc;
    rc = measure_program(l, mounts, err);
    if (rc == CCZ_OK && !l->any_arguments)
        rc = record_folder(l, err);
    if (rc == CCZ_OK)
        record_request(l);
    return rc == CCZ_OK ? measure_files(l, err) : rc;
}

ccz_rc launch_keep_policy(struct launch *l, const char *policy, const char *trust_sim,
                          struct ccz_err *err)
{
    ccz_rc rc = ccz_handover_copy(&l->policy, policy, err);
    (void)snprintf(l->policy_path, sizeof(l->policy_path), "/proc/self/fd/%d", l->policy);
    if (rc == CCZ_OK)
        rc = launch_record_file(l, "kms-policy-sha256", l->policy_path, err);
    if (rc != CCZ_OK || !trust_sim)
        return rc;
    static const char *const roots[] = {"root.pem", "snp/ark.pem"};
    for (size_t i = 0; rc == CCZ_OK && i < 2; i++) {
        char path[PATH_MAX];
        int n = snprintf(path, sizeof(path), "%s/%s", trust_sim, roots[i]);
        if (n < 0 || (size_t)n >= sizeof(path))
            return ccz_fail(err, CCZ_E_ARG, "exec:trust-sim", n, "the path is too long");
        rc = launch_record_file(l, "trust-sim-sha256", path, err);
    }
    return rc;
}

ccz_rc launch_keep_kms_id(struct launch *l, struct ccz_kms_instance *out, const char *hex,
                          struct ccz_err *err)
{
    *out = (struct ccz_kms_instance){0};
    if (!hex)
        return CCZ_OK;
    ccz_rc rc = ccz_kms_instance_parse(out, hex, err);
    if (rc == CCZ_OK)
        launch_record(l, "kms-id", CCZ_SPAN(out->id, sizeof(out->id)));
    return rc;
}

ccz_rc launch_check_record(const struct launch *l, struct ccz_err *err)
{
    return l->record.bad ? ccz_fail(err, CCZ_E_LIMIT, "exec:record", 0,
                                    "arguments and environment are too long")
                         : CCZ_OK;
}

/* ------------------------------------------------------------------------------ hand over */

/* The number that the program has for secret @p i: as asked for, else the lowest that nobody has. */
static int number_of(struct launch *l, size_t i)
{
    if (l->specs[i].as >= 0)
        return l->specs[i].as;
    for (int n = 3; n <= CCZ_HANDOVER_FD_MAX; n++) {
        bool used = false;
        for (size_t k = 0; k < l->secrets.len; k++)
            used = used || l->specs[k].as == n;
        if (!used)
            return l->specs[i].as = n;
    }
    return -1;
}

static ccz_rc add_env(struct launch *l, char *line, struct ccz_err *err)
{
    char **more = realloc(l->envp, (l->envp_len + 2) * sizeof(char *));
    if (!more || !line) {
        free(line);
        l->envp = more ? more : l->envp;
        return no_memory(err);
    }
    l->envp = more;
    l->envp[l->envp_len++] = line;
    l->envp[l->envp_len] = NULL;
    return CCZ_OK;
}

static CCZ_FMT(3, 4) ccz_rc
    add_env_text(struct launch *l, struct ccz_err *err, const char *fmt, ...)
{
    va_list ap;
    char *line = NULL;
    va_start(ap, fmt);
    if (vasprintf(&line, fmt, ap) < 0)
        line = NULL;
    va_end(ap);
    return add_env(l, line, err);
}

/* VAR=VALUE in memory that is wiped; envp gets it when it is complete. */
static ccz_rc hand_env(struct launch *l, size_t i, struct ccz_err *err)
{
    const struct ccz_handover_spec *s = &l->specs[i];
    const uint8_t *value = ccz_secret_view(l->values[i]);
    size_t size = ccz_secret_size(l->values[i]), name = strlen(s->var);
    if (memchr(value, 0, size)) {
        ccz_rc rc = ccz_fail(err, CCZ_E_FORMAT, "exec:env-nul", 0,
                             "%s has a NUL byte, which no environment variable can hold", s->item);
        return ccz_hint(err, rc, "hand it over as fd, path or file");
    }
    struct ccz_secret *line = NULL;
    if (ccz_secret_new(&line, name + 1 + size + 1) != CCZ_OK)
        return no_memory(err);
    l->env_secret[l->env_secret_len++] = line;
    memcpy(ccz_secret_bytes(line), s->var, name);
    ccz_secret_bytes(line)[name] = '=';
    memcpy(ccz_secret_bytes(line) + name + 1, value, size);
    return CCZ_OK;
}

static ccz_rc hand_memory(struct launch *l, size_t i, struct ccz_err *err)
{
    const struct ccz_handover_spec *s = &l->specs[i];
    struct ccz_span value = CCZ_SPAN(ccz_secret_view(l->values[i]), ccz_secret_size(l->values[i]));
    ccz_rc rc = ccz_handover_memory(&l->fds[i], s->item, value, err);
    int n = number_of(l, i);
    if (rc == CCZ_OK && n < 0)
        rc = ccz_fail(err, CCZ_E_LIMIT, "exec:fds", 0, "no descriptor is left for %s", s->item);
    if (rc != CCZ_OK || !s->var[0])
        return rc;
    return s->form == CCZ_HANDOVER_PATH ? add_env_text(l, err, "%s=/proc/self/fd/%d", s->var, n)
                                        : add_env_text(l, err, "%s=%d", s->var, n);
}

static ccz_rc hand_file(struct launch *l, size_t i, struct ccz_err *err)
{
    const struct ccz_handover_spec *s = &l->specs[i];
    struct ccz_span value = CCZ_SPAN(ccz_secret_view(l->values[i]), ccz_secret_size(l->values[i]));
    bool private = s->form == CCZ_HANDOVER_FILE; /* else on a file system that is there */
    ccz_rc rc = private ? ccz_handover_file(l->folders[folder_owner(l, i)],
                                            strrchr(s->path, '/') + 1, value, err)
                        : ccz_handover_file(AT_FDCWD, s->path, value, err);
    return rc == CCZ_OK && s->var[0] ? add_env_text(l, err, "%s=%s", s->var, s->path) : rc;
}

static bool is_secrets(const struct launch *l, struct ccz_span name)
{
    for (size_t i = 0; i < l->secrets.len; i++)
        if (ccz_span_eq(name, ccz_span_str(l->specs[i].var)))
            return true;
    return false;
}

ccz_rc launch_give_env(struct launch *l, const char *name, const char *value, struct ccz_err *err)
{
    return add_env_text(l, err, "%s=%s", name, value);
}

static bool is_given(const struct launch *l, struct ccz_span name)
{
    for (size_t i = 0; i < l->envp_len; i++)
        if (ccz_span_eq(name, CCZ_SPAN(l->envp[i], strcspn(l->envp[i], "="))))
            return true;
    return false;
}

static ccz_rc plain_env(struct launch *l, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; rc == CCZ_OK && i < l->env.len; i++) {
        const char *e = l->env.text[i];
        if (strchr(e, '='))
            rc = add_env_text(l, err, "%s", e);
        else if (getenv(e))
            rc = add_env_text(l, err, "%s=%s", e, getenv(e));
    }
    for (char **e = environ; rc == CCZ_OK && l->inherit_env && *e; e++) {
        struct ccz_span name = CCZ_SPAN(*e, strcspn(*e, "="));
        if (!is_secrets(l, name) && !is_given(l, name))
            rc = add_env_text(l, err, "%s", *e);
    }
    return rc;
}

ccz_rc launch_hand_over(struct launch *l, struct ccz_err *err)
{
    ccz_rc rc = plain_env(l, err);
    for (size_t i = 0; rc == CCZ_OK && i < l->secrets.len; i++) {
        switch (l->specs[i].form) {
        case CCZ_HANDOVER_FD:
        case CCZ_HANDOVER_PATH:
            rc = hand_memory(l, i, err);
            break;
        case CCZ_HANDOVER_FILE:
        case CCZ_HANDOVER_TMPFS:
            rc = hand_file(l, i, err);
            break;
        case CCZ_HANDOVER_ENV:
            rc = hand_env(l, i, err);
            break;
        case CCZ_HANDOVER_NONE:
            rc = ccz_fail(err, CCZ_E_INTERNAL, "exec:form", 0, "a secret without a form");
            break;
        }
        l->handed += rc == CCZ_OK;
    }
    for (size_t i = 0; rc == CCZ_OK && i < l->pins_len; i++)
        rc = ccz_handover_check_pin(l->measure.text[i], l->pins[i], err);
    if (rc == CCZ_OK)
        rc = close_folders(l, err);
    for (size_t i = 0; i < l->secrets.len; i++) {
        ccz_secret_free(l->values[i]);
        l->values[i] = NULL;
    }
    return rc;
}

/* The program's environment: plain lines, then those with a secret; the memory of each stays where it is. */
static char **whole_env(const struct launch *l)
{
    char **env = calloc(l->envp_len + l->env_secret_len + 1, sizeof(char *));
    for (size_t i = 0; env && i < l->envp_len; i++)
        env[i] = l->envp[i];
    for (size_t i = 0; env && i < l->env_secret_len; i++)
        env[l->envp_len + i] = (char *)ccz_secret_bytes(l->env_secret[i]);
    return env;
}

ccz_rc launch_start(struct launch *l, struct ccz_err *err)
{
    struct ccz_handover_fd *fds = calloc(l->secrets.len + 1, sizeof(*fds));
    char **env = whole_env(l);
    size_t n = 0;
    ccz_rc rc = fds && env ? CCZ_OK : no_memory(err);
    for (size_t i = 0; rc == CCZ_OK && i < l->secrets.len; i++)
        if (l->fds[i] >= 0)
            fds[n++] = (struct ccz_handover_fd){.fd = l->fds[i], .as = l->specs[i].as};
    const struct ccz_handover_start s = {.fd = l->program,
                                         .path = l->identity == LAUNCH_IMAGE ? l->path : NULL,
                                         .argv = l->argv,
                                         .envp = env,
                                         .fds = fds,
                                         .fds_len = n};
    if (rc == CCZ_OK)
        rc = ccz_handover_exec(&s, err);
    free(fds);
    free(env);
    return rc;
}
