// CUDA C++ as ordinary C++: what a kernel's text is compiled against on a machine without a GPU.
//
// Everything here is device code that NVRTC has accepted before. What is not here makes a program "unsupported", never wrong. Functions
// that glibc reserves (__expf ...) are macros. Candidates are wrapped in an unnamed namespace, so all they define stays theirs.
#pragma once
#include <cfenv>
#include <cfloat>
#include <climits>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>
#include <math.h>
#include <type_traits>
#include <utility>

#include "constants.hpp"
#include "runtime.hpp"

#define __global__
#define __device__
#define __host__
#define __constant__
#define __grid_constant__
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __maxnreg__(...)
#define __cluster_dims__(...) semrep_has_no_clusters
#define __align__(n) __attribute__((aligned(n)))
#define __shared__ static __attribute__((section("semrep_shared"), aligned(16)))
#define asm semrep_has_no_assembly
#define __asm__ semrep_has_no_assembly
#define __asm semrep_has_no_assembly
#define __CUDA_ARCH__ 900
#define __CUDACC__ 1
#undef assert
#define assert(condition) ((condition) ? (void)0 : ::semrep::fail(::semrep::ASSERT, "assertion failed: " #condition, __LINE__))
#define printf(...) (0)

#define threadIdx (::semrep::self->index)
#define blockIdx (::semrep::block)
#define blockDim (::semrep::block_size)
#define gridDim (::semrep::grid_size)
constexpr int warpSize = 32;

struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
    constexpr dim3(uint3 v) : x(v.x), y(v.y), z(v.z) {}
};

#define SEMREP_VECTOR(T, name, wide)                                                                  \
    struct alignas(sizeof(T)) name##1 { T x; };                                                       \
    struct alignas(2 * sizeof(T)) name##2 { T x, y; };                                                \
    struct name##3 { T x, y, z; };                                                                    \
    struct alignas(wide) name##4 { T x, y, z, w; };                                                   \
    inline name##1 make_##name##1(T x) { return {x}; }                                                \
    inline name##2 make_##name##2(T x, T y) { return {x, y}; }                                        \
    inline name##3 make_##name##3(T x, T y, T z) { return {x, y, z}; }                                \
    inline name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }
#define uint3 semrep_uint3  // runtime.hpp has it
#define make_uint3 semrep_make_uint3
SEMREP_VECTOR(unsigned int, uint, 16)
#undef uint3
#undef make_uint3
inline uint3 make_uint3(unsigned x, unsigned y, unsigned z) { return {x, y, z}; }
SEMREP_VECTOR(signed char, char, 4)
SEMREP_VECTOR(unsigned char, uchar, 4)
SEMREP_VECTOR(short, short, 8)
SEMREP_VECTOR(unsigned short, ushort, 8)
SEMREP_VECTOR(int, int, 16)
SEMREP_VECTOR(long, long, 16)
SEMREP_VECTOR(unsigned long, ulong, 16)
SEMREP_VECTOR(long long, longlong, 16)
SEMREP_VECTOR(unsigned long long, ulonglong, 16)
SEMREP_VECTOR(float, float, 16)
SEMREP_VECTOR(double, double, 16)
typedef unsigned int uint;
typedef unsigned char uchar;

// ---- synchronisation ------------------------------------------------------------------------------------------------
#define __syncthreads() ((void)::semrep::block_barrier())
#define __syncthreads_count(p) (::semrep::block_barrier(::semrep::COUNT, (p) != 0))
#define __syncthreads_and(p) (::semrep::block_barrier(::semrep::AND, (p) != 0))
#define __syncthreads_or(p) (::semrep::block_barrier(::semrep::OR, (p) != 0))
#define __activemask() (::semrep::active_mask())
#define __threadfence() ((void)0)
#define __threadfence_block() ((void)0)
#define __threadfence_system() ((void)0)
#define __nanosleep(t) (::semrep::yield())
#define __trap() (::semrep::fail(::semrep::ASSERT, "__trap()", __LINE__))
#define clock64() ((long long)::semrep::ticks())
#define clock() ((long)::semrep::ticks())

