// Named results of the checks, printed as they come and written as JSON with each of them: what
// follows may take the process down, or its time may run out.
#pragma once

#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

namespace gossamer::cuda {

class Report {
public:
    void write_to(const char* path, const std::string& device) {
        path_ = path != nullptr ? path : "";
        device_ = device;
        write(false);
    }
    void add(const std::string& name, bool passed, const std::string& detail = {}) {
        std::printf("%s  %s%s%s\n", passed ? "ok    " : "FAILED", name.c_str(),
                    detail.empty() ? "" : ": ", detail.c_str());
        std::fflush(stdout);
        std::string plain = detail;  // as JSON
        for (char& c : plain)
            if (c == '"' || c == '\\' || static_cast<unsigned char>(c) < 32) c = ' ';
        lines_.push_back("{\"name\": \"" + name + "\", \"passed\": " + (passed ? "true" : "false") +
                         ", \"detail\": \"" + plain + "\"}");
        failed_ += passed ? 0 : 1;
        write(false);
    }
    void finish() const { write(true); }
    int failed() const { return failed_; }
    std::size_t count() const { return lines_.size(); }

private:
    void write(bool finished) const {
        if (path_.empty()) return;
        const std::string next = path_ + ".next";
        std::ofstream(next) << "{\n  \"device\": \"" << device_
                            << "\",\n  \"finished\": " << (finished ? "true" : "false")
                            << ",\n  \"failed\": " << failed_ << ",\n  \"checks\": " << json()
                            << "\n}\n";
        std::rename(next.c_str(), path_.c_str());  // whole, or not at all
    }
    std::string json() const {
        std::string text = "[\n";
        for (std::size_t i = 0; i < lines_.size(); ++i)
            text += "    " + lines_[i] + (i + 1 < lines_.size() ? ",\n" : "\n");
        return text + "  ]";
    }

    std::vector<std::string> lines_;
    std::string path_, device_;
    int failed_ = 0;
};

}  // namespace gossamer::cuda
