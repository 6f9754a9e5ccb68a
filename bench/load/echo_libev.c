/* An echo server on libev: one ev_io for each peer. */
#include "echo_peer.h"
#include <ev.h>

struct watched {
    ev_io io; /* first, so that a pointer to it is a pointer to us */
    struct peer *peer;
};

static void serve(struct ev_loop *loop, ev_io *io, int ready) {
    struct peer *peer = ((struct watched *)io)->peer;
    (void)ready;
    enum want wants = peer_serve(peer);
    if (wants == WANT_CLOSE) {
        ev_io_stop(loop, io);
        peer_free(peer);
        free(io);
    } else if (wants != peer->wants) {
        peer->wants = wants;
        ev_io_stop(loop, io);
        ev_io_set(io, peer->fd, wants == WANT_WRITE ? EV_WRITE : EV_READ);
        ev_io_start(loop, io);
    }
}

static void accept_all(struct ev_loop *loop, ev_io *io, int ready) {
    struct peer *peer;
    (void)ready;
    while ((peer = peer_accept(io->fd)) != NULL) {
        struct watched *watched = malloc(sizeof *watched);
        if (watched == NULL)
            die("malloc");
        watched->peer = peer;
        ev_io_init(&watched->io, serve, peer->fd, EV_READ);
        ev_io_start(loop, &watched->io);
    }
}

int main(int count, char **arguments) {
    struct ev_loop *loop = ev_default_loop(0);
    char version[32];
    snprintf(version, sizeof version, "%d.%d", ev_version_major(), ev_version_minor());
    ev_io accepting;
    ev_io_init(&accepting, accept_all,
               listen_and_tell(count > 1 ? atoi(arguments[1]) : 0, version), EV_READ);
    ev_io_start(loop, &accepting);
    ev_run(loop, 0);
    return 0;
}
