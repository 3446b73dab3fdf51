// task: sum
// verdict: ok
// launch: {"scratch":{"partial":"f32[ceil_div(N, 256)]","flag":"i32[1]"},"launch":[{"kernel":"clear","grid":[1],"block":[1],"args":["flag"]},{"kernel":"k","grid":["ceil_div(N, 256)"],"block":[256],"args":["x","partial","flag","y","i32:N"]}]}
__global__ void clear(int* flag) { *flag = 0; }
// the last of the blocks to come adds up: a counter says so, and a volatile pointer reads what the others wrote
__global__ void k(const float* x, volatile float* partial, int* flag, float* y, int n) {
    __shared__ float s[256];
    int i = blockIdx.x * 256 + threadIdx.x;
    s[threadIdx.x] = i < n ? x[i] : 0.0f;
    __syncthreads();
    for (int d = 128; d > 0; d >>= 1) {
        if (threadIdx.x < d) s[threadIdx.x] += s[threadIdx.x + d];
        __syncthreads();
    }
    if (threadIdx.x) return;
    partial[blockIdx.x] = s[0];
    __threadfence();
    if (atomicAdd(flag, 1) != gridDim.x - 1) return;
    float total = 0.0f;
    for (int b = 0; b < gridDim.x; b++) total += partial[b];
    y[0] = total;
}
