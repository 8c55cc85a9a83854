// Closed-loop load for what Twinspace is compared with: Redis, and the bare relay. It does what `twinspace-bench load`
// does, in the same way (one thread, epoll, preformatted requests, batches, the same keys and the same histogram), so
// that clients on the same cores cost both sides alike.
//
//   load --protocol redis|relay --port P --operation put|post|get [--wait] [--connections N] [--depth N] [--seconds S]
//        [--warmup S] [--operations N] [--keys N] [--first-key K] [--reconnect] [--value-bytes N] [--pairs N]
//        [--request-bytes N]
//
// With --pairs a request is about so many pairs: MSET and MGET. The relay's frames are as long as --request-bytes says.
// A batch is `depth` requests; with --wait a `WAIT 1` stands behind them, and all of them count as answered when that
// is. With --reconnect a connection that ends is made again after 10 ms, with a new batch; errors are no answers.
// Prints one JSON object with the names of `twinspace-bench load --json`.
#define _GNU_SOURCE
#include "wire.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { IN_BYTES = 512 * 1024, KEY_BYTES = 16, DIGITS = KEY_BYTES - 1, EVENTS = 256 };
enum { BITS = 7, PER_POWER = 1 << BITS, BUCKETS = PER_POWER * (64 - BITS + 1) };

struct client {
    int fd;
    int expected, seen;   // answers of the batch
    int requests;         // requests of the batch
    int errors;           // errors among the answers
    uint64_t retry_at;    // when to connect again, where fd is -1
    uint64_t sent_at;
    char *out;
    size_t out_begin, out_end;
    char *partial;
    size_t partial_count;
};

static int is_redis, is_put, is_post, waits, reconnects, connections = 50, depth = 1, port;
static size_t value_bytes = 16, pairs = 1, request_bytes;
static uint64_t keys = 1000000000, first_key, operations;
static double seconds = 10, warmup = 1;

static struct client *clients;
static int epoll_fd, measures, stopped;
static uint64_t histogram[BUCKETS], counted, longest, answered, issued, next_key, failures, found, lost;
static uint64_t last_answer, pause_length, key_step;
static uint64_t random_state = 0x9E3779B97F4A7C15;
static char first_failure[128];

