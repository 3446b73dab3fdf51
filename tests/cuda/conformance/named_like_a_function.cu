// task: leaky_relu
// verdict: ok
// launch: [{"kernel":"fmax","grid":["ceil_div(N, 128)"],"block":[128],"args":["x","y","i32:N"]}]
#include <vector>
#include <cstring>
#include <iostream>
__global__ void fmax(const float* __restrict__ x, float* y, const int n) {
    int i = blockIdx.x * 128 + threadIdx.x;
    if (i < n) y[i] = x[i] > 0.0f ? x[i] : 0.01f * x[i];
}
