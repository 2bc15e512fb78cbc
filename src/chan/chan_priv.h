/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_CHAN_PRIV_H
#define CCZI_CHAN_PRIV_H
#include <cczoo/chan.h>

#include <stdatomic.h>

struct ccz_chan {
    const struct ccz_chan_ops *ops;
    void *self;
    char name[CCZ_CHAN_NAME_SIZE];
    _Atomic int64_t timeout_ms;
    atomic_bool closed;
    /* the sending thread's */
    struct ccz_err send_err;
    /* the receiving thread's */
    struct ccz_err recv_err;
    struct ccz_buf scratch;
    /* counters */
    _Atomic uint64_t sent_len, sent_size, received_len, received_size, rounds;
    _Atomic int64_t waited_ns;
    atomic_bool sent_last;
};

/* Bytes of one message in pieces; SIZE_MAX if that overflows. */
size_t cczi_parts_size(const struct ccz_span *parts, size_t len);
#endif
