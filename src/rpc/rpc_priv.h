/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_RPC_PRIV_H
#define CCZI_RPC_PRIV_H
/* Texts, metadata and message framing of gRPC: pure functions shared by client and server. */
#include <cczoo/rpc.h>

/* ------------------------------------------------------------------------ status.c: texts */

/* A message holds the longest text of TensorFlow Serving: 1,024 bytes and "...TRUNCATED". */
enum { CCZI_TIMEOUT_TEXT_SIZE = 12, CCZI_MESSAGE_SIZE = 1040 };
/* "TimeoutValue TimeoutUnit", at most 8 digits; rounded up, never to 0. */
void cczi_timeout_format(char out[CCZI_TIMEOUT_TEXT_SIZE], int64_t timeout_ms);
/* The inverse, rounded up to milliseconds. */
CCZ_MUST_USE bool cczi_timeout_parse(int64_t *timeout_ms, struct ccz_span text);
/* Percent-encoding of grpc-message: space..~ without '%' stand for themselves. */
void cczi_percent_put(struct ccz_buf *out, struct ccz_span text);
/* Decodes into a terminated, escaped text, cut to @p out_size. Malformed escapes stay as they are.
 */
void cczi_percent_get(char *out, size_t out_size, struct ccz_span text);
/* The same without escapes and cut; @p out is terminated (ccz_buf_str()). */
void cczi_percent_raw(struct ccz_buf *out, struct ccz_span text);
/* grpc-status as sent; CCZ_RPC_UNKNOWN if it is no known code. */
enum ccz_rpc_code cczi_code_parse(struct ccz_span text);
enum ccz_rpc_code
cczi_code_of_http(unsigned status); /* responses of something that is no gRPC server */
enum ccz_rpc_code cczi_code_of_reset(uint32_t h2_code); /* RST_STREAM before any status */

/* -------------------------------------------------------------------------- md.c: metadata */

enum { CCZI_MD_SIZE_MAX = 65536, CCZI_MD_LEN_MAX = 64 };
/* Fields in order of arrival, packed: le32 key size, le32 value size, key, NUL, value, NUL. */
struct cczi_md {
    struct ccz_buf raw;
    size_t len;
};
struct cczi_md_field {
    const char *key; /* terminated */
    size_t key_size;
    struct ccz_span value; /* raw bytes, also for "-bin" keys; a NUL follows */
};
void cczi_md_init(struct cczi_md *md);
void cczi_md_free(struct cczi_md *md);
/* @return false if a limit is met or memory is out; nothing is added then */
CCZ_MUST_USE bool cczi_md_add(struct cczi_md *md, struct ccz_span key, struct ccz_span value);
/* As cczi_md_add() with a value as it stands on the wire: "-bin" values are base64 lists. */
CCZ_MUST_USE ccz_rc cczi_md_add_wire(struct cczi_md *md, struct ccz_span key,
                                     struct ccz_span value);
/* First value of @p key; ptr NULL if absent. */
struct ccz_span cczi_md_get(const struct cczi_md *md, const char *key);
/* `struct ccz_rd r = ccz_rd_from(ccz_buf_span(&md->raw)); while (cczi_md_next(&f, &r)) ...` */
CCZ_MUST_USE bool cczi_md_next(struct cczi_md_field *f, struct ccz_rd *r);
/* received.c: the next field that is metadata to applications, from offset *at on, before @p end. */
CCZ_MUST_USE bool cczi_md_walk(struct ccz_rpc_md *out, size_t *at, const struct cczi_md *md,
                               size_t end);
bool cczi_md_is_bin(struct ccz_span key);
/* What an application may send: [0-9a-z_.-]+ outside the reserved names, printable ASCII unless
 * "-bin". */
CCZ_MUST_USE bool cczi_md_allowed(struct ccz_span key, struct ccz_span value);

/* -------------------------------------------------------------------- gzip.c: compression of messages */

enum cczi_encoding { CCZI_IDENTITY = 0, CCZI_GZIP, CCZI_DEFLATE, CCZI_ENCODING_UNKNOWN };
#define CCZI_ACCEPT_ENCODING "identity,deflate,gzip"
enum cczi_encoding cczi_encoding_of(struct ccz_span name);
/* @p list is a value of grpc-accept-encoding. */
bool cczi_encoding_listed(struct ccz_span list, enum cczi_encoding encoding);

/* ------------------------------------------------- stock.c: large blocks of memory, used again */

/* To get a large block from the kernel and give it back for each message costs more than encrypting it. What a server or
 * client let go of is kept for the next message, until it was not needed for a while. Counted: blocks and framers outlive the
 * owner. Any thread. */
