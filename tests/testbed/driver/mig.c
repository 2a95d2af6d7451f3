/* NVML: MIG, that is a card cut into GPU instances, and those into compute instances. */
#include "visit.h"

#include <string.h>

enum { MULTIPROCESSORS_A_SLICE = 16 }; /* H100: 1g has 16, 7g has 132 */

EXPORT int nvmlDeviceGetMigMode(device_t device, unsigned *current, unsigned *pending)
{
    ENTER(device);
    if (!current || !pending)
        return leave(&visit, INVALID_ARGUMENT);
    *current = *pending = visit.card->mig;
    return leave(&visit, SUCCESS);
}

EXPORT int nvmlDeviceGetMaxMigDeviceCount(device_t device, unsigned *count)
{
    ENTER(device);
    if (!count)
        return leave(&visit, INVALID_ARGUMENT);
    *count = INSTANCES;
    return leave(&visit, SUCCESS);
}

/* Indices have holes: a place that is free is not found. */
EXPORT int nvmlDeviceGetMigDeviceHandleByIndex(device_t device, unsigned index, device_t *out)
{
    ENTER(device);
    if (!out || index >= INSTANCES)
        return leave(&visit, INVALID_ARGUMENT);
    if (!visit.card->mig || !visit.card->instance[index].slices)
        return leave(&visit, NOT_FOUND);
    *out = mig_handles + visit.index * INSTANCES + (int)index;
    return leave(&visit, SUCCESS);
}

enum about { GPU_INSTANCE, COMPUTE_INSTANCE };

static int id_of(device_t device, const char *function, unsigned *id, enum about about)
{
    struct visit visit;
    int refused = enter_any(device, function, &visit);
    if (refused)
        return refused;
    if (!visit.instance)
        return leave(&visit, NOT_SUPPORTED); /* only MIG devices have one */
    if (!id)
        return leave(&visit, INVALID_ARGUMENT);
    *id = about == GPU_INSTANCE ? visit.instance->gpu_instance : visit.instance->compute_instance;
    return leave(&visit, SUCCESS);
}

EXPORT int nvmlDeviceGetGpuInstanceId(device_t device, unsigned *id)
{
    return id_of(device, __func__, id, GPU_INSTANCE);
}

EXPORT int nvmlDeviceGetComputeInstanceId(device_t device, unsigned *id)
{
    return id_of(device, __func__, id, COMPUTE_INSTANCE);
}

struct attributes { /* nvmlDeviceAttributes_t */
    unsigned multiprocessors;
    unsigned copy_engines, decoders, encoders, jpegs, ofas;
    unsigned gpu_slices, compute_slices;
    unsigned long long memory_mb;
};

EXPORT int nvmlDeviceGetAttributes_v2(device_t device, struct attributes *out)
{
    struct visit visit;
    int refused = enter_any(device, __func__, &visit);
    if (refused)
        return refused;
    if (!visit.instance)
        return leave(&visit, NOT_SUPPORTED);
    if (!out)
        return leave(&visit, INVALID_ARGUMENT);
    memset(out, 0, sizeof *out);
    out->multiprocessors = visit.instance->compute_slices * MULTIPROCESSORS_A_SLICE;
    out->gpu_slices = visit.instance->slices;
    out->compute_slices = visit.instance->compute_slices;
    out->memory_mb = visit.instance->memory_mb;
    return leave(&visit, SUCCESS);
}
