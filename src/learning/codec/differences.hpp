// How far models are from each other, as root mean square over their parameters: every mixture says
// this number, and it is for people to read, so of large models some lines are looked at.
//
// Lines are drawn from each tensor by itself and weighted by how many they stand for: the small
// tensors at a model's end are a hundredth of its parameters, and half of its movement.
#pragma once

#include <array>
#include <vector>

#include "gossamer/tensor/kernels.hpp"
#include "gossamer/tensor/layout.hpp"

namespace gossamer::codec {

class Differences {
public:
    static constexpr std::size_t kAll = 64 * 1024;  // vectors up to here are looked at whole
    // Of a tensor. Each costs a miss of the caches in each model; a second line beside it, hardly.
    static constexpr std::size_t kPlacesMost = 32, kTogether = 2;

    // Of vectors of `count` floats; without a layout all are one tensor.
    Differences(std::size_t count, const tensor::Layout* layout);

    // The values [at, at + length) of the rows, which begin with the first of them: those after
    // those of the call before, at a multiple of kFloats. `self`: what the others are compared
    // with.
    void add(std::span<const tensor::Weighted> rows, std::size_t self, std::size_t at,
             std::size_t length);
    double root_mean() const;

private:
    void choose_from(std::size_t first, std::size_t count);

    std::size_t count_;
    std::vector<tensor::Line> lines_;                               // ascending
    std::size_t next_ = 0;                                          // line
    double values_ = 0;                                             // that the lines stand for
    std::vector<std::array<double, tensor::Line::kFloats>> lanes_;  // of rows
    double rest_ = 0;  // of a last line that is not full
};

}  // namespace gossamer::codec
