/* What a card draws, and what it has used up to now.
 *
 * Between two changes everything is constant, so energy is power times time, exactly, and the
 * temperature is one exponential. Every change first brings the meter up to the present.
 *
 * Draw: a cap at or above the demand does nothing. A cap below it bites: throughput and energy per
 * unit of work follow the curve at (cap / maximum limit), so the power is
 * min(cap, demand * throughput * energy). The curves are medians over many configurations, most of
 * which draw less than the cap on average and meet it in their peaks; hence a cap just below the
 * demand already lowers the power by more than the difference.
 */
#define _GNU_SOURCE
#include "state.h"

#include <errno.h>
#include <math.h>
#include <signal.h>

static const uint64_t SECOND_NS = 1000000000ull;

typedef unsigned __int128 picojoules;

static picojoules energy_of(uint64_t energy_mj, uint64_t energy_pj)
{
    return (picojoules)energy_mj * SECOND_NS + energy_pj;
}

const struct meter *card_meter(const struct card *card)
{
    return &card->meter[__atomic_load_n(&card->current, __ATOMIC_ACQUIRE) & 1u];
}

static double interpolate(const double *x, const double *y, uint32_t points, double at)
{
    if (!points)
        return 1.0;
    if (at <= x[0])
        return y[0];
    for (uint32_t i = 1; i < points; i++)
        if (at <= x[i])
            return y[i - 1] + (y[i] - y[i - 1]) * (at - x[i - 1]) / (x[i] - x[i - 1]);
    return y[points - 1];
}

uint32_t card_enforced_mw(const struct card *card)
{
    if (card->outside_mw && card->outside_mw < card->limit_mw)
        return card->outside_mw;
    return card->limit_mw;
}

struct draw card_draw(const struct node *node, const struct card *card)
{
    uint32_t cap_mw = card_enforced_mw(card);
    uint32_t demand_mw = card->demand_mw > IDLE_MW ? card->demand_mw : IDLE_MW;
    if (cap_mw >= demand_mw)
        return (struct draw){.mw = demand_mw, .throughput = 1.0};

    double cap = (double)cap_mw / MAX_LIMIT_MW;
    double throughput = interpolate(node->curve_cap, node->curve_throughput, node->curve_points, cap);
    double energy = interpolate(node->curve_cap, node->curve_energy, node->curve_points, cap);
    uint32_t mw = (uint32_t)llround(demand_mw * throughput * energy);
    if (mw > cap_mw)
        mw = cap_mw;
    if (mw < IDLE_MW)
        mw = IDLE_MW;
    return (struct draw){.mw = mw, .limited = 1, .throughput = throughput};
}

int card_celsius(const struct card *card)
{
    return card->celsius_is_set ? card->celsius_set : (int)lround(card_meter(card)->celsius);
}

static void remember(struct card *card, const struct meter *meter)
{
    card->history[card->history_length % HISTORY] =
        (struct point){meter->at_ns, meter->energy_mj, meter->energy_pj};
    card->history_length++;
}

/* Bring the meter up to the present. The power in force holds since the last accrual, because
 * whoever changes it accrues first. */
static void accrue(struct node *node, struct card *card)
{
    uint64_t now_ns = node_now_ns(node);
    const struct meter *before = card_meter(card);
    if (now_ns <= before->at_ns)
        return;

    struct draw draw = card_draw(node, card);
    if (draw.mw != card->metered_mw) {
        remember(card, before);
        card->metered_mw = draw.mw;
    }
    uint64_t elapsed_ns = now_ns - before->at_ns;
    picojoules energy = (picojoules)draw.mw * elapsed_ns + before->energy_pj;
    double settled = AMBIENT_CELSIUS + CELSIUS_PER_WATT * draw.mw / 1e3;
    struct meter after = *before;
    after.at_ns = now_ns;
    after.energy_mj += (uint64_t)(energy / SECOND_NS);
    after.energy_pj = (uint64_t)(energy % SECOND_NS);
    after.celsius =
        settled + (before->celsius - settled) * exp(-((double)elapsed_ns / 1e9) / THERMAL_SECONDS);
    for (int i = 0; i < INSTANCES; i++)
        after.active_ns[i] += card->instance[i].busy * (double)elapsed_ns;
    if (draw.limited)
        after.power_violation_ns += elapsed_ns;
    if (card_celsius(card) >= GPU_MAX_CELSIUS)
        after.thermal_violation_ns += elapsed_ns;

    uint32_t next = 1u - (card->current & 1u);
    card->meter[next] = after;
    __atomic_store_n(&card->current, next, __ATOMIC_RELEASE);
}

/* The driver takes a dead process off its list, and its work with it. */
static void reap(struct card *card)
{
    for (int i = 0; i < PROCESSES; i++) {
        struct process *process = &card->process[i];
        if (!process->pid || !process->follow || kill((pid_t)process->pid, 0) == 0 || errno != ESRCH)
            continue;
        process->pid = 0;
        card->demand_mw = 0;
        card->busy = card->memory_busy = 0;
    }
}

void card_update(struct node *node, struct card *card)
{
    accrue(node, card);
    reap(card);
}

uint32_t card_instant_mw(const struct node *node, const struct card *card)
{
    return card->sensor_is_set ? card->sensor_mw : card_draw(node, card).mw;
}

/* The mean power of the last second, which is what NVML calls the power usage on Ampere (except
 * GA100) and later; less than a second of history gives the mean of what there is. */
uint32_t card_average_mw(const struct node *node, const struct card *card)
{
    if (card->sensor_is_set)
        return card->sensor_mw;
    const struct meter *now = card_meter(card);
    uint64_t since_ns = now->at_ns > SECOND_NS ? now->at_ns - SECOND_NS : 0;
    uint64_t kept = card->history_length < HISTORY ? card->history_length : HISTORY;
    picojoules after = energy_of(now->energy_mj, now->energy_pj);
    picojoules later = after, then = after;
    uint64_t later_ns = now->at_ns, then_ns = now->at_ns;
    for (uint64_t back = 1; back <= kept && then_ns > since_ns; back++) {
        const struct point *point = &card->history[(card->history_length - back) % HISTORY];
        later = then, later_ns = then_ns;
        then = energy_of(point->energy_mj, point->energy_pj), then_ns = point->at_ns;
    }
    if (then_ns < since_ns && later_ns > then_ns) { /* the window begins inside this stretch */
        then += (later - then) / (later_ns - then_ns) * (since_ns - then_ns);
        then_ns = since_ns;
    }
    if (then_ns >= now->at_ns)
        return card_draw(node, card).mw;
    return (uint32_t)((after - then) / (now->at_ns - then_ns));
}

/* The clock has jumped: what was used stays, the next stretch begins now. */
void card_rebase(struct node *node, struct card *card)
{
    card->meter[card->current & 1u].at_ns = node_now_ns(node);
    card->history_length = 0;
    card->metered_mw = UINT32_MAX;
}

/* The driver was reloaded: NVML counts energy from there. */
void card_forget_energy(struct node *node, struct card *card)
{
    struct meter *meter = &card->meter[card->current & 1u];
    meter->energy_mj = 0;
    meter->energy_pj = 0;
    meter->power_violation_ns = 0;
    meter->thermal_violation_ns = 0;
    card_rebase(node, card);
}
