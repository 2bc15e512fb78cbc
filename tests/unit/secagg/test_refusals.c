/* SPDX-License-Identifier: Apache-2.0 */
/* What a server may do to its clients, clients to the server, and what they answer. */
#include "kit.h"

enum { HEADER = 4 + 1 + 1 + 2 + 8 + CCZI_SA_TAG };

static struct kit *begin(uint32_t members, bool attested, enum ccz_secagg_phase phase)
{
    struct kit *k = kit_new(members, 0, attested ? members / 2 + 1 : 0, attested, members);
    k->cfg.quorum = 3;
    kit_begin(k);
    CHECK(kit_until(k, phase));
    return k;
}

/* What the server has for a member. */
static void served(struct ccz_buf *msg, struct kit *k, uint32_t member)
{
    ccz_buf_init(msg, 1 << 20);
    CHECK(ccz_secagg_server_output(msg, k->server, member, &k->err) == CCZ_OK);
}

/* A client refuses `msg`, with no answer, and its part is over: also the right message does not help any more. */
static void client_refuses(struct kit *k, uint32_t member, struct ccz_span msg, ccz_rc want,
                           const char *where)
{
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 1 << 20);
    kit_refused(k, ccz_secagg_client_step(&out, k->client[member], msg, &k->err), want, where);
    CHECK(out.size == 0);
    kit_refused(k, ccz_secagg_client_step(&out, k->client[member], msg, &k->err), CCZ_E_DENIED,
                "secagg:phase");
    CHECK(out.size == 0 && !ccz_secagg_client_masking(k->client[member]));
}

/* The server refuses `msg`; the member may still send the right one. */
static void server_refuses(struct kit *k, uint32_t member, struct ccz_span msg, ccz_rc want,
                           const char *where)
{
    struct ccz_secagg_stats before, after;
    ccz_secagg_server_stats(&before, k->server);
    kit_refused(k, ccz_secagg_server_input(k->server, member, msg, &k->err), want, where);
    CHECK(ccz_secagg_server_waits(k->server, member));
    ccz_secagg_server_stats(&after, k->server);
    CHECK(memcmp(&before, &after, sizeof(before)) == 0);
}

/* Keys of a member: bytes of the message that follow the header are its public keys. */
static void keys_message(struct ccz_buf *out, struct kit *k, uint32_t member)
{
    ccz_buf_init(out, 4096);
    CHECK(kit_answer(k, out, member) == CCZ_OK);
}

static void test_server_keys(void)
{
    for (int attested = 0; attested < 2; attested++) {
        struct kit *k = begin(5, attested, CCZ_SECAGG_KEYS);
        CCZ_AUTO_BUF one;
        CCZ_AUTO_BUF two;
        CCZ_AUTO_BUF bad;
        keys_message(&one, k, 1);
        keys_message(&two, k, 2);
        ccz_buf_init(&bad, 4096);
        CHECK(ccz_secagg_server_input(k->server, 1, ccz_buf_span(&one), &k->err) == CCZ_OK);
        CHECK(!ccz_secagg_server_waits(k->server, 1));
        kit_refused(k, ccz_secagg_server_input(k->server, 1, ccz_buf_span(&one), &k->err),
                    CCZ_E_DENIED, "secagg:phase"); /* twice */
        kit_refused(k, ccz_secagg_server_input(k->server, 9, ccz_buf_span(&two), &k->err),
                    CCZ_E_DENIED, "secagg:phase"); /* nobody */
        /* another member's keys: with a roster the signature names its owner */
        server_refuses(k, 3, ccz_buf_span(&one), attested ? CCZ_E_PEER : CCZ_E_SIG,
                       attested ? "secagg:key-repeated" : "secagg:signature");
        ccz_buf_put_span(&bad, ccz_buf_span(&two));
        memcpy(bad.ptr + HEADER, bad.ptr + HEADER + CCZI_SA_KEY, CCZI_SA_KEY);
        server_refuses(k, 2, ccz_buf_span(&bad), CCZ_E_PEER, "secagg:equal-keys");
        /* its box key as the other's mask key */
        memcpy(bad.ptr, two.ptr, two.size);
        memcpy(bad.ptr + HEADER, one.ptr + HEADER + CCZI_SA_KEY, CCZI_SA_KEY);
        server_refuses(k, 2, ccz_buf_span(&bad), attested ? CCZ_E_PEER : CCZ_E_SIG,
                       attested ? "secagg:key-repeated" : "secagg:signature");
        CHECK(ccz_secagg_server_input(k->server, 2, ccz_buf_span(&two), &k->err) == CCZ_OK);
        kit_free(k);
    }
}

