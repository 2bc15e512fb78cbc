/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_AGENT_PRIV_H
#define CCZ_AGENT_PRIV_H
/* Shared by the sources of src/agent and their tests only. */
#include <cczoo/agent.h>

/* ------------------------------------------------------------------------------ line.c */

/* One line of an answer, its end included: the largest secret as base64, and some room. */
#define CCZI_AGENT_ANSWER_SIZE_MAX (CCZ_KMS_VALUE_SIZE_MAX / 3 * 4 + 1024)

enum cczi_agent_verb {
    CCZI_AGENT_HELLO = 1, /* version */
    CCZI_AGENT_UNWRAP,    /* name, wrapped */
    CCZI_AGENT_WRAP,      /* name, base64 */
    CCZI_AGENT_SECRET     /* name */
};
struct cczi_agent_request {
    enum cczi_agent_verb verb;
    const char *verb_name; /* static */
    struct ccz_span name;  /* hello: the version; else a name as the KMS has them, borrowed */
    struct ccz_span value; /* unwrap, wrap; borrowed */
};
/* @param line  without its end; untrusted. CCZ_E_FORMAT "agent:request", "agent:name" */
ccz_rc cczi_agent_request_parse(struct cczi_agent_request *out, struct ccz_span line,
                                struct ccz_err *err);
/* "no rc=.. where=".." ..\n", appended. */
void cczi_agent_put_error(struct ccz_buf *out, const struct ccz_err *err);
/* An answer without its end: @p value borrows what is behind "ok ". A refusal comes back as it was; CCZ_E_PEER "agent:answer"
 * for anything else. */
ccz_rc cczi_agent_answer_parse(struct ccz_span *value, struct ccz_span line, struct ccz_err *err);

/* ---------------------------------------------------------------------------- handle.c */

/* Who asks, for the log. */
struct cczi_agent_peer {
    int64_t pid;
    uint32_t uid;
};
/* Answers one request line: appends one line to @p out (set its `wipe`), an "ok" or a "no". */
void cczi_agent_handle(struct ccz_buf *out, const struct ccz_agent_cfg *cfg, struct ccz_span line,
                       const struct cczi_agent_peer *peer);
/* Whether a name is on a list. */
bool cczi_agent_allowed(const struct ccz_agent_names *names, struct ccz_span name);

/* ------------------------------------------------------------------------------ peer.c */

/* The user at the other end of a connected unix socket. False: there is none to be had. */
bool cczi_agent_peer_of(struct cczi_agent_peer *out, int fd);
/* Whether that process is @p root, a child of this process, or was started by it, directly or not, by parents that still run. Where
 * /proc does not tell, nobody is. */
bool cczi_agent_peer_descends(const struct cczi_agent_peer *peer, int fd, int64_t root);
/* The same of a process that does not end meanwhile. */
bool cczi_agent_descends(int64_t pid, int64_t root);
/* The parent in the text of /proc/PID/stat; untrusted: it has a name that the process has chosen. -1: there is none. */
int64_t cczi_agent_stat_parent(const char *text);

/* ------------------------------------------------------------------------------- io.c */

/* A stream of lines with deadlines; owns its socket. */
struct cczi_agent_io {
    int fd;
    struct ccz_buf in; /* bytes that are not taken yet; wipes itself */
    size_t taken;      /* of them, by the line that was returned last */
};
void cczi_agent_io_init(struct cczi_agent_io *io, int fd, size_t line_size_max);
void cczi_agent_io_close(struct cczi_agent_io *io);
/* The next line without its end, valid until the next call. At most @p idle_ms until its first byte, then @p line_ms.
 * CCZ_E_CLOSED, CCZ_E_TIMEOUT, CCZ_E_IO "agent:connection", CCZ_E_LIMIT "agent:request" for one that is too long. */
ccz_rc cczi_agent_io_read(struct ccz_span *line, struct cczi_agent_io *io, int64_t idle_ms,
                          int64_t line_ms, struct ccz_err *err);
ccz_rc cczi_agent_io_write(struct cczi_agent_io *io, struct ccz_span data, int64_t timeout_ms,
                           struct ccz_err *err);

#endif
