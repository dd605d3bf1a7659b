// Asks for a line of device memory that will be wanted soon: it comes as far as the L2 cache, and nobody waits.
#ifndef XRDCT_PREFETCH_CUH
#define XRDCT_PREFETCH_CUH

namespace xrdct {

__device__ __forceinline__ void prefetch(const void* address) {
#ifdef __CUDA_ARCH__
    asm volatile("prefetch.global.L2 [%0];" ::"l"(address));
#else
    (void)address;
#endif
}

}  // namespace xrdct

#endif
