/* One NVML call's stay inside the node: checked, faulted, locked, and the card's meter up to date. */
#ifndef TESTBED_VISIT_H
#define TESTBED_VISIT_H

#include "state.h"

typedef const char *device_t; /* opaque to callers: the address of one of these */
extern const char handles[CARDS];
extern const char mig_handles[CARDS * INSTANCES];

struct visit {
    struct node *node;
    struct card *card; /* NULL for a call about the system */
    int index;
    const struct instance *instance; /* the MIG device that was asked about, NULL for a whole card */
};

int library_open(void); /* one more user; attaches by the environment when nothing is attached */
int library_close(void);
int enter(device_t device, const char *function, struct visit *visit);
int enter_any(device_t device, const char *function, struct visit *visit); /* MIG devices too */
int enter_system(const char *function, struct visit *visit);
int leave(const struct visit *visit, int code);

/* Declare `visit` and enter, or return the refusal; whoever gets past it must leave(). */
#define ENTER(device)                              \
    struct visit visit;                            \
    int refused = enter(device, __func__, &visit); \
    if (refused)                                   \
        return refused

#endif
