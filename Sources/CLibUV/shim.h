#ifndef TWINSPACE_LIBUV_SHIM_H
#define TWINSPACE_LIBUV_SHIM_H

#include <string.h>
#include <uv.h>

/* uv_process_options_t holds unions and borrowed arrays that are safest filled in C. The child's input is empty, its
   output and errors both go to this process's standard error, so that a child cannot disturb what we print. With
   `own_group` it leads a session of its own, which outlives us and can be killed as one. */
static inline int shim_spawn(
    uv_loop_t *loop, uv_process_t *process, uv_exit_cb on_exit, char **arguments, char **environment, int own_group
) {
    uv_stdio_container_t streams[3];
    memset(streams, 0, sizeof streams);
    streams[0].flags = UV_IGNORE;
    streams[1].flags = UV_INHERIT_FD;
    streams[1].data.fd = 2;
    streams[2].flags = UV_INHERIT_FD;
    streams[2].data.fd = 2;

    uv_process_options_t options;
    memset(&options, 0, sizeof options);
    options.exit_cb = on_exit;
    options.file = arguments[0];
    options.args = arguments;
    options.env = environment;
    options.flags = own_group ? UV_PROCESS_DETACHED : 0;
    options.stdio_count = 3;
    options.stdio = streams;
    return uv_spawn(loop, process, &options);
}

#endif
