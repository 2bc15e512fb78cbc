/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_EVENTLOG_PRIV_H
#define CCZ_EVENTLOG_PRIV_H
#include <cczoo/eventlog.h>

enum { CCZI_EV_NO_ACTION = 3 };

/** What the digest of an event of this type is defined to be over. */
enum cczi_event_over {
    CCZI_OVER_OTHER,    /**< something that is not in the log, or not defined */
    CCZI_OVER_DATA,     /**< the event data */
    CCZI_OVER_VARIABLE, /**< the value inside of UEFI_VARIABLE_DATA, which the event data is */
};
enum cczi_event_over cczi_event_over(uint32_t type);

/** As ccz_eventlog_next() without the flags that cost a hash; of any log: false also if malformed (it->at.bad). */
bool cczi_event_read(struct ccz_event *out, struct ccz_eventlog_iter *it);
#endif
