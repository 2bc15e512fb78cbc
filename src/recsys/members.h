/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_RECSYS_MEMBERS_H
#define CCZ_RECSYS_MEMBERS_H
/* Members of JSON objects, strictly. Sticky: read everything, test once; the first member that is wrong is named. */
#include <cczoo/codec.h>

struct cczi_members {
    const char *in;       /* the object that is read, with a dot; NULL: the outermost */
    const char *wrong;    /* missing, of another type or out of range; NULL: none is */
    const char *wrong_in; /* its `in` */
};
void cczi_member_wrong(struct cczi_members *p, const char *key);
/* A text shorter than @p size, with its NUL. */
void cczi_member_text(struct cczi_members *p, char *out, size_t size, const struct ccz_json *o,
                      const char *key);
uint64_t cczi_member_number(struct cczi_members *p, const struct ccz_json *o, const char *key,
                            uint64_t max);
double cczi_member_real(struct cczi_members *p, const struct ccz_json *o, const char *key,
                        double min, double max);
float cczi_member_float(struct cczi_members *p, const struct ccz_json *o, const char *key);
bool cczi_member_flag(struct cczi_members *p, const struct ccz_json *o, const char *key);
/* 64 hex digits. */
void cczi_member_digest(struct cczi_members *p, uint8_t out[32], const struct ccz_json *o,
                        const char *key);
/* The place of a text among @p len names. */
int cczi_member_choice(struct cczi_members *p, const struct ccz_json *o, const char *key,
                       const char *const *names, int len);
/* NULL, or the first member of @p o that is not among @p len names. */
const char *cczi_member_unknown(const struct ccz_json *o, const char *const *names, size_t len);

#endif
