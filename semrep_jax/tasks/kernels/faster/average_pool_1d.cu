// launch: [{"kernel": "pool", "grid": ["ceil_div(L // 2, 512)", "C"], "block": [256], "args": ["x", "y", "i32:L"]}]
// Two outputs a thread, so that four inputs are one read.
__global__ void pool(const float* __restrict__ x, float* __restrict__ y, int L) {
    int l = 2 * (blockIdx.x * 256 + threadIdx.x), half = L / 2;
    const float* p = x + (long long)blockIdx.y * L + 2 * l;
    float* q = y + (long long)blockIdx.y * half + l;
    if (L % 4 == 0 && l + 1 < half) {
        float4 v = *reinterpret_cast<const float4*>(p);
        *reinterpret_cast<float2*>(q) = make_float2(0.5f * (v.x + v.y), 0.5f * (v.z + v.w));
        return;
    }
    for (int i = 0; i < 2; i++)
        if (l + i < half) q[i] = 0.5f * (p[2 * i] + p[2 * i + 1]);
}
