#include "model.h"
#include "layout.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static jmp_buf broken;
static char *message;
static unsigned message_size;

static _Noreturn void refuse(const Json *node, const char *format, ...) {
    va_list arguments;
    int used = snprintf(message, message_size, "line %d: ", node->line);
    va_start(arguments, format);
    vsnprintf(message + used, message_size - (unsigned)used, format, arguments);
    va_end(arguments);
    longjmp(broken, 1);
}

/* ---- A table a record: which member goes where. A key in no table is a mistake of the fixture's author. */

enum Shape { INTEGER, LONG, FLAG, TEXT, REMOTE, MAP, LIST, RECORD };
typedef struct Member {
    const char *key;
    enum Shape shape;
    size_t at;
    const struct Member *record;
} Member;

#define AT(type, field) offsetof(type, field), NULL
#define OF(type, field, table) offsetof(type, field), table

static const Member FABRIC[] = {
    {"state", INTEGER, AT(Fabric, state)}, {"status", INTEGER, AT(Fabric, status)},
    {"clusterUuid", TEXT, AT(Fabric, cluster_uuid)}, {"cliqueId", INTEGER, AT(Fabric, clique)},
    {"healthMask", INTEGER, AT(Fabric, health_mask)}, {"healthSummary", INTEGER, AT(Fabric, health_summary)}, {0}};
static const Member PLATFORM[] = {
    {"ibGuid", TEXT, AT(PlatformPlace, ib_guid)}, {"chassisSerial", TEXT, AT(PlatformPlace, chassis_serial)},
    {"slot", INTEGER, AT(PlatformPlace, slot)}, {"tray", INTEGER, AT(PlatformPlace, tray)},
    {"host", INTEGER, AT(PlatformPlace, host)}, {"peerType", INTEGER, AT(PlatformPlace, peer_type)},
    {"module", INTEGER, AT(PlatformPlace, module)}, {0}};
static const Member C2C[] = {
    {"links", INTEGER, AT(C2c, links)}, {"bandwidth", INTEGER, AT(C2c, bandwidth)},
    {"status", INTEGER, AT(C2c, status)}, {0}};
static const Member MIG[] = {
    {"current", INTEGER, AT(Mig, current)}, {"pending", INTEGER, AT(Mig, pending)}, {"max", INTEGER, AT(Mig, max)},
    {"instances", LIST, AT(Mig, instances)}, {0}};
static const Member MIG_INSTANCE[] = {
    {"index", INTEGER, AT(MigInstance, index)}, {"uuid", TEXT, AT(MigInstance, uuid)},
    {"name", TEXT, AT(MigInstance, name)}, {"gpuInstance", INTEGER, AT(MigInstance, gpu_instance)},
    {"computeInstance", INTEGER, AT(MigInstance, compute_instance)},
    {"gpuSlices", INTEGER, AT(MigInstance, gpu_slices)}, {"computeSlices", INTEGER, AT(MigInstance, compute_slices)},
    {"multiprocessors", INTEGER, AT(MigInstance, multiprocessors)},
    {"memoryMib", INTEGER, AT(MigInstance, memory_mib)}, {0}};
static const Member MEMORY[] = {
    {"total", LONG, AT(Memory, total)}, {"reserved", LONG, AT(Memory, reserved)}, {"used", LONG, AT(Memory, used)},
    {0}};
static const Member PCIE[] = {
    {"generation", INTEGER, AT(Pcie, generation)}, {"width", INTEGER, AT(Pcie, width)},
    {"maxGeneration", INTEGER, AT(Pcie, max_generation)}, {"maxWidth", INTEGER, AT(Pcie, max_width)},
    {"deviceMaxGeneration", INTEGER, AT(Pcie, device_max_generation)}, {0}};
static const Member POWER_LIMITS[] = {
    {"enforced", INTEGER, AT(PowerLimits, enforced)}, {"requested", INTEGER, AT(PowerLimits, requested)},
    {"default", INTEGER, AT(PowerLimits, fallback)}, {"minimum", INTEGER, AT(PowerLimits, minimum)},
    {"maximum", INTEGER, AT(PowerLimits, maximum)}, {0}};
static const Member THRESHOLDS[] = {
    {"shutdown", INTEGER, AT(Thresholds, shutdown)}, {"slowdown", INTEGER, AT(Thresholds, slowdown)},
    {"memoryMaximum", INTEGER, AT(Thresholds, memory_maximum)}, {"gpuMaximum", INTEGER, AT(Thresholds, gpu_maximum)},
    {0}};
