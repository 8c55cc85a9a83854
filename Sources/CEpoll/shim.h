#ifndef TWINSPACE_EPOLL_SHIM_H
#define TWINSPACE_EPOLL_SHIM_H

/* Swift's Glibc module leaves these two headers out. */
#include <sys/epoll.h>
#include <sys/timerfd.h>

/* The connection's number is all that an event carries; epoll_event holds it in a union. */
static inline int shim_epoll_control(int epoll, int operation, int descriptor, uint32_t events, uint32_t number) {
    struct epoll_event event = {.events = events, .data = {.u32 = number}};
    return epoll_ctl(epoll, operation, descriptor, &event);
}

static inline uint32_t shim_epoll_number(const struct epoll_event *event) { return event->data.u32; }

static inline uint32_t shim_epoll_events(const struct epoll_event *event) { return event->events; }

#endif
