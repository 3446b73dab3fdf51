// launch: {"scratch": {"square": "f32[N]", "part": "f32[256]"}, "launch": [{"kernel": "squares", "grid": ["ceil_div(N, 256)"], "block": [256], "args": ["prediction", "target", "square", "i32:N"]}, {"kernel": "sums", "grid": [1], "block": [256], "args": ["square", "part", "i32:N"]}, {"kernel": "mean", "grid": [1], "block": [1], "args": ["part", "loss", "i32:N"]}]}
__global__ void squares(const float* __restrict__ prediction, const float* __restrict__ target, float* __restrict__ square, int N) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= N) return;
    float d = prediction[i] - target[i];
    square[i] = d * d;
}

__global__ void sums(const float* __restrict__ square, float* __restrict__ part, int N) {
    float s = 0.0f;
    for (int j = threadIdx.x; j < N; j += blockDim.x) s += square[j];
    part[threadIdx.x] = s;
}

__global__ void mean(const float* __restrict__ part, float* __restrict__ loss, int N) {
    float s = 0.0f;
    for (int j = 0; j < 256; j++) s += part[j];
    loss[0] = s / N;
}
