// The bare products of one training step with Eigen, built once per instruction set like the maths
// library, so that like is compared with like. Nothing else is timed: no activation, no loss, no
// bias, no pooling, no update, and a convolution's im2col has happened before.
#pragma once

#include <memory>

namespace gossamer::bench {

class Products {
public:
    virtual ~Products() = default;
    virtual void step() = 0;  // forward, data gradients, weight gradients, for one batch
};
struct Net {
    bool cnn = false;  // else the 784-200-200-10 net
    int batch = 10;
};

// Declares make_products in a namespace per build; see eigen_products.cpp.
namespace v1 {
std::unique_ptr<Products> make_products(const Net& net);
}
namespace v3 {
std::unique_ptr<Products> make_products(const Net& net);
}
namespace v4 {
std::unique_ptr<Products> make_products(const Net& net);
}

}  // namespace gossamer::bench
