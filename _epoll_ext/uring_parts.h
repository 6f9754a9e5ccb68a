/* What the three files of the io_uring demultiplexer share: its structures, and who does what.
 *
 * uring_ring.c knows the system calls, the memory that is shared with the kernel, and the buffers.
 * uring_slots.c knows what each slot wants, asks for it, and makes events of the answers.
 * uring.c is the calls of uring.h, made of these.
 *
 * Nothing here exists where the kernel's header is absent or too old: then UR_HAS_RING is undefined.
 */
#ifndef UR_URING_PARTS_H
#define UR_URING_PARTS_H

#include "uring.h"

#include <sys/syscall.h>

#ifdef __has_include
#if __has_include(<linux/io_uring.h>)
#include <linux/io_uring.h>
#endif
#endif

#if defined IORING_SETUP_DEFER_TASKRUN && defined SYS_io_uring_setup
#define UR_HAS_RING

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>

#pragma GCC visibility push(hidden)

/* Small rings stay in the processor's cache; what does not fit is submitted in parts. */
enum { QUEUE = 256, ANSWERS = 2048, FIRST_SLOTS = 64, FIRST_EVENTS = 256 };

/* The slot is free; nobody's interest has this value. */
#define FREE UINT32_MAX

/* What a request is known by: serial number << 32 | slot; or MESSAGE | its index; or NOBODY. */
#define MESSAGE 0x80000000u
#define NOBODY UINT64_MAX

enum { IDLE, POLLING, RECEIVING };

typedef struct {
    int fd;
    uint32_t wanted;  /* the interest that was asked for, or FREE */
    uint32_t watched; /* the interest of the poll in flight */
    uint32_t before;  /* serial number of the last owner's last request */
    uint32_t serial;  /* serial number of the last request */
    int next;         /* the next free slot, or the next changed one */
    int entry;        /* where its event is in the results, if `batch` is theirs */
    uint32_t batch;
    int ending;     /* cancelled requests without an answer yet */
    uint8_t flight; /* IDLE, POLLING or RECEIVING */
    uint8_t changed; /* it is in the list of changes */
    uint8_t receives;
    uint8_t gone; /* its descriptor was closed behind our back */
    uint8_t rest; /* events to leave to Python before receiving is tried here again */
} slot_t;

/* The part that the kernel shares. */
typedef struct {
    int fd; /* -1: there is none, and the next call makes one */
    unsigned forks;
    char *rings;
    size_t rings_size;
    struct io_uring_sqe *requests;
    size_t requests_size;
    _Atomic uint32_t *head, *tail, *flags; /* of the requests */
    uint32_t mask, room, filled;           /* `filled`: the tail as we have it */
    _Atomic uint32_t *answered, *answers;  /* head and tail of the answers */
    uint32_t answers_mask;
    struct io_uring_cqe *cqes;
    struct io_uring_buf_ring *buffers;
    uint16_t buffers_tail;
} ring_t;

struct ur_set {
    ring_t ring;
    int slots_room;
    int slots_used;
    int free;    /* list of free slots, -1 at its end */
    int changes; /* list of slots to look at before the next wait, -1 at its end */
    slot_t *slots;
    int in_flight; /* requests of slots without an answer yet */
    int no_receiving;
    uint32_t batch;
    int found;
    int32_t *sent; /* where answers to messages go */
    int unsent;
    uint16_t *lent; /* buffers that Python has */
    int lent_count;
    uint16_t *spare; /* buffers that nobody has, the last used on top */
    int spare_count;
    int provided;
    int starved; /* there was no buffer for somebody in this batch */
    ur_results out;
};

/* --- uring_ring.c ----------------------------------------------------------------------------- */

/* How often this process is a child: a ring made before a fork is the parent's. */
extern unsigned ring_forks;

/* Open a ring; negative errno. Drop it: what is in flight is cancelled by the kernel in its own time,
 * if it is the last to hold the ring. */
int ring_open(ring_t *ring);
void ring_drop(ring_t *ring);

/* Memory shared with the ring `fd`, or ours alone for -1. */
void *ring_map(int fd, size_t size, uint64_t offset);

/* Hand over what is filled in, and with `collect` have the kernel work and wait until there are
 * `least` answers or the time is up. */
int ring_enter(ring_t *ring, unsigned least, int collect, int64_t timeout);

/* A request to fill in, or NULL if the kernel does not take those that are there. */
struct io_uring_sqe *ring_request(ring_t *ring, int opcode, int fd, uint64_t data);

/* Give the buffers that Python had back to the kernel; or all to nobody, for a new ring. */
void buffers_provide(ur_set *set);
void buffers_reset(ur_set *set);

/* --- uring_slots.c ---------------------------------------------------------------------------- */

int grow_slots(ur_set *set, int room);
int grow_events(ur_set *set, int room);

/* The slot, or NULL if it is free. */
slot_t *slot_known(ur_set *set, int index);

/* Look at this slot before the next wait. */
void slot_touch(ur_set *set, int index);

/* Ask for the end of what is in flight for a slot. */
int slot_cancel(ur_set *set, slot_t *slot, int index);

/* Have in flight for each slot that was touched what it wants. */
int apply_changes(ur_set *set);

/* Begin new results: Python is done with the old ones. */
void begin_batch(ur_set *set);

/* Take the answers that are there. Returns how many there were. */
uint32_t take_answers(ur_set *set);

/* Enter, and take what comes, to the end. Returns what entering did. */
int take_turn(ur_set *set, unsigned least, int64_t timeout);

#pragma GCC visibility pop

#endif
#endif