static const Member LINK[] = {
    {"to", REMOTE, AT(Link, remote)}, {"bdf", TEXT, AT(Link, bdf)}, {"port", INTEGER, AT(Link, port)},
    {"state", INTEGER, AT(Link, state)}, {"speed", INTEGER, AT(Link, speed)}, {"version", INTEGER, AT(Link, version)},
    {"txBase", LONG, AT(Link, tx_base)}, {"rxBase", LONG, AT(Link, rx_base)}, {"txRate", LONG, AT(Link, tx_rate)},
    {"rxRate", LONG, AT(Link, rx_rate)}, {"fields", MAP, AT(Link, fields)}, {"returns", MAP, AT(Link, returns)}, {0}};
static const Member GPU[] = {
    {"uuid", TEXT, AT(Gpu, uuid)}, {"name", TEXT, AT(Gpu, name)}, {"serial", TEXT, AT(Gpu, serial)},
    {"vbios", TEXT, AT(Gpu, vbios)}, {"partNumber", TEXT, AT(Gpu, part_number)}, {"device", TEXT, AT(Gpu, device)},
    {"subsystem", TEXT, AT(Gpu, subsystem)}, {"class", TEXT, AT(Gpu, class)}, {"minor", INTEGER, AT(Gpu, minor)},
    {"brand", INTEGER, AT(Gpu, brand)}, {"architecture", INTEGER, AT(Gpu, architecture)},
    {"computeMajor", INTEGER, AT(Gpu, major)}, {"computeMinor", INTEGER, AT(Gpu, sub_major)},
    {"moduleId", INTEGER, AT(Gpu, module)}, {"path", LIST, AT(Gpu, path)}, {"numaNode", INTEGER, AT(Gpu, node)},
    {"memoryNumaNode", INTEGER, AT(Gpu, memory_node)}, {"memoryAffinity", TEXT, AT(Gpu, memory_affinity)},
    {"addressingMode", INTEGER, AT(Gpu, addressing_mode)}, {"pcieP2p", INTEGER, AT(Gpu, pcie_p2p)},
    {"nvlinkP2p", INTEGER, AT(Gpu, nvlink_p2p)},
    {"lost", FLAG, AT(Gpu, lost)}, {"enumerated", FLAG, AT(Gpu, enumerated)},
    {"temperature", INTEGER, AT(Gpu, temperature)}, {"power", INTEGER, AT(Gpu, power)},
    {"clock", INTEGER, AT(Gpu, clock)}, {"memoryClock", INTEGER, AT(Gpu, memory_clock)},
    {"persistence", INTEGER, AT(Gpu, persistence)}, {"ecc", INTEGER, AT(Gpu, ecc)},
    {"eccPending", INTEGER, AT(Gpu, ecc_pending)}, {"eccErrors", INTEGER, AT(Gpu, ecc_errors)},
    {"eventReasons", INTEGER, AT(Gpu, event_reasons)}, {"recoveryAction", INTEGER, AT(Gpu, recovery_action)},
    {"fabric", RECORD, OF(Gpu, fabric, FABRIC)}, {"platform", RECORD, OF(Gpu, platform, PLATFORM)},
    {"c2c", RECORD, OF(Gpu, c2c, C2C)}, {"mig", RECORD, OF(Gpu, mig, MIG)},
    {"powerLimits", RECORD, OF(Gpu, power_limits, POWER_LIMITS)},
    {"thresholds", RECORD, OF(Gpu, thresholds, THRESHOLDS)}, {"margin", INTEGER, AT(Gpu, margin)},
    {"memory", RECORD, OF(Gpu, memory, MEMORY)}, {"pcie", RECORD, OF(Gpu, pcie, PCIE)}, {"nvlink", MAP, 0, 0},
    {"links", LIST, AT(Gpu, links_given)}, {"fields", MAP, AT(Gpu, fields)}, {"returns", MAP, AT(Gpu, returns)},
    {"delays", MAP, AT(Gpu, delays)}, {0}};
static const Member NUMA[] = {
    {"node", INTEGER, AT(NumaNode, node)}, {"socket", INTEGER, AT(NumaNode, socket)},
    {"cpus", TEXT, AT(NumaNode, cpu_list)}, {0}};
