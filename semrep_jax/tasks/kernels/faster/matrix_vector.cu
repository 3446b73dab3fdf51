// launch: [{"kernel": "a_warp_a_row", "grid": ["ceil_div(M, 8)"], "block": [256], "args": ["a", "x", "y", "i32:M", "i32:K"]}]
__global__ void a_warp_a_row(const float* __restrict__ a, const float* __restrict__ x, float* __restrict__ y, int m, int k) {
    int row = blockIdx.x * 8 + threadIdx.x / 32, lane = threadIdx.x % 32;
    if (row >= m) return;  // whole warps
    float v = 0.0f;
    for (int j = lane; j < k; j += 32) v = fmaf(a[(long long)row * k + j], x[j], v);
    for (int step = 16; step > 0; step >>= 1) v += __shfl_down_sync(0xffffffffu, v, step);
    if (lane == 0) y[row] = v;
}
