// launch: {"scratch": {"top": "f32[M]", "total": "f32[M]"}, "launch": [{"kernel": "rows", "grid": ["ceil_div(M, 256)"], "block": [256], "args": ["x", "top", "total", "i32:M", "i32:N"]}, {"kernel": "elements", "grid": ["ceil_div(M * N, 256)"], "block": [256], "args": ["x", "top", "total", "y", "i32:M", "i32:N"]}]}
__global__ void rows(const float* __restrict__ x, float* __restrict__ top, float* __restrict__ total, int M, int N) {
    int row = blockIdx.x * blockDim.x + threadIdx.x;
    if (row >= M) return;
    const float* r = x + (long long)row * N;
    float m = r[0], s = 0.0f;
    for (int j = 1; j < N; j++) m = fmaxf(m, r[j]);
    for (int j = 0; j < N; j++) s += expf(r[j] - m);
    top[row] = m;
    total[row] = s;
}

__global__ void elements(const float* __restrict__ x, const float* __restrict__ top, const float* __restrict__ total, float* __restrict__ y, int M, int N) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= M * N) return;
    y[i] = expf(x[i] - top[i / N]) / total[i / N];
}
