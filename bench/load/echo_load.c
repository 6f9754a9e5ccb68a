/* The load of the echo benchmark: a closed loop over many connections.
 *
 *     echo_load PORT CONNECTIONS SIZE SECONDS WARMUP SERVER_PID
 *
 * Every connection sends one message of SIZE bytes, waits until all of it has come back, and sends
 * the next. During the warm-up, which lasts WARMUP seconds and until every connection has had one
 * echo, each byte that returns is compared with what was sent. Then the window of SECONDS opens, in
 * which messages are counted and timed, from the first send to the last byte received.
 *
 * Both CPU clocks, the server's and our own, are read at the two ends of that window and nowhere
 * else, so neither start-up nor accepting is in the figures. The server's is the kernel's clock of
 * all CPU time of that process: what /proc/PID/stat shows, in nanoseconds and not in ticks.
 *
 * One line of JSON comes out. `..._cpu` is the CPU time used, `..._queued` the time spent ready to run
 * while somebody else had the core. Load that was running or queued nearly all of `seconds` never
 * waited for the server: then it was the bottleneck. Anything that goes wrong is said on standard error, with status 1. SIGALRM ends a run that hangs.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* What a run may take beyond its window and warm-up, in seconds. */
#define PATIENCE 30

#define BATCH 1024
#define RECEIVE_SIZE (256 * 1024)

/* Latencies are counted in buckets: 64 for each doubling, so a bucket is at most 1.6% wide. */
#define SUB_BITS 6
#define SUB (1 << SUB_BITS)
#define BUCKETS (SUB * (64 - SUB_BITS))

struct connection {
    int fd;
    size_t sent;      /* of the message that is under way */
    size_t received;  /* of its echo */
    uint64_t begin;   /* when it was begun, in ns */
    uint64_t echoes;
    int wants_write;
};

static const char *message;
static size_t size;
static char inbox[RECEIVE_SIZE];
static uint64_t histogram[BUCKETS];
static uint64_t messages, slowest;
static long without_echo;
static int warming_up = 1;
static int epoll_fd;

