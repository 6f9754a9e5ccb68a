/* An echo server on libuv's streams: what uvloop and Node stand on, without them. */
#include "echo_peer.h"
#include <uv.h>

struct rest {
    uv_write_t request;
    char bytes[];
};

static void allocate(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer) {
    static char shared[RECEIVE_SIZE];
    (void)handle;
    (void)suggested;
    *buffer = uv_buf_init(shared, sizeof shared);
}

static void freed(uv_handle_t *handle) { free(handle); }

static void written(uv_write_t *request, int status) {
    (void)status;
    free(request);
}

static void serve(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer) {
    if (count < 0)
        uv_close((uv_handle_t *)stream, freed);
    if (count <= 0)
        return;
    uv_buf_t answer = uv_buf_init(buffer->base, (unsigned)count);
    int taken = uv_try_write(stream, &answer, 1);
    taken = taken < 0 ? 0 : taken;
    if (taken == count)
        return;
    struct rest *rest = malloc(sizeof *rest + (size_t)(count - taken));
    if (rest == NULL)
        die("malloc");
    memcpy(rest->bytes, buffer->base + taken, (size_t)(count - taken));
    answer = uv_buf_init(rest->bytes, (unsigned)(count - taken));
    uv_write(&rest->request, stream, &answer, 1, written);
}

static void accept_one(uv_stream_t *listener, int status) {
    uv_tcp_t *peer = malloc(sizeof *peer);
    if (peer == NULL || status < 0)
        die("accept");
    uv_tcp_init(listener->loop, peer);
    if (uv_accept(listener, (uv_stream_t *)peer) != 0) {
        uv_close((uv_handle_t *)peer, freed);
        return;
    }
    uv_tcp_nodelay(peer, 1);
    uv_read_start((uv_stream_t *)peer, allocate, serve);
}

int main(int count, char **arguments) {
    uv_tcp_t listener;
    uv_tcp_init(uv_default_loop(), &listener);
    uv_tcp_open(&listener, listen_and_tell(count > 1 ? atoi(arguments[1]) : 0,
                                           uv_version_string()));
    uv_listen((uv_stream_t *)&listener, BACKLOG, accept_one);
    return uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}
