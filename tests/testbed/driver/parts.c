/* The hands for a card's parts: MIG devices, scopes of power, kinds of processes; a card plugged in. */
#include "control.h"

#include <math.h>

/* A reset of the card is part of it: whoever was on it is gone. */
EXPORT int fake_mig(unsigned gpu, unsigned on)
{
    OPEN(gpu);
    card->mig = on != 0;
    for (int i = 0; i < INSTANCES; i++)
        card->instance[i] = (struct instance){0};
    for (int i = 0; i < PROCESSES; i++)
        card->process[i].pid = 0;
    return close_node(node, SUCCESS);
}

static struct instance *find_instance(struct card *card, uint32_t gpu_instance, uint32_t compute_instance)
{
    for (int i = 0; i < INSTANCES; i++) {
        struct instance *instance = &card->instance[i];
        if (instance->slices && instance->gpu_instance == gpu_instance &&
            instance->compute_instance == compute_instance)
            return instance;
    }
    return 0;
}

/* *slices* of the GPU instance, *compute_slices* of them for this compute instance. */
EXPORT int fake_instance(unsigned gpu, uint32_t gpu_instance, uint32_t compute_instance, uint32_t slices,
                         uint32_t compute_slices, uint64_t memory_mb)
{
    OPEN(gpu);
    if (!card->mig || !slices || slices > INSTANCES || compute_slices > slices ||
        find_instance(card, gpu_instance, compute_instance))
        return close_node(node, INVALID_ARGUMENT);
    for (int i = 0; i < INSTANCES; i++) {
        if (card->instance[i].slices)
            continue;
        card->instance[i] = (struct instance){.slices = slices,
                                              .gpu_instance = gpu_instance,
                                              .compute_instance = compute_instance,
                                              .compute_slices = compute_slices,
                                              .memory_mb = memory_mb};
        return close_node(node, SUCCESS);
    }
    return close_node(node, INSUFFICIENT_RESOURCES);
}

EXPORT int fake_destroy(unsigned gpu, uint32_t gpu_instance, uint32_t compute_instance)
{
    OPEN(gpu);
    struct instance *instance = find_instance(card, gpu_instance, compute_instance);
    if (instance)
        *instance = (struct instance){0};
    return close_node(node, instance ? SUCCESS : NOT_FOUND);
}

EXPORT int fake_activity(unsigned gpu, uint32_t gpu_instance, uint32_t compute_instance, double busy)
{
    OPEN(gpu);
    struct instance *instance = find_instance(card, gpu_instance, compute_instance);
    if (!instance || !(busy >= 0 && busy <= 1))
        return close_node(node, instance ? INVALID_ARGUMENT : NOT_FOUND);
    instance->busy = busy;
    return close_node(node, SUCCESS);
}

/* Say what kind of work a process does, and in which MIG device. */
EXPORT int fake_place(unsigned gpu, uint32_t pid, uint32_t kind, uint32_t gpu_instance, uint32_t compute_instance)
{
    OPEN(gpu);
    struct process *process = pid ? find_process(card, pid) : 0;
    if (!process || kind >= KINDS)
        return close_node(node, process ? INVALID_ARGUMENT : NOT_FOUND);
    process->kind = kind;
    process->gpu_instance = gpu_instance;
    process->compute_instance = compute_instance;
    return close_node(node, SUCCESS);
}

EXPORT int fake_scopes(unsigned gpu, double module_watts, double memory_watts)
{
    if (!(module_watts >= 0 && module_watts < 1e6 && memory_watts >= 0 && memory_watts < 1e6))
        return INVALID_ARGUMENT;
    OPEN(gpu);
    card->module_mw = (uint32_t)llround(module_watts * 1e3);
    card->memory_mw = (uint32_t)llround(memory_watts * 1e3);
    return close_node(node, SUCCESS);
}

EXPORT int fake_sensor(unsigned gpu, uint32_t mw, unsigned on)
{
    OPEN(gpu);
    card->sensor_mw = mw;
    card->sensor_is_set = on != 0;
    return close_node(node, SUCCESS);
}

/* One more card, new, behind those that are there. */
EXPORT int fake_plug(void)
{
    struct node *node = open_all();
    if (!node)
        return UNINITIALIZED;
    if (node->cards == CARDS)
        return close_node(node, INSUFFICIENT_RESOURCES);
    node_fill_card(node, &node->card[node->cards]);
    node->cards++;
    return close_node(node, SUCCESS);
}
