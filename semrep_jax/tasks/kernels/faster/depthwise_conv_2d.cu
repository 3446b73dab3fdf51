// launch: [{"kernel": "filter", "grid": ["ceil_div(W - 2, 128)", "ceil_div(H - 2, 8)", "C"], "block": [128], "args": ["x", "w", "y", "i32:H", "i32:W"]}]
// A thread goes down 8 rows of one column of the output: three rows of the input stay in registers.
__global__ void filter(const float* __restrict__ x, const float* __restrict__ w, float* __restrict__ y, int H, int W) {
    int column = blockIdx.x * 128 + threadIdx.x, first = blockIdx.y * 8, c = blockIdx.z;
    if (column >= W - 2) return;
    float k[9], rows[3][3];
    for (int i = 0; i < 9; i++) k[i] = w[c * 9 + i];
    const float* p = x + ((long long)c * H + first) * W + column;
#pragma unroll
    for (int a = 0; a < 2; a++)
#pragma unroll
        for (int b = 0; b < 3; b++) rows[a][b] = p[a * W + b];
#pragma unroll
    for (int r = 0; r < 8; r++) {
        if (first + r >= H - 2) return;
#pragma unroll
        for (int b = 0; b < 3; b++) rows[(r + 2) % 3][b] = p[(r + 2) * W + b];
        float s = 0.0f;
#pragma unroll
        for (int a = 0; a < 3; a++)
#pragma unroll
            for (int b = 0; b < 3; b++) s += rows[(r + a) % 3][b] * k[3 * a + b];
        y[((long long)c * (H - 2) + first + r) * (W - 2) + column] = s;
    }
}
