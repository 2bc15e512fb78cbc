/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_BASE_H
#define CCZ_BASE_H
/**
 * @file base.h
 * Errors, byte views, bounded buffers, cursors, secrets, constant time, log sink, small file I/O.
 * Reading order of the sources: err.c, rd.c, buf.c, secret.c, text.c, file.c, log.c.
 *
 * Conventions of every cczoo header:
 *  - `size` counts bytes, `len` counts elements; times carry their unit (`now_s`, `timeout_ms`).
 *  - outputs come first, then inputs, then options, then `struct ccz_err *err` (may be NULL).
 *  - on any rc other than CCZ_OK every output is zeroed or untouched, never half written.
 *  - a zeroed configuration is the strict one; a zeroed verdict means reject.
 *  - nothing here keeps global state except the log sink, so everything is thread-safe as long as
 *    two threads do not share one object.
 */
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CCZ_API       __attribute__((visibility("default")))
#define CCZ_MUST_USE  __attribute__((warn_unused_result))
#define CCZ_FMT(f, a) __attribute__((format(printf, f, a)))

/** X(name, value, text): the only place an error is declared. Tens group what callers switch on. */
#define CCZ_RC_MAP(X)                                                                              \
    X(OK, 0, "success")                                                                            \
    X(E_ARG, -1, "the caller broke the contract")                                                  \
    X(E_NOMEM, -2, "out of memory")                                                                \
    X(E_IO, -3, "an I/O operation failed")                                                         \
    X(E_INTERNAL, -4, "an internal invariant does not hold")                                       \
    X(E_FORMAT, -10, "the input is malformed")                                                     \
    X(E_LIMIT, -11, "the input exceeds a named limit")                                             \
    X(E_UNSUPPORTED, -12, "the input is well formed but of a kind not supported")                  \
    X(E_SIG, -20, "a signature, tag or binding does not verify")                                   \
    X(E_EXPIRED, -21, "evidence or collateral is outside its validity period")                     \
    X(E_POLICY, -22, "the evidence is genuine but the policy rejects it")                          \
    X(E_REVOKED, -23, "a certificate or TCB level is revoked")                                     \
    X(E_UNTRUSTED, -24, "a chain does not end in a trusted root")                                  \
    X(E_MISMATCH, -25, "evidence and collateral do not belong together")                           \
    X(E_NOT_FOUND, -30, "no such object")                                                          \
    X(E_EXISTS, -31, "the object exists already")                                                  \
    X(E_DENIED, -32, "the caller is not allowed to do this")                                       \
    X(E_TIMEOUT, -40, "the deadline passed")                                                       \
    X(E_CLOSED, -41, "the peer closed the connection or the call was cancelled")                   \
    X(E_UNAVAILABLE, -42, "a needed service, device or library is not available")                  \
    X(E_PEER, -43, "the peer reported an error or broke the protocol")

typedef enum ccz_rc {
#define X(name, value, text) CCZ_##name = (value),
    CCZ_RC_MAP(X)
#undef X
} ccz_rc;

/** Static text of @p rc, never NULL. */
CCZ_API const char *ccz_rc_str(ccz_rc rc);
/** Symbolic name of @p rc ("CCZ_E_SIG"), never NULL. */
CCZ_API const char *ccz_rc_name(ccz_rc rc);

/* ------------------------------------------------------------------------------------ errors */

#define CCZ_ERR_WHERE_SIZE 48
#define CCZ_ERR_MSG_SIZE   192
#define CCZ_ERR_HINT_SIZE  192
#define CCZ_ERR_VALUE_SIZE 136 /* fits two SHA-512 halves or one 64-byte value in hex */

/**
 * Where and why a call failed. Caller-owned, never allocates; pass NULL to ignore.
 * A refusal fills `got` and `expected`, so that a caller can print
 * `refused: <where>: <got> / <expected>` without parsing text.
 */
struct ccz_err {
    ccz_rc rc;
    char where[CCZ_ERR_WHERE_SIZE];    /**< "module:step", e.g. "quote:pck-chain" */
    int64_t aux;                       /**< step-specific number: errno, byte offset, TCB status */
    char msg[CCZ_ERR_MSG_SIZE];        /**< one line, lower case, no full stop, never a secret */
    char got[CCZ_ERR_VALUE_SIZE];      /**< the offending value, or "" */
    char expected[CCZ_ERR_VALUE_SIZE]; /**< what would have been accepted, or "" */
    char hint[CCZ_ERR_HINT_SIZE];      /**< what to do next, or "" */
};

