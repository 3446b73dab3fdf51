// launch: [{"kernel": "by_tiles", "grid": ["ceil_div(N, 64)", "ceil_div(M, 64)"], "block": [16, 16], "args": ["a", "b", "y", "i32:M", "i32:N", "i32:K"]}]
// A block makes 64 x 64 of the result by way of shared memory, a thread 4 x 4 of them.
__global__ void by_tiles(const float* __restrict__ a, const float* __restrict__ b, float* __restrict__ y, int m, int n, int k) {
    __shared__ float as[16][65], bs[16][65];
    int row = blockIdx.y * 64, column = blockIdx.x * 64, me = threadIdx.y * 16 + threadIdx.x;
    float sums[4][4] = {};
    for (int start = 0; start < k; start += 16) {
        for (int i = me; i < 1024; i += 256) {
            int r = row + i % 64, c = start + i / 64;  // neighbours of a row of a
            as[i / 64][i % 64] = r < m && c < k ? a[(long long)c * m + r] : 0.0f;
            r = start + i / 64;
            c = column + i % 64;
            bs[i / 64][i % 64] = r < k && c < n ? b[(long long)r * n + c] : 0.0f;
        }
        __syncthreads();
        for (int j = 0; j < 16; j++) {
            float left[4], right[4];
            for (int i = 0; i < 4; i++) {
                left[i] = as[j][threadIdx.y + 16 * i];
                right[i] = bs[j][threadIdx.x + 16 * i];
            }
            for (int r = 0; r < 4; r++)
                for (int c = 0; c < 4; c++) sums[r][c] = fmaf(left[r], right[c], sums[r][c]);
        }
        __syncthreads();
    }
    for (int r = 0; r < 4; r++)
        for (int c = 0; c < 4; c++) {
            int at = row + threadIdx.y + 16 * r, to = column + threadIdx.x + 16 * c;
            if (at < m && to < n) y[(long long)at * n + to] = sums[r][c];
        }
}
