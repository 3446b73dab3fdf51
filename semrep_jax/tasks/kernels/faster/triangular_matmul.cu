// launch: [{"kernel": "by_tiles", "grid": ["ceil_div(N, 64)", "ceil_div(N, 64)"], "block": [16, 16], "args": ["a", "b", "y", "i32:N"]}]
// Tiles of 64 x 64; those above the diagonal are zeros, and a sum runs only where both triangles have something.
__global__ void by_tiles(const float* __restrict__ a, const float* __restrict__ b, float* __restrict__ y, int n) {
    __shared__ float as[16][65], bs[16][65];
    int row = blockIdx.y * 64, column = blockIdx.x * 64, me = threadIdx.y * 16 + threadIdx.x;
    float sums[4][4] = {};
    for (int start = column; start < min(row + 64, n); start += 16) {
        for (int i = me; i < 1024; i += 256) {
            int r = row + i / 16, c = start + i % 16;
            as[i % 16][i / 16] = r < n && c <= r ? a[(long long)r * n + c] : 0.0f;
            r = start + i / 64;
            c = column + i % 64;
            bs[i / 64][i % 64] = r < n && c <= r ? b[(long long)r * n + c] : 0.0f;
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
            if (at < n && to < n) y[(long long)at * n + to] = sums[r][c];
        }
}
