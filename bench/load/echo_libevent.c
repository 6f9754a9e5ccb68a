/* An echo server on libevent: one persistent event for each peer. */
#include "echo_peer.h"
#include <event2/event.h>

struct watched {
    struct peer *peer;
    struct event *event;
};

static struct event_base *base;

static void serve(evutil_socket_t fd, short ready, void *argument) {
    struct watched *watched = argument;
    struct peer *peer = watched->peer;
    (void)ready;
    enum want wants = peer_serve(peer);
    if (wants == WANT_CLOSE) {
        event_free(watched->event);
        peer_free(peer);
        free(watched);
    } else if (wants != peer->wants) {
        peer->wants = wants;
        event_del(watched->event);
        event_assign(watched->event, base, fd,
                     (wants == WANT_WRITE ? EV_WRITE : EV_READ) | EV_PERSIST, serve, watched);
        event_add(watched->event, NULL);
    }
}

static void accept_all(evutil_socket_t listener, short ready, void *argument) {
    struct peer *peer;
    (void)ready;
    (void)argument;
    while ((peer = peer_accept(listener)) != NULL) {
        struct watched *watched = malloc(sizeof *watched);
        if (watched == NULL)
            die("malloc");
        watched->peer = peer;
        watched->event = event_new(base, peer->fd, EV_READ | EV_PERSIST, serve, watched);
        event_add(watched->event, NULL);
    }
}

int main(int count, char **arguments) {
    base = event_base_new();
    int listener = listen_and_tell(count > 1 ? atoi(arguments[1]) : 0, event_get_version());
    event_add(event_new(base, listener, EV_READ | EV_PERSIST, accept_all, NULL), NULL);
    return event_base_dispatch(base);
}
