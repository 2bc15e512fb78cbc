/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Self-clocked fair queueing (Golestani, "A Self-Clocked Fair Queueing Scheme for Broadband Applications", INFOCOM 1994): what is
 * taken next is what would be over first, were each namespace served in turns; uses and makings of a namespace each by themselves.
 */
#include "works.h"

#include <string.h>

const char *cczi_kms_works_add(struct cczi_kms_works *w, struct cczi_kms_place *place)
{
    size_t own = 0, own_makes = 0;
    struct cczi_kms_place **end = &w->first;
    uint64_t after = w->now;
    for (; *end; end = &(*end)->next) {
        const struct cczi_kms_place *p = *end;
        if (strcmp(p->ns, place->ns) != 0)
            continue;
        own++;
        own_makes += p->makes;
        if (p->makes == place->makes && p->ends > after)
            after = p->ends;
    }
    if (own >= CCZI_KMS_WORKS_NS_MAX || (place->makes && own_makes >= CCZI_KMS_WORKS_MAKE_MAX))
        return "kms:busy-namespace";
    if (w->len >= 2 * CCZI_KMS_WORKS_MAX || (w->len >= CCZI_KMS_WORKS_MAX && own))
        return "kms:busy";
    place->next = NULL;
    place->doing = false;
    place->ends = after + (place->makes ? CCZI_KMS_WORKS_MAKE_COST : 1);
    *end = place;
    w->len++;
    return NULL;
}

struct cczi_kms_place *cczi_kms_works_take(struct cczi_kms_works *w, size_t threads)
{
    size_t makers = threads > 1 ? threads - 1 : 1;
    struct cczi_kms_place *best = NULL;
    for (struct cczi_kms_place *p = w->first; p; p = p->next)
        if (!p->doing && (!p->makes || w->making < makers) && (!best || p->ends < best->ends))
            best = p;
    if (!best)
        return NULL;
    best->doing = true;
    w->doing++;
    w->making += best->makes;
    if (best->ends > w->now)
        w->now = best->ends;
    return best;
}

void cczi_kms_works_done(struct cczi_kms_works *w, struct cczi_kms_place *place)
{
    struct cczi_kms_place **at = &w->first;
    while (*at && *at != place)
        at = &(*at)->next;
    if (!*at)
        return;
    *at = place->next;
    w->len--;
    w->doing -= place->doing;
    w->making -= place->doing && place->makes;
}
