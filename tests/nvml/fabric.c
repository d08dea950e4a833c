/* How devices reach each other: PCIe levels, peer access, NVLinks, the NVLink fabric, C2C. */
#include "session.h"

#include <stdio.h>
#include <string.h>

API nvmlDeviceGetTopologyCommonAncestor(void *first, void *second, unsigned *level) {
    ENTER(first);
    ENTER(second);
    const Gpu *a = gpu_of(first), *b = gpu_of(second);
    NEEDS(a && b && level);
    *level = (unsigned)common_ancestor(a, b);
    return SUCCESS;
}

/* Called first with no array for the count, then with an array of that size. */
API nvmlDeviceGetTopologyNearestGpus(void *device, unsigned level, unsigned *count, void **devices) {
    ENTER(device);
    const Gpu *gpu = gpu_of(device);
    NEEDS(gpu && count);
    unsigned found = 0;
    for (int i = 0; i < model.gpu_count; i++)
        if (&model.gpus[i] != gpu && (unsigned)common_ancestor(gpu, &model.gpus[i]) == level)
            if (found++ < *count && devices)
                devices[found - 1] = &model.gpus[i];
    *count = found;
    return SUCCESS;
}

API nvmlDeviceGetP2PStatus(void *first, void *second, unsigned index, unsigned *status) {
    enum { OK = 0, PEER_NOT_SUPPORTED = 5 };
    ENTER(first);
    ENTER(second);
    const Gpu *a = gpu_of(first), *b = gpu_of(second);
    NEEDS(a && b && a != b && status && index <= P2P_PCI);
    int nvlink = nvlink_reaches(a, b);
    int pcie = a->pcie_p2p ? a->pcie_p2p : b->pcie_p2p;
    if (a->mig.current || b->mig.current)
        pcie = PEER_NOT_SUPPORTED;
    if (index == P2P_NVLINK || index == P2P_ATOMICS)
        *status = !nvlink ? PEER_NOT_SUPPORTED : a->nvlink_p2p && b->nvlink_p2p ? (unsigned)a->nvlink_p2p : OK;
    else
        *status = nvlink && index != P2P_PCI ? OK : (unsigned)pcie;
    return SUCCESS;
}

/* ---- Single links. */

static int find_link(void *device, unsigned number, const Link **link) {
    const Gpu *gpu = gpu_of(device);
    if (!gpu || number >= MAX_LINKS)
        return INVALID_ARGUMENT;
    *link = &gpu->links[number];
    return (int)number < gpu->link_count ? SUCCESS : NOT_SUPPORTED;
}

#define LINK_NUMBER(function, expression)                                                                              \
    API function(void *device, unsigned number, unsigned *answer) {                                                   \
        ENTER_LINK(device, number);                                                                                   \
        const Link *link;                                                                                             \
        int code = find_link(device, number, &link);                                                                  \
        NEEDS(answer);                                                                                                \
        if (code == SUCCESS)                                                                                          \
            *answer = (unsigned)(expression);                                                                         \
        return code;                                                                                                  \
    }

LINK_NUMBER(nvmlDeviceGetNvLinkState, link->state != 0)
LINK_NUMBER(nvmlDeviceGetNvLinkVersion, link->version)
LINK_NUMBER(nvmlDeviceGetNvLinkRemoteDeviceType, link->state ? link->remote : TO_UNKNOWN)

API nvmlDeviceGetNvLinkCapability(void *device, unsigned number, unsigned capability, unsigned *answer) {
    ENTER_LINK(device, number);
    const Link *link;
    int code = find_link(device, number, &link);
    NEEDS(answer && capability <= 5);
    *answer = capability != 4; /* all but an SLI bridge */
    return code;
}

/* An inactive link has no other end; a hidden one has an address in which every bit is set. */
API nvmlDeviceGetNvLinkRemotePciInfo_v2(void *device, unsigned number, PciInfo *info) {
    ENTER_LINK(device, number);
    const Link *link;
    int code = find_link(device, number, &link);
    NEEDS(info);
    if (code || !link->state)
        return code ? code : NOT_SUPPORTED;
    const Gpu *gpu = gpu_at(link->bdf);
    give_address(strcmp(link->bdf, "hidden") ? link->bdf : "FFFFFFFF:FF:FF.0", info);
    info->device_and_vendor = gpu ? hex(gpu->device) : 0;
    info->subsystem = 0xa5a5a5a5; /* never to be trusted */
    return SUCCESS;
}

/* ---- The fabric, in the revisions that the fixture's driver knows. */

