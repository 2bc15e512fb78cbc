/* SPDX-License-Identifier: Apache-2.0 */
/* Token buckets in a table of fixed size, and what counts as one client. */
#define _DEFAULT_SOURCE
#include "rate.h"

#include <cczoo/crypto.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

ccz_rc cczi_rates_init(struct cczi_rates *r)
{
    memset(r, 0, sizeof(*r));
    return ccz_random(r->seed, sizeof(r->seed));
}

static uint64_t full(struct cczi_rate rate)
{
    return (uint64_t)rate.burst * 1000;
}

/* What is in it by now; rate per second is rate thousandths per millisecond. */
static uint64_t level(const struct cczi_bucket *b, struct cczi_rate rate, int64_t now_ms)
{
    uint64_t max = full(rate);
    uint64_t ms = now_ms > b->at_ms ? (uint64_t)(now_ms - b->at_ms) : 0;
    uint64_t to_fill = rate.rate ? max / rate.rate + 1 : UINT64_MAX;
    if (ms >= to_fill)
        return max;
    uint64_t milli = b->milli + ms * rate.rate;
    return milli < max ? milli : max;
}

void cczi_bucket_init(struct cczi_bucket *b, struct cczi_rate rate, int64_t now_ms)
{
    *b = (struct cczi_bucket){.at_ms = now_ms, .milli = full(rate)};
}

bool cczi_bucket_take(uint32_t *wait_s, struct cczi_bucket *b, struct cczi_rate rate,
                      int64_t now_ms)
{
    uint64_t milli = level(b, rate, now_ms);
    uint64_t owed_ms = now_ms < b->at_ms ? (uint64_t)(b->at_ms - now_ms) : 0;
    b->at_ms = owed_ms ? b->at_ms : now_ms;
    b->milli = milli;
    *wait_s = 0;
    if (milli >= 1000) {
        b->milli -= 1000;
        return true;
    }
    uint64_t wait_ms = rate.rate ? owed_ms + (1000 - milli + rate.rate - 1) / rate.rate : 3600000;
    *wait_s = (uint32_t)((wait_ms + 999) / 1000);
    return false;
}

/* Where the bucket of a key is, if it is anywhere. @param[out] tag  what it has then */
static struct cczi_bucket *set_of(uint64_t *tag, struct cczi_rates *r, struct ccz_span key)
{
    uint8_t digest[32];
    uint8_t in[16 + 32] = {0};
    memcpy(in, r->seed, sizeof(r->seed));
    memcpy(in + 16, key.ptr, key.size < 32 ? key.size : 32);
    if (ccz_sha256(digest, CCZ_SPAN(in, sizeof(in))) != CCZ_OK)
        memset(digest, 0, sizeof(digest)); /* all in one set: stricter, not laxer */
    struct ccz_rd rd = ccz_rd_from(CCZ_SPAN(digest, sizeof(digest)));
    *tag = ccz_rd_le64(&rd) | 1;
    return r->bucket[ccz_rd_le16(&rd) % CCZI_RATES_SETS];
}

/* The bucket of a key; else one that is unused, else the fullest, of which least is forgotten. */
static struct cczi_bucket *find(struct cczi_rates *r, struct ccz_span key, struct cczi_rate rate,
                                int64_t now_ms)
{
    uint64_t tag, most = 0;
    struct cczi_bucket *set = set_of(&tag, r, key), *best = &set[0];
    for (size_t i = 0; i < CCZI_RATES_WAYS; i++) {
        struct cczi_bucket *b = &set[i];
        if (b->tag == tag)
            return b;
        uint64_t has = b->tag ? level(b, rate, now_ms) : UINT64_MAX;
        if (has > most) {
            most = has;
            best = b;
        }
    }
    *best = (struct cczi_bucket){.tag = tag, .at_ms = now_ms, .milli = full(rate)};
    return best;
}

bool cczi_rates_take(uint32_t *wait_s, struct cczi_rates *r, struct ccz_span key,
                     struct cczi_rate rate, int64_t now_ms)
{
    return cczi_bucket_take(wait_s, find(r, key, rate, now_ms), rate, now_ms);
}

void cczi_rates_charge(struct cczi_rates *r, struct ccz_span key, struct cczi_rate rate,
                       int64_t now_ms, uint64_t cost)
{
    struct cczi_bucket *b = find(r, key, rate, now_ms);
    uint64_t milli = level(b, rate, now_ms), due = cost * 1000;
    if (now_ms > b->at_ms)
        b->at_ms = now_ms;
    b->milli = milli > due ? milli - due : 0;
    if (due > milli && rate.rate) /* owed: it fills from then on */
        b->at_ms += (int64_t)((due - milli) / rate.rate);
}

