// task: row_sum
// verdict: unsupported
// launch: [{"kernel":"rows","grid":["M"],"block":[128],"args":["x","y","i32:N"]}]
#include <cub/block/block_reduce.cuh>
__global__ void rows(const float* x, float* y, int n) {
    using Reduce = cub::BlockReduce<float, 128>;
    __shared__ typename Reduce::TempStorage place;
    float mine = 0.0f;
    for (int j = threadIdx.x; j < n; j += 128) mine += x[(long long)blockIdx.x * n + j];
    mine = Reduce(place).Sum(mine);
    if (threadIdx.x == 0) y[blockIdx.x] = mine;
}
