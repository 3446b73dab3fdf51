// launch: {"scratch": {"partial": "f32[min(1024, ceil_div(N, 256))]"}, "launch": [{"kernel": "losses", "grid": ["min(1024, ceil_div(N, 256))"], "block": [256], "args": ["prediction", "target", "partial", "i32:N"]}, {"kernel": "finish", "grid": [1], "block": [256], "args": ["partial", "loss", "i32:min(1024, ceil_div(N, 256))", "f32:N"]}]}
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

__global__ void losses(const float* __restrict__ prediction, const float* __restrict__ target, float* __restrict__ partial, int n) {
    float v = 0.0f;
    for (int i = blockIdx.x * 256 + threadIdx.x; i < n; i += gridDim.x * 256) {
        float d = fabsf(prediction[i] - target[i]), inside = fminf(d, 1.0f);
        v += inside * (d - 0.5f * inside);  // d d / 2 up to 1, d - 1/2 above: no branch
    }
    v = block_sum(v);
    if (threadIdx.x == 0) partial[blockIdx.x] = v;
}

__global__ void finish(const float* __restrict__ partial, float* __restrict__ loss, int blocks, float n) {
    float v = 0.0f;
    for (int i = threadIdx.x; i < blocks; i += 256) v += partial[i];
    v = block_sum(v);
    if (threadIdx.x == 0) loss[0] = v / n;
}
