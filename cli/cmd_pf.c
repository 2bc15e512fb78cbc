/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include <cczoo/pf.h>

#include <sys/stat.h>

struct pf_opts {
    const char *key, *path;
    int64_t version;
    bool any_path, replace, quiet;
};

static void on_file(void *arg, const char *rel, uint64_t plain_size)
{
    (void)arg;
    ui_say("%s (%llu bytes)", rel, (unsigned long long)plain_size);
}

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Options and operands shared by the verbs; returns -1 to go on, else the exit status. */
static int parse(struct pf_opts *o, int argc, char **argv, const char *usage, int operands)
{
    const struct ui_opt opts[] = {
        {"key", &o->key, NULL, NULL, "FILE", "key file (16 bytes, mode 0600)"},
        {"path", &o->path, NULL, NULL, "PATH",
         "bound path; default: the name of the encrypted file or folder"},
        {"version", NULL, &o->version, NULL, "N", "encrypt: format version 1 (default) or 2"},
        {"any-path-insecure", NULL, NULL, &o->any_path, NULL, "accept a file bound to any path"},
        {"replace", NULL, NULL, &o->replace, NULL, "replace an existing output file"},
        {"quiet", NULL, NULL, &o->quiet, NULL, "do not name each file of a folder"},
        {0},
    };
    int n = ui_parse(argc, argv, usage, opts);
    if (n < 0)
        return ui_parse_status(n);
    if (n != operands || !o->key || (o->version != 0 && o->version != 1 && o->version != 2)) {
        ui_error("expected --key FILE and %d operand%s", operands, operands == 1 ? "" : "s");
        ui_hint("usage: %s", usage);
        return UI_USAGE;
    }
    return -1;
}

static struct ccz_pf_cfg config(const struct pf_opts *o)
{
    return (struct ccz_pf_cfg){.path = o->path,
                               .any_path_insecure = o->any_path,
                               .version = (uint8_t)o->version,
                               .replace = o->replace,
                               .on_file = o->quiet ? NULL : on_file};
}

int cmd_pf_keygen(int argc, char **argv)
{
    const struct ui_opt opts[] = {{0}};
    int n = ui_parse(argc, argv, "cczoo pf keygen FILE", opts);
    if (n < 0)
        return ui_parse_status(n);
    if (n != 1) {
        ui_error("expected one file name");
        return UI_USAGE;
    }
    struct ccz_err err;
    CCZ_AUTO(ccz_secret) key = NULL;
    ccz_rc rc = ccz_pf_key_generate(&key, &err);
    if (rc == CCZ_OK)
        rc = ccz_pf_key_save(key, argv[0], &err);
    return rc == CCZ_OK ? UI_OK : ui_fail(&err);
}

int cmd_pf_encrypt(int argc, char **argv)
{
    struct pf_opts o = {0};
    int status = parse(&o, argc, argv,
                       "cczoo pf encrypt --key FILE IN OUT [--path PATH] [--version 1|2]", 2);
    if (status >= 0)
        return status;
    struct ccz_err err;
    CCZ_AUTO(ccz_secret) key = NULL;
    const struct ccz_pf_cfg cfg = config(&o);
    ccz_rc rc = ccz_pf_key_load(&key, o.key, &err);
    if (rc == CCZ_OK)
        rc = is_folder(argv[0]) ? ccz_pf_encrypt_tree(argv[1], argv[0], key, &cfg, &err)
                                : ccz_pf_encrypt_file(argv[1], argv[0], key, &cfg, &err);
    return rc == CCZ_OK ? UI_OK : ui_fail(&err);
}

int cmd_pf_decrypt(int argc, char **argv)
{
    struct pf_opts o = {0};
    char bound[CCZ_PF_PATH_SIZE_MAX + 1];
    int status = parse(&o, argc, argv, "cczoo pf decrypt --key FILE IN OUT [--path PATH]", 2);
    if (status >= 0)
        return status;
    struct ccz_err err;
    CCZ_AUTO(ccz_secret) key = NULL;
    struct ccz_pf_cfg cfg = config(&o);
    ccz_rc rc = ccz_pf_key_load(&key, o.key, &err);
    if (rc == CCZ_OK &&
        !cfg.path) { /* where it lies is where it was bound, unless told otherwise */
        rc = ccz_pf_path_normalise(bound, argv[0], &err);
        cfg.path = bound;
    }
    if (rc == CCZ_OK)
        rc = is_folder(argv[0]) ? ccz_pf_decrypt_tree(argv[1], argv[0], key, &cfg, &err)
                                : ccz_pf_decrypt_file(argv[1], argv[0], key, &cfg, &err);
    return rc == CCZ_OK ? UI_OK : ui_fail(&err);
}

int cmd_pf_inspect(int argc, char **argv)
{
    struct pf_opts o = {.any_path = true}; /* showing the bound path is the point */
    int status = parse(&o, argc, argv, "cczoo pf inspect --key FILE FILE", 1);
    if (status >= 0)
        return status;
    struct ccz_err err;
    struct ccz_pf_info info;
    CCZ_AUTO(ccz_secret) key = NULL;
    const struct ccz_pf_cfg cfg = config(&o);
    ccz_rc rc = ccz_pf_key_load(&key, o.key, &err);
    if (rc == CCZ_OK)
        rc = ccz_pf_inspect_file(&info, argv[0], key, &cfg, &err);
    if (rc != CCZ_OK)
        return ui_fail(&err);
    char path[4 * sizeof(info.path)];
    ccz_escape(path, sizeof(path), ccz_span_str(info.path));
    ui_out("version         %u\nplaintext size  %llu\nfile size       %llu\nbound path      %s\n",
           info.version, (unsigned long long)info.plain_size, (unsigned long long)info.cipher_size,
           path);
    return UI_OK;
}
