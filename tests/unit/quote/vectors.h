/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_QUOTE_VECTORS_H
#define CCZ_QUOTE_VECTORS_H
/*
 * Published evidence, outside of the repository: $CCZOO_VECTORS, or shared/vectors beside it. Each
 * set is a folder with evidence.bin, meta.json and folders of collateral.
 */
#include <cczoo/codec.h>
#include <cczoo/quote.h>

/* The folder of sets; ends the program with 77 (skipped) if there is none. */
const char *vectors_dir(void);
/* A file of a set; empty if there is no such file. @p dir may be "". */
void vectors_load(struct ccz_buf *out, const char *set, const char *dir, const char *file);

enum {
    TCB,
    TCB_CHAIN,
    QE,
    QE_CHAIN,
    ROOT_CRL,
    PCK_CRL,
    CRL_CHAIN,
    LEAF,
    SIGN_CHAIN,
    TRUSTED,
    FILES
};
struct bundle {
    struct ccz_buf file[FILES];
    struct ccz_roots roots;
    struct ccz_collateral_src src;
};
void bundle_load(struct bundle *b, const char *set, const char *dir);
void bundle_free(struct bundle *b);
#endif
