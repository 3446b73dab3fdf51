// launch: [{"kernel": "gelu_by_four", "grid": ["ceil_div(N, 1024)"], "block": [256], "args": ["x", "y", "i32:N"]}]
__device__ __forceinline__ float f(float x) { return 0.5f * x * (1.0f + erff(x * 0.70710678118654752f)); }

__global__ void gelu_by_four(const float* __restrict__ x, float* __restrict__ y, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n / 4) {
        float4 x4 = reinterpret_cast<const float4*>(x)[i];
        reinterpret_cast<float4*>(y)[i] = make_float4(f(x4.x), f(x4.y), f(x4.z), f(x4.w));
    }
    int last = n / 4 * 4 + i;
    if (i < n % 4) y[last] = f(x[last]);
}