/* Signed by its owner, a key of somebody else is still refused. */
static void test_key_repeated_signed(void)
{
    struct kit *k = begin(5, false, CCZ_SECAGG_KEYS);
    CCZ_AUTO_BUF one;
    CCZ_AUTO_BUF two;
    struct cczi_sa_params p;
    struct cczi_sa_public keys;
    keys_message(&one, k, 1);
    keys_message(&two, k, 2);
    CHECK(cczi_sa_params_init(&p, &k->cfg, (const uint8_t(*)[CCZ_SECAGG_ID_SIZE])k->roster, NULL) ==
          CCZ_OK);
    memcpy(&keys, two.ptr + HEADER, sizeof(keys));
    memcpy(keys.mask, one.ptr + HEADER, CCZI_SA_KEY);
    CHECK(cczi_sa_sign_keys(&keys, &p, 2, k->identity[2]) == CCZ_OK);
    memcpy(two.ptr + HEADER, &keys, sizeof(keys));
    CHECK(ccz_secagg_server_input(k->server, 1, ccz_buf_span(&one), &k->err) == CCZ_OK);
    server_refuses(k, 2, ccz_buf_span(&two), CCZ_E_PEER, "secagg:key-repeated");
    kit_free(k);
}

/* What a client does with keys that the server has changed. Entry i is of member i + 1 for client 0. */
static void client_keys(bool attested, void (*change)(uint8_t *keys, size_t entry, struct kit *k),
                        ccz_rc want, const char *where)
{
    struct kit *k = begin(5, attested, CCZ_SECAGG_SHARES);
    CCZ_AUTO_BUF msg;
    served(&msg, k, 0);
    size_t entry = 4 + 2 * CCZI_SA_KEY + (attested ? 0 : CCZI_SA_SIG);
    CHECK(msg.size == HEADER + 4 + 4 * entry);
    change(msg.ptr + HEADER + 4 + 4, entry, k);
    client_refuses(k, 0, ccz_buf_span(&msg), want, where);
    kit_free(k);
}

static void swap_key(uint8_t *keys, size_t entry,
                     struct kit *k) /* a key that the server has made */
{
    (void)entry;
    (void)k;
    keys[3] ^= 1;
}

static void copy_key(uint8_t *keys, size_t entry, struct kit *k)
{
    (void)k;
    memcpy(keys + entry, keys, CCZI_SA_KEY);
}

static void equal_keys(uint8_t *keys, size_t entry, struct kit *k)
{
    (void)entry;
    (void)k;
    memcpy(keys, keys + CCZI_SA_KEY, CCZI_SA_KEY);
}

static void own_key(uint8_t *keys, size_t entry,
                    struct kit *k) /* what client 0 has sent comes back */
{
    CCZ_AUTO_BUF msg;
    (void)entry;
    served(&msg, k, 1); /* client 0 is the first neighbour of client 1 */
    memcpy(keys, msg.ptr + HEADER + 8, CCZI_SA_KEY);
}

static void zero_key(uint8_t *keys, size_t entry, struct kit *k)
{
    (void)entry;
    (void)k;
    memset(keys, 0, CCZI_SA_KEY); /* order 1 */
}

static void small_key(uint8_t *keys, size_t entry, struct kit *k)
{
    static const char hex[] = "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800";
    (void)k;
    (void)entry; /* order 8; as the box key */
    CHECK(ccz_unhex(keys + CCZI_SA_KEY, CCZI_SA_KEY, hex, 64) == CCZ_OK);
}

static void other_signature(uint8_t *keys, size_t entry, struct kit *k)
{
    (void)k;
    memcpy(keys + 2 * CCZI_SA_KEY, keys + entry + 2 * CCZI_SA_KEY, CCZI_SA_SIG);
}

static void test_client_keys(void)
{
    client_keys(false, swap_key, CCZ_E_SIG, "secagg:signature");
    client_keys(false, other_signature, CCZ_E_SIG, "secagg:signature");
    client_keys(false, equal_keys, CCZ_E_PEER, "secagg:equal-keys");
    client_keys(true, equal_keys, CCZ_E_PEER, "secagg:equal-keys");
    client_keys(true, copy_key, CCZ_E_PEER, "secagg:key-repeated");
    client_keys(true, own_key, CCZ_E_PEER, "secagg:key-repeated");
    client_keys(true, zero_key, CCZ_E_PEER, "secagg:weak-key");
    client_keys(true, small_key, CCZ_E_PEER, "secagg:weak-key");
}