/* ------------------------------------------------------------------------- addresses */

static void set_v4(struct cczi_rate_addr *out, const void *four)
{
    *out = (struct cczi_rate_addr){{4}};
    memcpy(out->bytes + 1, four, 4);
}

static void set_v6(struct cczi_rate_addr *out, const struct in6_addr *a)
{
    if (IN6_IS_ADDR_V4MAPPED(a)) {
        set_v4(out, a->s6_addr + 12);
        return;
    }
    *out = (struct cczi_rate_addr){{6}};
    memcpy(out->bytes + 1, a->s6_addr, 8); /* who has one address of a /64 has them all */
}

void cczi_rate_addr_of(struct cczi_rate_addr *out, const char *text)
{
    char ip[INET6_ADDRSTRLEN];
    const char *colon = strrchr(text, ':');
    size_t size = colon ? (size_t)(colon - text) : 0;
    bool brackets = size > 2 && text[0] == '[' && text[size - 1] == ']';
    if (brackets) {
        text++;
        size -= 2;
    }
    *out = (struct cczi_rate_addr){{0}};
    if (size >= sizeof(ip))
        return;
    memcpy(ip, text, size);
    ip[size] = 0;
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, ip, &v4) == 1)
        set_v4(out, &v4);
    else if (inet_pton(AF_INET6, ip, &v6) == 1)
        set_v6(out, &v6);
}

void cczi_rate_addr_of_socket(struct cczi_rate_addr *out, int fd)
{
    struct sockaddr_storage ss;
    socklen_t size = sizeof(ss);
    *out = (struct cczi_rate_addr){{0}};
    if (fd < 0 || getpeername(fd, (struct sockaddr *)&ss, &size) != 0)
        return;
    if (ss.ss_family == AF_INET)
        set_v4(out, &((const struct sockaddr_in *)(const void *)&ss)->sin_addr);
    else if (ss.ss_family == AF_INET6)
        set_v6(out, &((const struct sockaddr_in6 *)(const void *)&ss)->sin6_addr);
}

/* ------------------------------------------------------------------------- handshakes */

/* A visit empties a bucket, which takes a day to fill: the fullest is that of the oldest visit, and gives its place. */
static const struct cczi_rate day = {1, 24 * 3600};

static bool is_known(struct cczi_shakes *s, struct ccz_span key, int64_t now_ms)
{
    uint64_t tag;
    const struct cczi_bucket *set = set_of(&tag, &s->known, key);
    for (size_t i = 0; i < CCZI_RATES_WAYS; i++)
        if (set[i].tag == tag)
            return level(&set[i], day, now_ms) < full(day);
    return false;
}

uint32_t cczi_shakes_usual(uint32_t one)
{
    uint32_t some = one < UINT32_MAX / 2 / CCZI_SHAKES_OF ? CCZI_SHAKES_OF * one : UINT32_MAX / 2;
    return some > CCZI_SHAKES_USUAL ? some : CCZI_SHAKES_USUAL;
}

ccz_rc cczi_shakes_init(struct cczi_shakes *s, struct cczi_rate all, int64_t now_ms)
{
    bool some = all.rate >= 4 && all.burst >= 4; /* less would not fill again */
    s->kept_rate = some ? (struct cczi_rate){all.rate / 4, all.burst / 4} : (struct cczi_rate){0};
    s->open_rate = (struct cczi_rate){all.rate - s->kept_rate.rate, all.burst - s->kept_rate.burst};
    cczi_bucket_init(&s->open, s->open_rate, now_ms);
    cczi_bucket_init(&s->kept, s->kept_rate, now_ms);
    return cczi_rates_init(&s->known);
}

bool cczi_shakes_take(uint32_t *wait_s, struct cczi_shakes *s, const struct cczi_rate_addr *addr,
                      int64_t now_ms)
{
    return cczi_bucket_take(wait_s, &s->open, s->open_rate, now_ms) ||
           (is_known(s, CCZ_SPAN(addr->bytes, sizeof(addr->bytes)), now_ms) &&
            cczi_bucket_take(wait_s, &s->kept, s->kept_rate, now_ms));
}

void cczi_shakes_known(struct cczi_shakes *s, const struct cczi_rate_addr *addr, int64_t now_ms)
{
    struct cczi_bucket *b =
        find(&s->known, CCZ_SPAN(addr->bytes, sizeof(addr->bytes)), day, now_ms);
    b->at_ms = now_ms;
    b->milli = 0;
}
