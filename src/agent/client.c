/* SPDX-License-Identifier: Apache-2.0 */
/* The other side of the socket. What an agent answers is checked like any other input. */
#define _GNU_SOURCE
#include "agent_priv.h"

#include <cczoo/codec.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { ANSWER_MS = 60000 };

struct ccz_agent_client {
    struct cczi_agent_io io;
};

static ccz_rc dial(int *out, const char *path, struct ccz_err *err)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    if (strncmp(path, "unix:", 5) == 0)
        path += 5;
    size_t size = strlen(path);
    if (size == 0 || size >= sizeof(at.sun_path))
        return ccz_fail(err, CCZ_E_ARG, "agent:connect", (int64_t)size,
                        "the path of a socket has 1..%zu bytes", sizeof(at.sun_path) - 1);
    memcpy(at.sun_path, path, size + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&at, sizeof(at)) != 0) {
        ccz_fail(err, CCZ_E_UNAVAILABLE, "agent:connect", errno, "no agent at %.100s: %s", path,
                 strerror(errno));
        if (fd >= 0)
            (void)close(fd);
        return ccz_hint(err, CCZ_E_UNAVAILABLE, "start one with: cczoo agent run");
    }
    *out = fd;
    return CCZ_OK;
}

/* Somebody else's socket would be told our keys to wrap them, and tell us keys of his choice. */
static ccz_rc check_server(int fd, int64_t pid, struct ccz_err *err)
{
    struct cczi_agent_peer peer;
    if (!cczi_agent_peer_of(&peer, fd) || (peer.uid != geteuid() && peer.uid != 0))
        return ccz_refuse_num(err, CCZ_E_UNTRUSTED, "agent:server-uid", peer.uid, geteuid());
    /* of who called listen(); the agent lives as long as what it started, so its number is nobody else's */
    if (pid == 0 || peer.pid == pid)
        return CCZ_OK;
    return ccz_hint(err, ccz_refuse_num(err, CCZ_E_UNTRUSTED, "agent:server-pid", peer.pid, pid),
                    "another process listens where the agent did");
}

/* One request, one answer; @p value borrows from the connection. */
static ccz_rc ask(struct ccz_span *value, struct ccz_agent_client *c, const char *verb,
                  const char *name, struct ccz_span text, struct ccz_err *err)
{
    struct ccz_span line;
    CCZ_AUTO_BUF request;
    ccz_buf_init(&request, CCZ_AGENT_REQUEST_SIZE_MAX);
    request.wipe = true;
    ccz_buf_printf(&request, "%s %s%s", verb, name, text.size ? " " : "");
    ccz_buf_put_span(&request, text);
    ccz_buf_put_str(&request, "\n");
    if (request.bad)
        return ccz_fail(err, CCZ_E_LIMIT, "agent:request", CCZ_AGENT_REQUEST_SIZE_MAX,
                        "the request is longer than %d bytes", CCZ_AGENT_REQUEST_SIZE_MAX);
    ccz_rc rc = cczi_agent_io_write(&c->io, ccz_buf_span(&request), ANSWER_MS, err);
    /* who was turned away is told so before he asked: read in any case */
    struct ccz_err read_err = {0};
    ccz_rc got =
        cczi_agent_io_read(&line, &c->io, rc == CCZ_OK ? ANSWER_MS : 0, ANSWER_MS, &read_err);
    if (got == CCZ_OK)
        return cczi_agent_answer_parse(value, line, err);
    if (rc == CCZ_OK && err)
        *err = read_err;
    return rc == CCZ_OK ? got : rc;
}

static ccz_rc take_secret(struct ccz_secret **out, struct ccz_span value, struct ccz_err *err)
{
    CCZ_AUTO_BUF raw;
    ccz_buf_init(&raw, CCZ_KMS_VALUE_SIZE_MAX);
    raw.wipe = true;
    if (ccz_base64_get(&raw, value, CCZ_BASE64_STD, NULL) != CCZ_OK || raw.size == 0)
        return ccz_fail(err, CCZ_E_PEER, "agent:answer", 0, "this is no answer of an agent");
    ccz_rc rc = ccz_secret_from(out, raw.ptr, raw.size);
    return rc == CCZ_OK ? rc : ccz_fail(err, rc, "agent:memory", 0, "out of memory");
}

