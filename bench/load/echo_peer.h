/* What the echo servers in C have in common: everything but the loop.
 *
 * A peer is served with plain `recv` and `send`. What the kernel does not take at once is kept, and
 * nothing more is read from that peer until it is out. So each loop only has to call `peer_serve`
 * when a peer is ready, and to watch for what it returns.
 */
#ifndef ECHO_PEER_H
#define ECHO_PEER_H
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 1024
#define RECEIVE_SIZE (256 * 1024)

enum want { WANT_READ, WANT_WRITE, WANT_CLOSE };

struct peer {
    int fd;
    enum want wants;
    char *rest; /* what the kernel did not take, from `from` to `until` */
    size_t from, until;
};

static inline void die(const char *what) {
    perror(what);
    exit(1);
}

/* Listen on 127.0.0.1, tell the port on standard output with a word on what serves it. */
static inline int listen_and_tell(int port, const char *version) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&address, length) != 0 || listen(fd, BACKLOG) != 0)
        die("listen");
    getsockname(fd, (struct sockaddr *)&address, &length);
    printf("listening %d %s\n", ntohs(address.sin_port), version);
    fflush(stdout);
    return fd;
}

/* Accept one peer; NULL when nobody waits. */
static inline struct peer *peer_accept(int listener) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), one = 1;
    if (fd < 0)
        return NULL;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct peer *peer = calloc(1, sizeof *peer);
    if (peer == NULL)
        die("calloc");
    peer->fd = fd;
    return peer;
}

static inline void peer_free(struct peer *peer) {
    close(peer->fd);
    free(peer->rest);
    free(peer);
}

static inline enum want peer_write_rest(struct peer *peer) {
    ssize_t taken =
        send(peer->fd, peer->rest + peer->from, peer->until - peer->from, MSG_NOSIGNAL);
    if (taken < 0)
        return errno == EAGAIN ? WANT_WRITE : WANT_CLOSE;
    peer->from += (size_t)taken;
    if (peer->from < peer->until)
        return WANT_WRITE;
    free(peer->rest);
    peer->rest = NULL;
    return WANT_READ;
}

/* Read once and send it back, or send what is left from before. */
static inline enum want peer_serve(struct peer *peer) {
    static char buffer[RECEIVE_SIZE];
    if (peer->rest != NULL)
        return peer_write_rest(peer);
    ssize_t count = recv(peer->fd, buffer, sizeof buffer, 0);
    if (count <= 0)
        return count < 0 && errno == EAGAIN ? WANT_READ : WANT_CLOSE;
    ssize_t taken = send(peer->fd, buffer, (size_t)count, MSG_NOSIGNAL);
    if (taken < 0 && errno != EAGAIN)
        return WANT_CLOSE;
    taken = taken < 0 ? 0 : taken;
    if (taken == count)
        return WANT_READ;
    peer->until = (size_t)(count - taken);
    peer->from = 0;
    peer->rest = malloc(peer->until);
    if (peer->rest == NULL)
        die("malloc");
    memcpy(peer->rest, buffer + taken, peer->until);
    return WANT_WRITE;
}

#endif