/** Fills @p err (if any) and returns @p rc, so that `return ccz_fail(...)` is one line. */
CCZ_API CCZ_FMT(5, 6) ccz_rc
    ccz_fail(struct ccz_err *err, ccz_rc rc, const char *where, int64_t aux, const char *fmt, ...);

/** As ccz_fail() for a refused value: msg becomes "got <got>, expected <expected>". */
CCZ_API ccz_rc ccz_refuse(struct ccz_err *err, ccz_rc rc, const char *where, const char *got,
                          const char *expected);
/** As ccz_refuse() for binary values, shown in lower-case hex (cut to the field if longer). */
CCZ_API ccz_rc ccz_refuse_bytes(struct ccz_err *err, ccz_rc rc, const char *where, const void *got,
                                size_t got_size, const void *expected, size_t expected_size);
/** As ccz_refuse() for numbers. */
CCZ_API ccz_rc ccz_refuse_num(struct ccz_err *err, ccz_rc rc, const char *where, int64_t got,
                              int64_t expected);
/** Adds a hint (copied; NULL = none) to a filled @p err; returns err->rc (or @p rc when err is NULL). */
CCZ_API ccz_rc ccz_hint(struct ccz_err *err, ccz_rc rc, const char *hint);

/* ------------------------------------------------------------------------------- byte views */

/** Borrowed bytes: valid as long as the buffer they point into. */
struct ccz_span {
    const uint8_t *ptr;
    size_t size;
};
#define CCZ_SPAN(p, n) ((struct ccz_span){(const uint8_t *)(p), (n)})

CCZ_API struct ccz_span ccz_span_str(const char *s); /**< bytes of @p s without its NUL */
CCZ_API struct ccz_span ccz_span_sub(struct ccz_span s, size_t from,
                                     size_t size); /**< empty if out of range */
CCZ_API bool ccz_span_eq(struct ccz_span a,
                         struct ccz_span b); /**< public data only, not constant time */

/** Reading cursor with a sticky error: read a whole message, then test once with ccz_rd_done(). */
struct ccz_rd {
    const uint8_t *ptr;
    size_t left;
    bool bad;
};
/** A cursor at the start of @p in, which must outlive it. */
CCZ_API struct ccz_rd ccz_rd_from(struct ccz_span in);
/* Integers of 1, 2, 4 or 8 bytes, little- or big-endian; 0 after an error. */
CCZ_API uint8_t ccz_rd_u8(struct ccz_rd *r);
CCZ_API uint16_t ccz_rd_le16(struct ccz_rd *r);
CCZ_API uint32_t ccz_rd_le32(struct ccz_rd *r);
CCZ_API uint64_t ccz_rd_le64(struct ccz_rd *r);
CCZ_API uint16_t ccz_rd_be16(struct ccz_rd *r);
CCZ_API uint32_t ccz_rd_be32(struct ccz_rd *r);
CCZ_API uint64_t ccz_rd_be64(struct ccz_rd *r);
/** Takes @p size bytes; an empty span after an error. */
CCZ_API struct ccz_span ccz_rd_take(struct ccz_rd *r, size_t size);
/** Copies @p size bytes to @p out; zeroes @p out after an error. */
CCZ_API void ccz_rd_copy(struct ccz_rd *r, void *out, size_t size);
/** True iff nothing failed and every byte was consumed. */
CCZ_API CCZ_MUST_USE bool ccz_rd_done(const struct ccz_rd *r);

/* ------------------------------------------------------------------- bounded growable buffer */

/**
 * Growable byte buffer with a named maximum and a sticky error: append freely, test `bad` once.
 * After a failed append (over the maximum, or no memory) later appends do nothing.
 */