static uint64_t clock_now(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static uint64_t now(void) { return clock_now(CLOCK_MONOTONIC); }

static uint64_t draw(void) {
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return random_state * 0x2545F4914F6CDD1D;
}

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void say_lost(struct client *client) {
    if (!reconnects) {
        fprintf(stderr, "load: a connection was closed\n");
        exit(1);
    }
    close(client->fd);
    client->fd = -1;
    client->retry_at = now() + 10000000;
    if (measures) lost++;
}

static void record(uint64_t value, uint64_t count) {
    uint64_t bucket = value;
    if (value >= PER_POWER) {
        int shift = 63 - BITS - __builtin_clzll(value);
        bucket = ((uint64_t)(shift + 1) << BITS) + (value >> shift) - PER_POWER;
    }
    histogram[bucket] += count;
    counted += count;
    if (value > longest) longest = value;
}

static double quantile(double fraction) {
    uint64_t wanted = (uint64_t)ceil(fraction * (double)counted), sum = 0;
    for (uint64_t bucket = 0; bucket < BUCKETS; bucket++) {
        sum += histogram[bucket];
        if (sum < wanted || sum == 0) continue;
        if (bucket < PER_POWER) return (double)bucket / 1e3;
        uint64_t shift = (bucket >> BITS) - 1;
        uint64_t end = (((bucket & (PER_POWER - 1)) + PER_POWER) << shift) + ((1ull << shift) - 1);
        return (double)(end < longest ? end : longest) / 1e3;
    }
    return 0;
}

// The same keys in the same order as twinspace-bench's: each fresh one once, as good as random.
static void prepare_keys(void) {
    key_step = (uint64_t)((double)keys * 0.618033988749895) | 1;
    for (;; key_step++) {
        uint64_t a = key_step, b = keys;
        while (b) {
            uint64_t rest = a % b;
            a = b;
            b = rest;
        }
        if (a == 1) return;
    }
}

static void digits(char *end, uint64_t number) {
    for (int i = 0; i < DIGITS; i++) {
        *--end = (char)('0' + number % 10);
        number /= 10;
    }
}

static const char WAIT[] = "*3\r\n$4\r\nWAIT\r\n$1\r\n1\r\n$4\r\n2000\r\n";

// A request of which only digits change: those that end at the key's end and, where it brings a value, at the value's,
// of each pair.
static char *template;
static size_t template_count, *key_ends, *value_ends;

static void add(const char *format, size_t number) {
    template_count += (size_t)sprintf(template + template_count, format, number);
}

// A letter and zeros.
static size_t add_text(char letter, size_t count) {
    add("$%zu\r\n", count);
    memset(template + template_count, '0', count);
    template[template_count] = letter;
    template_count += count;
    size_t end = template_count;
    add("\r\n", 0);
    return end;
}

static void prepare_template(void) {
    int brings = is_put || is_post;
    template = calloc(1, request_bytes + 128 + pairs * (value_bytes + 128));
    key_ends = calloc(pairs, sizeof *key_ends);
    value_ends = calloc(pairs, sizeof *value_ends);
    if (!template || !key_ends || !value_ends) fail("memory");
    if (!is_redis) {
        struct frame frame = {(uint32_t)request_bytes, brings ? KIND_PUT : KIND_GET, 0, 0};
        memset(template, 'x', request_bytes);
        memcpy(template, &frame, sizeof frame);
        template_count = request_bytes;
        key_ends[0] = 48;
        return;
    }
    add("*%zu\r\n", 1 + pairs * (brings ? 2 : 1));
    const char *name = pairs > 1 ? (brings ? "MSET" : "MGET") : brings ? "SET" : "GET";
    add("$%zu\r\n", strlen(name));
    template_count += (size_t)sprintf(template + template_count, "%s\r\n", name);
    for (size_t i = 0; i < pairs; i++) {
        key_ends[i] = add_text('k', KEY_BYTES);
        if (brings) value_ends[i] = add_text('v', value_bytes);
    }
}

static uint64_t fresh_key(void) { return next_key++ % keys * key_step % keys; }

static uint64_t any_key(void) { return (uint64_t)(((unsigned __int128)draw() * keys) >> 64); }

static void append_request(struct client *client) {
    char *place = client->out + client->out_end;
    memcpy(place, template, template_count);
    client->out_end += template_count;
    // Lists that are read or replaced are of neighbours, as an expression finds them.
    uint64_t first = is_put ? 0 : any_key() / pairs * pairs;
    for (size_t i = 0; i < (is_redis ? pairs : 1); i++) {
        digits(place + key_ends[i], is_put ? fresh_key() : first + i);
        if (value_ends[i]) digits(place + value_ends[i], issued);
    }
    issued++;
}

static void flush(struct client *client) {
    size_t count = client->out_end - client->out_begin;
    if (count == 0) return;
    ssize_t sent = send(client->fd, client->out + client->out_begin, count, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0) {
        if (errno != EAGAIN && errno != EINTR) {
            say_lost(client);
            return;
        }
        sent = 0;
    }
    client->out_begin += (size_t)sent;
    int is_rest = client->out_begin < client->out_end;
    if (!is_rest && (size_t)sent == count && client->out_begin == count) return;
    struct epoll_event event = {.events = is_rest ? EPOLLIN | EPOLLOUT : EPOLLIN, .data.ptr = client};
    epoll_ctl(epoll_fd, EPOLL_CTL_MOD, client->fd, &event);
}

static void send_batch(struct client *client, uint64_t time) {
    client->out_begin = client->out_end = 0;
    client->requests = 0;
    while (client->requests < depth && (!operations || issued < operations)) {
        append_request(client);
        client->requests++;
    }
    client->seen = client->errors = 0;
    client->expected = client->requests;
    if (client->requests == 0) return;
    if (waits) {
        memcpy(client->out + client->out_end, WAIT, sizeof WAIT - 1);
        client->out_end += sizeof WAIT - 1;
        client->expected++;
    }
    client->sent_at = time;
    flush(client);
}

static int answer_failed;

static void failed(const char *text, size_t count) {
    failures++;
    answer_failed = 1;
    if (first_failure[0]) return;
    for (size_t i = 0, to = 0; i < count && to + 1 < sizeof first_failure; i++)
        if (text[i] >= ' ' && text[i] != '"' && text[i] != '\\') first_failure[to++] = text[i];
}

// The length of the answer that begins there, 0 where more bytes are needed. `is_last` says that it ends the batch.
static size_t answer(const char *bytes, size_t available, int is_last) {
    if (!is_redis) {
        uint32_t length;
        if (available < sizeof length) return 0;
        memcpy(&length, bytes, sizeof length);
        if (available < length) return 0;
        found++;
        return length;
    }
    const char *end = memchr(bytes, '\n', available);
    if (!end) return 0;
    size_t line = (size_t)(end - bytes) + 1;
    switch (bytes[0]) {
    case '+': return line;
    case ':':
        if (!waits || !is_last || atol(bytes + 1) < 1) failed(bytes, line);
        return line;
    case '*': {
        size_t at = line;
        for (long i = atol(bytes + 1); i > 0; i--) {
            const char *item = at < available ? memchr(bytes + at, '\n', available - at) : NULL;
            if (!item) return 0;
            long count = atol(bytes + at + 1);
            at = (size_t)(item - bytes) + 1;
            if (count < 0) continue;
            if (available < at + (size_t)count + 2) return 0;
            at += (size_t)count + 2;
        }
        found++;
        return at;
    }
    case '$': {
        long count = atol(bytes + 1);
        if (count < 0) return line;
        if (available < line + (size_t)count + 2) return 0;
        found++;
        return line + (size_t)count + 2;
    }
    default: failed(bytes, line); return line;
    }
}

static void receive(struct client *client) {
    static char in[IN_BYTES];
    memcpy(in, client->partial, client->partial_count);
    ssize_t got = recv(client->fd, in + client->partial_count, sizeof in - client->partial_count, MSG_DONTWAIT);
    if (got <= 0) {
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
        say_lost(client);
        return;
    }
    uint64_t time = now();
    size_t available = client->partial_count + (size_t)got, begin = 0;
    int before = client->seen - client->errors;
    while (client->seen < client->expected) {
        size_t length = answer(in + begin, available - begin, client->seen + 1 == client->expected);
        if (length == 0) break;
        begin += length;
        client->seen++;
        client->errors += answer_failed;
        answer_failed = 0;
    }
    client->partial_count = available - begin;
    memcpy(client->partial, in + begin, client->partial_count);
    int is_complete = client->seen == client->expected;
    uint64_t count = (uint64_t)(client->seen - client->errors - before);
    if (waits) count = is_complete && !client->errors ? (uint64_t)client->requests : 0;
    if (count > 0) {
        answered += count;
        if (measures) {
            record(time - client->sent_at, count);
            if (time > last_answer) {
                if (time - last_answer > pause_length) pause_length = time - last_answer;
                last_answer = time;
            }
        }
    }
    if (is_complete && !stopped) send_batch(client, time);
}

static void open_connection(struct client *client) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    client->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (client->fd < 0) fail("socket");
    if (connect(client->fd, (struct sockaddr *)&address, sizeof address)) {
        say_lost(client);
        return;
    }
    int on = 1;
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, client->fd, &event)) fail("epoll_ctl");
    client->partial_count = 0;
}

