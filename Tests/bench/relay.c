// A bare relay: the hops of a replicated space and nothing else, as the floor that the machine sets.
//
//   relay proxy PORT UPSTREAM-PORT    many clients, one upstream connection for all of them
//   relay server PORT [PASSIVE-PORT [ANSWER-BYTES]]
//                                     answers GET at once, in so many bytes, PUT when the passive one has acknowledged it
//   relay passive PORT                acknowledges everything
//
// Frames are as long as those of the real protocol, see wire.h. Nothing is checked, stored or remembered. All that one
// turn of the loop brings leaves in one write a connection.
#define _GNU_SOURCE
#include "wire.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_PEERS = 16384, IN_BYTES = 512 * 1024, OUT_BYTES = 512 * 1024 * 1024, EVENTS = 256 };

struct peer {
    int fd;
    int watches_output;
    int is_dirty;
    char *partial;
    size_t partial_count;
    char *out;
    size_t out_begin, out_end, out_capacity;
};

static enum { PROXY, SERVER, PASSIVE } role;
static struct peer peers[MAX_PEERS];
static int peer_count, epoll_fd, listener;
static int onward = -1;   // the peer that requests go on to: the server, or its passive one
static int dirty[MAX_PEERS], dirty_count;
static uint32_t answer_bytes = 105;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static int add_peer(int fd) {
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    int number = 0;
    while (number < peer_count && peers[number].fd >= 0) number++;
    if (number == MAX_PEERS) {
        close(fd);
        return -1;
    }
    if (number == peer_count) {
        peer_count++;
        peers[number].partial = malloc(MAX_FRAME_BYTES);
        peers[number].out_capacity = 4096;
        peers[number].out = malloc(peers[number].out_capacity);
        if (!peers[number].partial || !peers[number].out) fail("memory");
    }
    struct peer *peer = &peers[number];
    peer->fd = fd;
    peer->watches_output = peer->is_dirty = 0;
    peer->partial_count = peer->out_begin = peer->out_end = 0;
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)number};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event)) fail("epoll_ctl");
    return number;
}

static struct sockaddr_in loopback(int port) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return address;
}

static int connect_onward(int port) {
    struct sockaddr_in address = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address)) fail("connect");
    return add_peer(fd);
}

// Makes room for a frame behind what waits.
static char *reserve(int number, size_t count) {
    struct peer *peer = &peers[number];
    if (peer->out_end + count > peer->out_capacity) {
        memmove(peer->out, peer->out + peer->out_begin, peer->out_end - peer->out_begin);
        peer->out_end -= peer->out_begin;
        peer->out_begin = 0;
        while (peer->out_end + count > peer->out_capacity) peer->out_capacity *= 2;
        if (peer->out_capacity > OUT_BYTES) {
            fprintf(stderr, "relay: a peer does not read\n");
            exit(1);
        }
        peer->out = realloc(peer->out, peer->out_capacity);
        if (!peer->out) fail("memory");
    }
    if (!peer->is_dirty) {
        peer->is_dirty = 1;
        dirty[dirty_count++] = number;
    }
    char *place = peer->out + peer->out_end;
    peer->out_end += count;
    return place;
}

static void send_new(int number, uint32_t length, uint32_t kind, uint32_t client, uint32_t source) {
    if (number < 0 || peers[number].fd < 0) return;
    struct frame frame = {length, kind, client, source};
    char *place = reserve(number, length);
    memset(place, 0, length);
    memcpy(place, &frame, sizeof frame);
}

static void forward(int number, const char *bytes, struct frame frame) {
    if (number < 0 || peers[number].fd < 0) return;
    char *place = reserve(number, frame.length);
    memcpy(place, bytes, frame.length);
    memcpy(place, &frame, sizeof frame);
}

