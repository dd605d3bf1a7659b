// Breaks the context of a GPU from within a program that it is loaded into (LD_PRELOAD): waits until a file is there, then runs a kernel that traps.
//   TRAP_WHEN  the file     TRAP_GPU  the GPU's number
// A program that goes on after that (XRDCT_GOES_ON_WITH) is left alone.
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *kernel =
    ".version 7.0\n.target sm_70\n.address_size 64\n.visible .entry t() { trap; ret; }\n";

typedef int (*Call)();

static void *trap(void *unused) {
    const char *file = getenv("TRAP_WHEN");
    while (access(file, F_OK) != 0) usleep(200);
    void *driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
    if (!driver) return NULL;
    Call get = (Call)dlsym(driver, "cuDeviceGet"), retain = (Call)dlsym(driver, "cuDevicePrimaryCtxRetain");
    Call set = (Call)dlsym(driver, "cuCtxSetCurrent"), load = (Call)dlsym(driver, "cuModuleLoadData");
    Call find = (Call)dlsym(driver, "cuModuleGetFunction"), launch = (Call)dlsym(driver, "cuLaunchKernel");
    int device;
    void *context, *module, *function;
    if (get(&device, atoi(getenv("TRAP_GPU"))) || retain(&context, device) || set(context) ||
        load(&module, kernel) || find(&function, module, "t") ||
        launch(function, 1, 1, 1, 1, 1, 1, 0, NULL, NULL, NULL)) {
        fprintf(stderr, "no trap was laid\n");
    }
    return NULL;
}

__attribute__((constructor)) static void begin(void) {
    pthread_t thread;
    if (getenv("TRAP_WHEN") && !getenv("XRDCT_GOES_ON_WITH")) pthread_create(&thread, NULL, trap, NULL);
}