namespace semrep {

template <class T> inline uint64_t to_slot(T value) {
    static_assert(sizeof(T) <= 8, "values of more than 8 bytes can't be exchanged");
    uint64_t slot = 0;
    memcpy(&slot, &value, sizeof value);
    return slot;
}
template <class T> inline T from_slot(uint64_t slot) {
    T value;
    memcpy(static_cast<void*>(&value), &slot, sizeof value);
    return value;
}
inline void sync_warp(int line, unsigned mask = ~0u) {
    unsigned present;
    warp_exchange(mask, 0, &present, line);
}
// The value of lane `from` where it took part, the own one where `from` is outside, rubbish (all bits set) where that lane has returned.
template <class T> inline T shuffle(unsigned mask, T value, int from, bool inside, int line) {
    unsigned present;
    const uint64_t* slots = warp_exchange(mask, to_slot(value), &present, line);
    if (!inside) return value;
    return from_slot<T>(present >> from & 1 ? slots[from] : ~0ull);
}
template <class T> inline T shfl(int line, unsigned mask, T v, int source, int width = 32) {
    int first = int(lane()) & ~(width - 1);
    return shuffle(mask, v, first + (source & (width - 1)), true, line);
}
template <class T> inline T shfl_up(int line, unsigned mask, T v, unsigned delta, int width = 32) {
    int own = int(lane()), first = own & ~(width - 1), from = own - int(delta);
    return shuffle(mask, v, from & 31, from >= first, line);
}
template <class T> inline T shfl_down(int line, unsigned mask, T v, unsigned delta, int width = 32) {
    int own = int(lane()), first = own & ~(width - 1), from = own + int(delta);
    return shuffle(mask, v, from & 31, from < first + width, line);
}
template <class T> inline T shfl_xor(int line, unsigned mask, T v, int lanes, int width = 32) {
    int own = int(lane()), first = own & ~(width - 1), from = own ^ lanes;
    return shuffle(mask, v, from & 31, from < first + width, line);
}
inline unsigned ballot(int line, unsigned mask, int predicate) {
    unsigned present, votes = 0;
    const uint64_t* slots = warp_exchange(mask, predicate != 0, &present, line);
    for (int l = 0; l < 32; l++)
        if (present >> l & 1) votes |= unsigned(slots[l]) << l;
    return votes;
}
inline int all(int line, unsigned mask, int predicate) {
    unsigned present;
    const uint64_t* slots = warp_exchange(mask, predicate != 0, &present, line);
    for (int l = 0; l < 32; l++)
        if ((present >> l & 1) && !slots[l]) return 0;
    return 1;
}
inline int any(int line, unsigned mask, int predicate) { return ballot(line, mask, predicate) != 0; }
template <class T> inline unsigned match_any(int line, unsigned mask, T value) {
    unsigned present, same = 0;
    const uint64_t* slots = warp_exchange(mask, to_slot(value), &present, line);
    for (int l = 0; l < 32; l++)
        if ((present >> l & 1) && slots[l] == to_slot(value)) same |= 1u << l;
    return same;
}
template <class T> inline unsigned match_all(int line, unsigned mask, T value, int* whether) {
    unsigned present;
    const uint64_t* slots = warp_exchange(mask, to_slot(value), &present, line);
    *whether = 1;
    for (int l = 0; l < 32; l++)
        if ((present >> l & 1) && slots[l] != to_slot(value)) *whether = 0;
    return *whether ? present : 0;
}
template <class T, class F> inline T reduce(int line, unsigned mask, T value, F combine) {
    unsigned present;
    const uint64_t* slots = warp_exchange(mask, to_slot(value), &present, line);
    bool first = true;
    T result = value;
    for (int l = 0; l < 32; l++)
        if (present >> l & 1) result = first ? from_slot<T>(slots[l]) : combine(result, from_slot<T>(slots[l])), first = false;
    return result;
}

}  // namespace semrep

#define __syncwarp(...) (::semrep::sync_warp(__LINE__ __VA_OPT__(,) __VA_ARGS__))
#define __shfl_sync(...) (::semrep::shfl(__LINE__, __VA_ARGS__))
#define __shfl_up_sync(...) (::semrep::shfl_up(__LINE__, __VA_ARGS__))
#define __shfl_down_sync(...) (::semrep::shfl_down(__LINE__, __VA_ARGS__))
#define __shfl_xor_sync(...) (::semrep::shfl_xor(__LINE__, __VA_ARGS__))
#define __ballot_sync(mask, p) (::semrep::ballot(__LINE__, mask, p))
#define __all_sync(mask, p) (::semrep::all(__LINE__, mask, p))
#define __any_sync(mask, p) (::semrep::any(__LINE__, mask, p))
#define __match_any_sync(mask, v) (::semrep::match_any(__LINE__, mask, v))
#define __match_all_sync(mask, v, p) (::semrep::match_all(__LINE__, mask, v, p))
#define __reduce_add_sync(mask, v) (::semrep::reduce(__LINE__, mask, v, [](auto a, auto b) { return a + b; }))
#define __reduce_min_sync(mask, v) (::semrep::reduce(__LINE__, mask, v, [](auto a, auto b) { return a < b ? a : b; }))
#define __reduce_max_sync(mask, v) (::semrep::reduce(__LINE__, mask, v, [](auto a, auto b) { return a > b ? a : b; }))
#define __reduce_and_sync(mask, v) (::semrep::reduce(__LINE__, mask, v, [](auto a, auto b) { return a & b; }))
#define __reduce_or_sync(mask, v) (::semrep::reduce(__LINE__, mask, v, [](auto a, auto b) { return a | b; }))
#define __reduce_xor_sync(mask, v) (::semrep::reduce(__LINE__, mask, v, [](auto a, auto b) { return a ^ b; }))

// ---- atomics: threads change only at barriers, so a plain update is one ---------------------------------------------
namespace semrep {
template <class T, class F> inline T update(T* at, F change) {
    Atomic atomic((void*)at, sizeof *at);
    T old = *at;
    *const_cast<std::remove_volatile_t<T>*>(at) = change(old);
    return old;
}
}  // namespace semrep
#define SEMREP_ATOMIC(name, expression)                                                                                      \
    template <class T, class U> inline T name(T* at, U given) {                                                              \
        return ::semrep::update(at, [&](T old) -> T { T v = T(given); (void)v; return T(expression); });                     \
    }                                                                                                                        \
    template <class T, class U> inline T name##_block(T* at, U given) { return name(at, given); }                            \
    template <class T, class U> inline T name##_system(T* at, U given) { return name(at, given); }
