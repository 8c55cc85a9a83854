#include "crc32c.h"

#include <string.h>

static uint32_t table[256];

__attribute__((constructor)) static void fill_table(void) {
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ ((crc & 1) ? 0x82F63B78u : 0);
        table[byte] = crc;
    }
}

uint32_t twinspace_crc32c_table(uint32_t crc, const void *bytes, size_t length) {
    const uint8_t *at = bytes;
    crc = ~crc;
    while (length--) crc = (crc >> 8) ^ table[(crc ^ *at++) & 0xFF];
    return ~crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t by_instruction(uint32_t crc, const uint8_t *at, size_t length) {
    uint64_t wide = (uint32_t)~crc;
    for (; length >= 8; at += 8, length -= 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        wide = __builtin_ia32_crc32di(wide, word);
    }
    uint32_t narrow = (uint32_t)wide;
    while (length--) narrow = __builtin_ia32_crc32qi(narrow, *at++);
    return ~narrow;
}

static int has_instruction;
__attribute__((constructor)) static void find_instruction(void) {
    __builtin_cpu_init();
    has_instruction = __builtin_cpu_supports("sse4.2");
}

uint32_t twinspace_crc32c(uint32_t crc, const void *bytes, size_t length) {
    return has_instruction ? by_instruction(crc, bytes, length) : twinspace_crc32c_table(crc, bytes, length);
}
#else
uint32_t twinspace_crc32c(uint32_t crc, const void *bytes, size_t length) {
    return twinspace_crc32c_table(crc, bytes, length);
}
#endif
