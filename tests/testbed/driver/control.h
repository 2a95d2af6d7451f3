/* What the hands share: a card, locked and with its meter up to date. */
#ifndef TESTBED_CONTROL_H
#define TESTBED_CONTROL_H

#include "state.h"

int open_card(unsigned gpu, struct node **node, struct card **card);
struct node *open_all(void);
int close_node(struct node *node, int code);
struct process *find_process(struct card *card, uint32_t pid);

/* Declare `node` and `card` and lock, or return the refusal. */
#define OPEN(gpu)                                \
    struct node *node;                           \
    struct card *card;                           \
    int refused = open_card(gpu, &node, &card);  \
    if (refused)                                 \
        return refused

#endif
