/* Enter and leave: what every NVML call does before and after its own work. */
#include "visit.h"

#include <stdlib.h>

const char handles[CARDS];
const char mig_handles[CARDS * INSTANCES];

static int users; /* nvmlInit less nvmlShutdown, in this process */

static int is_open(void)
{
    return __atomic_load_n(&users, __ATOMIC_ACQUIRE) > 0;
}

int library_open(void)
{
    if (!node_attached()) {
        const char *path = getenv("FAKE_NVML_STATE"), *cards = getenv("FAKE_NVML_GPUS");
        if (!path)
            return DRIVER_NOT_LOADED;
        int code = node_attach(path, cards ? (unsigned)strtoul(cards, NULL, 10) : 4u);
        if (code)
            return code;
    }
    __atomic_add_fetch(&users, 1, __ATOMIC_ACQ_REL);
    return SUCCESS;
}

int library_close(void)
{
    if (!is_open())
        return UNINITIALIZED;
    __atomic_sub_fetch(&users, 1, __ATOMIC_ACQ_REL);
    return SUCCESS;
}

static int enter_node(int gpu, const char *function, struct visit *visit)
{
    struct node *node = node_attached();
    uint32_t delay_ms;
    if (!is_open() || !node)
        return UNINITIALIZED;
    if (gpu >= (int)node->cards)
        return INVALID_ARGUMENT;
    if (node_lock(node))
        return UNKNOWN;
    int code = node_fault(node, function, gpu, &delay_ms);
    if (delay_ms) {
        uint64_t rules_cleared = node->rules_cleared;
        node_unlock(node);
        node_hang(node, delay_ms, rules_cleared);
        if (node_lock(node))
            return UNKNOWN;
    }
    *visit = (struct visit){node, gpu < 0 ? NULL : &node->card[gpu], gpu, NULL};
    if (visit->card)
        visit->card->visits++;
    if (visit->card && visit->card->fault[LOST])
        code = GPU_IS_LOST;
    if (code) {
        node_unlock(node);
        return code;
    }
    if (visit->card)
        card_update(node, visit->card);
    return SUCCESS;
}

static int is_mig(device_t device)
{
    return device >= mig_handles && device < mig_handles + CARDS * INSTANCES;
}

int enter_any(device_t device, const char *function, struct visit *visit)
{
    if (!is_mig(device))
        return enter(device, function, visit);
    int slot = (int)(device - mig_handles);
    int refused = enter_node(slot / INSTANCES, function, visit);
    if (refused)
        return refused;
    visit->instance = &visit->card->instance[slot % INSTANCES];
    if (visit->card->mig && visit->instance->slices)
        return SUCCESS;
    node_unlock(visit->node);
    return NOT_FOUND; /* it was destroyed since */
}

/* Most calls are about a whole card: a MIG device has no power, clocks or temperature of its own. */
int enter(device_t device, const char *function, struct visit *visit)
{
    if (is_mig(device))
        return is_open() ? NOT_SUPPORTED : UNINITIALIZED;
    if (device < handles || device >= handles + CARDS)
        return is_open() ? INVALID_ARGUMENT : UNINITIALIZED;
    return enter_node((int)(device - handles), function, visit);
}

int enter_system(const char *function, struct visit *visit)
{
    return enter_node(EVERY_GPU, function, visit);
}

int leave(const struct visit *visit, int code)
{
    node_unlock(visit->node);
    return code;
}
