/* The interface of the CUDA plugin, libgossamer-cuda.so: plain C, so that it can be built alone with
 * any compiler and loaded at run time. Daemons never link CUDA.
 *
 * Every struct begins with its size as the caller knows it; another version or a smaller struct is
 * refused. Functions return 0 or an error code and fill `error`. A plan and a vector belong to one
 * thread at a time; different ones may be used at once, and then copying and computing overlap.
 * Pointers in structs are host memory unless said, and are not kept after the call.
 */
#ifndef GOSSAMER_CUDA_PLUGIN_H
#define GOSSAMER_CUDA_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GOSSAMER_CUDA_VERSION 4u
#define GOSSAMER_CUDA_SYMBOL "gossamer_cuda_plugin"

enum {
    GOSSAMER_CUDA_OK = 0,
    GOSSAMER_CUDA_NO_DRIVER = 1,   /* none, or too old for this plugin */
    GOSSAMER_CUDA_NO_DEVICE = 2,   /* no card, or none that is supported */
    GOSSAMER_CUDA_MEMORY = 3,      /* the card's memory does not suffice; `what` names the figure */
    GOSSAMER_CUDA_ARGUMENT = 4,    /* a size or value that contradicts another */
    GOSSAMER_CUDA_MODEL = 5,       /* a layer or loss this plugin does not run */
    GOSSAMER_CUDA_FAILED = 6,      /* the card or the driver failed */
    GOSSAMER_CUDA_NOT_FINITE = 7   /* values to encode are not finite, or beyond the codec */
};

enum { /* what became of a replica's product */
    GOSSAMER_CUDA_DIVERGED = 0, /* weights are not finite */
    GOSSAMER_CUDA_SENT = 1,
    GOSSAMER_CUDA_BEYOND_CODEC = 2 /* finite, but beyond the range of the encoding */
};

typedef struct {
    int32_t code;
    char what[500];
} gossamer_cuda_error;

typedef struct {
    uint32_t size;
    int32_t device;
    char name[128];
    int32_t major, minor, multiprocessors;
    int32_t driver, runtime; /* 13000 = 13.0 */
    uint64_t memory_bytes, free_bytes, shared_bytes; /* shared: most a block may take */
    int32_t emulated; /* 1: no card at all, the kernels run on the processor (for tests) */
} gossamer_cuda_device;

enum { /* layers */
    GOSSAMER_CUDA_DENSE = 0,        /* height · width rows a sample */
    GOSSAMER_CUDA_CONV = 1,
    GOSSAMER_CUDA_MAX_POOL = 2,
    GOSSAMER_CUDA_AVERAGE_POOL = 3,
    GOSSAMER_CUDA_ACTIVATION = 4,
    GOSSAMER_CUDA_DROPOUT = 5,
    GOSSAMER_CUDA_GROUP_NORM = 6, /* gain at weight_offset, shift at bias_offset */
    GOSSAMER_CUDA_LAYER_NORM = 7, /* each position on its own */
    GOSSAMER_CUDA_RMS_NORM = 8,   /* the same, not centred, not biased */
    GOSSAMER_CUDA_ADD = 9,        /* to its input, the output of `source` */
    GOSSAMER_CUDA_EMBEDDING = 10, /* the first: numbers below `vocabulary` */
    GOSSAMER_CUDA_POSITION = 11,
    GOSSAMER_CUDA_LSTM = 12, /* gates input, forget, cell, output; `width` steps; recurrent weights */
    GOSSAMER_CUDA_GRU = 13,  /* gates update, reset, new; at second_offset */
    GOSSAMER_CUDA_LAST = 14, /* of `width` steps */
    GOSSAMER_CUDA_ATTENTION = 15, /* causal, `groups` heads; the projection after it is second */
    GOSSAMER_CUDA_FACTORS = 16 /* the first: users x rank, items x rank, biases of users, items, all */
};
enum { /* activations; the last two in layers of their own, GOSSAMER_CUDA_ACTIVATION */
    GOSSAMER_CUDA_LINEAR = 0,
    GOSSAMER_CUDA_RELU = 1,
    GOSSAMER_CUDA_TANH = 2,
    GOSSAMER_CUDA_SIGMOID = 3,
    GOSSAMER_CUDA_GELU = 4, /* the form with tanh */
    GOSSAMER_CUDA_SILU = 5
};
enum { /* losses; those but softmax: mean over all outputs */
    GOSSAMER_CUDA_SOFTMAX = 0,
    GOSSAMER_CUDA_SQUARED = 1,
    GOSSAMER_CUDA_SIGMOID_CROSS = 2,
    GOSSAMER_CUDA_RECONSTRUCTION = 3 /* squared error against the sample itself */
};

