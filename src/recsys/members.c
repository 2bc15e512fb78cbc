/* SPDX-License-Identifier: Apache-2.0 */
/* Members of JSON objects. */
#include "members.h"

#include <math.h>
#include <string.h>

void cczi_member_wrong(struct cczi_members *p, const char *key)
{
    if (p->wrong)
        return;
    p->wrong = key;
    p->wrong_in = p->in;
}

void cczi_member_text(struct cczi_members *p, char *out, size_t size, const struct ccz_json *o,
                      const char *key)
{
    const char *s = ccz_json_str(ccz_json_get(o, key));
    if (!s || strlen(s) >= size) {
        cczi_member_wrong(p, key);
        return;
    }
    memcpy(out, s, strlen(s) + 1);
}

uint64_t cczi_member_number(struct cczi_members *p, const struct ccz_json *o, const char *key,
                            uint64_t max)
{
    int64_t v = 0;
    if (!ccz_json_int(&v, ccz_json_get(o, key)) || v < 0 || (uint64_t)v > max) {
        cczi_member_wrong(p, key);
        return 0;
    }
    return (uint64_t)v;
}

double cczi_member_real(struct cczi_members *p, const struct ccz_json *o, const char *key,
                        double min, double max)
{
    double v = 0;
    if (ccz_json_real(&v, ccz_json_get(o, key)) && v >= min && v <= max)
        return v;
    cczi_member_wrong(p, key);
    return 0;
}

float cczi_member_float(struct cczi_members *p, const struct ccz_json *o, const char *key)
{
    double v = 0;
    if (!ccz_json_real(&v, ccz_json_get(o, key)) || !isfinite((float)v))
        cczi_member_wrong(p, key);
    return (float)v;
}

bool cczi_member_flag(struct cczi_members *p, const struct ccz_json *o, const char *key)
{
    bool v = false;
    if (!ccz_json_bool(&v, ccz_json_get(o, key)))
        cczi_member_wrong(p, key);
    return v;
}

void cczi_member_digest(struct cczi_members *p, uint8_t out[32], const struct ccz_json *o,
                        const char *key)
{
    const struct ccz_span s = ccz_json_bytes(ccz_json_get(o, key));
    if (s.size != 64 || ccz_unhex(out, 32, (const char *)s.ptr, s.size) != CCZ_OK)
        cczi_member_wrong(p, key);
}

int cczi_member_choice(struct cczi_members *p, const struct ccz_json *o, const char *key,
                       const char *const *names, int len)
{
    const char *s = ccz_json_str(ccz_json_get(o, key));
    for (int i = 0; s && i < len; i++)
        if (strcmp(s, names[i]) == 0)
            return i;
    cczi_member_wrong(p, key);
    return 0;
}

const char *cczi_member_unknown(const struct ccz_json *o, const char *const *names, size_t len)
{
    const char *key = NULL;
    while (ccz_json_next(&key, o)) {
        bool known = false;
        for (size_t i = 0; i < len && !known; i++)
            known = strcmp(key, names[i]) == 0;
        if (!known)
            return key;
    }
    return NULL;
}
