/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_CLI_LOG_DIFF_H
#define CCZ_CLI_LOG_DIFF_H
/* What was measured otherwise between two boots. */
#include <cczoo/eventlog.h>

typedef void (*cli_log_diff_fn)(void *arg, bool added, const struct ccz_event *e);
/* Calls @p fn for each event of @p from that @p to has not (removed), and the other way round (added): register by
 * register, in the order of the logs, as few as possible. Only digests are compared, of events that were extended:
 * nothing else was measured, nor was the order between registers.
 * CCZ_E_LIMIT: two registers with too many events between the first and the last difference ("cli:diff"). */
CCZ_MUST_USE ccz_rc cli_log_diff(const struct ccz_eventlog *from, const struct ccz_eventlog *to,
                                 cli_log_diff_fn fn, void *arg, struct ccz_err *err);

#endif
