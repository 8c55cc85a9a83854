#ifndef TWINSPACE_RENAME_SHIM_H
#define TWINSPACE_RENAME_SHIM_H

/* Swift's Glibc module leaves renameat2(2) out: glibc declares it for _GNU_SOURCE only. */
#include <linux/fs.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Exchanges two names of a directory in one step. Returns 0, or -1 with errno set. */
static inline int shim_exchange_names(int directory, const char *name, const char *other) {
    return (int)syscall(SYS_renameat2, directory, name, directory, other, RENAME_EXCHANGE);
}

#endif
