// Two guards keep what others wrote from becoming code: every string passes harmless(), then either
// HTML escapes or a JSON block without '<'; and the page's policy lets only its own scripts run.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "gossamer/base/options.hpp"
#include "records/telemetry/report.hpp"
#include "records/telemetry/report_assets.hpp"
#include "records/telemetry/report_data.hpp"

namespace gossamer::telemetry {
namespace {

std::string html(std::string_view text, std::size_t bytes_max = kReportTextMax) {
    std::string out;
    for (const char c : harmless(text, bytes_max)) {
        switch (c) {
            case '&': out += "&amp;"; break;
            case '<': out += "&lt;"; break;
            case '>': out += "&gt;"; break;
            case '"': out += "&quot;"; break;
            case '\'': out += "&#39;"; break;
            default: out += c;
        }
    }
    return out;
}

// A value of the summary as people read it; the unit follows from the name.
std::string summary_value(const Field& field) {
    const auto whole = std::get_if<std::int64_t>(&field.value);
    const auto real = std::get_if<double>(&field.value);
    if (!whole && !real) {
        const auto text = field_text(field.value);
        return text == "true" ? "yes" : text == "false" ? "no" : text;
    }
    const double value = whole ? static_cast<double>(*whole) : *real;
    if (!std::isfinite(value)) return "–";
    const bool rate = field.key.find("_per_") != std::string::npos;
    if (field.key.find("bytes") != std::string::npos && !rate && std::abs(value) < 9e18)
        return format_bytes(static_cast<std::int64_t>(value));
    if (field.key.ends_with("seconds") && !rate) {
        if (value >= 7200) return fmt::format("{:.2f} h", value / 3600);
        if (value >= 120) return fmt::format("{:.1f} min", value / 60);
        return fmt::format("{:.4g} s", value);
    }
    if (std::abs(value) >= 1e4 && std::abs(value) < 1e15) return grouped(value);
    if (value == std::floor(value) && std::abs(value) < 1e4) return fmt::format("{:.0f}", value);
    return fmt::format("{:.5g}", value);
}

std::string header_of(const Report& report) {
    auto out = fmt::format("<h1>{}</h1>\n", html(report.title.empty() ? "A run" : report.title));
    const std::pair<const char*, const std::string*> identity[] = {
        {"scenario", &report.scenario},
        {"run", &report.run},
        {"seed", &report.seed},
        {"trace hash", &report.trace_hash},
        {"started", &report.started}};
    std::string pairs;
    for (const auto& [name, value] : identity)
        if (!value->empty())
            pairs += fmt::format("<div><dt>{}</dt><dd>{}</dd></div>\n", name, html(*value));
    if (!pairs.empty()) out += "<dl class=\"identity\">\n" + pairs + "</dl>\n";
    for (const auto& note : report.notes)
        out += fmt::format("<p class=\"note\">{}</p>\n", html(note, 1024));
    pairs.clear();
    for (const auto& field : report.summary) {
        auto key = field.key;
        if (key.ends_with("seconds")) key.replace(key.size() - 7, 7, "time");
        std::ranges::replace(key, '_', ' ');
        const auto value = summary_value(field);
        pairs += fmt::format("<div><dt>{}</dt><dd{}>{}</dd></div>\n", html(key),
                             value.size() > 24 ? " class=\"long\"" : "", html(value));
    }
    if (!pairs.empty()) out += "<dl class=\"facts\">\n" + pairs + "</dl>\n";
    return out;
}

}  // namespace

std::string report_page(const Report& report) {
    const auto assets = report_assets();
    std::string out(assets.before_title);
    out += html(report.title.empty() ? "A run" : report.title) + " – Gossamer";
    out += assets.before_header;
    out += header_of(report);
    out += assets.before_data;
    out += report_data(report);
    out += assets.end;
    return out;
}

Status write_report(storage::Disk& disk, const std::string& path, const Report& report) {
    const auto page = report_page(report);
    const ByteView parts[] = {as_bytes(page)};
    return disk.replace_file(path, parts);
}

}  // namespace gossamer::telemetry