/* Images are height x width x channels, sequences width x channels; weights window height x window
 * width x channels in x channels out (dense: in x out), row-major. Offsets in floats,
 * into the parameters; from GOSSAMER_CUDA_FROZEN on, into the frozen values. */
#define GOSSAMER_CUDA_FROZEN (UINT64_C(1) << 40)
typedef struct {
    uint32_t kind, activation;
    uint32_t height, width, channels, out_height, out_width, out_channels;
    uint32_t window_height, window_width, stride, pad_top, pad_left;
    uint32_t biased;
    uint64_t weight_offset, bias_offset;
    float rate;            /* of dropout */
    int32_t input, source; /* layers before whose outputs are read; -1: the sample */
    uint32_t groups;       /* of a group norm; heads */
    uint32_t vocabulary, items; /* of an embedding; of factors, with `vocabulary` users */
    uint32_t rank;              /* of factors; of a dense layer's adapter, 0: it has none */
    uint64_t second_offset, second_bias_offset;
    uint64_t adapter_a_offset, adapter_b_offset; /* in x rank, rank x out: adds scale · x·A·B */
    float adapter_scale;
} gossamer_cuda_layer;

typedef struct {
    uint32_t size;
    uint32_t layer_count;
    const gossamer_cuda_layer* layers;
    uint64_t parameter_count, input_count, output_count;
    uint32_t loss;
    uint32_t target_count; /* of the data; 0: labels */
    uint32_t label_count;  /* labels a sample, each of output_count / label_count classes */
    const float* frozen;   /* what is not learned, for all replicas; copied by plan_create */
    uint64_t frozen_count;
} gossamer_cuda_network;

enum { GOSSAMER_CUDA_AUTO = 0, GOSSAMER_CUDA_GRAPH = 1, GOSSAMER_CUDA_PERSISTENT = 2 };

typedef struct {
    uint32_t size;
    int32_t device;
    uint32_t batch_size;
    uint32_t replica_max; /* how many are trained side by side */
    uint32_t scoring;     /* 1: a plan that only evaluates */
    uint32_t mode;        /* graph: a kernel per layer for all replicas; persistent: one block each */
    uint32_t optimiser;   /* 0 sgd, 1 adam, 2 adamw */
    uint32_t nesterov;
    float momentum, decay, beta1, beta2, epsilon, clip_norm, proximal_mu;
    uint32_t unfused; /* 1: forms the gradient even where it need not; to compare */
} gossamer_cuda_plan_options;

typedef struct {
    uint32_t size;
    uint64_t sample_count, feature_count;
    const uint8_t* bytes; /* samples x features, times byte_scale; or */
    const float* floats;
    float byte_scale;
    const int32_t* labels; /* samples x label_count; -1, where there are several: counts nothing; or */
    const float* targets;  /* samples x target_count */
    uint32_t target_count, class_count, label_count;
} gossamer_cuda_data_description;

typedef struct {
    float rate, correction1, correction2, unused; /* corrections: 1 / (1 - beta^t), of adam */
    uint64_t draws;                               /* of dropout */
} gossamer_cuda_step;

/* What crosses the bus; all but the first are of the delta, weights - start. Bits of `sign` are set
 * where the value's sign bit is not, lowest bit first. */
enum {
    GOSSAMER_CUDA_WEIGHTS = 0,
    GOSSAMER_CUDA_DELTA = 1,
    GOSSAMER_CUDA_F16 = 2,
    GOSSAMER_CUDA_BF16 = 3,
    GOSSAMER_CUDA_INT8 = 4, /* blocks of 1,024: float32 scale, then a byte each, by chance */
    GOSSAMER_CUDA_SIGN = 5, /* blocks of 1,024: float32 mean size, then a bit each */
    GOSSAMER_CUDA_TOP = 6   /* u32 count, their indices ascending, their float32 values */
};

typedef struct gossamer_cuda_data gossamer_cuda_data;
typedef struct gossamer_cuda_plan gossamer_cuda_plan;
typedef struct gossamer_cuda_vector gossamer_cuda_vector;

typedef struct {
    uint32_t kind;      /* one of those above */
    uint32_t top_count; /* of GOSSAMER_CUDA_TOP */
    uint64_t rounding;  /* of GOSSAMER_CUDA_INT8: names the draws (codec::rounding_key) */
    double clip_norm;   /* longest delta; 0 = any length */
    const float* residual; /* error feedback: added before encoding; null: none */
    float* next_residual;  /* what the encoding leaves unsent; null: not wanted */
} gossamer_cuda_product;

