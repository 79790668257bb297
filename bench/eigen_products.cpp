// Built three times with -DGOSSAMER_SET=v1|v3|v4 and -DEigen=Eigen_v…: templates of the same name
// built for different instruction sets must not be merged by the linker.
#include "bench/eigen_products.hpp"

#include <Eigen/Core>
#include <vector>

namespace gossamer::bench::GOSSAMER_SET {
namespace {

using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

struct Layer {
    Matrix x, w, y, dy, dx, dw;
    int times;   // a convolution multiplies image by image
    bool first;  // needs no data gradient

    Layer(int rows, int in, int out, int repeat, bool is_first)
        : x(Matrix::Random(rows, in)),
          w(Matrix::Random(in, out)),
          y(rows, out),
          dy(Matrix::Random(rows, out)),
          dx(rows, in),
          dw(Matrix::Zero(in, out)),
          times(repeat),
          first(is_first) {}

    void forward() {
        for (int i = 0; i < times; ++i) y.noalias() = x * w;
    }
    void backward() {
        for (int i = 0; i < times; ++i) {
            if (!first) dx.noalias() = dy * w.transpose();
            if (i == 0)
                dw.noalias() = x.transpose() * dy;
            else
                dw.noalias() += x.transpose() * dy;
        }
    }
};

class EigenProducts final : public Products {
public:
    explicit EigenProducts(const Net& net) {
        if (net.cnn) {
            layers_.emplace_back(28 * 28, 25, 32, net.batch, true);
            layers_.emplace_back(14 * 14, 25 * 32, 64, net.batch, false);
            layers_.emplace_back(net.batch, 3136, 512, 1, false);
            layers_.emplace_back(net.batch, 512, 10, 1, false);
        } else {
            layers_.emplace_back(net.batch, 784, 200, 1, true);
            layers_.emplace_back(net.batch, 200, 200, 1, false);
            layers_.emplace_back(net.batch, 200, 10, 1, false);
        }
    }
    void step() override {
        for (auto& layer : layers_) layer.forward();
        for (auto layer = layers_.rbegin(); layer != layers_.rend(); ++layer) layer->backward();
    }

private:
    std::vector<Layer> layers_;
};

}  // namespace

std::unique_ptr<Products> make_products(const Net& net) {
    return std::make_unique<EigenProducts>(net);
}

}  // namespace gossamer::bench::GOSSAMER_SET
