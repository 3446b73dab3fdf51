// launch: {"scratch": {"p": "f32[T * S]"}, "launch": [{"kernel": "scores", "grid": ["ceil_div(T * S, 256)"], "block": [256], "args": ["q", "k", "p", "i32:T", "i32:S", "i32:D"]}, {"kernel": "softmax", "grid": ["ceil_div(T, 256)"], "block": [256], "args": ["p", "i32:T", "i32:S"]}, {"kernel": "mix", "grid": ["ceil_div(T * D, 256)"], "block": [256], "args": ["p", "v", "y", "i32:T", "i32:S", "i32:D"]}]}
__global__ void scores(const float* __restrict__ q, const float* __restrict__ k, float* __restrict__ p, int T, int S, int D) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= T * S) return;
    int t = i / S, j = i % S;
    float s = 0.0f;
    for (int e = 0; e < D; e++) s += q[(long long)t * D + e] * k[(long long)j * D + e];
    p[i] = s * rsqrtf((float)D);
}

__global__ void softmax(float* __restrict__ p, int T, int S) {
    int t = blockIdx.x * blockDim.x + threadIdx.x;
    if (t >= T) return;
    float* r = p + (long long)t * S;
    float m = r[0], s = 0.0f;
    for (int j = 1; j < S; j++) m = fmaxf(m, r[j]);
    for (int j = 0; j < S; j++) s += expf(r[j] - m);
    for (int j = 0; j < S; j++) r[j] = expf(r[j] - m) / s;
}

__global__ void mix(const float* __restrict__ p, const float* __restrict__ v, float* __restrict__ y, int T, int S, int D) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= T * D) return;
    int t = i / D, d = i % D;
    float s = 0.0f;
    for (int j = 0; j < S; j++) s += p[(long long)t * S + j] * v[(long long)j * D + d];
    y[i] = s;
}