static void reopen_connections(void) {
    for (int i = 0; i < connections; i++) {
        struct client *client = &clients[i];
        if (client->fd >= 0 || client->retry_at > now()) continue;
        open_connection(client);
        if (client->fd >= 0 && !stopped) send_batch(client, now());
    }
}

static void run(uint64_t end) {
    struct epoll_event events[EVENTS];
    while (now() < end && !(operations && answered >= operations)) {
        if (reconnects) reopen_connections();
        int count = epoll_wait(epoll_fd, events, EVENTS, 10);
        for (int i = 0; i < count; i++) {
            struct client *client = events[i].data.ptr;
            if (events[i].events & EPOLLOUT && client->fd >= 0) flush(client);
            if (events[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP) && client->fd >= 0) receive(client);
        }
    }
}

static void read_options(int count, char **words) {
    static const struct option options[] = {
        {"protocol", 1, 0, 'P'}, {"port", 1, 0, 'p'},       {"operation", 1, 0, 'o'},  {"wait", 0, 0, 'w'},
        {"connections", 1, 0, 'c'}, {"depth", 1, 0, 'd'},   {"seconds", 1, 0, 's'},    {"warmup", 1, 0, 'u'},
        {"operations", 1, 0, 'n'},  {"keys", 1, 0, 'k'},    {"first-key", 1, 0, 'f'},
        {"reconnect", 0, 0, 'r'},   {"value-bytes", 1, 0, 'v'}, {"pairs", 1, 0, 'm'}, {"request-bytes", 1, 0, 'b'},
        {0, 0, 0, 0}};
    for (int option; (option = getopt_long(count, words, "", options, NULL)) != -1;) switch (option) {
        case 'P': is_redis = !strcmp(optarg, "redis"); break;
        case 'p': port = atoi(optarg); break;
        case 'o':
            is_put = !strcmp(optarg, "put");
            is_post = !strcmp(optarg, "post");
            break;
        case 'v': value_bytes = strtoull(optarg, NULL, 10); break;
        case 'm': pairs = strtoull(optarg, NULL, 10); break;
        case 'b': request_bytes = strtoull(optarg, NULL, 10); break;
        case 'w': waits = 1; break;
        case 'r': reconnects = 1; break;
        case 'c': connections = atoi(optarg); break;
        case 'd': depth = atoi(optarg); break;
        case 's': seconds = atof(optarg); break;
        case 'u': warmup = atof(optarg); break;
        case 'n': operations = strtoull(optarg, NULL, 10); break;
        case 'k': keys = strtoull(optarg, NULL, 10); break;
        case 'f': first_key = strtoull(optarg, NULL, 10); break;
        default: exit(2);
        }
    if (!port || connections < 1 || depth < 1 || keys < pairs || keys > 4000000000u || value_bytes < KEY_BYTES ||
        value_bytes > 65536 || pairs < 1 || pairs > 1000 || (!is_redis && request_bytes < 64) ||
        request_bytes > MAX_FRAME_BYTES) {
        fprintf(stderr, "load: an option is missing or out of range\n");
        exit(2);
    }
}