SEMREP_ATOMIC(atomicAdd, old + v)
SEMREP_ATOMIC(atomicSub, old - v)
SEMREP_ATOMIC(atomicMin, v < old ? v : old)
SEMREP_ATOMIC(atomicMax, old < v ? v : old)
SEMREP_ATOMIC(atomicAnd, old & v)
SEMREP_ATOMIC(atomicOr, old | v)
SEMREP_ATOMIC(atomicXor, old ^ v)
SEMREP_ATOMIC(atomicInc, old >= v ? 0 : old + 1)
SEMREP_ATOMIC(atomicDec, old == 0 || old > v ? v : old - 1)
template <class T, class U> inline T atomicExch(T* at, U given) {
    T old = ::semrep::update(at, [&](T) { return T(given); });
    if (old == T(given)) ::semrep::yield();  // a lock that is held: let its holder run
    return old;
}
template <class T, class U, class V> inline T atomicCAS(T* at, U compare, V given) {
    T old;
    {
        ::semrep::Atomic atomic((void*)at, sizeof *at);
        old = *at;
        if (old == T(compare)) *at = T(given);
    }
    if (!(old == T(compare))) ::semrep::yield();
    return old;
}

inline float2 atomicAdd(float2* at, float2 v) {
    return ::semrep::update(at, [&](float2 old) { return float2{old.x + v.x, old.y + v.y}; });
}
inline float4 atomicAdd(float4* at, float4 v) {
    return ::semrep::update(at, [&](float4 old) { return float4{old.x + v.x, old.y + v.y, old.z + v.z, old.w + v.w}; });
}

// ---- arithmetic -----------------------------------------------------------------------------------------------------
template <class A, class B, class = std::enable_if_t<std::is_arithmetic_v<A> && std::is_arithmetic_v<B>>>
constexpr std::common_type_t<A, B> max(A a, B b) {
    using C = std::common_type_t<A, B>;
    if constexpr (std::is_floating_point_v<C>) return C(a) != C(a) ? C(b) : C(b) != C(b) ? C(a) : C(a) < C(b) ? C(b) : C(a);
    else return C(a) < C(b) ? C(b) : C(a);
}
template <class A, class B, class = std::enable_if_t<std::is_arithmetic_v<A> && std::is_arithmetic_v<B>>>
constexpr std::common_type_t<A, B> min(A a, B b) {
    using C = std::common_type_t<A, B>;
    if constexpr (std::is_floating_point_v<C>) return C(a) != C(a) ? C(b) : C(b) != C(b) ? C(a) : C(b) < C(a) ? C(b) : C(a);
    else return C(b) < C(a) ? C(b) : C(a);
}
inline int umin(unsigned a, unsigned b) { return a < b ? a : b; }
inline int umax(unsigned a, unsigned b) { return a < b ? b : a; }
inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
inline double rsqrt(double x) { return 1.0 / sqrt(x); }
inline float rsqrt(float x) { return 1.0f / sqrtf(x); }
inline float rcbrtf(float x) { return 1.0f / cbrtf(x); }
inline float sinpif(float x) { return float(sin(3.14159265358979323846 * x)); }
inline float cospif(float x) { return float(cos(3.14159265358979323846 * x)); }
inline double sinpi(double x) { return sin(3.14159265358979323846 * x); }
inline double cospi(double x) { return cos(3.14159265358979323846 * x); }
inline float normcdff(float x) { return float(0.5 * erfc(-double(x) * 0.70710678118654752440)); }
inline double normcdf(double x) { return 0.5 * erfc(-x * 0.70710678118654752440); }
inline float fdividef(float a, float b) { return a / b; }
inline float norm3df(float a, float b, float c) { return sqrtf(a * a + b * b + c * c); }
inline float rhypotf(float a, float b) { return 1.0f / hypotf(a, b); }
inline float semrep_saturate(float x) { return x > 0 ? (x < 1 ? x : 1.0f) : 0.0f; }
#define __saturatef(x) semrep_saturate(x)
#define saturate(x) semrep_saturate(x)
#define __expf(x) expf(x)
#define __exp10f(x) exp10f(x)
#define __exp2f(x) exp2f(x)
#define __logf(x) logf(x)
#define __log2f(x) log2f(x)
#define __log10f(x) log10f(x)
#define __sinf(x) sinf(x)
#define __cosf(x) cosf(x)
#define __tanf(x) tanf(x)
#define __tanhf(x) tanhf(x)
#define __sincosf(x, s, c) sincosf(x, s, c)
#define __powf(x, y) exp2f((float)(y) * log2f(x))  // as NVRTC computes it: NaN where x < 0
#define __fdividef(x, y) ((float)(x) / (float)(y))
#define SEMREP_ROUNDED(suffix)                                                        \
    inline float __fadd_##suffix(float a, float b) { return a + b; }                  \
    inline float __fsub_##suffix(float a, float b) { return a - b; }                  \
    inline float __fmul_##suffix(float a, float b) { return a * b; }                  \
    inline float __fdiv_##suffix(float a, float b) { return a / b; }                  \
    inline float __frcp_##suffix(float a) { return 1.0f / a; }                        \
    inline float __fsqrt_##suffix(float a) { return sqrtf(a); }                       \
    inline float __fmaf_##suffix(float a, float b, float c) { return fmaf(a, b, c); } \
    inline double __dadd_##suffix(double a, double b) { return a + b; }               \
    inline double __dmul_##suffix(double a, double b) { return a * b; }               \
    inline double __fma_##suffix(double a, double b, double c) { return fma(a, b, c); }