static _Noreturn void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("echo_load: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

static uint64_t read_clock(clockid_t clock) {
    struct timespec now;
    if (clock_gettime(clock, &now) != 0)
        fail("a clock cannot be read: %s; has the server ended?", strerror(errno));
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Nanoseconds that the first thread of a process waited for a core; 0 where that is not told. */
static uint64_t read_queued(const char *process) {
    char path[64];
    unsigned long long queued = 0;
    snprintf(path, sizeof path, "/proc/%s/schedstat", process);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%*u %llu", &queued) != 1)
        queued = 0;
    fclose(file);
    return queued;
}

static unsigned bucket_of(uint64_t value) {
    if (value < SUB)
        return (unsigned)value;
    unsigned shift = 63 - (unsigned)__builtin_clzll(value) - SUB_BITS;
    return (shift + 1) * SUB + (unsigned)((value >> shift) - SUB);
}

/* The middle of a bucket: the inverse of `bucket_of`, up to the width of one. */
static uint64_t value_of(unsigned bucket) {
    if (bucket < SUB)
        return bucket;
    unsigned shift = bucket / SUB - 1;
    uint64_t low = (uint64_t)(SUB + bucket % SUB) << shift;
    return low + (((uint64_t)1 << shift) >> 1);
}

static double percentile(double share) {
    uint64_t wanted = (uint64_t)(share * (double)messages), seen = 0;
    for (unsigned bucket = 0; bucket < BUCKETS; bucket++) {
        seen += histogram[bucket];
        if (seen > wanted)
            return (double)value_of(bucket) / 1e3;
    }
    return (double)slowest / 1e3;
}

static void watch(struct connection *connection, int operation, int wants_write) {
    struct epoll_event event = {
        .events = EPOLLIN | (wants_write ? (uint32_t)EPOLLOUT : 0),
        .data.ptr = connection,
    };
    if (epoll_ctl(epoll_fd, operation, connection->fd, &event) != 0)
        fail("epoll_ctl: %s", strerror(errno));
    connection->wants_write = wants_write;
}

static void go_on_sending(struct connection *connection) {
    while (connection->sent < size) {
        ssize_t taken = send(connection->fd, message + connection->sent, size - connection->sent,
                             MSG_NOSIGNAL | MSG_DONTWAIT);
        if (taken < 0 && errno != EAGAIN)
            fail("send: %s", strerror(errno));
        if (taken < 0)
            break;
        connection->sent += (size_t)taken;
    }
    if (connection->wants_write != (connection->sent < size))
        watch(connection, EPOLL_CTL_MOD, connection->sent < size);
}

static void complete(struct connection *connection) {
    uint64_t now = read_clock(CLOCK_MONOTONIC), took = now - connection->begin;
    if (connection->echoes++ == 0)
        without_echo--;
    messages++;
    histogram[bucket_of(took)]++;
    if (took > slowest)
        slowest = took;
    connection->begin = now;
    connection->sent = connection->received = 0;
    go_on_sending(connection);
}

static void receive(struct connection *connection) {
    ssize_t count = recv(connection->fd, inbox, sizeof inbox, MSG_DONTWAIT);
    if (count < 0 && errno == EAGAIN)
        return;
    if (count <= 0)
        fail("a connection ended: %s", count == 0 ? "closed by the server" : strerror(errno));
    if (connection->received + (size_t)count > connection->sent)
        fail("more came back than was sent");
    if (warming_up && memcmp(inbox, message + connection->received, (size_t)count) != 0)
        fail("what came back is not what was sent");
    connection->received += (size_t)count;
    if (connection->received == size)
        complete(connection);
}

static void turn(int timeout) {
    static struct epoll_event events[BATCH];
    int count = epoll_wait(epoll_fd, events, BATCH, timeout);
    if (count < 0 && errno != EINTR)
        fail("epoll_wait: %s", strerror(errno));
    for (int index = 0; index < count; index++) {
        struct connection *connection = events[index].data.ptr;
        if (events[index].events & EPOLLOUT)
            go_on_sending(connection);
        if (events[index].events & ~(uint32_t)EPOLLOUT)
            receive(connection);
    }
}

static int connect_to(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        fail("cannot connect to port %d: %s", port, strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

/* A period that no power of two divides, so that a piece that went missing or twice is noticed. */
static const char *make_message(void) {
    char *bytes = malloc(size);
    if (bytes == NULL)
        fail("no memory for a message of %zu bytes", size);
    for (size_t index = 0; index < size; index++)
        bytes[index] = (char)(index % 251);
    return bytes;
}

static void open_all(long count, int port) {
    struct connection *all = calloc((size_t)count, sizeof *all);
    if (all == NULL)
        fail("no memory for %ld connections", count);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    for (long index = 0; index < count; index++) {
        all[index].fd = connect_to(port);
        watch(&all[index], EPOLL_CTL_ADD, 0);
    }
    without_echo = count;
    for (long index = 0; index < count; index++) {
        all[index].begin = read_clock(CLOCK_MONOTONIC);
        go_on_sending(&all[index]);
    }
}

int main(int count, char **arguments) {
    if (count != 7)
        fail("usage: echo_load PORT CONNECTIONS SIZE SECONDS WARMUP SERVER_PID");
    int port = atoi(arguments[1]);
    long connections = atol(arguments[2]);
    size = (size_t)atol(arguments[3]);
    double seconds = atof(arguments[4]), warmup = atof(arguments[5]);
    if (port < 1 || connections < 1 || size < 1 || seconds <= 0 || warmup < 0)
        fail("port, connections, size and seconds are numbers from 1 on; warm-up from 0 on");
    clockid_t server_clock;
    if (clock_getcpuclockid((pid_t)atol(arguments[6]), &server_clock) != 0)
        fail("there is no process %s", arguments[6]);
    alarm((unsigned)(seconds + warmup) + PATIENCE);
    message = make_message();
    open_all(connections, port);

    uint64_t opening = read_clock(CLOCK_MONOTONIC) + (uint64_t)(warmup * 1e9);
    while (without_echo > 0 || read_clock(CLOCK_MONOTONIC) < opening)
        turn(1);
    warming_up = 0;
    memset(histogram, 0, sizeof histogram);
    messages = slowest = 0;

    uint64_t begin = read_clock(CLOCK_MONOTONIC), end = begin + (uint64_t)(seconds * 1e9);
    uint64_t server = read_clock(server_clock), own = read_clock(CLOCK_PROCESS_CPUTIME_ID);
    uint64_t server_queued = read_queued(arguments[6]), own_queued = read_queued("self");
    while (read_clock(CLOCK_MONOTONIC) < end)
        turn(10);
    server = read_clock(server_clock) - server;
    own = read_clock(CLOCK_PROCESS_CPUTIME_ID) - own;
    server_queued = read_queued(arguments[6]) - server_queued;
    own_queued = read_queued("self") - own_queued;
    printf("{\"messages\": %llu, \"seconds\": %.6f, "
           "\"server_cpu\": %.6f, \"server_queued\": %.6f, "
           "\"load_cpu\": %.6f, \"load_queued\": %.6f, "
           "\"p50\": %.1f, \"p90\": %.1f, \"p99\": %.1f, \"max\": %.1f}\n",
           (unsigned long long)messages, (double)(read_clock(CLOCK_MONOTONIC) - begin) / 1e9,
           (double)server / 1e9, (double)server_queued / 1e9, (double)own / 1e9,
           (double)own_queued / 1e9, percentile(0.50), percentile(0.90),
           percentile(0.99), (double)slowest / 1e3);
    return 0;
}
