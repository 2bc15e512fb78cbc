/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_SRC_HANDOVER_PRIV_H
#define CCZ_SRC_HANDOVER_PRIV_H
#include <cczoo/handover.h>

/* What a failed system call means, with errno as aux: CCZ_E_NOT_FOUND, _NOMEM, _LIMIT or _IO. */
ccz_rc cczi_handover_errno(struct ccz_err *err, const char *where, const char *what,
                           const char *name);
/* All bytes, or an errno that tells why. */
int cczi_handover_write(int fd, const void *bytes, size_t size);
/* The rest of @p in, up to CCZ_HANDOVER_COPY_SIZE_MAX, through a buffer that is wiped. CCZ_E_LIMIT: more. */
ccz_rc cczi_handover_stream(int out, int in, const char *where, const char *name,
                            struct ccz_err *err);

/* No core dump with this content of core_pattern, given what could be set as the limit. */
ccz_rc cczi_handover_core(const char *pattern, bool limit_is_one, struct ccz_err *err);
/* The same with the core_pattern in @p folder, /proc/sys/kernel but for tests. CCZ_E_DENIED also where neither it nor
 * osrelease can be read. */
ccz_rc cczi_handover_core_in(const char *folder, bool limit_is_one, struct ccz_err *err);

#endif
