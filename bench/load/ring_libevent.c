/* The ring of bench/ring.py on libevent itself, in C: what the same work costs without Python.
 *
 *     ring_libevent PAIRS ACTIVE WRITES TIMERS
 *
 * For every line on standard input one run is done, and its figures are written as one line:
 * nanoseconds in the loop, nanoseconds with registration, passes, bytes read. So runs can be taken
 * in turns with those of other loops. A run is exactly that of `ring.run_once`: add all events, one
 * pass that does not sleep, a byte to ACTIVE pairs, clock on, turn until all is read, clock off,
 * delete all events. With TIMERS not 0, each event has a timeout as well, which libevent sets anew
 * at every read by itself.
 */
#define _GNU_SOURCE
#include <event2/event.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct pair {
    int ends[2];
    struct event *event;
};

static struct pair *ring;
static struct event_base *base;
static long pairs, writes_left, received, fired;

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void pass_on(long index) {
    if (send(ring[index % pairs].ends[1], "e", 1, 0) != 1)
        fail("send");
}

static void on_readable(evutil_socket_t fd, short ready, void *argument) {
    long index = (struct pair *)argument - ring;
    char byte;
    if (ready & EV_TIMEOUT)
        fail("a timeout of the benchmark was reached");
    if (recv(fd, &byte, 1, 0) != 1)
        fail("recv");
    received++;
    if (writes_left > 0) {
        writes_left--;
        fired++;
        pass_on(index + 1);
    }
}

static void run_once(long active, long writes, int timers) {
    struct timeval timeout = {.tv_sec = 10};
    long passes = 0;
    received = 0;
    writes_left = writes;
    uint64_t begin = now();
    for (long index = 0; index < pairs; index++) {
        struct pair *pair = &ring[index];
        event_assign(pair->event, base, pair->ends[0], EV_READ | EV_PERSIST, on_readable, pair);
        event_add(pair->event, timers ? &timeout : NULL);
    }
    event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
    for (long index = 0; index < active; index++)
        pass_on(index * (pairs / active));
    fired = active;
    uint64_t start = now();
    while (received < fired) {
        event_base_loop(base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
        passes++;
    }
    uint64_t end = now();
    for (long index = 0; index < pairs; index++)
        event_del(ring[index].event);
    printf("%llu %llu %ld %ld\n", (unsigned long long)(end - start),
           (unsigned long long)(end - begin), passes, received);
    fflush(stdout);
}

int main(int count, char **arguments) {
    char line[16];
    struct rlimit limit;
    if (count != 5) {
        fprintf(stderr, "usage: ring_libevent PAIRS ACTIVE WRITES TIMERS\n");
        return 2;
    }
    pairs = atol(arguments[1]);
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    ring = calloc((size_t)pairs, sizeof *ring);
    base = event_base_new();
    if (ring == NULL || base == NULL)
        fail("memory");
    for (long index = 0; index < pairs; index++) {
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ring[index].ends) != 0)
            fail("socketpair");
        ring[index].event = malloc(event_get_struct_event_size());
        if (ring[index].event == NULL)
            fail("memory");
    }
    while (fgets(line, sizeof line, stdin) != NULL)
        run_once(atol(arguments[2]), atol(arguments[3]), atoi(arguments[4]));
    return 0;
}
