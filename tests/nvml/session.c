#define _GNU_SOURCE
#include "session.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int sessions;
static double session_start;

/* ---- Counting calls, for the benchmark: one JSON line a session in the file NVTOPO_NVML_CALLS. */

enum { MAX_FUNCTIONS = 160 };
static struct { const char *name; unsigned long long calls; } counts[MAX_FUNCTIONS];

static void count(const char *function) {
    int i = 0;
    if (!getenv("NVTOPO_NVML_CALLS"))
        return;
    pthread_mutex_lock(&lock);
    while (i < MAX_FUNCTIONS - 1 && counts[i].name && counts[i].name != function)
        i++;
    counts[i].name = function;
    counts[i].calls++;
    pthread_mutex_unlock(&lock);
}

__attribute__((destructor)) static void write_counts(void) {
    static char line[MAX_FUNCTIONS * 80];
    const char *path = getenv("NVTOPO_NVML_CALLS");
    int used = 0, file;
    for (int i = 0; i < MAX_FUNCTIONS && counts[i].name; i++)
        used += snprintf(line + used, sizeof line - (size_t)used, "%s\"%s\": %llu", i ? ", " : "{", counts[i].name,
                         counts[i].calls);
    memset(counts, 0, sizeof counts);
    if (!path || !used || (file = open(path, O_WRONLY | O_APPEND | O_CREAT, 0644)) < 0)
        return;
    used += snprintf(line + used, sizeof line - (size_t)used, "}\n");
    if (write(file, line, (size_t)used) != used)
        fprintf(stderr, "libnvidia-ml (nvtopo): %s: expected to append a line, could not\n", path);
    close(file);
}

/* ---- Time. */

