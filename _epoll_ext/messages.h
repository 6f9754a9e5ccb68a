/* What both demultiplexers mean alike: what is to be sent in one call (rx_send, ur_send), and that
 * nothing was received for an event. */
#ifndef RX_MESSAGES_H
#define RX_MESSAGES_H

#include <stdint.h>

/* Where a size stands: nothing was received for this event, which is Python's to deal with. 0 is the end of the stream; below
 * RX_PLAIN it is a failure, RX_PLAIN - errno. */
enum { RX_PLAIN = -1 };

/* `sizes[i]` bytes to descriptor `fds[i]`, and what became of them: `sent[i]` is what the kernel
 * took, or a negative errno. */
typedef struct {
    int32_t *fds;
    int32_t *sizes;
    int32_t *sent;
} rx_messages;

#endif
