// C++ twins of the float32 kernels in cpu_kernels.py: same arguments, same rules, plain C interface for ctypes.
//
// One call works through one picture, or a band of its rows, in a fixed order; threads live in the caller. The readable
// loops are compiled for several instruction sets (see the end of the file); the visibility is also written by hand for
// AVX-512, which compilers do not find in it. Multiplications and additions are joined where the processor can
// (-ffp-contract=fast), as numba does: a vertex rounded the other way would show other triangles.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#if defined(__x86_64__)
#define FACET_X86 1
#include <immintrin.h>
#define TARGET_AVX2 __attribute__((target("avx2,fma")))
#define TARGET_AVX512 __attribute__((target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")))
#endif
#define ALWAYS_INLINE inline __attribute__((always_inline))

namespace {

// Vertices beyond kFarthest sub-pixel steps, or without a place on the screen, stand at kNowhere (see cpu_kernels.py).
constexpr int32_t kFarthest = 1 << 27;
constexpr int32_t kNowhere = 1 << 28;

// A pixel's key orders surfaces by depth, then by triangle: the smallest wins whatever the order of drawing. The lower
// half of the key of an empty pixel reads as id -1.
constexpr uint64_t kEmpty = ~uint64_t{0};

struct Picture {
    int32_t height, width, sub_pixel_bits, first_row, end_row;
};

struct Point {
    int32_t x, y;  // sub-pixel steps
};

// Buffers kept by each thread: fresh memory for every picture costs more than the snapping.
struct Scratch {
    std::vector<Point> points;
    std::vector<float> depths;
    std::vector<int32_t> packed;
    std::vector<uint64_t> keys;
};

Scratch& scratch_of_thread() {
    thread_local Scratch scratch;
    return scratch;
}

ALWAYS_INLINE int32_t smallest(int32_t a, int32_t b, int32_t c) { return std::min(a, std::min(b, c)); }
ALWAYS_INLINE int32_t largest(int32_t a, int32_t b, int32_t c) { return std::max(a, std::max(b, c)); }

// --- which triangle a pixel sees

ALWAYS_INLINE void snap(const float* __restrict clip, size_t vertices, const Picture& picture, Scratch& scratch) {
    const float half_width = picture.width * (1 << picture.sub_pixel_bits) * 0.5f;
    const float half_height = picture.height * (1 << picture.sub_pixel_bits) * 0.5f;
    scratch.points.resize(vertices);
    scratch.depths.resize(vertices);
    Point* __restrict points = scratch.points.data();
    float* __restrict depths = scratch.depths.data();
    for (size_t vertex = 0; vertex < vertices; vertex++) {
        const float* row = clip + 4 * vertex;
        const float inverse_w = 1.0f / row[3];
        const float x = std::floor(row[0] * inverse_w * half_width + half_width + 0.5f);
        const float y = std::floor(row[1] * inverse_w * half_height + half_height + 0.5f);
        const float depth = row[2] * inverse_w;
        const bool on_screen = (row[3] > 0) & (std::fabs(x) < kFarthest) & (std::fabs(y) < kFarthest) &
                               (std::fabs(depth) <= std::numeric_limits<float>::max());
        points[vertex].x = on_screen ? static_cast<int32_t>(x) : kNowhere;
        points[vertex].y = on_screen ? static_cast<int32_t>(y) : kNowhere;
        depths[vertex] = depth;
    }
}

// Bits of a number whose unsigned order is the order of the numbers; both zeros are the same.
ALWAYS_INLINE uint32_t ordered(float depth) {
    const float one_zero = depth + 0.0f;
    uint32_t bits;
    std::memcpy(&bits, &one_zero, sizeof bits);
    return bits ^ (bits >> 31 ? 0xffffffffu : 0x80000000u);
}

// Top-left rule: centres exactly on an edge belong to the triangle whose left or upper edge it is.
ALWAYS_INLINE int64_t bias(int64_t step_x, int64_t step_y) {
    return step_y < 0 || (step_y == 0 && step_x > 0) ? 0 : 1;
}

// Enter one triangle of any size, seen from either side, into the keys.
ALWAYS_INLINE void draw_triangle(
    const int32_t* corners, uint32_t triangle, const Picture& picture, Scratch& scratch) {
    const Point a = scratch.points[corners[0]];
    Point b = scratch.points[corners[1]], c = scratch.points[corners[2]];
    if (largest(a.x, b.x, c.x) == kNowhere) return;

    // Pixel p has its centre at step * p + half: round the box up to the first and down to the last centre inside.
    const int32_t bits = picture.sub_pixel_bits, step = 1 << bits, half = step >> 1;
    const int32_t first_x = std::max((smallest(a.x, b.x, c.x) + half - 1) >> bits, 0);
    const int32_t first_y = std::max((smallest(a.y, b.y, c.y) + half - 1) >> bits, picture.first_row);
    const int32_t last_x = std::min((largest(a.x, b.x, c.x) - half) >> bits, picture.width - 1);
    const int32_t last_y = std::min((largest(a.y, b.y, c.y) - half) >> bits, picture.end_row - 1);
    if (first_x > last_x || first_y > last_y) return;

    int64_t area = int64_t{b.x - a.x} * (c.y - a.y) - int64_t{b.y - a.y} * (c.x - a.x);
    if (area == 0) return;
    const float depth_a = scratch.depths[corners[0]];
    float depth_b = scratch.depths[corners[1]], depth_c = scratch.depths[corners[2]];
    if (area < 0) {
        std::swap(b, c);
        std::swap(depth_b, depth_c);
        area = -area;
    }
    const int64_t x = int64_t{first_x} * step + half, y = int64_t{first_y} * step + half;
    const int64_t a_x = c.x - b.x, a_y = c.y - b.y, b_x = a.x - c.x, b_y = a.y - c.y, c_x = b.x - a.x, c_y = b.y - a.y;
    const int64_t bias_b = bias(b_x, b_y), bias_c = bias(c_x, c_y);
    int64_t row_a = a_x * (y - b.y) - a_y * (x - b.x) - bias(a_x, a_y);
    int64_t row_b = b_x * (y - c.y) - b_y * (x - c.x) - bias_b;
    int64_t row_c = c_x * (y - a.y) - c_y * (x - a.x) - bias_c;

    const float inverse_area = 1.0f / static_cast<float>(area);
    const float slope_b = (depth_b - depth_a) * inverse_area, slope_c = (depth_c - depth_a) * inverse_area;
    const float base = depth_a + bias_b * slope_b + bias_c * slope_c;
    for (int32_t row = first_y; row <= last_y; row++) {
        int64_t edge_a = row_a, edge_b = row_b, edge_c = row_c;
        uint64_t* keys = scratch.keys.data() + size_t(row) * picture.width;
        for (int32_t column = first_x; column <= last_x; column++) {
            if ((edge_a | edge_b | edge_c) >= 0) {  // none is negative
                const float depth = base + edge_b * slope_b + edge_c * slope_c;
                const uint64_t key = uint64_t{ordered(depth)} << 32 | triangle;
                if (depth < std::numeric_limits<float>::infinity() && key < keys[column]) keys[column] = key;
            }
            edge_a -= a_y * step;
            edge_b -= b_y * step;
            edge_c -= c_y * step;
        }
        row_a += a_x * step;
        row_b += b_x * step;
        row_c += c_x * step;
    }
}

void clear_keys(const Picture& picture, Scratch& scratch) {
    scratch.keys.resize(size_t(picture.height) * picture.width);
    uint64_t* keys = scratch.keys.data();
    std::fill(keys + size_t(picture.first_row) * picture.width, keys + size_t(picture.end_row) * picture.width, kEmpty);
}

ALWAYS_INLINE void write_ids(const Picture& picture, const Scratch& scratch, int32_t* __restrict ids) {
    const uint64_t* __restrict keys = scratch.keys.data();
    const size_t end = size_t(picture.end_row) * picture.width;
    for (size_t pixel = size_t(picture.first_row) * picture.width; pixel < end; pixel++)
        ids[pixel] = static_cast<int32_t>(static_cast<uint32_t>(keys[pixel]));
}

ALWAYS_INLINE void rasterize(
    const float* clip, size_t vertices, const int32_t* triangles, size_t count, const Picture& picture, int32_t* ids) {
    Scratch& scratch = scratch_of_thread();
    snap(clip, vertices, picture, scratch);
    clear_keys(picture, scratch);
    for (size_t triangle = 0; triangle < count; triangle++)
        draw_triangle(triangles + 3 * triangle, triangle, picture, scratch);
    write_ids(picture, scratch, ids);
}

// --- the same for sixteen small triangles at a time

#if FACET_X86

// A vertex in one word, 16 bits each for x and y from the middle of the picture, so that one gather fetches it. What
// does not fit is kUnpacked; its triangles take the path for one triangle, whatever the size of the picture.
constexpr int32_t kUnpacked = INT32_MIN;
constexpr int32_t kWidestSmall = 7;  // px: beyond, waiting for the largest of sixteen boxes does not pay

ALWAYS_INLINE Point middle(const Picture& picture) {
    const int32_t step = 1 << picture.sub_pixel_bits;
    return {picture.width * step / 2, picture.height * step / 2};
}

TARGET_AVX512 void pack(const Picture& picture, Scratch& scratch) {
    const size_t vertices = scratch.points.size();
    scratch.packed.resize(vertices);
    const Point origin = middle(picture);
    const Point* __restrict points = scratch.points.data();
    int32_t* __restrict packed = scratch.packed.data();
    for (size_t vertex = 0; vertex < vertices; vertex++) {
        const int32_t x = points[vertex].x - origin.x, y = points[vertex].y - origin.y;
        const bool fits = (x > INT16_MIN) & (x <= INT16_MAX) & (y > INT16_MIN) & (y <= INT16_MAX);
        const uint32_t word = static_cast<uint32_t>(y) << 16 | (static_cast<uint32_t>(x) & 0xffff);
        packed[vertex] = fits ? static_cast<int32_t>(word) : kUnpacked;
    }
}

struct Corner16 {
    __m512i x, y;
};

TARGET_AVX512 ALWAYS_INLINE Corner16 unpack(__m512i packed) {
    return {_mm512_srai_epi32(_mm512_slli_epi32(packed, 16), 16), _mm512_srai_epi32(packed, 16)};
}

TARGET_AVX512 ALWAYS_INLINE __m512i minimum(__m512i a, __m512i b, __m512i c) {
    return _mm512_min_epi32(a, _mm512_min_epi32(b, c));
}

TARGET_AVX512 ALWAYS_INLINE __m512i maximum(__m512i a, __m512i b, __m512i c) {
    return _mm512_max_epi32(a, _mm512_max_epi32(b, c));
}

TARGET_AVX512 ALWAYS_INLINE __m512i cross(__m512i a_x, __m512i a_y, __m512i b_x, __m512i b_y) {
    return _mm512_sub_epi32(_mm512_mullo_epi32(a_x, b_y), _mm512_mullo_epi32(a_y, b_x));
}

TARGET_AVX512 ALWAYS_INLINE void swap_where(__mmask16 where, __m512i& a, __m512i& b) {
    const __m512i before = a;
    a = _mm512_mask_mov_epi32(a, where, b);
    b = _mm512_mask_mov_epi32(b, where, before);
}

// Pixels whose centres lie in the boxes around sixteen triangles, cut to the picture.
struct Boxes {
    __m512i first_x, first_y, last_x, last_y;
};

TARGET_AVX512 ALWAYS_INLINE Boxes boxes(
    const Corner16& a, const Corner16& b, const Corner16& c, const Picture& picture) {
    const __m128i bits = _mm_cvtsi32_si128(picture.sub_pixel_bits);
    const Point origin = middle(picture);
    const int32_t half = (1 << picture.sub_pixel_bits) >> 1;
    const auto up_x = _mm512_set1_epi32(origin.x + half - 1), up_y = _mm512_set1_epi32(origin.y + half - 1);
    const auto down_x = _mm512_set1_epi32(origin.x - half), down_y = _mm512_set1_epi32(origin.y - half);
    const auto first_x = _mm512_sra_epi32(_mm512_add_epi32(minimum(a.x, b.x, c.x), up_x), bits);
    const auto first_y = _mm512_sra_epi32(_mm512_add_epi32(minimum(a.y, b.y, c.y), up_y), bits);
    const auto last_x = _mm512_sra_epi32(_mm512_add_epi32(maximum(a.x, b.x, c.x), down_x), bits);
    const auto last_y = _mm512_sra_epi32(_mm512_add_epi32(maximum(a.y, b.y, c.y), down_y), bits);
    return {
        _mm512_max_epi32(first_x, _mm512_setzero_si512()),
        _mm512_max_epi32(first_y, _mm512_set1_epi32(picture.first_row)),
        _mm512_min_epi32(last_x, _mm512_set1_epi32(picture.width - 1)),
        _mm512_min_epi32(last_y, _mm512_set1_epi32(picture.end_row - 1)),
    };
}

// One edge function of sixteen triangles: its value at the current pixel and how it changes from pixel to pixel.
struct Edge16 {
    __m512i value, per_column, per_row;
    __mmask16 biased;
};

TARGET_AVX512 ALWAYS_INLINE Edge16 edge(
    const Corner16& from, const Corner16& to, __m512i x, __m512i y, __m128i bits) {
    const __m512i zero = _mm512_setzero_si512();
    const __m512i step_x = _mm512_sub_epi32(to.x, from.x), step_y = _mm512_sub_epi32(to.y, from.y);
    const __m512i value = cross(step_x, step_y, _mm512_sub_epi32(x, from.x), _mm512_sub_epi32(y, from.y));
    const __mmask16 left = _mm512_cmplt_epi32_mask(step_y, zero);
    const __mmask16 top = _mm512_mask_cmpgt_epi32_mask(_mm512_cmpeq_epi32_mask(step_y, zero), step_x, zero);
    const __mmask16 biased = static_cast<__mmask16>(~(left | top));
    return {
        _mm512_mask_sub_epi32(value, biased, value, _mm512_set1_epi32(1)),
        _mm512_sll_epi32(step_y, bits),
        _mm512_sll_epi32(step_x, bits),
        biased,
    };
}

// Enter the surfaces at one pixel of each of the triangles in the mask.
TARGET_AVX512 ALWAYS_INLINE void enter(__mmask16 mask, __m512 depth, __m512i pixel, __m512i triangle, uint64_t* keys) {
    const __m512i bits = _mm512_castps_si512(_mm512_add_ps(depth, _mm512_setzero_ps()));
    const __m512i sign = _mm512_or_si512(_mm512_srai_epi32(bits, 31), _mm512_set1_epi32(INT32_MIN));
    alignas(64) uint32_t order[16], triangles[16];
    alignas(64) int32_t pixels[16];
    _mm512_store_si512(order, _mm512_maskz_compress_epi32(mask, _mm512_xor_si512(bits, sign)));
    _mm512_store_si512(pixels, _mm512_maskz_compress_epi32(mask, pixel));
    _mm512_store_si512(triangles, _mm512_maskz_compress_epi32(mask, triangle));
    for (int k = 0, count = __builtin_popcount(mask); k < count; k++) {
        const uint64_t key = uint64_t{order[k]} << 32 | triangles[k];
        keys[pixels[k]] = std::min(keys[pixels[k]], key);
    }
}

// Small triangles that may meet a pixel centre, gathered until they are worth drawing. By corner: packed place and
// depth of the vertex. Those with a single pixel in their box, two of three in a fine mesh, do not wait for larger ones.
constexpr int kMany = 128;
struct Waiting {
    alignas(64) int32_t places[3][kMany + 16], triangles[kMany + 16];
    alignas(64) float depths[3][kMany + 16];
    int count = 0;
};
struct Waitings {
    Waiting one_pixel, several;
};

TARGET_AVX512 ALWAYS_INLINE void append(
    Waiting& waiting, __mmask16 mask, const __m512i* places, __m512i triangle) {
    for (int k = 0; k < 3; k++)
        _mm512_storeu_si512(waiting.places[k] + waiting.count, _mm512_maskz_compress_epi32(mask, places[k]));
    _mm512_storeu_si512(waiting.triangles + waiting.count, _mm512_maskz_compress_epi32(mask, triangle));
    waiting.count += __builtin_popcount(mask);
}

// Enter sixteen of the waiting triangles, from `first` on, or as many as there are.
TARGET_AVX512 void draw_small(const Waiting& waiting, int first, const Picture& picture, Scratch& scratch) {
    Corner16 a = unpack(_mm512_load_si512(waiting.places[0] + first));
    Corner16 b = unpack(_mm512_load_si512(waiting.places[1] + first));
    Corner16 c = unpack(_mm512_load_si512(waiting.places[2] + first));
    const Boxes box = boxes(a, b, c, picture);
    __mmask16 mask = static_cast<__mmask16>((1u << std::min(waiting.count - first, 16)) - 1);
    const __m512i zero = _mm512_setzero_si512();
    __m512i area = cross(
        _mm512_sub_epi32(b.x, a.x), _mm512_sub_epi32(b.y, a.y), _mm512_sub_epi32(c.x, a.x),
        _mm512_sub_epi32(c.y, a.y));
    mask = _mm512_mask_test_epi32_mask(mask, area, area);
    const __m512 depth_a = _mm512_load_ps(waiting.depths[0] + first);
    const __m512 depth_1 = _mm512_load_ps(waiting.depths[1] + first);
    const __m512 depth_2 = _mm512_load_ps(waiting.depths[2] + first);
    const __mmask16 turned = _mm512_cmplt_epi32_mask(area, zero);
    const __m512 depth_b = _mm512_mask_blend_ps(turned, depth_1, depth_2);
    const __m512 depth_c = _mm512_mask_blend_ps(turned, depth_2, depth_1);
    swap_where(turned, b.x, c.x);
    swap_where(turned, b.y, c.y);
    area = _mm512_abs_epi32(area);

    const __m128i bits = _mm_cvtsi32_si128(picture.sub_pixel_bits);
    const Point origin = middle(picture);
    const int32_t half = (1 << picture.sub_pixel_bits) >> 1;
    const __m512i x = _mm512_add_epi32(_mm512_sll_epi32(box.first_x, bits), _mm512_set1_epi32(half - origin.x));
    const __m512i y = _mm512_add_epi32(_mm512_sll_epi32(box.first_y, bits), _mm512_set1_epi32(half - origin.y));
    Edge16 edge_a = edge(b, c, x, y, bits), edge_b = edge(c, a, x, y, bits), edge_c = edge(a, b, x, y, bits);

    const __m512 inverse_area = _mm512_div_ps(_mm512_set1_ps(1.0f), _mm512_cvtepi32_ps(area));
    const __m512 slope_b = _mm512_mul_ps(_mm512_sub_ps(depth_b, depth_a), inverse_area);
    const __m512 slope_c = _mm512_mul_ps(_mm512_sub_ps(depth_c, depth_a), inverse_area);
    __m512 base = _mm512_mask_add_ps(depth_a, edge_b.biased, depth_a, slope_b);
    base = _mm512_mask_add_ps(base, edge_c.biased, base, slope_c);

    const __m512i wide = _mm512_sub_epi32(box.last_x, box.first_x), high = _mm512_sub_epi32(box.last_y, box.first_y);
    const int widest = _mm512_mask_reduce_max_epi32(mask, wide), highest = _mm512_mask_reduce_max_epi32(mask, high);
    __m512i row = _mm512_add_epi32(_mm512_mullo_epi32(box.first_y, _mm512_set1_epi32(picture.width)), box.first_x);
    for (int down = 0; down <= highest; down++) {
        __m512i at_a = edge_a.value, at_b = edge_b.value, at_c = edge_c.value;
        const __mmask16 in_rows = _mm512_mask_cmpge_epi32_mask(mask, high, _mm512_set1_epi32(down));
        for (int right = 0; right <= widest; right++) {
            const __mmask16 in_box = _mm512_mask_cmpge_epi32_mask(in_rows, wide, _mm512_set1_epi32(right));
            const __m512i any_sign = _mm512_or_si512(at_a, _mm512_or_si512(at_b, at_c));
            const __mmask16 inside = _mm512_mask_cmpge_epi32_mask(in_box, any_sign, zero);
            if (inside) {
                const __m512 on_ab = _mm512_fmadd_ps(_mm512_cvtepi32_ps(at_b), slope_b, base);
                const __m512 depth = _mm512_fmadd_ps(_mm512_cvtepi32_ps(at_c), slope_c, on_ab);
                const __m512 infinite = _mm512_set1_ps(std::numeric_limits<float>::infinity());
                const __mmask16 sound = _mm512_mask_cmp_ps_mask(inside, depth, infinite, _CMP_LT_OQ);
                const __m512i pixel = _mm512_add_epi32(row, _mm512_set1_epi32(right));
                enter(sound, depth, pixel, _mm512_load_si512(waiting.triangles + first), scratch.keys.data());
            }
            at_a = _mm512_sub_epi32(at_a, edge_a.per_column);
            at_b = _mm512_sub_epi32(at_b, edge_b.per_column);
            at_c = _mm512_sub_epi32(at_c, edge_c.per_column);
        }
        edge_a.value = _mm512_add_epi32(edge_a.value, edge_a.per_row);
        edge_b.value = _mm512_add_epi32(edge_b.value, edge_b.per_row);
        edge_c.value = _mm512_add_epi32(edge_c.value, edge_c.per_row);
        row = _mm512_add_epi32(row, _mm512_set1_epi32(picture.width));
    }
}

// Packed places of the corners of some triangles. Loaded one by one: faster than the processor's own gathering.
constexpr int kGroup = 256;
struct Group {
    alignas(64) int32_t places[3][kGroup];
};

ALWAYS_INLINE void gather_places(const int32_t* triangles, int count, const Scratch& scratch, Group& group) {
    const int32_t* __restrict packed = scratch.packed.data();
    for (int triangle = 0; triangle < count; triangle++)
        for (int k = 0; k < 3; k++) group.places[k][triangle] = packed[triangles[3 * triangle + k]];
}

// Draw all of the waiting triangles.
TARGET_AVX512 void draw_waiting(
    Waiting& waiting, const int32_t* triangles, const Picture& picture, Scratch& scratch) {
    const float* __restrict depths = scratch.depths.data();
    for (int place = 0; place < waiting.count; place++)
        for (int k = 0; k < 3; k++)
            waiting.depths[k][place] = depths[triangles[3 * size_t(waiting.triangles[place]) + k]];
    for (int first = 0; first < waiting.count; first += 16) draw_small(waiting, first, picture, scratch);
    waiting.count = 0;
}

// Draw the large ones of sixteen triangles; let the small ones wait.
TARGET_AVX512 ALWAYS_INLINE void sort_sixteen(
    const int32_t* triangles, size_t first, int count, const Group& group, const Picture& picture, Scratch& scratch,
    Waitings& waitings) {
    const __mmask16 present = static_cast<__mmask16>((1u << count) - 1);
    __m512i places[3];
    for (int k = 0; k < 3; k++) places[k] = _mm512_load_si512(group.places[k] + first % kGroup);
    const Corner16 a = unpack(places[0]), b = unpack(places[1]), c = unpack(places[2]);
    const Boxes box = boxes(a, b, c, picture);
    __mmask16 seen = _mm512_mask_cmple_epi32_mask(present, box.first_x, box.last_x);
    seen = _mm512_mask_cmple_epi32_mask(seen, box.first_y, box.last_y);

    const __m512i unpacked = _mm512_set1_epi32(kUnpacked), lowest = minimum(places[0], places[1], places[2]);
    const __mmask16 foreign = _mm512_mask_cmpeq_epi32_mask(present, lowest, unpacked);
    // By the whole triangle, not by its part in the picture: the products of its sides have to fit 32 bits.
    const __m512i limit = _mm512_set1_epi32(kWidestSmall << picture.sub_pixel_bits);
    const __m512i wide = _mm512_sub_epi32(maximum(a.x, b.x, c.x), minimum(a.x, b.x, c.x));
    const __m512i high = _mm512_sub_epi32(maximum(a.y, b.y, c.y), minimum(a.y, b.y, c.y));
    const __mmask16 large = _mm512_mask_cmpgt_epi32_mask(seen, _mm512_max_epi32(wide, high), limit);
    const __mmask16 single = large | foreign;
    for (uint32_t rest = single; rest; rest &= rest - 1) {
        const size_t triangle = first + __builtin_ctz(rest);
        draw_triangle(triangles + 3 * triangle, triangle, picture, scratch);
    }
    const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512i number = _mm512_add_epi32(lane, _mm512_set1_epi32(static_cast<int32_t>(first)));
    const __mmask16 small = seen & static_cast<__mmask16>(~single);
    const __mmask16 one_column = _mm512_mask_cmpeq_epi32_mask(small, box.first_x, box.last_x);
    const __mmask16 one_pixel = _mm512_mask_cmpeq_epi32_mask(one_column, box.first_y, box.last_y);
    append(waitings.one_pixel, one_pixel, places, number);
    append(waitings.several, small & static_cast<__mmask16>(~one_pixel), places, number);
}

TARGET_AVX512 void rasterize_sixteen(
    const float* clip, size_t vertices, const int32_t* triangles, size_t count, const Picture& picture, int32_t* ids) {
    Scratch& scratch = scratch_of_thread();
    snap(clip, vertices, picture, scratch);
    pack(picture, scratch);
    clear_keys(picture, scratch);
    Waitings waitings;
    Group group;
    for (size_t first = 0; first < count; first += 16) {
        if (first % kGroup == 0) {
            const int rest = static_cast<int>(std::min<size_t>(kGroup, count - first));
            gather_places(triangles + 3 * first, rest, scratch, group);
        }
        const int present = static_cast<int>(std::min<size_t>(16, count - first));
        sort_sixteen(triangles, first, present, group, picture, scratch, waitings);
        for (Waiting* waiting : {&waitings.one_pixel, &waitings.several})
            if (waiting->count >= kMany) draw_waiting(*waiting, triangles, picture, scratch);
    }
    draw_waiting(waitings.one_pixel, triangles, picture, scratch);
    draw_waiting(waitings.several, triangles, picture, scratch);
    write_ids(picture, scratch, ids);
}

#endif

// --- what it looks like there

struct Mesh {
    const float* clip;
    const int32_t* triangles;
    const float* attributes;
    int32_t channels;
};

// Pixels of one row that see a surface, worked on together so that the compiler can use wide registers.
constexpr int kLanes = 16;

struct Pixels {
    int32_t count;  // the lanes from here on repeat lane 0
    int32_t column[kLanes];
    int32_t corner[3][kLanes];
    float x[kLanes];  // centre in -1..1
    float offset_x[3][kLanes], offset_y[3][kLanes];  // corners minus the centre, homogeneous
    float ratio[3][kLanes];
    float weight[3][kLanes];  // max(ratio, 0)
    float factor[kLanes];     // ratio = area * factor; 0 for a triangle without area
};

// Four numbers that lie side by side anywhere, such as the clip coordinates of a vertex.
typedef float Row4 __attribute__((vector_size(16), aligned(4), may_alias));

ALWAYS_INLINE const Row4& row4(const float* start) { return *reinterpret_cast<const Row4*>(start); }
ALWAYS_INLINE Row4& row4(float* start) { return *reinterpret_cast<Row4*>(start); }

// Rows become columns: from four vertices to four numbers of one kind, and back.
ALWAYS_INLINE void transpose(Row4 (&rows)[4]) {
#if FACET_X86
    __m128 a = rows[0], b = rows[1], c = rows[2], d = rows[3];
    _MM_TRANSPOSE4_PS(a, b, c, d);
    rows[0] = a, rows[1] = b, rows[2] = c, rows[3] = d;
#else
    for (int row = 0; row < 4; row++)
        for (int column = 0; column < row; column++) {
            const float above = rows[column][row];
            rows[column][row] = rows[row][column];
            rows[row][column] = above;
        }
#endif
}

ALWAYS_INLINE float centre(int32_t place, int32_t size) {
    return static_cast<float>((2.0 * place + 1.0) / size - 1.0);
}

// Move on to the next pixels of the row that see a surface, from `column` on; returns where the next search starts.
ALWAYS_INLINE int32_t next_pixels(const int32_t* ids, int32_t column, int32_t width, Pixels& pixels) {
    pixels.count = 0;
    while (column < width && ids[column] < 0) column++;  // most of a row's background lies together
    for (; column < width && pixels.count < kLanes; column++) {
        pixels.column[pixels.count] = column;
        pixels.count += ids[column] >= 0;
    }
    return column;
}

// Perspective-correct weights of the corners (see _corner_ratios in cpu_kernels.py).
ALWAYS_INLINE void weigh(const Mesh& mesh, const int32_t* ids, const float* centres, float y, Pixels& pixels) {
    float w[3][kLanes];
    for (int lane = 0; lane < kLanes; lane++) {
        const int32_t column = pixels.column[lane < pixels.count ? lane : 0];
        pixels.x[lane] = centres[column];
        for (int k = 0; k < 3; k++) pixels.corner[k][lane] = mesh.triangles[3 * size_t(ids[column]) + k];
    }
    for (int first = 0; first < kLanes; first += 4)
        for (int k = 0; k < 3; k++) {
            Row4 rows[4];
            for (int lane = 0; lane < 4; lane++)
                rows[lane] = row4(mesh.clip + 4 * size_t(pixels.corner[k][first + lane]));
            transpose(rows);
            row4(pixels.offset_x[k] + first) = rows[0];
            row4(pixels.offset_y[k] + first) = rows[1];
            row4(w[k] + first) = rows[3];
        }
    for (int lane = 0; lane < kLanes; lane++) {
        float dx[3], dy[3];
        for (int k = 0; k < 3; k++) {
            dx[k] = pixels.offset_x[k][lane] -= pixels.x[lane] * w[k][lane];
            dy[k] = pixels.offset_y[k][lane] -= y * w[k][lane];
        }
        const float a = dx[1] * dy[2] - dy[1] * dx[2], b = dx[2] * dy[0] - dy[2] * dx[0];
        const float c = dx[0] * dy[1] - dy[0] * dx[1], sum = a + b + c;
        const float above = std::max(a, 0.0f) + std::max(b, 0.0f) + std::max(c, 0.0f);
        const float below = std::min(a, 0.0f) + std::min(b, 0.0f) + std::min(c, 0.0f);
        const float total = sum > 0 ? above : below;
        const float factor = sum == 0 ? 0.0f : 1.0f / (sum == 0 ? 1.0f : total);
        pixels.factor[lane] = factor;
        pixels.ratio[0][lane] = sum == 0 ? 1.0f / 3 : a * factor;
        pixels.ratio[1][lane] = sum == 0 ? 1.0f / 3 : b * factor;
        pixels.ratio[2][lane] = sum == 0 ? 1.0f / 3 : c * factor;
        for (int k = 0; k < 3; k++) pixels.weight[k][lane] = std::max(pixels.ratio[k][lane], 0.0f);
    }
}

// Columns' centres in -1..1; the same divisions for every row otherwise.
ALWAYS_INLINE const float* column_centres(int32_t width) {
    thread_local std::vector<float> centres;
    centres.resize(width);
    for (int32_t column = 0; column < width; column++) centres[column] = centre(column, width);
    return centres.data();
}

template <int Channels>
ALWAYS_INLINE void interpolate(const Mesh& mesh, const int32_t* ids, const Picture& picture, float* image) {
    const int channels = Channels ? Channels : mesh.channels;
    const float* centres = column_centres(picture.width);
    Pixels pixels;
    for (int32_t row = picture.first_row; row < picture.end_row; row++) {
        const int32_t* row_ids = ids + size_t(row) * picture.width;
        float* row_image = image + size_t(row) * picture.width * channels;
        std::memset(row_image, 0, sizeof(float) * picture.width * channels);
        const float y = centre(row, picture.height);
        for (int32_t column = 0; column < picture.width;) {
            column = next_pixels(row_ids, column, picture.width, pixels);
            if (pixels.count == 0) continue;
            weigh(mesh, row_ids, centres, y, pixels);
            for (int lane = 0; lane < pixels.count; lane++) {
                const float* a = mesh.attributes + size_t(pixels.corner[0][lane]) * channels;
                const float* b = mesh.attributes + size_t(pixels.corner[1][lane]) * channels;
                const float* c = mesh.attributes + size_t(pixels.corner[2][lane]) * channels;
                const float weight_a = pixels.weight[0][lane], weight_b = pixels.weight[1][lane];
                const float weight_c = pixels.weight[2][lane];
                float* out = row_image + size_t(pixels.column[lane]) * channels;
                for (int channel = 0; channel < channels; channel++)
                    out[channel] = weight_a * a[channel] + weight_b * b[channel] + weight_c * c[channel];
            }
        }
    }
}

// The pixels' share of the gradient to the attributes.
template <int Channels>
ALWAYS_INLINE void spread_colour(
    const Mesh& mesh, const Pixels& pixels, const float* __restrict row_gradient,
    float* __restrict attributes_gradient) {
    const int channels = Channels ? Channels : mesh.channels;
    for (int lane = 0; lane < pixels.count; lane++) {
        const float* change = row_gradient + size_t(pixels.column[lane]) * channels;
        for (int k = 0; k < 3; k++) {
            float* out = attributes_gradient + size_t(pixels.corner[k][lane]) * channels;
            const float weight = pixels.weight[k][lane];
            for (int channel = 0; channel < channels; channel++) out[channel] += change[channel] * weight;
        }
    }
}

// Gradient to the weights of a and b, less that to the weight of c.
template <int Channels>
ALWAYS_INLINE void weight_gradient(
    const Mesh& mesh, const Pixels& pixels, const float* row_gradient, float* to_a, float* to_b) {
    const int channels = Channels ? Channels : mesh.channels;
    for (int lane = 0; lane < pixels.count; lane++) {
        const float* a = mesh.attributes + size_t(pixels.corner[0][lane]) * channels;
        const float* b = mesh.attributes + size_t(pixels.corner[1][lane]) * channels;
        const float* c = mesh.attributes + size_t(pixels.corner[2][lane]) * channels;
        const float* change = row_gradient + size_t(pixels.column[lane]) * channels;
        float sum_a = 0, sum_b = 0;
        for (int channel = 0; channel < channels; channel++) {
            sum_a += change[channel] * (a[channel] - c[channel]);
            sum_b += change[channel] * (b[channel] - c[channel]);
        }
        to_a[lane] = sum_a;
        to_b[lane] = sum_b;
    }
}

// The pixels' share of the gradient to the clip coordinates (see interpolate_backward in cpu_kernels.py).
ALWAYS_INLINE void spread_motion(
    const Pixels& pixels, const float* to_a, const float* to_b, float y, float* clip_gradient) {
    float to_x[3][kLanes], to_y[3][kLanes], to_w[3][kLanes];
    for (int lane = 0; lane < kLanes; lane++) {
        const float factor = pixels.factor[lane];
        const float mean = to_a[lane] * pixels.weight[0][lane] + to_b[lane] * pixels.weight[1][lane];
        const float a = pixels.ratio[0][lane] >= 0 ? (to_a[lane] - mean) * factor : 0.0f;
        const float b = pixels.ratio[1][lane] >= 0 ? (to_b[lane] - mean) * factor : 0.0f;
        const float c = pixels.ratio[2][lane] >= 0 ? -mean * factor : 0.0f;
        const auto& dx = pixels.offset_x;
        const auto& dy = pixels.offset_y;
        to_x[0][lane] = c * dy[1][lane] - b * dy[2][lane];
        to_y[0][lane] = b * dx[2][lane] - c * dx[1][lane];
        to_x[1][lane] = a * dy[2][lane] - c * dy[0][lane];
        to_y[1][lane] = c * dx[0][lane] - a * dx[2][lane];
        to_x[2][lane] = b * dy[0][lane] - a * dy[1][lane];
        to_y[2][lane] = a * dx[1][lane] - b * dx[0][lane];
        for (int k = 0; k < 3; k++) to_w[k][lane] = -(to_x[k][lane] * pixels.x[lane] + to_y[k][lane] * y);
    }
    for (int first = 0; first < pixels.count; first += 4)
        for (int k = 0; k < 3; k++) {
            Row4 rows[4] = {row4(to_x[k] + first), row4(to_y[k] + first), Row4{}, row4(to_w[k] + first)};
            transpose(rows);
            for (int lane = 0; lane < std::min(4, pixels.count - first); lane++)
                row4(clip_gradient + 4 * size_t(pixels.corner[k][first + lane])) += rows[lane];
        }
}

template <int Channels>
ALWAYS_INLINE void interpolate_back(
    const Mesh& mesh, const int32_t* ids, const Picture& picture, const float* gradient, float* attributes_gradient,
    float* clip_gradient) {
    const int channels = Channels ? Channels : mesh.channels;
    const float* centres = column_centres(picture.width);
    Pixels pixels;
    float to_a[kLanes] = {}, to_b[kLanes] = {};
    for (int32_t row = 0; row < picture.height; row++) {
        const int32_t* row_ids = ids + size_t(row) * picture.width;
        const float* row_gradient = gradient + size_t(row) * picture.width * channels;
        const float y = centre(row, picture.height);
        for (int32_t column = 0; column < picture.width;) {
            column = next_pixels(row_ids, column, picture.width, pixels);
            if (pixels.count == 0) continue;
            weigh(mesh, row_ids, centres, y, pixels);
            if (attributes_gradient) spread_colour<Channels>(mesh, pixels, row_gradient, attributes_gradient);
            if (!clip_gradient) continue;
            weight_gradient<Channels>(mesh, pixels, row_gradient, to_a, to_b);
            spread_motion(pixels, to_a, to_b, y, clip_gradient);
        }
    }
}

// Known numbers of channels are unrolled: a colour, and the seven of the training's rendering.
ALWAYS_INLINE void interpolate(const Mesh& mesh, const int32_t* ids, const Picture& picture, float* image) {
    if (mesh.channels == 3) return interpolate<3>(mesh, ids, picture, image);
    if (mesh.channels == 7) return interpolate<7>(mesh, ids, picture, image);
    interpolate<0>(mesh, ids, picture, image);
}

ALWAYS_INLINE void interpolate_back(
    const Mesh& mesh, const int32_t* ids, const Picture& picture, const float* gradient, float* attributes_gradient,
    float* clip_gradient) {
    if (mesh.channels == 3)
        return interpolate_back<3>(mesh, ids, picture, gradient, attributes_gradient, clip_gradient);
    if (mesh.channels == 7)
        return interpolate_back<7>(mesh, ids, picture, gradient, attributes_gradient, clip_gradient);
    interpolate_back<0>(mesh, ids, picture, gradient, attributes_gradient, clip_gradient);
}

// --- one copy of the loops per instruction set

using Rasterize = void(const float*, size_t, const int32_t*, size_t, const Picture&, int32_t*);
using Interpolate = void(const Mesh&, const int32_t*, const Picture&, float*);
using InterpolateBack = void(const Mesh&, const int32_t*, const Picture&, const float*, float*, float*);

struct Copy {
    Rasterize* rasterize;
    Interpolate* interpolate;
    InterpolateBack* interpolate_back;
};

#define FACET_RASTERIZE(NAME, TARGET)                                                                                 \
    TARGET void rasterize_##NAME(                                                                                     \
        const float* clip, size_t vertices, const int32_t* triangles, size_t count, const Picture& picture,           \
        int32_t* ids) {                                                                                               \
        rasterize(clip, vertices, triangles, count, picture, ids);                                                    \
    }