static double seconds(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

double uptime(void) { return model.uptime_seconds >= 0 ? (double)model.uptime_seconds : seconds(CLOCK_BOOTTIME); }

long long session_ms(void) { return (long long)((seconds(CLOCK_MONOTONIC) - session_start) * 1000); }

void sleep_ms(long long milliseconds) {
    struct timespec rest = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    while (milliseconds > 0 && nanosleep(&rest, &rest))
        ;
}

/* ---- Handles and faults. */

Gpu *gpu_of(const void *device) {
    const char *at = device, *first = (const char *)model.gpus;
    if (at < first || at >= first + model.gpu_count * (long)sizeof(Gpu) || (at - first) % (long)sizeof(Gpu))
        return NULL;
    return (Gpu *)device;
}

MigInstance *instance_of(const void *device, Gpu **parent) {
    for (int i = 0; i < model.gpu_count; i++)
        for (int j = 0; j < model.gpus[i].instance_count; j++)
            if (device == &model.gpus[i].instances[j]) {
                *parent = &model.gpus[i];
                return &model.gpus[i].instances[j];
            }
    return NULL;
}

/* The nearest map that has the name, or has "*" for every name. */
static const Json *setting(const char *name, const Json *of_link, const Json *of_gpu, const Json *of_all) {
    const Json *maps[] = {of_link, of_gpu, of_all}, *found = NULL;
    for (int i = 0; i < 3 && !found; i++)
        if (!(found = json_member(maps[i], name)))
            found = json_member(maps[i], "*");
    return found;
}

int injected(const char *name, const Gpu *gpu, int link) {
    const Json *of_link = gpu && link >= 0 && link < gpu->link_count ? gpu->links[link].returns : NULL;
    const Json *found = setting(name, of_link, gpu ? gpu->returns : NULL, model.returns);
    return found ? (int)found->number : 0;
}

/* ---- A machine that changes under open sessions: with NVTOPO_NVML_LIVE, once its fixture is replaced. */

static struct stat loaded;

static int load(void) {
    char error[400];
    const char *path = getenv("NVTOPO_NVML_FIXTURE");
    if (path)
        stat(path, &loaded);
    if (!model_load(path, error, sizeof error))
        return SUCCESS;
    fprintf(stderr, "libnvidia-ml (nvtopo): %s: %s\n", path ? path : "NVTOPO_NVML_FIXTURE is not set", error);
    return UNKNOWN;
}

static void follow(void) {
    struct stat now;
    if (!getenv("NVTOPO_NVML_LIVE") || stat(getenv("NVTOPO_NVML_FIXTURE"), &now))
        return;
    pthread_mutex_lock(&lock);
    if (sessions && (now.st_ino != loaded.st_ino || now.st_mtim.tv_nsec != loaded.st_mtim.tv_nsec))
        load();
    pthread_mutex_unlock(&lock);
}

static void delay(const char *function, const Gpu *gpu) {
    const Json *found = setting(function, NULL, gpu ? gpu->delays : NULL, model.delays);
    if (found)
        sleep_ms((long long)found->number);
}

int enter_system(const char *function) {
    count(function);
    follow();
    if (!sessions)
        return UNINITIALIZED;
    delay(function, NULL);
    return injected(function, NULL, -1);
}

int enter(const char *function, const void *device, int link) {
    count(function);
    follow();
    Gpu *gpu = gpu_of(device);
    if (!sessions)
        return UNINITIALIZED;
    if (!gpu && !instance_of(device, &gpu))
        return INVALID_ARGUMENT;
    delay(function, gpu);
    return gpu->lost ? GPU_IS_LOST : injected(function, gpu, link);
}

int give_text(const char *text, char *buffer, unsigned size) {
    if (!buffer)
        return INVALID_ARGUMENT;
    if (!text)
        return NOT_SUPPORTED;
    if (strlen(text) >= size)
        return INSUFFICIENT_SIZE;
    strcpy(buffer, text);
    return SUCCESS;
}

void give_address(const char *bdf, PciInfo *info) {
    unsigned function = 0;
    *info = (PciInfo){0};
    sscanf(bdf, "%x:%x:%x.%x", &info->domain, &info->bus, &info->device, &function);
    snprintf(info->bus_id, sizeof info->bus_id, "%08X:%02X:%02X.%X", info->domain, info->bus, info->device, function);
    snprintf(info->bus_id_legacy, sizeof info->bus_id_legacy, "%04X:%02X:%02X.%X", info->domain & 0xffff,
             info->bus & 0xff, info->device & 0xff, function & 0xf);
}

/* ---- The session itself. The fixture is read by the first of nested initialisations. */

static int start(void) {
    session_start = seconds(CLOCK_MONOTONIC);
    return load();
}

API nvmlInitWithFlags(unsigned flags) {
    (void)flags;
    count(__func__);
    pthread_mutex_lock(&lock);
    int code = sessions ? SUCCESS : start();
    pthread_mutex_unlock(&lock);
    if (code)
        return code;
    delay(__func__, NULL);
    code = injected(__func__, NULL, -1);
    pthread_mutex_lock(&lock);
    sessions += code == SUCCESS;
    pthread_mutex_unlock(&lock);
    return code;
}

API nvmlInit_v2(void) { return nvmlInitWithFlags(0); }

API nvmlShutdown(void) {
    ENTER_SYSTEM();
    pthread_mutex_lock(&lock);
    int left = --sessions;
    pthread_mutex_unlock(&lock);
    if (!left)
        write_counts();
    return SUCCESS;
}

__attribute__((visibility("default"))) const char *nvmlErrorString(int code) {
    static const struct { int code; const char *words; } texts[] = {
        {0, "Success"}, {1, "Uninitialized"}, {2, "Invalid Argument"}, {3, "Not Supported"},
        {4, "Insufficient Permissions"}, {6, "Not Found"}, {7, "Insufficient Size"}, {9, "Driver Not Loaded"},
        {10, "Timeout"}, {13, "Function Not Found"}, {15, "GPU is lost"}, {16, "GPU requires reset"},
        {18, "Driver/library version mismatch"}, {20, "Insufficient Memory"}, {23, "Insufficient Resources"},
        {25, "Argument Version Mismatch"}, {27, "Not Ready"}, {28, "GPU Not Found"}};
    for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++)
        if (texts[i].code == code)
            return texts[i].words;
    return "Unknown Error";
}

