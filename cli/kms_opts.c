/* SPDX-License-Identifier: Apache-2.0 */
#include "kms_opts.h"

#include <string.h>

enum { OPTS_MAX = 64 };

static bool names(const char *of, const char *verb)
{
    size_t size = strlen(verb);
    for (const char *p = of; p; p = strchr(p, ',')) {
        p += strspn(p, ", ");
        if (strncmp(p, verb, size) == 0 && (p[size] == 0 || p[size] == ','))
            return true;
    }
    return false;
}

static bool is_taken(const struct kms_opt *o, const char *verb, bool propose)
{
    return names(o->of, verb) || (propose && names(o->of, "propose"));
}

/* What was not understood may be another verb's. */
static void say_whose(int argc, char **argv, const char *command, const char *verb, bool propose,
                      const struct kms_opt *opts)
{
    for (int i = 0; i < argc; i++) {
        size_t size = strncmp(argv[i], "--", 2) == 0 ? strcspn(argv[i] + 2, "=") : 0;
        for (const struct kms_opt *o = opts; size && o->of; o++) {
            if (strncmp(o->opt.name, argv[i] + 2, size) != 0 || o->opt.name[size] ||
                is_taken(o, verb, propose))
                continue;
            bool any = strcmp(o->of, "propose") == 0;
            ui_hint("--%s is an option of %s %s", o->opt.name, any ? "cczoo kms" : command, o->of);
            return;
        }
    }
}

bool kms_not_stdout(const char *option, const char *file)
{
    bool ok = !file || strcmp(file, "-") != 0;
    if (!ok)
        ui_error("--%s: this goes to a file, not to stdout", option);
    return ok;
}

int kms_parse(int argc, char **argv, const char *command, const char *verb, bool propose,
              const char *usage, const struct ui_opt *reach, const struct kms_opt *opts)
{
    struct ui_opt taken[OPTS_MAX + 1] = {{0}};
    size_t n = 0;
    for (; reach->name; reach++)
        taken[n++] = *reach;
    for (const struct kms_opt *o = opts; o->of && n < OPTS_MAX; o++)
        if (is_taken(o, verb, propose))
            taken[n++] = o->opt;
    int left = ui_parse(argc, argv, usage, taken);
    if (left == -1)
        say_whose(argc, argv, command, verb, propose, opts);
    return left;
}
