// launch: [{"kernel": "a_block_a_row", "grid": ["M"], "block": [256], "args": ["x", "y", "i32:N"]}]
__device__ float of_all(float v, bool largest) {
    __shared__ float warps[32];
    for (int step = 16; step > 0; step >>= 1) {
        float other = __shfl_xor_sync(0xffffffffu, v, step);
        v = largest ? fmaxf(v, other) : v + other;
    }
    __syncthreads();
    if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = v;
    __syncthreads();
    v = warps[0];
    for (int w = 1; w < blockDim.x / 32; w++) v = largest ? fmaxf(v, warps[w]) : v + warps[w];
    return v;
}

__global__ void a_block_a_row(const float* __restrict__ x, float* __restrict__ y, int n) {
    const float* row = x + (long long)blockIdx.x * n;
    float* out = y + (long long)blockIdx.x * n;
    float top = -INFINITY;
    for (int j = threadIdx.x; j < n; j += blockDim.x) top = fmaxf(top, row[j]);
    top = of_all(top, true);
    float total = 0.0f;
    for (int j = threadIdx.x; j < n; j += blockDim.x) total += expf(row[j] - top);
    total = of_all(total, false);
    for (int j = threadIdx.x; j < n; j += blockDim.x) out[j] = expf(row[j] - top) / total;
}
