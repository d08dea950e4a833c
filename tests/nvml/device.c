/* Which devices there are, what each is, and where it sits. */
#include "session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An unsigned (or int) answer where the fixture has one; -1 in the fixture means that the machine has none. */
#define NUMBER(function, type, member)                                                                                 \
    API function(void *device, type *answer) {                                                                        \
        ENTER(device);                                                                                                \
        const Gpu *gpu = gpu_of(device);                                                                              \
        if (!gpu || !answer)                                                                                          \
            return INVALID_ARGUMENT;                                                                                  \
        if ((int)gpu->member < 0)                                                                                     \
            return NOT_SUPPORTED;                                                                                     \
        *answer = (type)gpu->member;                                                                                  \
        return SUCCESS;                                                                                               \
    }
#define TEXT_OF(function, member)                                                                                      \
    API function(void *device, char *answer, unsigned size) {                                                         \
        ENTER(device);                                                                                                \
        const Gpu *gpu = gpu_of(device);                                                                              \
        return gpu ? give_text(gpu->member, answer, size) : INVALID_ARGUMENT;                                         \
    }

NUMBER(nvmlDeviceGetPersistenceMode, int, persistence)
NUMBER(nvmlDeviceGetMinorNumber, unsigned, minor)
NUMBER(nvmlDeviceGetBrand, unsigned, brand)
NUMBER(nvmlDeviceGetArchitecture, unsigned, architecture)
NUMBER(nvmlDeviceGetModuleId, unsigned, module)
NUMBER(nvmlDeviceGetNumaNodeId, int, memory_node)
NUMBER(nvmlDeviceGetPowerUsage, unsigned, power)
NUMBER(nvmlDeviceGetEnforcedPowerLimit, unsigned, power_limits.enforced)
NUMBER(nvmlDeviceGetPowerManagementLimit, unsigned, power_limits.requested)
NUMBER(nvmlDeviceGetPowerManagementDefaultLimit, unsigned, power_limits.fallback)
NUMBER(nvmlDeviceGetCurrentClocksEventReasons, unsigned long long, event_reasons)
NUMBER(nvmlDeviceGetCurrPcieLinkGeneration, unsigned, pcie.generation)
NUMBER(nvmlDeviceGetCurrPcieLinkWidth, unsigned, pcie.width)
NUMBER(nvmlDeviceGetMaxPcieLinkGeneration, unsigned, pcie.max_generation)
NUMBER(nvmlDeviceGetMaxPcieLinkWidth, unsigned, pcie.max_width)
NUMBER(nvmlDeviceGetGpuMaxPcieLinkGeneration, unsigned, pcie.device_max_generation)
NUMBER(nvmlDeviceGetPcieLinkMaxSpeed, unsigned, pcie.max_generation) /* the enumeration counts as generations do */
TEXT_OF(nvmlDeviceGetSerial, serial)
TEXT_OF(nvmlDeviceGetVbiosVersion, vbios)
TEXT_OF(nvmlDeviceGetBoardPartNumber, part_number)

/* ---- Finding devices. A GPU that is not enumerated is on the bus and unknown to the driver. */

static int found(const char *function, Gpu *gpu, void **device) {
    NEEDS(device);
    if (!gpu || !gpu->enumerated)
        return NOT_FOUND;
    *device = gpu;
    return gpu->lost ? GPU_IS_LOST : injected(function, gpu, -1);
}

API nvmlDeviceGetCount_v2(unsigned *count) {
    ENTER_SYSTEM();
    NEEDS(count);
    *count = 0;
    for (int i = 0; i < model.gpu_count; i++)
        *count += model.gpus[i].enumerated != 0;
    return SUCCESS;
}

API nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) {
    ENTER_SYSTEM();
    for (int i = 0; i < model.gpu_count; i++)
        if (model.gpus[i].enumerated && !index--)
            return found(__func__, &model.gpus[i], device);
    return INVALID_ARGUMENT;
}

API nvmlDeviceGetIndex(void *device, unsigned *index) {
    ENTER(device);
    const Gpu *gpu = gpu_of(device);
    if (!gpu || !index)
        return INVALID_ARGUMENT;
    *index = 0;
    for (const Gpu *before = model.gpus; before < gpu; before++)
        *index += before->enumerated != 0;
    return SUCCESS;
}

API nvmlDeviceGetHandleByPciBusId_v2(const char *bus_id, void **device) {
    ENTER_SYSTEM();
    NEEDS(bus_id);
    return found(__func__, gpu_at(bus_id), device);
}

