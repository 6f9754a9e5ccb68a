/* What Python sees of uring.h, in the subset of C that cffi reads. Explained there. */

#define UR_UNSENT ...
#define UR_GREW ...
#define UR_BUFFER ...
#define UR_BUFFERS ...

typedef struct ur_set ur_set;

typedef struct {
    int32_t *slots;
    uint8_t *ready;
    int32_t *sizes;
    uint32_t *places;
    int room;
    int received;
    int vanished;
    int renewals;
    char *arena;
} ur_results;

ur_set *ur_open(int *error);
void ur_close(ur_set *set);
ur_results *ur_look(ur_set *set);

int ur_add(ur_set *set, int fd, uint32_t interest);
int ur_modify(ur_set *set, int slot, uint32_t interest);
int ur_interest(ur_set *set, int slot);
int ur_receive(ur_set *set, int slot);
void ur_receive_nothing(ur_set *set);
int ur_remove(ur_set *set, int slot);
int ur_renew(ur_set *set);

int ur_wait(ur_set *set, int64_t timeout);
int ur_send(ur_set *set, rx_messages *messages, const char *bytes, int count, int collect);
