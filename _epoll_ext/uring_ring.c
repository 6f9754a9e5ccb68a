/* The ring: three system calls, and the memory that they share with us. See uring.h. */
#define _GNU_SOURCE
#include "uring_parts.h"

#ifdef UR_HAS_RING

#include <linux/time_types.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

unsigned ring_forks;
static pthread_once_t forks_once = PTHREAD_ONCE_INIT;

static void count_fork(void) { ring_forks++; }

static void watch_forks(void) { pthread_atfork(NULL, NULL, count_fork); }

void ring_drop(ring_t *ring) {
    if (ring->rings != NULL)
        munmap(ring->rings, ring->rings_size);
    if (ring->requests != NULL)
        munmap(ring->requests, ring->requests_size);
    if (ring->buffers != NULL)
        munmap(ring->buffers, UR_BUFFERS * sizeof(struct io_uring_buf));
    if (ring->fd >= 0)
        close(ring->fd);
    memset(ring, 0, sizeof *ring);
    ring->fd = -1;
}

void *ring_map(int fd, size_t size, uint64_t offset) {
    int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED | MAP_POPULATE;
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, (off_t)offset);
    return memory == MAP_FAILED ? NULL : memory;
}

static int map_rings(ring_t *ring, const struct io_uring_params *params) {
    size_t requests = params->sq_off.array + params->sq_entries * sizeof(uint32_t);
    size_t answers = params->cq_off.cqes + params->cq_entries * sizeof(struct io_uring_cqe);
    ring->rings_size = requests > answers ? requests : answers;
    ring->requests_size = params->sq_entries * sizeof(struct io_uring_sqe);
    ring->rings = ring_map(ring->fd, ring->rings_size, IORING_OFF_SQ_RING);
    ring->requests = ring_map(ring->fd, ring->requests_size, IORING_OFF_SQES);
    ring->buffers = ring_map(-1, UR_BUFFERS * sizeof(struct io_uring_buf), 0);
    if (ring->rings == NULL || ring->requests == NULL || ring->buffers == NULL)
        return -ENOMEM;
    ring->head = (_Atomic uint32_t *)(ring->rings + params->sq_off.head);
    ring->tail = (_Atomic uint32_t *)(ring->rings + params->sq_off.tail);
    ring->flags = (_Atomic uint32_t *)(ring->rings + params->sq_off.flags);
    ring->answered = (_Atomic uint32_t *)(ring->rings + params->cq_off.head);
    ring->answers = (_Atomic uint32_t *)(ring->rings + params->cq_off.tail);
    ring->cqes = (struct io_uring_cqe *)(ring->rings + params->cq_off.cqes);
    ring->room = params->sq_entries;
    ring->mask = params->sq_entries - 1;
    ring->answers_mask = params->cq_entries - 1;
    /* Requests are used in the order of their places. */
    uint32_t *order = (uint32_t *)(ring->rings + params->sq_off.array);
    for (uint32_t i = 0; i < params->sq_entries; i++)
        order[i] = i;
    return 0;
}

int ring_open(ring_t *ring) {
    struct io_uring_params params = {
        .flags = IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER |
                 IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
        .cq_entries = ANSWERS,
    };
    pthread_once(&forks_once, watch_forks);
    ring->forks = ring_forks;
    ring->fd = (int)syscall(SYS_io_uring_setup, QUEUE, &params);
    int error = ring->fd < 0 ? -errno : map_rings(ring, &params);
    if (error == 0) {
        struct io_uring_buf_reg buffers = {
            .ring_addr = (uint64_t)(uintptr_t)ring->buffers,
            .ring_entries = UR_BUFFERS,
        };
        if (syscall(SYS_io_uring_register, ring->fd, IORING_REGISTER_PBUF_RING, &buffers, 1) < 0)
            error = -errno;
    }
    if (error < 0)
        ring_drop(ring);
    return error;
}

int ring_enter(ring_t *ring, unsigned least, int collect, int64_t timeout) {
    struct __kernel_timespec limit = {timeout / 1000000000, timeout % 1000000000};
    struct io_uring_getevents_arg extra = {
        .ts = timeout > 0 ? (uint64_t)(uintptr_t)&limit : 0,
    };
    atomic_store_explicit(ring->tail, ring->filled, memory_order_release);
    unsigned count = ring->filled - atomic_load_explicit(ring->head, memory_order_acquire);
    unsigned flags = IORING_ENTER_EXT_ARG | (collect ? IORING_ENTER_GETEVENTS : 0);
    long result =
        syscall(SYS_io_uring_enter, ring->fd, count, least, flags, &extra, sizeof extra);
    return result < 0 ? -errno : (int)result;
}

static unsigned waiting(ring_t *ring) {
    return ring->filled - atomic_load_explicit(ring->head, memory_order_acquire);
}

struct io_uring_sqe *ring_request(ring_t *ring, int opcode, int fd, uint64_t data) {
    if (waiting(ring) == ring->room && (ring_enter(ring, 0, 0, 0) < 0 || waiting(ring) == ring->room))
        return NULL;
    struct io_uring_sqe *sqe = &ring->requests[ring->filled++ & ring->mask];
    memset(sqe, 0, sizeof *sqe);
    sqe->opcode = (uint8_t)opcode;
    sqe->fd = fd;
    sqe->user_data = data;
    return sqe;
}

/* --- buffers ---------------------------------------------------------------------------------- */

void buffers_provide(ur_set *set) {
    ring_t *ring = &set->ring;
    while (set->lent_count > 0)
        set->spare[set->spare_count++] = set->lent[--set->lent_count];
    int missing = set->spare_count - (UR_BUFFERS - set->provided);
    if (missing <= 0)
        return;
    for (; missing > 0; missing--) {
        uint16_t number = set->spare[--set->spare_count];
        struct io_uring_buf *buffer =
            &ring->buffers->bufs[ring->buffers_tail++ & (UR_BUFFERS - 1)];
        buffer->addr = (uint64_t)(uintptr_t)(set->out.arena + (size_t)number * UR_BUFFER);
        buffer->len = UR_BUFFER;
        buffer->bid = number;
    }
    atomic_store_explicit((_Atomic uint16_t *)&ring->buffers->tail, ring->buffers_tail,
                          memory_order_release);
}

void buffers_reset(ur_set *set) {
    set->lent_count = 0;
    set->spare_count = 0;
    for (int i = UR_BUFFERS - 1; i >= 0; i--)
        set->spare[set->spare_count++] = (uint16_t)i;
}

#endif
