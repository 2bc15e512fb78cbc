/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SOLUTIONS_OPTIONS_H
#define SOLUTIONS_OPTIONS_H
/* What the programs of solutions have in common: "--name value" pairs, and how a program says why it ends. */
#include <cczoo/base.h>

#include <stdio.h>
#include <string.h>

struct option {
    const char *name;
    const char **value;
};

static inline bool options(const struct option *opts, size_t len, int argc, char **argv)
{
    for (int i = 1; i < argc; i += 2) {
        size_t k = 0;
        while (k < len && strcmp(opts[k].name, argv[i]) != 0)
            k++;
        if (k == len || i + 1 == argc)
            return false;
        *opts[k].value = argv[i + 1];
    }
    return true;
}

static inline int usage(const char *text)
{
    (void)fprintf(stderr, "usage: %s\n", text);
    return 2;
}

/* Tells others which port a server got: the file is there when it can be reached. */
static inline ccz_rc write_port(const char *file, unsigned port, struct ccz_err *err)
{
    char text[8];
    (void)snprintf(text, sizeof(text), "%u\n", port);
    return ccz_file_write(file, ccz_span_str(text), 0600, CCZ_FILE_REPLACE, err);
}

/* Prints the reason of a failure. @return exit status: 0 yes, 1 a verified no, 3 something else went wrong */
static inline int verdict(ccz_rc rc, const struct ccz_err *err)
{
    bool failed = rc == CCZ_E_IO || rc == CCZ_E_NOMEM || rc == CCZ_E_UNAVAILABLE;
    if (rc == CCZ_OK)
        return 0;
    if (err->got[0])
        (void)fprintf(stderr, "refused: %s: %s / %s\n", err->where, err->got, err->expected);
    else
        (void)fprintf(stderr, "%s: %s: %s\n", failed ? "error" : "refused", err->where, err->msg);
    return failed ? 3 : 1;
}
#endif
