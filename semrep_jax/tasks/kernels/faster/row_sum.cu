// launch: [{"kernel": "a_block_a_row", "grid": ["M"], "block": [256], "args": ["x", "y", "i32:N"]}]
__device__ float warp_sum(float v) {
    for (int step = 16; step > 0; step >>= 1) v += __shfl_down_sync(0xffffffffu, v, step);
    return v;
}

__device__ float block_sum(float v) {
    __shared__ float warps[32];
    v = warp_sum(v);
    if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = v;
    __syncthreads();
    v = threadIdx.x < (blockDim.x + 31) / 32 ? warps[threadIdx.x] : 0.0f;
    if (threadIdx.x < 32) v = warp_sum(v);
    return v;
}

__global__ void a_block_a_row(const float* __restrict__ x, float* __restrict__ y, int n) {
    const float* row = x + (long long)blockIdx.x * n;
    float v = 0.0f;
    for (int j = threadIdx.x; j < n; j += blockDim.x) v += row[j];
    v = block_sum(v);
    if (threadIdx.x == 0) y[blockIdx.x] = v;
}
