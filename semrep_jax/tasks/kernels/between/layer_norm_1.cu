// launch: {"scratch": {"mean": "f32[M]", "scale": "f32[M]"}, "launch": [{"kernel": "rows", "grid": ["ceil_div(M, 256)"], "block": [256], "args": ["x", "mean", "scale", "i32:M", "i32:N"]}, {"kernel": "elements", "grid": ["ceil_div(M * N, 256)"], "block": [256], "args": ["x", "w", "b", "mean", "scale", "y", "i32:M", "i32:N"]}]}
__global__ void rows(const float* __restrict__ x, float* __restrict__ mean, float* __restrict__ scale, int M, int N) {
    int row = blockIdx.x * blockDim.x + threadIdx.x;
    if (row >= M) return;
    const float* r = x + (long long)row * N;
    float m = 0.0f, v = 0.0f;
    for (int j = 0; j < N; j++) m += r[j];
    m /= N;
    for (int j = 0; j < N; j++) v += (r[j] - m) * (r[j] - m);
    mean[row] = m;
    scale[row] = rsqrtf(v / N + 1e-5f);
}

__global__ void elements(const float* __restrict__ x, const float* __restrict__ w, const float* __restrict__ b, const float* __restrict__ mean, const float* __restrict__ scale, float* __restrict__ y, int M, int N) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= M * N) return;
    y[i] = (x[i] - mean[i / N]) * scale[i / N] * w[i % N] + b[i % N];
}
