/* Field values: a table says which driver generation knows a field, what it counts per, and as which C type. */
#include "session.h"

#include <stdio.h>
#include <time.h>

enum Per { DEVICE, LINK, LINK_OR_ALL, C2C_LINK };
typedef unsigned long long (*Derive)(const Gpu *gpu, const Link *link);

/* What a field's value follows from: of a device, LINK is NULL. */
#define DERIVE(name, expression)                                                                                       \
    static unsigned long long name(const Gpu *gpu, const Link *link) {                                                \
        (void)gpu, (void)link;                                                                                        \
        return (unsigned long long)(expression);                                                                      \
    }
DERIVE(zero, 0)
DERIVE(link_count, gpu->link_count)
DERIVE(common_speed, gpu->nvlink.speed)
DERIVE(speed, link->state ? link->speed : 0)
DERIVE(state, link->state)
DERIVE(version, link->version)
DERIVE(remote_port, link->port)
DERIVE(c2c_links, gpu->c2c.links)
DERIVE(c2c_status, gpu->c2c.status)
DERIVE(c2c_bandwidth, gpu->c2c.bandwidth)
DERIVE(recovery, gpu->recovery_action)

static unsigned long long switch_links(const Gpu *gpu, const Link *link) {
    unsigned long long count = 0;
    (void)link;
    for (int i = 0; i < gpu->link_count; i++)
        count += gpu->links[i].state && gpu->links[i].remote == TO_SWITCH;
    return count;
}

/* Counters are a function of the time since boot alone, so that they never fall, in whatever process they are read. */
static unsigned long long moved(const Link *link, long long base, long long rate) {
    return (unsigned long long)base + (link->state ? (unsigned long long)((double)rate * uptime()) : 0);
}
DERIVE(tx, moved(link, link->tx_base, link->tx_rate))
DERIVE(rx, moved(link, link->rx_base, link->rx_rate))
DERIVE(tx_kib, tx(gpu, link) / 1024)
DERIVE(rx_kib, rx(gpu, link) / 1024)
DERIVE(tx_raw, tx(gpu, link) / 16 * 17 / 1024)
DERIVE(rx_raw, rx(gpu, link) / 16 * 17 / 1024)
DERIVE(energy, (double)gpu->power * uptime())
DERIVE(tx_packets, tx(gpu, link) / 256)
DERIVE(rx_packets, rx(gpu, link) / 256)

/* Every architecture: 0 to 99. A field of NVLinks is unknown to a GPU that has none. */
static const struct Field {
    unsigned first, last;
    int type;
    enum Per per;
    int from, to, nvlink;
    Derive derive;
} FIELDS[] = {
    {31, 31, AS_UNSIGNED, DEVICE, 0, AMPERE - 1, 0, zero},
    {32, 59, AS_COUNTER, DEVICE, 0, ADA, 1, zero},
    {74, 74, AS_COUNTER, DEVICE, 0, 99, 0, zero},
    {76, 76, AS_COUNTER, DEVICE, 0, 99, 0, zero},
    {83, 83, AS_COUNTER, DEVICE, 0, 99, 0, energy},
    {84, 90, AS_UNSIGNED, DEVICE, 0, ADA, 1, common_speed},
    {91, 91, AS_UNSIGNED, DEVICE, 0, 99, 1, link_count},
    {94, 95, AS_UNSIGNED, DEVICE, 0, 99, 0, zero},
    {96, 119, AS_COUNTER, DEVICE, 0, ADA, 1, zero},
    {132, 137, AS_UNSIGNED, DEVICE, 0, ADA, 1, common_speed},
    {138, 138, AS_COUNTER, LINK_OR_ALL, 0, HOPPER, 1, tx_kib},
    {139, 139, AS_COUNTER, LINK_OR_ALL, 0, HOPPER, 1, rx_kib},
    {140, 140, AS_COUNTER, LINK_OR_ALL, 0, HOPPER, 1, tx_raw},
    {141, 141, AS_COUNTER, LINK_OR_ALL, 0, HOPPER, 1, rx_raw},
    {142, 145, AS_UNSIGNED, DEVICE, AMPERE, 99, 0, zero},
    {146, 146, AS_UNSIGNED, LINK, 0, 99, 1, remote_port},
    {147, 147, AS_UNSIGNED, DEVICE, 0, 99, 1, switch_links},
    {148, 160, AS_COUNTER, DEVICE, 0, ADA, 1, zero},
    {161, 163, AS_COUNTER, LINK, 0, HOPPER, 1, zero},
    {164, 164, AS_UNSIGNED, LINK, 0, 99, 1, speed},
    {165, 165, AS_UNSIGNED, LINK, 0, 99, 1, state},
    {166, 166, AS_UNSIGNED, LINK, 0, 99, 1, version},
    {169, 169, AS_UNSIGNED, DEVICE, 0, 99, 0, zero},
    {170, 170, AS_UNSIGNED, DEVICE, HOPPER, 99, 0, c2c_links},
    {171, 171, AS_UNSIGNED, C2C_LINK, HOPPER, 99, 0, c2c_status},
    {172, 172, AS_UNSIGNED, C2C_LINK, HOPPER, 99, 0, c2c_bandwidth},
    {173, 183, AS_UNSIGNED, DEVICE, AMPERE, 99, 0, zero},
    {193, 196, AS_SIGNED, DEVICE, 100, 99, 0, zero}, /* margins: of those GPUs whose fixture has them */
    {197, 198, AS_COUNTER, DEVICE, AMPERE, 99, 0, zero},
    {201, 201, AS_COUNTER, LINK_OR_ALL, BLACKWELL, 99, 1, tx_packets},
    {202, 202, AS_COUNTER, LINK_OR_ALL, BLACKWELL, 99, 1, tx},
    {203, 203, AS_COUNTER, LINK_OR_ALL, BLACKWELL, 99, 1, rx_packets},
    {204, 204, AS_COUNTER, LINK_OR_ALL, BLACKWELL, 99, 1, rx},
    {206, 215, AS_COUNTER, LINK, BLACKWELL, 99, 1, zero},
    {219, 222, AS_COUNTER, LINK, BLACKWELL, 99, 1, zero},
    {230, 230, AS_UNSIGNED, DEVICE, 0, 99, 0, recovery},
    {231, 233, AS_UNSIGNED, C2C_LINK, HOPPER, 99, 0, zero},
    {235, 250, AS_COUNTER, LINK, BLACKWELL, 99, 1, zero},
    {269, 271, AS_COUNTER, DEVICE, 0, 99, 0, zero},
};

