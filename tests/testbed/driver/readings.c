/* NVML: what a card reads, and its power limit. mW, mJ, MHz, bytes, percent, Celsius. */
#include "visit.h"

#include <string.h>

typedef unsigned number(const struct visit *visit);

static int read_number(device_t device, const char *function, unsigned *out, number *read)
{
    struct visit visit;
    int refused = enter(device, function, &visit);
    if (refused)
        return refused;
    if (!out)
        return leave(&visit, INVALID_ARGUMENT);
    *out = read(&visit);
    return leave(&visit, SUCCESS);
}

/* ---- power, energy, limits ---- */

static unsigned average_mw(const struct visit *visit)
{
    return card_average_mw(visit->node, visit->card);
}

static unsigned limit_mw(const struct visit *visit)
{
    return visit->card->limit_mw;
}

static unsigned enforced_mw(const struct visit *visit)
{
    return card_enforced_mw(visit->card);
}

static unsigned default_mw(const struct visit *visit)
{
    (void)visit;
    return DEFAULT_LIMIT_MW;
}

EXPORT int nvmlDeviceGetPowerUsage(device_t device, unsigned *mw)
{
    return read_number(device, __func__, mw, average_mw);
}

EXPORT int nvmlDeviceGetPowerManagementLimit(device_t device, unsigned *mw)
{
    return read_number(device, __func__, mw, limit_mw);
}

EXPORT int nvmlDeviceGetEnforcedPowerLimit(device_t device, unsigned *mw)
{
    return read_number(device, __func__, mw, enforced_mw);
}

EXPORT int nvmlDeviceGetPowerManagementDefaultLimit(device_t device, unsigned *mw)
{
    return read_number(device, __func__, mw, default_mw);
}

EXPORT int nvmlDeviceGetPowerManagementLimitConstraints(device_t device, unsigned *low, unsigned *high)
{
    ENTER(device);
    if (!low || !high)
        return leave(&visit, INVALID_ARGUMENT);
    *low = MIN_LIMIT_MW;
    *high = MAX_LIMIT_MW;
    return leave(&visit, SUCCESS);
}

/* Out of range is refused, not clamped, as NVML does. */
EXPORT int nvmlDeviceSetPowerManagementLimit(device_t device, unsigned mw)
{
    ENTER(device);
    visit.card->set_calls++;
    if (visit.card->fault[READ_ONLY])
        return leave(&visit, NO_PERMISSION);
    if (mw < MIN_LIMIT_MW || mw > MAX_LIMIT_MW)
        return leave(&visit, INVALID_ARGUMENT);
    if (!visit.card->fault[LYING_SETTER])
        visit.card->limit_mw = mw;
    return leave(&visit, SUCCESS);
}

EXPORT int nvmlDeviceGetTotalEnergyConsumption(device_t device, unsigned long long *mj)
{
    ENTER(device);
    if (visit.card->fault[NO_ENERGY_COUNTER])
        return leave(&visit, NOT_SUPPORTED);
    if (!mj)
        return leave(&visit, INVALID_ARGUMENT);
    *mj = card_meter(visit.card)->energy_mj;
    return leave(&visit, SUCCESS);
}

/* ---- field values ---- */

struct field { /* nvmlFieldValue_t */
    uint32_t id, scope;
    int64_t timestamp_us, latency_us;
    uint32_t type, code;
    union {
        uint32_t number; /* mW */
        unsigned long long count; /* mJ or ns */
    } value;
};

enum { UNSIGNED_INT = 1, UNSIGNED_LONG_LONG = 3 };

enum { GPU_SCOPE, MODULE_SCOPE, MEMORY_SCOPE };

/* A superchip has a meter for the whole module, some cards one for their memory. */
static int scoped(const struct visit *visit, uint32_t field, uint32_t scope, uint32_t *mw)
{
    *mw = scope == MODULE_SCOPE ? visit->card->module_mw : scope == MEMORY_SCOPE ? visit->card->memory_mw : 0;
    return *mw && (field == 185 || field == 186) ? SUCCESS : NOT_SUPPORTED;
}

static int number_of(const struct visit *visit, uint32_t field, uint32_t *mw)
{
    switch (field) {
    case 185: *mw = average_mw(visit); return SUCCESS;
    case 186: *mw = card_instant_mw(visit->node, visit->card); return SUCCESS;
    case 187: *mw = MIN_LIMIT_MW; return SUCCESS;
    case 188: *mw = MAX_LIMIT_MW; return SUCCESS;
    case 189: *mw = DEFAULT_LIMIT_MW; return SUCCESS;
    case 190: *mw = enforced_mw(visit); return SUCCESS;
    case 192: *mw = limit_mw(visit); return SUCCESS; /* what a user asked for */
    default: return NOT_SUPPORTED;
    }
}

static int count_of(const struct visit *visit, uint32_t field, unsigned long long *count)
{
    const struct meter *meter = card_meter(visit->card);
    switch (field) {
    case 74: *count = meter->power_violation_ns; return SUCCESS;
    case 75:
    case 269: *count = meter->thermal_violation_ns; return SUCCESS; /* software slowdown */
    case 76: /* sync boost */
    case 77: /* board limit */
    case 270: /* hardware thermal slowdown */
    case 271: *count = 0; return SUCCESS; /* power brake */
    case 83:
        *count = meter->energy_mj;
        return visit->card->fault[NO_ENERGY_COUNTER] ? NOT_SUPPORTED : SUCCESS;
    default: return NOT_SUPPORTED;
    }
}

static const char *field_name(uint32_t id, char *out)
{
    char digits[12];
    int length = 0;
    do
        digits[length++] = (char)('0' + id % 10);
    while (id /= 10);
    char *next = stpcpy(out, "field:");
    while (length)
        *next++ = digits[--length];
    *next = 0;
    return out;
}

static void fill(const struct visit *visit, struct field *field)
{
    char name[FUNCTION_NAME];
    uint32_t delay_ms; /* a field fails alone, it cannot hang alone */
    field->timestamp_us = (int64_t)node_wall_us(visit->node);
    field->latency_us = 0;
    field->code = (uint32_t)node_fault(visit->node, field_name(field->id, name), visit->index, &delay_ms);
    if (field->code)
        return;
    field->type = UNSIGNED_LONG_LONG;
    field->code = (uint32_t)count_of(visit, field->id, &field->value.count);
    if (field->code != NOT_SUPPORTED || field->id == 83)
        return;
    field->type = UNSIGNED_INT;
    field->code = (uint32_t)(field->scope ? scoped(visit, field->id, field->scope, &field->value.number)
                                          : number_of(visit, field->id, &field->value.number));
}

/* The call succeeds when the card answers at all; each field then has its own code. */
EXPORT int nvmlDeviceGetFieldValues(device_t device, int length, struct field *fields)
{
    ENTER(device);
    if (length <= 0 || !fields)
        return leave(&visit, INVALID_ARGUMENT);
    for (int i = 0; i < length && visit.card->fault[OLD_FIELDS]; i++)
        if (fields[i].id >= 185 || fields[i].scope)
            return leave(&visit, INVALID_ARGUMENT);
    for (int i = 0; i < length; i++)
        fill(&visit, &fields[i]);
    return leave(&visit, SUCCESS);
}