struct ccz_buf {
    uint8_t *ptr;
    size_t size;     /**< bytes in use */
    size_t cap;      /**< bytes allocated */
    size_t max_size; /**< appends beyond it set `bad` */
    bool bad;
    bool wipe; /**< set for secrets in transit: memory is wiped when moved or freed */
};
CCZ_API void ccz_buf_init(struct ccz_buf *b, size_t max_size); /**< allocates nothing */
CCZ_API void ccz_buf_free(struct ccz_buf *b);                  /**< back to the state after init */
CCZ_API void ccz_buf_clear(struct ccz_buf *b); /**< size = 0, bad = false, memory kept */
/** Room for @p size more bytes at the end, size advanced; NULL sets (or finds) `bad`. */
CCZ_API uint8_t *ccz_buf_extend(struct ccz_buf *b, size_t size);
/** Appends bytes; @p p may be NULL if @p size is 0, and may not point into @p b. */
CCZ_API void ccz_buf_put(struct ccz_buf *b, const void *p, size_t size);
CCZ_API void ccz_buf_put_span(struct ccz_buf *b, struct ccz_span s);
/** Appends text without its NUL. */
CCZ_API void ccz_buf_put_str(struct ccz_buf *b, const char *s);
/** Appends formatted text of any length. */
CCZ_API CCZ_FMT(2, 3) void ccz_buf_printf(struct ccz_buf *b, const char *fmt, ...);
/* Integers of 1, 2, 4 or 8 bytes, little- or big-endian. */
CCZ_API void ccz_buf_u8(struct ccz_buf *b, uint8_t v);
CCZ_API void ccz_buf_le16(struct ccz_buf *b, uint16_t v);
CCZ_API void ccz_buf_le32(struct ccz_buf *b, uint32_t v);
CCZ_API void ccz_buf_le64(struct ccz_buf *b, uint64_t v);
CCZ_API void ccz_buf_be16(struct ccz_buf *b, uint16_t v);
CCZ_API void ccz_buf_be32(struct ccz_buf *b, uint32_t v);
CCZ_API void ccz_buf_be64(struct ccz_buf *b, uint64_t v);
/** Drops the first @p size bytes (at most `size`). */
CCZ_API void ccz_buf_consume(struct ccz_buf *b, size_t size);
/** View of the contents, valid until the next append; empty if `bad`, so that half a message cannot be used. */
CCZ_API struct ccz_span ccz_buf_span(const struct ccz_buf *b);
/** NUL-terminated view of the text in @p b (a NUL is kept behind the data); "" when bad or empty. */
CCZ_API const char *ccz_buf_str(struct ccz_buf *b);

/* ------------------------------------------------------------------- secrets, constant time */

/** Key material: its own type, so that it cannot reach a log call or a plain buffer by accident. */
struct ccz_secret;
#define CCZ_SECRET_SIZE_MAX 1048576
/**
 * Allocates @p size zero bytes, kept out of core dumps and (best effort) out of swap.
 * @param[out] out  owned by the caller; ccz_secret_free() wipes it
 * @retval CCZ_E_ARG    size is 0 or above CCZ_SECRET_SIZE_MAX
 * @retval CCZ_E_NOMEM  no memory
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_secret_new(struct ccz_secret **out, size_t size);
/** As ccz_secret_new(), with a copy of @p bytes (the caller wipes its own copy). */
CCZ_API CCZ_MUST_USE ccz_rc ccz_secret_from(struct ccz_secret **out, const void *bytes,
                                            size_t size);
CCZ_API void ccz_secret_free(struct ccz_secret *s); /**< NULL is fine */
CCZ_API uint8_t *ccz_secret_bytes(struct ccz_secret *s);
CCZ_API const uint8_t *ccz_secret_view(const struct ccz_secret *s);
CCZ_API size_t ccz_secret_size(const struct ccz_secret *s);

/** Wipes memory; the compiler cannot remove it. */
CCZ_API void ccz_wipe(void *p, size_t size);
/** 1 if equal, 0 if not; time depends on @p size only. */
CCZ_API CCZ_MUST_USE int ccz_ct_eq(const void *a, const void *b, size_t size);
/** Keeps the whole process out of core dumps and /proc/self/mem of other users; daemons call it first. */
CCZ_API void ccz_process_harden(void);

/** Defines T_freep() for CCZ_AUTO and T_take() to hand ownership out of a scope. */
#define CCZ_DEFINE_AUTO(T)                                                                         \
    static inline void T##_freep(struct T **p)                                                     \
    {                                                                                              \
        T##_free(*p);                                                                              \
    }                                                                                              \
    static inline struct T *T##_take(struct T **p)                                                 \
    {                                                                                              \
        struct T *t = *p;                                                                          \
        *p = NULL;                                                                                 \
        return t;                                                                                  \
    }
#define CCZ_AUTO(T)  __attribute__((cleanup(T##_freep))) struct T *
#define CCZ_AUTO_BUF __attribute__((cleanup(ccz_buf_free))) struct ccz_buf
CCZ_DEFINE_AUTO(ccz_secret)

