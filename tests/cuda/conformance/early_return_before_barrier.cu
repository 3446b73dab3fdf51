// task: relu
// verdict: ok
// launch: [{"kernel":"k","grid":["ceil_div(N,64)"],"block":[64],"args":["x","y","i32:N"]}]
__global__ void k(const float* x, float* y, int n) {
    __shared__ float s[64];
    int i = blockIdx.x * 64 + threadIdx.x;
    if (i >= n) return;
    s[threadIdx.x] = x[i];
    __syncthreads();
    y[i] = fmaxf(s[threadIdx.x], 0.0f);
}
