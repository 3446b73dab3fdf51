// launch: [{"kernel": "a_warp_a_row", "grid": ["ceil_div(M, 8)"], "block": [256], "args": ["x", "y", "i32:M", "i32:N"]}]
__global__ void a_warp_a_row(const float* __restrict__ x, float* __restrict__ y, int m, int n) {
    int row = blockIdx.x * 8 + threadIdx.x / 32, lane = threadIdx.x % 32;
    if (row >= m) return;  // whole warps
    const float* r = x + (long long)row * n;
    float top = -INFINITY;
    for (int j = lane; j < n; j += 32) top = fmaxf(top, r[j]);
    for (int step = 16; step > 0; step >>= 1) top = fmaxf(top, __shfl_down_sync(0xffffffffu, top, step));
    if (lane == 0) y[row] = top;
}
