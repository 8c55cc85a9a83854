// Preloaded into a program: the name `twice.test` has two addresses, and nobody answers at the first.
//
// 127.0.0.99 stands before 127.0.0.1, as the addresses of a machine do that is gone and of one that is there.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <string.h>

typedef int (*Lookup)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **result) {
    Lookup real = (Lookup)dlsym(RTLD_NEXT, "getaddrinfo");
    if (!host || strcmp(host, "twice.test") != 0) return real(host, service, hints, result);
    struct addrinfo *second;
    int status = real("127.0.0.99", service, hints, result);
    if (status != 0) return status;
    status = real("127.0.0.1", service, hints, &second);
    if (status != 0) {
        freeaddrinfo(*result);
        return status;
    }
    struct addrinfo *last = *result;
    while (last->ai_next) last = last->ai_next;
    last->ai_next = second;
    return 0;
}
