// launch: {"scratch": {"partial": "f32[1024]"}, "launch": [{"kernel": "squares", "grid": [1024], "block": [256], "args": ["prediction", "target", "partial", "i32:N"]}, {"kernel": "finish", "grid": [1], "block": [256], "args": ["partial", "loss", "f32:N"]}]}
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

__global__ void squares(const float* __restrict__ prediction, const float* __restrict__ target, float* __restrict__ partial, int n) {
    float v = 0.0f;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
        float d = prediction[i] - target[i];
        v = fmaf(d, d, v);
    }
    v = block_sum(v);
    if (threadIdx.x == 0) partial[blockIdx.x] = v;
}

__global__ void finish(const float* __restrict__ partial, float* __restrict__ loss, float n) {
    float v = 0.0f;
    for (int i = threadIdx.x; i < 1024; i += blockDim.x) v += partial[i];
    v = block_sum(v);
    if (threadIdx.x == 0) loss[0] = v / n;
}
