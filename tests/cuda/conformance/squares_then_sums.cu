// task: mse_loss
// verdict: ok
// launch: {"scratch": {"square": "f32[N]", "part": "f32[256]"}, "launch": [{"kernel": "squares", "grid": ["ceil_div(N, 256)"], "block": [256], "args": ["prediction", "target", "square", "i32:N"]}, {"kernel": "sums", "grid": [1], "block": [256], "args": ["square", "part", "i32:N"]}, {"kernel": "finish", "grid": [1], "block": [1], "args": ["part", "loss", "f32:N"]}]}
__global__ void squares(const float* prediction, const float* target, float* square, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) square[i] = (prediction[i] - target[i]) * (prediction[i] - target[i]);
}

__global__ void sums(const float* square, float* part, int n) {
    float v = 0.0f;
    for (int i = threadIdx.x; i < n; i += blockDim.x) v += square[i];
    part[threadIdx.x] = v;
}

__global__ void finish(const float* part, float* loss, float n) {
    float v = 0.0f;
    for (int i = 0; i < 256; i++) v += part[i];
    loss[0] = v / n;
}