typedef struct {
    const float* start; /* parameters; also what FedProx pulls towards */
    const gossamer_cuda_data* data;
    const uint32_t* rows;  /* of the data; null: all in order */
    uint32_t row_count, shuffled;
    uint64_t seed, who;    /* name the order of the samples, as gossamer::stream does */
    uint64_t first_step;   /* batches before, in the endless sequence of epochs */
    uint32_t step_count;
    const gossamer_cuda_step* steps; /* step_count */
    const float *first, *second;     /* state of the optimiser; null: zeros */
    float *first_out, *second_out;   /* null: not wanted */
    gossamer_cuda_product product;
    void* out; /* receives the product */
    uint64_t out_room_bytes;
    /* Filled in: */
    uint64_t out_bytes;
    double loss_sum;   /* over samples: of the mean over a batch's labels, times its size */
    double delta_norm; /* norm before clipping; 0 where nothing is clipped */
    uint64_t seen, correct, counted; /* samples; labels */
    uint32_t failed_step; /* not 0: the loss of this batch was not finite; weights are of before */
    uint32_t finite;      /* DIVERGED, SENT or BEYOND_CODEC; only SENT is written to out */
} gossamer_cuda_replica;

typedef struct {
    uint32_t size;
    uint32_t replica_count;
    gossamer_cuda_replica* replicas;
    double device_seconds; /* filled in: the steps alone, by the card's clock */
} gossamer_cuda_job;

typedef struct {
    uint32_t version, size;
    int32_t (*device_count)(int32_t* count, gossamer_cuda_error*);
    int32_t (*describe)(int32_t device, gossamer_cuda_device*, gossamer_cuda_error*);

    int32_t (*data_create)(int32_t device, const gossamer_cuda_data_description*,
                           gossamer_cuda_data**, gossamer_cuda_error*);
    void (*data_destroy)(gossamer_cuda_data*);

    int32_t (*plan_create)(const gossamer_cuda_network*, const gossamer_cuda_plan_options*,
                           gossamer_cuda_plan**, gossamer_cuda_error*);
    void (*plan_destroy)(gossamer_cuda_plan*);
    uint64_t (*plan_bytes)(const gossamer_cuda_plan*); /* of the card's memory */
    uint32_t (*plan_mode)(const gossamer_cuda_plan*);  /* graph or persistent */
    int32_t (*train)(gossamer_cuda_plan*, gossamer_cuda_job*, gossamer_cuda_error*);
    /* Evaluates: step_count batches, no optimiser, `out` null. */
    int32_t (*score)(gossamer_cuda_plan*, gossamer_cuda_job*, gossamer_cuda_error*);

    /* Vectors resident on the card, for mixing. */
    int32_t (*vector_create)(int32_t device, uint64_t count, gossamer_cuda_vector**,
                             gossamer_cuda_error*);
    void (*vector_destroy)(gossamer_cuda_vector*);
    int32_t (*vector_write)(gossamer_cuda_vector*, const float*, gossamer_cuda_error*);
    int32_t (*vector_read)(const gossamer_cuda_vector*, float*, gossamer_cuda_error*);
    /* A plain copy on the card, to compare with. */
    int32_t (*vector_copy)(gossamer_cuda_vector* out, const gossamer_cuda_vector* in,
                           double* seconds, gossamer_cuda_error*);
    /* out = sum of weights[i] · inputs[i], in double, rounded once: tensor::weighted_mean's bits.
     * out may be one of the inputs. `seconds` (null: not wanted): by the card's clock. */
    int32_t (*mix)(gossamer_cuda_vector* out, const gossamer_cuda_vector* const* inputs,
                   const double* weights, uint32_t input_count, double* seconds,
                   gossamer_cuda_error*);
    /* The product of weights - start (start null: of weights themselves) to host memory.
     * seconds[0]: of the kernels, seconds[1]: of the copy. */
    int32_t (*encode)(const gossamer_cuda_vector* weights, const gossamer_cuda_vector* start,
                      const gossamer_cuda_product*, void* out, uint64_t out_room_bytes,
                      uint64_t* out_bytes, double* seconds, gossamer_cuda_error*);
} gossamer_cuda_interface;

/* Null when the version asked for is not this plugin's. */
const gossamer_cuda_interface* gossamer_cuda_plugin(uint32_t version);
/* The version it has. */
uint32_t gossamer_cuda_plugin_version(void);

#ifdef __cplusplus
}
#endif
#endif
