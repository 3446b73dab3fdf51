// What a decode step spends its time on, on a CPU: products of few rows with the weights, and attention to cached keys. Called
// from jit by way of XLA's foreign-function interface; panels.py and cached.py say what goes in. Every number is one sum in one
// order, whatever else is computed beside it and by whichever thread: a row has the same bits in any company. Rows that are not
// `live` come out 0 and cost nothing.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;
using Floats = ffi::Buffer<ffi::F32>;
using Flags = ffi::Buffer<ffi::PRED>;
using FloatsOut = ffi::Result<Floats>;

#if defined(__AVX512F__)
constexpr int LANES = 16, ROWS = 12;
#elif defined(__AVX__)
constexpr int LANES = 8, ROWS = 6;
#else
constexpr int LANES = 4, ROWS = 6;
#endif
constexpr int VECTORS = 2;                  // ROWS * VECTORS sums stay in registers
constexpr int64_t PANEL = LANES * VECTORS;  // columns side by side
constexpr int64_t DEPTH = 320;              // summands at a time: so much of a panel stays in the innermost cache
constexpr int64_t HEIGHT = 11 * ROWS;       // rows that one task goes through
constexpr double WORTH_A_TASK = 4e6;        // multiplications and additions, some 50 microseconds
constexpr float MASKED = -1e30f;

typedef float Vector __attribute__((vector_size(LANES * sizeof(float)), aligned(sizeof(float))));
typedef int32_t Integers __attribute__((vector_size(LANES * sizeof(int32_t)), aligned(sizeof(int32_t))));

static Vector& at(float* x) { return *reinterpret_cast<Vector*>(x); }
static const Vector& at(const float* x) { return *reinterpret_cast<const Vector*>(x); }
static int64_t whole_panels(int64_t columns) { return (columns + PANEL - 1) / PANEL * PANEL; }

// Rows of numbers: where the first begins, and how far apart they are.
struct Rows {
  const float* first;
  int64_t apart;
};

// y [R, PANEL] (+)= x [R, depth] w [depth, PANEL]
template <int R>
static void multiply(Rows x, Rows w, float* y, int64_t y_apart, int64_t depth, bool afresh) {
  Vector sums[R][VECTORS];
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < VECTORS; ++v) sums[r][v] = afresh ? Vector{} : at(y + r * y_apart + v * LANES);
  for (int64_t k = 0; k < depth; ++k) {
    Vector weights[VECTORS];
    for (int v = 0; v < VECTORS; ++v) weights[v] = at(w.first + k * w.apart + v * LANES);
    for (int r = 0; r < R; ++r)
      for (int v = 0; v < VECTORS; ++v) sums[r][v] += x.first[r * x.apart + k] * weights[v];
  }
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < VECTORS; ++v) at(y + r * y_apart + v * LANES) = sums[r][v];
}

template <int... R>
static auto of_rows(int64_t rows, std::integer_sequence<int, R...>) {
  static constexpr decltype(&multiply<1>) all[] = {multiply<R + 1>...};
  return all[rows - 1];
}

// y [rows, PANEL] (+)= x [rows, depth] w [depth, PANEL], in blocks of sizes as alike as can be: one row costs as much as six.
static void multiply_rows(int64_t rows, Rows x, Rows w, float* y, int64_t y_apart, int64_t depth, bool afresh) {
  const int64_t blocks = (rows + ROWS - 1) / ROWS;
  for (int64_t b = 0; b < blocks; ++b) {
    const int64_t r = b * rows / blocks, end = (b + 1) * rows / blocks;
    of_rows(end - r, std::make_integer_sequence<int, ROWS>{})({x.first + r * x.apart, x.apart}, w, y + r * y_apart, y_apart, depth,
                                                              afresh);
  }
}