SEMREP_ROUNDED(rn)
inline float __frsqrt_rn(float x) { return 1.0f / sqrtf(x); }
template <class To> inline To semrep_saturated(double x) {  // what is outside becomes the nearest, NaN 0
    if (x != x) return 0;
    if (x <= double(std::numeric_limits<To>::min())) return std::numeric_limits<To>::min();
    return x >= double(std::numeric_limits<To>::max()) ? std::numeric_limits<To>::max() : To(x);
}
#define SEMREP_CONVERT(suffix, rounded)                                                          \
    inline int __float2int_##suffix(float x) { return semrep_saturated<int>(rounded(x)); }      \
    inline unsigned __float2uint_##suffix(float x) { return semrep_saturated<unsigned>(rounded(x)); } \
    inline long long __float2ll_##suffix(float x) { return semrep_saturated<long long>(rounded(x)); } \
    inline unsigned long long __float2ull_##suffix(float x) { return semrep_saturated<unsigned long long>(rounded(x)); } \
    inline long long __double2ll_##suffix(double x) { return semrep_saturated<long long>(rounded(x)); } \
    inline unsigned __double2uint_##suffix(double x) { return semrep_saturated<unsigned>(rounded(x)); } \
    inline int __double2int_##suffix(double x) { return semrep_saturated<int>(rounded(x)); }    \
    inline float __int2float_##suffix(int x) { return float(x); }                                \
    inline float __uint2float_##suffix(unsigned x) { return float(x); }                          \
    inline float __ll2float_##suffix(long long x) { return float(x); }                           \
    inline float __double2float_##suffix(double x) { return float(x); }
SEMREP_CONVERT(rn, nearbyint)
SEMREP_CONVERT(rz, trunc)
SEMREP_CONVERT(rd, floor)
SEMREP_CONVERT(ru, ceil)
inline double __int2double_rn(int x) { return x; }
template <class To, class From> inline To semrep_bits(From x) {
    To out;
    static_assert(sizeof out == sizeof x);
    memcpy(&out, &x, sizeof out);
    return out;
}
inline int __float_as_int(float x) { return semrep_bits<int>(x); }
inline unsigned __float_as_uint(float x) { return semrep_bits<unsigned>(x); }
inline float __int_as_float(int x) { return semrep_bits<float>(x); }
inline float __uint_as_float(unsigned x) { return semrep_bits<float>(x); }
inline long long __double_as_longlong(double x) { return semrep_bits<long long>(x); }
inline double __longlong_as_double(long long x) { return semrep_bits<double>(x); }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __clz(int x) { return x ? __builtin_clz(x) : 32; }
inline int __clzll(long long x) { return x ? __builtin_clzll(x) : 64; }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }
inline unsigned __brev(unsigned x) {
    unsigned r = 0;
    for (int i = 0; i < 32; i++) r |= (x >> i & 1) << (31 - i);
    return r;
}
inline int __mul24(int a, int b) { return a * b; }
inline unsigned __umul24(unsigned a, unsigned b) { return a * b; }
inline int __mulhi(int a, int b) { return int((long long)a * b >> 32); }
inline unsigned __umulhi(unsigned a, unsigned b) { return unsigned((unsigned long long)a * b >> 32); }
inline unsigned __funnelshift_l(unsigned low, unsigned high, unsigned s) {
    return unsigned((((unsigned long long)high << 32 | low) << (s & 31)) >> 32);
}
inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned s) {
    return unsigned(((unsigned long long)high << 32 | low) >> (s & 31));
}
inline int __dp4a(int a, int b, int c) {
    for (int i = 0; i < 4; i++) c += int((signed char)(a >> 8 * i)) * int((signed char)(b >> 8 * i));
    return c;
}
#define SEMREP_CACHED(name) template <class T> inline T name(const T* at) { return ::semrep::expect_aligned(at, alignof(T)), *at; }
SEMREP_CACHED(__ldg)
SEMREP_CACHED(__ldcg)
SEMREP_CACHED(__ldca)
SEMREP_CACHED(__ldcs)
SEMREP_CACHED(__ldcv)
SEMREP_CACHED(__ldlu)
#define SEMREP_STORED(name) template <class T> inline void name(T* at, T value) { ::semrep::expect_aligned(at, alignof(T)), *at = value; }
SEMREP_STORED(__stcg)
SEMREP_STORED(__stcs)
SEMREP_STORED(__stwb)
SEMREP_STORED(__stwt)

#include "intrinsics.hpp"

// ---- half and bfloat16 ----------------------------------------------------------------------------------------------
namespace semrep {
struct F16 {
    static float widen(uint16_t h) {
        uint32_t sign = uint32_t(h & 0x8000) << 16, exponent = h >> 10 & 31, fraction = h & 1023;
        if (exponent == 31) return semrep_bits<float>(sign | 0x7f800000 | fraction << 13);
        if (exponent == 0) return semrep_bits<float>(sign | semrep_bits<uint32_t>(float(fraction) * 0x1p-24f));
        return semrep_bits<float>(sign | (exponent + 112) << 23 | fraction << 13);
    }
    static uint16_t narrow(float x) {
        uint32_t bits = semrep_bits<uint32_t>(x), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
        if (magnitude > 0x7f800000) return 0x7fff;
        if (magnitude >= 0x477ff000) return uint16_t(sign | 0x7c00);
        if (magnitude < 0x38800000) return uint16_t(sign | uint32_t(nearbyintf(semrep_bits<float>(magnitude) * 0x1p24f)));
        return uint16_t(sign | ((magnitude - 0x38000000 + 0xfff + (magnitude >> 13 & 1)) >> 13));
    }
};
struct BF16 {
    static float widen(uint16_t h) { return semrep_bits<float>(uint32_t(h) << 16); }
    static uint16_t narrow(float x) {
        uint32_t bits = semrep_bits<uint32_t>(x);
        if ((bits & 0x7fffffff) > 0x7f800000) return 0x7fff;
        return uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
    }
};
template <class Format> struct Small {
    uint16_t bits;
    Small() = default;
    template <class T, class = std::enable_if_t<std::is_arithmetic_v<T>>> Small(T x) : bits(Format::narrow(float(x))) {}
    operator float() const { return Format::widen(bits); }
    Small& operator+=(Small b) { return *this = Small(float(*this) + float(b)); }
    Small& operator-=(Small b) { return *this = Small(float(*this) - float(b)); }
    Small& operator*=(Small b) { return *this = Small(float(*this) * float(b)); }
    Small& operator/=(Small b) { return *this = Small(float(*this) / float(b)); }
};
template <class Format> struct alignas(4) Pair { Small<Format> x, y; };
}  // namespace semrep
using __half = semrep::Small<semrep::F16>;
using __half2 = semrep::Pair<semrep::F16>;
using __nv_bfloat16 = semrep::Small<semrep::BF16>;
using __nv_bfloat162 = semrep::Pair<semrep::BF16>;
typedef __half half;
typedef __half2 half2;
typedef __nv_bfloat16 nv_bfloat16;
typedef __nv_bfloat162 nv_bfloat162;

