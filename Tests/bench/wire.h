// The frames of the bare relay. Their lengths are those of Twinspace's frames for one pair of 16 + 16 bytes.
#ifndef WIRE_H
#define WIRE_H

#include <stdint.h>

struct frame {
    uint32_t length;   // of the whole frame
    uint32_t kind;
    uint32_t client;   // written by the proxy
    uint32_t source;   // written by the server: which proxy
};

enum { KIND_GET, KIND_PUT, KIND_ANSWER };

enum {
    PUT_BYTES = 112,
    GET_BYTES = 94,
    PUT_ANSWER_BYTES = 69,
    GET_ANSWER_BYTES = 105,
    ACKNOWLEDGEMENT_BYTES = 72,
    MAX_FRAME_BYTES = 256,
};

#endif
