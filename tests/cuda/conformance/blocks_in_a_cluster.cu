// task: relu
// verdict: unsupported
// launch: [{"kernel":"k","grid":["2*ceil_div(N,512)"],"block":[256],"args":["x","y","i32:N"]}]
#include <cooperative_groups.h>
__global__ void __cluster_dims__(2, 1, 1) k(const float* x, float* y, int n) {
    cooperative_groups::this_cluster().sync();
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = fmaxf(x[i], 0.0f);
}