#define SEMREP_SMALL template <class F> inline
#define SEMREP_S semrep::Small<F>
#define SEMREP_P semrep::Pair<F>
#define SEMREP_BINARY(op, name, of_pairs)                                                                                     \
    SEMREP_SMALL SEMREP_S operator op(SEMREP_S a, SEMREP_S b) { return SEMREP_S(float(a) op float(b)); }                      \
    SEMREP_SMALL SEMREP_S name(SEMREP_S a, SEMREP_S b) { return SEMREP_S(float(a) op float(b)); }                             \
    SEMREP_SMALL SEMREP_P of_pairs(SEMREP_P a, SEMREP_P b) { return {name(a.x, b.x), name(a.y, b.y)}; }                       \
    SEMREP_SMALL SEMREP_P operator op(SEMREP_P a, SEMREP_P b) { return of_pairs(a, b); }
SEMREP_BINARY(+, __hadd, __hadd2)
SEMREP_BINARY(-, __hsub, __hsub2)
SEMREP_BINARY(*, __hmul, __hmul2)
SEMREP_BINARY(/, __hdiv, __h2div)
SEMREP_SMALL SEMREP_S operator-(SEMREP_S a) { return SEMREP_S(-float(a)); }
SEMREP_SMALL SEMREP_S __hfma(SEMREP_S a, SEMREP_S b, SEMREP_S c) { return SEMREP_S(float(double(a) * double(b) + double(c))); }
SEMREP_SMALL SEMREP_P __hfma2(SEMREP_P a, SEMREP_P b, SEMREP_P c) { return {__hfma(a.x, b.x, c.x), __hfma(a.y, b.y, c.y)}; }
#define SEMREP_COMPARE(name, op) SEMREP_SMALL bool name(SEMREP_S a, SEMREP_S b) { return float(a) op float(b); }
SEMREP_COMPARE(__heq, ==)
SEMREP_COMPARE(__hne, !=)
SEMREP_COMPARE(__hgt, >)
SEMREP_COMPARE(__hge, >=)
SEMREP_COMPARE(__hlt, <)
SEMREP_COMPARE(__hle, <=)
#define SEMREP_UNARY(name, expression)                                                                                        \
    SEMREP_SMALL SEMREP_S name(SEMREP_S a) { float x = a; return SEMREP_S(expression); }
SEMREP_UNARY(__hneg, -x)
SEMREP_UNARY(__habs, fabsf(x))
SEMREP_UNARY(hexp, expf(x))
SEMREP_UNARY(hexp2, exp2f(x))
SEMREP_UNARY(hlog, logf(x))
SEMREP_UNARY(hlog2, log2f(x))
SEMREP_UNARY(hsqrt, sqrtf(x))
SEMREP_UNARY(hrsqrt, 1.0f / sqrtf(x))
SEMREP_UNARY(hrcp, 1.0f / x)
SEMREP_UNARY(hsin, sinf(x))
SEMREP_UNARY(hcos, cosf(x))
SEMREP_UNARY(htanh, tanhf(x))
SEMREP_UNARY(hfloor, floorf(x))
SEMREP_UNARY(hceil, ceilf(x))
#define SEMREP_UNARY2(name, one) SEMREP_SMALL SEMREP_P name(SEMREP_P a) { return {one(a.x), one(a.y)}; }
SEMREP_UNARY2(__hneg2, __hneg)
SEMREP_UNARY2(__habs2, __habs)
SEMREP_UNARY2(h2exp, hexp)
SEMREP_UNARY2(h2log, hlog)
SEMREP_UNARY2(h2sqrt, hsqrt)
SEMREP_UNARY2(h2rsqrt, hrsqrt)
SEMREP_UNARY2(h2rcp, hrcp)
SEMREP_UNARY2(h2tanh, htanh)
SEMREP_SMALL SEMREP_S __hmax(SEMREP_S a, SEMREP_S b) { return SEMREP_S(fmaxf(a, b)); }
SEMREP_SMALL SEMREP_S __hmin(SEMREP_S a, SEMREP_S b) { return SEMREP_S(fminf(a, b)); }
SEMREP_SMALL SEMREP_P __hmax2(SEMREP_P a, SEMREP_P b) { return {__hmax(a.x, b.x), __hmax(a.y, b.y)}; }
SEMREP_SMALL SEMREP_P __hmin2(SEMREP_P a, SEMREP_P b) { return {__hmin(a.x, b.x), __hmin(a.y, b.y)}; }
SEMREP_SMALL bool __hisnan(SEMREP_S a) { return float(a) != float(a); }
SEMREP_SMALL bool __hisinf(SEMREP_S a) { return fabsf(a) == __builtin_inff(); }
SEMREP_SMALL SEMREP_S __low2half(SEMREP_P a) { return a.x; }
SEMREP_SMALL SEMREP_S __high2half(SEMREP_P a) { return a.y; }
SEMREP_SMALL float __low2float(SEMREP_P a) { return a.x; }
SEMREP_SMALL float __high2float(SEMREP_P a) { return a.y; }
SEMREP_UNARY(hexp10, exp10f(x))
SEMREP_UNARY(hlog10, log10f(x))
SEMREP_UNARY(hrint, nearbyintf(x))
SEMREP_UNARY(htrunc, truncf(x))
SEMREP_UNARY2(h2exp2, hexp2)
SEMREP_UNARY2(h2exp10, hexp10)
SEMREP_UNARY2(h2log2, hlog2)
SEMREP_UNARY2(h2log10, hlog10)
SEMREP_UNARY2(h2sin, hsin)
SEMREP_UNARY2(h2cos, hcos)
SEMREP_UNARY2(h2floor, hfloor)
SEMREP_UNARY2(h2ceil, hceil)
SEMREP_UNARY2(h2rint, hrint)
SEMREP_UNARY2(h2trunc, htrunc)
SEMREP_SMALL SEMREP_P operator-(SEMREP_P a) { return __hneg2(a); }
#define SEMREP_ASSIGN(op)                                                              \
    SEMREP_SMALL SEMREP_P& operator op##=(SEMREP_P& a, SEMREP_P b) { return a = a op b; }