// task(0) ... task(count - 1), on this thread and on those of the pool that come in time; returns when all are done.
static void spread(ffi::ThreadPool pool, int64_t count, std::function<void(int64_t)> task) {
  struct Work {
    std::function<void(int64_t)> task;
    int64_t count;
    std::atomic<int64_t> taken{0}, done{0};
    void go_on() {
      for (int64_t i; (i = taken.fetch_add(1)) < count;) {
        task(i);
        if (done.fetch_add(1) + 1 == count) done.notify_all();
      }
    }
  };
  auto work = std::make_shared<Work>();
  work->task = std::move(task), work->count = count;
  const int64_t helpers = std::min<int64_t>(pool.num_threads(), count) - 1;
  for (int64_t i = 0; i < helpers; ++i) pool.Schedule(std::function<void()>([work] { work->go_on(); }));
  work->go_on();
  for (int64_t done; (done = work->done.load()) < count;) work->done.wait(done);
}

// ---- products: y [M, N] = x [M, K] W [K, N], W in panels [N / PANEL, K, PANEL], so that it is read once and in order ----

// Weights as they are kept -> float32.
static const float* unpacked(const float* kept, const float*, int64_t, float*) { return kept; }

static const float* unpacked(const uint16_t* kept, const float*, int64_t depth, float* room) {
  for (int64_t i = 0; i < depth * PANEL; ++i) {
    const uint32_t bits = static_cast<uint32_t>(kept[i]) << 16;
    std::memcpy(room + i, &bits, sizeof bits);
  }
  return room;
}

static const float* unpacked(const int8_t* kept, const float* scale, int64_t depth, float* room) {
  for (int64_t k = 0; k < depth; ++k)
    for (int64_t n = 0; n < PANEL; ++n) room[k * PANEL + n] = kept[k * PANEL + n] * scale[n];
  return room;
}

// `rows` rows of x, of `inputs` numbers, through one panel, of which `width` columns count. places: of the rows in y, or null
// where they are its first.
template <typename Kept>
static void through_panel(const float* x, const Kept* panel, const float* scale, float* y, int64_t y_apart, const int64_t* places,
                          int64_t rows, int64_t inputs, int64_t width) {
  alignas(64) float room[DEPTH * PANEL], tile[HEIGHT * PANEL];
  const bool apart = width < PANEL || places;
  for (int64_t k = 0; k < inputs; k += DEPTH) {
    const int64_t depth = std::min(DEPTH, inputs - k);
    const Rows weights{unpacked(panel + k * PANEL, scale, depth, room), PANEL};
    multiply_rows(rows, {x + k, inputs}, weights, apart ? tile : y, apart ? PANEL : y_apart, depth, k == 0);
  }
  for (int64_t r = 0; apart && r < rows; ++r)
    std::memcpy(y + (places ? places[r] : r) * y_apart, tile + r * PANEL, width * sizeof(float));
}

static bool all_or_each(const Flags& live, int64_t rows) {
  const int64_t count = live.element_count();
  return !count || count == rows;
}

// The rows of x that are live, side by side, and where they stand.
struct Live {
  std::vector<float> numbers;
  std::vector<int64_t> places;
};

static Live live_rows(const float* x, const bool* live, int64_t rows, int64_t inputs) {
  Live found;
  for (int64_t r = 0; r < rows; ++r)
    if (live[r]) found.places.push_back(r), found.numbers.insert(found.numbers.end(), x + r * inputs, x + (r + 1) * inputs);
  return found;
}