struct cczi_stock;
enum { CCZI_STOCK_BLOCK = 65536, /* smaller ones are malloc()'s */ CCZI_STOCK_SIZE_MAX = 16 << 20 };
struct cczi_stock *cczi_stock_new(void); /* NULL = no memory */
/* Blocks are overwritten when they are given back, and messages made with this stock when they are freed. Before the first block. */
void cczi_stock_set_wipe(struct cczi_stock *s);
bool cczi_stock_wipes(const struct cczi_stock *s);
struct cczi_stock *cczi_stock_ref(struct cczi_stock *s);
void cczi_stock_unref(struct cczi_stock *s); /* NULL is fine */
/* At least @p size bytes; NULL = no memory. */
void *cczi_stock_take(size_t *cap, struct cczi_stock *s, size_t size);
/* One for each that was taken; it may be other memory of malloc() that was got in exchange, or NULL. */
void cczi_stock_give(struct cczi_stock *s, void *p, size_t cap);
/* Frees what nobody took since the last trim. @return true if nothing is kept */
bool cczi_stock_trim(struct cczi_stock *s);
size_t cczi_stock_held(struct cczi_stock *s); /* bytes that are kept */

/* ---------------------------------------------------------- frame.c: length-prefixed messages */

enum { CCZI_PREFIX_SIZE = 5 };
enum cczi_frame {
    CCZI_FRAME_MORE, /* the chunk is used up, the message is not complete */
    CCZI_FRAME_MESSAGE,
    CCZI_FRAME_TOO_LARGE,  /* announced size above size_max, or what comes out of it */
    CCZI_FRAME_COMPRESSED, /* flag set although the encoding is identity */
    CCZI_FRAME_BAD_COMPRESSION,
    CCZI_FRAME_BAD_FLAG,
    CCZI_FRAME_NOMEM
};
struct cczi_framer {
    uint8_t prefix[CCZI_PREFIX_SIZE];
    uint8_t prefix_size;
    bool
        keep; /* messages stay in `body` or `plain` until the next one begins, instead of borrowing from
                  chunks */
    bool compressed; /* the message that is read, or was given out last */
    enum cczi_encoding encoding;
    size_t want;
    size_t size_max;
    struct cczi_stock *stock; /* for large bodies, with a reference; NULL = none */
    bool stocked;             /* body's memory is a block of it */
    struct ccz_buf body;      /* as received */
    struct ccz_buf plain;     /* decompressed */
};
void cczi_framer_init(struct cczi_framer *f, size_t size_max);
/* Once: with this stock, of which it holds a reference, for large messages; wipes what it holds if that does. */
void cczi_framer_set_stock(struct cczi_framer *f, struct cczi_stock *stock);
void cczi_framer_free(struct cczi_framer *f);
/* Takes bytes from the front of @p chunk. @p msg is valid until the next call. */
CCZ_MUST_USE enum cczi_frame cczi_framer_next(struct ccz_span *msg, struct cczi_framer *f,
                                              struct ccz_span *chunk);
/* True if the stream may end here: not inside a message. */
bool cczi_framer_idle(const struct cczi_framer *f);
size_t cczi_framer_held(const struct cczi_framer *f); /* bytes */
/* The memory of @p msg, given out last, to be kept and given to the stock later. @return NULL if it is not a block of its own */
void *cczi_framer_steal(size_t *cap, struct cczi_framer *f, struct ccz_span msg);
/* Gives back the memory of the last message. */
void cczi_framer_release(struct cczi_framer *f);
/* gzip.c. @param[out] out  cleared first; if it wipes, so does zlib @retval CCZI_FRAME_MESSAGE, or why not */
CCZ_MUST_USE enum cczi_frame cczi_decompress(struct ccz_buf *out, struct ccz_span in,
                                             enum cczi_encoding encoding, size_t size_max);

/* A framed message on its way out. In one queue at a time; whoever wants to send it again holds a reference. */
struct cczi_out {
    struct cczi_out *next;
    size_t size, sent; /* of bytes[] */
    unsigned refs;
    bool wipe;                /* bytes[], with the last reference */
    struct cczi_stock *stock; /* this is a block of it; or NULL */
    size_t cap;               /* of the block */
    const uint8_t *lent;      /* the message, if it is elsewhere; NULL = it is in bytes[] */
    size_t head_size;         /* then: of bytes[] */
    void *owned;              /* lent memory that goes with the last reference; or NULL */
    uint8_t bytes[];          /* prefix, message, or its beginning */
};
/* One reference; NULL = no memory. @p stock may be NULL. */
struct cczi_out *cczi_out_new(struct ccz_span msg, struct cczi_stock *stock);
/* The same with a message of @p size bytes that the caller writes to @p *room before anybody else sees it. */
struct cczi_out *cczi_out_room(uint8_t **room, size_t size, struct cczi_stock *stock);
/* The same without a copy, if it is large: the bytes stay where they are until the last reference is given up. */
struct cczi_out *cczi_out_lent(struct ccz_span msg, struct cczi_stock *stock);
/* The same of @p head and behind it @p body, whose memory is taken over (it is empty then) unless the result is NULL. */
struct cczi_out *cczi_out_own(struct ccz_span head, struct ccz_buf *body);
/* What is there in one piece from byte @p at on. */
struct ccz_span cczi_out_piece(const struct cczi_out *o, size_t at);
/* gzip.c: the same, compressed; NULL = not smaller, or no memory */
struct cczi_out *cczi_out_gzip(struct ccz_span msg);
void cczi_out_prefix(struct cczi_out *o, uint8_t flag, size_t size);
void cczi_out_free(struct cczi_out *list); /* gives up one reference of each */
#endif
