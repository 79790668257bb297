// A training step is a list of ops, made once per (network, batch, replicas) by the program. An op
// is plain data: places are offsets into a replica's memory, so one list serves all replicas. It
// runs either as a kernel of its own, with the replicas as a dimension of the grid, or inside the
// persistent kernel, where a block runs the whole list for its replica, step after step.
#pragma once

#include "learning/cuda/arithmetic.hpp"

namespace gossamer::cuda {

enum class OpKind : int {
    gather,         // rows of the data set, by index, into the batch
    dense_forward,  // products: y = f(x · w + b)
    dense_data,     // dx = (dy · wᵀ) · f'
    dense_weights,  // w -= rate · xᵀ · dy, or the gradient; and the bias
    conv_forward,
    conv_data,
    conv_weights,
    max_pool,
    max_pool_back,
    average_pool,
    average_pool_back,
    activate,
    activate_back,
    dropout,
    dropout_back,
    norm,
    norm_back,
    norm_sums,     // of the gradients of gain and shift, in parts
    norm_weights,  // the parts together
    add,
    embed,
    entry_weights,  // of a table's entries
    add_positions,
    position_weights,
    lstm_cell,  // one step of all sequences
    lstm_cell_back,
    gru_cell,
    gru_cell_back,
    last_step,
    last_step_back,
    attend,
    attend_back,
    multiply_factors,
    loss,      // also counts the step
    squares,   // of the gradient, for clipping
    optimise,  // every optimiser but fused plain SGD
};

// One output position of a convolution over a batch: where its window begins, and its image.
struct alignas(16) Pixel {
    int y, x, base, unused;
};
// One term of a window: how far from its beginning, which channel; `weight`: where its weights
// begin, for the way back.
struct alignas(16) Window {
    int y, x, channel, weight;
};
constexpr int kOutside = -(1 << 20);  // as y: no pixel is there

enum class TileKind : int { small, narrow, large };

struct Op {
    OpKind kind = OpKind::gather;
    int activation = 0;          // of forward products; on the way back: of whoever made `y`
    int m = 0, n = 0, k = 0;     // products: rows, columns, terms
    int count = 0;               // elements, of element-wise ops
    int splits = 1, k_part = 0;  // terms are divided among blocks; k_part a multiple of kDepth
    int row_tiles = 1, column_tiles = 1;
    TileKind tile = TileKind::small;
    bool fused = false, training = false, scores_labels = false;
    bool adds =
        false;  // to the gradient that others have given, where outputs have several readers
    int loss = 0;
    int in_stride = 0, out_stride = 0;  // floats between rows
    // Floats into the replica's arena; -1: none.
    std::int64_t in = -1, out = -1, kept = -1, labels = -1, targets = -1;
    std::int64_t y = -1;  // the output whose activation the gradient passes
    // Floats into the parameters, or from kFrozen on into the frozen values. Of what learns: -1
    // where frozen.
    std::int64_t weights = -1, bias = -1;
    // Another input: what a dense layer adds to its product; of factors: the items', in parameters.
    std::int64_t second = -1;
    std::int64_t gates = -1, cells = -1, before = -1, carried = -1, from = -1;  // of sequences
    std::int64_t partials = 0;  // floats into the plan's workspace: partial sums of split products
    std::int64_t tickets = 0;
    const Pixel* pixels = nullptr;
    const Window* windows = nullptr;
    // The images that pixels and windows point into; or pools: in and out.
    int height = 1, width = 1, channels = 1, divide = 1;
    int out_height = 1, out_width = 1, window_height = 1, window_width = 1, stride = 1;
    int rows = 1, groups = 1, steps = 1, step = 0;
    bool centred = true;
    int function = kNone;  // what an activation stage applies
    int batch = 0, features = 0, target_count = 0, label_count = 1;
    int stage = 0;              // number of the stage, for dropout
    float rate = 0, scale = 1;  // scale: of products forth and back
};

// What one replica is to learn from, fixed during a job.
struct ReplicaJob {
    const std::uint8_t* bytes = nullptr;  // samples x features, or
    const float* floats = nullptr;
    const std::int32_t* labels = nullptr;  // or
    const float* targets = nullptr;
    const std::uint32_t* order = nullptr;  // rows, epoch after epoch; those of one: row_count
    float byte_scale = 1;
    int row_count = 0, batch_count = 0;
    int first = 0;  // of the steps, counted from the beginning of the first epoch of `order`
    int step_count = 0;
};

struct ReplicaState {
    double loss_sum = 0;
    std::uint64_t seen = 0, correct = 0, counted = 0, draws = 0;
    int step = 0;    // the next one
    int size = 0;    // of the batch at hand; 0: nothing to learn
    int failed = 0;  // 1 + the step whose loss was not finite; nothing is learned after it
    StepRow row;     // of the step at hand
};

struct Areas {
    float* arena = nullptr;
    float *parameters = nullptr, *anchor = nullptr, *gradient = nullptr;
    float *first = nullptr, *second = nullptr;
    std::int64_t arena_stride = 0, parameter_stride = 0;  // floats between replicas
    int parameter_count = 0, replica_count = 0;
    const float* frozen = nullptr;  // of all replicas
    const ReplicaJob* jobs = nullptr;
    ReplicaState* states = nullptr;
    const StepRow* steps = nullptr;  // [step][replica_count]
    float* workspace = nullptr;
    unsigned* tickets = nullptr;
    Optimiser optimiser;
};

constexpr std::int64_t kFrozen = std::int64_t{1} << 40;  // as GOSSAMER_CUDA_FROZEN

// One replica's part.
struct Room {
    float *arena, *parameters, *anchor, *gradient, *first, *second;
    const ReplicaJob* job;
    ReplicaState* state;
    const float* frozen;