template <typename Kept>
static ffi::Error product(ffi::ThreadPool pool, const Floats& x, const Kept* kept, ffi::AnyBuffer::Dimensions size,
                          const float* scale, const Flags& live, FloatsOut& y) {
  const int64_t all = x.dimensions()[0], inputs = x.dimensions()[1], outputs = y->dimensions()[1], panels = size[0];
  if (size[1] != inputs || size[2] != PANEL || panels * PANEL != whole_panels(outputs))
    return ffi::Error::InvalidArgument("the panels don't fit x and y");
  if (!all_or_each(live, all)) return ffi::Error::InvalidArgument("live has another length than x");
  float* into = y->typed_data();
  Live some;
  if (live.element_count()) some = live_rows(x.typed_data(), live.typed_data(), all, inputs);
  const bool whole = !live.element_count() || static_cast<int64_t>(some.places.size()) == all;
  if (!whole) std::memset(into, 0, all * outputs * sizeof(float));
  const int64_t rows = whole ? all : some.places.size();
  if (!rows) return ffi::Error::Success();
  const float* from = whole ? x.typed_data() : some.numbers.data();
  const int64_t* places = whole ? nullptr : some.places.data();
  const int64_t heights = (rows + HEIGHT - 1) / HEIGHT;
  const double cost = 2.0 * std::min(rows, HEIGHT) * inputs * PANEL;
  const int64_t together = std::clamp<int64_t>(WORTH_A_TASK / cost, 1, panels), groups = (panels + together - 1) / together;
  spread(pool, groups * heights, [=](int64_t i) {
    const int64_t first = i / heights * together, r = i % heights * HEIGHT;
    for (int64_t p = first; p < std::min(panels, first + together); ++p)
      through_panel(from + r * inputs, kept + p * inputs * PANEL, scale ? scale + p * PANEL : nullptr,
                    into + (places ? 0 : r) * outputs + p * PANEL, outputs, places ? places + r : nullptr,
                    std::min(HEIGHT, rows - r), inputs, std::min(PANEL, outputs - p * PANEL));
  });
  return ffi::Error::Success();
}

static ffi::Error by_panels(ffi::ThreadPool pool, Floats x, ffi::AnyBuffer panels, Floats scale, Flags live, FloatsOut y) {
  if (x.element_count() == 0 || y->element_count() == 0) return ffi::Error::Success();
  const auto size = panels.dimensions();
  switch (panels.element_type()) {
    case ffi::F32:
      return product(pool, x, panels.typed_data<float>(), size, nullptr, live, y);
    case ffi::BF16:
      return product(pool, x, static_cast<const uint16_t*>(panels.untyped_data()), size, nullptr, live, y);
    case ffi::S8:
      return product(pool, x, panels.typed_data<int8_t>(), size, scale.typed_data(), live, y);
    default:
      return ffi::Error::InvalidArgument("panels are of float32, bfloat16 or int8");
  }
}

XLA_FFI_DEFINE_HANDLER_SYMBOL(semrep_by_panels, by_panels,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<Floats>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<Floats>()
                                  .Arg<Flags>()
                                  .Ret<Floats>());

// Panels out of a matrix [K, N], or [N, K] where it is `turned`.
static ffi::Error into_panels(ffi::ThreadPool pool, bool turned, Floats matrix, FloatsOut panels) {
  const int64_t count = panels->dimensions()[0], inputs = panels->dimensions()[1];
  const int64_t outputs = matrix.dimensions()[turned ? 0 : 1];
  if (matrix.dimensions()[turned ? 1 : 0] != inputs || panels->dimensions()[2] != PANEL || count * PANEL != whole_panels(outputs))
    return ffi::Error::InvalidArgument("the panels don't fit the matrix");
  const float* from = matrix.typed_data();
  float* into = panels->typed_data();
  spread(pool, count, [=](int64_t p) {
    float* panel = into + p * inputs * PANEL;
    const int64_t width = std::min(PANEL, outputs - p * PANEL);
    if (width < PANEL) std::memset(panel, 0, inputs * PANEL * sizeof(float));
    for (int64_t k = 0; k < inputs; ++k)
      for (int64_t n = 0; n < width; ++n)
        panel[k * PANEL + n] = turned ? from[(p * PANEL + n) * inputs + k] : from[k * outputs + p * PANEL + n];
  });
  return ffi::Error::Success();
}

XLA_FFI_DEFINE_HANDLER_SYMBOL(semrep_into_panels, into_panels,
                              ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().Attr<bool>("turned").Arg<Floats>().Ret<Floats>());

extern "C" int64_t semrep_panel() { return PANEL; }

// ---- attention of one query a completion to the cached keys of its prompt and its own ----

