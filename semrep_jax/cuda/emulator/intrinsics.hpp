// Functions and intrinsics of CUDA that fewer kernels use: rounding to a side, integers of two halves, less common mathematics.
// Part of cuda.hpp, which has the common ones.
#pragma once

// ---- rounded to a side: the operation at the machine's own rounding mode ---------------------------------------------
namespace semrep {
template <int MODE, class F> inline auto rounding(F operation) {
    int before = fegetround();
    fesetround(MODE);
    auto result = operation();
    fesetround(before);
    return result;
}
}  // namespace semrep
#define SEMREP_SIDE1(T, name, mode, expression) \
    inline T name(T a) { volatile T x = a; return ::semrep::rounding<mode>([&] { volatile T r = expression; return T(r); }); }
#define SEMREP_SIDE2(T, name, mode, expression) \
    inline T name(T a, T b) { volatile T x = a, y = b; return ::semrep::rounding<mode>([&] { volatile T r = expression; return T(r); }); }
#define SEMREP_SIDE3(T, name, mode, expression) \
    inline T name(T a, T b, T c) { volatile T x = a, y = b, z = c; return ::semrep::rounding<mode>([&] { volatile T r = expression; return T(r); }); }
#define SEMREP_SIDE(suffix, mode)                           \
    SEMREP_SIDE2(float, __fadd_##suffix, mode, x + y)       \
    SEMREP_SIDE2(float, __fsub_##suffix, mode, x - y)       \
    SEMREP_SIDE2(float, __fmul_##suffix, mode, x * y)       \
    SEMREP_SIDE2(float, __fdiv_##suffix, mode, x / y)       \
    SEMREP_SIDE1(float, __frcp_##suffix, mode, 1.0f / x)    \
    SEMREP_SIDE1(float, __fsqrt_##suffix, mode, sqrtf(x))   \
    SEMREP_SIDE3(float, __fmaf_##suffix, mode, fmaf(x, y, z))
SEMREP_SIDE(rz, FE_TOWARDZERO)
SEMREP_SIDE(ru, FE_UPWARD)
SEMREP_SIDE(rd, FE_DOWNWARD)
#define SEMREP_SIDE_OF_DOUBLE(suffix, mode)                 \
    SEMREP_SIDE2(double, __dadd_##suffix, mode, x + y)      \
    SEMREP_SIDE2(double, __dmul_##suffix, mode, x * y)      \
    SEMREP_SIDE3(double, __fma_##suffix, mode, fma(x, y, z))
SEMREP_SIDE_OF_DOUBLE(rz, FE_TOWARDZERO)
SEMREP_SIDE_OF_DOUBLE(ru, FE_UPWARD)
SEMREP_SIDE_OF_DOUBLE(rd, FE_DOWNWARD)
#define SEMREP_SIDE_OF_MORE(suffix, mode)                   \
    SEMREP_SIDE2(double, __dsub_##suffix, mode, x - y)      \
    SEMREP_SIDE2(double, __ddiv_##suffix, mode, x / y)      \
    SEMREP_SIDE1(double, __drcp_##suffix, mode, 1.0 / x)    \
    SEMREP_SIDE1(double, __dsqrt_##suffix, mode, sqrt(x))
SEMREP_SIDE_OF_MORE(rn, FE_TONEAREST)
SEMREP_SIDE_OF_MORE(rz, FE_TOWARDZERO)
SEMREP_SIDE_OF_MORE(ru, FE_UPWARD)
SEMREP_SIDE_OF_MORE(rd, FE_DOWNWARD)

// ---- conversions ------------------------------------------------------------------------------------------------------
inline double __uint2double_rn(unsigned x) { return x; }
inline double __ll2double_rn(long long x) { return double(x); }
inline double __ull2double_rn(unsigned long long x) { return double(x); }
inline float __ull2float_rn(unsigned long long x) { return float(x); }
inline int __double2hiint(double x) { return int(semrep_bits<unsigned long long>(x) >> 32); }
inline int __double2loint(double x) { return int(semrep_bits<unsigned long long>(x)); }
inline double __hiloint2double(int high, int low) {
    return semrep_bits<double>((unsigned long long)(unsigned)high << 32 | (unsigned)low);
}

// ---- integers ---------------------------------------------------------------------------------------------------------
inline unsigned long long __brevll(unsigned long long x) {
    return (unsigned long long)__brev(unsigned(x)) << 32 | __brev(unsigned(x >> 32));
}
inline unsigned __byte_perm(unsigned x, unsigned y, unsigned s) {
    unsigned long long all = (unsigned long long)y << 32 | x;
    unsigned result = 0;
    for (int i = 0; i < 4; i++) result |= unsigned(all >> 8 * (s >> 4 * i & 7) & 255) << 8 * i;
    return result;
}
inline unsigned __sad(int a, int b, unsigned c) { return c + (a < b ? unsigned(b) - unsigned(a) : unsigned(a) - unsigned(b)); }
inline unsigned __usad(unsigned a, unsigned b, unsigned c) { return c + (a < b ? b - a : a - b); }
inline int __hadd(int a, int b) { return int(((long long)a + b) >> 1); }
inline int __rhadd(int a, int b) { return int(((long long)a + b + 1) >> 1); }
inline unsigned __uhadd(unsigned a, unsigned b) { return unsigned(((unsigned long long)a + b) >> 1); }
inline unsigned __urhadd(unsigned a, unsigned b) { return unsigned(((unsigned long long)a + b + 1) >> 1); }
inline long long __mul64hi(long long a, long long b) { return (long long)((__int128)a * b >> 64); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return (unsigned long long)((unsigned __int128)a * b >> 64);
}
inline unsigned __funnelshift_lc(unsigned low, unsigned high, unsigned s) {
    return s >= 32 ? low : __funnelshift_l(low, high, s);
}
inline unsigned __funnelshift_rc(unsigned low, unsigned high, unsigned s) {
    return s >= 32 ? high : __funnelshift_r(low, high, s);
}
inline unsigned __dp4a(unsigned a, unsigned b, unsigned c) {
    for (int i = 0; i < 4; i++) c += (a >> 8 * i & 255) * (b >> 8 * i & 255);
    return c;
}

// ---- mathematics ------------------------------------------------------------------------------------------------------
inline float norm4df(float a, float b, float c, float d) { return float(sqrt(double(a) * a + double(b) * b + double(c) * c + double(d) * d)); }
inline double norm3d(double a, double b, double c) { return hypot(hypot(a, b), c); }
inline double norm4d(double a, double b, double c, double d) { return hypot(hypot(a, b), hypot(c, d)); }
inline float rnorm3df(float a, float b, float c) { return 1.0f / norm3df(a, b, c); }
inline float rnorm4df(float a, float b, float c, float d) { return 1.0f / norm4df(a, b, c, d); }
inline float normf(int n, const float* a) {
    double sum = 0;
    for (int i = 0; i < n; i++) sum += double(a[i]) * a[i];
    return float(sqrt(sum));
}
inline float rnormf(int n, const float* a) { return 1.0f / normf(n, a); }
inline double rcbrt(double x) { return 1.0 / cbrt(x); }
inline double rhypot(double a, double b) { return 1.0 / hypot(a, b); }
inline void sincospif(float x, float* s, float* c) { *s = sinpif(x), *c = cospif(x); }
inline void sincospi(double x, double* s, double* c) { *s = sinpi(x), *c = cospi(x); }
inline float erfcxf(float x) {
    double d = x;
    return float(d < 9 ? exp(d * d) * erfc(d) : 0.56418958354775628695 / d * (1 - 0.5 / (d * d) + 0.75 / (d * d * d * d)));
}
inline double semrep_erfinv(double x) {  // Winitzki's formula, then Newton's steps
    if (!(x > -1 && x < 1)) return x == 1 ? __builtin_inf() : x == -1 ? -__builtin_inf() : __builtin_nan("");
    double l = log1p(-x * x), t = 4.3307467508 + l / 2, y = copysign(sqrt(sqrt(t * t - l / 0.147) - t), x);
    for (int i = 0; i < 4; i++)
        y -= (x > 0 ? 1 - x - erfc(y) : erfc(-y) - 1 - x) * 0.88622692545275801365 * exp(y * y);
    return y;
}
inline double erfinv(double x) { return semrep_erfinv(x); }
inline float erfinvf(float x) { return float(semrep_erfinv(x)); }
inline float erfcinvf(float x) { return float(semrep_erfinv(1 - double(x))); }
inline float normcdfinvf(float p) { return float(1.41421356237309504880 * semrep_erfinv(2 * double(p) - 1)); }
