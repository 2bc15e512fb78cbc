/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_CLI_KMS_SHOW_H
#define CCZ_CLI_KMS_SHOW_H
/* What the verbs of cczoo kms print alike. */
#include <cczoo/kms.h>

/* A change that the KMS has on record, as a line or JSON. `kind`: "key", "policy", ...; or "", and `name` is the item. Version 0: of none. */
void kms_show_change(bool json, const char *what, const char *kind, const char *name,
                     uint32_t version, const struct ccz_kms_receipt *r);
/* The line of `cczoo kms --help` for a verb of a group of its own. */
void kms_verb_help(const char *group, const char *verb, const char *args, const char *help);

#endif
