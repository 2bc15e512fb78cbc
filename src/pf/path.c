/* SPDX-License-Identifier: Apache-2.0 */
#include "pf_priv.h"

#include <string.h>

/* Takes the last component of out[0..size) back, if it is one that ".." may take back. */
static bool pop(const char *out, size_t *size, size_t root)
{
    size_t at = *size;
    while (at > root && out[at - 1] != '/')
        at--;
    size_t last = *size - at;
    if (last == 0 || (last == 2 && memcmp(out + at, "..", 2) == 0))
        return false;
    *size = at > root ? at - 1 : root; /* the slash before it goes too */
    return true;
}

ccz_rc ccz_pf_path_normalise(char out[CCZ_PF_PATH_SIZE_MAX + 1], const char *path,
                             struct ccz_err *err)
{
    memset(out, 0, CCZ_PF_PATH_SIZE_MAX + 1);
    char p[CCZ_PF_PATH_SIZE_MAX + 1] = {0};
    size_t root = path[0] == '/', size = root;
    if (root)
        p[0] = '/';

    for (const char *s = path; *s;) {
        s += strspn(s, "/");
        size_t n = strcspn(s, "/");
        const char *part = s;
        s += n;
        bool up = n == 2 && memcmp(part, "..", 2) == 0;
        if (n == 0 || (n == 1 && part[0] == '.') || (up && pop(p, &size, root)) || (up && root))
            continue;
        size_t slash = size > root;
        if (size + slash + n > CCZ_PF_PATH_SIZE_MAX)
            return ccz_fail(err, CCZ_E_LIMIT, "pf:path-size", 0,
                            "a bound path has at most %d bytes", CCZ_PF_PATH_SIZE_MAX);
        if (slash)
            p[size++] = '/';
        memcpy(p + size, part, n);
        size += n;
    }
    if (size == root)
        return ccz_fail(err, CCZ_E_ARG, "pf:path", 0, "the path names no file");
    memcpy(out, p, size);
    return CCZ_OK;
}
