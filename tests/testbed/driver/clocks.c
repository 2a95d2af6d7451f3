/* NVML: the clocks that a card knows, and the lock on them. No call reads a lock back, as in NVML. */
#include "control.h"
#include "visit.h"

static unsigned steps(void)
{
    return (SM_MAX_MHZ - SM_LOWEST_MHZ) / SM_STEP_MHZ + 1;
}

/* One memory clock; the caller asks twice, first for how many. */
EXPORT int nvmlDeviceGetSupportedMemoryClocks(device_t device, unsigned *count, unsigned *mhz)
{
    ENTER(device);
    if (!count)
        return leave(&visit, INVALID_ARGUMENT);
    int fits = mhz && *count >= 1;
    *count = 1;
    if (fits)
        *mhz = MEMORY_MHZ;
    return leave(&visit, fits ? SUCCESS : INSUFFICIENT_SIZE);
}

EXPORT int nvmlDeviceGetSupportedGraphicsClocks(device_t device, unsigned memory_mhz, unsigned *count,
                                                unsigned *mhz)
{
    ENTER(device);
    if (!count)
        return leave(&visit, INVALID_ARGUMENT);
    if (memory_mhz != MEMORY_MHZ)
        return leave(&visit, NOT_FOUND);
    int fits = mhz && *count >= steps();
    *count = steps();
    for (unsigned i = 0; fits && i < *count; i++)
        mhz[i] = SM_MAX_MHZ - i * SM_STEP_MHZ;
    return leave(&visit, fits ? SUCCESS : INSUFFICIENT_SIZE);
}

/* The driver takes the nearest step below. */
EXPORT int nvmlDeviceSetGpuLockedClocks(device_t device, unsigned low, unsigned high)
{
    ENTER(device);
    visit.card->set_calls++;
    if (visit.card->fault[READ_ONLY])
        return leave(&visit, NO_PERMISSION);
    if (low > high || high < SM_LOWEST_MHZ || high > SM_MAX_MHZ)
        return leave(&visit, INVALID_ARGUMENT);
    if (!visit.card->fault[LYING_SETTER])
        visit.card->lock_mhz = high - (high - SM_LOWEST_MHZ) % SM_STEP_MHZ;
    return leave(&visit, SUCCESS);
}

EXPORT int nvmlDeviceResetGpuLockedClocks(device_t device)
{
    ENTER(device);
    visit.card->set_calls++;
    if (visit.card->fault[READ_ONLY])
        return leave(&visit, NO_PERMISSION);
    visit.card->lock_mhz = 0;
    return leave(&visit, SUCCESS);
}

/* The hand for it: 0 is no lock. */
EXPORT int fake_lock(unsigned gpu, uint32_t *mhz)
{
    OPEN(gpu);
    *mhz = card->lock_mhz;
    return close_node(node, SUCCESS);
}
