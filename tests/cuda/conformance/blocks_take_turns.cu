// task: sum
// verdict: ok
// launch: [{"kernel":"clear","grid":[1],"block":[1],"args":["y"]}, {"kernel":"total","grid":[6],"block":[64],"args":["x","y","i32:N"]}]
__device__ int lock;
__global__ void clear(float* y) { y[0] = 0.0f; }
__global__ void total(const float* x, float* y, int n) {
    float mine = 0.0f;
    for (int i = blockIdx.x * 64 + threadIdx.x; i < n; i += 384) mine += x[i];
    for (int lane = 16; lane; lane /= 2) mine += __shfl_down_sync(~0u, mine, lane);
    if (threadIdx.x % 32 == 0) {
        while (atomicCAS(&lock, 0, 1) != 0) {}
        __threadfence();
        y[0] += mine;
        __threadfence();
        atomicExch(&lock, 0);
    }
}
