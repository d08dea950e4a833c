/* What crosses the library's boundary: the structures and numbers of NVML's documentation, in our own words.
   Sizes are asserted, since a caller's buffer is exactly that large. */
#pragma once

enum {
    SUCCESS = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7,
    TIMEOUT = 10, FUNCTION_NOT_FOUND = 13, GPU_IS_LOST = 15, VERSION_MISMATCH = 25, UNKNOWN = 999
};
enum { TO_GPU = 0, TO_NPU = 1, TO_SWITCH = 2, TO_UNKNOWN = 0xff };
enum { INTERNAL = 0, SINGLE = 10, MULTIPLE = 20, HOST_BRIDGE = 30, NODE = 40, SYSTEM = 50 };
enum { P2P_READ, P2P_WRITE, P2P_NVLINK, P2P_ATOMICS, P2P_PCI };
enum { AMPERE = 7, ADA = 8, HOPPER = 9, BLACKWELL = 10 };
enum { FABRIC_COMPLETED = 3 };
enum { EVENT_XID = 0x8, EVENTS_SUPPORTED = 0xc1ff };

/* Structures with a version word carry their size in its low 24 bits and their revision in the high 8. */
#define VERSION(type, revision) ((unsigned)sizeof(type) | (unsigned)(revision) << 24)
#define SIZE(type, bytes) _Static_assert(sizeof(type) == (bytes), #type " is not as documented")

typedef struct {
    char bus_id_legacy[16];
    unsigned domain, bus, device, device_and_vendor, subsystem;
    char bus_id[32];
} PciInfo;
SIZE(PciInfo, 68);

typedef struct {
    unsigned version, domain, bus, device, device_and_vendor, subsystem, base_class, sub_class;
    char bus_id[32];
} PciInfoExt;
SIZE(PciInfoExt, 64);

typedef struct {
    unsigned char cluster_uuid[16];
    int status;
    unsigned clique;
    unsigned char state;
} FabricV1;
SIZE(FabricV1, 28);

typedef struct {
    unsigned version;
    unsigned char cluster_uuid[16];
    int status;
    unsigned clique;
    unsigned char state;
    unsigned health_mask;
} FabricV2;
SIZE(FabricV2, 36);

typedef struct {
    unsigned version;
    unsigned char cluster_uuid[16];
    int status;
    unsigned clique;
    unsigned char state;
    unsigned health_mask;
    unsigned char health_summary;
} FabricV3;
SIZE(FabricV3, 40);

/* Revision 4 has no version word, and as many cliques as a GPU may be in; type 0 is what the earlier ones call clique. */
typedef struct {
    unsigned char cluster_uuid[16];
    int status;
    struct { unsigned char type; unsigned id; } cliques[64];
    unsigned clique_count;
    unsigned char state;
    unsigned health_mask;
    unsigned char health_summary;
} FabricV4;
SIZE(FabricV4, 548);

/* Revision 1 calls the same bytes rack GUID, chassis slot, compute slot and node. */
typedef struct {
    unsigned version;
    unsigned char ib_guid[16], chassis_serial[16], slot, tray, host, peer_type, module;
} Platform;
SIZE(Platform, 44);

typedef struct { unsigned long long total, free, used; } MemoryV1;
typedef struct { unsigned version; unsigned long long total, reserved, free, used; } MemoryV2;
SIZE(MemoryV2, 40);

typedef struct {
    unsigned multiprocessors, copy_engines, decoders, encoders, jpegs, ofas, gpu_slices, compute_slices;
    unsigned long long memory_mib;
} MigAttributes;
SIZE(MigAttributes, 40);

typedef struct { unsigned version, value; } AddressingMode;
typedef struct { unsigned version; int sensor, celsius; } Temperature;
typedef struct { unsigned version; int celsius; } Margin;
typedef struct { unsigned version; char branch[80]; } DriverBranch;
SIZE(DriverBranch, 84);

typedef struct {
    void *device;
    unsigned long long type, data;
    unsigned gpu_instance, compute_instance;
} EventData;
SIZE(EventData, 32);

enum { AS_DOUBLE, AS_UNSIGNED, AS_LONG, AS_COUNTER, AS_SIGNED = 5 };

typedef struct {
    unsigned field, scope;
    long long timestamp, latency;
    int type, code;
    union { double d; unsigned ui; unsigned long ul; unsigned long long ull; } value;
} FieldValue;
SIZE(FieldValue, 40);
