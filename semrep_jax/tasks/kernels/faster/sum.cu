// launch: {"scratch": {"partial": "f32[1024]"}, "launch": [{"kernel": "add_up", "grid": [1024], "block": [256], "args": ["x", "partial", "i32:N"]}, {"kernel": "add_up", "grid": [1], "block": [256], "args": ["partial", "y", "i32:1024"]}]}
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

__global__ void add_up(const float* __restrict__ x, float* __restrict__ out, int n) {
    float v = 0.0f;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) v += x[i];
    v = block_sum(v);
    if (threadIdx.x == 0) out[blockIdx.x] = v;
}