API nvmlDeviceGetHandleByUUID(const char *uuid, void **device) {
    ENTER_SYSTEM();
    NEEDS(uuid && device);
    for (int i = 0; i < model.gpu_count; i++) {
        Gpu *gpu = &model.gpus[i];
        if (!strcmp(gpu->uuid, uuid))
            return found(__func__, gpu, device);
        for (int j = 0; j < gpu->instance_count; j++)
            if (gpu->instances[j].uuid && !strcmp(gpu->instances[j].uuid, uuid)) {
                *device = &gpu->instances[j];
                return SUCCESS;
            }
    }
    return NOT_FOUND;
}

API nvmlDeviceGetHandleBySerial(const char *serial, void **device) {
    ENTER_SYSTEM();
    NEEDS(serial);
    for (int i = 0; i < model.gpu_count; i++)
        if (model.gpus[i].serial && !strcmp(model.gpus[i].serial, serial))
            return found(__func__, &model.gpus[i], device);
    return NOT_FOUND;
}

/* ---- What a device is. */

API nvmlDeviceGetName(void *device, char *name, unsigned size) {
    ENTER(device);
    Gpu *gpu;
    const MigInstance *instance = instance_of(device, &gpu);
    return give_text(instance ? instance->name : gpu_of(device)->name, name, size);
}

API nvmlDeviceGetUUID(void *device, char *uuid, unsigned size) {
    ENTER(device);
    Gpu *gpu;
    const MigInstance *instance = instance_of(device, &gpu);
    return give_text(instance ? instance->uuid : gpu_of(device)->uuid, uuid, size);
}

API nvmlDeviceGetCudaComputeCapability(void *device, int *major, int *minor) {
    ENTER(device);
    const Gpu *gpu = gpu_of(device);
    NEEDS(gpu && major && minor);
    *major = gpu->major;
    *minor = gpu->sub_major;
    return SUCCESS;
}

API nvmlDeviceGetPciInfo_v3(void *device, PciInfo *info) {
    ENTER(device);
    const Gpu *gpu = gpu_of(device);
    NEEDS(gpu && info);
    give_address(bdf_of(gpu), info);
    info->device_and_vendor = hex(gpu->device);
    info->subsystem = hex(gpu->subsystem);
    return SUCCESS;
}

API nvmlDeviceGetPciInfoExt(void *device, PciInfoExt *info) {
    ENTER(device);
    const Gpu *gpu = gpu_of(device);
    NEEDS(gpu && info);
    if (info->version != VERSION(PciInfoExt, 1))
        return VERSION_MISMATCH;
    PciInfo plain;
    unsigned class = hex(gpu->class);
    give_address(bdf_of(gpu), &plain);
    *info = (PciInfoExt){.version = info->version, .domain = plain.domain, .bus = plain.bus, .device = plain.device,
                         .device_and_vendor = hex(gpu->device), .subsystem = hex(gpu->subsystem),
                         .base_class = class >> 16, .sub_class = class >> 8 & 0xff};
    memcpy(info->bus_id, plain.bus_id, sizeof info->bus_id);
    return SUCCESS;
}

API nvmlDeviceGetPcieSpeed(void *device, unsigned *megatransfers) {
    static const unsigned speeds[] = {0, 2500, 5000, 8000, 16000, 32000, 64000};
    ENTER(device);
    const Gpu *gpu = gpu_of(device);
    NEEDS(gpu && megatransfers && gpu->pcie.generation >= 0 && gpu->pcie.generation <= 6);
    *megatransfers = speeds[gpu->pcie.generation];
    return SUCCESS;
}

API nvmlDeviceGetMemoryInfo(void *device, MemoryV1 *memory) {
    ENTER(device);
    const Gpu *gpu = gpu_of(device);
    NEEDS(gpu && memory);
    long long used = gpu->memory.used + gpu->memory.reserved; /* revision 1 counts what is reserved as used */
    memory->total = (unsigned long long)gpu->memory.total;
    memory->free = (unsigned long long)(gpu->memory.total - used);
    memory->used = (unsigned long long)used;
    return gpu->memory.present ? SUCCESS : NOT_SUPPORTED;
}

API nvmlDeviceGetMemoryInfo_v2(void *device, MemoryV2 *memory) {
    ENTER(device);
    const Gpu *gpu = gpu_of(device);
    NEEDS(gpu && memory);
    if (memory->version != VERSION(MemoryV2, 2))
        return VERSION_MISMATCH;
    const Memory *of = &gpu->memory;
    *memory = (MemoryV2){memory->version, (unsigned long long)of->total, (unsigned long long)of->reserved,
                         (unsigned long long)(of->total - of->reserved - of->used), (unsigned long long)of->used};
    return of->present ? SUCCESS : NOT_SUPPORTED;
}

