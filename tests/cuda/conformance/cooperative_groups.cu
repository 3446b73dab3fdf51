// task: row_sum
// verdict: ok
// launch: [{"kernel":"k","grid":["M"],"block":[64],"args":["x","y","i32:N"]}]
#include <cooperative_groups.h>
#include <cooperative_groups/reduce.h>
namespace cg = cooperative_groups;
__global__ void k(const float* x, float* y, int n) {
    __shared__ float part[2];
    auto block = cg::this_thread_block();
    auto warp = cg::tiled_partition<32>(block);
    float v = 0.0f;
    for (int j = block.thread_rank(); j < n; j += block.size()) v += x[blockIdx.x * n + j];
    v = cg::reduce(warp, v, cg::plus<float>());
    if (warp.thread_rank() == 0) part[warp.meta_group_rank()] = v;
    block.sync();
    if (block.thread_rank() == 0) y[blockIdx.x] = part[0] + part[1];
}
