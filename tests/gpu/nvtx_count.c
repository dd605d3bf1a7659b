/* A profiler for tests: NVTX calls its InitializeInjectionNvtx2 when NVTX_INJECTION64_PATH names this library.
 * It counts ranges by name, adds up their payloads, and writes "name count payload-sum" lines at exit. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The few declarations of nvtx3/nvToolsExt.h and nvtxDetail/nvtxTypes.h that are needed here. */
typedef int (*GetModuleFunctionTable)(int module, void**** table, unsigned int* size);
typedef const void* (*GetExportTable)(uint32_t id);
typedef struct {
    size_t size;
    GetModuleFunctionTable get;
} Callbacks;
typedef struct {
    uint16_t version, size;
    uint32_t category;
    int32_t color_type;
    uint32_t color;
    int32_t payload_type, reserved;
    uint64_t payload;
    int32_t message_type;
    const char* message;
} Attributes;
enum { CALLBACKS = 1, CORE_MODULE = 1, PUSH_EX = 8, POP = 11 };

static struct {
    char name[32];
    int count;
    uint64_t payload;
} ranges[32];
static int open_ranges, closed_ranges;

static int push(const Attributes* attributes) {
    for (int i = 0; i < 32; ++i) {
        if (ranges[i].count == 0) snprintf(ranges[i].name, sizeof ranges[i].name, "%s", attributes->message);
        if (strcmp(ranges[i].name, attributes->message) == 0) {
            ranges[i].count++;
            ranges[i].payload += attributes->payload;
            break;
        }
    }
    return open_ranges++;
}

static int pop(void) { return ++closed_ranges; }

static void report(void) {
    const char* path = getenv("XRDCT_NVTX_REPORT");
    FILE* file = path ? fopen(path, "w") : NULL;
    if (!file) return;
    for (int i = 0; i < 32 && ranges[i].count; ++i)
        fprintf(file, "%s %d %llu\n", ranges[i].name, ranges[i].count, (unsigned long long)ranges[i].payload);
    fprintf(file, "open %d\n", open_ranges - closed_ranges);
    fclose(file);
}

int InitializeInjectionNvtx2(GetExportTable get_export_table) {
    const Callbacks* callbacks = get_export_table(CALLBACKS);
    void*** table = NULL;
    unsigned int size = 0;
    if (!callbacks || !callbacks->get(CORE_MODULE, &table, &size) || size <= POP) return 0;
    *table[PUSH_EX] = (void*)push;
    *table[POP] = (void*)pop;
    atexit(report);
    return 1;
}
