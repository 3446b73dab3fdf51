// launch: [{"kernel": "a_warp_a_row", "grid": ["ceil_div(M, 8)"], "block": [256], "args": ["x", "y", "i32:M", "i32:N"]}]
// A lane keeps the first of its own largest values; of two lanes the larger value wins, of equal ones the lower index.
__global__ void a_warp_a_row(const float* __restrict__ x, int* __restrict__ y, int m, int n) {
    int row = blockIdx.x * 8 + threadIdx.x / 32, lane = threadIdx.x % 32;
    if (row >= m) return;  // whole warps
    const float* r = x + (long long)row * n;
    float top = -INFINITY;
    int best = n;
    for (int j = lane; j < n; j += 32)
        if (best == n || r[j] > top) {
            top = r[j];
            best = j;
        }
    for (int step = 16; step > 0; step >>= 1) {
        float other = __shfl_down_sync(0xffffffffu, top, step);
        int at = __shfl_down_sync(0xffffffffu, best, step);
        if (at < n && (best == n || other > top || (other == top && at < best))) {
            top = other;
            best = at;
        }
    }
    if (lane == 0) y[row] = best;
}
