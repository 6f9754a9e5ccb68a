/* Slots, what is asked for them, and what becomes of the answers. See uring.h. */
#define _GNU_SOURCE
#include "uring_parts.h"

#ifdef UR_HAS_RING

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

static int grow(void *array, int room, size_t size) {
    void *larger = realloc(*(void **)array, (size_t)room * size);
    if (larger == NULL)
        return -ENOMEM;
    *(void **)array = larger;
    return 0;
}

int grow_slots(ur_set *set, int room) {
    int error = grow(&set->slots, room, sizeof *set->slots);
    if (error == 0)
        set->slots_room = room;
    return error;
}

int grow_events(ur_set *set, int room) {
    if (grow(&set->out.slots, room, sizeof *set->out.slots) < 0 ||
        grow(&set->out.ready, room, sizeof *set->out.ready) < 0 ||
        grow(&set->out.sizes, room, sizeof *set->out.sizes) < 0 ||
        grow(&set->out.places, room, sizeof *set->out.places) < 0)
        return -ENOMEM;
    set->out.room = room;
    return 0;
}

/* --- slots ------------------------------------------------------------------------------------ */

void slot_touch(ur_set *set, int index) {
    slot_t *slot = &set->slots[index];
    if (!slot->changed) {
        slot->changed = 1;
        slot->next = set->changes;
        set->changes = index;
    }
}

slot_t *slot_known(ur_set *set, int index) {
    if (index < 0 || index >= set->slots_used || set->slots[index].wanted == FREE)
        return NULL;
    return &set->slots[index];
}

static int take_slot(ur_set *set) {
    if (set->free >= 0) {
        int index = set->free;
        set->free = set->slots[index].next;
        return index;
    }
    if (set->slots_used == set->slots_room && grow_slots(set, 2 * set->slots_room) < 0)
        return -ENOMEM;
    memset(&set->slots[set->slots_used], 0, sizeof *set->slots);
    return set->slots_used++;
}

int ur_add(ur_set *set, int fd, uint32_t interest) {
    if (fcntl(fd, F_GETFD) < 0)
        return -errno;
    int index = take_slot(set);
    if (index < 0)
        return index;
    slot_t *slot = &set->slots[index];
    slot->fd = fd;
    slot->wanted = interest;
    slot->before = slot->serial;
    slot->receives = slot->gone = slot->rest = 0;
    slot->ending = 0;
    if (interest)
        slot_touch(set, index);
    return index;
}

int ur_modify(ur_set *set, int index, uint32_t interest) {
    slot_t *slot = slot_known(set, index);
    if (slot == NULL)
        return -EBADF;
    slot->wanted = interest;
    slot->gone = 0;
    slot_touch(set, index);
    return 0;
}

int ur_interest(ur_set *set, int index) {
    slot_t *slot = slot_known(set, index);
    return slot == NULL ? -EBADF : (int)slot->wanted;
}

int ur_receive(ur_set *set, int index) {
    slot_t *slot = slot_known(set, index);
    if (slot == NULL)
        return -EBADF;
    slot->receives = 1;
    slot_touch(set, index);
    return 0;
}

void ur_receive_nothing(ur_set *set) {
    set->no_receiving = 1;
    for (int index = 0; index < set->slots_used; index++)
        if (set->slots[index].flight == RECEIVING)
            slot_touch(set, index);
}

/* --- requests --------------------------------------------------------------------------------- */

static uint32_t to_kernel(uint32_t interest) {
    uint32_t bits = (interest & UR_READ ? (uint32_t)EPOLLIN : 0) |
                    (interest & UR_WRITE ? (uint32_t)EPOLLOUT : 0) |
                    (interest & UR_HANGUP ? (uint32_t)EPOLLRDHUP : 0);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    bits = bits << 16 | bits >> 16; /* the kernel wants the halves swapped there */
#endif
    return bits;
}