SEMREP_ASSIGN(+)
SEMREP_ASSIGN(-)
SEMREP_ASSIGN(*)
SEMREP_ASSIGN(/)
SEMREP_SMALL SEMREP_S& operator++(SEMREP_S& a) { return a += SEMREP_S(1); }
SEMREP_SMALL SEMREP_S& operator--(SEMREP_S& a) { return a -= SEMREP_S(1); }
SEMREP_SMALL SEMREP_S operator++(SEMREP_S& a, int) { SEMREP_S old = a; a += SEMREP_S(1); return old; }
SEMREP_SMALL SEMREP_S operator--(SEMREP_S& a, int) { SEMREP_S old = a; a -= SEMREP_S(1); return old; }
inline float semrep_positive(float x) { return x != x ? x : x > 0 ? x : 0.0f; }
#define SEMREP_NARROWED(suffix, narrowed)                                                                            \
    SEMREP_SMALL SEMREP_S __hadd_##suffix(SEMREP_S a, SEMREP_S b) { return SEMREP_S(narrowed(__hadd(a, b))); }       \
    SEMREP_SMALL SEMREP_S __hsub_##suffix(SEMREP_S a, SEMREP_S b) { return SEMREP_S(narrowed(__hsub(a, b))); }       \
    SEMREP_SMALL SEMREP_S __hmul_##suffix(SEMREP_S a, SEMREP_S b) { return SEMREP_S(narrowed(__hmul(a, b))); }       \
    SEMREP_SMALL SEMREP_S __hfma_##suffix(SEMREP_S a, SEMREP_S b, SEMREP_S c) { return SEMREP_S(narrowed(__hfma(a, b, c))); } \
    SEMREP_SMALL SEMREP_P __hfma2_##suffix(SEMREP_P a, SEMREP_P b, SEMREP_P c) {                                     \
        return {__hfma_##suffix(a.x, b.x, c.x), __hfma_##suffix(a.y, b.y, c.y)};                                     \
    }
SEMREP_NARROWED(rn, float)
SEMREP_NARROWED(sat, semrep_saturate)
SEMREP_NARROWED(relu, semrep_positive)
SEMREP_SMALL SEMREP_S __hmax_nan(SEMREP_S a, SEMREP_S b) { return __hisnan(a) ? a : __hisnan(b) ? b : __hmax(a, b); }
SEMREP_SMALL SEMREP_S __hmin_nan(SEMREP_S a, SEMREP_S b) { return __hisnan(a) ? a : __hisnan(b) ? b : __hmin(a, b); }
#define SEMREP_COMPARE2(name, pairs, both, one)                                                                      \
    SEMREP_SMALL SEMREP_P pairs(SEMREP_P a, SEMREP_P b) { return {SEMREP_S(int(one(a.x, b.x))), SEMREP_S(int(one(a.y, b.y)))}; } \
    SEMREP_SMALL bool both(SEMREP_P a, SEMREP_P b) { return one(a.x, b.x) && one(a.y, b.y); }                        \
    SEMREP_SMALL bool name##u(SEMREP_S a, SEMREP_S b) { return __hisnan(a) || __hisnan(b) || one(a, b); }
