/* What Python sees of epoll.h, in the subset of C that cffi reads. Explained there. */

#define RX_PLAIN ...
#define RX_RECEIVED ...
#define RX_GREW ...

typedef struct rx_set rx_set;

typedef struct {
    int32_t *slots;
    uint8_t *ready;
    int32_t *sizes;
    int room;
    int vanished;
    int renewals;
    char *arena;
    int arena_size;
} rx_results;

rx_set *rx_open(int arena_size);
void rx_close(rx_set *set);
int rx_fileno(const rx_set *set);
rx_results *rx_look(rx_set *set);

int rx_add(rx_set *set, int fd, uint32_t interest);
int rx_modify(rx_set *set, int slot, uint32_t interest);
int rx_receive(rx_set *set, int slot, int on);
int rx_remove(rx_set *set, int slot);
int rx_renew(rx_set *set);

typedef struct {
    int32_t *fds;
    int32_t *sizes;
    int32_t *sent;
} rx_messages;

int rx_send(rx_messages *messages, const char *bytes, int count);
int rx_wait(rx_set *set, int64_t timeout);
int rx_is_precise(void);
