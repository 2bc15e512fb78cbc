/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HE_OPTIONS_H
#define HE_OPTIONS_H
/* "--name value" pairs of both programs. */
#include <stdbool.h>
#include <stddef.h>
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
#endif