API nvmlSystemGetDriverVersion(char *version, unsigned size) {
    ENTER_SYSTEM();
    return give_text(model.system.driver, version, size);
}

API nvmlSystemGetNVMLVersion(char *version, unsigned size) {
    ENTER_SYSTEM();
    return give_text(model.system.nvml, version, size);
}

API nvmlSystemGetCudaDriverVersion_v2(int *version) {
    ENTER_SYSTEM();
    NEEDS(version);
    *version = model.system.cuda;
    return SUCCESS;
}

API nvmlSystemGetCudaDriverVersion(int *version) { return nvmlSystemGetCudaDriverVersion_v2(version); }

API nvmlSystemGetDriverBranch(DriverBranch *info, unsigned size) {
    ENTER_SYSTEM();
    NEEDS(info);
    if (info->version != VERSION(DriverBranch, 1))
        return VERSION_MISMATCH;
    return give_text(model.system.branch, info->branch, size < sizeof info->branch ? size : sizeof info->branch);
}

/* ---- Events: those of the fixture, each once, when its time after the start of the session has come. */

static struct { int open; unsigned long long types[MAX_GPUS]; int next; } event_set;

API nvmlEventSetCreate(void **set) {
    ENTER_SYSTEM();
    NEEDS(set);
    memset(&event_set, 0, sizeof event_set);
    event_set.open = 1;
    *set = &event_set;
    return SUCCESS;
}

API nvmlEventSetFree(void *set) {
    ENTER_SYSTEM();
    return set == &event_set && event_set.open-- ? SUCCESS : INVALID_ARGUMENT;
}

API nvmlDeviceGetSupportedEventTypes(void *device, unsigned long long *types) {
    ENTER(device);
    NEEDS(types);
    *types = EVENTS_SUPPORTED;
    return SUCCESS;
}

API nvmlDeviceRegisterEvents(void *device, unsigned long long types, void *set) {
    ENTER(device);
    const Gpu *gpu = gpu_of(device);
    if (!gpu || set != &event_set || types & ~(unsigned long long)EVENTS_SUPPORTED)
        return INVALID_ARGUMENT;
    event_set.types[gpu - model.gpus] |= types;
    return SUCCESS;
}

/* The next event that somebody registered for and whose time has come. */
static const Event *due(void) {
    for (; event_set.next < model.event_count; event_set.next++) {
        const Event *event = &model.events[event_set.next];
        if (event->gpu < 0 || event->gpu >= model.gpu_count ||
            !(event_set.types[event->gpu] & (unsigned long long)event->type))
            continue;
        if (event->after_ms > session_ms())
            break;
        event_set.next++;
        return event;
    }
    return NULL;
}

/* How long nothing can come: until the next event of the fixture, and of a live one nobody knows. */
static long long quiet_ms(void) {
    enum { LIVE_MS = 20 };
    long long next = event_set.next < model.event_count ? model.events[event_set.next].after_ms - session_ms() : 1000;
    return getenv("NVTOPO_NVML_LIVE") && next > LIVE_MS ? LIVE_MS : next;
}

API nvmlEventSetWait_v2(void *set, EventData *data, unsigned timeout_ms) {
    ENTER_SYSTEM();
    if (set != &event_set || !data)
        return INVALID_ARGUMENT;
    long long deadline = session_ms() + timeout_ms;
    for (const Event *event; !(event = due()); follow()) {
        long long left = deadline - session_ms();
        if (left <= 0)
            return TIMEOUT;
        long long quiet = quiet_ms();
        sleep_ms(left < quiet ? left : quiet);
    }
    const Event *event = &model.events[event_set.next - 1];
    *data = (EventData){&model.gpus[event->gpu], (unsigned)event->type, (unsigned)event->data, ~0u, ~0u};
    return SUCCESS;
}
