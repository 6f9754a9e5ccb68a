/* The demultiplexer of epoll.h, which explains it. */
#define _GNU_SOURCE
#include "epoll.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { FIRST_SLOTS = 64, FIRST_EVENTS = 256 };

/* The slot is free; nobody's interest has this value. */
#define FREE UINT32_MAX

typedef struct {
    int fd;
    uint32_t generation;
    uint32_t wanted;  /* the interest that was asked for, or FREE */
    uint32_t watched; /* the interest that the kernel knows; 0 means that it is not in its set */
    int next;         /* the next free slot, or the next changed one */
    int size;         /* bytes to ask of a receive */
    uint8_t changed;  /* it is in the list of changes */
    uint8_t receives;
    uint8_t rest; /* events to leave to Python before large input is tried here again */
} slot_t;

struct rx_set {
    int fd;
    int slots_room;
    int slots_used; /* slots above this were never given away */
    int free;       /* list of free slots, -1 at its end */
    int changes;    /* list of changed slots, -1 at its end */
    int receivers;  /* slots that receive */
    slot_t *slots;
    struct epoll_event *kernel;
    rx_results out;
};

/* --- memory ----------------------------------------------------------------------------------- */

static int grow(void **array, size_t count, size_t size) {
    void *larger = realloc(*array, count * size);
    if (larger == NULL)
        return -ENOMEM;
    *array = larger;
    return 0;
}

static int grow_slots(rx_set *set, int room) {
    int error = grow((void **)&set->slots, (size_t)room, sizeof *set->slots);
    if (error == 0)
        set->slots_room = room;
    return error;
}

static int grow_events(rx_set *set, int room) {
    if (grow((void **)&set->kernel, (size_t)room, sizeof *set->kernel) < 0 ||
        grow((void **)&set->out.slots, (size_t)room, sizeof *set->out.slots) < 0 ||
        grow((void **)&set->out.ready, (size_t)room, sizeof *set->out.ready) < 0 ||
        grow((void **)&set->out.sizes, (size_t)room, sizeof *set->out.sizes) < 0)
        return -ENOMEM;
    set->out.room = room;
    return 0;
}

rx_set *rx_open(int arena_size) {
    rx_set *set = calloc(1, sizeof *set);
    if (set == NULL)
        return NULL;
    set->free = set->changes = -1;
    set->out.arena_size = arena_size;
    set->out.arena = malloc((size_t)arena_size);
    set->fd = epoll_create1(EPOLL_CLOEXEC);
    if (set->fd < 0 || set->out.arena == NULL || grow_slots(set, FIRST_SLOTS) < 0 ||
        grow_events(set, FIRST_EVENTS) < 0) {
        rx_close(set);
        return NULL;
    }
    return set;
}

void rx_close(rx_set *set) {
    if (set->fd >= 0)
        close(set->fd);
    free(set->slots);
    free(set->kernel);
    free(set->out.slots);
    free(set->out.ready);
    free(set->out.sizes);
    free(set->out.arena);
    free(set);
}

int rx_fileno(const rx_set *set) { return set->fd; }

rx_results *rx_look(rx_set *set) { return &set->out; }

/* --- interest --------------------------------------------------------------------------------- */

static uint32_t to_kernel(uint32_t interest) {
    return (interest & RX_READ ? (uint32_t)EPOLLIN : 0) |
           (interest & RX_WRITE ? (uint32_t)EPOLLOUT : 0) |
           (interest & RX_HANGUP ? (uint32_t)EPOLLRDHUP : 0);
}

static uint32_t from_kernel(uint32_t bits) {
    /* Everybody who watches a descriptor must hear of its end, whichever side they watch. */
    if (bits & (EPOLLERR | EPOLLHUP))
        return RX_READ | RX_WRITE | RX_HANGUP;
    return (bits & (EPOLLIN | EPOLLPRI) ? RX_READ : 0u) | (bits & EPOLLOUT ? RX_WRITE : 0u) |
           (bits & EPOLLRDHUP ? RX_HANGUP : 0u);
}

/* Tell the kernel what a slot wants. A mask of nothing would still report errors, so such a slot
 * leaves the kernel's set. */