// y [rows, columns] (+)= x [rows, depth] w [depth, columns], from w's first column on; y has room for whole panels.
static void multiply_columns(int64_t rows, Rows x, Rows w, int64_t columns, float* y, int64_t y_apart, int64_t depth, bool afresh) {
  alignas(64) float room[DEPTH * PANEL];
  for (int64_t n = 0; n < columns; n += PANEL) {
    const int64_t width = std::min(PANEL, columns - n);
    for (int64_t k = 0; k < depth; k += DEPTH) {
      const int64_t some = std::min(DEPTH, depth - k);
      Rows part{w.first + k * w.apart + n, w.apart};
      if (width < PANEL) {
        std::memset(room, 0, some * PANEL * sizeof(float));
        for (int64_t i = 0; i < some; ++i) std::memcpy(room + i * PANEL, part.first + i * part.apart, width * sizeof(float));
        part = {room, PANEL};
      }
      multiply_rows(rows, {x.first + k, x.apart}, part, y + n, y_apart, some, afresh && k == 0);
    }
  }
}

// e^x of numbers up to 0 within 2 units in the last place, 0 below MASKED / 2, NaN of NaN (Cephes' polynomial).
static Vector exponential(Vector x) {
  constexpr float LEAST = -87.0f, LOG2_E = 1.44269504088896341f, LN2_HIGH = 0.693359375f, LN2_LOW = -2.12194440e-4f;
  const Vector bounded = x < LEAST ? Vector{} + LEAST : x;
  const Integers power = __builtin_convertvector(bounded * LOG2_E - 0.5f, Integers);
  const Vector n = __builtin_convertvector(power, Vector), r = bounded - n * LN2_HIGH - n * LN2_LOW;
  Vector p = Vector{} + 1.9875691500e-4f;
  for (float coefficient : {1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f, 1.6666665459e-1f, 5.0000001201e-1f})
    p = p * r + coefficient;
  p = p * r * r + r + 1.0f;
  const Integers shifted = (power + 127) << 23;
  Vector scale;
  std::memcpy(&scale, &shifted, sizeof scale);
  return x < MASKED / 2 ? Vector{} : p * scale;
}

// The places from the first to the last that may be seen.
struct Span {
  int64_t begin = 0, size = 0, padded = 0;
  Span(const bool* seen, int64_t count) {
    int64_t end = count;
    while (end > 0 && !seen[end - 1]) --end;
    while (begin < end && !seen[begin]) ++begin;
    size = end - begin, padded = whole_panels(size);
  }
};

static void mask(float* scores, const bool* seen, const Span& span) {
  for (int64_t s = 0; s < span.padded; ++s)
    if (s >= span.size || !seen[span.begin + s]) scores[s] = MASKED;
}

// scores -> e^(score - the largest), and their sum
static float exponentials(float* scores, int64_t padded) {
  Vector most = Vector{} + MASKED, sum{};
  for (int64_t s = 0; s < padded; s += LANES) most = at(scores + s) > most ? at(scores + s) : most;
  float largest = MASKED, total = 0;
  for (int lane = 0; lane < LANES; ++lane) largest = std::max(largest, most[lane]);
  for (int64_t s = 0; s < padded; s += LANES) {
    // what is masked stays so far down that it is 0, however small the largest is
    const Vector score = at(scores + s), e = exponential(score < MASKED / 2 ? Vector{} + 2 * MASKED : score - largest);
    at(scores + s) = e, sum += e;
  }
  for (int lane = 0; lane < LANES; ++lane) total += sum[lane];
  return total;
}

// Keys [B, K, H, P] and [B, G, K, H, S], values [B, K, P, H] and [B, G, K, S, H], q and out [B, G, K R, H].
struct Attention {
  int64_t batch, group, kv_heads, shared, size, prompt, own;  // shared: R queries of one key head
  const float *q, *prompt_keys, *prompt_values, *own_keys, *own_values;
  const bool *prompt_seen, *own_seen, *live;
  float* out;

