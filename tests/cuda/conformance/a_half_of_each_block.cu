// task: row_sum
// verdict: ok
// launch: {"scratch":{"f":"f16[M]"},"launch":[{"kernel":"flags","grid":["M"],"block":[32],"args":["x","f","i32:N"]},{"kernel":"sum","grid":["ceil_div(M, 256)"],"block":[256],"args":["x","f","y","i32:M","i32:N"]}]}
__global__ void flags(const float* x, half* f, int N) {   // one half a block
    float m = 0.0f;
    for (int j = threadIdx.x; j < N; j += 32) m = fmaxf(m, fabsf(x[blockIdx.x * N + j]) > 0.0f ? 1.0f : 0.0f);
    for (int d = 16; d > 0; d >>= 1) m = fmaxf(m, __shfl_xor_sync(0xffffffffu, m, d));
    if (threadIdx.x == 0) f[blockIdx.x] = __float2half((float)blockIdx.x);
}
__global__ void sum(const float* x, const half* f, float* y, int M, int N) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= M) return;
    float s = 0.0f;
    for (int j = 0; j < N; j++) s += x[i * N + j];
    y[i] = __half2float(f[i]) >= 0.0f ? s : 0.0f;
}