int main(int count, char **words) {
    read_options(count, words);
    signal(SIGPIPE, SIG_IGN);
    prepare_keys();
    next_key = first_key;
    prepare_template();
    epoll_fd = epoll_create1(0);
    clients = calloc((size_t)connections, sizeof *clients);
    if (!clients) fail("memory");
    for (int i = 0; i < connections; i++) {
        struct client *client = &clients[i];
        client->out = malloc((size_t)depth * template_count + sizeof WAIT);
        client->partial = malloc(IN_BYTES);
        if (!client->out || !client->partial) fail("memory");
        open_connection(client);
    }
    if (operations) warmup = 0;
    measures = warmup == 0;
    uint64_t start = now(), cpu = clock_now(CLOCK_PROCESS_CPUTIME_ID);
    last_answer = start;
    for (int i = 0; i < connections; i++)
        if (clients[i].fd >= 0) send_batch(&clients[i], now());
    if (warmup > 0) {
        run(start + (uint64_t)(warmup * 1e9));
        measures = 1;
        found = failures = lost = 0;
        start = last_answer = now();
        cpu = clock_now(CLOCK_PROCESS_CPUTIME_ID);
    }
    run(operations ? UINT64_MAX : start + (uint64_t)(seconds * 1e9));
    uint64_t end = now();
    cpu = clock_now(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    // The last pause ends here, also where no answer has ended it.
    if (end - last_answer > pause_length) pause_length = end - last_answer;
    measures = 0;
    stopped = 1;
    uint64_t found_then = found;
    run(end + 20000000);
    double elapsed = (double)(end - start) / 1e9, each = counted ? (double)counted : 1;
    printf("{\"operations\":%lu,\"totalOperations\":%lu,\"seconds\":%.6f,\"perSecond\":%.1f,", counted, answered,
           elapsed, (double)counted / elapsed);
    printf("\"latency\":{\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"p999\":%.1f,\"max\":%.1f},", quantile(0.5),
           quantile(0.9), quantile(0.99), quantile(0.999), (double)longest / 1e3);
    printf("\"failures\":%lu,\"firstFailure\":\"%s\",\"found\":%lu,\"reconnects\":%lu,\"longestPause\":%.1f,", failures,
           first_failure, found_then, lost, (double)pause_length / 1e3);
    printf("\"cpuPerOperation\":%.3f,\"cpuSeconds\":%.4f,\"nextKey\":%lu}\n", (double)cpu / 1e3 / each,
           (double)cpu / 1e9, next_key);
    return failures ? 1 : 0;
}