API nvmlDeviceGetAddressingMode(void *device, AddressingMode *mode) {
    ENTER(device);
    const Gpu *gpu = gpu_of(device);
    NEEDS(gpu && mode);
    if (mode->version != VERSION(AddressingMode, 1))
        return VERSION_MISMATCH;
    mode->value = (unsigned)gpu->addressing_mode;
    return gpu->addressing_mode < 0 ? NOT_SUPPORTED : SUCCESS;
}

API nvmlDeviceGetTemperature(void *device, unsigned sensor, unsigned *celsius) {
    ENTER(device);
    const Gpu *gpu = gpu_of(device);
    NEEDS(gpu && celsius && sensor == 0);
    *celsius = (unsigned)gpu->temperature;
    return gpu->temperature < 0 ? NOT_SUPPORTED : SUCCESS;
}

API nvmlDeviceGetTemperatureV(void *device, Temperature *temperature) {
    ENTER(device);
    const Gpu *gpu = gpu_of(device);
    NEEDS(gpu && temperature);
    if (temperature->version != VERSION(Temperature, 1))
        return VERSION_MISMATCH;
    temperature->celsius = gpu->temperature;
    return gpu->temperature < 0 || temperature->sensor ? NOT_SUPPORTED : SUCCESS;
}

API nvmlDeviceGetPowerManagementLimitConstraints(void *device, unsigned *minimum, unsigned *maximum) {
    ENTER(device);
    const Gpu *gpu = gpu_of(device);
    NEEDS(gpu && minimum && maximum);
    *minimum = (unsigned)gpu->power_limits.minimum;
    *maximum = (unsigned)gpu->power_limits.maximum;
    return gpu->power_limits.minimum < 0 || gpu->power_limits.maximum < 0 ? NOT_SUPPORTED : SUCCESS;
}

API nvmlDeviceGetTemperatureThreshold(void *device, unsigned kind, unsigned *celsius) {
    ENTER(device);
    const Gpu *gpu = gpu_of(device);
    NEEDS(gpu && celsius && kind <= 7);
    const Thresholds *known = &gpu->thresholds;
    const int all[8] = {known->shutdown, known->slowdown, known->memory_maximum, known->gpu_maximum, -1, -1, -1, -1};
    *celsius = (unsigned)all[kind];
    return all[kind] < 0 ? NOT_SUPPORTED : SUCCESS;
}

API nvmlDeviceGetMarginTemperature(void *device, Margin *margin) {
    ENTER(device);
    const Gpu *gpu = gpu_of(device);
    NEEDS(gpu && margin);
    if (margin->version != VERSION(Margin, 1))
        return VERSION_MISMATCH;
    margin->celsius = gpu->margin;
    return gpu->margin == NO_MARGIN ? NOT_SUPPORTED : SUCCESS;
}

API nvmlDeviceGetClockInfo(void *device, unsigned type, unsigned *mhz) {
    ENTER(device);
    const Gpu *gpu = gpu_of(device);
    NEEDS(gpu && mhz && type <= 3);
    int clock = type == 2 ? gpu->memory_clock : gpu->clock; /* 0 graphics, 1 SM, 2 memory, 3 video */
    *mhz = (unsigned)clock;
    return clock < 0 ? NOT_SUPPORTED : SUCCESS;
}

/* ---- CPUs and memory near a device. Scope 0 is the NUMA node, 1 the socket. */

static int give_bits(const Bits bits, unsigned size, unsigned long *words) {
    if (!size || !words)
        return INVALID_ARGUMENT;
    for (unsigned i = 0; i < WORDS || i < size; i++)
        if (i < size)
            words[i] = i < WORDS ? (unsigned long)bits[i] : 0;
        else if (bits[i])
            return INSUFFICIENT_SIZE;
    return SUCCESS;
}

static int near(const Gpu *gpu, const NumaNode *numa, unsigned scope) {
    const NumaNode *own = NULL;
    for (int i = 0; i < model.node_count; i++)
        if (model.nodes[i].node == gpu->node)
            own = &model.nodes[i];
    return !own || own == numa || (scope == 1 && own->socket >= 0 && own->socket == numa->socket);
}

API nvmlDeviceGetCpuAffinityWithinScope(void *device, unsigned size, unsigned long *words, unsigned scope) {
    ENTER(device);
    const Gpu *gpu = gpu_of(device);
    Bits cpus = {0};
    NEEDS(gpu && scope <= 1);
    for (int i = 0; i < model.node_count; i++)
        for (int j = 0; j < WORDS && near(gpu, &model.nodes[i], scope); j++)
            cpus[j] |= model.nodes[i].cpus[j];
    return give_bits(cpus, size, words);
}