    GOSSAMER_BOTH const float* values(std::int64_t at) const {
        return at < kFrozen ? parameters + at : frozen + (at - kFrozen);
    }
};
GOSSAMER_BOTH float* part_of_area(float* area, std::int64_t at) {
    return area != nullptr ? area + at : nullptr;
}
GOSSAMER_BOTH Room room_of(const Areas& a, int replica) {
    const std::int64_t at = replica * a.parameter_stride;
    return {a.arena + replica * a.arena_stride,
            a.parameters + at,
            part_of_area(a.anchor, at),
            part_of_area(a.gradient, at),
            part_of_area(a.first, at),
            part_of_area(a.second, at),
            a.jobs + replica,
            a.states + replica,
            a.frozen};
}

// The batch of the next step: where its rows begin in the order, and how many they are.
struct Slot {
    std::int64_t first;
    int size;
};
GOSSAMER_BOTH Slot slot_of(const ReplicaJob& job, int step, int failed, int batch) {
    if (failed != 0 || step >= job.step_count || job.batch_count == 0) return {0, 0};
    const int at = job.first + step;
    const int epoch = at / job.batch_count, index = at % job.batch_count;
    const int left = job.row_count - index * batch;
    return {static_cast<std::int64_t>(epoch) * job.row_count + std::int64_t{index} * batch,
            left < batch ? left : batch};
}

// Gives the gradient of output e to the stage that made it, through the slope of its activation.
GOSSAMER_BODY void give(const Op& op, const Room& room, std::int64_t e, float d) {
    if (op.y >= 0) d = slope(op.activation, d, room.arena[op.y + e]);
    float& to = room.arena[op.out + e];
    to = op.adds ? to + d : d;
}

// Takes the gradient of a parameter: a step of plain SGD at once, or into the gradient.
struct Learner {
    float* to;
    float rate, decay;
    bool fused;
    GOSSAMER_BODY Learner(const Op& op, const Areas& areas, const Room& room)
        : to(op.fused ? room.parameters : room.gradient),
          rate(room.state->row.rate),
          decay(areas.optimiser.decay),
          fused(op.fused) {}
    GOSSAMER_BODY void take(std::int64_t at, float gradient) const {
        to[at] = fused ? sgd_step(to[at], gradient, rate, decay) : gradient;
    }
};

// Threads of every kernel but large products.
constexpr int kThreads = 128;
constexpr int kPerThread = 4;  // elements a thread works on, of element-wise ops
constexpr int kSquaresPerThread = 32;

}  // namespace gossamer::cuda
