/* NVML: GPU performance monitoring; two samples of one GPU instance give its mean activity between. */
#include "visit.h"

#include <stdlib.h>

enum { SM_UTIL = 2, VERSION = 1, METRICS_MAX = 477 };

struct sample { /* opaque to callers */
    int is_taken;
    int gpu;
    unsigned gpu_instance;
    uint64_t at_ns;
    double active_ns;
};

struct support { /* nvmlGpmSupport_t */
    unsigned version, is_supported;
};

struct metric { /* nvmlGpmMetric_t */
    unsigned id, code;
    double value;
    const char *names[3];
};

struct metrics { /* nvmlGpmMetricsGet_t */
    unsigned version, length;
    struct sample *first, *second;
    struct metric metric[];
};

EXPORT int nvmlGpmQueryDeviceSupport(device_t device, struct support *support)
{
    ENTER(device);
    if (!support)
        return leave(&visit, INVALID_ARGUMENT);
    if (support->version != VERSION)
        return leave(&visit, ARGUMENT_VERSION_MISMATCH);
    support->is_supported = !visit.card->fault[NO_GPM];
    return leave(&visit, SUCCESS);
}

EXPORT int nvmlGpmSampleAlloc(struct sample **sample)
{
    if (!sample)
        return INVALID_ARGUMENT;
    *sample = calloc(1, sizeof **sample);
    return *sample ? SUCCESS : INSUFFICIENT_RESOURCES;
}

EXPORT int nvmlGpmSampleFree(struct sample *sample)
{
    if (!sample)
        return INVALID_ARGUMENT;
    free(sample);
    return SUCCESS;
}

EXPORT int nvmlGpmMigSampleGet(device_t device, unsigned gpu_instance, struct sample *sample)
{
    ENTER(device);
    if (!sample)
        return leave(&visit, INVALID_ARGUMENT);
    if (visit.card->fault[NO_GPM] || !visit.card->mig)
        return leave(&visit, NOT_SUPPORTED);
    const struct meter *meter = card_meter(visit.card);
    int found = 0;
    *sample = (struct sample){.gpu = visit.index, .gpu_instance = gpu_instance, .at_ns = meter->at_ns};
    for (int i = 0; i < INSTANCES; i++) {
        const struct instance *instance = &visit.card->instance[i];
        if (!instance->slices || instance->gpu_instance != gpu_instance)
            continue;
        sample->active_ns += meter->active_ns[i] * instance->compute_slices / instance->slices;
        found = 1;
    }
    sample->is_taken = found;
    return leave(&visit, found ? SUCCESS : INVALID_ARGUMENT);
}

static unsigned value_of(const struct metrics *asked, struct metric *metric)
{
    const struct sample *first = asked->first, *second = asked->second;
    if (metric->id != SM_UTIL)
        return NOT_SUPPORTED;
    metric->value = 100 * (second->active_ns - first->active_ns) / (double)(second->at_ns - first->at_ns);
    return SUCCESS;
}

/* Each metric has its own code; the samples must be of one instance, the first taken first. */
EXPORT int nvmlGpmMetricsGet(struct metrics *asked)
{
    if (!asked || asked->length > METRICS_MAX)
        return INVALID_ARGUMENT;
    if (asked->version != VERSION)
        return ARGUMENT_VERSION_MISMATCH;
    const struct sample *first = asked->first, *second = asked->second;
    if (!first || !second || !first->is_taken || !second->is_taken || first->gpu != second->gpu ||
        first->gpu_instance != second->gpu_instance || first->at_ns >= second->at_ns)
        return INVALID_ARGUMENT;
    for (unsigned i = 0; i < asked->length; i++)
        asked->metric[i].code = value_of(asked, &asked->metric[i]);
    return SUCCESS;
}
