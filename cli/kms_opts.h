/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_CLI_KMS_OPTS_H
#define CCZ_CLI_KMS_OPTS_H
/* Options of verbs that share a table. One that a verb has no use for is an error, not ignored: it may be a condition. */
#include "ui.h"

struct kms_opt {
    const char *of; /* verbs that take it, "rm, role set"; "propose": each, with propose in front */
    struct ui_opt opt;
};

/* ui_parse() of @p reach, which all verbs take, and of those of @p opts that @p verb takes; both end with a zeroed entry.
 * @param command  "cczoo kms key" @param verb  "create", as `of` calls it */
int kms_parse(int argc, char **argv, const char *command, const char *verb, bool propose,
              const char *usage, const struct ui_opt *reach, const struct kms_opt *opts);
/* For what does not go to stdout: false after saying so if @p file is "-", which would be a file of that name. */
bool kms_not_stdout(const char *option, const char *file);

#endif