static const Member EVENT[] = {
    {"gpu", INTEGER, AT(Event, gpu)}, {"type", INTEGER, AT(Event, type)}, {"data", INTEGER, AT(Event, data)},
    {"afterMs", INTEGER, AT(Event, after_ms)}, {0}};
static const Member SYSTEM_[] = {
    {"driver", TEXT, AT(System, driver)}, {"nvml", TEXT, AT(System, nvml)}, {"branch", TEXT, AT(System, branch)},
    {"cuda", INTEGER, AT(System, cuda)}, {0}};
static const Member MODEL[] = {
    {"system", RECORD, OF(Model, system, SYSTEM_)}, {"uptimeSeconds", LONG, AT(Model, uptime_seconds)},
    {"fabricVersions", LIST, AT(Model, fabric_given)}, {"platformVersions", LIST, AT(Model, platform_given)},
    {"returns", MAP, AT(Model, returns)}, {"delays", MAP, AT(Model, delays)}, {"numa", LIST, AT(Model, numa_given)},
    {"gpus", LIST, AT(Model, gpus_given)}, {"events", LIST, AT(Model, events_given)}, {0}};

static void expect(const Json *node, enum JsonKind kind, const char *where) {
    if (node->kind != kind)
        refuse(node, "%s: expected %s, got %s", where, json_kind(kind), json_kind(node->kind));
}

static int remote_type(const Json *node, const char *where) {
    static const struct { const char *word; int type; } words[] = {
        {"gpu", TO_GPU}, {"npu", TO_NPU}, {"switch", TO_SWITCH}, {"unknown", TO_UNKNOWN}};
    expect(node, JSON_TEXT, where);
    for (unsigned i = 0; i < sizeof words / sizeof *words; i++)
        if (!strcmp(words[i].word, node->text))
            return words[i].type;
    refuse(node, "%s: expected gpu, npu, switch or unknown, got '%s'", where, node->text);
}

static void decode(const Json *map, const Member *table, void *into, const char *where) {
    static const enum JsonKind kinds[] = {JSON_NUMBER, JSON_NUMBER, JSON_BOOLEAN, JSON_TEXT, JSON_TEXT,
                                          JSON_MAP, JSON_LIST, JSON_MAP};
    expect(map, JSON_MAP, where);
    for (const Json *node = map->first; node; node = node->next) {
        char place[160];
        const Member *member = table;
        while (member->key && strcmp(member->key, node->key))
            member++;
        if (!member->key)
            refuse(node, "%s: expected a known key, got '%s'", where, node->key);
        snprintf(place, sizeof place, "%s.%s", where, node->key);
        expect(node, kinds[member->shape], place);
        char *target = (char *)into + member->at;
        switch (member->shape) {
        case INTEGER: case FLAG: *(int *)target = (int)(long long)node->number; break;
        case LONG: *(long long *)target = (long long)node->number; break;
        case TEXT: *(const char **)target = node->text; break;
        case REMOTE: *(int *)target = remote_type(node, place); break;
        case LIST: *(const Json **)target = node; break;
        case MAP: if (member->at) *(const Json **)target = node; break;
        case RECORD:
            decode(node, member->record, target, place);
            if (member->record != SYSTEM_)
                *(int *)target = 1; /* `present` comes first */
        }
    }
}

static void require(const Json *map, const char *key, const char *where) {
    if (!json_member(map, key))
        refuse(map, "%s: expected a member '%s', got none", where, key);
}

static const Json *each(const Json *list, int limit, const char *where) {
    int count = 0;
    for (const Json *node = list ? list->first : NULL; node; node = node->next)
        if (++count > limit)
            refuse(node, "%s: expected at most %d elements, got more", where, limit);
    return list ? list->first : NULL;
}

static void decode_path(Gpu *gpu, const char *where) {
    unsigned number;
    for (const Json *step = each(gpu->path, MAX_DEPTH, where); step; step = step->next) {
        expect(step, JSON_TEXT, where);
        gpu->steps[gpu->depth++] = step->text;
    }
    if (gpu->depth < 2 || sscanf(bdf_of(gpu), "%x:%x:%x.%x", &number, &number, &number, &number) != 4)
        refuse(gpu->path, "%s.path: expected a host bridge, bridges and a PCI address such as 0000:53:00.0", where);
}