static void test_few_neighbours(void)
{
    struct kit *k = begin(5, true, CCZ_SECAGG_SHARES); /* threshold 3 */
    CCZ_AUTO_BUF msg;
    served(&msg, k, 0);
    msg.ptr[HEADER] = 2;
    const struct ccz_span two = {msg.ptr, HEADER + 4 + 2 * (4 + 2 * CCZI_SA_KEY)};
    client_refuses(k, 0, two, CCZ_E_DENIED, "secagg:few");
    kit_free(k);
    k = begin(5, true, CCZ_SECAGG_INPUT);
    CCZ_AUTO_BUF inbox;
    served(&inbox, k, 0);
    inbox.ptr[HEADER] = 2;
    const struct ccz_span boxes = {inbox.ptr, HEADER + 4 + 2 * (4 + CCZI_SA_BOX)};
    client_refuses(k, 0, boxes, CCZ_E_DENIED, "secagg:few");
    kit_free(k);
}

/* Messages of another round, of another session, or for other parameters. */
static void test_replayed(void)
{
    struct kit *old = begin(5, true, CCZ_SECAGG_SHARES);
    struct kit *k = kit_new(5, 0, 3, true, 5);
    k->cfg = old->cfg;
    k->cfg.round++;
    kit_begin(k);
    CCZ_AUTO_BUF msg;
    CCZ_AUTO_BUF fresh;
    ccz_buf_init(&fresh, 4096);
    served(&msg, old, 0);
    CHECK(ccz_secagg_client_step(&fresh, k->client[0], CCZ_SPAN(NULL, 0), NULL) == CCZ_OK);
    client_refuses(k, 0, ccz_buf_span(&msg), CCZ_E_MISMATCH, "secagg:round");
    fresh.ptr[8]--; /* the client's keys of the next round, sent again in the old one's */
    kit_refused(k, ccz_secagg_server_input(k->server, 0, ccz_buf_span(&fresh), &k->err),
                CCZ_E_MISMATCH, "secagg:round");
    fresh.ptr[8]++;
    CHECK(ccz_secagg_server_input(k->server, 0, ccz_buf_span(&fresh), &k->err) == CCZ_OK);
    kit_free(k);
    for (int what = 0; what < 5; what++) {
        k = kit_new(5, 0, 3, true, 5);
        k->cfg = old->cfg;
        k->cfg.session[31] ^= what == 0;
        k->cfg.threshold += what == 1;
        k->cfg.quorum += what == 2;
        k->cfg.len += what == 3;
        k->cfg.degree = what == 4 ? 4 : 0;
        kit_begin(k);
        CCZ_AUTO_BUF keys;
        ccz_buf_init(&keys, 4096);
        CHECK(ccz_secagg_client_step(&keys, k->client[0], CCZ_SPAN(NULL, 0), NULL) == CCZ_OK);
        client_refuses(k, 0, ccz_buf_span(&msg), CCZ_E_MISMATCH, "secagg:session");
        kit_free(k);
    }
    kit_free(old);
}

static void test_sealed(void)
{
    for (int what = 0; what < 4; what++) {
        struct kit *k = begin(5, true, CCZ_SECAGG_INPUT);
        CCZ_AUTO_BUF msg;
        CCZ_AUTO_BUF other;
        served(&msg, k, 0);
        served(&other, k, 1);
        uint8_t *box = msg.ptr + HEADER + 4 + 4;
        const size_t entry = 4 + CCZI_SA_BOX;
        if (what == 0) /* a bit of a share */
            box[5] ^= 1;
        else if (what == 1) /* a bit of the tag */
            box[CCZI_SA_BOX - 1] ^= 0x80;
        else if (what == 2) /* another dealer's */
            memcpy(box, box + entry, CCZI_SA_BOX);
        else /* the right dealer's, for another client: member 2 is the second in both */
            memcpy(box + entry, other.ptr + HEADER + 4 + entry + 4, CCZI_SA_BOX);
        client_refuses(k, 0, ccz_buf_span(&msg), CCZ_E_SIG, "secagg:share-tag");
        kit_free(k);
    }
}

