// task: sum
// verdict: unsupported
// launch: [{"kernel":"zero","grid":[1],"block":[1],"args":[]},{"kernel":"k","grid":[4],"block":[32],"args":["x","y","i32:N"]}]
__device__ unsigned arrived;
__device__ float parts[4];
__global__ void zero() { arrived = 0; }
__global__ void k(const float* x, float* y, int n) {
    if (threadIdx.x) return;
    float mine = 0.0f;
    for (int i = blockIdx.x; i < n; i += gridDim.x) mine += x[i];
    parts[blockIdx.x] = mine;
    __threadfence();
    atomicAdd(&arrived, 1u);
    while (atomicAdd(&arrived, 0u) < gridDim.x) { }
    if (blockIdx.x == 0) y[0] = ((volatile float*)parts)[0] + ((volatile float*)parts)[1] + ((volatile float*)parts)[2] + ((volatile float*)parts)[3];
}
