/* The hands of the test and of the engine. Every change first brings the card's meter up to date. */
#include "control.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

struct view { /* testbed/nvml.py has the same layout */
    double draw_watts, demand_watts, limit_watts, enforced_watts, relative_throughput, celsius;
    uint64_t energy_mj, set_calls, visits;
};

int open_card(unsigned gpu, struct node **node, struct card **card)
{
    *node = node_attached();
    if (!*node)
        return UNINITIALIZED;
    if (gpu >= (*node)->cards)
        return INVALID_ARGUMENT;
    if (node_lock(*node))
        return UNKNOWN;
    *card = &(*node)->card[gpu];
    card_update(*node, *card);
    return SUCCESS;
}

int close_node(struct node *node, int code)
{
    node_unlock(node);
    return code;
}

struct node *open_all(void)
{
    struct node *node = node_attached();
    if (!node || node_lock(node))
        return NULL;
    for (unsigned i = 0; i < node->cards; i++)
        card_update(node, &node->card[i]);
    return node;
}

EXPORT int fake_attach(const char *path, unsigned cards)
{
    return node_attach(path, cards);
}

EXPORT void fake_detach(void)
{
    node_detach();
}

EXPORT int fake_reset(unsigned cards, uint64_t clock_ns)
{
    struct node *node = open_all();
    if (!node)
        return UNINITIALIZED;
    node_fill(node, cards, clock_ns);
    return close_node(node, SUCCESS);
}

EXPORT int fake_cards(unsigned *cards)
{
    struct node *node = node_attached();
    if (!node)
        return UNINITIALIZED;
    *cards = node->cards;
    return SUCCESS;
}

EXPORT int fake_view(unsigned gpu, struct view *out)
{
    OPEN(gpu);
    struct draw draw = card_draw(node, card);
    *out = (struct view){
        .draw_watts = draw.mw / 1e3,
        .demand_watts = card->demand_mw / 1e3,
        .limit_watts = card->limit_mw / 1e3,
        .enforced_watts = card_enforced_mw(card) / 1e3,
        .relative_throughput = draw.throughput,
        .celsius = card->celsius_is_set ? card->celsius_set : card_meter(card)->celsius,
        .energy_mj = card_meter(card)->energy_mj,
        .set_calls = card->set_calls,
        .visits = card->visits,
    };
    return close_node(node, SUCCESS);
}

/* ---- time ---- */

EXPORT int fake_clock_now(uint64_t *ns)
{
    struct node *node = node_attached();
    if (!node)
        return UNINITIALIZED;
    *ns = node_now_ns(node);
    return SUCCESS;
}

/* From the real clocks to the virtual one is a jump; after that, time only goes forward. */
EXPORT int fake_clock_set(uint64_t ns)
{
    struct node *node = open_all();
    if (!node)
        return UNINITIALIZED;
    if (!ns || ns < node->clock_ns)
        return close_node(node, INVALID_ARGUMENT);
    int jump = !node->clock_ns;
    node->clock_ns = ns;
    for (unsigned i = 0; jump && i < node->cards; i++)
        card_rebase(node, &node->card[i]);
    return close_node(node, SUCCESS);
}

/* ---- work ---- */

EXPORT int fake_load(unsigned gpu, double watts, double busy, double memory_busy)
{
    if (!(watts >= 0 && watts < 1e6 && busy >= 0 && busy <= 1 && memory_busy >= 0 && memory_busy <= 1))
        return INVALID_ARGUMENT;
    OPEN(gpu);
    card->demand_mw = (uint32_t)llround(watts * 1e3);
    card->busy = busy;
    card->memory_busy = memory_busy;
    return close_node(node, SUCCESS);
}

struct process *find_process(struct card *card, uint32_t pid)
{
    for (int i = 0; i < PROCESSES; i++)
        if (card->process[i].pid == pid)
            return &card->process[i];
    return NULL;
}

EXPORT int fake_hold(unsigned gpu, uint32_t pid, uint64_t memory_bytes, uint32_t follow)
{
    if (!pid)
        return INVALID_ARGUMENT;
    OPEN(gpu);
    struct process *process = find_process(card, pid);
    if (!process && !(process = find_process(card, 0)))
        return close_node(node, INSUFFICIENT_RESOURCES);
    if (process->pid != pid)
        *process = (struct process){.gpu_instance = NO_INSTANCE, .compute_instance = NO_INSTANCE};
    process->memory_bytes = memory_bytes;
    process->follow = follow;
    process->pid = pid; /* last: a slot counts from here on */
    return close_node(node, SUCCESS);
}

