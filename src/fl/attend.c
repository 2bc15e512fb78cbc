/* SPDX-License-Identifier: Apache-2.0 */
/* One member over a channel: this thread reads, another one writes. */
#include "fl/server.h"

#include <stdio.h>

struct attend {
    struct ccz_fl_server *s;
    struct ccz_chan *chan;
    uint32_t member;
    bool stop;
};

static void *write_all(void *arg)
{
    struct attend *a = arg;
    struct ccz_err err = {0};
    CCZ_AUTO_BUF msg;
    ccz_buf_init(&msg, CCZ_FL_MESSAGE_SIZE_MAX + CCZ_FL_LAYOUT_SIZE_MAX);
    for (;;) {
        cczi_hfl_output_wait(a->s, a->member, &a->stop);
        if (!ccz_fl_server_output(&msg, a->s, a->member, ccz_mono_ms()))
            break; /* told to stop, or the member is gone */
        ccz_rc rc = msg.bad ? cczi_hfl_no_memory(&err) : ccz_chan_send_buf(a->chan, &msg, &err);
        if (rc != CCZ_OK) {
            ccz_chan_close(a->chan, err.msg); /* wakes the reader */
            break;
        }
        if (ccz_fl_server_done_with(a->s, a->member)) {
            ccz_chan_close(a->chan, "the training is over");
            break;
        }
    }
    return NULL;
}

static ccz_rc read_all(struct attend *a, struct ccz_err *err)
{
    CCZ_AUTO_BUF msg;
    ccz_buf_init(&msg, CCZ_FL_MESSAGE_SIZE_MAX);
    for (;;) {
        ccz_buf_clear(&msg);
        ccz_rc rc = ccz_chan_recv_within(&msg, a->chan, INT64_MAX, err);
        if (rc == CCZ_OK)
            rc = ccz_fl_server_input(a->s, a->member, ccz_buf_span(&msg), ccz_mono_ms(), err);
        if (rc != CCZ_OK)
            return rc;
    }
}

ccz_rc ccz_fl_server_attend(struct ccz_fl_server *s, const char *name, struct ccz_chan *chan,
                            struct ccz_err *err)
{
    struct attend a = {.s = s, .chan = chan};
    struct ccz_err own, *why = err ? err : &own;
    char reason[CCZ_ERR_WHERE_SIZE + CCZ_ERR_MSG_SIZE + 2];
    pthread_t writer;
    ccz_rc rc = ccz_fl_server_join(&a.member, s, name, ccz_mono_ms(), why);
    if (rc == CCZ_OK) {
        if (pthread_create(&writer, NULL, write_all, &a) == 0) {
            rc = read_all(&a, why);
            if (rc != CCZ_E_CLOSED) {
                (void)snprintf(reason, sizeof(reason), "%s: %s", why->where, why->msg);
                ccz_chan_close(chan, reason);
            }
            bool done = ccz_fl_server_done_with(s, a.member);
            ccz_fl_server_leave(s, a.member, ccz_mono_ms());
            cczi_hfl_output_stop(s, a.member, &a.stop);
            (void)pthread_join(writer, NULL);
            return done ? CCZ_OK : rc;
        }
        ccz_fl_server_leave(s, a.member, ccz_mono_ms());
        rc = ccz_fail(why, CCZ_E_NOMEM, "fl:thread", 0, "no thread could be started");
    }
    (void)snprintf(reason, sizeof(reason), "%s: %s", why->where, why->msg);
    ccz_chan_close(chan, reason);
    return rc;
}