static void test_sealed_for(void)
{
    struct kit *k = begin(6, true, CCZ_SECAGG_SHARES);
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 1 << 16);
    CHECK(kit_answer(k, &out, 2) == CCZ_OK);
    const size_t entry = 4 + CCZI_SA_COMMITS + CCZI_SA_BOX;
    CCZ_AUTO_BUF bad;
    ccz_buf_init(&bad, 1 << 16);
    ccz_buf_put_span(&bad, ccz_buf_span(&out));
    bad.ptr[HEADER + CCZI_SA_DIGEST] = 4; /* one less than there are neighbours */
    server_refuses(k, 2, CCZ_SPAN(bad.ptr, bad.size - entry), CCZ_E_PEER, "secagg:sets");
    memcpy(bad.ptr, out.ptr, out.size);
    bad.ptr[HEADER + CCZI_SA_DIGEST + 4 + entry] = 2; /* 0 1 3 4 5 -> 0 2 3 4 5: for itself */
    server_refuses(k, 2, ccz_buf_span(&bad), CCZ_E_PEER, "secagg:sets");
    CHECK(ccz_secagg_server_input(k->server, 2, ccz_buf_span(&out), &k->err) == CCZ_OK);
    kit_free(k);
}

/* Shares of a member that is no neighbour on a sparse graph. */
static void test_stranger(void)
{
    struct kit *k = kit_new(12, 4, 3, true, 2);
    kit_begin(k);
    CHECK(kit_until(k, CCZ_SECAGG_INPUT));
    CCZ_AUTO_BUF msg;
    served(&msg, k, 5);
    const size_t entry = 4 + CCZI_SA_BOX;
    bool neighbour[12] = {[5] = true};
    for (size_t i = 0; i < 4; i++)
        neighbour[msg.ptr[HEADER + 4 + i * entry]] = true;
    uint8_t stranger = 0, at = 0;
    while (neighbour[stranger])
        stranger++;
    while (at < 3 && msg.ptr[HEADER + 4 + (size_t)(at + 1) * entry] < stranger)
        at++; /* the order of the list stays */
    msg.ptr[HEADER + 4 + at * entry] = stranger;
    client_refuses(k, 5, ccz_buf_span(&msg), CCZ_E_DENIED, "secagg:sets");
    kit_free(k);
}

static void test_mask_order(void)
{
    struct kit *k = begin(4, true, CCZ_SECAGG_INPUT);
    uint32_t y[KIT_LEN + 1] = {0};
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 4096);
    struct ccz_secagg_client *c = k->client[1];
    kit_refused(k, ccz_secagg_client_mask(y, c, 0, 1, &k->err), CCZ_E_DENIED, "secagg:phase");
    CHECK(kit_answer(k, &out, 1) == CCZ_OK);
    kit_refused(k, ccz_secagg_client_mask(y, c, 1, 1, &k->err), CCZ_E_DENIED, "secagg:mask-order");
    kit_refused(k, ccz_secagg_client_mask(y, c, 0, KIT_LEN + 1, &k->err), CCZ_E_DENIED,
                "secagg:mask-order");
    CHECK(ccz_secagg_client_mask(y, c, 0, 10, &k->err) == CCZ_OK);
    /* once more with another vector would show the difference of the two */
    kit_refused(k, ccz_secagg_client_mask(y, c, 0, 10, &k->err), CCZ_E_DENIED, "secagg:mask-order");
    kit_refused(k, ccz_secagg_client_mask(y, c, 5, 10, &k->err), CCZ_E_DENIED, "secagg:mask-order");
    kit_refused(k, ccz_secagg_client_mask(y, c, UINT64_MAX, 2, &k->err), CCZ_E_DENIED,
                "secagg:mask-order");
    CHECK(ccz_secagg_client_mask(y, c, 10, KIT_LEN - 10, &k->err) == CCZ_OK);
    kit_refused(k, ccz_secagg_client_mask(y, c, KIT_LEN, 1, &k->err), CCZ_E_DENIED,
                "secagg:mask-order");
    kit_free(k);
}

/* The request to reveal, changed by the server. Bitmaps of 8 members are one byte each. */
static void reveal(bool attested, uint8_t set_in, uint8_t clear_in, uint8_t set_gone,
                   uint8_t clear_gone, ccz_rc want, const char *where)
{
    struct kit *k = kit_new(8, 0, 0, attested, 1);
    k->leaves[3] = CCZ_SECAGG_INPUT;
    k->leaves[6] = CCZ_SECAGG_SHARES;
    k->cfg.quorum = 5;
    k->cfg.threshold = attested ? 4 : 5;
    kit_begin(k);
    CHECK(kit_until(k, CCZ_SECAGG_REVEAL));
    CCZ_AUTO_BUF msg;
    served(&msg, k, 0);
    uint8_t *in = msg.ptr + HEADER, *gone = in + 1;
    CHECK(*in == 0xb7 && *gone == 0x08);
    *in = (uint8_t)((*in | set_in) & ~clear_in);
    *gone = (uint8_t)((*gone | set_gone) & ~clear_gone);
    client_refuses(k, 0, ccz_buf_span(&msg), want, where);
    kit_free(k);
}

