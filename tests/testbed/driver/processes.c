/* NVML: which processes are on a card, and what each did since the last question. */
#include "visit.h"

struct running { /* nvmlProcessInfo_t */
    unsigned pid;
    unsigned long long memory_bytes;
    unsigned gpu_instance, compute_instance;
};

struct sample { /* nvmlProcessUtilizationSample_t */
    unsigned pid;
    unsigned long long timestamp_us;
    unsigned sm, memory, encoder, decoder;
};

/* Asked with too little room, it says how much there must be. */
static int list(device_t device, const char *function, enum kind kind, unsigned *length, struct running *out)
{
    struct visit visit;
    int refused = enter_any(device, function, &visit);
    if (refused)
        return refused;
    if (visit.card->mig && !visit.instance && visit.card->fault[PRIVATE_LISTS])
        return leave(&visit, NO_PERMISSION);
    if (!length || (*length && !out))
        return leave(&visit, INVALID_ARGUMENT);
    unsigned room = *length, found = 0;
    for (int i = 0; i < PROCESSES; i++) {
        const struct process *process = &visit.card->process[i];
        if (!process->pid || process->kind != kind)
            continue;
        if (visit.instance && (process->gpu_instance != visit.instance->gpu_instance ||
                               process->compute_instance != visit.instance->compute_instance))
            continue;
        if (found < room)
            out[found] = (struct running){process->pid, process->memory_bytes, process->gpu_instance,
                                          process->compute_instance};
        found++;
    }
    *length = found;
    return leave(&visit, found > room ? INSUFFICIENT_SIZE : SUCCESS);
}

EXPORT int nvmlDeviceGetComputeRunningProcesses_v3(device_t device, unsigned *length, struct running *out)
{
    return list(device, __func__, COMPUTE, length, out);
}

EXPORT int nvmlDeviceGetGraphicsRunningProcesses_v3(device_t device, unsigned *length, struct running *out)
{
    return list(device, __func__, GRAPHICS, length, out);
}

EXPORT int nvmlDeviceGetMPSComputeRunningProcesses_v3(device_t device, unsigned *length, struct running *out)
{
    return list(device, __func__, MPS, length, out);
}

/* One sample a process: the newest, if it is newer than the caller has seen and not zero. */
EXPORT int nvmlDeviceGetProcessUtilization(device_t device, struct sample *out, unsigned *length,
                                           unsigned long long seen_us)
{
    ENTER(device);
    if (visit.card->mig)
        return leave(&visit, NOT_SUPPORTED);
    if (!length)
        return leave(&visit, INVALID_ARGUMENT);
    unsigned room = out ? *length : 0, found = 0;
    for (int i = 0; i < PROCESSES; i++) {
        const struct process *process = &visit.card->process[i];
        if (!process->pid || process->sampled_us <= seen_us || !process->sm_percent)
            continue;
        if (found < room)
            out[found] = (struct sample){.pid = process->pid,
                                         .timestamp_us = process->sampled_us,
                                         .sm = process->sm_percent,
                                         .memory = process->memory_percent};
        found++;
    }
    if (!found)
        return leave(&visit, NOT_FOUND);
    *length = found;
    return leave(&visit, found > room ? INSUFFICIENT_SIZE : SUCCESS);
}
