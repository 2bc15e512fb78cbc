/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_HANDOVER_H
#define CCZ_HANDOVER_H
/**
 * @file handover.h
 * Giving secrets to a program that knows nothing of attestation, so that they stay in memory: on sealed memory files,
 * in files of a private RAM file system, or in the environment; and starting that program with these and nothing else.
 *
 * Terms. A *memory file* is an anonymous file of the kernel (memfd), found by descriptor only. *Sealed* means that the
 * kernel refuses every later change of its bytes, size and seals, also by who holds it. *RAM* is a file system whose
 * files are in memory: ramfs (never swapped) or tmpfs.
 *
 * Nothing here falls back: what cannot be done as asked is refused, and then nothing of a secret was written anywhere
 * but to memory. What the kernel may swap is told by ccz_handover_check_swap().
 *
 * Threads: ccz_handover_mounts() and ccz_handover_exec() change the process; call them while it has one thread.
 * Reading order of the sources: spec.c, memory.c, ram.c, start.c. Design: docs/design/exec.md.
 *
 * Example: a program that reads its password from descriptor 9.
 *     int fd = -1;
 *     ccz_rc rc = ccz_handover_memory(&fd, "password", CCZ_SPAN(bytes, size), err);
 *     const struct ccz_handover_fd fds[] = {{.fd = fd, .as = 9}};
 *     const struct ccz_handover_start s = {.path = "/usr/bin/prog", .argv = argv, .envp = envp,
 *                                          .fds = fds, .fds_len = 1};
 *     if (rc == CCZ_OK)
 *         rc = ccz_handover_exec(&s, err); // returns on failure only
 *
 * Sources: Linux man pages memfd_create(2), fcntl(2) (file seals), mount_namespaces(7), statfs(2), execveat(2), core(5).
 */
#include <cczoo/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------ what goes where, as text */

enum ccz_handover_form {
    CCZ_HANDOVER_NONE = 0,
    CCZ_HANDOVER_FD,    /**< sealed memory file; `as` is its number or, with -1, `var` has it */
    CCZ_HANDOVER_PATH,  /**< the same, `var` has its path (/proc/self/fd/N) */
    CCZ_HANDOVER_FILE,  /**< file `path` in a ramfs that is private to the program */
    CCZ_HANDOVER_TMPFS, /**< file `path` on a RAM file system that is there */
    CCZ_HANDOVER_ENV    /**< environment variable `var`: weaker, see docs/reference/exec.md */
};
#define CCZ_HANDOVER_TEXT_SIZE 1024
#define CCZ_HANDOVER_FD_MAX    255
struct ccz_handover_spec {
    char item[160];   /**< what is handed over; the name is the source's affair */
    uint32_t version; /**< 0 = latest */
    enum ccz_handover_form form;
    int as;        /**< FD: 3 to CCZ_HANDOVER_FD_MAX, or -1; else -1 */
    char var[256]; /**< variable, [A-Za-z_][A-Za-z0-9_]*, or "" */
    char path
        [CCZ_HANDOVER_TEXT_SIZE]; /**< absolute, each segment a name: no "//", "." or ".."; or "" */
};
/**
 * Parses "ITEM[@VERSION]=FORM[:TARGET]": fd, fd:N, fd:VAR, path:VAR, file, file:PATH, tmpfs:PATH, env:VAR. Without a
 * target, fd and file are told by the variable CCZOO_ITEM (upper case, '_' for what is neither letter nor digit), and
 * the file is CCZ_HANDOVER_DIR/ITEM ('-' for '/').
 * @param[out] out  zeroed on failure
 * @retval CCZ_E_FORMAT  "handover:spec"
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_handover_spec_parse(struct ccz_handover_spec *out, const char *text,
                                                    struct ccz_err *err);
#define CCZ_HANDOVER_DIR "/run/cczoo"
/** No descriptor, variable or path is asked for twice. @retval CCZ_E_FORMAT  "handover:spec" */
CCZ_API CCZ_MUST_USE ccz_rc ccz_handover_specs_check(const struct ccz_handover_spec *specs,
                                                     size_t len, struct ccz_err *err);
/** True for [A-Za-z_][A-Za-z0-9_]*, what every shell can name. */
CCZ_API bool ccz_handover_is_variable(struct ccz_span name);

/* -------------------------------------------------------------------------- memory files */

/**
 * A sealed memory file with @p bytes: read only (0400), not executable, positioned at 0, close-on-exec.
 * @param[out] fd  owned by the caller; -1 on failure
 * @param name     shown in /proc/PID/fd as "memfd:NAME"; never a secret; cut to what the kernel takes
 * @retval CCZ_E_ARG          empty @p bytes: a program could not tell it from a file that it failed to read
 * @retval CCZ_E_UNAVAILABLE  "handover:memory": the kernel has no memory files or seals
 * @retval CCZ_E_NOMEM, CCZ_E_IO
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_handover_memory(int *fd, const char *name, struct ccz_span bytes,
                                                struct ccz_err *err);
/**
 * A sealed memory file with a copy of the regular file @p path, that may be executed (0500): what is hashed from it is
 * what runs, whatever becomes of the file. Set-user-ID bits and file capabilities are not copied.
 * @param[out] fd  owned by the caller; -1 on failure
 * @retval CCZ_E_NOT_FOUND, CCZ_E_IO  "handover:copy"
 * @retval CCZ_E_LIMIT  "handover:copy": above CCZ_HANDOVER_COPY_SIZE_MAX
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_handover_copy(int *fd, const char *path, struct ccz_err *err);
#define CCZ_HANDOVER_COPY_SIZE_MAX ((int64_t)1 << 30)
/** For who is handed a descriptor: nobody can change its bytes any more.
 *  @retval CCZ_E_DENIED  "handover:seals": not a memory file, or a seal is missing */