static void test_sets(void)
{
    for (int attested = 0; attested < 2; attested++) {
        /* both secrets of client 2, of client 3: the vector would lie open */
        reveal(attested, 0, 0, 0x04, 0, CCZ_E_DENIED, "secagg:both-shares");
        reveal(attested, 0x08, 0, 0, 0, CCZ_E_DENIED, "secagg:both-shares");
        /* its own: neighbours would open the masks of somebody who has delivered */
        reveal(attested, 0, 0x01, 0x01, 0, CCZ_E_DENIED, "secagg:self-dropped");
        reveal(attested, 0, 0x01, 0, 0, CCZ_E_DENIED, "secagg:self-dropped");
        /* member 6 never sent shares, member 3 did */
        reveal(attested, 0x40, 0, 0, 0, CCZ_E_DENIED, "secagg:sets");
        reveal(attested, 0, 0, 0x40, 0, CCZ_E_DENIED, "secagg:sets");
        reveal(attested, 0, 0, 0, 0x08, CCZ_E_DENIED, "secagg:sets");
        reveal(attested, 0, 0x02, 0, 0, CCZ_E_DENIED, "secagg:sets");
        /* a sum of too few */
        reveal(attested, 0, 0x16, 0x16, 0, CCZ_E_DENIED, "secagg:few");
    }
    /* a consistent lie: with a roster, it is not what was signed */
    reveal(false, 0x08, 0, 0, 0x08, CCZ_E_DENIED, "secagg:mixed-sets");
    reveal(false, 0, 0x02, 0x02, 0, CCZ_E_DENIED, "secagg:mixed-sets");
}

/* A second request, whatever its sets: a client opens shares once. */
static void test_reveal_twice(void)
{
    struct kit *k = kit_new(8, 0, 4, true, 1);
    k->cfg.quorum = 3;
    k->leaves[3] = CCZ_SECAGG_INPUT;
    kit_begin(k);
    CHECK(kit_until(k, CCZ_SECAGG_REVEAL));
    CCZ_AUTO_BUF msg;
    CCZ_AUTO_BUF out;
    served(&msg, k, 0);
    ccz_buf_init(&out, 4096);
    CHECK(ccz_secagg_client_step(&out, k->client[0], ccz_buf_span(&msg), NULL) == CCZ_OK);
    CHECK(out.size == HEADER + 4 + 7 * (4 + 1 + CCZI_SA_SHARE));
    msg.ptr[HEADER] &= (uint8_t)~0x04; /* now the other secret of member 2 */
    msg.ptr[HEADER + 1] |= 0x04;
    client_refuses(k, 0, ccz_buf_span(&msg), CCZ_E_DENIED, "secagg:phase");
    kit_free(k);
}

/* Different sets to different clients: no set gets enough signatures. */
static void different_sets(bool as_signed)
{
    struct kit *k = kit_new(8, 0, 6, false, 1);
    k->cfg.quorum = 3;
    kit_begin(k);
    CHECK(kit_until(k, CCZ_SECAGG_AGREE));
    CCZ_AUTO_BUF msg;
    CCZ_AUTO_BUF out;
    served(&msg, k, 0);
    ccz_buf_init(&out, 4096);
    CHECK(msg.ptr[HEADER] == 0xff);
    msg.ptr[HEADER] = 0x7f; /* to client 0: member 7 has vanished */
    CHECK(ccz_secagg_client_step(&out, k->client[0], ccz_buf_span(&msg), &k->err) == CCZ_OK);
    /* its signature does not serve for the true set: the server has to leave it out */
    server_refuses(k, 0, ccz_buf_span(&out), CCZ_E_SIG, "secagg:signature");
    k->leaves[0] = CCZ_SECAGG_AGREE;
    CHECK(kit_until(k, CCZ_SECAGG_REVEAL));
    CCZ_AUTO_BUF unmask;
    served(&unmask, k, 0);
    if (as_signed) { /* the set that it has signed, with the signatures of the others */
        unmask.ptr[HEADER] = 0x7f;
        unmask.ptr[HEADER + 1] = 0x80;
    }
    client_refuses(k, 0, ccz_buf_span(&unmask), as_signed ? CCZ_E_SIG : CCZ_E_DENIED,
                   as_signed ? "secagg:agreement" : "secagg:mixed-sets");
    kit_free(k);
}

static void test_agreement(void)
{
    different_sets(false);
    different_sets(true);
}

