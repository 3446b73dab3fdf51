// task: sum
// verdict: ok
// launch: {"scratch":{"part":"f32[6]","ready":"i32[6]","tickets":"u32[1]"},"launch":[{"kernel":"clear","grid":[1],"block":[32],"args":["ready","tickets"]},{"kernel":"total","grid":[6],"block":[32],"args":["x","part","ready","tickets","y","i32:N"]}]}
__global__ void clear(int* ready, unsigned* tickets) {
    if (threadIdx.x < 6) ready[threadIdx.x] = 0;
    if (threadIdx.x == 0) *tickets = 0;
}
// each block waits for the flag of the one that came before it, and so knows what the one before that has written
__global__ void total(const float* x, float* part, volatile int* ready, unsigned* tickets, float* y, int n) {
    __shared__ unsigned ticket;
    if (threadIdx.x == 0) ticket = atomicAdd(tickets, 1u);
    __syncthreads();
    unsigned mine = ticket;
    float v = 0.0f;
    for (int i = mine * 32 + threadIdx.x; i < n; i += 192) v += x[i];
    for (int lane = 16; lane; lane /= 2) v += __shfl_down_sync(~0u, v, lane);
    if (threadIdx.x) return;
    while (mine > 0 && !ready[mine - 1]) {}
    part[mine] = v;
    __threadfence();
    ready[mine] = 1;
    if (mine < 5) return;
    float all = 0.0f;
    for (int b = 0; b < 6; b++) all += part[b];
    y[0] = all;
}
