// launch: {"scratch": {"square": "f32[N]"}, "launch": [{"kernel": "squares", "grid": ["ceil_div(N, 256)"], "block": [256], "args": ["prediction", "target", "square", "i32:N"]}, {"kernel": "mean", "grid": [1], "block": [1], "args": ["square", "loss", "i32:N"]}]}
__global__ void squares(const float* __restrict__ prediction, const float* __restrict__ target, float* __restrict__ square, int N) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= N) return;
    float d = prediction[i] - target[i];
    square[i] = d * d;
}

__global__ void mean(const float* __restrict__ square, float* __restrict__ loss, int N) {
    float s = 0.0f;
    for (int j = 0; j < N; j++) s += square[j];
    loss[0] = s / N;
}
