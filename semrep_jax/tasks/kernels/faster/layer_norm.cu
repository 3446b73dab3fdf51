// launch: [{"kernel": "a_block_a_row", "grid": ["M"], "block": [256], "args": ["x", "w", "b", "y", "i32:N"]}]
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

__global__ void a_block_a_row(const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ b, float* __restrict__ y, int n) {
    const float* row = x + (long long)blockIdx.x * n;
    float* out = y + (long long)blockIdx.x * n;
    float total = 0.0f;
    for (int j = threadIdx.x; j < n; j += blockDim.x) total += row[j];
    float mean = of_all(total, false) / n;
    float squares = 0.0f;
    for (int j = threadIdx.x; j < n; j += blockDim.x) squares += (row[j] - mean) * (row[j] - mean);
    float scale = rsqrtf(of_all(squares, false) / n + 1e-5f);
    for (int j = threadIdx.x; j < n; j += blockDim.x) out[j] = (row[j] - mean) * scale * w[j] + b[j];
}
