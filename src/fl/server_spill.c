/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model outside of memory while updates are collected: accumulator and staging slot then are all the vectors there are. It
 * leaves when the first update is offered, and is back when the round closes; who asks for it meanwhile gets it from the file.
 */
#include "fl/server.h"

#include <stdlib.h>
#include <string.h>

bool cczi_hfl_spill_due(const struct ccz_fl_server *s)
{
    return s->spill && s->model == HFL_HELD && s->offered;
}

bool cczi_hfl_spill_out_locked(struct ccz_fl_server *s)
{
    struct ccz_err err = {0};
    s->working = true;
    pthread_mutex_unlock(&s->lock);
    ccz_rc rc = cczi_hfl_spill_put(s->spill, s->params, &err);
    pthread_mutex_lock(&s->lock);
    if (rc == CCZ_OK && s->phase == HFL_COLLECT) {
        s->model = HFL_LEAVING;
        while (s->pins > 0)
            pthread_cond_wait(&s->quiet, &s->lock);
        bool open = s->phase ==
                    HFL_COLLECT; /* else the training was stopped, and its model may be asked for */
        s->model = open ? HFL_SPILLED : HFL_HELD;
        if (open)
            cczi_hfl_drop_pages(s->params, (size_t)s->layout->len * sizeof(float));
    }
    s->working = false;
    if (rc != CCZ_OK)
        cczi_hfl_over_locked(s, &err);
    return s->phase == HFL_COLLECT;
}

void cczi_hfl_spill_make_room_locked(struct ccz_fl_server *s)
{
    for (uint32_t i = 0; s->spill && i < s->cfg.slots; i++) {
        struct hfl_slot *slot = &s->slots[i];
        if (slot->owner || slot->busy)
            continue;
        free(slot->bytes);
        slot->bytes = NULL;
    }
}

ccz_rc cczi_hfl_spill_in(struct ccz_fl_server *s, struct ccz_err *err)
{
    if (s->model != HFL_SPILLED) /* changes in the thread that works only */
        return CCZ_OK;
    ccz_rc rc = cczi_hfl_spill_get_all(s->params, s->spill, err);
    if (rc != CCZ_OK)
        return rc;
    pthread_mutex_lock(&s->lock);
    s->model = HFL_HELD;
    pthread_mutex_unlock(&s->lock);
    return CCZ_OK;
}

const float *ccz_fl_server_params(const struct ccz_fl_server *cs)
{
    struct ccz_fl_server *s = (struct ccz_fl_server *)(uintptr_t)cs;
    const float *params = s->params;
    pthread_mutex_lock(&s->lock);
    if (s->model == HFL_SPILLED && !s->working) { /* it ended early */
        if (cczi_hfl_spill_get_all(s->params, s->spill, NULL) == CCZ_OK)
            s->model = HFL_HELD;
        else
            params = NULL;
    }
    pthread_mutex_unlock(&s->lock);
    return params;
}
