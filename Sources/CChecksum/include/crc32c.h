// CRC32C (Castagnoli, RFC 3720 appendix B.4): the CPU's instruction where there is one, a table elsewhere.
#ifndef TWINSPACE_CRC32C_H
#define TWINSPACE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/// The CRC32C of `length` bytes at `bytes`, continued from `crc` (0 to begin with).
uint32_t twinspace_crc32c(uint32_t crc, const void *bytes, size_t length);

/// The same by the table alone, so that a test can hold both against each other.
uint32_t twinspace_crc32c_table(uint32_t crc, const void *bytes, size_t length);

#endif
