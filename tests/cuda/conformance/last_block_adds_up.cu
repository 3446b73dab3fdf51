// task: frobenius_norm
// verdict: ok
// launch: {"scratch":{"part":"f32[256]"},"launch":[{"kernel":"norm","grid":[4],"block":[64],"args":["x","part","y","i32:N"]}]}
__device__ unsigned tickets;
// every thread writes its part, a barrier and a fence come before the ticket, and all threads of the last block read the parts
__global__ void norm(const float* x, float* part, float* y, int n) {
    __shared__ bool last;
    __shared__ float total;
    float mine = 0.0f;
    for (int i = blockIdx.x * 64 + threadIdx.x; i < n; i += 256) mine += x[i] * x[i];
    part[blockIdx.x * 64 + threadIdx.x] = mine;
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) last = atomicInc(&tickets, gridDim.x - 1) == gridDim.x - 1, total = 0.0f;
    __syncthreads();
    if (!last) return;
    float four = 0.0f;
    for (int b = 0; b < 4; b++) four += part[b * 64 + threadIdx.x];
    atomicAdd(&total, four);
    __syncthreads();
    if (threadIdx.x == 0) y[0] = sqrtf(total);
}