/* -------------------------------------------------------------------------------------- text */

/** Lower-case hex of @p size bytes into @p out (2*size+1 bytes, NUL-terminated). */
CCZ_API void ccz_hex(char *out, const void *bytes, size_t size);
/** Exactly 2*size hex digits (either case) into @p out. @retval CCZ_E_FORMAT anything else */
CCZ_API CCZ_MUST_USE ccz_rc ccz_unhex(void *out, size_t size, const char *hex, size_t hex_size);
/** "YYYY-MM-DDThh:mm:ssZ" to seconds since 1970 UTC. @retval CCZ_E_FORMAT anything else */
CCZ_API CCZ_MUST_USE ccz_rc ccz_time_parse(int64_t *out_s, const char *text, size_t size);
#define CCZ_TIME_MAX_S                                                                             \
    253402300799 /**< the end of the year 9999, the last that these texts can say */
/** The inverse, 21 bytes with NUL. Times outside of the years 0 to 9999 are shown as the first or last of them. */
CCZ_API void ccz_time_format(char out[21], int64_t t_s);
/** Copies at most size-1 bytes and terminates; control and non-ASCII bytes, backslashes and double quotes become \xNN: a
 *  value in quotes on a log line cannot end there and go on as other fields. */
CCZ_API void ccz_escape(char *out, size_t out_size, struct ccz_span text);

/* ---------------------------------------------------------------------- injected environment */

/** Clock given to modules that need one: seconds since 1970 UTC. */
struct ccz_clock {
    int64_t (*now_s)(void *arg);
    void *arg;
};
/** The system's clock; only daemons, the CLI and tests call these two. */
CCZ_API struct ccz_clock ccz_clock_system(void);
CCZ_API int64_t ccz_clock_now_s(struct ccz_clock c);
/** Monotonic milliseconds (deadlines) and nanoseconds (measurements). */
CCZ_API int64_t ccz_mono_ms(void);
CCZ_API int64_t ccz_mono_ns(void);

/* -------------------------------------------------------------------------------- small files */

/** Appends a whole file to @p out (bounded by out->max_size). where = "file:read". */
CCZ_API CCZ_MUST_USE ccz_rc ccz_file_read(struct ccz_buf *out, const char *path,
                                          struct ccz_err *err);
/** Reads a secret file: it must be a regular file without group or other permission bits. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_file_read_secret(struct ccz_secret **out, const char *path,
                                                 size_t max_size, struct ccz_err *err);
/** What ccz_file_write() does when @p path exists. */
enum ccz_file_mode { CCZ_FILE_REPLACE, CCZ_FILE_CREATE_ONLY };
/** Writes beside @p path, fsyncs, then renames: @p path never holds a partial file. @p perm e.g. 0600. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_file_write(const char *path, struct ccz_span data, unsigned perm,
                                           enum ccz_file_mode mode, struct ccz_err *err);
/** The same in steps, for what is too large for one span: a file that appears under its name only when it is complete and durable. */
struct ccz_newfile {
    int fd; /**< read and write; -1 once committed or aborted */
    const char *path;
    char tmp[4096]; /**< beside `path`, so that the rename stays in one file system */
};
/** @param path  borrowed until commit or abort  @retval CCZ_E_IO */
CCZ_API CCZ_MUST_USE ccz_rc ccz_newfile_open(struct ccz_newfile *f, const char *path, unsigned perm,
                                             struct ccz_err *err);
/** fsync, rename, fsync of the folder. On failure nothing is left behind, but for "file:sync": the file is there, and the folder's
 *  entry may not survive a crash of the system. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_newfile_commit(struct ccz_newfile *f, enum ccz_file_mode mode,
                                               struct ccz_err *err);
/** Removes the unfinished file; does nothing after commit, abort or a failed open. */
CCZ_API void ccz_newfile_abort(struct ccz_newfile *f);
/**
 * An empty file in folder @p dir that has no name, or loses it before this returns (file systems without O_TMPFILE): read and write, for
 * its owner alone, gone when it is closed or the process ends. What is written there lies on the disk all the same: encrypt it.
 * @return a descriptor, closed on exec; -1 and errno
 */
CCZ_API CCZ_MUST_USE int ccz_nameless_open(const char *dir);
/** Makes the entry of @p path in its folder durable. File systems that cannot (EINVAL, ENOTSUP) count as done.
 *  @retval CCZ_E_IO  "file:sync" */
