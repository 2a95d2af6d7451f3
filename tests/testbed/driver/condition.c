/* NVML: a card's temperature, load, memory, clocks and the reasons they are held back. */
#include "visit.h"

#include <math.h>

struct utilization { /* nvmlUtilization_t */
    unsigned gpu, memory;
};

struct memory { /* nvmlMemory_t */
    unsigned long long total, free, used;
};

struct memory_v2 { /* nvmlMemory_v2_t */
    unsigned version;
    unsigned long long total, reserved, free, used;
};

struct temperature_v1 { /* nvmlTemperature_v1_t */
    unsigned version, sensor;
    int celsius;
};

enum { MEMORY_V2 = 0x02000028, TEMPERATURE_V1 = 0x100000c, GPU_SENSOR = 0 };
enum { GRAPHICS_CLOCK, SM_CLOCK, MEMORY_CLOCK, VIDEO_CLOCK };

/* Bits of nvmlClocksEventReasons. */
enum {
    GPU_IDLE = 0x1,
    SW_POWER_CAP = 0x4,
    HW_SLOWDOWN = 0x8,
    SW_THERMAL_SLOWDOWN = 0x20,
    HW_THERMAL_SLOWDOWN = 0x40,
};

EXPORT int nvmlDeviceGetTemperature(device_t device, unsigned sensor, unsigned *celsius)
{
    ENTER(device);
    if (!celsius || sensor != GPU_SENSOR)
        return leave(&visit, INVALID_ARGUMENT);
    *celsius = (unsigned)card_celsius(visit.card);
    return leave(&visit, SUCCESS);
}

EXPORT int nvmlDeviceGetTemperatureV(device_t device, struct temperature_v1 *out)
{
    ENTER(device);
    if (!out || out->sensor != GPU_SENSOR)
        return leave(&visit, INVALID_ARGUMENT);
    if (out->version != TEMPERATURE_V1)
        return leave(&visit, ARGUMENT_VERSION_MISMATCH);
    out->celsius = card_celsius(visit.card);
    return leave(&visit, SUCCESS);
}

EXPORT int nvmlDeviceGetTemperatureThreshold(device_t device, unsigned threshold, unsigned *celsius)
{
    static const unsigned known[] = {SHUTDOWN_CELSIUS, SLOWDOWN_CELSIUS, MEMORY_MAX_CELSIUS, GPU_MAX_CELSIUS};
    ENTER(device);
    if (!celsius)
        return leave(&visit, INVALID_ARGUMENT);
    if (threshold >= sizeof known / sizeof *known)
        return leave(&visit, NOT_SUPPORTED); /* the acoustic ones: no fan here */
    *celsius = known[threshold];
    return leave(&visit, SUCCESS);
}

EXPORT int nvmlDeviceGetUtilizationRates(device_t device, struct utilization *out)
{
    ENTER(device);
    if (visit.card->mig)
        return leave(&visit, NOT_SUPPORTED);
    if (!out)
        return leave(&visit, INVALID_ARGUMENT);
    out->gpu = (unsigned)lround(visit.card->busy * 100);
    out->memory = (unsigned)lround(visit.card->memory_busy * 100);
    return leave(&visit, SUCCESS);
}

static const unsigned long long NOT_AVAILABLE = ~0ull; /* NVML_VALUE_NOT_AVAILABLE */

static unsigned long long held_bytes(const struct card *card)
{
    unsigned long long held = 0;
    for (int i = 0; i < PROCESSES; i++)
        if (card->process[i].pid && card->process[i].memory_bytes != NOT_AVAILABLE)
            held += card->process[i].memory_bytes;
    return held < MEMORY_BYTES - MEMORY_RESERVED_BYTES ? held : MEMORY_BYTES - MEMORY_RESERVED_BYTES;
}

/* Version 1 counts the driver's own part as used; version 2 shows it apart. */
EXPORT int nvmlDeviceGetMemoryInfo(device_t device, struct memory *out)
{
    ENTER(device);
    if (!out)
        return leave(&visit, INVALID_ARGUMENT);
    out->total = MEMORY_BYTES;
    out->used = held_bytes(visit.card) + MEMORY_RESERVED_BYTES;
    out->free = out->total - out->used;
    return leave(&visit, SUCCESS);
}