API nvmlDeviceGetCpuAffinity(void *device, unsigned size, unsigned long *words) {
    ENTER(device);
    return nvmlDeviceGetCpuAffinityWithinScope(device, size, words, 0);
}

API nvmlDeviceGetMemoryAffinity(void *device, unsigned size, unsigned long *words, unsigned scope) {
    ENTER(device);
    const Gpu *gpu = gpu_of(device);
    Bits nodes = {0};
    NEEDS(gpu && scope <= 1);
    if (gpu->memory_affinity && parse_list(gpu->memory_affinity, nodes))
        return UNKNOWN;
    for (int i = 0; i < model.node_count && !gpu->memory_affinity; i++)
        if (near(gpu, &model.nodes[i], scope))
            nodes[model.nodes[i].node / 64 % WORDS] |= 1ULL << model.nodes[i].node % 64;
    return give_bits(nodes, size, words);
}

/* ---- MIG: instances in numbered places, some of which are empty. */

API nvmlDeviceGetMigMode(void *device, unsigned *current, unsigned *pending) {
    ENTER(device);
    const Gpu *gpu = gpu_of(device);
    NEEDS(gpu && current && pending);
    *current = (unsigned)gpu->mig.current;
    *pending = (unsigned)gpu->mig.pending;
    return gpu->mig.present ? SUCCESS : NOT_SUPPORTED;
}

API nvmlDeviceGetEccMode(void *device, int *current, int *pending) {
    ENTER(device);
    const Gpu *gpu = gpu_of(device);
    NEEDS(gpu && current && pending);
    *current = gpu->ecc;
    *pending = gpu->ecc_pending;
    return gpu->ecc < 0 ? NOT_SUPPORTED : SUCCESS;
}

API nvmlDeviceGetTotalEccErrors(void *device, int type, int counter, unsigned long long *count) {
    ENTER(device);
    const Gpu *gpu = gpu_of(device);
    NEEDS(gpu && count);
    *count = type == 1 && counter == 0 ? (unsigned long long)gpu->ecc_errors : 0;
    return gpu->ecc > 0 ? SUCCESS : NOT_SUPPORTED;
}

API nvmlDeviceGetMaxMigDeviceCount(void *device, unsigned *count) {
    ENTER(device);
    const Gpu *gpu = gpu_of(device);
    NEEDS(gpu && count);
    *count = (unsigned)gpu->mig.max;
    return SUCCESS;
}

API nvmlDeviceGetMigDeviceHandleByIndex(void *device, unsigned index, void **instance) {
    ENTER(device);
    Gpu *gpu = gpu_of(device);
    NEEDS(gpu && instance);
    if (!gpu->mig.present)
        return NOT_SUPPORTED;
    for (int i = 0; i < gpu->instance_count; i++)
        if (gpu->instances[i].index == (int)index) {
            *instance = &gpu->instances[i];
            return SUCCESS;
        }
    return (int)index < gpu->mig.max ? NOT_FOUND : INVALID_ARGUMENT;
}

API nvmlDeviceIsMigDeviceHandle(void *device, unsigned *answer) {
    ENTER(device);
    NEEDS(answer);
    *answer = !gpu_of(device);
    return SUCCESS;
}

API nvmlDeviceGetDeviceHandleFromMigDeviceHandle(void *instance, void **device) {
    ENTER(instance);
    Gpu *gpu;
    NEEDS(device && instance_of(instance, &gpu));
    *device = gpu;
    return SUCCESS;
}

API nvmlDeviceGetGpuInstanceId(void *device, unsigned *id) {
    ENTER(device);
    Gpu *gpu;
    const MigInstance *instance = instance_of(device, &gpu);
    NEEDS(instance && id);
    *id = (unsigned)instance->gpu_instance;
    return SUCCESS;
}

API nvmlDeviceGetComputeInstanceId(void *device, unsigned *id) {
    ENTER(device);
    Gpu *gpu;
    const MigInstance *instance = instance_of(device, &gpu);
    NEEDS(instance && id);
    *id = (unsigned)instance->compute_instance;
    return SUCCESS;
}

API nvmlDeviceGetAttributes_v2(void *device, MigAttributes *attributes) {
    ENTER(device);
    Gpu *gpu;
    const MigInstance *instance = instance_of(device, &gpu);
    NEEDS(instance && attributes);
    *attributes = (MigAttributes){.multiprocessors = (unsigned)instance->multiprocessors,
                                  .gpu_slices = (unsigned)instance->gpu_slices,
                                  .compute_slices = (unsigned)instance->compute_slices,
                                  .memory_mib = (unsigned long long)instance->memory_mib};
    return SUCCESS;
}