static void handle(int from, const char *bytes) {
    struct frame frame;
    memcpy(&frame, bytes, sizeof frame);
    switch (role) {
    case PROXY:
        if (from == onward) {
            forward((int)frame.client, bytes, frame);
        } else {
            frame.client = (uint32_t)from;
            forward(onward, bytes, frame);
        }
        break;
    case SERVER:
        if (from == onward) {
            send_new((int)frame.source, PUT_ANSWER_BYTES, KIND_ANSWER, frame.client, 0);
        } else if (frame.kind == KIND_GET) {
            send_new(from, answer_bytes, KIND_ANSWER, frame.client, 0);
        } else if (onward < 0) {
            send_new(from, PUT_ANSWER_BYTES, KIND_ANSWER, frame.client, 0);
        } else {
            frame.source = (uint32_t)from;
            forward(onward, bytes, frame);
        }
        break;
    case PASSIVE: send_new(from, ACKNOWLEDGEMENT_BYTES, KIND_ANSWER, frame.client, frame.source); break;
    }
}

static void drop(int number) {
    if (number == onward) exit(0);
    close(peers[number].fd);
    peers[number].fd = -1;
}

static void receive(int number) {
    static char in[IN_BYTES];
    struct peer *peer = &peers[number];
    memcpy(in, peer->partial, peer->partial_count);
    ssize_t got = recv(peer->fd, in + peer->partial_count, sizeof in - peer->partial_count, MSG_DONTWAIT);
    if (got <= 0) {
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
        drop(number);
        return;
    }
    size_t available = peer->partial_count + (size_t)got, begin = 0;
    while (available - begin >= sizeof(struct frame)) {
        uint32_t length;
        memcpy(&length, in + begin, sizeof length);
        if (length < sizeof(struct frame) || length > MAX_FRAME_BYTES) {
            fprintf(stderr, "relay: a frame of %u bytes\n", length);
            exit(1);
        }
        if (available - begin < length) break;
        handle(number, in + begin);
        begin += length;
    }
    peer->partial_count = available - begin;
    memcpy(peer->partial, in + begin, peer->partial_count);
}

static void flush(int number) {
    struct peer *peer = &peers[number];
    peer->is_dirty = 0;
    if (peer->fd < 0) return;
    size_t count = peer->out_end - peer->out_begin;
    if (count > 0) {
        ssize_t sent = send(peer->fd, peer->out + peer->out_begin, count, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN && errno != EINTR) {
            drop(number);
            return;
        }
        if (sent > 0) peer->out_begin += (size_t)sent;
        if (peer->out_begin == peer->out_end) peer->out_begin = peer->out_end = 0;
    }
    int waits = peer->out_end > 0;
    if (waits == peer->watches_output) return;
    peer->watches_output = waits;
    struct epoll_event event = {.events = waits ? EPOLLIN | EPOLLOUT : EPOLLIN, .data.u32 = (uint32_t)number};
    epoll_ctl(epoll_fd, EPOLL_CTL_MOD, peer->fd, &event);
}

int main(int count, char **words) {
    if (count < 3) {
        fprintf(stderr, "usage: relay proxy|server|passive PORT [ONWARD-PORT]\n");
        return 2;
    }
    role = !strcmp(words[1], "proxy") ? PROXY : !strcmp(words[1], "server") ? SERVER : PASSIVE;
    signal(SIGPIPE, SIG_IGN);
    epoll_fd = epoll_create1(0);
    if (count > 3) onward = connect_onward(atoi(words[3]));
    if (count > 4) answer_bytes = (uint32_t)atoi(words[4]);
    if (answer_bytes < sizeof(struct frame) || answer_bytes > MAX_FRAME_BYTES) return 2;
    listener = socket(AF_INET, SOCK_STREAM, 0);
    int on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in address = loopback(atoi(words[2]));
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 1024)) fail("listen");
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = UINT32_MAX};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event)) fail("epoll_ctl");
    for (;;) {
        struct epoll_event events[EVENTS];
        int found = epoll_wait(epoll_fd, events, EVENTS, 1000);
        for (int i = 0; i < found; i++) {
            uint32_t number = events[i].data.u32;
            if (number == UINT32_MAX) {
                int fd = accept(listener, NULL, NULL);
                if (fd >= 0) add_peer(fd);
                continue;
            }
            if (events[i].events & EPOLLOUT) flush((int)number);
            if (peers[number].fd >= 0 && events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) receive((int)number);
        }
        for (int i = 0; i < dirty_count; i++) flush(dirty[i]);
        dirty_count = 0;
    }
}
