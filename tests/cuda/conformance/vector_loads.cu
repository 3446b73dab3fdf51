// task: add
// verdict: ok
// launch: [{"kernel":"k","grid":["ceil_div(ceil_div(N,4),128)"],"block":[128],"args":["a","b","y","i32:N"]}]
__global__ void k(const float* a, const float* b, float* y, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n / 4) {
        float4 u = reinterpret_cast<const float4*>(a)[i], v = __ldg(reinterpret_cast<const float4*>(b) + i);
        reinterpret_cast<float4*>(y)[i] = make_float4(u.x + v.x, u.y + v.y, u.z + v.z, u.w + v.w);
    }
    if (i == 0) for (int j = n / 4 * 4; j < n; j++) y[j] = a[j] + b[j];
}
