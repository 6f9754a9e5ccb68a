/* The calls of uring.h, which explains them. */
#define _GNU_SOURCE
#include "uring_parts.h"

#ifdef UR_HAS_RING

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>

/* A new ring, if there is none or it is not ours to use. */
static int ensure_ring(ur_set *set) {
    if (set->ring.fd >= 0 && set->ring.forks == ring_forks)
        return 0;
    int first = set->ring.fd < 0 && set->out.arena == NULL;
    ring_drop(&set->ring);
    int error = ring_open(&set->ring);
    if (error < 0 || first)
        return error;
    set->out.renewals++;
    set->in_flight = 0;
    buffers_reset(set);
    buffers_provide(set);
    for (int index = 0; index < set->slots_used; index++) {
        slot_t *slot = &set->slots[index];
        slot->flight = IDLE;
        slot->ending = 0;
        if (slot->wanted != FREE && slot->wanted != 0)
            slot_touch(set, index);
    }
    return 0;
}

int ur_renew(ur_set *set) {
    ring_drop(&set->ring);
    return ensure_ring(set);
}

static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* --- the calls -------------------------------------------------------------------------------- */

int ur_wait(ur_set *set, int64_t timeout) {
    int64_t start = timeout > 0 ? now() : 0;
    int room = set->out.room, result;
    begin_batch(set);
    for (int again = 0;; again++) {
        int error = ensure_ring(set);
        if (error < 0)
            return error;
        error = apply_changes(set);
        result = take_turn(set, timeout != 0 && error == 0, timeout);
        if (result != -EEXIST || again > 0)
            break;
        ring_drop(&set->ring); /* it belongs to another thread */
    }
    if (set->found > 0)
        return set->found + (set->out.room != room ? UR_GREW : 0);
    if (timeout == 0 || result == -ETIME || (timeout > 0 && now() - start >= timeout))
        return 0;
    return result >= 0 || result == -EAGAIN || result == -EBUSY ? -EINTR : result;
}

/* Wait until the kernel has let go of what is in flight for a slot, or of everything. */
static void let_go(ur_set *set, const slot_t *slot) {
    while (slot != NULL ? slot->flight != IDLE || slot->ending > 0 : set->in_flight > 0) {
        int result = take_turn(set, 1, 0);
        if (result < 0 && result != -EINTR) {
            ring_drop(&set->ring); /* another thread's: whatever it holds goes with it */
            return;
        }
    }
}

int ur_remove(ur_set *set, int index) {
    slot_t *slot = slot_known(set, index);
    if (slot == NULL)
        return -EBADF;
    int room = set->out.room;
    begin_batch(set);
    if (set->ring.forks != ring_forks)
        ring_drop(&set->ring);
    if (set->ring.fd >= 0) {
        if (slot->flight == IDLE || slot_cancel(set, slot, index) == 0)
            let_go(set, slot);
        else
            ring_drop(&set->ring);
    }
    slot->flight = IDLE;
    slot->wanted = FREE;
    if (!slot->changed) { /* else it is freed when the list of changes is walked */
        slot->next = set->free;
        set->free = index;
    }
    return set->found + (set->out.room != room ? UR_GREW : 0);
}

static int put_messages(ur_set *set, const rx_messages *messages, const char *bytes, int count) {
    for (int i = 0; i < count; bytes += messages->sizes[i++]) {
        struct io_uring_sqe *sqe =
            ring_request(&set->ring, IORING_OP_SEND, messages->fds[i], MESSAGE | (uint32_t)i);
        if (sqe == NULL)
            return -EBUSY;
        sqe->addr = (uint64_t)(uintptr_t)bytes;
        sqe->len = (uint32_t)messages->sizes[i];
        sqe->msg_flags = MSG_DONTWAIT | MSG_NOSIGNAL;
        set->unsent++;
    }
    return 0;
}

