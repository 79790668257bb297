// Options as a table's defaults, some of them changed.
#pragma once

#include <map>
#include <stdexcept>

#include "gossamer/base/options.hpp"

namespace gossamer {

class OptionValues : public OptionSource {
public:
    explicit OptionValues(const OptionTable& table) {
        for (const auto& option : table) values_[option.key] = option.fallback;
    }
    OptionValues& set(const std::string& key, OptionValue value) {
        values_.at(key) = std::move(value);
        return *this;
    }
    const OptionValue& get(std::string_view key) const override {
        return values_.at(std::string(key));
    }

private:
    std::map<std::string, OptionValue> values_;
};

}  // namespace gossamer
