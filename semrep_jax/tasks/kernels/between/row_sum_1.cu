// launch: [{"kernel": "a_warp_a_row", "grid": ["ceil_div(M, 8)"], "block": [256], "args": ["x", "y", "i32:M", "i32:N"]}]
__global__ void a_warp_a_row(const float* __restrict__ x, float* __restrict__ y, int M, int N) {
    int i = blockIdx.x * 8 + threadIdx.x / 32, lane = threadIdx.x % 32;
    if (i >= M) return;  // whole warps
    const float* r = x + (long long)i * N;
    float s = 0.0f;
    for (int j = lane; j < N; j += 32) s += r[j];
    for (int step = 16; step > 0; step >>= 1) s += __shfl_down_sync(0xffffffffu, s, step);
    if (lane == 0) y[i] = s;
}
