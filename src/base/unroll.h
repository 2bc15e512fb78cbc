/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_UNROLL_H
#define CCZI_UNROLL_H
/* For kernels that keep vectors in registers: UNROLL stands before a loop over them, INLINE before a function. Under a sanitizer
 * time does not matter, but that of compilation. */
#define INLINE static inline __attribute__((always_inline))
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define UNROLL
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif
#endif
