#include "model.h"
#include "layout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

Model model;

int parse_list(const char *list, Bits bits) {
    while (*list) {
        char *end;
        unsigned long first = strtoul(list, &end, 10), last = first;
        if (end == list)
            return -1;
        if (*end == '-')
            last = strtoul(end + 1, &end, 10);
        if (last < first || last >= WORDS * 64 || (*end && *end != ','))
            return -1;
        for (unsigned long bit = first; bit <= last; bit++)
            bits[bit / 64] |= 1ULL << bit % 64;
        list = *end ? end + 1 : end;
    }
    return 0;
}

unsigned hex(const char *text) { return (unsigned)strtoul(text, NULL, 16); }

const char *bdf_of(const Gpu *gpu) { return gpu->steps[gpu->depth - 1]; }

int same_address(const char *a, const char *b) {
    unsigned x[4], y[4];
    int read = sscanf(a, "%x:%x:%x.%x", x, x + 1, x + 2, x + 3) + sscanf(b, "%x:%x:%x.%x", y, y + 1, y + 2, y + 3);
    return read == 8 && !memcmp(x, y, sizeof x);
}

Gpu *gpu_at(const char *bdf) {
    for (int i = 0; i < model.gpu_count; i++)
        if (same_address(bdf_of(&model.gpus[i]), bdf))
            return &model.gpus[i];
    return NULL;
}

int common_ancestor(const Gpu *a, const Gpu *b) {
    int shared = 0;
    while (shared < a->depth && shared < b->depth && !strcmp(a->steps[shared], b->steps[shared]))
        shared++;
    if (a == b)
        return INTERNAL;
    if (shared == 0)
        return a->node == b->node ? NODE : SYSTEM;
    if (shared == 1)
        return HOST_BRIDGE;
    /* Below one switch each side passes at most the switch's downstream port. */
    return a->depth - shared <= 2 && b->depth - shared <= 2 ? SINGLE : MULTIPLE;
}

static int direct_links(const Gpu *a, const Gpu *b) {
    int count = 0;
    for (int i = 0; i < a->link_count; i++)
        count += a->links[i].state && a->links[i].remote == TO_GPU && same_address(a->links[i].bdf, bdf_of(b));
    return count;
}

static int switch_links(const Gpu *gpu) {
    int count = 0;
    for (int i = 0; i < gpu->link_count; i++)
        count += gpu->links[i].state && gpu->links[i].remote == TO_SWITCH;
    return count;
}

static int admitted(const Gpu *gpu) {
    return !gpu->fabric.present || (gpu->fabric.state == FABRIC_COMPLETED && gpu->fabric.status == SUCCESS);
}

static int same_fabric(const Gpu *a, const Gpu *b) {
    if (!admitted(a) || !admitted(b) || !a->fabric.present || !b->fabric.present)
        return admitted(a) && admitted(b);
    const char *left = a->fabric.cluster_uuid, *right = b->fabric.cluster_uuid;
    return a->fabric.clique == b->fabric.clique && !strcmp(left ? left : "", right ? right : "");
}

int nvlink_reaches(const Gpu *a, const Gpu *b) {
    if (a == b || a->mig.current || b->mig.current)
        return 0;
    return (direct_links(a, b) && direct_links(b, a)) || (switch_links(a) && switch_links(b) && same_fabric(a, b));
}