static void decode_links(const Json *node, Gpu *gpu, const char *where) {
    char place[96];
    const Json *common = json_member(node, "nvlink");
    gpu->nvlink = (Link){.remote = TO_SWITCH, .state = 1, .bdf = "hidden"};
    snprintf(place, sizeof place, "%s.nvlink", where);
    if (common)
        decode(common, LINK, &gpu->nvlink, place);
    snprintf(place, sizeof place, "%s.links", where);
    for (const Json *link = each(gpu->links_given, MAX_LINKS, place); link; link = link->next) {
        snprintf(place, sizeof place, "%s.links[%d]", where, gpu->link_count);
        gpu->links[gpu->link_count] = gpu->nvlink;
        decode(link, LINK, &gpu->links[gpu->link_count++], place);
    }
}

static void decode_gpu(const Json *node, Gpu *gpu, int index) {
    char where[64];
    snprintf(where, sizeof where, "gpus[%d]", index);
    *gpu = (Gpu){.minor = index, .brand = 14, .enumerated = 1, .module = -1, .node = -1, .memory_node = -1,
                 .addressing_mode = -1, .temperature = -1, .power = -1, .clock = -1, .memory_clock = -1,
                 .power_limits = {0, -1, -1, -1, -1, -1}, .thresholds = {0, -1, -1, -1, -1}, .margin = NO_MARGIN,
                 .persistence = 1, .ecc = 1, .ecc_pending = 1,
                 .device = "0x00000000", .subsystem = "0x00000000", .class = "0x030200"};
    decode(node, GPU, gpu, where);
    require(node, "uuid", where);
    require(node, "path", where);
    require(node, "architecture", where);
    decode_path(gpu, where);
    decode_links(node, gpu, where);
    for (const Json *part = each(gpu->mig.instances, MAX_INSTANCES, "mig.instances"); part; part = part->next)
        decode(part, MIG_INSTANCE, &gpu->instances[gpu->instance_count++], "mig.instances[]");
}

static unsigned versions(const Json *list, unsigned unsaid) {
    unsigned bits = 0;
    for (const Json *node = list ? list->first : NULL; node; node = node->next)
        bits |= 1u << ((unsigned)node->number & 31);
    return list ? bits : unsaid;
}

static void decode_model(const Json *root) {
    model = (Model){.uptime_seconds = -1};
    decode(root, MODEL, &model, "fixture");
    require(root, "system", "fixture");
    require(root, "gpus", "fixture");
    model.fabric_versions = versions(model.fabric_given, 0xe);
    model.platform_versions = versions(model.platform_given, 0x6);
    for (const Json *node = each(model.numa_given, MAX_NODES, "numa"); node; node = node->next) {
        NumaNode *numa = &model.nodes[model.node_count++];
        *numa = (NumaNode){.socket = -1, .cpu_list = ""};
        decode(node, NUMA, numa, "numa[]");
        if (parse_list(numa->cpu_list, numa->cpus))
            refuse(node, "numa[].cpus: expected a list such as 0-55,112-167, got '%s'", numa->cpu_list);
    }
    for (const Json *node = each(model.gpus_given, MAX_GPUS, "gpus"); node; node = node->next, model.gpu_count++)
        decode_gpu(node, &model.gpus[model.gpu_count], model.gpu_count);
    for (const Json *node = each(model.events_given, MAX_EVENTS, "events"); node; node = node->next)
        decode(node, EVENT, &model.events[model.event_count++], "events[]");
}

static char *read_file(const char *path) {
    FILE *file = fopen(path, "r");
    char *text = NULL;
    if (file && !fseek(file, 0, SEEK_END)) {
        long size = ftell(file);
        rewind(file);
        if (size >= 0 && (text = calloc(1, (size_t)size + 1)) && fread(text, 1, (size_t)size, file) != (size_t)size)
            *text = 0;
    }
    if (file)
        fclose(file);
    return text;
}

int model_load(const char *path, char *error, unsigned size) {
    static char *text; /* the model points into both until the next load */
    static Json *nodes;
    free(text);
    free(nodes);
    nodes = NULL;
    text = path ? read_file(path) : NULL;
    message = error;
    message_size = size;
    if (!text) {
        snprintf(error, size, "expected a readable file named by NVTOPO_NVML_FIXTURE");
        return -1;
    }
    nodes = calloc(strlen(text) + 2, sizeof *nodes);
    const Json *root = nodes ? json_parse(text, nodes, error, size) : NULL;
    if (!root || setjmp(broken))
        return -1;
    decode_model(root);
    return 0;
}