SEMREP_COMPARE2(__heq, __heq2, __hbeq2, __heq)
SEMREP_COMPARE2(__hne, __hne2, __hbne2, __hne)
SEMREP_COMPARE2(__hgt, __hgt2, __hbgt2, __hgt)
SEMREP_COMPARE2(__hge, __hge2, __hbge2, __hge)
SEMREP_COMPARE2(__hlt, __hlt2, __hblt2, __hlt)
SEMREP_COMPARE2(__hle, __hle2, __hble2, __hle)
SEMREP_SMALL SEMREP_P __lowhigh2highlow(SEMREP_P a) { return {a.y, a.x}; }
SEMREP_SMALL SEMREP_P __lows2half2(SEMREP_P a, SEMREP_P b) { return {a.x, b.x}; }
SEMREP_SMALL SEMREP_P __highs2half2(SEMREP_P a, SEMREP_P b) { return {a.y, b.y}; }
SEMREP_SMALL SEMREP_P __low2half2(SEMREP_P a) { return {a.x, a.x}; }
SEMREP_SMALL SEMREP_P __high2half2(SEMREP_P a) { return {a.y, a.y}; }
SEMREP_SMALL SEMREP_S __low2bfloat16(SEMREP_P a) { return a.x; }
SEMREP_SMALL SEMREP_S __high2bfloat16(SEMREP_P a) { return a.y; }
SEMREP_SMALL SEMREP_P __low2bfloat162(SEMREP_P a) { return {a.x, a.x}; }
SEMREP_SMALL SEMREP_P __high2bfloat162(SEMREP_P a) { return {a.y, a.y}; }
SEMREP_SMALL SEMREP_P atomicAdd(SEMREP_P* at, SEMREP_P v) { return ::semrep::update(at, [&](SEMREP_P old) { return old + v; }); }
inline __nv_bfloat16 __double2bfloat16(double x) { return __nv_bfloat16(x); }
inline __nv_bfloat16 __int2bfloat16_rn(int x) { return __nv_bfloat16(x); }
inline int __bfloat162int_rn(__nv_bfloat16 x) { return int(nearbyintf(x)); }
inline int __bfloat162int_rz(__nv_bfloat16 x) { return int(float(x)); }
inline __nv_bfloat162 __bfloat162bfloat162(__nv_bfloat16 a) { return {a, a}; }
inline __nv_bfloat162 make_bfloat162(__nv_bfloat16 a, __nv_bfloat16 b) { return {a, b}; }
inline __nv_bfloat162 __float22bfloat162_rn(float2 v) { return {__nv_bfloat16(v.x), __nv_bfloat16(v.y)}; }
inline unsigned short __bfloat16_as_ushort(__nv_bfloat16 x) { return x.bits; }
inline short __bfloat16_as_short(__nv_bfloat16 x) { return short(x.bits); }
inline __nv_bfloat16 __ushort_as_bfloat16(unsigned short b) { __nv_bfloat16 h; h.bits = b; return h; }
inline __half __short_as_half(short b) { __half h; h.bits = (unsigned short)b; return h; }
inline int __half2int_rd(__half x) { return int(floorf(x)); }
inline int __half2int_ru(__half x) { return int(ceilf(x)); }
inline unsigned __half2uint_rn(__half x) { return unsigned(nearbyintf(x)); }
inline unsigned __half2uint_rz(__half x) { return unsigned(float(x)); }
inline __half __float2half_rz(float x) {  // the next one towards zero where the nearest is too large
    __half h(x);
    if (fabsf(h) > fabsf(x)) h.bits--;
    return h;
}
inline float __half2float(__half a) { return a; }
inline __half __float2half(float x) { return __half(x); }
inline __half __float2half_rn(float x) { return __half(x); }
inline __half __double2half(double x) { return __half(x); }
inline __half __int2half_rn(int x) { return __half(x); }
inline __half __uint2half_rn(unsigned x) { return __half(x); }
inline int __half2int_rn(__half x) { return int(nearbyintf(x)); }
inline int __half2int_rz(__half x) { return int(float(x)); }
inline unsigned short __half_as_ushort(__half x) { return x.bits; }
inline short __half_as_short(__half x) { return short(x.bits); }
inline __half __ushort_as_half(unsigned short b) { __half h; h.bits = b; return h; }
inline __half2 __halves2half2(__half a, __half b) { return {a, b}; }
inline __half2 make_half2(__half a, __half b) { return {a, b}; }
inline __half2 __half2half2(__half a) { return {a, a}; }
inline __half2 __float2half2_rn(float x) { return {__half(x), __half(x)}; }
inline __half2 __floats2half2_rn(float x, float y) { return {__half(x), __half(y)}; }
inline __half2 __float22half2_rn(float2 v) { return {__half(v.x), __half(v.y)}; }
inline float2 __half22float2(__half2 a) { return {float(a.x), float(a.y)}; }
inline float __bfloat162float(__nv_bfloat16 a) { return a; }
inline __nv_bfloat16 __float2bfloat16(float x) { return __nv_bfloat16(x); }
inline __nv_bfloat16 __float2bfloat16_rn(float x) { return __nv_bfloat16(x); }
inline __nv_bfloat162 __floats2bfloat162_rn(float x, float y) { return {__nv_bfloat16(x), __nv_bfloat16(y)}; }
inline __nv_bfloat162 __float2bfloat162_rn(float x) { return {__nv_bfloat16(x), __nv_bfloat16(x)}; }
inline __nv_bfloat162 __halves2bfloat162(__nv_bfloat16 a, __nv_bfloat16 b) { return {a, b}; }
inline float2 __bfloat1622float2(__nv_bfloat162 a) { return {float(a.x), float(a.y)}; }

