// task: sum
// verdict: ok
// launch: [{"kernel":"k","grid":[1],"block":[64],"args":["x","y","i32:N"]}]
__global__ void k(const float* x, float* y, int n) {
    __shared__ int lock;
    __shared__ float total;
    if (threadIdx.x == 0) lock = 0, total = 0.0f;
    __syncthreads();
    float v = 0.0f;
    for (int i = threadIdx.x; i < n; i += 64) v += x[i];
    bool done = false;
    while (!done) {
        if (atomicCAS(&lock, 0, 1) == 0) { total += v; __threadfence_block(); atomicExch(&lock, 0); done = true; }
    }
    __syncthreads();
    if (threadIdx.x == 0) y[0] = total;
}