/* A number, or {"base": …, "rate": …} with the rate a second. */
static unsigned long long written(const Json *value) {
    if (value->kind != JSON_MAP)
        return value->number < 0 ? (unsigned long long)(long long)value->number : (unsigned long long)value->number;
    const Json *base = json_member(value, "base"), *rate = json_member(value, "rate");
    return (unsigned long long)((base ? base->number : 0) + (rate ? rate->number : 0) * uptime());
}

/* What the fixture writes for a link's field, else what follows from the link. */
static unsigned long long of_link(const struct Field *field, const char *id, const Gpu *gpu, const Link *link) {
    const Json *value = json_member(link->fields, id);
    return value ? written(value) : field->derive(gpu, link);
}

static const struct Field *find_field(unsigned id) {
    for (unsigned i = 0; i < sizeof FIELDS / sizeof *FIELDS; i++)
        if (id >= FIELDS[i].first && id <= FIELDS[i].last)
            return &FIELDS[i];
    return NULL;
}

static int answer(const Gpu *gpu, unsigned id, unsigned scope, int *type, unsigned long long *value) {
    char name[24];
    const struct Field *field = find_field(id);
    snprintf(name, sizeof name, "field:%u", id);
    int code = injected(name, gpu, field && (field->per == LINK || field->per == LINK_OR_ALL) ? (int)scope : -1);
    if (code)
        return code == FUNCTION_NOT_FOUND ? NOT_SUPPORTED : code;
    const Json *given = json_member(gpu->fields, name + 6);
    *type = field ? field->type : AS_COUNTER;
    if (given) {
        *value = written(given);
        return SUCCESS;
    }
    if (!field || gpu->architecture < field->from || gpu->architecture > field->to)
        return NOT_SUPPORTED;
    if (field->nvlink && !gpu->link_count)
        return NOT_SUPPORTED;
    if (field->per == DEVICE) {
        *value = field->derive(gpu, NULL);
        int silent = (field->derive == c2c_links && !gpu->c2c.present) || (field->derive == energy && gpu->power < 0);
        return silent ? NOT_SUPPORTED : SUCCESS;
    }
    if (field->per == C2C_LINK) {
        *value = field->derive(gpu, NULL);
        return (int)scope < gpu->c2c.links && scope < 64 ? SUCCESS : NOT_SUPPORTED;
    }
    if (scope == ~0u && field->per == LINK_OR_ALL) {
        *value = 0;
        for (int i = 0; i < gpu->link_count; i++)
            *value += of_link(field, name + 6, gpu, &gpu->links[i]);
        return SUCCESS;
    }
    if (scope >= (unsigned)gpu->link_count || (id == 146 && !gpu->links[scope].state))
        return NOT_SUPPORTED;
    *value = of_link(field, name + 6, gpu, &gpu->links[scope]);
    return SUCCESS;
}

static long long microseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

/* Success where any value was filled; each value carries its own code. */
API nvmlDeviceGetFieldValues(void *device, int count, FieldValue *values) {
    ENTER(device);
    const Gpu *gpu = gpu_of(device);
    NEEDS(gpu && values && count > 0);
    int filled = 0;
    for (FieldValue *value = values; value < values + count; value++) {
        unsigned long long found = 0;
        long long before = microseconds();
        value->value.ull = 0;
        value->code = answer(gpu, value->field, value->scope, &value->type, &found);
        if (value->code == SUCCESS && (value->type == AS_UNSIGNED || value->type == AS_SIGNED))
            value->value.ui = (unsigned)found;
        else if (value->code == SUCCESS)
            value->value.ull = found;
        value->timestamp = microseconds();
        value->latency = value->timestamp - before + 1;
        filled += value->code == SUCCESS;
    }
    return filled ? SUCCESS : values->code;
}