#define FACET_INTERPOLATE(NAME, TARGET)                                                                               \
    TARGET void interpolate_##NAME(const Mesh& mesh, const int32_t* ids, const Picture& picture, float* image) {      \
        interpolate(mesh, ids, picture, image);                                                                       \
    }                                                                                                                 \
    TARGET void interpolate_back_##NAME(                                                                              \
        const Mesh& mesh, const int32_t* ids, const Picture& picture, const float* gradient,                          \
        float* attributes_gradient, float* clip_gradient) {                                                           \
        interpolate_back(mesh, ids, picture, gradient, attributes_gradient, clip_gradient);                           \
    }

FACET_RASTERIZE(baseline, )
FACET_INTERPOLATE(baseline, )
#if FACET_X86
FACET_RASTERIZE(avx2, TARGET_AVX2)
FACET_INTERPOLATE(avx2, TARGET_AVX2)
FACET_INTERPOLATE(avx512, TARGET_AVX512)
#endif

const Copy& copy_for(int32_t level) {
    static const Copy copies[] = {
        {rasterize_baseline, interpolate_baseline, interpolate_back_baseline},
#if FACET_X86
        {rasterize_avx2, interpolate_avx2, interpolate_back_avx2},
        {rasterize_sixteen, interpolate_avx512, interpolate_back_avx512},
#endif
    };
    return copies[level];
}

}  // namespace

