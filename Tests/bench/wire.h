// The frames of the bare relay. How long requests and answers to reads are, is said at the start (Tests/bench/systems.py
// knows the lengths of Twinspace's frames); the rest is as long as there.
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
    PUT_ANSWER_BYTES = 69,
    ACKNOWLEDGEMENT_BYTES = 72,
    MAX_FRAME_BYTES = 128 * 1024,
};

#endif
