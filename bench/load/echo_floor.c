/* The floor: an echo server of nothing but epoll, recv and send. No loop can do with less. */
#include "echo_peer.h"
#include <sys/epoll.h>

#define BATCH 1024

static int epoll_fd;

static void watch(int operation, int fd, uint32_t events, void *token) {
    struct epoll_event event = {.events = events, .data.ptr = token};
    if (epoll_ctl(epoll_fd, operation, fd, &event) != 0)
        die("epoll_ctl");
}

static void accept_all(int listener) {
    struct peer *peer;
    while ((peer = peer_accept(listener)) != NULL)
        watch(EPOLL_CTL_ADD, peer->fd, EPOLLIN, peer);
}

static void serve(struct peer *peer) {
    enum want wants = peer_serve(peer);
    if (wants == WANT_CLOSE) {
        peer_free(peer);
    } else if (wants != peer->wants) {
        peer->wants = wants;
        watch(EPOLL_CTL_MOD, peer->fd, wants == WANT_WRITE ? EPOLLOUT : EPOLLIN, peer);
    }
}

int main(int count, char **arguments) {
    struct epoll_event events[BATCH];
    int listener = listen_and_tell(count > 1 ? atoi(arguments[1]) : 0, "epoll");
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    watch(EPOLL_CTL_ADD, listener, EPOLLIN, NULL);
    for (;;) {
        int ready = epoll_wait(epoll_fd, events, BATCH, -1);
        for (int index = 0; index < ready; index++) {
            struct peer *peer = events[index].data.ptr;
            if (peer == NULL)
                accept_all(listener);
            else
                serve(peer);
        }
    }
}
