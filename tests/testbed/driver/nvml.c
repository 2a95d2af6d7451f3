/* NVML: the library, the system, and who a card is.
 *
 * Names, units, codes and two-call protocols are NVML's, checked against the calls nvidia-ml-py
 * makes. A function that is absent is absent as on an old driver: NVMLError_FunctionNotFound.
 */
#include "visit.h"

#include <stdio.h>
#include <string.h>

static int put(char *out, unsigned length, const char *text)
{
    if (!out)
        return INVALID_ARGUMENT;
    if (strlen(text) >= length)
        return INSUFFICIENT_SIZE;
    strcpy(out, text);
    return SUCCESS;
}

EXPORT int nvmlInitWithFlags(unsigned flags)
{
    (void)flags;
    int code = library_open();
    if (code)
        return code;
    struct visit visit;
    int refused = enter_system(__func__, &visit);
    if (refused) {
        library_close();
        return refused;
    }
    return leave(&visit, SUCCESS);
}

EXPORT int nvmlInit_v2(void)
{
    return nvmlInitWithFlags(0);
}

EXPORT int nvmlShutdown(void)
{
    return library_close();
}

EXPORT const char *nvmlErrorString(int code)
{
    switch (code) {
    case SUCCESS: return "Success";
    case UNINITIALIZED: return "Uninitialized";
    case INVALID_ARGUMENT: return "Invalid Argument";
    case NOT_SUPPORTED: return "Not Supported";
    case NO_PERMISSION: return "Insufficient Permissions";
    case NOT_FOUND: return "Not Found";
    case INSUFFICIENT_SIZE: return "Insufficient Size";
    case DRIVER_NOT_LOADED: return "Driver Not Loaded";
    case GPU_IS_LOST: return "GPU is lost";
    case LIB_RM_VERSION_MISMATCH: return "Driver/library version mismatch";
    case ARGUMENT_VERSION_MISMATCH: return "Argument version mismatch";
    default: return "Unknown Error";
    }
}

static int system_text(const char *function, char *out, unsigned length, const char *text)
{
    struct visit visit;
    int refused = enter_system(function, &visit);
    return refused ? refused : leave(&visit, put(out, length, text));
}

EXPORT int nvmlSystemGetDriverVersion(char *version, unsigned length)
{
    return system_text(__func__, version, length, "580.0-virtual");
}

EXPORT int nvmlSystemGetNVMLVersion(char *version, unsigned length)
{
    return system_text(__func__, version, length, "13.580.0-virtual");
}

EXPORT int nvmlDeviceGetCount_v2(unsigned *count)
{
    struct visit visit;
    int refused = enter_system(__func__, &visit);
    if (refused)
        return refused;
    if (!count)
        return leave(&visit, INVALID_ARGUMENT);
    *count = visit.node->cards; /* a lost card is still counted */
    return leave(&visit, SUCCESS);
}

static void uuid_of(int index, char *out, size_t length)
{
    snprintf(out, length, "GPU-76697274-7561-4c00-8000-%012x", (unsigned)index);
}

EXPORT int nvmlDeviceGetHandleByIndex_v2(unsigned index, device_t *device)
{
    device_t found = index < CARDS ? handles + index : NULL;
    ENTER(found);
    if (!device)
        return leave(&visit, INVALID_ARGUMENT);
    *device = found;
    return leave(&visit, SUCCESS);
}

EXPORT int nvmlDeviceGetHandleByUUID(const char *uuid, device_t *device)
{
    char own[96];
    for (int i = 0; uuid && i < CARDS; i++) {
        uuid_of(i, own, sizeof own);
        if (strcmp(own, uuid) == 0) {
            int code = nvmlDeviceGetHandleByIndex_v2((unsigned)i, device);
            return code == INVALID_ARGUMENT ? NOT_FOUND : code;
        }
    }
    return NOT_FOUND;
}

EXPORT int nvmlDeviceGetIndex(device_t device, unsigned *index)
{
    ENTER(device);
    if (!index)
        return leave(&visit, INVALID_ARGUMENT);
    *index = (unsigned)visit.index;
    return leave(&visit, SUCCESS);
}

EXPORT int nvmlDeviceGetName(device_t device, char *name, unsigned length)
{
    ENTER(device);
    return leave(&visit, put(name, length, "NVIDIA H100 80GB HBM3 (virtual)"));
}

EXPORT int nvmlDeviceGetUUID(device_t device, char *uuid, unsigned length)
{
    struct visit visit;
    int refused = enter_any(device, __func__, &visit);
    if (refused)
        return refused;
    char own[96];
    uuid_of(visit.index, own, sizeof own);
    if (visit.instance)
        snprintf(own, sizeof own, "MIG-76697274-7561-4c%02x-80%02x-%012x", visit.instance->gpu_instance & 0xffu,
                 visit.instance->compute_instance & 0xffu, (unsigned)visit.index);
    return leave(&visit, put(uuid, length, own));
}

struct pci { /* nvmlPciInfo_t */
    char bus_id_legacy[16];
    unsigned domain, bus, device, pci_device_id, pci_subsystem_id;
    char bus_id[32];
};

EXPORT int nvmlDeviceGetPciInfo_v3(device_t device, struct pci *pci)
{
    ENTER(device);
    if (!pci)
        return leave(&visit, INVALID_ARGUMENT);
    memset(pci, 0, sizeof *pci);
    pci->bus = 0x10u + (unsigned)visit.index;
    pci->pci_device_id = 0x233010deu; /* H100 SXM5 80 GB, NVIDIA */
    snprintf(pci->bus_id_legacy, sizeof pci->bus_id_legacy, "0000:%02X:00.0", pci->bus & 0xffu);
    snprintf(pci->bus_id, sizeof pci->bus_id, "00000000:%02X:00.0", pci->bus & 0xffu);
    return leave(&visit, SUCCESS);
}
