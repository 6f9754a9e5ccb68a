/* A demultiplexer in C over io_uring: requests go down one ring, answers come up another.
 *
 * The idea. epoll says what is ready, and the program then makes one system call for each thing that
 * it does about it. io_uring is given the things to do, all at once, and answers with what was done.
 * Both queues lie in memory that is shared with the kernel, so a turn is one or two system calls,
 * however many streams have received and sent in it.
 *
 * Interest. A slot, as in epoll.h, has at most one request in flight: a poll, or for a stream that
 * wants nothing but to read, a receive. Each is answered once and asked again with the next wait;
 * where something is still ready, the kernel answers at once. That is level-triggered, and costs no
 * call, for it rides with the wait.
 *
 * When bytes are taken. The ring is set up so that the kernel works for it only while we are in a
 * call that collects (DEFER_TASKRUN): between two calls no byte leaves a socket, whatever arrives.
 * So a program that pauses a stream, or reads from its socket by itself, races with nobody: the
 * request is cancelled ahead of any work. Calls that collect are the wait, the flush (if it is asked
 * to) and the removal of a slot; what they have received is handed up at once, in order.
 *
 * Batches. From Linux 6.13 on the kernel does some twenty things in a call and puts off the rest. A
 * wait goes on until all is done, unless it has received bytes: then the rest is for the next one,
 * which does not sleep. What a stream brings is thus dealt with before it leaves the processor's
 * cache, and with a thousand streams at once that is worth a fifth to a third.
 *
 * Files are held. A request in flight holds its file open: closing the descriptor does not end it,
 * nor would the peer see an end. Hence a slot is removed by cancelling its request and waiting for
 * the confirmation, which is one system call, and none if nothing is in flight.
 *
 * Buffers. Received bytes are put into buffers of one size that the kernel picks from a ring of
 * them. They belong to Python until the next call, and then go back. Few are provided at first, so
 * that they stay in the processor's cache, and more when they have run out once.
 *
 * Who may call. The kernel ties such a ring to one thread. If another comes along, or the process
 * was forked, the ring is made anew, with the same slots. Two threads at once are not possible.
 *
 * It needs Linux 6.1, and at build time a header that knows of it; without, `ur_open` says ENOSYS.
 *
 * Errors are returned as negative errno values; nothing is printed, nothing aborts.
 */
#ifndef UR_URING_H
#define UR_URING_H

#include "messages.h"

#include <stdint.h>

/* The bits of `reactor.events`. */
enum { UR_READ = 1, UR_WRITE = 2, UR_HANGUP = 4 };

/* To a number of events is added UR_GREW when the arrays have moved, and UR_UNSENT when messages were
 * not taken whole. */
enum { UR_UNSENT = 1 << 29, UR_GREW = 1 << 30 };

/* The size of a buffer, and how many there are: provided at first, and at most. */
enum { UR_BUFFER = 4 * 1024, UR_PROVIDED = 64, UR_BUFFERS = 2048 };

/* A stream that fills a buffer is left to Python for this many events: there it is received straight
 * into the object that the handler gets, and one copy less is worth more than one call. */
enum { UR_LARGE_REST = 64 };

typedef struct ur_set ur_set;

/* What a call has found, of each event one item in each array: whose it is, the bits that are ready,
 * how much came. Overwritten by the next call. The arrays move when they grow. */
typedef struct {
    int32_t *slots;
    uint8_t *ready;
    int32_t *sizes;
    uint32_t *places; /* where in the arena the bytes begin */
    int room;
    int received; /* how many of the events brought bytes, an end or a failure */
    int vanished; /* descriptors found closed while registered; since the beginning */
    int renewals; /* new rings; since the beginning */
    char *arena;
} ur_results;

/* A new set, or NULL with the reason in `*error`. */
ur_set *ur_open(int *error);
void ur_close(ur_set *set);
ur_results *ur_look(ur_set *set);

/* Watch `fd` for `interest` (0: for nothing yet) from the next wait on; returns its slot, or -EBADF
 * for a descriptor that is not open. */
int ur_add(ur_set *set, int fd, uint32_t interest);

/* Watch for something else from the next wait on. Returns -EBADF for a slot that is free. */
int ur_modify(ur_set *set, int slot, uint32_t interest);

/* What a slot is watched for, or -EBADF. */
int ur_interest(ur_set *set, int slot);

/* Receive for this slot in each wait from now on. */
int ur_receive(ur_set *set, int slot);

/* Stop receiving for slots, for good: nothing is taken from a socket but by Python. For a set that
 * lives in somebody else's loop, which must be able to see what is there. */
void ur_receive_nothing(ur_set *set);

/* Stop watching: when this returns, the kernel has let go of the file. Returns the number of events
 * that were found meanwhile, or -EBADF for a slot that is free. */
int ur_remove(ur_set *set, int slot);

/* A new ring with the same slots: after a fork, when the old one is the parent's. */
int ur_renew(ur_set *set);

/* Ask for what is not in flight, wait at most `timeout` nanoseconds (-1: for ever). Returns the
 * number of events; 0 when the time is up; -EINTR when the wait ended before that, for a signal or
 * for nothing: wait again for what is left. */
int ur_wait(ur_set *set, int64_t timeout);

/* Send `count` messages, which lie in `bytes` end to end. With `collect`, what is ready is looked for
 * in the same call. Returns the number of events that were found, with UR_UNSENT added if a message
 * was not taken whole. */
int ur_send(ur_set *set, rx_messages *messages, const char *bytes, int count, int collect);

#endif
