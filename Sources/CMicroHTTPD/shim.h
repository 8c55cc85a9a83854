#ifndef TWINSPACE_MICROHTTPD_SHIM_H
#define TWINSPACE_MICROHTTPD_SHIM_H

#include <microhttpd.h>

/* libmicrohttpd's daemon functions take variable arguments, which Swift cannot call. */

/* It does not listen: connections are given to it. Limits: connections as a count, memory a connection in bytes (it
   bounds the request's line and headers), idle time in seconds. */
static inline struct MHD_Daemon *shim_start_daemon(
    unsigned int connection_limit, size_t memory_limit, unsigned int idle_seconds,
    MHD_AccessHandlerCallback on_request, MHD_RequestCompletedCallback on_completed,
    MHD_NotifyConnectionCallback on_connection, void *context
) {
    return MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_NO_LISTEN_SOCKET, 0, NULL, NULL, on_request, context,
        MHD_OPTION_CONNECTION_LIMIT, connection_limit,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, memory_limit,
        MHD_OPTION_CONNECTION_TIMEOUT, idle_seconds,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, context,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, context,
        MHD_OPTION_END);
}

/* The descriptor that becomes readable when MHD_run has something to do; -1 where there is none. */
static inline int shim_epoll_descriptor(struct MHD_Daemon *daemon) {
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_EPOLL_FD);
    return info ? info->epoll_fd : -1;
}

/* The socket of a connection; -1 where there is none. */
static inline int shim_connection_descriptor(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info ? (int)info->connect_fd : -1;
}

#endif
