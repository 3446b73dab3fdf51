// launch: [{"kernel": "rows", "grid": ["ceil_div(N, 1024)", "M"], "block": [256], "args": ["a", "x", "y", "i32:N"]}]
// A block takes 1024 elements of one row, four at a time where rows begin at a multiple of 16 bytes: no division.
__global__ void rows(const float* __restrict__ a, const float* __restrict__ x, float* __restrict__ y, int n) {
    float s = a[blockIdx.y];
    const float* from = x + (long long)blockIdx.y * n;
    float* to = y + (long long)blockIdx.y * n;
    int j = blockIdx.x * 1024 + 4 * threadIdx.x;
    if (n % 4 == 0) {
        if (j >= n) return;
        float4 v = *reinterpret_cast<const float4*>(from + j);
        *reinterpret_cast<float4*>(to + j) = make_float4(s * v.x, s * v.y, s * v.z, s * v.w);
    } else {
        for (int i = j; i < min(j + 4, n); i++) to[i] = s * from[i];
    }
}
