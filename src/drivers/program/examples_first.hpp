// Help that begins with examples: they are what most look for.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <utility>

namespace gossamer::program {

class ExamplesFirst : public CLI::Formatter {
public:
    explicit ExamplesFirst(std::string examples) : examples_(std::move(examples)) {}
    std::string make_help(const CLI::App* app, std::string name,
                          CLI::AppFormatMode mode) const override {
        return examples_ + "\n" + CLI::Formatter::make_help(app, name, mode);
    }

private:
    std::string examples_;
};

}  // namespace gossamer::program