EXPORT int nvmlDeviceGetMemoryInfo_v2(device_t device, struct memory_v2 *out)
{
    ENTER(device);
    if (!out)
        return leave(&visit, INVALID_ARGUMENT);
    if (out->version != MEMORY_V2)
        return leave(&visit, ARGUMENT_VERSION_MISMATCH);
    out->total = MEMORY_BYTES;
    out->reserved = MEMORY_RESERVED_BYTES;
    out->used = held_bytes(visit.card);
    out->free = out->total - out->used - out->reserved;
    return leave(&visit, SUCCESS);
}

/* The SM clock follows the relative throughput: the simplest law that has the right sign. */
static unsigned clock_mhz(const struct visit *visit, unsigned clock, int highest)
{
    double pace = card_draw(visit->node, visit->card).throughput;
    int idle = !highest && visit->card->demand_mw <= IDLE_MW;
    if (clock == MEMORY_CLOCK)
        return MEMORY_MHZ;
    if (idle)
        return SM_IDLE_MHZ;
    if (clock == VIDEO_CLOCK)
        return (unsigned)lround(VIDEO_MAX_MHZ * (highest ? 1.0 : pace));
    unsigned mhz = (unsigned)lround(SM_MAX_MHZ * (highest ? 1.0 : pace)), lock = visit->card->lock_mhz;
    return !highest && lock && lock < mhz ? lock : mhz;
}

static int clock_info(device_t device, const char *function, unsigned clock, unsigned *mhz, int highest)
{
    struct visit visit;
    int refused = enter(device, function, &visit);
    if (refused)
        return refused;
    if (!mhz || clock > VIDEO_CLOCK)
        return leave(&visit, INVALID_ARGUMENT);
    *mhz = clock_mhz(&visit, clock, highest);
    return leave(&visit, SUCCESS);
}

EXPORT int nvmlDeviceGetClockInfo(device_t device, unsigned clock, unsigned *mhz)
{
    return clock_info(device, __func__, clock, mhz, 0);
}

EXPORT int nvmlDeviceGetMaxClockInfo(device_t device, unsigned clock, unsigned *mhz)
{
    return clock_info(device, __func__, clock, mhz, 1);
}

static int event_reasons(device_t device, const char *function, unsigned long long *reasons)
{
    struct visit visit;
    int refused = enter(device, function, &visit);
    if (refused)
        return refused;
    if (!reasons)
        return leave(&visit, INVALID_ARGUMENT);
    int celsius = card_celsius(visit.card);
    *reasons = (visit.card->demand_mw <= IDLE_MW ? GPU_IDLE : 0) |
               (card_draw(visit.node, visit.card).limited ? SW_POWER_CAP : 0) |
               (celsius >= GPU_MAX_CELSIUS ? SW_THERMAL_SLOWDOWN : 0) |
               (celsius >= SLOWDOWN_CELSIUS ? HW_SLOWDOWN | HW_THERMAL_SLOWDOWN : 0);
    return leave(&visit, SUCCESS);
}

EXPORT int nvmlDeviceGetCurrentClocksEventReasons(device_t device, unsigned long long *reasons)
{
    return event_reasons(device, __func__, reasons);
}

/* The name before driver 535. */
EXPORT int nvmlDeviceGetCurrentClocksThrottleReasons(device_t device, unsigned long long *reasons)
{
    return event_reasons(device, __func__, reasons);
}

static int constant(device_t device, const char *function, unsigned *out, unsigned value)
{
    struct visit visit;
    int refused = enter(device, function, &visit);
    if (refused)
        return refused;
    if (!out)
        return leave(&visit, INVALID_ARGUMENT);
    *out = value;
    return leave(&visit, SUCCESS);
}

EXPORT int nvmlDeviceGetPersistenceMode(device_t device, unsigned *enabled)
{
    return constant(device, __func__, enabled, 1);
}

/* An H100 stays in P0, idle or not. */
EXPORT int nvmlDeviceGetPerformanceState(device_t device, unsigned *state)
{
    return constant(device, __func__, state, 0);
}
