/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_KMS_RATE_H
#define CCZI_KMS_RATE_H
/* rate.c: how fast somebody may come. Of the gRPC port (gate.c) and of the doors. */
#include <cczoo/base.h>

/* Token buckets by key, as many as fit: whose bucket was given to somebody else starts with a full one, so that a flood of
 * addresses costs no memory and is stopped by the bucket of everybody. Keys are hashed with a secret. One thread at a time. */
enum { CCZI_RATES_SETS = 1024, CCZI_RATES_WAYS = 4 };
struct cczi_rate {
    uint32_t rate, burst; /* per second; at once */
};
struct cczi_bucket {
    uint64_t tag; /* of the key; 0 = unused */
    int64_t at_ms;
    uint64_t milli; /* thousandths of a request */
};
struct cczi_rates {
    uint8_t seed[16];
    struct cczi_bucket bucket[CCZI_RATES_SETS][CCZI_RATES_WAYS];
};
CCZ_MUST_USE ccz_rc cczi_rates_init(struct cczi_rates *r);
/* A full one. */
void cczi_bucket_init(struct cczi_bucket *b, struct cczi_rate rate, int64_t now_ms);
/* @param[out] wait_s  if false: when to come again, at least 1 */
CCZ_MUST_USE bool cczi_bucket_take(uint32_t *wait_s, struct cczi_bucket *b, struct cczi_rate rate,
                                   int64_t now_ms);
/* @param key  its first 32 bytes count */
CCZ_MUST_USE bool cczi_rates_take(uint32_t *wait_s, struct cczi_rates *r, struct ccz_span key,
                                  struct cczi_rate rate, int64_t now_ms);
/* Takes so many afterwards, also more than there are: what is owed comes first. */
void cczi_rates_charge(struct cczi_rates *r, struct ccz_span key, struct cczi_rate rate,
                       int64_t now_ms, uint64_t cost);

/* What counts as one client: an IPv4 address, or the /64 of an IPv6 address. */
struct cczi_rate_addr {
    uint8_t bytes[9];
};
/* @param text  "ip:port", "[ip]:port"; anything else gives the one key of what has no address */
void cczi_rate_addr_of(struct cczi_rate_addr *out, const char *text);
void cczi_rate_addr_of_socket(struct cczi_rate_addr *out, int fd);

/* What is for all unless said otherwise: as much as one loop does, or five addresses at their rate. Can be doubled.
 * @param one  rate of an address */
enum { CCZI_SHAKES_USUAL = 1000, CCZI_SHAKES_OF = 5 };
uint32_t cczi_shakes_usual(uint32_t one);
/* Handshakes of everybody, which one address alone cannot use up, but a crowd of them can: a quarter is kept for those from which
 * somebody known came within a day (the latest, as many as fit). One thread at a time. */
struct cczi_shakes {
    struct cczi_rate open_rate, kept_rate;
    struct cczi_bucket open, kept;
    struct cczi_rates known;
};
CCZ_MUST_USE ccz_rc cczi_shakes_init(struct cczi_shakes *s, struct cczi_rate all, int64_t now_ms);
/* @param[out] wait_s  as of a bucket */
CCZ_MUST_USE bool cczi_shakes_take(uint32_t *wait_s, struct cczi_shakes *s,
                                   const struct cczi_rate_addr *addr, int64_t now_ms);
void cczi_shakes_known(struct cczi_shakes *s, const struct cczi_rate_addr *addr, int64_t now_ms);

#endif