static int apply(rx_set *set, int index) {
    slot_t *slot = &set->slots[index];
    if (slot->wanted == slot->watched)
        return 0;
    int operation = slot->wanted == 0    ? EPOLL_CTL_DEL
                    : slot->watched == 0 ? EPOLL_CTL_ADD
                                         : EPOLL_CTL_MOD;
    struct epoll_event event = {
        .events = to_kernel(slot->wanted),
        .data.u64 = (uint64_t)slot->generation << 32 | (uint32_t)index,
    };
    int result = epoll_ctl(set->fd, operation, slot->fd, &event);
    if (result < 0 && errno == EEXIST) /* an old registration of this very file was never removed */
        result = epoll_ctl(set->fd, EPOLL_CTL_MOD, slot->fd, &event);
    if (result < 0)
        return -errno;
    slot->watched = slot->wanted;
    return 0;
}

static int take_slot(rx_set *set) {
    if (set->free >= 0) {
        int index = set->free;
        set->free = set->slots[index].next;
        return index;
    }
    if (set->slots_used == set->slots_room && grow_slots(set, 2 * set->slots_room) < 0)
        return -ENOMEM;
    set->slots[set->slots_used].generation = 0;
    set->slots[set->slots_used].changed = 0;
    return set->slots_used++;
}

static void give_slot(rx_set *set, int index) {
    slot_t *slot = &set->slots[index];
    set->receivers -= slot->receives;
    slot->receives = 0;
    slot->generation++;
    slot->wanted = FREE;
    if (!slot->changed) { /* else it is freed when the list of changes is walked */
        slot->next = set->free;
        set->free = index;
    }
}

int rx_add(rx_set *set, int fd, uint32_t interest) {
    int index = take_slot(set);
    if (index < 0)
        return index;
    slot_t *slot = &set->slots[index];
    slot->fd = fd;
    slot->wanted = interest;
    slot->watched = 0;
    slot->size = RX_FIRST;
    slot->receives = slot->rest = 0;
    int error = apply(set, index);
    if (error < 0) {
        give_slot(set, index);
        return error;
    }
    return index;
}

static slot_t *known(rx_set *set, int index) {
    if (index < 0 || index >= set->slots_used || set->slots[index].wanted == FREE)
        return NULL;
    return &set->slots[index];
}

int rx_modify(rx_set *set, int index, uint32_t interest) {
    slot_t *slot = known(set, index);
    if (slot == NULL)
        return -EBADF;
    slot->wanted = interest;
    if (!slot->changed) {
        slot->changed = 1;
        slot->next = set->changes;
        set->changes = index;
    }
    return 0;
}

int rx_receive(rx_set *set, int index, int on) {
    slot_t *slot = known(set, index);
    if (slot == NULL)
        return -EBADF;
    set->receivers += (on != 0) - slot->receives;
    slot->receives = on != 0;
    return 0;
}

int rx_remove(rx_set *set, int index) {
    slot_t *slot = known(set, index);
    if (slot == NULL)
        return -EBADF;
    slot->wanted = 0;
    int error = apply(set, index);
    give_slot(set, index);
    return error;
}

static void apply_changes(rx_set *set) {
    int index = set->changes;
    set->changes = -1;
    while (index >= 0) {
        slot_t *slot = &set->slots[index];
        int next = slot->next;
        slot->changed = 0;
        if (slot->wanted == FREE) { /* removed since; its generation has gone up already */
            slot->next = set->free;
            set->free = index;
        } else if (apply(set, index) < 0) {
            slot->watched = slot->wanted; /* closed behind our back: do not try for ever */
            set->out.vanished++;
        }
        index = next;
    }
}

int rx_renew(rx_set *set) {
    int fresh = epoll_create1(EPOLL_CLOEXEC);
    if (fresh < 0)
        return -errno;
    close(set->fd);
    set->fd = fresh;
    set->out.renewals++;
    for (int index = 0; index < set->slots_used; index++) {
        slot_t *slot = &set->slots[index];
        if (slot->wanted == FREE)
            continue;
        slot->watched = 0;
        if (apply(set, index) < 0) {
            slot->watched = slot->wanted;
            set->out.vanished++;
        }
    }
    return 0;
}

/* --- waiting ---------------------------------------------------------------------------------- */

static int precise = 1; /* until the kernel says otherwise; the same for every set */

static int ask_kernel(rx_set *set, int most, int64_t timeout) {
#ifdef SYS_epoll_pwait2
    /* Whole milliseconds are asked for in the older way: one argument less to copy. */
    if (precise && timeout > 0 && timeout % 1000000 != 0) {
        struct timespec limit = {.tv_sec = timeout / 1000000000, .tv_nsec = timeout % 1000000000};
        long count =
            syscall(SYS_epoll_pwait2, set->fd, set->kernel, most, &limit, NULL, 0);
        if (count >= 0 || errno != ENOSYS)
            return count < 0 ? -errno : (int)count;
        precise = 0;
    }
#else
    precise = 0;
#endif
    /* Rounded up: a wait must never end before its time. */
    int milliseconds = timeout < 0 ? -1 : (int)((timeout + 999999) / 1000000);
    int count = epoll_wait(set->fd, set->kernel, most, milliseconds);
    return count < 0 ? -errno : count;
}