ccz_rc ccz_agent_client_new(struct ccz_agent_client **out, const char *socket_path, int64_t pid,
                            struct ccz_err *err)
{
    int fd = -1;
    struct ccz_span value;
    *out = NULL;
    if (pid < 0)
        return ccz_fail(err, CCZ_E_ARG, "agent:connect", pid, "no process has this number");
    CCZ_AUTO(ccz_agent_client) c = calloc(1, sizeof(*c));
    if (!c)
        return ccz_fail(err, CCZ_E_NOMEM, "agent:memory", 0, "out of memory");
    c->io.fd = -1;
    ccz_rc rc = dial(&fd, socket_path, err);
    if (rc != CCZ_OK)
        return rc;
    cczi_agent_io_init(&c->io, fd, CCZI_AGENT_ANSWER_SIZE_MAX);
    rc = check_server(fd, pid, err);
    if (rc == CCZ_OK)
        rc = ask(&value, c, "hello", "1", CCZ_SPAN(NULL, 0), err);
    if (rc == CCZ_OK && !ccz_span_eq(value, ccz_span_str("1")))
        rc = ccz_fail(err, CCZ_E_PEER, "agent:answer", 0, "this is no answer of an agent");
    if (rc != CCZ_OK)
        return rc;
    *out = ccz_agent_client_take(&c);
    return CCZ_OK;
}

ccz_rc ccz_agent_client_of_env(struct ccz_agent_client **out, struct ccz_err *err)
{
    const char *socket_path = getenv(CCZ_AGENT_VARIABLE), *text = getenv(CCZ_AGENT_PID_VARIABLE);
    char *end = NULL;
    *out = NULL;
    if (!socket_path || !*socket_path)
        return ccz_fail(err, CCZ_E_NOT_FOUND, "agent:none", 0,
                        "this process has no key agent: " CCZ_AGENT_VARIABLE " is not set");
    const long long pid = text ? strtoll(text, &end, 10) : 0;
    if (text && (end == text || *end || pid <= 0 || pid > INT32_MAX))
        return ccz_fail(err, CCZ_E_ARG, "agent:connect", 0,
                        CCZ_AGENT_PID_VARIABLE " is no number of a process");
    return ccz_agent_client_new(out, socket_path, pid, err);
}

void ccz_agent_client_free(struct ccz_agent_client *c)
{
    if (!c)
        return;
    cczi_agent_io_close(&c->io);
    free(c);
}

ccz_rc ccz_agent_client_unwrap(struct ccz_secret **out, struct ccz_agent_client *c,
                               const char *name, struct ccz_span wrapped, struct ccz_err *err)
{
    struct ccz_span value;
    *out = NULL;
    ccz_rc rc = ask(&value, c, "unwrap", name, wrapped, err);
    return rc == CCZ_OK ? take_secret(out, value, err) : rc;
}

ccz_rc ccz_agent_client_wrap(struct ccz_buf *out, struct ccz_agent_client *c, const char *name,
                             struct ccz_span plain, struct ccz_err *err)
{
    struct ccz_span value;
    uint32_t version;
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, CCZ_AGENT_REQUEST_SIZE_MAX);
    text.wipe = true;
    ccz_base64_put(&text, plain, CCZ_BASE64_STD);
    if (text.bad)
        return ccz_fail(err, CCZ_E_LIMIT, "agent:request", CCZ_AGENT_REQUEST_SIZE_MAX,
                        "the key is too long for a request");
    ccz_rc rc = ask(&value, c, "wrap", name, ccz_buf_span(&text), err);
    if (rc == CCZ_OK && ccz_agent_wrapped_version(&version, value, NULL) != CCZ_OK)
        rc = ccz_fail(err, CCZ_E_PEER, "agent:answer", 0, "this is no answer of an agent");
    if (rc != CCZ_OK)
        return rc;
    ccz_buf_put_span(out, value);
    return out->bad ? ccz_fail(err, CCZ_E_NOMEM, "agent:memory", 0, "out of memory") : CCZ_OK;
}

ccz_rc ccz_agent_client_secret(struct ccz_secret **out, struct ccz_agent_client *c,
                               const char *name, struct ccz_err *err)
{
    struct ccz_span value;
    *out = NULL;
    ccz_rc rc = ask(&value, c, "secret", name, CCZ_SPAN(NULL, 0), err);
    return rc == CCZ_OK ? take_secret(out, value, err) : rc;
}
