/* SPDX-License-Identifier: Apache-2.0 */
#ifndef INTEROP_CASES_H
#define INTEROP_CASES_H
/* The client's half of gRPC's interop cases, over whatever makes calls: our own client (interop_client.c) or gRPC C-core
 * (ccore_client.c). */
#include "interop_msg.h"

struct ic_start {
    const char *path;
    int64_t timeout_ms; /* 0 = 30 s */
    bool unary;         /* one request, one response */
    bool metadata;      /* with the two keys that the server has to echo */
    bool gzip;          /* requests may be compressed */
};
/* How a call ended. */
struct ic_end {
    int code;
    struct ccz_buf message;           /* as it was before it was encoded */
    struct ccz_buf initial, trailing; /* values of the two keys */
};
struct ic_ops {
    void *(*connect)(const char *target);
    void (*disconnect)(void *channel);
    void *(*open)(void *channel, const struct ic_start *start);
    bool (*send)(void *call, struct ccz_span msg, bool compressed);
    void (*half_close)(void *call);
    /* The next message; false = there is none. */
    bool (*recv)(void *call, struct ccz_buf *msg, bool *compressed);
    void (*cancel)(void *call);
    void (*end)(void *call, struct ic_end *end); /* waits for the status, frees the call */
};

/* usage: HOST:PORT [CASE...] or: any_answer URL, for testers of HTTP/2 clients    @return the exit code */
int ic_main(const struct ic_ops *ops, int argc, char **argv);
#endif