static void agreement_refused(void (*change)(uint8_t *unmask, size_t *size), const char *where)
{
    struct kit *k = kit_new(8, 0, 6, false, 1);
    k->cfg.quorum = 3;
    kit_begin(k);
    CHECK(kit_until(k, CCZ_SECAGG_REVEAL));
    CCZ_AUTO_BUF msg;
    served(&msg, k, 0);
    CHECK(msg.size == HEADER + 2 + 4 + 6 * (4 + CCZI_SA_SIG) && msg.ptr[HEADER + 2] == 6);
    change(msg.ptr + HEADER + 2, &msg.size);
    client_refuses(k, 0, ccz_buf_span(&msg), CCZ_E_SIG, where);
    kit_free(k);
}

static void one_less(uint8_t *list, size_t *size)
{
    list[0] = 5;
    *size -= 4 + CCZI_SA_SIG;
}

static void one_wrong(uint8_t *list, size_t *size)
{
    (void)size;
    list[4 + 4 + 10] ^= 1;
}

static void one_for_another(uint8_t *list, size_t *size) /* member 5's signature as member 7's */
{
    (void)size;
    list[4 + 5 * (4 + CCZI_SA_SIG)] = 7;
}

static void test_signatures(void)
{
    agreement_refused(one_less, "secagg:agreement");
    agreement_refused(one_wrong, "secagg:agreement");
    agreement_refused(one_for_another, "secagg:agreement");
}

/* A client that lies about who delivered, towards an honest server's set with too few in it. */
static void test_delivered(void)
{
    const struct {
        uint8_t set, clear;
        const char *where;
    } bad[] = {{0, 0x01, "secagg:self-dropped"}, {0x40, 0, "secagg:sets"}, {0, 0x36, "secagg:few"}};
    for (size_t i = 0; i < 3; i++) {
        struct kit *k = kit_new(8, 0, 5, false, 1);
        k->leaves[6] = CCZ_SECAGG_SHARES;
        k->cfg.quorum = 5;
        kit_begin(k);
        CHECK(kit_until(k, CCZ_SECAGG_AGREE));
        CCZ_AUTO_BUF msg;
        served(&msg, k, 0);
        CHECK(msg.ptr[HEADER] == 0xbf);
        msg.ptr[HEADER] = (uint8_t)((msg.ptr[HEADER] | bad[i].set) & ~bad[i].clear);
        client_refuses(k, 0, ccz_buf_span(&msg), CCZ_E_DENIED, bad[i].where);
        kit_free(k);
    }
}

/* The vector is not out yet, but the server says that it has it. */
static void test_early(void)
{
    struct kit *k = begin(5, true, CCZ_SECAGG_INPUT);
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 4096);
    CHECK(kit_answer(k, &out, 0) == CCZ_OK);
    for (uint32_t i = 1; i < 5; i++) {
        CHECK(kit_answer(k, &out, i) == CCZ_OK);
        kit_deliver(k, i);
    }
    CHECK(ccz_secagg_server_uploaded(k->server, 0, NULL) == CCZ_OK); /* a lie */
    kit_refused(k, ccz_secagg_server_uploaded(k->server, 0, &k->err), CCZ_E_DENIED, "secagg:phase");
    CHECK(ccz_secagg_server_next(k->server, NULL) == CCZ_OK);
    kit_refused(k, ccz_secagg_server_uploaded(k->server, 0, &k->err), CCZ_E_DENIED, "secagg:phase");
    CCZ_AUTO_BUF msg;
    served(&msg, k, 0);
    client_refuses(k, 0, ccz_buf_span(&msg), CCZ_E_DENIED, "secagg:phase");
    kit_free(k);
}

/* Wrong shares are not used; as long as there are enough others, the sum is exact. */
static void wrong_shares(uint32_t liars)
{
    struct kit *k = kit_new(7, 0, 4, true, 1);
    k->leaves[6] = CCZ_SECAGG_INPUT;
    k->cfg.quorum = 3;
    kit_begin(k);
    CHECK(kit_until(k, CCZ_SECAGG_REVEAL));
    for (uint32_t i = 0; i < 6; i++) {
        CCZ_AUTO_BUF out;
        ccz_buf_init(&out, 4096);
        CHECK(kit_answer(k, &out, i) == CCZ_OK);
        size_t last = HEADER + 4 + 5 * (4 + 1 + CCZI_SA_SHARE); /* of member 6, who vanished */
        CHECK(out.ptr[last] == 6);
        if (i < liars)
            out.ptr[last + 4 + 1 + 7] ^= 1;
        CHECK(ccz_secagg_server_input(k->server, i, ccz_buf_span(&out), &k->err) == CCZ_OK);
    }
    k->rc = ccz_secagg_server_next(k->server, &k->err);
    struct ccz_secagg_stats st;
    ccz_secagg_server_stats(&st, k->server);
    CHECK(st.wrong_shares == liars);
    if (liars <= 2) {
        CHECK(k->rc == CCZ_OK);
        kit_check_sum(k);
    } else {
        kit_refused(k, k->rc, CCZ_E_PEER, "secagg:shares");
        CHECK(k->err.aux == 6);
    }
    kit_free(k);
}