// ---- cooperative groups: thread_block, tiles, reduce ----------------------------------------------------------------
namespace cooperative_groups {
using ::semrep::Place;
struct thread_block {
    void sync(Place place = Place::current()) const { ::semrep::block_barrier(::semrep::NONE, false, place); }
    unsigned thread_rank() const { return ::semrep::self->linear; }
    unsigned size() const { return blockDim.x * blockDim.y * blockDim.z; }
    unsigned num_threads() const { return size(); }
    dim3 group_index() const { return blockIdx; }
    dim3 thread_index() const { return threadIdx; }
    dim3 group_dim() const { return blockDim; }
    dim3 dim_threads() const { return blockDim; }
};
struct grid_group {
    bool is_valid() const { return true; }
    void sync(Place place = Place::current()) const {
        ::semrep::fail(::semrep::UNSUPPORTED, "grid.sync(): blocks run one after the other here", int(place.line()));
    }
    unsigned long long block_rank() const { return (blockIdx.z * gridDim.y + blockIdx.y) * (unsigned long long)gridDim.x + blockIdx.x; }
    unsigned long long thread_rank() const { return block_rank() * thread_block().size() + thread_block().thread_rank(); }
    unsigned long long num_blocks() const { return (unsigned long long)gridDim.x * gridDim.y * gridDim.z; }
    unsigned long long size() const { return num_blocks() * thread_block().size(); }
    unsigned long long num_threads() const { return size(); }
    dim3 dim_blocks() const { return gridDim; }
    dim3 group_dim() const { return gridDim; }
    dim3 block_index() const { return blockIdx; }
};
inline grid_group this_grid() { return {}; }
inline thread_block this_thread_block() { return {}; }
template <unsigned N, class Parent = thread_block> struct thread_block_tile {
    static_assert(N >= 1 && N <= 32 && (N & (N - 1)) == 0, "tiles of 1, 2, 4, 8, 16 or 32 threads");
    unsigned mask() const { return (N == 32 ? ~0u : (1u << N % 32) - 1) << (::semrep::lane() & ~(N - 1)); }
    unsigned thread_rank() const { return ::semrep::self->linear % N; }
    constexpr unsigned size() const { return N; }
    constexpr unsigned num_threads() const { return N; }
    unsigned meta_group_rank() const { return ::semrep::self->linear / N; }
    unsigned meta_group_size() const { return (this_thread_block().size() + N - 1) / N; }
    void sync(Place place = Place::current()) const { ::semrep::sync_warp(int(place.line()), mask()); }
    template <class T> T shfl(T v, int from, int line = __builtin_LINE()) const { return ::semrep::shfl(line, mask(), v, from, N); }
    template <class T> T shfl_up(T v, unsigned by, int line = __builtin_LINE()) const { return ::semrep::shfl_up(line, mask(), v, by, N); }
    template <class T> T shfl_down(T v, unsigned by, int line = __builtin_LINE()) const { return ::semrep::shfl_down(line, mask(), v, by, N); }
    template <class T> T shfl_xor(T v, int by, int line = __builtin_LINE()) const { return ::semrep::shfl_xor(line, mask(), v, by, N); }
    int any(int p, int line = __builtin_LINE()) const { return ::semrep::any(line, mask(), p); }
    int all(int p, int line = __builtin_LINE()) const { return ::semrep::all(line, mask(), p); }
    template <class T> unsigned match_any(T v, int line = __builtin_LINE()) const {
        return ::semrep::match_any(line, mask(), v) >> (::semrep::lane() & ~(N - 1));
    }
    unsigned ballot(int p, int line = __builtin_LINE()) const {
        return ::semrep::ballot(line, mask(), p) >> (::semrep::lane() & ~(N - 1));
    }
};
template <unsigned N, class Parent> thread_block_tile<N, Parent> tiled_partition(const Parent&) { return {}; }
template <class T = void> struct plus { template <class A> A operator()(A a, A b) const { return a + b; } };
template <class T = void> struct less { template <class A> A operator()(A a, A b) const { return b < a ? b : a; } };
template <class T = void> struct greater { template <class A> A operator()(A a, A b) const { return a < b ? b : a; } };
template <class T = void> struct bit_and { template <class A> A operator()(A a, A b) const { return a & b; } };
template <class T = void> struct bit_or { template <class A> A operator()(A a, A b) const { return a | b; } };
template <class T = void> struct bit_xor { template <class A> A operator()(A a, A b) const { return a ^ b; } };
template <unsigned N, class P, class T, class F>
T reduce(const thread_block_tile<N, P>& tile, T value, F combine, int line = __builtin_LINE()) {
    return ::semrep::reduce(line, tile.mask(), value, combine);
}
template <class Group> void sync(const Group& group, Place place = Place::current()) { group.sync(place); }
}  // namespace cooperative_groups

// ---- how a kernel is called: pointers to its arguments, as cuLaunchKernel takes them -----------------------------------
namespace semrep {
template <class... P, size_t... I> inline void call(void (*kernel)(P...), void** arguments, std::index_sequence<I...>) {
    kernel(*static_cast<std::remove_cv_t<P>*>(arguments[I])...);
}
template <class... P> inline void call(void (*kernel)(P...), void** arguments) {
    call(kernel, arguments, std::index_sequence_for<P...>());
}
template <class... P> constexpr long sizes(void (*)(P...), unsigned at) {
    long all[] = {long(sizeof...(P)), long(sizeof(P))...};
    return at <= sizeof...(P) ? all[at] : -1;
}
}  // namespace semrep
#define SEMREP_ENTRY(number, ...)                                                                                             \
    extern "C" __attribute__((visibility("default"))) void semrep_kernel_##number(void** semrep_given) { ::semrep::call(__VA_ARGS__, semrep_given); } \
    extern "C" __attribute__((visibility("default"))) long semrep_size_##number(unsigned semrep_at) { return ::semrep::sizes(__VA_ARGS__, semrep_at); }
