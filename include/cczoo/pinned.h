/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_PINNED_H
#define CCZ_PINNED_H
/**
 * @file pinned.h
 * A file whose bytes stay what they were when its digest was computed, whoever has the disk. One pass over the file takes SHA-256 of
 * all of it and of each chunk of 64 KiB; later reads take whole chunks into private memory and compare them before a byte of them is
 * given away. So a digest that somebody signed or ordered is that of what is read, and not of what lay there a moment before.
 *
 * Memory: 32 bytes for each 64 KiB of the file, and one chunk. Threads: one at a time for each file.
 * Not for secrecy: what is read twice is seen to be read twice.
 */
#include <cczoo/base.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CCZ_PINNED_CHUNK_SIZE 65536
#define CCZ_PINNED_SIZE_MAX   ((uint64_t)1 << 40) /**< bytes of a file: 512 MiB of digests */

struct ccz_pinned;
/**
 * Opens and pins a regular file. Its path is followed once and not looked at again; a pipe or device is refused without waiting.
 * @param path  not kept
 * @retval CCZ_E_NOT_FOUND, CCZ_E_IO  pinned:open: there is none, not to be read, or no regular file
 * @retval CCZ_E_LIMIT  pinned:size: larger than CCZ_PINNED_SIZE_MAX; nothing is read
 * @retval CCZ_E_SIG    pinned:changed: it has another size at the end of the pass than at its beginning; a file that grows for ever is
 *                      read up to the size that it had
 * @retval CCZ_E_IO     pinned:read    @retval CCZ_E_NOMEM  pinned:memory
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_pinned_open(struct ccz_pinned **out, const char *path,
                                            struct ccz_err *err);
CCZ_API void ccz_pinned_free(struct ccz_pinned *p); /**< NULL is fine */
CCZ_DEFINE_AUTO(ccz_pinned)
CCZ_API const uint8_t *ccz_pinned_sha256(const struct ccz_pinned *p); /**< 32 bytes, of the whole */
CCZ_API uint64_t ccz_pinned_size(const struct ccz_pinned *p); /**< bytes, when it was pinned */
/**
 * Exactly @p size bytes from @p offset, as they were when the file was pinned. What was appended since is not seen. On failure
 * @p out holds nothing that may be used.
 * The signature is that of `read_at` in struct ccz_pf_io (pf.h) and struct ccz_pq_source (parquet.h), with @p pinned as `arg`.
 * @param pinned  a struct ccz_pinned
 * @retval CCZ_E_SIG  pinned:changed: chunk N (from 0) has other bytes now, or the file ends in it
 * @retval CCZ_E_IO   pinned:read; pinned:range: the range ends behind the file
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_pinned_read_at(void *out, void *pinned, uint64_t offset,
                                               size_t size, struct ccz_err *err);
/** ccz_pinned_size() as `size` of these structures. @retval CCZ_OK always */
CCZ_API CCZ_MUST_USE ccz_rc ccz_pinned_size_at(uint64_t *out, void *pinned, struct ccz_err *err);

#ifdef __cplusplus
}
#endif
#endif
