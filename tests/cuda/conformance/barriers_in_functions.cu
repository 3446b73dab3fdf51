// task: layer_norm
// verdict: ok
// launch: [{"kernel":"norm","grid":["M"],"block":[64],"args":["x","w","b","y","i32:N"]}]
// functions and lambdas with barriers, called from several places and in loops, by every thread of the block
namespace cg = cooperative_groups;
template <int Step> __device__ void halve(float* part) {
    if (threadIdx.x < Step) part[threadIdx.x] += part[threadIdx.x + Step];
    __syncthreads();
}
template <typename T> __device__ __forceinline__ T total(T mine) {
    __shared__ T part[64];
    cg::thread_block block = cg::this_thread_block();
    part[threadIdx.x] = mine;
    block.sync();
    halve<32>(part), halve<16>(part), halve<8>(part); halve<4>(part);
    #pragma unroll
    for (int step = 2; step > 0; step /= 2) { if (step == 2) halve<2>(part); else halve<1>(part); }
    T all = part[0];
    cg::sync(block);
    return all;
}
__global__ void norm(const float* x, const float* weight, const float* bias, float* y, int n) {
    const float* row = x + blockIdx.x * n;
    auto mean = [&](auto of) {
        float mine = 0.0f;
        for (int i = threadIdx.x; i < n; i += 64) mine += of(row[i]);
        return total(mine) / n;
    };
    float m = mean([](float v) { return v; });
    float v = mean([&](float v) { return (v - m) * (v - m); }), scale = rsqrtf(v + 1e-5f);
    for (int i = threadIdx.x; i < n; i += 64) y[blockIdx.x * n + i] = (row[i] - m) * scale * weight[i] + bias[i];
}
