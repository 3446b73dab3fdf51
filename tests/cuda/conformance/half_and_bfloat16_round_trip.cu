// task: hardtanh
// verdict: ok
// launch: [{"kernel":"k","grid":["ceil_div(N,128)"],"block":[128],"args":["x","y","i32:N"]}]
#include <cuda_fp16.h>
#include <cuda_bf16.h>
__global__ void k(const float* x, float* y, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    half h = __float2half(x[i]);                       // x = high + rest; what half can't hold is added back exactly
    float rest = x[i] - __half2float(h);
    __nv_bfloat16 b = __float2bfloat16(rest);
    float last = rest - __bfloat162float(b);
    y[i] = fminf(fmaxf(__half2float(h) + (__bfloat162float(b) + last), -1.0f), 1.0f);
}