static uint32_t from_kernel(uint32_t bits) {
    /* Everybody who watches a descriptor must hear of its end, whichever side they watch. */
    if (bits & (EPOLLERR | EPOLLHUP))
        return UR_READ | UR_WRITE | UR_HANGUP;
    return (bits & (EPOLLIN | EPOLLPRI) ? UR_READ : 0u) | (bits & EPOLLOUT ? UR_WRITE : 0u) |
           (bits & EPOLLRDHUP ? UR_HANGUP : 0u);
}

static uint64_t name(const slot_t *slot, int index) {
    return (uint64_t)slot->serial << 32 | (uint32_t)index;
}

int slot_cancel(ur_set *set, slot_t *slot, int index) {
    struct io_uring_sqe *sqe = ring_request(&set->ring, IORING_OP_ASYNC_CANCEL, -1, NOBODY);
    if (sqe == NULL)
        return -EBUSY;
    sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
    sqe->addr = name(slot, index);
    return 0;
}

static int ask(ur_set *set, slot_t *slot, int index, uint8_t flight) {
    int opcode = flight == RECEIVING ? IORING_OP_RECV : IORING_OP_POLL_ADD;
    struct io_uring_sqe *sqe = ring_request(&set->ring, opcode, slot->fd, 0);
    if (sqe == NULL)
        return -EBUSY;
    slot->serial++;
    slot->flight = flight;
    slot->watched = slot->wanted;
    sqe->user_data = name(slot, index);
    if (flight == RECEIVING) {
        sqe->flags = IOSQE_BUFFER_SELECT;
        sqe->len = UR_BUFFER;
    } else {
        sqe->poll32_events = to_kernel(slot->wanted);
    }
    set->in_flight++;
    return 0;
}

/* Have in flight for one slot what it wants. */
static int apply(ur_set *set, int index) {
    slot_t *slot = &set->slots[index];
    uint8_t flight = slot->wanted == 0 || slot->gone ? IDLE
                     : slot->receives && slot->wanted == UR_READ && !slot->rest &&
                             !set->no_receiving
                         ? RECEIVING
                         : POLLING;
    if (slot->flight == flight && (flight != POLLING || slot->watched == slot->wanted))
        return 0;
    if (slot->flight != IDLE) {
        int error = slot_cancel(set, slot, index);
        if (error < 0)
            return error;
        slot->flight = IDLE; /* its answer is recognised as outdated, bytes that it has as ours */
        slot->ending++;
    }
    return flight == IDLE ? 0 : ask(set, slot, index, flight);
}

int apply_changes(ur_set *set) {
    int index = set->changes, error = 0;
    set->changes = -1;
    while (index >= 0) {
        slot_t *slot = &set->slots[index];
        int next = slot->next;
        slot->changed = 0;
        if (slot->wanted == FREE) { /* removed since */
            slot->next = set->free;
            set->free = index;
        } else if (error < 0 || (error = apply(set, index)) < 0) {
            slot_touch(set, index);
        }
        index = next;
    }
    return error;
}

/* --- answers ---------------------------------------------------------------------------------- */

void begin_batch(ur_set *set) {
    set->batch++;
    set->found = 0;
    set->out.received = 0;
    if (set->starved && set->provided < UR_BUFFERS)
        set->provided *= 2;
    set->starved = 0;
    if (set->lent_count > 0 && set->ring.fd >= 0)
        buffers_provide(set);
}

/* Note an event; there is room for it. A slot has one, unless it brings bytes twice. */
static void tell(ur_set *set, int index, uint32_t ready, int32_t size, uint32_t place) {
    slot_t *slot = &set->slots[index];
    set->out.received += size != RX_PLAIN;
    if (slot->batch != set->batch || (size != RX_PLAIN && set->out.sizes[slot->entry] != RX_PLAIN)) {
        slot->batch = set->batch;
        slot->entry = set->found++;
        set->out.slots[slot->entry] = index;
        set->out.ready[slot->entry] = 0;
        set->out.sizes[slot->entry] = RX_PLAIN;
    }
    set->out.ready[slot->entry] |= (uint8_t)ready;
    if (size != RX_PLAIN) {
        set->out.sizes[slot->entry] = size;
        set->out.places[slot->entry] = place;
    }
}

