// task: sum
// verdict: ok
// launch: [{"kernel":"k","grid":[1],"block":[256],"args":["x","y","i32:N"]}]
__global__ void k(const float* x, float* y, int n) {
    __shared__ float part[8];
    float v = 0.0f;
    for (int i = threadIdx.x; i < n; i += blockDim.x) v += x[i];
    for (int o = 16; o > 0; o >>= 1) v += __shfl_down_sync(0xffffffff, v, o);
    if (threadIdx.x % warpSize == 0) part[threadIdx.x / warpSize] = v;
    __syncthreads();
    if (threadIdx.x < 8) {
        v = part[threadIdx.x];
        for (int o = 4; o > 0; o >>= 1) v += __shfl_xor_sync(0xff, v, o, 8);
        if (threadIdx.x == 0) y[0] = v;
    }
}
