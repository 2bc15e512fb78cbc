/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_JSON_WALK_H
#define CCZ_JSON_WALK_H
/* Every value of a well-formed JSON text with its place in it, to change one at a time. */
#include <cczoo/base.h>

struct walk_value {
    char path[160];             /* "tcbInfo.tcbLevels[2].tcb.pcesvn" */
    char type;                  /* '{' '[' '"' 'n' (number) 'w' (true, false, null) */
    struct ccz_span value;      /* in the text; strings without their quotes */
    struct ccz_span whole;      /* "name":value of a member, else the value with its quotes */
    struct ccz_span with_comma; /* whole and one comma beside it, if there is one */
};
/* Calls @p fn for every value, outer ones first. Aborts if @p text is no JSON. */
void walk_json(struct ccz_span text, void (*fn)(void *arg, const struct walk_value *v), void *arg);
/* @p text with @p part of it replaced. */
void walk_replace(struct ccz_buf *out, struct ccz_span text, struct ccz_span part,
                  const char *with);
#endif
