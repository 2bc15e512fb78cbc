/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_CLI_CORPUS_H
#define CCZ_CLI_CORPUS_H
/*
 * A folder of evidence, as `policy test` and `evidence radar` read it. Each regular file in it is one piece of
 * evidence; each sub-folder with a file evidence.bin is one as well, with collateral of its own if it has a folder
 * collateral. Other entries and names with a leading dot are skipped, order is by name.
 */
#include <cczoo/base.h>

enum { CORPUS_NAME_SIZE = 256, CORPUS_PATH_SIZE = 4096, CORPUS_LEN_MAX = 65536 };

struct corpus_item {
    char *name; /* printable: control characters are escaped */
    char *file;
    char *collateral; /* its own bundle directory, or NULL */
};
struct corpus {
    struct corpus_item *item;
    size_t len;
};
/* CCZ_E_NOT_FOUND: no such folder, or nothing in it. */
CCZ_MUST_USE ccz_rc corpus_read(struct corpus *out, const char *dir, struct ccz_err *err);
void corpus_free(struct corpus *c);
#define CORPUS_AUTO __attribute__((cleanup(corpus_free))) struct corpus

#endif