static void test_wrong_share(void)
{
    wrong_shares(0);
    wrong_shares(2);
    wrong_shares(3);
}

/* Others than asked for: of the wrong kind, too few, of somebody else. */
static void test_revealed(void)
{
    for (int what = 0; what < 4; what++) {
        struct kit *k = kit_new(7, 0, 4, true, 1);
        k->leaves[6] = CCZ_SECAGG_INPUT;
        k->leaves[5] = CCZ_SECAGG_SHARES;
        k->cfg.quorum = 3;
        kit_begin(k);
        CHECK(kit_until(k, CCZ_SECAGG_REVEAL));
        const size_t entry = 4 + 1 + CCZI_SA_SHARE;
        CCZ_AUTO_BUF out;
        ccz_buf_init(&out, 4096);
        CHECK(kit_answer(k, &out, 0) == CCZ_OK);
        CHECK(out.size == HEADER + 4 + 5 * entry);
        if (what == 0)
            out.ptr[HEADER + 4 + 4] ^= 1;
        else if (what == 1)
            out.ptr[HEADER + 4 + 4 * entry + 4] ^= 1;
        else if (what == 2)
            out.ptr[HEADER + 4 + 4 * entry] = 5;
        else {
            out.ptr[HEADER] = 4;
            out.size -= entry;
        }
        server_refuses(k, 0, ccz_buf_span(&out), CCZ_E_PEER, "secagg:sets");
        kit_free(k);
    }
}

/* A dealer whose shares fit together, but not with what it has shown: its own fault, and by name. */
static void test_wrong_secret(void)
{
    /* a self seed */
    struct kit *k = kit_new(6, 0, 4, true, 1);
    k->cfg.quorum = 3;
    kit_begin(k);
    CHECK(kit_until(k, CCZ_SECAGG_SHARES));
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 4096);
    CHECK(kit_answer(k, &out, 2) == CCZ_OK);
    out.ptr[HEADER] ^= 1; /* commitment to the seed */
    CHECK(ccz_secagg_server_input(k->server, 2, ccz_buf_span(&out), &k->err) == CCZ_OK);
    CHECK(!kit_until(k, CCZ_SECAGG_UNMASK));
    kit_refused(k, k->rc, CCZ_E_PEER, "secagg:secret");
    CHECK(k->err.aux == 2);
    kit_free(k);
    /* a mask key: another public half than that of what it shares out; found when it vanishes */
    k = kit_new(6, 0, 4, true, 1);
    k->cfg.quorum = 3;
    k->leaves[2] = CCZ_SECAGG_INPUT;
    kit_begin(k);
    CCZ_AUTO_BUF keys;
    ccz_buf_init(&keys, 4096);
    CHECK(kit_answer(k, &keys, 2) == CCZ_OK);
    uint8_t priv[CCZI_SA_KEY] = {7};
    CHECK(ccz_x25519_public(keys.ptr + HEADER, priv) == CCZ_OK);
    CHECK(ccz_secagg_server_input(k->server, 2, ccz_buf_span(&keys), &k->err) == CCZ_OK);
    CHECK(!kit_until(k, CCZ_SECAGG_UNMASK));
    kit_refused(k, k->rc, CCZ_E_PEER, "secagg:secret");
    CHECK(k->err.aux == 2);
    kit_free(k);
}

