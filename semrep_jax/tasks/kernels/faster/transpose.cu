// launch: [{"kernel": "by_tiles", "grid": ["ceil_div(N, 32)", "ceil_div(M, 32)"], "block": [32, 8], "args": ["x", "y", "i32:M", "i32:N"]}]
__global__ void by_tiles(const float* __restrict__ x, float* __restrict__ y, int m, int n) {
    __shared__ float tile[32][33];
    int column = blockIdx.x * 32 + threadIdx.x, first = blockIdx.y * 32 + threadIdx.y;
    for (int r = 0; r < 32; r += 8)
        if (column < n && first + r < m) tile[threadIdx.y + r][threadIdx.x] = x[(long long)(first + r) * n + column];
    __syncthreads();
    column = blockIdx.y * 32 + threadIdx.x;
    first = blockIdx.x * 32 + threadIdx.y;
    for (int r = 0; r < 32; r += 8)
        if (column < m && first + r < n) y[(long long)(first + r) * m + column] = tile[threadIdx.x][threadIdx.y + r];
}