  // Completions g .. end of prompt b, at one key head. live: null where all are.
  void operator()(int64_t b, int64_t k, int64_t g, int64_t end) const {
    std::vector<int64_t> asked;  // the completions that are live
    for (int64_t i = b * group + g; i < b * group + end; ++i) {
      if (!live || live[i])
        asked.push_back(i);
      else
        std::memset(out + (i * kv_heads + k) * shared * size, 0, shared * size * sizeof(float));
    }
    if (asked.empty()) return;
    const int64_t count = asked.size();
    static thread_local std::vector<float> room;
    const Span past(prompt_seen + b * prompt, prompt), near(own_seen + b * own, own);
    const int64_t rows = count * shared, width = past.padded + near.padded, wide = whole_panels(size);
    room.resize(rows * (size + width + wide));
    float *queries = room.data(), *scores = queries + rows * size, *mixed = scores + rows * width;
    const float scale = 1.0f / std::sqrt(static_cast<float>(size));
    for (int64_t i = 0; i < count; ++i) {
      const float* from = q + (asked[i] * kv_heads + k) * shared * size;
      for (int64_t n = 0; n < shared * size; ++n) queries[i * shared * size + n] = from[n] * scale;
    }
    const int64_t at_head = b * kv_heads + k;
    multiply_columns(rows, {queries, size}, {prompt_keys + at_head * size * prompt + past.begin, prompt}, past.size, scores, width,
                     size, true);
    for (int64_t i = 0; i < count; ++i) {
      const float* keys = own_keys + (asked[i] * kv_heads + k) * size * own + near.begin;
      multiply_columns(shared, {queries + i * shared * size, size}, {keys, own}, near.size,
                       scores + i * shared * width + past.padded, width, size, true);
    }
    std::vector<float> totals(rows);
    for (int64_t r = 0; r < rows; ++r) {
      mask(scores + r * width, prompt_seen + b * prompt, past);
      mask(scores + r * width + past.padded, own_seen + b * own, near);
      totals[r] = exponentials(scores + r * width, width);
    }
    std::memset(mixed, 0, rows * wide * sizeof(float));
    multiply_columns(rows, {scores, width}, {prompt_values + (at_head * prompt + past.begin) * size, size}, size, mixed, wide,
                     past.size, false);
    for (int64_t i = 0; i < count; ++i) {
      const int64_t row = i * shared;
      const float* values = own_values + ((asked[i] * kv_heads + k) * own + near.begin) * size;
      multiply_columns(shared, {scores + row * width + past.padded, width}, {values, size}, size, mixed + row * wide, wide, near.size,
                       false);
      float* into = out + (asked[i] * kv_heads + k) * shared * size;
      for (int64_t r = 0; r < shared; ++r)
        for (int64_t n = 0; n < size; ++n) into[r * size + n] = mixed[(row + r) * wide + n] / totals[row + r];
    }
  }
};

static ffi::Error to_cached(ffi::ThreadPool pool, Floats q, Floats prompt_keys, Floats prompt_values, Flags prompt_seen,
                            Floats own_keys, Floats own_values, Flags own_seen, Flags live, FloatsOut out) {
  const auto of = own_keys.dimensions();
  const int64_t batch = of[0], group = of[1], kv_heads = of[2], size = of[3];
  if (!out->element_count()) return ffi::Error::Success();
  if (!all_or_each(live, batch * group)) return ffi::Error::InvalidArgument("live has another size than the completions");
  const Attention attention{batch,
                            group,
                            kv_heads,
                            q.dimensions()[2] / kv_heads,
                            size,
                            prompt_keys.dimensions()[3],
                            of[4],
                            q.typed_data(),
                            prompt_keys.typed_data(),
                            prompt_values.typed_data(),
                            own_keys.typed_data(),
                            own_values.typed_data(),
                            prompt_seen.typed_data(),
                            own_seen.typed_data(),
                            live.element_count() ? live.typed_data() : nullptr,
                            out->typed_data()};
  const int64_t together = std::clamp<int64_t>(HEIGHT / attention.shared, 1, group), pieces = (group + together - 1) / together;
  spread(pool, batch * kv_heads * pieces, [=](int64_t i) {
    const int64_t g = i % pieces * together, head = i / pieces;
    attention(head / kv_heads, head % kv_heads, g, std::min(group, g + together));
  });
  return ffi::Error::Success();
}

XLA_FFI_DEFINE_HANDLER_SYMBOL(semrep_to_cached, to_cached,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<Floats>()
                                  .Arg<Floats>()
                                  .Arg<Floats>()
                                  .Arg<Flags>()
                                  .Arg<Floats>()
                                  .Arg<Floats>()
                                  .Arg<Flags>()
                                  .Arg<Flags>()
                                  .Ret<Floats>());