EXPORT int fake_release(unsigned gpu, uint32_t pid)
{
    OPEN(gpu);
    struct process *process = pid ? find_process(card, pid) : NULL;
    if (process)
        process->pid = 0;
    return close_node(node, process ? SUCCESS : NOT_FOUND);
}

EXPORT int fake_sample(unsigned gpu, uint32_t pid, uint32_t sm_percent, uint32_t memory_percent)
{
    OPEN(gpu);
    struct process *process = pid ? find_process(card, pid) : NULL;
    if (!process || sm_percent > 100 || memory_percent > 100)
        return close_node(node, process ? INVALID_ARGUMENT : NOT_FOUND);
    process->sm_percent = sm_percent;
    process->memory_percent = memory_percent;
    process->sampled_us = node_wall_us(node);
    return close_node(node, SUCCESS);
}

/* ---- trouble ---- */

EXPORT int fake_fault(unsigned gpu, unsigned fault, unsigned on)
{
    if (fault >= FAULTS)
        return INVALID_ARGUMENT;
    OPEN(gpu);
    card->fault[fault] = on != 0;
    return close_node(node, SUCCESS);
}

EXPORT int fake_outside_limit(unsigned gpu, double watts)
{
    if (!(watts >= 0 && watts < 1e6))
        return INVALID_ARGUMENT;
    OPEN(gpu);
    card->outside_mw = (uint32_t)llround(watts * 1e3);
    return close_node(node, SUCCESS);
}

EXPORT int fake_temperature(unsigned gpu, int celsius, unsigned on)
{
    OPEN(gpu);
    card->celsius_set = celsius;
    card->celsius_is_set = on != 0;
    return close_node(node, SUCCESS);
}

EXPORT int fake_inject(const char *function, int gpu, int code, int64_t count, uint32_t delay_ms)
{
    struct node *node = open_all();
    if (!node)
        return UNINITIALIZED;
    if (!function[0] || strlen(function) >= FUNCTION_NAME || gpu >= (int)node->cards)
        return close_node(node, INVALID_ARGUMENT);
    for (int i = 0; i < RULES; i++) {
        struct rule *rule = &node->rule[i];
        if (rule->function[0] && rule->remaining != 0)
            continue;
        *rule = (struct rule){.gpu = gpu, .code = code, .remaining = count, .delay_ms = delay_ms};
        snprintf(rule->function, sizeof rule->function, "%s", function);
        return close_node(node, SUCCESS);
    }
    return close_node(node, INSUFFICIENT_RESOURCES);
}

EXPORT int fake_clear(void)
{
    struct node *node = open_all();
    if (!node)
        return UNINITIALIZED;
    memset(node->rule, 0, sizeof node->rule);
    __atomic_add_fetch(&node->rules_cleared, 1, __ATOMIC_ACQ_REL); /* lets go whoever hangs */
    return close_node(node, SUCCESS);
}

EXPORT int fake_hanging(unsigned *calls)
{
    struct node *node = node_attached();
    if (!node)
        return UNINITIALIZED;
    *calls = __atomic_load_n(&node->hanging, __ATOMIC_ACQUIRE);
    return SUCCESS;
}

EXPORT int fake_curve(unsigned points, const double *cap, const double *throughput, const double *energy,
                      unsigned replace)
{
    if (!points || points > CURVE_POINTS)
        return INVALID_ARGUMENT;
    for (unsigned i = 0; i < points; i++)
        if (!(cap[i] > 0 && throughput[i] > 0 && energy[i] > 0 && (!i || cap[i] > cap[i - 1])))
            return INVALID_ARGUMENT;
    struct node *node = open_all();
    if (!node)
        return UNINITIALIZED;
    if (node->curve_points && !replace)
        return close_node(node, SUCCESS);
    memcpy(node->curve_cap, cap, points * sizeof *cap);
    memcpy(node->curve_throughput, throughput, points * sizeof *throughput);
    memcpy(node->curve_energy, energy, points * sizeof *energy);
    node->curve_points = points;
    return close_node(node, SUCCESS);
}

/* As after a reload of the driver: energy counts from zero, limits are the default again. */
EXPORT int fake_reload_driver(void)
{
    struct node *node = open_all();
    if (!node)
        return UNINITIALIZED;
    for (unsigned i = 0; i < node->cards; i++) {
        card_forget_energy(node, &node->card[i]);
        node->card[i].limit_mw = DEFAULT_LIMIT_MW;
        node->card[i].lock_mhz = 0;
    }
    return close_node(node, SUCCESS);
}

/* Die with the lock in hand, which a kill -9 from outside hits only by luck. */
EXPORT void fake_die_inside(void)
{
    if (open_all())
        raise(SIGKILL);
}
