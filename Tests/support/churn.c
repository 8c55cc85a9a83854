// Opens and resets TCP connections as fast as it can; prints how many came about.
//
// usage: churn SOURCE-ADDRESS PORT MILLISECONDS
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static long milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int main(int count, char **arguments) {
    if (count != 4) return 2;
    struct sockaddr_in source = {.sin_family = AF_INET}, target = {.sin_family = AF_INET};
    inet_pton(AF_INET, arguments[1], &source.sin_addr);
    inet_pton(AF_INET, "127.0.0.1", &target.sin_addr);
    target.sin_port = htons((unsigned short)atoi(arguments[2]));
    struct linger reset = {.l_onoff = 1};
    struct timeval patience = {.tv_sec = 1};
    int late = 1;
    long end = milliseconds() + atol(arguments[3]), made = 0;
    while (milliseconds() < end) {
        int connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connection < 0) return 1;
        setsockopt(connection, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        setsockopt(connection, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        setsockopt(connection, SOL_IP, IP_BIND_ADDRESS_NO_PORT, &late, sizeof late);
        if (bind(connection, (struct sockaddr *)&source, sizeof source) == 0 &&
            connect(connection, (struct sockaddr *)&target, sizeof target) == 0)
            made++;
        close(connection);
    }
    printf("%ld\n", made);
    return 0;
}
