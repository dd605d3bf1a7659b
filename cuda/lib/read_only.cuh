// Device memory that nobody writes while a kernel runs, and which is therefore read by way of the texture cache (LDG.CONSTANT).
//
// A kernel takes one structure with its pointers inside, and what `__restrict__` says of a pointer parameter the compiler does not
// believe of a member, nor of a local copy of one, nor of the parameter of a function that is inlined (nvcc 13.0: the integration
// kernels had no such load left, and their inner loop was not unrolled). So that nobody writes is said by a type.
#ifndef XRDCT_READ_ONLY_CUH
#define XRDCT_READ_ONLY_CUH

#include <stddef.h>
#include <stdint.h>

namespace xrdct {

// (`__ldg` does the same, but is volatile in nvcc 13.0: such loads stay where they are written, and loops around them as they are.)
#ifdef __CUDA_ARCH__
#define XRDCT_READ(Type, Register, width, constraint)                                     \
    __device__ __forceinline__ Type load_read_only(const Type* from) {                    \
        Register value;                                                                   \
        asm("ld.global.nc." width " %0, [%1];" : "=" constraint(value) : "l"(from));      \
        return (Type)value;                                                               \
    }
#else
#define XRDCT_READ(Type, Register, width, constraint) \
    __device__ __forceinline__ Type load_read_only(const Type* from) { return *from; }
#endif
XRDCT_READ(uint8_t, uint32_t, "u8", "r")
XRDCT_READ(uint16_t, unsigned short, "u16", "h")
XRDCT_READ(uint32_t, uint32_t, "u32", "r")
XRDCT_READ(unsigned long long, unsigned long long, "u64", "l")
XRDCT_READ(long long, long long, "s64", "l")
XRDCT_READ(float, float, "f32", "f")
XRDCT_READ(double, double, "f64", "d")

__device__ __forceinline__ float2 load_read_only(const float2* from) {
#ifdef __CUDA_ARCH__
    float2 v;
    asm("ld.global.nc.v2.f32 {%0, %1}, [%2];" : "=f"(v.x), "=f"(v.y) : "l"(from));
    return v;
#else
    return *from;
#endif
}
__device__ __forceinline__ float4 load_read_only(const float4* from) {
#ifdef __CUDA_ARCH__
    float4 v;
    asm("ld.global.nc.v4.f32 {%0, %1, %2, %3}, [%4];" : "=f"(v.x), "=f"(v.y), "=f"(v.z), "=f"(v.w) : "l"(from));
    return v;
#else
    return *from;
#endif
}
__device__ __forceinline__ uint4 load_read_only(const uint4* from) {
#ifdef __CUDA_ARCH__
    uint4 v;
    asm("ld.global.nc.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(from));
    return v;
#else
    return *from;
#endif
}

template <size_t EDGE>
struct Word {
    typedef uint32_t Type;
};
template <>
struct Word<8> {
    typedef unsigned long long Type;
};

// A structure of params.h, word by word.
template <typename T>
__device__ __forceinline__ T load_read_only(const T* from) {
    typedef typename Word<alignof(T)>::Type Part;
    union {
        Part part[sizeof(T) / sizeof(Part)];
        T whole;
    } value = {};
#pragma unroll
    for (size_t i = 0; i < sizeof(T) / sizeof(Part); ++i) value.part[i] = load_read_only(reinterpret_cast<const Part*>(from) + i);
    return value.whole;
}

template <typename T>
struct ReadOnly {
    const T* first;

    __device__ __forceinline__ T operator[](size_t at) const { return load_read_only(first + at); }
    __device__ __forceinline__ ReadOnly operator+(size_t at) const { return {first + at}; }
    __device__ __forceinline__ explicit operator bool() const { return first != nullptr; }
};

// For what the structure holds, or for what lies there in groups.
template <typename T>
__device__ __forceinline__ ReadOnly<T> read_only(const T* from) {
    return {from};
}
template <typename T, typename Other>
__device__ __forceinline__ ReadOnly<T> read_only_as(const Other* from) {
    return {reinterpret_cast<const T*>(from)};
}

}  // namespace xrdct

#endif
