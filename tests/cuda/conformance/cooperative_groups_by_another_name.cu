// task: sum
// verdict: ok
// launch: [{"kernel":"k","grid":[1],"block":[32],"args":["x","y","i32:N"]}]
#include <cooperative_groups.h>
#include <cooperative_groups/reduce.h>
namespace coop = cooperative_groups;
using namespace cooperative_groups;
__global__ void k(const float* x, float* y, int n) {
    auto warp = coop::tiled_partition<32>(this_thread_block());
    float s = 0.0f;
    for (int i = warp.thread_rank(); i < n; i += 32) s += x[i];
    s = reduce(warp, s, plus<float>());
    if (warp.thread_rank() == 0) y[0] = s;
}
