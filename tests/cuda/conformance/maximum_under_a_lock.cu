// task: row_argmax
// verdict: ok
// launch: {"scratch":{"best":"f32[M]","lock":"i32[M]"},"launch":[{"kernel":"clear","grid":["M"],"block":[1],"args":["best","lock","y"]},{"kernel":"most","grid":[3,"M"],"block":[32],"args":["x","best","lock","y","i32:N"]}]}
__global__ void clear(float* best, int* lock, int* y) { best[blockIdx.x] = -INFINITY, lock[blockIdx.x] = 0, y[blockIdx.x] = 0; }
// whoever holds the lock writes the index without reading it; the lock is opened by a plain write
__global__ void most(const float* x, float* best, int* lock, int* y, int n) {
    int row = blockIdx.y, at = 0;
    float most = -INFINITY;
    for (int i = blockIdx.x * 32 + threadIdx.x; i < n; i += 96) {
        float v = x[row * n + i];
        if (v > most) most = v, at = i;
    }
    for (int lane = 16; lane; lane /= 2) {
        float other = __shfl_down_sync(~0u, most, lane);
        int there = __shfl_down_sync(~0u, at, lane);
        if (other > most || (other == most && there < at)) most = other, at = there;
    }
    if (threadIdx.x) return;
    while (atomicCAS(&lock[row], 0, 1) != 0) {}
    __threadfence();
    if (most > best[row] || (most == best[row] && at < y[row])) best[row] = most, y[row] = at;
    __threadfence();
    lock[row] = 0;
}
