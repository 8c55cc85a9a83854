// What the processor can be told about memory and Swift has no words for.
#ifndef TWINSPACE_PREFETCH_H
#define TWINSPACE_PREFETCH_H

#include <stddef.h>

/// Has `length` bytes at `start` brought into the cache, line by line, without waiting for them. Never faults: any
/// address will do.
static inline void twinspace_prefetch(const void *start, size_t length) {
    for (size_t at = 0; at < length; at += 64)
        __builtin_prefetch((const char *)start + at, 0, 3);
}

#endif
