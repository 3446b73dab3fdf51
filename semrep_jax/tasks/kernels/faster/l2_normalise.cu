// launch: [{"kernel": "a_block_a_row", "grid": ["M"], "block": [256], "args": ["x", "y", "i32:N"]}]
// The sum of a value of every thread of a block of 256, known to them all.
__device__ float block_sum(float v) {
    __shared__ float warps[8];
    for (int step = 16; step > 0; step >>= 1) v += __shfl_xor_sync(0xffffffffu, v, step);
    if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = v;
    __syncthreads();
    v = 0.0f;
    for (int w = 0; w < 8; w++) v += warps[w];
    return v;
}

__global__ void a_block_a_row(const float* __restrict__ x, float* __restrict__ y, int n) {
    const float* row = x + (long long)blockIdx.x * n;
    float* out = y + (long long)blockIdx.x * n;
    float squares = 0.0f;
    for (int j = threadIdx.x; j < n; j += 256) squares = fmaf(row[j], row[j], squares);
    float scale = 1.0f / (sqrtf(block_sum(squares)) + 1e-6f);
    for (int j = threadIdx.x; j < n; j += 256) out[j] = row[j] * scale;
}
