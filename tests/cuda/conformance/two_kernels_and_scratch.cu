// task: mse_loss
// verdict: ok
// launch: {"scratch":{"part":"f32[4]"},"launch":[{"kernel":"partial","grid":[4],"block":[64],"args":["prediction","target","part","i32:N"]},{"kernel":"finish","grid":[1],"block":[1],"args":["part","loss","f32:N"]}]}
__global__ void partial(const float* p, const float* t, float* part, int n) {
    __shared__ float s[64];
    float v = 0.0f;
    for (int i = blockIdx.x * 64 + threadIdx.x; i < n; i += 256) { float d = p[i] - t[i]; v = fmaf(d, d, v); }
    s[threadIdx.x] = v;
    for (int h = 32; h > 0; h >>= 1) { __syncthreads(); if (threadIdx.x < h) s[threadIdx.x] += s[threadIdx.x + h]; }
    if (threadIdx.x == 0) part[blockIdx.x] = s[0];
}
__global__ void finish(const float* part, float* loss, float n) { loss[0] = ((part[0] + part[1]) + (part[2] + part[3])) / n; }
