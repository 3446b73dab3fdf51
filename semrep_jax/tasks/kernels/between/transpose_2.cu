// launch: [{"kernel": "by_tiles", "grid": ["ceil_div(N, 32)", "ceil_div(M, 32)"], "block": [32, 32], "args": ["x", "y", "i32:M", "i32:N"]}]
__global__ void by_tiles(const float* __restrict__ x, float* __restrict__ y, int M, int N) {
    __shared__ float tile[32][32];
    int column = blockIdx.x * 32 + threadIdx.x, row = blockIdx.y * 32 + threadIdx.y;
    if (row < M && column < N) tile[threadIdx.y][threadIdx.x] = x[(long long)row * N + column];
    __syncthreads();
    column = blockIdx.x * 32 + threadIdx.y;
    row = blockIdx.y * 32 + threadIdx.x;
    if (row < M && column < N) y[(long long)column * M + row] = tile[threadIdx.x][threadIdx.y];
}