CCZ_API CCZ_MUST_USE ccz_rc ccz_handover_check_sealed(int fd, struct ccz_err *err);

/* ------------------------------------------------------------------------ where bytes lie */

/** The file or folder behind @p fd lies in RAM. @param name of it, for the message
 *  @retval CCZ_E_DENIED  "handover:ram": another file system, with its magic number */
CCZ_API CCZ_MUST_USE ccz_rc ccz_handover_check_ram(int fd, const char *name, struct ccz_err *err);
/** The kernel swaps to nothing. @param fs_root  as for attesters (tee.h): before /proc/swaps; NULL = the real one
 *  @retval CCZ_E_DENIED  "handover:swap": it does, so that memory can come to a disk */
CCZ_API CCZ_MUST_USE ccz_rc ccz_handover_check_swap(const char *fs_root, struct ccz_err *err);

/* ----------------------------------------------------------------- private file system of RAM */

/**
 * Gives this process, and what it starts, mounts of its own: what is mounted from here on is seen by nobody else. Needs
 * CAP_SYS_ADMIN, or else leave to make a user namespace, in which the own user and group alone are known.
 * @retval CCZ_E_DENIED  "handover:mounts": the system allows neither; nothing was changed
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_handover_mounts(struct ccz_err *err);
/**
 * After ccz_handover_mounts(): an empty ramfs (mode 0700) over the empty folder @p dir. The name is looked up once: whoever
 * makes it lead elsewhere later gets no file of it.
 * @param[out] folder  of the mount itself, for ccz_handover_file() (O_PATH, close-on-exec); owned by the caller; -1 on failure
 * @retval CCZ_E_NOT_FOUND  "handover:ram-dir": no such folder
 * @retval CCZ_E_EXISTS     "handover:ram-dir": not empty: its files would be hidden from the program
 * @retval CCZ_E_IO         "handover:ram-dir"
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_handover_ram_dir(int *folder, const char *dir, struct ccz_err *err);
/** The same over a folder that need not be empty: what is in it is hidden from the program, which can do without. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_handover_ram_over(int *folder, const char *dir,
                                                  struct ccz_err *err);
/** From now on, no file in it is changed, made or removed; sockets are connected to. @param folder of ccz_handover_ram_dir() */
CCZ_API CCZ_MUST_USE ccz_rc ccz_handover_ram_dir_close(int folder, struct ccz_err *err);
/**
 * A new file (0400) with @p bytes. Its file system is looked at, by descriptor, before the first byte is written; a file
 * that is refused is removed again.
 * @param folder  of ccz_handover_ram_dir(): @p name is a file directly in it, on that very file system; or AT_FDCWD: @p name
 *                is any path, whose folders are looked up now, and whoever may change those has a say in where it lies
 * @retval CCZ_E_ARG     "handover:file": @p name has a '/' or is no name of a file, with a folder
 * @retval CCZ_E_DENIED  "handover:ram": not in RAM, or not on the file system of @p folder
 * @retval CCZ_E_EXISTS  "handover:file": there is one, or a link
 * @retval CCZ_E_IO      "handover:file"
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_handover_file(int folder, const char *name, struct ccz_span bytes,
                                              struct ccz_err *err);
/**
 * After ccz_handover_mounts(): who opens @p path in this process, and in what it starts, gets the bytes of the memory
 * file @p fd, read only, with the permissions that the file has; what is written to the file itself is not seen. It is
 * looked up again and compared before this returns.
 * A name holds no longer than its file: who removes, replaces or renames the file or a folder above it, from outside of
 * these mounts, takes the pin away, and the kernel does not ask us. What must not change is used by @p pinned.
 * @param[out] pinned  the copy that stands at @p path, for ccz_handover_start and ccz_handover_check_pin() (O_PATH); owned by
 *                     the caller; -1 on failure
 * @retval CCZ_E_IO  "handover:pin"
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_handover_pin(int *pinned, const char *path, int fd,
                                             struct ccz_err *err);
/** @p path still leads to what ccz_handover_pin() has put there.
 *  @retval CCZ_E_IO, CCZ_E_NOT_FOUND  "handover:pin": it does not */
CCZ_API CCZ_MUST_USE ccz_rc ccz_handover_check_pin(const char *path, int pinned,
                                                   struct ccz_err *err);

/* ------------------------------------------------------------------------------- starting */

/** A descriptor for the program. */
struct ccz_handover_fd {
    int fd; /**< as it is now */
    int as; /**< as the program has it: 3 to CCZ_HANDOVER_FD_MAX, each once */
};

struct ccz_handover_start {
    int fd;           /**< program, a memory file or a pinned copy; used if `path` is NULL */
    const char *path; /**< program, an absolute path; no search */
    char *const *argv, *const *envp;
    const struct ccz_handover_fd *fds;
    size_t fds_len;
};
/**
 * Becomes the program: it has descriptors 0, 1, 2 as they are and those of @p s, all others are closed. It makes no core
 * dump, neither to a file nor to a handler (RLIMIT_CORE = 1, which is how the kernel spells that).
 * @return on failure only; then descriptors are no longer to be relied on
 * @retval CCZ_E_ARG          "handover:fds"
 * @retval CCZ_E_DENIED       "handover:core": this system would dump it all the same, or does not tell (no /proc/sys/kernel)
 * @retval CCZ_E_NOT_FOUND    "handover:exec": no such program, or its interpreter is missing; aux = errno
 * @retval CCZ_E_UNAVAILABLE  "handover:exec": it cannot be executed; aux = errno
 */
CCZ_API ccz_rc ccz_handover_exec(const struct ccz_handover_start *s, struct ccz_err *err);

#ifdef __cplusplus
}
#endif
#endif