int rx_is_precise(void) {
#ifdef SYS_epoll_pwait2
    struct timespec none = {0, 0};
    /* No such descriptor: a kernel that knows the call complains of that. */
    syscall(SYS_epoll_pwait2, -1, NULL, 1, &none, NULL, 0);
    return errno != ENOSYS;
#else
    return 0;
#endif
}

/* Receive for a slot into the arena from `used` on. Returns what belongs into `sizes`, or -EAGAIN
 * as RX_PLAIN - EAGAIN, which the caller drops. */
static int32_t receive(rx_set *set, slot_t *slot, int used) {
    if (slot->rest > 0) {
        slot->rest--;
        return RX_PLAIN;
    }
    if (set->out.arena_size - used < slot->size)
        return RX_PLAIN; /* its turn will come; Python may as well read it now */
    ssize_t size = recv(slot->fd, set->out.arena + used, (size_t)slot->size, MSG_DONTWAIT);
    if (size < 0)
        return RX_PLAIN - errno;
    if (size >= RX_LARGE)
        slot->rest = RX_LARGE_REST;
    if (size == slot->size && slot->size < RX_MOST)
        slot->size *= 2;
    else if (size < slot->size / 4 && slot->size > RX_FIRST)
        slot->size /= 2;
    return (int32_t)size;
}

/* Whether one of the first `count` events is for a slot that receives. */
static int brings_input(const rx_set *set, int count) {
    for (int i = 0; i < count; i++) {
        uint32_t index = (uint32_t)set->kernel[i].data.u64;
        if (set->kernel[i].events & EPOLLIN && set->slots[index].receives)
            return 1;
    }
    return 0;
}

int rx_wait(rx_set *set, int64_t timeout) {
    if (set->changes >= 0)
        apply_changes(set);
    int room = set->out.room;
    int most = set->receivers > 0 ? RX_BATCH : room;
    int count = ask_kernel(set, most, timeout);
    if (count < 0)
        return count;
    /* There may be more than was asked for. Where input is received, the rest is for the next wait;
     * else all of it must be told. */
    if (count == most && !brings_input(set, count)) {
        while ((count = ask_kernel(set, set->out.room, 0)) == set->out.room &&
               grow_events(set, 2 * set->out.room) == 0)
            ;
        if (count < 0)
            count = 0; /* interrupted: nothing is lost, the next wait reports it */
    }
    int found = 0, used = 0, ghosts = 0, grew = set->out.room != room ? RX_GREW : 0;
    int received = 0;
    for (int i = 0; i < count; i++) {
        uint64_t token = set->kernel[i].data.u64;
        int index = (int)(uint32_t)token;
        slot_t *slot = known(set, index);
        if (slot == NULL || slot->generation != token >> 32) {
            ghosts++;
            continue;
        }
        uint32_t ready = from_kernel(set->kernel[i].events);
        int32_t size = RX_PLAIN;
        if (slot->receives && ready & RX_READ && slot->wanted & RX_READ) {
            size = receive(set, slot, used);
            if (size == RX_PLAIN - EAGAIN || size == RX_PLAIN - EINTR) {
                size = RX_PLAIN;
                ready &= ~(uint32_t)RX_READ;
                if (ready == 0)
                    continue;
            }
            if (size != RX_PLAIN)
                received = RX_RECEIVED;
            if (size > 0)
                used += size;
        }
        set->out.slots[found] = index;
        set->out.ready[found] = (uint8_t)ready;
        set->out.sizes[found++] = size;
    }
    if (ghosts > 0) /* they would wake us for ever: nothing but a new set is rid of them */
        rx_renew(set);
    return found | received | grew;
}

/* --- sending ---------------------------------------------------------------------------------- */

int rx_send(rx_messages *messages, const char *bytes, int count) {
    int unfinished = 0;
    for (int i = 0; i < count; i++) {
        int32_t size = messages->sizes[i];
        ssize_t taken = send(messages->fds[i], bytes, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL);
        messages->sent[i] = taken < 0 ? -errno : (int32_t)taken;
        unfinished += messages->sent[i] < size;
        bytes += size;
    }
    return unfinished;
}
