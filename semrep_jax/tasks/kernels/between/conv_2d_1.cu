// launch: [{"kernel": "filter", "grid": ["ceil_div(W - 2, 32)", "ceil_div(H - 2, 8)", "O"], "block": [32, 8], "args": ["x", "w", "y", "i32:C", "i32:H", "i32:W"]}]
__global__ void filter(const float* __restrict__ x, const float* __restrict__ w, float* __restrict__ y, int C, int H, int W) {
    __shared__ float seen[10][34];
    int left = blockIdx.x * 32, top = blockIdx.y * 8, o = blockIdx.z, me = threadIdx.y * 32 + threadIdx.x;
    float s = 0.0f;
    for (int c = 0; c < C; c++) {
        for (int i = me; i < 340; i += 256) {
            int h = top + i / 34, column = left + i % 34;
            seen[i / 34][i % 34] = h < H && column < W ? x[((long long)c * H + h) * W + column] : 0.0f;
        }
        __syncthreads();
        for (int a = 0; a < 3; a++)
            for (int b = 0; b < 3; b++) s += seen[threadIdx.y + a][threadIdx.x + b] * w[((o * C + c) * 3 + a) * 3 + b];
        __syncthreads();
    }
    int h = top + threadIdx.y, column = left + threadIdx.x;
    if (h < H - 2 && column < W - 2) y[((long long)o * (H - 2) + h) * (W - 2) + column] = s;
}
