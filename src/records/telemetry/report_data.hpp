// What the script of a report page draws from: the report as JSON, thinned, in a form that may
// stand inside a <script> element.
#pragma once

#include <string>

#include "records/telemetry/report.hpp"

namespace gossamer::telemetry {

inline constexpr std::size_t kReportTextMax = 200;  // bytes of one string of a report

std::string report_data(const Report& report);
std::string grouped(double value);  // "1,234,567"

}  // namespace gossamer::telemetry
