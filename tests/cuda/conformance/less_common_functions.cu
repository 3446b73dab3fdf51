// task: relu
// verdict: ok
// launch: [{"kernel":"app::k<app::Up>","grid":["ceil_div(N, 64)"],"block":[64],"args":["x","y","i32:N"]}]
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <math_constants.h>
namespace app {
struct Up { __device__ float operator()(float v) const { return fdimf(v, CUDART_ZERO_F); } };

__device__ bool integers() {
    return __brevll(1ull) == 1ull << 63 && __byte_perm(0x01020304, 0, 0x0123) == 0x04030201 && __sad(1, 2, 3) == 4u && __usad(5, 3, 1) == 3u
        && __hadd(2, 4) == 3 && __rhadd(1, 2) == 2 && __uhadd(1, 3) == 2u && __mul64hi(1ll << 40, -1ll << 40) == -(1ll << 16)
        && __umul64hi(1ull << 40, 1ull << 40) == 1ull << 16 && __float2int_rz(1e20f) == INT_MAX && __float2uint_rn(-3.0f) == 0;
}
__device__ bool rounded(float third) {
    return __fmul_ru(third, third) > __fmul_rd(third, third) && __fadd_rz(1.0f, 1e-9f) == 1.0f && __fadd_ru(1.0f, 1e-9f) > 1.0f
        && __dsub_rn(3.0, 2.0) == 1.0 && __hiloint2double(__double2hiint(0.3), __double2loint(0.3)) == 0.3;
}
__device__ bool mathematics(const float* one) {
    return fabsf(normcdfinvf(0.975f) - 1.959964f) < 1e-5f && fabsf(erfinvf(-0.5f) + 0.4769363f) < 1e-6f && rnormf(1, one) == 1.0f
        && fabsf(erfcxf(20.0f) - 0.0281743f) < 1e-6f && norm4df(1, 1, 1, 1) == 2.0f && fabsf(CUDART_SQRT_HALF_F * CUDART_SQRT_TWO_F - 1) < 1e-6f;
}
__device__ bool halves() {
    half2 one = __float2half2_rn(1.0f), two = one;
    two += one;
    half h = __low2half(__lowhigh2highlow(__hfma2_relu(one, two, one)));
    h--;
    __nv_bfloat16 b = __high2bfloat16(__bfloat162bfloat162(__double2bfloat16(0.5)));
    return __hbeq2(two, h2exp2(one)) && __hgeu(h, __low2half(two)) && __half2float(__hmul_sat(h, h)) == 1.0f && __bfloat162float(b) == 0.5f
        && __half2float(__float2half_rz(0.1f)) <= 0.1f && !__hlt(__hmin_nan(h, h), h);
}
template <class F> __global__ void k(const float* x, float* y, int n) {
    __shared__ half2 pair;
    __shared__ float one[1];
    if (threadIdx.x == 0) pair = __float2half2_rn(0.0f), one[0] = 1.0f;
    __syncthreads();
    atomicAdd(&pair, __floats2half2_rn(1.0f, 0.5f));
    __syncthreads();
    bool right = integers() && rounded(one[0] / 3) && mathematics(one) && halves() && __low2float(pair) == 64 && __high2float(pair) == 32;
    int i = blockIdx.x * 64 + threadIdx.x;
    if (i < n) y[i] = right ? F()(x[i]) : CUDART_NAN_F;
}
}
