/* SPDX-License-Identifier: Apache-2.0 */
/* A client over a channel. */
#include "fl/client.h"

#include <stdio.h>

/* The next message if there is one. @param timeout_ms  0: only what is there; CCZ_E_TIMEOUT then is no error */
static ccz_rc receive(enum ccz_fl_event *event, struct ccz_buf *msg, struct ccz_fl_client *c,
                      struct ccz_chan *chan, int64_t timeout_ms, struct ccz_err *err)
{
    ccz_buf_clear(msg);
    *event = CCZ_FL_WAIT;
    ccz_rc rc = ccz_chan_recv_within(msg, chan, timeout_ms, err);
    return rc == CCZ_OK ? ccz_fl_client_input(event, c, ccz_buf_span(msg), err) : rc;
}

/* Sends all there is to be sent; looks between chunks whether the server changed its mind. */
static ccz_rc send_all(enum ccz_fl_event *event, struct ccz_buf *msg, struct ccz_fl_client *c,
                       struct ccz_chan *chan, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    *event = CCZ_FL_WAIT;
    while (rc == CCZ_OK && *event == CCZ_FL_WAIT && ccz_fl_client_output(msg, c)) {
        rc = msg->bad ? cczi_hfl_no_memory(err) : ccz_chan_send_buf(chan, msg, err);
        if (rc == CCZ_OK && c->state == HFL_C_UPLOADING) {
            rc = receive(event, msg, c, chan, 0, err);
            if (rc == CCZ_E_TIMEOUT)
                rc = CCZ_OK;
        }
    }
    return rc;
}

static ccz_rc run(struct ccz_fl_client *c, struct ccz_chan *chan, const struct ccz_fl_trainer *t,
                  int64_t idle_ms, struct ccz_err *err)
{
    enum ccz_fl_event event = CCZ_FL_WAIT;
    CCZ_AUTO_BUF msg;
    ccz_buf_init(&msg, CCZ_FL_MESSAGE_SIZE_MAX + CCZ_FL_LAYOUT_SIZE_MAX);
    ccz_rc rc = CCZ_OK;
    while (rc == CCZ_OK && event != CCZ_FL_OVER) {
        if (event == CCZ_FL_WORK) {
            rc = ccz_fl_client_work(c, t, err);
            event = CCZ_FL_WAIT;
            continue;
        }
        rc = send_all(&event, &msg, c, chan, err);
        /* What the server said before it closed still counts: the end of the training, say. */
        if ((rc == CCZ_OK || rc == CCZ_E_CLOSED) && event == CCZ_FL_WAIT)
            rc = receive(&event, &msg, c, chan, idle_ms ? idle_ms : INT64_MAX, err);
    }
    return rc;
}

ccz_rc ccz_fl_client_run(struct ccz_fl_client *c, struct ccz_chan *chan,
                         const struct ccz_fl_trainer *t, int64_t idle_ms, struct ccz_err *err)
{
    struct ccz_err own = {0}, *why = err ? err : &own;
    char reason[CCZ_ERR_WHERE_SIZE + CCZ_ERR_MSG_SIZE + 2];
    ccz_rc rc = ccz_fl_client_start(c, why);
    if (rc == CCZ_OK)
        rc = run(c, chan, t, idle_ms, why);
    if (rc == CCZ_OK) {
        ccz_chan_close(chan, "the training is over");
    } else {
        (void)snprintf(reason, sizeof(reason), "%s: %s", why->where, why->msg);
        ccz_chan_close(chan, reason);
    }
    return rc;
}
