/* A demultiplexer in C: epoll, with the work of a turn that needs no Python done in one call.
 *
 * The idea. What a Python loop pays for is not the kernel but the crossing into it: each call costs
 * an argument tuple, a release of the interpreter's lock and its return. So C does for all handles
 * at once what Python would do for each: it applies the changes of interest that were collected
 * since the last turn, waits, and receives for every stream that is ready, into one arena. Then it
 * returns, and Python walks the results in a loop. C never calls Python.
 *
 * Slots. A descriptor is known by a slot, an index into a table, with a generation that goes up each
 * time the slot is given away. Both are packed into the 64 bits that the kernel keeps for us, so an
 * event for an old owner is recognised here. There is one way to get such an event: a descriptor was
 * closed without being removed, while a duplicate of it lives on. It would come for ever, so the set
 * is made anew.
 *
 * Who may call. One thread, the loop's. The lock of the interpreter is released during every call,
 * so nothing here may touch a Python object, and nothing does.
 *
 * Errors are returned as negative errno values; nothing is printed, nothing aborts.
 */
#ifndef RX_EPOLL_H
#define RX_EPOLL_H

#include "messages.h"

#include <stdint.h>

/* The bits of `reactor.events`. */
enum { RX_READ = 1, RX_WRITE = 2, RX_HANGUP = 4 };

/* To the number of events that a wait has found are added RX_RECEIVED when some of them brought
 * bytes, an end or a failure, and RX_GREW when the arrays of results have moved. */
enum { RX_RECEIVED = 1 << 29, RX_GREW = 1 << 30 };

/* Bytes asked of one receive, at first and at most; each stream's own size adapts in between. */
enum { RX_FIRST = 4 * 1024, RX_MOST = 64 * 1024 };

/* A stream that brings this much at once is left to Python for a while: there it is received
 * straight into the object that the handler gets, and one copy less is worth more than one call. */
enum { RX_LARGE = 8 * 1024, RX_LARGE_REST = 64 };

/* Events of one wait, if it receives: a thousand streams are served in batches, each answered while
 * its bytes are in the processor's cache. That is worth a quarter. */
enum { RX_BATCH = 32 };

typedef struct rx_set rx_set;

/* What a wait fills in, of each event one item in each array: whose it is, the bits that are ready,
 * and how much came. The arrays move when they grow; then look again. `arena` holds what was
 * received, end to end in the order of the events, and is overwritten by the next wait. */
typedef struct {
    int32_t *slots;
    uint8_t *ready;
    int32_t *sizes;
    int room;
    int vanished;      /* descriptors found closed while registered; since the beginning */
    int renewals;      /* new sets in the kernel; since the beginning */
    char *arena;
    int arena_size;
} rx_results;

/* A new set, or NULL when there is no memory or no descriptor. */
rx_set *rx_open(int arena_size);
void rx_close(rx_set *set);
int rx_fileno(const rx_set *set);
rx_results *rx_look(rx_set *set);

/* Watch `fd` for `interest` (0: for nothing yet); returns its slot. At once, so that a descriptor
 * that cannot be watched is refused where it was offered. */
int rx_add(rx_set *set, int fd, uint32_t interest);

/* Watch for something else, from the next wait on. Only noted here: what is changed back before the
 * next wait costs no system call. Returns -EBADF for a slot that is free. */
int rx_modify(rx_set *set, int slot, uint32_t interest);

/* Receive for this slot during the wait (1), or leave that to Python (0). */
int rx_receive(rx_set *set, int slot, int on);

/* Stop watching, at once: the descriptor may be closed right after. Returns 0, or what the kernel
 * said of a descriptor that was closed before (-EBADF, -ENOENT); the slot is free in any case. */
int rx_remove(rx_set *set, int slot);

/* A new set in the kernel with the same slots: after a fork, when the old one is the parent's. */
int rx_renew(rx_set *set);

/* Apply the changes, wait at most `timeout` nanoseconds (-1: for ever), receive. What is ready beyond
 * a batch is left to the next wait, if input was received; else all is told. Returns the number
 * of events with RX_RECEIVED and RX_GREW, or -EINTR. */
int rx_wait(rx_set *set, int64_t timeout);

/* Send `count` messages, which lie in `bytes` end to end. Returns how many were not taken whole. */
int rx_send(rx_messages *messages, const char *bytes, int count);

/* Whether the kernel takes timeouts in nanoseconds (epoll_pwait2, Linux 5.11). */
int rx_is_precise(void);

#endif
