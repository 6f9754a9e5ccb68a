/* What is to be sent in one call, by whichever demultiplexer: see rx_send and ur_send. */
#ifndef RX_MESSAGES_H
#define RX_MESSAGES_H

#include <stdint.h>

/* `sizes[i]` bytes to descriptor `fds[i]`, and what became of them: `sent[i]` is what the kernel
 * took, or a negative errno. */
typedef struct {
    int32_t *fds;
    int32_t *sizes;
    int32_t *sent;
} rx_messages;

#endif