CCZ_API CCZ_MUST_USE ccz_rc ccz_sync_parent(const char *path, struct ccz_err *err);
/** The same for a folder with all that is in it: it appears under its name only when it is complete. What is in it is for the caller to sync. */
struct ccz_newdir {
    const char *path;
    char tmp[4096]; /**< beside `path`: where its contents are made; "" once committed or aborted */
};
/** @param path  borrowed until commit or abort  @retval CCZ_E_EXISTS "file:exists"  @retval CCZ_E_IO, CCZ_E_NOT_FOUND "file:dir" */
CCZ_API CCZ_MUST_USE ccz_rc ccz_newdir_open(struct ccz_newdir *d, const char *path, unsigned perm,
                                            struct ccz_err *err);
/** Rename, fsync of the parent. On failure nothing is left behind, but for "file:sync". @retval CCZ_E_EXISTS  somebody was faster */
CCZ_API CCZ_MUST_USE ccz_rc ccz_newdir_commit(struct ccz_newdir *d, struct ccz_err *err);
/** Removes the unfinished folder; does nothing after commit, abort or a failed open. */
CCZ_API void ccz_newdir_abort(struct ccz_newdir *d);
/** mkdir -p with mode @p perm for the last component. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_dir_make(const char *path, unsigned perm, struct ccz_err *err);

/* --------------------------------------------------------------------------------- processor */

/** Tiers of vector code, each including those below it. Files of vector code are compiled with flags of
 *  their own and may be entered only where their tier is usable. */
enum ccz_cpu_tier {
    CCZ_CPU_PORTABLE, /**< plain C */
    CCZ_CPU_AVX2,     /**< AVX2 and FMA */
    CCZ_CPU_AVX512,   /**< AVX-512 F, DQ and VL */
    CCZ_CPU_IFMA,     /**< and IFMA (52-bit multiplication) */
    CCZ_CPU_TIERS
};
struct ccz_cpu {
    enum ccz_cpu_tier best;   /**< what processor and system can run */
    enum ccz_cpu_tier chosen; /**< best, or less if CCZOO_CPU says so: what code uses by default */
    bool mulx_adx;            /**< BMI2 and ADX; never with CCZOO_CPU=portable */
    bool aes;  /**< AES-NI and PCLMULQDQ, beside AVX2: to be used if avx2 or more is chosen */
    bool vaes; /**< VAES and VPCLMULQDQ, beside AVX-512: to be used if avx512 or more is chosen */
};
/** Detected at the first call, from any thread. CCZOO_CPU=portable|avx2|avx512|ifma chooses a lower
 *  tier than the best: a choice between tested implementations, nothing else. */
CCZ_API const struct ccz_cpu *ccz_cpu(void);
/** "portable", "avx2", "avx512", "ifma" */
CCZ_API const char *ccz_cpu_tier_name(enum ccz_cpu_tier tier);
/** By that name; CCZ_CPU_TIERS if there is none. */
CCZ_API enum ccz_cpu_tier ccz_cpu_tier_from(const char *name);

/* --------------------------------------------------------------------------------------- log */

enum ccz_log_level { CCZ_LOG_ERROR, CCZ_LOG_WARN, CCZ_LOG_INFO, CCZ_LOG_DEBUG };
/** One finished line, no newline: "key=value key=value". Called from any thread. */
typedef void (*ccz_log_sink)(void *arg, enum ccz_log_level level, const char *module,
                             const char *line);
/** The library is silent until a sink is installed; install once at start. */
CCZ_API void ccz_log_install(ccz_log_sink sink, void *arg, enum ccz_log_level max_level);
/** Untrusted text goes through ccz_escape() first. */
CCZ_API CCZ_FMT(3, 4) void ccz_log(enum ccz_log_level level, const char *module, const char *fmt,
                                   ...);
/** A line that ends with a failure: "what where=.. msg=".." and, as far as they are there, got, expected and hint; the values
 *  escaped. @p what is the beginning of the line ("dropped peer=1.2.3.4:5") and the caller's to escape. */
CCZ_API void ccz_log_err(enum ccz_log_level level, const char *module, const char *what,
                         const struct ccz_err *err);
/** Sink for daemons: "2026-01-01T00:00:00Z info kms: line" on stderr, one write() per line. */
CCZ_API void ccz_log_stderr(void *arg, enum ccz_log_level level, const char *module,
                            const char *line);

#ifdef __cplusplus
}
#endif
#endif
