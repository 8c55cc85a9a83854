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
// The instruction gives a result after three cycles, but takes a new word each cycle: long runs are cut into three stripes
// that are summed side by side. A checksum is linear over GF(2), so what a stripe's sum becomes by the bytes of the next
// one is a matrix times it, looked up by bytes.
enum { LONG = 2048, SHORT = 256 };
static uint32_t behind_long[4][256], behind_short[4][256];

static uint32_t times(const uint32_t matrix[32], uint32_t vector) {
    uint32_t sum = 0;
    for (; vector; vector >>= 1, matrix++)
        if (vector & 1) sum ^= *matrix;
    return sum;
}

// What `length` bytes of zeros, a power of two, make of a sum.
static void fill_shift(uint32_t shift[4][256], size_t length) {
    uint32_t matrix[32] = {0x82F63B78u};
    for (int bit = 1; bit < 32; bit++) matrix[bit] = 1u << (bit - 1);
    for (size_t bits = 1; bits < length * 8; bits *= 2) {
        uint32_t square[32];
        for (int bit = 0; bit < 32; bit++) square[bit] = times(matrix, matrix[bit]);
        memcpy(matrix, square, sizeof matrix);
    }
    for (int place = 0; place < 4; place++)
        for (uint32_t byte = 0; byte < 256; byte++) shift[place][byte] = times(matrix, byte << (8 * place));
}

__attribute__((constructor)) static void fill_shifts(void) {
    fill_shift(behind_long, LONG);
    fill_shift(behind_short, SHORT);
}

static inline uint32_t moved(const uint32_t shift[4][256], uint32_t crc) {
    return shift[0][crc & 0xFF] ^ shift[1][(crc >> 8) & 0xFF] ^ shift[2][(crc >> 16) & 0xFF] ^ shift[3][crc >> 24];
}

static inline uint64_t word(const uint8_t *at) {
    uint64_t word;
    memcpy(&word, at, 8);
    return word;
}

__attribute__((target("sse4.2"))) static inline uint64_t three_stripes(
    uint64_t crc, const uint8_t *at, size_t stripe, const uint32_t shift[4][256]) {
    uint64_t second = 0, third = 0;
    for (size_t i = 0; i < stripe; i += 8) {
        crc = __builtin_ia32_crc32di(crc, word(at + i));
        second = __builtin_ia32_crc32di(second, word(at + stripe + i));
        third = __builtin_ia32_crc32di(third, word(at + 2 * stripe + i));
    }
    return moved(shift, moved(shift, (uint32_t)crc) ^ (uint32_t)second) ^ (uint32_t)third;
}

__attribute__((target("sse4.2"))) static uint32_t by_instruction(uint32_t crc, const uint8_t *at, size_t length) {
    uint64_t wide = (uint32_t)~crc;
    for (; length >= 3 * LONG; at += 3 * LONG, length -= 3 * LONG) wide = three_stripes(wide, at, LONG, behind_long);
    for (; length >= 3 * SHORT; at += 3 * SHORT, length -= 3 * SHORT)
        wide = three_stripes(wide, at, SHORT, behind_short);
    for (; length >= 8; at += 8, length -= 8) wide = __builtin_ia32_crc32di(wide, word(at));
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
