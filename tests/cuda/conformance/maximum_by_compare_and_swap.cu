// task: row_max
// verdict: ok
// launch: [{"kernel":"clear","grid":["M"],"block":[1],"args":["y"]},{"kernel":"most","grid":[3,"M"],"block":[64],"args":["x","y","i32:N"]}]
__global__ void clear(float* y) { y[blockIdx.x] = -INFINITY; }
__device__ void raise(float* at, float v) {
    int old = *(int*)at;
    while (v > __int_as_float(old)) {
        int assumed = old;
        old = atomicCAS((int*)at, assumed, __float_as_int(v));
        if (old == assumed) break;
    }
}
__global__ void most(const float* x, float* y, int n) {
    for (int i = blockIdx.x * 64 + threadIdx.x; i < n; i += 192) raise(&y[blockIdx.y], x[blockIdx.y * n + i]);
}
