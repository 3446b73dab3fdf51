// launch: {"scratch": {"partial": "f32[min(1024, ceil_div(N, 256))]"}, "launch": [{"kernel": "squares", "grid": ["min(1024, ceil_div(N, 256))"], "block": [256], "args": ["x", "partial", "i32:N"]}, {"kernel": "root", "grid": [1], "block": [256], "args": ["partial", "y", "i32:min(1024, ceil_div(N, 256))"]}]}
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

__global__ void squares(const float* __restrict__ x, float* __restrict__ partial, int n) {
    float v = 0.0f;
    for (int i = blockIdx.x * 256 + threadIdx.x; i < n; i += gridDim.x * 256) v = fmaf(x[i], x[i], v);
    v = block_sum(v);
    if (threadIdx.x == 0) partial[blockIdx.x] = v;
}

__global__ void root(const float* __restrict__ partial, float* __restrict__ y, int blocks) {
    float v = 0.0f;
    for (int i = threadIdx.x; i < blocks; i += 256) v += partial[i];
    v = block_sum(v);
    if (threadIdx.x == 0) y[0] = sqrtf(v);
}
