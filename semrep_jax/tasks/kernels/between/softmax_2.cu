// launch: {"scratch": {"top": "f32[M]", "total": "f32[M]"}, "launch": [{"kernel": "rows", "grid": ["ceil_div(M, 8)"], "block": [256], "args": ["x", "top", "total", "i32:M", "i32:N"]}, {"kernel": "elements", "grid": ["ceil_div(M * N, 256)"], "block": [256], "args": ["x", "top", "total", "y", "i32:M", "i32:N"]}]}
__global__ void rows(const float* __restrict__ x, float* __restrict__ top, float* __restrict__ total, int M, int N) {
    int row = blockIdx.x * 8 + threadIdx.x / 32, lane = threadIdx.x % 32;
    if (row >= M) return;  // whole warps
    const float* r = x + (long long)row * N;
    float m = -INFINITY, s = 0.0f;
    for (int j = lane; j < N; j += 32) m = fmaxf(m, r[j]);
    for (int step = 16; step > 0; step >>= 1) m = fmaxf(m, __shfl_xor_sync(0xffffffffu, m, step));
    for (int j = lane; j < N; j += 32) s += expf(r[j] - m);
    for (int step = 16; step > 0; step >>= 1) s += __shfl_xor_sync(0xffffffffu, s, step);
    if (lane > 0) return;
    top[row] = m;
    total[row] = s;
}

__global__ void elements(const float* __restrict__ x, const float* __restrict__ top, const float* __restrict__ total, float* __restrict__ y, int M, int N) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= M * N) return;
    y[i] = expf(x[i] - top[i / N]) / total[i / N];
}
