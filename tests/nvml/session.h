/* What every call passes through: is the library initialised, is the device there, is a fault injected. */
#pragma once
#include "layout.h"
#include "model.h"

#define API __attribute__((visibility("default"))) int

/* Ends the calling function with a code where the session, the device or the fixture's faults say so. */
#define RETURN_IF(code) do { int code_ = code; if (code_) return code_; } while (0)
#define ENTER_SYSTEM() RETURN_IF(enter_system(__func__))
#define ENTER_LINK(device, link) RETURN_IF(enter(__func__, device, (int)(link)))
#define ENTER(device) ENTER_LINK(device, -1)
#define NEEDS(pointer) do { if (!(pointer)) return INVALID_ARGUMENT; } while (0)

#pragma GCC visibility push(hidden)
int enter_system(const char *function);
int enter(const char *function, const void *device, int link);

/* Where a device handle points: a GPU, or a MIG instance and then its GPU too. NULL where it is neither. */
Gpu *gpu_of(const void *device);
MigInstance *instance_of(const void *device, Gpu **parent);

/* The code that the fixture injects for a name, 0 where none: the link's, then the GPU's, then everybody's. */
int injected(const char *name, const Gpu *gpu, int link);

/* Seconds since boot, and milliseconds since nvmlInit. */
double uptime(void);
long long session_ms(void);
void sleep_ms(long long milliseconds);

/* Fills in a PCI address in all of NVML's spellings, and zeros elsewhere. */
void give_address(const char *bdf, PciInfo *info);

/* Copies a text into a caller's buffer of SIZE bytes. */
int give_text(const char *text, char *buffer, unsigned size);
#pragma GCC visibility pop
