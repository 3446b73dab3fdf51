// launch: [{"kernel": "a_block_a_channel", "grid": ["C"], "block": [256], "args": ["x", "y", "i32:H", "i32:W"]}]
// The sum of a value of every thread of a block of 256, known to them all.
__device__ float block_sum(float v) {
    __shared__ float warps[8];
    for (int step = 16; step > 0; step >>= 1) v += __shfl_xor_sync(0xffffffffu, v, step);
    __syncthreads();  // the last one's values have been read
    if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = v;
    __syncthreads();
    v = 0.0f;
    for (int w = 0; w < 8; w++) v += warps[w];
    return v;
}

__global__ void a_block_a_channel(const float* __restrict__ x, float* __restrict__ y, int H, int W) {
    int many = H * W;
    const float* r = x + (long long)blockIdx.x * many;
    float* out = y + (long long)blockIdx.x * many;
    float total = 0.0f, squares = 0.0f;
    for (int j = threadIdx.x; j < many; j += 256) total += r[j];
    float mean = block_sum(total) / many;
    for (int j = threadIdx.x; j < many; j += 256) squares += (r[j] - mean) * (r[j] - mean);
    float scale = rsqrtf(block_sum(squares) / many + 1e-5f);
    for (int j = threadIdx.x; j < many; j += 256) out[j] = (r[j] - mean) * scale;
}