int ur_send(ur_set *set, rx_messages *messages, const char *bytes, int count, int collect) {
    int room = set->out.room, unfinished = 0;
    int32_t *sent = messages->sent;
    begin_batch(set);
    for (int i = 0; i < count; i++)
        sent[i] = -EINPROGRESS;
    set->sent = sent;
    set->unsent = 0;
    if (ensure_ring(set) == 0) {
        int result = put_messages(set, messages, bytes, count);
        if (result == 0 && collect)
            apply_changes(set);
        if (collect) {
            result = take_turn(set, 0, 0);
        } else {
            result = ring_enter(&set->ring, 0, 0, 0);
            take_answers(set);
        }
        /* Sends do not wait, so all answers are there, unless there were too many for the ring. */
        while (set->unsent > 0 && (result >= 0 || result == -EINTR))
            result = take_turn(set, 1, 0);
        if (set->unsent > 0)
            ring_drop(&set->ring); /* it takes nothing more, or is another thread's */
    }
    for (int i = 0; i < count; i++) {
        size_t size = (size_t)messages->sizes[i];
        if (sent[i] == -EINPROGRESS) { /* the ring did not take it */
            ssize_t taken = send(messages->fds[i], bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
            sent[i] = taken < 0 ? -errno : (int32_t)taken;
        }
        unfinished |= sent[i] < messages->sizes[i];
        bytes += size;
    }
    return set->found + (set->out.room != room ? UR_GREW : 0) + (unfinished ? UR_UNSENT : 0);
}

/* --- beginning and end ------------------------------------------------------------------------ */

ur_set *ur_open(int *error) {
    ur_set *set = calloc(1, sizeof *set);
    *error = -ENOMEM;
    if (set == NULL)
        return NULL;
    set->free = set->changes = -1;
    set->ring.fd = -1;
    set->provided = UR_PROVIDED;
    *error = ensure_ring(set);
    if (*error == 0) {
        set->out.arena = ring_map(-1, (size_t)UR_BUFFERS * UR_BUFFER, 0);
        set->lent = calloc(UR_BUFFERS, sizeof *set->lent);
        set->spare = calloc(UR_BUFFERS, sizeof *set->spare);
        if (set->out.arena == NULL || set->lent == NULL || set->spare == NULL ||
            grow_slots(set, FIRST_SLOTS) < 0 || grow_events(set, FIRST_EVENTS) < 0)
            *error = -ENOMEM;
    }
    if (*error < 0) {
        ur_close(set);
        return NULL;
    }
    buffers_reset(set);
    buffers_provide(set);
    return set;
}

void ur_close(ur_set *set) {
    if (set->ring.fd >= 0 && set->ring.forks == ring_forks && set->in_flight > 0) {
        struct io_uring_sqe *sqe = ring_request(&set->ring, IORING_OP_ASYNC_CANCEL, -1, NOBODY);
        if (sqe != NULL) {
            sqe->cancel_flags = IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL;
            begin_batch(set);
            let_go(set, NULL);
        }
    }
    ring_drop(&set->ring);
    if (set->out.arena != NULL)
        munmap(set->out.arena, (size_t)UR_BUFFERS * UR_BUFFER);
    free(set->lent);
    free(set->spare);
    free(set->slots);
    free(set->out.slots);
    free(set->out.ready);
    free(set->out.sizes);
    free(set->out.places);
    free(set);
}

ur_results *ur_look(ur_set *set) { return &set->out; }

#else /* the header is absent or too old: a set that cannot be opened */

#include <errno.h>
#include <stddef.h>

ur_set *ur_open(int *error) {
    *error = -ENOSYS;
    return NULL;
}

#define UNUSED __attribute__((unused))

void ur_close(UNUSED ur_set *set) {}
ur_results *ur_look(UNUSED ur_set *set) { return NULL; }
int ur_add(UNUSED ur_set *set, UNUSED int fd, UNUSED uint32_t interest) { return -ENOSYS; }
int ur_modify(UNUSED ur_set *set, UNUSED int slot, UNUSED uint32_t interest) { return -ENOSYS; }
int ur_interest(UNUSED ur_set *set, UNUSED int slot) { return -ENOSYS; }
int ur_receive(UNUSED ur_set *set, UNUSED int slot) { return -ENOSYS; }
void ur_receive_nothing(UNUSED ur_set *set) {}
int ur_remove(UNUSED ur_set *set, UNUSED int slot) { return -ENOSYS; }
int ur_renew(UNUSED ur_set *set) { return -ENOSYS; }
int ur_wait(UNUSED ur_set *set, UNUSED int64_t timeout) { return -ENOSYS; }
int ur_send(UNUSED ur_set *set, UNUSED rx_messages *messages, UNUSED const char *bytes,
            UNUSED int count, UNUSED int collect) {
    return -ENOSYS;
}

#endif
