// task: sum
// verdict: ok
// launch: [{"kernel":"k","grid":[1],"block":[20],"args":["x","y","i32:N"]}]
__global__ void k(const float* x, float* y, int n) {
    float v = 0.0f, all = 0.0f;
    for (int i = threadIdx.x; i < n; i += blockDim.x) v += x[i];
    for (int l = 0; l < 20; l++) all += __shfl_sync(0xfffff, v, l);
    if (threadIdx.x == 0) y[0] = all;
}
