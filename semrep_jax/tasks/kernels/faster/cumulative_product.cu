// launch: [{"kernel": "a_warp_a_row", "grid": ["ceil_div(M, 8)"], "block": [256], "args": ["x", "y", "i32:M", "i32:N"]}]
__global__ void a_warp_a_row(const float* __restrict__ x, float* __restrict__ y, int m, int n) {
    int row = blockIdx.x * 8 + threadIdx.x / 32, lane = threadIdx.x % 32;
    if (row >= m) return;  // whole warps
    float before = 1.0f;
    for (int start = 0; start < n; start += 32) {
        int j = start + lane;
        float v = j < n ? x[(long long)row * n + j] : 1.0f;
        for (int step = 1; step < 32; step <<= 1) {
            float other = __shfl_up_sync(0xffffffffu, v, step);
            if (lane >= step) v *= other;
        }
        v *= before;
        if (j < n) y[(long long)row * n + j] = v;
        before = __shfl_sync(0xffffffffu, v, 31);
    }
}