static void take_poll(ur_set *set, slot_t *slot, int index, int32_t result) {
    if (slot->rest > 0)
        slot->rest--;
    if (result == -EBADF) {
        slot->gone = 1;
        set->out.vanished++;
    } else if (result >= 0) {
        tell(set, index, from_kernel((uint32_t)result), RX_PLAIN, 0);
    } else if (result != -ECANCELED && result != -EAGAIN && result != -ENOMEM) {
        tell(set, index, UR_READ | UR_WRITE | UR_HANGUP, RX_PLAIN, 0); /* let it find out */
    }
}

static void take_receive(ur_set *set, slot_t *slot, int index, int32_t result) {
    switch (-result) {
    case EBADF:
        slot->gone = 1;
        set->out.vanished++;
        break;
    case ENOBUFS: /* nothing is lost: it is Python's to receive this time */
        set->starved = 1;
        tell(set, index, UR_READ, RX_PLAIN, 0);
        break;
    case ECANCELED:
    case EAGAIN:
    case EINTR:
    case ENOMEM:
        break;
    default: /* the end, or a failure */
        tell(set, index, UR_READ, result == 0 ? 0 : RX_PLAIN + result, 0);
    }
}

static void take(ur_set *set, const struct io_uring_cqe *cqe) {
    uint32_t low = (uint32_t)cqe->user_data, serial = (uint32_t)(cqe->user_data >> 32);
    if (cqe->user_data == NOBODY)
        return;
    if (low & MESSAGE) {
        set->sent[low & ~MESSAGE] = cqe->res;
        set->unsent--;
        return;
    }
    int index = (int)low;
    slot_t *slot = slot_known(set, index);
    int same_owner = slot != NULL && serial - slot->before - 1 < slot->serial - slot->before;
    if (cqe->flags & IORING_CQE_F_BUFFER) {
        uint16_t buffer = (uint16_t)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
        set->lent[set->lent_count++] = buffer;
        if (same_owner && cqe->res > 0) {
            tell(set, index, UR_READ, cqe->res, (uint32_t)buffer * UR_BUFFER);
            if (cqe->res == UR_BUFFER)
                slot->rest = UR_LARGE_REST;
        }
    }
    set->in_flight--;
    if (!same_owner)
        return;
    if (slot->serial != serial || slot->flight == IDLE) {
        slot->ending--;
        return;
    }
    if (slot->flight == POLLING)
        take_poll(set, slot, index, cqe->res);
    else if (cqe->res <= 0)
        take_receive(set, slot, index, cqe->res);
    slot->flight = IDLE;
    slot_touch(set, index);
}

uint32_t take_answers(ur_set *set) {
    ring_t *ring = &set->ring;
    uint32_t begun = atomic_load_explicit(ring->answered, memory_order_relaxed), head = begun;
    while (head != atomic_load_explicit(ring->answers, memory_order_acquire)) {
        if (set->found == set->out.room && grow_events(set, 2 * set->out.room) < 0)
            break; /* what is left stays in the ring until the next call */
        take(set, &ring->cqes[head++ & ring->answers_mask]);
    }
    atomic_store_explicit(ring->answered, head, memory_order_release);
    return head - begun;
}

/* Whether the kernel may have more: answers without room in the ring, or work that it put off. It
 * does some twenty things in a call (from Linux 6.13 on), and that is enough if bytes are among them:
 * a stream had better be answered while its bytes are in the processor's cache. */
static int has_more(const ur_set *set) {
    uint32_t flags = atomic_load_explicit(set->ring.flags, memory_order_relaxed);
    return flags & IORING_SQ_CQ_OVERFLOW || (flags & IORING_SQ_TASKRUN && !set->out.received);
}

int take_turn(ur_set *set, unsigned least, int64_t timeout) {
    int result = ring_enter(&set->ring, least, 1, timeout);
    uint32_t taken = take_answers(set);
    /* Not until the flags are clear: the kernel notes work first and raises its flag then, so the
     * flag may outlive work that we have had done in between, until there is some again. */
    while (taken > 0 && has_more(set) && ring_enter(&set->ring, 0, 1, 0) >= 0)
        taken = take_answers(set);
    return result;
}

#endif