/* Messages out of turn, cut at every byte, with one byte more, with every byte of the header changed. */
static void test_malformed(void)
{
    for (enum ccz_secagg_phase phase = 0; phase <= CCZ_SECAGG_REVEAL; phase++) {
        struct kit *k = begin(4, false, phase);
        if (phase == CCZ_SECAGG_INPUT) { /* what the clients get only */
            kit_free(k);
            continue;
        }
        CCZ_AUTO_BUF out;
        ccz_buf_init(&out, 1 << 16);
        CHECK(kit_answer(k, &out, 1) == CCZ_OK);
        for (size_t cut = 0; cut < out.size; cut++) {
            CCZ_AUTO_BUF part; /* of its own, so that sanitizers see reads behind the end */
            ccz_buf_init(&part, 1 << 16);
            ccz_buf_put(&part, out.ptr, cut);
            server_refuses(k, 1, ccz_buf_span(&part), CCZ_E_FORMAT, "secagg:message");
        }
        for (size_t i = 0; i < HEADER; i++) {
            out.ptr[i] ^= 0x40;
            ccz_rc rc = ccz_secagg_server_input(k->server, 1, ccz_buf_span(&out), &k->err);
            CHECK(rc == (i < 8 ? CCZ_E_FORMAT : CCZ_E_MISMATCH));
            out.ptr[i] ^= 0x40;
        }
        ccz_buf_u8(&out, 0);
        server_refuses(k, 1, ccz_buf_span(&out), CCZ_E_FORMAT, "secagg:message");
        out.size--;
        uint8_t kind = out.ptr[5];
        for (uint8_t other = 0; other < 12; other++) { /* also kinds that there are not */
            out.ptr[5] = other;
            ccz_rc rc = other == kind
                            ? CCZ_E_FORMAT
                            : ccz_secagg_server_input(k->server, 1, ccz_buf_span(&out), &k->err);
            CHECK(rc == CCZ_E_FORMAT || rc == CCZ_E_DENIED);
        }
        out.ptr[5] = kind;
        CHECK(ccz_secagg_server_input(k->server, 1, ccz_buf_span(&out), &k->err) == CCZ_OK);
        kit_free(k);
    }
}

/* The same for what clients get: of every cut, one client. */
static void test_malformed_client(void)
{
    for (enum ccz_secagg_phase phase = CCZ_SECAGG_SHARES; phase <= CCZ_SECAGG_REVEAL; phase++)
        for (size_t cut = 0;; cut = cut < HEADER + 8 ? cut + 1 : cut + 61) {
            struct kit *k = begin(4, phase != CCZ_SECAGG_AGREE, phase);
            CCZ_AUTO_BUF msg;
            served(&msg, k, 0);
            bool end = cut >= msg.size;
            if (!end)
                client_refuses(k, 0, CCZ_SPAN(msg.ptr, cut), CCZ_E_FORMAT, "secagg:message");
            kit_free(k);
            if (end)
                break;
        }
}

/* Entries must be sorted, of members that exist; bitmaps hold nobody else. */
static void test_entries(void)
{
    struct kit *k = begin(5, true, CCZ_SECAGG_SHARES);
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 1 << 16);
    CHECK(kit_answer(k, &out, 0) == CCZ_OK);
    uint8_t *first = out.ptr + HEADER + CCZI_SA_DIGEST + 4;
    const uint8_t bad[] = {2, 3, 5, 200};
    for (size_t i = 0; i < 4; i++) {
        *first = bad[i]; /* was 1; 2 comes twice */
        server_refuses(k, 0, ccz_buf_span(&out), CCZ_E_FORMAT, "secagg:message");
    }
    *first = 1;
    out.ptr[HEADER + CCZI_SA_DIGEST + 3] = 0xff; /* a number that is no size */
    server_refuses(k, 0, ccz_buf_span(&out), CCZ_E_FORMAT, "secagg:message");
    kit_free(k);
    k = begin(5, true, CCZ_SECAGG_REVEAL);
    CCZ_AUTO_BUF msg;
    served(&msg, k, 0);
    msg.ptr[HEADER] |= 0x20; /* member 5 of 0 .. 4 */
    client_refuses(k, 0, ccz_buf_span(&msg), CCZ_E_FORMAT, "secagg:message");
    kit_free(k);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"secagg.server_keys", test_server_keys},
        {"secagg.key_repeated_signed", test_key_repeated_signed},
        {"secagg.client_keys", test_client_keys},
        {"secagg.few_neighbours", test_few_neighbours},
        {"secagg.replayed", test_replayed},
        {"secagg.sealed", test_sealed},
        {"secagg.sealed_for", test_sealed_for},
        {"secagg.stranger", test_stranger},
        {"secagg.mask_order", test_mask_order},
        {"secagg.sets", test_sets},
        {"secagg.reveal_twice", test_reveal_twice},
        {"secagg.agreement", test_agreement},
        {"secagg.signatures", test_signatures},
        {"secagg.delivered", test_delivered},
        {"secagg.early", test_early},
        {"secagg.wrong_share", test_wrong_share},
        {"secagg.revealed", test_revealed},
        {"secagg.wrong_secret", test_wrong_secret},
        {"secagg.malformed", test_malformed},
        {"secagg.malformed_client", test_malformed_client},
        {"secagg.entries", test_entries},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