extern "C" {

// The highest instruction set this processor has: 0 what every processor has, 1 AVX2, 2 AVX-512.
int32_t facet_level() {
#if FACET_X86
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    return avx2 ? (avx512 ? 2 : 1) : 0;
#else
    return 0;
#endif
}

void facet_rasterize_rows(
    int32_t level, const float* clip, int64_t vertices, const int32_t* triangles, int64_t count,
    int32_t sub_pixel_bits, int32_t first_row, int32_t end_row, int32_t height, int32_t width, int32_t* ids) {
    const Picture picture{height, width, sub_pixel_bits, first_row, end_row};
    copy_for(level).rasterize(clip, vertices, triangles, count, picture, ids);
}

void facet_interpolate_rows(
    int32_t level, const float* attributes, int32_t channels, const float* clip, const int32_t* triangles,
    const int32_t* ids, int32_t first_row, int32_t end_row, int32_t height, int32_t width, float* image) {
    const Mesh mesh{clip, triangles, attributes, channels};
    copy_for(level).interpolate(mesh, ids, Picture{height, width, 0, first_row, end_row}, image);
}

// Either gradient may be null: it is then not computed.
void facet_interpolate_backward(
    int32_t level, const float* gradient, const float* attributes, int32_t channels, int64_t vertices,
    const float* clip, const int32_t* triangles, const int32_t* ids, int32_t height, int32_t width,
    float* attributes_gradient, float* clip_gradient) {
    const Mesh mesh{clip, triangles, attributes, channels};
    if (attributes_gradient) std::memset(attributes_gradient, 0, sizeof(float) * vertices * channels);
    if (clip_gradient) std::memset(clip_gradient, 0, sizeof(float) * vertices * 4);
    copy_for(level).interpolate_back(
        mesh, ids, Picture{height, width, 0, 0, height}, gradient, attributes_gradient, clip_gradient);
}

}  // extern "C"
