// launch: [{"kernel": "add_by_four", "grid": ["ceil_div(N, 1024)"], "block": [256], "args": ["a", "b", "y", "i32:N"]}]
__device__ __forceinline__ float f(float a, float b) { return a + b; }

__global__ void add_by_four(const float* __restrict__ a, const float* __restrict__ b, float* __restrict__ y, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n / 4) {
        float4 a4 = reinterpret_cast<const float4*>(a)[i];
        float4 b4 = reinterpret_cast<const float4*>(b)[i];
        reinterpret_cast<float4*>(y)[i] = make_float4(f(a4.x, b4.x), f(a4.y, b4.y), f(a4.z, b4.z), f(a4.w, b4.w));
    }
    int last = n / 4 * 4 + i;
    if (i < n % 4) y[last] = f(a[last], b[last]);
}
