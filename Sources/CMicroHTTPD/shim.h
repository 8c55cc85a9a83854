#ifndef TWINSPACE_MICROHTTPD_SHIM_H
#define TWINSPACE_MICROHTTPD_SHIM_H

#include <microhttpd.h>

/* libmicrohttpd's daemon functions take variable arguments, which Swift cannot call. */

/* `listener` is a bound, listening, non-blocking socket, which the daemon owns once it has started. Limits:
   connections as a count, memory a connection in bytes (it bounds the request's line and headers), idle time in
   seconds. */
static inline struct MHD_Daemon *shim_start_daemon(
    int listener, unsigned int connection_limit, size_t memory_limit, unsigned int idle_seconds,
    MHD_AccessHandlerCallback on_request, void *on_request_context,
    MHD_RequestCompletedCallback on_completed, void *on_completed_context
) {
    return MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, on_request_context,
        MHD_OPTION_LISTEN_SOCKET, (MHD_socket)listener,
        MHD_OPTION_CONNECTION_LIMIT, connection_limit,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, memory_limit,
        MHD_OPTION_CONNECTION_TIMEOUT, idle_seconds,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, on_completed_context,
        MHD_OPTION_END);
}

/* The descriptor that becomes readable when MHD_run has something to do; -1 where there is none. */
static inline int shim_epoll_descriptor(struct MHD_Daemon *daemon) {
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_EPOLL_FD);
    return info ? info->epoll_fd : -1;
}

#endif