/* Reads hexadecimal digits, skipping dashes, into LENGTH bytes. */
static void give_bytes(const char *text, unsigned char *bytes, int length) {
    unsigned byte;
    memset(bytes, 0, (size_t)length);
    for (int i = 0; text && *text && i < length; text += *text == '-' ? 1 : 2)
        if (*text != '-' && sscanf(text, "%2x", &byte) == 1)
            bytes[i++] = (unsigned char)byte;
}

API nvmlDeviceGetGpuFabricInfo(void *device, FabricV1 *info) {
    ENTER(device);
    const Gpu *gpu = gpu_of(device);
    NEEDS(gpu && info);
    if (!(model.fabric_versions & 1u << 1))
        return FUNCTION_NOT_FOUND;
    if (!gpu->fabric.present || gpu->architecture < HOPPER)
        return NOT_SUPPORTED;
    give_bytes(gpu->fabric.cluster_uuid, info->cluster_uuid, 16);
    info->status = gpu->fabric.status;
    info->clique = (unsigned)gpu->fabric.clique;
    info->state = (unsigned char)gpu->fabric.state;
    return SUCCESS;
}

API nvmlDeviceGetGpuFabricInfoV(void *device, void *answer) {
    ENTER(device);
    const Gpu *gpu = gpu_of(device);
    NEEDS(gpu && answer);
    const Fabric *fabric = &gpu->fabric;
    FabricV3 *info = answer; /* revision 2 is a prefix of it */
    int revision = info->version == VERSION(FabricV3, 3) ? 3 : info->version == VERSION(FabricV2, 2) ? 2 : 0;
    if (!(model.fabric_versions & 0xcu))
        return FUNCTION_NOT_FOUND;
    if (!revision || !(model.fabric_versions & 1u << revision))
        return VERSION_MISMATCH;
    if (!fabric->present || gpu->architecture < HOPPER)
        return NOT_SUPPORTED;
    give_bytes(fabric->cluster_uuid, info->cluster_uuid, 16);
    info->status = fabric->status;
    info->clique = (unsigned)fabric->clique;
    info->state = (unsigned char)fabric->state;
    info->health_mask = (unsigned)fabric->health_mask;
    if (revision == 3)
        info->health_summary = (unsigned char)fabric->health_summary;
    return SUCCESS;
}

API nvmlDeviceGetGpuFabricInfo_v4(void *device, FabricV4 *info) {
    ENTER(device);
    const Gpu *gpu = gpu_of(device);
    NEEDS(gpu && info);
    const Fabric *fabric = &gpu->fabric;
    if (!(model.fabric_versions & 1u << 4))
        return FUNCTION_NOT_FOUND;
    if (!fabric->present || gpu->architecture < HOPPER)
        return NOT_SUPPORTED;
    memset(info, 0, sizeof *info);
    give_bytes(fabric->cluster_uuid, info->cluster_uuid, 16);
    info->status = fabric->status;
    info->clique_count = 2;
    info->cliques[0].type = 1; /* a multicast clique, which is nobody's address */
    info->cliques[0].id = (unsigned)fabric->clique + 1;
    info->cliques[1].id = (unsigned)fabric->clique;
    info->state = (unsigned char)fabric->state;
    info->health_mask = (unsigned)fabric->health_mask;
    info->health_summary = (unsigned char)fabric->health_summary;
    return SUCCESS;
}

API nvmlDeviceGetPlatformInfo(void *device, Platform *info) {
    ENTER(device);
    const Gpu *gpu = gpu_of(device);
    NEEDS(gpu && info);
    const PlatformPlace *place = &gpu->platform;
    unsigned revision = info->version == VERSION(Platform, 2) ? 2 : info->version == VERSION(Platform, 1) ? 1 : 0;
    if (!revision || !(model.platform_versions & 1u << revision))
        return VERSION_MISMATCH;
    if (!place->present || gpu->architecture < BLACKWELL)
        return NOT_SUPPORTED;
    *info = (Platform){.version = info->version, .slot = (unsigned char)place->slot, .tray = (unsigned char)place->tray,
                       .host = (unsigned char)place->host, .peer_type = (unsigned char)place->peer_type,
                       .module = (unsigned char)place->module};
    give_bytes(place->ib_guid, info->ib_guid, 16);
    if (place->chassis_serial)
        memcpy(info->chassis_serial, place->chassis_serial, strnlen(place->chassis_serial, 16));
    return SUCCESS;
}

API nvmlDeviceGetC2cModeInfoV(void *device, unsigned *enabled) {
    ENTER(device);
    const Gpu *gpu = gpu_of(device);
    NEEDS(gpu && enabled);
    *enabled = gpu->c2c.present && gpu->c2c.status;
    return gpu->c2c.present ? SUCCESS : NOT_SUPPORTED;
}
