/* The machine that a fixture describes. Every answer of the library is derived from this one description. */
#pragma once
#include "json.h"
#pragma GCC visibility push(hidden)

enum { MAX_GPUS = 32, MAX_LINKS = 36, MAX_INSTANCES = 8, MAX_NODES = 64, MAX_DEPTH = 12, WORDS = 16, MAX_EVENTS = 16, NO_MARGIN = -1000 };

typedef unsigned long long Bits[WORDS]; /* a set of CPUs or of NUMA nodes */

typedef struct {
    int remote, port, state, speed, version;
    const char *bdf;                                    /* "hidden": the driver does not say where the link ends */
    long long tx_base, rx_base, tx_rate, rx_rate;       /* bytes, bytes a second */
    const Json *fields, *returns;
} Link;

typedef struct {
    int index, gpu_instance, compute_instance, gpu_slices, compute_slices, multiprocessors, memory_mib;
    const char *uuid, *name;
} MigInstance;

typedef struct { int present, state, status, clique, health_mask, health_summary; const char *cluster_uuid; } Fabric;
typedef struct {
    int present, slot, tray, host, peer_type, module;
    const char *ib_guid, *chassis_serial;
} PlatformPlace;
typedef struct { int present, links, bandwidth, status; } C2c;
typedef struct { int present, current, pending, max; const Json *instances; } Mig;
typedef struct { int present; long long total, reserved, used; } Memory;
typedef struct { int present, enforced, requested, fallback, minimum, maximum; } PowerLimits; /* milliwatts */
typedef struct { int present, shutdown, slowdown, memory_maximum, gpu_maximum; } Thresholds;
typedef struct { int present, generation, width, max_generation, max_width, device_max_generation; } Pcie;

typedef struct {
    const char *uuid, *name, *serial, *vbios, *part_number, *device, *subsystem, *class, *memory_affinity;
    int minor, brand, architecture, major, sub_major, module, node, memory_node, addressing_mode, pcie_p2p, nvlink_p2p;
    int lost, enumerated, temperature, power, clock, memory_clock, event_reasons, recovery_action;
    int persistence, ecc, ecc_pending, ecc_errors;
    Fabric fabric;
    PlatformPlace platform;
    C2c c2c;
    Mig mig;
    Memory memory;
    Pcie pcie;
    PowerLimits power_limits;
    Thresholds thresholds;
    int margin; /* NO_MARGIN where the GPU has none: 0 is a margin, and so are numbers below it */
    const Json *path, *links_given, *fields, *returns, *delays;
    const char *steps[MAX_DEPTH]; /* host bridge, bridges, the GPU itself */
    int depth, link_count, instance_count;
    Link nvlink; /* what the links have in common */
    Link links[MAX_LINKS];
    MigInstance instances[MAX_INSTANCES];
} Gpu;

typedef struct { int node, socket; const char *cpu_list; Bits cpus; } NumaNode;
typedef struct { int gpu, type, data, after_ms; } Event;

typedef struct {
    const char *driver, *nvml, *branch;
    int present, cuda;
} System;

typedef struct {
    System system;
    long long uptime_seconds; /* fixes the clock that counters run by; −1: the machine's own */
    unsigned fabric_versions, platform_versions; /* bit n: the driver knows revision n */
    const Json *returns, *delays, *gpus_given, *numa_given, *events_given, *fabric_given, *platform_given;
    int gpu_count, node_count, event_count;
    Gpu gpus[MAX_GPUS];
    NumaNode nodes[MAX_NODES];
    Event events[MAX_EVENTS];
} Model;

extern Model model;

/* Reads the fixture into `model`; 0, or −1 with ERROR saying what was expected and where. */
int model_load(const char *path, char *error, unsigned size);

/* Sets the bits of a kernel list such as "0-55,112-167"; 0, or −1 where it is none. */
int parse_list(const char *list, Bits bits);

/* How far apart two GPUs are on PCIe, as NVML's level. */
int common_ancestor(const Gpu *a, const Gpu *b);

/* Whether two GPUs can address each other's memory over NVLink: a link between them or switches behind both,
   and a fabric that has admitted both. Trained links alone prove nothing. */
int nvlink_reaches(const Gpu *a, const Gpu *b);

/* The GPU at a PCI address, in any spelling; NULL where none is. */
Gpu *gpu_at(const char *bdf);

int same_address(const char *a, const char *b);
const char *bdf_of(const Gpu *gpu);
unsigned hex(const char *text);

#pragma GCC visibility pop
